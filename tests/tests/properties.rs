//! The planner under everything that may happen, by seed: faults and edits first, then calm, then nothing.
//!
//! `FLEETWRIGHT_CASES` sets how many seeds are run, `FLEETWRIGHT_SEED` the first of them.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use fleetwright_core::action::{Action, ActionKey, Effect};
use fleetwright_core::fingerprint::revision;
use fleetwright_core::inventory::{ErrorClass, Placement, Step};
use fleetwright_core::memory::{Failure, Opening};
use fleetwright_core::plan::Plan;
use fleetwright_core::publication::status_file;
use fleetwright_core::record::{Record, RecordCache};
use fleetwright_core::snapshot::{BlobId, CommitId, Snapshot, SourceFile};
use fleetwright_schema::documents::{Budget, BudgetScope, SetSelector};
use fleetwright_schema::set::{ClusterSpec, DrainMode, DrainTimeoutPolicy};
use fleetwright_schema::status::Cluster;
use fleetwright_schema::status::ClusterState::{self, Creating, Deleting, Drained, Draining, Pending, Ready, Updating};
use fleetwright_schema::units::Duration;
use fleetwright_tests::bench::{Bench, ago};
use fleetwright_tests::drive::{Tally, run};
use fleetwright_tests::parallel::on_all_threads;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn the_promises_hold_whatever_happens_and_the_fleet_converges_and_stays() {
    let (first, cases) = (number("FLEETWRIGHT_SEED", 1), number("FLEETWRIGHT_CASES", 2000));
    let failures_max = number("FLEETWRIGHT_FAILURES", 1);
    let failures: Mutex<Vec<(u64, String)>> = Mutex::new(Vec::new());
    let total: Mutex<Tally> = Mutex::new(Tally::default());
    let began = std::time::Instant::now();
    on_all_threads(first..first + cases, |seed| match run(seed) {
        Ok(tally) => {
            total.lock().unwrap().add(tally);
            ControlFlow::Continue(())
        }
        Err(why) => {
            let mut failures = failures.lock().unwrap();
            failures.push((seed, why));
            if failures.len() as u64 >= failures_max { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
    });
    println!("{cases} cases in {:?}: {:?}", began.elapsed(), total.lock().unwrap());
    let mut failures = failures.into_inner().unwrap();
    failures.sort();
    for (seed, why) in &failures {
        println!("== {}", why.lines().next().unwrap_or_default());
        if failures_max > 1 {
            std::fs::write(std::env::temp_dir().join(format!("fleetwright-seed-{seed}.txt")), why).unwrap();
        }
    }
    assert!(failures.is_empty(), "{}", failures[0].1);
}

// Bugs that it found, each by hand.

/// With `tombstoneRetention: 0s` no cluster ever left its record: the check refused the plan for ever.
#[test]
fn a_cluster_leaves_a_tombstone_however_short_its_time_is() {
    let mut bench = Bench::new(0);
    bench.config.publishing.tombstone_retention = Duration::from_seconds(0);
    bench.add(1, Deleting, 30);
    let plan = bench.plan();
    assert_eq!(bench.state(&plan, 1), None);
    assert_eq!(plan.record.sets[&bench.id].tombstones.len(), 1);
}

/// A create that was under way landed after its cluster was read to be gone and buried: nobody ever deleted it. A drain
/// that was under way closed a cluster that had just been published as READY.
#[test]
fn nothing_is_concluded_of_a_cluster_while_an_action_on_it_is_under_way() {
    let mut bench = Bench::new(0);
    bench.add(1, Deleting, 30);
    let key = ActionKey { cluster: bench.clusters[0].metadata.name.clone(), step: Step::Network };
    bench.memory.in_flight.insert(key);
    assert_eq!(bench.state(&bench.plan(), 1), Some(Deleting));
    let mut bench = Bench::new(1);
    bench.add(1, Draining, 30);
    bench.build(1, Placement::Open, Some((5, 0)));
    let key = ActionKey { cluster: bench.clusters[0].metadata.name.clone(), step: Step::ControlPlane };
    let opening = Opening { at: ago(&bench, 10), stands: true };
    bench.memory.openings.insert(key.cluster.clone(), opening);
    assert_eq!(bench.state(&bench.plan(), 1), Some(Ready));
    bench.memory.in_flight.insert(key);
    assert_eq!(bench.state(&bench.plan(), 1), Some(Draining));
}

/// A list that lagged behind showed the time before a cluster was made; it was buried, and its parts stayed for ever.
#[test]
fn a_cluster_that_never_served_is_gone_only_by_a_list_that_is_no_older_than_its_making() {
    let mut bench = Bench::new(0);
    bench.add(1, Deleting, 1).status.ready_at = None;
    let plan = bench.plan();
    assert_eq!(bench.state(&plan, 1), Some(Deleting));
    assert!(plan.wake_at.is_some() && !plan.is_stuck());
    bench.clusters[0].status.since = ago(&bench, 11);
    assert_eq!(bench.state(&bench.plan(), 1), None);
}

/// A new cluster that was superseded after workloads had come waited for a person, while they were leaving.
#[test]
fn workloads_that_leave_a_superseded_cluster_are_waited_for_and_evicted_when_it_takes_too_long() {
    let mut bench = Bench::new(0);
    let rotation = &mut bench.wish.update_strategy.cluster_rotation;
    rotation.drain_timeout = Duration::from_minutes(60);
    rotation.on_drain_timeout = DrainTimeoutPolicy::Evict;
    bench.add(1, Deleting, 30).status.ready_at = None;
    bench.build(1, Placement::Closed, Some((3, 2)));
    let plan = bench.plan();
    assert!(!plan.is_stuck() && plan.actions.is_empty());
    bench.now = bench.now.plus(Duration::from_minutes(31));
    bench.read_at = bench.now;
    let evicts = |action: &Action| matches!(action.effect, Effect::Drain { mode: DrainMode::Evict, .. });
    assert!(bench.plan().actions.iter().any(evicts));
}

/// Where workloads could not be counted, a cluster that was never verified empty was deleted with all that ran on it.
#[test]
fn a_complete_cluster_is_not_deleted_while_nobody_can_count_what_runs_on_it() {
    let mut bench = Bench::new(0);
    bench.add(1, Deleting, 30).status.ready_at = None;
    bench.build(1, Placement::Open, None);
    assert_eq!(bench.plan().actions, Vec::new());
}

/// A revert that was itself reverted had opened the cluster: the count of those that had left began anew, the expected
/// count did not, and the drain never ended.
#[test]
fn a_drain_that_was_interrupted_by_a_revert_counts_anew() {
    let mut bench = Bench::new(0);
    let cluster = bench.add(1, Draining, 5);
    cluster.status.retirement.as_mut().unwrap().expected_workloads = Some(20);
    bench.build(1, Placement::Open, Some((3, 0)));
    let plan = bench.plan();
    assert_eq!(plan.actions, Vec::new());
    assert_eq!(bench.of(&plan, 1).unwrap().status.retirement.as_ref().unwrap().expected_workloads, None);
}

/// The same after DRAINED: it took workloads, was wanted by nobody, and waited for a person for ever.
#[test]
fn a_drained_cluster_that_was_opened_for_a_revert_is_drained_again() {
    let mut bench = Bench::new(0);
    let evidence = |cluster: &mut Cluster| {
        let retirement = cluster.status.retirement.as_mut().unwrap();
        retirement.expected_workloads = Some(5);
        retirement.empty_at = Some(cluster.status.since);
        retirement.evidence = Some("control plane-1".to_owned());
    };
    evidence(bench.add(1, Drained, 5));
    bench.build(1, Placement::Open, Some((3, 0)));
    let plan = bench.plan();
    assert_eq!(bench.state(&plan, 1), Some(Draining));
    let retirement = bench.of(&plan, 1).unwrap().status.retirement.clone().unwrap();
    assert_eq!((retirement.started_at, retirement.evidence, retirement.empty_at), (bench.now, None, None));
}

/// A surplus new cluster counted as a replacement before it had baked; the check refused the plan.
#[test]
fn a_new_cluster_that_is_one_too_many_stands_in_for_nothing_before_it_has_baked() {
    let mut bench = Bench::new(1);
    bench.add(1, Ready, 500);
    bench.build(1, Placement::Open, Some((5, 0)));
    std::sync::Arc::make_mut(&mut bench.spec.template).kubernetes_version = "1.34".parse().unwrap();
    std::sync::Arc::make_mut(&mut bench.wish.template).kubernetes_version = "1.34".parse().unwrap();
    for ordinal in [2, 3] {
        bench.add(ordinal, Ready, 5);
        bench.build(ordinal, Placement::Open, Some((0, 0)));
    }
    let plan = bench.plan();
    assert_eq!([1, 2, 3].map(|ordinal| bench.state(&plan, ordinal)), [Some(Ready); 3]);
}

/// An update that could not succeed held the one place in the disruption budget that its own way out needed.
#[test]
fn a_cluster_that_is_being_updated_needs_no_second_place_in_the_budget_to_be_drained() {
    let mut bench = Bench::new(1);
    let name = "one".parse().unwrap();
    let (sets, per) = (SetSelector::default(), BudgetScope::Fleet);
    bench.config.budgets.disruption = vec![Budget { name, sets, per, max_clusters: 1 }];
    bench.add(1, Updating, 100);
    bench.build(1, Placement::Open, Some((5, 0)));
    bench.resources.iter_mut().find(|part| part.step == Step::NodePools).unwrap().applied = "older".into();
    std::sync::Arc::make_mut(&mut bench.spec.template).kubernetes_version = "1.34".parse().unwrap();
    std::sync::Arc::make_mut(&mut bench.wish.template).kubernetes_version = "1.34".parse().unwrap();
    bench.add(2, Ready, 90);
    bench.build(2, Placement::Open, Some((5, 0)));
    assert_eq!(bench.state(&bench.plan(), 1), Some(Draining));
}

/// A commit that changed the tags of a set took its draining clusters out of the budget that they were spent from.
#[test]
fn a_budget_counts_clusters_by_their_own_tags() {
    let mut bench = Bench::new(1);
    let gold = BTreeMap::from([("tier".to_owned(), "gold".to_owned())]);
    let sets = SetSelector { match_tags: gold.clone(), ..SetSelector::default() };
    let (name, per) = ("gold".parse().unwrap(), BudgetScope::Fleet);
    bench.config.budgets.disruption = vec![Budget { name, sets, per, max_clusters: 1 }];
    std::sync::Arc::make_mut(&mut bench.spec.template).tags = gold;
    bench.add(1, Draining, 5);
    bench.build(1, Placement::Closed, Some((5, 0)));
    bench.add(2, Ready, 500);
    bench.build(2, Placement::Open, Some((5, 0)));
    bench.spec.template = bench.wish.template.clone();
    std::sync::Arc::make_mut(&mut bench.spec.template).kubernetes_version = "1.34".parse().unwrap();
    bench.wish.template = bench.spec.template.clone();
    bench.add(3, Ready, 90);
    bench.build(3, Placement::Open, Some((5, 0)));
    assert_eq!(bench.state(&bench.plan(), 2), Some(Ready));
}

/// Two edits in a row made a control plane skip a minor version, which no cloud does: the cluster stalled for good.
#[test]
fn a_cluster_follows_to_the_next_minor_version_only_once_it_is_at_the_one_before() {
    for state in [Creating, Updating] {
        let mut bench = Bench::new(1);
        bench.add(1, state, 5);
        bench.build(1, Placement::Open, Some((0, 0)));
        bench.clusters[0].spec =
            Arc::new(ClusterSpec { kubernetes_version: "1.33".parse().unwrap(), ..(*bench.clusters[0].spec).clone() });
        bench.clusters[0].status.revision = revision(&bench.clusters[0].spec);
        std::sync::Arc::make_mut(&mut bench.wish.template).kubernetes_version = "1.34".parse().unwrap();
        let plan = bench.plan();
        assert_eq!(bench.of(&plan, 1).unwrap().spec.kubernetes_version.as_str(), "1.33", "{state}");
        assert!(plan.actions.iter().any(|action| action.key.step == Step::ControlPlane), "{state}");
    }
}

/// A record that contradicts itself made the planner panic, or give a name a second time.
#[test]
fn ordinals_that_contradict_the_record_neither_panic_nor_come_back() {
    let mut bench = Bench::new(2);
    bench.add(7, Ready, 90);
    bench.build(7, Placement::Open, Some((0, 0)));
    bench.next_ordinal = 7;
    let names = |plan: &Plan| -> Vec<u32> {
        plan.record.sets.values().flat_map(|set| &set.clusters).map(|c| c.metadata.ordinal).collect()
    };
    assert_eq!(names(&bench.plan()), [7, 8]);
    bench.clusters[0].metadata.ordinal = u32::MAX;
    bench.next_ordinal = u32::MAX;
    assert_eq!(names(&bench.plan()), [u32::MAX]);
}

/// A cluster whose update could not succeed halted its set, and with it its own replacement, for good.
#[test]
fn a_cluster_that_stalled_at_an_older_revision_does_not_hold_up_its_own_replacement() {
    let mut bench = Bench::new(1);
    bench.add(1, Updating, 500);
    bench.build(1, Placement::Open, Some((5, 0)));
    bench.resources.iter_mut().find(|part| part.step == Step::NodePools).unwrap().applied = "older".into();
    std::sync::Arc::make_mut(&mut bench.spec.template).kubernetes_version = "1.34".parse().unwrap();
    std::sync::Arc::make_mut(&mut bench.wish.template).kubernetes_version = "1.34".parse().unwrap();
    let plan = bench.plan();
    assert_eq!(bench.state(&plan, 2), Some(Pending));
    bench.add(2, Ready, 90);
    bench.build(2, Placement::Open, Some((5, 0)));
    assert_eq!(bench.state(&bench.plan(), 1), Some(Draining));
}

/// Such a record was acted on: two clusters of one name, or four thousand million of them.
#[test]
fn a_record_that_contradicts_itself_is_not_acted_on() {
    let parsed = |bench: &Bench| {
        let content = status_file(&bench.id, &bench.record().sets[&bench.id]).unwrap();
        let file = SourceFile { blob: BlobId::parse(&"b".repeat(40)).unwrap(), content: content.into() };
        let files = BTreeMap::from([(bench.id.status_path().into(), file)]);
        let snapshot = Snapshot { commit: CommitId::parse(&"c".repeat(40)).unwrap(), files, refused: Vec::new() };
        Record::parse(&snapshot, &mut RecordCache::new())
    };
    let mut bench = Bench::new(2);
    bench.add(1, Ready, 90);
    assert_eq!(parsed(&bench).unreadable.len(), 0);
    bench.add(1, Ready, 90);
    assert_eq!(parsed(&bench).unreadable.len(), 1);
    bench.clusters.clear();
    bench.spec.count = u32::MAX;
    assert_eq!(parsed(&bench).unreadable.len(), 1);
}

/// A cluster that lost its control plane while it was updated waited for nothing, so that the fleet was called stuck.
#[test]
fn a_control_plane_that_is_gone_is_waited_for_in_every_state_that_served() {
    for state in [Ready, Updating, Draining] {
        let mut bench = Bench::new(1);
        bench.add(1, state, 20);
        let plan = bench.plan();
        assert!(plan.wake_at.is_some(), "{state}");
        assert!(plan.reports[&bench.id].moves_by_itself(), "{state}");
    }
}

/// A create failed in one daemon, and the cluster was to go: that daemon wrote the failure into the record, the other
/// took it out, and so on with every commit, for as long as the first remembered it.
#[test]
fn what_failed_while_a_cluster_was_built_is_not_said_of_its_deletion() {
    let mut bench = Bench::new(0);
    bench.add(1, Deleting, 30).status.ready_at = None;
    bench.build(1, Placement::Open, Some((0, 0)));
    bench.resources.retain(|resource| resource.step == Step::Network);
    let quiet = bench.plan();
    let told = |step: Step, bench: &mut Bench| {
        let key = ActionKey { cluster: bench.clusters[0].metadata.name.clone(), step };
        let (retry_at, class) = (bench.now, ErrorClass::Invalid);
        bench.memory.failures = [(key, Failure { attempts: 1, retry_at, class, message: "no".to_owned() })].into();
        bench.plan().record
    };
    assert_eq!(told(Step::ControlPlane, &mut bench), quiet.record);
    assert_ne!(told(Step::Network, &mut bench), quiet.record);
}

/// Made smaller, rotated, and made larger again, a set had no room for what it missed, and what was in the way waited
/// for the missing.
#[test]
fn drained_clusters_make_room_in_a_set_that_was_made_larger_again() {
    let mut bench = Bench::new(3);
    bench.spec.update_strategy.cluster_rotation.max_surge = 1;
    bench.wish.update_strategy.cluster_rotation.max_surge = 1;
    for ordinal in [1, 2] {
        let cluster = bench.add(ordinal, Drained, 90);
        let retirement = cluster.status.retirement.as_mut().unwrap();
        retirement.expected_workloads = Some(5);
        retirement.empty_at = Some(cluster.status.since);
        retirement.evidence = Some(format!("control plane-{ordinal}"));
        bench.build(ordinal, Placement::Closed, Some((0, 5)));
    }
    std::sync::Arc::make_mut(&mut bench.spec.template).kubernetes_version = "1.34".parse().unwrap();
    std::sync::Arc::make_mut(&mut bench.wish.template).kubernetes_version = "1.34".parse().unwrap();
    for ordinal in [3, 4] {
        bench.add(ordinal, Ready, 90);
        bench.build(ordinal, Placement::Open, Some((5, 0)));
    }
    let plan = bench.plan();
    assert_eq!([1, 2].map(|ordinal| bench.state(&plan, ordinal)), [Some(Deleting), Some(Drained)]);
}

/// After a minute, with a reading of then.
fn a_minute_later(bench: &mut Bench) {
    bench.now = bench.now.plus(Duration::from_minutes(1));
    bench.read_at = bench.now;
}

/// The one action of a plan is handed out and comes back.
fn comes_back(bench: &mut Bench, error: Option<ErrorClass>) -> &'static str {
    let plan = bench.plan();
    let [action] = &plan.actions[..] else { panic!("{:?}", plan.actions) };
    bench.memory.started(action, bench.now);
    bench.memory.finished(action, bench.now, error.map(|class| (class, "no reply".to_owned(), None)));
    a_minute_later(bench);
    action.effect.verb()
}

/// People reverted a rotation, and a list that lagged behind still showed the drained cluster open: it was published as
/// serving without being opened, the new one was drained in its favour, and nothing served.
#[test]
fn a_drained_cluster_serves_again_only_after_this_process_was_told_that_it_is_open() {
    let mut bench = Bench::new(1);
    bench.add(1, Draining, 5);
    bench.build(1, Placement::Open, Some((5, 0)));
    // A reply that is lost says nothing, so that it is tried again.
    assert_eq!(comes_back(&mut bench, Some(ErrorClass::UnknownResult)), "open");
    assert_eq!(bench.state(&bench.plan(), 1), Some(Draining));
    assert_eq!(comes_back(&mut bench, None), "open");
    assert_eq!(bench.state(&bench.plan(), 1), Some(Ready));
    // Opened before it began to drain: for a revert of before.
    bench.clusters[0].status.since = bench.now;
    assert_eq!(comes_back(&mut bench, None), "open");
    // What another daemon made of it meanwhile, nobody knows.
    let mut known = bench.record();
    Arc::make_mut(known.sets.values_mut().next().unwrap()).clusters.clear();
    bench.memory.note_foreign(&known, &bench.record(), bench.now);
    a_minute_later(&mut bench);
    assert_eq!(comes_back(&mut bench, None), "open");
    // The revert is reverted: a drain is handed out.
    bench.wish.count = 0;
    bench.spec.count = 0;
    assert_eq!(comes_back(&mut bench, None), "drain");
    (bench.wish.count, bench.spec.count) = (1, 1);
    assert_eq!(comes_back(&mut bench, None), "open");
    assert_eq!(bench.state(&bench.plan(), 1), Some(Ready));
}

/// The same on the way out: drained, opened for a revert, and to go after all, a cluster was taken for empty by a list of
/// before the revert, while what had left was back.
#[test]
fn a_cluster_that_was_opened_is_empty_only_by_a_list_that_is_no_older_than_its_opening() {
    for (state, next) in [(Draining, Drained), (Drained, Deleting)] {
        let mut bench = emptied(state);
        let name = bench.clusters[0].metadata.name.clone();
        bench.memory.openings.insert(name, Opening { at: ago(&bench, 2), stands: false });
        let plan = bench.plan();
        assert_eq!(bench.state(&plan, 1), Some(state));
        assert!(plan.wake_at.is_some() && !plan.is_stuck());
        for _ in 0..9 {
            a_minute_later(&mut bench);
        }
        assert_eq!(bench.state(&bench.plan(), 1), Some(next));
    }
}

/// Nodes that an autoscaler brings to a closed cluster take workloads: it is empty once they are closed, too, and what was
/// verified and waited for before needs no second time for that.
#[test]
fn a_cluster_that_nodes_have_joined_is_closed_again_and_goes_no_further_until_then() {
    for (state, next) in [(Draining, Drained), (Drained, Deleting)] {
        let mut bench = emptied(state);
        let expected = bench.clusters[0].status.retirement.clone();
        set_open_nodes(&mut bench, true);
        let plan = bench.plan();
        let told = bench.of(&plan, 1).unwrap();
        assert_eq!((told.status.state, &told.status.retirement), (state, &expected));
        assert!(matches!(plan.actions[..], [Action { effect: Effect::Drain { .. }, .. }]), "{:?}", plan.actions);
        set_open_nodes(&mut bench, false);
        assert_eq!(bench.state(&bench.plan(), 1), Some(next));
    }
}

/// A closed cluster that all five of its workloads have left, on its way out without a rollback window.
fn emptied(state: ClusterState) -> Bench {
    let mut bench = Bench::new(0);
    bench.wish.update_strategy.cluster_rotation.rollback_window = Duration::from_seconds(0);
    bench.spec.update_strategy.cluster_rotation.rollback_window = Duration::from_seconds(0);
    let cluster = bench.add(1, state, 60);
    let retirement = cluster.status.retirement.as_mut().unwrap();
    retirement.expected_workloads = Some(5);
    if state == Drained {
        retirement.empty_at = Some(cluster.status.since);
        retirement.evidence = Some("control plane-1".to_owned());
    }
    bench.build(1, Placement::Closed, Some((0, 5)));
    bench
}

fn set_open_nodes(bench: &mut Bench, open: bool) {
    let facts = bench.resources.iter_mut().find_map(|resource| resource.control_plane.as_mut());
    facts.unwrap().has_open_nodes = open;
}
