//! Clusters on AWS: the translation of readings and actions to EC2, IAM, Kinesis, EKS and STS, and nothing else.
//!
//! Nothing here decides or tries again, and nothing waits but for the pace at which Kinesis tells the tags of its streams.
//! A step that takes several calls looks at what is there, makes what is missing and can be made now, and says how far it
//! is; the next plan asks for the rest. What is whole carries the mark `fleetwright.dev/applied`, and nothing is changed or
//! deleted whose tags do not name the cluster that the action is about.

mod access;
mod accounts;
mod addons;
mod cache;
mod calls;
mod control_plane;
mod doctor;
mod drift;
mod ec2;
mod error;
mod identity;
mod inside;
mod leftovers;
mod listing;
mod log_stream;
mod marks;
mod network;
mod node_pools;
mod owner;
pub mod policy;
mod query;
mod quotas;
mod session;
mod side_by_side;
mod token;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use fleetwright_clouds::{Access, Cloud, CloudError, CloudFuture, Finding, Progress, Quota};
use fleetwright_core::action::Action;
use fleetwright_core::inventory::{Listing, Place, Step};
use fleetwright_core::orphans::Tagged;
use fleetwright_schema::documents::FleetSpec;
use fleetwright_schema::names::ClusterName;

pub use calls::Calls;

use listing::Kept;
use session::{Session, Sessions};

/// AWS, with all accounts of a fleet.
pub struct Aws {
    sessions: Sessions,
    kept: Kept,
}

impl Aws {
    /// AWS as the environment and the shared configuration files say, endpoints and credentials included.
    pub fn new(access: Access) -> Self {
        Self { sessions: Sessions::new(access), kept: Kept::default() }
    }

    /// AWS as this configuration says, but for region, retries and timeouts.
    pub fn with_config(config: SdkConfig, access: Access) -> Self {
        Self { sessions: Sessions::with_config(config, access), kept: Kept::default() }
    }

    /// How often each operation was called by this process.
    pub fn calls(&self) -> Calls {
        self.sessions.calls()
    }

    /// Lets it be so much longer ago that others' changes to networks and roles were looked for: nobody waits in a test.
    pub fn age(&self, by: Duration) {
        self.kept.networks.age(by);
        self.kept.identities.age(by);
    }
}

impl Cloud for Aws {
    fn learn(&self, config: &FleetSpec) {
        self.sessions.learn(config);
    }

    fn observe<'a>(&'a self, place: &'a Place, closely: &'a BTreeSet<ClusterName>) -> CloudFuture<'a, Listing> {
        Box::pin(async move {
            let session = self.sessions.of(place).await?;
            listing::observe(&session, &self.kept, closely).await
        })
    }

    fn examine<'a>(&'a self, place: &'a Place) -> CloudFuture<'a, Vec<Finding>> {
        Box::pin(async move {
            // In another account there is something to tell.
            let session = self.sessions.unproven(place).await?;
            Ok(doctor::examine(&session, self.sessions.access()).await)
        })
    }

    fn quotas<'a>(&'a self, place: &'a Place) -> CloudFuture<'a, Vec<Quota>> {
        Box::pin(async move { Ok(quotas::read(&*self.sessions.of(place).await?).await) })
    }

    fn tagged<'a>(&'a self, place: &'a Place) -> CloudFuture<'a, Vec<Tagged>> {
        Box::pin(async move {
            let session = self.sessions.of(place).await?;
            leftovers::tagged(&session).await
        })
    }

    fn perform<'a>(&'a self, action: &'a Action) -> CloudFuture<'a, Progress> {
        Box::pin(async move {
            let session = self.sessions.of(&action.place).await?;
            self.kept.forget(&action.place, &action.key.cluster);
            let done = perform(&session, action).await;
            // A reading that was under way meanwhile may have kept what it saw before.
            self.kept.forget(&action.place, &action.key.cluster);
            done
        })
    }
}

async fn perform(session: &Arc<Session>, action: &Action) -> Result<Progress, CloudError> {
    match action.key.step {
        Step::Network => network::perform(session, action).await,
        Step::Identity => identity::perform(session, action).await,
        Step::LogStream => log_stream::perform(session, action).await,
        Step::ControlPlane => control_plane::perform(session, action).await,
        Step::NodePools => node_pools::perform(session, action).await,
        Step::Access => access::perform_access(session, action).await,
        Step::Secrets => access::perform_secrets(session, action).await,
        Step::InfraServices => inside::perform_services(session, action).await,
        Step::Leftovers => leftovers::perform(session, action).await,
    }
}
