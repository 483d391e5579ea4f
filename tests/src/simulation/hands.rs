//! The hands of a simulated process: calls that travel, arrive once or twice, and are answered late or never.

use std::collections::BTreeSet;

use fleetwright::hands::{Hands, News};
use fleetwright_clouds::{CloudError, Progress};
use fleetwright_core::action::Action;
use fleetwright_core::inventory::{Listing, Place};
use fleetwright_schema::documents::FleetSpec;
use fleetwright_schema::names::ClusterName;
use fleetwright_schema::units::{Duration, Timestamp};
use fleetwright_simulator::Verb;

use super::points::{Kind, Way, reach};
use super::{Shared, Stage};
use crate::promises::{Effect, Process};

/// What is asked of a cloud.
#[derive(Clone, Debug)]
pub enum Asked {
    /// A reading.
    Read(Place),
    /// An action.
    Perform(Action),
}

/// What it said.
#[derive(Clone, Debug)]
pub enum Said {
    /// To a reading.
    Read(Result<Listing, CloudError>),
    /// To an action.
    Done(Result<Progress, CloudError>),
}

/// A call under way.
#[derive(Clone, Debug)]
pub struct Call {
    /// Who made it.
    pub process: Process,
    asked: Asked,
    began: Timestamp,
    /// When it reached its cloud.
    served: Timestamp,
    /// When it goes on: it arrives, or its answer does.
    pub due: Timestamp,
    said: Option<Said>,
    /// Whether it comes a second time.
    twice: bool,
    /// Whether anybody waits for the answer.
    pub heard: bool,
    /// How its process is to end at it.
    pub way: Option<Way>,
}

impl Call {
    /// Whether it has reached its cloud.
    pub const fn has_arrived(&self) -> bool {
        self.said.is_some()
    }
    /// What kind of point it is.
    pub const fn kind(&self) -> Kind {
        self.asked.kind()
    }
    /// Whether it may change anything.
    pub const fn is_action(&self) -> bool {
        matches!(self.asked, Asked::Perform(_))
    }
}

/// What a process hands its work to.
pub struct SimHands {
    /// The stage.
    pub shared: Shared,
    /// Who works.
    pub process: Process,
}

impl Asked {
    const fn place(&self) -> &Place {
        match self {
            Self::Read(place) => place,
            Self::Perform(action) => &action.place,
        }
    }

    const fn kind(&self) -> Kind {
        match self {
            Self::Read(_) => Kind::Read,
            Self::Perform(action) => Kind::Act(Verb::of(&action.effect), action.key.step),
        }
    }
}

impl SimHands {
    fn call(&self, asked: Asked) {
        let way = reach(&self.shared, self.process, asked.kind());
        let mut stage = self.shared.borrow_mut();
        let now = stage.clock.now();
        let (due, twice) = (now.plus(stage.travel(asked.place())), stage.doubles());
        let process = self.process;
        stage.calls.push(Call { process, asked, began: now, served: now, due, said: None, twice, heard: true, way });
    }
}

impl Hands for SimHands {
    fn learn(&mut self, _: &FleetSpec) {}

    fn read(&mut self, place: &Place, _closely: BTreeSet<ClusterName>) {
        self.call(Asked::Read(place.clone()));
    }

    fn perform(&mut self, action: Action) {
        self.call(Asked::Perform(action));
    }
}

impl Stage {
    /// How long a call or its answer takes: seconds, seldom as long as a connection is held open.
    fn travel(&mut self, place: &Place) -> Duration {
        if let Some(pace) = &self.pace {
            let is_slow = pace.slow.as_ref() == Some(place);
            return Duration::from_seconds(if is_slow { self.dice.between(1, 90) } else { 1 });
        }
        let (low, high) = match self.dice.between(0, 99) {
            _ if self.calm || !self.script.late => (0, 1),
            0..=79 => (0, 1),
            80..=95 => (1, 15),
            _ => (15, 90),
        };
        Duration::from_seconds(self.dice.between(low, high))
    }

    fn doubles(&mut self) -> bool {
        !self.calm && self.script.late && self.dice.percent(4)
    }

    /// The call goes on; news for its process, if it is over.
    pub fn go_on(&mut self, mut call: Call) -> Option<News> {
        match call.said.take() {
            Some(said) => self.answer(call, said),
            None => {
                call.said = Some(self.arrive(&call.asked));
                call.served = self.clock.now();
                call.due = self.clock.now().plus(self.travel(call.asked.place()));
                if call.twice {
                    let again = Call { twice: false, heard: false, said: None, way: None, ..call.clone() };
                    self.calls.push(again);
                }
                if call.heard {
                    self.calls.push(call);
                }
                None
            }
        }
    }

    /// The call reaches its cloud.
    pub fn arrive(&mut self, asked: &Asked) -> Said {
        match asked {
            Asked::Read(place) => Said::Read(self.world.observe_now(place)),
            Asked::Perform(action) => {
                self.tally.calls += 1;
                let result = self.world.perform_now(action);
                let mutations = self.world.history().unwrap();
                // Judged once, and forgotten.
                self.world.remember(0);
                self.world.remember(1000);
                let said = result.as_ref().map_or_else(|error| error.to_string(), |progress| format!("{progress:?}"));
                self.say(format!("{action}: {said}"));
                let standing = self.standing();
                self.judge.take(&Effect::Arrived { action, mutations: &mutations, standing: &standing });
                self.tally.mutations += mutations.len() as u64;
                for mutation in &mutations {
                    *self.points.done.entry((action.set.clone(), mutation.verb, mutation.step)).or_default() += 1;
                }
                Said::Done(result)
            }
        }
    }

    fn answer(&mut self, call: Call, said: Said) -> Option<News> {
        let now = self.clock.now();
        if !call.heard {
            return None;
        }
        match (call.asked, said) {
            (Asked::Read(place), Said::Read(result)) => {
                if let Ok(listing) = &result {
                    self.judge.take(&Effect::Read { place: &place, served: call.served, listing });
                }
                Some(News::Read { place, began: call.began, result })
            }
            (Asked::Perform(action), Said::Done(result)) => {
                let error = result.as_ref().err().map(|error| (error.class, error.retry_after));
                self.judge.take(&Effect::Returned { process: call.process, key: &action.key, error, now });
                Some(News::Done { action: Box::new(action), result })
            }
            _ => None,
        }
    }
}
