//! Roles on a simulated AWS.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on fails")]

mod moto;

use std::collections::BTreeMap;
use std::time::Duration;

use fleetwright_clouds::Progress;
use fleetwright_core::inventory::{ErrorClass, Phase, Step};
use moto::{Fault, Lab, SET, spec};

const STEP: Step = Step::Identity;
const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
const SUFFIXES: [&str; 3] = ["control-plane", "nodes", "services"];

/// What carries the fault into every call of a step, before and after it arrives.
fn cuts() -> impl Iterator<Item = (u64, bool)> {
    (1..60).flat_map(|nth| [(nth, false), (nth, true)])
}

async fn tags(lab: &Lab, role: &str) -> BTreeMap<String, String> {
    let tags = lab.iam.list_role_tags().role_name(role).max_items(100).send().await.unwrap().tags;
    tags.into_iter().map(|tag| (tag.key, tag.value)).collect()
}

async fn policies(lab: &Lab, role: &str) -> Vec<String> {
    let attached = lab.iam.list_attached_role_policies().role_name(role).max_items(100).send().await.unwrap();
    let names = attached.attached_policies.unwrap_or_default().into_iter().filter_map(|policy| policy.policy_name);
    let inline = lab.iam.list_role_policies().role_name(role).max_items(100).send().await.unwrap().policy_names;
    let mut names: Vec<String> = names.chain(inline).collect();
    names.sort();
    names
}

async fn stands(lab: &Lab, cluster: &str) -> usize {
    let mut there = 0;
    for suffix in SUFFIXES {
        let reply = lab.iam.get_role().role_name(format!("{cluster}-{suffix}")).send().await;
        there += usize::from(reply.is_ok());
    }
    there
}

async fn is_whole(lab: &Lab, cluster: &str) -> bool {
    if stands(lab, cluster).await < 3 {
        return false;
    }
    let wanted = [
        vec!["AmazonEKSClusterPolicy"],
        vec!["AmazonEC2ContainerRegistryPullOnly", "AmazonEKSWorkerNodePolicy", "AmazonEKS_CNI_Policy"],
        vec!["log-stream"],
    ];
    for (suffix, wanted) in SUFFIXES.iter().zip(wanted) {
        if policies(lab, &format!("{cluster}-{suffix}")).await != wanted {
            return false;
        }
    }
    true
}

#[tokio::test]
async fn an_identity_is_three_roles_and_told_as_one_with_its_mark() {
    let Some(lab) = Lab::new("an_identity_is_three_roles") else { return };
    assert_eq!(lab.create("whole", STEP, &spec(&[("team", "a")])).await, Ok(Progress::Done));
    let [told] = &lab.told("whole", STEP).await[..] else { panic!("not told once") };
    assert_eq!(
        (told.phase, &*told.applied, told.ordinal, told.set.to_string()),
        (Phase::Ready, "f1", 7, SET.to_owned())
    );
    let role = lab.iam.get_role().role_name("whole-control-plane").send().await.unwrap().role.unwrap();
    assert_eq!(*told.id, *format!("{}@{}", role.arn, role.role_id));
    assert_eq!(role.arn, format!("arn:aws:iam::123456789012:role/fleetwright/{}/whole-control-plane", lab.region));
    assert!(is_whole(&lab, "whole").await);
    for suffix in SUFFIXES {
        let tags = tags(&lab, &format!("whole-{suffix}")).await;
        assert_eq!(
            (&*tags["team"], &*tags["fleetwright.dev/cluster"], &*tags["fleetwright.dev/step"]),
            ("a", "whole", "identity")
        );
    }
    let policy = lab.iam.get_role_policy().role_name("whole-services").policy_name("log-stream").send().await.unwrap();
    let stream = format!("arn:aws:kinesis:{}:123456789012:stream/fleetwright-whole", lab.region);
    let document = policy.policy_document.replace("%3A", ":").replace("%2F", "/");
    assert!(document.contains(&stream), "{document}");
}

#[tokio::test]
async fn whoever_makes_what_is_there_makes_nothing() {
    let Some(lab) = Lab::new("whoever_makes_what_is_there") else { return };
    lab.create("twice", STEP, &spec(&[])).await.unwrap();
    lab.wire.set(None);
    assert_eq!(lab.create("twice", STEP, &spec(&[])).await, Ok(Progress::Done));
    let made = lab.wire.operations().into_iter().filter(|operation| {
        operation.starts_with("Create") || operation.starts_with("Attach") || operation.starts_with("Tag")
    });
    assert_eq!(made.count(), 0);
}

