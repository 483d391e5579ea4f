//! Freezes, windows, waves and pauses.

use fleetwright_core::inventory::ErrorClass;
use fleetwright_schema::status::ClusterState;
use fleetwright_schema::units::{Duration, Timestamp};
use fleetwright_simulator::{Fault, Target, Verb};
use fleetwright_tests::stage::{FLEET, SET, Stage, cluster_set, path_of};

use crate::{NAME, NEW, OLD, count, hours, later, ordinals, reason_of, set_of, settled, stuck};

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
