//! A daemon's progress on a terminal: one line that moves, and a line for each publication.

use std::time::Duration;

use fleetwright_core::record::Record;
use fleetwright_schema::status::ClusterState;
use indicatif::{ProgressBar, ProgressStyle};

use crate::events::{Event, Events};

/// Shows how many clusters are READY of those that should be.
pub struct Bars {
    bar: ProgressBar,
}

const TEMPLATE: &str = "{spinner} [{bar:30}] {pos}/{len} READY  {msg}";

impl Bars {
    /// A bar on stderr; hidden where that is no terminal.
    pub fn new() -> Self {
        let bar = ProgressBar::new(0);
        if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
            bar.set_style(style.progress_chars("━╸─"));
        }
        bar.enable_steady_tick(Duration::from_millis(120));
        Self { bar }
    }

    fn show(&self, record: &Record, wished: u64, now: &str) {
        let count = |state: ClusterState| record.clusters().filter(|(_, c)| c.status.state == state).count();
        let serving = count(ClusterState::Ready) + count(ClusterState::Updating);
        let others = ClusterState::ALL.into_iter().filter(|state| !state.serves());
        let moving = others.map(|state| (count(state), state)).filter(|(count, _)| *count > 0);
        let words: Vec<String> = moving.map(|(count, state)| format!("{count} {state}")).collect();
        self.bar.set_length(wished);
        self.bar.set_position((serving as u64).min(wished));
        self.bar.set_message(format!("{}  {now}", words.join(", ")));
    }
}

impl Default for Bars {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

impl Events for Bars {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Planned { plan, record, now } => {
                let wished = plan.record.sets.values().map(|set| u64::from(set.spec.count)).sum();
                self.show(record, wished, &now.to_string());
            }
            Event::Published { published, now } => {
                if let Some(commit) = &published.commit {
                    self.bar.println(format!("{now}  {}  {}", commit.short(), published.summary));
                }
            }
            Event::NotPublished(error) => self.bar.println(format!("not published: {error}")),
            Event::Violation(violation) => self.bar.println(format!("refused by the check: {violation}")),
            Event::ReadFailed { place, error } => self.bar.println(format!("{place} not read: {error}")),
            Event::Finished { action, result: Err(error), .. } => self.bar.println(format!("{action}: {error}")),
            Event::Trouble(what) => self.bar.println(what),
            Event::Tip { .. } | Event::Started { .. } | Event::Finished { .. } => {}
        }
    }
}
