//! Draining and deleting: who must have read of it, whether it is empty, and which part goes next.

use std::sync::Arc;

use fleetwright_schema::documents::FleetSpec;
use fleetwright_schema::names::{Name, SetId};
use fleetwright_schema::set::{DrainMode, DrainTimeoutPolicy, Rotation};
use fleetwright_schema::status::Retirement;

use super::build::act;
use super::view::{Seen, View};
use super::{Inputs, LOST_AFTER, Wake};
use crate::action::{Action, Effect};
use crate::inventory::{ControlPlaneFacts, Phase, Placement, Resource, Step, Workloads};
use crate::mutant;
use crate::waiting::Waiting;
use fleetwright_schema::units::Duration;

/// An effect that is repeated while it shows nothing is repeated this often.
const REPEAT_AFTER: Duration = Duration::from_minutes(10);

/// What a retiring cluster's turn comes to.
pub enum Turn {
    /// Something changes in the record.
    Change(Retirement),
    /// The cluster is verified empty.
    Empty(Retirement),
    /// Effects, and what is waited for.
    Act(Vec<Action>, Vec<Waiting>),
    /// Nothing of it is left.
    Gone,
}

/// The turn of a DRAINING cluster.
pub fn drain(
    inputs: &Inputs<'_>,
    config: &FleetSpec,
    id: &SetId,
    view: &View<'_>,
    seen: Seen<'_>,
    rotation: &Rotation,
    wake: &mut Wake,
) -> Turn {
    let Some(retirement) = view.cluster.status.retirement.clone() else { return Turn::Act(Vec::new(), Vec::new()) };
    let acks = unacknowledged(inputs, config, id, view, &retirement, wake);
    if acks.overdue != retirement.without_acknowledgement {
        return Turn::Change(Retirement { without_acknowledgement: acks.overdue, ..retirement });
    }
    if !acks.waiting.is_empty() {
        return Turn::Act(Vec::new(), acks.waiting);
    }
    let Some((plane, facts)) = seen.control_plane().and_then(|plane| Some((plane, plane.control_plane.as_ref()?)))
    else {
        return Turn::Act(
            Vec::new(),
            vec![Waiting::Observation(view.place.clone(), "its control plane is not there".into())],
        );
    };
    let closed = facts.placement == Placement::Closed;
    if !closed && retirement.expected_workloads.is_some() {
        // It was opened for a revert that was reverted: what left then came back, or not, and is counted anew.
        return Turn::Change(Retirement { expected_workloads: None, ..retirement });
    }
    let counts = closed && !facts.has_open_nodes && is_since_opening(inputs, view, seen, wake);
    if let Some(workloads) = facts.workloads.as_ref().filter(|_| counts) {
        let Some(expected) = retirement.expected_workloads else {
            let expected = Some(workloads.running.saturating_add(workloads.left));
            return Turn::Change(Retirement { expected_workloads: expected, ..retirement });
        };
        // Empty is only what was counted: nothing runs, and as many left as there were.
        if (workloads.running == 0 && workloads.left >= expected) || mutant::on("emptiness-assumed") {
            let evidence = Some(plane.id.to_string());
            return Turn::Empty(Retirement { empty_at: Some(seen.at), evidence, ..retirement });
        }
    }
    let deadline = retirement.started_at.plus(rotation.drain_timeout);
    let overdue = deadline <= inputs.now;
    if !overdue {
        wake.at(deadline);
    }
    let escalated = overdue && rotation.on_drain_timeout == DrainTimeoutPolicy::Evict;
    let mode = if escalated { DrainMode::Evict } else { rotation.drain };
    let effect = Effect::Drain { id: Arc::clone(&plane.id), mode };
    let action = (!closed || facts.has_open_nodes || (escalated && is_quiet(inputs, view)))
        .then(|| act(inputs, id, view, Step::ControlPlane, effect, wake))
        .flatten();
    let blocked_by = facts.workloads.as_ref().map(|workloads| workloads.blocked_by.clone()).unwrap_or_default();
    Turn::Act(action.into_iter().collect(), vec![Waiting::Drain { blocked_by, overdue: overdue && !escalated }])
}

struct Acks {
    waiting: Vec<Waiting>,
    /// Consumers whose grace is over.
    overdue: Vec<Name>,
}

