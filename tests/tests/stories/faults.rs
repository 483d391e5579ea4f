//! What clouds do: outages, lost replies, vanished clusters, a record that is lost.

use fleetwright_core::inventory::{ErrorClass, Step};
use fleetwright_schema::status::{ClusterState, RetirementReason};
use fleetwright_schema::units::Duration;
use fleetwright_simulator::{Fault, Scope, Target, Verb};
use fleetwright_tests::stage::{FLEET, SET, Stage, cluster_set, path_of};

use crate::removals::OTHER;
use crate::{NAME, NEW, OLD, count, created, hours, later, ordinals, set_of, settled, tale};

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

#[test]
fn a_deletion_that_something_holds_up_says_by_what() {
    let stage = Stage::with_set("count: 2");
    settled(&stage);
    let target = Target { verb: Some(Verb::Delete), ..Target::of(&format!("{NAME}-2"), Step::Network) };
    let held = Fault::Refuse { target, class: ErrorClass::Conflict, times: None, until: None };
    stage.world().inject(held).unwrap();
    stage.edit("count: 1");
    stage.run_until(|record, _| {
        let mut leaving = set_of(record).clusters.iter().filter(|c| c.status.state == ClusterState::Deleting);
        leaving.any(|cluster| cluster.status.conditions.iter().any(|condition| condition.reason == "Conflict"))
    });
    stage.world().clear_faults().unwrap();
    settled(&stage);
    assert_eq!(ordinals(&stage.status()), [1]);
    stage.nothing_to_do();
}
