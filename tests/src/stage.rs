//! A fleet on a stage: a bare repository, its simulated clouds, and daemons that come and go.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fleetwright::assembly::{Assembled, Setup, assemble};
use fleetwright::daemon::{DaemonError, Ended, Options};
use fleetwright::events::{Event, Events};
use fleetwright::hands::News;
use fleetwright_core::inventory::ErrorClass;
use fleetwright_core::plan::Plan;
use fleetwright_core::record::Record;
use fleetwright_schema::status::ClusterSetStatus;
use fleetwright_simulator::{Fault, SimClock, Speed, Target, World};
use tempfile::TempDir;

use crate::person::Person;
use crate::witness;

/// The set that most stories are about.
pub const SET: &str = "prod/azure/westeurope/ModelServing";

/// A fleet with one environment in three clouds and no limits of its own.
pub const FLEET: &str = r#"
apiVersion: fleetwright.dev/v1alpha1
kind: Fleet
metadata: { name: stage }
spec:
  builtinDefaults: 1
  environments:
    - name: dev
      accounts: &accounts
        aws: { id: "111111111111", provider: Simulated }
        azure: { id: 00000000-0000-0000-0000-000000000001, provider: Simulated }
        gcp: { id: stage-project, provider: Simulated }
    - name: staging
      accounts: *accounts
    - name: prod
      accounts: *accounts
  addressPools:
    - { name: main, cidr: 10.0.0.0/8, clusterPrefixLength: 20 }
"#;

/// A ClusterSet with the fields that stories change.
pub fn cluster_set(set: &str, spec: &str) -> String {
    let parts: Vec<&str> = set.split('/').collect();
    let [env, cloud, region, cluster_type] = parts[..] else { panic!("{set} is no set") };
    let spec: String = spec.trim().lines().map(|line| format!("  {}\n", line.trim_start_matches("    "))).collect();
    format!(
        "apiVersion: fleetwright.dev/v1alpha1\nkind: ClusterSet\nmetadata:\n  clusterType: {cluster_type}\n  location: {{ env: {env}, cloud: {cloud}, region: {region} }}\nspec:\n{spec}  nodePools:\n    - {{ name: default, spec: {{ instanceType: D4s_v3, minCount: 1, maxCount: 3 }} }}\n"
    )
}

/// The path of a set's file.
pub fn path_of(set: &str) -> String {
    format!("clustersets/{set}.yaml")
}

/// A fleet of one environment whose account of AWS is real, and which publishes at once.
pub fn real_aws_fleet(account: &str) -> String {
    format!(
        "apiVersion: fleetwright.dev/v1alpha1\nkind: Fleet\nmetadata: {{ name: real }}\nspec:\n  builtinDefaults: 1\n  \
         environments:\n    - name: prod\n      accounts:\n        aws: {{ id: \"{account}\", provider: Real }}\n  \
         addressPools:\n    - {{ name: main, cidr: 10.0.0.0/8, clusterPrefixLength: 20 }}\n  publishing: {{ batchWindow: \
         1s }}\n"
    )
}

/// A fleet, its person and its world.
pub struct Stage {
    dir: TempDir,
    /// Who edits the repository.
    pub person: Person,
}

type StopWhen = Box<dyn FnMut(&Record, &Plan) -> bool + Send>;

/// Stops the daemon once a published record, or a plan from it, is as wanted; counts what it did.
struct Watcher {
    stop: Option<StopWhen>,
    sender: Arc<Mutex<Option<Sender<News>>>>,
    tally: Arc<Mutex<Tally>>,
}

/// What a daemon did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Actions handed out, as text.
    pub actions: Vec<String>,
    /// Commits made.
    pub commits: u32,
    /// Pushes that did not succeed.
    pub refused_pushes: u32,
    /// Parts of plans that the check refused.
    pub violations: Vec<String>,
    /// What was last waited for.
    pub waiting: Vec<String>,
}

impl Events for Watcher {
    fn event(&mut self, event: Event<'_>) {
        let mut tally = self.tally.lock().unwrap();
        match event {
            Event::Started { action, .. } => tally.actions.push(action.to_string()),
            Event::Published { published, .. } => tally.commits += u32::from(published.commit.is_some()),
            Event::NotPublished(_) => tally.refused_pushes += 1,
            Event::Violation(violation) => tally.violations.push(violation.to_string()),
            Event::Planned { plan, record, .. } => {
                let waits = plan.reports.iter().flat_map(|(id, report)| {
                    let set = report.waiting.iter().map(move |waiting| format!("{id}: {}", waiting.sentence()));
                    let clusters = report.clusters.iter().flat_map(|(name, all)| {
                        all.iter().map(move |waiting| format!("{name}: {}", waiting.sentence()))
                    });
                    set.chain(clusters)
                });
                tally.waiting = waits.collect();
                if self.stop.as_mut().is_some_and(|stop| stop(record, plan)) {
                    let sender = self.sender.lock().unwrap();
                    sender.as_ref().unwrap().send(News::Stop).unwrap();
                }
            }
            Event::Tip { .. } | Event::Finished { .. } | Event::ReadFailed { .. } | Event::Trouble(_) => {}
        }
    }
}

impl Stage {
    /// A stage with these files committed.
    pub fn new(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let person = Person::new(&dir.path().join("fleet.git"));
        let changes: Vec<(&str, Option<&str>)> = files.iter().map(|(path, text)| (*path, Some(*text))).collect();
        person.commit("begin", &changes);
        Self { dir, person }
    }

    /// The usual fleet with one set.
    pub fn with_set(spec: &str) -> Self {
        Self::new(&[("fleet.yaml", FLEET), (&path_of(SET), &cluster_set(SET, spec))])
    }

