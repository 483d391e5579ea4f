//! A world outlives its process, and several processes share one.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::io::Write;
use std::path::{Path, PathBuf};

use common::{Hand, next, start, wait};
use fleetwright_core::inventory::{ErrorClass, Phase, Step};
use fleetwright_schema::names::Cloud;
use fleetwright_schema::set::DrainMode;
use fleetwright_schema::units::{Duration, Timestamp};
use fleetwright_simulator::{Fault, Scope, SimClock, Speed, World, WorldError};

use Step::{ControlPlane, Identity, InfraServices, Network};

fn file(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("world.jsonl")
}

fn open(path: &Path) -> World {
    World::open(Some(path), 7, SimClock::new(start(), Speed::Max)).unwrap()
}

fn append(path: &Path, text: &str) {
    std::fs::OpenOptions::new().append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

#[test]
fn everything_is_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let hand = Hand::new(Cloud::Aws, 1);
    let world = open(&file(&folder));
    hand.build(&world);
    wait(&world, 10);
    world.perform_now(&hand.drain(&hand.id(&world, ControlPlane), DrainMode::Wait)).unwrap();
    wait(&world, 5);
    world.inject(Fault::Throttle { scope: Scope::default(), calls_per_minute: 100 }).unwrap();
    let before = (world.resources(), world.history(), world.faults(), world.next_event(), world.clock().now());
    let before = (before.0.unwrap(), before.1.unwrap(), before.2.unwrap(), before.3.unwrap(), before.4);
    drop(world);
    let again = open(&file(&folder));
    assert_eq!(again.clock().now(), before.4);
    assert_eq!((again.resources().unwrap(), again.history().unwrap()), (before.0, before.1));
    assert_eq!((again.faults().unwrap(), again.next_event().unwrap()), (before.2, before.3));
}

#[test]
fn time_that_was_noted_never_goes_back() {
    let folder = tempfile::tempdir().unwrap();
    let world = open(&file(&folder));
    wait(&world, 90);
    world.note_time().unwrap();
    let noted = world.clock().now();
    let slow = SimClock::new(start(), Speed::Factor(0.001));
    World::open(Some(&file(&folder)), 7, slow.clone()).unwrap();
    assert_eq!((open(&file(&folder)).clock().now(), slow.now()), (noted, noted));
}

#[test]
fn a_torn_last_line_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let hand = Hand::new(Cloud::Gcp, 1);
    hand.create(&open(&file(&folder)), Network).unwrap();
    let whole = std::fs::read(file(&folder)).unwrap();
    append(&file(&folder), r#"{"at":"2026-09-"#);
    let world = open(&file(&folder));
    assert_eq!((hand.all(&world).len(), std::fs::read(file(&folder)).unwrap()), (1, whole));
    hand.create(&world, Identity).unwrap();
    assert_eq!(hand.all(&open(&file(&folder))).len(), 2);
}

#[test]
fn a_file_torn_anywhere_opens_with_what_was_whole() {
    let folder = tempfile::tempdir().unwrap();
    let hand = Hand::new(Cloud::Aws, 1);
    let world = open(&file(&folder));
    hand.make(&world, &[Network, Identity]);
    let whole = std::fs::read(file(&folder)).unwrap();
    for length in (0..whole.len()).step_by(7) {
        let torn = folder.path().join(format!("torn-{length}"));
        std::fs::write(&torn, &whole[..length]).unwrap();
        let lines = whole[..length].iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(open(&torn).history().unwrap().len(), lines.saturating_sub(1));
    }
}

#[test]
fn a_corrupt_line_is_named_and_nothing_goes_on_behind_it() {
    let folder = tempfile::tempdir().unwrap();
    let hand = Hand::new(Cloud::Gcp, 1);
    let world = open(&file(&folder));
    hand.create(&world, Network).unwrap();
    append(&file(&folder), "nonsense\n");
    let opened = World::open(Some(&file(&folder)), 7, SimClock::new(start(), Speed::Max));
    let error = opened.unwrap_err();
    assert!(matches!(error, WorldError::Corrupt { line: 3, .. }), "{error:?}");
    assert!(error.to_string().contains("world.jsonl, line 3,"), "{error}");
    for _ in 0..2 {
        let refused = world.observe_now(&hand.place).unwrap_err();
        assert_eq!((refused.class, &*refused.code), (ErrorClass::Outage, "SimulatedWorldUnusable"));
    }
}

