//! Bringing the groups to what they should be, and deleting them.

use std::sync::Arc;

use aws_sdk_eks::types::{NodegroupScalingConfig, NodegroupUpdateConfig, UpdateLabelsPayload, UpdateTaintsPayload};
use fleetwright_clouds::{CloudError, Progress};
use fleetwright_core::action::{Action, Effect};
use fleetwright_core::inventory::{ErrorClass, Step};
use fleetwright_schema::set::ClusterSpec;

use super::difference::{Difference, Settings, differences, is_whole};
use super::group::{State, groups};
use super::sum;
use super::wanted::{Wanted, wanted};
use crate::addons;
use crate::control_plane::{Live, change_tags, ours, ours_to_change, tag, untag};
use crate::error::{error, from_sdk, settled};
use crate::identity::Role;
use crate::marks::Mark;
use crate::owner::{Tags, applied_of, short_hash};
use crate::session::Session;

/// In place of the hash of what is there: it equals none.
const UNFINISHED: &str = "unfinished";

/// One short step.
pub async fn perform(session: &Arc<Session>, action: &Action) -> Result<Progress, CloudError> {
    match &action.effect {
        Effect::Create { token, fingerprint, spec, cidr: _, parents } => {
            let plane = parents.first().map(|id| &**id).unwrap_or_default();
            bring(session, action, plane, token, fingerprint, spec).await
        }
        Effect::Update { id, token, fingerprint, spec } => bring(session, action, id, token, fingerprint, spec).await,
        Effect::Delete { id } => delete(session, action, id).await,
        Effect::Drain { .. } | Effect::OpenPlacement { .. } => {
            Err(error(ErrorClass::Invalid, "NotPossible", format!("{action} is no action on node pools")))
        }
    }
}

/// Does all that can be done now; the mark once nothing is left.
async fn bring(
    session: &Arc<Session>,
    action: &Action,
    id: &str,
    token: &str,
    fingerprint: &str,
    spec: &ClusterSpec,
) -> Result<Progress, CloudError> {
    let live = ours_to_change(session, action, id).await?;
    if !live.is_active() {
        return Ok(Progress::InProgress);
    }
    let wanted = wanted(&live.owner, spec)?;
    let groups = groups(session, &live).await?;
    // Before the nodes: none is ready without a network of its own.
    let addons = addons::bring(session, &live, &spec.tags).await?;
    let whole = addons && is_whole(&groups, &wanted, live.minor);
    if !whole {
        unfinish(session, &live, fingerprint, &sum(&groups)).await?;
    }
    for difference in differences(&groups, &wanted, live.minor) {
        call(session, &live, token, difference).await?;
    }
    if !whole || !addons::fit(session, &live, live.minor).await? {
        return Ok(Progress::InProgress);
    }
    let mark = Mark { print: fingerprint.to_owned(), sum: sum(&groups) };
    tag(session, &live.arn, Tags::from([(applied_of(Step::NodePools), mark.text())])).await?;
    Ok(Progress::Done)
}

/// What somebody took away is missed until it is there again, and not only when it is next looked for: a mark that says
/// that all is well says so no longer.
async fn unfinish(session: &Session, live: &Live, fingerprint: &str, sum: &str) -> Result<(), CloudError> {
    let says_whole = |mark: &Mark| mark.print == fingerprint && mark.sum == sum;
    let Some(mark) = Mark::of(&live.tags, Step::NodePools).filter(says_whole) else { return Ok(()) };
    let mark = Mark { sum: UNFINISHED.to_owned(), ..mark };
    tag(session, &live.arn, Tags::from([(applied_of(Step::NodePools), mark.text())])).await
}

async fn call(session: &Session, live: &Live, token: &str, difference: Difference) -> Result<(), CloudError> {
    match difference {
        Difference::Missing(wanted) => create(session, live, token, wanted).await,
        Difference::Settings(settings) => set(session, live, settings).await,
        Difference::Version { group } => to_version(session, live, &group, live.minor).await,
        Difference::Tags { arn, change } => change_tags(session, &arn, change).await,
        Difference::Spare { group } => remove(session, live, &group).await,
    }
}

