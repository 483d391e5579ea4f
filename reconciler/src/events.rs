//! What a daemon tells while it runs, for whoever shows it: logs, progress bars, tests.

use fleetwright_clouds::{CloudError, Progress};
use fleetwright_core::action::Action;
use fleetwright_core::check::Violation;
use fleetwright_core::inventory::Place;
use fleetwright_core::plan::Plan;
use fleetwright_core::record::Record;
use fleetwright_schema::units::Timestamp;

use crate::publisher::{PublishError, Published};
use crate::tip::Tip;

/// Something happened.
pub enum Event<'a> {
    /// The tip was read.
    Tip {
        /// What it says.
        tip: &'a Tip,
    },
    /// A plan was made.
    Planned {
        /// The plan.
        plan: &'a Plan,
        /// What it was made from.
        record: &'a Record,
        /// When.
        now: Timestamp,
    },
    /// The check took something out of a plan: a defect of the planner.
    Violation(&'a Violation),
    /// A record was published.
    Published {
        /// What came of it.
        published: &'a Published,
        /// When.
        now: Timestamp,
    },
    /// A record was not published.
    NotPublished(&'a PublishError),
    /// An action was handed out.
    Started {
        /// Which.
        action: &'a Action,
        /// When.
        now: Timestamp,
    },
    /// An action came back.
    Finished {
        /// Which.
        action: &'a Action,
        /// What came of it.
        result: &'a Result<Progress, CloudError>,
        /// When.
        now: Timestamp,
    },
    /// A place could not be read.
    ReadFailed {
        /// Where.
        place: &'a Place,
        /// Why.
        error: &'a CloudError,
    },
    /// Something else went wrong, and is tried again.
    Trouble(&'a str),
}

/// Who is told.
pub trait Events {
    /// Takes an event; must not block.
    fn event(&mut self, event: Event<'_>);
}

/// Tells nobody.
pub struct Silent;

impl Events for Silent {
    fn event(&mut self, _: Event<'_>) {}
}

/// Writes to the log: what changes things as information, what repeats as detail.
pub struct Logged;

impl Events for Logged {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Tip { tip } => {
                let tip_id = tip.commit.as_ref().map_or("none", |commit| commit.short());
                tracing::debug!(tip = tip_id, sound = tip.sound, parsed = tip.files_parsed, "tip read");
                if let Some(hold) = &tip.desired.hold {
                    tracing::warn!(reason = hold.reason(), "held: {hold}");
                }
            }
            Event::Planned { plan, .. } => {
                tracing::debug!(actions = plan.actions.len(), settled = plan.is_settled(), "planned");
            }
            Event::Violation(violation) => tracing::error!(%violation, "the check refused a part of the plan"),
            Event::Published { published, now } => match &published.commit {
                Some(commit) => tracing::info!(commit = commit.short(), time = %now, "{}", published.summary),
                None => tracing::debug!(refs = published.moved.len(), time = %now, "nothing to commit"),
            },
            Event::NotPublished(error) => tracing::warn!(%error, "not published"),
            Event::Started { action, now } => {
                tracing::info!(cluster = %action.key.cluster, place = %action.place, time = %now, "{action}");
            }
            Event::Finished { action, result: Err(error), .. } => {
                tracing::warn!(cluster = %action.key.cluster, class = %error.class, "{action}: {error}");
            }
            Event::Finished { action, result: Ok(_), .. } => {
                tracing::debug!(cluster = %action.key.cluster, "{action} accepted");
            }
            Event::ReadFailed { place, error } => tracing::warn!(%place, class = %error.class, "not read: {error}"),
            Event::Trouble(what) => tracing::warn!("{what}"),
        }
    }
}
