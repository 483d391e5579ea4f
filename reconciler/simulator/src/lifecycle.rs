//! The state machine of one resource, pure: where it stands is a function of what was last asked of it and of the time.
//!
//! ```text
//! Made ── ready_at ──► Ready | Failed      Changed ── until ──► Ready, with the new      Going ── gone_at ──► gone
//! ```

use std::sync::Arc;

use fleetwright_core::inventory::Phase;
use fleetwright_schema::names::KubernetesVersion;
use fleetwright_schema::status::{InfraServiceStatus, NodePoolStatus};
use fleetwright_schema::units::Timestamp;
use serde::{Deserialize, Serialize};

/// What was last asked of a resource, and until when the provider works on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Life {
    /// Its creation.
    Made {
        ready_at: Timestamp,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        fails: bool,
    },
    /// A change of what is applied; the old holds until then.
    Changed { until: Timestamp, to: Box<Applied> },
    /// Its deletion.
    Going { gone_at: Timestamp },
}

/// What a resource was last made of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Applied {
    pub(crate) fingerprint: Arc<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<KubernetesVersion>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) node_pools: Vec<NodePoolStatus>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) infra_services: Vec<InfraServiceStatus>,
}

impl Life {
    /// Where the resource stands; `None` when it is gone.
    pub(crate) fn phase(&self, now: Timestamp) -> Option<Phase> {
        match self {
            Self::Made { ready_at, .. } if now < *ready_at => Some(Phase::Creating),
            Self::Made { fails: true, .. } => Some(Phase::Failed),
            Self::Made { fails: false, .. } => Some(Phase::Ready),
            Self::Changed { until, .. } if now < *until => Some(Phase::Updating),
            Self::Changed { .. } => Some(Phase::Ready),
            Self::Going { gone_at } if now < *gone_at => Some(Phase::Deleting),
            Self::Going { .. } => None,
        }
    }
    /// When the phase changes by itself.
    pub(crate) fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        let (Self::Made { ready_at: end, .. } | Self::Changed { until: end, .. } | Self::Going { gone_at: end }) = self;
        (now < *end).then_some(*end)
    }
    /// What is applied now, if a change has replaced what was before.
    pub(crate) fn replaced(&self, now: Timestamp) -> Option<&Applied> {
        match self {
            Self::Changed { until, to } if now >= *until => Some(to),
            Self::Made { .. } | Self::Changed { .. } | Self::Going { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    #[test]
    fn what_is_made_is_creating_until_it_is_ready() {
        let life = Life::Made { ready_at: at(10), fails: false };
        assert_eq!((life.phase(at(9)), life.phase(at(10))), (Some(Phase::Creating), Some(Phase::Ready)));
        assert_eq!((life.next_change(at(9)), life.next_change(at(10))), (Some(at(10)), None));
    }

    #[test]
    fn what_fails_does_so_when_it_would_have_been_ready() {
        let life = Life::Made { ready_at: at(10), fails: true };
        assert_eq!((life.phase(at(9)), life.phase(at(10))), (Some(Phase::Creating), Some(Phase::Failed)));
    }

    #[test]
    fn a_change_shows_the_old_until_its_end() {
        let to = Applied { fingerprint: "new".into(), ..Applied::default() };
        let life = Life::Changed { until: at(10), to: Box::new(to.clone()) };
        assert_eq!((life.phase(at(9)), life.replaced(at(9))), (Some(Phase::Updating), None));
        assert_eq!((life.phase(at(10)), life.replaced(at(10))), (Some(Phase::Ready), Some(&to)));
    }

    #[test]
    fn what_goes_is_deleting_and_then_gone() {
        let life = Life::Going { gone_at: at(10) };
        assert_eq!((life.phase(at(9)), life.phase(at(10))), (Some(Phase::Deleting), None));
    }
}
