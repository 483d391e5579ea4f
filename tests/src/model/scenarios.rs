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

/// All but a control plane that vanishes.
const UNLOST: [Fault; 9] = [
    Fault::Crash,
    Fault::LostReply,
    Fault::LostRequest,
    Fault::Twice,
    Fault::StaleList,
    Fault::LateReading,
    Fault::FailedReading,
    Fault::LostPush,
    Fault::Slowness,
];

fn back(count: u32, surge: u32) -> Fleet {
    Fleet::new(count, surge).version(Rotate, NEW).version(Revert, OLD)
}

fn hurry(count: u32) -> Fleet {
    Fleet::new(count, 1).in_a_hurry().version(Rotate, NEW).version(Revert, OLD)
}

/// What every change is checked with: minutes on two cores.
pub fn small() -> Vec<Scenario> {
    let one_fault = |name, fleet: Fleet| Scenario { disturbances: 1, ..scenario(name, fleet.wishes()) };
    vec![
        Scenario {
            batches: true,
            expects: &[ROTATED, ROLLED_BACK, HALTED, CRASHED, TWICE],
            ..one_fault("1 cluster, rotation and revert, 1 fault", back(1, 1))
        },
        Scenario {
            batches: true,
            expects: &[ROTATED, ROLLED_BACK],
            ..one_fault("1 cluster in a hurry, rotation and revert, 1 fault", hurry(1))
        },
        // What was opened for the revert is drained once more, and lists may still show what it was before. Nothing vanishes:
        // a cluster that was opened, and not yet published as serving, is drained again even where its successor was lost.
        Scenario {
            faults: &UNLOST,
            expects: &[ROTATED, ROLLED_BACK],
            ..one_fault("1 cluster in a hurry, there, back and there, 1 fault", hurry(1).version(Rotate, NEW))
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
            expects: &[ROTATED, CRASHED],
            ..one_fault("1 cluster part by part, rotation, 1 fault", Fleet::new(1, 1).version(Rotate, NEW))
        },
        Scenario {
            expects: &[HALTED, TWICE],
            ..one_fault("1 cluster, in place, 1 fault", Fleet::new(1, 1).tag("gold"))
        },
        // A name is given a second time only where the last to be named is gone, and its tombstone with it.
        Scenario {
            expects: &[ROTATED, ROLLED_BACK],
            ..scenario("1 cluster, rotation, revert, in place, rotation", {
                back(1, 1).tag("gold").version(Rotate, NEW).wishes()
            })
        },
        Scenario {
            expects: &[ROTATED],
            ..scenario("1 cluster, rotation, more, fewer", {
                Fleet::new(1, 1).version(Rotate, NEW).count(2).count(1).wishes()
            })
        },
        Scenario {
            expects: &[ROTATED, CRASHED, HALTED],
            ..one_fault("2 clusters, rotation, 1 fault", Fleet::new(2, 1).version(Rotate, NEW))
        },
        Scenario {
            expects: &[ROTATED, ROLLED_BACK],
            ..scenario("2 clusters, rotation and revert", back(2, 1).wishes())
        },
        Scenario {
            expects: &[ROTATED],
            ..scenario("2 clusters, 2 at once, rotation, fewer", {
                Fleet::new(2, 2).version(Rotate, NEW).count(1).wishes()
            })
        },
        Scenario {
            expects: &[HALTED],
            ..one_fault("2 clusters, none after an approval, 1 fault", Fleet::new(2, 1).with_removals(1).count(0))
        },
        Scenario {
            expects: &[ROTATED, CRASHED],
            ..one_fault("3 clusters, rotation, 1 fault", Fleet::new(3, 1).version(Rotate, NEW))
        },
        Scenario {
            expects: &[ROTATED, ROLLED_BACK],
            ..scenario("3 clusters, rotation and revert", back(3, 1).wishes())
        },
        Scenario {
            expects: &[ROTATED, ROLLED_BACK],
            ..scenario("2 waves of 1 cluster, rotation and revert", {
                Fleet::new(1, 1).in_two_waves().version(Rotate, NEW).version(Revert, OLD).wishes()
            })
        },
        Scenario {
            daemons: 2,
            built: false,
            faults: &[Fault::Crash],
            expects: &[BOTH],
            ..one_fault("1 cluster, 2 daemons, from nothing, 1 crash", Fleet::new(1, 1))
        },
        Scenario {
            daemons: 2,
            expects: &[ROTATED, BOTH],
            ..scenario("1 cluster, 2 daemons, rotation", Fleet::new(1, 1).version(Rotate, NEW).wishes())
        },
    ]
}

/// What is checked when there is more time: hours.
pub fn large() -> Vec<Scenario> {
    let faults = |name, disturbances, fleet: Fleet| Scenario { disturbances, ..scenario(name, fleet.wishes()) };
    let more = vec![
        Scenario {
            batches: true,
            expects: &[ROTATED, ROLLED_BACK, HALTED, CRASHED, TWICE],
            ..faults("1 cluster, rotation and revert, 2 faults", 2, back(1, 1))
        },
        Scenario {
            expects: &[ROTATED, ROLLED_BACK, CRASHED],
            ..faults("2 clusters, rotation and revert, 1 fault", 1, back(2, 1))
        },
        Scenario {
            expects: &[ROTATED, ROLLED_BACK, CRASHED],
            ..faults("2 clusters in a hurry, rotation and revert, 1 fault", 1, hurry(2))
        },
        Scenario {
            expects: &[HALTED],
            ..faults("2 clusters, in place and back, 1 fault", 1, Fleet::new(2, 1).tag("gold").tag("silver"))
        },
        Scenario {
            expects: &[ROTATED, ROLLED_BACK, CRASHED],
            ..faults("3 clusters, rotation and revert, 1 fault", 1, back(3, 1))
        },
        Scenario {
            daemons: 2,
            faults: &[Fault::Crash, Fault::LostPush],
            expects: &[ROTATED, ROLLED_BACK, BOTH, CRASHED],
            ..faults("1 cluster, 2 daemons, rotation and revert, 1 crash", 1, back(1, 1))
        },
    ];
    small().into_iter().chain(more).collect()
}
