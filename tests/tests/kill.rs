//! The daemon is disposable: the real process is killed again and again while a fleet is built and rotated on a real
//! repository, and what is left in the end is what an undisturbed run leaves.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fleetwright_core::inventory::Step;
use fleetwright_simulator::Verb;
use fleetwright_tests::program::{Machine, Running};
use fleetwright_tests::stage::{SET, Stage};
use fleetwright_tests::witness::{judge, sights};

const OLD: &str = "count: 5\nkubernetesVersion: \"1.33\"";
const NEW: &str = "count: 5\nkubernetesVersion: \"1.34\"";
/// Kills of the rotation alone; those of the build come on top.
const KILLS_MIN: usize = 30;
/// `FLEETWRIGHT_SEED` asks for other moments.
const SEED: u64 = 0x1ee7;

/// What two runs of one story have in common: everything but times, and what follows from them.
type Outcome = BTreeMap<String, (u32, String, String, String)>;

/// Marsaglia's xorshift64: a seeded row of numbers is all that is needed here.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

struct Theatre {
    machine: Machine,
    stage: Stage,
}

impl Theatre {
    fn new() -> Self {
        Self { machine: Machine::new(), stage: Stage::with_set(OLD) }
    }

    fn begin(&self) -> Running {
        let repo = self.stage.person.path().display().to_string();
        let args = ["run", "--repo", &repo, "--until-settled", "--sim-speed", "max", "--sim-seed", "7"];
        self.machine.begin("home", &args)
    }

    fn settle(&self) {
        let said = self.begin().wait().ended(0);
        assert!(said.stdout.starts_with("settled: 5 clusters in 1 set"), "{said}");
    }

    fn commits(&self) -> u64 {
        self.stage.person.history().len() as u64
    }

    /// Runs until settled, and kills the process at many moments that are spread over so many commits: some commits
    /// further on and a little later, or when it has hardly begun. How often it was killed.
    fn settle_under_fire(&self, dice: &mut Dice, commits: u64, kills: u64) -> usize {
        let (start, mut killed) = (self.commits(), 0);
        for kill in 1..=kills {
            let target = start + kill * commits / (kills + 1);
            let mut run = self.begin();
            // A commit takes tens of milliseconds, so this may be anywhere in the next one.
            let late = Duration::from_micros(dice.below(60_000));
            if dice.below(4) > 0 && !run.until(|_| self.commits() >= target) {
                continue;
            }
            // Not to wait for something: a random moment is what is wanted.
            std::thread::sleep(late);
            killed += usize::from(run.kill());
        }
        self.settle();
        killed
    }

    fn outcome(&self) -> Outcome {
        let clusters = self.stage.status().clusters;
        let told = |c: &fleetwright_schema::status::Cluster| {
            let version = c.spec.kubernetes_version.to_string();
            (c.metadata.ordinal, c.status.state.to_string(), version, c.status.revision.clone())
        };
        clusters.iter().map(|c| (c.metadata.name.to_string(), told(c))).collect()
    }

    /// The control planes that were ever made, each of them once.
    fn made(&self) -> BTreeSet<String> {
        let history = self.stage.world().history().unwrap();
        let creates = history.iter().filter(|m| m.step == Step::ControlPlane && m.verb == Verb::Create);
        let mut made = BTreeSet::new();
        creates.for_each(|m| assert!(made.insert(m.cluster.to_string()), "{} was made twice", m.cluster));
        made
    }
}

#[test]
fn a_daemon_killed_at_any_moment_leaves_what_an_undisturbed_one_leaves() {
    let (calm, stormy) = (Theatre::new(), Theatre::new());
    calm.settle();
    let building = calm.commits();
    calm.stage.edit(NEW);
    calm.settle();
    let rotating = calm.commits() - building;

    let seed = std::env::var("FLEETWRIGHT_SEED").map_or(SEED, |text| text.parse().unwrap());
    let mut dice = Dice(seed.max(1));
    let build_kills = stormy.settle_under_fire(&mut dice, building, 8);
    stormy.stage.edit(NEW);
    let kills = stormy.settle_under_fire(&mut dice, rotating, KILLS_MIN as u64 + 6);
    assert!(kills >= KILLS_MIN, "only {kills} kills hit a rotation of {rotating} commits");
    assert!(build_kills > 0);

    assert_eq!(stormy.outcome(), calm.outcome());
    assert_eq!(stormy.made(), calm.made(), "no cluster is made twice, and none too many");
    assert_eq!(stormy.made().len(), 10);
    let all = sights(&stormy.stage.person, SET);
    let built = all.iter().position(|sight| sight.serving() == 5).unwrap();
    assert!(all.iter().all(|sight| sight.alive() <= 6), "never above count and surge");
    assert!(all[built..].iter().all(|sight| sight.serving() >= 5), "never below count, once it was reached");
    judge(&stormy.stage.person);
    stormy.stage.no_leaks();

    let tip = stormy.stage.person.tip();
    let mutations = stormy.stage.world().history().unwrap().len();
    stormy.settle();
    assert_eq!(stormy.stage.person.tip(), tip, "one more run: nothing to commit");
    assert_eq!(stormy.stage.world().history().unwrap().len(), mutations, "one more run: nothing to do");
    stormy.stage.nothing_to_do();
}
