//! A real account as a laboratory, or any endpoint that the environment names. Off unless it is asked for by the account's id,
//! and refused unless that id is on a list of those that may be used for tests: what stands there may be made and deleted.

use std::sync::Arc;

use aws_config::BehaviorVersion;
use fleetwright_aws::Aws;
use fleetwright_clouds::{Access, Cloud};
use fleetwright_core::inventory::{Place, Step};
use fleetwright_schema::documents::Provider;
use fleetwright_schema::names::{Cloud as CloudName, ClusterName};
use fleetwright_schema::units::{Duration, Timestamp};
use tokio::runtime::Runtime;

use super::{Lab, Mishap, Standing};

/// Which account.
const ACCOUNT: &str = "FLEETWRIGHT_LIVE_AWS_ACCOUNT";
/// Those that may be used, separated by commas.
const ALLOWED: &str = "FLEETWRIGHT_LIVE_AWS_ALLOWED";
/// In which region.
const REGION: &str = "FLEETWRIGHT_LIVE_AWS_REGION";
/// As often as a daemon looks where something is under way.
const GLANCE: Duration = Duration::from_seconds(15);

/// The laboratory.
pub struct LiveLab {
    place: Place,
    runtime: Runtime,
}

impl LiveLab {
    /// Whether an account is asked for.
    pub fn is_asked_for() -> bool {
        std::env::var_os(ACCOUNT).is_some()
    }

    /// The account that is asked for; none, if none is. `Err` says why it may not be used.
    pub fn asked_for() -> Result<Option<Self>, String> {
        let Ok(account) = std::env::var(ACCOUNT) else { return Ok(None) };
        let allowed = std::env::var(ALLOWED).unwrap_or_default();
        if !allowed.split(',').any(|id| id.trim() == account) {
            return Err(format!("account {account} is not in {ALLOWED}; nothing was done"));
        }
        let region = std::env::var(REGION).map_err(|_| format!("{REGION} names no region"))?;
        let region = region.parse().map_err(|why| format!("{REGION}: {why}"))?;
        let place = Place { cloud: CloudName::Aws, account: account.as_str().into(), region };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let lab = Self { place, runtime };
        let entered = lab.runtime.block_on(who())?;
        match entered == account {
            true => Ok(Some(lab)),
            false => Err(format!("the credentials are of account {entered}, and not of {account}; nothing was done")),
        }
    }
}

/// The account of the credentials.
async fn who() -> Result<String, String> {
    let config = aws_config::defaults(BehaviorVersion::latest()).load().await;
    let asked = aws_sdk_sts::Client::new(&config).get_caller_identity().send().await;
    let told = asked.map_err(|error| aws_sdk_sts::error::DisplayErrorContext(error).to_string())?;
    told.account.ok_or_else(|| "STS names no account".to_owned())
}

impl Lab for LiveLab {
    fn name(&self) -> &'static str {
        "live"
    }
    fn provider(&self) -> Provider {
        Provider::Real
    }
    fn place(&self) -> Place {
        self.place.clone()
    }
    fn adapter(&self) -> Arc<dyn Cloud> {
        Arc::new(Aws::new(Access::ReadWrite))
    }
    fn now(&self) -> Timestamp {
        fleetwright::clock::machine_time()
    }
    fn pass(&self, at_most: Duration) {
        // Time passes by itself there, and nobody tells when something has happened.
        std::thread::sleep(std::time::Duration::from_secs(at_most.min(GLANCE).seconds()));
    }
    fn inject(&self, _: Mishap) -> bool {
        false
    }
    fn mend(&self) {}
    fn standing(&self) -> Vec<Standing> {
        let listing = self.runtime.block_on(self.adapter().observe(&self.place, &Default::default())).unwrap();
        let all = listing.resources.into_values().flatten();
        let told = all.map(|resource| Standing {
            kind: resource.step.to_string(),
            id: resource.id.to_string(),
            cluster: Some(resource.cluster),
            team: None,
        });
        told.collect()
    }
    fn occupy(&self, _: &ClusterName) -> bool {
        false
    }
    fn strip(&self, _: &ClusterName, _: Step) -> bool {
        false
    }
}
