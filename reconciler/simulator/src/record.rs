//! One resource as its provider keeps it, and what a reading shows of it.

use std::sync::Arc;

use fleetwright_core::action::Effect;
use fleetwright_core::inventory::{ControlPlaneFacts, Phase, Place, Resource, Step};
use fleetwright_schema::names::{ClusterName, SetId};
use fleetwright_schema::units::Timestamp;
use serde::{Deserialize, Serialize};

use crate::lifecycle::{Applied, Life};
use crate::workloads::Serving;

/// A provider's id.
pub(crate) type Id = Arc<str>;

/// What is done to a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Verb {
    /// It is made.
    Create,
    /// It is changed.
    Update,
    /// It is deleted.
    Delete,
    /// Its placement is closed, and its workloads leave.
    Drain,
    /// Its placement is opened.
    Open,
}

impl Verb {
    /// The verb of an effect.
    pub const fn of(effect: &Effect) -> Self {
        match effect {
            Effect::Create { .. } => Self::Create,
            Effect::Update { .. } => Self::Update,
            Effect::Delete { .. } => Self::Delete,
            Effect::Drain { .. } => Self::Drain,
            Effect::OpenPlacement { .. } => Self::Open,
        }
    }
    /// As in logs: `create`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Drain => "drain",
            Self::Open => "open",
        }
    }
}

/// Something that was asked for, accepted, and changed the world. A repeated call that changed nothing is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mutation {
    /// When.
    pub at: Timestamp,
    /// Where.
    pub place: Place,
    /// To which cluster.
    pub cluster: ClusterName,
    /// To which part of it.
    pub step: Step,
    /// What.
    pub verb: Verb,
    /// The id of what was made or changed.
    pub id: Arc<str>,
    /// How many workloads ran on the control plane that it was done to, at that moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<u32>,
}

/// One resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Record {
    pub(crate) id: Id,
    pub(crate) place: Place,
    pub(crate) step: Step,
    pub(crate) cluster: ClusterName,
    pub(crate) set: SetId,
    pub(crate) ordinal: u32,
    /// The how-many-th of its cluster and step it is; ids are made of it.
    pub(crate) generation: u32,
    /// The token it was made with, if it took one, and a hash of everything else that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<Arc<str>>,
    #[serde(default)]
    pub(crate) params: u64,
    /// Later than now for what a cluster is yet to make by itself.
    pub(crate) created_at: Timestamp,
    /// Since when this version of the record holds: a late reading shows the one before.
    pub(crate) since: Timestamp,
    pub(crate) life: Life,
    pub(crate) applied: Applied,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) uses: Vec<Id>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cidr: Option<Arc<str>>,
    /// Of leftovers: the control plane that made them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) maker: Option<Id>,
    /// Of a control plane.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) serving: Option<Serving>,
    /// Of what was asked for over a wire front.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) wire: Option<Wire>,
}

/// What a wire front knows of a resource, and the world keeps for it without reading it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Wire {
    pub(crate) kind: Arc<str>,
    pub(crate) name: Arc<str>,
    pub(crate) document: Arc<serde_json::Value>,
}

/// What faults do to the count of a cluster's workloads.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CountFaults<'a> {
    pub(crate) stuck: Option<&'a [String]>,
    pub(crate) uncountable: bool,
}

impl Record {
    /// Where it stands; `None` when it is gone, or not made yet.
    pub(crate) fn phase(&self, now: Timestamp) -> Option<Phase> {
        (self.created_at <= now).then(|| self.life.phase(now)).flatten()
    }
    pub(crate) fn is_gone(&self, now: Timestamp) -> bool {
        self.life.phase(now).is_none()
    }
    /// Whether it is but a part of a step: one node group of several. A listing of steps does not show it.
    pub(crate) fn is_part(&self) -> bool {
        self.wire.is_some() && self.step != Step::ControlPlane
    }
    pub(crate) fn applied(&self, now: Timestamp) -> &Applied {
        self.life.replaced(now).unwrap_or(&self.applied)
    }
    /// When anything that a reading shows of it changes by itself.
    pub(crate) fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        let appears = (now < self.created_at).then_some(self.created_at);
        let counts = self.serving.as_ref().and_then(|serving| serving.next_change(now));
        [appears, self.life.next_change(now), counts].into_iter().flatten().min()
    }
    /// The same resource with another life from now on, a finished change taken in.
    pub(crate) fn with_life(&self, life: Life, now: Timestamp) -> Self {
        Self { applied: self.applied(now).clone(), life, since: now, ..self.clone() }
    }
    /// The same resource with other workloads from now on.
    pub(crate) fn with_serving(&self, serving: Serving, now: Timestamp) -> Self {
        Self { serving: Some(serving), since: now, ..self.clone() }
    }

    /// What a complete reading shows of it.
    pub(crate) fn seen(&self, now: Timestamp, faults: CountFaults<'_>) -> Option<Resource> {
        let phase = self.phase(now)?;
        let applied = self.applied(now);
        let healthy = matches!(phase, Phase::Ready | Phase::Updating);
        Some(Resource {
            id: Arc::clone(&self.id),
            step: self.step,
            cluster: self.cluster.clone(),
            set: self.set.clone(),
            ordinal: self.ordinal,
            phase,
            applied: Arc::clone(&applied.fingerprint),
            created_at: self.created_at,
            uses: self.uses.clone(),
            control_plane: self.serving.as_ref().map(|serving| self.control_plane(serving, phase, now, faults)),
            node_pools: applied.node_pools.clone(),
            infra_services: if healthy { applied.infra_services.clone() } else { Vec::new() },
        })
    }

    fn control_plane(
        &self,
        serving: &Serving,
        phase: Phase,
        now: Timestamp,
        faults: CountFaults<'_>,
    ) -> ControlPlaneFacts {
        let answers = matches!(phase, Phase::Ready | Phase::Updating | Phase::Deleting);
        let Place { cloud, account: _, region } = &self.place;
        ControlPlaneFacts {
            endpoint: answers.then(|| format!("https://{}.{region}.{cloud}.sim.fleetwright.dev", self.cluster)),
            placement: serving.placement(),
            workloads: (answers && !faults.uncountable).then(|| serving.count(now, faults.stuck)),
            has_open_nodes: false,
        }
    }
}
