//! A small cloud, strict and without latencies: what an accepted action begins ends by a step of its own. Lists, ids,
//! parents and phases are those that the planner knows; nothing else of a provider is here.

use std::collections::BTreeMap;
use std::sync::Arc;

use fleetwright_core::action::{Action, Effect};
use fleetwright_core::fingerprint::{Memo, revision};
use fleetwright_core::inventory::{
    ControlPlaneFacts, ErrorClass, Listing, Phase, Placement, Resource, Step, Workloads,
};
use fleetwright_schema::names::ClusterName;
use fleetwright_schema::set::ClusterSpec;
use fleetwright_schema::units::Timestamp;
use fleetwright_simulator::{Mutation, Verb};

/// How many workloads come to a cluster that serves.
const LOAD: u32 = 1;

/// What lives in a control plane, and is made and gone with it where parts are not looked at one by one.
const INSIDE: [Step; 4] = [Step::NodePools, Step::Access, Step::Secrets, Step::InfraServices];

/// How closely the parts of a cluster are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grain {
    /// Each part is made and deleted by itself, and the cluster makes itself a load balancer.
    Parts,
    /// What lives in a control plane comes with it, and goes with its services.
    Whole,
}

/// Everything that stands in the one place of the model.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// What a list shows now.
    pub listing: Arc<Listing>,
    /// How many were ever made of each part: an id is never used twice.
    made: Arc<BTreeMap<(ClusterName, Step), u32>>,
}

