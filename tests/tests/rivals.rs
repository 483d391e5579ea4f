//! Daemons that stand in each other's way, and a remote that does not want what the bot pushes: each ends in the right
//! state, and nothing is made twice.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fleetwright::assembly::{Setup, assemble};
use fleetwright::daemon::{Ended, Options};
use fleetwright::events::{Event, Events};
use fleetwright_core::inventory::Step;
use fleetwright_schema::names::Cloud;
use fleetwright_schema::status::ClusterState;
use fleetwright_simulator::{Speed, Verb};
use fleetwright_tests::stage::{FLEET, SET, Stage, cluster_set, path_of};

const SETS: [&str; 3] = [SET, "prod/aws/us-east-1/ModelServing", "prod/gcp/europe-west1/ModelServing"];

/// What one daemon did and met.
#[derive(Clone, Debug, Default)]
struct Tally {
    commits: u32,
    refused_pushes: u32,
    violations: Vec<String>,
}

struct Teller(Arc<Mutex<Tally>>);

impl Events for Teller {
    fn event(&mut self, event: Event<'_>) {
        let mut tally = self.0.lock().unwrap();
        match event {
            Event::Published { published, .. } => tally.commits += u32::from(published.commit.is_some()),
            Event::NotPublished(_) => tally.refused_pushes += 1,
            Event::Violation(violation) => tally.violations.push(violation.to_string()),
            _ => {}
        }
    }
}

/// Runs a daemon with its own mirror, its own clock and its own view of the world, until it ends by itself.
fn daemon(repo: PathBuf, speed: Speed) -> (Ended, Tally) {
    let tally = Arc::new(Mutex::new(Tally::default()));
    let options = Options {
        branch: Some("main".to_owned()),
        poll_interval: Duration::from_secs(1),
        attention_interval: fleetwright::daemon::ATTENTION_INTERVAL,
        once: false,
        until_settled: true,
        dry_run: false,
        until: None,
    };
    let repo = repo.display().to_string();
    let setup = Setup { repo, options, speed: Some(speed), seed: 7, state_dir: None };
    let mut assembled = assemble(setup, Box::new(Teller(Arc::clone(&tally)))).unwrap();
    let ended = assembled.daemon.run().unwrap();
    let tally = tally.lock().unwrap().clone();
    (ended, tally)
}

/// Two daemons on one repository and one world, side by side.
fn two_daemons(stage: &Stage, speeds: [Speed; 2]) -> [Tally; 2] {
    let threads = speeds.map(|speed| {
        let repo = stage.person.path().to_owned();
        std::thread::spawn(move || daemon(repo, speed))
    });
    threads.map(|thread| {
        let (ended, tally) = thread.join().unwrap();
        assert_eq!(ended, Ended::Settled, "{tally:?}");
        assert_eq!(tally.violations, Vec::<String>::new());
        tally
    })
}

fn files(count: u32, version: &str) -> Vec<(String, String)> {
    let spec = format!(
        "count: {count}\nkubernetesVersion: \"{version}\"\nupdateStrategy: {{ clusterRotation: {{ maxSurge: 2, bake: 5m, rollbackWindow: 10m }} }}"
    );
    let sets = SETS.iter().map(|set| (path_of(set), cluster_set(set, &spec)));
    sets.chain([("fleet.yaml".to_owned(), FLEET.to_owned())]).collect()
}

fn stage_of(count: u32, version: &str) -> Stage {
    let files = files(count, version);
    Stage::new(&files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect::<Vec<_>>())
}

fn wish(stage: &Stage, count: u32, version: &str) {
    let files = files(count, version);
    let files: Vec<(&str, Option<&str>)> =
        files.iter().map(|(path, text)| (path.as_str(), Some(text.as_str()))).collect();
    stage.person.commit("another wish", &files);
}

fn all_ready_at(stage: &Stage, count: usize, version: &str) {
    for (id, set) in stage.statuses() {
        assert_eq!(set.clusters.len(), count, "{id}");
        for cluster in &set.clusters {
            assert_eq!(cluster.status.state, ClusterState::Ready, "{}", cluster.metadata.name);
            assert_eq!(cluster.spec.kubernetes_version.as_str(), version, "{}", cluster.metadata.name);
        }
    }
}

