//! Networks that are given (`byon`): looked at, and touched in nothing but the tag that says which cluster uses them.

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use fleetwright_clouds::{CloudError, Progress};
use fleetwright_core::inventory::{ErrorClass, Phase, Resource};
use fleetwright_schema::names::ClusterName;
use fleetwright_schema::set::ClusterSpec;
use fleetwright_schema::units::Timestamp;

use super::list::resource;
use super::{BYON, USED_BY, find, offers};
use crate::ec2::{Ask, Vpc};
use crate::error::error;
use crate::owner::{CLUSTER, Owner, Tags};
use crate::session::Session;

/// What EKS asks for.
const ZONES_MIN: usize = 2;

/// That a cluster uses a given network, as its tag says: `<set>|<ordinal>|<fingerprint>|<when, in seconds since 1970>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// Who.
    pub owner: Owner,
    /// What it was last checked for.
    pub applied: String,
    /// Since when.
    pub since: Timestamp,
}

impl Use {
    /// All that are written on a network. What can't be read is nobody's.
    pub fn all(vpc: &Vpc) -> Vec<Self> {
        let tags = vpc.tags.iter().filter_map(|(key, value)| Some((key.strip_prefix(USED_BY)?, value)));
        tags.filter_map(|(cluster, value)| Self::read(cluster, value)).collect()
    }

    /// Of one cluster.
    pub fn of(vpc: &Vpc, cluster: &ClusterName) -> Option<Self> {
        Self::all(vpc).into_iter().find(|usage| usage.owner.cluster == *cluster)
    }

    fn read(cluster: &str, value: &str) -> Option<Self> {
        let mut fields = value.split('|');
        let (set, ordinal) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        let owner = Owner { cluster: cluster.parse().ok()?, set, ordinal };
        let applied = fields.next().unwrap_or_default().to_owned();
        let since = fields.next().and_then(|text| text.parse().ok()).unwrap_or(0);
        Some(Self { owner, applied, since: Timestamp::from_unix_seconds(since) })
    }

    fn tag(&self) -> Tags {
        let Owner { cluster, set, ordinal } = &self.owner;
        let value = format!("{set}|{ordinal}|{}|{}", self.applied, self.since.unix_seconds());
        Tags::from([(format!("{USED_BY}{cluster}"), value)])
    }

    /// As the planner reads it.
    pub fn resource(&self, vpc: &str) -> Resource {
        resource(vpc, &self.owner, Phase::Ready, &self.applied, self.since)
    }
}

/// Finds the given network, looks whether a cluster can be in it, and writes that this one is.
pub async fn take(
    session: &Session,
    owner: &Owner,
    spec: &ClusterSpec,
    fingerprint: &str,
) -> Result<Progress, CloudError> {
    let vpc = given(session, owner, spec).await?;
    mark(session, owner, &vpc, spec, fingerprint).await
}

/// Looks whether a cluster can be in this network, and writes that this one is, for what its spec says now.
pub async fn mark(
    session: &Session,
    owner: &Owner,
    vpc: &Vpc,
    spec: &ClusterSpec,
    fingerprint: &str,
) -> Result<Progress, CloudError> {
    if let Some(other) = spec.network.existing.as_ref().filter(|id| **id != vpc.id) {
        return Err(invalid(format!("{} is in {}, and can't move to {other}", owner.cluster, vpc.id)));
    }
    check(session, vpc).await?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let since =
        Use::of(vpc, &owner.cluster).map_or_else(|| now.try_into().unwrap_or(0), |usage| usage.since.unix_seconds());
    let since = Timestamp::from_unix_seconds(since);
    let usage = Use { owner: owner.clone(), applied: fingerprint.to_owned(), since };
    Ask::ec2(session, "CreateTags").each("ResourceId", [&vpc.id]).tags("Tag", &usage.tag()).done().await?;
    Ok(Progress::Done)
}

/// The cluster uses it no more.
pub async fn release(session: &Session, owner: &Owner, vpc: &Vpc) -> Result<Progress, CloudError> {
    let key = format!("{USED_BY}{}", owner.cluster);
    Ask::ec2(session, "DeleteTags").each("ResourceId", [&vpc.id]).set("Tag.1.Key", key).done().await?;
    Ok(Progress::Done)
}

async fn given(session: &Session, owner: &Owner, spec: &ClusterSpec) -> Result<Vpc, CloudError> {
    if let Some(id) = &spec.network.existing {
        let hint = || invalid(format!("{id} is not in {}; mend spec.network.existing", session.place));
        return find(session, id).await?.ok_or_else(hint);
    }
    let wanted = format!("{}/{}", owner.set.location.env, owner.set.cluster_type);
    let ask = Ask::ec2(session, "DescribeVpcs").filter(&format!("tag:{BYON}"), [&wanted]);
    let mut all = ask.all("vpcSet", Vpc::read).await?;
    all.retain(|vpc| vpc.tags.get(BYON) == Some(&wanted));
    match all.len() {
        1 => Ok(all.remove(0)),
        0 => Err(invalid(format!(
            "no network in {} has the tag {BYON}: {wanted}; tag one, or name it in spec.network.existing",
            session.place
        ))),
        _ => {
            let ids: Vec<&str> = all.iter().map(|vpc| vpc.id.as_str()).collect();
            let ids = ids.join(", ");
            Err(invalid(format!(
                "{ids} have the tag {BYON}: {wanted}; keep it on one, or name it in spec.network.existing"
            )))
        }
    }
}

async fn check(session: &Session, vpc: &Vpc) -> Result<(), CloudError> {
    if let Some(cluster) = vpc.tags.get(CLUSTER) {
        return Err(invalid(format!("{} was made for {cluster}, and goes with it; give another network", vpc.id)));
    }
    let subnets = offers::subnets(session, &vpc.id).await?;
    let zones: BTreeSet<&str> =
        subnets.iter().filter(|subnet| !subnet.public).map(|subnet| subnet.zone.as_str()).collect();
    if zones.len() >= ZONES_MIN {
        return Ok(());
    }
    let has = match zones.first() {
        None => "no subnet".to_owned(),
        Some(zone) => format!("subnets in {zone} only"),
    };
    Err(invalid(format!(
        "{} has {has} for nodes, and EKS takes subnets in at least {ZONES_MIN} zones; add one, and where some have the tag \
         {}: 1, tag it, too",
        vpc.id,
        offers::INTERNAL
    )))
}

fn invalid(message: String) -> CloudError {
    error(ErrorClass::Invalid, "InvalidNetwork", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_uses_a_network_is_read_as_it_was_written() {
        let set = "prod/aws/eu-west-1/ModelServing".parse().unwrap();
        let owner = Owner { cluster: "model-serving-prod-aws-euw1-2".parse().unwrap(), set, ordinal: 2 };
        let since = Timestamp::from_unix_seconds(1_790_000_000);
        let usage = Use { owner: owner.clone(), applied: "0123abcd".to_owned(), since };
        let mut tags = usage.tag();
        tags.insert(format!("{USED_BY}other"), "nonsense".to_owned());
        let vpc = Vpc { id: "vpc-1".to_owned(), cidr: String::new(), tags };
        assert_eq!(Use::all(&vpc), std::slice::from_ref(&usage));
        assert_eq!(Use::of(&vpc, &owner.cluster), Some(usage));
    }
}
