//! I14: what goes wrong with one set delays no other. A fleet whose sets share nothing is built and changed twice, with all
//! else equal: undisturbed, and with one set poisoned. What the others publish may come hardly later.

use std::collections::BTreeMap;
use std::sync::Arc;

use fleetwright_core::inventory::Place;
use fleetwright_core::record::Record;
use fleetwright_schema::names::{ClusterName, SetId};
use fleetwright_schema::status::ClusterState;
use fleetwright_schema::units::{Duration, Timestamp};
use fleetwright_simulator::{Fault, Scope};

use super::crowd::Crowd;
use super::sweep::stories;
use super::{Failure, Script, Simulation};
use crate::wishes::{Dice, People};

/// What goes wrong with one set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Poison {
    /// Its file is garbage, from the moment of the change on.
    Garbage,
    /// Its region is out for two hours.
    Outage,
    /// What runs on its clusters does not leave.
    StuckDrain,
    /// Its region takes up to 90 seconds for a call, and as long for the answer.
    Slow,
}

impl Poison {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Garbage, Self::Outage, Self::StuckDrain, Self::Slow];
}

/// A cluster came to a state, or went (`None`), for the so many-th time.
pub type Transition = (SetId, ClusterName, Option<ClusterState>, usize);

/// How long calls take where that is not left to chance: a second, but for a slow place.
#[derive(Clone, Debug, Default)]
pub struct Pace {
    /// Where they take up to 90.
    pub slow: Option<Place>,
}

/// When everybody could first read what.
#[derive(Debug, Default)]
pub struct Log(BTreeMap<Transition, Timestamp>);

impl Log {
    /// Notes what a publication changes.
    pub fn note(&mut self, old: &Record, new: &Record, now: Timestamp) {
        let states = |record: &Record| -> BTreeMap<_, _> {
            let all = record.clusters().map(|(set, c)| ((set.clone(), c.metadata.name.clone()), c.status.state));
            all.collect()
        };
        let (before, after) = (states(old), states(new));
        for key in before.keys().chain(after.keys().filter(|key| !before.contains_key(*key))) {
            let state = after.get(key).copied();
            if before.get(key).copied() != state {
                let (set, name) = key.clone();
                let times = (0..).find(|n| !self.0.contains_key(&(set.clone(), name.clone(), state, *n)));
                self.0.insert((set, name, state, times.unwrap()), now);
            }
        }
    }
}

/// When the change is made, after the beginning: by then everything is built.
const CHANGE: Duration = Duration::from_minutes(60);
/// How long the run goes on after it: a rotation of three takes less, and an outage is long over.
const REST: Duration = Duration::from_minutes(6 * 60);
/// How often a place is read in which something is under way.
const ATTENTION: Duration = Duration::from_seconds(15);

/// One plan's worth: what any single thing may wait for another at most. The remote is asked once more (a minute and a
/// tenth); details that were just published hold back a commit for a minute; and then the place is read once more,
/// which takes two seconds there and back. More would mean that a set waited for its neighbour itself.
pub const PLAN: Duration = Duration::from_seconds(66 + 60 + ATTENTION.seconds() + 2);

/// What a case came to.
#[derive(Debug)]
pub struct Case {
    /// What went wrong.
    pub poison: Poison,
    /// How many transitions of others were compared.
    pub compared: usize,
    /// The longest delay of one of them.
    pub longest: Duration,
    /// Which came too late, or never.
    pub late: Vec<String>,
    /// How many transitions of the poisoned set came later or never: that it was hit.
    pub hit: usize,
}

/// The fleet of a seed, undisturbed and poisoned.
pub fn compare(seed: u64) -> Result<Case, Failure> {
    let mut dice = Dice::new(seed ^ 0x6e65_6967_6862);
    let poison = dice.pick(&Poison::ALL);
    let ids: Vec<SetId> = fleet(seed).sets.into_keys().collect();
    let victim = dice.pick(&ids);
    let (calm, ill) = (run(seed, None)?, run(seed, Some((poison, &victim)))?);
    let mut case = Case { poison, compared: 0, longest: Duration::default(), late: Vec::new(), hit: 0 };
    for (transition, at) in &calm.0 {
        let later = ill.0.get(transition).map(|then| then.since(*at));
        if transition.0 == victim {
            case.hit += usize::from(later.is_none_or(|later| later > PLAN));
            continue;
        }
        case.compared += 1;
        case.longest = case.longest.max(later.unwrap_or_default());
        if later.is_none_or(|later| later > PLAN) {
            case.late.push(format!("{transition:?} at {at}, poisoned {later:?} later"));
        }
    }
    Ok(case)
}

