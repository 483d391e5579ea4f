//! The scenarios: what is checked at every change, and what is checked when there is more time.

use super::scenario::Edit::{Revert, Rotate};
use super::scenario::{Fault, Fleet, Scenario, Wished};
use super::world::Grain;
use super::{BOTH, CRASHED, HALTED, ROLLED_BACK, ROTATED, TWICE};

const NEW: &str = "1.33";
const OLD: &str = "1.32";

fn scenario(name: &'static str, wishes: Vec<Wished>) -> Scenario {
    Scenario {
        name,
        wishes,
        built: true,
        daemons: 1,
        disturbances: 0,
        faults: &Fault::ALL,
        grain: Grain::Whole,
        expects: &[],
    }
}

/// What every change is checked with: minutes on two cores.
pub fn small() -> Vec<Scenario> {
    let rotation = |count, surge| Fleet::new(count, surge).version(Rotate, NEW);
    vec![
        Scenario { expects: &[ROTATED], ..scenario("one cluster rotates", rotation(1, 1).wishes()) },
        Scenario {
            disturbances: 1,
            expects: &[ROTATED, ROLLED_BACK, HALTED, CRASHED, TWICE],
            ..scenario("one cluster rotates and rolls back, one fault", rotation(1, 1).version(Revert, OLD).wishes())
        },
        Scenario {
            built: false,
            grain: Grain::Parts,
            disturbances: 1,
            ..scenario("one cluster is built part by part, one fault", Fleet::new(1, 1).wishes())
        },
        Scenario {
            daemons: 2,
            expects: &[ROTATED, BOTH],
            ..scenario("one cluster rotates, two daemons", rotation(1, 1).wishes())
        },
    ]
}

/// What is checked when there is more time.
pub fn large() -> Vec<Scenario> {
    small()
}
