//! What the providers accept and refuse.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::sync::Arc;

use common::{Hand, next, refused, start, wait, world};
use fleetwright_clouds::Progress;
use fleetwright_core::inventory::{ErrorClass, Phase, Placement, Step};
use fleetwright_schema::names::Cloud;
use fleetwright_schema::set::{DrainMode, Feature};
use fleetwright_simulator::{Verb, latency_median};

use Step::{Access, ControlPlane, Identity, InfraServices, Leftovers, LogStream, Network, NodePools, Secrets};

const BASE: [Step; 3] = [Network, Identity, LogStream];
const DOWN_TO_CONTROL_PLANE: [Step; 5] = [InfraServices, Secrets, Access, NodePools, ControlPlane];

#[test]
fn a_cluster_is_built_step_by_step_in_every_cloud() {
    for cloud in Cloud::ALL {
        let (world, hand) = (world(), Hand::new(cloud, 1));
        hand.build(&world);
        let built = hand.all(&world);
        assert_eq!(built.iter().filter(|r| r.phase == Phase::Ready).count(), 8);
        let facts = hand.find(&world, ControlPlane).unwrap().control_plane.unwrap();
        let endpoint = format!("https://{}.{}.{cloud}.sim.fleetwright.dev", hand.name, hand.place.region);
        assert_eq!(facts.endpoint, Some(endpoint));
        assert_eq!(hand.find(&world, InfraServices).unwrap().infra_services[0].version, "1");
        assert_eq!(hand.find(&world, NodePools).unwrap().node_pools[0].instance_type, "big");
    }
}

#[test]
fn a_creation_takes_the_providers_median_give_or_take_a_fifth() {
    for cloud in Cloud::ALL {
        let (world, hand) = (world(), Hand::new(cloud, 1));
        hand.make(&world, &BASE);
        let began = world.clock().now();
        assert_eq!(hand.create(&world, ControlPlane), Ok(Progress::InProgress));
        assert_eq!(hand.phase(&world, ControlPlane), Some(Phase::Creating));
        assert_eq!(hand.find(&world, ControlPlane).unwrap().control_plane.unwrap().workloads, None);
        next(&world);
        let (took, median) =
            (world.clock().now().since(began).seconds(), latency_median(cloud, ControlPlane, Verb::Create));
        assert!(took * 10 >= median.seconds() * 8 && took * 10 <= median.seconds() * 12, "{cloud} {took}");
        assert_eq!(hand.phase(&world, ControlPlane), Some(Phase::Ready));
    }
}

#[test]
fn a_repeated_create_of_an_aws_network_makes_a_second_one() {
    let (world, hand) = (world(), Hand::new(Cloud::Aws, 1));
    assert_eq!(hand.create(&world, Network), Ok(Progress::InProgress));
    assert_eq!(hand.create(&world, Network), Ok(Progress::InProgress));
    let networks = hand.all(&world);
    assert_eq!(networks.len(), 2);
    assert_ne!(networks[0].id, networks[1].id);
}

#[test]
fn elsewhere_the_same_create_again_answers_how_far_it_is() {
    for (cloud, step) in [(Cloud::Azure, Network), (Cloud::Gcp, Network), (Cloud::Aws, Identity)] {
        let (world, hand) = (world(), Hand::new(cloud, 1));
        hand.create(&world, step).unwrap();
        assert_eq!(hand.create(&world, step), Ok(Progress::InProgress));
        next(&world);
        assert_eq!(hand.create(&world, step), Ok(Progress::Done));
        assert_eq!((hand.all(&world).len(), world.history().unwrap().len()), (1, 1));
    }
}

#[test]
fn another_create_of_the_same_name_is_a_conflict() {
    let expected = [
        (Cloud::Aws, Identity, "EntityAlreadyExists"),
        (Cloud::Azure, Network, "Conflict"),
        (Cloud::Gcp, Network, "ALREADY_EXISTS"),
    ];
    for (cloud, step, code) in expected {
        let (world, hand) = (world(), Hand::new(cloud, 1));
        hand.create(&world, step).unwrap();
        let other = Hand { token: "t2".into(), ..hand };
        assert_eq!(refused(other.create(&world, step)), (ErrorClass::Conflict, code.to_owned()));
    }
}

#[test]
fn a_token_does_not_go_with_other_parameters() {
    for (cloud, code) in [
        (Cloud::Aws, "InvalidParameterException"),
        (Cloud::Azure, "InvalidParameter"),
        (Cloud::Gcp, "INVALID_ARGUMENT"),
    ] {
        let (world, mut hand) = (world(), Hand::new(cloud, 1));
        hand.make(&world, &BASE);
        hand.create(&world, ControlPlane).unwrap();
        hand.spec.kubernetes_version = "1.34".parse().unwrap();
        assert_eq!(refused(hand.create(&world, ControlPlane)), (ErrorClass::Invalid, code.to_owned()));
    }
}

