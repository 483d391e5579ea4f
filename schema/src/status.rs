//! The documents that the bot writes: the status file of a set, and the index of all clusters.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::documents::{ApiVersion, ClusterSetMetadata, kind};
use crate::names::{Cloud, ClusterName, ClusterTypeName, KubernetesVersion, Name, Region, SetId};
use crate::set::{ClusterSpec, ResolvedSet};
use crate::units::Timestamp;

kind! {
    /// `kind: ClusterSetStatus`
    ClusterSetStatusKind => ClusterSetStatus;
    /// `kind: Cluster`
    ClusterKind => Cluster;
    /// `kind: ClusterIndex`
    ClusterIndexKind => ClusterIndex;
}

/// Where a cluster is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum ClusterState {
    /// Named in Git; nothing is made yet.
    Pending,
    /// Being built; has never served.
    Creating,
    /// Serves.
    Ready,
    /// Serves, and is being changed in place.
    Updating,
    /// No new placement; workloads are leaving.
    Draining,
    /// Verified empty; kept for the rollback window.
    Drained,
    /// Being deleted.
    Deleting,
}

impl ClusterState {
    /// All states in the order of life.
    pub const ALL: [Self; 7] =
        [Self::Pending, Self::Creating, Self::Ready, Self::Updating, Self::Draining, Self::Drained, Self::Deleting];
    /// As written in documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Creating => "CREATING",
            Self::Ready => "READY",
            Self::Updating => "UPDATING",
            Self::Draining => "DRAINING",
            Self::Drained => "DRAINED",
            Self::Deleting => "DELETING",
        }
    }
    /// Whether consumers may place work on it.
    pub const fn serves(self) -> bool {
        matches!(self, Self::Ready | Self::Updating)
    }
}

impl std::fmt::Display for ClusterState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// The tense of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum ConditionStatus {
    True,
    False,
    Unknown,
}

/// One fact about a set or a cluster, with why, after the Kubernetes API conventions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What it is about: `Settled`, `NetworkReady`, `Stalled`, …
    pub r#type: String,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// One word for programs.
    pub reason: String,
    /// A sentence for people; nothing in it moves by itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// When `status` last changed.
    pub last_transition_time: Timestamp,
}

/// `status/clustersets/<env>/<cloud>/<region>/<type>.yaml`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterSetStatus {
    /// `fleetwright.dev/v1alpha1`
    pub api_version: ApiVersion,
    /// `ClusterSetStatus`
    pub kind: ClusterSetStatusKind,
    /// The set's identity.
    pub metadata: ClusterSetMetadata,
    /// The set as last taken up.
    pub spec: Arc<ResolvedSet>,
    /// The set's own status.
    pub status: SetStatus,
    /// Its clusters by ordinal.
    pub clusters: Vec<Arc<Cluster>>,
    /// Clusters that were retired a while ago.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tombstones: Vec<Tombstone>,
}

/// The set's own status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SetStatus {
    /// The revision of the template.
    pub revision: String,
    /// How many clusters are wished for.
    pub desired: u32,
    /// How many serve.
    pub serving: u32,
    /// How many exist or are named.
    pub alive: u32,
    /// How many serve at the set's revision.
    pub updated: u32,
    /// The ordinal of the next cluster; no ordinal is used twice.
    pub next_ordinal: u32,
    /// The set's wave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wave: Option<Name>,
    /// Whether it is settled, and what it waits for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// A cluster of a set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cluster {
    /// `Cluster`
    pub kind: ClusterKind,
    /// Its name and ordinal.
    pub metadata: ClusterMetadata,
    /// What it was built from, or is being changed to.
    pub spec: Arc<ClusterSpec>,
    /// Where it stands.
    pub status: ClusterStatus,
}

/// `metadata` of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterMetadata {
    /// Its name.
    pub name: ClusterName,
    /// Its number in the set.
    pub ordinal: u32,
    /// The account, subscription or project that it was built in; a changed `fleet.yaml` does not move it.
    pub account: Arc<str>,
    /// When it was named.
    pub creation_timestamp: Timestamp,
}

/// Where a cluster stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterStatus {
    /// Where it is in its life.
    pub state: ClusterState,
    /// Since when.
    pub since: Timestamp,
    /// The revision of `spec`.
    pub revision: String,
    /// The provider's id of the control plane.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_id: Option<String>,
    /// The address of the Kubernetes API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Its network.
    pub network: NetworkStatus,
    /// When it first served; never set back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_at: Option<Timestamp>,
    /// Its retirement, from DRAINING on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retirement: Option<Retirement>,
    /// The node pools that were last seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub node_pools: Vec<NodePoolStatus>,
    /// The infra services that were last seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub infra_services: Vec<InfraServiceStatus>,
    /// Its steps and what it waits for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// The network of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NetworkStatus {
    /// The cluster's block of addresses; none with `byon`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cidr: Option<String>,
    /// The provider's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// A node pool that was seen; sizes belong to the autoscaler and are left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodePoolStatus {
    /// The pool's name.
    pub name: Name,
    /// Its machine type.
    pub instance_type: String,
}

/// An infra service that was seen healthy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InfraServiceStatus {
    /// The service's name.
    pub name: Name,
    /// Its version.
    pub version: String,
}

/// Why a cluster is retired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum RetirementReason {
    /// A cluster of another revision takes its place.
    Replaced,
    /// The set became smaller.
    ScaledDown,
    /// The set's file was removed, with `deletionPolicy: Delete`.
    SetDeleted,
    /// It was never READY, and the wish has moved on.
    Superseded,
    /// It is gone from its cloud, and not by our doing.
    Lost,
}

/// The retirement of a cluster, with its evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Retirement {
    /// Why.
    pub reason: RetirementReason,
    /// When it began: when DRAINING was named.
    pub started_at: Timestamp,
    /// How many workloads ran on it when it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_workloads: Option<u32>,
    /// When it was read to be empty, with all the expected workloads accounted for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty_at: Option<Timestamp>,
    /// The provider's id of the control plane that was read to be empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
    /// Consumers whose grace passed without an acknowledgement.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without_acknowledgement: Vec<Name>,
}

/// What stays of a retired cluster, so that a consumer can tell *retired* from *not read*.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tombstone {
    /// Its name.
    pub name: ClusterName,
    /// Its number in the set.
    pub ordinal: u32,
    /// The revision it had.
    pub revision: String,
    /// Why it was retired.
    pub reason: RetirementReason,
    /// When it was read to be gone.
    pub deleted_at: Timestamp,
}

/// `status/clusters.json`: every cluster that a consumer may meet, a line each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterIndex {
    /// `fleetwright.dev/v1alpha1`
    pub api_version: ApiVersion,
    /// `ClusterIndex`
    pub kind: ClusterIndexKind,
    /// The clusters by name.
    pub clusters: Vec<IndexEntry>,
    /// Clusters that were retired a while ago, by name.
    pub tombstones: Vec<IndexTombstone>,
}

/// A cluster in the index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct IndexEntry {
    pub name: ClusterName,
    pub set: SetId,
    pub env: Name,
    pub cloud: Cloud,
    pub region: Region,
    pub cluster_type: ClusterTypeName,
    pub state: ClusterState,
    pub since: Timestamp,
    pub revision: String,
    pub kubernetes_version: KubernetesVersion,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
}

/// A retired cluster in the index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct IndexTombstone {
    pub name: ClusterName,
    pub set: SetId,
    pub reason: RetirementReason,
    pub deleted_at: Timestamp,
}
