//! What goes wrong, and that it goes right again.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{Hand, after, next, place, refused, start, wait, world};
use fleetwright_clouds::Progress;
use fleetwright_core::inventory::{ErrorClass, Phase, Step};
use fleetwright_schema::names::Cloud;
use fleetwright_schema::set::DrainMode;
use fleetwright_schema::units::Duration;
use fleetwright_simulator::{Fault, Odds, Scope, Target, Verb, World};

use Step::{ControlPlane, Identity, InfraServices, Leftovers, LogStream, Network, NodePools};

fn everywhere() -> Scope {
    Scope::default()
}

fn seen(world: &World, hand: &Hand) -> Vec<(Step, Phase)> {
    let listing = world.observe_now(&hand.place).unwrap();
    listing.resources.get(&hand.name).into_iter().flatten().map(|r| (r.step, r.phase)).collect()
}

#[test]
fn a_create_whose_reply_was_lost_happened_and_is_not_repeated() {
    let (world, hand) = (world(), Hand::new(Cloud::Azure, 1));
    let target = Target { verb: Some(Verb::Create), ..Target::of("serving-*", Network) };
    world.inject(Fault::LoseReply { target, times: 1 }).unwrap();
    let lost = refused(hand.create(&world, Network));
    assert_eq!(lost, (ErrorClass::UnknownResult, "GatewayTimeout".to_owned()));
    assert_eq!(hand.create(&world, Network), Ok(Progress::InProgress));
    assert_eq!((hand.all(&world).len(), world.history().unwrap().len()), (1, 1));
}

#[test]
fn a_reply_is_lost_only_so_often_and_only_where_something_changed() {
    let (world, hand) = (world(), Hand::new(Cloud::Gcp, 1));
    hand.make(&world, &[Network]);
    world.inject(Fault::LoseReply { target: Target::default(), times: 1 }).unwrap();
    assert_eq!(hand.create(&world, Network), Ok(Progress::Done));
    assert_eq!(refused(hand.create(&world, Identity)).0, ErrorClass::UnknownResult);
    assert_eq!(hand.create(&world, LogStream), Ok(Progress::InProgress));
}

#[test]
fn in_an_outage_every_call_there_fails_and_work_goes_on() {
    let (world, hand, other) = (world(), Hand::new(Cloud::Aws, 1), Hand::new(Cloud::Gcp, 1));
    hand.create(&world, Network).unwrap();
    let scope = Scope::place(&hand.place);
    world.inject(Fault::Outage { scope, from: start(), until: after(10) }).unwrap();
    assert_eq!(world.observe_now(&hand.place).unwrap_err().class, ErrorClass::Outage);
    assert_eq!(refused(hand.create(&world, Identity)).0, ErrorClass::Outage);
    assert!(other.create(&world, Identity).is_ok());
    wait(&world, 10);
    assert_eq!(seen(&world, &hand), [(Network, Phase::Ready)]);
    assert!(hand.create(&world, Identity).is_ok());
}

#[test]
fn the_next_event_names_the_beginning_and_the_end_of_a_fault() {
    let world = world();
    world.inject(Fault::Outage { scope: everywhere(), from: after(5), until: after(9) }).unwrap();
    assert_eq!(world.next_event().unwrap(), Some(after(5)));
    world.clock().advance_to(after(5));
    assert_eq!(world.next_event().unwrap(), Some(after(9)));
    world.clock().advance_to(after(9));
    assert_eq!(world.next_event().unwrap(), None);
}

#[test]
fn stale_reads_show_the_world_as_it_was() {
    let (world, hand) = (world(), Hand::new(Cloud::Azure, 1));
    hand.create(&world, Identity).unwrap();
    wait(&world, 10);
    let lag = Duration::from_minutes(5);
    world.inject(Fault::StaleReads { scope: everywhere(), lag, from: start(), until: after(60) }).unwrap();
    hand.create(&world, Network).unwrap();
    assert_eq!(seen(&world, &hand), [(Identity, Phase::Ready)], "made after what is shown");
    wait(&world, 5);
    assert_eq!(seen(&world, &hand), [(Network, Phase::Creating), (Identity, Phase::Ready)]);
    hand.unmake(&world, &[Network, Identity]);
    assert_eq!(seen(&world, &hand).len(), 2, "gone since what is shown");
    assert!(hand.all(&world).is_empty());
    wait(&world, 6);
    assert!(seen(&world, &hand).is_empty());
}

