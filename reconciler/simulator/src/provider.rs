//! What differs between the providers, as data: names of kinds, shapes of ids, latencies, quotas, error codes.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use fleetwright_clouds::CloudError;
use fleetwright_core::inventory::{ErrorClass, Place, Step};
use fleetwright_schema::names::{Cloud, ClusterName};
use fleetwright_schema::units::Duration;
use serde::Deserialize;

use crate::chance;
use crate::record::Verb;

/// Why the world refuses; finer than a class, because providers have several codes for one class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Reason {
    NotFound,
    Exists,
    InUse,
    TokenMismatch,
    Throttled,
    Quota,
    Denied,
    Invalid,
    Outage,
    UnknownResult,
}

impl Reason {
    pub(crate) const fn class(self) -> ErrorClass {
        match self {
            Self::NotFound => ErrorClass::NotFound,
            Self::Exists | Self::InUse => ErrorClass::Conflict,
            Self::TokenMismatch | Self::Invalid => ErrorClass::Invalid,
            Self::Throttled => ErrorClass::Throttled,
            Self::Quota => ErrorClass::Quota,
            Self::Denied => ErrorClass::Denied,
            Self::Outage => ErrorClass::Outage,
            Self::UnknownResult => ErrorClass::UnknownResult,
        }
    }
    pub(crate) const fn of(class: ErrorClass) -> Self {
        match class {
            ErrorClass::NotFound => Self::NotFound,
            ErrorClass::Conflict => Self::InUse,
            ErrorClass::Throttled => Self::Throttled,
            ErrorClass::Quota => Self::Quota,
            ErrorClass::Denied => Self::Denied,
            ErrorClass::Invalid => Self::Invalid,
            ErrorClass::Outage => Self::Outage,
            ErrorClass::UnknownResult => Self::UnknownResult,
        }
    }
}

/// What is known of one kind of resource of one provider.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct StepFacts {
    kind: String,
    id: String,
    create_seconds: u64,
    update_seconds: u64,
    delete_seconds: u64,
    /// Whether its name is unique in its place, and its create takes a token. An AWS VPC has neither.
    #[serde(default = "yes")]
    pub(crate) unique: bool,
    #[serde(default)]
    codes: BTreeMap<Reason, String>,
}

const fn yes() -> bool {
    true
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Provider {
    codes: BTreeMap<Reason, String>,
    /// The greatest number of a kind in one account and region.
    quotas: BTreeMap<Step, u32>,
    steps: BTreeMap<Step, StepFacts>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(rename = "sources")]
    _sources: Vec<String>,
    providers: BTreeMap<Cloud, Provider>,
}

/// A table that does not parse is empty; a test holds that the one that ships is complete.
static TABLE: LazyLock<Table> =
    LazyLock::new(|| serde_json::from_str(include_str!("../data/providers.json")).unwrap_or_default());
static NOTHING: LazyLock<StepFacts> = LazyLock::new(StepFacts::default);

pub(crate) fn facts(cloud: Cloud, step: Step) -> &'static StepFacts {
    TABLE.providers.get(&cloud).and_then(|provider| provider.steps.get(&step)).unwrap_or(&NOTHING)
}

/// What the provider calls a step's resource: `EKS cluster`, `agent pool`.
pub fn native_kind(cloud: Cloud, step: Step) -> &'static str {
    &facts(cloud, step).kind
}

/// How long an operation takes in the middle; one and the same operation takes up to a fifth less or more.
pub fn latency_median(cloud: Cloud, step: Step, verb: Verb) -> Duration {
    let facts = facts(cloud, step);
    Duration::from_seconds(match verb {
        Verb::Create => facts.create_seconds,
        Verb::Update => facts.update_seconds,
        Verb::Delete => facts.delete_seconds,
        Verb::Drain | Verb::Open => 0,
    })
}

pub(crate) fn quota(cloud: Cloud, step: Step) -> Option<u32> {
    TABLE.providers.get(&cloud).and_then(|provider| provider.quotas.get(&step)).copied()
}

