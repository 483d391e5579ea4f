//! The model checker: every interleaving of a small fleet's steps, faults and edits, with the production planner, check
//! and renderings as the transition function, judged by the promises.
//!
//! What is real: `plan()`, `check()`, the record and its file, the process's memory and inventory, actions and listings.
//! What is a model: the clouds (`world`), the remote (a version that pushes are compared with, and the fence before
//! actions), time ([`scenario::EPOCH`]) and the daemon's loop (`moves`): it may do anything at any time that its
//! production original may do at some.
//!
//! What is left out: consumers, freezes, windows and budgets across sets (the random harness has them); parts of a plan
//! being carried out in part, save by a crash; calls that last for longer than it takes for a reading to be too old.

pub mod scenario;
pub mod scenarios;
pub mod world;

mod canon;
mod converge;
mod moves;
mod state;
mod step;
mod tell;

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fleetwright_core::inventory::Place;
use fleetwright_core::record::Record;
use fleetwright_schema::status::ClusterSetStatus;
use stateright::{Checker, HasDiscoveries, Model as _, Property};

use crate::promises::{Effect, Judge, Promise, Soundness};
use converge::Ends;
use moves::Move;
use scenario::{Edit, Scenario, place, start};
use state::{Daemon, State, Tip};
use step::Renderings;
use tell::Teller;
use world::World;

/// Something that can't be read off a state.
#[derive(Clone, Copy, Debug)]
enum Event {
    CrashInDrain,
    Twice,
    BothPublished,
}

/// A scenario, as the checker takes it.
#[derive(Debug)]
pub struct Model {
    scenario: Scenario,
    place: Place,
    ends: Ends,
    renderings: Renderings,
    events: [AtomicU64; 3],
}

/// A scenario with more states than this is none to look at as a whole.
const STATES_MAX: usize = 20_000_000;

/// What a check came to.
#[derive(Clone, Debug)]
pub struct Report {
    /// Of which scenario.
    pub name: &'static str,
    /// States that were generated.
    pub states: usize,
    /// Of which so many are different.
    pub unique: usize,
    /// The longest of the shortest paths.
    pub depth: usize,
    /// How long it took.
    pub time: Duration,
    /// What is wrong, each with its path.
    pub failures: Vec<String>,
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.digest(self.disturbances, true) == other.digest(other.disturbances, true)
    }
}

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write_u64(self.digest(self.disturbances, self.disturbances > 0));
    }
}

impl Model {
    /// A model of a scenario.
    pub fn new(scenario: Scenario) -> Option<Self> {
        let id = scenario.wishes.first()?.desired.sets.keys().next()?;
        let place = place(id);
        Some(Self {
            scenario,
            place,
            ends: Ends::default(),
            renderings: Renderings::default(),
            events: Default::default(),
        })
    }

    fn note(&self, event: Event) {
        self.events[event as usize].fetch_add(1, Ordering::Relaxed);
    }

    fn happened(&self, event: Event) -> bool {
        self.events[event as usize].load(Ordering::Relaxed) > 0
    }

    fn beginning(&self) -> State {
        let now = start();
        let mut judge = Judge::new();
        judge.take(&Effect::Moved { tip: 1, soundness: &Soundness::Sound });
        let desired = Arc::new(self.scenario.wishes[0].desired.clone());
        let state = State {
            now,
            wish: 0,
            disturbances: 0,
            remote: Tip { version: 1, commits: 1, desired, record: Record::default() },
            world: World::default(),
            earlier: Vec::new(),
            daemons: (0u32..).take(self.scenario.daemons).map(|process| Daemon::new(process, now)).collect(),
            processes: u32::try_from(self.scenario.daemons).unwrap_or(u32::MAX),
            publisher: None,
            judge: Arc::new(judge),
            objection: None,
        };
        let state = if self.scenario.built { self.settled(&state) } else { state };
        State { disturbances: self.scenario.disturbances, earlier: Vec::new(), publisher: None, ..state }
    }

    fn wish(&self, state: &State) -> Edit {
        self.scenario.wishes[state.wish].edit
    }

    /// A rotation or a rollback has ended in this state.
    fn ended(&self, state: &State, edit: Edit) -> bool {
        let settled = |set: &Arc<ClusterSetStatus>| {
            let named = set.status.next_ordinal > set.spec.count + 1;
            named && set.status.conditions.first().is_some_and(|condition| condition.reason == "Converged")
        };
        self.wish(state) == edit
            && state.remote.record.sets.values().all(settled)
            && state
                .daemons
                .iter()
                .all(|daemon| daemon.tip.as_ref().is_some_and(|tip| tip.commits == state.remote.commits))
    }
}