#[tokio::test]
async fn a_creation_that_is_cut_anywhere_is_taken_up_again_and_never_told_as_whole_before_it_is() {
    let Some(mut lab) = Lab::new("a_creation_that_is_cut_anywhere") else { return };
    let spec = spec(&[("team", "a")]);
    for (nth, arrives) in cuts() {
        let cluster = format!("cut-{nth}-{arrives}");
        lab.wire.set(Some(Fault::Cut { nth, arrives }));
        let done = lab.create(&cluster, STEP, &spec).await;
        let was_cut = lab.wire.was_cut();
        lab.wire.set(None);
        if !was_cut {
            assert!(nth > 10, "only {nth} calls");
            return;
        }
        assert_eq!(done.map_err(|error| error.class), Err(ErrorClass::UnknownResult), "{nth} {arrives}");
        lab = lab.restarted();
        let told = lab.told(&cluster, STEP).await;
        let looks_whole = told.iter().any(|resource| !resource.applied.is_empty());
        assert!(!looks_whole || is_whole(&lab, &cluster).await, "{nth} {arrives}");
        let mut left = 3;
        while lab.build_on(&cluster, STEP, &spec).await {
            left -= 1;
            assert!(left > 0, "{nth} {arrives}");
        }
        assert!(is_whole(&lab, &cluster).await, "{nth} {arrives}");
        let id = lab.told(&cluster, STEP).await[0].id.clone();
        lab.delete(&cluster, STEP, &id).await.unwrap();
    }
    panic!("never done");
}

#[tokio::test]
async fn a_deletion_that_is_cut_anywhere_leaves_nothing_in_the_end() {
    let Some(mut lab) = Lab::new("a_deletion_that_is_cut_anywhere") else { return };
    for (nth, arrives) in cuts() {
        let cluster = format!("gone-{nth}-{arrives}");
        lab.create(&cluster, STEP, &spec(&[])).await.unwrap();
        let id = lab.told(&cluster, STEP).await[0].id.clone();
        lab.wire.set(Some(Fault::Cut { nth, arrives }));
        let _ = lab.delete(&cluster, STEP, &id).await;
        let was_cut = lab.wire.was_cut();
        lab.wire.set(None);
        lab = lab.restarted();
        for _ in 0..2 {
            let told = lab.told(&cluster, STEP).await;
            assert!(told.iter().all(|resource| resource.id == id), "another id of the same: {nth} {arrives}");
            assert_eq!(told.is_empty(), stands(&lab, &cluster).await == 0, "{nth} {arrives}");
            if let [one] = &told[..] {
                assert!(one.applied.is_empty() || is_whole(&lab, &cluster).await, "{nth} {arrives}");
                assert_eq!(lab.delete(&cluster, STEP, &id).await, Ok(Progress::Done), "{nth} {arrives}");
            }
        }
        assert_eq!(stands(&lab, &cluster).await, 0, "{nth} {arrives}");
        assert_eq!(lab.delete(&cluster, STEP, &id).await, Ok(Progress::Done), "what is gone is gone");
        if !was_cut {
            assert!(nth > 10, "only {nth} calls");
            return;
        }
    }
    panic!("never done");
}

#[tokio::test]
async fn a_stranger_s_role_by_our_name_is_left_alone() {
    let Some(lab) = Lab::new("a_stranger_s_role") else { return };
    let tag = |key: &str, value: &str| aws_sdk_iam::types::Tag::builder().key(key).value(value).build().unwrap();
    let another = vec![
        tag("fleetwright.dev/cluster", "stranger-1"),
        tag("fleetwright.dev/set", SET),
        tag("fleetwright.dev/ordinal", "8"),
    ];
    for (cluster, suffix, tags) in [("stranger-0", "nodes", vec![]), ("stranger-1", "services", another)] {
        let name = format!("{cluster}-{suffix}");
        let role = lab
            .iam
            .create_role()
            .role_name(&name)
            .path(format!("/fleetwright/{}/", lab.region))
            .assume_role_policy_document(TRUST);
        let role = role.set_tags(Some(tags)).send().await.unwrap().role.unwrap();
        let refused = lab.create(cluster, STEP, &spec(&[])).await.unwrap_err();
        assert_eq!((refused.class, &*refused.code), (ErrorClass::Denied, "NotOurs"));
        let refused = lab.delete(cluster, STEP, &format!("{}@{}", role.arn, role.role_id)).await.unwrap_err();
        assert_eq!(&*refused.code, "NotOurs");
        assert_eq!((stands(&lab, cluster).await, policies(&lab, &name).await.len()), (1, 0));
    }
}

