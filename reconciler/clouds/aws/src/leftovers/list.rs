//! What is left behind in some networks, in the order in which it can go: what uses something before what is used.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fleetwright_clouds::CloudError;
use fleetwright_core::inventory::{Phase, Resource, Step};

use super::{Id, Left, cluster_tag, is_left_group, is_left_interface, is_made_by};
use crate::ec2::{Ask, Balancing, Group, Interface, Volume, Vpc, tag_description};
use crate::network::Relation;
use crate::owner::{Owner, Tags};
use crate::query::Service;
use crate::session::Session;

/// EC2 takes no more values in a filter than 200.
const FILTER_VALUES: usize = 100;
/// Of so many load balancers or target groups tags are told at once.
const TAGS_AT_ONCE: usize = 20;

/// What is left in these networks, whose control planes are gone.
pub async fn list(session: &Session, networks: &[&Resource]) -> Result<Vec<Resource>, CloudError> {
    let mut all = Vec::new();
    for some in networks.chunks(FILTER_VALUES) {
        all.extend(list_some(session, some).await?);
    }
    Ok(all)
}

/// A network with what it is to its cluster.
struct Within<'a> {
    network: &'a Resource,
    relation: Relation,
}

async fn list_some(session: &Session, networks: &[&Resource]) -> Result<Vec<Resource>, CloudError> {
    let within = related(session, networks).await?;
    if within.is_empty() {
        return Ok(Vec::new());
    }
    let left = left(session, &within).await?;
    let mut told = BTreeSet::new();
    let mut all = Vec::new();
    for (thing, phase) in &left {
        for within in within.iter().filter(|within| is_of(thing, within)) {
            // Of a network that was made twice a disk would be told twice.
            if told.insert((&within.network.cluster, &thing.id)) {
                all.push(resource(&thing.id, *phase, within.network));
            }
        }
    }
    Ok(all)
}

async fn related<'a>(session: &Session, networks: &[&'a Resource]) -> Result<Vec<Within<'a>>, CloudError> {
    if networks.is_empty() {
        return Ok(Vec::new());
    }
    let ids: BTreeSet<&str> = networks.iter().map(|network| &*network.id).collect();
    let vpcs = Ask::ec2(session, "DescribeVpcs").filter("vpc-id", ids).all("vpcSet", Vpc::read).await?;
    let within = networks.iter().filter_map(|network| {
        let vpc = vpcs.iter().find(|vpc| vpc.id == *network.id)?;
        let (cluster, set) = (network.cluster.clone(), network.set.clone());
        let relation = Relation::of(vpc, &Owner { cluster, set, ordinal: network.ordinal }).ok()?;
        Some(Within { network, relation })
    });
    Ok(within.collect())
}

fn is_of(thing: &Left, within: &Within<'_>) -> bool {
    let cluster = &within.network.cluster;
    match (&thing.vpc, within.relation) {
        (None, _) => is_made_by(&thing.tags, cluster),
        (Some(vpc), Relation::Own) => *vpc == *within.network.id,
        (Some(vpc), Relation::Given) => *vpc == *within.network.id && is_made_by(&thing.tags, cluster),
    }
}

async fn left(session: &Session, within: &[Within<'_>]) -> Result<Vec<(Left, Phase)>, CloudError> {
    let vpcs: BTreeSet<&str> = within.iter().map(|within| &*within.network.id).collect();
    let given: BTreeSet<&str> =
        within.iter().filter(|within| within.relation == Relation::Given).map(|within| &*within.network.id).collect();
    let clusters: BTreeSet<String> = within.iter().map(|within| cluster_tag(&within.network.cluster)).collect();
    let (balancers, classic, targets, interfaces, volumes, groups) = tokio::try_join!(
        balancing_in(session, Kind::Balancer, &vpcs, &given),
        balancing_in(session, Kind::Classic, &vpcs, &given),
        balancing_in(session, Kind::TargetGroup, &vpcs, &given),
        interfaces(session, &vpcs),
        volumes(session, &clusters),
        groups(session, &vpcs),
    )?;
    let ready = [balancers, classic, targets, interfaces].into_iter().flatten().map(|left| (left, Phase::Ready));
    let last = groups.into_iter().map(|left| (left, Phase::Ready));
    Ok(ready.chain(volumes).chain(last).collect())
}

/// All of a kind that stand in the region.
pub async fn balancing(session: &Session, kind: Kind) -> Result<Vec<Balancing>, CloudError> {
    let ask = |service, operation| Ask::of(session, service, operation).set("PageSize", "400");
    match kind {
        Kind::Balancer => ask(Service::Elbv2, "DescribeLoadBalancers").all("LoadBalancers", Balancing::balancer).await,
        Kind::Classic => {
            ask(Service::Elb, "DescribeLoadBalancers").all("LoadBalancerDescriptions", Balancing::classic).await
        }
        Kind::TargetGroup => {
            ask(Service::Elbv2, "DescribeTargetGroups").all("TargetGroups", Balancing::target_group).await
        }
    }
}

/// Those of a kind that are in these networks.
async fn balancing_in(
    session: &Session,
    kind: Kind,
    vpcs: &BTreeSet<&str>,
    given: &BTreeSet<&str>,
) -> Result<Vec<Left>, CloudError> {
    tagged(session, kind, inside(balancing(session, kind).await?, vpcs), given).await
}

fn inside(all: Vec<Balancing>, vpcs: &BTreeSet<&str>) -> Vec<Balancing> {
    all.into_iter().filter(|thing| thing.vpc.as_deref().is_some_and(|vpc| vpcs.contains(vpc))).collect()
}

/// What balances, or is balanced to.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Of version 2.
    Balancer,
    /// Of version 1.
    Classic,
    /// Of version 2.
    TargetGroup,
}

