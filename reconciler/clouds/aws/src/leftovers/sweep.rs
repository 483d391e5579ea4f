//! Sweeping one thing that a cluster left behind, once it was seen again to be that cluster's.

use fleetwright_clouds::{CloudError, Progress};
use fleetwright_core::action::{Action, Effect};
use fleetwright_core::inventory::{ErrorClass, Phase, Resource};

use super::list::{Kind, tags_of};
use super::{Id, Left, groups, is_left_group, is_left_interface, is_made_by};
use crate::ec2::{Ask, Balancing, Group, Interface, Volume};
use crate::error::{error, found, settled};
use crate::network::{Relation, find, not_ours};
use crate::owner::{Owner, Tags};
use crate::query::Service;
use crate::session::Session;

/// One short step. What can't go now holds up nothing else: the planner would ask for it first for ever.
pub async fn perform(session: &Session, action: &Action) -> Result<Progress, CloudError> {
    let Effect::Delete { id } = &action.effect else {
        return Err(error(ErrorClass::Invalid, "NotSupported", format!("{action} means nothing")));
    };
    let unknown =
        || error(ErrorClass::Invalid, "NotSupported", format!("{id} is nothing that a cluster leaves behind"));
    let id = Id::parse(id).ok_or_else(unknown)?;
    let owner = Owner::of(action);
    let Some(left) = look_at_ours(session, &id, &owner).await? else { return Ok(Progress::Done) };
    match delete(session, &left, &owner).await {
        // Its error says what holds the cluster up; those of the others come with their own turn.
        Err(stuck) if is_of_the_thing(stuck.class) => {
            if let Err(why) = others(session, &id, &owner).await {
                tracing::warn!(cluster = %owner.cluster, %why, "what else a cluster left behind could not be swept");
            }
            Err(stuck)
        }
        done => done.map(|()| Progress::Done),
    }
}

/// Whether an error is about what was to be deleted, and not about every call.
const fn is_of_the_thing(class: ErrorClass) -> bool {
    match class {
        ErrorClass::Conflict | ErrorClass::Denied | ErrorClass::Invalid | ErrorClass::NotFound | ErrorClass::Quota => {
            true
        }
        ErrorClass::Throttled | ErrorClass::Outage | ErrorClass::UnknownResult => false,
    }
}