fn unacknowledged(
    inputs: &Inputs<'_>,
    config: &FleetSpec,
    id: &SetId,
    view: &View<'_>,
    retirement: &Retirement,
    wake: &mut Wake,
) -> Acks {
    let mut acks = Acks { waiting: Vec::new(), overdue: retirement.without_acknowledgement.clone() };
    let tags = &view.cluster.spec.tags;
    let cluster = &view.cluster.metadata.name;
    for consumer in config.consumers.iter().filter(|consumer| consumer.sets.selects(id, tags)) {
        let read = inputs.acknowledgements.covers(&consumer.name, cluster, retirement.started_at);
        if read || acks.overdue.contains(&consumer.name) || mutant::on("consumers-not-waited-for") {
            continue;
        }
        let until = retirement.started_at.plus(consumer.grace);
        match until <= inputs.now {
            true => acks.overdue.push(consumer.name.clone()),
            false => {
                wake.at(until);
                acks.waiting.push(Waiting::Consumer { consumer: consumer.name.clone(), until });
            }
        }
    }
    acks
}

/// What a new reading says of a DRAINED cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emptiness {
    /// The very control plane that was read to be empty still is, or it is gone.
    Empty,
    /// Its workloads could not be counted.
    Uncounted,
    /// Something runs on it, or it is another control plane.
    InUse,
    /// Nothing runs on it, and something could: nodes have joined since it was closed.
    Joined,
    /// It takes workloads again: it was opened for a revert that was itself reverted.
    Open,
}

/// Whether a DRAINED cluster may go.
pub fn emptiness(inputs: &Inputs<'_>, view: &View<'_>, seen: Seen<'_>, wake: &mut Wake) -> Emptiness {
    let Some(plane) = seen.control_plane() else { return Emptiness::Empty };
    let evidence = view.cluster.status.retirement.as_ref().and_then(|retirement| retirement.evidence.as_deref());
    let Some(facts) = &plane.control_plane else { return Emptiness::Uncounted };
    match (facts.placement, &facts.workloads) {
        (Placement::Open, _) => Emptiness::Open,
        (Placement::Closed, None) => Emptiness::Uncounted,
        (Placement::Closed, Some(_)) if !is_since_opening(inputs, view, seen, wake) => Emptiness::Uncounted,
        (Placement::Closed, Some(workloads)) if facts.has_open_nodes && workloads.running == 0 => Emptiness::Joined,
        (Placement::Closed, Some(workloads)) => match evidence == Some(&*plane.id) && workloads.running == 0 {
            true => Emptiness::Empty,
            false => Emptiness::InUse,
        },
    }
}

/// Closes what has joined a DRAINED cluster: nothing of what was verified is in doubt by that.
pub fn close_again(
    inputs: &Inputs<'_>,
    id: &SetId,
    view: &View<'_>,
    seen: Seen<'_>,
    rotation: &Rotation,
    wake: &mut Wake,
) -> Option<Action> {
    let plane = seen.control_plane()?;
    let effect = Effect::Drain { id: Arc::clone(&plane.id), mode: rotation.drain };
    act(inputs, id, view, Step::ControlPlane, effect, wake)
}

/// Whether a reading can't be of before we last opened the cluster for a revert: what had left until then came back.
fn is_since_opening(inputs: &Inputs<'_>, view: &View<'_>, seen: Seen<'_>, wake: &mut Wake) -> bool {
    let Some(opening) = inputs.memory.openings.get(&view.cluster.metadata.name) else { return true };
    let proven_from = opening.at.plus(LOST_AFTER);
    if proven_from >= inputs.now {
        wake.at(proven_from.plus(Duration::from_seconds(1)));
    }
    seen.at > proven_from
}

/// The turn of a DELETING cluster: children before parents, by the ids that were read, until nothing is left.
pub fn delete(
    inputs: &Inputs<'_>,
    id: &SetId,
    view: &View<'_>,
    seen: Seen<'_>,
    rotation: &Rotation,
    wake: &mut Wake,
) -> Turn {
    if seen.resources.is_empty() {
        return vanished(inputs, view, seen, wake);
    }
    let workloads = seen.facts().and_then(|facts| facts.workloads.as_ref()).filter(|workloads| workloads.running > 0);
    if let (Some(workloads), Some(plane)) = (workloads, seen.control_plane()) {
        return empty_first(inputs, id, view, plane, workloads, rotation, wake);
    }
    if may_be_in_use(view, seen) {
        let why = "its workloads could not be counted".to_owned();
        return Turn::Act(Vec::new(), vec![Waiting::Observation(view.place.clone(), why)]);
    }
    let mut actions = Vec::new();
    let mut waiting = Vec::new();
    for resource in seen.resources.iter().filter(|resource| !is_held(resource, seen)) {
        waiting.push(Waiting::Step(resource.step));
        let busy = actions.iter().any(|action: &Action| action.key.step == resource.step);
        if resource.phase != Phase::Deleting && !busy {
            let effect = Effect::Delete { id: Arc::clone(&resource.id) };
            actions.extend(act(inputs, id, view, resource.step, effect, wake));
        }
    }
    failures(inputs, view, seen, &mut waiting);
    Turn::Act(actions, waiting)
}

