//! A second opinion on every plan, written from the promises and not from the planner: what it objects to is taken out of
//! the plan, set by set, and said. Only a [`CheckedPlan`] can be published and executed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use fleetwright_schema::names::{ClusterName, SetId};
use fleetwright_schema::status::{Cluster, ClusterSetStatus, ClusterState, RetirementReason};

use crate::action::{Action, ActionKey, Effect};
use crate::desired::Wish;
use crate::inventory::Placement;
use crate::mutant;
use crate::plan::{Inputs, Plan};
use crate::record::{Record, place_of};

/// A plan that the check found nothing against, or from which it took what it objected to.
#[derive(Clone, Debug)]
pub struct CheckedPlan {
    plan: Plan,
    /// What was taken out, and why.
    violations: Vec<Violation>,
}

impl CheckedPlan {
    /// The plan as it may be executed.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }
    /// What was taken out.
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }
    /// The parts, for those who carry them out.
    pub fn into_plan(self) -> Plan {
        self.plan
    }
}

/// A promise that a plan would have broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Whose part of the plan it was.
    pub set: SetId,
    /// What was wrong.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.set, self.what)
    }
}

/// Checks a plan against what it was made from.
pub fn check(inputs: &Inputs<'_>, mut plan: Plan) -> CheckedPlan {
    let mut violations = Vec::new();
    let ids: BTreeSet<SetId> = plan.record.sets.keys().chain(inputs.record.sets.keys()).cloned().collect();
    let by_set = actions_by_set(&plan);
    let unchanged = |id: &SetId| match (inputs.record.sets.get(id), plan.record.sets.get(id)) {
        (Some(old), Some(new)) => Arc::ptr_eq(old, new) && !by_set.contains_key(id),
        _ => false,
    };
    for id in ids.iter().filter(|id| !unchanged(id)) {
        let mut objections = Objections { id, found: &mut violations };
        check_set(inputs, id, plan.record.sets.get(id), &mut objections);
        let actions = by_set.get(id).map_or(&[][..], Vec::as_slice);
        check_actions(inputs, plan.record.sets.get(id), actions, &mut objections);
    }
    if mutant::on("check-bypassed") {
        violations.clear();
    }
    let refused: BTreeSet<&SetId> = violations.iter().map(|violation| &violation.set).collect();
    plan.actions.retain(|action| !refused.contains(&action.set));
    restore(inputs.record, &mut plan.record, &refused);
    CheckedPlan { plan, violations }
}

fn actions_by_set(plan: &Plan) -> BTreeMap<SetId, Vec<Action>> {
    let mut by_set: BTreeMap<SetId, Vec<Action>> = BTreeMap::new();
    for action in &plan.actions {
        by_set.entry(action.set.clone()).or_default().push(action.clone());
    }
    by_set
}

fn restore(old: &Record, new: &mut Record, refused: &BTreeSet<&SetId>) {
    for id in refused {
        match old.sets.get(*id) {
            Some(set) => drop(new.sets.insert((*id).clone(), Arc::clone(set))),
            None => drop(new.sets.remove(*id)),
        }
    }
}

struct Objections<'a> {
    id: &'a SetId,
    found: &'a mut Vec<Violation>,
}

impl Objections<'_> {
    fn unless(&mut self, sound: bool, what: impl FnOnce() -> String) {
        if !sound {
            self.found.push(Violation { set: self.id.clone(), what: what() });
        }
    }
}

fn check_set(inputs: &Inputs<'_>, id: &SetId, new: Option<&Arc<ClusterSetStatus>>, objections: &mut Objections<'_>) {
    let empty = Vec::new();
    let old = inputs.record.sets.get(id);
    let before = old.map_or(&empty, |old| &old.clusters);
    let Some(new) = new else {
        let vanishes = before.is_empty();
        return objections.unless(vanishes, || "a set with clusters would vanish from the record".to_owned());
    };
    let held = inputs.desired.hold.is_some() || matches!(inputs.desired.sets.get(id), Some(Wish::Held(_)));
    let find = |clusters: &[Arc<Cluster>], name: &ClusterName| {
        clusters.iter().find(|cluster| cluster.metadata.name == *name).cloned()
    };
    for cluster in &new.clusters {
        let was = find(before, &cluster.metadata.name);
        check_transition(inputs, was.as_deref(), cluster, old, held, objections);
    }
    for gone in before.iter().filter(|cluster| find(&new.clusters, &cluster.metadata.name).is_none()) {
        let name = &gone.metadata.name;
        let buried = new.tombstones.iter().any(|tombstone| tombstone.name == *name);
        let deleted = gone.status.state == ClusterState::Deleting && buried;
        objections.unless(deleted, || format!("{name} would vanish without having been deleted"));
    }
    check_numbers(inputs, before, new, objections);
}

