//! Putting a daemon together: where its state is, which clock it runs on, which clouds it has.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use fleetwright_clouds::{Access, Cloud};
use fleetwright_core::fingerprint::digest;
use fleetwright_repo::{Mirror, MirrorOptions, Remote, RepoError, Watch, watch};
use fleetwright_schema::documents::{FleetSpec, Provider};
use fleetwright_schema::names::Cloud as CloudName;
use fleetwright_simulator::{SimClock, Speed, World};
use tokio::runtime::Runtime;

use crate::clock::{Clock, machine_time};
use crate::daemon::{Daemon, DaemonError, Options, Parts};
use crate::events::Events;
use crate::hands::{Adapters, CloudHands, News};
use crate::tip::TipReader;

/// What a daemon is put together from.
pub struct Setup {
    /// The fleet repository: a URL or a path.
    pub repo: String,
    /// How it runs.
    pub options: Options,
    /// How fast simulated time runs; `None` where the caller did not say.
    pub speed: Option<Speed>,
    /// The seed of a new simulated world.
    pub seed: u64,
    /// Where the daemon keeps what it can lose.
    pub state_dir: Option<PathBuf>,
}

/// Simulated minutes pass in seconds, unless somebody says otherwise.
const SPEED_DEFAULT: Speed = Speed::Factor(60.0);

/// So many daemons may follow one repository from one machine.
const MIRRORS_MAX: u32 = 8;

/// A daemon with what must outlive it.
pub struct Assembled {
    /// The daemon.
    pub daemon: Daemon,
    /// The simulated world.
    pub world: World,
    /// The way to stop it.
    pub news: Sender<News>,
    _watch: Option<Watch>,
    _runtime: Runtime,
}

/// Puts a daemon together.
pub fn assemble(setup: Setup, events: Box<dyn Events>) -> Result<Assembled, DaemonError> {
    let remote = Remote::parse(&setup.repo)?;
    let state = state_dir(&remote, setup.state_dir.as_deref());
    std::fs::create_dir_all(&state).map_err(|error| cannot_write(&state, &error))?;
    let world_dir = world_dir(&remote, &state);
    std::fs::create_dir_all(&world_dir).map_err(|error| cannot_write(&world_dir, &error))?;
    let mirror = open_mirror(&setup.repo, &state)?;
    let branch = match setup.options.branch.clone() {
        Some(branch) => branch,
        None => default_branch(&mirror, &setup.options)?,
    };
    let config = first_config(&mirror, &branch);
    let (clock, sim_clock) = clocks(config.as_deref(), setup.speed)?;
    let world = World::open(Some(&world_dir.join("simulated-clouds.jsonl")), setup.seed, sim_clock)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| DaemonError::Unsuitable(format!("no threads can be started: {error}")))?;
    let (sender, news) = channel();
    let told = sender.clone();
    let watch = watch(&remote, move || drop(told.send(News::Repository)));
    // A dry run enters accounts by the roles that may only look.
    let access = if setup.options.dry_run { Access::ReadOnly } else { Access::ReadWrite };
    let adapters = Adapters { simulated: Arc::new(world.clone()), real: real_clouds(access) };
    let hands = CloudHands::new(runtime.handle().clone(), clock.clone(), sender.clone(), adapters);
    stop_on_signals(&runtime, sender.clone());
    let options = setup.options;
    let parts = Parts {
        options,
        branch,
        upstream: Box::new(mirror),
        hands: Box::new(hands),
        news,
        clock,
        world: Some(world.clone()),
        events,
        salt: std::process::id(),
    };
    Ok(Assembled { daemon: Daemon::new(parts), world, news: sender, _watch: watch, _runtime: runtime })
}

/// The adapters of the providers' own clouds.
pub type Clouds = BTreeMap<CloudName, Arc<dyn Cloud>>;

/// The adapters of this build.
pub fn real_clouds(access: Access) -> Clouds {
    // A build without any has nobody to enter an account.
    let _ = access;
    [
        #[cfg(feature = "aws")]
        (CloudName::Aws, Arc::new(fleetwright_aws::Aws::new(access)) as Arc<dyn Cloud>),
    ]
    .into_iter()
    .collect()
}

