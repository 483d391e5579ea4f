//! The planner driven without Git and threads: plan, check, publish, hand out, read, over a simulated world, with
//! everything that may come between. One seed gives one run.

mod settle;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fleetwright_core::action::Action;
use fleetwright_core::change::ChangeTable;
use fleetwright_core::check::check;
use fleetwright_core::desired::{Desired, Wish};
use fleetwright_core::fingerprint::Memo;
use fleetwright_core::inventory::{ErrorClass, Inventory, Listing, Place, Reading, Resource, UnknownReason};
use fleetwright_core::memory::{Acknowledgements, Memory};
use fleetwright_core::plan::{Inputs, Plan, plan};
use fleetwright_core::record::{Record, place_of};
use fleetwright_schema::documents::RemovalApprovalSpec;
use fleetwright_schema::units::{Duration, Timestamp};
use fleetwright_simulator::{SimClock, Speed, World};

use crate::mishaps::mishap;
use crate::promises::{Breach, Effect, Judge, Promise, Soundness, approval};
use crate::wishes::{Dice, People};

/// An action that was handed out and has not come back.
#[derive(Clone, Debug)]
struct Flying {
    action: Action,
    lands: Timestamp,
    /// It reaches its cloud twice.
    twice: bool,
    /// Who handed it out is still there to hear of it.
    heard: bool,
}

/// A reading that was made and has not come in.
struct Letter {
    place: Place,
    began: Timestamp,
    arrives: Timestamp,
    result: Result<Listing, (ErrorClass, String)>,
}

#[derive(Clone, Copy, Default)]
struct Round {
    last: Option<Timestamp>,
    reading: bool,
    due: Option<Timestamp>,
}

/// What a run came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Plans made.
    pub steps: u64,
    /// Records published.
    pub publications: u64,
    /// Actions handed out.
    pub actions: u64,
    /// Edits of the wish.
    pub edits: u64,
    /// Crashes.
    pub crashes: u64,
}

impl Tally {
    /// Adds up runs.
    pub fn add(&mut self, other: Self) {
        let Self { steps, publications, actions, edits, crashes } = other;
        self.steps += steps;
        self.publications += publications;
        self.actions += actions;
        self.edits += edits;
        self.crashes += crashes;
    }
}

/// One run.
pub struct Drive {
    dice: Dice,
    people: People,
    desired: Desired,
    approvals: Vec<RemovalApprovalSpec>,
    world: World,
    clock: SimClock,
    record: Record,
    inventory: Inventory,
    memory: Memory,
    memo: Memo,
    acknowledgements: Acknowledgements,
    flying: Vec<Flying>,
    letters: Vec<Letter>,
    rounds: BTreeMap<Place, Round>,
    attention: BTreeSet<Place>,
    judge: Judge,
    process: u32,
    tip: u64,
    calm: bool,
    doctored: bool,
    trace: Vec<String>,
    /// What was done.
    pub tally: Tally,
}

/// Steps of a run while everything goes wrong.
const TURMOIL_STEPS: u64 = 160;

/// Runs one seed; the error is a readable trace.
pub fn run(seed: u64) -> Result<Tally, String> {
    tried(seed, Drive::new(seed))
}

/// The same, and of some plans a doctored copy goes to the check as well.
pub fn run_doctored(seed: u64) -> Result<Tally, String> {
    tried(seed, Drive { doctored: true, ..Drive::new(seed) })
}

fn tried(seed: u64, mut drive: Drive) -> Result<Tally, String> {
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drive.live()));
    let why = match outcome {
        Ok(Ok(())) => return Ok(drive.tally),
        Ok(Err(why)) => why,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            format!("panic: {}", text.unwrap_or_default())
        }
    };
    Err(format!("seed {seed}: {why}\n{}", drive.trace.join("\n")))
}

