//! Everything that exists, and the changes by which it becomes something else. A change is applied, never judged: the
//! rules have judged it before it was written to the journal.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use fleetwright_core::inventory::{Place, Resource, Step};
use fleetwright_schema::names::ClusterName;
use fleetwright_schema::units::{Duration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::agenda::Agenda;
use crate::faults::{Fault, FaultId, Faults};
use crate::record::{CountFaults, Id, Record};

/// How long the past is kept for late readings.
pub(crate) const PAST_MAX: Duration = Duration::from_seconds(86_400);

/// One change of the world, as the journal keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(crate) enum Change {
    /// A resource is new, or has changed.
    Put(Box<Record>),
    /// A resource is gone at once.
    Remove { id: Id },
    /// What was until then; written by compaction alone.
    Past { until: Timestamp, record: Box<Record> },
    /// So many resources of this step has this cluster had; written by compaction alone.
    Generation { cluster: ClusterName, step: Step, count: u32 },
    /// A fault is there.
    Arm {
        id: FaultId,
        fault: Fault,
        #[serde(default)]
        used: u32,
    },
    /// A fault was used once.
    Used { id: FaultId },
    /// A fault is gone.
    Disarm { id: FaultId },
    /// Lower ids of faults were given away; written by compaction alone.
    NextFault { id: FaultId },
}

/// What is in one place.
#[derive(Debug, Default)]
struct Shelf {
    /// In the order of listings.
    index: BTreeSet<(ClusterName, Step, Id)>,
    counts: BTreeMap<Step, u32>,
    /// Networks with addresses of their own.
    networks: BTreeSet<Id>,
    /// Former versions, with the time until which they held.
    past: VecDeque<(Timestamp, Record)>,
}

impl Shelf {
    /// Keeps what was, for a day. What never was to be seen is not kept.
    fn remember(&mut self, record: Record, until: Timestamp) {
        while self.past.front().is_some_and(|(end, _)| until.since(*end) > PAST_MAX) {
            self.past.pop_front();
        }
        if record.since < until {
            self.past.push_back((until, record));
        }
    }
}

/// The world at one moment.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) seed: u64,
    pub(crate) faults: Faults,
    records: BTreeMap<Id, Record>,
    places: BTreeMap<Place, Shelf>,
    users: BTreeMap<Id, BTreeSet<Id>>,
    generations: BTreeMap<(ClusterName, Step), u32>,
    agenda: Agenda,
}

