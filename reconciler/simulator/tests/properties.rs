//! What holds for every sequence of calls, and for a thousand clusters.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{Hand, start, wait};
use fleetwright_core::inventory::{Phase, Step};
use fleetwright_schema::names::Cloud;
use fleetwright_schema::set::DrainMode;
use fleetwright_schema::units::Duration;
use fleetwright_simulator::{Fault, Odds, Scope, SimClock, Speed, Target, World};
use proptest::prelude::*;

const STEPS: [Step; 9] = [
    Step::Network,
    Step::Identity,
    Step::LogStream,
    Step::ControlPlane,
    Step::NodePools,
    Step::Access,
    Step::Secrets,
    Step::InfraServices,
    Step::Leftovers,
];

#[derive(Clone, Debug)]
enum Move {
    Create(usize, usize, u8),
    Update(usize, usize, u8),
    Delete(usize, usize),
    Drain(usize, u8),
    Open(usize),
    Advance(u64),
    Next,
    Vanish(usize, usize),
    Chaos(u8),
    Calm,
}

const CLUSTERS: usize = 4;

fn moves() -> impl Strategy<Value = Move> {
    let (cluster, step) = (0..CLUSTERS, 0..STEPS.len());
    prop_oneof![
        12 => (cluster.clone(), step.clone(), 0..2_u8).prop_map(|(c, s, t)| Move::Create(c, s, t)),
        3 => (cluster.clone(), step.clone(), 0..3_u8).prop_map(|(c, s, t)| Move::Update(c, s, t)),
        4 => (cluster.clone(), step.clone()).prop_map(|(c, s)| Move::Delete(c, s)),
        2 => (cluster.clone(), 0..3_u8).prop_map(|(c, m)| Move::Drain(c, m)),
        2 => cluster.clone().prop_map(Move::Open),
        4 => (0..2000_u64).prop_map(Move::Advance),
        6 => Just(Move::Next),
        1 => (cluster, step).prop_map(|(c, s)| Move::Vanish(c, s)),
        1 => any::<u8>().prop_map(Move::Chaos),
        1 => Just(Move::Calm),
    ]
}

fn hand(cluster: usize) -> Hand {
    Hand::new(Cloud::ALL[cluster % 3], u32::try_from(cluster).unwrap() + 1)
}

fn make_move(world: &World, step: &Move) {
    match *step {
        Move::Create(c, s, token) => {
            let token = format!("t{token}").into();
            let _ = Hand { token, ..hand(c) }.create(world, STEPS[s]);
        }
        Move::Update(c, s, print) => {
            let (hand, fingerprint) = (hand(c), format!("f{print}").into());
            let id = hand.find(world, STEPS[s]).map_or("nothing".into(), |r| r.id);
            let _ = world.perform_now(&Hand { fingerprint, ..hand }.update(STEPS[s], &id));
        }
        Move::Delete(c, s) => {
            let id = hand(c).find(world, STEPS[s]).map_or("nothing".into(), |r| r.id);
            let _ = world.perform_now(&hand(c).delete(STEPS[s], &id));
        }
        Move::Drain(c, mode) => {
            let mode = [DrainMode::Wait, DrainMode::Migrate, DrainMode::Evict][usize::from(mode)];
            let id = hand(c).find(world, Step::ControlPlane).map_or("nothing".into(), |r| r.id);
            let _ = world.perform_now(&hand(c).drain(&id, mode));
        }
        Move::Open(c) => {
            let id = hand(c).find(world, Step::ControlPlane).map_or("nothing".into(), |r| r.id);
            let _ = world.perform_now(&hand(c).open(&id));
        }
        Move::Advance(seconds) => {
            world.clock().advance_to(world.clock().now().plus(Duration::from_seconds(seconds)));
        }
        Move::Next => {
            let now = world.clock().now();
            if let Some(next) = world.next_event().unwrap() {
                assert!(next > now);
                world.clock().advance_to(next);
            }
        }
        Move::Vanish(c, s) => {
            world.inject(Fault::Vanish { cluster: hand(c).name, step: STEPS[s] }).unwrap();
        }
        Move::Chaos(n) => drop(world.inject(chaos(world, n)).unwrap()),
        Move::Calm => world.clear_faults().unwrap(),
    }
}

fn chaos(world: &World, n: u8) -> Fault {
    let (scope, from) = (Scope::default(), world.clock().now());
    let until = from.plus(Duration::from_seconds(u64::from(n) * 5 + 1));
    let odds = Odds { lose_reply_per_mille: 200, throttle_per_mille: 100, outage_per_mille: 50, ..Odds::default() };
    match n % 7 {
        0 => Fault::Outage { scope, from, until },
        1 => Fault::StaleReads { scope, lag: Duration::from_seconds(u64::from(n)), from, until },
        2 => Fault::LoseReply { target: Target::default(), times: u32::from(n % 5) },
        3 => Fault::BecomeFailed { target: Target::default(), times: Some(2) },
        4 => Fault::StuckDrain { cluster: "*".to_owned(), blocked_by: vec!["web/pod".to_owned()] },
        5 => Fault::Slow { target: Target::default(), latency_percent: u32::from(n) * 3 },
        _ => Fault::Random { scope, odds, until: Some(until) },
    }
}

