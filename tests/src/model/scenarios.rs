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
        batches: false,
        expects: &[],
    }
}

/// What every change is checked with: minutes on two cores.
pub fn small() -> Vec<Scenario> {
    let rotation = |count, surge| Fleet::new(count, surge).version(Rotate, NEW);
    let back = |count, surge| rotation(count, surge).version(Revert, OLD).wishes();
    let hurry = Fleet::new(1, 1).in_a_hurry().version(Rotate, NEW).version(Revert, OLD);
    vec![
        Scenario {
            batches: true,
            disturbances: 1,
            expects: &[ROTATED, ROLLED_BACK, HALTED, CRASHED, TWICE],
            ..scenario("1 cluster, rotation and revert, 1 fault", back(1, 1))
        },
        Scenario {
            batches: true,
            disturbances: 1,
            expects: &[ROTATED, ROLLED_BACK],
            ..scenario("1 cluster in a hurry, rotation and revert, 1 fault", hurry.wishes())
        },
        Scenario {
            batches: true,
            built: false,
            grain: Grain::Parts,
            disturbances: 2,
            ..scenario("1 cluster part by part, from nothing, 2 faults", Fleet::new(1, 1).wishes())
        },
        Scenario {
            grain: Grain::Parts,
            disturbances: 1,
            expects: &[ROTATED],
            ..scenario("1 cluster part by part, rotation, 1 fault", rotation(1, 1).wishes())
        },
        Scenario {
            disturbances: 1,
            expects: &[HALTED],
            ..scenario("2 clusters, in place and back, 1 fault", Fleet::new(2, 1).tag("gold").tag("silver").wishes())
        },
        Scenario {
            disturbances: 1,
            expects: &[ROTATED],
            ..scenario("2 clusters, rotation, 1 fault", rotation(2, 1).wishes())
        },
        Scenario {
            disturbances: 1,
            expects: &[ROTATED, ROLLED_BACK],
            ..scenario("2 clusters, rotation and revert, 1 fault", back(2, 1))
        },
        Scenario { expects: &[ROTATED], ..scenario("2 clusters, 2 at once, rotation, fewer", rotation(2, 2).count(1).wishes()) },
        Scenario {
            disturbances: 1,
            expects: &[ROTATED],
            ..scenario("3 clusters, rotation, 1 fault", rotation(3, 1).wishes())
        },
        Scenario { expects: &[ROTATED, ROLLED_BACK], ..scenario("3 clusters, rotation and revert", back(3, 1)) },
        Scenario { expects: &[ROTATED], ..scenario("1 cluster, rotation, more, fewer", rotation(1, 1).count(2).count(1).wishes()) },
        Scenario {
            expects: &[ROTATED, ROLLED_BACK],
            ..scenario("2 waves of 1 cluster, rotation and revert", {
                Fleet::new(1, 1).in_two_waves().version(Rotate, NEW).version(Revert, OLD).wishes()
            })
        },
        Scenario {
            disturbances: 1,
            expects: &[HALTED],
            ..scenario("2 clusters, none after an approval, 1 fault", {
                Fleet::new(2, 1).with_removals(1).count(0).wishes()
            })
        },
        Scenario {
            daemons: 2,
            expects: &[ROTATED, BOTH],
            ..scenario("1 cluster, 2 daemons, rotation", rotation(1, 1).wishes())
        },
    ]
}

/// What is checked when there is more time.
pub fn large() -> Vec<Scenario> {
    small()
}
