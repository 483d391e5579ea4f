//! `demo`: a bare repository, the template's fleet in three clouds, the daemon, a person who changes a version, sees it
//! roll out, takes one back half-way, and the board in the end.

use std::path::{Path, PathBuf};
use std::time::Duration as RealDuration;

use fleetwright_core::publication::BOARD_PATH;
use fleetwright_core::record::Record;
use fleetwright_schema::status::ClusterState;
use fleetwright_simulator::Speed;

use super::error::{CliError, Exit};
use super::init::{begin, commit, git};
use super::output::Out;
use super::run::{failed, summary};
use crate::assembly::{Assembled, Setup, assemble};
use crate::daemon::{Ended, Options};
use crate::events::{Event, Events};

const EXAMPLES: &str = "\
Examples:
  fleetwright demo --once                     build, rotate, revert and end
  fleetwright demo --sim-speed 60             a minute of the clouds in a second
  fleetwright demo --dir /tmp/fleet           keep the repository at a place of your own";

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
    /// Where the repository is made and kept; below the system's temporary directory, when left out
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Print the result only
    #[arg(short, long)]
    pub quiet: bool,
}

/// The set that the story is about.
const SET: &str = "prod/azure/westeurope/ModelServing";

/// Tells the story.
pub fn run(args: &DemoArgs, out: &mut Out) -> Result<Exit, CliError> {
    let speed: Speed = args.sim_speed.parse().map_err(CliError::usage)?;
    let dir = folder(args)?;
    let story = Story::begin(&dir, speed, args.quiet)?;
    let ended = story.tell(args, out)?;
    Ok(if ended == Ended::Stuck { Exit::Waiting } else { Exit::Sound })
}

fn folder(args: &DemoArgs) -> Result<PathBuf, CliError> {
    if let Some(dir) = &args.dir {
        // Git is run in this and in other folders, so the path must mean the same everywhere.
        return std::path::absolute(dir)
            .map_err(|error| CliError::io(format!("{} can't be used", dir.display()), &error));
    }
    let dir = tempfile::Builder::new().prefix("fleetwright-demo-").tempdir();
    // Kept: the person who runs a demo wants to look at what it made.
    dir.map(tempfile::TempDir::keep).map_err(|error| CliError::io("no temporary directory can be made", &error))
}

struct Story {
    /// A person's clone.
    clone: PathBuf,
    /// The repository that the daemon watches.
    bare: PathBuf,
    assembled: Assembled,
}

impl Story {
    fn begin(dir: &Path, speed: Speed, quiet: bool) -> Result<Self, CliError> {
        let (clone, bare) = (dir.join("clone"), dir.join("fleet.git"));
        begin(&clone)?;
        let (from, to) = (clone.display().to_string(), bare.display().to_string());
        git(dir, &["clone", "--quiet", "--bare", "--", &from, &to])?;
        git(&clone, &["remote", "add", "origin", &to])?;
        git(&clone, &["fetch", "--quiet", "origin"])?;
        git(&clone, &["branch", "--quiet", "--set-upstream-to=origin/main", "main"])?;
        let setup = Setup { repo: to, options: options(), speed: Some(speed), seed: 1, state_dir: None };
        let assembled = assemble(setup, Box::new(Narrator { quiet })).map_err(failed)?;
        Ok(Self { clone, bare, assembled })
    }

    fn tell(mut self, args: &DemoArgs, out: &mut Out) -> Result<Ended, CliError> {
        let (clone, bare) = (self.clone.display().to_string(), self.bare.display().to_string());
        out.note(&format!("a fleet repository with the template is in {bare}, and a clone of it in {clone}"));
        out.note("1. the daemon builds the fleet, in three clouds at once");
        let mut ended = self.settle(None)?;
        if ended != Ended::Stopped {
            out.note(&format!("2. somebody pushes Kubernetes 1.34 for {SET}: its clusters are replaced, one by one"));
            self.change_version("1.33", "1.34")?;
            ended = self.settle(None)?;
        }
        if ended != Ended::Stopped {
            out.note("3. somebody pushes 1.35, and reverts it when the first old cluster drains: it serves again");
            self.change_version("1.34", "1.35")?;
            ended = self.settle(Some(first_drains))?;
            if ended == Ended::Once {
                self.revert()?;
                ended = self.settle(None)?;
            }
        }
        out.print(&self.board()?)?;
        out.print(&summary(ended, self.assembled.daemon.record(), &self.assembled.daemon.waits()))?;
        out.print(&whereabouts(&self.clone, &self.bare))?;
        if !args.once && ended != Ended::Stopped {
            out.note("the daemon goes on: change something in the clone and push it; Ctrl-C ends it");
            self.assembled.daemon.set_options(Options { until_settled: false, ..options() });
            ended = self.assembled.daemon.run().map_err(failed)?;
        }
        Ok(ended)
    }

