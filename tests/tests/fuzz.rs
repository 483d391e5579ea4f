//! The fuzz targets on their corpora and on changes of them: a few seconds each here, as long as one likes with
//! `FLEETWRIGHT_FUZZ_SECONDS=600` or `FLEETWRIGHT_FUZZ_CASES=1000000`, from another `FLEETWRIGHT_SEED`.
#![allow(clippy::unwrap_used, clippy::panic)]

use fleetwright_tests::fuzz::approvals::digest;
use fleetwright_tests::fuzz::campaign::{Scope, Tally};
use fleetwright_tests::fuzz::{APPROVALS, DOCUMENTS, RECORDS, TREES, Target};

/// Runs a target; what its thread allocates is counted.
fn campaign(target: Target) -> Tally {
    let tally = target.campaign(Scope::from_env(), &|case| allocation_counter::measure(case).bytes_total);
    let Tally { corpus, cases, reached, allocated_per_byte, took } = &tally;
    let name = target.name;
    println!(
        "{name}: {corpus} seeds, {cases} cases, {} reached, {allocated_per_byte} bytes a byte, {took:?}",
        reached.len()
    );
    assert!(tally.corpus >= 10, "a corpus of {} says little", tally.corpus);
    assert!(tally.cases >= 10, "only {} cases", tally.cases);
    tally
}

fn reaches(tally: &Tally, all: &[&str]) {
    for wanted in all {
        assert!(tally.reached.contains(*wanted), "nothing reaches {wanted:?}: {:#?}", tally.reached);
    }
}

#[test]
fn documents_are_refused_with_their_place_or_stay_the_same_when_written_again() {
    let tally = campaign(DOCUMENTS);
    let kinds = ["Fleet", "ClusterType", "ClusterSet", "InfraService", "RemovalApproval"];
    for kind in kinds {
        reaches(&tally, &[&format!("{kind} accepted"), &format!("{kind} refused")]);
    }
}

#[test]
fn a_tree_says_the_same_whatever_was_read_before_and_what_is_sound_can_be_planned() {
    let tally = campaign(TREES);
    reaches(&tally, &["4 sets, sound true", "rule fleet-missing", "rule refused-entry", "rule unknown-field"]);
}

#[test]
fn a_record_that_is_accepted_is_written_as_it_was_and_never_makes_a_plan_that_is_objected_to() {
    let tally = campaign(RECORDS);
    for state in ["PENDING", "CREATING", "READY", "UPDATING", "DRAINING", "DRAINED", "DELETING"] {
        reaches(&tally, &[&format!("recorded {state}")]);
    }
}

#[test]
fn nothing_but_the_exact_approval_releases_a_removal_and_nothing_but_a_reading_starts_a_drain() {
    let exact = APPROVALS.corpus().into_iter().find(|(name, _)| name == "exact.txt").unwrap().1;
    assert!(String::from_utf8(exact).unwrap().contains(digest()), "the corpus is to name {}", digest());
    let tally = campaign(APPROVALS);
    reaches(&tally, &["1 approvals, 0 removed", "1 approvals, 6 removed"]);
    reaches(&tally, &["drained true, seen true", "drained false, seen false"]);
}
