//! Approvals of removals, and acknowledgements of consumers: what permits something that can't be taken back. Whether an
//! input permits it is decided a second time here, from the text alone.

use std::sync::LazyLock;

use fleetwright::tip::acknowledged;
use fleetwright_core::action::Effect;
use fleetwright_core::desired::Desired;
use fleetwright_core::fleet::{FleetCache, desired, read_fleet};
use fleetwright_core::inventory::{Inventory, Placement};
use fleetwright_core::memory::{Acknowledgements, Memory};
use fleetwright_core::plan::Plan;
use fleetwright_core::record::Record;
use fleetwright_core::waiting::Removals;
use fleetwright_schema::status::{Cluster, ClusterState};
use fleetwright_schema::units::{Duration, Timestamp};
use serde_json::Value;

use super::Reached;
use super::archive::{Files, files, over_template, snapshot};
use super::records::{NOW, Planned, World, parsed};
use super::told::judge;

const SETTLED: &[u8] = include_bytes!("../../corpus/records/settled.txt");
const DRAINING: &[u8] = include_bytes!("../../corpus/records/draining.txt");
/// The only consumer that the fleet declares.
const CONSUMER: &str = "scheduler";

/// Looks for approvals of six removals, and for acknowledgements of one drain.
pub fn run(input: &[u8]) -> Reached {
    let mut reached = Reached::new();
    let files = files(input);
    approved(&files, &mut reached);
    for (path, content) in &files {
        if path.strip_prefix("acks/").and_then(|rest| rest.strip_suffix(".json")) == Some(CONSUMER) {
            read(content, &mut reached);
        }
    }
    reached
}

/// A piece of a file of the template, and what stands there instead.
type Edit = (&'static str, &'static str, &'static str);

const CONSUMERS: Edit = ("fleet.yaml", "spec:\n", "spec:\n  consumers:\n    - { name: scheduler, grace: 30m }\n");
const VERSION: Edit = ("fleet.yaml", "kubernetesVersion: \"1.33\"", "kubernetesVersion: \"1.34\"");
const SERVING: &str = "clustersets/prod/azure/westeurope/ModelServing.yaml";

fn edited(edits: &[Edit]) -> Files {
    let mut all = over_template(&Files::new());
    for (path, from, to) in edits {
        let text = String::from_utf8(all[*path].clone()).unwrap();
        assert!(text.contains(from), "{path} has no {from:?}");
        all.insert((*path).to_owned(), text.replacen(from, to, 1).into_bytes());
    }
    all
}

/// The template with a consumer, and with six clusters fewer than the settled record has.
static SMALLER: LazyLock<Files> = LazyLock::new(|| {
    let training = ("clustersets/prod/aws/us-east-1/Training.yaml", "count: 2", "count: 0");
    edited(&[CONSUMERS, (SERVING, "count: 5", "count: 1"), training])
});

static RECORD: LazyLock<Record> = LazyLock::new(|| parsed(&files(SETTLED)));

/// What the six removals wait for without any approval.
static WAITING: LazyLock<Removals> = LazyLock::new(|| {
    let wish = smaller(&Files::new(), &mut Reached::new());
    shrunk(&wish).removals.unwrap()
});

/// What an approval of the six removals must name.
pub fn digest() -> &'static str {
    &WAITING.digest
}

fn smaller(input: &Files, reached: &mut Reached) -> Desired {
    let mut all = SMALLER.clone();
    let approvals = input.iter().filter(|(path, _)| path.starts_with("approvals/"));
    all.extend(approvals.map(|(path, content)| (path.clone(), content.clone())));
    let reading = read_fleet(&snapshot(&all), &mut FleetCache::default());
    judge(&reading.diagnostics, &all, reached);
    desired(&reading, &RECORD, None, None)
}

fn shrunk(wish: &Desired) -> Plan {
    let inventory = World::Built.inventory(&RECORD, wish, NOW);
    let memory = remembered(&RECORD, RECORD.newest_time());
    Planned { wish, record: &RECORD, inventory: &inventory, memory: &memory, now: NOW }
        .plan(&Acknowledgements::default())
}

/// A process that learnt of the record then.
fn remembered(record: &Record, then: Timestamp) -> Memory {
    let mut memory = Memory::default();
    memory.note_record(record, then);
    memory
}

