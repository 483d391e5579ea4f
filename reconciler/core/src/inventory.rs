//! What was read from the clouds: by place, with its time, and never confused with what was not read.
//!
//! `Absent` is a reading; `Unknown` is the lack of one, and permits nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use fleetwright_schema::names::{Cloud, ClusterName, Region, SetId};
use fleetwright_schema::status::{InfraServiceStatus, NodePoolStatus};
use fleetwright_schema::units::Timestamp;
use serde::{Deserialize, Serialize};

/// Where readings are made and budgets are kept: one account in one region of one cloud.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The cloud.
    pub cloud: Cloud,
    /// The provider's id of the account, subscription or project.
    pub account: Arc<str>,
    /// The region.
    pub region: Region,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.cloud, self.account, self.region)
    }
}

/// A part of a cluster that is made, changed and deleted by itself, in the order in which they are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Step {
    /// VPC, virtual network.
    Network,
    /// Roles, managed identities, service accounts.
    Identity,
    /// Kinesis stream, event hub, Pub/Sub topic.
    LogStream,
    /// The managed Kubernetes cluster itself.
    ControlPlane,
    /// All its machines.
    NodePools,
    /// Who may talk to its API.
    Access,
    /// Secrets that its services need.
    Secrets,
    /// What every cluster of the set gets.
    InfraServices,
    /// What the cluster itself made (load balancers, disks, interfaces): never made by us, swept after the control
    /// plane is gone and before the network goes.
    Leftovers,
}

impl Step {
    /// The steps that build a cluster, parents before children.
    pub const BUILD: [Self; 8] = [
        Self::Network,
        Self::Identity,
        Self::LogStream,
        Self::ControlPlane,
        Self::NodePools,
        Self::Access,
        Self::Secrets,
        Self::InfraServices,
    ];
    /// What must be ready before this can be made, and may not go while this stands.
    pub const fn parents(self) -> &'static [Self] {
        match self {
            Self::Network | Self::Identity | Self::LogStream => &[],
            Self::ControlPlane => &[Self::Network, Self::Identity, Self::LogStream],
            Self::NodePools | Self::Access => &[Self::ControlPlane],
            Self::Secrets => &[Self::ControlPlane, Self::Identity],
            Self::InfraServices => &[Self::NodePools, Self::Access, Self::Secrets],
            Self::Leftovers => &[Self::Network],
        }
    }
    /// In words: `control plane`.
    pub const fn as_words(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Identity => "identity",
            Self::LogStream => "log stream",
            Self::ControlPlane => "control plane",
            Self::NodePools => "node pools",
            Self::Access => "access",
            Self::Secrets => "secrets",
            Self::InfraServices => "infra services",
            Self::Leftovers => "leftovers",
        }
    }
    /// The type of its condition: `ControlPlaneReady`.
    pub const fn condition(self) -> &'static str {
        match self {
            Self::Network => "NetworkReady",
            Self::Identity => "IdentityReady",
            Self::LogStream => "LogStreamReady",
            Self::ControlPlane => "ControlPlaneReady",
            Self::NodePools => "NodePoolsReady",
            Self::Access => "AccessReady",
            Self::Secrets => "SecretsReady",
            Self::InfraServices => "InfraServicesReady",
            Self::Leftovers => "LeftoversReady",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_words())
    }
}

/// Where a resource stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// Being made.
    Creating,
    /// Usable.
    Ready,
    /// Usable, and being changed.
    Updating,
    /// Made, but not usable; the provider gave up.
    Failed,
    /// On its way out.
    Deleting,
}

/// Whether a cluster takes new workloads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Placement {
    /// Workloads may be placed.
    #[default]
    Open,
    /// Cordoned: nothing new is placed.
    Closed,
}

/// The workloads of a cluster, counted completely at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workloads {
    /// How many run.
    pub running: u32,
    /// How many have left since placement was last closed.
    pub left: u32,
    /// What does not leave, by namespace, pod and budget; empty when nothing blocks.
    pub blocked_by: Vec<String>,
}

/// What is known of a control plane beyond its phase.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlPlaneFacts {
    /// The address of the Kubernetes API.
    pub endpoint: Option<String>,
    /// Whether new workloads are taken.
    pub placement: Placement,
    /// Its workloads; `None` when they could not be counted.
    pub workloads: Option<Workloads>,
    /// Nodes have joined since it was closed, and take workloads until it is closed once more.
    #[serde(default)]
    pub has_open_nodes: bool,
}

