//! The EKS cluster itself. What is done to it is one call at a time, and the next reading says what is left to do.

mod create;
mod delete;
mod list;
mod live;
mod update;

use std::sync::Arc;

use fleetwright_clouds::{CloudError, Progress};
use fleetwright_core::action::{Action, Effect};

use crate::inside::placement;
use crate::session::Session;

pub use list::{Clusters, Depth, list};
pub use live::{Live, minor, ours, ours_to_change};
pub use update::{change_tags, tag, untag};

#[cfg(test)]
pub(crate) use live::tests;

/// One short step.
pub async fn perform(session: &Arc<Session>, action: &Action) -> Result<Progress, CloudError> {
    match &action.effect {
        Effect::Create { token, fingerprint, spec, cidr: _, parents } => {
            create::create(session, action, token, fingerprint, spec, parents).await
        }
        Effect::Update { id, token: _, fingerprint, spec } => {
            update::update(session, action, id, fingerprint, spec).await
        }
        Effect::Delete { id } => delete::delete(session, action, id).await,
        Effect::Drain { id, mode } => placement::close(session, action, id, *mode).await,
        Effect::OpenPlacement { id } => placement::open(session, action, id).await,
    }
}
