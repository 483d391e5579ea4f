//! The points at which the daemon reaches outside: each is numbered as it is reached, and a process can be made to end at
//! any of them, in three ways. What the numbers are used for is no concern of this file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use fleetwright::tip::RECORD_REF;
use fleetwright_core::inventory::Step;
use fleetwright_repo::RefUpdate;
use fleetwright_schema::names::SetId;
use fleetwright_simulator::Verb;

use super::remote::BRANCH;
use super::{Crash, Shared};
use crate::promises::Process;

/// What a push moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pushed {
    /// The branch, with a commit, and the record with it.
    Commit,
    /// The record alone, to a commit that the branch has already.
    Record,
    /// Only what was observed.
    Observed,
}

impl Pushed {
    fn of(updates: &[RefUpdate]) -> Self {
        let moves = |name: &str| updates.iter().any(|update| update.name == name && update.expected != update.new);
        match (moves(BRANCH), moves(RECORD_REF)) {
            (true, _) => Self::Commit,
            (false, true) => Self::Record,
            (false, false) => Self::Observed,
        }
    }

    const fn next(self) -> Option<Self> {
        match self {
            Self::Commit => Some(Self::Record),
            Self::Record => Some(Self::Observed),
            Self::Observed => None,
        }
    }
}

/// A kind of reaching outside. What a clone does for itself and what the hands are taught stays inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The remote is asked for its tips.
    LsRemote,
    /// What is new is fetched.
    Fetch,
    /// Refs are pushed.
    Push(Pushed),
    /// A place is read.
    Read,
    /// Something is done to a part of a cluster.
    Act(Verb, Step),
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LsRemote => f.write_str("ls-remote"),
            Self::Fetch => f.write_str("fetch"),
            Self::Push(Pushed::Commit) => f.write_str("push of a commit"),
            Self::Push(Pushed::Record) => f.write_str("push of the record alone"),
            Self::Push(Pushed::Observed) => f.write_str("push of what was observed"),
            Self::Read => f.write_str("reading"),
            Self::Act(verb, step) => write!(f, "{} {step}", verb.as_str()),
        }
    }
}

/// Each is told by the one before it, so that a new one does not compile until it has its place in the row.
const fn next_verb(verb: Verb) -> Option<Verb> {
    match verb {
        Verb::Create => Some(Verb::Update),
        Verb::Update => Some(Verb::Delete),
        Verb::Delete => Some(Verb::Drain),
        Verb::Drain => Some(Verb::Open),
        Verb::Open => None,
    }
}

const fn next_step(step: Step) -> Option<Step> {
    match step {
        Step::Network => Some(Step::Identity),
        Step::Identity => Some(Step::LogStream),
        Step::LogStream => Some(Step::ControlPlane),
        Step::ControlPlane => Some(Step::NodePools),
        Step::NodePools => Some(Step::Access),
        Step::Access => Some(Step::Secrets),
        Step::Secrets => Some(Step::InfraServices),
        Step::InfraServices => Some(Step::Leftovers),
        Step::Leftovers => None,
    }
}

/// Whether the program can ever do this.
const fn is_possible(verb: Verb, step: Step) -> bool {
    match (verb, step) {
        // What a cluster makes by itself is never made or changed by us.
        (Verb::Create | Verb::Update, Step::Leftovers) => false,
        // Access is made of nothing that a wish could change.
        (Verb::Update, Step::Access) => false,
        (
            Verb::Create | Verb::Update,
            Step::Network
            | Step::Identity
            | Step::LogStream
            | Step::ControlPlane
            | Step::NodePools
            | Step::Secrets
            | Step::InfraServices,
        )
        | (Verb::Create, Step::Access) => true,
        (
            Verb::Delete,
            Step::Network
            | Step::Identity
            | Step::LogStream
            | Step::ControlPlane
            | Step::NodePools
            | Step::Access
            | Step::Secrets
            | Step::InfraServices
            | Step::Leftovers,
        ) => true,
        (Verb::Drain | Verb::Open, Step::ControlPlane) => true,
        (
            Verb::Drain | Verb::Open,
            Step::Network
            | Step::Identity
            | Step::LogStream
            | Step::NodePools
            | Step::Access
            | Step::Secrets
            | Step::InfraServices
            | Step::Leftovers,
        ) => false,
    }
}

