//! `why`: what a set or a cluster waits for, link by link, from what the bot wrote into its status.

use std::fmt::Write;

use fleetwright_core::desired::Hold;
use fleetwright_core::fleet::{FleetCache, desired, read_fleet};
use fleetwright_core::record::{Record, RecordCache};
use fleetwright_core::snapshot::Snapshot;
use fleetwright_schema::names::{ClusterName, SetId};
use fleetwright_schema::status::{
    Cluster, ClusterSetStatus, ClusterState, Condition, ConditionStatus, Retirement, RetirementReason, Tombstone,
};

use super::error::{CliError, Exit};
use super::names::{Named, find};
use super::output::{FAINT, GOOD, MOVING, Out, STRONG, counted, paint, plain};
use super::source::Status;

const EXAMPLES: &str = "\
Examples:
  fleetwright why prod/azure/westeurope/ModelServing
  fleetwright why model-serving-prod-az-weu-1 -C https://git.example/fleet.git";

/// The arguments of `why`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A cluster's name or a set's path
    #[arg(value_name = "CLUSTER|SET")]
    name: String,
    /// The fleet repository: the HEAD of a directory, or a remote
    #[arg(short = 'C', long = "repo", value_name = "DIR|URL", default_value = ".")]
    repo: String,
}

/// Reads the status and prints the chain.
pub fn run(args: &Args, out: &mut Out) -> Result<Exit, CliError> {
    let status = Status::open(&args.repo)?;
    let tip = status.tip()?;
    let record = status.record(&tip, &mut RecordCache::new())?;
    super::get::warn(&record, out);
    let text = answer(&record, &args.name, out.color)?;
    out.print(&text)?;
    if let Some(hold) = held(&status.wish(&tip)?, &record) {
        // No set can be judged then, so that none of them says it.
        out.print(&format!("Nothing of the fleet is acted on ({}): {}\n", hold.reason(), plain(&hold.to_string())))?;
    }
    Ok(Exit::Sound)
}

/// Why a commit is not acted on as a whole, as the daemon judges it.
fn held(wish: &Snapshot, record: &Record) -> Option<Hold> {
    desired(&read_fleet(wish, &mut FleetCache::default()), record, None, None).hold
}

/// The chain of what is named.
fn answer(record: &Record, name: &str, color: bool) -> Result<String, CliError> {
    let page = Page { record, color };
    Ok(match find(record, name)? {
        Named::Set(id) => page.set(&id),
        Named::Cluster(id, name) => page.cluster(&id, &name),
    })
}

struct Page<'a> {
    record: &'a Record,
    color: bool,
}

impl Page<'_> {
    fn set(&self, id: &SetId) -> String {
        let Some(set) = self.record.sets.get(id) else { return String::new() };
        let mut out = self.set_chain(id, set);
        for cluster in set.clusters.iter().filter(|cluster| !is_quiet(cluster)) {
            out.push('\n');
            out.push_str(&self.cluster_chain(cluster));
        }
        out
    }

    fn set_chain(&self, id: &SetId, set: &ClusterSetStatus) -> String {
        let mut out = String::new();
        let status = &set.status;
        let settled = status.conditions.first().filter(|condition| condition.status == ConditionStatus::True);
        let clusters = counted(status.desired as usize, "cluster", "clusters");
        let _ = match (settled, status.conditions.first()) {
            (Some(settled), _) => writeln!(
                out,
                "{} is {}: {clusters} at revision {} since {}",
                paint(&id.to_string(), STRONG, self.color),
                paint("settled", GOOD, self.color),
                status.revision,
                settled.last_transition_time
            ),
            (None, first) => writeln!(
                out,
                "{} is {}: {} of {clusters} serve, {} of them at revision {}",
                paint(&id.to_string(), STRONG, self.color),
                paint(first.map_or("not taken up yet", |first| words(&first.reason)), MOVING, self.color),
                status.serving,
                status.updated,
                status.revision
            ),
        };
        self.links(&mut out, status.conditions.iter().skip(1));
        out
    }

    fn cluster(&self, id: &SetId, name: &ClusterName) -> String {
        let Some(set) = self.record.sets.get(id) else { return String::new() };
        if let Some(tombstone) = set.tombstones.iter().find(|tombstone| tombstone.name == *name) {
            return self.tombstone(id, tombstone);
        }
        let Some(cluster) = set.clusters.iter().find(|cluster| cluster.metadata.name == *name) else {
            return String::new();
        };
        format!("{}{}", self.set_chain(id, set), self.cluster_chain(cluster))
    }

    fn cluster_chain(&self, cluster: &Cluster) -> String {
        let mut out = String::new();
        let (name, status) = (&cluster.metadata.name, &cluster.status);
        let style = if status.state == ClusterState::Ready { GOOD } else { MOVING };
        let state = paint(status.state.as_str(), style, self.color);
        let _ = writeln!(out, "{} is {state} since {}", paint(name.as_str(), STRONG, self.color), status.since);
        if let Some(retirement) = &status.retirement {
            write_retirement(&mut out, retirement);
        }
        let links: Vec<&Condition> = status.conditions.iter().filter(|condition| is_link(condition)).collect();
        if links.is_empty() && status.state == ClusterState::Ready {
            let _ = writeln!(out, "  waits for nothing");
        }
        self.links(&mut out, links.into_iter());
        out
    }

    fn links<'c>(&self, out: &mut String, conditions: impl Iterator<Item = &'c Condition>) {
        for condition in conditions {
            let Condition { r#type, reason, message, last_transition_time, status: _ } = condition;
            let message = if message.is_empty() { String::new() } else { format!(": {}", plain(message)) };
            let since = paint(&format!("since {last_transition_time}"), FAINT, self.color);
            let _ = writeln!(out, "  {} {type} ({reason}){message}  {since}", paint("└─", FAINT, self.color));
        }
    }

    fn tombstone(&self, id: &SetId, tombstone: &Tombstone) -> String {
        let Tombstone { name, reason, deleted_at, revision, ordinal: _ } = tombstone;
        let name = paint(name.as_str(), STRONG, self.color);
        format!(
            "{name} of {id} was retired: {}\n  gone since {deleted_at}, its revision was {revision}\n",
            because(*reason)
        )
    }
}

