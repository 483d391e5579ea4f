//! The loop: wake, read the tip, read the clouds, plan, check, publish, hand out. The one file that sees every hand. It
//! keeps no truth: everything that it knows is rebuilt from Git and the clouds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration as RealDuration, Instant};

use fleetwright_clouds::{CloudError, Progress};
use fleetwright_core::action::Action;
use fleetwright_core::change::ChangeTable;
use fleetwright_core::check::{CheckedPlan, check};
use fleetwright_core::fingerprint::Memo;
use fleetwright_core::inventory::{Inventory, Listing, Place, Reading, UnknownReason};
use fleetwright_core::memory::Memory;
use fleetwright_core::plan::{Inputs, Plan, plan};
use fleetwright_core::publication::Notices;
use fleetwright_core::record::{Record, place_of};
use fleetwright_core::waiting::{Ends, Waiting};
use fleetwright_repo::{Mirror, RepoError};
use fleetwright_schema::documents::Publishing;
use fleetwright_schema::status::ClusterSetStatus;
use fleetwright_schema::units::{Duration, Timestamp};
use fleetwright_simulator::World;

use crate::assembly::has_real_account;
use crate::clock::{Clock, machine_time};
use crate::events::{Event, Events};
use crate::hands::{Hands, News};
use crate::publisher::{Publication, PublishError, publish};
use crate::tip::{Tip, TipReader};

/// How often a place is read in which something is under way.
const ATTENTION_INTERVAL: Duration = Duration::from_seconds(15);
/// How often a quiet place is read; well below the age at which a reading is no ground for a move.
const QUIET_INTERVAL: Duration = Duration::from_minutes(5);
/// How long after an action its place is read: at once, but never in the same second, because a reading must be younger
/// than what it is to show.
const AFTER_ACTION: Duration = Duration::from_seconds(2);
/// The longest pause after a remote that does not answer.
const REMOTE_BACKOFF_MAX: RealDuration = RealDuration::from_secs(300);
/// How long details of steps are collected for one commit.
const DETAILS_WINDOW: Duration = Duration::from_minutes(1);
/// The remote's tips are not asked for again within this time before something is done.
const ASKED_RECENTLY: RealDuration = RealDuration::from_secs(1);
/// A run that is to end gives up after so many refusals of the remote in a row.
const DECLINES_MAX: u32 = 6;
/// Objects are packed after so many publications.
const MAINTENANCE_EVERY: u32 = 200;

/// How a daemon runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// The watched branch; the remote's default when left out, and `main` where it has none.
    pub branch: Option<String>,
    /// How often the remote is asked for its tips.
    pub poll_interval: RealDuration,
    /// One pass, then the end.
    pub once: bool,
    /// The end once nothing is left to do, or only people can go on.
    pub until_settled: bool,
    /// Plan and tell, but publish and do nothing.
    pub dry_run: bool,
    /// The end once a published record is as wanted.
    pub until: Option<fn(&Record) -> bool>,
}

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
    mirror: Mirror,
    reader: TipReader,
    hands: Hands,
    news: Receiver<News>,
    clock: Clock,
    world: Option<World>,
    events: Box<dyn Events>,
    memo: Memo,
    memory: Memory,
    inventory: Inventory,
    tip: Option<Tip>,
    rounds: BTreeMap<Place, Rounds>,
    attention: BTreeSet<Place>,
    poll_at: Instant,
    poll_failures: u32,
    published_at: Option<Timestamp>,
    declined_until: Option<Instant>,
    declines: u32,
    declined_why: Option<String>,
    asked_at: Option<Instant>,
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
    /// Its clone.
    pub mirror: Mirror,
    /// Its hands.
    pub hands: Hands,
    /// What wakes it.
    pub news: Receiver<News>,
    /// Its clock.
    pub clock: Clock,
    /// The simulated world, if it has one: where time may jump to the next event.
    pub world: Option<World>,
    /// Who is told.
    pub events: Box<dyn Events>,
}