#[test]
fn stale_reads_show_a_change_late() {
    let (world, mut hand) = (world(), Hand::new(Cloud::Gcp, 1));
    hand.build(&world);
    wait(&world, 20);
    let lag = Duration::from_minutes(5);
    let fault = world.inject(Fault::StaleReads { scope: everywhere(), lag, from: start(), until: after(600) }).unwrap();
    hand.fingerprint = "f2".into();
    world.perform_now(&hand.update(NodePools, &hand.id(&world, NodePools))).unwrap();
    world.perform_now(&hand.drain(&hand.id(&world, ControlPlane), DrainMode::Evict)).unwrap();
    let pools = |world: &World| seen(world, &hand).into_iter().find(|(step, _)| *step == NodePools).unwrap().1;
    assert_eq!(pools(&world), Phase::Ready);
    wait(&world, 5);
    assert_eq!(pools(&world), Phase::Updating);
    world.remove_fault(fault).unwrap();
    wait(&world, 5);
    assert_eq!(pools(&world), Phase::Ready);
}

#[test]
fn calls_beyond_the_budget_are_throttled_with_a_time_to_come_back() {
    let (world, place) = (world(), place(Cloud::Aws));
    world.inject(Fault::Throttle { scope: everywhere(), calls_per_minute: 6 }).unwrap();
    assert!((0..6).all(|_| world.observe_now(&place).is_ok()));
    let error = world.observe_now(&place).unwrap_err();
    assert_eq!((error.class, &*error.code), (ErrorClass::Throttled, "ThrottlingException"));
    assert_eq!(error.retry_after, Some(Duration::from_seconds(10)));
    world.clock().advance_to(start().plus(Duration::from_seconds(10)));
    assert!(world.observe_now(&place).is_ok());
    assert_eq!((world.counts()[&place].observe, world.counts()[&place].failed), (8, 1));
}

#[test]
fn a_quota_refuses_the_one_too_many() {
    let world = world();
    world.inject(Fault::Quota { scope: everywhere(), step: Identity, count_max: 2 }).unwrap();
    assert!((1..=2).all(|n| Hand::new(Cloud::Gcp, n).create(&world, Identity).is_ok()));
    let third = Hand::new(Cloud::Gcp, 3);
    assert_eq!(refused(third.create(&world, Identity)), (ErrorClass::Quota, "QUOTA_EXCEEDED".to_owned()));
    Hand::new(Cloud::Gcp, 1).unmake(&world, &[Identity]);
    assert!(third.create(&world, Identity).is_ok());
}

#[test]
fn a_refusal_of_so_many_times_ends() {
    let (world, hand) = (world(), Hand::new(Cloud::Aws, 1));
    let target = Target::of("*", Identity);
    let refuse = Fault::Refuse { target, class: ErrorClass::Denied, times: Some(2), until: None };
    world.inject(refuse).unwrap();
    for _ in 0..2 {
        assert_eq!(refused(hand.create(&world, Identity)), (ErrorClass::Denied, "AccessDeniedException".to_owned()));
    }
    assert!(hand.create(&world, Identity).is_ok());
    assert_eq!(world.faults().unwrap()[0].2, 2);
}

#[test]
fn a_refusal_until_then_ends_then() {
    let (world, hand) = (world(), Hand::new(Cloud::Aws, 1));
    let target = Target { set: Some(hand.set.clone()), ..Target::default() };
    let refuse = Fault::Refuse { target, class: ErrorClass::Quota, times: None, until: Some(after(3)) };
    world.inject(refuse).unwrap();
    assert_eq!(refused(hand.create(&world, Identity)).0, ErrorClass::Quota);
    wait(&world, 3);
    assert!(hand.create(&world, Identity).is_ok());
}

#[test]
fn what_becomes_failed_is_creating_first_and_nothing_can_be_built_on_it() {
    let (world, hand) = (world(), Hand::new(Cloud::Azure, 1));
    hand.make(&world, &[Network, Identity, LogStream]);
    world.inject(Fault::BecomeFailed { target: Target::of("*", ControlPlane), times: Some(1) }).unwrap();
    assert_eq!(hand.create(&world, ControlPlane), Ok(Progress::InProgress));
    assert_eq!(hand.phase(&world, ControlPlane), Some(Phase::Creating));
    next(&world);
    assert_eq!(hand.phase(&world, ControlPlane), Some(Phase::Failed));
    assert_eq!(refused(hand.create(&world, NodePools)).0, ErrorClass::Invalid);
    assert_eq!(refused(hand.create(&world, ControlPlane)).0, ErrorClass::Conflict);
    hand.unmake(&world, &[ControlPlane]);
    hand.make(&world, &[ControlPlane]);
    assert_eq!(hand.phase(&world, ControlPlane), Some(Phase::Ready));
}

