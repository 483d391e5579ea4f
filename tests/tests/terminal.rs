//! What a new user types, with the real binary and real git: what is printed where, how it ends, what the repository is.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use fleetwright_core::inventory::Step;
use fleetwright_schema::status::{ClusterSetStatus, ClusterState};
use fleetwright_schema::units::Timestamp;
use fleetwright_simulator::{SimClock, Speed, Verb, World};
use fleetwright_tests::person::Person;
use fleetwright_tests::program::{Machine, Said};
use fleetwright_tests::witness::{judge, sights, statuses};
use serde_json::Value;

const SET: &str = "prod/azure/westeurope/ModelServing";
const FILE: &str = "clustersets/prod/azure/westeurope/ModelServing.yaml";
const NAME: &str = "model-serving-prod-az-weu";
const COMMANDS: [&str; 14] = [
    "run",
    "demo",
    "init",
    "validate",
    "plan",
    "explain",
    "get",
    "why",
    "watch",
    "ack",
    "accept",
    "schema",
    "hooks",
    "completions",
];

/// A set as the original design spells it.
const ORIGINAL: &str = "\
location: prod/azure/westeurope
clusterType: ModelServing
count: 5
features: [private-connectivity, byon]
nodePools:
  - name: default
    Spec:
      instanceType: D32s_v3
      minCount: 3
      maxCount: 3
infra-services: [rbac, namespaces, observability]
update_strategy:
  cluster-rotation:
    max_surge: 1
tags:
  team: serving
";

/// The template's fleet, built once for all tests that begin with a settled fleet.
fn settled_fleet() -> &'static Path {
    static FLEET: OnceLock<PathBuf> = OnceLock::new();
    FLEET.get_or_init(|| {
        // Below the target directory, and removed by a later run: nothing in this process outlives all tests.
        let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("settled-{}.git", std::process::id()));
        remove_what_is_old(place.parent().unwrap());
        let machine = Machine::new();
        machine.fleetwright("", &["init", "f"]).ended(0);
        machine.git("", &["clone", "--quiet", "--bare", "f", "fleet.git"]);
        run(&machine).ended(0);
        copy(&machine.path("fleet.git"), &place);
        place
    })
}

