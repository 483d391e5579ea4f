//! The fields of a set of clusters: as layers that may leave things out, and resolved, with nothing left out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::names::{ClusterName, KubernetesVersion, Name};
use crate::units::Duration;

/// A capability of the clusters of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Feature {
    /// The API server is reached from the fleet's own networks only.
    PrivateConnectivity,
    /// Bring your own network: the cluster is placed in a given network, which is never made nor deleted.
    Byon,
}

/// Machines of one kind in a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodePool {
    /// The pool's name, unique in the cluster.
    pub name: Name,
    /// What the pool is made of.
    pub spec: NodePoolSpec,
}

/// What a node pool is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodePoolSpec {
    /// The provider's name of the machine type, like `D32s_v3` or `m6i.2xlarge`.
    #[schemars(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"))]
    pub instance_type: String,
    /// The least number of nodes; the autoscaler owns what is between.
    #[schemars(range(min = 0, max = 1000))]
    pub min_count: u32,
    /// The greatest number of nodes.
    #[schemars(range(min = 1, max = 1000))]
    pub max_count: u32,
    /// The size of a node's disk in GiB; the provider's default when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 20, max = 16384))]
    pub disk_size_gib: Option<u32>,
    /// Kubernetes labels of the nodes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Kubernetes taints of the nodes, `key=value:NoSchedule`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taints: Vec<String>,
}

/// Where a cluster's addresses come from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NetworkSpec {
    /// The address pool of `fleet.yaml`; the first that fits when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address_pool: Option<Name>,
    /// With the feature `byon`: the provider's id of the given network. Left out, it is the network that carries the
    /// tag `fleetwright.dev/byon: <env>/<clusterType>` in the set's account and region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[A-Za-z0-9/_.:-]{1,256}$"))]
    pub existing: Option<String>,
}

/// How workloads leave a cluster before it is retired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum DrainMode {
    /// Their owners move them; we verify that they are gone.
    #[default]
    Wait,
    /// Labelled workloads are moved to the replacement, and counted there before they go here.
    Migrate,
    /// They are evicted, disruption budgets respected.
    Evict,
}

/// What happens when a drain is not done after `drainTimeout`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum DrainTimeoutPolicy {
    /// Nothing: a person looks at what blocks it.
    #[default]
    Hold,
    /// The rest is evicted, disruption budgets respected.
    Evict,
}

/// What happens to the clusters of a set whose file is removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// They stay as they are, and the board says so.
    #[default]
    Retain,
    /// They are drained and deleted, within the removal budget.
    Delete,
}

/// A field of the cluster's spec that a strategy may ask to rotate for, where the cloud could change it in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SpecField {
    /// `kubernetesVersion`
    KubernetesVersion,
    /// `features`
    Features,
    /// `nodePools`
    NodePools,
    /// `infraServices`
    InfraServices,
    /// `network`
    Network,
    /// `tags`
    Tags,
}

/// One layer of a set's fields: built-in defaults, `fleet.yaml`, environment, cluster type, ClusterSet. Later layers win
/// field by field; maps are merged, lists replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetLayer {
    /// How many clusters serve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub count: Option<u32>,
    /// The clusters' Kubernetes version, quoted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes_version: Option<KubernetesVersion>,
    /// Capabilities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features: Option<BTreeSet<Feature>>,
    /// The pools of machines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 50))]
    pub node_pools: Option<Vec<NodePool>>,
    /// Names of the infra services, each a folder below `infra-services/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    pub infra_services: Option<Vec<Name>>,
    /// Where addresses come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkSpec>,
    /// How changes reach the clusters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update_strategy: Option<UpdateStrategyLayer>,
    /// After this long without progress a cluster is stalled, which halts its set's rotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress_deadline: Option<Duration>,
    /// What happens when the set's file is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,
    /// Nothing at all is done to the set while this is true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// Clusters of the set to which nothing is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1000))]
    pub paused_clusters: Option<BTreeSet<ClusterName>>,
    /// Labels of the set, put on every cloud resource of its clusters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<BTreeMap<String, String>>,
}

/// How changes reach the clusters, as a layer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateStrategyLayer {
    /// New clusters for old.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_rotation: Option<RotationLayer>,
    /// Fields that are changed by rotation though the cloud could change them in place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotate_on: Option<BTreeSet<SpecField>>,
    /// How many clusters of the set are updated in place at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_concurrent_updates: Option<u32>,
}

/// Rotation, as a layer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RotationLayer {
    /// How many clusters above `count` may be alive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_surge: Option<u32>,
    /// How long a new cluster must have served before it counts as a replacement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bake: Option<Duration>,
    /// How long a drained cluster is kept, so that a revert brings it back at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_window: Option<Duration>,
    /// After this long a drain is over its time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain_timeout: Option<Duration>,
    /// How workloads leave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<DrainMode>,
    /// What happens when the drain is over its time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_drain_timeout: Option<DrainTimeoutPolicy>,
}

/// An infra service as a cluster gets it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InfraServiceVersion {
    /// The service's name.
    pub name: Name,
    /// Its version, of its `service.yaml`.
    pub version: String,
}

/// Everything that a cluster is built from. Two clusters with equal specs are interchangeable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClusterSpec {
    /// The Kubernetes version.
    pub kubernetes_version: KubernetesVersion,
    /// Capabilities.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub features: BTreeSet<Feature>,
    /// The pools of machines.
    pub node_pools: Vec<NodePool>,
    /// The infra services with their versions, in the order in which they are applied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub infra_services: Vec<InfraServiceVersion>,
    /// Where addresses come from; the cluster's own block is in its status.
    #[serde(default)]
    pub network: NetworkSpec,
    /// Tags of all its cloud resources, beside Fleetwright's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

/// How changes reach the clusters, resolved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateStrategy {
    /// New clusters for old.
    pub cluster_rotation: Rotation,
    /// Fields that are changed by rotation though the cloud could change them in place.
    pub rotate_on: BTreeSet<SpecField>,
    /// How many clusters of the set are updated in place at once.
    pub max_concurrent_updates: u32,
}

/// Rotation, resolved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rotation {
    /// How many clusters above `count` may be alive.
    pub max_surge: u32,
    /// How long a new cluster must have served before it counts as a replacement.
    pub bake: Duration,
    /// How long a drained cluster is kept.
    pub rollback_window: Duration,
    /// After this long a drain is over its time.
    pub drain_timeout: Duration,
    /// How workloads leave.
    pub drain: DrainMode,
    /// What happens when the drain is over its time.
    pub on_drain_timeout: DrainTimeoutPolicy,
}

/// A set with nothing left out: what `explain` prints, and what the status file keeps of the last one taken up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResolvedSet {
    /// How many clusters serve.
    pub count: u32,
    /// What each is built from.
    pub template: Arc<ClusterSpec>,
    /// How changes reach them.
    pub update_strategy: UpdateStrategy,
    /// After this long without progress a cluster is stalled.
    pub progress_deadline: Duration,
    /// What happens when the set's file is removed.
    pub deletion_policy: DeletionPolicy,
    /// Nothing at all is done to the set.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
    /// Clusters to which nothing is done.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub paused_clusters: BTreeSet<ClusterName>,
}
