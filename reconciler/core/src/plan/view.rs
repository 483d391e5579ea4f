//! A cluster as the plan sees it: its record beside what was read of it.

use std::sync::Arc;

use fleetwright_schema::names::SetId;
use fleetwright_schema::set::ResolvedSet;
use fleetwright_schema::status::{Cluster, ClusterState};
use fleetwright_schema::units::Timestamp;

use super::{Inputs, LOST_AFTER, READING_AGE_MAX};
use crate::change::{Class, overall};
use crate::inventory::{ControlPlaneFacts, Phase, Place, Placement, Reading, Resource, Step, UnknownReason};
use crate::mutant;
use crate::record::place_of;

/// The resources of one cluster in a reading that is young enough to act on.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// When the reading began.
    pub at: Timestamp,
    /// Everything that carries the cluster's tag.
    pub resources: &'a [Resource],
}

impl<'a> Seen<'a> {
    /// The resources of one step.
    pub fn step(&self, step: Step) -> impl Iterator<Item = &'a Resource> + use<'a> {
        self.resources.iter().filter(move |resource| resource.step == step)
    }
    /// The control plane, if there is exactly one that is not on its way out.
    pub fn control_plane(&self) -> Option<&'a Resource> {
        self.step(Step::ControlPlane).find(|resource| resource.phase != Phase::Deleting)
    }
    /// What is known of the control plane beyond its phase.
    pub fn facts(&self) -> Option<&'a ControlPlaneFacts> {
        self.control_plane().and_then(|plane| plane.control_plane.as_ref())
    }
    /// Whether the control plane answers.
    pub fn control_plane_serves(&self) -> bool {
        self.control_plane().is_some_and(|plane| matches!(plane.phase, Phase::Ready | Phase::Updating))
    }
    /// Whether the control plane takes no new workloads.
    pub fn placement_closed(&self) -> bool {
        self.facts().is_some_and(|facts| facts.placement == Placement::Closed)
    }
    /// Whether each step is there once, ready and made from these fingerprints.
    pub fn is_complete(&self, fingerprints: &[Arc<str>; 8]) -> bool {
        Step::BUILD.iter().zip(fingerprints).all(|(step, print)| {
            let mut found = self.step(*step);
            let first = found.next();
            let whole = first.is_some_and(|r| r.phase == Phase::Ready && r.applied == *print) && found.next().is_none();
            whole || (*step == Step::InfraServices && mutant::on("ready-before-whole"))
        })
    }
}

/// A cluster with its class against the admitted set.
pub struct View<'a> {
    /// Its published record.
    pub cluster: &'a Arc<Cluster>,
    /// Where it was built.
    pub place: Place,
    /// What the difference to the admitted template does.
    pub class: Class,
    /// What was read of it since we last touched it.
    pub seen: Result<Seen<'a>, UnknownReason>,
    /// People paused it.
    pub paused: bool,
    /// An action on it is under way.
    pub in_flight: bool,
    /// It served, and its control plane has been read as absent for long enough.
    pub lost: bool,
}

impl<'a> View<'a> {
    /// Puts record and readings side by side.
    pub fn new(inputs: &Inputs<'a>, id: &SetId, set: &ResolvedSet, cluster: &'a Arc<Cluster>, busy: bool) -> Self {
        let busy = busy && !mutant::on("in-flight-not-counted");
        let place = place_of(id, cluster);
        let class = match cluster.spec == set.template {
            true => Class::None,
            false => {
                overall(&inputs.table.classify(id.location.cloud, &set.update_strategy, &cluster.spec, &set.template))
            }
        };
        let name = &cluster.metadata.name;
        let reading = inputs.inventory.places.get(&place);
        // Whatever is under way may land after any reading that was begun before it came back.
        let seen = match (busy, reading) {
            (true, Some(reading)) => Err(UnknownReason::Stale(reading.at)),
            _ => look(inputs, reading, cluster),
        };
        let absent = inputs.memory.absent_since.get(name);
        let now_absent = seen.as_ref().is_ok_and(|seen| seen.control_plane().is_none());
        let lost = cluster.status.ready_at.is_some()
            && now_absent
            && absent.is_some_and(|since| since.plus(LOST_AFTER) <= inputs.now);
        Self { cluster, place, class, seen, paused: set.paused_clusters.contains(name), in_flight: busy, lost }
    }

    /// Its state in the published record.
    pub fn state(&self) -> ClusterState {
        self.cluster.status.state
    }
    /// Whether it serves by the record and was read to.
    pub fn serves(&self) -> bool {
        self.state().serves() && self.is_open()
    }
    /// Whether it was read to take workloads, whatever its record says.
    pub fn is_open(&self) -> bool {
        self.seen.as_ref().is_ok_and(|seen| seen.control_plane_serves() && !seen.placement_closed())
    }
    /// Whether it has served long enough to stand in for another.
    pub fn baked(&self, set: &ResolvedSet, now: Timestamp) -> bool {
        let bake = set.update_strategy.cluster_rotation.bake;
        self.cluster.status.ready_at.is_some_and(|ready| ready.plus(bake) <= now || mutant::on("bake-ignored"))
    }
}

fn look<'a>(inputs: &Inputs<'a>, reading: Option<&'a Reading>, cluster: &Cluster) -> Result<Seen<'a>, UnknownReason> {
    let reading = reading.ok_or(UnknownReason::NotRead)?;
    let listing = reading.result.as_ref().map_err(UnknownReason::clone)?;
    let name = &cluster.metadata.name;
    // A cluster that this process has not met yet was named by another: nothing was read of it since.
    let touched = inputs.memory.touched.get(name).copied().ok_or(UnknownReason::NotRead)?;
    let young = reading.at.plus(READING_AGE_MAX) >= inputs.now;
    match (reading.at > touched || mutant::on("old-reading-believed")) && young {
        true => Ok(Seen { at: reading.at, resources: listing.resources.get(name).map_or(&[], Vec::as_slice) }),
        false => Err(UnknownReason::Stale(reading.at)),
    }
}
