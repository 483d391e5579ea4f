//! How a cluster comes to serve and ceases to: what follows for its workloads, and for the load balancer that it makes
//! itself, from what is done to its other parts. Pure.

use std::sync::Arc;

use fleetwright_core::inventory::{Placement, Step};
use fleetwright_schema::set::DrainMode;
use fleetwright_schema::units::{Duration, Timestamp};

use crate::chance;
use crate::faults::Call;
use crate::lifecycle::{Applied, Life};
use crate::provider;
use crate::record::Record;
use crate::state::{Change, State};
use crate::workloads::{self, Serving};

/// When infra services go before they were ever ready, no workloads arrive and no load balancer is made.
pub(super) fn without_services(state: &State, services: &Record, now: Timestamp) -> Vec<Change> {
    let Record { place, cluster, .. } = services;
    let control_planes = state.of(place, cluster, Step::ControlPlane);
    let idle = |control_plane: &Record| {
        let serving = control_plane.serving.as_ref()?.not_filling(now)?;
        Some(Change::Put(Box::new(control_plane.with_serving(serving, now))))
    };
    control_planes.flat_map(|c| idle(c).into_iter().chain(unborn_leftovers(state, c, now))).collect()
}

/// What this control plane has made, and what it is yet to make.
fn leftovers_of<'a>(state: &'a State, control_plane: &'a Record) -> impl Iterator<Item = &'a Record> {
    let leftovers = state.of(&control_plane.place, &control_plane.cluster, Step::Leftovers);
    leftovers.filter(|record| record.maker.as_ref() == Some(&control_plane.id))
}

/// A load balancer that was to be made for workloads is not made when none may come.
pub(super) fn unborn_leftovers(state: &State, control_plane: &Record, now: Timestamp) -> Vec<Change> {
    let unborn = leftovers_of(state, control_plane).filter(|record| record.created_at > now);
    unborn.map(|record| Change::Remove { id: Arc::clone(&record.id) }).collect()
}

/// A state at one moment.
#[derive(Clone, Copy)]
pub(crate) struct Scene<'a> {
    pub(crate) state: &'a State,
    pub(crate) now: Timestamp,
}

impl Scene<'_> {
    /// How long an operation takes on this id, whose like takes `median`.
    pub(crate) fn latency(&self, call: &Call<'_>, median: Duration, id: &str, what: &str) -> Duration {
        let median = median.seconds() * self.state.faults.latency_percent(call, self.now) / 100;
        Duration::from_seconds(chance::jittered_seconds(median, self.state.seed, &[id, call.verb.as_str(), what]))
    }
    /// How long a whole cluster takes to leave.
    pub(crate) fn leaving(&self, id: &str, mode: DrainMode) -> Duration {
        let median = workloads::leaving_median(mode).seconds();
        Duration::from_seconds(chance::jittered_seconds(median, self.state.seed, &[id, "drain"]))
    }
    pub(crate) fn close(&self, control_plane: &Record, serving: Serving) -> Vec<Change> {
        let closed = Change::Put(Box::new(control_plane.with_serving(serving, self.now)));
        let unborn = unborn_leftovers(self.state, control_plane, self.now);
        [closed].into_iter().chain(unborn).collect()
    }

    /// A control plane whose infra services are ready at this time: workloads arrive some minutes later, and the
    /// cluster makes itself a load balancer for them.
    pub(crate) fn serves_from(&self, control_plane: &Record, ready_at: Timestamp) -> Vec<Change> {
        let Some(serving) = &control_plane.serving else { return Vec::new() };
        let delay = chance::jittered_seconds(180, self.state.seed, &[&control_plane.id, "arrival"]);
        let begins = ready_at.plus(Duration::from_seconds(delay));
        let filling = serving.filling(begins, self.now).unwrap_or_else(|| serving.clone());
        let serves = control_plane.with_serving(filling, self.now);
        let opens = serves.serving.as_ref().is_some_and(|s| s.placement() == Placement::Open);
        let makes = opens && leftovers_of(self.state, control_plane).next().is_none();
        let leftovers = makes.then(|| self.leftovers(control_plane, ready_at.plus(Duration::from_seconds(delay / 2))));
        [serves].into_iter().chain(leftovers).map(|record| Change::Put(Box::new(record))).collect()
    }
    /// The load balancer that a control plane makes. It is in the network, and is not told to be its maker's.
    fn leftovers(&self, control_plane: &Record, created_at: Timestamp) -> Record {
        let Record { place, cluster, set, ordinal, uses, .. } = control_plane;
        let generation = self.state.generation(cluster, Step::Leftovers) + 1;
        let networks = uses.iter().filter(|id| self.state.get(id).is_some_and(|used| used.step == Step::Network));
        Record {
            id: provider::id(self.state.seed, place, cluster, Step::Leftovers, generation),
            place: place.clone(),
            step: Step::Leftovers,
            cluster: cluster.clone(),
            set: set.clone(),
            ordinal: *ordinal,
            generation,
            token: None,
            params: 0,
            created_at,
            since: created_at,
            life: Life::Made { ready_at: created_at, fails: false },
            applied: Applied::default(),
            uses: networks.cloned().collect(),
            cidr: None,
            maker: Some(Arc::clone(&control_plane.id)),
            serving: None,
            wire: None,
        }
    }
}
