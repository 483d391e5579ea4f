//! Bugs that the fuzz targets and the storm found, each by hand: the header tells the bug.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;

use fleetwright_core::fleet::{FleetCache, read_fleet};
use fleetwright_core::record::{Record, RecordCache};
use fleetwright_schema::diagnostic::Diagnostic;
use fleetwright_schema::document::read;
use fleetwright_schema::names::SetId;
use fleetwright_tests::fuzz::archive::{Files, TEMPLATE, files, snapshot};
use fleetwright_tests::git_server::GitServer;
use fleetwright_tests::person::Person;
use fleetwright_tests::program::Machine;
use fleetwright_tests::proxy::Proxy;
use fleetwright_tests::stage::{FLEET, SET, Stage, cluster_set, path_of};

const SETTLED: &[u8] = include_bytes!("../corpus/records/settled.txt");
const DEV: &str = "status/clustersets/dev/gcp/europe-west4/ModelServing.yaml";

fn record(files: &Files) -> Record {
    Record::parse(&snapshot(files), &mut RecordCache::new())
}

/// Moves a file.
fn moved(mut files: Files, from: &str, to: &str) -> Files {
    let content = files.remove(from).unwrap();
    files.insert(to.to_owned(), content);
    files
}

/// Replaces a piece of a file.
fn edited(mut files: Files, path: &str, from: &str, to: &str) -> Files {
    let text = String::from_utf8(files.remove(path).unwrap()).unwrap();
    assert!(text.contains(from), "{path} has no {from:?}");
    files.insert(path.to_owned(), text.replacen(from, to, 1).into_bytes());
    files
}

fn problems(files: &Files) -> Vec<Diagnostic> {
    read_fleet(&snapshot(files), &mut FleetCache::default()).diagnostics
}

/// A service whose folder was renamed has the same blob: its sets were taken from the cache as if it were still there, and
/// were built with a service that no file describes, until the daemon was started anew.
#[test]
fn a_service_that_was_renamed_is_not_found_under_its_old_name_by_a_daemon_that_knew_it() {
    let renamed = moved(TEMPLATE.clone(), "infra-services/rbac/service.yaml", "infra-services/rbac2/service.yaml");
    let mut cache = FleetCache::default();
    assert!(read_fleet(&snapshot(&TEMPLATE), &mut cache).is_sound());
    let warm = read_fleet(&snapshot(&renamed), &mut cache);
    assert_eq!(warm.diagnostics, problems(&renamed));
    assert!(warm.sets.values().all(|set| set.wanted.is_none()), "all sets of the template rest on rbac");
}

/// A status file that was moved has the same blob: it was taken from the cache as the set that it was of before.
#[test]
fn a_status_file_that_was_moved_is_unreadable_also_to_a_daemon_that_read_it_where_it_was() {
    let settled = files(SETTLED);
    let elsewhere = moved(settled.clone(), DEV, "status/clustersets/dev/gcp/europe-west4/Training.yaml");
    let mut cache = RecordCache::new();
    assert!(Record::parse(&snapshot(&settled), &mut cache).unreadable.is_empty());
    let warm = Record::parse(&snapshot(&elsewhere), &mut cache);
    assert_eq!(warm, record(&elsewhere));
    assert_eq!(warm.unreadable.len(), 1);
}

/// An escape in a quoted key put its character into the message, from where it came raw into the board's file, the log and
/// the JSON of `validate`.
#[test]
fn a_message_never_holds_the_control_characters_that_a_file_escapes() {
    let problems = read("fleet.yaml", b"\"co\\x1b[2Junt\": 5\n\"a\\u202Eb\": 6\n").unwrap_err();
    assert!(problems.iter().any(|problem| problem.message.contains("\\u{1b}")), "{problems:?}");
    for problem in problems {
        let text = format!("{} {}", problem.message, problem.hint.unwrap_or_default());
        assert!(!text.contains(|c: char| c.is_control() || c == '\u{202e}'), "{text:?}");
    }
}

