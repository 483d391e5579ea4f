//! The crash sweep: stories without faults, in which the one process ends at every point where it reaches outside, in
//! every way, and another one goes on. What it leaves and what it did must be the undisturbed run's.

pub mod stories;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Mutex;

use crate::parallel::on_all_threads;
use fleetwright_core::inventory::{Phase, Placement, Step};
use fleetwright_schema::names::SetId;
use fleetwright_schema::status::ClusterState;
use fleetwright_schema::units::Duration;
use fleetwright_simulator::Verb;

use super::crowd::Crowd;
pub use super::points::{Blow, Kind, Way};
use super::{CALM_MAX, Failure, Moment, Script, Simulation, Stage, Stir};
use crate::promises::Process;
use crate::wishes::People;

/// When somebody does something: by what can be seen, so that it is the same moment whoever has crashed before.
#[derive(Clone, Copy, Debug)]
pub enum When {
    /// Everything is as wished, and has been for long enough that clusters made themselves what they make.
    Served,
    /// A cluster is draining, and takes no workloads.
    Drains,
    /// A control plane is being made: long after its parents, and long before its children.
    Builds,
    /// This much later.
    Later(Duration),
}

/// What somebody does.
#[derive(Clone, Copy)]
pub enum What {
    /// An edit of the wish.
    Edit(fn(&mut People)),
    /// A commit that changes nothing of the wish.
    Note,
    /// Another history over the branch; the second time the old one comes back.
    Rewrite,
    /// Somebody points the record at a commit of their own, which edits what people read of it.
    Misplace,
}

/// A story: who wants what from the beginning, and what they do then.
pub struct Story {
    /// What it is about.
    pub name: &'static str,
    /// The wish that it begins with.
    pub begins: fn() -> People,
    /// What happens.
    pub turns: Vec<(When, What)>,
}

/// What a run of a story comes to.
#[derive(Clone, Debug, Default)]
pub struct Ending {
    /// The points that were reached until all was settled, in order.
    pub points: Vec<Kind>,
    /// Where processes ended.
    pub ended: Vec<(Kind, Way)>,
    /// How many processes there were.
    pub processes: Process,
    /// What was done in the clouds, how often.
    pub done: BTreeMap<(SetId, Verb, Step), u32>,
    /// What there is in the end: everything but ids and times.
    pub left: BTreeMap<String, Vec<String>>,
}

/// No story needs a moment of its own: all of them are in the same world. Not one that is compared by itself.
const SEED: u64 = 7;
/// How often a place is read in which something is under way. As often as the remote is asked: a reading is a point.
const ATTENTION: Duration = Duration::from_seconds(60);

/// Within it a new cluster has its workloads, and a load balancer for them.
const SERVED: Duration = Duration::from_minutes(20);

/// Tells a story, in which processes end at these points.
pub fn tell(story: &Story, blows: &[Blow], tells: bool) -> Result<Ending, Failure> {
    let script = Script::undisturbed(SEED, ATTENTION);
    let mut simulation = Simulation::new(&script, tells);
    simulation.crowd = Crowd::who_want((story.begins)());
    simulation.shared.borrow_mut().points.blows = blows.to_vec();
    simulation.guarded(|simulation| simulation.go_through(story))?;
    let stage = simulation.shared.borrow();
    Ok(Ending {
        points: stage.points.reached.clone(),
        ended: stage.points.ended.clone(),
        processes: simulation.processes,
        done: stage.points.done.clone(),
        left: left(&stage),
    })
}

impl Simulation {
    fn go_through(&mut self, story: &Story) -> Result<(), String> {
        self.shared.borrow_mut().points.counts = true;
        self.crowd.begin(&self.shared);
        self.begin_process();
        for (when, what) in &story.turns {
            self.await_moment(*when)?;
            self.turn(*what);
        }
        self.calm()?;
        self.shared.borrow_mut().points.counts = false;
        self.stay()
    }

    fn turn(&mut self, what: What) {
        match what {
            What::Edit(how) => self.crowd.edit(&self.shared, how),
            What::Note => Crowd::note(&self.shared),
            What::Misplace => Crowd::misplace(&self.shared),
            What::Rewrite => {
                let moment = Moment { after: Duration::default(), stir: Stir::Rewrite, seed: 0 };
                self.crowd.stir(&self.shared, moment);
            }
        }
    }

    fn await_moment(&mut self, when: When) -> Result<(), String> {
        if let When::Later(pause) = when {
            return self.go_on_until(self.now().plus(pause));
        }
        self.await_sight(when)?;
        match when {
            When::Served => self.go_on_until(self.now().plus(SERVED)),
            When::Drains | When::Builds | When::Later(_) => Ok(()),
        }
    }

