//! Why nothing happened, as a type: what a set or a cluster waits for, in the order in which `why` prints it.

use fleetwright_schema::names::{ClusterName, Name, SetId};
use fleetwright_schema::status::{Condition, ConditionStatus};
use fleetwright_schema::units::{Duration, Timestamp};

use crate::calendar::Closed;
use crate::desired::Hold;
use crate::inventory::{ErrorClass, Place, Step};

/// What is waited for. The order of the variants is the order of the chain: a hold before a freeze before a window …
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// The wish is not acted on.
    Held(Hold),
    /// People paused the set or the cluster.
    Paused,
    /// The change can't be made to a set that exists.
    Forbidden(String),
    /// A freeze is on.
    Frozen(Closed),
    /// No maintenance window is open.
    Window(Closed),
    /// An earlier wave has not reached its revision, or has not baked.
    Wave {
        /// The set's own wave.
        wave: Name,
        /// The first set of an earlier wave that is not there yet.
        behind: SetId,
    },
    /// Too many clusters of the type are stalled.
    FailureBudget {
        /// One of them.
        stalled: ClusterName,
    },
    /// The commit removes more than the budget allows.
    RemovalBudget(Removals),
    /// A budget is used up.
    Budget(String),
    /// No block of addresses is free.
    Addresses(String),
    /// As many clusters are alive as the set may have.
    Batch {
        /// `count` + `maxSurge`.
        alive_max: u32,
    },
    /// A replacement has not served long enough.
    Bake {
        /// Which.
        cluster: ClusterName,
        /// Until when.
        until: Timestamp,
    },
    /// A replacement does not serve yet.
    Replacement,
    /// Nothing recent enough is known.
    Observation(Place, String),
    /// The place can't be read, and will not be until a person mends it.
    Unreadable(Place, String),
    /// A step is under way.
    Step(Step),
    /// A step failed; it is tried again.
    StepFailed {
        /// Which.
        step: Step,
        /// What kind of error.
        class: ErrorClass,
        /// The provider's words.
        message: String,
    },
    /// A consumer has not read that the cluster is draining.
    Consumer {
        /// Who.
        consumer: Name,
        /// When its grace ends.
        until: Timestamp,
    },
    /// Workloads are leaving.
    Drain {
        /// What does not leave, as the cluster names it.
        blocked_by: Vec<String>,
        /// Whether it takes longer than the set allows.
        overdue: bool,
    },
    /// A drained cluster is kept for a revert.
    RollbackWindow(Timestamp),
    /// No progress within the deadline.
    Stalled {
        /// Since when it has been in its state.
        since: Timestamp,
        /// The set's deadline.
        deadline: Duration,
        /// Even twice the deadline has passed, and this process was there to see it.
        hopeless: bool,
    },
}

/// Who ends a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// Time, or something that is under way.
    Time,
    /// A person.
    Person,
    /// Whatever ends another wait.
    Another,
}

/// What a commit would remove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removals {
    /// What an approval must name.
    pub digest: String,
    /// How many clusters.
    pub clusters: u32,
    /// How many are allowed without an approval.
    pub allowed: u32,
}

