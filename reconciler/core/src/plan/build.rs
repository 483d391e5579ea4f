//! Making and changing the parts of a cluster: which step may act now, and where each step stands.

use std::sync::Arc;

use fleetwright_schema::names::SetId;
use fleetwright_schema::set::Feature;
use fleetwright_schema::status::{Condition, ConditionStatus};

use super::view::{Seen, View};
use super::{Inputs, Wake};
use crate::action::{Action, ActionKey, Effect};
use crate::fingerprint::token;
use crate::inventory::{ErrorClass, Phase, Resource, Step};
use crate::memory::Failure;
use crate::mutant;
use crate::waiting::{Waiting, condition};

/// What is to be done to bring a cluster's parts to its spec, and where each part stands.
#[derive(Default)]
pub struct Building {
    /// Effects that may happen now, side by side.
    pub actions: Vec<Action>,
    /// One condition a step.
    pub conditions: Vec<Condition>,
    /// The steps that are under way, failed or waiting.
    pub waiting: Vec<Waiting>,
}

/// Where one step stands.
enum Standing<'a> {
    Ready,
    Missing,
    /// The provider works on it.
    Busy,
    /// There, but made from something else.
    Differs(&'a Resource),
    /// The provider gave up on it.
    Failed(&'a Resource),
    /// A doubled create: these go before anything is built on the one that stays.
    Doubled(Vec<&'a Resource>),
}

/// Brings the cluster towards its spec, from what was read of it.
pub fn build(
    inputs: &Inputs<'_>,
    id: &SetId,
    view: &View<'_>,
    seen: Seen<'_>,
    fingerprints: &[Arc<str>; 8],
    wake: &mut Wake,
) -> Building {
    let mut building = Building::default();
    let standings: Vec<(Step, Standing<'_>)> =
        Step::BUILD.iter().zip(fingerprints).map(|(step, print)| (*step, standing(seen, *step, print))).collect();
    let ready = |step: Step| standings.iter().any(|(s, standing)| *s == step && matches!(standing, Standing::Ready));
    for ((step, standing), print) in standings.iter().zip(fingerprints) {
        let missing_parent = step.parents().iter().find(|parent| !ready(**parent));
        let ahead = Ahead { id, view, seen, step: *step, print, parent: missing_parent.copied() };
        let effect = ahead.effect(standing);
        ahead.note(inputs, standing, &mut building);
        if let Some(action) = effect.and_then(|effect| ahead.action(inputs, effect, wake)) {
            building.actions.push(action);
        }
    }
    building
}

fn standing<'a>(seen: Seen<'a>, step: Step, print: &Arc<str>) -> Standing<'a> {
    let mut found: Vec<&Resource> = seen.step(step).collect();
    if found.len() > 1 && !mutant::on("double-create-kept") {
        let survivor = survivor(seen, &found);
        found.retain(|resource| resource.id != survivor.id && resource.phase != Phase::Deleting);
        return if found.is_empty() { Standing::Busy } else { Standing::Doubled(found) };
    }
    match found.first() {
        None => Standing::Missing,
        Some(resource) => match resource.phase {
            Phase::Creating | Phase::Updating | Phase::Deleting => Standing::Busy,
            Phase::Failed => Standing::Failed(resource),
            Phase::Ready if resource.applied == *print => Standing::Ready,
            Phase::Ready => Standing::Differs(resource),
        },
    }
}

/// Of a doubled create the one that something already uses stays; else the oldest; else the one whose id sorts first.
/// Every daemon that reads the same comes to the same choice.
fn survivor<'a>(seen: Seen<'a>, found: &[&'a Resource]) -> &'a Resource {
    let used = |resource: &Resource| seen.resources.iter().any(|other| other.uses.contains(&resource.id));
    let rank = |resource: &&&Resource| {
        (resource.phase == Phase::Deleting, !used(resource), resource.created_at, Arc::clone(&resource.id))
    };
    found.iter().min_by_key(rank).copied().unwrap_or(found[0])
}

struct Ahead<'a> {
    id: &'a SetId,
    view: &'a View<'a>,
    seen: Seen<'a>,
    step: Step,
    print: &'a Arc<str>,
    parent: Option<Step>,
}

impl Ahead<'_> {
    fn effect(&self, standing: &Standing<'_>) -> Option<Effect> {
        let cluster = self.view.cluster;
        let token = || token(&cluster.metadata.name, self.step, self.print);
        let spec = || Arc::clone(&cluster.spec);
        match standing {
            Standing::Ready | Standing::Busy => None,
            Standing::Missing if self.parent.is_some() => None,
            Standing::Missing => Some(Effect::Create {
                token: token(),
                fingerprint: Arc::clone(self.print),
                spec: spec(),
                cidr: cluster.status.network.cidr.as_deref().map(Arc::from),
                parents: self.parent_ids(),
            }),
            // A part that never served is made anew; one that serves is left to a person.
            Standing::Failed(resource) if cluster.status.ready_at.is_none() => self.delete(resource),
            Standing::Failed(_) => None,
            Standing::Differs(_) if self.parent.is_some() => None,
            Standing::Differs(resource) => Some(Effect::Update {
                id: Arc::clone(&resource.id),
                token: token(),
                fingerprint: Arc::clone(self.print),
                spec: spec(),
            }),
            Standing::Doubled(spare) => spare.first().and_then(|resource| self.delete(resource)),
        }
    }

    fn delete(&self, resource: &Resource) -> Option<Effect> {
        let used = self.seen.resources.iter().any(|other| other.uses.contains(&resource.id));
        (!used).then(|| Effect::Delete { id: Arc::clone(&resource.id) })
    }

    fn parent_ids(&self) -> Vec<Arc<str>> {
        let ids = self.step.parents().iter().flat_map(|parent| self.seen.step(*parent));
        ids.map(|resource| Arc::clone(&resource.id)).collect()
    }

    fn action(&self, inputs: &Inputs<'_>, effect: Effect, wake: &mut Wake) -> Option<Action> {
        let byon = self.view.cluster.spec.features.contains(&Feature::Byon);
        debug_assert!(self.step != Step::Network || byon || self.view.cluster.status.network.cidr.is_some());
        act(inputs, self.id, self.view, self.step, effect, wake)
    }

    fn note(&self, inputs: &Inputs<'_>, standing: &Standing<'_>, building: &mut Building) {
        let key = ActionKey { cluster: self.view.cluster.metadata.name.clone(), step: self.step };
        let failure = inputs.memory.failures.get(&key).filter(|failure| failure.is_shown());
        let before = &self.view.cluster.status.conditions;
        if let (Standing::Missing | Standing::Differs(_), None, None) = (standing, self.parent, failure)
            && let Some(failed) =
                before.iter().find(|known| known.r#type == self.step.condition() && tells_error(known))
        {
            // A new process knows of no failure yet: what is written stands until an attempt says otherwise.
            building.conditions.push(failed.clone());
            return building.waiting.push(Waiting::Step(self.step));
        }
        let (status, reason, message) = match (standing, self.parent, failure) {
            (Standing::Ready, ..) => (ConditionStatus::True, "Ready", String::new()),
            (_, _, Some(failure)) => (ConditionStatus::False, failure.class.as_str(), failure.message.clone()),
            (Standing::Failed(_), ..) => (ConditionStatus::False, "ProviderFailed", String::new()),
            (Standing::Busy | Standing::Doubled(_), ..) => (ConditionStatus::False, "InProgress", String::new()),
            (_, Some(parent), _) => (ConditionStatus::False, "WaitingForParent", format!("after {parent}")),
            (Standing::Missing, ..) => (ConditionStatus::False, "Starting", String::new()),
            (Standing::Differs(_), ..) => (ConditionStatus::False, "Updating", String::new()),
        };
        match (status, failure, self.parent) {
            (ConditionStatus::True, ..) => {}
            (_, Some(failure), _) => building.waiting.push(Waiting::StepFailed {
                step: self.step,
                class: failure.class,
                message: failure.message.clone(),
            }),
            (_, None, None)
                if matches!(standing, Standing::Failed(_)) && self.view.cluster.status.ready_at.is_some() =>
            {
                let message = "its provider gave up on it".to_owned();
                let class = ErrorClass::Invalid;
                building.waiting.push(Waiting::StepFailed { step: self.step, class, message });
            }
            (_, None, None) => building.waiting.push(Waiting::Step(self.step)),
            (_, None, Some(_)) => {}
        }
        building.conditions.push(condition(self.step.condition(), status, reason, message, before, inputs.now));
    }
}

fn tells_error(condition: &Condition) -> bool {
    ErrorClass::ALL.into_iter().any(|class| class.as_str() == condition.reason)
}

/// An action, unless the last attempt failed and its pause is not over.
pub fn act(
    inputs: &Inputs<'_>,
    id: &SetId,
    view: &View<'_>,
    step: Step,
    effect: Effect,
    wake: &mut Wake,
) -> Option<Action> {
    let metadata = &view.cluster.metadata;
    let key = ActionKey { cluster: metadata.name.clone(), step };
    let waits = |failure: &&Failure| failure.retry_at > inputs.now && !mutant::on("backoff-ignored");
    if let Some(failure) = inputs.memory.failures.get(&key).filter(waits) {
        wake.at(failure.retry_at);
        return None;
    }
    Some(Action { key, set: id.clone(), ordinal: metadata.ordinal, place: view.place.clone(), effect })
}
