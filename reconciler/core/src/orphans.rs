//! What carries our tags in a place though no record names its cluster. It is told, and never deleted: a record may be
//! missing because it was lost, or because another fleet keeps it.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use crate::inventory::{Listing, Resource, Step};
use fleetwright_schema::names::{ClusterName, SetId};
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
}
