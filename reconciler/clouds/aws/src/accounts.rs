//! What is known of the accounts of a fleet: how they are entered, and who may use their clusters.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use fleetwright_schema::documents::{AwsAccount, FleetSpec, Provider};
use fleetwright_schema::names::Cloud;

/// The accounts, by their ids.
#[derive(Debug, Default)]
pub struct Accounts(Mutex<BTreeMap<String, Arc<AwsAccount>>>);

impl Accounts {
    /// Takes up what a fleet says; whether anything changed.
    pub fn learn(&self, config: &FleetSpec) -> bool {
        let accounts = config.environments.iter().filter_map(|environment| environment.accounts.get(&Cloud::Aws));
        let real = accounts.filter(|account| account.provider == Provider::Real);
        let next: BTreeMap<_, _> =
            real.map(|account| (account.id.clone(), Arc::new(account.aws.clone().unwrap_or_default()))).collect();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = *known != next;
        *known = next;
        changed
    }

    /// One account; with nothing said of it, where the fleet says nothing.
    pub fn get(&self, id: &str) -> Arc<AwsAccount> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(id).cloned().unwrap_or_default()
    }
}