    /// Runs the daemon until everything is settled, or a record is as wanted.
    fn settle(&mut self, until: Option<fn(&Record) -> bool>) -> Result<Ended, CliError> {
        self.assembled.daemon.set_options(Options { until, ..options() });
        self.assembled.daemon.run().map_err(failed)
    }

    /// A person edits the set's file, commits and pushes.
    fn change_version(&self, from: &str, to: &str) -> Result<(), CliError> {
        self.pull()?;
        let path = self.clone.join(format!("clustersets/{SET}.yaml"));
        let text =
            std::fs::read_to_string(&path).map_err(|error| CliError::io("the set's file can't be read", &error))?;
        let line = format!("  kubernetesVersion: \"{to}\"\n");
        let text = match text.contains("kubernetesVersion") {
            true => text.replace(&format!("\"{from}\""), &format!("\"{to}\"")),
            false => text.replace("spec:\n  count", &format!("spec:\n{line}  count")),
        };
        std::fs::write(&path, text).map_err(|error| CliError::io("the set's file can't be written", &error))?;
        git(&self.clone, &["add", "--all"])?;
        commit(&self.clone, &format!("{SET}: Kubernetes {to}"))?;
        self.push()
    }

    /// `git revert` of the last change that a person made.
    fn revert(&self) -> Result<(), CliError> {
        self.pull()?;
        let last = git(&self.clone, &["rev-list", "-1", "HEAD", "--", "clustersets"])?;
        git(&self.clone, &["revert", "--no-commit", last.trim()])?;
        commit(&self.clone, &format!("Revert \"{SET}: Kubernetes 1.35\""))?;
        self.push()
    }

    fn pull(&self) -> Result<(), CliError> {
        git(&self.clone, &["pull", "--quiet", "--ff-only"]).map(drop)
    }

    fn push(&self) -> Result<(), CliError> {
        git(&self.clone, &["push", "--quiet"]).map(drop)
    }

    fn board(&self) -> Result<String, CliError> {
        git(&self.bare, &["show", &format!("main:{BOARD_PATH}")])
    }
}

fn options() -> Options {
    Options {
        branch: Some("main".to_owned()),
        poll_interval: RealDuration::from_secs(30),
        attention_interval: crate::daemon::ATTENTION_INTERVAL,
        once: false,
        until_settled: true,
        dry_run: false,
        until: None,
    }
}

fn first_drains(record: &Record) -> bool {
    record.clusters().any(|(set, cluster)| set.to_string() == SET && cluster.status.state == ClusterState::Draining)
}

fn whereabouts(clone: &Path, bare: &Path) -> String {
    let (clone, bare) = (clone.display(), bare.display());
    format!(
        "\nthe fleet repository  {bare}\n  its history         git -C {bare} log --oneline main\n  \
         its clusters        fleetwright get clusters -C {bare}\n  \
         why something waits fleetwright why {SET} -C {bare}\n\
         a person's clone      {clone}\nthe simulated clouds  {bare}/fleetwright/simulated-clouds.jsonl\n"
    )
}

/// A line for each publication.
struct Narrator {
    quiet: bool,
}

impl Events for Narrator {
    fn event(&mut self, event: Event<'_>) {
        let line = match event {
            Event::Published { published, now } if !self.quiet => {
                let commit = published.commit.as_ref().map(|commit| commit.short().to_owned());
                commit.map(|commit| format!("   {now}  {commit}  {}", published.summary))
            }
            Event::NotPublished(error) => Some(format!("   not published: {error}")),
            Event::Violation(violation) => Some(format!("   refused by the check: {violation}")),
            _ => None,
        };
        if let Some(line) = line {
            // A closed stderr is nobody's loss.
            let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("{line}\n").as_bytes());
        }
    }
}
