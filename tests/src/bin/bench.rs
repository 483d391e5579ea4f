//! What the design promises in numbers, measured: one line of JSON each.
//!
//! `cargo run --release -p fleetwright-tests --bin bench [-- name…]` runs those whose name begins with one of the given.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::hint::black_box;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use fleetwright::publisher::{Publication, publish};
use fleetwright::tip::{Tip, TipReader};
use fleetwright_core::check::check;
use fleetwright_core::fleet::{FleetCache, desired, read_fleet};
use fleetwright_core::plan::plan;
use fleetwright_core::publication::{Notices, status_file};
use fleetwright_core::record::{Record, RecordCache};
use fleetwright_core::snapshot::CommitId;
use fleetwright_repo::{Mirror, Remote};
use fleetwright_tests::fleets::{self, Moment, Shape};
use fleetwright_tests::person::Person;
use serde_json::json;

const BENCHES: [(&str, fn()); 5] = [
    ("plan", bench_plan),
    ("validate", bench_validate),
    ("one-file", bench_one_file),
    ("status-commit", bench_status_commit),
    ("memory", bench_memory),
];

/// The argument by which this program calls itself to measure its memory.
const MEMORY_CHILD: &str = "--memory-of";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, clusters] = &arguments[..]
        && flag == MEMORY_CHILD
    {
        return memory_child(clusters.parse().unwrap());
    }
    for (name, bench) in BENCHES {
        if arguments.is_empty() || arguments.iter().any(|wanted| name.starts_with(wanted.as_str())) {
            bench();
        }
    }
}

/// One line; a target is an upper bound.
fn print(name: &str, samples: &[f64], unit: &str, target: Option<f64>) {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let round = |value: f64| (value * 1000.0).round() / 1000.0;
    let median = sorted[sorted.len() / 2];
    let line = json!({
        "name": name,
        "median": round(median),
        "min": round(sorted[0]),
        "max": round(sorted[sorted.len() - 1]),
        "unit": unit,
        "target": target,
        "ok": target.map(|target| median <= target),
    });
    println!("{line}");
}

/// How long a clock on the wall sees it take, in milliseconds: for what waits for other programs.
fn real_milliseconds<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let began = Instant::now();
    let result = work();
    (began.elapsed().as_secs_f64() * 1000.0, result)
}

/// How long it keeps one core busy, in milliseconds, whoever else wants the machine.
fn milliseconds<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let began = (on_core_nanoseconds(), Instant::now());
    let result = work();
    match (began.0, on_core_nanoseconds()) {
        (Some(began), Some(ended)) => ((ended - began) as f64 / 1e6, result),
        _ => (began.1.elapsed().as_secs_f64() * 1000.0, result),
    }
}

/// How long this thread has been on a core, as Linux counts it.
fn on_core_nanoseconds() -> Option<u64> {
    // The count is brought up to date when the thread gives way.
    std::thread::yield_now();
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split(' ').next()?.parse().ok()
}

fn bench_plan() {
    for (clusters, target) in [(1_000, None), (10_000, Some(50.0))] {
        let shape = Shape { sets: clusters / 10, clusters: 10, rotating: true };
        let mut moment = Moment::new(shape);
        assert_eq!(moment.clusters(), clusters);
        let mut plans = Vec::new();
        let mut checks = Vec::new();
        for _ in 0..15 {
            let (took, made) = milliseconds(|| plan(&moment.inputs()));
            plans.push(took);
            let (took, checked) = milliseconds(|| check(&moment.inputs(), made));
            checks.push(took);
            assert_eq!(checked.violations(), []);
        }
        print(&format!("plan-{clusters}"), &plans, "ms", target);
        print(&format!("check-{clusters}"), &checks, "ms", None);
        // The moment at which every set has a new wish: everything differs, everything is classed.
        let files = fleets::files(&moment.ids, |index| shape.spec(index, "1.34"));
        moment.wish_for(files);
        let (mut plans, mut checks) = (Vec::new(), Vec::new());
        for _ in 0..15 {
            let (took, made) = milliseconds(|| plan(&moment.inputs()));
            plans.push(took);
            let (took, checked) = milliseconds(|| check(&moment.inputs(), made));
            checks.push(took);
            assert_eq!(checked.violations(), []);
        }
        print(&format!("plan-new-wish-{clusters}"), &plans, "ms", None);
        print(&format!("check-new-wish-{clusters}"), &checks, "ms", None);
    }
}

