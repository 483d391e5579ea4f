//! A node group as EKS describes it.

use std::sync::Arc;

use aws_sdk_eks::types::{Nodegroup, NodegroupStatus, Taint};
use fleetwright_clouds::CloudError;
use fleetwright_schema::names::Name;

use crate::control_plane::{Live, minor};
use crate::error::{found, from_sdk};
use crate::owner::{Owner, PART, Tags};
use crate::session::Session;
use crate::side_by_side::side_by_side;

/// Where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Creating,
    Active,
    Updating,
    Deleting,
    /// The provider gave up making it, keeping it or deleting it.
    Failed,
    /// It stands and is not well: it may recover, or be mended by a change.
    Degraded,
}

/// A node group of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    pub name: String,
    pub arn: String,
    /// The pool that it is of, by its tag.
    pub pool: Option<Name>,
    pub instance_type: String,
    pub state: State,
    pub minor: u32,
    pub count_min: i32,
    pub count_max: i32,
    /// How many nodes the autoscaler wants.
    pub count_desired: i32,
    pub labels: Tags,
    pub taints: Vec<PoolTaint>,
    pub tags: Tags,
}

/// A taint, `key=value:NoSchedule`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PoolTaint {
    pub key: String,
    pub value: String,
    /// As EKS writes it: `NO_SCHEDULE`.
    pub effect: String,
}

impl PoolTaint {
    fn of(taint: &Taint) -> Self {
        Self {
            key: taint.key().unwrap_or_default().to_owned(),
            value: taint.value().unwrap_or_default().to_owned(),
            effect: taint.effect().map(|effect| effect.as_str().to_owned()).unwrap_or_default(),
        }
    }
    /// As the SDK takes it.
    pub fn taint(&self) -> Taint {
        let value = Some(self.value.clone()).filter(|value| !value.is_empty());
        Taint::builder().key(&self.key).set_value(value).effect(self.effect.as_str().into()).build()
    }
}

/// All groups of ours in a cluster, by name. Groups of other people are theirs.
pub async fn groups(session: &Arc<Session>, live: &Live) -> Result<Vec<Group>, CloudError> {
    let mut pages =
        session.eks.list_nodegroups().cluster_name(live.name()).max_results(100).into_paginator().items().send();
    let mut names = Vec::new();
    while let Some(name) = pages.next().await {
        names.push((Arc::clone(session), live.name().to_owned(), name.map_err(from_sdk)?));
    }
    let described = side_by_side(names, |(session, cluster, name)| async move {
        let call = session.eks.describe_nodegroup().cluster_name(cluster).nodegroup_name(name).send().await;
        Ok(found(call.map_err(from_sdk))?.and_then(|reply| reply.nodegroup))
    });
    let mut groups: Vec<Group> =
        described.await?.iter().flatten().filter_map(|group| read(group, &live.owner)).collect();
    groups.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(groups)
}

fn read(group: &Nodegroup, owner: &Owner) -> Option<Group> {
    let tags: Tags = group.tags().into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect();
    Owner::from_tags(&tags).filter(|named| named == owner)?;
    let issues = group.health().map(|health| health.issues()).unwrap_or_default();
    if !issues.is_empty() {
        tracing::warn!(cluster = %owner.cluster, group = group.nodegroup_name(), ?issues, "a node group is not well");
    }
    let scaling = group.scaling_config();
    let count = |value: Option<Option<i32>>| value.flatten().unwrap_or(0);
    let mut taints: Vec<PoolTaint> = group.taints().iter().map(PoolTaint::of).collect();
    taints.sort();
    Some(Group {
        name: group.nodegroup_name()?.to_owned(),
        arn: group.nodegroup_arn().unwrap_or_default().to_owned(),
        pool: tags.get(PART).and_then(|pool| pool.parse().ok()),
        instance_type: group.instance_types().first().cloned().unwrap_or_default(),
        state: state(group.status()),
        minor: minor(group.version().unwrap_or_default()),
        count_min: count(scaling.map(|scaling| scaling.min_size())),
        count_max: count(scaling.map(|scaling| scaling.max_size())),
        count_desired: count(scaling.map(|scaling| scaling.desired_size())),
        labels: group.labels().into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect(),
        taints,
        tags,
    })
}

fn state(status: Option<&NodegroupStatus>) -> State {
    match status {
        Some(NodegroupStatus::Creating) => State::Creating,
        Some(NodegroupStatus::Active) => State::Active,
        Some(NodegroupStatus::Deleting) => State::Deleting,
        Some(NodegroupStatus::CreateFailed | NodegroupStatus::DeleteFailed) => State::Failed,
        Some(NodegroupStatus::Degraded) => State::Degraded,
        // `UPDATING`, and what later versions add: nothing is done meanwhile.
        _ => State::Updating,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::control_plane::tests::live;

    /// An active group of the pool `workers`.
    pub(crate) fn group(name: &str) -> Group {
        Group {
            name: name.to_owned(),
            arn: format!("arn:aws:eks:eu-west-1:123456789012:nodegroup/c/{name}/1"),
            pool: Some("workers".parse().unwrap()),
            instance_type: "m6i.large".to_owned(),
            state: State::Active,
            minor: 33,
            count_min: 1,
            count_max: 3,
            count_desired: 2,
            labels: Tags::new(),
            taints: Vec::new(),
            tags: Tags::new(),
        }
    }

    #[test]
    fn a_group_without_the_cluster_s_tags_is_not_ours() {
        let owner = live().owner;
        let tagged =
            |tags: Tags| Nodegroup::builder().nodegroup_name("a").set_tags(Some(tags.into_iter().collect())).build();
        let ours = owner.tags(fleetwright_core::inventory::Step::NodePools, &Tags::new());
        assert!(read(&tagged(ours.clone()), &owner).is_some());
        let mut other = ours;
        other.insert(crate::owner::ORDINAL.to_owned(), "2".to_owned());
        assert!(read(&tagged(other), &owner).is_none());
        assert!(read(&tagged(Tags::new()), &owner).is_none());
    }

    #[test]
    fn statuses_are_read_and_unknown_ones_waited_for() {
        for (status, expected) in [
            ("CREATING", State::Creating),
            ("ACTIVE", State::Active),
            ("UPDATING", State::Updating),
            ("DELETING", State::Deleting),
            ("CREATE_FAILED", State::Failed),
            ("DELETE_FAILED", State::Failed),
            ("DEGRADED", State::Degraded),
            ("RESTING", State::Updating),
        ] {
            assert_eq!(state(Some(&NodegroupStatus::from(status))), expected, "{status}");
        }
    }
}
