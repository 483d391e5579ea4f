//! A thousand clusters in sixty regions of three clouds are built and rotated, and every promise is looked at whenever a
//! plan is made, a record is published or an action is handed out.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use fleetwright::assembly::assemble;
use fleetwright::daemon::Ended;
use fleetwright::events::{Event, Events};
use fleetwright_core::action::{Action, ActionKey, Effect};
use fleetwright_core::record::Record;
use fleetwright_schema::names::SetId;
use fleetwright_schema::status::{Cluster, ClusterSetStatus, ClusterState, RetirementReason};
use fleetwright_schema::units::Timestamp;
use fleetwright_tests::fleets;
use fleetwright_tests::stage::Stage;

const SETS: usize = 100;
const COUNT: u32 = 10;

/// What was seen, for what is asserted at the end.
#[derive(Debug, Default)]
struct Seen {
    plans: u32,
    actions: u32,
    commits: u32,
    most_alive: usize,
    most_in_flight: usize,
}

/// Looks at every promise, and fails on the spot.
#[derive(Default)]
struct Judge {
    seen: Arc<Mutex<Seen>>,
    /// Sets that have reached their count.
    reached: BTreeSet<SetId>,
    /// The record of the tip, as of the last plan.
    tip: Record,
    in_flight: BTreeSet<ActionKey>,
    ordinals: BTreeMap<SetId, u32>,
}

impl Judge {
    fn record(&mut self, record: &Record) {
        assert_eq!(record.unreadable, BTreeMap::new());
        for (id, set) in &record.sets {
            if self.tip.sets.get(id).is_some_and(|known| Arc::ptr_eq(known, set)) {
                continue;
            }
            let serving = set.clusters.iter().filter(|cluster| cluster.status.state.serves()).count();
            let count = set.spec.count as usize;
            let surge = set.spec.update_strategy.cluster_rotation.max_surge as usize;
            if serving >= count {
                self.reached.insert(id.clone());
            }
            assert!(!self.reached.contains(id) || serving >= count, "{id}: {serving} of {count} serve");
            assert!(set.clusters.len() <= count + surge, "{id}: {} are alive", set.clusters.len());
            self.ordinals(id, set);
        }
    }

    /// No ordinal is used twice.
    fn ordinals(&mut self, id: &SetId, set: &ClusterSetStatus) {
        let known = self.ordinals.entry(id.clone()).or_default();
        assert!(set.status.next_ordinal >= *known, "{id} would use an ordinal again");
        *known = set.status.next_ordinal;
        let all: BTreeSet<u32> = set.clusters.iter().map(|cluster| cluster.metadata.ordinal).collect();
        assert_eq!(all.len(), set.clusters.len(), "{id} has an ordinal twice");
        assert!(set.tombstones.iter().all(|stone| !all.contains(&stone.ordinal)), "{id} names a retired cluster");
    }

    fn plan(&mut self, old: &Record, new: &Record, now: Timestamp) {
        for (id, set) in &new.sets {
            let before = old.sets.get(id);
            if before.is_some_and(|before| Arc::ptr_eq(before, set)) {
                continue;
            }
            let count = set.spec.count as usize;
            let serving = set.clusters.iter().filter(|cluster| cluster.status.state.serves()).count();
            assert!(!self.reached.contains(id) || serving >= count, "{id}: the plan lets {serving} of {count} serve");
            for cluster in &set.clusters {
                let was = before.and_then(|before| find(before, cluster));
                transition(id, set, was, cluster, now);
            }
            let gone = before.into_iter().flat_map(|before| &before.clusters).filter(|was| find(set, was).is_none());
            for was in gone {
                assert_eq!(was.status.state, ClusterState::Deleting, "{} vanishes", was.metadata.name);
            }
        }
        assert!(old.sets.keys().all(|id| new.sets.contains_key(id)), "a set vanishes");
    }

    fn action(&mut self, action: &Action) {
        let set =
            self.tip.sets.get(&action.set).unwrap_or_else(|| panic!("{action}: no set {} at the tip", action.set));
        let cluster = set.clusters.iter().find(|cluster| cluster.metadata.name == action.key.cluster);
        let cluster = cluster.unwrap_or_else(|| panic!("{action}: the tip does not name it"));
        let state = cluster.status.state;
        let permitted = match action.effect {
            Effect::Create { .. } => matches!(state, ClusterState::Pending | ClusterState::Creating),
            Effect::Delete { .. } => state == ClusterState::Deleting,
            Effect::Drain { .. } => state == ClusterState::Draining,
            Effect::Update { .. } | Effect::OpenPlacement { .. } => false,
        };
        assert!(permitted, "{action} while {state}");
        assert!(self.in_flight.insert(action.key.clone()), "{action} is under way twice");
        let mut seen = self.seen.lock().unwrap();
        seen.actions += 1;
        seen.most_in_flight = seen.most_in_flight.max(self.in_flight.len());
    }
}

fn find<'a>(set: &'a ClusterSetStatus, cluster: &Cluster) -> Option<&'a Arc<Cluster>> {
    set.clusters.iter().find(|other| other.metadata.name == cluster.metadata.name)
}

