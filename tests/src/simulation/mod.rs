//! The whole daemon, simulated: its own loop on simulated time and one thread, with a remote and clouds that misbehave,
//! everything from one seed. First turmoil, then calm, in which the fleet must come to what is wished and stay.

mod crowd;
mod files;
mod hands;
pub mod neighbours;
mod points;
mod recorder;
mod remote;
mod script;
pub mod sweep;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration as RealDuration;

use fleetwright::clock::Clock;
use fleetwright::daemon::{Daemon, Options, Parts, Pass};
use fleetwright::hands::News;
use fleetwright_core::inventory::{Resource, Step};
use fleetwright_core::record::Record;
use fleetwright_core::waiting::Removals;
use fleetwright_schema::units::{Duration, Timestamp};
use fleetwright_simulator::{SimClock, Speed, World};

use crate::promises::{Effect, Judge, Process, Soundness};
use crate::wishes::Dice;
use crowd::Crowd;
use hands::{Call, SimHands};
use points::{Points, Way};
use recorder::{LastPlan, Recorder};
use remote::{Remote, RemoteOdds, SimUpstream};
pub use script::{Moment, Script, Stir};

/// The end of a process, thrown from wherever it happens.
pub(crate) struct Crash;

pub(crate) type Shared = Rc<RefCell<Stage>>;

/// What a run came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Plans made.
    pub plans: u64,
    /// Commits of the bot.
    pub commits: u64,
    /// Actions that reached a cloud.
    pub calls: u64,
    /// Changes of the world.
    pub mutations: u64,
    /// Processes begun.
    pub processes: u64,
    /// Edits of people.
    pub edits: u64,
}

impl Tally {
    /// Adds up runs.
    pub fn add(&mut self, other: Self) {
        let Self { plans, commits, calls, mutations, processes, edits } = other;
        self.plans += plans;
        self.commits += commits;
        self.calls += calls;
        self.mutations += mutations;
        self.processes += processes;
        self.edits += edits;
    }
}

/// What processes, remote and clouds share.
pub(crate) struct Stage {
    script: Script,
    clock: SimClock,
    world: World,
    remote: Remote,
    judge: Judge,
    dice: Dice,
    calls: Vec<Call>,
    /// How far the tip may be taken up, by whoever made it.
    soundness: Soundness,
    /// The record that everybody can read.
    record: Record,
    last_plans: BTreeMap<Process, LastPlan>,
    wanted_approvals: BTreeMap<String, Removals>,
    trouble: Option<String>,
    calm: bool,
    /// Whether somebody wants to know what is waited for.
    asks: bool,
    tells: bool,
    trace: Vec<String>,
    tally: Tally,
    points: Points,
    /// When what was published, where somebody wants to know.
    log: Option<neighbours::Log>,
    /// How long calls take, where it is not left to the dice.
    pace: Option<neighbours::Pace>,
}

impl Stage {
    fn say(&mut self, what: impl Into<String>) {
        if self.tells {
            let line = format!("{} {}", self.clock.now(), what.into());
            self.trace.push(line);
        }
    }

    fn standing(&self) -> Vec<Resource> {
        self.world.resources().unwrap().into_iter().map(|standing| standing.resource).collect()
    }

    fn say_changes(&mut self, process: Process, record: &Record) {
        if !self.tells {
            return;
        }
        let mut lines = crate::drive::changes_in_words(&self.record, record);
        if lines.is_empty() {
            lines.push("nothing but words".to_owned());
        }
        for line in lines {
            self.say(format!("process {process} publishes {line}"));
        }
    }

    fn broken(&self) -> Option<String> {
        let breach = self.judge.breaches().first().map(ToString::to_string);
        breach.or_else(|| self.trouble.clone())
    }
}

/// A process that runs.
struct Running {
    process: Process,
    daemon: Daemon,
    news: Sender<News>,
    wakes: Timestamp,
}

struct Simulation {
    shared: Shared,
    crowd: Crowd,
    running: Vec<Running>,
    processes: Process,
    passes: u64,
}

/// A run that broke a promise, or did not come to its end.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Which, in one line.
    pub what: String,
    /// What happened, if it was told.
    pub trace: Vec<String>,
}

/// More passes than any run needs.
const PASSES_MAX: u64 = 150_000;
/// Simulated time after which a fleet that is left alone must be as wished.
const CALM_MAX: Duration = Duration::from_minutes(60 * 24 * 14);
/// One seed in so many is compared with an undisturbed run.
const DIFFERENTIAL_EVERY: u64 = 8;
/// The remote is asked this often.
const POLL_INTERVAL: RealDuration = RealDuration::from_secs(60);

