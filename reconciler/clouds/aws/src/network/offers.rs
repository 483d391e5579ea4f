//! What a network offers to those that are built in it.

use std::collections::BTreeSet;

use fleetwright_clouds::CloudError;

use super::pieces::{GROUP, PUBLIC};
use super::{NETWORK, is_ours};
use crate::ec2::{self, Ask, Group};
use crate::owner::{Owner, PART};
use crate::session::Session;

/// Where internal load balancers, and here nodes, too, are to be.
pub const INTERNAL: &str = "kubernetes.io/role/internal-elb";
/// Where load balancers are to be that the internet reaches.
const EXTERNAL: &str = "kubernetes.io/role/elb";

/// A subnet in which something may be put.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subnet {
    /// `subnet-…`
    pub id: String,
    /// `eu-west-1a`
    pub zone: String,
    /// Not for nodes: what is in it is reached from the internet.
    pub public: bool,
}

/// The subnets of a network. Of a given one those that are tagged for internal load balancers, or all where none is.
pub async fn subnets(session: &Session, vpc_id: &str) -> Result<Vec<Subnet>, CloudError> {
    let ask = Ask::ec2(session, "DescribeSubnets").filter("vpc-id", [vpc_id]).set("MaxResults", "1000");
    let all = ask.all("subnetSet", ec2::Subnet::read).await?;
    let mut offered = offered(&all);
    offered.sort();
    Ok(offered)
}

fn offered(all: &[ec2::Subnet]) -> Vec<Subnet> {
    let subnet = |subnet: &ec2::Subnet, public| Subnet { id: subnet.id.clone(), zone: subnet.zone.clone(), public };
    let ours: Vec<&ec2::Subnet> = all.iter().filter(|subnet| subnet.tags.contains_key(NETWORK)).collect();
    if !ours.is_empty() {
        let public = |tags: &crate::owner::Tags| tags.get(PART).is_some_and(|part| part.starts_with(PUBLIC));
        return ours.into_iter().map(|own| subnet(own, public(&own.tags))).collect();
    }
    let internal: BTreeSet<&str> =
        all.iter().filter(|subnet| subnet.tags.contains_key(INTERNAL)).map(|subnet| subnet.id.as_str()).collect();
    if internal.is_empty() {
        return all.iter().map(|given| subnet(given, false)).collect();
    }
    let tagged = all.iter().filter(|given| internal.contains(given.id.as_str()) || given.tags.contains_key(EXTERNAL));
    tagged.map(|given| subnet(given, !internal.contains(given.id.as_str()))).collect()
}

/// The security group of the control plane; none in a given network.
pub async fn security_group(session: &Session, vpc_id: &str, owner: &Owner) -> Result<Option<String>, CloudError> {
    let ask = Ask::ec2(session, "DescribeSecurityGroups").filter("vpc-id", [vpc_id]);
    let all = ask.filter(&format!("tag:{PART}"), [GROUP]).all("securityGroupInfo", Group::read).await?;
    Ok(all.into_iter().find(|group| is_ours(&group.tags, vpc_id, owner)).map(|group| group.id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::owner::Tags;

    fn given(id: &str, tag: Option<&str>) -> ec2::Subnet {
        let tags: Tags = tag.into_iter().map(|key| (key.to_owned(), "1".to_owned())).collect();
        ec2::Subnet { id: id.to_owned(), zone: "eu-west-1a".to_owned(), tags }
    }

    fn ids(all: &[ec2::Subnet]) -> Vec<(String, bool)> {
        offered(all).into_iter().map(|subnet| (subnet.id, subnet.public)).collect()
    }

    #[test]
    fn of_a_network_of_ours_only_our_subnets_are_offered() {
        let own = |id: &str, part: &str| {
            let mut subnet = given(id, None);
            subnet.tags.extend([(NETWORK.to_owned(), "vpc-1".to_owned()), (PART.to_owned(), part.to_owned())]);
            subnet
        };
        let all = [own("s-1", "private-a"), own("s-2", "public-a"), given("s-3", Some(INTERNAL))];
        assert_eq!(ids(&all), [("s-1".to_owned(), false), ("s-2".to_owned(), true)]);
    }

    #[test]
    fn of_a_given_network_the_tagged_subnets_count_or_all() {
        let plain = [given("s-1", None), given("s-2", None)];
        assert_eq!(ids(&plain), [("s-1".to_owned(), false), ("s-2".to_owned(), false)]);
        let tagged = [given("s-1", None), given("s-2", Some(INTERNAL)), given("s-3", Some(EXTERNAL))];
        assert_eq!(ids(&tagged), [("s-2".to_owned(), false), ("s-3".to_owned(), true)]);
    }
}
