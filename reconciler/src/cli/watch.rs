//! `watch`: a line per change of a cluster's state, as status commits arrive.

use std::collections::BTreeMap;

use clap::ValueEnum;
use fleetwright_core::record::Record;
use fleetwright_schema::names::{ClusterName, SetId};
use fleetwright_schema::status::ClusterState;
use fleetwright_schema::units::Timestamp;
use serde::Serialize;

use super::error::{CliError, Exit};
use super::follow::Follow;
use super::output::{FAINT, Out, paint};

const EXAMPLES: &str = "\
Examples:
  fleetwright watch -C ../fleet.git
  fleetwright watch -C https://git.example/fleet.git -o json | jq -c 'select(.to == \"DRAINING\")'";

/// The arguments of `watch`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The fleet repository: the HEAD of a directory, or a remote
    #[arg(short = 'C', long = "repo", value_name = "DIR|URL", default_value = ".")]
    repo: String,
    /// How changes are printed
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// How changes are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// An object a line
    Json,
}

/// A cluster that changed its state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Turn {
    /// Since when, as the status says.
    at: Timestamp,
    set: SetId,
    cluster: ClusterName,
    /// None for a cluster that is new.
    from: Option<ClusterState>,
    /// None for a cluster that is gone.
    to: Option<ClusterState>,
}

/// Prints changes until somebody ends it.
pub fn run(args: &Args, out: &mut Out) -> Result<Exit, CliError> {
    let mut follow = Follow::open(&args.repo)?;
    let mut known = follow.next()?;
    out.note(&format!("watching {} clusters; Ctrl-C ends it", known.clusters().count()));
    while !out.is_closed() {
        let next = follow.next()?;
        for turn in turns(&known, &next) {
            out.print(&line(&turn, args.output, out.color)?)?;
        }
        known = next;
    }
    Ok(Exit::Sound)
}

type States<'a> = BTreeMap<&'a ClusterName, (&'a SetId, ClusterState, Timestamp)>;

fn states(record: &Record) -> States<'_> {
    let state = |(id, cluster): (_, &'_ std::sync::Arc<fleetwright_schema::status::Cluster>)| {
        (id, cluster.status.state, cluster.status.since)
    };
    record.clusters().map(|(id, cluster)| (&cluster.metadata.name, state((id, cluster)))).collect()
}

/// What changed from one record to the next, by time.
fn turns(old: &Record, new: &Record) -> Vec<Turn> {
    let (before, after) = (states(old), states(new));
    let turn = |cluster: &ClusterName, set: &SetId, from, to, at| Turn {
        at,
        set: set.clone(),
        cluster: cluster.clone(),
        from,
        to,
    };
    let mut found: Vec<Turn> = Vec::new();
    for (name, (set, to, at)) in &after {
        let from = before.get(name).map(|(_, from, _)| *from);
        if from != Some(*to) {
            found.push(turn(name, set, from, Some(*to), *at));
        }
    }
    for (name, (set, from, _)) in before.iter().filter(|(name, _)| !after.contains_key(**name)) {
        found.push(turn(name, set, Some(*from), None, buried_at(new, name)));
    }
    found.sort_by(|one, two| (one.at, &one.cluster).cmp(&(two.at, &two.cluster)));
    found
}

fn buried_at(record: &Record, name: &ClusterName) -> Timestamp {
    let mut buried = record.sets.values().flat_map(|set| &set.tombstones).filter(|tombstone| tombstone.name == *name);
    buried.next().map_or_else(|| record.newest_time(), |tombstone| tombstone.deleted_at)
}

fn line(turn: &Turn, format: Format, color: bool) -> Result<String, CliError> {
    let Turn { at, set, cluster, from, to } = turn;
    match format {
        Format::Json => {
            let text = serde_json::to_string(turn).map_err(|error| CliError::problem(error.to_string()))?;
            Ok(text + "\n")
        }
        Format::Text => {
            let word = |state: &Option<ClusterState>, none: &str| state.map_or(none.to_owned(), |s| s.to_string());
            let set = paint(&set.to_string(), FAINT, color);
            Ok(format!("{at}  {cluster}  {} → {}  {set}\n", word(from, "new"), word(to, "gone")))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::cli::testing;

    #[test]
    fn each_change_of_state_is_a_line() {
        let template = testing::template();
        let old = testing::first_plan(&template, testing::built_at());
        let new = testing::built(&template);
        let of = |name: &str| turns(&old, &new).into_iter().find(|turn| turn.cluster.as_str() == name).unwrap();
        let turn = of("model-serving-dev-gcp-euw4-1");
        assert_eq!(
            line(&turn, Format::Text, false).unwrap(),
            "2026-11-20T08:12:00Z  model-serving-dev-gcp-euw4-1  PENDING → READY  dev/gcp/europe-west4/ModelServing\n"
        );
        assert!(line(&turn, Format::Json, false).unwrap().contains("\"from\":\"PENDING\",\"to\":\"READY\""));
        assert_eq!(turns(&new, &new), Vec::new());
    }

    #[test]
    fn clusters_come_and_go() {
        let full = testing::built(&testing::template());
        let mut fewer = full.clone();
        let set = fewer.sets.values_mut().next().unwrap();
        let mut smaller = (**set).clone();
        smaller.clusters.clear();
        *set = Arc::new(smaller);
        let gone = turns(&full, &fewer);
        assert_eq!((gone.len(), gone[0].to), (1, None));
        assert_eq!(turns(&fewer, &full)[0].from, None);
    }
}
