//! The world: a state, its clock and, if it has one, its file. Every call locks, takes in what others did, judges,
//! writes, applies, and unlocks.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fleetwright_core::inventory::{Place, Resource, Step};
use fleetwright_schema::names::ClusterName;
use fleetwright_schema::units::Timestamp;

use crate::clock::SimClock;
use crate::faults::{Bucket, Fault, FaultId};
use crate::journal::{Journal, Line, News, WorldError};
use crate::record::Mutation;
use crate::rules;
use crate::state::{Change, State};

/// A file smaller than this is not worth rewriting.
const COMPACTION_BYTES_MIN: u64 = 1 << 20;
/// How many mutations a world remembers when nobody says otherwise.
const HISTORY_MAX: usize = 100_000;

/// Three clouds and their clusters. Clones are the same world.
#[derive(Clone, Debug)]
pub struct World {
    clock: SimClock,
    inner: Arc<Mutex<Inner>>,
}

/// How often a place was called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallCounts {
    /// Listings that were asked for.
    pub observe: u64,
    /// Pages of a hundred that the answers took.
    pub pages: u64,
    /// Actions that were asked for.
    pub perform: u64,
    /// Calls of both kinds that were answered with an error.
    pub failed: u64,
}

/// Something that exists, with what a listing does not say of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Where it is.
    pub place: Place,
    /// As a listing shows it.
    pub resource: Resource,
    /// A network's own addresses; none of an association with a given network.
    pub cidr: Option<Arc<str>>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) state: State,
    /// The latest time that anyone noted.
    last: Timestamp,
    journal: Option<Journal>,
    history: VecDeque<Mutation>,
    history_max: usize,
    pub(crate) counts: BTreeMap<Place, CallCounts>,
    pub(crate) buckets: BTreeMap<Place, Bucket>,
    /// How many calls this process has made, for chance.
    pub(crate) calls: u64,
}

impl World {
    /// Opens the world of this file, or begins one there; without a path, in memory alone. The seed is of a world that
    /// begins: one that exists keeps its own. The clock is moved to the latest time that the file knows.
    pub fn open(path: Option<&Path>, seed: u64, clock: SimClock) -> Result<Self, WorldError> {
        let mut inner = Inner::new(seed, path.map(Journal::open).transpose()?);
        inner.enter(&clock)?;
        let opened = inner.begin(clock.now()).and_then(|()| inner.compact());
        inner.leave();
        opened.map(|()| Self { clock, inner: Arc::new(Mutex::new(inner)) })
    }
    /// The clock that this world lives by.
    pub const fn clock(&self) -> &SimClock {
        &self.clock
    }
    /// The earliest time, after now, at which something changes by itself: a phase, a number of workloads, a fault's
    /// beginning or end.
    pub fn next_event(&self) -> Result<Option<Timestamp>, WorldError> {
        self.with(|inner, now| Ok(inner.state.next_event(now)))
    }
    /// The places in which something changes by itself until `time`; `None` where that may be any.
    pub fn places_changing(&self, time: Timestamp) -> Result<Option<BTreeSet<Place>>, WorldError> {
        self.with(|inner, _| Ok(inner.state.places_changing(time)))
    }
    /// Writes down what time it is, so that no restart begins earlier.
    pub fn note_time(&self) -> Result<(), WorldError> {
        self.with(|inner, now| inner.commit(now, Vec::new(), None))
    }

    /// Makes something go wrong.
    pub fn inject(&self, fault: Fault) -> Result<FaultId, WorldError> {
        self.with(|inner, now| {
            let id = inner.state.faults.next_id();
            let changes = match &fault {
                Fault::Vanish { cluster, step } => inner.vanish(cluster, *step, now),
                _ => vec![Change::Arm { id, fault, used: 0 }],
            };
            inner.commit(now, changes, None).map(|()| id)
        })
    }
    /// Lets this go right again.
    pub fn remove_fault(&self, id: FaultId) -> Result<(), WorldError> {
        self.with(|inner, now| inner.commit(now, vec![Change::Disarm { id }], None))
    }
    /// Lets everything go right again.
    pub fn clear_faults(&self) -> Result<(), WorldError> {
        self.with(|inner, now| {
            let all = inner.state.faults.iter().map(|(id, ..)| Change::Disarm { id }).collect();
            inner.commit(now, all, None)
        })
    }
    /// What goes wrong, and how often each has.
    pub fn faults(&self) -> Result<Vec<(FaultId, Fault, u32)>, WorldError> {
        self.with(|inner, _| Ok(inner.state.faults.iter().map(|(id, fault, used)| (id, fault.clone(), used)).collect()))
    }

