//! What the hands are told to do: one short, idempotent effect on one part of one cluster. Everything in an action is
//! data that the plan decided; whoever performs it chooses nothing.

use std::fmt;
use std::sync::Arc;

use fleetwright_schema::names::{ClusterName, SetId};
use fleetwright_schema::set::{ClusterSpec, DrainMode};

use crate::inventory::{Place, Step};

/// What an action is about; one action at a time on one key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActionKey {
    /// The cluster.
    pub cluster: ClusterName,
    /// The part of it.
    pub step: Step,
}

impl fmt::Display for ActionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.step, self.cluster)
    }
}

/// One effect on one part of one cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// What it is about.
    pub key: ActionKey,
    /// The cluster's set, for its tags.
    pub set: SetId,
    /// The cluster's ordinal, for its tags.
    pub ordinal: u32,
    /// Where.
    pub place: Place,
    /// What is done.
    pub effect: Effect,
}

/// What is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Make the part.
    Create {
        /// For APIs with idempotency tokens: a function of cluster, step and fingerprint.
        token: Arc<str>,
        /// The tag by which a later reading knows what was applied.
        fingerprint: Arc<str>,
        /// What the cluster is built from.
        spec: Arc<ClusterSpec>,
        /// The cluster's block of addresses; none with `byon`.
        cidr: Option<Arc<str>>,
        /// The ids of its parents, as they were read.
        parents: Vec<Arc<str>>,
    },
    /// Change the part to what the spec says now.
    Update {
        /// The provider's id, as it was read.
        id: Arc<str>,
        /// As for `Create`.
        token: Arc<str>,
        /// The tag to be set with the change.
        fingerprint: Arc<str>,
        /// What the cluster should be.
        spec: Arc<ClusterSpec>,
    },
    /// Delete the part with this id, and no other.
    Delete {
        /// The provider's id, as it was read.
        id: Arc<str>,
    },
    /// Take no new workloads, and let those that run leave.
    Drain {
        /// The id of the control plane, as it was read.
        id: Arc<str>,
        /// How they leave.
        mode: DrainMode,
    },
    /// Take new workloads again; nothing where it takes them already.
    OpenPlacement {
        /// The id of the control plane, as it was read.
        id: Arc<str>,
    },
}

impl Effect {
    /// One word for logs and reports.
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::Update { .. } => "update",
            Self::Delete { .. } => "delete",
            Self::Drain { .. } => "drain",
            Self::OpenPlacement { .. } => "open",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.effect.verb(), self.key)
    }
}
