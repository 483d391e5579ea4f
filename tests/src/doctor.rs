//! The second opinion, by itself: plans that were doctored in ways that break a promise go to the check, and what comes
//! out of it must break none.

use std::sync::Arc;

use fleetwright_core::action::{Action, ActionKey, Effect};
use fleetwright_core::inventory::Step;
use fleetwright_core::plan::Plan;
use fleetwright_core::record::{Record, place_of};
use fleetwright_schema::names::SetId;
use fleetwright_schema::status::{Cluster, ClusterSetStatus, ClusterState, Retirement, RetirementReason};
use fleetwright_schema::units::Timestamp;

use crate::wishes::Dice;

/// Drives a fleet as `drive` does, and doctors its plans.
pub fn run(seed: u64) -> Result<crate::drive::Tally, String> {
    crate::drive::run_doctored(seed)
}

/// Does one kind of harm to a plan; in words, or nothing where there is nothing to harm.
pub fn doctor(dice: &mut Dice, plan: &mut Plan, record: &Record, now: Timestamp) -> Option<String> {
    let ids: Vec<SetId> =
        record.sets.iter().filter(|(_, set)| !set.clusters.is_empty()).map(|(id, _)| id.clone()).collect();
    if ids.is_empty() {
        return None;
    }
    let id = dice.pick(&ids);
    match dice.between(0, 5) {
        0 => drain_all(plan, &id, now),
        1 => delete_serving(plan, &id, now),
        2 => vanish(plan, &id),
        3 => grow(plan, &id, now),
        4 => rename(plan, &id),
        _ => act(plan, &id, record),
    }
}

fn set<'a>(plan: &'a mut Plan, id: &SetId) -> Option<&'a mut ClusterSetStatus> {
    plan.record.sets.get_mut(id).map(Arc::make_mut)
}

fn retire(cluster: &mut Arc<Cluster>, state: ClusterState, now: Timestamp) {
    let status = &mut Arc::make_mut(cluster).status;
    status.state = state;
    status.since = now;
    status.retirement = Some(Retirement {
        reason: RetirementReason::Replaced,
        started_at: now,
        expected_workloads: None,
        empty_at: None,
        evidence: None,
        without_acknowledgement: Vec::new(),
    });
}

fn drain_all(plan: &mut Plan, id: &SetId, now: Timestamp) -> Option<String> {
    let set = set(plan, id)?;
    let serving = set.clusters.iter_mut().filter(|cluster| cluster.status.state.serves());
    let drained = serving.map(|cluster| retire(cluster, ClusterState::Draining, now)).count();
    (drained > 0).then(|| format!("all {drained} of {id} are drained"))
}

fn delete_serving(plan: &mut Plan, id: &SetId, now: Timestamp) -> Option<String> {
    let serves = |cluster: &&mut Arc<Cluster>| {
        cluster.status.ready_at.is_some() && cluster.status.state != ClusterState::Deleting
    };
    let cluster = set(plan, id)?.clusters.iter_mut().find(serves)?;
    retire(cluster, ClusterState::Deleting, now);
    Some(format!("{} is deleted", cluster.metadata.name))
}

fn vanish(plan: &mut Plan, id: &SetId) -> Option<String> {
    let gone = set(plan, id)?.clusters.pop()?;
    Some(format!("{} vanishes", gone.metadata.name))
}

fn grow(plan: &mut Plan, id: &SetId, now: Timestamp) -> Option<String> {
    let set = set(plan, id)?;
    let model = set.clusters.first()?.clone();
    let many = set.spec.count + set.spec.update_strategy.cluster_rotation.max_surge + 1;
    for _ in 0..many {
        let ordinal = set.status.next_ordinal;
        set.status.next_ordinal += 1;
        let mut cluster = (*model).clone();
        cluster.metadata.name = id.cluster_name(ordinal).ok()?;
        cluster.metadata.ordinal = ordinal;
        cluster.metadata.creation_timestamp = now;
        cluster.status.state = ClusterState::Pending;
        (cluster.status.ready_at, cluster.status.retirement) = (None, None);
        cluster.status.network.cidr = None;
        set.clusters.push(Arc::new(cluster));
    }
    Some(format!("{many} more of {id}"))
}

fn rename(plan: &mut Plan, id: &SetId) -> Option<String> {
    let set = set(plan, id)?;
    let (name, ordinal) = (id.cluster_name(9_999).ok()?, 9_999);
    let cluster = Arc::make_mut(set.clusters.first_mut()?);
    let was = std::mem::replace(&mut cluster.metadata.name, name);
    cluster.metadata.ordinal = ordinal;
    Some(format!("{was} is renamed"))
}

/// An action that the published record does not permit.
fn act(plan: &mut Plan, id: &SetId, record: &Record) -> Option<String> {
    let cluster = record.sets.get(id)?.clusters.iter().find(|cluster| cluster.status.state == ClusterState::Ready)?;
    let key = ActionKey { cluster: cluster.metadata.name.clone(), step: Step::ControlPlane };
    let effect = Effect::Delete { id: "any".into() };
    let (place, ordinal) = (place_of(id, cluster), cluster.metadata.ordinal);
    let action = Action { key, set: id.clone(), ordinal, place, effect };
    let words = action.to_string();
    plan.actions.push(action);
    Some(words)
}