fn bench_validate() {
    let shape = Shape { sets: 1_000, clusters: 10, rotating: false };
    let files = fleets::files(&fleets::set_ids(shape.sets, 60), |index| shape.spec(index, "1.33"));
    let snapshot = fleets::snapshot(files);
    let run = || {
        let (took, reading) = milliseconds(|| read_fleet(&snapshot, &mut FleetCache::default()));
        assert!(reading.is_sound() && reading.sets.len() == 1_000);
        took
    };
    print("validate-1000-sets", &(0..9).map(|_| run()).collect::<Vec<_>>(), "ms", Some(300.0));
}

fn mirror_of(person: &Person, dir: &Path) -> Mirror {
    let remote = Remote::parse(&person.path().display().to_string()).unwrap();
    Mirror::open(remote, &dir.join("mirror.git")).unwrap()
}

fn commit_of(mirror: &Mirror) -> CommitId {
    mirror.fetch().unwrap().branch("main").unwrap().clone()
}

fn bench_one_file() {
    let shape = Shape { sets: 10_000, clusters: 1, rotating: false };
    let mut moment = Moment::new(shape);
    let dir = tempfile::tempdir().unwrap();
    let person = Person::new(&dir.path().join("fleet.git"));
    let files = fleets::files(&moment.ids, |index| shape.spec(index, "1.33"));
    let all: Vec<(&str, Option<&str>)> =
        files.iter().map(|(path, text)| (path.as_str(), Some(text.as_str()))).collect();
    person.commit("begin", &all);
    let mirror = mirror_of(&person, dir.path());
    let keep = |path: &str| path != "status/" && !path.starts_with("status/");
    let mut cache = FleetCache::default();
    let mut before = mirror.snapshot(&commit_of(&mirror), &keep, None).unwrap().snapshot;
    read_fleet(&before, &mut cache);
    let (mut fetches, mut snapshots, mut readings, mut plans, mut totals) = (vec![], vec![], vec![], vec![], vec![]);
    for round in 0..9 {
        let id = &moment.ids[round * 997];
        let text = fleetwright_tests::stage::cluster_set(&id.to_string(), "count: 2\nkubernetesVersion: \"1.33\"");
        person.commit("one more", &[(&id.wish_path(), Some(&text))]);
        let (fetching, commit) = real_milliseconds(|| commit_of(&mirror));
        let (snapshotting, read) = milliseconds(|| mirror.snapshot(&commit, &keep, Some(&before)).unwrap());
        assert_eq!(read.blobs_read, 1, "one file changed, one blob is read");
        let (parsing, reading) = milliseconds(|| read_fleet(&read.snapshot, &mut cache));
        assert_eq!(cache.files_parsed, 1, "one file changed, one file is parsed");
        assert!(reading.is_sound());
        let (planning, named) = milliseconds(|| {
            moment.desired = desired(&reading, &moment.record, None, None);
            plan(&moment.inputs()).record.clusters().count() - moment.clusters()
        });
        assert_eq!(named, round + 1, "what was wished for is planned");
        before = read.snapshot;
        fetches.push(fetching);
        snapshots.push(snapshotting);
        readings.push(parsing);
        plans.push(planning);
        totals.push(snapshotting + parsing + planning);
    }
    print("one-file-of-10000-fetch", &fetches, "ms", None);
    print("one-file-of-10000-snapshot", &snapshots, "ms", None);
    print("one-file-of-10000-read", &readings, "ms", None);
    print("one-file-of-10000-plan", &plans, "ms", None);
    print("one-file-of-10000-commit-to-plan", &totals, "ms", Some(100.0));
}

