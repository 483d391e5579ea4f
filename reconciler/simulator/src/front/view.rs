//! A look at one place, as the caller is shown it.

use std::collections::BTreeMap;
use std::sync::Arc;

use fleetwright_core::inventory::{ControlPlaneFacts, Place, Step};
use fleetwright_schema::names::ClusterName;
use fleetwright_schema::units::Timestamp;

use super::{Kind, Part};
use crate::chance;
use crate::record::{Id, Record};
use crate::rules::Scene;
use crate::state::State;

/// What is in a place.
#[derive(Clone)]
pub struct View<'a> {
    pub(super) scene: Scene<'a>,
    pub(super) place: &'a Place,
    /// Earlier than now under late readings.
    then: Timestamp,
    /// What was drafted over it; `None` is gone.
    pub(super) drafted: BTreeMap<Id, Option<Record>>,
}

impl<'a> View<'a> {
    pub(crate) fn new(state: &'a State, place: &'a Place, now: Timestamp, then: Timestamp) -> Self {
        Self { scene: Scene { state, now }, place, then, drafted: BTreeMap::new() }
    }
    /// The time of what is shown.
    pub const fn time(&self) -> Timestamp {
        self.then
    }
    /// Where it is.
    pub const fn place(&self) -> &Place {
        self.place
    }
    /// Everything of a kind, of one cluster or of all, by cluster and then by age.
    pub fn parts(&self, kind: Kind, cluster: Option<&ClusterName>) -> Vec<Part> {
        let mut parts: Vec<Part> =
            self.records(kind, cluster).into_iter().filter_map(|record| Part::of(record, self.then)).collect();
        parts.sort_by(|a, b| (&a.cluster, a.created_at, &a.name).cmp(&(&b.cluster, b.created_at, &b.name)));
        parts
    }
    /// One of them, by its name.
    pub fn part(&self, kind: Kind, cluster: &ClusterName, name: &str) -> Option<Part> {
        self.parts(kind, Some(cluster)).into_iter().find(|part| &*part.name == name)
    }
    /// Placement and workloads of a cluster.
    pub fn control_plane(&self, cluster: &ClusterName) -> Option<ControlPlaneFacts> {
        let Scene { state, now } = self.scene;
        let records = state.records_at(self.place, now, self.then).into_iter();
        let mut records = records.filter(|record| record.step == Step::ControlPlane && record.cluster == *cluster);
        records.find_map(|record| state.seen(record, self.then)?.control_plane)
    }
    /// What keeps the last workload of a cluster from leaving.
    pub fn blocked_by(&self, cluster: &ClusterName) -> Option<&'a [String]> {
        self.scene.state.faults.stuck(cluster)
    }
    /// A number that is a function of the world's seed and of these parts.
    pub fn chance(&self, parts: &[&str]) -> u64 {
        chance::hash(self.scene.state.seed, parts)
    }

    fn records(&self, kind: Kind, cluster: Option<&ClusterName>) -> Vec<&Record> {
        let Scene { state, now } = self.scene;
        let all: Vec<&Record> = match cluster {
            Some(cluster) if now <= self.then => state.of(self.place, cluster, kind.step).collect(),
            _ => state.records_at(self.place, now, self.then),
        };
        let old = all.into_iter().filter(|record| !self.drafted.contains_key(&record.id));
        let here = old.chain(self.drafted.values().flatten());
        let wanted = |record: &Record| {
            record.wire.as_ref().is_some_and(|wire| &*wire.kind == kind.name)
                && cluster.is_none_or(|cluster| record.cluster == *cluster)
        };
        here.filter(|record| wanted(record)).collect()
    }
    /// By id, drafted or not.
    pub(super) fn record(&self, id: &Id) -> Option<&Record> {
        match self.drafted.get(id) {
            Some(drafted) => drafted.as_ref(),
            None => self.scene.state.get(id),
        }
    }
    pub(super) fn part_of(&self, id: &Arc<str>) -> Option<Part> {
        Part::of(self.record(id)?, self.then)
    }
}
