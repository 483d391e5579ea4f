//! What may happen next.

use std::fmt;

use fleetwright_core::inventory::Reading;
use fleetwright_schema::names::ClusterName;
use fleetwright_schema::status::ClusterState;

use super::Model;
use super::scenario::{Fault, WITHIN_EPOCH_MAX, epoch};
use super::state::{Daemon, State};
use super::step::planned;

/// What a reading shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The clouds as they are.
    Now,
    /// The clouds as they were so many changes ago, by a list that was made now.
    Stale(usize),
    /// The same, by a list that was begun then.
    Late(usize),
    /// Nothing.
    Failed,
}

/// What becomes of an action that was handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It is done, and reported.
    Once,
    /// It is done twice.
    Twice,
    /// It is done, and nobody can say so.
    ReplyLost,
    /// It is not done, and nobody can say so.
    RequestLost,
}

/// What of the actions that were handed out lands after the end of their process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Nothing.
    None,
    /// All.
    All,
    /// The first.
    First,
}

/// One step. Daemons and clusters are named by their place in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Move {
    /// People commit the next wish.
    Edit,
    /// People approve the removals that a daemon's plan waits with.
    Approve(usize),
    /// A daemon reads the remote.
    Fetch(usize),
    /// A daemon hears of a reading.
    Read(usize, Seen),
    /// A daemon pushes the record of its plan; whether it hears that it did.
    Publish(usize, bool),
    /// A daemon hands out the actions of its plan.
    HandOut(usize),
    /// What a daemon handed out for a cluster reaches its cloud and comes back.
    Land(usize, ClusterName, Delivery),
    /// What is under way in a cluster ends.
    Complete(ClusterName),
    /// A daemon ends, and another begins.
    Crash(usize, Kept),
    /// Somebody deletes a control plane.
    Vanish(ClusterName),
    /// Time passes until an action may be tried again.
    Soon,
    /// Time passes; whether while something is under way.
    Epoch(bool),
}

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Edit => f.write_str("people edit"),
            Self::Approve(_) => f.write_str("people approve"),
            Self::Fetch(daemon) => write!(f, "daemon {daemon} fetches"),
            Self::Read(daemon, seen) => write!(f, "daemon {daemon} reads: {seen:?}"),
            Self::Publish(daemon, true) => write!(f, "daemon {daemon} publishes"),
            Self::Publish(daemon, false) => write!(f, "daemon {daemon} publishes, and the reply is lost"),
            Self::HandOut(daemon) => write!(f, "daemon {daemon} hands out"),
            Self::Land(daemon, cluster, delivery) => write!(f, "daemon {daemon}, {cluster}: lands {delivery:?}"),
            Self::Complete(cluster) => write!(f, "{cluster}: what is under way ends"),
            Self::Crash(daemon, kept) => write!(f, "daemon {daemon} crashes, and of its actions lands {kept:?}"),
            Self::Vanish(cluster) => write!(f, "{cluster}: somebody deletes the control plane"),
            Self::Soon => f.write_str("a while passes"),
            Self::Epoch(false) => f.write_str("an epoch passes"),
            Self::Epoch(true) => f.write_str("an epoch passes while something is under way"),
        }
    }
}

impl Move {
    /// The fault that it is, if it is one.
    pub fn fault(&self) -> Option<Fault> {
        match self {
            Self::Read(_, Seen::Stale(_)) => Some(Fault::StaleList),
            Self::Read(_, Seen::Late(_)) => Some(Fault::LateReading),
            Self::Read(_, Seen::Failed) => Some(Fault::FailedReading),
            Self::Publish(_, false) => Some(Fault::LostPush),
            Self::Land(_, _, Delivery::Twice) => Some(Fault::Twice),
            Self::Land(_, _, Delivery::ReplyLost) => Some(Fault::LostReply),
            Self::Land(_, _, Delivery::RequestLost) => Some(Fault::LostRequest),
            Self::Crash(..) => Some(Fault::Crash),
            Self::Vanish(_) => Some(Fault::Vanishing),
            Self::Epoch(true) => Some(Fault::Slowness),
            Self::Edit
            | Self::Approve(_)
            | Self::Fetch(_)
            | Self::Read(_, Seen::Now)
            | Self::Publish(_, true)
            | Self::HandOut(_)
            | Self::Land(_, _, Delivery::Once)
            | Self::Complete(_)
            | Self::Soon
            | Self::Epoch(false) => None,
        }
    }
}

impl Model {
    /// Everything that may happen in a state.
    pub fn moves(&self, state: &State, moves: &mut Vec<Move>) {
        self.work(state, moves);
        if moves.is_empty() {
            moves.push(time(state));
        }
        moves.extend(approval_wanted(state));
        if state.wish + 1 < self.scenario.wishes.len() {
            moves.push(Move::Edit);
        }
        if state.disturbances > 0 {
            self.faults(state, moves);
        }
    }

