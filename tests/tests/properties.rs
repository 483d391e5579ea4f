//! Bugs of the planner that were found by driving it with everything that may happen, each by hand.
#![allow(clippy::unwrap_used, clippy::panic)]

use fleetwright_core::action::ActionKey;
use fleetwright_core::inventory::{Placement, Step};
use fleetwright_schema::status::ClusterState::{Deleting, Draining, Ready};
use fleetwright_schema::units::Duration;
use fleetwright_tests::bench::Bench;

/// With `tombstoneRetention: 0s` no cluster ever left its record: the check refused the plan for ever.
#[test]
fn a_cluster_leaves_a_tombstone_however_short_its_time_is() {
    let mut bench = Bench::new(0);
    bench.config.publishing.tombstone_retention = Duration::from_seconds(0);
    bench.add(1, Deleting, 30);
    let plan = bench.plan();
    assert_eq!(bench.state(&plan, 1), None);
    assert_eq!(plan.record.sets[&bench.id].tombstones.len(), 1);
}

/// A create that was under way landed after its cluster was read to be gone and buried: nobody ever deleted it. A drain
/// that was under way closed a cluster that had just been published as READY.
#[test]
fn nothing_is_concluded_of_a_cluster_while_an_action_on_it_is_under_way() {
    let mut bench = Bench::new(0);
    bench.add(1, Deleting, 30);
    let key = ActionKey { cluster: bench.clusters[0].metadata.name.clone(), step: Step::Network };
    bench.memory.in_flight.insert(key);
    assert_eq!(bench.state(&bench.plan(), 1), Some(Deleting));
    let mut bench = Bench::new(1);
    bench.add(1, Draining, 30);
    bench.build(1, Placement::Open, Some((5, 0)));
    let key = ActionKey { cluster: bench.clusters[0].metadata.name.clone(), step: Step::ControlPlane };
    assert_eq!(bench.state(&bench.plan(), 1), Some(Ready));
    bench.memory.in_flight.insert(key);
    assert_eq!(bench.state(&bench.plan(), 1), Some(Draining));
}
