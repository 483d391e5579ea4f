//! The real program against a real Git server, behind a proxy that cuts, loses, delays and delivers twice, over clouds
//! that lose replies, killed again and again while people edit the wish. Then everything is calm, and what is left is
//! judged from outside alone: by the repository, the clouds, and every word that was said.
//!
//! `FLEETWRIGHT_BLACKBOX_SECONDS=300` makes the storm last longer, `FLEETWRIGHT_SEED` makes it another one.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fleetwright_core::inventory::Step;
use fleetwright_schema::status::{ClusterSetStatus, ClusterState};
use fleetwright_simulator::{Fault, Odds, Scope, SimClock, Speed, Target, Verb, World};
use fleetwright_tests::git_server::GitServer;
use fleetwright_tests::person::Person;
use fleetwright_tests::program::{Machine, Running, Said};
use fleetwright_tests::proxy::Proxy;
use fleetwright_tests::stage::{FLEET, Stage, cluster_set, no_leaks, path_of};
use fleetwright_tests::wishes::Dice;
use fleetwright_tests::witness::{judge, statuses};

const SETS: [&str; 3] =
    ["prod/azure/westeurope/ModelServing", "prod/aws/us-east-1/ModelServing", "dev/gcp/europe-west1/Training"];
const USER: &str = "bot";
/// Words that nobody but their owners may ever see.
const PASSWORD: &str = "canary-of-the-remote";
const CLOUD_SECRET: &str = "canary-of-a-cloud";
/// Of a hundred requests, and of a hundred pushes, so many are harmed: a daemon that never hears of the tip does nothing
/// that could go wrong.
const HARMED_PERCENT: [u64; 2] = [7, 40];

/// What people want of one set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wanted {
    count: u64,
    minor: u64,
    team: u64,
}

impl Wanted {
    fn any(dice: &mut Dice) -> Self {
        Self { count: dice.between(1, 4), minor: dice.between(32, 34), team: dice.between(1, 3) }
    }

    fn text(self, set: &str) -> String {
        let Self { count, minor, team } = self;
        let rotation = "{ clusterRotation: { maxSurge: 1, bake: 5m, rollbackWindow: 10m } }";
        let spec = format!(
            "count: {count}\nkubernetesVersion: \"1.{minor}\"\ntags: {{ team: t{team} }}\nupdateStrategy: {rotation}"
        );
        cluster_set(set, &spec)
    }
}

type Wishes = BTreeMap<&'static str, Wanted>;

/// Removals are not what this is about, so that nothing waits for an approval.
fn fleet() -> String {
    format!("{FLEET}  budgets: {{ removal: {{ maxClusters: 1000 }} }}\n")
}

/// How often what happened.
#[derive(Clone, Debug, Default)]
struct Tally {
    kills: u32,
    ended_by_themselves: Vec<String>,
    edits: u32,
    unreadable_edits: u32,
    cloud_faults: u32,
    cloud_replies_lost: u32,
    cloud_calls_failed: u32,
}

struct Storm {
    machine: Machine,
    person: Person,
    proxy: Proxy,
    _server: GitServer,
    dice: Dice,
    wishes: Wishes,
    /// Control planes that were made, with the provider's id of each.
    made: BTreeMap<String, BTreeSet<String>>,
    tally: Tally,
    /// Warnings by what they have in common, for whoever looks into a run.
    warned: BTreeMap<String, u32>,
}

impl Storm {
    fn new(seed: u64) -> Self {
        let machine = Machine::new();
        std::fs::create_dir(machine.path("served")).unwrap();
        std::fs::create_dir(machine.path("state")).unwrap();
        let person = Person::new(&machine.path("served/fleet.git"));
        let mut dice = Dice::new(seed);
        let wishes: Wishes = SETS.iter().map(|set| (*set, Wanted::any(&mut dice))).collect();
        let fleet = fleet();
        let texts: Vec<(String, String)> =
            wishes.iter().map(|(set, wanted)| (path_of(set), wanted.text(set))).collect();
        let mut files = vec![("fleet.yaml", Some(fleet.as_str()))];
        files.extend(texts.iter().map(|(path, text)| (path.as_str(), Some(text.as_str()))));
        person.commit("begin", &files);
        let server = GitServer::new(&machine.path("served"), USER, PASSWORD);
        let proxy = Proxy::new(server.address(), seed, HARMED_PERCENT);
        let (made, tally, warned) = (BTreeMap::new(), Tally::default(), BTreeMap::new());
        Self { machine, person, proxy, _server: server, dice, wishes, made, tally, warned }
    }