#[test]
fn a_file_of_something_else_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for text in [
        "{\"at\":\"2026-01-01T00:00:00Z\"}\n",
        "{\"at\":\"2026-01-01T00:00:00Z\",\"world\":{\"format\":9,\"seed\":1}}\n",
    ] {
        std::fs::write(file(&folder), text).unwrap();
        let opened = World::open(Some(&file(&folder)), 7, SimClock::new(start(), Speed::Max));
        assert!(matches!(opened.unwrap_err(), WorldError::Foreign { .. }));
        assert_eq!(std::fs::read_to_string(file(&folder)).unwrap(), text);
    }
}

#[test]
fn two_worlds_on_one_file_see_one_another() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (open(&file(&folder)), open(&file(&folder)));
    let hand = Hand::new(Cloud::Azure, 1);
    hand.create(&one, Network).unwrap();
    assert!(hand.create(&two, Network).is_ok());
    assert_eq!((hand.all(&two).len(), two.history().unwrap().len()), (1, 1));
    next(&two);
    two.note_time().unwrap();
    assert_eq!(hand.phase(&one, Network), Some(Phase::Ready), "the other's clock is caught up with");
    hand.make(&two, &[Identity]);
    two.note_time().unwrap();
    assert_eq!(one.resources().unwrap(), two.resources().unwrap());
    let fault =
        two.inject(Fault::Outage { scope: Scope::default(), from: start(), until: common::after(600) }).unwrap();
    assert!(one.observe_now(&hand.place).is_err());
    one.remove_fault(fault).unwrap();
    assert!(two.observe_now(&hand.place).is_ok());
}

#[test]
fn many_threads_on_one_file_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder);
    std::thread::scope(|scope| {
        for part in 0..4 {
            let world = open(&path);
            scope.spawn(move || {
                for n in 0..50 {
                    Hand::new(Cloud::Gcp, part * 50 + n).create(&world, Network).unwrap();
                }
            });
        }
    });
    assert_eq!(open(&path).resources().unwrap().len(), 200);
}

#[test]
fn a_large_file_of_the_past_is_compacted_under_another_process() {
    let folder = tempfile::tempdir().unwrap();
    let hand = Hand::new(Cloud::Gcp, 1);
    let other = open(&file(&folder));
    hand.build(&other);
    wait(&other, 10);
    other.inject(Fault::Throttle { scope: Scope::default(), calls_per_minute: 1_000_000 }).unwrap();
    for _ in 0..11_000 {
        other.note_time().unwrap();
    }
    for n in 0..1200 {
        other.clock().advance_to(other.clock().now().plus(Duration::from_minutes(30 + n % 2)));
        let id = hand.id(&other, ControlPlane);
        other.perform_now(&hand.drain(&id, DrainMode::Evict)).unwrap();
        other.perform_now(&hand.open(&id)).unwrap();
    }
    let bytes = || std::fs::metadata(file(&folder)).unwrap().len();
    let (before, resources, event) = (bytes(), other.resources().unwrap(), other.next_event().unwrap());
    assert!(before > 1 << 20, "{before}");
    let world = open(&file(&folder));
    assert!(bytes() * 2 < before, "{before} {}", bytes());
    assert_eq!((world.resources().unwrap(), world.next_event().unwrap()), (resources.clone(), event));
    assert_eq!(world.faults().unwrap().len(), 1);
    assert_eq!(other.resources().unwrap(), resources, "the other notices that the file was replaced");
    hand.unmake(&other, &[InfraServices]);
    other.note_time().unwrap();
    world.clear_faults().unwrap();
    hand.make(&world, &[InfraServices]);
    world.note_time().unwrap();
    assert_eq!(other.resources().unwrap(), open(&file(&folder)).resources().unwrap());
}

#[test]
fn a_compacted_world_still_gives_no_id_twice() {
    let folder = tempfile::tempdir().unwrap();
    let hand = Hand::new(Cloud::Azure, 1);
    let world = open(&file(&folder));
    hand.make(&world, &[Identity]);
    let first = hand.id(&world, Identity);
    hand.unmake(&world, &[Identity]);
    for _ in 0..45_000 {
        world.note_time().unwrap();
    }
    let compacted = open(&file(&folder));
    assert!(std::fs::metadata(file(&folder)).unwrap().len() < 10_000);
    hand.make(&compacted, &[Identity]);
    assert_ne!(hand.id(&compacted, Identity), first);
}

#[test]
fn a_world_in_a_folder_that_is_not_there_says_so() {
    let error = World::open(Some(Path::new("/nowhere/world.jsonl")), 7, SimClock::new(Timestamp::MIN, Speed::Max));
    assert_eq!(error.unwrap_err().to_string(), "the world's file /nowhere/world.jsonl can't be used");
}