fn approved(input: &Files, reached: &mut Reached) {
    let wish = smaller(input, reached);
    let plan = shrunk(&wish);
    let counts = |record: &Record| record.sets.values().map(|set| set.spec.count).sum::<u32>();
    let removed = counts(&RECORD) - counts(&plan.record);
    let exact = input.iter().any(|(path, content)| is_exact(path, content));
    assert!(removed == 0 || exact, "{removed} removals and no approval of them");
    assert_eq!(plan.removals.is_none(), removed > 0, "{:?} wait and {removed} go", plan.removals);
    let read = wish.approvals.iter().any(|approval| {
        approval.digest == WAITING.digest && approval.clusters == WAITING.clusters && NOW < approval.expires
    });
    assert!(!read || removed == WAITING.clusters, "approved, and {removed} go");
    reached.insert(format!("{} approvals, {removed} removed", wish.approvals.len().min(3)));
}

/// Whether a file says exactly what is to be approved, as any reader of YAML would see it.
fn is_exact(path: &str, content: &[u8]) -> bool {
    let Ok(Ok(value)) = std::str::from_utf8(content).map(serde_saphyr::from_str::<Value>) else { return false };
    let expires = value.pointer("/spec/expires").and_then(Value::as_str);
    path.starts_with("approvals/")
        && value.get("kind").and_then(Value::as_str) == Some("RemovalApproval")
        && value.pointer("/spec/digest").and_then(Value::as_str) == Some(WAITING.digest.as_str())
        && value.pointer("/spec/clusters").and_then(Value::as_u64) == Some(u64::from(WAITING.clusters))
        && expires.and_then(|text| text.parse::<Timestamp>().ok()).is_some_and(|expires| NOW < expires)
}

/// A record in which a cluster drains that has not been closed yet.
static DRAIN: LazyLock<(Record, Desired, Cluster)> = LazyLock::new(|| {
    let record = parsed(&files(DRAINING));
    let all = edited(&[CONSUMERS, VERSION, (SERVING, "count: 5", "count: 3")]);
    let wish = desired(&read_fleet(&snapshot(&all), &mut FleetCache::default()), &record, None, None);
    let drains = |cluster: &&std::sync::Arc<Cluster>| cluster.status.state == ClusterState::Draining;
    let cluster = record.clusters().map(|(_, cluster)| cluster).find(drains).unwrap();
    let cluster = Cluster::clone(cluster);
    (record, wish, cluster)
});

fn read(index: &[u8], reached: &mut Reached) {
    let (record, wish, cluster) = &*DRAIN;
    let began = cluster.status.retirement.as_ref().unwrap().started_at;
    let now = began.plus(Duration::from_minutes(5));
    let inventory = opened(World::Built.inventory(record, wish, now));
    let memory = remembered(record, began);
    let mut acknowledgements = Acknowledgements::default();
    acknowledgements.0.insert(CONSUMER.parse().unwrap(), acknowledged(index));
    let plan = Planned { wish, record, inventory: &inventory, memory: &memory, now }.plan(&acknowledgements);
    let name = &cluster.metadata.name;
    let drained =
        plan.actions.iter().any(|action| action.key.cluster == *name && matches!(action.effect, Effect::Drain { .. }));
    let seen = says_draining(index, name.as_str(), began);
    assert!(!drained || seen, "{name} is drained, and its consumer has not read of it");
    let known = acknowledgements.0.values().any(|read| read.get(name) == Some(&began));
    assert_eq!(drained, known, "{name} is drained {drained}, acknowledged {known}: {:?}", plan.reports);
    reached.insert(format!("drained {drained}, seen {seen}"));
}

fn opened(mut inventory: Inventory) -> Inventory {
    for reading in inventory.places.values_mut() {
        let listing = std::sync::Arc::make_mut(reading.result.as_mut().unwrap());
        for facts in listing.resources.values_mut().flatten().filter_map(|part| part.control_plane.as_mut()) {
            facts.placement = Placement::Open;
        }
    }
    inventory
}

/// Whether an index shows this cluster as draining since then, as any reader of JSON would see it.
fn says_draining(index: &[u8], name: &str, since: Timestamp) -> bool {
    let Ok(value) = serde_json::from_slice::<Value>(index) else { return false };
    let text = |entry: &Value, field: &str| entry.get(field).and_then(Value::as_str).map(str::to_owned);
    let clusters = value.get("clusters").and_then(Value::as_array);
    clusters.into_iter().flatten().any(|entry| {
        text(entry, "name").as_deref() == Some(name)
            && text(entry, "state").as_deref() == Some("DRAINING")
            && text(entry, "since").and_then(|text| text.parse().ok()) == Some(since)
    })
}