/// Sweeps what the cluster left behind beside this, as far as it goes.
async fn others(session: &Session, stuck: &Id, owner: &Owner) -> Result<(), CloudError> {
    let networks = crate::network::list(session).await?;
    let of: Vec<&Resource> = networks.iter().filter(|network| network.cluster == owner.cluster).collect();
    let left = super::list(session, &of).await?;
    let ids = left.iter().filter(|left| left.phase == Phase::Ready).filter_map(|left| Id::parse(&left.id));
    for id in ids.filter(|id| id != stuck) {
        let swept = match look_at_ours(session, &id, owner).await {
            Ok(Some(left)) => delete(session, &left, owner).await,
            Ok(None) => Ok(()),
            Err(why) => Err(why),
        };
        match swept {
            Err(why) if !is_of_the_thing(why.class) => return Err(why),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// A thing that is the cluster's, with what its network is to the cluster; a disk is in none.
struct Ours {
    left: Left,
    relation: Option<Relation>,
}

/// The thing, if it is still there; refused where it is not the cluster's.
async fn look_at_ours(session: &Session, id: &Id, owner: &Owner) -> Result<Option<Ours>, CloudError> {
    let Some(left) = look(session, id).await? else { return Ok(None) };
    let relation = relation(session, &left, owner).await?;
    Ok(Some(Ours { left, relation }))
}

/// The thing as it is now, if it is still there and still left behind.
async fn look(session: &Session, id: &Id) -> Result<Option<Left>, CloudError> {
    let left = match id {
        Id::Balancer(arn) => {
            let ask = Ask::of(session, Service::Elbv2, "DescribeLoadBalancers").each("LoadBalancerArns.member", [arn]);
            let all = found(ask.all("LoadBalancers", Balancing::balancer).await)?;
            first(session, Kind::Balancer, id, all).await?
        }
        Id::Classic(name) => {
            let ask = Ask::of(session, Service::Elb, "DescribeLoadBalancers").each("LoadBalancerNames.member", [name]);
            let all = found(ask.all("LoadBalancerDescriptions", Balancing::classic).await)?;
            first(session, Kind::Classic, id, all).await?
        }
        Id::TargetGroup(arn) => {
            let ask = Ask::of(session, Service::Elbv2, "DescribeTargetGroups").each("TargetGroupArns.member", [arn]);
            let all = found(ask.all("TargetGroups", Balancing::target_group).await)?;
            first(session, Kind::TargetGroup, id, all).await?
        }
        Id::Interface(eni) => {
            let ask = Ask::ec2(session, "DescribeNetworkInterfaces").filter("network-interface-id", [eni]);
            let all = ask.all("networkInterfaceSet", Interface::read).await?;
            let there = all.into_iter().find(|there| there.id == *eni).filter(is_left_interface);
            there.map(|there| Left { id: id.clone(), vpc: Some(there.vpc), tags: there.tags })
        }
        Id::Volume(volume) => {
            let ask = Ask::ec2(session, "DescribeVolumes").filter("volume-id", [volume]);
            let all = ask.all("volumeSet", Volume::read).await?;
            let there = all.into_iter().find(|there| there.id == *volume && !there.state.starts_with("delet"));
            there.map(|there| Left { id: id.clone(), vpc: None, tags: there.tags })
        }
        Id::Group(group) => {
            let ask = Ask::ec2(session, "DescribeSecurityGroups").filter("group-id", [group]);
            let all = ask.all("securityGroupInfo", Group::read).await?;
            let there = all.into_iter().find(|there| there.id == *group).filter(is_left_group);
            there.map(|there| Left { id: id.clone(), vpc: Some(there.vpc), tags: there.tags })
        }
    };
    Ok(left)
}

async fn first(
    session: &Session,
    kind: Kind,
    id: &Id,
    all: Option<Vec<Balancing>>,
) -> Result<Option<Left>, CloudError> {
    let Some(there) = all.into_iter().flatten().next() else { return Ok(None) };
    let tags = found(tags_of(session, kind, &[&there.id]).await)?;
    let tags: Tags = tags.and_then(|mut tags| tags.remove(&there.id)).unwrap_or_default();
    Ok(Some(Left { id: id.clone(), vpc: there.vpc, tags }))
}

/// What the network that it is in is to the cluster; none of a disk. Refused where it is not the cluster's.
async fn relation(session: &Session, left: &Left, owner: &Owner) -> Result<Option<Relation>, CloudError> {
    let refused = || not_ours(&left.id.to_string(), owner);
    let by_tags = is_made_by(&left.tags, &owner.cluster);
    let Id::Volume(_) = left.id else {
        let id = left.vpc.as_deref().ok_or_else(refused)?;
        let vpc = find(session, id).await?.ok_or_else(refused)?;
        return match Relation::of(&vpc, owner)? {
            Relation::Given if !by_tags => Err(refused()),
            relation => Ok(Some(relation)),
        };
    };
    if by_tags { Ok(None) } else { Err(refused()) }
}

async fn delete(session: &Session, ours: &Ours, owner: &Owner) -> Result<(), CloudError> {
    let Ours { left, relation } = ours;
    let ask = match &left.id {
        Id::Balancer(arn) => Ask::of(session, Service::Elbv2, "DeleteLoadBalancer").set("LoadBalancerArn", arn),
        Id::Classic(name) => Ask::of(session, Service::Elb, "DeleteLoadBalancer").set("LoadBalancerName", name),
        Id::TargetGroup(arn) => Ask::of(session, Service::Elbv2, "DeleteTargetGroup").set("TargetGroupArn", arn),
        Id::Interface(id) => Ask::ec2(session, "DeleteNetworkInterface").set("NetworkInterfaceId", id),
        Id::Volume(id) => Ask::ec2(session, "DeleteVolume").set("VolumeId", id),
        Id::Group(id) => {
            let vpc = left.vpc.as_deref().unwrap_or_default();
            groups::untie(session, id, vpc, *relation == Some(Relation::Own), &owner.cluster).await?;
            Ask::ec2(session, "DeleteSecurityGroup").set("GroupId", id)
        }
    };
    settled(ask.done().await, ErrorClass::NotFound).map(drop)
}