impl Drive {
    fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let start = Timestamp::from_unix_seconds(1_790_000_000 + i64::try_from(dice.between(0, 86_400)).unwrap());
        let clock = SimClock::new(start, Speed::Max);
        let world = World::open(None, seed, clock.clone()).unwrap();
        let people = People::new(&mut dice, start);
        let desired = people.desired();
        Self {
            dice,
            people,
            desired,
            approvals: Vec::new(),
            world,
            clock,
            record: Record::default(),
            inventory: Inventory::default(),
            memory: Memory { began: start, ..Memory::default() },
            memo: Memo::default(),
            acknowledgements: Acknowledgements::default(),
            flying: Vec::new(),
            letters: Vec::new(),
            rounds: BTreeMap::new(),
            attention: BTreeSet::new(),
            judge: Judge::new(),
            process: 1,
            tip: 0,
            calm: false,
            doctored: false,
            trace: Vec::new(),
            tally: Tally::default(),
        }
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn say(&mut self, what: impl Into<String>) {
        let line = format!("{} {}", self.now(), what.into());
        self.trace.push(line);
    }

    fn live(&mut self) -> Result<(), String> {
        for (id, set) in self.people.sets.clone() {
            let rotation = &set.update_strategy.cluster_rotation;
            let (count, surge, bake, window) = (set.count, rotation.max_surge, rotation.bake, rotation.rollback_window);
            let version = &set.template.kubernetes_version;
            self.trace.push(format!("{id}: {count} at {version}, surge {surge}, bake {bake}, window {window}"));
        }
        for _ in 0..TURMOIL_STEPS {
            self.stir();
            self.step()?;
        }
        self.settle()?;
        self.stay()
    }

    /// Something happens, or not.
    fn stir(&mut self) {
        let now = self.now();
        if self.dice.percent(6) {
            let what = self.people.edit(&mut self.dice, now);
            self.say(format!("edit: {what}"));
            self.tally.edits += 1;
            self.take_up();
        }
        if self.dice.percent(3) {
            let now = self.now();
            let fault = mishap(&mut self.dice, &self.people, &self.record, now);
            self.say(format!("fault: {fault:?}"));
            self.world.inject(fault).unwrap();
        }
        if self.dice.percent(4) {
            self.say("faults end");
            self.world.clear_faults().unwrap();
        }
        if self.dice.percent(2) {
            self.crash();
        }
        if self.dice.percent(20) {
            self.acknowledge();
        }
        if self.dice.percent(3) {
            let pause = Duration::from_seconds(self.dice.pick(&[1, 30, 600, 3600, 7200]));
            self.clock.advance_to(now.plus(pause));
            self.say("time passes");
        }
    }

    fn take_up(&mut self) {
        self.desired = self.people.desired();
        self.desired.approvals = self.approvals.clone();
        self.tip += 1;
        // A set without a file is not held by one that can't be read.
        let held: BTreeSet<_> =
            self.people.held.iter().filter(|id| self.people.sets.contains_key(*id)).cloned().collect();
        let soundness = match &self.people.hold {
            Some(_) => Soundness::Held,
            None if held.is_empty() => Soundness::Sound,
            None => Soundness::HeldSets(held),
        };
        self.judge.take(&Effect::Moved { tip: self.tip, soundness: &soundness });
    }

    fn standing(&self) -> Vec<Resource> {
        self.world.resources().unwrap().into_iter().map(|standing| standing.resource).collect()
    }

    fn tell_plan(&mut self, plan: &Plan) {
        self.judge.take(&Effect::Planned {
            process: self.process,
            tip: self.tip,
            now: self.clock.now(),
            desired: &self.desired,
            acknowledgements: &self.acknowledgements,
            plan,
        });
    }

    fn approve(&mut self, plan: &Plan) {
        if let Some(removals) = &plan.removals
            && self.approvals.iter().all(|known| known.digest != removals.digest || known.expires <= self.now())
            && (self.calm || self.dice.percent(5))
        {
            let approval = approval(removals, self.now());
            self.say(format!("approval of {} removals", removals.clusters));
            self.approvals.push(approval);
            self.take_up();
        }
    }

