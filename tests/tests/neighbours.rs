//! What goes wrong with one set delays no other by more than one plan: fleets out of seeds, each undisturbed and poisoned.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Mutex;

use fleetwright_schema::units::Duration;
use fleetwright_tests::parallel::on_all_threads;
use fleetwright_tests::simulation::neighbours::{Case, PLAN, Poison, compare};

/// `FLEETWRIGHT_CASES` asks for more.
const CASES: u64 = 150;

fn cases(all: u64) -> Vec<(u64, Case)> {
    let cases = Mutex::new(Vec::new());
    on_all_threads(1..all + 1, |seed| {
        let case = compare(seed).unwrap_or_else(|failure| panic!("seed {seed}: {}", failure.what));
        cases.lock().unwrap().push((seed, case));
        ControlFlow::Continue(())
    });
    cases.into_inner().unwrap()
}

#[test]
fn a_poisoned_set_delays_no_other_by_more_than_one_plan() {
    let all = std::env::var("FLEETWRIGHT_CASES").map_or(CASES, |text| text.parse().unwrap());
    let cases = cases(all);
    let mut by_poison: BTreeMap<Poison, (usize, usize, usize, Duration)> = BTreeMap::new();
    let mut late = Vec::new();
    for (seed, case) in &cases {
        let (runs, compared, hit, longest) = by_poison.entry(case.poison).or_default();
        (*runs, *compared, *hit) = (*runs + 1, *compared + case.compared, *hit + case.hit);
        *longest = (*longest).max(case.longest);
        late.extend(case.late.iter().map(|what| format!("seed {seed}, {:?}: {what}", case.poison)));
    }
    for (poison, (runs, compared, hit, longest)) in &by_poison {
        println!(
            "{poison:?}: {runs} runs, {compared} transitions of others, at most {longest} later; {hit} of its own hit"
        );
    }
    late.iter().take(20).for_each(|line| println!("{line}"));
    assert!(late.is_empty(), "{} transitions come more than {PLAN} later: {}", late.len(), late[0]);
    for poison in Poison::ALL {
        let counted = by_poison.get(&poison).is_some_and(|(_, compared, hit, _)| *compared > 0 && *hit > 0);
        assert!(counted, "{poison:?} hit nothing, or nobody was there to be delayed");
    }
}
