//! What happens in a run, drawn from its seed before it begins: so that a part of it can be left out, and the rest stays
//! as it was.

use fleetwright_schema::units::Duration;

use super::remote::RemoteOdds;
use crate::wishes::Dice;

/// Something that happens to a fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stir {
    /// Somebody edits the wish.
    Edit,
    /// Something goes wrong in the clouds.
    Fault,
    /// The clouds are well again.
    Mend,
    /// A process ends, and another one begins.
    Crash,
    /// Consumers read the tip.
    Acknowledge,
    /// The branch is rewritten, or restored.
    Rewrite,
    /// Somebody edits what is the bot's.
    Tamper,
    /// Somebody approves the removals that wait.
    Approve,
}

/// When, what, and with which numbers.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// After the beginning.
    pub after: Duration,
    /// What.
    pub stir: Stir,
    /// The seed of what it draws.
    pub seed: u64,
}

/// A run.
#[derive(Clone, Debug)]
pub struct Script {
    /// Where all of it comes from.
    pub seed: u64,
    /// What happens, in order.
    pub moments: Vec<Moment>,
    /// Which of the moments are left in, by number; all when `None`.
    pub keep: Option<Vec<usize>>,
    /// Whether the remote misbehaves.
    pub git: bool,
    /// Whether calls are late and doubled.
    pub late: bool,
    /// How many processes run at a time.
    pub daemons: u32,
    /// How often a place is read in which something is under way.
    pub attention: Duration,
    /// How the remote misbehaves.
    pub odds: RemoteOdds,
}

/// How long a fleet is disturbed.
const TURMOIL: u64 = 3 * 3600;

impl Script {
    /// The run of a seed.
    pub fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed ^ 0x7363_7269_7074);
        let busy = dice.between(3, 14);
        let mut moments: Vec<Moment> = (0..busy)
            .map(|_| Moment {
                after: Duration::from_seconds(dice.between(0, TURMOIL)),
                stir: stir(&mut dice),
                seed: dice.next(),
            })
            .collect();
        moments.sort_by_key(|moment| moment.after);
        let some = |dice: &mut Dice, most| if dice.percent(50) { dice.between(0, most) } else { 0 };
        let odds = RemoteOdds {
            unreachable: some(&mut dice, 10),
            stale: some(&mut dice, 10),
            declined: some(&mut dice, 5),
            reply_lost: some(&mut dice, 10),
            request_lost: some(&mut dice, 10),
            lie: some(&mut dice, 5),
            crash_before: some(&mut dice, 3),
            crash_after: some(&mut dice, 3),
        };
        Self {
            seed,
            moments,
            keep: None,
            git: dice.percent(70),
            late: dice.percent(70),
            daemons: if dice.percent(15) { 2 } else { 1 },
            attention: Duration::from_seconds(dice.pick(&[15, 60, 60, 120])),
            odds,
        }
    }

    /// A run in which nothing happens by itself, for those that make things happen.
    pub fn undisturbed(seed: u64, attention: Duration) -> Self {
        let (moments, odds) = (Vec::new(), RemoteOdds::default());
        Self { seed, moments, keep: None, git: false, late: false, daemons: 1, attention, odds }
    }

    /// The moments that are left in, with their numbers.
    pub fn kept(&self) -> Vec<(usize, Moment)> {
        let kept = |index: &usize| self.keep.as_ref().is_none_or(|keep| keep.contains(index));
        self.moments.iter().copied().enumerate().filter(|(index, _)| kept(index)).collect()
    }

    /// The command that runs exactly this again.
    pub fn replay(&self) -> String {
        let mut line = format!("cargo run -p fleetwright-tests --bin simulate -- --seed {}", self.seed);
        if let Some(keep) = &self.keep {
            let keep: Vec<String> = keep.iter().map(ToString::to_string).collect();
            line.push_str(&format!(" --keep '{}'", keep.join(",")));
        }
        let whole = Self::new(self.seed);
        let without = [
            (whole.git && !self.git, "git"),
            (whole.late && !self.late, "late"),
            (whole.daemons > self.daemons, "rival"),
        ];
        for (left_out, what) in without.into_iter().filter(|(left_out, _)| *left_out) {
            debug_assert!(left_out);
            line.push_str(&format!(" --without {what}"));
        }
        line
    }

    /// Leaves out what a run does not need to fail in the same way: first kinds of trouble, then moment by moment.
    pub fn shrink(self, fails: impl Fn(&Self) -> bool) -> Self {
        let mut least = self;
        for simpler in [
            Self { git: false, ..least.clone() },
            Self { late: false, ..least.clone() },
            Self { daemons: 1, ..least.clone() },
        ] {
            let simpler = Self {
                git: simpler.git && least.git,
                late: simpler.late && least.late,
                daemons: simpler.daemons.min(least.daemons),
                ..simpler
            };
            if fails(&simpler) {
                least = simpler;
            }
        }
        let mut step = least.moments.len().div_ceil(2).max(1);
        loop {
            least = least.without_some(step, &fails);
            if step == 1 {
                return least;
            }
            step = step.div_ceil(2);
        }
    }

    fn without_some(self, step: usize, fails: &impl Fn(&Self) -> bool) -> Self {
        let mut least = self;
        let mut at = 0;
        loop {
            let keep: Vec<usize> = least.kept().iter().map(|(index, _)| *index).collect();
            if at >= keep.len() {
                return least;
            }
            let rest = keep.iter().enumerate().filter(|(place, _)| !(at..at + step).contains(place));
            let simpler = Self { keep: Some(rest.map(|(_, index)| *index).collect()), ..least.clone() };
            match fails(&simpler) {
                true => least = simpler,
                false => at += step,
            }
        }
    }
}

fn stir(dice: &mut Dice) -> Stir {
    match dice.between(0, 99) {
        0..=39 => Stir::Edit,
        40..=59 => Stir::Fault,
        60..=69 => Stir::Mend,
        70..=79 => Stir::Crash,
        80..=89 => Stir::Acknowledge,
        90..=92 => Stir::Rewrite,
        93..=95 => Stir::Tamper,
        _ => Stir::Approve,
    }
}
