//! `run`: the daemon, with its log or its progress shown.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration as RealDuration;

use clap::ValueEnum;
use fleetwright_core::plan::Plan;
use fleetwright_core::record::Record;
use fleetwright_repo::Remote;
use fleetwright_schema::units::Duration;
use fleetwright_simulator::Speed;

use super::error::{CliError, Exit};
use super::init::git;
use super::output::{Out, counted};
use super::source::is_url;
use crate::assembly::{Setup, assemble};
use crate::daemon::{DaemonError, Ended, Options};
use crate::events::{Event, Events, Logged};
use crate::progress::Bars;

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
    /// The fleet repository: a URL, or the path of a bare repository or of a clone without unsaved changes
    #[arg(long, env = "FLEETWRIGHT_REPO", value_name = "URL|DIR")]
    pub repo: String,
    /// The branch that says what should be; the repository's default branch when left out
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
    /// How much faster than real time simulated clouds run: a factor like `60`, or `max`; `60` when left out
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
    /// How often a place is read in which something is under way
    #[arg(long, default_value = "15s", value_name = "DURATION", hide = true)]
    pub attention_interval: String,
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

/// Runs the daemon until it ends.
pub fn run(args: &RunArgs, out: &mut Out) -> Result<Exit, CliError> {
    let setup = setup(args)?;
    refuse_no_repository(&args.repo)?;
    if (args.once || args.until_settled) && !args.dry_run {
        refuse_unsaved_changes(&args.repo, args.branch.as_deref())?;
    }
    let bars = std::io::stderr().is_terminal() && args.log == LogFormat::Auto && !args.quiet && !args.dry_run;
    if !bars {
        log(args.log, args.quiet);
    }
    let events: Box<dyn Events> = match (args.dry_run, bars) {
        (true, _) => Box::new(DryRun),
        (false, true) => Box::new(Bars::new()),
        (false, false) => Box::new(Logged),
    };
    let mut assembled = assemble(setup, events).map_err(failed)?;
    let ended = assembled.daemon.run().map_err(failed)?;
    if !args.quiet && !args.dry_run {
        out.print(&summary(ended, assembled.daemon.record(), &assembled.daemon.waits()))?;
    }
    Ok(match ended {
        Ended::Settled | Ended::Stopped | Ended::Once => Exit::Sound,
        Ended::Stuck => Exit::Waiting,
    })
}

/// A path that is no repository is a slip of the hand: nobody should wait until it becomes one, as for a remote that does
/// not answer.
fn refuse_no_repository(repo: &str) -> Result<(), CliError> {
    if is_url(repo) || Remote::parse(repo)?.local_git_dir().is_some() {
        return Ok(());
    }
    let message = format!("{repo} is no git repository");
    Err(CliError::unreadable(message)
        .hint("name a bare repository, a clone or a URL; `git clone --bare` makes the first"))
}

/// Git writes no commit into the branch that is checked out beside changes of a person. A daemon that watches waits until
/// they are committed; a run that is to end would wait for it, too.
fn refuse_unsaved_changes(repo: &str, branch: Option<&str>) -> Result<(), CliError> {
    let dir = Path::new(repo);
    if is_url(repo) || git(dir, &["rev-parse", "--is-inside-work-tree"]).is_ok_and(|inside| inside.trim() != "true") {
        return Ok(());
    }
    let checked_out = git(dir, &["branch", "--show-current"]).unwrap_or_default();
    let elsewhere = branch.is_some_and(|branch| branch != checked_out.trim());
    let changed = git(dir, &["status", "--porcelain", "--untracked-files=no"]).unwrap_or_default();
    if elsewhere || changed.is_empty() {
        return Ok(());
    }
    let message = format!("{repo} has changes that are not committed, so nothing can be written to it");
    Err(CliError::problem(message).hint("commit or stash them, or let it run on a bare repository"))
}

