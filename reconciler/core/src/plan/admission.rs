//! What of the wish is taken up now. The rest waits: a new template for its wave, its window or the end of a freeze; a
//! smaller count for the removal budget or an approval. Everything after this works on the admitted set alone.

use std::borrow::Cow;
use std::sync::Arc;

use fleetwright_schema::documents::FleetSpec;
use fleetwright_schema::names::{Name, SetId};
use fleetwright_schema::set::{DeletionPolicy, ResolvedSet};
use fleetwright_schema::status::{Cluster, ClusterSetStatus, ClusterState};
use serde::Serialize;

use super::{FleetView, Inputs, Wake};
use crate::calendar::{self, Windows};
use crate::change::overall;
use crate::desired::{Hold, WantedSet, Wish};
use crate::fingerprint::digest;
use crate::inventory::UnknownReason;
use crate::mutant;
use crate::record::is_removal;
use crate::waiting::{Removals, Waiting};

/// A set as it is planned now, and what of it may start.
pub struct Admission {
    /// The admitted set.
    pub set: Arc<ResolvedSet>,
    /// The account of new clusters; none where nothing may be built.
    pub account: Option<Arc<str>>,
    /// The set's wave.
    pub wave: Option<Name>,
    /// Whether the set's file was removed and its clusters go.
    pub deleted: bool,
    /// What may start.
    pub gates: Gates,
    /// Why the rest may not, in order.
    pub waiting: Vec<Waiting>,
}

/// What may start in a set. What has started goes on, except where `actions` is shut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gates {
    /// Any action at all: shut by a pause.
    pub actions: bool,
    /// Naming clusters to fill up to `count`, and bringing draining ones back.
    pub fill: bool,
    /// Naming replacements, and updates in place.
    pub moves: bool,
    /// Draining what was replaced.
    pub replace: bool,
    /// Draining and deleting at all: shut by a hold and by a freeze.
    pub retire: bool,
}

impl Gates {
    const OPEN: Self = Self { actions: true, fill: true, moves: true, replace: true, retire: true };
    /// What is being built is finished, nothing else.
    const HELD: Self = Self { actions: true, fill: false, moves: false, replace: false, retire: false };
    const PAUSED: Self = Self { actions: false, fill: false, moves: false, replace: false, retire: false };
}

/// Takes up what may be taken up. `Err`: there is nothing of the set yet, and why it does not begin.
pub fn admit(
    inputs: &Inputs<'_>,
    fleet: &FleetView<'_>,
    id: &SetId,
    wake: &mut Wake,
) -> Result<Admission, Vec<Waiting>> {
    let recorded = inputs.record.sets.get(id);
    let held = |hold: Hold, recorded: &Arc<ClusterSetStatus>| Admission {
        set: Arc::clone(&recorded.spec),
        account: None,
        wave: recorded.status.wave.clone(),
        deleted: false,
        gates: if recorded.spec.paused { Gates::PAUSED } else { Gates::HELD },
        waiting: vec![Waiting::Held(hold)],
    };
    if let Some(hold) = &inputs.desired.hold {
        return recorded.map(|recorded| held(hold.clone(), recorded)).ok_or_else(|| vec![Waiting::Held(hold.clone())]);
    }
    if !inputs.record.unreadable.is_empty() && inputs.record.unreadable.contains_key(&id.status_path()) {
        return Err(vec![Waiting::Held(Hold::RecordUnreadable(id.status_path()))]);
    }
    match (inputs.desired.sets.get(id), recorded) {
        (Some(Wish::Held(hold)), Some(recorded)) => Ok(held(hold.clone(), recorded)),
        (Some(Wish::Held(hold)), None) => Err(vec![Waiting::Held(hold.clone())]),
        (None, None) => Err(Vec::new()),
        (Some(Wish::Wanted(wanted)), _) => admit_wanted(inputs, fleet, id, wanted, recorded, wake),
        (None, Some(recorded)) if recorded.clusters.is_empty() => Ok(retired(recorded)),
        (None, Some(recorded)) => Ok(match deletion_hold(inputs, fleet, id, recorded) {
            Some(hold) => {
                // An emptied fleet goes on with an approval, so its digest is told.
                let blocked = fleet.removals.as_ref().and_then(|verdict| verdict.blocked.clone());
                let approvable = blocked.filter(|_| hold == Hold::Emptied).map(Waiting::RemovalBudget);
                let mut admission = held(hold, recorded);
                admission.waiting.extend(approvable);
                admission
            }
            None => admit_deletion(inputs, fleet, id, recorded, wake),
        }),
    }
}

fn retired(recorded: &ClusterSetStatus) -> Admission {
    let set = ResolvedSet { count: 0, ..(*recorded.spec).clone() };
    Admission {
        set: Arc::new(set),
        account: None,
        wave: recorded.status.wave.clone(),
        deleted: true,
        gates: Gates::HELD,
        waiting: Vec::new(),
    }
}

