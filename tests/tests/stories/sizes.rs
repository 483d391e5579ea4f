//! Sets that grow, shrink and change in place.

use fleetwright_schema::status::{ClusterState, RetirementReason};
use fleetwright_tests::stage::Stage;

use crate::{NAME, NEW, OLD, count, created, ordinals, settled, tale};

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