fn check_transition(
    inputs: &Inputs<'_>,
    was: Option<&Cluster>,
    cluster: &Cluster,
    old: Option<&Arc<ClusterSetStatus>>,
    held: bool,
    objections: &mut Objections<'_>,
) {
    let name = &cluster.metadata.name;
    let state = cluster.status.state;
    let Some(was) = was else {
        let fresh = old.is_none_or(|old| cluster.metadata.ordinal >= old.status.next_ordinal);
        objections.unless(state == ClusterState::Pending, || format!("{name} would begin as {state}"));
        objections.unless(fresh, || format!("{name} has an ordinal that was used before"));
        return objections.unless(!held, || format!("{name} would be named while the set is held"));
    };
    objections.unless(was.metadata == cluster.metadata, || format!("the identity of {name} would change"));
    let from = was.status.state;
    if from == state {
        return;
    }
    objections.unless(is_way(from, state), || format!("{name} can't go from {from} to {state}"));
    let retires = matches!(state, ClusterState::Draining | ClusterState::Deleting);
    objections.unless(!(held && retires), || format!("{name} would be retired while the set is held"));
    if state == ClusterState::Deleting {
        check_deletion(inputs, was, cluster, objections);
    }
}

const fn is_way(from: ClusterState, to: ClusterState) -> bool {
    use ClusterState::{Creating, Deleting, Drained, Draining, Pending, Ready, Updating};
    match from {
        Pending => matches!(to, Creating | Ready | Deleting),
        Creating => matches!(to, Ready | Deleting),
        Ready => matches!(to, Updating | Draining | Deleting),
        Updating => matches!(to, Ready | Draining | Deleting),
        Draining => matches!(to, Drained | Ready | Updating | Deleting),
        Drained => matches!(to, Draining | Deleting | Ready | Updating),
        Deleting => false,
    }
}

fn check_deletion(inputs: &Inputs<'_>, was: &Cluster, cluster: &Cluster, objections: &mut Objections<'_>) {
    let name = &cluster.metadata.name;
    let retirement = cluster.status.retirement.as_ref();
    let proven =
        retirement.is_some_and(|r| r.empty_at.is_some() && r.evidence.is_some() && r.expected_workloads.is_some());
    let lost =
        retirement.is_some_and(|r| r.reason == RetirementReason::Lost) && inputs.memory.absent_since.contains_key(name);
    let sound = match was.status.state {
        ClusterState::Pending | ClusterState::Creating => was.status.ready_at.is_none() || lost,
        ClusterState::Drained => proven || lost,
        ClusterState::Ready | ClusterState::Updating | ClusterState::Draining | ClusterState::Deleting => lost,
    };
    let sound = sound || mutant::on("check-blind-to-evidence");
    objections.unless(sound, || format!("{name} would be deleted without evidence that it is empty"));
}