fn deletion_hold(inputs: &Inputs<'_>, fleet: &FleetView<'_>, id: &SetId, recorded: &ClusterSetStatus) -> Option<Hold> {
    // A set whose removal was admitted goes on being removed, whatever else the commit after it removed.
    if recorded.spec.count == 0 && recorded.spec.deletion_policy == DeletionPolicy::Delete {
        return None;
    }
    let approved = fleet.removals.as_ref().is_some_and(|verdict| verdict.approved);
    let emptied = inputs.desired.sets.is_empty() && !approved;
    let environment = fleet.config.environments.iter().find(|env| env.name == id.location.env);
    let account = environment.and_then(|env| env.accounts.get(&id.location.cloud));
    match recorded.spec.deletion_policy {
        DeletionPolicy::Retain if !mutant::on("retained-set-deleted") => Some(Hold::Retained),
        DeletionPolicy::Retain => None,
        DeletionPolicy::Delete if emptied => Some(Hold::Emptied),
        DeletionPolicy::Delete if account.is_none() => Some(Hold::NoAccount),
        DeletionPolicy::Delete => None,
    }
}

fn admit_deletion(
    inputs: &Inputs<'_>,
    fleet: &FleetView<'_>,
    id: &SetId,
    recorded: &ClusterSetStatus,
    wake: &mut Wake,
) -> Admission {
    let mut admission = Admission { gates: Gates::OPEN, ..retired(recorded) };
    admission.gates.moves = false;
    freeze(inputs, fleet, id, &recorded.spec, &mut admission, wake);
    if recorded.spec.paused {
        admission.gates = Gates::PAUSED;
        admission.waiting.insert(0, Waiting::Paused);
    }
    let blocked = fleet.removals.as_ref().and_then(|verdict| verdict.blocked.clone());
    if recorded.spec.count > 0 && (blocked.is_some() || !admission.gates.retire) {
        admission.set = Arc::clone(&recorded.spec);
        admission.deleted = false;
        admission.gates = Gates { retire: false, ..admission.gates };
        admission.waiting.extend(blocked.map(Waiting::RemovalBudget));
    }
    admission
}

fn freeze(
    inputs: &Inputs<'_>,
    fleet: &FleetView<'_>,
    id: &SetId,
    set: &ResolvedSet,
    admission: &mut Admission,
    wake: &mut Wake,
) {
    let tags = &set.template.tags;
    if let Some(next) = calendar::next_freeze(&fleet.config.freezes, id, tags, inputs.now) {
        wake.at(next);
    }
    let frozen = calendar::frozen(&fleet.config.freezes, id, tags, inputs.now);
    if let Some(closed) = frozen.filter(|_| !mutant::on("freeze-ignored")) {
        wake.at(closed.until);
        admission.waiting.push(Waiting::Frozen(closed));
        admission.gates = Gates { moves: false, replace: false, retire: false, ..admission.gates };
    }
}

fn admit_wanted(
    inputs: &Inputs<'_>,
    fleet: &FleetView<'_>,
    id: &SetId,
    wanted: &WantedSet,
    recorded: Option<&Arc<ClusterSetStatus>>,
    wake: &mut Wake,
) -> Result<Admission, Vec<Waiting>> {
    let wish = &wanted.resolved;
    let mut admission = Admission {
        set: Arc::clone(wish),
        account: Some(Arc::clone(&wanted.place.account)),
        wave: wanted.wave.as_ref().map(|(_, name)| name.clone()),
        deleted: false,
        gates: Gates::OPEN,
        waiting: Vec::new(),
    };
    freeze(inputs, fleet, id, wish, &mut admission, wake);
    if let Some(recorded) = recorded.filter(|_| admission.waiting.is_empty()) {
        // A commit that changes the tags by which a freeze selects its sets does not lead out of it.
        freeze(inputs, fleet, id, &recorded.spec, &mut admission, wake);
    }
    if wish.paused && !mutant::on("pause-ignored") {
        admission.gates = Gates::PAUSED;
        admission.waiting.insert(0, Waiting::Paused);
    }
    let Some(recorded) = recorded else {
        // A new set starts whole or not at all, and only where nothing of it exists that a lost record named.
        admission.waiting.extend(unrecorded(inputs, id, wanted));
        let starts = admission.gates.moves && admission.waiting.is_empty();
        return if starts { Ok(admission) } else { Err(admission.waiting) };
    };
    let mut admitted = Cow::Borrowed(&**wish);
    admit_count(fleet, recorded, &mut admitted, &mut admission);
    admit_template(inputs, fleet, id, wanted, recorded, &mut admitted, &mut admission, wake);
    admission.set = match admitted {
        same if *same == *recorded.spec => Arc::clone(&recorded.spec),
        Cow::Borrowed(_) => Arc::clone(wish),
        Cow::Owned(part) => Arc::new(part),
    };
    Ok(admission)
}