    fn acknowledge(&mut self) {
        let mut drains = BTreeMap::new();
        for (_, cluster) in self.record.clusters() {
            if let Some(retirement) = &cluster.status.retirement {
                drains.insert(cluster.metadata.name.clone(), retirement.started_at);
            }
        }
        for consumer in self.people.config.consumers.clone() {
            if self.calm || self.dice.percent(60) {
                self.acknowledgements.0.insert(consumer.name, drains.clone());
            }
        }
    }

    /// The process ends, and another one begins. What it had handed out lands now, soon, or never.
    fn crash(&mut self) {
        self.say("crash");
        self.tally.crashes += 1;
        self.process += 1;
        self.memory = Memory { began: self.now(), ..Memory::default() };
        self.inventory = Inventory::default();
        self.rounds.clear();
        self.letters.clear();
        self.attention.clear();
        let now = self.now();
        for mut flying in std::mem::take(&mut self.flying) {
            flying.heard = false;
            match self.dice.between(0, 2) {
                0 => {}
                // A request that is on its way arrives within seconds, long before a new process has read and planned.
                _ => {
                    flying.lands = now;
                    self.flying.push(flying);
                }
            }
        }
        self.land();
        self.reread();
    }

    /// What a daemon does when it has read the tip: clusters that it did not know are read anew.
    fn reread(&mut self) {
        let now = self.now();
        let unknown: Vec<Place> = self
            .record
            .clusters()
            .filter(|(_, cluster)| !self.memory.touched.contains_key(&cluster.metadata.name))
            .map(|(set, cluster)| place_of(set, cluster))
            .collect();
        for place in unknown {
            self.rounds.entry(place).or_default().due = Some(now.plus(Duration::from_seconds(2)));
        }
        self.memory.note_record(&self.record, now);
    }

    fn land(&mut self) {
        let now = self.now();
        let (due, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.flying).into_iter().partition(|flying| flying.lands <= now);
        self.flying = rest;
        for Flying { action, twice, heard, .. } in due {
            let result = self.world.perform_now(&action);
            self.look_at_mutations(&action);
            if twice {
                let _ = self.world.perform_now(&action);
                self.look_at_mutations(&action);
            }
            let said = result.as_ref().map_or_else(|error| error.class.to_string(), |progress| format!("{progress:?}"));
            self.say(format!("{action}: {said}"));
            if heard {
                let error = result.err().map(|error| (error.class, error.to_string(), error.retry_after));
                let told = error.as_ref().map(|(class, _, retry_after)| (*class, *retry_after));
                self.judge.take(&Effect::Returned { process: self.process, key: &action.key, error: told, now });
                self.memory.finished(&action, now, error);
                self.rounds.entry(action.place.clone()).or_default().due = Some(now.plus(Duration::from_seconds(2)));
            }
        }
    }

    fn look_at_mutations(&mut self, action: &Action) {
        let (mutations, standing) = (self.world.history().unwrap(), self.standing());
        self.judge.take(&Effect::Arrived { action, mutations: &mutations, standing: &standing });
        // Judged once, and forgotten.
        self.world.remember(0);
        self.world.remember(1000);
    }

    fn places(&self) -> BTreeSet<Place> {
        let wished = self.desired.sets.values().filter_map(|wish| match wish {
            Wish::Wanted(wanted) => Some(wanted.place.clone()),
            Wish::Held(_) => None,
        });
        wished.chain(self.record.clusters().map(|(set, cluster)| place_of(set, cluster))).collect()
    }

    fn next_reading(&self, place: &Place) -> Timestamp {
        let round = self.rounds.get(place).copied().unwrap_or_default();
        let Some(last) = round.last else { return Timestamp::MIN };
        let interval = if self.attention.contains(place) && !self.calm { 60 } else { 300 };
        let next = last.plus(Duration::from_seconds(interval));
        round.due.map_or(next, |due| due.min(next))
    }

