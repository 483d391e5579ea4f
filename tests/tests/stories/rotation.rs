//! Rotations and what comes between: reverts, second thoughts, replacements that do not come up.

use fleetwright_core::inventory::{ErrorClass, Step};
use fleetwright_schema::status::{ClusterSetStatus, ClusterState, RetirementReason};
use fleetwright_simulator::{Fault, Target};
use fleetwright_tests::stage::Stage;

use crate::{NAME, NEW, OLD, count, created, hours, ordinals, reason_of, set_of, settled, stuck, tale};

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
fn what_stood_still_while_no_daemon_ran_goes_on_and_is_for_nobody_to_mend() {
    let stage = Stage::with_set(OLD);
    settled(&stage);
    stage.edit(NEW);
    stage.run_until(|record, _| count(set_of(record), ClusterState::Creating) == 1);
    stage.nobody_runs_it_for(hours(24));
    settled(&stage);
    let status = stage.status();
    let first = status.clusters.iter().find(|cluster| cluster.metadata.name.as_str() == format!("{NAME}-6")).unwrap();
    let took = first.status.ready_at.unwrap().unix_seconds() - first.metadata.creation_timestamp.unix_seconds();
    assert!(took > 20 * 3600, "a day had passed: {took} s");
    assert_eq!(ordinals(&status), [6, 7, 8, 9, 10]);
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