fn setup(args: &RunArgs) -> Result<Setup, CliError> {
    let poll: Duration = args.poll_interval.parse().map_err(|why: String| CliError::usage(why))?;
    let attention: Duration = args.attention_interval.parse().map_err(|why: String| CliError::usage(why))?;
    if poll.seconds() == 0 || attention.seconds() == 0 {
        return Err(CliError::usage("--poll-interval and --attention-interval must be at least 1s"));
    }
    let speed = args.sim_speed.as_deref().map(str::parse::<Speed>).transpose().map_err(CliError::usage)?;
    let options = Options {
        branch: args.branch.clone(),
        poll_interval: RealDuration::from_secs(poll.seconds()),
        attention_interval: attention,
        once: args.once,
        until_settled: args.until_settled,
        dry_run: args.dry_run,
        until: None,
    };
    Ok(Setup { repo: args.repo.clone(), options, speed, seed: args.sim_seed, state_dir: args.state_dir.clone() })
}

/// What a daemon's error means for the exit code.
pub fn failed(error: DaemonError) -> CliError {
    match error {
        DaemonError::Repository(error) => CliError::from(error),
        DaemonError::World(_) => CliError::unreadable(error.to_string()),
        DaemonError::Unsuitable(why) => CliError::usage(why),
    }
}

fn log(format: LogFormat, quiet: bool) {
    use tracing_subscriber::EnvFilter;
    let level = if quiet { "warn" } else { "info" };
    let filter = EnvFilter::try_from_env("FLEETWRIGHT_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let terminal = std::io::stderr().is_terminal();
    let json = format == LogFormat::Json || (format == LogFormat::Auto && !terminal);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(terminal);
    // A second initialisation in one process keeps the first: nothing is lost.
    let _ = match json {
        true => builder.json().flatten_event(true).try_init(),
        false => builder.with_target(false).try_init(),
    };
}

/// One line on how things stand, and what waits for people.
pub fn summary(ended: Ended, record: Option<&Record>, waits: &[String]) -> String {
    let clusters = record.map_or(0, |record| record.clusters().count());
    let sets = record.map_or(0, |record| record.sets.values().filter(|set| !set.clusters.is_empty()).count());
    let what = format!("{} in {}", counted(clusters, "cluster", "clusters"), counted(sets, "set", "sets"));
    match ended {
        Ended::Settled => format!("settled: {what}\n"),
        Ended::Stuck => {
            format!("waiting for a person: {what}\n{}", waits.iter().map(|w| format!("  {w}\n")).collect::<String>())
        }
        Ended::Stopped => format!("stopped: {what}\n"),
        Ended::Once => format!("one pass: {what}\n"),
    }
}

/// Prints the one plan of a dry run.
struct DryRun;

impl Events for DryRun {
    fn event(&mut self, event: Event<'_>) {
        if let Event::Planned { plan, record, .. } = event {
            // The only thing that is shown; a closed pipe is the reader's business.
            let _ = std::io::Write::write_all(&mut std::io::stdout(), dry(plan, record).as_bytes());
        }
    }
}

fn dry(plan: &Plan, record: &Record) -> String {
    let mut text = String::new();
    for (id, set) in &plan.record.sets {
        let before = record.sets.get(id);
        for cluster in &set.clusters {
            let was = before.and_then(|set| set.clusters.iter().find(|c| c.metadata.name == cluster.metadata.name));
            let (was, is) = (was.map(|cluster| cluster.status.state), cluster.status.state);
            if was != Some(is) {
                let from = was.map_or_else(|| "new".to_owned(), |state| state.to_string());
                text.push_str(&format!("would publish {}: {from} -> {is}\n", cluster.metadata.name));
            }
        }
    }
    plan.actions.iter().for_each(|action| text.push_str(&format!("would {action} in {}\n", action.place)));
    for (id, report) in plan.reports.iter().filter(|(_, report)| !report.settled) {
        report.waiting.iter().for_each(|waiting| text.push_str(&format!("{id} waits: {}\n", waiting.sentence())));
    }
    if text.is_empty() { "nothing to do\n".to_owned() } else { text }
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