    /// Everything that exists, what is being deleted included: the truth, no matter what faults show.
    pub fn resources(&self) -> Result<Vec<Standing>, WorldError> {
        self.with(|inner, now| {
            let whole = inner.state.records().filter(|record| !record.is_part());
            let seen = whole.filter_map(|record| {
                let (place, cidr) = (record.place.clone(), record.cidr.clone());
                Some(Standing { place, resource: inner.state.seen(record, now)?, cidr })
            });
            Ok(seen.collect())
        })
    }
    /// What was done, the oldest first, as far back as is remembered.
    pub fn history(&self) -> Result<Vec<Mutation>, WorldError> {
        self.with(|inner, _| Ok(inner.history.iter().cloned().collect()))
    }
    /// How many mutations are remembered from now on.
    pub fn remember(&self, mutations_max: usize) {
        let mut inner = self.inner();
        inner.history_max = mutations_max;
        inner.trim_history();
    }
    /// How often each place was called by this process.
    pub fn counts(&self) -> BTreeMap<Place, CallCounts> {
        self.inner().counts.clone()
    }

    /// Does something with the state as it is now, under the locks.
    pub(crate) fn with<T, E: From<WorldError>>(
        &self,
        work: impl FnOnce(&mut Inner, Timestamp) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut inner = self.inner();
        inner.enter(&self.clock)?;
        let now = self.clock.now();
        inner.state.settle(now);
        let result = work(&mut inner, now);
        inner.leave();
        result
    }
    /// A panic elsewhere leaves a state that is whole, for changes are applied only after they were written.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn new(seed: u64, journal: Option<Journal>) -> Self {
        Self {
            state: State::new(seed),
            last: Timestamp::MIN,
            journal,
            history: VecDeque::new(),
            history_max: HISTORY_MAX,
            counts: BTreeMap::new(),
            buckets: BTreeMap::new(),
            calls: 0,
        }
    }
    /// Takes the file's lock and takes in what others wrote; time has gone on at least to where they saw it.
    fn enter(&mut self, clock: &SimClock) -> Result<(), WorldError> {
        let Some(journal) = &mut self.journal else { return Ok(()) };
        let News { replaced, lines } = journal.lock().inspect_err(|_| journal.unlock())?;
        if replaced {
            self.state = State::new(self.state.seed);
        }
        for line in lines {
            self.take_in(line);
        }
        clock.at_least(self.last);
        Ok(())
    }
    fn leave(&self) {
        if let Some(journal) = &self.journal {
            journal.unlock();
        }
    }
    /// A new file says what world it is.
    fn begin(&mut self, now: Timestamp) -> Result<(), WorldError> {
        match &mut self.journal {
            Some(journal) if journal.size() == 0 => journal.append(&Line::header(self.state.seed, now)),
            _ => Ok(()),
        }
    }
    fn take_in(&mut self, line: Line) {
        let Line { at, world, changes, mutation } = line;
        if let Some(header) = world {
            self.state = State::new(header.seed);
        }
        self.state.settle(at);
        for change in changes {
            self.state.apply(change, at);
        }
        self.last = self.last.max(at);
        self.history.extend(mutation);
        self.trim_history();
    }
    /// First written, then done: whoever gets an answer can rely on it.
    pub(crate) fn commit(
        &mut self,
        now: Timestamp,
        changes: Vec<Change>,
        mutation: Option<Mutation>,
    ) -> Result<(), WorldError> {
        let line = Line::of(now, changes, mutation);
        if let Some(journal) = &mut self.journal {
            journal.append(&line)?;
        }
        self.take_in(line);
        Ok(())
    }
    fn trim_history(&mut self) {
        let excess = self.history.len().saturating_sub(self.history_max);
        self.history.drain(..excess);
    }
    /// Rewrites a large file of which most is past.
    fn compact(&mut self) -> Result<(), WorldError> {
        let Some(journal) = &mut self.journal else { return Ok(()) };
        if journal.size() <= COMPACTION_BYTES_MIN {
            return Ok(());
        }
        let mut lines = vec![Line::header(self.state.seed, self.last)];
        lines.extend(self.state.as_changes().into_iter().map(|change| Line::of(self.last, vec![change], None)));
        journal.replace_if_half(&lines)
    }
    fn vanish(&self, cluster: &ClusterName, step: Step, now: Timestamp) -> Vec<Change> {
        let hit = self.state.records().filter(|record| record.cluster == *cluster && record.step == step);
        hit.flat_map(|record| rules::vanish(&self.state, record, now)).collect()
    }
}
