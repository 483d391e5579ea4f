//! Runs the whole daemon in simulation, seed after seed, and says what breaks which promise.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::ops::ControlFlow;
use std::process::ExitCode;
use std::sync::Mutex;

use clap::Parser;
use fleetwright_tests::parallel::on_all_threads;
use fleetwright_tests::simulation::{Script, Tally, run};

/// Runs the whole daemon on simulated time, with a Git remote and clouds that misbehave: one seed, one run.
#[derive(Parser)]
struct Args {
    /// How many seeds.
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// One seed alone, with a trace.
    #[arg(long, conflicts_with_all = ["seeds", "first"])]
    seed: Option<u64>,
    /// Of that seed, only these moments.
    #[arg(long, requires = "seed")]
    keep: Option<String>,
    /// Of that seed, without a kind of trouble: git, late, rival.
    #[arg(long, requires = "seed")]
    without: Vec<String>,
    /// Stop after so many failures.
    #[arg(long, default_value_t = 1)]
    failures: usize,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let failed = match args.seed {
        Some(seed) => one(&args, seed),
        None => many(&args),
    };
    ExitCode::from(u8::from(failed))
}

fn one(args: &Args, seed: u64) -> bool {
    let whole = Script::new(seed);
    let without = |what: &str| args.without.iter().any(|left_out| left_out == what);
    let script = Script {
        keep: args.keep.as_ref().map(|keep| keep.split(',').filter_map(|number| number.parse().ok()).collect()),
        git: whole.git && !without("git"),
        late: whole.late && !without("late"),
        daemons: if without("rival") { 1 } else { whole.daemons },
        ..whole
    };
    match run(&script, true) {
        Ok(tally) => println!("seed {seed} holds: {tally:?}"),
        Err(failure) => {
            failure.trace.iter().for_each(|line| println!("{line}"));
            println!("seed {seed}: {}", failure.what);
            return true;
        }
    }
    false
}

fn many(args: &Args) -> bool {
    let began = std::time::Instant::now();
    let failures: Mutex<Vec<(u64, String)>> = Mutex::new(Vec::new());
    let total: Mutex<Tally> = Mutex::new(Tally::default());
    let done = on_all_threads(args.first..args.first + args.seeds, |seed| match run(&Script::new(seed), false) {
        Ok(tally) => {
            total.lock().unwrap().add(tally);
            ControlFlow::Continue(())
        }
        Err(failure) => {
            println!("seed {seed}: {}", failure.what);
            let mut failures = failures.lock().unwrap();
            failures.push((seed, failure.what));
            if failures.len() >= args.failures { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
    });
    let seconds = began.elapsed().as_secs_f64();
    println!("{done} seeds in {seconds:.0} s, {:.1} a second: {:?}", done as f64 / seconds, total.lock().unwrap());
    let failures = failures.into_inner().unwrap();
    for (seed, what) in failures.iter().take(3) {
        // The same promise must break, or it is another failure.
        let kind = |what: &str| what.split([':', ' ']).next().unwrap_or_default().to_owned();
        let same = |script: &Script| run(script, false).is_err_and(|failure| kind(&failure.what) == kind(what));
        let least = Script::new(*seed).shrink(same);
        println!("least: {}", least.replay());
    }
    !failures.is_empty()
}
