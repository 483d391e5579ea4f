//! The Kinesis stream that a cluster writes its logs to.

use std::collections::BTreeSet;
use std::sync::Arc;

use fleetwright_clouds::{CloudError, Progress};
use fleetwright_core::action::Action;
use fleetwright_core::inventory::Resource;
use fleetwright_schema::names::ClusterName;

use crate::cache::Cache;
use crate::owner::Tags;
use crate::session::Session;

/// One short step.
pub async fn perform(_session: &Arc<Session>, _action: &Action) -> Result<Progress, CloudError> {
    unimplemented!()
}

/// All log streams of ours.
pub async fn list(
    _session: &Arc<Session>,
    _kept: &Cache<Tags>,
    _closely: &BTreeSet<ClusterName>,
) -> Result<Vec<Resource>, CloudError> {
    unimplemented!()
}
