//! Stories: a fleet, what people do to it, and what comes of it. Each ends "plan again: nothing to do", and each commit
//! of its history is judged by what a consumer could read of it.
#![allow(clippy::unwrap_used, clippy::panic)]

use fleetwright::daemon::Ended;
use fleetwright_core::inventory::{ErrorClass, Step};
use fleetwright_core::record::Record;
use fleetwright_schema::names::SetId;
use fleetwright_schema::status::{ClusterSetStatus, ClusterState, RetirementReason};
use fleetwright_schema::units::{Duration, Timestamp};
use fleetwright_simulator::{Fault, Scope, Target, Verb};
use fleetwright_tests::stage::{FLEET, SET, Stage, cluster_set, path_of};

const OLD: &str = "count: 5\nkubernetesVersion: \"1.33\"";
const NEW: &str = "count: 5\nkubernetesVersion: \"1.34\"";
const NAME: &str = "model-serving-prod-az-weu";

fn set_of(record: &Record) -> &ClusterSetStatus {
    &record.sets[&SET.parse::<SetId>().unwrap()]
}

fn count(status: &ClusterSetStatus, state: ClusterState) -> usize {
    status.clusters.iter().filter(|cluster| cluster.status.state == state).count()
}

fn ordinals(status: &ClusterSetStatus) -> Vec<u32> {
    status.clusters.iter().map(|cluster| cluster.metadata.ordinal).collect()
}

