//! Stories: a fleet, what people do to it, and what comes of it. Each ends "plan again: nothing to do".
#![allow(clippy::unwrap_used, clippy::panic)]

use fleetwright::daemon::Ended;
use fleetwright_schema::status::ClusterState;
use fleetwright_tests::stage::Stage;

#[test]
fn five_clusters_are_built_and_published() {
    let stage = Stage::with_set("count: 5");
    let (ended, tally) = stage.settle();
    assert_eq!(ended, Ended::Settled, "{:#?}", tally);
    let status = stage.status();
    assert_eq!(status.clusters.len(), 5);
    assert!(status.clusters.iter().all(|cluster| cluster.status.state == ClusterState::Ready));
    stage.nothing_to_do();
}

#[test]
fn a_kubernetes_version_rotates_all_clusters() {
    let stage = Stage::with_set("count: 5\nkubernetesVersion: \"1.33\"");
    stage.settle();
    stage.edit("count: 5\nkubernetesVersion: \"1.34\"");
    let (ended, tally) = stage.settle();
    assert_eq!(ended, Ended::Settled, "{:#?}", tally);
    let status = stage.status();
    assert!(status.clusters.iter().all(|c| c.status.state == ClusterState::Ready && c.spec.kubernetes_version.as_str() == "1.34"));
    assert_eq!(status.clusters.len(), 5);
    stage.nothing_to_do();
}