/// Two to four sets, each in a region of its own, that share no wave and no budget that could bind.
fn fleet(seed: u64) -> People {
    let mut dice = Dice::new(seed);
    let mut places = vec!["aws/eu-west-1", "azure/westeurope", "gcp/europe-west1", "aws/us-east-1"];
    let sets = dice.between(2, 4);
    let drawn: Vec<(String, u32)> = (0..sets)
        .map(|_| {
            let at = usize::try_from(dice.next() % places.len() as u64).unwrap();
            (format!("prod/{}/Type1", places.swap_remove(at)), u32::try_from(dice.between(1, 3)).unwrap())
        })
        .collect();
    let drawn: Vec<(&str, u32)> = drawn.iter().map(|(id, count)| (id.as_str(), *count)).collect();
    let mut people = stories::people(&drawn);
    people.config.budgets.removal.max_clusters = 100;
    people.config.budgets.failure.max_stalled_clusters = 100;
    people
}

/// Every set changes: a rotation, another count, or tags.
fn change(people: &mut People, seed: u64, poison: Option<(Poison, &SetId)>) {
    let mut dice = Dice::new(seed ^ 0x6368_616e_6765);
    for (id, set) in &mut people.sets {
        let drains = poison.is_some_and(|(_, victim)| victim == id);
        match dice.between(0, 3) {
            0 => set.count = if set.count == 1 { 2 } else { set.count - 1 },
            1 => drop(Arc::make_mut(&mut set.template).tags.insert("tier".to_owned(), "gold".to_owned())),
            _ => Arc::make_mut(&mut set.template).kubernetes_version = "1.33".parse().unwrap(),
        }
        if drains && poison.is_some_and(|(poison, _)| poison == Poison::Garbage) {
            people.held.insert(id.clone());
        }
    }
}

fn run(seed: u64, poison: Option<(Poison, &SetId)>) -> Result<Log, Failure> {
    let script = Script::undisturbed(seed, ATTENTION);
    let mut simulation = Simulation::new(&script, false);
    simulation.crowd = Crowd::who_want(fleet(seed));
    simulation.guarded(|simulation| simulation.be_neighbours(seed, poison))?;
    let mut stage = simulation.shared.borrow_mut();
    Ok(stage.log.take().unwrap_or_default())
}

impl Simulation {
    fn be_neighbours(&mut self, seed: u64, poison: Option<(Poison, &SetId)>) -> Result<(), String> {
        {
            let mut stage = self.shared.borrow_mut();
            (stage.log, stage.pace) = (Some(Log::default()), Some(Pace::default()));
        }
        self.crowd.begin(&self.shared);
        self.begin_process();
        self.go_on_until(self.now().plus(CHANGE))?;
        if let Some((poison, victim)) = poison {
            self.poison(poison, victim);
        }
        self.crowd.edit(&self.shared, |people| change(people, seed, poison));
        self.go_on_until(self.now().plus(REST))
    }

    fn poison(&self, poison: Poison, victim: &SetId) {
        let place = self.crowd.wish().place(victim);
        let mut stage = self.shared.borrow_mut();
        let now = stage.clock.now();
        let fault = match poison {
            // That is in the edit.
            Poison::Garbage => return,
            Poison::Slow => return stage.pace = Some(Pace { slow: Some(place) }),
            Poison::Outage => {
                let until = now.plus(Duration::from_minutes(120));
                Fault::Outage { scope: Scope::place(&place), from: now, until }
            }
            Poison::StuckDrain => {
                let first = victim.cluster_name(1).unwrap().to_string();
                let cluster = format!("{}*", first.trim_end_matches('1'));
                Fault::StuckDrain { cluster, blocked_by: vec!["web/pod".to_owned()] }
            }
        };
        stage.world.inject(fault).unwrap();
    }
}