/// A file that ends within a flow sequence was said to be wrong on the line after its last, which no annotation can show.
#[test]
fn a_syntax_error_at_the_end_of_a_file_is_told_of_a_line_that_the_file_has() {
    let problems = read("fleet.yaml", b"kind: Fleet\nspec: [private").unwrap_err();
    let span = problems.iter().find(|problem| problem.rule == "yaml-syntax").unwrap().span.unwrap();
    assert_eq!((span.line, span.column), (2, 15));
}

/// The parser begins a new line behind a carriage return that stands alone, and nobody else does: everything behind one was
/// told of a line too far down.
#[test]
fn what_is_behind_a_lone_carriage_return_is_told_of_the_line_that_editors_show() {
    let problems = read("fleet.yaml", b"kind: Fleet # a\rb: 1\nwrong: 2\n").unwrap_err();
    let lines = |name: &str| problems.iter().find(|p| p.message.contains(name)).unwrap().span.unwrap();
    assert_eq!((lines("`b`").line, lines("`b`").column), (1, 17));
    assert_eq!((lines("`wrong`").line, lines("`wrong`").column), (2, 1));
}

/// A set for which no address pool is, or whose names are taken, was told of without a line: no annotation on the pull
/// request, and no jump in an editor.
#[test]
fn a_set_without_an_address_pool_is_told_of_with_a_line() {
    let narrow = edited(
        TEMPLATE.clone(),
        "fleet.yaml",
        "sets: { environments: [dev] } }\n\n  # A set",
        "sets: { environments: [staging] } }\n\n  # A set",
    );
    let problems = problems(&narrow);
    let problem = problems.iter().find(|problem| problem.rule == "address-pool-none").unwrap();
    assert_eq!(problem.span.map(|span| span.line), Some(5), "{problem:?}");
}

/// Of two sets whose clusters would have the same names, the one that comes first in the alphabet was acted on, be it the
/// new one: it would have taken the names of the clusters of the other.
#[test]
fn of_two_sets_with_the_same_names_neither_is_acted_on() {
    let path = "clustersets/dev/gcp/europe-west4/ModelServing.yaml";
    let mut twins = TEMPLATE.clone();
    let twin = String::from_utf8(twins[path].clone()).unwrap().replace("ModelServing", "Model-Serving");
    twins.insert(path.replace("ModelServing", "Model-Serving"), twin.into_bytes());
    let reading = read_fleet(&snapshot(&twins), &mut FleetCache::default());
    let told: BTreeSet<_> = reading.diagnostics.iter().filter(|problem| problem.rule == "name-collision").collect();
    assert_eq!(told.len(), 2, "{told:?}");
    for set in ["dev/gcp/europe-west4/ModelServing", "dev/gcp/europe-west4/Model-Serving"] {
        let id: SetId = set.parse().unwrap();
        assert!(reading.sets[&id].wanted.is_none(), "{set} is acted on");
    }
}

/// A cluster that two status files named was acted on for both sets: two actions on one part, with two specs. Its name
/// says whose it is.
#[test]
fn a_cluster_that_two_sets_name_is_acted_on_for_its_own_alone() {
    let settled = files(SETTLED);
    let twin = String::from_utf8(settled[DEV].clone()).unwrap();
    let twin = twin.replace("clusterType: ModelServing", "clusterType: Training").into_bytes();
    let mut both = settled;
    both.insert("status/clustersets/dev/gcp/europe-west4/Training.yaml".to_owned(), twin);
    let record = record(&both);
    let twin = "status/clustersets/dev/gcp/europe-west4/Training.yaml";
    assert_eq!(record.unreadable.keys().collect::<Vec<_>>(), [twin], "{:?}", record.unreadable);
    assert!(record.unreadable[twin].contains("model-serving-dev-gcp-euw4-1"), "{:?}", record.unreadable);
}

