//! The arguments of `demo`, a whole fleet on simulated clouds.

use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  fleetwright demo --once                     build, rotate, revert and end
  fleetwright demo --sim-speed 60             a minute of the clouds in a second
  fleetwright demo --dir /tmp/fleet           keep the repository to look at";

/// The arguments of `demo`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct DemoArgs {
    /// End when the story is told; otherwise the daemon goes on, and the repository can be changed by hand
    #[arg(long)]
    pub once: bool,
    /// How much faster than real time the simulated clouds run: a factor like `60`, or `max`
    #[arg(long, default_value = "max", value_name = "FACTOR")]
    pub sim_speed: String,
    /// Where the repository is made and kept; a directory that is removed in the end, when left out
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Print the result only
    #[arg(short, long)]
    pub quiet: bool,
}