    fn begin(&self, more: &[&str]) -> Running {
        let url = format!("http://{USER}:{PASSWORD}@{}/fleet.git", self.proxy.address());
        let state = self.state().display().to_string();
        let args = ["run", "--state-dir", &state, "--sim-speed", "max", "--sim-seed", "7", "--poll-interval", "1s"];
        // The address is in the environment, because anybody may read a command line.
        let environment = [("FLEETWRIGHT_REPO", url.as_str()), ("AWS_SECRET_ACCESS_KEY", CLOUD_SECRET)];
        self.machine.begin_with("home", &[&args[..], more].concat(), &environment)
    }

    fn state(&self) -> PathBuf {
        self.machine.path("state")
    }

    fn world(&self) -> World {
        world_at(&self.state(), 0)
    }

    /// A daemon lives for a while, in which things happen, and is killed.
    fn one_life(&mut self) {
        let run = self.begin(&[]);
        for _ in 0..self.dice.between(1, 3) {
            // Not to wait for something: a random moment is what is wanted.
            std::thread::sleep(Duration::from_millis(self.dice.pick(&[3, 60, 150, 400, 900, 1800, 3500])));
            self.something_happens();
        }
        no_secret_in_a_command_line();
        let (ran, said) = run.kill_and_say();
        match ran {
            true => self.tally.kills += 1,
            false => self.tally.ended_by_themselves.push(said.to_string()),
        }
        self.tally.cloud_calls_failed += count(&said, "\"class\":\"");
        no_secret("what the daemon said", &said.all());
        for line in said.stderr.lines().filter(|line| !line.contains("\"level\":\"INFO\"")) {
            *self.warned.entry(in_common(line)).or_default() += 1;
        }
        self.note_what_was_made();
        if self.tally.kills.is_multiple_of(8) {
            self.cloud_calm();
        }
    }

    fn something_happens(&mut self) {
        match self.dice.between(0, 9) {
            0..=2 => self.edit(),
            3 => self.unreadable_edit(),
            4 | 5 => self.cloud_fault(Fault::LoseReply { target: Target::default(), times: 2 }),
            6 => {
                let odds = Odds {
                    lose_reply_per_mille: 150,
                    lose_request_per_mille: 100,
                    throttle_per_mille: 100,
                    outage_per_mille: 50,
                    become_failed_per_mille: 0,
                };
                self.cloud_fault(Fault::Random { scope: Scope::default(), odds, until: None });
            }
            7 => self.cloud_calm(),
            _ => {}
        }
    }

    fn edit(&mut self) {
        let set = self.dice.pick(&SETS);
        let wanted = Wanted::any(&mut self.dice);
        self.wishes.insert(set, wanted);
        self.person.commit_among_others("edit", &[(&path_of(set), Some(&wanted.text(set)))]);
        self.tally.edits += 1;
    }

    fn unreadable_edit(&mut self) {
        let set = self.dice.pick(&SETS);
        self.person.commit_among_others("a slip of the hand", &[(&path_of(set), Some("count: [\n"))]);
        self.tally.unreadable_edits += 1;
    }

    fn cloud_fault(&mut self, fault: Fault) {
        self.world().inject(fault).unwrap();
        self.tally.cloud_faults += 1;
    }

    fn cloud_calm(&mut self) {
        let world = self.world();
        self.tally.cloud_replies_lost += world.faults().unwrap().iter().map(|(.., used)| used).sum::<u32>();
        world.clear_faults().unwrap();
    }

    fn note_what_was_made(&mut self) {
        for mutation in self.world().history().unwrap() {
            if mutation.step == Step::ControlPlane && mutation.verb == Verb::Create {
                self.made.entry(mutation.cluster.to_string()).or_default().insert(mutation.id.to_string());
            }
        }
    }

