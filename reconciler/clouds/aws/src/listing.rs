//! A reading of a place: everything there that is ours, complete or an error.

use std::collections::BTreeSet;
use std::sync::Arc;

use fleetwright_clouds::CloudError;
use fleetwright_core::inventory::{Listing, Phase, Place, Resource, Step};
use fleetwright_schema::names::ClusterName;

use crate::cache::Cache;
use crate::drift::Drift;
use crate::owner::Tags;
use crate::session::Session;
use crate::{control_plane, identity, leftovers, log_stream, network};

/// What is kept between readings.
#[derive(Default)]
pub struct Kept {
    /// A control plane with all that has its marks on it.
    pub clusters: Cache<Vec<Resource>>,
    /// The tags of a log stream.
    pub streams: Cache<Tags>,
    /// What differs of networks.
    pub networks: Drift,
    /// What differs of identities.
    pub identities: Drift,
}

impl Kept {
    /// Something was done to a cluster.
    pub fn forget(&self, place: &Place, cluster: &ClusterName) {
        self.clusters.forget(place, cluster);
        self.streams.forget(place, cluster);
        self.networks.forget(place, cluster);
        self.identities.forget(place, cluster);
    }
}

/// Reads a place: lists side by side, and a closer look where something is under way.
pub async fn observe(
    session: &Arc<Session>,
    kept: &Kept,
    closely: &BTreeSet<ClusterName>,
) -> Result<Listing, CloudError> {
    let (networks, identities, streams, clusters) = tokio::try_join!(
        network::observe(session, &kept.networks),
        identity::observe(session, &kept.identities),
        log_stream::list(session, &kept.streams, closely),
        control_plane::list(session, &kept.clusters, closely),
    )?;
    let control_plane::Clusters { resources: clusters, stripped } = clusters;
    let parts = || networks.iter().chain(&identities).chain(&streams);
    // Somebody took the tags of a cluster whose other parts are ours: it stands, and nothing may be concluded from it.
    let untold = stripped.iter().filter_map(|name| parts().find(|part| part.cluster == *name)).map(standing);
    let clusters: Vec<Resource> = clusters.into_iter().chain(untold).collect();
    // What a cluster made is looked for where its network stands and it does not: nothing can make it anew.
    let stands = |name: &ClusterName| clusters.iter().any(|r| r.cluster == *name && r.step == Step::ControlPlane);
    let orphaned: Vec<&Resource> =
        networks.iter().filter(|n| closely.contains(&n.cluster) && !stands(&n.cluster)).collect();
    let left = leftovers::list(session, &orphaned).await?;
    Ok(networks.into_iter().chain(identities).chain(streams).chain(clusters).chain(left).collect())
}

/// A control plane of which no more is known than that it stands, for the cluster of another part. It is no absence, and
/// nothing is done to what it was made from while it is told like this.
fn standing(part: &Resource) -> Resource {
    tracing::warn!(cluster = %part.cluster, "its EKS cluster has lost the tags that say whose it is; put them back");
    Resource {
        id: format!("{}/untagged", part.cluster).into(),
        step: Step::ControlPlane,
        phase: Phase::Updating,
        applied: "".into(),
        uses: Vec::new(),
        ..part.clone()
    }
}

#[cfg(test)]
mod tests {
    use fleetwright_schema::units::Timestamp;

    use super::*;

    #[test]
    fn a_control_plane_without_its_tags_stands_and_says_nothing_else() {
        let network = Resource {
            id: "vpc-1".into(),
            step: Step::Network,
            cluster: "serving-prod-aws-euw1-1".parse().unwrap(),
            set: "prod/aws/eu-west-1/Serving".parse().unwrap(),
            ordinal: 1,
            phase: Phase::Ready,
            applied: "print".into(),
            created_at: Timestamp::MIN,
            uses: Vec::new(),
            control_plane: None,
            node_pools: Vec::new(),
            infra_services: Vec::new(),
        };
        let told = standing(&network);
        assert_eq!((told.step, told.phase, &*told.applied), (Step::ControlPlane, Phase::Updating, ""));
        assert_eq!((&told.cluster, told.control_plane), (&network.cluster, None));
    }
}
