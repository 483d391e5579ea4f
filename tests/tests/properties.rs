//! Bugs of the planner that were found by driving it with everything that may happen, each by hand.
#![allow(clippy::unwrap_used, clippy::panic)]

use fleetwright_schema::status::ClusterState::Deleting;
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