#[tokio::test]
async fn only_the_very_identity_that_was_read_is_deleted_or_changed() {
    let Some(lab) = Lab::new("only_the_very_identity") else { return };
    lab.create("other", STEP, &spec(&[])).await.unwrap();
    let id = lab.told("other", STEP).await[0].id.to_string();
    let wrong = format!("{}X", id);
    assert_eq!(lab.delete("other", STEP, &wrong).await.unwrap_err().class, ErrorClass::Conflict);
    assert_eq!(lab.update("other", STEP, &wrong, "f2", &spec(&[])).await.unwrap_err().class, ErrorClass::Conflict);
    assert!(is_whole(&lab, "other").await);
}

#[tokio::test]
async fn tags_follow_the_spec_and_the_mark_follows_them() {
    let Some(lab) = Lab::new("tags_follow_the_spec") else { return };
    lab.create("tagged", STEP, &spec(&[("team", "a"), ("old", "x"), ("name", "y")])).await.unwrap();
    let id = lab.told("tagged", STEP).await[0].id.to_string();
    let bot = aws_sdk_iam::types::Tag::builder().key("cost-bot").value("c").build().unwrap();
    for suffix in SUFFIXES {
        lab.iam.tag_role().role_name(format!("tagged-{suffix}")).tags(bot.clone()).send().await.unwrap();
    }
    lab.update("tagged", STEP, &id, "f2", &spec(&[("team", "b"), ("new", "z")])).await.unwrap();
    for suffix in SUFFIXES {
        let tags = tags(&lab, &format!("tagged-{suffix}")).await;
        assert_eq!((&*tags["team"], &*tags["new"], tags.contains_key("old")), ("b", "z", false));
        assert_eq!(&*tags["cost-bot"], "c", "a stranger's tag stays");
        assert_eq!(&*tags["Name"], "tagged");
    }
    let [told] = &lab.told("tagged", STEP).await[..] else { panic!("not told once") };
    assert_eq!((&*told.applied, &*told.id), ("f2", &*id));
}

#[tokio::test]
async fn what_lost_a_role_is_told_as_begun_and_made_whole_again() {
    let Some(lab) = Lab::new("what_lost_a_role") else { return };
    for suffix in SUFFIXES {
        let (cluster, spec) = (format!("lost-{suffix}"), spec(&[]));
        lab.create(&cluster, STEP, &spec).await.unwrap();
        let before = lab.told(&cluster, STEP).await[0].id.clone();
        let role = format!("{cluster}-{suffix}");
        for policy in policies(&lab, &role).await {
            let arn = format!("arn:aws:iam::aws:policy/{policy}");
            let _ = lab.iam.detach_role_policy().role_name(&role).policy_arn(arn).send().await;
            let _ = lab.iam.delete_role_policy().role_name(&role).policy_name(policy).send().await;
        }
        lab.iam.delete_role().role_name(&role).send().await.unwrap();
        let [told] = &lab.told(&cluster, STEP).await[..] else { panic!("not told once") };
        assert_eq!((told.phase, &*told.applied), (Phase::Ready, ""));
        assert_eq!(told.id == before, suffix != "control-plane");
        assert!(lab.build_on(&cluster, STEP, &spec).await);
        assert!(!lab.build_on(&cluster, STEP, &spec).await);
        assert!(is_whole(&lab, &cluster).await);
    }
}

#[tokio::test]
async fn what_a_person_changed_is_brought_back_by_the_next_update() {
    let Some(lab) = Lab::new("what_a_person_changed") else { return };
    lab.create("touched", STEP, &spec(&[])).await.unwrap();
    let role = "touched-services";
    lab.iam.update_assume_role_policy().role_name(role).policy_document(TRUST).send().await.unwrap();
    lab.iam.delete_role_policy().role_name(role).policy_name("log-stream").send().await.unwrap();
    lab.iam.update_role().role_name(role).description("mine").send().await.unwrap();
    assert_eq!(&*lab.told("touched", STEP).await[0].applied, "");
    assert!(lab.build_on("touched", STEP, &spec(&[])).await);
    let found = lab.iam.get_role().role_name(role).send().await.unwrap().role.unwrap();
    assert!(found.assume_role_policy_document.unwrap().contains("TagSession"));
    assert!(is_whole(&lab, "touched").await);
}

/// As long as what is known of a role may be old.
const SLOW: Duration = Duration::from_secs(600);

