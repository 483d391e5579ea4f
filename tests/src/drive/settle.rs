//! The end of a run: what is disturbed settles, and stays.

use std::collections::BTreeSet;

use fleetwright_core::plan::Plan;
use fleetwright_core::waiting::Waiting;
use fleetwright_schema::set::{DeletionPolicy, ResolvedSet};
use fleetwright_schema::units::Duration;

use super::Drive;
use crate::promises::Effect;

/// Steps after which a fleet that is left alone must be as wished.
const CALM_STEPS_MAX: u64 = 20_000;
/// Simulated time after which it must be.
const CALM_TIME_MAX: Duration = Duration::from_minutes(60 * 24 * 30);

impl Drive {
    /// Faults stop and the wish stands still: the fleet reaches it.
    pub(super) fn settle(&mut self) -> Result<(), String> {
        self.calm = true;
        self.world.clear_faults().unwrap();
        self.people.let_go();
        if self.dice.percent(70) {
            self.people.config.maintenance_windows.clear();
        }
        self.files_for_what_is_stuck();
        self.take_up();
        self.say("calm");
        // What somebody deleted a moment ago is only known by a reading.
        self.rounds.clear();
        self.letters.clear();
        let until = self.now().plus(CALM_TIME_MAX);
        for step in 0..CALM_STEPS_MAX {
            self.acknowledge();
            let acted = self.step()?;
            if acted || !self.flying.is_empty() {
                continue;
            }
            let plan = self.plan()?;
            let read = self.rounds.values().all(|round| round.last.is_some()) && !self.rounds.is_empty();
            if (read || self.places().is_empty()) && plan.is_settled() && plan.is_quiet(&self.record) {
                return Ok(());
            }
            if plan.is_stuck() && plan.is_quiet(&self.record) && plan.removals.is_none() && !self.is_excused(&plan) {
                return Err(format!("stuck, though nobody is needed:\n{}", self.waits(&plan)));
            }
            if self.now() > until {
                return Err(format!("not settled in time, after {step} steps:\n{}", self.waits(&plan)));
            }
        }
        let plan = self.plan()?;
        Err(format!("not settled in {CALM_STEPS_MAX} steps:\n{}", self.waits(&plan)))
    }

    /// Sets that can only be gone on with by a file get one: those that retain their clusters, and those that were paused
    /// when theirs was removed.
    fn files_for_what_is_stuck(&mut self) {
        let recorded = self.record.sets.iter();
        let stuck = recorded.filter(|(id, set)| {
            let retained = set.spec.deletion_policy == DeletionPolicy::Retain && !set.clusters.is_empty();
            let paused = set.spec.paused || !set.spec.paused_clusters.is_empty();
            !self.people.sets.contains_key(id) && (retained || paused)
        });
        let wish = |set: &ResolvedSet| ResolvedSet { paused: false, paused_clusters: BTreeSet::new(), ..set.clone() };
        let wishes: Vec<_> = stuck.map(|(id, set)| (id.clone(), wish(&set.spec))).collect();
        self.people.sets.extend(wishes);
    }

    /// A cluster over twice its deadline may be called stuck while its provider still works.
    fn is_excused(&self, plan: &Plan) -> bool {
        plan.reports
            .values()
            .flat_map(|report| report.clusters.values().flatten())
            .any(|waiting| matches!(waiting, Waiting::Stalled { .. } | Waiting::Drain { overdue: true, .. }))
    }

    fn waits(&self, plan: &Plan) -> String {
        let mut lines = Vec::new();
        for (id, report) in plan.reports.iter().filter(|(_, report)| !report.settled) {
            lines.push(format!("{id} is not settled"));
            lines.extend(report.waiting.iter().map(|waiting| format!("  {}", waiting.sentence())));
            for (name, all) in &report.clusters {
                lines.extend(all.iter().map(|waiting| format!("  {name}: {}", waiting.sentence())));
            }
            for cluster in plan.record.sets.get(id).into_iter().flat_map(|set| &set.clusters) {
                let (state, revision) = (cluster.status.state, &cluster.status.revision);
                lines.push(format!("  {} {state} {revision} since {}", cluster.metadata.name, cluster.status.since));
            }
        }
        lines.join("\n")
    }

    /// And it stays there.
    pub(super) fn stay(&mut self) -> Result<(), String> {
        let standing = self.standing();
        self.judge.take(&Effect::Settled { desired: &self.desired, standing: &standing });
        let before = self.record.clone();
        for _ in 0..24 {
            let plan = self.plan()?;
            if !plan.is_quiet(&before) || !plan.is_settled() {
                self.say_changes(&plan);
                let actions: Vec<String> = plan.actions.iter().map(ToString::to_string).collect();
                return Err(format!("it does not stay: {actions:?}\n{}", self.waits(&plan)));
            }
            let next = self.now().plus(Duration::from_minutes(self.dice.pick(&[1, 5, 14, 60, 60 * 24 * 3])));
            self.clock.advance_to(next);
            self.letters.clear();
            self.rounds.clear();
            self.read();
        }
        self.judge.breaches().first().map_or(Ok(()), |breach| Err(format!("in the end: {breach}")))
    }
}