/// Why an action was refused.
pub type Refusal = (ErrorClass, &'static str);

type Decided = Result<Option<Change>, Refusal>;

/// What an accepted action changed.
struct Change {
    id: Arc<str>,
    running: Option<u32>,
}

fn is_plane(resource: &Resource) -> bool {
    resource.step == Step::ControlPlane
}

fn workloads(resource: &Resource) -> Option<&Workloads> {
    resource.control_plane.as_ref().and_then(|facts| facts.workloads.as_ref())
}

fn running(resource: &Resource) -> Option<u32> {
    workloads(resource).map(|workloads| workloads.running)
}

fn prints(spec: &ClusterSpec) -> [Arc<str>; 8] {
    thread_local! {
        static MEMO: Memo = Memo::default();
    }
    MEMO.with(|memo| (*memo.fingerprints(&revision(spec), spec)).clone())
}

impl World {
    /// Everything, in one list.
    pub fn standing(&self) -> Vec<Resource> {
        self.listing.resources.values().flatten().cloned().collect()
    }

    fn parts(&self, cluster: &ClusterName) -> &[Resource] {
        self.listing.resources.get(cluster).map_or(&[], Vec::as_slice)
    }

    fn edit(&mut self, cluster: &ClusterName, change: impl FnOnce(&mut Vec<Resource>)) {
        let listing = Arc::make_mut(&mut self.listing);
        let parts = listing.resources.entry(cluster.clone()).or_default();
        change(parts);
        // In the order of making within a step, whatever came first of different steps.
        parts.sort_by(|a, b| (a.step, a.created_at, &a.id).cmp(&(b.step, b.created_at, &b.id)));
        if parts.is_empty() {
            listing.resources.remove(cluster);
        }
    }

    fn edit_one(&mut self, cluster: &ClusterName, id: &str, change: impl FnOnce(&mut Resource)) {
        self.edit(cluster, |parts| {
            parts.iter_mut().filter(|part| *part.id == *id).take(1).for_each(change_once(change))
        });
    }

    /// Performs an action; what it changed, and what its caller is told.
    pub fn perform(
        &mut self,
        action: &Action,
        grain: Grain,
        now: Timestamp,
    ) -> (Option<Mutation>, Result<(), Refusal>) {
        let decided = match &action.effect {
            Effect::Create { fingerprint, spec, parents, .. } => {
                self.create(action, fingerprint, spec, parents, grain, now)
            }
            Effect::Update { id, fingerprint, .. } => self.update(action, id, fingerprint),
            Effect::Delete { id } => self.delete(action, id, grain),
            Effect::Drain { id, .. } => self.close(action, id),
            Effect::OpenPlacement { id } => self.open(action, id),
        };
        let mutation = |change: Change| Mutation {
            at: now,
            place: action.place.clone(),
            cluster: action.key.cluster.clone(),
            step: action.key.step,
            verb: Verb::of(&action.effect),
            id: change.id,
            running: change.running,
        };
        match decided {
            Ok(change) => (change.map(mutation), Ok(())),
            Err(refusal) => (None, Err(refusal)),
        }
    }

    fn create(
        &mut self,
        action: &Action,
        fingerprint: &Arc<str>,
        spec: &ClusterSpec,
        parents: &[Arc<str>],
        grain: Grain,
        now: Timestamp,
    ) -> Decided {
        let (cluster, step) = (&action.key.cluster, action.key.step);
        let there = |id: &Arc<str>| self.parts(cluster).iter().any(|part| part.id == *id && part.phase == Phase::Ready);
        if parents.len() < step.parents().len() || !parents.iter().all(there) {
            return Err((ErrorClass::Invalid, "a parent is not there"));
        }
        let same = self.parts(cluster).iter().find(|part| part.step == step);
        // A network has neither a unique name nor a token: whoever asks twice gets two.
        if let Some(same) = same.filter(|_| step != Step::Network) {
            let repeated = same.applied == *fingerprint && same.phase != Phase::Deleting;
            return if repeated { Ok(None) } else { Err((ErrorClass::Conflict, "the name is taken")) };
        }
        let phase = if is_slow(step) { Phase::Creating } else { Phase::Ready };
        let id = self.make(action, step, phase, fingerprint, parents.to_vec(), now);
        if grain == Grain::Whole && step == Step::ControlPlane {
            let prints = prints(spec);
            for inside in INSIDE {
                let index = Step::BUILD.iter().position(|step| *step == inside).unwrap_or_default();
                self.make(action, inside, Phase::Creating, &prints[index], vec![Arc::clone(&id)], now);
            }
        }
        Ok(Some(Change { id, running: None }))
    }

    fn make(
        &mut self,
        action: &Action,
        step: Step,
        phase: Phase,
        fingerprint: &Arc<str>,
        uses: Vec<Arc<str>>,
        now: Timestamp,
    ) -> Arc<str> {
        let cluster = &action.key.cluster;
        let made = Arc::make_mut(&mut self.made).entry((cluster.clone(), step)).or_default();
        *made += 1;
        let id: Arc<str> = format!("{step} {}.{made}", action.ordinal).into();
        let facts = ControlPlaneFacts { workloads: Some(Workloads::default()), ..ControlPlaneFacts::default() };
        let resource = Resource {
            id: Arc::clone(&id),
            step,
            cluster: cluster.clone(),
            set: action.set.clone(),
            ordinal: action.ordinal,
            phase,
            applied: Arc::clone(fingerprint),
            created_at: now,
            uses,
            control_plane: (step == Step::ControlPlane).then_some(facts),
            node_pools: Vec::new(),
            infra_services: Vec::new(),
        };
        self.edit(cluster, |parts| parts.push(resource));
        id
    }

    fn find(&self, action: &Action, id: &str) -> Result<&Resource, Refusal> {
        let found = self.parts(&action.key.cluster).iter().find(|part| *part.id == *id);
        found.filter(|part| part.step == action.key.step).ok_or((ErrorClass::NotFound, "there is no such thing"))
    }

    fn update(&mut self, action: &Action, id: &Arc<str>, fingerprint: &Arc<str>) -> Decided {
        let found = self.find(action, id)?;
        if found.applied == *fingerprint && found.phase != Phase::Deleting {
            return Ok(None);
        }
        if found.phase != Phase::Ready {
            return Err((ErrorClass::Conflict, "something else is under way"));
        }
        let phase = if is_slow(found.step) { Phase::Updating } else { Phase::Ready };
        self.edit_one(&action.key.cluster, id, |part| {
            part.applied = Arc::clone(fingerprint);
            part.phase = phase;
        });
        Ok(Some(Change { id: Arc::clone(id), running: None }))
    }

    fn delete(&mut self, action: &Action, id: &Arc<str>, grain: Grain) -> Decided {
        let cluster = &action.key.cluster;
        let found = self.find(action, id)?.clone();
        if found.phase == Phase::Deleting {
            return Ok(None);
        }
        let services = grain == Grain::Whole && found.step == Step::InfraServices;
        let maker = found.step == Step::Leftovers && self.parts(cluster).iter().any(is_plane);
        if maker || self.parts(cluster).iter().any(|part| !services && part.uses.contains(id)) {
            return Err((ErrorClass::Conflict, "it is in use"));
        }
        match found.step {
            Step::ControlPlane => self.edit_one(cluster, id, |part| part.phase = Phase::Deleting),
            _ if services => self.edit(cluster, |parts| parts.retain(|part| !INSIDE.contains(&part.step))),
            _ => self.edit(cluster, |parts| parts.retain(|part| part.id != *id)),
        }
        Ok(Some(Change { id: Arc::clone(id), running: running(&found) }))
    }

    fn close(&mut self, action: &Action, id: &Arc<str>) -> Decided {
        let found = self.find(action, id)?;
        if !matches!(found.phase, Phase::Ready | Phase::Updating) {
            return Err((ErrorClass::Conflict, "something else is under way"));
        }
        let (closed, running) = (placement(found) == Placement::Closed, running(found));
        self.edit_one(&action.key.cluster, id, |part| set_placement(part, Placement::Closed, running.unwrap_or(0)));
        Ok((!closed).then(|| Change { id: Arc::clone(id), running }))
    }

    fn open(&mut self, action: &Action, id: &Arc<str>) -> Decided {
        let found = self.find(action, id)?;
        if !matches!(found.phase, Phase::Ready | Phase::Updating) {
            return Err((ErrorClass::Conflict, "something else is under way"));
        }
        let (open, before) = (placement(found) == Placement::Open, running(found));
        if open {
            return Ok(None);
        }
        // Workloads come back at once: whoever read the cluster to be empty before is wrong from now on.
        self.edit_one(&action.key.cluster, id, |part| set_placement(part, Placement::Open, LOAD));
        Ok(Some(Change { id: Arc::clone(id), running: before }))
    }

    /// Clusters in which something is under way.
    pub fn ongoing(&self) -> impl Iterator<Item = &ClusterName> {
        self.listing.resources.iter().filter(|(_, parts)| is_ongoing(parts)).map(|(cluster, _)| cluster)
    }

    /// Ends what is under way in a cluster.
    pub fn complete(&mut self, cluster: &ClusterName, grain: Grain, now: Timestamp) {
        let balancer =
            self.parts(cluster).iter().find(|part| grain == Grain::Parts && arrives(part, self.parts(cluster)));
        let balancer =
            balancer.filter(|_| !self.parts(cluster).iter().any(|part| part.step == Step::Leftovers)).cloned();
        self.edit(cluster, |parts| {
            let arrives = parts.iter().any(|part| arrives(part, parts));
            parts.retain(|part| part.phase != Phase::Deleting);
            for part in parts.iter_mut() {
                part.phase = Phase::Ready;
                settle_workloads(part, arrives);
            }
        });
        if let Some(maker) = balancer {
            self.make_balancer(cluster, &maker, now);
        }
    }

    /// The load balancer that a cluster makes for its workloads. It is in the network, and tagged as its maker is.
    fn make_balancer(&mut self, cluster: &ClusterName, maker: &Resource, now: Timestamp) {
        let made = Arc::make_mut(&mut self.made).entry((cluster.clone(), Step::Leftovers)).or_default();
        *made += 1;
        let uses = maker.uses.iter().filter(|id| id.starts_with(Step::Network.as_words())).cloned().collect();
        let id = format!("{} {}.{made}", Step::Leftovers, maker.ordinal).into();
        let balancer = Resource {
            id,
            step: Step::Leftovers,
            applied: "".into(),
            created_at: now,
            uses,
            control_plane: None,
            ..maker.clone()
        };
        self.edit(cluster, |parts| parts.push(balancer));
    }

    /// Clusters whose control plane somebody could delete behind our back.
    pub fn mortal(&self) -> impl Iterator<Item = &ClusterName> {
        let stands = |parts: &[Resource]| parts.iter().any(|part| is_plane(part) && part.phase == Phase::Ready);
        self.listing.resources.iter().filter(move |(_, parts)| stands(parts)).map(|(cluster, _)| cluster)
    }

    /// Somebody deletes a control plane, with what lives in it.
    pub fn vanish(&mut self, cluster: &ClusterName) {
        self.edit(cluster, |parts| parts.retain(|part| !is_plane(part) && !INSIDE.contains(&part.step)));
    }
}

fn change_once(change: impl FnOnce(&mut Resource)) -> impl FnMut(&mut Resource) {
    let mut change = Some(change);
    move |part| {
        if let Some(change) = change.take() {
            change(part);
        }
    }
}

/// What is not done when its call returns.
const fn is_slow(step: Step) -> bool {
    matches!(step, Step::ControlPlane)
}

fn placement(resource: &Resource) -> Placement {
    resource.control_plane.as_ref().map_or(Placement::Open, |facts| facts.placement)
}

fn set_placement(resource: &mut Resource, placement: Placement, running: u32) {
    let Some(facts) = &mut resource.control_plane else { return };
    let left = facts.workloads.as_ref().map_or(0, |workloads| workloads.left);
    let left = if placement == Placement::Closed { left } else { 0 };
    facts.placement = placement;
    facts.workloads = Some(Workloads { running, left, blocked_by: Vec::new() });
}

/// Whether workloads are yet to come to this control plane.
fn arrives(plane: &Resource, parts: &[Resource]) -> bool {
    let services = parts.iter().any(|part| part.step == Step::InfraServices && part.phase != Phase::Deleting);
    let idle = is_plane(plane) && placement(plane) == Placement::Open && running(plane) == Some(0);
    idle && services && plane.phase != Phase::Deleting
}

fn leaves(plane: &Resource) -> bool {
    placement(plane) == Placement::Closed && running(plane).is_some_and(|running| running > 0)
}

fn is_ongoing(parts: &[Resource]) -> bool {
    parts.iter().any(|part| part.phase != Phase::Ready || arrives(part, parts) || leaves(part))
}

fn settle_workloads(resource: &mut Resource, arrive: bool) {
    let closed = placement(resource) == Placement::Closed;
    let Some(workloads) = resource.control_plane.as_mut().and_then(|facts| facts.workloads.as_mut()) else { return };
    match closed {
        true => {
            workloads.left += workloads.running;
            workloads.running = 0;
        }
        false if arrive => workloads.running = LOAD,
        false => {}
    }
}