/// A set that stands still because something is stalled.
fn halts(state: &State) -> bool {
    let mut conditions = state.remote.record.sets.values().flat_map(|set| {
        set.clusters.iter().flat_map(|cluster| &cluster.status.conditions).chain(&set.status.conditions)
    });
    conditions.any(|condition| matches!(&*condition.r#type, "Stalled" | "Halted" | "RemovalBlocked"))
}

fn kept(state: &State, promise: Promise) -> bool {
    state.judge.breaches().iter().all(|breach| breach.promise != promise)
}

/// What has to hold of a state.
type Holds = fn(&Model, &State) -> bool;

const ALWAYS: [(&str, Holds); 9] = [
    ("I1: a drain leaves count serving", |_, state| kept(state, Promise::I1)),
    ("I2: a create leaves at most count + maxSurge alive", |_, state| kept(state, Promise::I2)),
    ("I3: a delete only with evidence", |_, state| kept(state, Promise::I3)),
    ("I4: one live resource per set, ordinal and kind", |_, state| kept(state, Promise::I4)),
    ("I7: removals within the budget", |_, state| kept(state, Promise::I7)),
    ("I9: published before done, read before published", |_, state| kept(state, Promise::I9)),
    ("every other promise", |_, state| state.judge.breaches().is_empty()),
    ("the check objects to nothing, and what is written is what is read", |_, state| state.objection.is_none()),
    ("I10: left alone, the fleet comes to be as wished and stays", |model, state| {
        model.converges(state, &mut Teller::default()).is_ok()
    }),
];

/// A rotation has ended.
pub const ROTATED: &str = "a rotation ends";
/// A rollback has ended.
pub const ROLLED_BACK: &str = "a rollback ends";
/// Something stands still.
pub const HALTED: &str = "a halt";
/// A process ended while a cluster was drained.
pub const CRASHED: &str = "a crash during a drain";
/// An action arrived twice.
pub const TWICE: &str = "a duplicate delivery";
/// Both daemons wrote.
pub const BOTH: &str = "both daemons publish";

const SOMETIMES: [(&str, Holds); 6] = [
    (ROTATED, |model, state| model.ended(state, Edit::Rotate)),
    (ROLLED_BACK, |model, state| model.ended(state, Edit::Revert)),
    (HALTED, |_, state| halts(state)),
    (CRASHED, |model, _| model.happened(Event::CrashInDrain)),
    (TWICE, |model, _| model.happened(Event::Twice)),
    (BOTH, |model, _| model.happened(Event::BothPublished)),
];

impl stateright::Model for Model {
    type State = State;
    type Action = Move;

    fn init_states(&self) -> Vec<State> {
        vec![self.beginning()]
    }
    fn actions(&self, state: &State, actions: &mut Vec<Move>) {
        self.moves(state, actions);
    }
    fn next_state(&self, last_state: &State, action: Move) -> Option<State> {
        self.step(last_state, &action, &mut Teller::default())
    }
    fn properties(&self) -> Vec<Property<Self>> {
        let always = ALWAYS.into_iter().map(|(name, holds)| Property::always(name, holds));
        let expected = SOMETIMES.into_iter().filter(|(name, _)| self.scenario.expects.contains(name));
        always.chain(expected.map(|(name, holds)| Property::sometimes(name, holds))).collect()
    }
}

/// Checks a scenario, on as many threads.
pub fn check(scenario: Scenario, threads: usize) -> Option<Report> {
    let (name, expects) = (scenario.name, scenario.expects);
    let began = Instant::now();
    let checker = Model::new(scenario)?.checker().threads(threads).finish_when(HasDiscoveries::AnyFailures);
    let checker = checker.target_state_count(STATES_MAX).spawn_bfs().join();
    let found = checker.discoveries();
    let broken = ALWAYS.iter().filter_map(|(name, _)| Some((*name, found.get(name)?)));
    let mut failures: Vec<String> = broken
        .map(|(name, path)| format!("{name}\n{}", lines(checker.model(), &path.clone().into_vec()).join("\n")))
        .collect();
    let unseen = expects.iter().filter(|name| !found.contains_key(**name));
    failures.extend(unseen.map(|name| format!("{name}: never happens")));
    let (states, unique, depth) = (checker.state_count(), checker.unique_state_count(), checker.max_depth());
    if states >= STATES_MAX {
        failures.push(format!("more than {STATES_MAX} states: it was not looked at in every interleaving"));
    }
    Some(Report { name, states, unique, depth, time: began.elapsed(), failures })
}

/// A path in words: every step with what it did, and what was wrong in the end.
fn lines(model: &Model, path: &[(State, Option<Move>)]) -> Vec<String> {
    let mut lines = Vec::new();
    for (state, step) in path {
        let Some(step) = step else { continue };
        let mut tell = Teller::listening();
        let seconds = state.now.since(start());
        lines.push(format!("{seconds} {step}"));
        drop(model.step(state, step, &mut tell));
        lines.extend(tell.lines());
    }
    let Some((last, _)) = path.last() else { return lines };
    lines.extend(last.judge.breaches().iter().map(|breach| format!("broken: {breach}")));
    lines.extend(last.objection.clone());
    let mut tell = Teller::listening();
    if let Err(why) = model.converges(last, &mut tell) {
        lines.push("left alone:".to_owned());
        lines.extend(tell.lines());
        lines.push(why);
    }
    lines
}
