//! `ack`: a consumer tells that it has read the fleet up to a commit.

use fleetwright_schema::names::Name;

use super::error::{CliError, Exit};
use super::output::Out;
use super::pushing::Target;
use super::source::default_branch;

const EXAMPLES: &str = "\
Examples:
  fleetwright ack --consumer scheduler                    the commit that the clone here stands at
  fleetwright ack --consumer scheduler --repo https://git.example/fleet.git --rev 3f2c1ab

A cluster is drained only when the consumers that fleet.yaml declares have read that it is DRAINING. Each says so by
moving refs/fleetwright/acks/<consumer> to the commit that it has read.";

/// The arguments of `ack`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The consumer's name, as fleet.yaml declares it
    #[arg(long, value_name = "NAME", value_parser = str::parse::<Name>)]
    consumer: Name,
    /// The fleet repository; of a clone, its origin
    #[arg(long, value_name = "URL|DIR", default_value = ".")]
    repo: String,
    /// The commit that was read: HEAD of a clone, the default branch of a remote when left out
    #[arg(long)]
    rev: Option<String>,
    /// Move it back, too
    #[arg(long)]
    force: bool,
}

/// Moves the consumer's ref.
pub fn run(args: &Args, out: &mut Out) -> Result<Exit, CliError> {
    let target = Target::open(&args.repo)?;
    let branch = default_branch(&target.mirror)?;
    let commit = target.commit(args.rev.as_deref(), &branch)?;
    let name = format!("refs/fleetwright/acks/{}", args.consumer);
    let old = target.advance(&name, &commit, args.force)?;
    out.print(&match old {
        Some(old) if old == commit => format!("{} had read {} already\n", args.consumer, commit.short()),
        Some(old) => format!("{} has read {} (before: {})\n", args.consumer, commit.short(), old.short()),
        None => format!("{} has read {}\n", args.consumer, commit.short()),
    })?;
    Ok(Exit::Sound)
}
