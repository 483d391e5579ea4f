//! What this process remembers and may forget: when it last acted on what, what is under way, what failed and when to
//! try again. A new process begins with an empty memory and the readings that it makes itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fleetwright_schema::names::{ClusterName, Name};
use fleetwright_schema::status::Cluster;
use fleetwright_schema::units::{Duration, Timestamp};

use crate::action::{Action, ActionKey, Effect};
use crate::inventory::{ErrorClass, Listing, Phase, Place, Step};
use crate::mutant;
use crate::record::{Record, is_in};

/// A failed action, and when it may be tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// How often it failed in a row.
    pub attempts: u32,
    /// Not before this time.
    pub retry_at: Timestamp,
    /// What kind of error.
    pub class: ErrorClass,
    /// The provider's code and message.
    pub message: String,
}

impl Failure {
    /// Whether people should know of it: a person has to mend it, or it did not pass by itself.
    pub const fn is_shown(&self) -> bool {
        !self.class.is_transient() || self.attempts >= ATTEMPTS_SHOWN
    }
}

/// An opening of placement that we asked for. A list may be served late and show the time before: only what we were told
/// ourselves says that a cluster takes workloads again, and that what was counted on it before counts no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// When it was handed out, or came back.
    pub at: Timestamp,
    /// It came back as done, and as far as we know nobody drains the cluster since.
    pub stands: bool,
}

/// After this many failures in a row even an error that passes by itself is shown.
const ATTEMPTS_SHOWN: u32 = 3;

/// The longest pause between two attempts: a mended cause is noticed within it.
pub const BACKOFF_MAX: Duration = Duration::from_minutes(10);

/// The pause after the first failure.
pub const BACKOFF_MIN: Duration = Duration::from_seconds(10);

/// What this process remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Since when this process looks: what stood still before nobody was there to move.
    pub began: Timestamp,
    /// When each cluster was last acted on by us, or first learnt of: older readings say nothing of it.
    pub touched: BTreeMap<ClusterName, Timestamp>,
    /// Actions that were handed out and have not come back.
    pub in_flight: BTreeSet<ActionKey>,
    /// Actions that failed last time.
    pub failures: BTreeMap<ActionKey, Failure>,
    /// Since when the control plane of a cluster that served is read to be absent.
    pub absent_since: BTreeMap<ClusterName, Timestamp>,
    /// The last opening of placement of each cluster.
    pub openings: BTreeMap<ClusterName, Opening>,
}

impl Memory {
    /// An action is handed out.
    pub fn started(&mut self, action: &Action, now: Timestamp) {
        let key = &action.key;
        self.touched.insert(key.cluster.clone(), now);
        self.in_flight.insert(key.clone());
        match action.effect {
            Effect::OpenPlacement { .. } => self.note_opening(&key.cluster, now, false),
            Effect::Drain { .. } => self.doubt_opening(&key.cluster),
            Effect::Create { .. } | Effect::Update { .. } | Effect::Delete { .. } => {}
        }
    }

    /// Whether we opened this cluster ourselves since it entered its state, and have not drained it again.
    pub fn has_opened(&self, cluster: &Cluster) -> bool {
        let opening = self.openings.get(&cluster.metadata.name);
        opening.is_some_and(|opening| opening.stands && opening.at >= cluster.status.since)
    }

    fn note_opening(&mut self, cluster: &ClusterName, at: Timestamp, stands: bool) {
        self.openings.insert(cluster.clone(), Opening { at, stands });
    }

    fn doubt_opening(&mut self, cluster: &ClusterName) {
        if let Some(opening) = self.openings.get_mut(cluster) {
            opening.stands = false;
        }
    }