    /// Faults stop, and people leave a wish that can be read.
    fn calm(&mut self) {
        self.proxy.storm(false);
        self.cloud_calm();
        let texts: Vec<(String, String)> =
            self.wishes.iter().map(|(set, wanted)| (path_of(set), wanted.text(set))).collect();
        let files: Vec<(&str, Option<&str>)> =
            texts.iter().map(|(path, text)| (path.as_str(), Some(text.as_str()))).collect();
        self.person.commit_among_others("what is wanted in the end", &files);
    }

    fn settle(&mut self) {
        let said = self.begin(&["--until-settled"]).wait().ended(0);
        no_secret("what the last daemon said", &said.all());
        let clusters: u64 = self.wishes.values().map(|wanted| wanted.count).sum();
        assert!(said.stdout.starts_with(&format!("settled: {clusters} clusters in 3 sets")), "{said}");
        self.note_what_was_made();
    }

    fn statuses(&self) -> BTreeMap<String, ClusterSetStatus> {
        statuses(&self.person, self.person.tip().unwrap())
    }
}

/// A line of the log without what differs from time to time.
fn in_common(line: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
    let text = |field: &str| value.get(field).and_then(serde_json::Value::as_str).unwrap_or_default();
    let told = format!("{} {} {}", text("level"), text("message"), text("error"));
    told.chars().filter(|c| !c.is_ascii_digit()).take(200).collect()
}

/// The world of a state directory, so many days on.
fn world_at(state: &Path, days: u64) -> World {
    let now = fleetwright::clock::machine_time();
    let then = now.plus(fleetwright_schema::units::Duration::from_seconds(days * 86_400));
    World::open(Some(&state.join("simulated-clouds.jsonl")), 7, SimClock::new(then, Speed::Max)).unwrap()
}

fn count(said: &Said, words: &str) -> u32 {
    u32::try_from(said.stderr.matches(words).count()).unwrap()
}

fn secrets() -> [String; 3] {
    [PASSWORD.to_owned(), STANDARD.encode(format!("{USER}:{PASSWORD}")), CLOUD_SECRET.to_owned()]
}

fn no_secret(place: &str, text: &str) {
    for secret in secrets() {
        assert!(!text.contains(&secret), "a secret is in {place}: {}", text.replace(&secret, "<HERE>"));
    }
}

/// Any user of a machine sees the command lines of all its processes.
fn no_secret_in_a_command_line() {
    for process in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        no_secret("a command line", &String::from_utf8_lossy(&line));
    }
}

/// Every file below a folder, as it is.
fn no_secret_below(folder: &Path) -> usize {
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            files += no_secret_below(&path);
        } else {
            no_secret(&path.display().to_string(), &String::from_utf8_lossy(&std::fs::read(&path).unwrap()));
            files += 1;
        }
    }
    files
}

/// What two runs that end with one wish have in common, however they came to it.
fn outcome(statuses: &BTreeMap<String, ClusterSetStatus>) -> BTreeMap<String, Vec<(ClusterState, String, String)>> {
    let told = |set: &ClusterSetStatus| {
        let one = |c: &std::sync::Arc<fleetwright_schema::status::Cluster>| {
            (c.status.state, c.spec.kubernetes_version.to_string(), c.status.revision.clone())
        };
        let mut all: Vec<_> = set.clusters.iter().map(one).collect();
        all.sort();
        all
    };
    statuses.iter().map(|(id, set)| (id.clone(), told(set))).collect()
}

/// The statuses of a run to which nothing happens, with the same wish.
fn undisturbed(wishes: &Wishes) -> BTreeMap<String, ClusterSetStatus> {
    let fleet = fleet();
    let texts: Vec<(String, String)> = wishes.iter().map(|(set, wanted)| (path_of(set), wanted.text(set))).collect();
    let mut files = vec![("fleet.yaml", fleet.as_str())];
    files.extend(texts.iter().map(|(path, text)| (path.as_str(), text.as_str())));
    let stage = Stage::new(&files);
    stage.settle();
    stage.statuses()
}

