//! The promises of the design, stated once: a fold over the history of effects that a fleet's remote and its clouds saw.
//!
//! Nothing here knows how a plan is made. Each harness tells a [`Judge`] what happened, in order, and the judge says
//! which promise was broken by it. Limits are judged where they bind: on what is published and on what is done, with
//! what is in flight counted, never on what somebody meant.

mod digest;
mod evidence;
mod order;
mod quiet;
mod removal;
mod serving;
mod stops;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use fleetwright_core::action::{Action, ActionKey};
use fleetwright_core::desired::Desired;
use fleetwright_core::inventory::{ErrorClass, Listing, Place, Resource};
use fleetwright_core::memory::Acknowledgements;
use fleetwright_core::plan::Plan;
use fleetwright_core::record::Record;
use fleetwright_core::waiting::Removals;
use fleetwright_schema::names::{ClusterName, SetId};
use fleetwright_schema::units::{Duration, Timestamp};
use fleetwright_simulator::Mutation;

/// A promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Promise {
    /// A drain or delete leaves at least `count` serving.
    I1,
    /// A create leaves at most `count` + `maxSurge` alive, in flight or not.
    I2,
    /// A delete only with evidence of emptiness, read after the drain ended, of that very provider id.
    I3,
    /// At most one live resource per set, ordinal and kind.
    I4,
    /// Every owned resource is in a record, every record has a resource or a terminal reason.
    I5,
    /// Nothing is touched that lacks our tags and our record.
    I6,
    /// Removals within the budget; none at all after a tip that could not be read, was emptied or rewritten.
    I7,
    /// Never act on a commit older than the last acted on.
    I8,
    /// READY is published after a READY read, DRAINING before the drain, DELETING before the delete.
    I9,
    /// After faults stop and the wish stands still: reached, then no mutation and no commit.
    I10,
    /// Whatever crashes: the end state and the numbers of creates and deletes are the undisturbed run's.
    I11,
    /// What is executed was in the plan that was checked.
    I12,
    /// No move in a wave before the earlier ones are healthy and baked; freezes and pauses at once.
    I13,
    /// A poisoned file or a broken region delays no other set.
    I14,
    /// Calls within their budgets, and progress after at most the largest backoff.
    I15,
    /// No secret in any text that leaves the process.
    I16,
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Breach {
    /// Which.
    pub promise: Promise,
    /// By what.
    pub what: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.promise, self.what)
    }
}

/// Which process did something: a daemon that was started anew is another one.
pub type Process = u32;

/// A state of the watched branch, by its place in the row of all of them: commits of people and of the bot.
pub type Tip = u64;

/// How far a tip may be taken up, by whoever made it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Soundness {
    /// As a whole.
    #[default]
    Sound,
    /// Not at all: it can't be read, was emptied, rewritten, or is gone.
    Held,
    /// But for these sets.
    HeldSets(BTreeSet<SetId>),
}

/// What happened, with what its judges have to see of it.
pub enum Effect<'a> {
    /// The branch has a new tip at the remote.
    Moved {
        /// Which.
        tip: Tip,
        /// Whether it may be taken up.
        soundness: &'a Soundness,
    },
    /// A process made a plan, and checked it.
    Planned {
        /// Who.
        process: Process,
        /// The tip that it was made from.
        tip: Tip,
        /// When.
        now: Timestamp,
        /// The wish, as the process read it.
        desired: &'a Desired,
        /// What consumers have read, as the process knows it.
        acknowledgements: &'a Acknowledgements,
        /// The plan, as it left the check.
        plan: &'a Plan,
    },
    /// The remote has a new record.
    Published {
        /// Who pushed it.
        process: Process,
        /// The record that can be read there now.
        record: &'a Record,
        /// What stands in the clouds.
        standing: &'a [Resource],
    },
    /// An action was handed out.
    HandedOut {
        /// By whom.
        process: Process,
        /// What.
        action: &'a Action,
        /// When.
        now: Timestamp,
    },
    /// An action reached its cloud, once more perhaps.
    Arrived {
        /// Which.
        action: &'a Action,
        /// What it changed.
        mutations: &'a [Mutation],
        /// What stands in the clouds after it.
        standing: &'a [Resource],
    },
    /// A process heard what came of an action.
    Returned {
        /// Who.
        process: Process,
        /// Of which action.
        key: &'a ActionKey,
        /// Whether it failed, and for how long the provider wants to be left alone.
        error: Option<(ErrorClass, Option<Duration>)>,
        /// When.
        now: Timestamp,
    },
    /// A process read a place.
    Read {
        /// Where.
        place: &'a Place,
        /// When the cloud answered it.
        served: Timestamp,
        /// Everything there.
        listing: &'a Listing,
    },
    /// A text left the process: a file, a commit message, a line of the log.
    Said {
        /// The text.
        text: &'a str,
    },
    /// Faults have stopped, the wish stands still, and nothing is left to do.
    Settled {
        /// The wish.
        desired: &'a Desired,
        /// What stands in the clouds.
        standing: &'a [Resource],
    },
}