fn check_numbers(
    inputs: &Inputs<'_>,
    before: &[Arc<Cluster>],
    new: &ClusterSetStatus,
    objections: &mut Objections<'_>,
) {
    let spec = &new.spec;
    let rotation = &spec.update_strategy.cluster_rotation;
    let alive_max = (spec.count as usize).saturating_add(rotation.max_surge as usize);
    let grew = new.clusters.iter().any(|cluster| !before.iter().any(|old| old.metadata.name == cluster.metadata.name));
    objections.unless(!grew || new.clusters.len() <= alive_max || mutant::on("check-blind-to-surge"), || {
        format!("{} clusters would be alive, and {alive_max} may be", new.clusters.len())
    });
    let drains: Vec<&Arc<Cluster>> = new
        .clusters
        .iter()
        .filter(|cluster| cluster.status.state == ClusterState::Draining)
        .filter(|cluster| {
            before.iter().any(|old| old.metadata.name == cluster.metadata.name && old.status.state.serves())
        })
        .collect();
    if drains.is_empty() || mutant::on("check-blind-to-serving") {
        return;
    }
    let serving = new.clusters.iter().filter(|cluster| cluster.status.state.serves()).count();
    objections.unless(serving >= spec.count as usize, || format!("{serving} of {} would serve", spec.count));
    let replaces =
        drains.iter().any(|c| c.status.retirement.as_ref().is_some_and(|r| r.reason == RetirementReason::Replaced));
    let baked =
        |cluster: &Cluster| cluster.status.ready_at.is_some_and(|ready| ready.plus(rotation.bake) <= inputs.now);
    let standing =
        new.clusters.iter().filter(|c| c.status.state.serves() && (baked(c) || c.spec != spec.template)).count();
    objections.unless(!replaces || standing >= spec.count as usize, || {
        format!("{standing} of {} would serve and have baked", spec.count)
    });
}

fn check_actions(
    inputs: &Inputs<'_>,
    new: Option<&Arc<ClusterSetStatus>>,
    actions: &[Action],
    objections: &mut Objections<'_>,
) {
    let actions = if mutant::on("check-blind-to-actions") { &[] } else { actions };
    let old = inputs.record.sets.get(objections.id).cloned();
    let mut seen: BTreeSet<&ActionKey> = BTreeSet::new();
    for action in actions {
        let name = &action.key.cluster;
        let of = |set: Option<&Arc<ClusterSetStatus>>| {
            set.and_then(|set| set.clusters.iter().find(|cluster| cluster.metadata.name == *name).cloned())
        };
        let (Some(was), Some(is)) = (of(old.as_ref()), of(new)) else {
            objections.unless(false, || format!("{action}: the published record does not name {name}"));
            continue;
        };
        let published = was.status.state == is.status.state && was.spec == is.spec;
        objections.unless(published, || format!("{action}: {name} changes in the same plan"));
        objections
            .unless(permits(&was, &action.effect), || format!("{action}: not while {name} is {}", was.status.state));
        let serving = new.map_or(0, |new| new.clusters.iter().filter(|c| c.status.state.serves()).count());
        let short = new.is_some_and(|new| serving < new.spec.count as usize);
        let begins = was.status.state == ClusterState::Draining
            && matches!(action.effect, Effect::Drain { .. })
            && !is_closed(inputs, action)
            && !mutant::on("check-blind-to-serving");
        objections.unless(!(begins && short), || format!("{action}: it would begin while {serving} serve"));
        let in_place = place_of(objections.id, &was) == action.place;
        objections.unless(in_place, || format!("{action}: {name} is not in {}", action.place));
        let free = seen.insert(&action.key) && !inputs.memory.in_flight.contains(&action.key);
        objections.unless(free, || format!("{action}: another action on it is under way"));
    }
}

/// Whether its cluster was read to take no workloads any more.
fn is_closed(inputs: &Inputs<'_>, action: &Action) -> bool {
    let listing = inputs.inventory.places.get(&action.place).and_then(|reading| reading.result.as_ref().ok());
    let parts = listing.and_then(|listing| listing.resources.get(&action.key.cluster));
    let mut planes = parts.into_iter().flatten().filter_map(|part| part.control_plane.as_ref());
    planes.any(|plane| plane.placement == Placement::Closed)
}

fn permits(cluster: &Cluster, effect: &Effect) -> bool {
    use ClusterState::{Creating, Deleting, Drained, Draining, Pending, Updating};
    let state = cluster.status.state;
    let never_served = cluster.status.ready_at.is_none();
    match effect {
        Effect::Create { .. } | Effect::Update { .. } => matches!(state, Pending | Creating | Updating),
        // A doubled or failed part of a cluster that is being built may go; nothing of one that serves.
        Effect::Delete { .. } => {
            state == Deleting || (matches!(state, Pending | Creating) && never_served) || state == Updating
        }
        // What joins a drained cluster is closed, too.
        Effect::Drain { .. } => matches!(state, Draining | Drained | Deleting),
        Effect::OpenPlacement { .. } => matches!(state, Draining | Drained | Updating),
    }
}
