//! What people read of a plan: what a set's wish does to its clusters, what it waits for, and the set's conditions.

use std::collections::BTreeMap;
use std::sync::Arc;

use fleetwright_schema::names::{Cloud, ClusterName, Name, SetId};
use fleetwright_schema::set::ResolvedSet;
use fleetwright_schema::status::{Cluster, ClusterSetStatus, Condition, ConditionStatus};
use fleetwright_schema::units::{Duration, Timestamp};

use super::{FleetView, Inputs};
use crate::change::{Change, Class, overall};
use crate::desired::Wish;
use crate::waiting::{Ends, Waiting, condition};

/// What a wish does to a set, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rollout {
    /// Clusters built beyond replacements.
    pub create: u32,
    /// Clusters changed in place.
    pub update: u32,
    /// Clusters replaced by new ones.
    pub rotate: u32,
    /// Clusters removed without a replacement.
    pub remove: u32,
    /// How many batches the rotation takes.
    pub batches: u32,
    /// About how long it takes, when nothing waits for other sets.
    pub estimate: Duration,
}

/// A set in the plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetReport {
    /// The set's wave.
    pub wave: Option<Name>,
    /// Everything is where it should be.
    pub settled: bool,
    /// What the wish changes of the template that was taken up last.
    pub changes: Vec<Change>,
    /// The gravest of them.
    pub class: Option<Class>,
    /// What the wish does, counted.
    pub rollout: Rollout,
    /// What each cluster's difference does to it: only those that differ.
    pub classes: BTreeMap<ClusterName, Class>,
    /// What the set waits for, in order.
    pub waiting: Vec<Waiting>,
    /// What each cluster waits for.
    pub clusters: BTreeMap<ClusterName, Vec<Waiting>>,
}

impl SetReport {
    /// Whether something about it will be different without anybody doing anything.
    pub fn moves_by_itself(&self) -> bool {
        let time = |waiting: &Waiting| waiting.ends() == Ends::Time;
        self.waiting.iter().any(time) || self.clusters.values().any(|all| cluster_moves(all))
    }
    /// Whether it waits for room in a budget.
    pub fn waits_for_budget(&self) -> bool {
        self.waiting.iter().any(|waiting| matches!(waiting, Waiting::Budget(_)))
    }
    /// Whether something about it waits for a person.
    pub fn needs_a_person(&self) -> bool {
        let mut all = self.waiting.iter().chain(self.clusters.values().flatten());
        all.any(|waiting| waiting.ends() == Ends::Person)
    }
}

/// A stalled cluster moves as long as its provider works on it; one whose steps fail is for people.
fn cluster_moves(waiting: &[Waiting]) -> bool {
    let stalled = waiting.iter().find_map(|w| match w {
        Waiting::Stalled { hopeless, .. } => Some(*hopeless),
        _ => None,
    });
    let works = waiting.iter().any(|waiting| matches!(waiting, Waiting::Step(_)));
    match stalled {
        Some(hopeless) => works && !hopeless,
        None => waiting.iter().any(|waiting| waiting.ends() == Ends::Time),
    }
}

/// Every set as it is, with why nothing is planned: no settings are known.
pub fn all_held(inputs: &Inputs<'_>) -> (BTreeMap<SetId, Arc<ClusterSetStatus>>, BTreeMap<SetId, SetReport>) {
    let hold = inputs.desired.hold.clone().unwrap_or(crate::desired::Hold::FleetUnreadable);
    let waiting = vec![Waiting::Held(hold)];
    let report = SetReport { waiting: waiting.clone(), ..SetReport::default() };
    let held = |set: &Arc<ClusterSetStatus>| {
        let before = &set.status.conditions;
        let told = conditions(&set.spec, &set.clusters, &waiting, before, inputs.now);
        if told == *before {
            return Arc::clone(set);
        }
        let mut next = (**set).clone();
        next.status.conditions = told;
        Arc::new(next)
    };
    let sets = inputs.record.sets.iter().map(|(id, set)| (id.clone(), held(set))).collect();
    (sets, inputs.record.sets.keys().map(|id| (id.clone(), report.clone())).collect())
}

/// The report of a planned set.
pub fn of_set(
    inputs: &Inputs<'_>,
    fleet: &FleetView<'_>,
    id: &SetId,
    next: &ClusterSetStatus,
    waiting: Vec<Waiting>,
    clusters: BTreeMap<ClusterName, Vec<Waiting>>,
) -> SetReport {
    let recorded = inputs.record.sets.get(id);
    let wish = match inputs.desired.sets.get(id) {
        Some(Wish::Wanted(wanted)) => Some(Arc::clone(&wanted.resolved)),
        _ => None,
    };
    let target = wish.unwrap_or_else(|| Arc::clone(&next.spec));
    let changes =
        recorded.filter(|recorded| recorded.spec.template != target.template).map_or_else(Vec::new, |recorded| {
            inputs.table.classify(id.location.cloud, &target.update_strategy, &recorded.spec.template, &target.template)
        });
    let classes = classes(inputs, id, &target, recorded);
    let settled = waiting.is_empty() && clusters.is_empty() && is_settled(&target, next);
    let class = (!changes.is_empty()).then(|| overall(&changes)).or_else(|| classes.values().max().copied());
    let rollout = rollout(id.location.cloud, &target, recorded, &classes);
    let _ = fleet;
    SetReport { wave: next.status.wave.clone(), settled, changes, class, rollout, classes, waiting, clusters }
}