    fn read(&mut self) {
        let now = self.now();
        for place in self.places() {
            let reading = self.rounds.get(&place).is_some_and(|round| round.reading);
            if reading || self.next_reading(&place) > now {
                continue;
            }
            let result = self.world.observe_now(&place).map_err(|error| (error.class, error.to_string()));
            let late = if !self.calm && self.dice.percent(10) { self.dice.between(1, 40) } else { 0 };
            self.rounds.entry(place.clone()).or_default().reading = true;
            self.letters.push(Letter { place, began: now, arrives: now.plus(Duration::from_seconds(late)), result });
        }
        let (come, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.letters).into_iter().partition(|letter| letter.arrives <= now);
        self.letters = rest;
        for Letter { place, began, result, .. } in come {
            let round = self.rounds.entry(place.clone()).or_default();
            round.reading = false;
            round.last = Some(began);
            round.due = round.due.filter(|due| *due > began);
            let failing_since = self.inventory.places.get(&place).and_then(|reading| reading.failing_since);
            let reading = match result {
                Ok(listing) => {
                    self.judge.take(&Effect::Read { place: &place, served: began, listing: &listing });
                    self.memory.note_reading(&self.record, &place, &listing, began);
                    Reading { at: began, result: Ok(Arc::new(listing)), failing_since: None }
                }
                Err((class, why)) => Reading {
                    at: began,
                    result: Err(UnknownReason::Failed(class, why)),
                    failing_since: failing_since.or(Some(began)),
                },
            };
            self.inventory.places.insert(place, reading);
        }
    }

    fn plan(&self) -> Result<Plan, String> {
        let inputs = Inputs {
            now: self.now(),
            desired: &self.desired,
            record: &self.record,
            inventory: &self.inventory,
            memory: &self.memory,
            acknowledgements: &self.acknowledgements,
            table: ChangeTable::shipped(),
            memo: &self.memo,
        };
        let made = plan(&inputs);
        if self.tally.steps.is_multiple_of(16) && plan(&inputs) != made {
            return Err("the same inputs give another plan".to_owned());
        }
        if self.doctored && self.tally.steps.is_multiple_of(4) {
            self.second_opinion(&inputs, &made)?;
        }
        let checked = check(&inputs, made);
        match checked.violations() {
            [] => Ok(checked.into_plan()),
            violations => Err(format!(
                "the check objects: {}",
                violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
            )),
        }
    }

    /// What a doctored plan would break, the check must have taken out of it.
    fn second_opinion(&self, inputs: &Inputs<'_>, made: &Plan) -> Result<(), String> {
        let mut dice = Dice::new(self.tally.steps ^ self.clock.now().unix_seconds().unsigned_abs());
        let mut harmed = made.clone();
        let Some(harm) = crate::doctor::doctor(&mut dice, &mut harmed, &self.record, self.now()) else { return Ok(()) };
        let plan = check(inputs, harmed).into_plan();
        let mut judge = self.judge.clone();
        judge.disturb();
        let (process, tip, now) = (self.process, self.tip, self.now());
        let (desired, acknowledgements) = (&self.desired, &self.acknowledgements);
        judge.take(&Effect::Planned { process, tip, now, desired, acknowledgements, plan: &plan });
        for action in &plan.actions {
            judge.take(&Effect::HandedOut { process, action, now });
        }
        judge.take(&Effect::Published { process, record: &plan.record, standing: &self.standing() });
        // Freezes, waves and the budgets that sets share are the plan's alone.
        let asked = |breach: &&Breach| {
            use Promise::{I1, I2, I3, I4, I5, I9};
            matches!(breach.promise, I1 | I2 | I3 | I4 | I5 | I9) && !breach.what.contains("budget")
        };
        match judge.breaches().iter().find(asked) {
            None => Ok(()),
            Some(breach) => Err(format!("the check lets pass that {harm}: {breach}")),
        }
    }

