//! All clusters of a place, with what has its marks on them. A quiet cluster is asked for every few minutes, to see
//! whether somebody changed it by hand; one with which something is under way at each reading.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use fleetwright_clouds::CloudError;
use fleetwright_core::inventory::{ControlPlaneFacts, ErrorClass, Phase, Placement, Resource, Step};
use fleetwright_schema::names::ClusterName;

use super::live::{Live, Seen, describe};
use super::update::has_drifted;
use crate::cache::Cache;
use crate::error::{error, from_sdk};
use crate::inside::{self, Inside, placement};
use crate::owner::APPLIED;
use crate::session::Session;
use crate::side_by_side::side_by_side;
use crate::{access, node_pools};

/// So many clusters are looked at before what was seen of them is kept.
const LOOKS_AT_ONCE: usize = 8;

/// How closely a cluster is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Something is under way: what runs on it is counted.
    Closely,
    /// It should be quiet: whether all is there that its marks promise.
    Drift,
}

/// What stands in a place.
#[derive(Default)]
pub struct Clusters {
    /// Control planes of ours, with what has its marks on them.
    pub resources: Vec<Resource>,
    /// Names of those that are ours by their role, and have lost the tags that say so.
    pub stripped: BTreeSet<ClusterName>,
}

/// What a look at a name showed.
enum Look {
    /// Empty where the cluster is not ours.
    There(Vec<Resource>),
    Stripped,
}

/// All clusters of ours, with node pools, access, secrets and infra services.
pub async fn list(
    session: &Arc<Session>,
    kept: &Cache<Vec<Resource>>,
    closely: &BTreeSet<ClusterName>,
) -> Result<Clusters, CloudError> {
    let began = Instant::now();
    let place = &session.place;
    let names = names(session).await?;
    kept.retain(place, |name| names.contains(name));
    let mut all = Clusters::default();
    let mut asked = Vec::new();
    for name in names {
        match kept.recall(place, &name).filter(|_| !closely.contains(&name)) {
            Some(known) => all.resources.extend(known),
            None => asked.push((Arc::clone(session), closely.contains(&name), name)),
        }
    }
    // Some at a time, and each kept at once: where one call of hundreds fails, the next reading has less to ask.
    while !asked.is_empty() {
        let some: Vec<_> = asked.drain(..asked.len().min(LOOKS_AT_ONCE)).collect();
        for (name, depth, look) in looks(some).await? {
            match look {
                Look::Stripped => drop(all.stripped.insert(name)),
                Look::There(resources) => {
                    if depth == Depth::Drift && is_quiet(&resources) {
                        kept.keep(place, &name, began, resources.clone());
                    }
                    all.resources.extend(resources);
                }
            }
        }
    }
    Ok(all)
}

type Asked = (Arc<Session>, bool, ClusterName);

async fn looks(asked: Vec<Asked>) -> Result<Vec<(ClusterName, Depth, Look)>, CloudError> {
    let looks = side_by_side(asked, |(session, closely, name)| async move {
        let depth = if closely { Depth::Closely } else { Depth::Drift };
        let look = look(&session, &name, depth).await?;
        Ok((name, depth, look))
    });
    looks.await
}

/// The names of all clusters that could be ours: others' names need not be such as we give.
async fn names(session: &Session) -> Result<BTreeSet<ClusterName>, CloudError> {
    let mut pages = session.eks.list_clusters().max_results(100).into_paginator().items().send();
    let mut names = BTreeSet::new();
    while let Some(name) = pages.next().await {
        names.extend(name.map_err(from_sdk)?.parse());
    }
    Ok(names)
}

