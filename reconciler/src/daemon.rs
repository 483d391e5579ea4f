//! The loop: wake, read the tip, read the clouds, plan, check, publish, hand out. The one file that sees every hand. It
//! keeps no truth: everything that it knows is rebuilt from Git and the clouds.

mod remote;
mod time;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration as RealDuration;

use fleetwright_clouds::{CloudError, Progress};
use fleetwright_core::action::Action;
use fleetwright_core::change::ChangeTable;
use fleetwright_core::check::{CheckedPlan, check};
use fleetwright_core::fingerprint::Memo;
use fleetwright_core::inventory::{Inventory, Listing, Place, Reading, UnknownReason};
use fleetwright_core::memory::Memory;
use fleetwright_core::mutant;
use fleetwright_core::plan::{Inputs, Plan, plan};
use fleetwright_core::publication::Notices;
use fleetwright_core::record::Record;
use fleetwright_core::waiting::{Ends, Waiting};
use fleetwright_repo::{RepoError, Upstream};
use fleetwright_schema::units::{Duration, Timestamp};
use fleetwright_simulator::World;

use crate::assembly::has_real_account;
use crate::clock::{Clock, Uptime};
use crate::events::{Event, Events};
use crate::hands::{Hands, News};
use crate::tip::{Tip, TipReader};

/// How long after an action its place is read: at once, but never in the same second, because a reading must be younger
/// than what it is to show.
const AFTER_ACTION: Duration = Duration::from_seconds(2);
/// A run that is to end gives up after so many refusals of the remote in a row.
const DECLINES_MAX: u32 = 6;

/// How a daemon runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// The watched branch; the remote's default when left out, and `main` where it has none.
    pub branch: Option<String>,
    /// How often the remote is asked for its tips.
    pub poll_interval: RealDuration,
    /// How often a place is read in which something is under way.
    pub attention_interval: Duration,
    /// One pass, then the end.
    pub once: bool,
    /// The end once nothing is left to do, or only people can go on.
    pub until_settled: bool,
    /// Plan and tell, but publish and do nothing.
    pub dry_run: bool,
    /// The end once a published record is as wanted.
    pub until: Option<fn(&Record) -> bool>,
}

/// How often a place is read in which something is under way, unless somebody says otherwise.
pub const ATTENTION_INTERVAL: Duration = Duration::from_seconds(15);

/// Why a daemon ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The fleet is as wished.
    Settled,
    /// What is not as wished waits for people.
    Stuck,
    /// It was asked to.
    Stopped,
    /// Its one pass is over.
    Once,
}

/// What one pass of the loop came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// There is a reason to end.
    Ended(Ended),
    /// Something was done: look again at once.
    Again,
    /// Nothing is to be done now.
    Rest(Rest),
}

/// A rest until something may be different.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rest {
    /// When time alone may change the plan.
    wake: Option<Timestamp>,
    /// Only people, or the remote, can change anything.
    calm: bool,
}