/// A resource that carries our tags, as its provider lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// The provider's id: never used twice.
    pub id: Arc<str>,
    /// Which part of its cluster it is.
    pub step: Step,
    /// The cluster that it belongs to, by its tag.
    pub cluster: ClusterName,
    /// The set that it belongs to, by its tag.
    pub set: SetId,
    /// The cluster's ordinal, by its tag.
    pub ordinal: u32,
    /// Where it stands.
    pub phase: Phase,
    /// The fingerprint of what was last applied to it, by its tag.
    pub applied: Arc<str>,
    /// When it was made.
    pub created_at: Timestamp,
    /// The ids of the resources that it was made in; a network that another resource names is in use.
    #[serde(default)]
    pub uses: Vec<Arc<str>>,
    /// Of a control plane.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control_plane: Option<ControlPlaneFacts>,
    /// Of node pools.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub node_pools: Vec<NodePoolStatus>,
    /// Of infra services.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub infra_services: Vec<InfraServiceStatus>,
}

/// Why something could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnknownReason {
    /// Not read yet since this process began.
    NotRead,
    /// The last attempt failed.
    Failed(ErrorClass, String),
    /// The last good reading is older than what is acted on.
    Stale(Timestamp),
}

impl fmt::Display for UnknownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRead => f.write_str("not read yet"),
            Self::Failed(class, message) => write!(f, "the last reading failed ({class}): {message}"),
            Self::Stale(at) => write!(f, "the last reading is of {at}"),
        }
    }
}

/// The classes of a cloud's errors, decided once, in the adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ErrorClass {
    /// The thing is not there.
    NotFound,
    /// It is there already, or something stands in the way: look again.
    Conflict,
    /// Too many calls; later.
    Throttled,
    /// A limit of the account; a person has it raised, or waits.
    Quota,
    /// We may not; a person mends it.
    Denied,
    /// The request is wrong; a person mends it.
    Invalid,
    /// The provider does not answer, or answers that it can't.
    Outage,
    /// Nobody knows whether it was done: look before doing anything.
    UnknownResult,
}

impl ErrorClass {
    /// All classes.
    pub const ALL: [Self; 8] = [
        Self::NotFound,
        Self::Conflict,
        Self::Throttled,
        Self::Quota,
        Self::Denied,
        Self::Invalid,
        Self::Outage,
        Self::UnknownResult,
    ];
    /// Whether trying again can help without a person doing anything.
    pub const fn is_transient(self) -> bool {
        match self {
            Self::NotFound | Self::Conflict | Self::Throttled | Self::Outage | Self::UnknownResult => true,
            Self::Quota | Self::Denied | Self::Invalid => false,
        }
    }
    /// One word for programs, as a condition's reason.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "NotFound",
            Self::Conflict => "Conflict",
            Self::Throttled => "Throttled",
            Self::Quota => "QuotaExceeded",
            Self::Denied => "Denied",
            Self::Invalid => "Invalid",
            Self::Outage => "Outage",
            Self::UnknownResult => "UnknownResult",
        }
    }
}

impl fmt::Display for ErrorClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The complete list of our resources in one place, and when the reading began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// By cluster; several of one step and cluster are a doubled create.
    pub resources: BTreeMap<ClusterName, Vec<Resource>>,
}

impl FromIterator<Resource> for Listing {
    fn from_iter<I: IntoIterator<Item = Resource>>(resources: I) -> Self {
        let mut by_cluster: BTreeMap<ClusterName, Vec<Resource>> = BTreeMap::new();
        for resource in resources {
            by_cluster.entry(resource.cluster.clone()).or_default().push(resource);
        }
        Self { resources: by_cluster }
    }
}

/// The last reading of a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// When the reading began: it says nothing of what was done after that.
    pub at: Timestamp,
    /// The complete listing, or why there is none.
    pub result: Result<Arc<Listing>, UnknownReason>,
    /// Since when readings fail, if the last one did: what lasts is shown to people, what flickers is not.
    pub failing_since: Option<Timestamp>,
}

/// What is known of all places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// The last reading of each place.
    pub places: BTreeMap<Place, Reading>,
}