impl State {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            faults: Faults::default(),
            records: BTreeMap::new(),
            places: BTreeMap::new(),
            users: BTreeMap::new(),
            generations: BTreeMap::new(),
            agenda: Agenda::default(),
        }
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Record> {
        self.records.get(id)
    }
    pub(crate) fn records(&self) -> impl Iterator<Item = &Record> {
        self.records.values()
    }
    /// The resources of one part of a cluster.
    pub(crate) fn of(&self, place: &Place, cluster: &ClusterName, step: Step) -> impl Iterator<Item = &Record> {
        let first = (cluster.clone(), step, Id::from(""));
        let shelf = self.places.get(place);
        let keys = shelf.into_iter().flat_map(move |shelf| shelf.index.range(first.clone()..));
        let cluster = cluster.clone();
        keys.take_while(move |(c, s, _)| *c == cluster && *s == step).filter_map(|(_, _, id)| self.get(id))
    }
    /// What was made in, or of, this resource.
    pub(crate) fn users(&self, id: &str) -> impl Iterator<Item = &Record> {
        self.users.get(id).into_iter().flatten().filter_map(|user| self.get(user))
    }
    pub(crate) fn count(&self, place: &Place, step: Step) -> u32 {
        self.places.get(place).and_then(|shelf| shelf.counts.get(&step)).copied().unwrap_or(0)
    }
    pub(crate) fn networks(&self, place: &Place) -> impl Iterator<Item = &Record> {
        self.places.get(place).into_iter().flat_map(|shelf| &shelf.networks).filter_map(|id| self.get(id))
    }
    pub(crate) fn generation(&self, cluster: &ClusterName, step: Step) -> u32 {
        self.generations.get(&(cluster.clone(), step)).copied().unwrap_or(0)
    }

    /// A complete listing of a place as it is, or, late, as it was at `then`.
    pub(crate) fn listing(&self, place: &Place, now: Timestamp, then: Timestamp) -> Vec<Resource> {
        let whole = self.records_at(place, now, then).into_iter().filter(|record| !record.is_part());
        whole.filter_map(|record| self.seen(record, now.min(then))).collect()
    }
    /// The records of a place, in the order of listings, as they are or as they were at `then`.
    pub(crate) fn records_at(&self, place: &Place, now: Timestamp, then: Timestamp) -> Vec<&Record> {
        let Some(shelf) = self.places.get(place) else { return Vec::new() };
        let present = shelf.index.iter().filter_map(|(_, _, id)| self.get(id)).filter(|record| record.since <= then);
        if now <= then {
            return present.collect();
        }
        let past = shelf.past.iter().filter(|(until, record)| record.since <= then && then < *until);
        let mut was: Vec<&Record> = present.chain(past.map(|(_, record)| record)).collect();
        was.sort_by(|a, b| (&a.cluster, a.step, &a.id).cmp(&(&b.cluster, b.step, &b.id)));
        was
    }
    /// What a reading shows of a resource.
    pub(crate) fn seen(&self, record: &Record, now: Timestamp) -> Option<Resource> {
        record.seen(now, self.count_faults(record, now))
    }
    pub(crate) fn count_faults(&self, record: &Record, now: Timestamp) -> CountFaults<'_> {
        match record.step {
            Step::ControlPlane => CountFaults {
                stuck: self.faults.stuck(&record.cluster),
                uncountable: self.faults.uncountable(&record.cluster, now),
            },
            _ => CountFaults::default(),
        }
    }
    pub(crate) fn next_event(&self, now: Timestamp) -> Option<Timestamp> {
        self.agenda.next().into_iter().chain(self.faults.next_edge(now)).min()
    }

    /// Where something changes by itself until `time`; `None` is anywhere, where a fault begins or ends or shows old lists.
    pub(crate) fn places_changing(&self, time: Timestamp) -> Option<BTreeSet<Place>> {
        if self.faults.iter().next().is_some() {
            return None;
        }
        let records = self.agenda.until(time).filter_map(|id| self.records.get(id));
        Some(records.map(|record| record.place.clone()).collect())
    }

    /// Takes in what happened by itself until now.
    pub(crate) fn settle(&mut self, now: Timestamp) {
        while let Some((time, id)) = self.agenda.pop_due(now) {
            match self.records.get(&id) {
                // At its own time, not at the time of the next call: a late reading must see it until then.
                Some(record) if record.is_gone(time) => self.remove(&id, time),
                Some(record) => self.agenda.note(&id, record.next_change(time)),
                None => {}
            }
        }
    }
    pub(crate) fn apply(&mut self, change: Change, at: Timestamp) {
        match change {
            Change::Put(record) => self.put(*record, at),
            Change::Remove { id } => self.remove(&id, at),
            Change::Past { until, record } => self.shelf(&record.place).past.push_back((until, *record)),
            Change::Generation { cluster, step, count } => self.count_generation(&cluster, step, count),
            Change::Arm { id, fault, used } => self.faults.arm(id, fault, used),
            Change::Used { id } => self.faults.use_up(id),
            Change::Disarm { id } => self.faults.disarm(id),
            Change::NextFault { id } => self.faults.never_before(id),
        }
    }
    /// The changes that make this state out of nothing.
    pub(crate) fn as_changes(&self) -> Vec<Change> {
        let puts = self.records.values().map(|record| Change::Put(Box::new(record.clone())));
        let past = self.places.values().flat_map(|shelf| &shelf.past);
        let past = past.map(|(until, record)| Change::Past { until: *until, record: Box::new(record.clone()) });
        let generations = self.generations.iter().map(|((cluster, step), count)| Change::Generation {
            cluster: cluster.clone(),
            step: *step,
            count: *count,
        });
        let faults = self.faults.iter().map(|(id, fault, used)| Change::Arm { id, fault: fault.clone(), used });
        let next = Change::NextFault { id: self.faults.next_id() };
        puts.chain(past).chain(generations).chain(faults).chain([next]).collect()
    }

    fn put(&mut self, record: Record, at: Timestamp) {
        self.remove(&record.id, at);
        let id = Arc::clone(&record.id);
        let shelf = self.shelf(&record.place);
        shelf.index.insert((record.cluster.clone(), record.step, Arc::clone(&id)));
        *shelf.counts.entry(record.step).or_default() += 1;
        if record.cidr.is_some() {
            shelf.networks.insert(Arc::clone(&id));
        }
        for used in &record.uses {
            self.users.entry(Arc::clone(used)).or_default().insert(Arc::clone(&id));
        }
        self.count_generation(&record.cluster, record.step, record.generation);
        self.agenda.note(&id, record.next_change(at));
        self.records.insert(id, record);
    }
    fn remove(&mut self, id: &Id, at: Timestamp) {
        let Some(record) = self.records.remove(id) else { return };
        for used in &record.uses {
            self.forget_user(used, id);
        }
        self.agenda.note(id, None);
        let shelf = self.shelf(&record.place);
        shelf.index.remove(&(record.cluster.clone(), record.step, Arc::clone(id)));
        shelf.networks.remove(id);
        if let Some(count) = shelf.counts.get_mut(&record.step) {
            *count = count.saturating_sub(1);
        }
        shelf.remember(record, at);
    }
    fn forget_user(&mut self, used: &Id, user: &Id) {
        if let Some(users) = self.users.get_mut(used) {
            users.remove(user);
            if users.is_empty() {
                self.users.remove(used);
            }
        }
    }
    fn count_generation(&mut self, cluster: &ClusterName, step: Step, count: u32) {
        let known = self.generations.entry((cluster.clone(), step)).or_default();
        *known = (*known).max(count);
    }
    fn shelf(&mut self, place: &Place) -> &mut Shelf {
        self.places.entry(place.clone()).or_default()
    }
}
