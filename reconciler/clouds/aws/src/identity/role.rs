//! The three roles of a cluster: what they are called, who may take them, and what they allow.

use fleetwright_schema::names::ClusterName;
use serde_json::{Value, json};

use crate::log_stream::stream_arn;
use crate::owner::fitting;
use crate::session::Session;

/// The longest name of a role.
const NAME_LENGTH_MAX: usize = 64;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// The control plane's.
    ControlPlane,
    /// That of all its nodes.
    Nodes,
    /// That of the infra services, through pod identities.
    Services,
}

impl Role {
    /// All of them, in the order in which they are made; they go the other way round.
    pub const ALL: [Self; 3] = [Self::ControlPlane, Self::Nodes, Self::Services];

    const fn suffix(self) -> &'static str {
        match self {
            Self::ControlPlane => "control-plane",
            Self::Nodes => "nodes",
            Self::Services => "services",
        }
    }

    /// Its name: unique in the account, as the cluster's is in the fleet.
    pub fn name(self, cluster: &ClusterName) -> String {
        fitting(&format!("{cluster}-{}", self.suffix()), NAME_LENGTH_MAX)
    }

    /// Its ARN, which follows from its name.
    pub fn arn(self, session: &Session, cluster: &ClusterName) -> String {
        let (partition, account) = (session.partition(), &session.place.account);
        format!("arn:{partition}:iam::{account}:role{}{}", path(session), self.name(cluster))
    }

    /// Who may take it.
    pub fn trust(self, partition: &str) -> Value {
        let (service, actions) = match self {
            Self::ControlPlane => ("eks.amazonaws.com", json!("sts:AssumeRole")),
            Self::Nodes if partition == "aws-cn" => ("ec2.amazonaws.com.cn", json!("sts:AssumeRole")),
            Self::Nodes => ("ec2.amazonaws.com", json!("sts:AssumeRole")),
            Self::Services => ("pods.eks.amazonaws.com", json!(["sts:AssumeRole", "sts:TagSession"])),
        };
        let statement = json!({ "Effect": "Allow", "Principal": { "Service": service }, "Action": actions });
        json!({ "Version": "2012-10-17", "Statement": [statement] })
    }

    /// The ARNs of AWS's own policies that it carries.
    pub fn managed_policies(self, partition: &str) -> Vec<String> {
        let names: &[&str] = match self {
            Self::ControlPlane => &["AmazonEKSClusterPolicy"],
            Self::Nodes => &["AmazonEKSWorkerNodePolicy", "AmazonEKS_CNI_Policy", "AmazonEC2ContainerRegistryPullOnly"],
            Self::Services => &[],
        };
        names.iter().map(|name| format!("arn:{partition}:iam::aws:policy/{name}")).collect()
    }

    /// Its own policy, by name: the services may write to the stream of their cluster, and to no other.
    pub fn inline_policy(self, session: &Session, cluster: &ClusterName) -> Option<(&'static str, Value)> {
        if self != Self::Services {
            return None;
        }
        let actions = ["kinesis:PutRecord", "kinesis:PutRecords", "kinesis:DescribeStreamSummary"];
        let resource = stream_arn(session, cluster);
        let statement = json!({ "Effect": "Allow", "Action": actions, "Resource": resource });
        Some(("log-stream", json!({ "Version": "2012-10-17", "Statement": [statement] })))
    }
}

/// Under this path are the roles of a region: IAM knows no regions, and each is listed by itself.
pub fn path(session: &Session) -> String {
    format!("/fleetwright/{}/", session.region())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_and_tell_the_roles_of_the_longest_cluster_apart() {
        let cluster: ClusterName = format!("a{}", "b".repeat(99)).parse().unwrap();
        let names = Role::ALL.map(|role| role.name(&cluster));
        assert!(names.iter().all(|name| name.len() == 64), "{names:?}");
        assert!(names[0] != names[1] && names[1] != names[2] && names[0] != names[2], "{names:?}");
        assert_eq!(Role::Nodes.name(&"serving-1".parse().unwrap()), "serving-1-nodes");
    }

    #[test]
    fn partitions_have_their_own_policies_and_principals() {
        assert_eq!(Role::Nodes.trust("aws-cn")["Statement"][0]["Principal"]["Service"], "ec2.amazonaws.com.cn");
        assert_eq!(Role::Nodes.trust("aws")["Statement"][0]["Principal"]["Service"], "ec2.amazonaws.com");
        let policies = Role::ControlPlane.managed_policies("aws-us-gov");
        assert_eq!(policies, ["arn:aws-us-gov:iam::aws:policy/AmazonEKSClusterPolicy"]);
    }
}
