//! From what a commit says to what is acted on: what can't be read is held, and only what is plainly gone is gone.

use std::collections::BTreeMap;
use std::sync::Arc;

use fleetwright_schema::documents::FleetSpec;
use fleetwright_schema::names::SetId;

use super::{FleetReading, SetReading};
use crate::desired::{Desired, Hold, Wish};
use crate::mutant;
use crate::record::Record;

/// The wish of a commit. `hold` is what is known to be wrong with the commit itself; `last` are the settings last read,
/// by which places stay known while `fleet.yaml` is broken.
pub fn desired(reading: &FleetReading, record: &Record, hold: Option<Hold>, last: Option<Arc<FleetSpec>>) -> Desired {
    let Some(config) = reading.config.clone() else {
        return Desired::held(hold.unwrap_or(Hold::FleetUnreadable), last);
    };
    if let Some(hold) = hold {
        return Desired::held(hold, Some(config));
    }
    let read = reading.sets.iter().filter(|(_, set)| set.wanted.is_some() || !mutant::on("unreadable-file-removes"));
    let mut sets: BTreeMap<SetId, Wish> = read.map(|(id, set)| (id.clone(), wish(id, set))).collect();
    if let Some(obscured) = reading.obscured.first() {
        // A set that seems to be gone may be in the file or folder that could not be read.
        for id in record.sets.keys().filter(|id| !reading.sets.contains_key(id)) {
            sets.insert(id.clone(), Wish::Held(Hold::FileUnreadable(obscured.clone())));
        }
    }
    Desired { config: Some(config), sets, hold: None, approvals: reading.approvals.clone() }
}

fn wish(id: &SetId, set: &SetReading) -> Wish {
    match &set.wanted {
        Some(wanted) => Wish::Wanted(Arc::clone(wanted)),
        None => Wish::Held(Hold::FileUnreadable(id.wish_path())),
    }
}
