//! When two states are the same: when nothing that may come can tell them apart.
//!
//! A time counts by its epoch, and by its order where something is compared with it. Left out is what follows from the
//! rest (counts in a status, messages of conditions, whose words name times), what nobody reads (times of conditions),
//! ids that are gone, and of the judge what can't matter any more. Which of two daemons is the first does not matter.

use std::hash::{DefaultHasher, Hash, Hasher};

use fleetwright_core::action::Action;
use fleetwright_core::inventory::{Listing, Reading, Resource, UnknownReason};
use fleetwright_core::record::Record;
use fleetwright_schema::status::{Cluster, ClusterSetStatus, ClusterState, Condition, Retirement};
use fleetwright_schema::units::Timestamp;

use super::scenario::epoch;
use super::state::{Daemon, State, Tip};

/// No limit is longer than two epochs.
const AGE_MAX: i64 = 2;

/// A hash in the making, at some time.
struct Canon {
    hasher: DefaultHasher,
    now: Timestamp,
}

impl Canon {
    fn new(now: Timestamp) -> Self {
        Self { hasher: DefaultHasher::new(), now }
    }

    fn put(&mut self, value: impl Hash) {
        value.hash(&mut self.hasher);
    }

    /// How old a time is, in epochs.
    fn time(&mut self, time: Timestamp) {
        self.put((epoch(self.now) - epoch(time)).min(AGE_MAX));
    }

    fn times(&mut self, time: Option<Timestamp>) {
        self.put(time.map(|time| (epoch(self.now) - epoch(time)).min(AGE_MAX)));
    }

    fn record(&mut self, record: &Record) {
        for (id, set) in &record.sets {
            self.put(id);
            self.set(set);
        }
    }

    fn set(&mut self, set: &ClusterSetStatus) {
        let status = &set.status;
        self.put((set.spec.count, &status.revision, status.next_ordinal, &status.wave));
        self.put(set.clusters.len());
        self.conditions(&status.conditions);
        set.clusters.iter().for_each(|cluster| self.cluster(cluster));
        for stone in &set.tombstones {
            self.put(stone.ordinal);
        }
    }

