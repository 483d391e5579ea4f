//! What is known of the accounts of a fleet: how they are entered, and who may use their clusters.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use fleetwright_clouds::CloudError;
use fleetwright_core::inventory::ErrorClass;
use fleetwright_schema::documents::{AwsAccount, FleetSpec, Provider};
use fleetwright_schema::names::Cloud;

use crate::error::error;

/// The accounts, by their ids; none before a fleet was read.
#[derive(Debug, Default)]
pub struct Accounts(Mutex<Option<BTreeMap<String, Arc<AwsAccount>>>>);

impl Accounts {
    /// Takes up what a fleet says.
    pub fn learn(&self, config: &FleetSpec) {
        let accounts = config.environments.iter().filter_map(|environment| environment.accounts.get(&Cloud::Aws));
        let real = accounts.filter(|account| account.provider == Provider::Real);
        let next =
            real.map(|account| (account.id.clone(), Arc::new(account.aws.clone().unwrap_or_default()))).collect();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(next);
    }

    /// One account. One that the fleet no longer names is not entered: whatever the process is by itself, it is not that.
    pub fn get(&self, id: &str) -> Result<Arc<AwsAccount>, CloudError> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = &*known else { return Ok(Arc::default()) };
        let none = || error(ErrorClass::Denied, "NoAccount", format!("fleet.yaml names no account {id} of AWS"));
        known.get(id).cloned().ok_or_else(none)
    }
}