/// How often each part of each cluster was made. Where a cloud has neither unique names nor tokens, as for a VPC, a
/// doubled create is settled before anything uses it; of everything else there is never more than one.
fn no_part_was_made_twice(stage: &Stage) {
    let mut made: BTreeMap<(String, Step, Cloud), u32> = BTreeMap::new();
    for done in stage.world().history().unwrap().into_iter().filter(|done| done.verb == Verb::Create) {
        *made.entry((done.cluster.to_string(), done.step, done.place.cloud)).or_default() += 1;
    }
    assert!(!made.is_empty());
    for ((cluster, step, cloud), times) in made {
        let may_double = cloud == Cloud::Aws && step == Step::Network;
        assert!(times == 1 || may_double, "{step} of {cluster} was made {times} times");
    }
}

#[test]
fn two_daemons_on_one_repository_build_every_cluster_once() {
    let stage = stage_of(4, "1.33");
    two_daemons(&stage, [Speed::Max, Speed::Max]);
    all_ready_at(&stage, 4, "1.33");
    no_part_was_made_twice(&stage);
    stage.nothing_to_do();
}

#[test]
fn two_daemons_on_one_repository_rotate_every_cluster_once() {
    let stage = stage_of(4, "1.33");
    stage.settle();
    wish(&stage, 4, "1.34");
    two_daemons(&stage, [Speed::Max, Speed::Max]);
    all_ready_at(&stage, 4, "1.34");
    no_part_was_made_twice(&stage);
    let ordinals: Vec<u32> = stage.status().clusters.iter().map(|cluster| cluster.metadata.ordinal).collect();
    assert_eq!(ordinals, [5, 6, 7, 8], "each was replaced once");
    stage.nothing_to_do();
}

#[test]
fn two_daemons_whose_clocks_run_build_every_cluster_once() {
    let stage = stage_of(3, "1.33");
    two_daemons(&stage, [Speed::Factor(600.0), Speed::Factor(600.0)]);
    all_ready_at(&stage, 3, "1.33");
    no_part_was_made_twice(&stage);
    stage.nothing_to_do();
}

/// Declines pushes `from` to `to`, counted from 1 in a file, as a hook of the remote.
fn decline_pushes(stage: &Stage, from: u32, to: u32) -> PathBuf {
    let count = stage.dir().join("pushes");
    let hook = stage.person.path().join("hooks/pre-receive");
    std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
    let text = format!(
        "#!/bin/sh\nn=$(cat '{count}' 2>/dev/null || echo 0)\nn=$((n + 1))\necho $n > '{count}'\nif [ $n -ge {from} ] && [ $n -le {to} ]; then\n  echo 'not now' >&2\n  exit 1\nfi\nexit 0\n",
        count = count.display()
    );
    std::fs::write(&hook, text).unwrap();
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).unwrap();
    count
}

fn pushes(count: &Path) -> u32 {
    std::fs::read_to_string(count).unwrap().trim().parse().unwrap()
}

#[test]
fn a_remote_that_declines_the_first_three_pushes_gets_the_fourth_and_the_fleet_is_built() {
    let stage = stage_of(2, "1.33");
    let count = decline_pushes(&stage, 1, 3);
    let (ended, tally) = stage.settle();
    assert_eq!(ended, Ended::Settled, "{tally:?}");
    assert_eq!(tally.refused_pushes, 3);
    assert!(pushes(&count) > 3);
    all_ready_at(&stage, 2, "1.33");
    no_part_was_made_twice(&stage);
    stage.nothing_to_do();
}

#[test]
fn a_remote_that_declines_three_pushes_while_clusters_are_built_is_asked_again() {
    let stage = stage_of(2, "1.33");
    let count = decline_pushes(&stage, 3, 5);
    let (ended, tally) = stage.settle();
    assert_eq!(ended, Ended::Settled, "{tally:?}");
    assert_eq!(tally.refused_pushes, 3);
    assert!(pushes(&count) > 5);
    all_ready_at(&stage, 2, "1.33");
    no_part_was_made_twice(&stage);
    stage.nothing_to_do();
}

#[test]
fn a_remote_that_declines_three_pushes_in_a_rotation_breaks_no_promise() {
    let stage = stage_of(2, "1.33");
    stage.settle();
    let count = decline_pushes(&stage, 4, 6);
    wish(&stage, 2, "1.34");
    let (ended, tally) = stage.settle();
    assert_eq!(ended, Ended::Settled, "{tally:?}");
    assert_eq!(tally.refused_pushes, 3);
    assert!(pushes(&count) > 6);
    all_ready_at(&stage, 2, "1.34");
    no_part_was_made_twice(&stage);
    stage.nothing_to_do();
}
