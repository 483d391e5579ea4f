//! A fleet as people wish it, as the files that they commit.

use std::collections::{BTreeMap, BTreeSet};

use fleetwright_core::desired::Hold;
use fleetwright_schema::documents::{
    ApiVersion, ClusterSet, ClusterSetKind, ClusterSetMetadata, Fleet, FleetKind, FleetSpec, InfraService,
    InfraServiceKind, InfraServiceSpec, NamedMetadata, RemovalApproval, RemovalApprovalKind, RemovalApprovalSpec,
};
use fleetwright_schema::names::SetId;
use fleetwright_schema::set::{ResolvedSet, RotationLayer, SetLayer, UpdateStrategyLayer};
use serde::Serialize;

use crate::promises::Soundness;
use crate::wishes::People;

/// Files by path.
pub type Files = BTreeMap<String, Vec<u8>>;

/// What nobody can read as a document.
const GARBAGE: &[u8] = b"spec: {count: 3\n  - : : \"\n";

fn json(document: &impl Serialize) -> Vec<u8> {
    // JSON is YAML; a line a document would be legal, and nobody writes it.
    serde_json::to_vec_pretty(document).unwrap()
}

fn named(name: &str) -> NamedMetadata {
    NamedMetadata { name: name.parse().unwrap() }
}

/// The files of a wish.
pub fn files(people: &People, approvals: &[RemovalApprovalSpec]) -> Files {
    let mut files = Files::new();
    let fleet_readable = people.hold.is_none();
    files.insert("fleet.yaml".to_owned(), if fleet_readable { fleet(&people.config) } else { GARBAGE.to_vec() });
    let services: BTreeSet<_> = people
        .sets
        .values()
        .flat_map(|set| set.template.infra_services.iter().map(|service| service.name.clone()))
        .collect();
    for name in services {
        let spec = InfraServiceSpec { version: "1".to_owned(), depends_on: Vec::new(), manifests: Vec::new() };
        let metadata = named(name.as_str());
        let document =
            InfraService { api_version: ApiVersion::V1Alpha1, kind: InfraServiceKind::InfraService, metadata, spec };
        files.insert(format!("infra-services/{name}/service.yaml"), json(&document));
    }
    for (id, set) in &people.sets {
        let text = if people.held.contains(id) { GARBAGE.to_vec() } else { cluster_set(id, set) };
        files.insert(format!("clustersets/{id}.yaml"), text);
    }
    for (index, spec) in approvals.iter().enumerate() {
        let metadata = named(&format!("approval-{index}"));
        let document = RemovalApproval {
            api_version: ApiVersion::V1Alpha1,
            kind: RemovalApprovalKind::RemovalApproval,
            metadata,
            spec: spec.clone(),
        };
        files.insert(format!("approvals/approval-{index}.yaml"), json(&document));
    }
    files
}

fn fleet(config: &FleetSpec) -> Vec<u8> {
    let mut spec = config.clone();
    for (index, freeze) in spec.freezes.iter_mut().enumerate() {
        freeze.name = format!("freeze-{index}").parse().unwrap();
    }
    json(&Fleet { api_version: ApiVersion::V1Alpha1, kind: FleetKind::Fleet, metadata: named("simulation"), spec })
}

fn cluster_set(id: &SetId, set: &ResolvedSet) -> Vec<u8> {
    let metadata = ClusterSetMetadata { cluster_type: id.cluster_type.clone(), location: id.location.clone() };
    json(&ClusterSet {
        api_version: ApiVersion::V1Alpha1,
        kind: ClusterSetKind::ClusterSet,
        metadata,
        spec: layer(set),
    })
}

fn layer(set: &ResolvedSet) -> SetLayer {
    let (template, strategy) = (&set.template, &set.update_strategy);
    let rotation = &strategy.cluster_rotation;
    let rotation = RotationLayer {
        max_surge: Some(rotation.max_surge),
        bake: Some(rotation.bake),
        rollback_window: Some(rotation.rollback_window),
        drain_timeout: Some(rotation.drain_timeout),
        drain: Some(rotation.drain),
        on_drain_timeout: Some(rotation.on_drain_timeout),
    };
    SetLayer {
        count: Some(set.count),
        kubernetes_version: Some(template.kubernetes_version.clone()),
        features: Some(template.features.clone()),
        node_pools: Some(template.node_pools.clone()),
        infra_services: Some(template.infra_services.iter().map(|service| service.name.clone()).collect()),
        network: None,
        update_strategy: Some(UpdateStrategyLayer {
            cluster_rotation: Some(rotation),
            rotate_on: Some(strategy.rotate_on.clone()),
            max_concurrent_updates: Some(strategy.max_concurrent_updates),
        }),
        progress_deadline: Some(set.progress_deadline),
        deletion_policy: Some(set.deletion_policy),
        paused: Some(set.paused),
        paused_clusters: Some(set.paused_clusters.clone()),
        tags: Some(template.tags.clone()),
    }
}

/// How far a commit of this may be taken up, by whoever made it.
pub fn soundness(people: &People) -> Soundness {
    let held: BTreeSet<SetId> = people.held.iter().filter(|id| people.sets.contains_key(*id)).cloned().collect();
    match &people.hold {
        Some(Hold::FleetUnreadable | Hold::HistoryRewritten { .. }) => Soundness::Held,
        Some(_) => Soundness::Held,
        None if held.is_empty() => Soundness::Sound,
        None => Soundness::HeldSets(held),
    }
}

/// What changes from one state of the files to the next.
pub fn changes(old: &Files, new: &Files) -> BTreeMap<String, Option<Vec<u8>>> {
    let gone = old.keys().filter(|path| !new.contains_key(*path)).map(|path| (path.clone(), None));
    let fresh = new.iter().filter(|(path, text)| old.get(*path) != Some(text));
    fresh.map(|(path, text)| (path.clone(), Some(text.clone()))).chain(gone).collect()
}
