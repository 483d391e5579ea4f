//! What can happen to the repository.

use fleetwright::daemon::Ended;
use fleetwright_schema::status::ClusterState;
use fleetwright_tests::stage::{FLEET, SET, Stage, cluster_set, path_of};

use crate::removals::OTHER;
use crate::{OLD, count, created, ordinals, reason_of, settled, stuck};

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