#[tokio::test]
async fn what_a_person_takes_from_roles_is_seen_after_a_while_and_mended() {
    let Some(lab) = Lab::new("what_a_person_takes_from_roles") else { return };
    let spec = spec(&[]);
    lab.create("robbed", STEP, &spec).await.unwrap();
    let mark = async || lab.told("robbed", STEP).await[0].applied.to_string();
    for (suffix, policy) in [
        ("control-plane", Some("AmazonEKSClusterPolicy")),
        ("nodes", Some("AmazonEKS_CNI_Policy")),
        ("nodes", None),
        ("services", None),
    ] {
        lab.aws.age(SLOW);
        assert_eq!(mark().await, "f1", "{suffix} {policy:?}: it is whole still");
        let role = format!("robbed-{suffix}");
        match policy {
            Some(policy) => {
                let arn = format!("arn:aws:iam::aws:policy/{policy}");
                lab.iam.detach_role_policy().role_name(&role).policy_arn(arn).send().await.unwrap();
            }
            None => {
                let document = TRUST.replace("ec2", "lambda");
                lab.iam.update_assume_role_policy().role_name(&role).policy_document(document).send().await.unwrap();
            }
        }
        assert_eq!(mark().await, "f1", "{suffix} {policy:?}: nobody looks yet");
        lab.aws.age(SLOW);
        assert_eq!(mark().await, "", "{suffix} {policy:?}: it is seen");
        // What breaks off is not taken for mended.
        let id = lab.told("robbed", STEP).await[0].id.to_string();
        lab.wire.set(Some(Fault::Cut { nth: 4, arrives: false }));
        assert!(lab.update("robbed", STEP, &id, "f1", &spec).await.is_err());
        lab.wire.set(None);
        assert_eq!(mark().await, "", "{suffix} {policy:?}");
        assert!(lab.build_on("robbed", STEP, &spec).await);
        assert_eq!(mark().await, "f1", "{suffix} {policy:?}: it is mended");
        let found = lab.iam.get_role().role_name(&role).send().await.unwrap().role.unwrap();
        assert!(is_whole(&lab, "robbed").await && !found.assume_role_policy_document.unwrap().contains("lambda"));
    }
    assert_eq!(fleetwright_aws::policy::covers(&lab.aws.calls()), Ok(()));
}

#[tokio::test]
async fn the_look_at_the_roles_of_three_clusters_costs_what_the_look_at_one_does() {
    let Some(lab) = Lab::new("the_look_at_the_roles_of_three") else { return };
    let look = async || {
        lab.aws.age(SLOW);
        lab.wire.set(None);
        lab.told("many-0", STEP).await;
        let mut calls = lab.wire.operations();
        // Of these lists the short pages of this test take more.
        calls.retain(|call| call != "ListRoles");
        calls.sort();
        calls
    };
    lab.create("many-0", STEP, &spec(&[])).await.unwrap();
    let of_one = look().await;
    assert_eq!(of_one.iter().filter(|call| *call == "ListEntitiesForPolicy").count(), 4, "{of_one:?}");
    for cluster in ["many-1", "many-2"] {
        lab.create(cluster, STEP, &spec(&[])).await.unwrap();
    }
    assert_eq!(look().await, of_one);
}

#[tokio::test]
async fn a_list_that_failed_is_an_error_and_never_empty() {
    let Some(lab) = Lab::new("a_list_that_failed") else { return };
    lab.create("listed", STEP, &spec(&[])).await.unwrap();
    for (status, code, class) in [
        (400, "Throttling", ErrorClass::Throttled),
        (403, "AccessDenied", ErrorClass::Denied),
        (403, "ExpiredToken", ErrorClass::Denied),
        (403, "InvalidClientTokenId", ErrorClass::Denied),
        (500, "ServiceFailure", ErrorClass::Outage),
    ] {
        lab.wire.set(Some(Fault::Answer { operation: "ListRoles", status, code }));
        let error = lab.told_or_error("listed", STEP).await.unwrap_err();
        assert_eq!((error.class, &*error.code), (class, code));
        lab.wire.set(Some(Fault::Answer { operation: "GetRole", status, code }));
        assert_eq!(lab.create("listed", STEP, &spec(&[])).await.unwrap_err().class, class);
        assert_eq!(lab.delete("listed", STEP, "x").await.unwrap_err().class, class);
    }
    lab.wire.set(None);
    assert_eq!(lab.told("listed", STEP).await.len(), 1);
}