impl Kind {
    const fn next(self) -> Option<Self> {
        match self {
            Self::LsRemote => Some(Self::Fetch),
            Self::Fetch => Some(Self::Push(Pushed::Commit)),
            Self::Push(pushed) => match pushed.next() {
                Some(pushed) => Some(Self::Push(pushed)),
                None => Some(Self::Read),
            },
            Self::Read => Some(Self::Act(Verb::Create, Step::Network)),
            Self::Act(verb, step) => match (next_step(step), next_verb(verb)) {
                (Some(step), _) => Some(Self::Act(verb, step)),
                (None, Some(verb)) => Some(Self::Act(verb, Step::Network)),
                (None, None) => None,
            },
        }
    }

    /// All that the program can do.
    pub fn all() -> BTreeSet<Self> {
        let row = std::iter::successors(Some(Self::LsRemote), |kind| kind.next());
        row.filter(|kind| !matches!(kind, Self::Act(verb, step) if !is_possible(*verb, *step))).collect()
    }

    /// The kind of a push.
    pub fn of_push(updates: &[RefUpdate]) -> Self {
        Self::Push(Pushed::of(updates))
    }
}

/// How a process ends at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// Before it: nothing is sent.
    Before,
    /// After it took place, before anybody hears of it.
    ReplyLost,
    /// After it was heard, before anything else reaches outside.
    Heard,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Before, Self::ReplyLost, Self::Heard];
}

/// The point with this number, and how a process ends there.
pub type Blow = (usize, Way);

/// The points of a run so far, and where processes are to end.
#[derive(Debug, Default)]
pub struct Points {
    /// Whether points are numbered at all.
    pub counts: bool,
    /// By number.
    pub reached: Vec<Kind>,
    /// Where processes are yet to end.
    pub blows: Vec<Blow>,
    /// Where they did.
    pub ended: Vec<(Kind, Way)>,
    /// What was done in the clouds, how often.
    pub done: BTreeMap<(SetId, Verb, Step), u32>,
    /// Who has heard what it is to hear, and goes no further.
    doomed: Option<Process>,
}

impl Points {
    fn number(&mut self, kind: Kind) -> Option<Way> {
        if !self.counts {
            return None;
        }
        let number = self.reached.len();
        self.reached.push(kind);
        let place = self.blows.iter().position(|(blow, _)| *blow == number)?;
        let (_, way) = self.blows.swap_remove(place);
        Some(way)
    }

    fn ends(&mut self, kind: Kind, way: Way) {
        self.ended.push((kind, way));
    }

    /// Somebody heard what it was to hear last.
    pub fn doom(&mut self, process: Process, kind: Kind) {
        self.ends(kind, Way::Heard);
        self.doomed = Some(process);
    }

    /// Whether this process is not to go on; asked once.
    pub fn takes(&mut self, process: Process) -> bool {
        let takes = self.doomed == Some(process);
        if takes {
            self.doomed = None;
        }
        takes
    }

    /// What was sent took effect, and nobody hears of it.
    pub fn lose(&mut self, kind: Kind) {
        self.ends(kind, Way::ReplyLost);
    }
}

/// A process is about to reach outside: it may end here.
pub fn reach(shared: &Shared, process: Process, kind: Kind) -> Option<Way> {
    let mut stage = shared.borrow_mut();
    if stage.points.takes(process) {
        drop(stage);
        end();
    }
    let way = stage.points.number(kind);
    if way == Some(Way::Before) {
        stage.points.ends(kind, Way::Before);
        stage.say(format!("process {process} ends before {kind}"));
        drop(stage);
        end();
    }
    way
}

/// It took effect at once, and the answer is on its way: the process may end before it comes, or after.
pub fn replied(shared: &Shared, process: Process, kind: Kind, way: Option<Way>) {
    let mut stage = shared.borrow_mut();
    match way {
        Some(Way::ReplyLost) => {
            stage.points.lose(kind);
            stage.say(format!("process {process} ends before it hears of {kind}"));
            drop(stage);
            end();
        }
        Some(Way::Heard) => {
            stage.say(format!("process {process} ends once it has heard of {kind}"));
            stage.points.doom(process, kind);
        }
        Some(Way::Before) | None => {}
    }
}

fn end() -> ! {
    std::panic::resume_unwind(Box::new(Crash))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_build_step_and_every_verb_is_in_the_row() {
        let all = Kind::all();
        assert!(Step::BUILD.iter().all(|step| all.contains(&Kind::Act(Verb::Create, *step))));
        assert!(Step::BUILD.iter().all(|step| all.contains(&Kind::Act(Verb::Delete, *step))));
        assert_eq!(all.len(), 6 + 8 + 7 + 9 + 2);
    }
}
