//! The cases. Each takes a laboratory in which nothing stands, and leaves one in which nothing of ours stands that we could
//! still know.

use std::collections::{BTreeMap, BTreeSet};

use fleetwright_clouds::Progress;
use fleetwright_core::action::{Action, Effect};
use fleetwright_core::inventory::{ErrorClass, Step};
use fleetwright_schema::status::ClusterState;
use fleetwright_schema::units::Duration;

use super::conductor::{Conductor, Delivery};
use super::{Lab, Mishap, Standing, Way, classes_of};

/// A case.
pub type Case = fn(&dyn Lab);

/// All of them, by name.
pub const ALL: &[(&str, Case)] = &[
    ("a cluster is built part by part and retired without a trace", built_and_retired),
    ("what a cluster made goes before its network, and what others made stays", leftovers_swept),
    ("what is asked for twice is made once", asked_twice),
    ("what is made and not heard of is made once", replies_lost),
    ("what is gone is not deleted again, and nothing else with its name", deleted_twice),
    ("an outage is an error and never an absence", |lab| unreadable(lab, Mishap::Outage)),
    ("a throttled reading is an error and never an absence", |lab| unreadable(lab, Mishap::Throttled)),
    ("expired credentials are an error and never an absence", |lab| unreadable(lab, Mishap::CredentialsExpired)),
    ("lists that lag are waited out", stale_lists),
    ("a part that fails at its provider is made anew", |lab| fails_once(lab, Step::NodePools)),
    ("a control plane that fails at its provider is made anew", |lab| fails_once(lab, Step::ControlPlane)),
    ("a name that a stranger has is left to him", name_taken),
    ("what has lost its tags is not ours to touch", tags_lost),
    ("a change in place keeps every part", changed_in_place),
    ("what somebody changes by hand is brought back", meddled_with),
    ("a rotation moves everything and leaves nothing", rotated),
    ("a process that begins anew after every step makes nothing twice", begun_anew),
    ("a process that ends at any call leaves what another one ends", ended_at_any_call),
];

/// So many points of a life are tried; `FLEETWRIGHT_SWEEP=all` tries each, in all three ways.
const POINTS: u64 = 12;

const ONE: &str = "count: 1\nkubernetesVersion: \"1.33\"";
const NONE: &str = "count: 0\nkubernetesVersion: \"1.33\"";

fn built(lab: &dyn Lab) -> Conductor<'_> {
    let mut conductor = Conductor::new(lab);
    conductor.wish(Some(ONE));
    conductor.settle();
    assert_eq!(conductor.states(), [(1, ClusterState::Ready)]);
    conductor
}

fn retired(conductor: &mut Conductor<'_>, lab: &dyn Lab) {
    conductor.wish(Some(NONE));
    conductor.settle();
    assert_eq!(conductor.states(), []);
    nothing_of_ours(lab);
}

fn ours(lab: &dyn Lab) -> Vec<Standing> {
    lab.standing().into_iter().filter(|standing| standing.cluster.is_some()).collect()
}

fn nothing_of_ours(lab: &dyn Lab) {
    assert_eq!(ours(lab), [], "{}: left behind", lab.name());
}

/// What we made: without what the cluster makes by itself, sooner or later.
fn parts(lab: &dyn Lab) -> Vec<Standing> {
    ours(lab).into_iter().filter(|standing| !standing.kind.contains("load balancer")).collect()
}

/// As many of each kind as an undisturbed run makes.
fn made(lab: &dyn Lab) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    parts(lab).into_iter().for_each(|standing| *kinds.entry(standing.kind).or_default() += 1);
    kinds
}

/// What stands now is what an undisturbed run makes of the same wish.
fn made_as_undisturbed(mut conductor: Conductor<'_>, lab: &dyn Lab) {
    let after = made(lab);
    retired(&mut conductor, lab);
    let mut undisturbed = built(lab);
    assert_eq!(after, made(lab), "{}", lab.name());
    retired(&mut undisturbed, lab);
}

fn built_and_retired(lab: &dyn Lab) {
    let mut conductor = built(lab);
    let made: BTreeSet<Step> = creates(&conductor).into_keys().collect();
    assert_eq!(made, Step::BUILD.into_iter().collect());
    let listing = conductor.observe().unwrap();
    let parts: Vec<Step> = listing.resources.values().flatten().map(|resource| resource.step).collect();
    assert!(Step::BUILD.iter().all(|step| parts.iter().filter(|part| *part == step).count() == 1), "{parts:?}");
    retired(&mut conductor, lab);
}

/// A neighbour in the same account; its name begins as ours do, and ends otherwise.
pub const NEIGHBOUR: &str = "contract-prod-aws-euw1-1-blue";

fn strangers(lab: &dyn Lab) -> Vec<Standing> {
    lab.standing().into_iter().filter(|standing| standing.cluster.is_none()).collect()
}

