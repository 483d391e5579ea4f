//! The narrow trait behind which every cloud stands, and the one shape of its errors.
//!
//! An adapter translates and does nothing else: it decides nothing, waits for nothing and tries nothing twice. The next
//! plan is the retry.

mod finding;
mod quota;

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;

use fleetwright_core::action::Action;
use fleetwright_core::inventory::{ErrorClass, Listing, Place};
use fleetwright_core::orphans::Tagged;
use fleetwright_schema::documents::FleetSpec;
use fleetwright_schema::names::ClusterName;
use fleetwright_schema::units::Duration;

pub use finding::{Finding, Verdict};
pub use quota::Quota;

/// What a call on a cloud returns, boxed so that adapters of different clouds stand side by side.
pub type CloudFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, CloudError>> + Send + 'a>>;

/// A cloud.
pub trait Cloud: Send + Sync {
    /// Takes up what a fleet says of the accounts.
    fn learn(&self, _config: &FleetSpec) {}

    /// Lists everything in this place that carries our tags: completely, or an error. Never half a list.
    ///
    /// Something is under way with the clusters of `closely`: what is told of them was asked for now. What is told of the
    /// others' parts beyond that they stand may be some minutes old, so that a quiet fleet costs lists and no call a cluster.
    fn observe<'a>(&'a self, place: &'a Place, closely: &'a BTreeSet<ClusterName>) -> CloudFuture<'a, Listing>;

    /// Whether a place is fit for clusters: who we are there, what we may, what is left of its quotas. Changes nothing.
    fn examine<'a>(&'a self, _place: &'a Place) -> CloudFuture<'a, Vec<Finding>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    /// How much is left of the quotas that clusters take from. What can't be read is left open: it decides nothing.
    fn quotas<'a>(&'a self, _place: &'a Place) -> CloudFuture<'a, Vec<Quota>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    /// Everything in a place with tags that name clusters, ours or anybody's, complete or an error: for who looks for what
    /// was left behind. It takes many calls, and nothing is ever deleted because of it.
    fn tagged<'a>(&'a self, _place: &'a Place) -> CloudFuture<'a, Vec<Tagged>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    /// Does one short step. `Done` says that the request was accepted and is finished, `InProgress` that the provider
    /// works on it; what came of it is learnt from a reading.
    fn perform<'a>(&'a self, action: &'a Action) -> CloudFuture<'a, Progress>;
}

/// What the credentials of a process may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Look only: for plans.
    ReadOnly,
    /// Look, make, change and delete.
    #[default]
    ReadWrite,
}

/// How far an accepted action has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Finished.
    Done,
    /// Accepted; the provider works on it.
    InProgress,
}

/// An error of a cloud, classified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloudError {
    /// What kind it is; whether it is ours to retry follows from it.
    pub class: ErrorClass,
    /// The provider's own code: `ResourceInUseException`.
    pub code: String,
    /// The provider's message, without anything secret.
    pub message: String,
    /// When the provider says to come back.
    pub retry_after: Option<Duration>,
}

impl std::fmt::Display for CloudError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for CloudError {}