fn classes(
    inputs: &Inputs<'_>,
    id: &SetId,
    target: &ResolvedSet,
    recorded: Option<&Arc<ClusterSetStatus>>,
) -> BTreeMap<ClusterName, Class> {
    let differing = recorded.into_iter().flat_map(|set| &set.clusters).filter(|c| c.spec != target.template);
    let class = |cluster: &Cluster| {
        overall(&inputs.table.classify(id.location.cloud, &target.update_strategy, &cluster.spec, &target.template))
    };
    differing.map(|cluster| (cluster.metadata.name.clone(), class(cluster))).collect()
}

fn is_settled(target: &ResolvedSet, next: &ClusterSetStatus) -> bool {
    let there = |cluster: &Cluster| {
        cluster.status.state == fleetwright_schema::status::ClusterState::Ready && cluster.spec == target.template
    };
    next.spec.template == target.template
        && next.clusters.len() == target.count as usize
        && next.clusters.iter().all(|cluster| there(cluster))
}

fn rollout(
    cloud: Cloud,
    target: &ResolvedSet,
    recorded: Option<&Arc<ClusterSetStatus>>,
    classes: &BTreeMap<ClusterName, Class>,
) -> Rollout {
    let count = target.count;
    let serving = recorded.into_iter().flat_map(|set| &set.clusters).filter(|c| c.status.retirement.is_none());
    let alive = size(serving.clone().count());
    let of = |wanted: fn(Class) -> bool| {
        size(serving.clone().filter(|c| classes.get(&c.metadata.name).copied().is_some_and(wanted)).count())
    };
    let outdated = of(|class| class == Class::Rotate);
    let update = of(|class| matches!(class, Class::InPlace | Class::ReplaceNodePool)).min(count);
    let rotate = outdated.min(count);
    let surge = target.update_strategy.cluster_rotation.max_surge.max(1);
    let batches = rotate.div_ceil(surge);
    let (create, remove) = (count.saturating_sub(alive), alive.saturating_sub(count));
    let estimate = estimate(cloud, target, create, update, batches, remove);
    Rollout { create, update, rotate, remove, batches, estimate }
}

fn size(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// How long a cluster takes to build, with its network, node pools and services; medians, in minutes.
const fn build_minutes(cloud: Cloud) -> u64 {
    match cloud {
        Cloud::Aws => 15,
        Cloud::Azure => 9,
        Cloud::Gcp => 8,
    }
}

fn estimate(cloud: Cloud, target: &ResolvedSet, create: u32, update: u32, batches: u32, remove: u32) -> Duration {
    const DRAIN_MINUTES: u64 = 20;
    const DELETE_MINUTES: u64 = 6;
    const UPDATE_MINUTES: u64 = 12;
    let rotation = &target.update_strategy.cluster_rotation;
    let build = build_minutes(cloud) * 60;
    let retire = (DRAIN_MINUTES + DELETE_MINUTES) * 60 + rotation.rollback_window.seconds();
    let batch = build + rotation.bake.seconds() + retire;
    let rounds = u64::from(update.div_ceil(target.update_strategy.max_concurrent_updates.max(1)));
    let seconds = u64::from(batches) * batch
        + rounds * UPDATE_MINUTES * 60
        + if create > 0 { build } else { 0 }
        + if remove > 0 { retire } else { 0 };
    Duration::from_seconds(seconds)
}

/// The set's conditions: whether it is settled, then what it waits for, in the order of the chain.
pub fn conditions(
    set: &ResolvedSet,
    clusters: &[Arc<Cluster>],
    waiting: &[Waiting],
    before: &[Condition],
    now: Timestamp,
) -> Vec<Condition> {
    use fleetwright_schema::status::ClusterState::{Creating, Pending, Ready, Updating};
    let state = |wanted: &[_]| clusters.iter().any(|cluster| wanted.contains(&cluster.status.state));
    let outdated = clusters.iter().any(|c| c.status.state.serves() && c.spec != set.template);
    let there = clusters.len() == set.count as usize && clusters.iter().all(|c| c.status.state == Ready) && !outdated;
    let (status, reason) = match there && waiting.is_empty() {
        true => (ConditionStatus::True, "Converged"),
        false if there => (ConditionStatus::False, "Waiting"),
        false if outdated && !state(&[Updating]) => (ConditionStatus::False, "Rotating"),
        false if state(&[Updating]) => (ConditionStatus::False, "Updating"),
        false if state(&[Pending, Creating]) => (ConditionStatus::False, "Building"),
        false => (ConditionStatus::False, "Retiring"),
    };
    let mut conditions = vec![condition("Settled", status, reason, String::new(), before, now)];
    for next in waiting.iter().map(|reason| reason.condition(before, now)) {
        if !conditions.iter().any(|condition| condition.r#type == next.r#type) {
            conditions.push(next);
        }
    }
    conditions
}
