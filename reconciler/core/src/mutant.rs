//! Faults that are made by hand, to see that the tests find them. In every build that ships [`on`] is `false` and
//! compiled away; with the feature `mutants` one of them can be switched on by its name.

/// A fault: its name, and what the program then does wrong.
#[derive(Clone, Copy, Debug)]
pub struct Mutant {
    /// By which it is switched on.
    pub name: &'static str,
    /// In words.
    pub what: &'static str,
}

macro_rules! mutants {
    ($($name:literal: $what:literal,)+) => {
        /// All of them.
        pub const ALL: &[Mutant] = &[$(Mutant { name: $name, what: $what }),+];
    };
}

mutants! {
    "in-flight-not-counted": "a cluster is acted on while an action on it is under way",
    "surge-off-by-one": "one cluster more than count + maxSurge is named",
    "spare-off-by-one": "one drain more begins than leaves count serving",
    "bake-ignored": "a new cluster counts as a replacement at once",
    "rollback-window-ignored": "a drained cluster is deleted at once",
    "drain-skipped": "a DRAINING cluster goes to DELETING",
    "emptiness-assumed": "a closed cluster is taken for empty",
    "failed-page-read-as-empty": "a place that could not be read is taken for an empty one",
    "old-reading-believed": "a reading from before our last action counts",
    "foreign-change-ignored": "readings from before another daemon's change count",
    "fencing-skipped": "nobody asks whether the tip is still the remote's",
    "push-believed": "a push that is said to have succeeded is not looked for",
    "older-tip-believed": "a remote that lags is acted on",
    "swap-without-compare": "a push expects whatever the remote has",
    "another-record-published": "what is published is not what was checked",
    "tombstone-skipped": "a cluster vanishes without a tombstone",
    "ordinal-reused": "a new cluster gets the lowest ordinal that is free",
    "unsorted-order": "the order of actions differs from plan to plan",
    "double-create-kept": "of a doubled network both stay",
    "ready-before-whole": "READY is published before the infra services stand",
    "placement-left-closed": "a restored cluster is published while it takes no workloads",
    "consumers-not-waited-for": "a drain begins before its consumers have read of it",
    "backoff-ignored": "a failed action is repeated at once",
    "removal-budget-ignored": "any number of clusters is removed",
    "budget-by-count-alone": "removals under way are not counted for the removal budget",
    "any-approval-counts": "an approval of other removals counts",
    "disruption-budget-ignored": "any number of clusters is disrupted at once",
    "retained-set-deleted": "a set whose file was removed is deleted, whatever its policy",
    "unreadable-file-removes": "a set whose file can't be read is taken for removed",
    "rewritten-history-believed": "a tip that does not descend from what was taken up is acted on",
    "edited-record-believed": "what people write below status/ is the record",
    "pause-ignored": "a paused set is acted on",
    "freeze-ignored": "a frozen set is acted on",
    "window-ignored": "moves begin outside maintenance windows",
    "wave-order-ignored": "a set takes up a revision before the earlier waves have",
    "race-lost-without-pause": "a push that was beaten is repeated as fast as the remote answers",
    "check-bypassed": "what the check objects to is done",
    "check-blind-to-serving": "the check does not count who serves",
    "check-blind-to-evidence": "the check lets a cluster be deleted without evidence",
    "check-blind-to-surge": "the check does not count who is alive",
    "check-blind-to-actions": "the check lets any action pass",
}

#[cfg(feature = "mutants")]
mod switch {
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// One more than the place in [`super::ALL`]; 0 is none.
    static ACTIVE: AtomicUsize = AtomicUsize::new(0);

    /// True at every second call: what an unordered collection would be like.
    pub fn odd() -> bool {
        static CALLS: AtomicUsize = AtomicUsize::new(0);
        CALLS.fetch_add(1, Ordering::Relaxed) % 2 == 1
    }

    /// Whether this mutant is switched on.
    pub fn on(name: &str) -> bool {
        let active = ACTIVE.load(Ordering::Relaxed);
        active > 0 && super::ALL[active - 1].name == name
    }

    /// Switches one on, and every other off; `None` switches all off. False if there is none of this name.
    pub fn switch(name: Option<&str>) -> bool {
        let place = name.map(|name| super::ALL.iter().position(|mutant| mutant.name == name));
        match place {
            None => ACTIVE.store(0, Ordering::Relaxed),
            Some(Some(place)) => ACTIVE.store(place + 1, Ordering::Relaxed),
            Some(None) => return false,
        }
        true
    }
}
#[cfg(feature = "mutants")]
pub use switch::{odd, on, switch};

/// Not asked where no mutant is on.
#[cfg(not(feature = "mutants"))]
#[inline(always)]
pub const fn odd() -> bool {
    false
}

/// Whether this mutant is switched on: never.
#[cfg(not(feature = "mutants"))]
#[inline(always)]
pub const fn on(_: &str) -> bool {
    false
}
