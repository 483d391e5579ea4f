//! Who must have read of a drain, when it may begin, and when it is over.

use fleetwright_core::inventory::Step;
use fleetwright_schema::status::{ClusterSetStatus, ClusterState};
use fleetwright_schema::units::Timestamp;
use fleetwright_simulator::{Fault, Verb};
use fleetwright_tests::stage::{FLEET, SET, Stage, cluster_set, path_of};

use crate::{NAME, count, hours, ordinals, reason_of, set_of, settled, stuck};

const CONSUMER: &str = "  consumers:\n    - { name: gateway, grace: 4h }\n";

/// The usual fleet with a consumer that has to read of every drain.
fn with_consumer(spec: &str) -> Stage {
    let fleet = format!("{FLEET}{CONSUMER}");
    Stage::new(&[("fleet.yaml", &fleet), (&path_of(SET), &cluster_set(SET, spec))])
}

#[test]
fn a_drain_waits_for_its_consumers_to_read_of_it() {
    let stage = with_consumer("count: 1\nkubernetesVersion: \"1.33\"");
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
    let stage = with_consumer("count: 1\nkubernetesVersion: \"1.33\"");
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

/// Two new clusters serve, two old ones wait for the gateway to read that they drain.
fn two_wait_to_drain() -> Stage {
    let spec = |version: &str| {
        format!("count: 2\nkubernetesVersion: \"{version}\"\nupdateStrategy: {{ clusterRotation: {{ maxSurge: 2 }} }}")
    };
    let stage = with_consumer(&spec("1.33"));
    settled(&stage);
    stage.edit(&spec("1.34"));
    stage.run_until(|record, _| count(set_of(record), ClusterState::Draining) == 2);
    stage
}

/// The drains of a world, as name and time.
fn drained(stage: &Stage) -> Vec<(String, Timestamp)> {
    let history = stage.world().history().unwrap();
    history.iter().filter(|m| m.verb == Verb::Drain).map(|m| (m.cluster.to_string(), m.at)).collect()
}

/// Its replacement was lost while the drain waited for a consumer; the drain began all the same, and fewer than `count`
/// served.
#[test]
fn a_drain_that_has_not_begun_is_called_back_when_its_replacement_is_lost() {
    let stage = two_wait_to_drain();
    let cluster = format!("{NAME}-4").parse().unwrap();
    stage.world().inject(Fault::Vanish { cluster, step: Step::ControlPlane }).unwrap();
    stage.run_until(|record, _| {
        count(set_of(record), ClusterState::Ready) == 2 && ordinals(set_of(record)).contains(&5)
    });
    assert_eq!(drained(&stage), [], "nothing was drained until then");
    assert_eq!(count(&stage.status(), ClusterState::Draining), 1, "one of them still leaves");
    settled(&stage);
    let status = stage.status();
    assert_eq!(ordinals(&status), [3, 5]);
    let replaced = status.clusters[1].status.ready_at.unwrap();
    let drains = drained(&stage);
    assert_eq!(drains[0].0, format!("{NAME}-1"));
    assert!(
        drains[1].0 == format!("{NAME}-2") && drains[1].1 > replaced,
        "{drains:?}, and 5 served from {replaced} on"
    );
    stage.nothing_to_do();
}

/// The drains went on, though people wanted more by then, and the set was short of clusters until new ones were built.
#[test]
fn drains_that_have_not_begun_are_called_back_when_more_are_wanted() {
    let stage = two_wait_to_drain();
    stage.edit("count: 4\nkubernetesVersion: \"1.34\"\nupdateStrategy: { clusterRotation: { maxSurge: 2 } }");
    stage.run_until(|record, _| count(set_of(record), ClusterState::Ready) == 4);
    assert_eq!(ordinals(&stage.status())[..4], [1, 2, 3, 4], "all four serve before anything new does");
    assert_eq!(drained(&stage), []);
    settled(&stage);
    assert_eq!(ordinals(&stage.status()), [3, 4, 5, 6]);
    stage.nothing_to_do();
}