/// An error as this provider words it.
pub(crate) fn error(cloud: Cloud, step: Step, reason: Reason, message: String) -> CloudError {
    let general = TABLE.providers.get(&cloud).and_then(|provider| provider.codes.get(&reason));
    let code = facts(cloud, step).codes.get(&reason).or(general);
    let code = code.map_or_else(|| reason.class().as_str().to_owned(), String::clone);
    CloudError { class: reason.class(), code, message, retry_after: None }
}

/// The id of the `generation`-th resource of this kind that this cluster has had: a function of these and of the seed,
/// and so never used twice.
pub(crate) fn id(seed: u64, place: &Place, cluster: &ClusterName, step: Step, generation: u32) -> Arc<str> {
    let (cloud, account, region) = (place.cloud, &*place.account, place.region.as_str());
    let generation = generation.to_string();
    let parts = [cloud.as_str(), account, region, cluster.as_str(), step.as_words(), &generation];
    let (low, high) = (chance::hash(seed, &parts), chance::hash(!seed, &parts));
    let text = facts(cloud, step).id.replace("{account}", account).replace("{region}", region);
    let text = text.replace("{cluster}", cluster.as_str()).replace("{hex17}", &format!("{low:016x}{:x}", high & 0xf));
    text.replace("{hex8}", &format!("{:08x}", low >> 32)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: [Step; 9] = [
        Step::Network,
        Step::Identity,
        Step::LogStream,
        Step::ControlPlane,
        Step::NodePools,
        Step::Access,
        Step::Secrets,
        Step::InfraServices,
        Step::Leftovers,
    ];

    #[test]
    fn the_table_knows_every_step_of_every_cloud() {
        for cloud in Cloud::ALL {
            for step in STEPS {
                let facts = facts(cloud, step);
                assert!(!facts.kind.is_empty() && facts.id.contains("{hex"), "{cloud} {step}");
                assert!(facts.create_seconds > 0 && facts.update_seconds > 0 && facts.delete_seconds > 0);
            }
            assert!(quota(cloud, Step::ControlPlane).is_some());
        }
    }

    #[test]
    fn the_table_has_a_code_for_every_reason() {
        for (cloud, provider) in &TABLE.providers {
            assert_eq!(provider.codes.len(), 10, "{cloud}");
        }
    }

    #[test]
    fn only_the_vpc_of_aws_may_be_made_twice() {
        let doubled: Vec<_> = Cloud::ALL
            .into_iter()
            .flat_map(|cloud| STEPS.map(|step| (cloud, step)))
            .filter(|(cloud, step)| !facts(*cloud, *step).unique)
            .collect();
        assert_eq!(doubled, [(Cloud::Aws, Step::Network)]);
    }

    #[test]
    fn each_class_maps_to_a_reason_of_that_class() {
        let classes = [
            ErrorClass::NotFound,
            ErrorClass::Conflict,
            ErrorClass::Throttled,
            ErrorClass::Quota,
            ErrorClass::Denied,
            ErrorClass::Invalid,
            ErrorClass::Outage,
            ErrorClass::UnknownResult,
        ];
        assert!(classes.into_iter().all(|class| Reason::of(class).class() == class));
    }

    #[test]
    fn ids_look_like_the_providers_own_and_differ_by_generation() {
        let place = Place { cloud: Cloud::Aws, account: "1234".into(), region: "eu-west-1".parse().unwrap() };
        let cluster: ClusterName = "serving-1".parse().unwrap();
        let vpc = id(1, &place, &cluster, Step::Network, 1);
        assert!(vpc.starts_with("vpc-") && vpc.len() == 21, "{vpc}");
        let eks = id(1, &place, &cluster, Step::ControlPlane, 1);
        assert!(eks.starts_with("arn:aws:eks:eu-west-1:1234:cluster/serving-1/"), "{eks}");
        assert_ne!(eks, id(1, &place, &cluster, Step::ControlPlane, 2));
        assert_eq!(eks, id(1, &place, &cluster, Step::ControlPlane, 1));
    }
}