/// A recorded cluster without addresses, or with some that are no block, was built all the same: the first stopped a debug
/// build, the second asked the cloud for a network of nonsense and counted as none in use.
#[test]
fn a_cluster_whose_recorded_addresses_are_no_block_is_not_acted_on() {
    let settled = files(SETTLED);
    let text = String::from_utf8(settled[DEV].clone()).unwrap();
    let line = text.lines().find(|line| line.trim_start().starts_with("cidr: ")).unwrap();
    assert!(record(&settled).unreadable.is_empty());
    for wrong in ["      cidr: 10.0.0.0/33", "      cidr: none of your business", ""] {
        let changed = edited(settled.clone(), DEV, line, wrong);
        assert_eq!(record(&changed).unreadable.keys().collect::<Vec<_>>(), [DEV], "{wrong:?}");
    }
}

/// Tombstones are in the order of their ordinals, and the newest was taken to be the last: the first line of a commit named
/// another cluster as retired, often one that was retired long ago.
#[test]
fn the_first_line_of_a_commit_names_the_cluster_that_was_retired_with_it() {
    let stage = Stage::with_set("count: 3\nkubernetesVersion: \"1.33\"");
    stage.settle();
    stage.edit("count: 1\nkubernetesVersion: \"1.33\"");
    stage.settle();
    stage.edit("count: 1\nkubernetesVersion: \"1.34\"");
    stage.settle();
    let mut known = BTreeSet::new();
    let mut told = 0;
    for commit in stage.person.history() {
        let (_, message) = stage.person.described(commit);
        let statuses = fleetwright_tests::witness::statuses(&stage.person, commit);
        let stones = statuses.get(SET).map(|set| set.tombstones.clone()).unwrap_or_default();
        let new: Vec<String> =
            stones.iter().map(|stone| stone.name.to_string()).filter(|name| known.insert(name.clone())).collect();
        let first = message.lines().next().unwrap();
        if let [name] = &new[..] {
            assert!(!first.contains("retired") || first.contains(&format!("{name} retired")), "{first:?} for {name}");
            told += usize::from(first.contains("retired"));
        }
    }
    assert!(told >= 2, "{told} commits tell of one that was retired");
}

/// A daemon that was started while its remote did not answer took `main` for the default branch, and when the remote was
/// back it built what that branch wished for, whatever the default branch was.
#[test]
fn a_daemon_never_guesses_the_branch_of_a_remote_that_does_not_answer() {
    let machine = Machine::new();
    std::fs::create_dir(machine.path("served")).unwrap();
    let person = Person::new(&machine.path("served/fleet.git"));
    let set = cluster_set(SET, "count: 1\nkubernetesVersion: \"1.33\"");
    let old = person.commit("an experiment of long ago", &[("fleet.yaml", Some(FLEET)), (&path_of(SET), Some(&set))]);
    person.point("refs/heads/trunk", old);
    machine.git("served/fleet.git", &["symbolic-ref", "HEAD", "refs/heads/trunk"]);
    let server = GitServer::new(&machine.path("served"), "bot", "secret");
    let proxy = Proxy::new(server.address(), 1, [0, 0]);
    let url = format!("http://bot:secret@{}/fleet.git", proxy.address());
    let state = machine.path("state").display().to_string();
    let run = ["run", "--repo", &url, "--state-dir", &state, "--sim-speed", "max", "--poll-interval", "1s"];
    proxy.refuse_next(1);
    let said = machine.fleetwright("home", &[&run[..], &["--until-settled"]].concat());
    assert!(said.code != Some(0) && said.stderr.contains("can't be reached"), "{said}");
    proxy.refuse_next(1);
    let mut daemon = machine.begin("home", &run);
    assert!(daemon.until(|_| person.at("refs/heads/trunk") != Some(old) || person.tip() != Some(old)));
    assert_eq!(person.tip(), Some(old), "it wrote to a branch that nobody asked it to follow");
}