fn reason_of(status: &ClusterSetStatus, r#type: &str) -> Option<String> {
    let all = status.status.conditions.iter().chain(status.clusters.iter().flat_map(|c| &c.status.conditions));
    all.filter(|condition| condition.r#type == r#type).map(|condition| condition.reason.clone()).next()
}

fn settled(stage: &Stage) {
    let (ended, tally) = stage.settle();
    assert_eq!(ended, Ended::Settled, "{:#?}", tally.waiting);
}

fn stuck(stage: &Stage) {
    let (ended, tally) = stage.settle();
    assert_eq!(ended, Ended::Stuck, "{:#?}", tally.waiting);
}

/// How many control planes were ever made.
fn created(stage: &Stage) -> usize {
    let history = stage.world().history().unwrap();
    history.iter().filter(|m| m.step == Step::ControlPlane && m.verb == Verb::Create).count()
}

fn later(stage: &Stage, span: Duration) -> Timestamp {
    let newest = stage.statuses().values().flat_map(|set| &set.clusters).map(|c| c.status.since).max();
    newest.unwrap_or_else(fleetwright::clock::machine_time).plus(span)
}

/// What consumers could read, told as golden text.
fn tale(stage: &Stage) -> String {
    fleetwright_tests::witness::tale(&stage.person, SET)
}

fn hours(count: u64) -> Duration {
    Duration::from_minutes(60 * count)
}

#[test]
fn five_clusters_are_built_and_published() {
    let stage = Stage::with_set(OLD);
    settled(&stage);
    let status = stage.status();
    assert_eq!(count(&status, ClusterState::Ready), 5);
    assert_eq!(ordinals(&status), [1, 2, 3, 4, 5]);
    let cluster = &status.clusters[0];
    assert_eq!(cluster.metadata.name.as_str(), format!("{NAME}-1"));
    assert!(cluster.status.endpoint.as_deref().unwrap().starts_with("https://"));
    assert_eq!(cluster.status.node_pools[0].instance_type, "D4s_v3");
    insta::assert_snapshot!(tale(&stage));
    stage.nothing_to_do();
}

#[test]
fn nothing_is_made_before_a_commit_at_the_remote_names_it() {
    let stage = Stage::with_set(OLD);
    settled(&stage);
    let named: Vec<_> = stage.person.history();
    let mut first_seen = std::collections::BTreeMap::new();
    for commit in named {
        for status in fleetwright_tests::witness::statuses(&stage.person, commit).values() {
            for cluster in &status.clusters {
                first_seen.entry(cluster.metadata.name.clone()).or_insert(cluster.metadata.creation_timestamp);
            }
        }
    }
    for mutation in stage.world().history().unwrap() {
        assert!(first_seen[&mutation.cluster] <= mutation.at, "{mutation:?}");
    }
}

#[test]
fn a_set_grows_and_shrinks_without_touching_what_stays() {
    let stage = Stage::with_set("count: 2");
    settled(&stage);
    stage.edit("count: 4");
    settled(&stage);
    assert_eq!(ordinals(&stage.status()), [1, 2, 3, 4]);
    stage.edit("count: 1");
    settled(&stage);
    let status = stage.status();
    assert_eq!(ordinals(&status), [1]);
    assert!(status.tombstones.iter().all(|stone| stone.reason == RetirementReason::ScaledDown));
    stage.edit("count: 2");
    settled(&stage);
    assert_eq!(ordinals(&stage.status()), [1, 5], "no ordinal is used twice");
    insta::assert_snapshot!(tale(&stage));
    stage.nothing_to_do();
}

#[test]
fn five_clusters_rotate_one_at_a_time() {
    let stage = Stage::with_set(OLD);
    settled(&stage);
    stage.edit(NEW);
    settled(&stage);
    let status = stage.status();
    assert_eq!(ordinals(&status), [6, 7, 8, 9, 10]);
    assert!(status.clusters.iter().all(|c| c.spec.kubernetes_version.as_str() == "1.34"));
    assert_eq!(created(&stage), 10);
    insta::assert_snapshot!(tale(&stage));
    stage.nothing_to_do();
}

#[test]
fn five_clusters_rotate_two_at_a_time() {
    let surge = "updateStrategy: { clusterRotation: { maxSurge: 2 } }";
    let stage = Stage::with_set(&format!("{OLD}\n{surge}"));
    settled(&stage);
    stage.edit(&format!("{NEW}\n{surge}"));
    stage.run_until(|record, _| set_of(record).clusters.len() == 7);
    settled(&stage);
    assert_eq!(ordinals(&stage.status()), [6, 7, 8, 9, 10]);
    insta::assert_snapshot!(tale(&stage));
    stage.nothing_to_do();
}

#[test]
fn a_surge_above_count_rotates_all_at_once() {
    let surge = "updateStrategy: { clusterRotation: { maxSurge: 9 } }";
    let stage = Stage::with_set(&format!("count: 3\nkubernetesVersion: \"1.33\"\n{surge}"));
    settled(&stage);
    stage.edit(&format!("count: 3\nkubernetesVersion: \"1.34\"\n{surge}"));
    stage.run_until(|record, _| set_of(record).clusters.len() == 6);
    settled(&stage);
    assert_eq!(ordinals(&stage.status()), [4, 5, 6]);
    insta::assert_snapshot!(tale(&stage));
    stage.nothing_to_do();
}

/// A revert brings back what still stands: nothing is built while the old clusters are there.
fn reverted_when(story: &str, phase: impl FnMut(&ClusterSetStatus) -> bool + Send + 'static, rebuilt: usize) {
    let mut phase = phase;
    let stage = Stage::with_set(OLD);
    settled(&stage);
    let change = stage.edit(NEW);
    stage.run_until(move |record, _| phase(set_of(record)));
    let made = created(&stage);
    stage.person.revert(change);
    settled(&stage);
    let status = stage.status();
    assert_eq!(count(&status, ClusterState::Ready), 5);
    assert!(status.clusters.iter().all(|c| c.spec.kubernetes_version.as_str() == "1.33"));
    assert_eq!(created(&stage), made + rebuilt, "{:?}", ordinals(&status));
    insta::assert_snapshot!(story, tale(&stage));
    stage.nothing_to_do();
}

#[test]
fn a_revert_before_the_replacement_is_made_builds_nothing() {
    reverted_when(
        "a_revert_before_the_replacement_is_made_builds_nothing",
        |set| count(set, ClusterState::Pending) == 1,
        0,
    );
}

#[test]
fn a_revert_while_the_replacement_is_built_builds_nothing() {
    reverted_when(
        "a_revert_while_the_replacement_is_built_builds_nothing",
        |set| count(set, ClusterState::Creating) == 1,
        0,
    );
}

#[test]
fn a_revert_while_the_replacement_bakes_builds_nothing() {
    reverted_when("a_revert_while_the_replacement_bakes_builds_nothing", |set| count(set, ClusterState::Ready) == 6, 0);
}

#[test]
fn a_revert_while_the_old_one_drains_brings_it_back() {
    reverted_when("a_revert_while_the_old_one_drains_brings_it_back", |set| count(set, ClusterState::Draining) == 1, 0);
}

#[test]
fn a_revert_in_the_rollback_window_brings_the_old_one_back() {
    reverted_when(
        "a_revert_in_the_rollback_window_brings_the_old_one_back",
        |set| count(set, ClusterState::Drained) == 1,
        0,
    );
}

#[test]
fn a_revert_after_the_first_deletion_builds_what_is_gone() {
    reverted_when(
        "a_revert_after_the_first_deletion_builds_what_is_gone",
        |set| count(set, ClusterState::Deleting) == 1,
        1,
    );
}

#[test]
fn a_revert_in_the_second_batch_builds_only_what_is_gone() {
    reverted_when(
        "a_revert_in_the_second_batch_builds_only_what_is_gone",
        |set| set.tombstones.len() == 1 && count(set, ClusterState::Draining) == 1,
        1,
    );
}

#[test]
fn a_second_change_in_mid_rotation_is_taken_up_from_what_stands() {
    let stage = Stage::with_set(OLD);
    settled(&stage);
    stage.edit(NEW);
    stage.run_until(|record, _| {
        set_of(record).tombstones.len() == 2 && count(set_of(record), ClusterState::Creating) == 1
    });
    stage.edit("count: 5\nkubernetesVersion: \"1.35\"");
    settled(&stage);
    let status = stage.status();
    assert!(status.clusters.iter().all(|c| c.spec.kubernetes_version.as_str() == "1.35"));
    let superseded = status.tombstones.iter().filter(|stone| stone.reason == RetirementReason::Superseded).count();
    assert_eq!(superseded, 1, "what did not serve yet went first");
    insta::assert_snapshot!(tale(&stage));
    stage.nothing_to_do();
}

#[test]
fn a_create_that_never_succeeds_halts_the_rotation_and_touches_nothing_that_serves() {
    let stage = Stage::with_set(OLD);
    settled(&stage);
    let target = Target::of(&format!("{NAME}-6"), Step::ControlPlane);
    stage.world().inject(Fault::Refuse { target, class: ErrorClass::Quota, times: None, until: None }).unwrap();
    let change = stage.edit(NEW);
    stuck(&stage);
    let status = stage.status();
    assert_eq!(count(&status, ClusterState::Ready), 5);
    assert_eq!(reason_of(&status, "Stalled").as_deref(), Some("ProgressDeadlineExceeded"));
    assert_eq!(reason_of(&status, "ControlPlaneReady").as_deref(), Some("QuotaExceeded"));
    let tip = stage.person.tip();
    stuck(&stage);
    assert_eq!(stage.person.tip(), tip, "a stalled cluster is no noise");
    stage.person.revert(change);
    settled(&stage);
    assert_eq!(ordinals(&stage.status()), [1, 2, 3, 4, 5]);
    insta::assert_snapshot!(tale(&stage));
    stage.nothing_to_do();
}

#[test]
fn a_stalled_create_goes_on_when_its_cause_is_mended() {
    let stage = Stage::with_set("count: 1");
    let target = Target::of(&format!("{NAME}-1"), Step::NodePools);
    stage.world().inject(Fault::Refuse { target, class: ErrorClass::Quota, times: None, until: None }).unwrap();
    stuck(&stage);
    stage.world().clear_faults().unwrap();
    settled(&stage);
    assert_eq!(ordinals(&stage.status()), [1]);
    stage.nothing_to_do();
}

#[test]
fn a_deleted_set_that_retains_keeps_its_clusters() {
    let stage = Stage::with_set("count: 2");
    settled(&stage);
    stage.person.commit("remove", &[(&path_of(SET), None)]);
    stuck(&stage);
    assert_eq!(count(&stage.status(), ClusterState::Ready), 2);
    assert_eq!(reason_of(&stage.status(), "Held").as_deref(), Some("Retained"));
    stage.edit("count: 2");
    settled(&stage);
    assert_eq!(ordinals(&stage.status()), [1, 2]);
    stage.nothing_to_do();
}

const OTHER: &str = "dev/gcp/europe-west4/ModelServing";

#[test]
fn a_deleted_set_that_declared_it_is_drained_and_deleted() {
    let stage = Stage::with_set("count: 2\ndeletionPolicy: Delete");
    stage.person.commit("another", &[(&path_of(OTHER), Some(&cluster_set(OTHER, "count: 1")))]);
    settled(&stage);
    stage.person.commit("remove", &[(&path_of(SET), None)]);
    settled(&stage);
    let status = stage.status();
    assert!(status.clusters.is_empty());
    assert_eq!(status.tombstones.len(), 2);
    assert!(status.tombstones.iter().all(|stone| stone.reason == RetirementReason::SetDeleted));
    stage.nothing_to_do();
}

#[test]
fn removals_over_the_budget_wait_for_an_approval_of_exactly_them() {
    let stage = Stage::with_set("count: 8");
    settled(&stage);
    stage.edit("count: 1");
    stuck(&stage);
    let status = stage.status();
    assert_eq!(count(&status, ClusterState::Ready), 8);
    let message = &status.status.conditions.iter().find(|c| c.r#type == "RemovalBlocked").unwrap().message;
    let digest = message.split("digest ").nth(1).unwrap().split(' ').next().unwrap();
    let approval = |digest: &str, clusters: u32| {
        format!(
            "apiVersion: fleetwright.dev/v1alpha1\nkind: RemovalApproval\nmetadata: {{ name: shrink }}\nspec:\n  digest: \"{digest}\"\n  clusters: {clusters}\n  expires: 2100-01-01T00:00:00Z\n"
        )
    };
    stage.person.commit("wrong approval", &[("approvals/shrink.yaml", Some(&approval("0123456789abcdef", 7)))]);
    stuck(&stage);
    assert_eq!(count(&stage.status(), ClusterState::Ready), 8);
    stage.person.commit("approval", &[("approvals/shrink.yaml", Some(&approval(digest, 7)))]);
    settled(&stage);
    assert_eq!(ordinals(&stage.status()), [1]);
    insta::assert_snapshot!(tale(&stage));
    stage.nothing_to_do();
}

#[test]
fn removals_that_hide_in_a_rotation_count_for_the_budget() {
    let stage = Stage::with_set("count: 8\nkubernetesVersion: \"1.33\"");
    settled(&stage);
    stage.edit("count: 5\nkubernetesVersion: \"1.34\"");
    stage.run_until(|record, _| count(set_of(record), ClusterState::Draining) == 3);
    stage.edit("count: 2\nkubernetesVersion: \"1.34\"");
    stage.run_until(|record, plan| set_of(record).clusters.len() >= 8 && plan.removals.is_some());
    assert_eq!(stage.status().spec.count, 5, "three are on their way, and three more are over the budget of five");
    settled(&stage);
    let status = stage.status();
    assert_eq!(count(&status, ClusterState::Ready), 2);
    stage.nothing_to_do();
}

#[test]
fn deleting_every_file_deletes_nothing() {
    let stage = Stage::with_set("count: 2\ndeletionPolicy: Delete");
    settled(&stage);
    stage.person.commit("all gone", &[("fleet.yaml", None), (&path_of(SET), None)]);
    stuck(&stage);
    assert!(stage.world().history().unwrap().iter().all(|mutation| mutation.verb == Verb::Create));
    let board = &stage.person.files(stage.person.tip().unwrap(), "status/README.md")["status/README.md"];
    assert!(board.contains("FleetUnreadable"), "{board}");
}

#[test]
fn removing_every_set_but_not_the_fleet_deletes_nothing_without_an_approval() {
    let stage = Stage::with_set("count: 2\ndeletionPolicy: Delete");
    settled(&stage);
    stage.person.commit("all sets gone", &[(&path_of(SET), None)]);
    stuck(&stage);
    assert_eq!(count(&stage.status(), ClusterState::Ready), 2);
    assert_eq!(reason_of(&stage.status(), "Held").as_deref(), Some("FleetEmptied"));
}

#[test]
fn a_freeze_in_mid_rotation_starts_nothing_until_it_ends() {
    let stage = Stage::with_set(OLD);
    settled(&stage);
    stage.edit(NEW);
    stage.run_until(|record, _| count(set_of(record), ClusterState::Ready) == 6);
    let from = later(&stage, Duration::from_minutes(1));
    let until = from.plus(hours(48));
    let fleet = format!("{FLEET}  freezes:\n    - {{ name: year-end, from: {from}, until: {until} }}\n");
    stage.person.commit("freeze", &[("fleet.yaml", Some(&fleet))]);
    settled(&stage);
    let in_freeze = |at: Timestamp| at >= from && at < until;
    for mutation in stage.world().history().unwrap() {
        assert!(!(in_freeze(mutation.at) && mutation.verb != Verb::Open), "{mutation:?} in the freeze");
    }
    assert_eq!(ordinals(&stage.status()), [6, 7, 8, 9, 10]);
    stage.nothing_to_do();
}

#[test]
fn a_commit_that_changes_the_tag_of_a_freeze_does_not_lead_out_of_it() {
    let frozen = |from: Timestamp, until: Timestamp| {
        let sets = "sets: { matchTags: { tier: gold } }";
        format!("{FLEET}  freezes:\n    - {{ name: gold, from: {from}, until: {until}, {sets} }}\n")
    };
    let stage = Stage::with_set("count: 1\nkubernetesVersion: \"1.33\"\ntags: { tier: gold }");
    settled(&stage);
    let from = later(&stage, Duration::from_minutes(0));
    let until = from.plus(hours(24));
    stage.person.commit("freeze", &[("fleet.yaml", Some(&frozen(from, until)))]);
    stage.edit("count: 1\nkubernetesVersion: \"1.34\"\ntags: { tier: silver }");
    settled(&stage);
    let moves = stage.world().history().unwrap().into_iter().filter(|mutation| mutation.at > from);
    assert!(moves.clone().count() > 0);
    assert!(moves.into_iter().all(|mutation| mutation.at >= until));
    stage.nothing_to_do();
}

#[test]
fn a_window_closes_in_mid_rotation_and_the_batch_is_finished() {
    let windowed = format!("{FLEET}  maintenanceWindows:\n    - {{ name: night, start: \"01:00\", duration: 3h }}\n");
    let stage = Stage::with_set(OLD);
    settled(&stage);
    stage.person.commit("window", &[("fleet.yaml", Some(&windowed))]);
    stage.edit(NEW);
    settled(&stage);
    let hour = |at: Timestamp| (at.unix_seconds() / 3600) % 24;
    for cluster in &stage.status().clusters {
        assert!((1..4).contains(&hour(cluster.metadata.creation_timestamp)), "{:?}", cluster.metadata);
    }
    assert_eq!(ordinals(&stage.status()), [6, 7, 8, 9, 10]);
    stage.nothing_to_do();
}

const WAVES: &str = "  waves:\n    - { name: first, sets: { environments: [dev] } }\n    - { name: second, sets: { environments: [staging] } }\n    - { name: third, sets: { environments: [prod] } }\n";

#[test]
fn waves_follow_one_another_and_a_failure_in_the_first_stops_the_rest() {
    let sets = ["dev/gcp/europe-west4/ModelServing", "staging/aws/eu-central-1/ModelServing", SET];
    let fleet = format!("{FLEET}{WAVES}");
    let of = |version: &str| format!("count: 2\nkubernetesVersion: \"{version}\"");
    let files = |version: &str| sets.map(|set| (path_of(set), cluster_set(set, &of(version))));
    let stage = Stage::new(&[("fleet.yaml", &fleet)]);
    let commit = |version: &str| {
        let files = files(version);
        let changes: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), Some(text.as_str()))).collect();
        stage.person.commit(version, &changes)
    };
    commit("1.33");
    settled(&stage);
    let target = Target { set: Some(sets[0].parse().unwrap()), verb: Some(Verb::Create), ..Target::default() };
    stage.world().inject(Fault::Refuse { target, class: ErrorClass::Denied, times: None, until: None }).unwrap();
    commit("1.34");
    stuck(&stage);
    let moved = |set: &str| stage.statuses()[set].clusters.iter().any(|c| c.spec.kubernetes_version.as_str() == "1.34");
    assert_eq!(sets.map(moved), [true, false, false]);
    assert_eq!(reason_of(&stage.statuses()[sets[1]], "WaitingForWave").as_deref(), Some("EarlierWave"));
    stage.world().clear_faults().unwrap();
    settled(&stage);
    let first = |set: &str| stage.statuses()[set].clusters.iter().map(|c| c.metadata.creation_timestamp).min().unwrap();
    let last = |set: &str| stage.statuses()[set].clusters.iter().map(|c| c.status.since).max().unwrap();
    assert!(last(sets[0]).plus(Duration::from_minutes(30)) <= first(sets[1]), "the first wave has baked");
    assert!(last(sets[1]).plus(Duration::from_minutes(30)) <= first(sets[2]));
    stage.nothing_to_do();
}