/// Why a daemon gave up.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The repository can't be read at all.
    #[error("the fleet repository can't be read: {0}")]
    Repository(#[from] RepoError),
    /// The state of the simulated clouds can't be used.
    #[error("the simulated clouds can't be used: {0}")]
    World(#[from] fleetwright_simulator::WorldError),
    /// The fleet needs another kind of clock or an adapter that is not there.
    #[error("{0}")]
    Unsuitable(String),
}

/// When a place is read.
#[derive(Clone, Copy, Debug, Default)]
struct Rounds {
    /// When the last reading began.
    last: Option<Timestamp>,
    /// A reading is under way.
    reading: bool,
    /// Not later than this, because something was done there.
    due: Option<Timestamp>,
}

/// The daemon.
pub struct Daemon {
    options: Options,
    upstream: Box<dyn Upstream>,
    reader: TipReader,
    hands: Box<dyn Hands>,
    news: Receiver<News>,
    clock: Clock,
    world: Option<World>,
    events: Box<dyn Events>,
    salt: u32,
    memo: Memo,
    memory: Memory,
    inventory: Inventory,
    tip: Option<Tip>,
    /// The record that this process last read or wrote.
    known: Record,
    rounds: BTreeMap<Place, Rounds>,
    attention: BTreeSet<Place>,
    poll_at: Uptime,
    poll_failures: u32,
    /// Pushes in a row that somebody else was faster than.
    races_lost: u32,
    /// Not before this time is the server that takes pushes asked again.
    asks_again_at: Option<Uptime>,
    published_at: Option<Timestamp>,
    declined_until: Option<Uptime>,
    declines: u32,
    declined_why: Option<String>,
    /// When the server that takes pushes last had the tip that is planned from.
    confirmed_at: Option<Uptime>,
    told: Option<Notices>,
    publications: u32,
    stopping: bool,
    waits: Vec<String>,
}

/// The parts that a daemon is made of.
pub struct Parts {
    /// How it runs.
    pub options: Options,
    /// The branch that it watches.
    pub branch: String,
    /// Its clone, and the remote behind it.
    pub upstream: Box<dyn Upstream>,
    /// Its hands.
    pub hands: Box<dyn Hands>,
    /// What wakes it.
    pub news: Receiver<News>,
    /// Its clock.
    pub clock: Clock,
    /// The simulated world, if it has one: where time may jump to the next event.
    pub world: Option<World>,
    /// Who is told.
    pub events: Box<dyn Events>,
    /// What tells this process from others that began at the same moment.
    pub salt: u32,
}

impl Daemon {
    /// A daemon that knows nothing yet.
    pub fn new(parts: Parts) -> Self {
        let Parts { options, branch, upstream, hands, news, clock, world, events, salt } = parts;
        let reader = TipReader::new(&branch);
        let memory = Memory { began: clock.now(), ..Memory::default() };
        Self {
            options,
            upstream,
            reader,
            hands,
            news,
            clock,
            world,
            events,
            salt,
            memo: Memo::default(),
            memory,
            inventory: Inventory::default(),
            tip: None,
            known: Record::default(),
            rounds: BTreeMap::new(),
            attention: BTreeSet::new(),
            poll_at: Uptime::ZERO,
            poll_failures: 0,
            races_lost: 0,
            asks_again_at: None,
            published_at: None,
            declined_until: None,
            declines: 0,
            declined_why: None,
            confirmed_at: None,
            told: None,
            publications: 0,
            stopping: false,
            waits: Vec::new(),
        }
    }

    /// What the bot last wrote, as this daemon last read it.
    pub fn record(&self) -> Option<&Record> {
        self.tip.as_ref().map(|tip| &tip.record)
    }

    /// What the last plan waits people for, a line each.
    pub fn waits(&self) -> Vec<String> {
        self.waits.clone()
    }

    /// Replaces how it runs; what it knows stays.
    pub fn set_options(&mut self, options: Options) {
        self.options = options;
        self.poll_at = self.clock.uptime();
        self.stopping = false;
    }

    /// Runs until there is a reason to end.
    pub fn run(&mut self) -> Result<Ended, DaemonError> {
        loop {
            match self.pass()? {
                Pass::Ended(ended) => return Ok(ended),
                Pass::Again => {}
                Pass::Rest(rest) => self.sleep(rest),
            }
        }
    }

    /// Once through the loop: hear, read the tip, read the clouds, plan, publish or hand out. Waits for nobody, except
    /// where simulated time stands still while there is work.
    pub fn pass(&mut self) -> Result<Pass, DaemonError> {
        self.hear_what_came();
        if self.stopping {
            return Ok(Pass::Ended(Ended::Stopped));
        }
        self.look_at_remote()?;
        self.read_places();
        if self.clock.jumps() || self.options.once {
            self.await_hands();
        }
        self.turn()
    }

    /// One plan and what follows from it.
    fn turn(&mut self) -> Result<Pass, DaemonError> {
        let Some(tip) = self.tip.take() else {
            return Ok(Pass::Rest(Rest { wake: None, calm: true }));
        };
        let real = tip.desired.config.as_ref().is_some_and(|config| has_real_account(config));
        if real && matches!(self.clock, Clock::Simulated(_)) {
            let why = "fleet.yaml names a real account now, and this daemon runs on simulated time; start it anew";
            return Err(DaemonError::Unsuitable(why.to_owned()));
        }
        let checked = self.plan(&tip);
        self.attention = checked.plan().attention.clone();
        for violation in checked.violations() {
            self.events.event(Event::Violation(violation));
        }
        self.events.event(Event::Planned { plan: checked.plan(), record: &tip.record, now: self.clock.now() });
        if self.options.dry_run {
            self.tip = Some(tip);
            return Ok(Pass::Ended(Ended::Once));
        }
        if self.options.until.is_some_and(|until| until(&tip.record)) {
            self.tip = Some(tip);
            return Ok(Pass::Ended(Ended::Once));
        }
        let wanting = self.wants_publishing(&tip, checked.plan());
        let batch_ends = self.batch_ends(&tip, checked.plan());
        let batch_open = batch_ends.is_none_or(|end| end <= self.clock.now());
        if wanting && batch_open && self.may_publish() {
            self.publish(tip, checked)?;
            return Ok(Pass::Again);
        }
        let plan = checked.into_plan();
        let acted = !plan.actions.is_empty() && self.is_current(&tip) && self.hand_out(&plan);
        let ended = self.ended(&plan, wanting, acted, &tip);
        if ended == Some(Ended::Stuck) {
            self.waits = waits(&plan, &tip.notices);
            self.waits.extend(self.declined_why.iter().map(|why| format!("the remote takes no commit: {why}")));
        }
        if self.options.once {
            self.await_hands();
        }
        let mut wake = plan.wake_at;
        if wanting {
            wake = earliest(wake, batch_ends);
        }
        let declined = wanting && !self.may_publish();
        // Simulated time stands still while people, or a remote that says no, are waited for.
        let calm = declined || (!wanting && !acted && (plan.is_settled() || plan.is_stuck()));
        self.tip = Some(tip);
        Ok(match ended {
            Some(ended) => Pass::Ended(ended),
            None if acted => Pass::Again,
            None => Pass::Rest(Rest { wake, calm }),
        })
    }

    fn plan(&self, tip: &Tip) -> CheckedPlan {
        let inputs = Inputs {
            now: self.clock.now(),
            desired: &tip.desired,
            record: &tip.record,
            inventory: &self.inventory,
            memory: &self.memory,
            acknowledgements: &tip.acknowledgements,
            table: ChangeTable::shipped(),
            memo: &self.memo,
        };
        check(&inputs, plan(&inputs))
    }

    fn ended(&self, plan: &Plan, wanting: bool, acted: bool, tip: &Tip) -> Option<Ended> {
        if self.options.once {
            return Some(Ended::Once);
        }
        let unread = self.rounds.values().any(|rounds| rounds.last.is_none() || rounds.reading);
        if self.options.until_settled && self.declines >= DECLINES_MAX {
            return Some(Ended::Stuck);
        }
        let idle = !wanting && self.memory.in_flight.is_empty() && !unread;
        if !self.options.until_settled || !idle {
            return None;
        }
        if plan.is_settled() && !acted {
            // Files that can't be read hold no set here, but are for people to mend.
            return Some(if tip.sound { Ended::Settled } else { Ended::Stuck });
        }
        plan.is_stuck().then_some(Ended::Stuck)
    }

    /// Hands out the actions of a plan; whether there were any.
    fn hand_out(&mut self, plan: &Plan) -> bool {
        let now = self.clock.now();
        for action in &plan.actions {
            self.events.event(Event::Started { action, now });
            self.memory.started(action, now);
            self.hands.perform(action.clone());
        }
        !plan.actions.is_empty()
    }

    fn hear_what_came(&mut self) {
        while let Ok(news) = self.news.try_recv() {
            self.hear(news);
        }
    }

    fn hear(&mut self, news: News) {
        match news {
            News::Repository => self.poll_at = self.clock.uptime(),
            News::Stop => self.stopping = true,
            News::Read { place, began, result } => self.note_reading(place, began, result),
            News::Done { action, result } => self.note_outcome(&action, result),
        }
    }

    fn note_reading(&mut self, place: Place, began: Timestamp, result: Result<Listing, CloudError>) {
        let failing_since = self.inventory.places.get(&place).and_then(|reading| reading.failing_since);
        let rounds = self.rounds.entry(place.clone()).or_default();
        rounds.reading = false;
        rounds.last = Some(began);
        rounds.due = rounds.due.filter(|due| *due > began);
        let reading = match result {
            Ok(listing) => {
                if let Some(tip) = &self.tip {
                    self.memory.note_reading(&tip.record, &place, &listing, began);
                }
                Reading { at: began, result: Ok(Arc::new(listing)), failing_since: None }
            }
            Err(_) if mutant::on("failed-page-read-as-empty") => {
                let listing = Listing::default();
                if let Some(tip) = &self.tip {
                    self.memory.note_reading(&tip.record, &place, &listing, began);
                }
                Reading { at: began, result: Ok(Arc::new(listing)), failing_since: None }
            }
            Err(error) => {
                self.events.event(Event::ReadFailed { place: &place, error: &error });
                let why = UnknownReason::Failed(error.class, error.to_string());
                Reading { at: began, result: Err(why), failing_since: failing_since.or(Some(began)) }
            }
        };
        self.inventory.places.insert(place, reading);
    }

    fn note_outcome(&mut self, action: &Action, result: Result<Progress, CloudError>) {
        let now = self.clock.now();
        let rounds = self.rounds.entry(action.place.clone()).or_default();
        rounds.due = Some(now.plus(AFTER_ACTION));
        self.events.event(Event::Finished { action, result: &result, now });
        let error = result.err().map(|error| (error.class, error.to_string(), error.retry_after));
        self.memory.finished(action, now, error);
    }
}

fn earliest(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    a.into_iter().chain(b).min()
}

fn waits(plan: &Plan, notices: &Notices) -> Vec<String> {
    // A fleet of which nothing is built yet has no set that could say so.
    let mut lines: Vec<String> =
        notices.hold.iter().map(|hold| format!("nothing of the fleet is acted on: {hold}")).collect();
    lines.extend(notices.unreadable.iter().map(|(path, why)| format!("{path} can't be read: {why}")));
    for (id, report) in &plan.reports {
        lines.extend(report.waiting.iter().map(|waiting| format!("{id}: {}", waiting.sentence())));
        let people = |waiting: &&Waiting| waiting.ends() == Ends::Person;
        for (name, all) in &report.clusters {
            lines.extend(all.iter().filter(people).map(|waiting| format!("{name}: {}", waiting.sentence())));
        }
    }
    lines
}