    /// One turn of the loop. Whether anything was done.
    fn step(&mut self) -> Result<bool, String> {
        self.tally.steps += 1;
        self.land();
        self.read();
        let plan = self.plan()?;
        self.attention = plan.attention.clone();
        self.approve(&plan);
        let differs = plan.record != self.record;
        let fails = !self.calm && self.dice.percent(15);
        let mut acted = false;
        if differs && !fails {
            self.publish(&plan)?;
            acted = true;
        } else if differs && self.dice.percent(50) {
            self.say("publishing fails");
        } else {
            acted |= self.hand_out(&plan);
        }
        if let Some(breach) = self.judge.breaches().first() {
            return Err(format!("a promise is broken: {breach}"));
        }
        if !acted {
            self.pass_time(&plan);
        }
        Ok(acted)
    }

    fn publish(&mut self, plan: &Plan) -> Result<(), String> {
        self.tally.publications += 1;
        self.say_changes(plan);
        self.tell_plan(plan);
        let standing = self.standing();
        self.judge.take(&Effect::Published { process: self.process, record: &plan.record, standing: &standing });
        self.record = plan.record.clone();
        self.reread();
        Ok(())
    }

    fn say_changes(&mut self, plan: &Plan) {
        for line in changes_in_words(&self.record, &plan.record) {
            self.say(format!("  publish {line}"));
        }
    }

    fn hand_out(&mut self, plan: &Plan) -> bool {
        let now = self.now();
        if !plan.actions.is_empty() {
            self.tell_plan(plan);
        }
        for action in &plan.actions {
            self.tally.actions += 1;
            self.judge.take(&Effect::HandedOut { process: self.process, action, now });
            self.memory.started(action, now);
            let late = if !self.calm && self.dice.percent(25) { self.dice.between(1, 90) } else { 0 };
            let twice = !self.calm && self.dice.percent(5);
            let lands = now.plus(Duration::from_seconds(late));
            if late > 0 {
                self.say(format!("{action} is handed out"));
            }
            self.flying.push(Flying { action: action.clone(), lands, twice, heard: true });
        }
        !plan.actions.is_empty()
    }

    fn pass_time(&mut self, plan: &Plan) {
        let now = self.now();
        let event = self.world.next_event().unwrap();
        let readings = self
            .places()
            .into_iter()
            .filter(|place| !self.rounds.get(place).is_some_and(|round| round.reading))
            .map(|place| self.next_reading(&place))
            .collect::<Vec<_>>();
        let landings = self.flying.iter().map(|flying| flying.lands);
        let arrivals = self.letters.iter().map(|letter| letter.arrives);
        let soon = event.into_iter().chain(plan.wake_at).chain(readings).chain(landings).chain(arrivals).min();
        let next = soon.unwrap_or(now).max(now.plus(Duration::from_seconds(1)));
        self.clock.advance_to(next);
        if event.is_some_and(|event| event <= next) {
            for place in self.attention.clone() {
                self.rounds.entry(place).or_default().due = Some(next);
            }
        }
    }
}

/// What changes from one record to the next, a line each.
pub fn changes_in_words(before: &Record, after: &Record) -> Vec<String> {
    let mut lines = Vec::new();
    for (id, set) in &after.sets {
        let old = before.sets.get(id);
        if old.is_none_or(|old| old.spec != set.spec) {
            let version = &set.spec.template.kubernetes_version;
            lines.push(format!("{id}: {} at {version}, {}", set.spec.count, set.status.revision));
        }
        for cluster in &set.clusters {
            let was = old.and_then(|old| old.clusters.iter().find(|c| c.metadata.name == cluster.metadata.name));
            let from = was.map_or("-".to_owned(), |was| format!("{} {}", was.status.state, was.status.revision));
            let to = format!("{} {}", cluster.status.state, cluster.status.revision);
            if from != to {
                let why = cluster.status.retirement.as_ref().map(|r| format!("{:?}", r.reason)).unwrap_or_default();
                lines.push(format!("{}: {from} -> {to} {why}", cluster.metadata.name));
            }
        }
        for gone in old.iter().flat_map(|old| &old.clusters) {
            if !set.clusters.iter().any(|cluster| cluster.metadata.name == gone.metadata.name) {
                lines.push(format!("{}: gone", gone.metadata.name));
            }
        }
    }
    lines
}