    fn conditions(&mut self, conditions: &[Condition]) {
        self.put(conditions.len());
        for Condition { r#type, status, reason, .. } in conditions {
            self.put((r#type, *status as u8, reason));
        }
    }

    fn cluster(&mut self, cluster: &Cluster) {
        let Cluster { kind: _, metadata, spec: _, status } = cluster;
        self.put((metadata.ordinal, status.state, &status.revision, &status.provider_id, &status.network.id));
        self.put(&status.network.cidr);
        if status.state == ClusterState::Pending {
            self.time(metadata.creation_timestamp);
        }
        self.time(status.since);
        self.times(status.ready_at);
        self.conditions(&status.conditions);
        self.put(status.retirement.is_some());
        if let Some(retirement) = &status.retirement {
            let Retirement { reason, started_at, expected_workloads, empty_at, evidence, without_acknowledgement: _ } =
                retirement;
            self.put((*reason as u8, expected_workloads, empty_at.is_some(), evidence));
            self.time(*started_at);
        }
    }

    fn listing(&mut self, listing: &Listing) {
        self.put(listing.resources.len());
        listing.resources.values().for_each(|parts| self.parts(parts));
    }

    fn parts(&mut self, parts: &[Resource]) {
        self.put(parts.len());
        for resource in parts {
            let Resource { id, phase, applied, control_plane, .. } = resource;
            self.put((id, *phase as u8, applied));
            if let Some(facts) = control_plane {
                self.put((facts.placement as u8, facts.workloads.as_ref().map(|w| (w.running, w.left))));
            }
        }
    }

    fn action(&mut self, action: &Action) {
        self.put((&action.key, action.effect.verb()));
    }

    fn tip(&mut self, tip: Option<&Tip>, remote: &Tip) {
        let behind = tip.map(|tip| tip.version != remote.version);
        self.put(behind);
        if let Some(tip) = tip.filter(|_| behind == Some(true)) {
            self.put(tip.commits);
            self.record(&tip.record);
        }
    }

    /// Of a cluster that was acted on since a reading is a reading no more.
    fn reading(&mut self, reading: &Reading, world: &Listing, daemon: &Daemon) {
        self.time(reading.at);
        self.times(reading.failing_since);
        let listing = match &reading.result {
            Ok(listing) => listing,
            Err(UnknownReason::Failed(class, _)) => return self.put((1, class)),
            Err(UnknownReason::NotRead | UnknownReason::Stale(_)) => return self.put(2),
        };
        let clusters = daemon.tip.iter().flat_map(|tip| tip.record.clusters());
        let mut unknown = listing.resources.len();
        for name in clusters.map(|(_, cluster)| &cluster.metadata.name) {
            let parts = listing.resources.get(name);
            unknown -= usize::from(parts.is_some());
            if daemon.memory.touched.get(name).is_none_or(|touched| reading.at <= *touched) {
                self.put(3);
            } else if parts == world.resources.get(name) {
                self.put(4);
            } else {
                self.put(5);
                self.parts(parts.map_or(&[], Vec::as_slice));
            }
        }
        self.put(unknown);
    }

    fn daemon(&mut self, state: &State, daemon: &Daemon, lists_lag: bool) {
        let Daemon { process: _, born: _, tip, inventory, memory, flying } = daemon;
        self.tip(tip.as_ref(), &state.remote);
        inventory.places.values().for_each(|reading| self.reading(reading, &state.world.listing, daemon));
        self.put((inventory.places.len(), flying.len()));
        flying.iter().for_each(|action| self.action(action));
        for (key, failure) in &memory.failures {
            // Whether it is over within this epoch or only in the next depends on when in the epoch it began.
            let next =
                epoch(failure.retry_at) > epoch(self.now) || failure.retry_at.unix_seconds().rem_euclid(1200) >= 300;
            self.put((key, failure.attempts, failure.class, failure.retry_at > self.now, next));
        }
        for (name, since) in &memory.absent_since {
            self.put(name);
            self.time(*since);
        }
        let read_at = daemon.read_at();
        for (_, cluster) in tip.iter().flat_map(|tip| tip.record.clusters()) {
            let touched = memory.touched.get(&cluster.metadata.name);
            self.put((touched.is_some(), touched.is_some_and(|touched| read_at > *touched)));
            let opening = memory.openings.get(&cluster.metadata.name);
            self.times(opening.map(|opening| opening.at));
            self.put(memory.has_opened(cluster));
            // A reading of before the deletion proves nothing, nor does one of before the drain.
            self.put(read_at > cluster.status.since);
            for earlier in state.earlier.iter().filter(|_| lists_lag) {
                self.put((
                    touched.is_some_and(|touched| earlier.until > *touched),
                    earlier.until > cluster.status.since,
                ));
            }
        }
        for earlier in state.earlier.iter().filter(|_| lists_lag) {
            self.put(earlier.until >= read_at);
        }
    }
}

impl State {
    /// The state as a number, as if so many faults and such later wishes were yet to come.
    pub fn digest(&self, disturbances: u8, lists_lag: bool) -> u64 {
        let mut canon = Canon::new(self.now);
        canon.put((self.wish, disturbances, self.objection.is_some()));
        canon.put((self.remote.commits, self.remote.desired.approvals.len()));
        canon.record(&self.remote.record);
        canon.listing(&self.world.listing);
        for earlier in self.earlier.iter().filter(|_| lists_lag) {
            canon.listing(&earlier.listing);
        }
        let mut daemons: Vec<u64> = self.daemons.iter().map(|daemon| self.digest_of(daemon, lists_lag)).collect();
        daemons.sort_unstable();
        canon.put(daemons);
        let times: Vec<Timestamp> = self.earlier.iter().filter(|_| lists_lag).map(|earlier| earlier.until).collect();
        self.judge.digest(&times, &mut canon.hasher);
        canon.hasher.finish()
    }

    fn digest_of(&self, daemon: &Daemon, lists_lag: bool) -> u64 {
        let mut canon = Canon::new(self.now);
        canon.daemon(self, daemon, lists_lag);
        canon.hasher.finish()
    }
}
