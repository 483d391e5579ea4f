//! What a cluster made by itself, and left behind: load balancers with their target groups, interfaces, disks and security
//! groups. Its controllers are gone with it, so nobody else takes these away, and they hold its network.
//!
//! In a network that was made for a cluster everything but the network's own pieces is such; in a given network only what
//! carries the cluster's tags, and disks have to carry them everywhere.

mod groups;
mod list;
mod sweep;
mod tagged;

pub use list::list;
pub use sweep::perform;
pub use tagged::tagged;

use fleetwright_clouds::CloudError;
use fleetwright_core::inventory::{Place, Resource};
use fleetwright_schema::names::ClusterName;

use crate::ec2::{Group, Interface};
use crate::network::NETWORK;
use crate::owner::Tags;

/// One thing, as it is read.
#[derive(Clone, Debug)]
struct Left {
    /// With its kind, so that it can be found again.
    id: Id,
    /// The network that it is in; none of a disk.
    vpc: Option<String>,
    /// Its tags; empty where they were not asked for.
    tags: Tags,
}

/// The id of something that is left behind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Id {
    /// `loadbalancer/<arn>`
    Balancer(String),
    /// `classic-loadbalancer/<name>`
    Classic(String),
    /// `targetgroup/<arn>`
    TargetGroup(String),
    /// `eni-…`
    Interface(String),
    /// `vol-…`
    Volume(String),
    /// `sg-…`
    Group(String),
}

impl Id {
    fn parse(text: &str) -> Option<Self> {
        let of = |prefix: &str| text.strip_prefix(prefix).filter(|rest| !rest.is_empty());
        let whole = || text.to_owned();
        None.or_else(|| of("loadbalancer/").map(|arn| Self::Balancer(arn.to_owned())))
            .or_else(|| of("classic-loadbalancer/").map(|name| Self::Classic(name.to_owned())))
            .or_else(|| of("targetgroup/").map(|arn| Self::TargetGroup(arn.to_owned())))
            .or_else(|| of("eni-").map(|_| Self::Interface(whole())))
            .or_else(|| of("vol-").map(|_| Self::Volume(whole())))
            .or_else(|| of("sg-").map(|_| Self::Group(whole())))
    }
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Balancer(arn) => write!(f, "loadbalancer/{arn}"),
            Self::Classic(name) => write!(f, "classic-loadbalancer/{name}"),
            Self::TargetGroup(arn) => write!(f, "targetgroup/{arn}"),
            Self::Interface(id) | Self::Volume(id) | Self::Group(id) => f.write_str(id),
        }
    }
}

/// With the name of a cluster behind it: the tag by which disks, load balancers and groups are that cluster's.
const OF_KUBERNETES: &str = "kubernetes.io/cluster/";
/// Tags that have the name of a cluster for their value: of EKS, of the controller for load balancers, and of the one for
/// pods' interfaces.
const OF_CONTROLLERS: [&str; 3] = ["aws:eks:cluster-name", "elbv2.k8s.aws/cluster", "cluster.k8s.amazonaws.com/name"];

/// The tag by which disks, load balancers and groups are a cluster's.
fn cluster_tag(cluster: &ClusterName) -> String {
    format!("{OF_KUBERNETES}{cluster}")
}

/// The clusters that say by tags that they made this, or what runs in them did. `shared` it may be with others.
fn makers(tags: &Tags) -> impl Iterator<Item = &str> {
    let owners = tags.iter().filter(|(_, value)| *value == "owned");
    let owners = owners.filter_map(|(key, _)| key.strip_prefix(OF_KUBERNETES));
    owners.chain(OF_CONTROLLERS.iter().filter_map(|key| tags.get(*key)).map(String::as_str))
}

/// Whether a cluster, or what runs in it, made this.
fn is_made_by(tags: &Tags, cluster: &ClusterName) -> bool {
    makers(tags).any(|maker| maker == cluster.as_str())
}

/// Not the one that every network has, and none of ours.
fn is_left_group(group: &Group) -> bool {
    group.name != "default" && !group.tags.contains_key(NETWORK)
}

/// What nothing has, and what no service of AWS keeps for itself, as it does for NAT gateways.
fn is_left_interface(interface: &Interface) -> bool {
    interface.available && !interface.managed && interface.kind != "nat_gateway"
}

impl crate::Aws {
    /// What one cluster left behind in a place, and nothing else of it: its control plane has to be gone.
    pub async fn leftovers(&self, place: &Place, cluster: &ClusterName) -> Result<Vec<Resource>, CloudError> {
        let session = self.sessions.of(place).await?;
        let networks = crate::network::list(&session).await?;
        let of: Vec<&Resource> = networks.iter().filter(|network| network.cluster == *cluster).collect();
        list(&session, &of).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_are_written() {
        for text in [
            "loadbalancer/arn:aws:elasticloadbalancing:eu-west-1:1:loadbalancer/net/a/b",
            "classic-loadbalancer/a",
            "targetgroup/arn:a",
            "eni-1",
            "vol-1",
            "sg-1",
        ] {
            assert_eq!(Id::parse(text).map(|id| id.to_string()).as_deref(), Some(text));
        }
        assert_eq!(Id::parse("vpc-1"), None);
        assert_eq!(Id::parse("sg-"), None);
    }

    #[test]
    fn what_is_shared_with_a_cluster_is_not_its_own() {
        let cluster: ClusterName = "serving-1".parse().unwrap();
        let tags = |key: &str, value: &str| Tags::from([(key.to_owned(), value.to_owned())]);
        assert!(is_made_by(&tags("kubernetes.io/cluster/serving-1", "owned"), &cluster));
        assert!(!is_made_by(&tags("kubernetes.io/cluster/serving-1", "shared"), &cluster));
        assert!(!is_made_by(&tags("kubernetes.io/cluster/serving-11", "owned"), &cluster));
        assert!(!is_made_by(&tags("elbv2.k8s.aws/cluster", "serving-2"), &cluster));
    }
}
