//! Stories: a fleet, what people do to it, and what comes of it. Each ends "plan again: nothing to do", and each commit
//! of its history is judged by what a consumer could read of it.
#![allow(clippy::unwrap_used, clippy::panic)]

mod drains;
mod faults;
mod removals;
mod repository;
mod rotation;
mod sizes;
mod stops;

use fleetwright::daemon::Ended;
use fleetwright_core::inventory::Step;
use fleetwright_core::record::Record;
use fleetwright_schema::names::SetId;
use fleetwright_schema::status::{ClusterSetStatus, ClusterState};
use fleetwright_schema::units::{Duration, Timestamp};
use fleetwright_simulator::Verb;
use fleetwright_tests::stage::{SET, Stage};

const OLD: &str = "count: 5\nkubernetesVersion: \"1.33\"";
const NEW: &str = "count: 5\nkubernetesVersion: \"1.34\"";
const NAME: &str = "model-serving-prod-az-weu";

fn set_of(record: &Record) -> &ClusterSetStatus {
    &record.sets[&SET.parse::<SetId>().unwrap()]
}

fn count(status: &ClusterSetStatus, state: ClusterState) -> usize {
    status.clusters.iter().filter(|cluster| cluster.status.state == state).count()
}

fn ordinals(status: &ClusterSetStatus) -> Vec<u32> {
    status.clusters.iter().map(|cluster| cluster.metadata.ordinal).collect()
}

fn reason_of(status: &ClusterSetStatus, r#type: &str) -> Option<String> {
    let all = status.status.conditions.iter().chain(status.clusters.iter().flat_map(|c| &c.status.conditions));
    all.filter(|condition| condition.r#type == r#type).map(|condition| condition.reason.clone()).next()
}

fn settled(stage: &Stage) {
    let (ended, tally) = stage.settle();
    assert_eq!(ended, Ended::Settled, "{:#?}", tally.waiting);
}

fn stuck(stage: &Stage) {
    let (ended, tally) = stage.settle();
    assert_eq!(ended, Ended::Stuck, "{:#?}", tally.waiting);
}

/// How many control planes were ever made.
fn created(stage: &Stage) -> usize {
    let history = stage.world().history().unwrap();
    history.iter().filter(|m| m.step == Step::ControlPlane && m.verb == Verb::Create).count()
}

fn later(stage: &Stage, span: Duration) -> Timestamp {
    let newest = stage.statuses().values().flat_map(|set| &set.clusters).map(|c| c.status.since).max();
    newest.unwrap_or_else(fleetwright::clock::machine_time).plus(span)
}

/// What consumers could read, told as golden text.
fn tale(stage: &Stage) -> String {
    fleetwright_tests::witness::tale(&stage.person, SET)
}

fn hours(count: u64) -> Duration {
    Duration::from_minutes(60 * count)
}