#[test]
fn a_stuck_drain_names_what_blocks_it_until_it_is_evicted() {
    let (world, hand) = (world(), Hand::new(Cloud::Gcp, 1));
    hand.build(&world);
    wait(&world, 10);
    let blocked_by = vec!["web/pod-1 (budget web)".to_owned()];
    let cluster = hand.name.to_string();
    world.inject(Fault::StuckDrain { cluster, blocked_by: blocked_by.clone() }).unwrap();
    let (load, id) = (hand.workloads(&world).0, hand.id(&world, ControlPlane));
    world.perform_now(&hand.drain(&id, DrainMode::Migrate)).unwrap();
    wait(&world, 60);
    assert_eq!(hand.workloads(&world), (1, load - 1));
    let facts = hand.find(&world, ControlPlane).unwrap().control_plane.unwrap();
    assert_eq!(facts.workloads.unwrap().blocked_by, blocked_by);
    assert_eq!(world.perform_now(&hand.drain(&id, DrainMode::Migrate)), Ok(Progress::InProgress));
    assert_eq!(world.perform_now(&hand.drain(&id, DrainMode::Evict)), Ok(Progress::Done));
    assert_eq!(hand.workloads(&world), (0, load));
}

#[test]
fn a_stuck_drain_ends_with_its_fault() {
    let (world, hand) = (world(), Hand::new(Cloud::Gcp, 1));
    hand.build(&world);
    wait(&world, 10);
    world.inject(Fault::StuckDrain { cluster: "*".to_owned(), blocked_by: Vec::new() }).unwrap();
    world.perform_now(&hand.drain(&hand.id(&world, ControlPlane), DrainMode::Wait)).unwrap();
    wait(&world, 60);
    assert_eq!(hand.workloads(&world).0, 1);
    world.clear_faults().unwrap();
    assert_eq!(hand.workloads(&world).0, 0);
}

#[test]
fn workloads_that_cannot_be_counted_are_not_zero() {
    let (world, hand) = (world(), Hand::new(Cloud::Aws, 1));
    hand.build(&world);
    let cluster = hand.name.to_string();
    let until = Some(world.clock().now().plus(Duration::from_minutes(1)));
    world.inject(Fault::Uncountable { cluster, until }).unwrap();
    assert_eq!(hand.find(&world, ControlPlane).unwrap().control_plane.unwrap().workloads, None);
    wait(&world, 1);
    assert!(hand.find(&world, ControlPlane).unwrap().control_plane.unwrap().workloads.is_some());
}

#[test]
fn what_vanishes_is_gone_at_once_and_with_a_control_plane_what_lives_in_it() {
    let (world, hand) = (world(), Hand::new(Cloud::Azure, 1));
    hand.build(&world);
    wait(&world, 10);
    world.inject(Fault::Vanish { cluster: hand.name.clone(), step: ControlPlane }).unwrap();
    let rest: Vec<Step> = seen(&world, &hand).into_iter().map(|(step, _)| step).collect();
    assert_eq!(rest, [Network, Identity, LogStream, Leftovers]);
    assert!(world.faults().unwrap().is_empty());
    hand.make(&world, &[ControlPlane]);
    assert_eq!(hand.workloads(&world), (0, 0));
}

#[test]
fn without_their_services_no_workloads_arrive() {
    let (world, hand) = (world(), Hand::new(Cloud::Azure, 1));
    hand.build(&world);
    world.inject(Fault::Vanish { cluster: hand.name.clone(), step: InfraServices }).unwrap();
    wait(&world, 60);
    assert_eq!((hand.workloads(&world), hand.phase(&world, Leftovers)), ((0, 0), None));
    hand.make(&world, &[InfraServices]);
    wait(&world, 10);
    assert!(hand.workloads(&world).0 >= 5);
}

#[test]
fn slow_operations_take_that_much_longer() {
    let took = |latency_percent: u32| {
        let (world, hand) = (world(), Hand::new(Cloud::Aws, 1));
        world.inject(Fault::Slow { target: Target::of("*", Network), latency_percent }).unwrap();
        hand.make(&world, &[Network]);
        world.clock().now().since(start()).seconds()
    };
    assert!(took(1000) >= took(100) * 9 && took(1000) <= took(100) * 11);
}

#[test]
fn random_faults_hit_about_as_often_as_their_odds_and_stop_when_cleared() {
    let (world, place) = (world(), place(Cloud::Aws));
    let odds = Odds { outage_per_mille: 200, throttle_per_mille: 100, ..Odds::default() };
    world.inject(Fault::Random { scope: everywhere(), odds, until: None }).unwrap();
    let failed = (0..1000).filter(|_| world.observe_now(&place).is_err()).count();
    assert!((200..360).contains(&failed), "{failed}");
    world.clear_faults().unwrap();
    assert!((0..100).all(|_| world.observe_now(&place).is_ok()));
}

#[test]
fn a_lost_request_did_not_happen_and_a_lost_reply_did() {
    for (odds, standing) in [
        (Odds { lose_request_per_mille: 1000, ..Odds::default() }, 0),
        (Odds { lose_reply_per_mille: 1000, ..Odds::default() }, 1),
    ] {
        let (world, hand) = (world(), Hand::new(Cloud::Gcp, 1));
        world.inject(Fault::Random { scope: everywhere(), odds, until: None }).unwrap();
        assert_eq!(refused(hand.create(&world, Network)).0, ErrorClass::UnknownResult);
        assert_eq!(hand.all(&world).len(), standing);
    }
}
