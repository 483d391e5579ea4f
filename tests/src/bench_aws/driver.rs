//! The adapter, driven by the production planner as the daemon drives it: read, plan, check, take the record for
//! published, hand out eight at a time. In a process of its own, so that its processor is counted and nobody else's.
//!
//! What the measurement is not about (networks, roles, streams) is made by plain calls, with our tags and marks. A stream
//! is told to the planner from the beginning and made last, because its tags are read five a second.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration as RealDuration;

use fleetwright::clock::machine_time;
use fleetwright_aws::Aws;
use fleetwright_clouds::{Access, Cloud as _, CloudError, Progress};
use fleetwright_core::action::{Action, Effect};
use fleetwright_core::change::ChangeTable;
use fleetwright_core::check::check;
use fleetwright_core::desired::Desired;
use fleetwright_core::fingerprint::Memo;
use fleetwright_core::fleet::{FleetCache, desired, read_fleet};
use fleetwright_core::inventory::{Inventory, Listing, Phase, Place, Reading, Resource, Step};
use fleetwright_core::memory::{Acknowledgements, Memory};
use fleetwright_core::plan::{Inputs, Plan, plan};
use fleetwright_core::record::Record;
use fleetwright_emulators::python_bin;
use fleetwright_schema::names::{Cloud as CloudName, ClusterName};
use fleetwright_schema::status::ClusterState;
use fleetwright_schema::units::{Duration, Timestamp};
use fleetwright_tests::contract::conductor::ACCOUNT;
use fleetwright_tests::fleets::snapshot;
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::fleet;

/// As the daemon has it.
const AT_ONCE: usize = 8;
/// As often as the daemon looks where something is under way.
const ATTENTION: RealDuration = RealDuration::from_secs(15);
/// What plain calls make.
const GIVEN: [Step; 3] = [Step::Network, Step::Identity, Step::LogStream];
/// What the adapter makes.
const EKS: [Step; 5] = [Step::ControlPlane, Step::NodePools, Step::Access, Step::Secrets, Step::InfraServices];

/// Does what it is asked for, a word a line, and answers with the seconds of processor that it took.
pub fn serve(regions: &[String], clusters: u32, speed: f64) {
    let mut driver = Driver::new(regions, clusters, speed);
    for line in std::io::stdin().lines() {
        let (line, began) = (line.unwrap(), processor_seconds());
        driver.answer(&line);
        println!("{}", processor_seconds() - began);
        std::io::stdout().flush().unwrap();
    }
}

fn processor_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

struct Driver {
    runtime: Runtime,
    adapter: Arc<Aws>,
    places: Vec<Place>,
    clusters: usize,
    desired: Desired,
    record: Record,
    memory: Memory,
    inventory: Inventory,
    memo: Memo,
    now: Timestamp,
    rest: RealDuration,
    /// Log streams that are told and not made yet, with what is needed to make them.
    told: BTreeMap<ClusterName, (Resource, Value)>,
}

impl Driver {
    fn new(regions: &[String], clusters: u32, speed: f64) -> Self {
        let files = fleet::files(regions, clusters);
        let reading = read_fleet(&snapshot(files), &mut FleetCache::default());
        assert!(reading.is_sound(), "{:?}", reading.diagnostics);
        let record = Record::default();
        Self {
            runtime: tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap(),
            adapter: Arc::new(Aws::new(Access::ReadWrite)),
            places: regions.iter().map(|region| place(region)).collect(),
            clusters: clusters as usize,
            desired: desired(&reading, &record, None, None),
            record,
            memory: Memory::default(),
            inventory: Inventory::default(),
            memo: Memo::default(),
            now: machine_time(),
            rest: ATTENTION.div_f64(speed),
            told: BTreeMap::new(),
        }
    }

    fn answer(&mut self, what: &str) {
        match what {
            "prepare" => self.go_on_with(&GIVEN, Self::is_prepared),
            "planes" => self.go_on_with(&[Step::ControlPlane], Self::has_planes),
            "again" => self.again(),
            "rest" => self.rest(),
            "begin" => self.begin(),
            "pass" => self.pass(),
            "closely" => self.closely(),
            _ => panic!("nobody knows how to {what}"),
        }
    }