#[test]
fn an_outage_of_a_region_for_an_hour_is_waited_out() {
    let stage = Stage::with_set(OLD);
    stage.person.commit("another", &[(&path_of(OTHER), Some(&cluster_set(OTHER, "count: 1")))]);
    settled(&stage);
    stage.edit(NEW);
    stage.run_until(|record, _| count(set_of(record), ClusterState::Draining) == 1);
    let from = later(&stage, Duration::from_minutes(1));
    let scope = Scope { region: Some("westeurope".parse().unwrap()), ..Scope::default() };
    stage.world().inject(Fault::Outage { scope, from, until: from.plus(hours(1)) }).unwrap();
    settled(&stage);
    assert_eq!(ordinals(&stage.status()), [6, 7, 8, 9, 10]);
    assert_eq!(created(&stage), 11, "nothing was taken for gone");
    stage.nothing_to_do();
}

#[test]
fn a_lost_reply_on_every_step_makes_nothing_twice() {
    for set in [SET, "prod/aws/us-east-1/ModelServing", "prod/gcp/europe-west4/ModelServing"] {
        let stage = Stage::new(&[("fleet.yaml", FLEET), (&path_of(set), &cluster_set(set, OLD))]);
        stage.world().inject(Fault::LoseReply { target: Target::default(), times: 1000 }).unwrap();
        settled(&stage);
        stage.person.commit("new", &[(&path_of(set), Some(&cluster_set(set, NEW)))]);
        settled(&stage);
        assert_eq!(created(&stage), 10, "{set}");
        stage.nothing_to_do();
    }
}

