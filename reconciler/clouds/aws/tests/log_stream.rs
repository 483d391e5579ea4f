//! Log streams on a simulated AWS.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on fails")]

mod moto;

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_kinesis::types::{EncryptionType, StreamMode};
use fleetwright_clouds::{Cloud, Progress};
use fleetwright_core::inventory::{ErrorClass, Phase, Step};
use moto::{Fault, Lab, SET, spec};

const STEP: Step = Step::LogStream;

fn cuts() -> impl Iterator<Item = (u64, bool)> {
    (1..30).flat_map(|nth| [(nth, false), (nth, true)])
}

fn named(cluster: &str) -> String {
    format!("fleetwright-{cluster}")
}

async fn tags(lab: &Lab, cluster: &str) -> BTreeMap<String, String> {
    let tags = lab.kinesis.list_tags_for_stream().stream_name(named(cluster)).send().await.unwrap().tags;
    tags.into_iter().map(|tag| (tag.key, tag.value.unwrap_or_default())).collect()
}

async fn is_whole(lab: &Lab, cluster: &str) -> bool {
    let reply = lab.kinesis.describe_stream_summary().stream_name(named(cluster)).send().await;
    let Ok(told) = reply.map(|reply| reply.stream_description_summary.unwrap()) else { return false };
    let on_demand = told.stream_mode_details.is_some_and(|mode| mode.stream_mode == StreamMode::OnDemand);
    on_demand && told.encryption_type == Some(EncryptionType::Kms) && told.retention_period_hours == 24
}

async fn stands(lab: &Lab, cluster: &str) -> bool {
    lab.kinesis.describe_stream_summary().stream_name(named(cluster)).send().await.is_ok()
}

#[tokio::test]
async fn a_stream_is_made_on_demand_encrypted_tagged_and_marked() {
    let Some(lab) = Lab::new("a_stream_is_made") else { return };
    assert_eq!(lab.create("whole", STEP, &spec(&[("team", "a")])).await, Ok(Progress::Done));
    let [told] = &lab.told("whole", STEP).await[..] else { panic!("not told once") };
    assert_eq!(
        (told.phase, &*told.applied, told.ordinal, told.set.to_string()),
        (Phase::Ready, "f1", 7, SET.to_owned())
    );
    let arn = format!("arn:aws:kinesis:{}:123456789012:stream/fleetwright-whole", lab.region);
    assert_eq!(*told.id, *format!("{arn}@{}", told.created_at.unix_seconds()));
    assert!(is_whole(&lab, "whole").await);
    let tags = tags(&lab, "whole").await;
    assert_eq!((&*tags["team"], &*tags["fleetwright.dev/applied"]), ("a", "f1"));
}

#[tokio::test]
async fn a_creation_that_is_cut_anywhere_is_taken_up_again_and_never_told_as_whole_before_it_is() {
    let Some(mut lab) = Lab::new("a_creation_that_is_cut_anywhere") else { return };
    for (nth, arrives) in cuts() {
        let (cluster, spec) = (format!("cut-{nth}-{arrives}"), spec(&[("team", "a")]));
        lab.wire.set(Some(Fault::Cut { nth, arrives }));
        let _ = lab.create(&cluster, STEP, &spec).await;
        let was_cut = lab.wire.was_cut();
        lab.wire.set(None);
        if !was_cut {
            assert!(nth > 5, "only {nth} calls");
            return;
        }
        lab = lab.restarted();
        let told = lab.told(&cluster, STEP).await;
        assert_eq!(told.is_empty(), !stands(&lab, &cluster).await, "{nth} {arrives}");
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
        if stands(&lab, &cluster).await {
            assert_eq!(lab.delete(&cluster, STEP, &id).await, Ok(Progress::InProgress), "{nth} {arrives}");
        }
        assert!(!stands(&lab, &cluster).await, "{nth} {arrives}");
        assert_eq!(lab.told(&cluster, STEP).await, []);
        assert_eq!(lab.delete(&cluster, STEP, &id).await, Ok(Progress::Done), "what is gone is gone");
        if !was_cut {
            return;
        }
    }
    panic!("never done");
}

