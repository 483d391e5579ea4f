//! The plan: one pure function from the wish, the record, the readings and the clock to the next record and the actions
//! that the published record permits. The check on a pull request, the dry run and the daemon all call [`plan`].
//!
//! Every effect is named in Git first: a transition only changes the next record; the actions of a cluster follow from
//! the record that is published already. So limits are counted on the record alone, and what is in flight counts.

mod admission;
mod build;
mod choice;
mod lifecycle;
mod limits;
mod report;
mod retire;
mod set;
mod view;
mod waves;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fleetwright_schema::documents::FleetSpec;
use fleetwright_schema::names::SetId;
use fleetwright_schema::units::{Duration, Timestamp};

use crate::action::Action;
use crate::change::ChangeTable;
use crate::desired::Desired;
use crate::fingerprint::Memo;
use crate::inventory::{Inventory, Place};
use crate::memory::{Acknowledgements, Memory};
use crate::mutant;
use crate::record::Record;
use crate::waiting::Removals;

pub use limits::{parse_cidr, pool_blocks, pool_of};
pub use report::{Rollout, SetReport};
pub use waves::reached;

/// A reading older than this is no ground for a move, however quiet the place is.
pub const READING_AGE_MAX: Duration = Duration::from_minutes(15);

/// How long the control plane of a cluster that served must be read as absent before it is taken for lost.
/// Longer than any provider's lists lag behind.
pub const LOST_AFTER: Duration = Duration::from_minutes(10);

/// Everything that a plan is made from.
pub struct Inputs<'a> {
    /// The time.
    pub now: Timestamp,
    /// What should be.
    pub desired: &'a Desired,
    /// What the published record says.
    pub record: &'a Record,
    /// What was read from the clouds.
    pub inventory: &'a Inventory,
    /// What this process remembers.
    pub memory: &'a Memory,
    /// What consumers have read.
    pub acknowledgements: &'a Acknowledgements,
    /// Which change does what.
    pub table: &'a ChangeTable,
    /// Fingerprints already computed.
    pub memo: &'a Memo,
}

/// What is to be done, and why the rest is not.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The next record: published first, if it differs.
    pub record: Record,
    /// Effects that the published record permits now.
    pub actions: Vec<Action>,
    /// What each set waits for.
    pub reports: BTreeMap<SetId, SetReport>,
    /// When time alone may change the plan.
    pub wake_at: Option<Timestamp>,
    /// Places where something is under way, to be read again soon.
    pub attention: BTreeSet<Place>,
    /// The removals that wait for an approval.
    pub removals: Option<Removals>,
}

impl Plan {
    /// Whether there is nothing to publish and nothing to do.
    pub fn is_quiet(&self, record: &Record) -> bool {
        self.actions.is_empty() && self.record == *record
    }
    /// Whether every set is where it should be.
    pub fn is_settled(&self) -> bool {
        self.reports.values().all(|report| report.settled)
    }
    /// Whether what is not settled waits for people only.
    pub fn is_stuck(&self) -> bool {
        let unsettled = || self.reports.values().filter(|report| !report.settled);
        // A budget that is full, while nothing moves, is full of what stays: no other set will make room in it.
        let full = unsettled().next().is_some() && unsettled().all(SetReport::waits_for_budget);
        let waits = full || unsettled().any(SetReport::needs_a_person);
        waits && !unsettled().any(SetReport::moves_by_itself)
    }
}

/// The earliest of the times at which something may change by itself.
#[derive(Debug, Default)]
pub(crate) struct Wake(Option<Timestamp>);

impl Wake {
    fn at(&mut self, time: Timestamp) {
        self.0 = Some(self.0.map_or(time, |earlier| earlier.min(time)));
    }
}

/// Plans the whole fleet.
pub fn plan(inputs: &Inputs<'_>) -> Plan {
    let mut plan = Plan {
        record: Record { sets: BTreeMap::new(), unreadable: inputs.record.unreadable.clone() },
        actions: Vec::new(),
        reports: BTreeMap::new(),
        wake_at: None,
        attention: BTreeSet::new(),
        removals: None,
    };
    // Without settings there are no limits to keep, so nothing is planned but to say so.
    let Some(config) = inputs.desired.config.clone() else {
        (plan.record.sets, plan.reports) = report::all_held(inputs);
        return plan;
    };
    let fleet = FleetView::new(inputs, &config);
    plan.removals = fleet.removals.clone().and_then(|verdict| verdict.blocked);
    let mut limits = limits::Limits::count(inputs, &config);
    let mut wake = Wake::default();
    let (mut reports, mut sets) = (Vec::new(), Vec::new());
    for id in all_sets(inputs) {
        let outcome = set::plan_set(inputs, &fleet, id, &mut limits, &mut wake);
        plan.actions.extend(outcome.actions);
        reports.push((id.clone(), outcome.report));
        plan.attention.extend(outcome.attention);
        sets.extend(outcome.next.map(|next| (id.clone(), next)));
    }
    // In order already, so both are built without a search.
    plan.reports = reports.into_iter().collect();
    plan.record.sets = sets.into_iter().collect();
    plan.wake_at = wake.0;
    if mutant::on("unsorted-order") && mutant::odd() {
        plan.actions.reverse();
    }
    plan
}

/// What all sets share: settings, removals, stalled clusters.
pub(crate) struct FleetView<'a> {
    config: &'a Arc<FleetSpec>,
    removals: Option<admission::RemovalVerdict>,
    stalled: BTreeMap<fleetwright_schema::names::ClusterTypeName, Vec<(SetId, fleetwright_schema::names::ClusterName)>>,
    unreached: waves::Unreached,
    busy: BTreeSet<&'a fleetwright_schema::names::ClusterName>,
}

impl<'a> FleetView<'a> {
    fn new(inputs: &Inputs<'a>, config: &'a Arc<FleetSpec>) -> Self {
        Self {
            config,
            removals: admission::judge_removals(inputs, config),
            stalled: waves::stalled(inputs),
            unreached: waves::unreached(inputs),
            busy: inputs.memory.in_flight.iter().map(|key| &key.cluster).collect(),
        }
    }
}

/// Sets of the wish and of the record, in order, without those whose record can't be read.
fn all_sets<'a>(inputs: &'a Inputs<'_>) -> Vec<&'a SetId> {
    let (mut wished, mut recorded) = (inputs.desired.sets.keys().peekable(), inputs.record.sets.keys().peekable());
    let mut all = Vec::new();
    while let Some(next) = wished.peek().into_iter().chain(recorded.peek()).min().copied() {
        wished.next_if_eq(&next);
        recorded.next_if_eq(&next);
        all.push(next);
    }
    all
}