fn bench_status_commit() {
    let shape = Shape { sets: 100, clusters: 10, rotating: true };
    let moment = Moment::new(shape);
    let dir = tempfile::tempdir().unwrap();
    let person = Person::new(&dir.path().join("fleet.git"));
    let files = fleets::files(&moment.ids, |index| shape.spec(index, "1.33"));
    let all: Vec<(&str, Option<&str>)> =
        files.iter().map(|(path, text)| (path.as_str(), Some(text.as_str()))).collect();
    person.commit("begin", &all);
    let mirror = mirror_of(&person, dir.path());
    let mut reader = TipReader::new("main");
    let first = reader.read(&mirror, mirror.fetch().unwrap()).unwrap();
    let mut now = moment.now;
    let mut tip = published(&mirror, &mut reader, &first, &moment.record, now).0;
    for (changes, rounds, target) in [(1, 9, Some(2_000.0)), (100, 7, None), (1_000, 5, None)] {
        let (mut times, mut readings, mut sizes) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            now = fleets::later(now);
            let record = fleets::changed(&tip.record, changes, now);
            let before = tip.status_commit.clone().unwrap();
            let (next, writing, reading) = published(&mirror, &mut reader, &tip, &record, now);
            let after = next.status_commit.clone().unwrap();
            assert_eq!(mirror.commit_info(&after).unwrap().parents, std::slice::from_ref(&before), "a batch is one commit");
            assert_eq!(next.record, record, "what was written is what is read");
            times.push(writing);
            readings.push(reading);
            sizes.push(pack_bytes(mirror.dir(), &before, &after));
            tip = next;
        }
        print(&format!("status-commit-{changes}-changes-bytes"), &sizes, "bytes", target);
        print(&format!("status-commit-{changes}-changes-time"), &times, "ms", None);
        print(&format!("status-commit-{changes}-changes-read-again"), &readings, "ms", None);
    }
}

/// Renders, commits and pushes a record, and reads it again as the daemon does; the time of both.
fn published(
    mirror: &Mirror,
    reader: &mut TipReader,
    tip: &Tip,
    record: &Record,
    now: fleetwright_schema::units::Timestamp,
) -> (Tip, f64, f64) {
    let publication = Publication { branch: "main", record, notices: &tip.notices, observes: true, committed_at: now };
    let (writing, done) = real_milliseconds(|| publish(mirror, tip, &publication).unwrap());
    let mut refs = tip.refs.clone();
    done.moved.iter().for_each(|(name, commit)| refs.set(name, commit));
    let (reading, next) = milliseconds(|| reader.read(mirror, refs).unwrap());
    (next, writing, reading)
}

/// The size of the pack that a push of these commits sends.
fn pack_bytes(git_dir: &Path, before: &CommitId, after: &CommitId) -> f64 {
    let mut child = Command::new("git")
        .arg("--git-dir")
        .arg(git_dir)
        .args(["pack-objects", "--revs", "--stdout", "--thin", "--delta-base-offset", "-q"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(format!("{after}\n^{before}\n").as_bytes()).unwrap();
    child.wait_with_output().unwrap().stdout.len() as f64
}

fn bench_memory() {
    for clusters in [1_000, 10_000] {
        let program = std::env::current_exe().unwrap();
        let said = Command::new(program).args([MEMORY_CHILD, &clusters.to_string()]).output().unwrap();
        let said = String::from_utf8(said.stdout).unwrap();
        let kib: f64 = said.trim().parse().unwrap_or_else(|_| panic!("{said:?}"));
        print(&format!("memory-{clusters}"), &[kib / f64::from(clusters)], "KiB/cluster", Some(16.0));
        print(&format!("memory-{clusters}-in-all"), &[kib / 1024.0], "MiB", None);
    }
}

/// Holds what a daemon holds of a fleet, and tells by how many KiB the process grew.
fn memory_child(clusters: usize) {
    // What the program needs for any fleet (tables, schemas) is there before.
    drop(Moment::new(Shape { sets: 3, clusters: 10, rotating: true }));
    let begin = resident_kib();
    let shape = Shape { sets: clusters / 10, clusters: 10, rotating: true };
    let mut moment = Moment::new(shape);
    // The record as it comes from Git, with what is kept to read the next one.
    let files = moment.record.sets.iter().map(|(id, set)| (id.status_path(), status_file(id, set).unwrap()));
    let snapshot = fleets::snapshot(files);
    let mut cache = RecordCache::new();
    moment.record = Record::parse(&snapshot, &mut cache);
    assert_eq!(moment.clusters(), clusters);
    let made = plan(&moment.inputs());
    assert!(made.is_quiet(&moment.record));
    let notices = Notices::default();
    println!("{}", resident_kib() - begin);
    black_box((&moment, &snapshot, &cache, &made, &notices));
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse().unwrap()
}
