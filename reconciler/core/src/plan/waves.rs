//! Order across sets: which have reached what they should be, and which clusters are stalled.

use std::collections::BTreeMap;

use fleetwright_schema::names::{ClusterName, ClusterTypeName, SetId};
use fleetwright_schema::set::ResolvedSet;
use fleetwright_schema::status::{Cluster, ClusterSetStatus, ClusterState};
use fleetwright_schema::units::Timestamp;

use super::Inputs;
use crate::desired::Wish;

/// For each cluster type, the waves in which a set is not where it should be.
pub struct Unreached(BTreeMap<ClusterTypeName, BTreeMap<usize, SetId>>);

impl Unreached {
    /// A set of this type in an earlier wave that is not there yet.
    pub fn earlier(&self, cluster_type: &ClusterTypeName, wave: usize) -> Option<&SetId> {
        let (first, set) = self.0.get(cluster_type)?.first_key_value()?;
        (*first < wave).then_some(set)
    }
}

/// Finds the sets that hold up later waves.
pub fn unreached(inputs: &Inputs<'_>) -> Unreached {
    let mut found: BTreeMap<ClusterTypeName, BTreeMap<usize, SetId>> = BTreeMap::new();
    for (id, wish) in &inputs.desired.sets {
        let Wish::Wanted(wanted) = wish else { continue };
        let Some((wave, _)) = &wanted.wave else { continue };
        let recorded = inputs.record.sets.get(id);
        if !recorded.is_some_and(|recorded| reached(&wanted.resolved, recorded, inputs.now)) {
            found.entry(id.cluster_type.clone()).or_default().entry(*wave).or_insert_with(|| id.clone());
        }
    }
    hold_back_for_unreadable(inputs, &mut found);
    Unreached(found)
}

/// A set whose file can't be read may be in any wave, so it holds up all but the first.
fn hold_back_for_unreadable(inputs: &Inputs<'_>, found: &mut BTreeMap<ClusterTypeName, BTreeMap<usize, SetId>>) {
    for (id, wish) in &inputs.desired.sets {
        if matches!(wish, Wish::Held(_)) {
            found.entry(id.cluster_type.clone()).or_default().entry(0).or_insert_with(|| id.clone());
        }
    }
}

/// Whether all clusters of a set serve as wished and have baked, and nothing else serves.
pub fn reached(wish: &ResolvedSet, recorded: &ClusterSetStatus, now: Timestamp) -> bool {
    let bake = wish.update_strategy.cluster_rotation.bake;
    let serving: Vec<_> = recorded.clusters.iter().filter(|cluster| cluster.status.state.serves()).collect();
    let there = |cluster: &Cluster| {
        cluster.spec == wish.template
            && cluster.status.state == ClusterState::Ready
            && cluster.status.since.plus(bake) <= now
    };
    recorded.spec.template == wish.template && serving.len() >= wish.count as usize && serving.iter().all(|c| there(c))
}

/// Stalled clusters by type, in order.
pub fn stalled(inputs: &Inputs<'_>) -> BTreeMap<ClusterTypeName, Vec<(SetId, ClusterName)>> {
    let mut found: BTreeMap<ClusterTypeName, Vec<(SetId, ClusterName)>> = BTreeMap::new();
    for (id, set) in &inputs.record.sets {
        // One that stalled at an older revision says nothing of this one, and must not hold up what replaces it.
        let current = set.clusters.iter().filter(|cluster| cluster.spec == set.spec.template);
        for cluster in current.filter(|cluster| is_stalled(cluster, &set.spec, inputs.now)) {
            found.entry(id.cluster_type.clone()).or_default().push((id.clone(), cluster.metadata.name.clone()));
        }
    }
    found
}

/// Whether a cluster that is built or changed has been at it for longer than its set allows.
pub fn is_stalled(cluster: &Cluster, set: &ResolvedSet, now: Timestamp) -> bool {
    let moving =
        matches!(cluster.status.state, ClusterState::Pending | ClusterState::Creating | ClusterState::Updating);
    moving && building_since(cluster).plus(set.progress_deadline) <= now
}

/// Since when a cluster is built or changed; for a new one, since it was named.
pub fn building_since(cluster: &Cluster) -> Timestamp {
    match cluster.status.state {
        ClusterState::Pending => cluster.metadata.creation_timestamp,
        _ => cluster.status.since,
    }
}
