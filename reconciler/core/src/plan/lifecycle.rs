//! The turn of one cluster: from its published state, what was read of it and what the set wants of it, to its next
//! record and the effects that may happen now. A change of state has no effect in the same plan: it is published first.

use std::collections::BTreeSet;
use std::sync::Arc;

use fleetwright_schema::documents::FleetSpec;
use fleetwright_schema::names::{ClusterName, SetId};
use fleetwright_schema::set::ResolvedSet;
use fleetwright_schema::status::{
    Cluster, ClusterState, ClusterStatus, Condition, ConditionStatus, NetworkStatus, Retirement, RetirementReason,
    Tombstone,
};
use fleetwright_schema::units::{Duration, Timestamp};

use super::admission::Gates;
use super::build::{self, act};
use super::choice::Intent;
use super::retire::{self, Emptiness, Turn};
use super::view::{Seen, View};
use super::waves::{building_since, is_stalled};
use super::{Inputs, Wake};
use crate::action::{Action, Effect};
use crate::fingerprint::{Fingerprints, revision};
use crate::inventory::{Step, UnknownReason};
use crate::mutant;
use crate::waiting::{Waiting, condition};

/// Readings that fail for as long as this are shown to people.
const FAILING_SHOWN_AFTER: Duration = Duration::from_minutes(5);

/// What all clusters of a set share in a plan.
pub struct Turns<'a, 'i> {
    pub inputs: &'a Inputs<'i>,
    pub config: &'a FleetSpec,
    pub id: &'a SetId,
    pub set: &'a ResolvedSet,
    pub gates: Gates,
    /// Whether at least `count` clusters serve, by record and reading.
    pub enough_serve: bool,
    /// DRAINED clusters that have to go before anything can be built in their place.
    pub in_the_way: BTreeSet<&'a ClusterName>,
    /// DRAINING clusters that have not begun to, and are needed after all.
    pub called_back: BTreeSet<&'a ClusterName>,
}

/// What a cluster's turn comes to.
pub struct Life {
    /// Its next record; `None` once it is gone.
    pub next: Option<Arc<Cluster>>,
    /// What stays of it when it is gone.
    pub tombstone: Option<Tombstone>,
    /// Effects that may happen now.
    pub actions: Vec<Action>,
    /// What it waits for.
    pub waiting: Vec<Waiting>,
}

/// A turn in the making.
struct Draft {
    cluster: Cluster,
    actions: Vec<Action>,
    waiting: Vec<Waiting>,
    steps: Vec<Condition>,
    /// The state changed: no effect before it is published.
    moved: bool,
    gone: bool,
}

impl Draft {
    fn enter(&mut self, state: ClusterState, turns: &Turns<'_, '_>) {
        self.cluster.status.state = state;
        self.cluster.status.since = turns.inputs.now;
        self.moved = true;
        self.waiting.clear();
        self.steps.clear();
    }
}

impl Turns<'_, '_> {
    /// Takes the turn of one cluster. `started` is a change of state that the set has decided on.
    pub fn live(
        &self,
        view: &View<'_>,
        intent: Intent,
        started: Option<Cluster>,
        why: Vec<Waiting>,
        wake: &mut Wake,
    ) -> Life {
        if !self.gates.actions || view.paused {
            return self.untouched(view, vec![Waiting::Paused]);
        }
        if started.is_none() && self.stays_as_it_is(view, &why) {
            let next = Some(Arc::clone(view.cluster));
            return Life { next, tombstone: None, actions: Vec::new(), waiting: why };
        }
        let mut draft = Draft {
            cluster: (**view.cluster).clone(),
            actions: Vec::new(),
            waiting: why,
            steps: Vec::new(),
            moved: false,
            gone: false,
        };
        if let Some(started) = started {
            draft = Draft { cluster: started, moved: true, waiting: Vec::new(), ..draft };
            return self.finish(view, draft);
        }
        match &view.seen {
            Ok(seen) => self.seen_turn(view, *seen, intent, &mut draft, wake),
            Err(why) => return self.unseen(view, draft, unknown(view, why), wake),
        }
        self.finish(view, draft)
    }