async fn create(session: &Session, live: &Live, token: &str, wanted: Wanted) -> Result<(), CloudError> {
    let Wanted { name, instance_type, image, disk_gib, count_min, count_max, labels, taints, tags } = wanted;
    let scaling = NodegroupScalingConfig::builder().min_size(count_min).max_size(count_max).desired_size(count_min);
    let taints: Vec<_> = taints.iter().map(|taint| taint.taint()).collect();
    let made = session
        .eks
        .create_nodegroup()
        .cluster_name(live.name())
        .client_request_token(short_hash(&format!("{token}\n{}\n{name}", live.id), 32))
        .nodegroup_name(name)
        .scaling_config(scaling.build())
        .set_disk_size(disk_gib)
        .set_subnets(Some(live.subnets.clone()))
        .instance_types(instance_type)
        .ami_type(image)
        .node_role(Role::Nodes.arn(session, &live.owner.cluster))
        .set_labels((!labels.is_empty()).then(|| labels.into_iter().collect()))
        .set_taints((!taints.is_empty()).then_some(taints))
        .set_tags(Some(tags.into_iter().collect()))
        .update_config(NodegroupUpdateConfig::builder().max_unavailable(1).build())
        .version(format!("1.{}", live.minor))
        .send()
        .await;
    // The name holds all that can't be changed: whoever has it is this group, made by a call whose reply was lost.
    settled(made.map_err(from_sdk), ErrorClass::Conflict).map(|_| ())
}

async fn set(session: &Session, live: &Live, settings: Settings) -> Result<(), CloudError> {
    let Settings { group, scaling, labels, labels_removed, taints, taints_removed } = settings;
    let mut call = session.eks.update_nodegroup_config().cluster_name(live.name()).nodegroup_name(group);
    if let Some((least, most, desired)) = scaling {
        let bounds = NodegroupScalingConfig::builder().min_size(least).max_size(most);
        call = call.scaling_config(bounds.set_desired_size(desired).build());
    }
    if !labels.is_empty() || !labels_removed.is_empty() {
        let payload = UpdateLabelsPayload::builder()
            .set_add_or_update_labels((!labels.is_empty()).then(|| labels.into_iter().collect()))
            .set_remove_labels((!labels_removed.is_empty()).then_some(labels_removed));
        call = call.labels(payload.build());
    }
    if !taints.is_empty() || !taints_removed.is_empty() {
        let given = |taints: &[super::group::PoolTaint]| {
            (!taints.is_empty()).then(|| taints.iter().map(|taint| taint.taint()).collect())
        };
        let payload = UpdateTaintsPayload::builder()
            .set_add_or_update_taints(given(&taints))
            .set_remove_taints(given(&taints_removed));
        call = call.taints(payload.build());
    }
    call.send().await.map_err(from_sdk).map(|_| ())
}

/// Disruption budgets are respected: what they hold up is a failed update of the provider, and not forced.
async fn to_version(session: &Session, live: &Live, group: &str, minor: u32) -> Result<(), CloudError> {
    let call = session.eks.update_nodegroup_version().cluster_name(live.name()).nodegroup_name(group);
    call.version(format!("1.{minor}")).force(false).send().await.map_err(from_sdk).map(|_| ())
}

async fn remove(session: &Session, live: &Live, group: &str) -> Result<(), CloudError> {
    let call = session.eks.delete_nodegroup().cluster_name(live.name()).nodegroup_name(group);
    settled(call.send().await.map_err(from_sdk), ErrorClass::NotFound).map(|_| ())
}

/// Deletes all groups of ours. The mark goes first: from then on they are no longer taken for whole.
async fn delete(session: &Arc<Session>, action: &Action, id: &str) -> Result<Progress, CloudError> {
    let Some(live) = ours(session, action, id).await? else { return Ok(Progress::Done) };
    let mark = applied_of(Step::NodePools);
    if live.tags.contains_key(&mark) {
        untag(session, &live.arn, vec![mark]).await?;
    }
    let groups = groups(session, &live).await?;
    for group in groups.iter().filter(|group| group.state != State::Deleting) {
        remove(session, &live, &group.name).await?;
    }
    Ok(if groups.is_empty() { Progress::Done } else { Progress::InProgress })
}

/// Whether no group of ours is newer than this minor version; those that are go back to it.
pub async fn are_at_most(session: &Arc<Session>, live: &Live, minor: u32) -> Result<bool, CloudError> {
    let groups = groups(session, live).await?;
    let newer: Vec<_> = groups.iter().filter(|group| group.minor > minor).collect();
    for group in newer.iter().filter(|group| group.state == State::Active) {
        to_version(session, live, &group.name, minor).await?;
    }
    Ok(newer.is_empty())
}
