//! From what people type to what is meant, with the nearest name where it is nothing.

use fleetwright_core::record::Record;
use fleetwright_schema::diagnostic::nearest;
use fleetwright_schema::names::{ClusterName, SetId};

use super::error::CliError;

/// A set or a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// A set by its path.
    Set(SetId),
    /// A cluster by its name, with its set.
    Cluster(SetId, ClusterName),
}

/// Reads `prod/azure/westeurope/ModelServing`, or the path of its file or of its status file.
pub fn set_id(text: &str) -> Option<SetId> {
    let text = text.strip_prefix("./").unwrap_or(text);
    let text = text.strip_prefix("status/").unwrap_or(text);
    let text = text.strip_prefix("clustersets/").unwrap_or(text);
    text.strip_suffix(".yaml").unwrap_or(text).parse().ok()
}

/// Finds a set or a cluster of the record, tombstones included.
pub fn find(record: &Record, text: &str) -> Result<Named, CliError> {
    if let Some(id) = set_id(text).filter(|id| record.sets.contains_key(id)) {
        return Ok(Named::Set(id));
    }
    let mut all = clusters(record);
    match all.find(|(_, name)| name.as_str() == text) {
        Some((id, name)) => Ok(Named::Cluster(id.clone(), name.clone())),
        None => Err(unknown(record, text)),
    }
}

/// Every cluster that the record knows, and every one that was retired.
fn clusters(record: &Record) -> impl Iterator<Item = (&SetId, &ClusterName)> {
    record.sets.iter().flat_map(|(id, set)| {
        let alive = set.clusters.iter().map(|cluster| &cluster.metadata.name);
        alive.chain(set.tombstones.iter().map(|tombstone| &tombstone.name)).map(move |name| (id, name))
    })
}

fn unknown(record: &Record, text: &str) -> CliError {
    let kind = if text.contains('/') { "set" } else { "set or cluster" };
    let mut known: Vec<String> = record.sets.keys().map(SetId::to_string).collect();
    known.extend(clusters(record).map(|(_, name)| name.to_string()));
    let hint = match nearest(text, known.iter().map(String::as_str)) {
        Some(near) => Some(format!("did you mean {near}?")),
        None if known.is_empty() => Some("the repository has no status yet: no daemon has taken it up".to_owned()),
        None => Some("`fleetwright get sets` and `fleetwright get clusters` list them".to_owned()),
    };
    CliError::problem(format!("there is no {kind} {text:?} in the status")).hint_maybe(hint)
}

/// The error for a set that no file wishes for.
pub fn unknown_set<'a>(text: &str, known: impl Iterator<Item = &'a SetId>) -> CliError {
    let known: Vec<String> = known.map(SetId::to_string).collect();
    let hint = match nearest(text, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean {near}?"),
        None if known.is_empty() => "there is no file below clustersets/".to_owned(),
        None => format!("known are {}", known.iter().take(10).cloned().collect::<Vec<_>>().join(", ")),
    };
    CliError::problem(format!("there is no set {text:?}")).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_named_by_its_path_or_its_file() {
        let id: SetId = "prod/azure/westeurope/ModelServing".parse().unwrap();
        for text in [
            "prod/azure/westeurope/ModelServing",
            "clustersets/prod/azure/westeurope/ModelServing.yaml",
            "./clustersets/prod/azure/westeurope/ModelServing.yaml",
            "status/clustersets/prod/azure/westeurope/ModelServing.yaml",
        ] {
            assert_eq!(set_id(text), Some(id.clone()), "{text}");
        }
        assert_eq!(set_id("prod/azure"), None);
    }
}