fn leftovers_swept(lab: &dyn Lab) {
    let mut conductor = built(lab);
    if !lab.make_leftovers(NEIGHBOUR) {
        return retired(&mut conductor, lab);
    }
    let name = conductor.status().unwrap().clusters[0].metadata.name.clone();
    let (before, built) = (strangers(lab), made(lab));
    assert!(before.len() > 10, "{before:?}");
    assert!(lab.make_leftovers(name.as_str()));
    assert_eq!(strangers(lab), before, "what the cluster makes is known as its own");
    let more = made(lab).values().sum::<usize>() - built.values().sum::<usize>();
    assert!(more > 10, "{:?}", ours(lab));
    retired(&mut conductor, lab);
    assert_eq!(strangers(lab), before, "{}", lab.name());
}

/// How often the creation of each part was handed out.
fn creates(conductor: &Conductor<'_>) -> BTreeMap<Step, u32> {
    let mut counts = BTreeMap::new();
    let made = conductor.history.iter().filter(|(action, _)| matches!(action.effect, Effect::Create { .. }));
    made.for_each(|(action, _)| *counts.entry(action.key.step).or_default() += 1);
    counts
}

fn asked_twice(lab: &dyn Lab) {
    let mut conductor = Conductor::new(lab);
    conductor.delivery = Delivery::Twice;
    conductor.wish(Some(ONE));
    conductor.settle();
    made_as_undisturbed(conductor, lab);
}

fn replies_lost(lab: &dyn Lab) {
    if !lab.inject(Mishap::RepliesLost(40)) {
        return;
    }
    let mut conductor = Conductor::new(lab);
    conductor.wish(Some(ONE));
    conductor.settle();
    lab.mend();
    made_as_undisturbed(conductor, lab);
}

/// The deletions of a whole life, each delivered once more after the next cluster stands in the same place.
fn deleted_twice(lab: &dyn Lab) {
    let mut conductor = built(lab);
    conductor.delivery = Delivery::Twice;
    retired(&mut conductor, lab);
    let deletes: Vec<Action> = conductor
        .history
        .iter()
        .filter(|(action, _)| matches!(action.effect, Effect::Delete { .. }))
        .map(|(action, _)| action.clone())
        .collect();
    assert!(deletes.len() >= Step::BUILD.len(), "{deletes:?}");
    conductor.delivery = Delivery::Once;
    conductor.wish(Some(ONE));
    conductor.settle();
    let before = parts(lab);
    for action in &deletes {
        let result = conductor.perform(action);
        let gone =
            result.as_ref().is_err_and(|error| error.class == ErrorClass::NotFound) || result == Ok(Progress::Done);
        assert!(gone, "{}: {action} once more: {result:?}", lab.name());
    }
    assert_eq!(parts(lab), before, "{}", lab.name());
    retired(&mut conductor, lab);
}

fn unreadable(lab: &dyn Lab, mishap: Mishap) {
    let mut conductor = built(lab);
    let before = parts(lab);
    if lab.inject(mishap) {
        let error = conductor.observe().expect_err("a place that can't be read is told as read");
        assert!(classes_of(mishap).contains(&error.class), "{}: {mishap:?} is told as {error:?}", lab.name());
        for _ in 0..30 {
            conductor.step();
            lab.pass(Duration::from_minutes(1));
        }
        assert_eq!(conductor.states(), [(1, ClusterState::Ready)], "{}", lab.name());
        lab.mend();
        assert_eq!(parts(lab), before, "{}", lab.name());
    }
    conductor.settle();
    retired(&mut conductor, lab);
}

fn stale_lists(lab: &dyn Lab) {
    if !lab.inject(Mishap::Stale(Duration::from_minutes(3))) {
        return;
    }
    let mut conductor = Conductor::new(lab);
    conductor.wish(Some(ONE));
    conductor.settle();
    lab.mend();
    conductor.settle();
    made_as_undisturbed(conductor, lab);
}

fn fails_once(lab: &dyn Lab, step: Step) {
    if !lab.inject(Mishap::CreateFails(step)) {
        return;
    }
    let mut conductor = built(lab);
    lab.mend();
    assert!(conductor.failed.contains(&step), "{}: the failure was not met", lab.name());
    retired(&mut conductor, lab);
}

fn name_taken(lab: &dyn Lab) {
    let mut conductor = Conductor::new(lab);
    conductor.wish(Some(ONE));
    conductor.until("named", |conductor| !conductor.states().is_empty());
    let name = conductor.status().unwrap().clusters[0].metadata.name.clone();
    if !lab.occupy(&name) {
        return retired(&mut conductor, lab);
    }
    let before = strangers(lab);
    conductor.until("refused", |conductor| {
        let refused = |action: &Action| action.key.step == Step::ControlPlane;
        conductor.history.iter().any(|(action, result)| refused(action) && result.is_err())
    });
    let listing = conductor.observe().unwrap();
    let planes = listing.resources.values().flatten().filter(|resource| resource.step == Step::ControlPlane).count();
    assert_eq!(planes, 0, "{}: a stranger's is taken for ours", lab.name());
    retired(&mut conductor, lab);
    assert_eq!(strangers(lab), before, "{}", lab.name());
}