    /// Commits a new version of the usual set.
    pub fn edit(&self, spec: &str) -> git2::Oid {
        self.person.commit("edit", &[(&path_of(SET), Some(&cluster_set(SET, spec)))])
    }

    /// The world, opened beside the daemons.
    pub fn world(&self) -> World {
        self.world_at(fleetwright::clock::machine_time())
    }

    /// The world as it will be when everything under way has ended; to be looked at only.
    pub fn world_in_the_end(&self) -> World {
        self.world_at(
            fleetwright::clock::machine_time().plus(fleetwright_schema::units::Duration::from_seconds(300 * 86_400)),
        )
    }

    /// Time passes in which no daemon runs.
    pub fn nobody_runs_it_for(&self, span: fleetwright_schema::units::Duration) {
        let newest = self.statuses().values().flat_map(|set| &set.clusters).map(|c| c.status.since).max();
        let now = newest.unwrap_or_else(fleetwright::clock::machine_time);
        // What is noted then is what the next daemon's clock begins after.
        let world = self.world_at(now.plus(span));
        world
            .inject(Fault::Refuse { target: Target::default(), class: ErrorClass::Throttled, times: None, until: None })
            .unwrap();
        world.clear_faults().unwrap();
    }

    fn world_at(&self, start: fleetwright_schema::units::Timestamp) -> World {
        let clock = SimClock::new(start, Speed::Max);
        let dir = self.person.path().join("fleetwright");
        std::fs::create_dir_all(&dir).unwrap();
        World::open(Some(&dir.join("simulated-clouds.jsonl")), 7, clock).unwrap()
    }

    /// A folder that goes with the stage.
    pub fn dir(&self) -> PathBuf {
        self.dir.path().to_owned()
    }

    /// Runs a daemon until it ends by itself.
    pub fn settle(&self) -> (Ended, Tally) {
        self.run(None)
    }

    /// Runs a daemon until a record and its plan are as wanted.
    pub fn run_until(&self, stop: impl FnMut(&Record, &Plan) -> bool + Send + 'static) -> Tally {
        let (ended, tally) = self.run(Some(Box::new(stop)));
        assert_eq!(ended, Ended::Stopped, "it ended before: {:#?}", tally.waiting);
        tally
    }

    fn run(&self, stop: Option<StopWhen>) -> (Ended, Tally) {
        let (mut assembled, tally) = self.assemble(stop);
        let ended = assembled.daemon.run().unwrap();
        let tally = tally.lock().unwrap().clone();
        assert_eq!(tally.violations, Vec::<String>::new());
        (ended, tally)
    }

    /// How its daemons are started: until the fleet has settled, on simulated time that does not wait.
    pub fn setup(&self) -> Setup {
        let options = Options {
            branch: Some("main".to_owned()),
            poll_interval: Duration::from_secs(30),
            attention_interval: fleetwright::daemon::ATTENTION_INTERVAL,
            once: false,
            until_settled: true,
            dry_run: false,
            until: None,
        };
        let repo = self.person.path().display().to_string();
        Setup { repo, options, speed: Some(Speed::Max), seed: 7, state_dir: None }
    }

    /// Runs a daemon that is expected to fail.
    pub fn run_failing(&self) -> DaemonError {
        let (mut assembled, _) = self.assemble(None);
        assembled.daemon.run().unwrap_err()
    }

    fn assemble(&self, stop: Option<StopWhen>) -> (Assembled, Arc<Mutex<Tally>>) {
        let tally = Arc::new(Mutex::new(Tally::default()));
        let sender = Arc::new(Mutex::new(None));
        let watcher = Watcher { stop, sender: Arc::clone(&sender), tally: Arc::clone(&tally) };
        let assembled = assemble(self.setup(), Box::new(watcher)).unwrap();
        *sender.lock().unwrap() = Some(assembled.news.clone());
        (assembled, tally)
    }

    /// The status of the usual set at the tip.
    pub fn status(&self) -> ClusterSetStatus {
        self.statuses().remove(SET).unwrap()
    }

    /// All status files at the tip.
    pub fn statuses(&self) -> BTreeMap<String, ClusterSetStatus> {
        witness::statuses(&self.person, self.person.tip().unwrap())
    }

    /// Plans again: there must be nothing to do, nothing to commit, and everything is as the promises want it.
    pub fn nothing_to_do(&self) {
        let tip = self.person.tip();
        let (_, tally) = self.settle();
        assert_eq!(tally.actions, Vec::<String>::new(), "plan again: nothing to do");
        assert_eq!(tally.commits, 0, "plan again: nothing to commit");
        assert_eq!(self.person.tip(), tip);
        witness::judge(&self.person);
        self.no_leaks();
    }

    /// Every resource belongs to a recorded cluster, and every recorded cluster that was built is there once.
    pub fn no_leaks(&self) {
        no_leaks(&self.statuses(), &self.world_in_the_end());
    }
}

/// Every resource of a world belongs to a recorded cluster, and is there once.
pub fn no_leaks(statuses: &BTreeMap<String, ClusterSetStatus>, world: &World) {
    let alive: BTreeSet<String> = statuses
        .values()
        .flat_map(|set| set.clusters.iter().map(|cluster| cluster.metadata.name.to_string()))
        .collect();
    let mut seen = BTreeSet::new();
    for standing in world.resources().unwrap() {
        let resource = &standing.resource;
        assert!(alive.contains(resource.cluster.as_str()), "{} of {} leaked", resource.step, resource.cluster);
        let once = seen.insert((resource.cluster.to_string(), resource.step));
        let many = resource.step == fleetwright_core::inventory::Step::Leftovers;
        assert!(once || many, "{} of {} is there twice", resource.step, resource.cluster);
    }
}
