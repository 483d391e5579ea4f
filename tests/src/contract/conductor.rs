//! Drives one adapter by the production planner, step by step, as the daemon does: read, plan, check, take the record for
//! published, hand out. One action after another, so that a test can say what happens between any two.

use std::collections::BTreeSet;
use std::sync::Arc;

use fleetwright_clouds::{Cloud, CloudError, Progress};
use fleetwright_core::action::Action;
use fleetwright_core::change::ChangeTable;
use fleetwright_core::check::check;
use fleetwright_core::desired::Desired;
use fleetwright_core::fingerprint::Memo;
use fleetwright_core::fleet::{FleetCache, desired, read_fleet};
use fleetwright_core::inventory::{Inventory, Listing, Phase, Reading, Step, UnknownReason};
use fleetwright_core::memory::{Acknowledgements, Memory};
use fleetwright_core::plan::{Inputs, Plan, plan};
use fleetwright_core::record::Record;
use fleetwright_schema::documents::Provider;
use fleetwright_schema::names::{ClusterName, SetId};
use fleetwright_schema::status::{ClusterSetStatus, ClusterState};
use fleetwright_schema::units::{Duration, Timestamp};
use tokio::runtime::Runtime;

use super::Lab;
use crate::fleets::snapshot;
use crate::stage::cluster_set;

/// Of the account in which everything happens, where it is not a real one.
pub const ACCOUNT: &str = "123456789012";
/// More steps than any case takes.
const STEPS_MAX: u32 = 3_000;
/// Nothing is waited for longer at a time.
const PASS_MAX: Duration = Duration::from_seconds(60);

/// How each action is delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// Once.
    #[default]
    Once,
    /// Twice, the second answer heard.
    Twice,
}

/// The driver.
pub struct Conductor<'a> {
    lab: &'a dyn Lab,
    /// The set that the suite is about.
    set: SetId,
    runtime: Runtime,
    adapter: Arc<dyn Cloud>,
    desired: Desired,
    /// What would be published.
    pub record: Record,
    memory: Memory,
    inventory: Inventory,
    last_read: Option<Timestamp>,
    /// How actions are delivered.
    pub delivery: Delivery,
    /// How often a process ended and another one began.
    pub restarts: u32,
    /// The parts that were ever read to have failed.
    pub failed: BTreeSet<Step>,
    /// Everything that was handed out, with what came of it.
    pub history: Vec<(Action, Result<Progress, CloudError>)>,
}