/// What is known of a process.
#[derive(Clone, Debug)]
struct Mind {
    tip: Tip,
    now: Timestamp,
    desired: Desired,
    acknowledgements: Acknowledgements,
    record: Record,
    actions: Vec<Action>,
    acted_on: Option<Tip>,
    failures: BTreeMap<ActionKey, order::Failed>,
}

/// The fold over a history.
#[derive(Clone, Debug, Default)]
pub struct Judge {
    /// The record at the remote.
    record: Record,
    processes: BTreeMap<Process, Mind>,
    soundness: BTreeMap<Tip, Soundness>,
    pushed_on: Option<Tip>,
    names: BTreeSet<ClusterName>,
    ordinals: BTreeMap<SetId, u32>,
    serving: serving::Memory,
    evidence: evidence::Memory,
    /// Ids of resources that are not ours, whatever their tags say.
    foreign: BTreeSet<Arc<str>>,
    secrets: Vec<String>,
    settled: bool,
    breaches: Vec<Breach>,
}

impl Judge {
    /// A judge of a history that begins with nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// These resources belong to somebody else.
    pub fn set_foreign(&mut self, ids: impl IntoIterator<Item = Arc<str>>) {
        self.foreign.extend(ids);
    }

    /// These words must never be said.
    pub fn set_secrets(&mut self, secrets: impl IntoIterator<Item = String>) {
        self.secrets.extend(secrets);
    }

    /// Something goes on: people edit again, or faults are back.
    pub fn disturb(&mut self) {
        self.settled = false;
    }

    /// What was broken, the first first.
    pub fn breaches(&self) -> &[Breach] {
        &self.breaches
    }

    /// Takes the next effect of the history.
    pub fn take(&mut self, effect: &Effect<'_>) {
        self.note_quiet(effect);
        match effect {
            Effect::Moved { tip, soundness } => drop(self.soundness.insert(*tip, (*soundness).clone())),
            Effect::Planned { process, tip, now, desired, acknowledgements, plan } => {
                self.remember_plan(*process, *tip, *now, desired, acknowledgements, plan);
            }
            Effect::Published { process, record, standing } => self.published(*process, record, standing),
            Effect::HandedOut { process, action, now } => self.handed_out(*process, action, *now),
            Effect::Arrived { action, mutations, standing } => self.arrived(action, mutations, standing),
            Effect::Returned { process, key, error, now } => {
                self.touched(*process, key, *now);
                self.returned(*process, key, *error, *now);
            }
            Effect::Read { place, served, listing } => self.read(place, *served, listing),
            Effect::Said { text } => self.said(text),
            Effect::Settled { desired, standing } => self.settled(desired, standing),
        }
    }

    fn unless(&mut self, sound: bool, promise: Promise, what: impl FnOnce() -> String) {
        if !sound {
            self.breaches.push(Breach { promise, what: what() });
        }
    }

    fn published(&mut self, process: Process, record: &Record, standing: &[Resource]) {
        let Some(mind) = self.processes.get(&process).cloned() else {
            return self.unless(false, Promise::I12, || "a record is published by nobody who planned".to_owned());
        };
        let old = std::mem::replace(&mut self.record, record.clone());
        let publication = Publication { old: &old, new: record, process, mind: &mind };
        self.order_of_publication(&publication);
        self.serving_of_publication(&publication);
        self.budgets(&publication);
        self.removals(&publication);
        self.stops_of_publication(&publication);
        self.evidence_of_publication(&publication, standing);
        self.ownership(standing);
    }

    fn handed_out(&mut self, process: Process, action: &Action, now: Timestamp) {
        self.order_of_action(process, action, now);
        self.stops_of_action(process, action);
        self.serving_of_action(action);
        self.settled_before_use(process, action);
        self.permission_of(process, action, now);
    }

    fn arrived(&mut self, action: &Action, mutations: &[Mutation], standing: &[Resource]) {
        for mutation in mutations {
            self.published_before(mutation);
            self.serving_of_mutation(mutation, standing);
            self.evidence_of_mutation(mutation);
            self.uniqueness(mutation, standing);
        }
        self.tags(action, mutations);
        if !mutations.is_empty() {
            self.ownership(standing);
        }
    }

    fn said(&mut self, text: &str) {
        let found = self.secrets.iter().find(|secret| text.contains(*secret)).cloned();
        self.unless(found.is_none(), Promise::I16, || {
            format!("a secret was said: {}", text.replace(&found.unwrap_or_default(), "<the secret>"))
        });
    }
}

/// A change of the record, and the mind of who made it.
struct Publication<'a> {
    old: &'a Record,
    new: &'a Record,
    process: Process,
    mind: &'a Mind,
}

/// An approval of what a plan says it would remove.
pub fn approval(removals: &Removals, now: Timestamp) -> fleetwright_schema::documents::RemovalApprovalSpec {
    fleetwright_schema::documents::RemovalApprovalSpec {
        digest: removals.digest.clone(),
        clusters: removals.clusters,
        expires: now.plus(Duration::from_minutes(600)),
        reason: None,
    }
}
