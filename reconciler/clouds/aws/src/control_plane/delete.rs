//! Deleting a cluster: this one, and none that bears its name later.

use fleetwright_clouds::{CloudError, Progress};
use fleetwright_core::action::Action;
use fleetwright_core::inventory::{ErrorClass, Phase};

use super::live::ours;
use crate::error::{from_sdk, settled};
use crate::session::Session;

/// Lifts its protection, and deletes it once that is lifted.
pub async fn delete(session: &Session, action: &Action, id: &str) -> Result<Progress, CloudError> {
    let Some(live) = ours(session, action, id).await? else { return Ok(Progress::Done) };
    // While it is updated, by the lifting of its protection too, nothing else is taken.
    if matches!(live.phase, Phase::Deleting | Phase::Updating) {
        return Ok(Progress::InProgress);
    }
    // What never became active goes without, and would take no such update.
    if live.protected == Some(true) && live.is_active() {
        let lifted = session.eks.update_cluster_config().name(live.name()).deletion_protection(false).send().await;
        lifted.map_err(from_sdk)?;
        return Ok(Progress::InProgress);
    }
    let deleted = session.eks.delete_cluster().name(live.name()).send().await.map_err(from_sdk);
    let accepted = settled(deleted, ErrorClass::NotFound)?;
    Ok(accepted.map_or(Progress::Done, |_| Progress::InProgress))
}