impl<'a> Conductor<'a> {
    /// A daemon that has just begun, and nothing is wished for.
    pub fn new(lab: &'a dyn Lab) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let mut conductor = Self {
            lab,
            set: format!("prod/aws/{}/Contract", lab.place().region).parse().unwrap(),
            runtime,
            adapter: lab.adapter(),
            desired: Desired::held(fleetwright_core::desired::Hold::FleetUnreadable, None),
            record: Record::default(),
            memory: Memory::default(),
            inventory: Inventory::default(),
            last_read: None,
            delivery: Delivery::default(),
            restarts: 0,
            failed: BTreeSet::new(),
            history: Vec::new(),
        };
        conductor.wish(None);
        conductor
    }

    /// Somebody wishes for this of the set, or for none of it.
    pub fn wish(&mut self, spec: Option<&str>) {
        let mut files = vec![("fleet.yaml".to_owned(), fleet(self.lab))];
        files.extend(spec.map(|spec| (format!("clustersets/{}.yaml", self.set), text_of(&self.set, spec))));
        let reading = read_fleet(&snapshot(files), &mut FleetCache::default());
        assert!(reading.is_sound(), "{:?}", reading.diagnostics);
        self.desired = desired(&reading, &self.record, None, None);
    }

    /// The process ends, and another one begins.
    pub fn restart(&mut self) {
        self.restarts += 1;
        self.adapter = self.lab.adapter();
        (self.memory, self.inventory, self.last_read) = (Memory::default(), Inventory::default(), None);
        self.memory.note_record(&self.record, self.lab.now());
    }

    /// The set's status.
    pub fn status(&self) -> Option<&ClusterSetStatus> {
        self.record.sets.get(&self.set).map(|set| &**set)
    }

    /// The states of its clusters, by ordinal.
    pub fn states(&self) -> Vec<(u32, ClusterState)> {
        let clusters = self.status().map_or(&[][..], |set| &set.clusters);
        clusters.iter().map(|cluster| (cluster.metadata.ordinal, cluster.status.state)).collect()
    }

    /// One reading, by itself.
    pub fn observe(&self) -> Result<Listing, CloudError> {
        let closely: BTreeSet<ClusterName> =
            self.record.clusters().map(|(_, cluster)| cluster.metadata.name.clone()).collect();
        self.runtime.block_on(self.adapter.observe(&self.lab.place(), &closely))
    }

    /// A reading of a place in which nothing is under way.
    pub fn glance(&self) -> Result<Listing, CloudError> {
        self.runtime.block_on(self.adapter.observe(&self.lab.place(), &BTreeSet::new()))
    }

    /// One action, by itself.
    pub fn perform(&self, action: &Action) -> Result<Progress, CloudError> {
        self.runtime.block_on(self.adapter.perform(action))
    }

    fn read(&mut self) {
        let (place, at) = (self.lab.place(), self.lab.now());
        let before = self.inventory.places.get(&place).and_then(|reading| reading.failing_since);
        let result = self.observe();
        let reading = match result {
            Ok(listing) => {
                let parts = listing.resources.values().flatten();
                self.failed.extend(parts.filter(|part| part.phase == Phase::Failed).map(|part| part.step));
                self.memory.note_reading(&self.record, &place, &listing, at);
                Reading { at, result: Ok(Arc::new(listing)), failing_since: None }
            }
            Err(error) => Reading {
                at,
                result: Err(UnknownReason::Failed(error.class, error.to_string())),
                failing_since: before.or(Some(at)),
            },
        };
        self.last_read = Some(at);
        self.inventory.places.insert(place, reading);
    }

    /// What is planned now.
    pub fn plan(&self) -> Plan {
        let memo = Memo::default();
        let acknowledgements = Acknowledgements::default();
        let inputs = Inputs {
            now: self.lab.now(),
            desired: &self.desired,
            record: &self.record,
            inventory: &self.inventory,
            memory: &self.memory,
            acknowledgements: &acknowledgements,
            table: ChangeTable::shipped(),
            memo: &memo,
        };
        let checked = check(&inputs, plan(&inputs));
        assert!(checked.violations().is_empty(), "{:?}", checked.violations());
        checked.into_plan()
    }

    /// One turn of the loop; whether anything was published or done. A process that has ended is followed by another.
    pub fn step(&mut self) -> bool {
        if self.lab.has_ended() {
            self.lab.mend();
            self.restart();
            self.lab.pass(Duration::from_seconds(2));
        }
        self.read();
        let plan = self.plan();
        if plan.record != self.record {
            self.record = plan.record;
            self.memory.note_record(&self.record, self.lab.now());
            return true;
        }
        for action in &plan.actions {
            self.memory.started(action, self.lab.now());
            if self.delivery == Delivery::Twice {
                drop(self.perform(action));
            }
            let result = self.perform(action);
            self.history.push((action.clone(), result.clone()));
            let error = result.err().map(|error| (error.class, error.to_string(), error.retry_after));
            self.memory.finished(action, self.lab.now(), error);
        }
        !plan.actions.is_empty()
    }

    /// Goes on until this holds.
    pub fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        for _ in 0..STEPS_MAX {
            if holds(self) {
                return;
            }
            if !self.step() {
                self.lab.pass(PASS_MAX);
            } else {
                // A reading must be younger than what it is to show.
                self.lab.pass(Duration::from_seconds(2));
            }
        }
        panic!("{}: never {what}: {:?}\n{}", self.lab.name(), self.states(), self.told());
    }

    /// Goes on until everything is as wished, and nothing is left to do.
    pub fn settle(&mut self) {
        self.until("settled", |conductor| {
            let plan = conductor.plan();
            let read = conductor.last_read.is_some();
            read && plan.is_settled() && plan.is_quiet(&conductor.record)
        });
    }

    /// The last actions and the reasons of what waits, for who reads a failure.
    pub fn told(&self) -> String {
        let done = self.history.iter().rev().take(12).rev();
        let mut lines: Vec<String> = done.map(|(action, result)| format!("{action}: {result:?}")).collect();
        for report in self.plan().reports.values() {
            lines.extend(report.waiting.iter().map(|waiting| waiting.sentence()));
            for (name, all) in &report.clusters {
                lines.extend(all.iter().map(|waiting| format!("{name}: {}", waiting.sentence())));
            }
        }
        lines.join("\n")
    }
}

fn fleet(lab: &dyn Lab) -> String {
    let account = lab.place().account;
    let provider = match lab.provider() {
        Provider::Simulated => "Simulated",
        Provider::Real => "Real",
    };
    format!(
        "apiVersion: fleetwright.dev/v1alpha1\nkind: Fleet\nmetadata: {{ name: contract }}\nspec:\n  \
         builtinDefaults: 1\n  environments:\n    - name: prod\n      accounts:\n        aws: {{ id: \"{account}\", \
         provider: {provider} }}\n  addressPools:\n    - {{ name: main, cidr: 10.0.0.0/8, clusterPrefixLength: 20 }}\n"
    )
}

/// Quick where quickness is the set's to choose, so that a case is about the adapter.
fn text_of(set: &SetId, spec: &str) -> String {
    let strategy = "updateStrategy: { rotateOn: [], clusterRotation: { bake: 1m, rollbackWindow: 1m } }";
    cluster_set(&set.to_string(), &format!("{spec}\n{strategy}")).replace("D4s_v3", "m6i.large")
}