    fn untouched(&self, view: &View<'_>, waiting: Vec<Waiting>) -> Life {
        let mut cluster = (**view.cluster).clone();
        let before = &view.cluster.status.conditions;
        cluster.status.conditions.retain(|condition| condition.r#type != "Paused");
        if view.paused {
            cluster.status.conditions.extend(waiting.iter().map(|reason| reason.condition(before, self.inputs.now)));
        }
        Life { next: Some(share(view.cluster, cluster)), tombstone: None, actions: Vec::new(), waiting }
    }

    /// Nothing recent is known: the record stays as it is, save that lasting ignorance is said.
    fn unseen(&self, view: &View<'_>, draft: Draft, waiting: Waiting, wake: &mut Wake) -> Life {
        let mut cluster = draft.cluster;
        // By the readings, not by the clock: one that failed long ago and was not tried again says nothing of today.
        let reading = self.inputs.inventory.places.get(&view.place);
        let shown = reading.is_some_and(|reading| {
            reading.failing_since.is_some_and(|since| since.plus(FAILING_SHOWN_AFTER) <= reading.at)
        });
        let known = cluster.status.conditions.iter().any(|condition| condition.r#type == "Unknown");
        if shown && !known {
            let before = &view.cluster.status.conditions;
            let message = Waiting::Observation(view.place.clone(), "its cloud can't be read".to_owned());
            cluster.status.conditions.push(message.condition(before, self.inputs.now));
        }
        self.watch_deadline(view, wake);
        Life { next: Some(share(view.cluster, cluster)), tombstone: None, actions: Vec::new(), waiting: vec![waiting] }
    }

    fn watch_deadline(&self, view: &View<'_>, wake: &mut Wake) {
        let deadline = building_since(view.cluster).plus(self.set.progress_deadline);
        let builds = matches!(view.state(), ClusterState::Pending | ClusterState::Creating | ClusterState::Updating);
        if builds && deadline > self.inputs.now {
            wake.at(deadline);
        }
    }

    fn seen_turn(&self, view: &View<'_>, seen: Seen<'_>, intent: Intent, draft: &mut Draft, wake: &mut Wake) {
        if view.lost && view.state() != ClusterState::Deleting && self.gates.fill {
            return self.to_deleting(view, RetirementReason::Lost, draft);
        }
        match (view.state(), intent) {
            (ClusterState::Pending | ClusterState::Creating, Intent::Keep) => self.create(view, seen, draft, wake),
            (ClusterState::Pending | ClusterState::Creating, Intent::Retire(reason)) => {
                if self.gates.retire {
                    self.to_deleting(view, reason, draft);
                }
            }
            (ClusterState::Ready, _) => self.serve(view, seen, draft, wake),
            (ClusterState::Updating, _) => self.update(view, seen, intent, draft, wake),
            (ClusterState::Draining | ClusterState::Drained, Intent::Keep) => self.restore(view, seen, draft, wake),
            (ClusterState::Draining, Intent::Retire(_)) => self.drain(view, seen, draft, wake),
            (ClusterState::Drained, Intent::Retire(reason)) => self.drained(view, seen, reason, draft, wake),
            (ClusterState::Deleting, _) => self.delete(view, seen, draft, wake),
        }
    }

    /// Whether a cluster serves, is complete, and its record says so already: most are like this, at all times.
    fn stays_as_it_is(&self, view: &View<'_>, why: &[Waiting]) -> bool {
        let Ok(seen) = &view.seen else { return false };
        view.state() == ClusterState::Ready
            && !view.lost
            && !seen.placement_closed()
            && seen.is_complete(&self.fingerprints(view))
            && are_noted(*seen, &view.cluster.status)
            && self.conditions(view, ClusterState::Ready, &[], why) == view.cluster.status.conditions
    }

    fn fingerprints(&self, view: &View<'_>) -> Fingerprints {
        self.inputs.memo.fingerprints(&view.cluster.status.revision, &view.cluster.spec)
    }

    /// A cluster that is not finished follows the wish without more ado, where its parts can.
    fn follow_template(&self, view: &View<'_>, seen: Seen<'_>, allowed: bool, draft: &mut Draft) -> bool {
        let differs = view.class.keeps_cluster() && view.cluster.spec != self.set.template;
        let follows = allowed && differs && self.version_is_reached(view, seen);
        if follows {
            draft.cluster.spec = Arc::clone(&self.set.template);
            draft.cluster.status.revision = revision(&self.set.template);
            draft.cluster.status.since = self.inputs.now;
            draft.moved = true;
        }
        follows
    }

    /// A control plane goes one minor version at a time: while it is not yet where its record says, the step from there to
    /// the wish is not the one that the class was judged by.
    fn version_is_reached(&self, view: &View<'_>, seen: Seen<'_>) -> bool {
        if view.cluster.spec.kubernetes_version.minor() == self.set.template.kubernetes_version.minor() {
            return true;
        }
        let prints = self.fingerprints(view);
        let versioned = [Step::ControlPlane, Step::NodePools];
        let known = Step::BUILD.iter().zip(prints.iter()).filter(|(step, _)| versioned.contains(step));
        known.into_iter().all(|(step, print)| seen.step(*step).all(|resource| resource.applied == *print))
    }

    fn create(&self, view: &View<'_>, seen: Seen<'_>, draft: &mut Draft, wake: &mut Wake) {
        if self.follow_template(view, seen, self.gates.fill, draft) {
            return;
        }
        let prints = self.fingerprints(view);
        if seen.is_complete(&prints) {
            note_facts(seen, draft);
            draft.enter(ClusterState::Ready, self);
            draft.cluster.status.ready_at = draft.cluster.status.ready_at.or(Some(self.inputs.now));
            return;
        }
        if view.state() == ClusterState::Pending && !seen.resources.is_empty() {
            draft.enter(ClusterState::Creating, self);
        }
        self.bring(view, seen, &prints, draft, wake);
    }

    fn bring(&self, view: &View<'_>, seen: Seen<'_>, prints: &Fingerprints, draft: &mut Draft, wake: &mut Wake) {
        let building = build::build(self.inputs, self.id, view, seen, prints, wake);
        draft.actions.extend(building.actions);
        draft.waiting.extend(building.waiting);
        draft.steps = building.conditions;
        self.watch_deadline(view, wake);
        if is_stalled(view.cluster, self.set, self.inputs.now) {
            let (since, deadline) = (building_since(view.cluster), self.set.progress_deadline);
            // After a night without a daemon everything is past every deadline, and moves on all the same.
            let hopeless_at = since.max(self.inputs.memory.began).plus(deadline).plus(deadline);
            let hopeless = hopeless_at <= self.inputs.now;
            draft.waiting.push(Waiting::Stalled { since, deadline, hopeless });
            if !hopeless {
                wake.at(hopeless_at);
            }
        }
    }

    fn serve(&self, view: &View<'_>, seen: Seen<'_>, draft: &mut Draft, wake: &mut Wake) {
        let prints = self.fingerprints(view);
        if seen.placement_closed() && self.gates.fill {
            // Another daemon's drain came late, to a cluster that was taken back meanwhile.
            return draft.enter(ClusterState::Updating, self);
        }
        if seen.is_complete(&prints) {
            note_facts(seen, draft);
            return;
        }
        // Something of a serving cluster is gone or differs: mended under a state of its own. What the provider is
        // merely busy with, and a control plane that is gone, are no such thing.
        let broken = build::build(self.inputs, self.id, view, seen, &prints, &mut Wake::default());
        let mendable = !broken.actions.is_empty() && seen.control_plane_serves();
        if mendable && self.gates.fill {
            return draft.enter(ClusterState::Updating, self);
        }
        if seen.control_plane().is_none() {
            self.watch_absence(view, draft, wake);
        }
    }

    /// A control plane that served and is not there comes back, or is taken for lost after a while.
    fn watch_absence(&self, view: &View<'_>, draft: &mut Draft, wake: &mut Wake) {
        let absent = self.inputs.memory.absent_since.get(&view.cluster.metadata.name);
        wake.at(absent.copied().unwrap_or(self.inputs.now).plus(super::LOST_AFTER));
        draft.waiting.push(Waiting::Observation(view.place.clone(), "its control plane is not there".into()));
    }

    fn update(&self, view: &View<'_>, seen: Seen<'_>, intent: Intent, draft: &mut Draft, wake: &mut Wake) {
        if intent == Intent::Keep && self.follow_template(view, seen, self.gates.moves, draft) {
            return;
        }
        if let Some(plane) = seen.control_plane().filter(|_| seen.placement_closed()) {
            let effect = Effect::OpenPlacement { id: Arc::clone(&plane.id) };
            draft.waiting.push(Waiting::Step(Step::ControlPlane));
            draft.actions.extend(act(self.inputs, self.id, view, Step::ControlPlane, effect, wake));
            return;
        }
        let prints = self.fingerprints(view);
        if seen.is_complete(&prints) {
            note_facts(seen, draft);
            return draft.enter(ClusterState::Ready, self);
        }
        match seen.control_plane() {
            Some(_) => self.bring(view, seen, &prints, draft, wake),
            None => self.watch_absence(view, draft, wake),
        }
    }

    fn restore(&self, view: &View<'_>, seen: Seen<'_>, draft: &mut Draft, wake: &mut Wake) {
        let Some(plane) = seen.control_plane() else { return self.watch_absence(view, draft, wake) };
        if !self.gates.fill {
            return;
        }
        // A list that lags behind shows a cluster open that is closed: nobody but who opened it believes that it is.
        let doubtful = seen.control_plane_serves() && !self.inputs.memory.has_opened(view.cluster);
        if (seen.placement_closed() || doubtful) && !mutant::on("placement-left-closed") {
            let effect = Effect::OpenPlacement { id: Arc::clone(&plane.id) };
            draft.actions.extend(act(self.inputs, self.id, view, Step::ControlPlane, effect, wake));
            return;
        }
        let complete = seen.is_complete(&self.fingerprints(view));
        let state = if complete { ClusterState::Ready } else { ClusterState::Updating };
        if seen.control_plane_serves() {
            draft.enter(state, self);
            draft.cluster.status.retirement = None;
        }
    }

    fn drain(&self, view: &View<'_>, seen: Seen<'_>, draft: &mut Draft, wake: &mut Wake) {
        if !self.gates.retire {
            return;
        }
        let rotation = &self.set.update_strategy.cluster_rotation;
        if mutant::on("drain-skipped") {
            return draft.enter(ClusterState::Deleting, self);
        }
        if self.called_back.contains(&view.cluster.metadata.name) {
            return self.restore(view, seen, draft, wake);
        }
        if view.is_open() && !self.enough_serve {
            return draft.waiting.push(Waiting::Replacement);
        }
        match retire::drain(self.inputs, self.config, self.id, view, seen, rotation, wake) {
            Turn::Change(retirement) => {
                draft.cluster.status.retirement = Some(retirement);
                draft.moved = true;
            }
            Turn::Empty(retirement) => {
                draft.enter(ClusterState::Drained, self);
                draft.cluster.status.retirement = Some(retirement);
            }
            Turn::Act(actions, waiting) => {
                draft.actions.extend(actions);
                draft.waiting.extend(waiting);
            }
            Turn::Gone => {}
        }
    }

    fn drained(&self, view: &View<'_>, seen: Seen<'_>, reason: RetirementReason, draft: &mut Draft, wake: &mut Wake) {
        let emptiness = retire::emptiness(self.inputs, view, seen, wake);
        if emptiness == Emptiness::Open && self.gates.retire {
            // Opened for a revert that was itself reverted, it may be all that serves until its replacement does.
            return match reason == RetirementReason::Replaced && !self.enough_serve {
                true => draft.waiting.push(Waiting::Replacement),
                false => self.drain_again(view, reason, draft),
            };
        }
        let rotation = &self.set.update_strategy.cluster_rotation;
        if emptiness == Emptiness::Joined && self.gates.retire {
            draft.actions.extend(retire::close_again(self.inputs, self.id, view, seen, rotation, wake));
        }
        let window = rotation.rollback_window;
        let until = view.cluster.status.since.plus(window);
        if until > self.inputs.now && !mutant::on("rollback-window-ignored") {
            wake.at(until);
            draft.waiting.push(Waiting::RollbackWindow(until));
            return;
        }
        let replaced = reason == RetirementReason::Replaced;
        if !self.gates.retire || (replaced && !self.gates.replace) {
            return;
        }
        if replaced && !self.enough_serve && !self.in_the_way.contains(&view.cluster.metadata.name) {
            return draft.waiting.push(Waiting::Replacement);
        }
        match emptiness {
            Emptiness::Empty => self.to_deleting(view, reason, draft),
            Emptiness::InUse | Emptiness::Open => self.drain_again(view, reason, draft),
            Emptiness::Joined => {
                let why = "that the nodes which joined it are closed".to_owned();
                draft.waiting.push(Waiting::Observation(view.place.clone(), why));
            }
            Emptiness::Uncounted => {
                let why = "its workloads could not be counted".to_owned();
                draft.waiting.push(Waiting::Observation(view.place.clone(), why));
            }
        }
    }

    /// What was verified no longer holds, so all of it is done again, consumers included.
    fn drain_again(&self, view: &View<'_>, reason: RetirementReason, draft: &mut Draft) {
        let began = view.cluster.status.retirement.as_ref().map_or(reason, |retirement| retirement.reason);
        draft.enter(ClusterState::Draining, self);
        draft.cluster.status.retirement = Some(retirement(began, self.inputs.now));
    }

    fn to_deleting(&self, view: &View<'_>, reason: RetirementReason, draft: &mut Draft) {
        let begun = view.cluster.status.retirement.clone();
        let retirement = begun.unwrap_or_else(|| retirement(reason, self.inputs.now));
        draft.enter(ClusterState::Deleting, self);
        draft.cluster.status.retirement = Some(Retirement { reason, ..retirement });
    }

    fn delete(&self, view: &View<'_>, seen: Seen<'_>, draft: &mut Draft, wake: &mut Wake) {
        if !self.gates.retire {
            return;
        }
        let rotation = &self.set.update_strategy.cluster_rotation;
        match retire::delete(self.inputs, self.id, view, seen, rotation, wake) {
            Turn::Gone => draft.gone = true,
            Turn::Act(actions, waiting) => {
                draft.actions.extend(actions);
                draft.waiting.extend(waiting);
            }
            Turn::Change(_) | Turn::Empty(_) => {}
        }
    }

    fn finish(&self, view: &View<'_>, mut draft: Draft) -> Life {
        if draft.gone {
            return Life {
                next: None,
                tombstone: (!mutant::on("tombstone-skipped")).then(|| self.tombstone(view)),
                actions: Vec::new(),
                waiting: Vec::new(),
            };
        }
        // One action at a time on a cluster's readings: what is under way makes them old.
        if draft.moved || view.in_flight {
            draft.actions.clear();
        }
        draft.cluster.status.conditions =
            self.conditions(view, draft.cluster.status.state, &draft.steps, &draft.waiting);
        Life {
            next: Some(share(view.cluster, draft.cluster)),
            tombstone: None,
            actions: draft.actions,
            waiting: draft.waiting,
        }
    }

    fn conditions(
        &self,
        view: &View<'_>,
        state: ClusterState,
        steps: &[Condition],
        waiting: &[Waiting],
    ) -> Vec<Condition> {
        let before = &view.cluster.status.conditions;
        let ready = match state.serves() {
            true => (ConditionStatus::True, "Serving"),
            false => (ConditionStatus::False, state_reason(state)),
        };
        let mut conditions = vec![condition("Ready", ready.0, ready.1, String::new(), before, self.inputs.now)];
        conditions.extend(steps.iter().cloned());
        for waiting in
            waiting.iter().filter(|w| !w.is_fleeting() && !matches!(w, Waiting::StepFailed { .. } if !steps.is_empty()))
        {
            let next = waiting.condition(before, self.inputs.now);
            if !conditions.iter().any(|condition| condition.r#type == next.r#type) {
                conditions.push(next);
            }
        }
        conditions
    }

    fn tombstone(&self, view: &View<'_>) -> Tombstone {
        let Cluster { metadata, status, .. } = &**view.cluster;
        Tombstone {
            name: metadata.name.clone(),
            ordinal: metadata.ordinal,
            revision: status.revision.clone(),
            reason: status.retirement.as_ref().map_or(RetirementReason::Superseded, |retirement| retirement.reason),
            deleted_at: self.inputs.now,
        }
    }
}

/// A retirement that begins, of which nothing is proven yet.
pub const fn retirement(reason: RetirementReason, now: Timestamp) -> Retirement {
    Retirement {
        reason,
        started_at: now,
        expected_workloads: None,
        empty_at: None,
        evidence: None,
        without_acknowledgement: Vec::new(),
    }
}

/// What is not known passes by itself, unless the cloud says that somebody has to mend it.
pub fn unknown(view: &View<'_>, why: &UnknownReason) -> Waiting {
    match why {
        UnknownReason::Failed(class, _) if !class.is_transient() => {
            Waiting::Unreadable(view.place.clone(), why.to_string())
        }
        UnknownReason::NotRead | UnknownReason::Failed(..) | UnknownReason::Stale(_) => {
            Waiting::Observation(view.place.clone(), why.to_string())
        }
    }
}

const fn state_reason(state: ClusterState) -> &'static str {
    match state {
        ClusterState::Pending => "Named",
        ClusterState::Creating => "Creating",
        ClusterState::Ready | ClusterState::Updating => "Serving",
        ClusterState::Draining => "Draining",
        ClusterState::Drained => "Drained",
        ClusterState::Deleting => "Deleting",
    }
}

/// The old allocation where nothing changed, so that an unchanged set is cheap to recognise.
fn share(old: &Arc<Cluster>, new: Cluster) -> Arc<Cluster> {
    if **old == new { Arc::clone(old) } else { Arc::new(new) }
}

/// Whether [`note_facts`] would change nothing.
fn are_noted(seen: Seen<'_>, status: &ClusterStatus) -> bool {
    let Some(plane) = seen.control_plane() else { return false };
    let endpoint = plane.control_plane.as_ref().and_then(|facts| facts.endpoint.as_deref());
    let network = seen.step(Step::Network).next().map(|resource| &*resource.id);
    status.provider_id.as_deref() == Some(&*plane.id)
        && status.endpoint.as_deref() == endpoint
        && status.network.id.as_deref() == network
        && seen.step(Step::NodePools).flat_map(|resource| &resource.node_pools).eq(&status.node_pools)
        && seen.step(Step::InfraServices).flat_map(|resource| &resource.infra_services).eq(&status.infra_services)
}

/// Copies what readers of the status file want to know from a complete reading.
fn note_facts(seen: Seen<'_>, draft: &mut Draft) {
    let status = &mut draft.cluster.status;
    if let Some(plane) = seen.control_plane() {
        status.provider_id = Some(plane.id.to_string());
        status.endpoint = plane.control_plane.as_ref().and_then(|facts| facts.endpoint.clone());
    }
    let network = seen.step(Step::Network).next().map(|resource| resource.id.to_string());
    status.network = NetworkStatus { cidr: status.network.cidr.take(), id: network };
    status.node_pools = seen.step(Step::NodePools).flat_map(|resource| resource.node_pools.clone()).collect();
    status.infra_services =
        seen.step(Step::InfraServices).flat_map(|resource| resource.infra_services.clone()).collect();
}