    /// Another process, which has read the record and nothing else.
    fn begin(&mut self) {
        self.adapter = Arc::new(Aws::new(Access::ReadWrite));
        (self.memory, self.inventory, self.memo) = (Memory::default(), Inventory::default(), Memo::default());
        self.memory.note_record(&self.record, self.now);
    }

    /// A pass in which nothing is to be done, and everything is as it is wished for.
    fn pass(&mut self) {
        self.read(&BTreeSet::new());
        let plan = self.plan();
        let quiet = plan.is_quiet(&self.record) && plan.is_settled();
        let unmarked = self.parts().find(|part| part.applied.is_empty());
        assert!(quiet, "{:?} is to be done, {unmarked:?} is not whole", plan.actions.first());
    }

    /// A pass over control planes that stand, and whose other parts are nobody's wish yet.
    fn again(&mut self) {
        self.read(&self.moving());
        let plan = self.plan();
        assert!(plan.actions.iter().all(|action| action.key.step > Step::ControlPlane), "{:?}", plan.actions.first());
    }

    fn closely(&mut self) {
        self.read(&self.record.clusters().map(|(_, cluster)| cluster.metadata.name.clone()).collect());
    }

    /// All other parts, and then the streams.
    fn rest(&mut self) {
        self.go_on_with(&EKS, |driver| {
            let plan = driver.plan();
            plan.is_settled() && plan.is_quiet(&driver.record)
        });
        let told = std::mem::take(&mut self.told);
        seed(&told.into_values().map(|(_, part)| part).collect::<Vec<_>>());
    }

    fn parts(&self) -> impl Iterator<Item = &Resource> {
        let listings = self.inventory.places.values().filter_map(|reading| reading.result.as_ref().ok());
        listings.flat_map(|listing| listing.resources.values().flatten())
    }

    fn is_prepared(&self) -> bool {
        GIVEN.iter().all(|step| self.parts().filter(|part| part.step == *step).count() == self.clusters)
    }

    fn has_planes(&self) -> bool {
        let stands = |part: &&Resource| part.step == Step::ControlPlane && part.phase == Phase::Ready;
        self.parts().filter(stands).count() == self.clusters
    }

    /// Turns of the loop, in which actions on these parts are handed out, until this holds.
    fn go_on_with(&mut self, steps: &[Step], holds: impl Fn(&Self) -> bool) {
        loop {
            self.read(&self.moving());
            if holds(self) {
                return;
            }
            let plan = self.plan();
            if plan.record != self.record {
                self.record = plan.record;
                self.memory.note_record(&self.record, self.now);
                continue;
            }
            let actions: Vec<Action> =
                plan.actions.into_iter().filter(|action| steps.contains(&action.key.step)).collect();
            if actions.is_empty() {
                // The time of the clusters goes on by itself.
                std::thread::sleep(self.rest);
                self.now = self.now.plus(Duration::from_seconds(ATTENTION.as_secs()));
            }
            self.hand_out(actions);
        }
    }

    /// The clusters with which something is under way.
    fn moving(&self) -> BTreeSet<ClusterName> {
        let moving = self.record.clusters().filter(|(_, cluster)| cluster.status.state != ClusterState::Ready);
        moving.map(|(_, cluster)| cluster.metadata.name.clone()).collect()
    }

    /// All places side by side, as the daemon reads them.
    fn read(&mut self, closely: &BTreeSet<ClusterName>) {
        // Every reading is later than what was done before it.
        self.now = machine_time().max(self.now.plus(Duration::from_seconds(2)));
        let read = self.places.iter().map(|place| {
            let (adapter, place, closely) = (Arc::clone(&self.adapter), place.clone(), closely.clone());
            async move {
                let listing = adapter.observe(&place, &closely).await;
                (place, listing.unwrap())
            }
        });
        let read: JoinSet<(Place, Listing)> = self.runtime.block_on(async { read.collect() });
        for (place, listing) in self.runtime.block_on(read.join_all()) {
            let told = self.told.values().map(|(stream, _)| stream).filter(|stream| is_in(stream, &place)).cloned();
            let listing: Listing = listing.resources.into_values().flatten().chain(told).collect();
            self.memory.note_reading(&self.record, &place, &listing, self.now);
            let reading = Reading { at: self.now, result: Ok(Arc::new(listing)), failing_since: None };
            self.inventory.places.insert(place, reading);
        }
    }

