//! Managed node groups, and the add-ons without which no node is ready.
//!
//! What a pool can't change is in the name of its group: another machine type is another group, which is made first, and
//! the old one goes once the new one stands. How many nodes there are between the bounds is the autoscaler's.

mod difference;
mod group;
mod perform;
mod wanted;

use std::sync::Arc;

use fleetwright_clouds::CloudError;
use fleetwright_core::inventory::{Phase, Resource, Step};
use fleetwright_schema::status::NodePoolStatus;

use crate::addons::{self, Addon};
use crate::control_plane::{Depth, Live};
use crate::marks::{self, Mark};
use crate::session::Session;

pub use perform::{are_at_most, perform};

use group::{Group, State, groups};

/// What a reading tells of the node pools of a cluster: nothing, where there is neither a group nor a mark.
pub async fn look(session: &Arc<Session>, live: &Live, depth: Depth) -> Result<Option<Resource>, CloudError> {
    let groups = groups(session, live).await?;
    let mark = Mark::of(&live.tags, Step::NodePools);
    if groups.is_empty() && mark.is_none() {
        return Ok(None);
    }
    // Where the mark stands they were whole; on the way there they take as long as the nodes.
    let addons = match (&mark, depth) {
        (Some(_), Depth::Closely) => None,
        (None, _) | (_, Depth::Drift) => Some(addons::addons(session, live).await?),
    };
    let phase = phase(&groups, addons.as_deref().unwrap_or_default(), mark.is_some());
    let applied = applied(&groups, addons.as_deref(), mark.as_ref());
    let resource = live.resource(Step::NodePools, phase, applied);
    Ok(Some(Resource { node_pools: statuses(&groups), ..resource }))
}

/// What all groups and add-ons come to.
fn phase(groups: &[Group], addons: &[Addon], marked: bool) -> Phase {
    let at = if marked { Phase::Updating } else { Phase::Creating };
    let some = |state: State| groups.iter().any(|group| group.state == state);
    let going = groups.iter().filter(|group| group.state == State::Deleting).count();
    if going > 0 && going == groups.len() && !marked {
        return Phase::Deleting;
    }
    match () {
        () if some(State::Creating) => at,
        () if some(State::Updating) || going > 0 => Phase::Updating,
        () if some(State::Failed) => Phase::Failed,
        () if addons.iter().any(|addon| addon.is_busy) => at,
        () => Phase::Ready,
    }
}

/// The fingerprint, if all is there that was there when it was written.
fn applied<'a>(groups: &[Group], addons: Option<&[Addon]>, mark: Option<&'a Mark>) -> &'a str {
    let Some(mark) = mark else { return "" };
    let well = groups.iter().all(|group| group.state != State::Degraded);
    let whole = well && addons.is_none_or(addons::are_whole);
    if whole && mark.sum == sum(groups) { &mark.print } else { "" }
}

fn sum(groups: &[Group]) -> String {
    marks::sum(groups.iter().map(|group| group.name.as_str()))
}

fn statuses(groups: &[Group]) -> Vec<NodePoolStatus> {
    let staying = groups.iter().filter(|group| group.state != State::Deleting);
    let mut statuses: Vec<NodePoolStatus> = staying
        .filter_map(|group| {
            Some(NodePoolStatus { name: group.pool.clone()?, instance_type: group.instance_type.clone() })
        })
        .collect();
    statuses.sort_by(|a, b| (&a.name, &a.instance_type).cmp(&(&b.name, &b.instance_type)));
    statuses
}

#[cfg(test)]
mod tests {
    use super::group::tests::group;
    use super::*;

    fn with(states: &[State]) -> Vec<Group> {
        states.iter().map(|state| Group { state: *state, ..group("workers-0") }).collect()
    }

    #[test]
    fn what_the_provider_works_on_is_busy_and_what_is_left_is_taken_up_again() {
        use State::{Active, Creating, Deleting, Failed, Updating};
        for (states, marked, expected) in [
            (&[Creating, Active][..], false, Phase::Creating),
            (&[Creating, Active], true, Phase::Updating),
            (&[Updating], true, Phase::Updating),
            (&[Active, Deleting], true, Phase::Updating),
            (&[Deleting, Deleting], true, Phase::Updating),
            (&[Active, Deleting], false, Phase::Updating),
            (&[Deleting, Deleting], false, Phase::Deleting),
            (&[Failed, Creating], false, Phase::Creating),
            (&[Failed, Active], true, Phase::Failed),
            (&[Active], false, Phase::Ready),
            (&[], true, Phase::Ready),
        ] {
            assert_eq!(phase(&with(states), &[], marked), expected, "{states:?} {marked}");
        }
    }

    #[test]
    fn pools_are_whole_only_while_all_groups_of_their_mark_are_there() {
        let groups = with(&[State::Active]);
        let mark = Mark { print: "print".to_owned(), sum: sum(&groups) };
        assert_eq!(applied(&groups, None, Some(&mark)), "print");
        assert_eq!(applied(&[], None, Some(&mark)), "", "a group was deleted by hand");
        assert_eq!(applied(&groups, Some(&[]), Some(&mark)), "", "its add-ons are gone");
        assert_eq!(applied(&groups, None, None), "");
    }
}