/// What speaks against beginning a set that has no record: parts of its clusters exist, or nobody knows.
fn unrecorded(inputs: &Inputs<'_>, id: &SetId, wanted: &WantedSet) -> Option<Waiting> {
    let reading = inputs.inventory.places.get(&wanted.place);
    let unread = |why: String| Waiting::Observation(wanted.place.clone(), why);
    match reading.map(|reading| &reading.result) {
        None => Some(unread("not read yet".to_owned())),
        Some(Err(UnknownReason::Failed(class, message))) if !class.is_transient() => {
            Some(Waiting::Unreadable(wanted.place.clone(), message.clone()))
        }
        Some(Err(why)) => Some(unread(why.to_string())),
        Some(Ok(listing)) => {
            let found = listing.resources.iter().find(|(_, parts)| parts.iter().any(|part| part.set == *id));
            found.map(|(cluster, _)| Waiting::Held(Hold::RecordLost(cluster.to_string())))
        }
    }
}

fn admit_count(
    fleet: &FleetView<'_>,
    recorded: &ClusterSetStatus,
    admitted: &mut Cow<'_, ResolvedSet>,
    admission: &mut Admission,
) {
    let frozen = !admission.gates.retire;
    let shrinks = admitted.count < recorded.spec.count;
    let blocked = fleet.removals.as_ref().and_then(|verdict| verdict.blocked.clone()).filter(|_| shrinks);
    if frozen || blocked.is_some() {
        let wished = admitted.count as usize;
        admitted.to_mut().count = recorded.spec.count;
        // What people no longer wish for stays until its removal is approved, but no more of it is made.
        admission.gates.fill &= !shrinks || recorded.clusters.len() < wished;
        admission.waiting.extend(blocked.map(Waiting::RemovalBudget));
    }
}

/// A template is taken up when no freeze is on, a window is open, no type-wide halt is on and every earlier wave has
/// reached its own. A way back to what still stands is never made to wait for a wave: rollback is `git revert`.
#[allow(clippy::too_many_arguments)]
fn admit_template(
    inputs: &Inputs<'_>,
    fleet: &FleetView<'_>,
    id: &SetId,
    wanted: &WantedSet,
    recorded: &Arc<ClusterSetStatus>,
    admitted: &mut Cow<'_, ResolvedSet>,
    admission: &mut Admission,
    wake: &mut Wake,
) {
    let wish = &wanted.resolved;
    let new = wish.template != recorded.spec.template;
    let moving = new || recorded.clusters.iter().any(|cluster| cluster.spec != wish.template);
    let back = new && recorded.clusters.iter().any(|cluster| stands(cluster) && cluster.spec == wish.template);
    let forbidden = new.then(|| forbidden(inputs, id, wanted, recorded)).flatten();
    let moved_account = recorded.clusters.iter().any(|cluster| cluster.metadata.account != wanted.place.account);
    let mut shut = !admission.gates.retire;
    if let Some(why) = forbidden.or(moved_account.then(|| MOVED_ACCOUNT.to_owned())) {
        admission.waiting.push(Waiting::Forbidden(why));
        admission.gates.fill &= !moved_account;
        shut = true;
    }
    let closed_for = |tags| match calendar::windows(&fleet.config.maintenance_windows, id, tags, inputs.now) {
        Windows::Closed(closed) => Some(closed),
        Windows::Open(_) => None,
    };
    let closed = closed_for(&wish.template.tags).or_else(|| closed_for(&recorded.spec.template.tags));
    if let Some(closed) = closed.filter(|_| moving && !mutant::on("window-ignored")) {
        wake.at(closed.until);
        admission.gates.moves = false;
        shut |= !back;
        admission.waiting.push(Waiting::Window(closed));
    }
    if moving
        && let Some((wave, name)) = &wanted.wave
        && let Some(behind) = fleet.unreached.earlier(&id.cluster_type, *wave)
        && new
        && !back
        && !mutant::on("wave-order-ignored")
    {
        admission.waiting.push(Waiting::Wave { wave: name.clone(), behind: behind.clone() });
        shut = true;
    }
    if moving && let Some(stalled) = halted(fleet, id) {
        let own = fleet.stalled.get(&id.cluster_type).is_some_and(|all| all.iter().any(|(set, _)| set == id));
        admission.waiting.push(Waiting::FailureBudget { stalled: stalled.clone() });
        // The set that is stalled may take up what mends it; another may not begin what stalled the first.
        shut |= !own && !back;
        admission.gates.moves &= own && new;
        admission.gates.replace &= back || (own && new);
    }
    if shut && new {
        admitted.to_mut().template = recorded.spec.template.clone();
        // What was admitted earlier is superseded: it goes no further until the new wish may be taken up.
        admission.gates.moves = false;
        admission.gates.replace = false;
    } else if shut {
        admission.gates.moves = false;
        admission.gates.replace &= !moved_account;
    }
}