/// With their tags, where those decide.
async fn tagged(
    session: &Session,
    kind: Kind,
    all: Vec<Balancing>,
    given: &BTreeSet<&str>,
) -> Result<Vec<Left>, CloudError> {
    let decides = |thing: &&Balancing| thing.vpc.as_deref().is_some_and(|vpc| given.contains(vpc));
    let asked: Vec<&str> = all.iter().filter(decides).map(|thing| thing.id.as_str()).collect();
    let mut tags = tags_of(session, kind, &asked).await?;
    let left = |thing: Balancing| {
        let tags = tags.remove(&thing.id).unwrap_or_default();
        Left { id: id(kind, thing.id), vpc: thing.vpc, tags }
    };
    Ok(all.into_iter().map(left).collect())
}

const fn id(kind: Kind, id: String) -> Id {
    match kind {
        Kind::Balancer => Id::Balancer(id),
        Kind::Classic => Id::Classic(id),
        Kind::TargetGroup => Id::TargetGroup(id),
    }
}

/// The tags of load balancers or target groups, which their lists leave out.
pub async fn tags_of(session: &Session, kind: Kind, ids: &[&str]) -> Result<BTreeMap<String, Tags>, CloudError> {
    let (service, key) = match kind {
        Kind::Balancer | Kind::TargetGroup => (Service::Elbv2, "ResourceArns.member"),
        Kind::Classic => (Service::Elb, "LoadBalancerNames.member"),
    };
    let mut tags = BTreeMap::new();
    for some in ids.chunks(TAGS_AT_ONCE) {
        let ask = Ask::of(session, service, "DescribeTags").each(key, some.iter().copied());
        tags.extend(ask.all("TagDescriptions", tag_description).await?);
    }
    Ok(tags)
}

async fn interfaces(session: &Session, vpcs: &BTreeSet<&str>) -> Result<Vec<Left>, CloudError> {
    let ask = Ask::ec2(session, "DescribeNetworkInterfaces").filter("vpc-id", vpcs.iter().copied());
    let all = ask.set("MaxResults", "1000").all("networkInterfaceSet", Interface::read).await?;
    let left = all.into_iter().filter(is_left_interface);
    Ok(left.map(|eni| Left { id: Id::Interface(eni.id), vpc: Some(eni.vpc), tags: eni.tags }).collect())
}

async fn volumes(session: &Session, clusters: &BTreeSet<String>) -> Result<Vec<(Left, Phase)>, CloudError> {
    let ask = Ask::ec2(session, "DescribeVolumes").filter("tag-key", clusters);
    let all = ask.set("MaxResults", "500").all("volumeSet", Volume::read).await?;
    // One that is attached serves somebody: another cluster may have taken it over, with the tags of this one.
    let unused = |volume: &Volume| !matches!(volume.state.as_str(), "deleted" | "in-use");
    let stands = all.into_iter().filter(unused);
    let left = stands.map(|volume| {
        let phase = if volume.state == "deleting" { Phase::Deleting } else { Phase::Ready };
        (Left { id: Id::Volume(volume.id), vpc: None, tags: volume.tags }, phase)
    });
    Ok(left.collect())
}

async fn groups(session: &Session, vpcs: &BTreeSet<&str>) -> Result<Vec<Left>, CloudError> {
    let ask = Ask::ec2(session, "DescribeSecurityGroups").filter("vpc-id", vpcs.iter().copied());
    let all = ask.set("MaxResults", "1000").all("securityGroupInfo", Group::read).await?;
    let left = all.into_iter().filter(is_left_group);
    Ok(left.map(|group| Left { id: Id::Group(group.id), vpc: Some(group.vpc), tags: group.tags }).collect())
}

fn resource(id: &Id, phase: Phase, network: &Resource) -> Resource {
    Resource {
        id: Arc::from(id.to_string()),
        step: Step::Leftovers,
        cluster: network.cluster.clone(),
        set: network.set.clone(),
        ordinal: network.ordinal,
        phase,
        applied: Arc::from(""),
        // Later than its network, which is all that anybody asks.
        created_at: network.created_at,
        uses: vec![Arc::clone(&network.id)],
        control_plane: None,
        node_pools: Vec::new(),
        infra_services: Vec::new(),
    }
}