#[test]
fn killed_in_a_storm_the_fleet_is_as_wished_in_the_end_and_no_promise_was_broken_on_the_way() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seconds = number("FLEETWRIGHT_BLACKBOX_SECONDS").unwrap_or(20);
    let seed = number("FLEETWRIGHT_SEED").unwrap_or(1);
    println!("FLEETWRIGHT_SEED={seed} FLEETWRIGHT_BLACKBOX_SECONDS={seconds}");
    let mut storm = Storm::new(seed);
    storm.proxy.storm(true);
    let began = Instant::now();
    // A busy machine gets less done in its time; it goes on until it was a storm, if that is ever to be.
    let (least, most) = (Duration::from_secs(seconds), Duration::from_secs(seconds * 6));
    while began.elapsed() < least || (was_a_storm(&storm).is_err() && began.elapsed() < most) {
        storm.one_life();
    }
    storm.calm();
    storm.settle();
    let commits = storm.person.history().len();
    println!("{:?}, {commits} commits in {:?}\n{:#?}", storm.tally, began.elapsed(), storm.proxy.hits());
    println!("{:#?}", storm.warned);

    assert_eq!(was_a_storm(&storm), Ok(()));
    assert_eq!(storm.tally.ended_by_themselves, Vec::<String>::new(), "a daemon ends only when it is killed");
    let statuses = storm.statuses();
    for (set, wanted) in &storm.wishes {
        let version = format!("1.{}", wanted.minor);
        let clusters = &statuses[*set].clusters;
        let as_wished = clusters.iter().filter(|cluster| {
            cluster.status.state == ClusterState::Ready && cluster.spec.kubernetes_version.as_str() == version
        });
        assert_eq!((as_wished.count() as u64, clusters.len() as u64), (wanted.count, wanted.count), "{set}");
    }
    assert_eq!(outcome(&statuses), outcome(&undisturbed(&storm.wishes)));
    judge(&storm.person);
    no_leaks(&statuses, &world_at(&storm.state(), 300));
    let doubled: Vec<_> = storm.made.iter().filter(|(_, ids)| ids.len() > 1).collect();
    assert!(doubled.is_empty(), "made more than once: {doubled:?}");

    let (tip, mutations) = (storm.person.tip(), storm.world().history().unwrap());
    storm.settle();
    assert_eq!(storm.person.tip(), tip, "one more run: nothing to commit");
    assert_eq!(storm.world().history().unwrap(), mutations, "one more run: nothing to do");

    no_secret("a commit", &storm.machine.git("served/fleet.git", &["log", "-p", "--all", "--format=fuller"]));
    no_secret("the refs", &storm.machine.git("served/fleet.git", &["for-each-ref"]));
    for folder in ["state", "home", "tmp"] {
        no_secret_below(&storm.machine.path(folder));
    }
    assert!(no_secret_below(&storm.state()) > 10, "the daemon's files were looked at");
}

/// Each kind of harm came, and often enough: a test that harms nothing proves nothing. What is missing is the error.
fn was_a_storm(storm: &Storm) -> Result<(), String> {
    let Tally { kills, edits, unreadable_edits, cloud_faults, cloud_replies_lost, cloud_calls_failed, .. } =
        storm.tally;
    let counts = [
        ("kills", kills, 10),
        ("edits", edits, 4),
        ("unreadable edits", unreadable_edits, 1),
        ("cloud faults", cloud_faults, 3),
        ("lost replies of clouds", cloud_replies_lost, 1),
        ("failed calls of clouds", cloud_calls_failed, 3),
        ("commits", u32::try_from(storm.person.history().len()).unwrap(), 25),
    ];
    if let Some((what, count, least)) = counts.into_iter().find(|(_, count, least)| count < least) {
        return Err(format!("{count} {what} of {least}"));
    }
    let hits = storm.proxy.hits();
    let kinds = [
        "refused",
        "request cut",
        "reply cut",
        "reply cut, unnoticed",
        "reply lost",
        "delayed",
        "twice, first reply",
        "twice, second reply",
        "twice, late",
        "reply lost of a push",
    ];
    if let Some(kind) = kinds.into_iter().find(|kind| !hits.contains_key(*kind)) {
        return Err(format!("no request was {kind}: {hits:?}"));
    }
    let doubled = hits.keys().any(|name| name.starts_with("twice") && name.ends_with("push"));
    if doubled { Ok(()) } else { Err(format!("no push was delivered twice: {hits:?}")) }
}