/// What may become of a cluster, and on what evidence.
fn transition(id: &SetId, set: &ClusterSetStatus, was: Option<&Arc<Cluster>>, is: &Cluster, now: Timestamp) {
    let name = &is.metadata.name;
    let Some(was) = was else {
        return assert_eq!(is.status.state, ClusterState::Pending, "{name} begins as {}", is.status.state);
    };
    if was.status.state == is.status.state {
        return;
    }
    let rotation = &set.spec.update_strategy.cluster_rotation;
    match is.status.state {
        ClusterState::Draining => {
            let stands_in = |other: &&Arc<Cluster>| {
                let baked = other.status.ready_at.is_some_and(|ready| ready.plus(rotation.bake) <= now);
                other.status.state.serves() && (baked || other.spec != set.spec.template)
            };
            let standing = set.clusters.iter().filter(stands_in).count();
            assert!(standing >= set.spec.count as usize, "{name} drains and {standing} serve and have baked");
        }
        ClusterState::Drained => {
            let proof = is.status.retirement.as_ref().unwrap();
            assert!(
                proof.empty_at.is_some() && proof.evidence.is_some() && proof.expected_workloads.is_some(),
                "{name}"
            );
        }
        ClusterState::Deleting => {
            let proof = was.status.retirement.as_ref();
            assert_eq!(was.status.state, ClusterState::Drained, "{name} of {id} goes without having been drained");
            assert!(proof.is_some_and(|proof| proof.evidence.is_some() && proof.reason == RetirementReason::Replaced));
            assert!(was.status.since.plus(rotation.rollback_window) <= now, "{name} goes within its rollback window");
        }
        ClusterState::Pending | ClusterState::Creating | ClusterState::Ready | ClusterState::Updating => {}
    }
}

impl Events for Judge {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Planned { plan, record, now } => {
                self.record(record);
                self.plan(record, &plan.record, now);
                self.tip = record.clone();
                let mut seen = self.seen.lock().unwrap();
                seen.plans += 1;
                seen.most_alive = seen.most_alive.max(record.clusters().count());
            }
            Event::Started { action, .. } => self.action(action),
            Event::Finished { action, result, .. } => {
                assert!(result.is_ok(), "{action}: {result:?}");
                self.in_flight.remove(&action.key);
            }
            Event::Published { published, .. } => {
                self.seen.lock().unwrap().commits += u32::from(published.commit.is_some());
            }
            Event::Violation(violation) => panic!("{violation}"),
            Event::NotPublished(error) => panic!("{error}"),
            Event::ReadFailed { place, error } => panic!("{place}: {error}"),
            Event::Trouble(what) => panic!("{what}"),
            Event::Tip { tip } => assert!(tip.sound && tip.edited.is_empty()),
        }
    }
}

fn settle(stage: &Stage) -> Seen {
    let judge = Judge::default();
    let seen = Arc::clone(&judge.seen);
    let mut assembled = assemble(stage.setup(), Box::new(judge)).unwrap();
    assert_eq!(assembled.daemon.run().unwrap(), Ended::Settled);
    drop(assembled);
    Arc::into_inner(seen).unwrap().into_inner().unwrap()
}

fn files(version: &str) -> Vec<(String, String)> {
    let rotation = "maxSurge: 5, bake: 5m, rollbackWindow: 10m, drain: Evict";
    fleets::files(&fleets::set_ids(SETS, 60), |_| {
        format!(
            "count: {COUNT}\nkubernetesVersion: \"{version}\"\nupdateStrategy: {{ clusterRotation: {{ {rotation} }} }}"
        )
    })
}

#[test]
fn a_thousand_clusters_are_built_and_rotated_and_every_promise_holds_at_every_plan() {
    let first = files("1.33");
    let first: Vec<(&str, &str)> = first.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let stage = Stage::new(&first);

    let began = std::time::Instant::now();
    let built = settle(&stage);
    eprintln!("built in {:?}: {built:?}", began.elapsed());
    all_ready_at(&stage, "1.33");
    assert_eq!(built.actions, 8 * 1000, "eight steps a cluster, each asked for once");
    assert_eq!(built.most_alive, 1000);

    let second = files("1.34");
    let second: Vec<(&str, Option<&str>)> =
        second.iter().map(|(path, text)| (path.as_str(), Some(text.as_str()))).collect();
    stage.person.commit("the next Kubernetes version", &second);
    let rotated = settle(&stage);
    eprintln!("rotated in {:?}: {rotated:?}", began.elapsed());
    all_ready_at(&stage, "1.34");
    assert!(rotated.most_alive > 1000 && rotated.most_alive <= 1500, "{rotated:?}");

    let tip = stage.person.tip();
    let quiet = settle(&stage);
    assert_eq!((quiet.actions, quiet.commits), (0, 0), "plan again: nothing to do");
    assert_eq!(stage.person.tip(), tip, "no change, no commit");
    stage.no_leaks();
    eprintln!("all in {:?}", began.elapsed());
}

fn all_ready_at(stage: &Stage, version: &str) {
    let statuses = stage.statuses();
    assert_eq!(statuses.len(), SETS);
    for (id, set) in statuses {
        assert_eq!(set.clusters.len(), COUNT as usize, "{id}");
        for cluster in &set.clusters {
            assert_eq!(cluster.status.state, ClusterState::Ready, "{}", cluster.metadata.name);
            assert_eq!(cluster.spec.kubernetes_version.as_str(), version, "{}", cluster.metadata.name);
        }
    }
}