#[tokio::test]
async fn a_stranger_s_stream_by_our_name_is_left_alone() {
    let Some(lab) = Lab::new("a_stranger_s_stream") else { return };
    let another =
        [("fleetwright.dev/cluster", "stranger-1"), ("fleetwright.dev/set", SET), ("fleetwright.dev/ordinal", "8")];
    for (cluster, tags) in [("stranger-0", &[][..]), ("stranger-1", &another[..])] {
        lab.kinesis.create_stream().stream_name(named(cluster)).shard_count(1).send().await.unwrap();
        for (key, value) in tags {
            lab.kinesis.add_tags_to_stream().stream_name(named(cluster)).tags(*key, *value).send().await.unwrap();
        }
        let refused = lab.create(cluster, STEP, &spec(&[])).await.unwrap_err();
        assert_eq!((refused.class, &*refused.code), (ErrorClass::Denied, "NotOurs"));
        let reply = lab.kinesis.describe_stream_summary().stream_name(named(cluster)).send().await.unwrap();
        let told = reply.stream_description_summary.unwrap();
        let id = format!("{}@{}", told.stream_arn, told.stream_creation_timestamp.secs());
        assert_eq!(&*lab.delete(cluster, STEP, &id).await.unwrap_err().code, "NotOurs");
        assert!(stands(&lab, cluster).await);
        assert_eq!(self::tags(&lab, cluster).await.len(), tags.len());
    }
    assert_eq!(lab.told("stranger-0", STEP).await, [], "untagged");
}

#[tokio::test]
async fn only_the_very_stream_that_was_read_is_deleted_or_changed() {
    let Some(lab) = Lab::new("only_the_very_stream") else { return };
    lab.create("other", STEP, &spec(&[])).await.unwrap();
    let id = lab.told("other", STEP).await[0].id.to_string();
    let (arn, _) = id.split_once('@').unwrap();
    let wrong = format!("{arn}@1");
    assert_eq!(lab.delete("other", STEP, &wrong).await.unwrap_err().class, ErrorClass::Conflict);
    assert_eq!(lab.update("other", STEP, &wrong, "f2", &spec(&[])).await.unwrap_err().class, ErrorClass::Conflict);
    assert!(stands(&lab, "other").await);
}

#[tokio::test]
async fn tags_follow_the_spec_and_the_mark_follows_them() {
    let Some(lab) = Lab::new("tags_follow_the_spec") else { return };
    lab.create("tagged", STEP, &spec(&[("team", "a"), ("old", "x")])).await.unwrap();
    let id = lab.told("tagged", STEP).await[0].id.to_string();
    lab.kinesis.add_tags_to_stream().stream_name(named("tagged")).tags("cost-bot", "c").send().await.unwrap();
    lab.update("tagged", STEP, &id, "f2", &spec(&[("team", "b"), ("new", "z")])).await.unwrap();
    let tags = tags(&lab, "tagged").await;
    assert_eq!((&*tags["team"], &*tags["new"], tags.contains_key("old")), ("b", "z", false));
    assert_eq!(&*tags["cost-bot"], "c", "a stranger's tag stays");
    assert_eq!(&*lab.told("tagged", STEP).await[0].applied, "f2");
}

#[tokio::test]
async fn streams_that_are_quiet_or_strangers_cost_nothing_beyond_the_list() {
    let Some(lab) = Lab::new("streams_that_are_quiet") else { return };
    lab.create("quiet", STEP, &spec(&[])).await.unwrap();
    lab.kinesis.create_stream().stream_name("orders").shard_count(1).send().await.unwrap();
    let asked = |lab: &Lab| lab.wire.operations().iter().filter(|name| *name == "ListTagsForStream").count();
    let nobody = BTreeSet::new();
    lab.aws.observe(&lab.place(), &nobody).await.unwrap();
    lab.wire.set(None);
    let known = lab.aws.observe(&lab.place(), &nobody).await.unwrap();
    assert!(known.resources.contains_key(&"quiet".parse().unwrap()));
    assert_eq!(asked(&lab), 0);
    lab.told("quiet", STEP).await;
    assert!(asked(&lab) > 0, "who is looked at closely is asked about");
}