    /// An action came back; `error` with its class, message and the provider's own pause.
    pub fn finished(&mut self, action: &Action, now: Timestamp, error: Option<(ErrorClass, String, Option<Duration>)>) {
        let key = &action.key;
        self.touched.insert(key.cluster.clone(), now);
        self.in_flight.remove(key);
        if matches!(action.effect, Effect::OpenPlacement { .. }) {
            self.note_opening(&key.cluster, now, error.is_none());
        }
        let Some((class, message, retry_after)) = error else {
            self.failures.remove(key);
            return;
        };
        let attempts = self.failures.get(key).map_or(0, |failure| failure.attempts) + 1;
        let pause = backoff(attempts).max(retry_after.unwrap_or_default());
        let retry_at = now.plus(pause);
        self.failures.insert(key.clone(), Failure { attempts, retry_at, class, message });
    }

    /// A complete reading of a place: notes whose control plane is gone, and forgets it for those that are back.
    pub fn note_reading(&mut self, record: &Record, place: &Place, listing: &Listing, at: Timestamp) {
        for (_, cluster) in record.clusters().filter(|(set, cluster)| is_in(set, cluster, place)) {
            let name = &cluster.metadata.name;
            let present = listing.resources.get(name).is_some_and(|resources| {
                resources.iter().any(|r| r.step == Step::ControlPlane && r.phase != Phase::Deleting)
            });
            match present {
                true => drop(self.absent_since.remove(name)),
                false => drop(self.absent_since.entry(name.clone()).or_insert(at)),
            }
        }
    }

    /// What another process published since `known`, the record that this one last read or wrote: it acted on those
    /// clusters, so that readings from before say nothing of them.
    pub fn note_foreign(&mut self, known: &Record, record: &Record, now: Timestamp) {
        if mutant::on("foreign-change-ignored") {
            return;
        }
        for (id, set) in &record.sets {
            let before = known.sets.get(id);
            if before.is_some_and(|before| Arc::ptr_eq(before, set)) {
                continue;
            }
            for cluster in &set.clusters {
                let name = &cluster.metadata.name;
                let mut old = before.into_iter().flat_map(|before| &before.clusters);
                let same = old.any(|old| old.metadata.name == *name && stands_as(old, cluster));
                if !same {
                    self.touched.insert(name.clone(), now);
                    self.doubt_opening(name);
                }
            }
        }
    }

    /// Clusters that this process did not know are only judged by readings that begin after now; what is gone is
    /// forgotten.
    pub fn note_record(&mut self, record: &Record, now: Timestamp) {
        let known: BTreeSet<&ClusterName> = record.clusters().map(|(_, cluster)| &cluster.metadata.name).collect();
        self.touched.retain(|name, _| known.contains(name));
        self.absent_since.retain(|name, _| known.contains(name));
        self.openings.retain(|name, _| known.contains(name));
        self.failures.retain(|key, _| known.contains(&key.cluster));
        for name in known {
            if !self.touched.contains_key(name) {
                self.touched.insert(name.clone(), now);
            }
        }
    }
}

/// Whether nothing that actions follow from has changed.
fn stands_as(old: &Cluster, new: &Cluster) -> bool {
    let (was, is) = (&old.status, &new.status);
    was.state == is.state && was.since == is.since && was.retirement == is.retirement && old.spec == new.spec
}

/// Doubling from [`BACKOFF_MIN`] to [`BACKOFF_MAX`].
fn backoff(attempts: u32) -> Duration {
    let factor = 1u64 << attempts.saturating_sub(1).min(10);
    Duration::from_seconds(BACKOFF_MIN.seconds() * factor).min(BACKOFF_MAX)
}

/// What each consumer has acknowledged: for each cluster that it read as DRAINING, since when that was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acknowledgements(pub BTreeMap<Name, BTreeMap<ClusterName, Timestamp>>);

impl Acknowledgements {
    /// Whether this consumer has read that the cluster is draining since this time; an older drain does not count.
    pub fn covers(&self, consumer: &Name, cluster: &ClusterName, draining_since: Timestamp) -> bool {
        self.0.get(consumer).and_then(|read| read.get(cluster)) == Some(&draining_since)
    }
}