#[test]
fn a_doubled_network_is_settled_before_anything_uses_it() {
    // AWS gives a VPC neither a unique name nor a token: a stale list after a create makes a second one.
    let set = "prod/aws/us-east-1/ModelServing";
    let stage = Stage::new(&[("fleet.yaml", FLEET), (&path_of(set), &cluster_set(set, "count: 2"))]);
    let from = fleetwright::clock::machine_time();
    let stale =
        Fault::StaleReads { scope: Scope::default(), lag: Duration::from_minutes(3), from, until: from.plus(hours(1)) };
    stage.world().inject(stale).unwrap();
    settled(&stage);
    let made = stage.world().history().unwrap();
    let networks = made.iter().filter(|m| m.step == Step::Network && m.verb == Verb::Create).count();
    assert!(networks > 2, "the story needs a doubled create, and saw {networks}");
    stage.nothing_to_do();
}

#[test]
fn a_rewritten_branch_holds_everything_until_it_is_accepted() {
    let stage = Stage::with_set(OLD);
    let begin = stage.person.tip().unwrap();
    stage.person.commit("a comment", &[("README.md", Some("hello"))]);
    settled(&stage);
    let rewritten = stage.person.rewrite(begin, &[(&path_of(SET), Some(&cluster_set(SET, "count: 1")))]);
    stuck(&stage);
    assert_eq!(count(&stage.status(), ClusterState::Ready), 5, "the old fleet goes on");
    let board = &stage.person.files(stage.person.tip().unwrap(), "status/README.md")["status/README.md"];
    assert!(board.contains("HistoryRewritten"), "{board}");
    let tip = stage.person.tip();
    stuck(&stage);
    assert_eq!(stage.person.tip(), tip);
    stage.person.point("refs/fleetwright/observed", rewritten);
    settled(&stage);
    assert_eq!(ordinals(&stage.status()), [1]);
    stage.nothing_to_do();
}

