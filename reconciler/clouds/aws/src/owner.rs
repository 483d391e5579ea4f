//! To whom a resource belongs, by its tags, and how things are named.

use std::collections::BTreeMap;

use fleetwright_core::action::Action;
use fleetwright_core::inventory::Step;
use fleetwright_schema::names::{ClusterName, SetId};
use sha2::{Digest, Sha256};

/// Tags as AWS has them, by key.
pub type Tags = BTreeMap<String, String>;

/// The cluster.
pub const CLUSTER: &str = "fleetwright.dev/cluster";
/// Its set, `prod/aws/eu-west-1/ModelServing`.
pub const SET: &str = "fleetwright.dev/set";
/// Its ordinal.
pub const ORDINAL: &str = "fleetwright.dev/ordinal";
/// Which part of it, as the step is called in JSON.
pub const STEP: &str = "fleetwright.dev/step";
/// Which piece of a part that takes several: `private-a`.
pub const PART: &str = "fleetwright.dev/part";
/// The mark: what the part was made from. It is written last, once the part is whole.
pub const APPLIED: &str = "fleetwright.dev/applied";

/// The mark of a step that has no tags of its own, on its control plane.
pub fn applied_of(step: Step) -> String {
    match step {
        Step::NodePools => "fleetwright.dev/applied-node-pools".to_owned(),
        Step::Access => "fleetwright.dev/applied-access".to_owned(),
        Step::Secrets => "fleetwright.dev/applied-secrets".to_owned(),
        Step::InfraServices => "fleetwright.dev/applied-infra-services".to_owned(),
        Step::Network | Step::Identity | Step::LogStream | Step::ControlPlane | Step::Leftovers => APPLIED.to_owned(),
    }
}

/// To whom something belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The cluster.
    pub cluster: ClusterName,
    /// Its set.
    pub set: SetId,
    /// Its ordinal.
    pub ordinal: u32,
}

impl Owner {
    /// The cluster that an action is about.
    pub fn of(action: &Action) -> Self {
        Self { cluster: action.key.cluster.clone(), set: action.set.clone(), ordinal: action.ordinal }
    }

    /// Whose these tags say that it is; nobody's, where one of them is missing or can't be read.
    pub fn from_tags(tags: &Tags) -> Option<Self> {
        Some(Self {
            cluster: tags.get(CLUSTER)?.parse().ok()?,
            set: tags.get(SET)?.parse().ok()?,
            ordinal: tags.get(ORDINAL)?.parse().ok()?,
        })
    }

    /// All tags of a part but the mark: those of the set, and ours over them.
    pub fn tags(&self, step: Step, of_set: &Tags) -> Tags {
        let mut tags = of_set.clone();
        tags.insert("Name".to_owned(), self.cluster.to_string());
        tags.insert(CLUSTER.to_owned(), self.cluster.to_string());
        tags.insert(SET.to_owned(), self.set.to_string());
        tags.insert(ORDINAL.to_owned(), self.ordinal.to_string());
        tags.insert(STEP.to_owned(), step_name(step).to_owned());
        tags
    }
}

/// As in JSON: `controlPlane`.
pub const fn step_name(step: Step) -> &'static str {
    match step {
        Step::Network => "network",
        Step::Identity => "identity",
        Step::LogStream => "logStream",
        Step::ControlPlane => "controlPlane",
        Step::NodePools => "nodePools",
        Step::Access => "access",
        Step::Secrets => "secrets",
        Step::InfraServices => "infraServices",
        Step::Leftovers => "leftovers",
    }
}

/// The first digits of a SHA-256, for names that have to be short and tell contents apart.
pub fn short_hash(text: &str, digits: usize) -> String {
    let hex: String = Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    hex[..digits.min(hex.len())].to_owned()
}

/// A name that fits: cut, and told apart by a hash of the whole.
pub fn fitting(name: &str, length_max: usize) -> String {
    if name.len() <= length_max {
        return name.to_owned();
    }
    let hash = short_hash(name, 8);
    let kept: String = name.chars().take(length_max.saturating_sub(hash.len() + 1)).collect();
    format!("{kept}-{hash}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner() -> Owner {
        let set = "prod/aws/eu-west-1/ModelServing".parse().unwrap();
        Owner { cluster: "model-serving-prod-aws-euw1-1".parse().unwrap(), set, ordinal: 1 }
    }

    #[test]
    fn tags_name_their_owner_whatever_the_set_s_own_tags_say() {
        let of_set = Tags::from([("team".to_owned(), "a".to_owned()), (CLUSTER.to_owned(), "other".to_owned())]);
        let tags = owner().tags(Step::Network, &of_set);
        assert_eq!(Owner::from_tags(&tags), Some(owner()));
        assert_eq!(tags["team"], "a");
    }

    #[test]
    fn who_lacks_one_of_the_tags_is_nobody_s() {
        for key in [CLUSTER, SET, ORDINAL] {
            let mut tags = owner().tags(Step::Network, &Tags::new());
            tags.remove(key);
            assert_eq!(Owner::from_tags(&tags), None, "{key}");
        }
    }

    #[test]
    fn long_names_fit_and_differ() {
        let (a, b) = (format!("{}a", "x".repeat(80)), format!("{}b", "x".repeat(80)));
        assert_eq!(fitting(&a, 64).len(), 64);
        assert_ne!(fitting(&a, 64), fitting(&b, 64));
        assert_eq!(fitting("short", 64), "short");
    }
}