/// Runs a script; `tells` for a trace of what happened.
pub fn run(script: &Script, tells: bool) -> Result<Tally, Failure> {
    let mut simulation = Simulation::new(script, tells);
    simulation.guarded(Simulation::live)?;
    let stage = simulation.shared.borrow();
    Ok(Tally { commits: stage.remote.bot_commits, ..stage.tally })
}

impl Simulation {
    fn new(script: &Script, tells: bool) -> Self {
        let seed = script.seed;
        let mut dice = Dice::new(seed);
        let start = Timestamp::from_unix_seconds(1_790_000_000 + i64::try_from(dice.between(0, 86_400)).unwrap());
        let clock = SimClock::new(start, Speed::Max);
        let world = World::open(None, seed, clock.clone()).unwrap();
        let crowd = Crowd::new(seed, start);
        let stage = Stage {
            script: script.clone(),
            clock,
            world,
            remote: Remote::new(seed),
            judge: Judge::new(),
            dice,
            calls: Vec::new(),
            soundness: Soundness::Sound,
            record: Record::default(),
            last_plans: BTreeMap::new(),
            wanted_approvals: BTreeMap::new(),
            trouble: None,
            calm: false,
            asks: false,
            tells,
            trace: Vec::new(),
            tally: Tally::default(),
            points: Points::default(),
            log: None,
            pace: None,
        };
        let shared = Rc::new(RefCell::new(stage));
        Self { shared, crowd, running: Vec::new(), processes: 0, passes: 0 }
    }

