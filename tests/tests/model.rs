//! The promises, in every interleaving of small fleets. `FLEETWRIGHT_MODEL=large` looks at more of them and for longer;
//! `FLEETWRIGHT_SCENARIO` names a part of the name of those that are looked at.
#![allow(clippy::unwrap_used, clippy::panic)]

use fleetwright_tests::model::{check, scenarios};

#[test]
fn the_promises_hold_in_every_interleaving_of_a_small_fleet() {
    let large = std::env::var("FLEETWRIGHT_MODEL").is_ok_and(|scope| scope == "large");
    let wanted = std::env::var("FLEETWRIGHT_SCENARIO").unwrap_or_default();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let scenarios = if large { scenarios::large() } else { scenarios::small() };
    let mut failures = Vec::new();
    for scenario in scenarios.into_iter().filter(|scenario| scenario.name.contains(&wanted)) {
        let report = check(scenario, threads).unwrap();
        println!(
            "{:<60} {:>9} states, {:>8} unique, depth {:>3}, {:>6.1} s",
            report.name,
            report.states,
            report.unique,
            report.depth,
            report.time.as_secs_f64()
        );
        failures.extend(report.failures.iter().map(|failure| format!("{}: {failure}", report.name)));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}