#[tokio::test]
async fn a_list_that_failed_is_an_error_and_never_empty() {
    let Some(lab) = Lab::new("a_list_that_failed") else { return };
    lab.create("listed", STEP, &spec(&[])).await.unwrap();
    for (status, code, class) in [
        (400, "LimitExceededException", ErrorClass::Throttled),
        (400, "AccessDeniedException", ErrorClass::Denied),
        (400, "ExpiredTokenException", ErrorClass::Denied),
        (500, "InternalFailureException", ErrorClass::Outage),
    ] {
        for operation in ["ListStreams", "ListTagsForStream"] {
            lab.wire.set(Some(Fault::Answer { operation, status, code }));
            let error = lab.told_or_error("listed", STEP).await.unwrap_err();
            assert_eq!((error.class, &*error.code), (class, code));
        }
        lab.wire.set(Some(Fault::Answer { operation: "DescribeStreamSummary", status, code }));
        assert_eq!(lab.delete("listed", STEP, "x").await.unwrap_err().class, class);
    }
}

#[tokio::test]
async fn a_service_that_can_t_encrypt_is_not_waited_for() {
    let Some(lab) = Lab::new("a_service_that_can_t_encrypt") else { return };
    let answer = Fault::Answer { operation: "StartStreamEncryption", status: 400, code: "UnknownOperationException" };
    lab.wire.set(Some(answer));
    assert_eq!(lab.create("plain", STEP, &spec(&[])).await, Ok(Progress::Done));
    let answer = Fault::Answer { operation: "StartStreamEncryption", status: 400, code: "KMSAccessDeniedException" };
    lab.wire.set(Some(answer));
    assert_eq!(lab.create("refused", STEP, &spec(&[])).await.unwrap_err().class, ErrorClass::Denied);
    assert_eq!(&*lab.told("refused", STEP).await[0].applied, "");
}

#[tokio::test]
async fn a_stream_that_kinesis_still_makes_is_waited_for_and_not_marked() {
    let Some(lab) = Lab::new("a_stream_that_kinesis_still_makes") else { return };
    for (status, phase) in [("\"CREATING\"", Phase::Creating), ("\"UPDATING\"", Phase::Updating)] {
        let cluster = if phase == Phase::Creating { "slow" } else { "busy" };
        lab.wire.set(Some(Fault::Say { instead: "\"ACTIVE\"", this: status }));
        assert_eq!(lab.create(cluster, STEP, &spec(&[])).await, Ok(Progress::InProgress));
        let [told] = &lab.told(cluster, STEP).await[..] else { panic!("not told once") };
        assert_eq!((told.phase, &*told.applied), (phase, ""));
        lab.wire.set(None);
        assert!(lab.build_on(cluster, STEP, &spec(&[])).await);
        assert!(!lab.build_on(cluster, STEP, &spec(&[])).await);
        assert!(is_whole(&lab, cluster).await);
    }
    lab.wire.set(Some(Fault::Say { instead: "\"ACTIVE\"", this: "\"DELETING\"" }));
    let [told] = &lab.told("slow", STEP).await[..] else { panic!("not told once") };
    assert_eq!(told.phase, Phase::Deleting);
    lab.wire.set(None);
    lab.wire.set(Some(Fault::Say { instead: "\"ACTIVE\"", this: "\"DELETING\"" }));
    assert_eq!(lab.delete("slow", STEP, &told.id).await, Ok(Progress::InProgress));
    assert!(!lab.wire.operations().contains(&"DeleteStream".to_owned()), "it goes already");
}