impl Daemon {
    /// A daemon that knows nothing yet.
    pub fn new(parts: Parts) -> Self {
        let Parts { options, branch, mirror, hands, news, clock, world, events } = parts;
        let reader = TipReader::new(&branch);
        Self {
            options,
            mirror,
            reader,
            hands,
            news,
            clock,
            world,
            events,
            memo: Memo::default(),
            memory: Memory::default(),
            inventory: Inventory::default(),
            tip: None,
            rounds: BTreeMap::new(),
            attention: BTreeSet::new(),
            poll_at: Instant::now(),
            poll_failures: 0,
            published_at: None,
            declined_until: None,
            declines: 0,
            declined_why: None,
            asked_at: None,
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
        self.poll_at = Instant::now();
        self.stopping = false;
    }

    /// Runs until there is a reason to end.
    pub fn run(&mut self) -> Result<Ended, DaemonError> {
        loop {
            self.hear_what_came();
            if self.stopping {
                return Ok(Ended::Stopped);
            }
            self.look_at_remote()?;
            self.read_places();
            if self.clock.jumps() || self.options.once {
                self.await_hands();
            }
            if let Some(ended) = self.turn()? {
                return Ok(ended);
            }
        }
    }

    /// One plan and what follows from it.
    fn turn(&mut self) -> Result<Option<Ended>, DaemonError> {
        let Some(tip) = self.tip.take() else {
            self.sleep(None, true);
            return Ok(None);
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
            return Ok(Some(Ended::Once));
        }
        if self.options.until.is_some_and(|until| until(&tip.record)) {
            self.tip = Some(tip);
            return Ok(Some(Ended::Once));
        }
        let wanting = self.wants_publishing(&tip, checked.plan());
        let batch_ends = self.batch_ends(&tip, checked.plan());
        let batch_open = batch_ends.is_none_or(|end| end <= self.clock.now());
        if wanting && batch_open && self.may_publish() {
            self.publish(tip, checked)?;
            return Ok(None);
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
        if ended.is_none() && !acted {
            self.sleep(wake, calm);
        }
        Ok(ended)
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

    fn wants_publishing(&self, tip: &Tip, plan: &Plan) -> bool {
        let record = plan.record != tip.record;
        let told = self.told.as_ref() != Some(&tip.notices);
        let source = tip.source.as_ref().filter(|_| tip.sound);
        let observed = source.is_some_and(|source| tip.refs.get(crate::tip::OBSERVED_REF) != Some(source));
        let unwritten = tip.status_commit.is_none() && !tip.record.sets.is_empty();
        tip.commit.is_some() && (record || told || unwritten || observed || !tip.edited.is_empty())
    }

    fn may_publish(&self) -> bool {
        self.declined_until.is_none_or(|until| until <= Instant::now())
    }

    /// When the next commit may be made. What consumers act on goes out soon; how steps get on is collected for longer.
    fn batch_ends(&self, tip: &Tip, plan: &Plan) -> Option<Timestamp> {
        let config = tip.desired.config.as_ref();
        let window = config.map_or_else(|| Publishing::default().batch_window, |config| config.publishing.batch_window);
        let window = if changes_state(&tip.record, &plan.record) { window } else { window.max(DETAILS_WINDOW) };
        Some(self.published_at?.plus(window))
    }

    fn publish(&mut self, tip: Tip, checked: CheckedPlan) -> Result<(), DaemonError> {
        let config = tip.desired.config.as_ref();
        let branch = config.and_then(|config| config.publishing.branch.clone());
        let branch = branch.unwrap_or_else(|| self.reader.branch().to_owned());
        let now = self.clock.now();
        let publication = Publication {
            branch: &branch,
            record: &checked.plan().record,
            notices: &tip.notices,
            observes: tip.sound,
            // A commit is dated by the machine, also where the fleet's time is simulated: git orders by it.
            committed_at: machine_time(),
        };
        match publish(&self.mirror, &tip, &publication) {
            Ok(published) => {
                self.events.event(Event::Published { published: &published, now });
                self.note_time();
                self.told = Some(tip.notices.clone());
                // Only a commit opens a batch: a ref that moved is nothing that others read.
                self.published_at = published.commit.is_some().then_some(now).or(self.published_at);
                self.poll_failures = 0;
                self.declines = 0;
                self.declined_why = None;
                self.asked_at = Some(Instant::now());
                let refs = refs_after(&tip, &published.moved);
                self.tip = Some(tip);
                self.take_up(refs)?;
                self.maintain();
            }
            Err(error) => {
                self.tip = Some(tip);
                self.not_published(error);
            }
        }
        Ok(())
    }

    fn not_published(&mut self, error: PublishError) {
        self.events.event(Event::NotPublished(&error));
        // Fetch and plan again; where nobody was merely faster, not at once.
        self.poll_at = Instant::now();
        if matches!(error, PublishError::Declined(_)) {
            self.declines += 1;
            self.declined_why = Some(error.to_string());
        }
        if !matches!(error, PublishError::Superseded(_)) {
            self.poll_failures += 1;
            let pause = remote_backoff(self.poll_failures);
            self.declined_until = Some(Instant::now() + pause);
            self.poll_at = Instant::now() + pause;
        }
    }

    /// Time that has passed is kept with the world, so that it does not run backwards for the next process.
    fn note_time(&mut self) {
        let noted = self.world.as_ref().map_or(Ok(()), World::note_time);
        if let Err(error) = noted {
            self.events.event(Event::Trouble(&error.to_string()));
        }
    }

    fn maintain(&mut self) {
        self.publications += 1;
        if self.publications.is_multiple_of(MAINTENANCE_EVERY) {
            let maintenance = self.mirror.maintenance();
            std::thread::spawn(move || {
                if let Err(error) = maintenance.run() {
                    tracing::warn!(%error, "maintenance of the mirror failed; it is tried again later");
                }
            });
        }
    }

    /// Hands out the actions of a plan; whether there were any.
    fn hand_out(&mut self, plan: &Plan) -> bool {
        let now = self.clock.now();
        for action in &plan.actions {
            self.events.event(Event::Started { action, now });
            self.memory.started(&action.key, now);
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
            News::Repository => self.poll_at = Instant::now(),
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
        self.memory.finished(&action.key, now, error);
    }

    /// Asks the remote for its tips when it is time, and fetches what is new.
    fn look_at_remote(&mut self) -> Result<(), DaemonError> {
        if Instant::now() < self.poll_at {
            return Ok(());
        }
        self.poll_at = Instant::now() + jittered(self.options.poll_interval, self.publications);
        match self.news_of_remote() {
            Ok(true) => {
                let refs = self.mirror.fetch();
                self.asked_at = Some(Instant::now());
                refs.and_then(|refs| self.read_tip(refs)).or_else(|error| self.remote_failed(error))
            }
            Ok(false) => Ok(()),
            Err(error) => self.remote_failed(error),
        }
    }

    /// One `ls-remote`: whether anything differs from what was last read.
    fn news_of_remote(&mut self) -> Result<bool, RepoError> {
        let Some(tip) = self.tip.take() else { return Ok(true) };
        let moved = self.has_moved(&tip);
        self.tip = Some(tip);
        moved
    }

    fn has_moved(&mut self, tip: &Tip) -> Result<bool, RepoError> {
        let there = self.mirror.ls_remote()?;
        self.poll_failures = 0;
        self.asked_at = Some(Instant::now());
        let known: BTreeMap<String, _> = tip.refs.iter().map(|(name, id)| (name.to_owned(), id.clone())).collect();
        Ok(known != there)
    }

    /// Whether the tip is still the remote's: another daemon may have gone on meanwhile, and what its record says now may
    /// forbid what ours permits. Asked before actions, unless it was just asked.
    fn is_current(&mut self, tip: &Tip) -> bool {
        if self.asked_at.is_some_and(|asked| asked.elapsed() < ASKED_RECENTLY) {
            return true;
        }
        match self.has_moved(tip) {
            Ok(moved) => {
                if moved {
                    self.poll_at = Instant::now();
                }
                !moved
            }
            Err(error) => {
                self.poll_failures += 1;
                self.poll_at = Instant::now() + remote_backoff(self.poll_failures);
                self.events.event(Event::Trouble(&error.to_string()));
                false
            }
        }
    }

    fn remote_failed(&mut self, error: RepoError) -> Result<(), DaemonError> {
        self.poll_failures += 1;
        self.poll_at = Instant::now() + remote_backoff(self.poll_failures);
        // A daemon that has read the repository once waits for it to come back; at the start, a person is watching.
        let ends = self.options.once || self.options.until_settled || self.options.dry_run;
        if self.tip.is_none() && ends {
            return Err(DaemonError::Repository(error));
        }
        self.events.event(Event::Trouble(&error.to_string()));
        Ok(())
    }

    fn take_up(&mut self, refs: fleetwright_repo::RemoteRefs) -> Result<(), DaemonError> {
        self.read_tip(refs).or_else(|error| self.remote_failed(error))
    }

    fn read_tip(&mut self, refs: fleetwright_repo::RemoteRefs) -> Result<(), RepoError> {
        let tip = self.reader.read(&self.mirror, refs)?;
        if let Clock::Simulated(clock) = &self.clock {
            clock.at_least(tip.record.newest_time());
        }
        if let Some(config) = &tip.desired.config {
            self.hands.learn(config);
        }
        let now = self.clock.now();
        let unknown = tip.record.clusters().filter(|(_, c)| !self.memory.touched.contains_key(&c.metadata.name));
        for place in unknown.map(|(set, cluster)| place_of(set, cluster)).collect::<BTreeSet<_>>() {
            self.rounds.entry(place).or_default().due = Some(now.plus(AFTER_ACTION));
        }
        self.memory.note_record(&tip.record, now);
        self.events.event(Event::Tip { tip: &tip });
        self.tip = Some(tip);
        Ok(())
    }

    /// The places that matter: of every wish and of every recorded cluster.
    fn places(&self) -> BTreeSet<Place> {
        let Some(tip) = &self.tip else { return BTreeSet::new() };
        let wished = tip.desired.sets.values().filter_map(|wish| match wish {
            fleetwright_core::desired::Wish::Wanted(wanted) => Some(wanted.place.clone()),
            fleetwright_core::desired::Wish::Held(_) => None,
        });
        let recorded = tip.record.clusters().map(|(set, cluster)| place_of(set, cluster));
        wished.chain(recorded).collect()
    }

    fn read_places(&mut self) {
        let now = self.clock.now();
        for place in self.places() {
            let attention = self.attention.contains(&place);
            let rounds = self.rounds.entry(place.clone()).or_default();
            if !rounds.reading && next_reading(rounds, attention, self.clock.jumps()).is_none_or(|at| at <= now) {
                rounds.reading = true;
                self.hands.read(&place);
            }
        }
        if self.tip.is_some() {
            let known = self.places();
            self.rounds.retain(|place, rounds| known.contains(place) || rounds.reading);
        }
    }

    /// Waits until every call has come back: where time stands still while there is work.
    fn await_hands(&mut self) {
        while !self.stopping && (!self.memory.in_flight.is_empty() || self.rounds.values().any(|rounds| rounds.reading))
        {
            match self.news.recv_timeout(RealDuration::from_secs(60)) {
                Ok(news) => self.hear(news),
                Err(_) => return,
            }
        }
    }

    /// Sleeps until something may be different: news, a time of the plan, a place to be read, the remote to be asked.
    fn sleep(&mut self, wake: Option<Timestamp>, calm: bool) {
        let now = self.clock.now();
        let readings = self
            .rounds
            .iter()
            .filter(|(_, rounds)| !rounds.reading)
            .filter_map(|(place, rounds)| next_reading(rounds, self.attention.contains(place), self.clock.jumps()));
        let next = readings.chain(wake).min();
        if self.clock.jumps() && !calm && self.memory.in_flight.is_empty() {
            return self.jump(next, now);
        }
        let until_poll = self.poll_at.saturating_duration_since(Instant::now());
        let until_next = match (self.clock.jumps(), next) {
            (false, Some(next)) => self.clock.real_duration_until(next),
            // Time stands still: there is nothing to wait for but people.
            (true, _) | (false, None) => until_poll,
        };
        let pause = until_poll.min(until_next).max(RealDuration::from_millis(1));
        match self.news.recv_timeout(pause) {
            Ok(news) => self.hear(news),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => self.stopping = true,
        }
    }

    /// Lets simulated time jump to the next time at which anything is different, in the world or in the plan.
    fn jump(&mut self, next: Option<Timestamp>, now: Timestamp) {
        let event = self.world.as_ref().and_then(|world| world.next_event().ok().flatten());
        let Some(next) = earliest(event, next) else {
            // Nothing will ever happen by itself: wait for people as in real time.
            return self.sleep(None, true);
        };
        let next = next.max(now.plus(Duration::from_seconds(1)));
        let changing = self.world.as_ref().and_then(|world| world.places_changing(next).ok().flatten());
        self.clock.advance_to(next);
        self.note_time();
        if event.is_some_and(|event| event <= self.clock.now()) {
            let changing = changing.as_ref();
            for place in self.attention.iter().filter(|place| changing.is_none_or(|changing| changing.contains(*place)))
            {
                self.rounds.entry(place.clone()).or_default().due = Some(self.clock.now());
            }
        }
    }
}

/// When a place is to be read next; `None` is at once.
fn next_reading(rounds: &Rounds, attention: bool, jumps: bool) -> Option<Timestamp> {
    let last = rounds.last?;
    // Where time jumps from event to event, a place is read when something happens in it.
    let interval = if attention && !jumps { ATTENTION_INTERVAL } else { QUIET_INTERVAL };
    earliest(rounds.due, Some(last.plus(interval)))
}

/// The refs as they are after a push that succeeded: no need to ask for what we wrote ourselves.
fn refs_after(tip: &Tip, moved: &[(String, fleetwright_core::snapshot::CommitId)]) -> fleetwright_repo::RemoteRefs {
    let mut refs = tip.refs.clone();
    moved.iter().for_each(|(name, commit)| refs.set(name, commit));
    refs
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

/// Whether a cluster comes, goes or changes its state, or a set takes up another wish.
fn changes_state(old: &Record, new: &Record) -> bool {
    new.sets.len() != old.sets.len()
        || new.sets.iter().any(|(id, set)| {
            let Some(before) = old.sets.get(id).filter(|before| !Arc::ptr_eq(before, set)) else {
                return !old.sets.contains_key(id);
            };
            let states = |set: &ClusterSetStatus| -> Vec<_> {
                set.clusters.iter().map(|c| (c.metadata.ordinal, c.status.state, c.status.retirement.clone())).collect()
            };
            before.spec != set.spec || states(before) != states(set)
        })
}

fn remote_backoff(failures: u32) -> RealDuration {
    let seconds = 1u64 << failures.saturating_sub(1).min(9);
    RealDuration::from_secs(seconds).min(REMOTE_BACKOFF_MAX)
}

/// Up to a tenth more, so that daemons that began together do not ask together.
fn jittered(interval: RealDuration, salt: u32) -> RealDuration {
    let share = (std::process::id().wrapping_mul(31).wrapping_add(salt.wrapping_mul(17))) % 100;
    interval + interval.mul_f64(f64::from(share) / 1000.0)
}
