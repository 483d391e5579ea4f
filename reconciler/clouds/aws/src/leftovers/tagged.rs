//! Everything in a region with tags that name clusters: what is left of a cluster of which no part stands is found by
//! nothing else.

use std::collections::{BTreeMap, BTreeSet};

use fleetwright_clouds::CloudError;
use fleetwright_core::orphans::Tagged;

use super::list::{Kind, balancing, tags_of};
use super::{OF_CONTROLLERS, OF_KUBERNETES, makers};
use crate::ec2::{Ask, Nat, NatState, Tag, instances};
use crate::owner::{CLUSTER, Tags};
use crate::session::Session;

/// All of them, complete or an error.
pub async fn tagged(session: &Session) -> Result<Vec<Tagged>, CloudError> {
    let (of_ec2, balancers, classic, targets) = tokio::try_join!(
        of_ec2(session),
        of_kind(session, Kind::Balancer),
        of_kind(session, Kind::Classic),
        of_kind(session, Kind::TargetGroup),
    )?;
    Ok([of_ec2, balancers, classic, targets].concat())
}

/// One list tells the tags of things of all kinds.
async fn of_ec2(session: &Session) -> Result<Vec<Tagged>, CloudError> {
    let keys = [CLUSTER.to_owned(), format!("{OF_KUBERNETES}*")].into_iter();
    let ask = Ask::ec2(session, "DescribeTags").filter("key", keys.chain(OF_CONTROLLERS.map(str::to_owned)));
    let mut things: BTreeMap<(String, String), Tags> = BTreeMap::new();
    for Tag { id, kind, key, value } in ask.set("MaxResults", "1000").all("tagSet", Tag::read).await? {
        things.entry((kind, id)).or_default().insert(key, value);
    }
    for (prefix, standing) in lingering(session, &things).await? {
        things.retain(|(_, id), _| !id.starts_with(prefix) || standing.contains(id));
    }
    Ok(things.into_iter().filter_map(|((kind, id), tags)| thing(words(&kind, &id), id, &tags)).collect())
}

/// Those of the kinds that EC2 shows for an hour after their end that have not come to it, by what their ids begin with. The
/// lists are asked for only where there is something of the kind.
async fn lingering(
    session: &Session,
    things: &BTreeMap<(String, String), Tags>,
) -> Result<Vec<(&'static str, BTreeSet<String>)>, CloudError> {
    let any = |prefix: &str| things.keys().any(|(_, id)| id.starts_with(prefix));
    let mut standing = Vec::new();
    if any("nat-") {
        let ask = Ask::ec2(session, "DescribeNatGateways").set("MaxResults", "1000");
        let mut nats = ask.all("natGatewaySet", Nat::read).await?;
        nats.retain(|nat| !matches!(nat.state, NatState::Failed | NatState::Deleted));
        standing.push(("nat-", nats.into_iter().map(|nat| nat.id).collect()));
    }
    if any("i-") {
        let states = ["pending", "running", "stopping", "stopped"];
        let ask = Ask::ec2(session, "DescribeInstances").filter("instance-state-name", states);
        let all = ask.set("MaxResults", "1000").all("reservationSet", instances).await?;
        standing.push(("i-", all.into_iter().flatten().collect()));
    }
    Ok(standing)
}

async fn of_kind(session: &Session, kind: Kind) -> Result<Vec<Tagged>, CloudError> {
    let all = balancing(session, kind).await?;
    let ids: Vec<&str> = all.iter().map(|one| one.id.as_str()).collect();
    let tags = tags_of(session, kind, &ids).await?;
    let words = match kind {
        Kind::Balancer => "load balancer",
        Kind::Classic => "classic load balancer",
        Kind::TargetGroup => "target group",
    };
    Ok(tags.into_iter().filter_map(|(id, tags)| thing(words.to_owned(), id, &tags)).collect())
}

fn thing(kind: String, id: String, tags: &Tags) -> Option<Tagged> {
    let ours = tags.get(CLUSTER).cloned();
    let made_by: BTreeSet<String> = makers(tags).map(str::to_owned).collect();
    (ours.is_some() || !made_by.is_empty()).then_some(Tagged { kind, id, ours, made_by })
}

/// A thing of EC2 as people say it.
fn words(kind: &str, id: &str) -> String {
    match id.split('-').next() {
        Some("nat") => "NAT gateway".to_owned(),
        Some("vpc") => "VPC".to_owned(),
        Some("eipalloc") => "elastic IP".to_owned(),
        Some(_) | None => kind.replace('-', " "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_only_shared_with_a_cluster_is_not_told() {
        let tags = |key: &str, value: &str| Tags::from([(key.to_owned(), value.to_owned())]);
        let told = |tags: &Tags| thing(words("security-group", "sg-1"), "sg-1".to_owned(), tags);
        assert_eq!(told(&tags("kubernetes.io/cluster/serving-1", "shared")), None);
        let owned = told(&tags("kubernetes.io/cluster/serving-1", "owned")).unwrap();
        assert_eq!((owned.kind.as_str(), owned.ours), ("security group", None));
        assert_eq!(owned.made_by, BTreeSet::from(["serving-1".to_owned()]));
        assert_eq!(told(&tags(CLUSTER, "serving-1")).unwrap().ours.as_deref(), Some("serving-1"));
    }
}
