//! Which clusters of a set stay and which go: decided on the clusters that stand, so that a new wish in mid-rotation, or
//! a revert, is taken up from wherever things are.

use fleetwright_schema::status::{ClusterState, RetirementReason};

use super::admission::Admission;
use super::view::View;

/// What the set wants of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// It stays; if it is being drained, it comes back.
    Keep,
    /// It goes, as soon as it may.
    Retire(RetirementReason),
}

/// One intent for each view, in the same order.
pub fn choose(views: &[View<'_>], admission: &Admission) -> Vec<Intent> {
    let wanted = admission.set.count as usize;
    let mut candidates: Vec<usize> = (0..views.len()).filter(|index| can_stay(&views[*index])).collect();
    candidates.sort_by_key(|index| (rank(views[*index].state()), views[*index].cluster.metadata.ordinal));
    let kept: Vec<usize> = candidates.into_iter().take(wanted).collect();
    let intent = |index: usize, view: &View<'_>| match kept.contains(&index) {
        true => Intent::Keep,
        false => Intent::Retire(reason(view, admission)),
    };
    views.iter().enumerate().map(|(index, view)| intent(index, view)).collect()
}

fn can_stay(view: &View<'_>) -> bool {
    view.class.keeps_cluster() && !view.lost && view.state() != ClusterState::Deleting
}

/// What serves stays before what once served, and that before what is being built: least work, soonest service.
const fn rank(state: ClusterState) -> u8 {
    match state {
        ClusterState::Ready | ClusterState::Updating => 0,
        ClusterState::Draining => 1,
        ClusterState::Drained => 2,
        ClusterState::Creating => 3,
        ClusterState::Pending => 4,
        ClusterState::Deleting => 5,
    }
}

fn reason(view: &View<'_>, admission: &Admission) -> RetirementReason {
    let begun = view.cluster.status.retirement.as_ref().map(|retirement| retirement.reason);
    let never_served = view.cluster.status.ready_at.is_none();
    match begun {
        Some(reason) => reason,
        None if view.lost => RetirementReason::Lost,
        None if admission.deleted => RetirementReason::SetDeleted,
        None if never_served => RetirementReason::Superseded,
        None if view.class.keeps_cluster() || admission.set.count == 0 => RetirementReason::ScaledDown,
        None => RetirementReason::Replaced,
    }
}
