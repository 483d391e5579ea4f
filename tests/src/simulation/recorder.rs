//! Tells the judge what a process says of itself, and keeps what the crowd wants to know of its last plan.

use fleetwright::events::{Event, Events};
use fleetwright_core::desired::Desired;
use fleetwright_core::memory::Acknowledgements;
use fleetwright_core::plan::Plan;
use fleetwright_core::record::Record;
use fleetwright_core::snapshot::CommitId;
use fleetwright_core::waiting::Waiting;
use fleetwright_schema::units::Timestamp;

use super::Shared;
use crate::promises::{Effect, Process, Tip};

/// What is known of the last plan of a process.
#[derive(Clone, Debug, Default)]
pub struct LastPlan {
    /// The tip that it was made from.
    pub tip: Tip,
    /// Whether the tip could be taken up as a whole.
    pub sound: bool,
    /// Nothing to publish, nothing to do, everything as wished.
    pub settled: bool,
    /// It waits for people, and nobody else.
    pub stuck: bool,
    /// What it waits for, when somebody asked.
    pub waits: Vec<String>,
}

/// Who listens to one process.
pub struct Recorder {
    /// The stage.
    pub shared: Shared,
    /// Which process.
    pub process: Process,
    tip: Tip,
    commit: Option<CommitId>,
    sound: bool,
    told: Option<Tip>,
    desired: Option<Desired>,
    acknowledgements: Acknowledgements,
}

impl Recorder {
    /// Of a process that has said nothing yet.
    pub fn new(shared: Shared, process: Process) -> Self {
        let (desired, acknowledgements) = (None, Acknowledgements::default());
        Self { shared, process, tip: 0, commit: None, sound: false, told: None, desired, acknowledgements }
    }

    fn planned(&mut self, plan: &Plan, record: &Record, now: Timestamp) {
        let Some(desired) = &self.desired else { return };
        let mut stage = self.shared.borrow_mut();
        // Two processes may write the very same commit, and only one of them push it: its number is asked for late.
        self.tip = self.commit.as_ref().map_or(0, |commit| stage.remote.number_of(commit));
        stage.tally.plans += 1;
        let quiet = plan.is_quiet(record);
        // A plan that changes nothing says nothing, but that it was made from this tip.
        if !quiet || self.told != Some(self.tip) {
            self.told = quiet.then_some(self.tip);
            let (process, tip, acknowledgements) = (self.process, self.tip, &self.acknowledgements);
            stage.judge.take(&Effect::Planned { process, tip, now, desired, acknowledgements, plan });
        }
        let excused = plan
            .reports
            .values()
            .flat_map(|report| report.clusters.values().flatten())
            .any(|waiting| matches!(waiting, Waiting::Stalled { .. } | Waiting::Drain { overdue: true, .. }));
        let last = LastPlan {
            tip: self.tip,
            sound: self.sound,
            settled: quiet && plan.is_settled(),
            stuck: quiet && plan.is_stuck() && plan.removals.is_none() && !excused,
            waits: if stage.asks { waits(plan) } else { Vec::new() },
        };
        stage.last_plans.insert(self.process, last);
        if let Some(removals) = &plan.removals {
            stage.wanted_approvals.insert(removals.digest.clone(), removals.clone());
        }
    }
}

fn waits(plan: &Plan) -> Vec<String> {
    let mut lines = Vec::new();
    for (id, report) in plan.reports.iter().filter(|(_, report)| !report.settled) {
        lines.extend(report.waiting.iter().map(|waiting| format!("{id}: {}", waiting.sentence())));
        for (name, all) in &report.clusters {
            lines.extend(all.iter().map(|waiting| format!("  {name}: {}", waiting.sentence())));
        }
    }
    lines
}

impl Events for Recorder {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Tip { tip } => {
                self.commit = tip.commit.clone();
                self.sound = tip.sound;
                self.desired = Some(tip.desired.clone());
                self.acknowledgements = tip.acknowledgements.clone();
            }
            Event::Planned { plan, record, now } => self.planned(plan, record, now),
            Event::Violation(violation) => {
                self.shared.borrow_mut().trouble = Some(format!("the check objects: {violation}"));
            }
            Event::Started { action, now } => {
                let mut stage = self.shared.borrow_mut();
                stage.say(format!("process {} hands out {action}", self.process));
                stage.judge.take(&Effect::HandedOut { process: self.process, action, now });
            }
            Event::NotPublished(error) => {
                let text = error.to_string();
                let mut stage = self.shared.borrow_mut();
                stage.say(format!("process {}: not published: {text}", self.process));
                stage.judge.take(&Effect::Said { text: &text });
            }
            Event::Trouble(text) => {
                let mut stage = self.shared.borrow_mut();
                stage.say(format!("process {}: {text}", self.process));
                stage.judge.take(&Effect::Said { text });
            }
            Event::ReadFailed { error, .. } => {
                let text = error.to_string();
                self.shared.borrow_mut().judge.take(&Effect::Said { text: &text });
            }
            Event::Published { .. } | Event::Finished { .. } => {}
        }
    }
}
