//! I8, I12, I15: in which order commits are acted on, whether what is done was planned, and how soon it is tried again.

use fleetwright_core::action::{Action, ActionKey};
use fleetwright_core::desired::Desired;
use fleetwright_core::inventory::ErrorClass;
use fleetwright_core::memory::{Acknowledgements, BACKOFF_MAX, BACKOFF_MIN};
use fleetwright_core::plan::Plan;
use fleetwright_schema::units::{Duration, Timestamp};

use super::{Judge, Mind, Process, Promise, Publication, Tip};

/// An action that failed, and how often in a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failed {
    attempts: u32,
    not_before: Timestamp,
}

impl Judge {
    pub(super) fn remember_plan(
        &mut self,
        process: Process,
        tip: Tip,
        now: Timestamp,
        desired: &Desired,
        acknowledgements: &Acknowledgements,
        plan: &Plan,
    ) {
        let before = self.processes.remove(&process);
        let (acted_on, failures) = before.map(|mind| (mind.acted_on, mind.failures)).unwrap_or_default();
        let mind = Mind {
            tip,
            now,
            desired: desired.clone(),
            acknowledgements: acknowledgements.clone(),
            record: plan.record.clone(),
            actions: plan.actions.clone(),
            acted_on,
            failures,
        };
        self.processes.insert(process, mind);
    }

    pub(super) fn order_of_publication(&mut self, publication: &Publication<'_>) {
        let Publication { new, mind, .. } = publication;
        self.unless(**new == mind.record, Promise::I12, || "another record is published than was checked".to_owned());
        let (tip, last) = (mind.tip, self.pushed_on);
        self.unless(last <= Some(tip), Promise::I8, || format!("pushed from tip {tip}, and {last:?} was pushed from"));
        self.pushed_on = self.pushed_on.max(Some(tip));
    }

    pub(super) fn order_of_action(&mut self, process: Process, action: &Action, now: Timestamp) {
        let Some(mind) = self.processes.get_mut(&process) else {
            return self.unless(false, Promise::I12, || format!("{action}: by nobody who planned"));
        };
        let (tip, last) = (mind.tip, mind.acted_on);
        mind.acted_on = last.max(Some(tip));
        let planned = mind.actions.contains(action);
        let not_before = mind.failures.get(&action.key).map(|failed| failed.not_before);
        self.unless(planned, Promise::I12, || format!("{action}: not in the plan that was checked"));
        self.unless(last <= Some(tip), Promise::I8, || format!("{action}: on tip {tip}, and {last:?} was acted on"));
        self.unless(not_before.is_none_or(|time| time <= now), Promise::I15, || {
            format!("{action}: at {now}, and its backoff lasts until {not_before:?}")
        });
    }

    pub(super) fn returned(
        &mut self,
        process: Process,
        key: &ActionKey,
        error: Option<(ErrorClass, Option<Duration>)>,
        now: Timestamp,
    ) {
        let Some(mind) = self.processes.get_mut(&process) else { return };
        let Some((_, retry_after)) = error else {
            mind.failures.remove(key);
            return;
        };
        let attempts = mind.failures.get(key).map_or(0, |failed| failed.attempts) + 1;
        let doubled = BACKOFF_MIN.seconds() << (attempts - 1).min(6);
        let pause = Duration::from_seconds(doubled).min(BACKOFF_MAX).max(retry_after.unwrap_or_default());
        mind.failures.insert(key.clone(), Failed { attempts, not_before: now.plus(pause) });
    }
}