    fn await_sight(&mut self, when: When) -> Result<(), String> {
        let until = self.now().plus(CALM_MAX);
        while self.now() < until {
            self.crowd.look_after(&self.shared);
            if self.is_moment(when) {
                return Ok(());
            }
            self.go_on(until)?;
        }
        Err(format!("{when:?} never comes:\n{}", self.waits()?))
    }

    fn is_moment(&self, when: When) -> bool {
        let stage = self.shared.borrow();
        match when {
            When::Served => {
                drop(stage);
                self.is_settled()
            }
            When::Drains => drains(&stage),
            When::Builds => stage.standing().iter().any(|r| r.step == Step::ControlPlane && r.phase == Phase::Creating),
            When::Later(_) => true,
        }
    }
}

fn drains(stage: &Stage) -> bool {
    let standing = stage.standing();
    stage.record.clusters().any(|(_, cluster)| {
        let mut planes = standing.iter().filter(|r| r.cluster == cluster.metadata.name);
        let closed = planes.any(|r| r.control_plane.as_ref().is_some_and(|facts| facts.placement == Placement::Closed));
        cluster.status.state == ClusterState::Draining && closed
    })
}

/// What there is: as the comparison with an undisturbed run has it, and the names besides, those of the dead included.
fn left(stage: &Stage) -> BTreeMap<String, Vec<String>> {
    let mut left = super::outcome(stage);
    for (id, set) in &stage.record.sets {
        let lines = left.entry(id.to_string()).or_default();
        lines.extend(set.clusters.iter().map(|cluster| cluster.metadata.name.to_string()));
        lines
            .extend(set.tombstones.iter().map(|stone| format!("{} {:?} {}", stone.name, stone.reason, stone.revision)));
    }
    left
}

impl Ending {
    /// What differs from the undisturbed run.
    pub fn differences(&self, reference: &Self) -> Vec<String> {
        let mut differences = Vec::new();
        let keys: BTreeSet<_> = self.done.keys().chain(reference.done.keys()).collect();
        for key in keys {
            let times = |ending: &Self| ending.done.get(key).copied().unwrap_or_default();
            let (is, should) = (times(self), times(reference));
            if is != should {
                let (set, verb, step) = key;
                differences.push(format!("{} {step} of {set}: {is} times, undisturbed {should}", verb.as_str()));
            }
        }
        if self.left != reference.left {
            differences.push(format!("in the end there is {:?}, undisturbed {:?}", self.left, reference.left));
        }
        differences
    }
}

/// Crashes of a story, and what they broke.
#[derive(Default)]
pub struct Sweep {
    /// How many runs.
    pub runs: usize,
    /// At which kinds of points, in which ways, how often.
    pub ended: BTreeMap<(Kind, Way), u32>,
    /// Runs in which not every process that was to end did: the first end left no point with that number.
    pub missed: usize,
    /// What went wrong, and after which blows.
    pub failures: Vec<String>,
}

impl Sweep {
    /// Adds up sweeps.
    pub fn add(&mut self, other: Self) {
        self.runs += other.runs;
        self.missed += other.missed;
        self.failures.extend(other.failures);
        for (key, times) in other.ended {
            *self.ended.entry(key).or_default() += times;
        }
    }

    /// One run with these blows.
    fn strike(&mut self, story: &Story, reference: &Ending, blows: &[Blow]) {
        self.runs += 1;
        let wrong = match tell(story, blows, false) {
            Err(failure) => vec![failure.what],
            Ok(ending) => {
                ending.ended.iter().for_each(|key| *self.ended.entry(*key).or_default() += 1);
                self.missed += usize::from(ending.ended.len() < blows.len());
                ending.differences(reference)
            }
        };
        let at: Vec<String> = blows.iter().map(|(number, way)| format!("{way:?} {number}")).collect();
        self.failures.extend(wrong.into_iter().map(|what| format!("{}, {}: {what}", story.name, at.join(", then "))));
    }
}

/// Crashes of one story at each of these groups of points, on all cores.
pub fn sweep(story: &Story, reference: &Ending, all: &[Vec<Blow>]) -> Sweep {
    let total = Mutex::new(Sweep::default());
    on_all_threads(0..all.len() as u64, |number| {
        let mut mine = Sweep::default();
        mine.strike(story, reference, &all[number as usize]);
        total.lock().unwrap().add(mine);
        ControlFlow::Continue(())
    });
    total.into_inner().unwrap()
}