#[test]
fn a_cluster_made_again_has_other_ids() {
    for cloud in Cloud::ALL {
        let (world, hand) = (world(), Hand::new(cloud, 1));
        hand.make(&world, &[Identity]);
        let first = hand.id(&world, Identity);
        hand.unmake(&world, &[Identity]);
        hand.make(&world, &[Identity]);
        assert_ne!(first, hand.id(&world, Identity));
    }
}

#[test]
fn parents_must_be_there() {
    let (world, hand) = (world(), Hand::new(Cloud::Gcp, 1));
    hand.make(&world, &[Network, Identity]);
    assert_eq!(refused(hand.create(&world, ControlPlane)).0, ErrorClass::Invalid);
    let mut parents: Vec<Arc<str>> = [Network, Identity].map(|step| hand.id(&world, step)).to_vec();
    parents.push("projects/1234/topics/nowhere".into());
    let create = hand.create_with(ControlPlane, parents);
    assert_eq!(refused(world.perform_now(&create)), (ErrorClass::NotFound, "NOT_FOUND".to_owned()));
}

#[test]
fn parents_must_be_ready() {
    let (world, hand) = (world(), Hand::new(Cloud::Azure, 1));
    hand.make(&world, &[Network, Identity]);
    hand.create(&world, LogStream).unwrap();
    assert_eq!(refused(hand.create(&world, ControlPlane)).0, ErrorClass::Invalid);
    wait(&world, 1);
    assert_eq!(hand.create(&world, ControlPlane), Ok(Progress::InProgress));
}

#[test]
fn parents_must_be_of_the_same_cluster_and_of_the_right_steps() {
    let (world, hand, other) = (world(), Hand::new(Cloud::Aws, 1), Hand::new(Cloud::Aws, 2));
    hand.make(&world, &BASE);
    other.make(&world, &BASE);
    let own: Vec<Arc<str>> = BASE.map(|step| hand.id(&world, step)).to_vec();
    let foreign = hand.create_with(ControlPlane, vec![own[0].clone(), own[1].clone(), other.id(&world, LogStream)]);
    let doubled = hand.create_with(ControlPlane, vec![own[0].clone(), own[1].clone(), own[1].clone()]);
    let surplus = hand.create_with(Identity, vec![own[0].clone()]);
    for wrong in [foreign, doubled] {
        assert_eq!(refused(world.perform_now(&wrong)).0, ErrorClass::Invalid);
    }
    hand.unmake(&world, &[Identity]);
    assert_eq!(refused(world.perform_now(&surplus)).0, ErrorClass::Invalid);
}

#[test]
fn addresses_are_asked_for_and_may_not_overlap_with_another_cluster() {
    for cloud in Cloud::ALL {
        let (world, hand) = (world(), Hand::new(cloud, 1));
        let with_cidr = |cidr: Option<&str>| Hand { cidr: cidr.map(Arc::from), ..Hand::new(cloud, 2) };
        hand.create(&world, Network).unwrap();
        for wrong in [None, Some("10.0.0.0/16"), Some("10.0.1.128/25"), Some("10.0.2.1/24"), Some("here")] {
            assert_eq!(refused(with_cidr(wrong).create(&world, Network)).0, ErrorClass::Invalid, "{wrong:?}");
        }
        assert!(with_cidr(Some("10.0.2.0/24")).create(&world, Network).is_ok());
    }
}

#[test]
fn a_given_network_is_noted_and_not_made() {
    let (world, mut hand) = (world(), Hand::new(Cloud::Aws, 1));
    hand.spec.features.insert(Feature::Byon);
    hand.spec.network.existing = Some("vpc-given".to_owned());
    assert_eq!(refused(hand.create(&world, Network)).0, ErrorClass::Invalid);
    hand.cidr = None;
    hand.make(&world, &[Network]);
    assert_eq!(hand.create(&world, Network), Ok(Progress::Done));
    assert!(hand.id(&world, Network).starts_with("vpc-given/association/"));
    assert_eq!(world.resources().unwrap()[0].cidr, None);
    hand.unmake(&world, &[Network]);
    assert!(hand.all(&world).is_empty());
}

#[test]
fn a_name_may_be_as_long_as_the_provider_takes_it() {
    for (cloud, length_max) in [(Cloud::Aws, 100), (Cloud::Azure, 63), (Cloud::Gcp, 40)] {
        let named = |length: usize| Hand { name: "a".repeat(length).parse().unwrap(), ..Hand::new(cloud, 1) };
        if length_max < 100 {
            assert_eq!(refused(named(length_max + 1).create(&world(), Identity)).0, ErrorClass::Invalid);
        }
        assert!(named(length_max).create(&world(), Identity).is_ok());
    }
}