/// Only a reading that began after the record said DELETING proves that all is gone; and of a cluster that may just
/// have been made, only one that can't be older than its making.
fn vanished(inputs: &Inputs<'_>, view: &View<'_>, seen: Seen<'_>, wake: &mut Wake) -> Turn {
    let status = &view.cluster.status;
    let lag = if status.ready_at.is_none() { LOST_AFTER } else { Duration::default() };
    let proven_from = status.since.plus(lag);
    if seen.at > proven_from {
        return Turn::Gone;
    }
    if proven_from >= inputs.now {
        wake.at(proven_from.plus(Duration::from_seconds(1)));
    }
    Turn::Act(Vec::new(), vec![Waiting::Observation(view.place.clone(), "that nothing is left of it".into())])
}

/// Whether nobody has ever read how much runs on a cluster that could be used: it has all its parts.
fn may_be_in_use(view: &View<'_>, seen: Seen<'_>) -> bool {
    let proven = view.cluster.status.retirement.as_ref().is_some_and(|retirement| retirement.empty_at.is_some());
    let counted = seen.facts().is_none_or(|facts| facts.workloads.is_some());
    let services = seen.step(Step::InfraServices).any(|services| services.phase != Phase::Deleting);
    !proven && !counted && services
}

/// What runs on a cluster that is to go, though it was never published as READY, leaves as from any other.
fn empty_first(
    inputs: &Inputs<'_>,
    id: &SetId,
    view: &View<'_>,
    plane: &Resource,
    workloads: &Workloads,
    rotation: &Rotation,
    wake: &mut Wake,
) -> Turn {
    let takes_more = |facts: &ControlPlaneFacts| facts.placement == Placement::Open || facts.has_open_nodes;
    let open = plane.control_plane.as_ref().is_some_and(takes_more);
    let deadline = view.cluster.status.since.plus(rotation.drain_timeout);
    let overdue = deadline <= inputs.now;
    if !overdue {
        wake.at(deadline);
    }
    let escalated = overdue && rotation.on_drain_timeout == DrainTimeoutPolicy::Evict;
    let mode = if escalated { DrainMode::Evict } else { rotation.drain };
    let effect = Effect::Drain { id: Arc::clone(&plane.id), mode };
    let acts = open || (escalated && is_quiet(inputs, view));
    let action = acts.then(|| act(inputs, id, view, Step::ControlPlane, effect, wake)).flatten();
    let blocked_by = workloads.blocked_by.clone();
    Turn::Act(action.into_iter().collect(), vec![Waiting::Drain { blocked_by, overdue: overdue && !escalated }])
}

/// Whether nothing was done to it for a while.
fn is_quiet(inputs: &Inputs<'_>, view: &View<'_>) -> bool {
    let touched = inputs.memory.touched.get(&view.cluster.metadata.name);
    touched.is_none_or(|at| at.plus(REPEAT_AFTER) <= inputs.now)
}

/// Of what still stands: that a part could not be made is nothing to a deletion, and only the process that tried knows it.
/// What may pass by itself is told once it has not.
fn failures(inputs: &Inputs<'_>, view: &View<'_>, seen: Seen<'_>, waiting: &mut Vec<Waiting>) {
    let name = &view.cluster.metadata.name;
    let ours = inputs.memory.failures.iter().filter(|(key, _)| key.cluster == *name);
    let shown = ours.filter(|(key, failure)| seen.step(key.step).next().is_some() && failure.is_shown());
    waiting.extend(shown.map(|(key, failure)| Waiting::StepFailed {
        step: key.step,
        class: failure.class,
        message: failure.message.clone(),
    }));
}

/// Whether something that still stands has to go first: a child, or what the cluster itself made, which goes once no
/// controller is left to make it again.
fn is_held(resource: &Resource, seen: Seen<'_>) -> bool {
    let child = seen.resources.iter().any(|other| other.step.parents().contains(&resource.step));
    let made_by_cluster = resource.step == Step::Leftovers && seen.step(Step::ControlPlane).next().is_some();
    child || made_by_cluster
}
