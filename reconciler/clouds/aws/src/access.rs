//! Who may talk to the API of a cluster, and which roles its services have.

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
pub async fn perform_access(_session: &Arc<Session>, _action: &Action) -> Result<Progress, CloudError> {
    unimplemented!()
}

/// One short step.
pub async fn perform_secrets(_session: &Arc<Session>, _action: &Action) -> Result<Progress, CloudError> {
    unimplemented!()
}
