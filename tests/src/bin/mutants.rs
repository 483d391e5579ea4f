//! Switches on one hand-made fault after another and says which harness found it, and after how many runs. A fault that
//! nobody finds is a hole in the tests.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::ops::ControlFlow;
use std::process::ExitCode;
use std::sync::Mutex;

use clap::Parser;
use fleetwright_core::mutant::{ALL, switch};
use fleetwright_tests::parallel::on_all_threads;
use fleetwright_tests::simulation::Script;
use fleetwright_tests::{doctor, drive, simulation};

/// Runs the harnesses against faults that were made by hand.
#[derive(Parser)]
struct Args {
    /// Only this one.
    #[arg(long)]
    mutant: Option<String>,
    /// As many seeds as each harness gets.
    #[arg(long, default_value_t = 600)]
    seeds: u64,
}

/// What a harness is called, and one run of it: what was found, if anything.
type Harness = (&'static str, fn(u64) -> Option<String>);

const HARNESSES: [Harness; 3] = [
    ("planner, random runs", |seed| drive::run(seed).err()),
    ("check, doctored plans", |seed| doctor::run(seed).err()),
    ("whole daemon, simulated", |seed| simulation::run(&Script::new(seed), false).err().map(|failure| failure.what)),
];

/// As many runs of each harness must hold without any mutant.
const BASELINE: u64 = 20;

fn main() -> ExitCode {
    // A fault may well panic: that is a way of being found.
    std::panic::set_hook(Box::new(|_| {}));
    let args = Args::parse();
    let mut survivors = Vec::new();
    for harness in &HARNESSES {
        // What finds something where nothing is wrong finds nothing.
        if let Some((by, seed, what)) = hunt(harness, BASELINE) {
            println!("without any mutant, {by} fails at seed {seed}: {what}");
            return ExitCode::FAILURE;
        }
    }
    println!("| mutant | what it does wrong | found by | runs | as |\n|---|---|---|---|---|");
    for mutant in ALL.iter().filter(|mutant| args.mutant.as_deref().is_none_or(|name| name == mutant.name)) {
        assert!(switch(Some(mutant.name)));
        match HARNESSES.iter().find_map(|harness| hunt(harness, args.seeds)) {
            Some((by, runs, how)) => println!("| {} | {} | {by} | {runs} | {how} |", mutant.name, mutant.what),
            None => {
                println!("| {} | {} | **nobody** | | |", mutant.name, mutant.what);
                survivors.push(mutant.name);
            }
        }
    }
    switch(None);
    println!("\n{} mutants, {} found", ALL.len(), ALL.len() - survivors.len());
    if !survivors.is_empty() {
        println!("survivors: {}", survivors.join(", "));
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Seed after seed, until one shows the fault.
fn hunt((by, run): &Harness, seeds: u64) -> Option<(&'static str, u64, String)> {
    let found: Mutex<Option<(u64, String)>> = Mutex::new(None);
    on_all_threads(1..seeds + 1, |seed| {
        let Some(what) = run(seed) else { return ControlFlow::Continue(()) };
        let mut found = found.lock().unwrap();
        if found.as_ref().is_none_or(|(known, _)| seed < *known) {
            *found = Some((seed, what));
        }
        ControlFlow::Break(())
    });
    let (seed, what) = found.into_inner().unwrap()?;
    let what = what.lines().next().unwrap_or_default().replace('|', "/");
    Some((by, seed, what.chars().take(200).collect()))
}