    fn plan(&self) -> Plan {
        let acknowledgements = Acknowledgements::default();
        let inputs = Inputs {
            now: self.now,
            desired: &self.desired,
            record: &self.record,
            inventory: &self.inventory,
            memory: &self.memory,
            acknowledgements: &acknowledgements,
            table: ChangeTable::shipped(),
            memo: &self.memo,
        };
        let checked = check(&inputs, plan(&inputs));
        assert!(checked.violations().is_empty(), "{:?}", checked.violations());
        checked.into_plan()
    }

    fn hand_out(&mut self, actions: Vec<Action>) {
        self.now = self.now.plus(Duration::from_seconds(1));
        actions.iter().for_each(|action| self.memory.started(action, self.now));
        let (given, others): (Vec<_>, Vec<_>) =
            actions.into_iter().partition(|action| GIVEN.contains(&action.key.step));
        self.give(&given);
        for (action, result) in self.runtime.block_on(perform(&self.adapter, others)) {
            let error = result.err().map(|error| (error.class, error.to_string(), error.retry_after));
            self.memory.finished(&action, self.now, error);
        }
    }

    /// What plain calls make is made; a stream is told, and made later.
    fn give(&mut self, actions: &[Action]) {
        let (streams, others): (Vec<_>, Vec<_>) = actions.iter().partition(|action| action.key.step == Step::LogStream);
        seed(&others.iter().map(|action| described(action)).collect::<Vec<_>>());
        for action in streams {
            self.told.insert(action.key.cluster.clone(), (told(action, self.now), described(action)));
        }
        actions.iter().for_each(|action| self.memory.finished(action, self.now, None));
    }
}

fn place(region: &str) -> Place {
    Place { cloud: CloudName::Aws, account: ACCOUNT.into(), region: region.parse().unwrap() }
}

fn is_in(part: &Resource, place: &Place) -> bool {
    part.set.location.region == place.region
}

async fn perform(adapter: &Arc<Aws>, actions: Vec<Action>) -> Vec<(Action, Result<Progress, CloudError>)> {
    let gate = Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks = JoinSet::new();
    for action in actions {
        let (adapter, gate) = (Arc::clone(adapter), Arc::clone(&gate));
        tasks.spawn(async move {
            let _permit = gate.acquire().await;
            let result = adapter.perform(&action).await;
            (action, result)
        });
    }
    tasks.join_all().await
}

/// What a part is to be made from.
fn described(action: &Action) -> Value {
    let Effect::Create { fingerprint, cidr, .. } = &action.effect else { panic!("{action} of what is given") };
    json!({
        "step": action.key.step,
        "cluster": action.key.cluster,
        "set": action.set,
        "ordinal": action.ordinal,
        "applied": fingerprint,
        "cidr": cidr,
    })
}

/// A stream as it will be.
fn told(action: &Action, now: Timestamp) -> Resource {
    let Effect::Create { fingerprint, .. } = &action.effect else { panic!("{action} of what is given") };
    Resource {
        id: format!("stream/{}", action.key.cluster).into(),
        step: Step::LogStream,
        cluster: action.key.cluster.clone(),
        set: action.set.clone(),
        ordinal: action.ordinal,
        phase: Phase::Ready,
        applied: Arc::clone(fingerprint),
        created_at: now,
        uses: Vec::new(),
        control_plane: None,
        node_pools: Vec::new(),
        infra_services: Vec::new(),
    }
}

/// Makes parts by plain calls.
fn seed(parts: &[Value]) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    parts.iter().for_each(|part| writeln!(file, "{part}").unwrap());
    let script = format!("{}/src/bench_aws/seed.py", env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(python_bin().unwrap().join("python")).arg(script).arg(file.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
