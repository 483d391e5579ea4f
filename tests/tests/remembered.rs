//! Bugs of the whole daemon, each by a seed of the simulation that showed it. `docs/proof.md` tells more of them.
#![allow(clippy::unwrap_used, clippy::panic)]

use fleetwright_tests::simulation::{Script, run};

fn holds(seed: u64) {
    if let Err(failure) = run(&Script::new(seed), false) {
        panic!("{}\n{}", Script::new(seed).replay(), failure.what);
    }
}

/// A server said that it took a push, and lost it; clusters were made that no commit named.
#[test]
fn a_push_that_was_lost_after_all_permits_nothing() {
    [3, 13, 22, 38, 39, 45].into_iter().for_each(holds);
}

/// A copy of the remote that lags showed an older record, and it was acted on.
#[test]
fn an_older_state_of_the_remote_permits_nothing() {
    [43, 60, 62, 85, 96, 108, 1578, 2463].into_iter().for_each(holds);
}

/// A copy that lags showed a state that was news to a new process, or to one that had been away, and it was acted on.
#[test]
fn a_state_that_is_news_and_yet_old_permits_nothing() {
    [4527].into_iter().for_each(holds);
}

/// Where every push was beaten, because the tips came from a copy that lags, the remote was asked without any pause.
#[test]
fn who_loses_race_after_race_pauses() {
    [71, 82, 106].into_iter().for_each(holds);
}

/// What waited for the server's word put off the next reading of the tip each time, so that it was never read again.
#[test]
fn actions_that_wait_for_the_tip_do_not_put_off_reading_it() {
    [4083, 4097].into_iter().for_each(holds);
}

/// After a branch was rewritten and restored, the same was written again and again, at full speed.
#[test]
fn a_restored_branch_is_no_reason_to_spin() {
    holds(299);
}

/// One daemon judged a cluster that another had drained by its own reading of before, and drained it once more, past the
/// disruption budget.
#[test]
fn readings_from_before_another_daemons_change_say_nothing() {
    holds(371);
}

/// A listing failed after the remote had said that the tip moved, and the old tip counted as confirmed.
#[test]
fn a_tip_that_moved_and_could_not_be_fetched_permits_nothing() {
    [1225, 1620].into_iter().for_each(holds);
}

/// A replacement was lost while the drain that it made possible waited for a consumer; the drain began all the same.
#[test]
fn a_drain_does_not_begin_once_too_few_serve_without_it() {
    holds(14693);
}

/// One failed reading of a quiet place was told five minutes later as if it had failed all the time, by a commit of its own.
#[test]
fn one_failed_reading_is_no_news() {
    holds(17485);
}
