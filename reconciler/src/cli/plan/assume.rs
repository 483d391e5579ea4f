//! The clouds as the record says they are: what a plan without a reading assumes. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use fleetwright_core::desired::{Desired, Wish};
use fleetwright_core::fingerprint::Memo;
use fleetwright_core::inventory::{
    ControlPlaneFacts, Inventory, Listing, Phase, Place, Placement, Reading, Resource, Step, Workloads,
};
use fleetwright_core::memory::Memory;
use fleetwright_core::record::{Record, place_of};
use fleetwright_schema::names::SetId;
use fleetwright_schema::status::{Cluster, ClusterState};
use fleetwright_schema::units::Timestamp;

/// A reading of every place of the record and of the wish in which each cluster stands as its record says.
pub fn assumed_inventory(record: &Record, desired: &Desired, memo: &Memo, now: Timestamp) -> Inventory {
    let mut resources: BTreeMap<Place, Vec<Resource>> = BTreeMap::new();
    for wish in desired.sets.values() {
        if let Wish::Wanted(wanted) = wish {
            resources.entry(wanted.place.clone()).or_default();
        }
    }
    for (id, cluster) in record.clusters() {
        resources.entry(place_of(id, cluster)).or_default().extend(standing(id, cluster, memo));
    }
    let reading = |resources: Vec<Resource>| {
        let listing: Listing = resources.into_iter().collect();
        Reading { at: now, result: Ok(Arc::new(listing)), failing_since: None }
    };
    Inventory { places: resources.into_iter().map(|(place, resources)| (place, reading(resources))).collect() }
}

/// A memory in which every cluster was last touched before the reading.
pub fn assumed_memory(record: &Record) -> Memory {
    let touched = record.clusters().map(|(_, cluster)| (cluster.metadata.name.clone(), Timestamp::MIN)).collect();
    Memory { touched, ..Memory::default() }
}

/// What stands of a cluster: nothing before it is built, everything while it serves and drains.
fn standing(id: &SetId, cluster: &Cluster, memo: &Memo) -> Vec<Resource> {
    let prints = memo.fingerprints(&cluster.status.revision, &cluster.spec);
    let parts = Step::BUILD.into_iter().zip(prints.iter());
    match cluster.status.state {
        ClusterState::Pending | ClusterState::Creating => Vec::new(),
        ClusterState::Ready | ClusterState::Updating | ClusterState::Draining | ClusterState::Drained => {
            parts.map(|(step, print)| resource(id, cluster, step, print, Phase::Ready)).collect()
        }
        ClusterState::Deleting => {
            parts.take(1).map(|(step, print)| resource(id, cluster, step, print, Phase::Deleting)).collect()
        }
    }
}

fn resource(id: &SetId, cluster: &Cluster, step: Step, print: &Arc<str>, phase: Phase) -> Resource {
    let Cluster { metadata, status, .. } = cluster;
    Resource {
        id: known_id(cluster, step).unwrap_or_else(|| format!("assumed-{}-{}", metadata.name, step.condition())).into(),
        step,
        cluster: metadata.name.clone(),
        set: id.clone(),
        ordinal: metadata.ordinal,
        phase,
        applied: Arc::clone(print),
        created_at: metadata.creation_timestamp,
        uses: Vec::new(),
        control_plane: (step == Step::ControlPlane).then(|| facts(cluster)),
        node_pools: if step == Step::NodePools { status.node_pools.clone() } else { Vec::new() },
        infra_services: if step == Step::InfraServices { status.infra_services.clone() } else { Vec::new() },
    }
}

fn known_id(cluster: &Cluster, step: Step) -> Option<String> {
    let status = &cluster.status;
    let evidence = || status.retirement.as_ref().and_then(|retirement| retirement.evidence.clone());
    match step {
        Step::Network => status.network.id.clone(),
        Step::ControlPlane => evidence().or_else(|| status.provider_id.clone()),
        Step::Identity
        | Step::LogStream
        | Step::NodePools
        | Step::Access
        | Step::Secrets
        | Step::InfraServices
        | Step::Leftovers => None,
    }
}

/// Workloads can't be counted without a reading; a drained cluster was verified to have none.
fn facts(cluster: &Cluster) -> ControlPlaneFacts {
    let status = &cluster.status;
    let expected = status.retirement.as_ref().and_then(|retirement| retirement.expected_workloads);
    let empty = Workloads { running: 0, left: expected.unwrap_or(0), blocked_by: Vec::new() };
    ControlPlaneFacts {
        endpoint: status.endpoint.clone(),
        placement: if status.state.serves() { Placement::Open } else { Placement::Closed },
        workloads: (status.state == ClusterState::Drained).then_some(empty),
        has_open_nodes: false,
    }
}
