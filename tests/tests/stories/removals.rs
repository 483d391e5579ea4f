//! Sets and clusters that people remove, on purpose or not.

use fleetwright_schema::status::{ClusterState, RetirementReason};
use fleetwright_simulator::Verb;
use fleetwright_tests::stage::{SET, Stage, cluster_set, path_of};

use crate::{count, ordinals, reason_of, set_of, settled, stuck, tale};

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

pub const OTHER: &str = "dev/gcp/europe-west4/ModelServing";

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
