//! What carries our tags in a place, or those of one of our clusters, though no record names the cluster. It is told, and
//! never deleted: a record may be missing because it was lost, or because another fleet keeps it.
//!
//! A reading tells parts. Of a part that is gone a piece may stand still, and so may what the cluster itself made: these
//! are told as [`Tagged`], and the tags of Kubernetes on them may be of a cluster that was never ours. That one is left out.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use crate::inventory::{Listing, Place, Resource, Step};
use fleetwright_schema::names::{ClusterName, Location, Name, SetId};
use fleetwright_schema::units::Timestamp;

/// A resource of a cluster that no record names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphan {
    /// The cluster, by its tag.
    pub cluster: ClusterName,
    /// The cluster's set, by its tag.
    pub set: SetId,
    /// Which part it is.
    pub step: Step,
    /// The provider's id.
    pub id: Arc<str>,
    /// When it was made.
    pub created_at: Timestamp,
}

impl fmt::Display for Orphan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cluster, set, step, id, created_at } = self;
        write!(f, "{step} of {cluster} ({set}), made {created_at}: {id}")
    }
}

/// The resources of a reading whose clusters are not among these, in the order of their steps.
pub fn find(listing: &Listing, recorded: &BTreeSet<ClusterName>) -> Vec<Orphan> {
    let lost = listing.resources.iter().filter(|(cluster, _)| !recorded.contains(*cluster));
    let mut orphans: Vec<Orphan> = lost.flat_map(|(_, resources)| resources.iter().map(orphan)).collect();
    orphans.sort_by(|a, b| (&a.cluster, a.step, &a.id).cmp(&(&b.cluster, b.step, &b.id)));
    orphans
}

/// One thing in a place, with what its tags say of clusters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tagged {
    /// What it is, in the provider's words: `NAT gateway`.
    pub kind: String,
    /// The provider's id.
    pub id: String,
    /// The cluster that our own tag names, whether or not that is a name.
    pub ours: Option<String>,
    /// The clusters that made it, as the tags of their controllers say. They may be anybody's.
    pub made_by: BTreeSet<String>,
}

/// A thing of a cluster that no record names, and that no reading tells.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stray {
    /// The cluster, as its tags name it.
    pub cluster: String,
    /// What it is, in the provider's words.
    pub kind: String,
    /// The provider's id.
    pub id: String,
}

impl fmt::Display for Stray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cluster, kind, id } = self;
        write!(f, "{kind} of {cluster}: {id}")
    }
}

/// How the clusters of a place are called in environments: by it those are known of which no tag of ours stands any more.
#[derive(Clone, Debug)]
pub struct NamePattern(Vec<String>);

impl NamePattern {
    /// Of these environments.
    pub fn of<'a>(place: &Place, environments: impl IntoIterator<Item = &'a Name>) -> Self {
        let middle = |env: &Name| {
            let location = Location { env: env.clone(), cloud: place.cloud, region: place.region.clone() };
            let any = SetId { location, cluster_type: "x".parse().ok()? }.cluster_name(0).ok()?;
            Some(any.as_str().strip_prefix('x')?.strip_suffix('0')?.to_owned())
        };
        Self(environments.into_iter().filter_map(middle).collect())
    }

    /// Whether a cluster of ours could be called so.
    pub fn fits(&self, name: &str) -> bool {
        let ordinal = |text: &str| text.parse::<u32>().is_ok_and(|number| number.to_string() == text);
        let fits = |middle: &String| {
            name.rsplit_once(middle.as_str()).is_some_and(|(kind, number)| !kind.is_empty() && ordinal(number))
        };
        name.parse::<ClusterName>().is_ok() && self.0.iter().any(fits)
    }
}

/// The things of clusters of ours that are not among these, but for what the reading tells already.
pub fn strays(
    tagged: &[Tagged],
    listing: &Listing,
    recorded: &BTreeSet<ClusterName>,
    pattern: &NamePattern,
) -> Vec<Stray> {
    let told: BTreeSet<&str> = listing.resources.values().flatten().map(|resource| &*resource.id).collect();
    let mut ours: BTreeSet<&str> = tagged.iter().filter_map(|thing| thing.ours.as_deref()).collect();
    ours.extend(listing.resources.keys().map(ClusterName::as_str));
    let known: BTreeSet<&str> = recorded.iter().map(ClusterName::as_str).collect();
    let is_ours = |name: &&str| ours.contains(name) || pattern.fits(name);
    let stray = |thing: &Tagged| {
        let made_by = thing.made_by.iter().map(String::as_str);
        let mut names = thing.ours.as_deref().into_iter().chain(made_by);
        // One that stands may have taken it over.
        if names.clone().any(|name| known.contains(name)) || told.contains(&*thing.id) {
            return None;
        }
        let cluster = names.find(is_ours)?.to_owned();
        Some(Stray { cluster, kind: thing.kind.clone(), id: thing.id.clone() })
    };
    let mut strays: Vec<Stray> = tagged.iter().filter_map(stray).collect();
    strays.sort();
    strays
}

