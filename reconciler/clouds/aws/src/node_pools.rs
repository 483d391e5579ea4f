//! Managed node groups, and the add-ons without which no node is ready.

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
