//! The hands: readings and actions on clouds, side by side, each reported as news. They decide nothing and try nothing
//! twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::Sender;

use fleetwright_clouds::{Cloud, CloudError, Progress};
use fleetwright_core::action::Action;
use fleetwright_core::inventory::{ErrorClass, Listing, Place};
use fleetwright_schema::documents::{FleetSpec, Provider};
use fleetwright_schema::names::{Cloud as CloudName, ClusterName};
use fleetwright_schema::units::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::clock::Clock;

/// What wakes the brain.
#[derive(Debug)]
pub enum News {
    /// The repository may have changed.
    Repository,
    /// A place was read, or could not be.
    Read {
        /// Where.
        place: Place,
        /// When the reading began.
        began: Timestamp,
        /// The complete listing.
        result: Result<Listing, CloudError>,
    },
    /// An action came back.
    Done {
        /// Which.
        action: Box<Action>,
        /// What came of it.
        result: Result<Progress, CloudError>,
    },
    /// The process is asked to end.
    Stop,
}

/// As many calls as one place gets at a time: every cloud throttles by account and region.
const CALLS_AT_ONCE_MAX: usize = 8;

/// What the brain hands its work to. Neither call waits; what comes of it is news.
pub trait Hands {
    /// Learns which provider runs which account.
    fn learn(&mut self, config: &FleetSpec);

    /// Begins to read a place; with the clusters of `closely` something is under way.
    fn read(&mut self, place: &Place, closely: BTreeSet<ClusterName>);

    /// Hands out an action.
    fn perform(&mut self, action: Action);
}

/// Who runs the clouds: the simulation all of them, each provider its own.
#[derive(Clone)]
pub struct Adapters {
    /// The simulated clouds.
    pub simulated: Arc<dyn Cloud>,
    /// The providers' own, as far as this build has adapters for them.
    pub real: crate::assembly::Clouds,
}

impl Adapters {
    fn get(&self, provider: Provider, cloud: CloudName) -> Option<&Arc<dyn Cloud>> {
        match provider {
            Provider::Simulated => Some(&self.simulated),
            Provider::Real => self.real.get(&cloud),
        }
    }
}

/// The clouds by account, and the runtime on which calls are made side by side.
pub struct CloudHands {
    runtime: Handle,
    clock: Clock,
    news: Sender<News>,
    adapters: Adapters,
    accounts: BTreeMap<(CloudName, Arc<str>), Provider>,
    gates: BTreeMap<Place, Arc<Semaphore>>,
}

impl CloudHands {
    /// Hands that report to `news`.
    pub fn new(runtime: Handle, clock: Clock, news: Sender<News>, adapters: Adapters) -> Self {
        Self { runtime, clock, news, adapters, accounts: BTreeMap::new(), gates: BTreeMap::new() }
    }

    fn adapter(&self, place: &Place) -> Result<Arc<dyn Cloud>, CloudError> {
        let Place { account, cloud, .. } = place;
        let provider = self.accounts.get(&(*cloud, Arc::clone(account)));
        let provider = provider.ok_or_else(|| {
            denied("NoAccount", format!("no fleet.yaml that could be read names account {account} of {cloud}"))
        })?;
        let missing = || denied("NoAdapter", format!("this build has no adapter for account {account} of {cloud}"));
        self.adapters.get(*provider, *cloud).cloned().ok_or_else(missing)
    }

    fn gate(&mut self, place: &Place) -> Arc<Semaphore> {
        let gate = self.gates.entry(place.clone()).or_insert_with(|| Arc::new(Semaphore::new(CALLS_AT_ONCE_MAX)));
        Arc::clone(gate)
    }
}

impl Hands for CloudHands {
    fn learn(&mut self, config: &FleetSpec) {
        self.adapters.real.values().for_each(|adapter| adapter.learn(config));
        for environment in &config.environments {
            for (cloud, account) in &environment.accounts {
                self.accounts.insert((*cloud, account.id.as_str().into()), account.provider);
            }
        }
    }

    fn read(&mut self, place: &Place, closely: BTreeSet<ClusterName>) {
        let (adapter, gate, clock, news) =
            (self.adapter(place), self.gate(place), self.clock.clone(), self.news.clone());
        let place = place.clone();
        self.runtime.spawn(async move {
            // A closed semaphore can't be: nobody closes it.
            let _permit = gate.acquire().await;
            let began = clock.now();
            let result = match adapter {
                Ok(adapter) => adapter.observe(&place, &closely).await,
                Err(error) => Err(error),
            };
            // The brain may have ended meanwhile.
            let _ = news.send(News::Read { place, began, result });
        });
    }

    fn perform(&mut self, action: Action) {
        let (adapter, gate, news) = (self.adapter(&action.place), self.gate(&action.place), self.news.clone());
        self.runtime.spawn(async move {
            let _permit = gate.acquire().await;
            let result = match adapter {
                Ok(adapter) => adapter.perform(&action).await,
                Err(error) => Err(error),
            };
            let _ = news.send(News::Done { action: Box::new(action), result });
        });
    }
}

fn denied(code: &str, message: String) -> CloudError {
    CloudError { class: ErrorClass::Denied, code: code.to_owned(), message, retry_after: None }
}