#[test]
fn a_set_is_made_where_it_says_and_in_regions_that_exist() {
    let mut hand = Hand::new(Cloud::Aws, 1);
    hand.place.region = "eu-central-1".parse().unwrap();
    assert_eq!(refused(hand.create(&world(), Identity)).0, ErrorClass::Invalid);
    hand.place.region = "atlantis-1".parse().unwrap();
    assert_eq!(refused(hand.create(&world(), Identity)).0, ErrorClass::Invalid);
}

#[test]
fn an_update_shows_the_old_until_it_ends() {
    let (world, mut hand) = (world(), Hand::new(Cloud::Azure, 1));
    hand.build(&world);
    let id = hand.id(&world, NodePools);
    hand.fingerprint = "f2".into();
    hand.spec.node_pools[0].spec.instance_type = "bigger".to_owned();
    assert_eq!(world.perform_now(&hand.update(NodePools, &id)), Ok(Progress::InProgress));
    assert_eq!(world.perform_now(&hand.update(NodePools, &id)), Ok(Progress::InProgress));
    let during = hand.find(&world, NodePools).unwrap();
    assert_eq!((during.phase, &*during.applied, &*during.node_pools[0].instance_type), (Phase::Updating, "f1", "big"));
    wait(&world, 10);
    let done = hand.find(&world, NodePools).unwrap();
    assert_eq!((done.phase, &*done.applied, &*done.node_pools[0].instance_type), (Phase::Ready, "f2", "bigger"));
    assert_eq!(world.perform_now(&hand.update(NodePools, &id)), Ok(Progress::Done));
}

#[test]
fn two_updates_at_once_are_a_conflict() {
    let (world, mut hand) = (world(), Hand::new(Cloud::Gcp, 1));
    hand.make(&world, &BASE);
    let id = hand.id(&world, Identity);
    hand.fingerprint = "f2".into();
    world.perform_now(&hand.update(Identity, &id)).unwrap();
    hand.fingerprint = "f3".into();
    assert_eq!(refused(world.perform_now(&hand.update(Identity, &id))).0, ErrorClass::Conflict);
    assert_eq!(refused(world.perform_now(&hand.update(Identity, "nothing"))).0, ErrorClass::NotFound);
}

#[test]
fn a_control_plane_takes_one_minor_version_at_a_time_and_never_an_older_one() {
    for (version, accepted) in [("1.33.5", true), ("1.34", true), ("1.35", false), ("1.32", false)] {
        let (world, mut hand) = (world(), Hand::new(Cloud::Aws, 1));
        hand.make(&world, &BASE);
        hand.make(&world, &[ControlPlane]);
        hand.fingerprint = "f2".into();
        hand.spec.kubernetes_version = version.parse().unwrap();
        let result = world.perform_now(&hand.update(ControlPlane, &hand.id(&world, ControlPlane)));
        match accepted {
            true => assert_eq!(result, Ok(Progress::InProgress)),
            false => assert_eq!(refused(result).0, ErrorClass::Invalid),
        }
    }
}

#[test]
fn what_is_in_use_is_not_deleted() {
    for (cloud, code) in [
        (Cloud::Aws, "DependencyViolation"),
        (Cloud::Azure, "InUseSubnetCannotBeDeleted"),
        (Cloud::Gcp, "RESOURCE_IN_USE_BY_ANOTHER_RESOURCE"),
    ] {
        let (world, hand) = (world(), Hand::new(cloud, 1));
        hand.build(&world);
        let delete = |step| world.perform_now(&hand.delete(step, &hand.id(&world, step)));
        assert_eq!(refused(delete(Network)), (ErrorClass::Conflict, code.to_owned()));
        for step in [Identity, LogStream, ControlPlane, NodePools, Access, Secrets] {
            assert_eq!(refused(delete(step)).0, ErrorClass::Conflict, "{step}");
        }
        assert_eq!(delete(InfraServices), Ok(Progress::InProgress));
        assert_eq!(delete(InfraServices), Ok(Progress::InProgress));
        assert_eq!(refused(delete(NodePools)).0, ErrorClass::Conflict, "its child is deleting, not gone");
    }
}

#[test]
fn only_the_named_thing_is_deleted() {
    let (world, hand, other) = (world(), Hand::new(Cloud::Aws, 1), Hand::new(Cloud::Aws, 2));
    hand.make(&world, &BASE);
    let id = hand.id(&world, Identity);
    assert_eq!(refused(world.perform_now(&other.delete(Identity, &id))).0, ErrorClass::Invalid);
    assert_eq!(refused(world.perform_now(&hand.delete(LogStream, &id))).0, ErrorClass::Invalid);
    let gone = refused(world.perform_now(&hand.delete(Identity, "arn:nothing")));
    assert_eq!(gone, (ErrorClass::NotFound, "NoSuchEntity".to_owned()));
}

