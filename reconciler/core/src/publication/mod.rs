//! From the record to the files under `status/`: pure renderings, the same bytes for the same record.

mod board;

use std::collections::BTreeMap;
use std::sync::Arc;

use fleetwright_schema::documents::ApiVersion;
use fleetwright_schema::names::SetId;
use fleetwright_schema::status::{Cluster, ClusterIndexKind, ClusterSetStatus, IndexEntry, IndexTombstone, Tombstone};
use serde::Serialize;

use crate::record::Record;

pub use board::Notices;

/// The index of all clusters.
pub const INDEX_PATH: &str = "status/clusters.json";
/// The board.
pub const BOARD_PATH: &str = "status/README.md";

/// Files by path; `None` removes one.
pub type Changes = BTreeMap<String, Option<Vec<u8>>>;

/// Why a record can't be rendered: a defect of this program, never of a document.
#[derive(Debug, thiserror::Error)]
#[error("can't render {path}: {why}")]
pub struct RenderError {
    /// The file.
    pub path: String,
    /// What the serialiser says.
    pub why: String,
}

/// What is to be written to get from one record to another. Only sets that differ are rendered; index and board are
/// compared as text by whoever knows the old ones, so they are given whole.
pub fn changes(old: &Record, new: &Record, notices: &Notices) -> Result<Changes, RenderError> {
    let mut changes = Changes::new();
    for (id, set) in &new.sets {
        if !old.sets.get(id).is_some_and(|known| Arc::ptr_eq(known, set) || known == set) {
            changes.insert(id.status_path(), Some(status_file(id, set)?));
        }
    }
    for id in old.sets.keys().filter(|id| !new.sets.contains_key(id)) {
        changes.insert(id.status_path(), None);
    }
    changes.insert(INDEX_PATH.to_owned(), Some(index(new)?));
    changes.insert(BOARD_PATH.to_owned(), Some(board::board(new, notices).into_bytes()));
    Ok(changes)
}

/// Every file of a record, for a `status/` that somebody else touched.
pub fn all_files(record: &Record, notices: &Notices) -> Result<Changes, RenderError> {
    changes(&Record::default(), record, notices)
}

const HEADER: &str = "# Written by Fleetwright; edits are reverted.\n\
    # yaml-language-server: $schema=https://fleetwright.dev/schema/v1alpha1/ClusterSetStatus.json\n";

/// The status file of a set.
pub fn status_file(id: &SetId, set: &ClusterSetStatus) -> Result<Vec<u8>, RenderError> {
    let body =
        serde_saphyr::to_string(set).map_err(|error| RenderError { path: id.status_path(), why: error.to_string() })?;
    Ok(format!("{HEADER}{body}").into_bytes())
}

/// The index, a cluster a line, so that a change of one cluster is a change of one line.
fn index(record: &Record) -> Result<Vec<u8>, RenderError> {
    let mut clusters: Vec<IndexEntry> = record.clusters().map(|(id, cluster)| entry(id, cluster)).collect();
    clusters.sort_by(|a, b| a.name.cmp(&b.name));
    let buried = record.sets.iter().flat_map(|(id, set)| set.tombstones.iter().map(move |stone| (id, stone)));
    let mut tombstones: Vec<IndexTombstone> = buried.map(|(id, stone)| tombstone(id, stone)).collect();
    tombstones.sort_by(|a, b| a.name.cmp(&b.name));
    let mut text = String::from("{\n");
    let error = |error: serde_json::Error| RenderError { path: INDEX_PATH.to_owned(), why: error.to_string() };
    let (version, kind) = (json(&ApiVersion::V1Alpha1), json(&ClusterIndexKind::ClusterIndex));
    text.push_str(&format!("\"apiVersion\": {},\n\"kind\": {},\n", version.map_err(error)?, kind.map_err(error)?));
    lines("clusters", &clusters, &mut text).map_err(error)?;
    text.push_str(",\n");
    lines("tombstones", &tombstones, &mut text).map_err(error)?;
    text.push_str("\n}\n");
    Ok(text.into_bytes())
}

fn json(value: &impl Serialize) -> Result<String, serde_json::Error> {
    serde_json::to_string(value)
}

fn lines<T: Serialize>(name: &str, items: &[T], text: &mut String) -> Result<(), serde_json::Error> {
    text.push_str(&format!("\"{name}\": ["));
    for (index, item) in items.iter().enumerate() {
        text.push_str(if index == 0 { "\n" } else { ",\n" });
        text.push_str(&json(item)?);
    }
    text.push_str(if items.is_empty() { "]" } else { "\n]" });
    Ok(())
}

fn entry(id: &SetId, cluster: &Cluster) -> IndexEntry {
    IndexEntry {
        name: cluster.metadata.name.clone(),
        set: id.clone(),
        env: id.location.env.clone(),
        cloud: id.location.cloud,
        region: id.location.region.clone(),
        cluster_type: id.cluster_type.clone(),
        state: cluster.status.state,
        since: cluster.status.since,
        revision: cluster.status.revision.clone(),
        kubernetes_version: cluster.spec.kubernetes_version.clone(),
        endpoint: cluster.status.endpoint.clone(),
    }
}

fn tombstone(id: &SetId, stone: &Tombstone) -> IndexTombstone {
    IndexTombstone { name: stone.name.clone(), set: id.clone(), reason: stone.reason, deleted_at: stone.deleted_at }
}