const MOVED_ACCOUNT: &str =
    "fleet.yaml names another account than the one that the clusters were built in; retire the set and make a new one";

/// Whether a revert could keep this cluster.
fn stands(cluster: &Cluster) -> bool {
    cluster.status.state != ClusterState::Deleting
}

fn halted<'a>(fleet: &'a FleetView<'_>, id: &SetId) -> Option<&'a fleetwright_schema::names::ClusterName> {
    let stalled = fleet.stalled.get(&id.cluster_type)?;
    let max = fleet.config.budgets.failure.max_stalled_clusters as usize;
    let own = stalled.iter().find(|(set, _)| set == id);
    let first = stalled.first()?;
    // A stalled cluster always halts its own set; the budget is for the others.
    own.or((stalled.len() >= max).then_some(first)).map(|(_, cluster)| cluster)
}

fn forbidden(inputs: &Inputs<'_>, id: &SetId, wanted: &WantedSet, recorded: &ClusterSetStatus) -> Option<String> {
    let wish = &wanted.resolved;
    let changes =
        inputs.table.classify(id.location.cloud, &wish.update_strategy, &recorded.spec.template, &wish.template);
    let forbidden = overall(&changes) == crate::change::Class::Forbidden;
    let change = changes.into_iter().find(|change| change.class == crate::change::Class::Forbidden)?;
    forbidden
        .then(|| format!("{} can't be changed from {} to {}: {}", change.field, change.from, change.to, change.why))
}

/// What a commit removes from a set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shrink {
    set: SetId,
    from: u32,
    to: u32,
}

/// The verdict over all removals that the wish asks for beyond what was admitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemovalVerdict {
    /// An approval names exactly these removals.
    pub approved: bool,
    /// They are too many, and wait.
    pub blocked: Option<Removals>,
}

/// Judges the removals of the whole wish by their content, so that it does not matter how many commits bring them.
pub fn judge_removals(inputs: &Inputs<'_>, config: &FleetSpec) -> Option<RemovalVerdict> {
    let shrinks = shrinks(inputs);
    let clusters: u32 = shrinks.iter().map(|shrink| shrink.from - shrink.to).sum();
    if clusters == 0 || inputs.desired.hold.is_some() {
        return None;
    }
    let digest = digest(&shrinks, 16);
    let approved = inputs.desired.approvals.iter().any(|approval| {
        let this = approval.digest == digest && approval.clusters == clusters;
        (this || mutant::on("any-approval-counts")) && inputs.now < approval.expires
    });
    let fleet_size = inputs.record.sets.values().map(|set| set.spec.count).sum();
    let allowed = config.budgets.removal.allowance(fleet_size);
    let under_way: u32 = inputs.record.sets.values().map(|set| removals_under_way(set)).sum();
    let under_way = if mutant::on("budget-by-count-alone") { 0 } else { under_way };
    let emptied = inputs.desired.sets.is_empty();
    let over = emptied || clusters + under_way > allowed;
    let blocked =
        (over && !approved && !mutant::on("removal-budget-ignored")).then_some(Removals { digest, clusters, allowed });
    Some(RemovalVerdict { approved, blocked })
}

fn shrinks(inputs: &Inputs<'_>) -> Vec<Shrink> {
    let mut found = Vec::new();
    for (set, recorded) in &inputs.record.sets {
        let to = match inputs.desired.sets.get(set) {
            Some(Wish::Wanted(wanted)) => wanted.resolved.count,
            Some(Wish::Held(_)) => continue,
            None if recorded.spec.deletion_policy == DeletionPolicy::Retain => continue,
            None => 0,
        };
        if to < recorded.spec.count {
            found.push(Shrink { set: set.clone(), from: recorded.spec.count, to });
        }
    }
    found
}

/// Clusters that leave because people wanted fewer, and those that are about to.
fn removals_under_way(set: &ClusterSetStatus) -> u32 {
    let leaving = set.clusters.iter().filter(|cluster| is_removal(cluster)).count();
    let serving = set.clusters.iter().filter(|cluster| cluster.status.state.serves());
    let (as_wished, outdated): (Vec<_>, Vec<_>) = serving.partition(|cluster| cluster.spec == set.spec.template);
    // Each kind by itself: in a rotation both stand side by side, and neither is more than `count`.
    let count = set.spec.count as usize;
    let surplus = as_wished.len().saturating_sub(count) + outdated.len().saturating_sub(count);
    u32::try_from(leaving + surplus).unwrap_or(u32::MAX)
}
