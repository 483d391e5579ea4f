//! The arguments of `run`, the daemon.

use std::path::PathBuf;

use clap::ValueEnum;

const EXAMPLES: &str = "\
Examples:
  fleetwright run --repo ../fleet.git                         watch, and never end
  fleetwright run --repo ../fleet.git --until-settled         end when nothing is left to do; for scripts and tests
  fleetwright run --repo ../fleet.git --once --dry-run        one plan, printed, nothing changed
  fleetwright run --repo https://git.example/fleet.git --state-dir /var/lib/fleetwright";

/// The arguments of `run`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct RunArgs {
    /// The fleet repository: a URL, or the path of a bare repository or a clone
    #[arg(long, env = "FLEETWRIGHT_REPO", value_name = "URL|DIR")]
    pub repo: String,
    /// The branch that says what should be; `main` when left out
    #[arg(long, env = "FLEETWRIGHT_BRANCH")]
    pub branch: Option<String>,
    /// Plan once, do what can be done now, publish, and end
    #[arg(long, conflicts_with = "until_settled")]
    pub once: bool,
    /// End when everything is where it should be (0), or waits for a person only (3)
    #[arg(long)]
    pub until_settled: bool,
    /// Print the plan; write nothing to the repository and do nothing in a cloud
    #[arg(long)]
    pub dry_run: bool,
    /// How much faster than real time simulated clouds run: a factor like `60`, or `max`; `1` when left out
    #[arg(long, value_name = "FACTOR")]
    pub sim_speed: Option<String>,
    /// The seed of what is random in simulated clouds
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    pub sim_seed: u64,
    /// Where the clone and the simulated clouds are kept; nothing in it is missed when it is lost
    #[arg(long, env = "FLEETWRIGHT_STATE_DIR", value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// How often the repository is asked for news, beside being told of them
    #[arg(long, default_value = "30s", value_name = "DURATION")]
    pub poll_interval: String,
    /// How the log on stderr is written
    #[arg(long, value_enum, default_value_t)]
    pub log: LogFormat,
    /// Say only what is wrong
    #[arg(short, long)]
    pub quiet: bool,
}

/// How a log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people on a terminal, JSON otherwise
    #[default]
    Auto,
    /// A line for people
    Text,
    /// A JSON object a line
    Json,
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct Only {
        #[command(flatten)]
        args: RunArgs,
    }

    #[test]
    fn what_is_left_out_has_a_default() {
        Only::command().debug_assert();
        let Only { args } = Only::parse_from(["run", "--repo", "fleet.git"]);
        assert_eq!((args.sim_seed, args.poll_interval.as_str(), args.log), (1, "30s", LogFormat::Auto));
        assert!(Only::try_parse_from(["run", "--repo", "x", "--once", "--until-settled"]).is_err());
    }
}