fn remove_what_is_old(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let old = entry
            .metadata()
            .and_then(|data| data.modified())
            .is_ok_and(|time| time.elapsed().is_ok_and(|age| age > std::time::Duration::from_secs(3600)));
        if old && entry.file_name().to_string_lossy().starts_with("settled-") {
            // Another process may do the same.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-R").arg(from).arg(to).status().unwrap();
    assert!(copied.success());
}

/// A machine with a settled fleet in `fleet.git`, and a person's clone of it in `clone`.
fn settled() -> Machine {
    let machine = Machine::new();
    copy(settled_fleet(), &machine.path("fleet.git"));
    machine.git("", &["clone", "--quiet", "fleet.git", "clone"]);
    machine
}

fn run(machine: &Machine) -> Said {
    machine.fleetwright("", &["run", "--repo", "fleet.git", "--until-settled", "--sim-speed", "max"])
}

fn tip(machine: &Machine) -> String {
    machine.git("fleet.git", &["rev-parse", "main"])
}

/// Commits everything in the clone, and pushes it.
fn push(machine: &Machine, message: &str) {
    machine.git("clone", &["add", "--all"]);
    machine.git("clone", &["commit", "--quiet", "--message", message]);
    machine.git("clone", &["push", "--quiet", "origin", "main"]);
}

fn pull(machine: &Machine) {
    machine.git("clone", &["pull", "--quiet", "--ff-only"]);
}

fn status(machine: &Machine) -> ClusterSetStatus {
    let text = machine.git("fleet.git", &["show", &format!("main:status/{FILE}")]);
    serde_saphyr::from_str(&text).unwrap()
}

fn board(machine: &Machine) -> String {
    machine.git("fleet.git", &["show", "main:status/README.md"])
}

fn versions(machine: &Machine) -> Vec<(u32, String, ClusterState)> {
    let told = |c: &fleetwright_schema::status::Cluster| {
        (c.metadata.ordinal, c.spec.kubernetes_version.to_string(), c.status.state)
    };
    status(machine).clusters.iter().map(|cluster| told(cluster)).collect()
}

fn change_version(machine: &Machine, version: &str) {
    let path = format!("clone/{FILE}");
    let line = format!("spec:\n  kubernetesVersion: \"{version}\"\n");
    machine.write(&path, &machine.read(&path).replacen("spec:\n", &line, 1));
    push(machine, &format!("{SET}: {version}"));
}

/// The control planes that were ever made in the simulated clouds.
fn made(machine: &Machine) -> BTreeSet<String> {
    let clock = SimClock::new(Timestamp::from_unix_seconds(0), Speed::Max);
    let world = World::open(Some(&machine.path("fleet.git/fleetwright/simulated-clouds.jsonl")), 1, clock).unwrap();
    let history = world.history().unwrap();
    let creates = history.iter().filter(|m| m.step == Step::ControlPlane && m.verb == Verb::Create);
    creates.map(|m| m.cluster.to_string()).collect()
}

fn contains(said: &Said, words: &[&str]) {
    for word in words {
        assert!(said.all().contains(word), "{word:?} is missing\n{said}");
    }
}

#[test]
fn a_new_fleet_is_sound_and_its_plan_is_the_same_every_time() {
    let machine = Machine::new();
    let begun = machine.fleetwright("", &["init", "f"]).ended(0);
    contains(&begun, &["cd f", "fleetwright validate", "fleetwright run --repo ../fleet.git"]);
    let sound = machine.fleetwright("", &["validate", "f"]).ended(0);
    assert_eq!((sound.stdout.as_str(), sound.stderr.as_str()), ("", "10 files are sound\n"));
    assert_eq!(machine.git("f", &["status", "--short"]), "");
    let again = machine.fleetwright("", &["init", "f"]).ended(1);
    contains(&again, &["f is not empty", "hint: "]);

    let plan = machine.fleetwright("", &["plan", "f", "-o", "json"]).ended(0);
    assert_eq!(plan.stdout, machine.fleetwright("", &["plan", "f", "-o", "json"]).ended(0).stdout);
    let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(", ");
    let help =
        machine.fleetwright("", &["plan", "--help"]).ended(0).stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(help.contains(&keys(&plan)), "{} are not what the help says:\n{help}", keys(&plan));
    let (head, tail) = help.split_once("Of each set: ").unwrap();
    assert!(head.contains("removalApproval"));
    let documented: Vec<&str> = tail.trim_end_matches('.').split(" (").flat_map(|part| part.split(')')).collect();
    let documented = documented.iter().step_by(2).copied().collect::<String>();
    assert_eq!(documented, keys(&plan["sets"][0]), "each set's fields are those of the help");
    assert_eq!(plan["totals"]["create"], 10);
}

#[test]
fn a_set_in_the_original_spelling_is_read_at_its_place() {
    let list = "update_strategy:\n  - cluster-rotation\n  - max_surge: 1\n";
    let map = "update_strategy:\n  cluster-rotation:\n    max_surge: 1\n";
    let nested = "update_strategy:\n  - cluster-rotation:\n      max_surge: 1\n";
    let least = |text: &str| text.split("infra-services").next().unwrap().to_owned();
    let elsewhere = |text: &str, place: &str, machine: &str| {
        text.replace("prod/azure/westeurope", place).replace("D32s_v3", machine)
    };
    let variants = [
        ("prod/azure/westeurope", ORIGINAL.to_owned()),
        ("prod/azure/westeurope", ORIGINAL.replace(map, list)),
        ("prod/azure/westeurope", ORIGINAL.replace(map, nested)),
        ("prod/azure/northeurope", elsewhere(ORIGINAL, "prod/azure/northeurope", "D32s_v3")),
        ("staging/aws/us-west-2", elsewhere(&ORIGINAL.replace(map, list), "staging/aws/us-west-2", "m6i.xlarge")),
        ("dev/gcp/us-central1", elsewhere(&least(ORIGINAL), "dev/gcp/us-central1", "n2-standard-8")),
        (
            "dev/azure/eastus",
            elsewhere(&ORIGINAL.replace("[private-connectivity, byon]", "[]"), "dev/azure/eastus", "D8s_v3"),
        ),
    ];
    let machine = Machine::new();
    for (number, (place, text)) in variants.iter().enumerate() {
        let dir = format!("f{number}");
        machine.fleetwright("", &["init", &dir]).ended(0);
        machine.write(&format!("{dir}/clustersets/{place}/ModelServing.yaml"), text);
        let sound = machine.fleetwright("", &["validate", &dir]).ended(0);
        assert_eq!(sound.stdout, "", "{text}");
        let plan = machine.fleetwright("", &["plan", &dir, "-o", "json"]).ended(0);
        let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
        let id = format!("{place}/ModelServing");
        let set = plan["sets"].as_array().unwrap().iter().find(|set| set["set"] == id.as_str()).unwrap();
        assert_eq!((&set["action"], &set["create"], &set["maxSurge"]), (&"create".into(), &5.into(), &1.into()));
        machine.fleetwright(&dir, &["explain", &id]).ended(0);
    }
}

#[test]
fn what_is_broken_is_told_with_file_line_and_caret() {
    let machine = Machine::new();
    machine.fleetwright("", &["init", "f"]).ended(0);
    let sound = machine.read(&format!("f/{FILE}"));
    machine.write(&format!("f/{FILE}"), &sound.replace("count: 5", "count: [5"));
    let told = machine.fleetwright("", &["validate", "f"]).ended(1);
    assert!(told.stdout.contains(&format!(" --> {FILE}:")), "{told}");
    assert!(told.stdout.lines().any(|line| line.trim_start_matches(['|', ' ']) == "^"), "a caret is missing: {told}");
    assert_eq!(told.stderr, "1 error in 10 files\n");

    machine.write(&format!("f/{FILE}"), &sound.replace("count: 5", "cuont: 5"));
    let told = machine.fleetwright("", &["validate", "f"]).ended(1);
    contains(&told, &[&format!("{FILE}:8:3"), "cuont", "did you mean `count`", "^^^^^"]);
    machine.fleetwright("", &["plan", "f"]).ended(1);
    let json = machine.fleetwright("", &["validate", "f", "-o", "json"]).ended(1);
    let problems: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((&problems[0]["path"], &problems[0]["span"]["line"]), (&FILE.into(), &8.into()));
}

#[test]
fn wrong_usage_ends_with_two_and_what_can_not_be_read_with_four() {
    let machine = settled();
    let wrong: [&[&str]; 8] = [
        &[],
        &["frobnicate"],
        &["run"],
        &["run", "--repo", "fleet.git", "--once", "--until-settled"],
        &["run", "--repo", "fleet.git", "--sim-speed", "fast"],
        &["run", "--repo", "fleet.git", "--poll-interval", "0s"],
        &["get", "clusters", "-C", "fleet.git", "colour=red"],
        &["ack", "--consumer", "NOT A NAME"],
    ];
    for args in wrong {
        let said = machine.fleetwright("", args).ended(2);
        assert_eq!(said.stdout, "", "{args:?}");
        assert!(!said.stderr.is_empty(), "{args:?}");
    }
    let missing: [&[&str]; 7] = [
        &["run", "--repo", "nowhere"],
        &["run", "--repo", "nowhere", "--until-settled"],
        &["validate", "nowhere"],
        &["validate", "clone", "--rev", "no-such-revision"],
        &["plan", "clone", "--base", "no-such-revision"],
        &["get", "clusters", "-C", "nowhere"],
        &["why", SET, "-C", "nowhere"],
    ];
    for args in missing {
        let said = machine.fleetwright("", args).ended(4);
        assert_eq!(said.stdout, "", "{args:?}");
        assert!(said.stderr.contains("error: "), "{said}");
    }
}

#[test]
fn a_branch_that_is_not_there_is_told() {
    let machine = Machine::new();
    machine.fleetwright("", &["init", "f"]).ended(0);
    let said = machine.fleetwright("", &["run", "--repo", "f", "--branch", "nope", "--until-settled"]).ended(3);
    contains(&said, &["waiting for a person: 0 clusters in 0 sets", "nothing of the fleet is acted on", "branch"]);
    assert_eq!(machine.git("f", &["rev-list", "--count", "HEAD"]), "1");
}

#[test]
fn a_fleet_is_built_and_stands_still_and_is_read_from_another_clone() {
    let machine = settled();
    machine.git("", &["clone", "--quiet", "fleet.git", "another"]);
    let text = machine.read(&format!("another/status/{FILE}"));
    let status: ClusterSetStatus = serde_saphyr::from_str(&text).unwrap();
    assert_eq!(status.clusters.len(), 5);
    assert!(status.clusters.iter().all(|cluster| cluster.status.state == ClusterState::Ready));
    let before = tip(&machine);
    let again = run(&machine).ended(0);
    assert_eq!(again.stdout, "settled: 10 clusters in 4 sets\n");
    assert_eq!(tip(&machine), before, "one more run: no commit");
    assert!(!again.stderr.contains("0 sets"), "nothing is told of what did not happen: {again}");
    judge(&Person::new(&machine.path("fleet.git")));
}

#[test]
fn a_changed_version_rotates_within_count_and_surge_in_every_commit() {
    let machine = settled();
    let before = tip(&machine);
    change_version(&machine, "1.34");
    let plan = machine.fleetwright("clone", &["plan"]).ended(0);
    contains(&plan, &["kubernetesVersion: 1.33 → 1.34", "rotate 5 clusters in 5 batches of at most 1"]);
    let dry = machine.fleetwright("", &["run", "--repo", "fleet.git", "--once", "--dry-run"]).ended(0);
    // The template's waves: staging was READY a moment ago, and has not baked yet.
    contains(&dry, &[&format!("{SET} waits: WaitingForWave: wave prod starts when staging/")]);
    let pushed = machine.git("clone", &["rev-parse", "HEAD"]);
    assert_eq!(tip(&machine), pushed, "a dry run changes nothing");

    let said = run(&machine).ended(0);
    let logged = said.stderr.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    assert!(logged.filter(|line| line["message"].as_str().unwrap().starts_with("status: ")).count() > 20);
    let expected: Vec<_> = (6..=10).map(|ordinal| (ordinal, "1.34".to_owned(), ClusterState::Ready)).collect();
    assert_eq!(versions(&machine), expected);

    let person = Person::new(&machine.path("fleet.git"));
    let all = sights(&person, SET);
    let first = all.iter().position(|sight| sight.serving() == 5).unwrap();
    assert!(all[first..].iter().all(|sight| sight.serving() >= 5 && sight.alive() <= 6));
    judge(&person);
    let gone = machine.fleetwright("", &["why", &format!("{NAME}-1"), "-C", "fleet.git"]).ended(0);
    contains(&gone, &["was retired", "another revision", "gone since"]);
    let log = machine.git("fleet.git", &["log", "--format=%an", &format!("{pushed}..main")]);
    assert!(log.lines().all(|author| author == "fleetwright[bot]") && before != pushed);
}

#[test]
fn a_revert_in_mid_rotation_brings_the_old_ones_back() {
    let machine = settled();
    change_version(&machine, "1.34");
    let changed = machine.git("clone", &["rev-parse", "HEAD"]);
    // Ten simulated minutes in a second: the drain and the hour in which it can be taken back leave time to stop.
    let mut daemon = machine.begin("", &["run", "--repo", "fleet.git", "--sim-speed", "600", "--log", "text"]);
    let draining = format!("status: {NAME}-1 DRAINING");
    assert!(daemon.until(|daemon| daemon.stderr().contains(&draining)), "{}", daemon.stderr());
    daemon.terminate();
    let stopped = daemon.wait().ended(0);
    assert!(stopped.stdout.starts_with("stopped: 11 clusters in 4 sets"), "{stopped}");
    let rotating = machine.fleetwright("", &["why", &format!("{NAME}-1"), "-C", "fleet.git"]).ended(0);
    contains(&rotating, &["is rotating", "is DRAINING since", "takes its place"]);
    let before = made(&machine);

    pull(&machine);
    machine.git("clone", &["revert", "--no-edit", &changed]);
    machine.git("clone", &["push", "--quiet"]);
    run(&machine).ended(0);
    let expected: Vec<_> = (1..=5).map(|ordinal| (ordinal, "1.33".to_owned(), ClusterState::Ready)).collect();
    assert_eq!(versions(&machine), expected);
    assert_eq!(made(&machine), before, "nothing is built");
    judge(&Person::new(&machine.path("fleet.git")));
}

#[test]
fn removing_every_file_deletes_nothing_and_says_so() {
    let held = [("clustersets", "the set's file was removed"), (".", "fleet.yaml is missing")];
    for (removed, why) in held {
        let machine = settled();
        let before = made(&machine);
        machine.git("clone", &["rm", "--quiet", "-r", removed]);
        push(&machine, "everything goes");
        let said = run(&machine).ended(3);
        contains(&said, &["waiting for a person: 10 clusters in 4 sets", SET, why]);
        assert!(board(&machine).contains(why), "{}", board(&machine));
        contains(&machine.fleetwright("", &["why", SET, "-C", "fleet.git"]).ended(0), &[why]);
        assert_eq!(versions(&machine).len(), 5);
        assert_eq!(made(&machine), before);
        let person = Person::new(&machine.path("fleet.git"));
        let all = statuses(&person, person.tip().unwrap());
        assert_eq!(all.values().map(|set| set.clusters.len()).sum::<usize>(), 10);
        let held = tip(&machine);
        run(&machine).ended(3);
        assert_eq!(tip(&machine), held, "one more run: no commit");
    }
}

#[test]
fn what_exists_is_listed_in_every_format() {
    let machine = settled();
    let get = |args: &[&str]| {
        let args: Vec<&str> = ["get"].iter().chain(args).chain(&["-C", "fleet.git"]).copied().collect();
        machine.fleetwright("", &args).ended(0).stdout
    };
    let header = |text: &str| {
        text.lines()
            .next()
            .unwrap()
            .split("  ")
            .filter(|w| !w.is_empty())
            .map(|w| w.trim().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(header(&get(&["clusters"])), ["NAME", "STATE", "VERSION", "SINCE", "SET"]);
    assert_eq!(get(&["clusters"]).lines().count(), 11);
    assert_eq!(header(&get(&["clusters", "-o", "wide"]))[5..], ["REVISION", "CIDR", "ENDPOINT"]);
    assert_eq!(header(&get(&["sets"]))[..3], ["SET", "STATUS", "DESIRED"]);
    for (what, kind, count) in [("clusters", "Cluster", 10), ("sets", "ClusterSetStatus", 4)] {
        let json: Value = serde_json::from_str(&get(&[what, "-o", "json"])).unwrap();
        assert_eq!((&json["kind"], &json["apiVersion"]), (&"List".into(), &"fleetwright.dev/v1alpha1".into()));
        let items = json["items"].as_array().unwrap();
        assert_eq!(items.len(), count);
        assert!(items.iter().all(|item| item["kind"] == kind));
        assert_eq!(serde_saphyr::from_str::<Value>(&get(&[what, "-o", "yaml"])).unwrap(), json);
        assert_eq!(get(&[what, "-o", "name"]).lines().count(), count);
    }
    assert_eq!(get(&["clusters", "prod", "cloud=azure", "-o", "name"]).lines().next(), Some(&*format!("{NAME}-1")));
    let none = machine.fleetwright("", &["get", "clusters", "state=draining", "-C", "fleet.git"]).ended(0);
    assert_eq!((none.stdout.as_str(), none.stderr.as_str()), ("", "No clusters found.\n"));
}

#[test]
fn why_tells_of_what_is_settled_and_knows_the_nearest_name() {
    let machine = settled();
    let set = machine.fleetwright("clone", &["why", SET]).ended(0);
    contains(&set, &[SET, "is settled: 5 clusters at revision"]);
    let cluster = machine.fleetwright("clone", &["why", &format!("{NAME}-2")]).ended(0);
    contains(&cluster, &["is READY since", "waits for nothing"]);
    let near = machine.fleetwright("clone", &["why", "model-serving-prod-az-wue-1"]).ended(1);
    assert!(near.stderr.contains(&format!("hint: did you mean {NAME}-1?")), "{near}");
    let far = machine.fleetwright("clone", &["why", "something-else"]).ended(1);
    contains(&far, &["fleetwright get clusters"]);
    contains(
        &machine.fleetwright("clone", &["explain", SET]).ended(0),
        &["cluster-types/ModelServing.yaml", "fleet.yaml"],
    );
}

#[test]
fn a_consumer_acknowledges_what_it_has_read() {
    let machine = settled();
    let first = machine.fleetwright("clone", &["ack", "--consumer", "scheduler"]).ended(0);
    assert_eq!(first.stdout, format!("scheduler has read {}\n", &tip(&machine)[..10]));
    assert_eq!(machine.git("fleet.git", &["rev-parse", "refs/fleetwright/acks/scheduler"]), tip(&machine));
    contains(&machine.fleetwright("clone", &["ack", "--consumer", "scheduler"]).ended(0), &["already"]);
    let back = ["ack", "--consumer", "scheduler", "--rev", "HEAD~3"];
    contains(&machine.fleetwright("clone", &back).ended(1), &["does not come after", "--force"]);
    let before = tip(&machine);
    run(&machine).ended(0);
    assert_eq!(tip(&machine), before, "an acknowledgement alone is no reason for a commit");
}

#[test]
fn a_rewritten_history_is_held_until_a_person_accepts_it() {
    let machine = settled();
    let observed = machine.git("fleet.git", &["rev-parse", "refs/fleetwright/observed"]);
    machine.git("clone", &["checkout", "--quiet", "--orphan", "other"]);
    machine.git("clone", &["rm", "--quiet", "-r", "--force", "clustersets/staging"]);
    machine.git("clone", &["commit", "--quiet", "--message", "another history"]);
    machine.git("clone", &["push", "--quiet", "--force", "origin", "other:main"]);
    let held = run(&machine).ended(3);
    contains(&held, &["waiting for a person", "fleetwright accept", &observed[..10]]);
    contains(&machine.fleetwright("", &["why", SET, "-C", "fleet.git"]).ended(0), &["HistoryRewritten"]);
    assert!(board(&machine).contains("HistoryRewritten"));
    let before = tip(&machine);
    run(&machine).ended(3);
    assert_eq!(tip(&machine), before, "one more run while it is held: no commit");

    let accepted = machine.fleetwright("", &["accept", "--repo", "fleet.git"]).ended(0);
    contains(&accepted, &["accepted: the daemon goes on from", &before[..10]]);
    // The set whose file the new history does not have stays, and a person is told.
    contains(&run(&machine).ended(3), &["staging/aws/eu-central-1/ModelServing", "the set's file was removed"]);
    assert!(!board(&machine).contains("HistoryRewritten"));
    contains(&machine.fleetwright("", &["why", SET, "-C", "fleet.git"]).ended(0), &["is settled"]);
    contains(&machine.fleetwright("", &["accept", "--repo", "fleet.git"]).ended(0), &["there is nothing to accept"]);
}

#[test]
fn a_clone_can_be_run_on_while_its_worktree_is_clean() {
    let machine = Machine::new();
    machine.fleetwright("", &["init", "f"]).ended(0);
    machine.write("f/README.md", "changed\n");
    let args = ["run", "--repo", "f", "--until-settled", "--sim-speed", "max"];
    let dirty = machine.fleetwright("", &args).ended(1);
    contains(&dirty, &["f has changes that are not committed", "hint: commit or stash them"]);
    contains(&machine.fleetwright("", &["run", "--repo", "f", "--once", "--dry-run"]).ended(0), &["would publish"]);
    // One that watches waits until they are committed.
    let mut watching = machine.begin("", &["run", "--repo", "f", "--sim-speed", "max"]);
    assert!(watching.until(|run| run.stderr().contains("Working directory has unstaged changes")));
    watching.terminate();
    watching.wait().ended(0);
    assert_eq!(machine.git("f", &["rev-list", "--count", "HEAD"]), "1", "nothing is written over what a person edits");
    machine.git("f", &["checkout", "--quiet", "README.md"]);
    let said = machine.fleetwright("", &args).ended(0);
    assert_eq!(said.stdout, "settled: 10 clusters in 4 sets\n");
    assert_eq!(machine.git("f", &["status", "--short"]), "");
    assert!(machine.read("f/status/README.md").contains("10 READY"));
}

#[test]
fn the_demonstration_tells_its_story_and_where_everything_is() {
    let machine = Machine::new();
    let began = std::time::Instant::now();
    let said = machine.fleetwright("", &["demo", "--once", "--dir", "here"]).ended(0);
    assert!(began.elapsed().as_secs() < 120);
    contains(&said, &["settled: 10 clusters in 4 sets", "fleet.git", "simulated-clouds.jsonl", "fleetwright why"]);
    assert!(machine.path("here/clone/fleet.yaml").is_file() && machine.path("here/fleet.git/HEAD").is_file());
    let listed = machine.fleetwright("", &["get", "clusters", "-C", "here/fleet.git", "-o", "name"]).ended(0);
    assert_eq!(listed.stdout.lines().count(), 10);
    judge(&Person::new(&machine.path("here/fleet.git")));
}

#[test]
fn every_command_has_help_and_every_shell_its_completions() {
    let machine = Machine::new();
    let top = machine.fleetwright("", &["--help"]).ended(0);
    contains(&top, &["Exit codes:", "fleetwright init"]);
    contains(&machine.fleetwright("", &["--version"]).ended(0), &["fleetwright 0."]);
    for command in COMMANDS {
        assert!(top.stdout.contains(&format!("  {command}")), "{command}");
        contains(&machine.fleetwright("", &[command, "--help"]).ended(0), &["Usage: fleetwright", "Example"]);
    }
    for shell in ["bash", "zsh", "fish"] {
        let script = machine.fleetwright("", &["completions", shell]).ended(0);
        contains(&script, &COMMANDS);
        assert_eq!(script.stderr, "");
    }
    let mut bash = Command::new("bash");
    machine.write("completions", &machine.fleetwright("", &["completions", "bash"]).stdout);
    assert!(bash.arg("-n").arg(machine.path("completions")).status().unwrap().success());
}

#[test]
fn pipes_carry_no_escape_codes_and_logs_are_json() {
    let machine = settled();
    let broken = format!("clone/{FILE}");
    change_version(&machine, "1.34");
    let dry: &[&str] = &["run", "--repo", "fleet.git", "--once", "--dry-run", "--log", "text"];
    let commands: [&[&str]; 7] = [
        &["get", "clusters", "-C", "fleet.git", "-o", "wide"],
        &["get", "sets", "-C", "fleet.git"],
        &["why", SET, "-C", "fleet.git"],
        &["plan", "clone"],
        &["explain", SET, "clone"],
        &["--help"],
        dry,
    ];
    for args in commands {
        for environment in [&[][..], &[("NO_COLOR", "1")], &[("TERM", "xterm-256color")]] {
            let said = machine.fleetwright_with("", args, environment).ended(0);
            assert!(!said.all().contains('\u{1b}'), "{args:?} {environment:?}: {said}");
        }
    }
    machine.write(&broken, "nonsense: [\n");
    let said = machine.fleetwright("", &["validate", "clone"]).ended(1);
    assert!(!said.all().contains('\u{1b}'), "{said}");
    let once = machine.fleetwright("", &["run", "--repo", "fleet.git", "--once", "--sim-speed", "max"]).ended(0);
    assert!(once.stderr.lines().count() > 0);
    for line in once.stderr.lines() {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(value["level"].is_string() && value["message"].is_string(), "{line}");
    }
}

#[test]
fn no_password_of_an_address_is_ever_printed() {
    let machine = Machine::new();
    let secret = "hunter2-of-the-operator";
    // Nothing listens on this port, so each command fails at once, and says with which address.
    let url = format!("http://operator:{secret}@127.0.0.1:1/fleet.git");
    let commands: [&[&str]; 6] = [
        &["run", "--repo", &url, "--until-settled"],
        &["run", "--repo", &url, "--once", "--dry-run", "--log", "json"],
        &["get", "clusters", "-C", &url],
        &["why", SET, "-C", &url],
        &["ack", "--consumer", "scheduler", "--repo", &url],
        &["accept", "--repo", &url],
    ];
    for args in commands {
        let said = machine.fleetwright_with("", args, &[("FLEETWRIGHT_LOG", "trace")]).ended(4);
        contains(&said, &["127.0.0.1:1/fleet.git"]);
        assert!(!said.all().contains(secret), "{args:?}: {said}");
    }
}