#[test]
fn a_branch_that_vanished_deletes_nothing_and_is_not_made_again() {
    let stage = Stage::with_set("count: 2");
    settled(&stage);
    let tip = stage.person.tip().unwrap();
    stage.person.remove_ref("refs/heads/main");
    stuck(&stage);
    assert_eq!(stage.person.tip(), None);
    stage.person.point("refs/heads/main", tip);
    settled(&stage);
    stage.nothing_to_do();
}

#[test]
fn an_unreadable_file_holds_its_own_set_and_no_other() {
    let stage = Stage::with_set("count: 2");
    stage.person.commit("another", &[(&path_of(OTHER), Some(&cluster_set(OTHER, "count: 1")))]);
    settled(&stage);
    let broken = cluster_set(SET, "count: 1").replace("count", "cuont");
    let larger = cluster_set(OTHER, "count: 2");
    stage.person.commit("typo", &[(&path_of(SET), Some(&broken)), (&path_of(OTHER), Some(&larger))]);
    stuck(&stage);
    let statuses = stage.statuses();
    assert_eq!(count(&statuses[SET], ClusterState::Ready), 2);
    assert_eq!(count(&statuses[OTHER], ClusterState::Ready), 2);
    assert_eq!(reason_of(&statuses[SET], "Held").as_deref(), Some("FileUnreadable"));
    stage.edit("count: 1");
    settled(&stage);
    stage.nothing_to_do();
}