fn orphan(resource: &Resource) -> Orphan {
    Orphan {
        cluster: resource.cluster.clone(),
        set: resource.set.clone(),
        step: resource.step,
        id: Arc::clone(&resource.id),
        created_at: resource.created_at,
    }
}

#[cfg(test)]
mod tests {
    use crate::inventory::Phase;

    use super::*;

    fn resource(cluster: &str, step: Step, id: &str) -> Resource {
        Resource {
            id: id.into(),
            step,
            cluster: cluster.parse().unwrap(),
            set: "prod/aws/eu-west-1/Serving".parse().unwrap(),
            ordinal: 1,
            phase: Phase::Ready,
            applied: "f".into(),
            created_at: Timestamp::from_unix_seconds(1_790_000_000),
            uses: Vec::new(),
            control_plane: None,
            node_pools: Vec::new(),
            infra_services: Vec::new(),
        }
    }

    #[test]
    fn only_what_no_record_names_is_an_orphan() {
        let listing = Listing::from_iter([
            resource("serving-2", Step::LogStream, "s-2"),
            resource("serving-2", Step::Network, "vpc-2"),
            resource("serving-1", Step::Network, "vpc-1"),
        ]);
        let orphans = find(&listing, &BTreeSet::from(["serving-1".parse().unwrap()]));
        let told: Vec<String> = orphans.iter().map(Orphan::to_string).collect();
        let since = orphans[0].created_at;
        assert_eq!(
            told,
            [
                format!("network of serving-2 (prod/aws/eu-west-1/Serving), made {since}: vpc-2"),
                format!("log stream of serving-2 (prod/aws/eu-west-1/Serving), made {since}: s-2"),
            ]
        );
        assert_eq!(find(&listing, &listing.resources.keys().cloned().collect()), []);
    }

    fn tagged(id: &str, ours: Option<&str>, made_by: &[&str]) -> Tagged {
        let made_by = made_by.iter().map(|name| (*name).to_owned()).collect();
        Tagged { kind: "volume".to_owned(), id: id.to_owned(), ours: ours.map(str::to_owned), made_by }
    }

    fn pattern() -> NamePattern {
        let place = Place {
            cloud: fleetwright_schema::names::Cloud::Aws,
            account: "123456789012".into(),
            region: "eu-west-1".parse().unwrap(),
        };
        NamePattern::of(&place, [&"prod".parse().unwrap(), &"dev".parse().unwrap()])
    }

    #[test]
    fn names_of_ours_are_known_by_how_they_are_made() {
        let pattern = pattern();
        let set: SetId = "dev/aws/eu-west-1/ModelServing".parse().unwrap();
        assert!(pattern.fits(set.cluster_name(12).unwrap().as_str()));
        let elsewhere: SetId = "dev/aws/us-east-1/ModelServing".parse().unwrap();
        for name in [
            elsewhere.cluster_name(12).unwrap().as_str(),
            "model-serving-test-aws-euw1-1",
            "-prod-aws-euw1-1",
            "model-serving-prod-aws-euw1-01",
            "model-serving-prod-aws-euw1-",
            "model-serving-prod-aws-euw1-1-blue",
            "Model-prod-aws-euw1-1",
            "billing",
        ] {
            assert!(!pattern.fits(name), "{name}");
        }
    }

    #[test]
    fn only_what_was_made_by_clusters_of_ours_strays() {
        let listing = Listing::from_iter([resource("serving-2", Step::Network, "vpc-2")]);
        let recorded = BTreeSet::from(["serving-1".parse().unwrap()]);
        let all = [
            tagged("of a cluster that is recorded", Some("serving-1"), &[]),
            tagged("made by it", None, &["serving-1"]),
            tagged("taken over by it", Some("serving-2"), &["serving-1"]),
            tagged("of a stranger", None, &["billing"]),
            tagged("vpc-2", Some("serving-2"), &[]),
            tagged("d", None, &["billing", "serving-2"]),
            tagged("c", Some("no name!"), &[]),
            tagged("b", None, &["model-prod-aws-euw1-7"]),
            tagged("a", Some("serving-3"), &[]),
            tagged("e", None, &["serving-3"]),
        ];
        let told: Vec<String> = strays(&all, &listing, &recorded, &pattern()).iter().map(Stray::to_string).collect();
        assert_eq!(
            told,
            [
                "volume of model-prod-aws-euw1-7: b",
                "volume of no name!: c",
                "volume of serving-2: d",
                "volume of serving-3: a",
                "volume of serving-3: e",
            ]
        );
    }
}
