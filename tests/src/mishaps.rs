//! What goes wrong in the clouds, out of a seed.

use fleetwright_core::inventory::{ErrorClass, Step};
use fleetwright_core::record::Record;
use fleetwright_schema::units::{Duration, Timestamp};
use fleetwright_simulator::{Fault, Odds, Scope, Target};

use crate::wishes::{Dice, People};

/// A fault of some kind, somewhere, for some time.
pub fn mishap(dice: &mut Dice, people: &People, record: &Record, now: Timestamp) -> Fault {
    let id = dice.pick(&people.all.clone());
    let scope = if dice.percent(50) { Scope::place(&people.place(&id)) } else { Scope::default() };
    let until = now.plus(Duration::from_seconds(dice.pick(&[60, 600, 3600])));
    let clusters: Vec<_> = record.clusters().map(|(_, c)| c.metadata.name.clone()).collect();
    match dice.between(0, 9) {
        0 => Fault::Outage { scope, from: now, until },
        1 => Fault::StaleReads { scope, lag: Duration::from_seconds(dice.pick(&[5, 60])), from: now, until },
        2 => Fault::LoseReply { target: Target::default(), times: 3 },
        3 => Fault::Refuse {
            target: Target::default(),
            class: dice.pick(&ErrorClass::ALL),
            times: Some(4),
            until: Some(until),
        },
        4 => Fault::BecomeFailed { target: Target::default(), times: Some(2) },
        // A workload that begins to stick after it was seen to be gone would be a miracle, not a fault.
        5 if record.clusters().all(|(_, c)| c.status.retirement.is_none()) => {
            Fault::StuckDrain { cluster: "*".to_owned(), blocked_by: vec!["web/pod".to_owned()] }
        }
        6 => Fault::Uncountable { cluster: "*".to_owned(), until: Some(until) },
        7 => Fault::Slow { target: Target::default(), latency_percent: dice.pick(&[20, 300]) },
        8 if !clusters.is_empty() => Fault::Vanish { cluster: dice.pick(&clusters), step: Step::ControlPlane },
        _ => {
            let odds = Odds {
                lose_reply_per_mille: 100,
                lose_request_per_mille: 100,
                throttle_per_mille: 100,
                outage_per_mille: 50,
                become_failed_per_mille: 0,
            };
            Fault::Random { scope, odds, until: Some(until) }
        }
    }
}