#[test]
fn a_file_renamed_to_another_ending_is_not_taken_for_removed() {
    let stage = Stage::with_set("count: 2\ndeletionPolicy: Delete");
    stage.person.commit("another", &[(&path_of(OTHER), Some(&cluster_set(OTHER, "count: 1")))]);
    settled(&stage);
    let text = cluster_set(SET, "count: 2\ndeletionPolicy: Delete");
    let renamed = path_of(SET).replace(".yaml", ".yml");
    stage.person.commit("rename", &[(&path_of(SET), None), (&renamed, Some(&text))]);
    stuck(&stage);
    assert_eq!(count(&stage.status(), ClusterState::Ready), 2);
    stage.edit("count: 2\ndeletionPolicy: Delete");
    stage.person.commit("back", &[(&renamed, None)]);
    settled(&stage);
    stage.nothing_to_do();
}

/// The board of the held branch stayed the record, what would be written stood on the branch already, and the daemon
/// tried to write it for ever, as fast as the remote answered.
#[test]
fn a_branch_that_was_rewritten_and_restored_is_gone_on_with() {
    let stage = Stage::with_set("count: 1");
    let begin = stage.person.tip().unwrap();
    stage.person.commit("note", &[("README.md", Some("our fleet"))]);
    assert_eq!(stage.settle().0, Ended::Settled);
    let before = stage.person.tip().unwrap();
    stage.person.rewrite(begin, &[(&path_of(SET), None), ("README.md", Some("another history"))]);
    assert_eq!(stage.settle().0, Ended::Stuck);
    stage.person.point("refs/heads/main", before);
    let (ended, tally) = stage.settle();
    assert_eq!((ended, tally.actions), (Ended::Settled, Vec::<String>::new()));
    assert_eq!(stage.status().clusters.len(), 1);
    stage.nothing_to_do();
}

#[test]
fn edits_below_status_are_reported_and_rewritten_and_not_believed() {
    let stage = Stage::with_set("count: 2");
    settled(&stage);
    let path = format!("status/clustersets/{SET}.yaml");
    let good = stage.person.files(stage.person.tip().unwrap(), &path)[&path].clone();
    stage
        .person
        .commit("tamper", &[(&path, Some(&good.replace("READY", "DELETING"))), ("status/stray.txt", Some("hello"))]);
    settled(&stage);
    let tip = stage.person.tip().unwrap();
    assert_eq!(stage.person.files(tip, &path)[&path], good);
    assert!(stage.person.files(tip, "status/stray.txt").is_empty());
    assert!(stage.person.described(tip).1.contains("status/stray.txt"));
    stage.person.commit("wipe", &[(&path, None), ("status/clusters.json", None), ("status/README.md", None)]);
    settled(&stage);
    assert_eq!(stage.person.files(stage.person.tip().unwrap(), &path)[&path], good);
    assert_eq!(created(&stage), 2);
    stage.nothing_to_do();
}