    /// Lives so, and says what went wrong, a panic of the daemon included.
    fn guarded(&mut self, live: impl FnOnce(&mut Self) -> Result<(), String>) -> Result<(), Failure> {
        let what = match catch_unwind(AssertUnwindSafe(|| live(self))) {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(why)) => why,
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                format!("panic: {}", text.unwrap_or_default())
            }
        };
        let trace = self.shared.try_borrow().map(|stage| stage.trace.clone()).unwrap_or_default();
        Err(Failure { what, trace })
    }

    fn now(&self) -> Timestamp {
        self.shared.borrow().clock.now()
    }

    fn live(&mut self) -> Result<(), String> {
        let script = self.shared.borrow().script.clone();
        self.crowd.begin(&self.shared);
        for _ in 0..script.daemons {
            self.begin_process();
        }
        if script.git {
            self.shared.borrow_mut().remote.odds = script.odds;
        }
        let start = self.now();
        for (_, moment) in script.kept() {
            self.go_on_until(start.plus(moment.after))?;
            self.stir(moment)?;
        }
        let quiet = self.now().plus(Duration::from_minutes(10));
        self.go_on_until(quiet)?;
        self.calm()?;
        self.stay()
    }

    fn stir(&mut self, moment: Moment) -> Result<(), String> {
        match moment.stir {
            Stir::Crash => {
                let index = usize::try_from(moment.seed % self.running.len() as u64).unwrap();
                let process = self.running[index].process;
                self.shared.borrow_mut().say(format!("process {process} is killed"));
                self.end_process(process);
            }
            _ => self.crowd.stir(&self.shared, moment),
        }
        self.check()
    }

    fn begin_process(&mut self) {
        self.processes += 1;
        let process = self.processes;
        let mut stage = self.shared.borrow_mut();
        stage.tally.processes += 1;
        let wakes = stage.clock.now().plus(Duration::from_seconds(stage.dice.between(2, 8)));
        let (clock, objects) = (Clock::Virtual(stage.clock.clone()), Rc::clone(&stage.remote.objects));
        let attention_interval = stage.script.attention;
        drop(stage);
        let (news, inbox) = channel();
        let shared = || Rc::clone(&self.shared);
        let options = Options {
            branch: Some("main".to_owned()),
            poll_interval: POLL_INTERVAL,
            attention_interval,
            once: false,
            until_settled: false,
            dry_run: false,
            until: None,
        };
        let daemon = Daemon::new(Parts {
            options,
            branch: "main".to_owned(),
            upstream: Box::new(SimUpstream { shared: shared(), objects, process }),
            hands: Box::new(SimHands { shared: shared(), process }),
            news: inbox,
            clock,
            world: None,
            events: Box::new(Recorder::new(shared(), process)),
            salt: process,
        });
        self.running.push(Running { process, daemon, news, wakes });
    }

    /// What it asked for took effect, and it is gone before it hears of it.
    fn end_unheard(&mut self, process: Process, kind: points::Kind) {
        let mut stage = self.shared.borrow_mut();
        stage.points.lose(kind);
        stage.say(format!("process {process} ends before it hears of {kind}"));
        drop(stage);
        self.end_process(process);
    }

    /// The process is gone. What it had sent may still arrive, within seconds; nobody hears of it.
    fn end_process(&mut self, process: Process) {
        self.running.retain(|running| running.process != process);
        let mut stage = self.shared.borrow_mut();
        stage.last_plans.remove(&process);
        let (its, others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut stage.calls).into_iter().partition(|call| call.process == process);
        stage.calls = others;
        let now = stage.clock.now();
        for mut call in its.into_iter().filter(|call| call.is_action() && !call.has_arrived()) {
            if stage.dice.percent(50) {
                call.heard = false;
                call.due = now;
                stage.calls.push(call);
            }
        }
        drop(stage);
        self.begin_process();
    }

    /// Everything that is due until then, in an order that the dice choose among what is due at one moment.
    fn go_on_until(&mut self, until: Timestamp) -> Result<(), String> {
        while self.go_on(until)? {}
        self.shared.borrow().clock.advance_to(until);
        Ok(())
    }

    /// The next thing that is due, if anything is before then.
    fn go_on(&mut self, until: Timestamp) -> Result<bool, String> {
        let mut stage = self.shared.borrow_mut();
        let calls = stage.calls.iter().map(|call| call.due);
        let Some(next) = calls.chain(self.running.iter().map(|running| running.wakes)).min() else { return Ok(false) };
        if next > until {
            return Ok(false);
        }
        let next = next.max(stage.clock.now());
        stage.clock.advance_to(next);
        let calls: Vec<usize> = due(stage.calls.iter().map(|call| call.due), next);
        let processes: Vec<usize> = due(self.running.iter().map(|running| running.wakes), next);
        let all = calls.len() + processes.len();
        let chosen = usize::try_from(stage.dice.between(0, all as u64 - 1)).unwrap();
        match calls.get(chosen) {
            Some(call) => {
                let call = stage.calls.swap_remove(*call);
                let (process, kind, way, answers) = (call.process, call.kind(), call.way, call.has_arrived());
                let news = stage.go_on(call);
                drop(stage);
                self.deliver(process, news);
                if self.running.iter().any(|running| running.process == process) {
                    match (way, answers) {
                        (Some(Way::ReplyLost), false) => self.end_unheard(process, kind),
                        (Some(Way::Heard), true) => points::replied(&self.shared, process, kind, way),
                        _ => {}
                    }
                }
            }
            None => {
                drop(stage);
                self.pass(processes[chosen - calls.len()])?;
            }
        }
        self.check().map(|()| true)
    }

    fn deliver(&mut self, process: Process, news: Option<News>) {
        let now = self.now();
        let Some(news) = news else { return };
        if let Some(running) = self.running.iter_mut().find(|running| running.process == process) {
            // The brain reads its inbox when it wakes.
            running.news.send(news).unwrap();
            running.wakes = now;
        }
    }

    fn pass(&mut self, index: usize) -> Result<(), String> {
        self.passes += 1;
        let now = self.now();
        let running = &mut self.running[index];
        let process = running.process;
        let outcome = catch_unwind(AssertUnwindSafe(|| running.daemon.pass()));
        match outcome {
            Ok(Ok(Pass::Again)) => running.wakes = now,
            Ok(Ok(Pass::Rest(rest))) => {
                let pause = running.daemon.pause(rest);
                // The clock shows whole seconds.
                running.wakes =
                    now.plus(Duration::from_seconds(pause.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX)));
            }
            Ok(Ok(Pass::Ended(ended))) => return Err(format!("the daemon ends: {ended:?}")),
            Ok(Err(error)) => return Err(format!("the daemon gives up: {error}")),
            Err(thrown) if thrown.is::<Crash>() => self.end_process(process),
            Err(panic) => std::panic::resume_unwind(panic),
        }
        if self.shared.borrow_mut().points.takes(process) {
            self.end_process(process);
        }
        Ok(())
    }

    fn check(&self) -> Result<(), String> {
        let stage = self.shared.borrow();
        if let Some(broken) = stage.broken() {
            return Err(broken);
        }
        match self.passes > PASSES_MAX {
            true => Err(format!("more than {PASSES_MAX} passes")),
            false => Ok(()),
        }
    }

    /// Faults stop and the wish stands still: the fleet reaches it.
    fn calm(&mut self) -> Result<(), String> {
        {
            let mut stage = self.shared.borrow_mut();
            stage.calm = true;
            stage.world.clear_faults().unwrap();
            stage.remote.odds = RemoteOdds::default();
            stage.say("calm");
        }
        self.crowd.let_go(&self.shared);
        let until = self.now().plus(CALM_MAX);
        while self.now() < until {
            self.crowd.look_after(&self.shared);
            if self.is_settled() {
                return Ok(());
            }
            if self.shared.borrow().last_plans.values().all(|last| last.stuck) && self.is_read() {
                return Err(format!("stuck, though nobody is needed:\n{}", self.waits()?));
            }
            self.go_on(until)?;
        }
        Err(format!("not settled in time:\n{}", self.waits()?))
    }

    /// Every process has planned from the last tip.
    fn is_read(&self) -> bool {
        let stage = self.shared.borrow();
        let tip = stage.remote.last_number();
        stage.last_plans.len() == self.running.len()
            && stage.last_plans.values().all(|last| last.tip == tip && last.sound)
    }

    fn is_settled(&self) -> bool {
        let stage = self.shared.borrow();
        self.is_read() && stage.calls.is_empty() && stage.last_plans.values().all(|last| last.settled)
    }

    fn waits(&mut self) -> Result<String, String> {
        self.shared.borrow_mut().asks = true;
        let soon = self.now().plus(Duration::from_minutes(10));
        self.go_on_until(soon)?;
        let stage = self.shared.borrow();
        let tip = stage.remote.last_number();
        let of_each = stage.last_plans.iter().map(|(process, last)| {
            format!("process {process}, tip {} of {tip}, sound {}:\n{}", last.tip, last.sound, last.waits.join("\n"))
        });
        Ok(of_each.collect::<Vec<_>>().join("\n"))
    }

    /// And it stays there.
    fn stay(&mut self) -> Result<(), String> {
        let commits = self.shared.borrow().remote.bot_commits;
        {
            let mut stage = self.shared.borrow_mut();
            stage.say("settled");
            let (desired, standing) = (self.crowd.desired(&stage), stage.standing());
            stage.judge.take(&Effect::Settled { desired: &desired, standing: &standing });
        }
        self.check()?;
        let later = self.now().plus(Duration::from_minutes(90));
        self.go_on_until(later)?;
        let after = self.shared.borrow().remote.bot_commits;
        if after != commits {
            return Err(format!("I10: {} commits after it had settled", after - commits));
        }
        self.differs()
    }

    /// Now and then: what a fleet looks like that was never disturbed.
    fn differs(&mut self) -> Result<(), String> {
        let script = self.shared.borrow().script.clone();
        if !script.seed.is_multiple_of(DIFFERENTIAL_EVERY) {
            return Ok(());
        }
        let undisturbed = Script { moments: Vec::new(), git: false, late: false, daemons: 1, ..script };
        let mut reference = Self::new(&undisturbed, false);
        reference.crowd = Crowd::who_want(self.crowd.wish());
        reference.crowd.begin(&reference.shared);
        reference.begin_process();
        reference.calm().map_err(|why| format!("the undisturbed run: {why}"))?;
        let (is, should) = (outcome(&self.shared.borrow()), outcome(&reference.shared.borrow()));
        match is == should {
            true => Ok(()),
            false => Err(format!("I11: in the end there is {is:?}\nand undisturbed there is {should:?}")),
        }
    }
}

/// What two runs must have in common in the end: everything but names, ids and times.
fn outcome(stage: &Stage) -> BTreeMap<String, Vec<String>> {
    let mut outcome: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (set, cluster) in stage.record.clusters() {
        let parts = stage.standing().into_iter();
        // What a cluster makes by itself depends on what it has been through.
        let parts = parts.filter(|r| r.cluster == cluster.metadata.name && r.step != Step::Leftovers);
        let mut parts: Vec<String> = parts.map(|r| format!("{} {:?} {}", r.step, r.phase, r.applied)).collect();
        parts.sort();
        let line = format!("{} {} {}", cluster.status.state, cluster.status.revision, parts.join(", "));
        outcome.entry(set.to_string()).or_default().push(line);
    }
    outcome.values_mut().for_each(|lines| lines.sort());
    outcome
}

fn due(times: impl Iterator<Item = Timestamp>, now: Timestamp) -> Vec<usize> {
    times.enumerate().filter(|(_, time)| *time <= now).map(|(index, _)| index).collect()
}