/// Whether a cluster needs no look for a while: it is whole, takes workloads and nothing happens to it; or is not ours.
fn is_quiet(resources: &[Resource]) -> bool {
    const WHOLE: [Step; 5] = [Step::ControlPlane, Step::NodePools, Step::Access, Step::Secrets, Step::InfraServices];
    let settled = |resource: &Resource| resource.phase == Phase::Ready && !resource.applied.is_empty();
    let open =
        |resource: &Resource| resource.control_plane.as_ref().is_none_or(|facts| facts.placement == Placement::Open);
    let has = |step: &Step| resources.iter().any(|resource| resource.step == *step);
    resources.is_empty() || (WHOLE.iter().all(has) && resources.iter().all(|r| settled(r) && open(r)))
}

async fn look(session: &Arc<Session>, name: &ClusterName, depth: Depth) -> Result<Look, CloudError> {
    let live = match describe(session, name.as_str()).await? {
        // It was listed a moment ago. Whether it is gone, or somebody between us answers so, the next reading tells.
        Seen::Gone => {
            let message = format!("{name} is listed, and not there when it is asked for");
            return Err(error(ErrorClass::UnknownResult, "ListedAndGone", message));
        }
        Seen::Stripped => return Ok(Look::Stripped),
        Seen::Foreign => return Ok(Look::There(Vec::new())),
        Seen::Ours(live) => live,
    };
    let mut resources = vec![plane(session, &live)];
    if matches!(live.phase, Phase::Ready | Phase::Updating | Phase::Failed) {
        let (pools, access, secrets) = tokio::try_join!(
            node_pools::look(session, &live, depth),
            access::look_access(session, &live),
            access::look_secrets(session, &live),
        )?;
        let has_nodes = pools.as_ref().is_some_and(|pools| !pools.node_pools.is_empty());
        if depth == Depth::Closely && has_nodes && live.phase != Phase::Failed {
            count(session, &live, &mut resources[0]).await;
        }
        resources.extend([pools, access, secrets, inside::look_services(&live)].into_iter().flatten());
    }
    Ok(Look::There(resources))
}

fn plane(session: &Session, live: &Live) -> Resource {
    let placed = placement::placed(&live.tags);
    let finished = !has_drifted(live, &session.account) && !placed.is_some_and(placement::Placed::is_changing);
    let applied = live.tags.get(APPLIED).filter(|_| finished).map_or("", String::as_str);
    let facts = ControlPlaneFacts {
        endpoint: live.endpoint.clone(),
        placement: placed.map_or(Placement::Open, placement::Placed::placement),
        workloads: None,
        has_open_nodes: false,
    };
    let uses = live.vpc.iter().cloned().collect();
    Resource { uses, control_plane: Some(facts), ..live.resource(Step::ControlPlane, live.phase, applied) }
}

/// A cluster whose workloads can't be counted is told without them: that is no reason to know nothing of the place.
async fn count(session: &Arc<Session>, live: &Live, plane: &mut Resource) {
    let Some(facts) = &mut plane.control_plane else { return };
    match inside::look(session, live).await {
        Ok(Inside { workloads, has_open_nodes }) => {
            (facts.workloads, facts.has_open_nodes) = (Some(workloads), has_open_nodes);
        }
        Err(why) => tracing::warn!(cluster = live.name(), %why, "workloads could not be counted"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control_plane::live::tests::live;

    fn whole() -> Vec<Resource> {
        let live = live();
        let steps = [Step::ControlPlane, Step::NodePools, Step::Access, Step::Secrets, Step::InfraServices];
        steps.map(|step| live.resource(step, Phase::Ready, "print")).to_vec()
    }

    #[test]
    fn only_a_whole_open_cluster_at_rest_is_quiet() {
        assert!(is_quiet(&whole()));
        assert!(is_quiet(&[]), "a cluster of other people");
        assert!(!is_quiet(&whole()[..4]), "one part lacks");
        let mut updating = whole();
        updating[1].phase = Phase::Updating;
        assert!(!is_quiet(&updating));
        let mut unfinished = whole();
        unfinished[2].applied = "".into();
        assert!(!is_quiet(&unfinished));
        let mut closed = whole();
        closed[0].control_plane = Some(ControlPlaneFacts { placement: Placement::Closed, ..Default::default() });
        assert!(!is_quiet(&closed));
    }
}
