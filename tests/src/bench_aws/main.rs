//! Fleetwright on AWS beside others: a `boto3` script and Ansible, one run, the same emulators, a region each.
//!
//! `cargo run --release -p fleetwright-tests --bin bench-aws [-- -o json]`. What each makes is told with its numbers:
//! calls (all HTTP requests that arrive), seconds of processor (of the client with its children, never of the
//! emulators), seconds on the wall. Then a thousand clusters at rest, and the least that reading them can cost.
#![allow(clippy::unwrap_used, clippy::panic)]

mod contenders;
mod cost;
mod driven;
mod driver;
mod fleet;
mod range;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use cost::Row;
use driven::Driven;
use range::Range;

/// Calls, processor and wall of Fleetwright's adapter of AWS, a boto3 script and Ansible over the same clusters.
#[derive(Parser)]
struct Arguments {
    /// How many clusters each makes, and then finds unchanged
    #[arg(long, default_value_t = 100)]
    clusters: u32,
    /// How many clusters a reading at rest is measured over
    #[arg(long, default_value_t = 1_000)]
    many: u32,
    /// How many whole clusters Ansible makes: each takes it a quarter of a minute of processor
    #[arg(long, default_value_t = 4)]
    ansible_whole: u32,
    /// Leave Ansible out
    #[arg(long)]
    skip_ansible: bool,
    /// The real program, if it is not to be built first
    #[arg(long)]
    program: Option<PathBuf>,
    /// How much faster than the machine's the time of EKS runs; whoever waits asks that much more often
    #[arg(long, default_value_t = 20.0)]
    speed: f64,
    /// How it is told
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    /// Which parts; all when none is named
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// Be the process that is measured, in these regions
    #[arg(long, hide = true, value_delimiter = ',')]
    drive: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Control planes only, the same thing of all
    Planes,
    /// Everything that each can make of a cluster
    Whole,
    /// Many clusters at rest
    Rest,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    /// An aligned table, and on stderr what is being done
    #[default]
    Table,
    /// A JSON object a line
    Json,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if !arguments.drive.is_empty() {
        driver::serve(&arguments.drive, arguments.clusters, arguments.speed);
        return ExitCode::SUCCESS;
    }
    match run(&arguments) {
        Ok(rows) => {
            tell(&arguments, &rows);
            ExitCode::from(u8::from(rows.iter().any(Row::misses)))
        }
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn tell(arguments: &Arguments, rows: &[Row]) {
    match arguments.output {
        Output::Json => rows.iter().for_each(|row| println!("{}", row.json())),
        Output::Table => print!("{}", cost::table(rows)),
    }
}

fn run(arguments: &Arguments) -> Result<Vec<Row>, String> {
    let range = Range::open(arguments.speed)?;
    let asked = |part: &Part| arguments.parts.is_empty() || arguments.parts.contains(part);
    let mut rows = Vec::new();
    for part in [Part::Planes, Part::Whole, Part::Rest].into_iter().filter(asked) {
        rows.extend(match part {
            Part::Planes => planes(arguments, &range)?,
            Part::Whole => whole(arguments, &range)?,
            Part::Rest => at_rest(&range, arguments.many)?,
        });
    }
    Ok(rows)
}

/// The same thing of all: a control plane in a given network, with given roles.
fn planes(arguments: &Arguments, range: &Range) -> Result<Vec<Row>, String> {
    let count = arguments.clusters;
    let mut rows = Vec::new();
    let mut driven = Driven::begin(range, &["us-west-2"], count);
    driven.ask("prepare");
    rows.push(Row::new("control planes: create", "fleetwright", count, driven.ask("planes")));
    rows.push(Row::new("control planes: no-op", "fleetwright, next pass", count, driven.ask("again")));
    driven.ask("rest");
    driven.ask("begin");
    rows.push(Row::new("everything: no-op", "fleetwright, first pass of a process", count, driven.ask("pass")));
    rows.push(Row::new("everything: no-op", "fleetwright, next pass", count, driven.ask("pass")));
    rows.push(Row::new("everything: a look at what is under way", "fleetwright", count, driven.ask("closely")));
    rows.extend(contenders::boto3_planes(range, count)?);
    rows.extend(contenders::ansible(arguments.skip_ansible, |ansible| ansible.planes(range, count)));
    Ok(rows)
}

/// Everything that each can make of a cluster.
fn whole(arguments: &Arguments, range: &Range) -> Result<Vec<Row>, String> {
    let mut rows = contenders::program(range, arguments.clusters, arguments.program.clone())?;
    rows.extend(contenders::boto3_whole(range, arguments.clusters)?);
    let few = arguments.ansible_whole;
    rows.extend(contenders::ansible(arguments.skip_ansible, |ansible| ansible.whole(range, few)));
    Ok(rows)
}

/// Where many clusters are: moto takes longer for a list of networks than anybody waits, if all are in one region.
const REGIONS: [&str; 5] = ["us-east-1", "us-east-2", "ap-southeast-1", "ap-southeast-2", "ap-south-1"];
/// How often a pass is made that costs next to nothing; the dearest of them is told.
const PASSES: usize = 5;

fn at_rest(range: &Range, count: u32) -> Result<Vec<Row>, String> {
    let mut driven = Driven::begin(range, &REGIONS, count);
    for phase in ["prepare", "planes", "rest", "begin"] {
        driven.ask(phase);
    }
    let first = Row::new("everything: no-op", "fleetwright, first pass of a process", count, driven.ask("pass"));
    let next = (0..PASSES).map(|_| driven.ask("pass")).max_by_key(|cost| (cost.calls, cost.cpu));
    let next = next.ok_or("no pass was made")?;
    let next = Row::new("everything: no-op", "fleetwright, next pass", count, next);
    let regions = u32::try_from(REGIONS.len()).unwrap();
    let least = fleet::least_calls(count / regions) * regions;
    Ok(vec![first, next.with_goal(least as usize)])
}