fn write_retirement(out: &mut String, retirement: &Retirement) {
    let Retirement { reason, started_at, expected_workloads, empty_at, without_acknowledgement, evidence: _ } =
        retirement;
    let _ = writeln!(out, "  leaves since {started_at}: {}", because(*reason));
    if let Some(expected) = expected_workloads {
        let _ = writeln!(out, "  {} ran on it", counted(*expected as usize, "workload", "workloads"));
    }
    if let Some(empty_at) = empty_at {
        let _ = writeln!(out, "  verified empty at {empty_at}");
    }
    for consumer in without_acknowledgement {
        let _ = writeln!(out, "  {consumer} never said that it has read of it");
    }
}

const fn because(reason: RetirementReason) -> &'static str {
    match reason {
        RetirementReason::Replaced => "a cluster of another revision takes its place",
        RetirementReason::ScaledDown => "the set became smaller",
        RetirementReason::SetDeleted => "the set's file was removed, with deletionPolicy Delete",
        RetirementReason::Superseded => "it never served, and the wish has moved on",
        RetirementReason::Lost => "it vanished from its cloud, and not by our doing",
    }
}

fn words(reason: &str) -> &str {
    match reason {
        "Waiting" => "waiting",
        "Rotating" => "rotating",
        "Updating" => "updating",
        "Building" => "building",
        "Retiring" => "retiring",
        other => other,
    }
}

/// A step that is done and the summary of all steps are no links of the chain.
fn is_link(condition: &Condition) -> bool {
    let done = condition.r#type.ends_with("Ready") && condition.status == ConditionStatus::True;
    condition.r#type != "Ready" && !done
}

fn is_quiet(cluster: &Cluster) -> bool {
    cluster.status.state == ClusterState::Ready && !cluster.status.conditions.iter().any(is_link)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::cli::testing;

    const SET: &str = "prod/azure/westeurope/ModelServing";
    const FIRST: &str = "model-serving-prod-az-weu-1";

    fn condition(r#type: &str, reason: &str, message: &str) -> Condition {
        Condition {
            r#type: r#type.to_owned(),
            status: ConditionStatus::True,
            reason: reason.to_owned(),
            message: message.to_owned(),
            last_transition_time: testing::built_at(),
        }
    }

    /// A set in mid-rotation: the first cluster drains and waits for a consumer, the second is gone.
    fn rotating() -> Record {
        let mut record = testing::built(&testing::template());
        let set = record.sets.get_mut(&SET.parse().unwrap()).unwrap();
        let mut next = (**set).clone();
        next.status.conditions[0].status = ConditionStatus::False;
        next.status.conditions[0].reason = "Rotating".to_owned();
        next.status.conditions.push(condition("WaitingForBatch", "MaxSurge", "at most 6 clusters may be alive"));
        let gone = next.clusters.remove(1);
        next.tombstones.push(Tombstone {
            name: gone.metadata.name.clone(),
            ordinal: gone.metadata.ordinal,
            revision: gone.status.revision.clone(),
            reason: RetirementReason::Replaced,
            deleted_at: testing::built_at(),
        });
        let mut first = (*next.clusters[0]).clone();
        first.status.state = ClusterState::Draining;
        first.status.retirement = Some(Retirement {
            reason: RetirementReason::Replaced,
            started_at: testing::built_at(),
            expected_workloads: Some(12),
            empty_at: None,
            evidence: None,
            without_acknowledgement: Vec::new(),
        });
        first.status.conditions =
            vec![condition("WaitingForConsumer", "Acknowledgement", "scheduler has not read that it is draining")];
        next.clusters[0] = Arc::new(first);
        *set = Arc::new(next);
        record
    }

    #[test]
    fn a_settled_set_says_so() {
        insta::assert_snapshot!(answer(&testing::built(&testing::template()), SET, false).unwrap());
    }

    #[test]
    fn a_set_tells_what_it_and_its_clusters_wait_for() {
        insta::assert_snapshot!(answer(&rotating(), SET, false).unwrap());
    }

    #[test]
    fn a_cluster_tells_the_chain_of_its_set_and_its_own() {
        insta::assert_snapshot!(answer(&rotating(), FIRST, false).unwrap());
    }

    #[test]
    fn a_tombstone_tells_when_and_why() {
        insta::assert_snapshot!(answer(&rotating(), "model-serving-prod-az-weu-2", false).unwrap());
    }

    #[test]
    fn a_fleet_that_can_not_be_read_is_told_beside_the_set() {
        let (template, record) = (testing::template(), rotating());
        assert_eq!(held(&template, &record), None);
        assert_eq!(held(&testing::without(&template, "fleet.yaml"), &record), Some(Hold::FleetUnreadable));
    }

    #[test]
    fn an_unknown_name_gets_the_nearest_one() {
        let error = answer(&rotating(), "model-serving-prod-az-wue-1", false).unwrap_err();
        assert_eq!(error.hint.as_deref(), Some("did you mean model-serving-prod-az-weu-1?"));
        assert_eq!(error.exit, Exit::Problems);
    }
}