#[test]
fn leftovers_outlive_the_control_plane_and_hold_the_network() {
    let (world, hand) = (world(), Hand::new(Cloud::Aws, 1));
    hand.build(&world);
    assert_eq!(hand.phase(&world, Leftovers), None);
    wait(&world, 5);
    let leftovers = hand.find(&world, Leftovers).unwrap();
    assert_eq!(leftovers.uses, [hand.id(&world, Network)]);
    let sweep = hand.delete(Leftovers, &leftovers.id);
    assert_eq!(refused(world.perform_now(&sweep)).0, ErrorClass::Conflict);
    hand.unmake(&world, &DOWN_TO_CONTROL_PLANE);
    let network = hand.delete(Network, &hand.id(&world, Network));
    assert_eq!(refused(world.perform_now(&network)), (ErrorClass::Conflict, "DependencyViolation".to_owned()));
    hand.unmake(&world, &[Leftovers, Network, Identity, LogStream]);
    assert!(hand.all(&world).is_empty());
    assert_eq!(world.next_event().unwrap(), None);
}

#[test]
fn a_cluster_whose_placement_was_never_open_leaves_nothing_over() {
    let (world, hand) = (world(), Hand::new(Cloud::Gcp, 1));
    hand.build(&world);
    let id = hand.id(&world, ControlPlane);
    assert_eq!(world.perform_now(&hand.drain(&id, DrainMode::Wait)), Ok(Progress::Done));
    wait(&world, 60);
    assert_eq!((hand.phase(&world, Leftovers), hand.workloads(&world)), (None, (0, 0)));
}

#[test]
fn workloads_arrive_leave_while_counted_and_come_back() {
    let (world, hand) = (world(), Hand::new(Cloud::Azure, 1));
    hand.build(&world);
    assert_eq!(hand.workloads(&world), (0, 0));
    wait(&world, 10);
    let (load, _) = hand.workloads(&world);
    assert!((5..=40).contains(&load), "{load}");
    let id = hand.id(&world, ControlPlane);
    assert_eq!(world.perform_now(&hand.drain(&id, DrainMode::Wait)), Ok(Progress::InProgress));
    assert_eq!(hand.workloads(&world), (load, 0));
    wait(&world, 10);
    let (running, left) = hand.workloads(&world);
    assert!(running > 0 && left > 0 && running + left == load);
    let closed = hand.find(&world, ControlPlane).unwrap().control_plane.unwrap().placement;
    assert_eq!(closed, Placement::Closed);
    assert_eq!(world.perform_now(&hand.open(&id)), Ok(Progress::Done));
    assert_eq!(hand.workloads(&world), (running, 0));
    wait(&world, 1);
    assert_eq!(hand.workloads(&world), (load, 0));
}

#[test]
fn a_stronger_drain_is_faster_and_a_repeated_one_changes_nothing() {
    let minutes = |modes: &[DrainMode]| {
        let (world, hand) = (world(), Hand::new(Cloud::Aws, 1));
        hand.build(&world);
        wait(&world, 10);
        let (began, id) = (world.clock().now(), hand.id(&world, ControlPlane));
        for mode in modes {
            world.perform_now(&hand.drain(&id, *mode)).unwrap();
        }
        while hand.workloads(&world).0 > 0 {
            next(&world);
        }
        world.clock().now().since(began).seconds() / 60
    };
    let wait_for_owners = minutes(&[DrainMode::Wait]);
    assert!((16..=24).contains(&wait_for_owners), "{wait_for_owners}");
    assert_eq!(minutes(&[DrainMode::Wait, DrainMode::Wait]), wait_for_owners);
    assert!((8..=12).contains(&minutes(&[DrainMode::Migrate])));
    assert!((4..=6).contains(&minutes(&[DrainMode::Wait, DrainMode::Evict])));
}

#[test]
fn history_tells_what_was_done_and_to_how_many_workloads() {
    let (world, hand) = (world(), Hand::new(Cloud::Gcp, 1));
    hand.build(&world);
    wait(&world, 10);
    let load = hand.workloads(&world).0;
    world.perform_now(&hand.drain(&hand.id(&world, ControlPlane), DrainMode::Evict)).unwrap();
    let history = world.history().unwrap();
    assert_eq!(history.len(), 9);
    assert_eq!((history[0].at, history[0].verb, history[0].step), (start(), Verb::Create, Network));
    assert_eq!((history[8].verb, history[8].running), (Verb::Drain, Some(load)));
    let calls = world.counts()[&hand.place];
    assert_eq!((calls.perform, calls.observe, calls.failed), (9, 0, 0));
}