#[test]
fn tags_and_node_counts_change_in_place() {
    let stage = Stage::with_set("count: 3\ntags: { team: serving }");
    settled(&stage);
    stage.edit("count: 3\ntags: { team: platform }");
    settled(&stage);
    let status = stage.status();
    assert_eq!(ordinals(&status), [1, 2, 3]);
    assert!(status.clusters.iter().all(|cluster| cluster.spec.tags["team"] == "platform"));
    assert_eq!(created(&stage), 3);
    insta::assert_snapshot!(tale(&stage));
    stage.nothing_to_do();
}

#[test]
fn a_version_changes_in_place_where_the_strategy_says_so() {
    let strategy = "updateStrategy: { rotateOn: [] }";
    let stage = Stage::with_set(&format!("{OLD}\n{strategy}"));
    settled(&stage);
    stage.edit(&format!("{NEW}\n{strategy}"));
    settled(&stage);
    assert_eq!(ordinals(&stage.status()), [1, 2, 3, 4, 5]);
    assert!(stage.status().clusters.iter().all(|c| c.spec.kubernetes_version.as_str() == "1.34"));
    stage.nothing_to_do();
}

#[test]
fn a_cluster_that_somebody_deleted_is_replaced() {
    let stage = Stage::with_set("count: 3");
    settled(&stage);
    let cluster = format!("{NAME}-2").parse().unwrap();
    stage.world().inject(Fault::Vanish { cluster, step: Step::ControlPlane }).unwrap();
    settled(&stage);
    let status = stage.status();
    assert_eq!(ordinals(&status), [1, 3, 4]);
    assert_eq!(status.tombstones[0].reason, RetirementReason::Lost);
    insta::assert_snapshot!(tale(&stage));
    stage.nothing_to_do();
}

#[test]
fn a_part_that_somebody_deleted_is_mended() {
    let stage = Stage::with_set("count: 2");
    settled(&stage);
    let cluster = format!("{NAME}-2").parse().unwrap();
    stage.world().inject(Fault::Vanish { cluster, step: Step::InfraServices }).unwrap();
    settled(&stage);
    assert_eq!(ordinals(&stage.status()), [1, 2]);
    assert_eq!(created(&stage), 2);
    stage.nothing_to_do();
}

#[test]
fn a_paused_set_is_left_alone() {
    let stage = Stage::with_set(OLD);
    settled(&stage);
    stage.edit(NEW);
    stage.run_until(|record, _| count(set_of(record), ClusterState::Draining) == 1);
    stage.edit(&format!("{NEW}\npaused: true"));
    let before = stage.world().history().unwrap().len();
    stuck(&stage);
    assert_eq!(stage.world().history().unwrap().len(), before);
    assert_eq!(reason_of(&stage.status(), "Paused").as_deref(), Some("Paused"));
    stage.edit(NEW);
    settled(&stage);
    assert_eq!(ordinals(&stage.status()), [6, 7, 8, 9, 10]);
    stage.nothing_to_do();
}

#[test]
fn a_paused_cluster_is_left_alone_and_the_others_go_on() {
    let stage = Stage::with_set(OLD);
    settled(&stage);
    stage.edit(&format!("{NEW}\npausedClusters: [{NAME}-2]"));
    stuck(&stage);
    assert!(ordinals(&stage.status()).contains(&2));
    assert_eq!(count(&stage.status(), ClusterState::Ready), 6);
    stage.edit(NEW);
    settled(&stage);
    assert_eq!(ordinals(&stage.status()), [6, 7, 8, 9, 10]);
    stage.nothing_to_do();
}

const CONSUMER: &str = "  consumers:\n    - { name: gateway, grace: 4h }\n";

#[test]
fn a_drain_waits_for_its_consumers_to_read_of_it() {
    let fleet = format!("{FLEET}{CONSUMER}");
    let stage = Stage::new(&[
        ("fleet.yaml", &fleet),
        (&path_of(SET), &cluster_set(SET, "count: 1\nkubernetesVersion: \"1.33\"")),
    ]);
    settled(&stage);
    stage.edit("count: 1\nkubernetesVersion: \"1.34\"");
    stage.run_until(|record, _| count(set_of(record), ClusterState::Draining) == 1);
    let drains = |stage: &Stage| stage.world().history().unwrap().into_iter().find(|m| m.verb == Verb::Drain);
    assert_eq!(drains(&stage), None);
    let acknowledged = stage.person.tip().unwrap();
    stage.person.point("refs/fleetwright/acks/gateway", acknowledged);
    settled(&stage);
    let since = drains(&stage).unwrap().at;
    let status = stage.status();
    assert_eq!(ordinals(&status), [2]);
    assert!(
        since < status.clusters[0].status.ready_at.unwrap().plus(hours(4)),
        "it did not wait for the grace to pass"
    );
    stage.nothing_to_do();
}