/// No two of one kind and one name, except the networks of AWS; every id once; children on parents that exist, as far
/// as nobody deleted behind our back.
fn check(world: &World, with_orphans: bool, ids: &mut BTreeMap<String, i64>) {
    let standing = world.resources().unwrap();
    let mut names = BTreeSet::new();
    for one in &standing {
        let r = &one.resource;
        if (one.place.cloud, r.step) != (Cloud::Aws, Step::Network) {
            assert!(names.insert((one.place.clone(), r.cluster.clone(), r.step)), "doubled {} {}", r.step, r.cluster);
        }
        let made = ids.entry(r.id.to_string()).or_insert(r.created_at.unix_seconds());
        assert_eq!(*made, r.created_at.unix_seconds(), "{} was used twice", r.id);
        let has_parents = r.uses.iter().all(|id| standing.iter().any(|other| other.resource.id == *id));
        assert!(with_orphans || has_parents, "{} is an orphan", r.id);
    }
}

fn run(world: &World, moves: &[Move]) {
    let (mut ids, mut vanished) = (BTreeMap::new(), false);
    for step in moves {
        make_move(world, step);
        vanished |= matches!(step, Move::Vanish(..));
        for c in 0..CLUSTERS {
            let _ = world.observe_now(&hand(c).place);
        }
        check(world, vanished, &mut ids);
    }
}

fn fresh(seed: u64) -> World {
    World::open(None, seed, SimClock::new(start(), Speed::Max)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_calls_panics_or_makes_a_unique_thing_twice(moves in prop::collection::vec(moves(), 0..120)) {
        run(&fresh(3), &moves);
    }

    #[test]
    fn the_same_calls_make_the_same_history_also_through_a_file_that_is_reopened(
        moves in prop::collection::vec(moves(), 0..60),
        cut in 0..60_usize,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("world.jsonl");
        let open = || World::open(Some(&path), 3, SimClock::new(start(), Speed::Max)).unwrap();
        let moves: Vec<Move> = moves.into_iter().filter(|m| !matches!(m, Move::Chaos(n) if n % 7 == 6)).collect();
        let (memory, again) = (fresh(3), fresh(3));
        run(&memory, &moves);
        run(&again, &moves);
        let (head, tail) = moves.split_at(cut.min(moves.len()));
        let first = open();
        run(&first, head);
        first.note_time().unwrap();
        drop(first);
        let filed = open();
        run(&filed, tail);
        prop_assert_eq!(memory.history().unwrap(), again.history().unwrap());
        prop_assert_eq!(memory.history().unwrap(), filed.history().unwrap());
        prop_assert_eq!(memory.resources().unwrap(), filed.resources().unwrap());
        prop_assert_eq!(memory.next_event().unwrap(), filed.next_event().unwrap());
    }
}

#[test]
fn another_seed_makes_another_world_of_the_same_calls() {
    let ready = |seed| {
        let (world, hand) = (fresh(seed), hand(0));
        hand.build(&world);
        (hand.id(&world, Step::ControlPlane), world.clock().now())
    };
    assert_eq!(ready(1), ready(1));
    assert_ne!(ready(1), ready(2));
}

#[test]
fn the_order_of_calls_on_different_clusters_changes_no_id_and_no_latency() {
    let build = |order: [usize; 2]| {
        let world = fresh(1);
        for c in order {
            hand(c).create(&world, Step::Network).unwrap();
        }
        wait(&world, 5);
        world.resources().unwrap()
    };
    assert_eq!(build([0, 3]), build([3, 0]));
}

#[test]
fn a_thousand_clusters_are_built_in_a_shared_file_and_listed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("world.jsonl");
    let world = World::open(Some(&path), 1, SimClock::new(start(), Speed::Max)).unwrap();
    let mut made: BTreeMap<(usize, Step), std::sync::Arc<str>> = BTreeMap::new();
    let hands: Vec<Hand> = (0..1000).map(|n| Hand::new(Cloud::Gcp, n)).collect();
    for step in Step::BUILD {
        for (n, hand) in hands.iter().enumerate() {
            let parents = step.parents().iter().map(|parent| made[&(n, *parent)].clone()).collect();
            world.perform_now(&hand.create_with(step, parents)).unwrap();
        }
        wait(&world, 15);
        let listing = world.observe_now(&hands[0].place).unwrap();
        for (n, hand) in hands.iter().enumerate() {
            let resource = listing.resources[&hand.name].iter().find(|r| r.step == step).unwrap();
            assert_eq!(resource.phase, Phase::Ready);
            made.insert((n, step), resource.id.clone());
        }
    }
    wait(&world, 60);
    let listing = world.observe_now(&hands[0].place).unwrap();
    assert_eq!(listing.resources.values().map(Vec::len).sum::<usize>(), 9000);
    assert_eq!(world.counts()[&hands[0].place].pages, (10 + 20 + 30 + 40 + 50 + 60 + 70 + 90) + 90);
}
