//! A reading of a place: everything there that is ours, complete or an error.

use std::collections::BTreeSet;
use std::sync::Arc;

use fleetwright_clouds::CloudError;
use fleetwright_core::inventory::{Listing, Place, Resource, Step};
use fleetwright_schema::names::ClusterName;

use crate::cache::Cache;
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
}

impl Kept {
    /// Something was done to a cluster.
    pub fn forget(&self, place: &Place, cluster: &ClusterName) {
        self.clusters.forget(place, cluster);
        self.streams.forget(place, cluster);
    }
}

/// Reads a place: lists side by side, and a closer look where something is under way.
pub async fn observe(
    session: &Arc<Session>,
    kept: &Kept,
    closely: &BTreeSet<ClusterName>,
) -> Result<Listing, CloudError> {
    let (networks, identities, streams, clusters) = tokio::try_join!(
        network::list(session),
        identity::list(session),
        log_stream::list(session, &kept.streams, closely),
        control_plane::list(session, &kept.clusters, closely),
    )?;
    // What a cluster made is looked for where its network stands and it does not: nothing can make it anew.
    let stands = |name: &ClusterName| clusters.iter().any(|r| r.cluster == *name && r.step == Step::ControlPlane);
    let orphaned: Vec<&Resource> =
        networks.iter().filter(|n| closely.contains(&n.cluster) && !stands(&n.cluster)).collect();
    let left = leftovers::list(session, &orphaned).await?;
    Ok(networks.into_iter().chain(identities).chain(streams).chain(clusters).chain(left).collect())
}