#[test]
fn a_consumer_that_never_reads_is_waited_for_until_its_grace_has_passed() {
    let fleet = format!("{FLEET}{CONSUMER}");
    let stage = Stage::new(&[
        ("fleet.yaml", &fleet),
        (&path_of(SET), &cluster_set(SET, "count: 1\nkubernetesVersion: \"1.33\"")),
    ]);
    settled(&stage);
    stage.edit("count: 1\nkubernetesVersion: \"1.34\"");
    let overdue = |set: &ClusterSetStatus| {
        set.clusters.iter().any(|c| c.status.retirement.as_ref().is_some_and(|r| !r.without_acknowledgement.is_empty()))
    };
    stage.run_until(move |record, _| overdue(set_of(record)));
    let started = stage.status().clusters[0].status.retirement.clone().unwrap().started_at;
    settled(&stage);
    let drain = stage.world().history().unwrap().into_iter().find(|m| m.verb == Verb::Drain).unwrap();
    assert!(drain.at >= started.plus(hours(4)));
    stage.nothing_to_do();
}

#[test]
fn nothing_is_deleted_that_still_has_workloads() {
    let stage = Stage::with_set("count: 1\nkubernetesVersion: \"1.33\"");
    settled(&stage);
    let blocked_by = vec!["shop/checkout-7 (budget checkout)".to_owned()];
    stage.world().inject(Fault::StuckDrain { cluster: format!("{NAME}-1"), blocked_by }).unwrap();
    stage.edit("count: 1\nkubernetesVersion: \"1.34\"");
    stuck(&stage);
    let status = stage.status();
    assert_eq!(count(&status, ClusterState::Draining), 1);
    assert_eq!(reason_of(&status, "Draining").as_deref(), Some("DrainOverdue"));
    let message = &status.clusters[0].status.conditions.iter().find(|c| c.r#type == "Draining").unwrap().message;
    assert!(message.contains("shop/checkout-7"), "{message}");
    stage.world().clear_faults().unwrap();
    settled(&stage);
    stage.nothing_to_do();
}

#[test]
fn status_commits_go_to_a_branch_of_their_own_where_the_fleet_says_so() {
    let fleet = format!("{FLEET}  publishing: {{ branch: fleet-status }}\n");
    let stage = Stage::new(&[("fleet.yaml", &fleet), (&path_of(SET), &cluster_set(SET, "count: 2"))]);
    let tip = stage.person.tip();
    settled(&stage);
    assert_eq!(stage.person.tip(), tip, "the watched branch is people's alone");
    let status = stage.person.at("refs/heads/fleet-status").unwrap();
    let statuses = fleetwright_tests::witness::statuses(&stage.person, status);
    assert_eq!(count(&statuses[SET], ClusterState::Ready), 2);
    let (_, tally) = stage.settle();
    assert_eq!((tally.commits, tally.actions), (0, Vec::new()));
}

#[test]
fn a_fleet_that_moves_its_status_to_another_branch_writes_all_of_it_there() {
    let stage = Stage::with_set("count: 2");
    settled(&stage);
    let fleet = format!("{FLEET}  publishing: {{ branch: fleet-status }}\n");
    stage.person.commit("move", &[("fleet.yaml", Some(&fleet))]);
    settled(&stage);
    let status = stage.person.at("refs/heads/fleet-status").unwrap();
    let statuses = fleetwright_tests::witness::statuses(&stage.person, status);
    assert_eq!(count(&statuses[SET], ClusterState::Ready), 2);
    assert_eq!(created(&stage), 2);
}

#[test]
fn a_record_that_was_lost_is_rebuilt_from_the_clouds_tags() {
    let stage = Stage::with_set("count: 3");
    settled(&stage);
    let files = stage.person.files(stage.person.tip().unwrap(), "status/");
    let removed: Vec<_> = files.keys().map(|path| (path.as_str(), None)).collect();
    stage.person.commit("wipe", &removed);
    stage.person.remove_ref("refs/fleetwright/record");
    settled(&stage);
    assert_eq!(ordinals(&stage.status()), [1, 2, 3]);
    assert_eq!(created(&stage), 3);
    stage.nothing_to_do();
}

#[test]
fn clusters_of_other_revisions_are_found_again_when_the_record_was_lost() {
    let stage = Stage::with_set(OLD);
    settled(&stage);
    stage.edit(NEW);
    stage.run_until(|record, _| set_of(record).tombstones.len() == 2);
    let files = stage.person.files(stage.person.tip().unwrap(), "status/");
    let removed: Vec<_> = files.keys().map(|path| (path.as_str(), None)).collect();
    stage.person.commit("wipe", &removed);
    stage.person.remove_ref("refs/fleetwright/record");
    settled(&stage);
    assert_eq!(count(&stage.status(), ClusterState::Ready), 5);
    stage.no_leaks();
}