impl Waiting {
    /// The type of its condition, its reason and its message. Nothing in them moves by itself.
    fn words(&self) -> (&'static str, String, String) {
        match self {
            Self::Held(hold) => ("Held", hold.reason().into(), hold.to_string()),
            Self::Paused => ("Paused", "Paused".into(), "paused by its ClusterSet".into()),
            Self::Forbidden(why) => ("Forbidden", "ForbiddenChange".into(), why.clone()),
            Self::Frozen(closed) => ("Frozen", "Freeze".into(), format!("freeze {} until {}", closed.by, closed.until)),
            Self::Window(closed) => (
                "OutsideWindow",
                "MaintenanceWindow".into(),
                format!("moves start in window {}, which opens at {}", closed.by, closed.until),
            ),
            Self::Wave { wave, behind } => (
                "WaitingForWave",
                "EarlierWave".into(),
                format!("wave {wave} starts when {behind} has reached its revision and baked"),
            ),
            Self::FailureBudget { stalled } => {
                ("Halted", "FailureBudget".into(), format!("{stalled} is stalled; no move starts until it is mended"))
            }
            Self::RemovalBudget(Removals { digest, clusters, allowed }) => (
                "RemovalBlocked",
                "RemovalBudget".into(),
                format!(
                    "the commit removes {clusters} clusters and {allowed} are allowed; approve digest {digest} in \
                     approvals/ to go on"
                ),
            ),
            Self::Budget(name) => ("WaitingForBudget", "Budget".into(), format!("budget {name} is used up")),
            Self::Addresses(why) => ("WaitingForAddresses", "AddressPool".into(), why.clone()),
            Self::Batch { alive_max } => (
                "WaitingForBatch",
                "MaxSurge".into(),
                format!("at most {alive_max} clusters may be alive; the next batch waits for a deletion"),
            ),
            Self::Bake { cluster, until } => {
                ("Baking", "Bake".into(), format!("{cluster} counts as a replacement from {until} on"))
            }
            Self::Replacement => (
                "WaitingForReplacement",
                "Replacement".into(),
                "serves until its replacement is READY and baked".into(),
            ),
            Self::Observation(place, why) | Self::Unreadable(place, why) => {
                ("Unknown", "NotObserved".into(), format!("{place}: {why}"))
            }
            Self::Step(step) => ("Progressing", "Step".into(), format!("{step} under way")),
            Self::StepFailed { step, class, message } => {
                ("StepFailed", class.as_str().into(), format!("{step}: {message}"))
            }
            Self::Consumer { consumer, until } => (
                "WaitingForConsumer",
                "Acknowledgement".into(),
                format!("{consumer} has not read that it is draining; its grace ends at {until}"),
            ),
            Self::Drain { blocked_by, overdue } => {
                let reason = if *overdue { "DrainOverdue" } else { "WorkloadsLeaving" };
                let message = match blocked_by.is_empty() {
                    true => "workloads are leaving".to_owned(),
                    false => format!("held by {}", blocked_by.join(", ")),
                };
                ("Draining", reason.into(), message)
            }
            Self::RollbackWindow(until) => {
                ("RollbackWindow", "RollbackWindow".into(), format!("a revert brings it back until {until}"))
            }
            Self::Stalled { since, deadline, hopeless: _ } => {
                ("Stalled", "ProgressDeadlineExceeded".into(), format!("no progress within {deadline} of {since}"))
            }
        }
    }

    /// As a condition; `before` are the conditions so far, whose times are kept where the status is the same.
    pub fn condition(&self, before: &[Condition], now: Timestamp) -> Condition {
        let (r#type, reason, message) = self.words();
        condition(r#type, ConditionStatus::True, &reason, message, before, now)
    }

    /// Who ends it.
    pub const fn ends(&self) -> Ends {
        match self {
            Self::Frozen(_)
            | Self::Window(_)
            | Self::Bake { .. }
            | Self::Observation(..)
            | Self::Step(_)
            | Self::StepFailed { .. }
            | Self::Consumer { .. }
            | Self::Drain { overdue: false, .. }
            | Self::RollbackWindow(_) => Ends::Time,
            Self::Held(_)
            | Self::Paused
            | Self::Forbidden(_)
            | Self::FailureBudget { .. }
            | Self::RemovalBudget(_)
            | Self::Addresses(_)
            | Self::Unreadable(..)
            | Self::Stalled { .. }
            | Self::Drain { overdue: true, .. } => Ends::Person,
            Self::Wave { .. } | Self::Budget(_) | Self::Batch { .. } | Self::Replacement => Ends::Another,
        }
    }

    /// Whether it may come and go with one reading, and is shown only where something explains it to people.
    pub const fn is_fleeting(&self) -> bool {
        matches!(self, Self::Observation(..) | Self::Unreadable(..) | Self::Step(_))
    }

    /// In one line: `frozen: freeze year-end until …`.
    pub fn sentence(&self) -> String {
        let (r#type, _, message) = self.words();
        format!("{type}: {message}")
    }
}

/// A condition whose time is that of the last change of its status.
pub fn condition(
    r#type: &str,
    status: ConditionStatus,
    reason: &str,
    message: String,
    before: &[Condition],
    now: Timestamp,
) -> Condition {
    let last_transition_time = before
        .iter()
        .find(|condition| condition.r#type == r#type && condition.status == status)
        .map_or(now, |condition| condition.last_transition_time);
    Condition { r#type: r#type.to_owned(), status, reason: reason.to_owned(), message, last_transition_time }
}