    /// What goes on by itself, without faults and before time has to pass.
    pub fn work(&self, state: &State, moves: &mut Vec<Move>) {
        for (index, daemon) in state.daemons.iter().enumerate() {
            moves.extend(daemon.touching().into_iter().map(|name| Move::Land(index, name, Delivery::Once)));
        }
        moves.extend(state.world.ongoing().cloned().map(Move::Complete));
        for (index, daemon) in state.daemons.iter().enumerate() {
            if !state.is_current(index) {
                moves.push(Move::Fetch(index));
            }
            if daemon.tip.is_some() && has_news(state, daemon) {
                moves.push(Move::Read(index, Seen::Now));
            }
            if state.is_current(index) {
                self.turn(state, index, moves);
            }
        }
    }

    /// A plan is carried out only by who knows the tip: a push against another is refused, and before anything is handed
    /// out the remote is asked. What lands later is handed out, and lands when the remote may have gone on.
    fn turn(&self, state: &State, index: usize, moves: &mut Vec<Move>) {
        let Some(plan) = planned(state, index) else { return };
        let plan = plan.plan();
        let differs = plan.record != state.remote.record;
        if differs {
            moves.push(Move::Publish(index, true));
        }
        if !plan.actions.is_empty() && (self.scenario.batches || !differs) {
            moves.push(Move::HandOut(index));
        }
    }

    fn faults(&self, state: &State, moves: &mut Vec<Move>) {
        let mut found = Vec::new();
        for (index, daemon) in state.daemons.iter().enumerate() {
            faulty_readings(state, index, daemon, &mut found);
            for name in daemon.touching() {
                let deliveries = [Delivery::Twice, Delivery::ReplyLost, Delivery::RequestLost];
                found.extend(deliveries.map(|delivery| Move::Land(index, name.clone(), delivery)));
            }
            if moves.contains(&Move::Publish(index, true)) {
                found.push(Move::Publish(index, false));
            }
            if daemon.tip.is_some() {
                let kept = match daemon.flying.len() {
                    0 => &[Kept::None][..],
                    1 => &[Kept::None, Kept::All],
                    _ => &[Kept::None, Kept::All, Kept::First],
                };
                found.extend(kept.iter().map(|kept| Move::Crash(index, *kept)));
            }
        }
        found.extend(state.world.mortal().cloned().map(Move::Vanish));
        let flying = state.daemons.iter().any(|daemon| !daemon.flying.is_empty());
        if !flying && !moves.contains(&Move::Epoch(false)) {
            found.push(Move::Epoch(true));
        }
        let allowed = |fault: Fault| self.scenario.faults.contains(&fault);
        moves.extend(found.into_iter().filter(|step| step.fault().is_some_and(allowed)));
    }
}

/// Time passes when nothing else is left to happen; that it does so earlier is a fault. A call lasts no longer than an
/// epoch.
pub fn time(state: &State) -> Move {
    if soonest(state).is_some() { Move::Soon } else { Move::Epoch(false) }
}

/// People approve what waits for them, or not.
pub fn approval_wanted(state: &State) -> Option<Move> {
    let known = |digest: &str| state.remote.desired.approvals.iter().any(|approval| approval.digest == digest);
    let waits = |index: &usize| {
        let plan = planned(state, *index).filter(|_| state.is_current(*index));
        plan.and_then(|plan| plan.into_plan().removals).is_some_and(|removals| !known(&removals.digest))
    };
    (0..state.daemons.len()).find(waits).map(Move::Approve)
}

fn faulty_readings(state: &State, index: usize, daemon: &Daemon, found: &mut Vec<Move>) {
    if daemon.tip.is_none() {
        return;
    }
    for (ago, earlier) in state.earlier.iter().enumerate() {
        if *earlier.listing != *state.world.listing {
            found.push(Move::Read(index, Seen::Stale(ago)));
        }
        // One reading of a place at a time: none begins before the last has come.
        if earlier.until > daemon.read_at() {
            found.push(Move::Read(index, Seen::Late(ago)));
        }
    }
    let failed = daemon.inventory.places.values().any(|reading| reading.result.is_err());
    if !failed {
        found.push(Move::Read(index, Seen::Failed));
    }
}

/// Whether a reading would tell a daemon anything that it does not know.
fn has_news(state: &State, daemon: &Daemon) -> bool {
    let Some(Reading { at, result, .. }) = daemon.inventory.places.values().next() else { return true };
    let Ok(listing) = result else { return true };
    let old = |name: &ClusterName| daemon.memory.touched.get(name).is_none_or(|touched| touched >= at);
    let clusters = daemon.tip.iter().flat_map(|tip| tip.record.clusters());
    let mut clusters = clusters.map(|(_, cluster)| cluster);
    let ended = |state: ClusterState| state == ClusterState::Deleting;
    **listing != *state.world.listing
        || epoch(*at) < epoch(state.now)
        || clusters.any(|c| old(&c.metadata.name) || (ended(c.status.state) && c.status.since >= *at))
}

/// When the next action that failed may be tried again, within this epoch.
pub fn soonest(state: &State) -> Option<fleetwright_schema::units::Timestamp> {
    let failures = state.daemons.iter().flat_map(|daemon| daemon.memory.failures.values());
    let next = failures.map(|failure| failure.retry_at).filter(|at| *at > state.now).min()?;
    let within = next.unix_seconds().rem_euclid(1200) < WITHIN_EPOCH_MAX as i64;
    (epoch(next) == epoch(state.now) && within).then_some(next)
}
