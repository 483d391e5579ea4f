//! What must come to an end: from every state that is reached, once people and faults let it be, the fleet comes to be
//! as wished, and stays.
//!
//! `stateright` takes a property for kept on every path that ends in a cycle, or joins one that was looked at, and a
//! fleet never stands still: time passes. So the question is asked of each state by itself. From there the one fair
//! schedule is run, in which everything that can happen does, in turn, and nothing goes wrong; a state from which it was
//! seen to end well is remembered, and whatever leads there need not be followed further. Each state costs about one step.

use std::collections::BTreeSet;
use std::sync::Mutex;

use super::Model;
use super::moves::{Move, approval_wanted, time};
use super::state::State;
use super::step::planned;
use super::tell::Teller;
use crate::promises::Effect;

/// No fair schedule is this long.
const STEPS_MAX: usize = 1500;
const SHARDS: usize = 64;

/// States from which all ends well.
#[derive(Debug)]
pub struct Ends(Vec<Mutex<BTreeSet<u64>>>);

impl Default for Ends {
    fn default() -> Self {
        Self((0..SHARDS).map(|_| Mutex::default()).collect())
    }
}

impl Ends {
    fn shard(&self, digest: u64) -> Option<std::sync::MutexGuard<'_, BTreeSet<u64>>> {
        self.0[(digest % SHARDS as u64) as usize].lock().ok()
    }
    fn knows(&self, digest: u64) -> bool {
        self.shard(digest).is_some_and(|known| known.contains(&digest))
    }
    fn learn(&self, digests: Vec<u64>) {
        for digest in digests {
            self.shard(digest).map(|mut known| known.insert(digest));
        }
    }
}

impl Model {
    /// Whether all ends well from here; the error says how it does not.
    pub fn converges(&self, state: &State, tell: &mut Teller) -> Result<(), String> {
        let mut here = state.clone();
        let mut passed = Vec::new();
        for _ in 0..STEPS_MAX {
            let digest = here.digest(0, false);
            if self.ends.knows(digest) {
                self.ends.learn(passed);
                return Ok(());
            }
            passed.push(digest);
            let step = self.fair(&here);
            if matches!(step, Move::Epoch(_)) && is_settled(&here) {
                self.stays(&here, tell)?;
                self.ends.learn(passed);
                return Ok(());
            }
            tell.say(|| step.to_string());
            here = self.step(&here, &step, tell).ok_or("the fair schedule has no next step")?;
            sound(&here)?;
        }
        Err(format!("not as wished after {STEPS_MAX} steps of a fair schedule"))
    }

    /// Runs the fair schedule to its end.
    pub fn settled(&self, state: &State) -> State {
        let mut here = state.clone();
        for _ in 0..STEPS_MAX {
            let step = self.fair(&here);
            if matches!(step, Move::Epoch(_)) && is_settled(&here) {
                break;
            }
            match self.step(&here, &step, &mut Teller::default()) {
                Some(next) => here = next,
                None => break,
            }
        }
        here
    }

    /// The next step of the fair schedule: what is under way comes first, and a plan is not carried out before the
    /// readings are new; time passes last.
    pub fn fair(&self, state: &State) -> Move {
        let mut moves = Vec::new();
        self.work(state, &mut moves);
        let rank = |step: &Move| match step {
            Move::Land(..) => 0,
            Move::Complete(_) => 1,
            Move::Fetch(_) => 2,
            Move::Read(..) => 3,
            Move::Publish(..) => 4,
            Move::HandOut(_) => 5,
            Move::Edit | Move::Approve(_) | Move::Crash(..) | Move::Vanish(_) | Move::Soon | Move::Epoch(_) => 6,
        };
        let work = moves.into_iter().min_by_key(rank);
        work.or_else(|| approval_wanted(state)).unwrap_or_else(|| time(state))
    }

    /// Nothing moves any more, however much time passes.
    fn stays(&self, state: &State, tell: &mut Teller) -> Result<(), String> {
        let mut here = state.clone();
        let (desired, standing) = (here.remote.desired.clone(), here.world.standing());
        here.judge().take(&Effect::Settled { desired: &desired, standing: &standing });
        for _ in 0..12 {
            sound(&here)?;
            let step = self.fair(&here);
            tell.say(|| step.to_string());
            here = self.step(&here, &step, tell).ok_or("the fair schedule has no next step")?;
        }
        sound(&here)
    }
}

/// Whether every daemon takes the fleet for as wished.
fn is_settled(state: &State) -> bool {
    (0..state.daemons.len()).all(|index| planned(state, index).is_some_and(|plan| plan.plan().is_settled()))
}

fn sound(state: &State) -> Result<(), String> {
    match (state.judge.breaches().first(), &state.objection) {
        (Some(breach), _) => Err(breach.to_string()),
        (None, Some(objection)) => Err(objection.clone()),
        (None, None) => Ok(()),
    }
}