fn tags_lost(lab: &dyn Lab) {
    let mut conductor = built(lab);
    let name = conductor.status().unwrap().clusters[0].metadata.name.clone();
    let delete = |step: Step| {
        let listing = conductor.observe().unwrap();
        let part = listing.resources[&name].iter().find(|resource| resource.step == step).unwrap().clone();
        let key = fleetwright_core::action::ActionKey { cluster: name.clone(), step };
        let (set, place) = (part.set.clone(), lab.place());
        Action { key, set, ordinal: 1, place, effect: Effect::Delete { id: part.id } }
    };
    let action = delete(Step::LogStream);
    if lab.strip(&name, Step::LogStream) {
        let before = lab.standing();
        let result = conductor.perform(&action);
        let denied = result.as_ref().is_err_and(|error| error.class == ErrorClass::Denied);
        assert!(denied, "{}: what is nobody's: {result:?}", lab.name());
        assert_eq!(lab.standing(), before);
        let listing = conductor.observe().unwrap();
        assert!(listing.resources[&name].iter().all(|resource| resource.step != Step::LogStream));
    } else {
        retired(&mut conductor, lab);
    }
}

fn changed_in_place(lab: &dyn Lab) {
    let mut conductor = built(lab);
    let before = conductor.observe().unwrap();
    conductor.wish(Some("count: 1\nkubernetesVersion: \"1.34\"\ntags: { team: serving }"));
    conductor.settle();
    assert_eq!(conductor.states(), [(1, ClusterState::Ready)], "{}", lab.name());
    let ids = |listing: &fleetwright_core::inventory::Listing| -> BTreeSet<String> {
        let parts = listing.resources.values().flatten().filter(|resource| resource.step != Step::Leftovers);
        parts.map(|resource| resource.id.to_string()).collect()
    };
    assert_eq!(ids(&conductor.observe().unwrap()), ids(&before), "{}", lab.name());
    retired(&mut conductor, lab);
}

fn meddled_with(lab: &dyn Lab) {
    let mut conductor = built(lab);
    let before = parts(lab);
    let name = conductor.status().unwrap().clusters[0].metadata.name.clone();
    if lab.meddle(&name) {
        assert_ne!(parts(lab), before, "{}: something is another", lab.name());
        // Whoever begins anew looks at everything closely; who goes on does so in a while.
        conductor.restart();
        conductor.settle();
        assert_eq!(conductor.states(), [(1, ClusterState::Ready)], "{}", lab.name());
        assert_eq!(parts(lab), before, "{}", lab.name());
    }
    retired(&mut conductor, lab);
}

fn rotated(lab: &dyn Lab) {
    let mut conductor = built(lab);
    let expected = made(lab);
    conductor.wish(Some("count: 1\nkubernetesVersion: \"1.35\""));
    conductor.settle();
    assert_eq!(conductor.states(), [(2, ClusterState::Ready)], "{}", lab.name());
    assert_eq!(made(lab), expected, "{}", lab.name());
    retired(&mut conductor, lab);
}

fn begun_anew(lab: &dyn Lab) {
    let mut conductor = Conductor::new(lab);
    conductor.wish(Some(ONE));
    for _ in 0..400 {
        if conductor.states() == [(1, ClusterState::Ready)] {
            break;
        }
        if !conductor.step() {
            lab.pass(Duration::from_seconds(60));
        }
        conductor.restart();
        lab.pass(Duration::from_seconds(2));
    }
    assert_eq!(conductor.states(), [(1, ClusterState::Ready)], "{}", conductor.told());
    conductor.settle();
    made_as_undisturbed(conductor, lab);
}

fn ended_at_any_call(lab: &dyn Lab) {
    if !lab.end_at(u64::MAX, Way::After) {
        return;
    }
    let mut undisturbed = built(lab);
    let (expected, whole) = (made(lab), lab.calls());
    retired(&mut undisturbed, lab);
    let calls = lab.calls();
    assert!(whole > 20 && calls > whole, "{whole} of {calls} calls");
    let all = std::env::var("FLEETWRIGHT_SWEEP").is_ok_and(|text| text == "all");
    let stride = if all { 1 } else { calls / POINTS };
    let (mut tried, mut ended) = (0, 0);
    for call in (0..calls).step_by(usize::try_from(stride).unwrap()) {
        let ways = [Way::Before, Way::Unheard, Way::After];
        let one = ways[usize::try_from(call / stride % 3).unwrap()];
        for way in ways.into_iter().filter(|way| all || *way == one) {
            println!("ends at call {call} of {calls}, {way:?}");
            lab.mend();
            lab.end_at(call, way);
            let mut conductor = built(lab);
            assert_eq!(made(lab), expected, "{}: ended at call {call}, {way:?}", lab.name());
            retired(&mut conductor, lab);
            ended += usize::from(conductor.restarts > 0);
            tried += 1;
        }
    }
    // A life differs by some calls from the one that was counted: its last points may not be met.
    assert!(tried > 0 && ended + tried / 10 + 1 >= tried, "{}: {ended} of {tried} ended", lab.name());
    lab.mend();
}