fn cannot_write(dir: &Path, error: &std::io::Error) -> DaemonError {
    DaemonError::Unsuitable(format!(
        "{} can't be used for state: {error}; name another with --state-dir",
        dir.display()
    ))
}

/// Beside a local repository, so that both live and die together; below the user's state directory for another.
fn state_dir(remote: &Remote, given: Option<&Path>) -> PathBuf {
    if let Some(given) = given {
        return given.to_owned();
    }
    match remote.local_git_dir() {
        Some(dir) => dir.join("fleetwright"),
        None => crate::settings::user_state_dir().join(digest(&remote.to_string(), 16)),
    }
}

/// The simulated clouds belong to the fleet, not to one daemon: those of a local repository are beside it.
fn world_dir(remote: &Remote, state: &Path) -> PathBuf {
    remote.local_git_dir().map_or_else(|| state.to_owned(), |dir| dir.join("fleetwright"))
}

/// The first mirror that no other daemon uses.
fn open_mirror(repo: &str, state: &Path) -> Result<Mirror, DaemonError> {
    let mut last = None;
    for number in 1..=MIRRORS_MAX {
        let dir = state.join(format!("mirror-{number}.git"));
        match Mirror::open_with(Remote::parse(repo)?, &dir, MirrorOptions::default()) {
            Ok(mirror) => return Ok(mirror),
            Err(error @ RepoError::Refused { .. }) => last = Some(error),
            Err(error) => return Err(error.into()),
        }
    }
    Err(last.map_or_else(|| DaemonError::Unsuitable("no mirror can be opened".to_owned()), DaemonError::from))
}

/// The remote's default branch, and `main` where it has none. A remote that does not answer has said nothing, and a guess
/// could be another branch with another wish: it is asked again, unless the run is to end.
fn default_branch(mirror: &Mirror, options: &Options) -> Result<String, DaemonError> {
    let ends = options.once || options.until_settled || options.dry_run;
    let mut pause = Duration::from_secs(1);
    loop {
        match mirror.default_branch() {
            Ok(branch) => return Ok(branch.unwrap_or_else(|| "main".to_owned())),
            Err(error) if ends => return Err(error.into()),
            Err(error) => tracing::warn!(%error, "the remote does not tell its default branch"),
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// A remote that is back is noticed within it.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// The settings of the tip, by which the clock is chosen; the daemon reports what is wrong with them.
fn first_config(mirror: &Mirror, branch: &str) -> Option<Arc<FleetSpec>> {
    let refs = mirror.fetch().ok()?;
    TipReader::new(branch).read(mirror, refs).ok()?.desired.config
}

/// Simulated time only where every account is simulated; a real cloud runs on real time, whatever is wished.
fn clocks(config: Option<&FleetSpec>, speed: Option<Speed>) -> Result<(Clock, SimClock), DaemonError> {
    let real = config.is_some_and(has_real_account);
    if real && speed.is_some() {
        let why = "--sim-speed is for fleets whose accounts are all simulated; fleet.yaml has a real one";
        return Err(DaemonError::Unsuitable(why.to_owned()));
    }
    let speed = if real { Speed::Factor(1.0) } else { speed.unwrap_or(SPEED_DEFAULT) };
    let sim_clock = SimClock::new(machine_time(), speed);
    let clock = if real { Clock::Real } else { Clock::Simulated(sim_clock.clone()) };
    Ok((clock, sim_clock))
}

/// Whether any account of a fleet is the provider's own.
pub fn has_real_account(config: &FleetSpec) -> bool {
    let accounts = config.environments.iter().flat_map(|environment| environment.accounts.values());
    accounts.into_iter().any(|account| account.provider == Provider::Real)
}

fn stop_on_signals(runtime: &Runtime, news: Sender<News>) {
    runtime.spawn(async move {
        use tokio::signal::unix::{SignalKind, signal};
        let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
        else {
            return;
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        let _ = news.send(News::Stop);
    });
}
