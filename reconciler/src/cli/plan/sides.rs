//! What is compared: the files after the merge, those before it, and the record of what exists.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use fleetwright_core::record::{Record, RecordCache};
use fleetwright_core::snapshot::{CommitId, Snapshot};
use fleetwright_schema::units::Timestamp;

use crate::cli::error::CliError;
use crate::cli::source::{Clone, everything, working_tree};
use crate::cli::validate::parting;

/// Everything that a plan on a change is made from.
pub struct Sides {
    /// The commit that is planned; that below the working tree, where the files as they stand are planned.
    pub commit: Option<CommitId>,
    /// Whether the files as they stand are planned.
    pub working_tree: bool,
    /// The files after the merge.
    pub head: Snapshot,
    /// What is merged into.
    pub base: Option<Base>,
    /// What exists.
    pub record: Record,
    /// When freezes and windows are judged.
    pub now: Timestamp,
}

/// What is merged into.
pub struct Base {
    /// The commit.
    pub commit: CommitId,
    /// Its files.
    pub files: Snapshot,
}

impl Sides {
    /// Reads them from a repository.
    pub fn read(dir: &Path, base: Option<&str>, head: Option<&str>, now: Option<Timestamp>) -> Result<Self, CliError> {
        let clone = match (base, head) {
            // A plain directory can be planned as well.
            (None, None) => Clone::open(dir).ok(),
            _ => Some(Clone::open(dir)?),
        };
        let commit = match (&clone, head) {
            (Some(clone), Some(head)) => Some(clone.commit(head)?),
            (Some(clone), None) => clone.commit("HEAD").ok(),
            (None, _) => None,
        };
        let files = match (&clone, &commit, head) {
            (Some(clone), Some(commit), Some(_)) => clone.read(commit, &everything)?,
            _ => working_tree(dir, &everything)?,
        };
        let time = clone.as_ref().zip(commit.as_ref()).map(|(clone, commit)| clone.commit_info(commit)).transpose()?;
        let time = time.map(|info| Timestamp::from_unix_seconds(info.time_unix_seconds));
        let (head_files, base) = match (&clone, base) {
            (Some(clone), Some(base)) => merge_into(clone, base, commit.as_ref(), &files)?,
            _ => (files, None),
        };
        let record = Record::parse(&head_files, &mut RecordCache::new());
        let now = now.or_else(|| newest(&record)).or(time).unwrap_or(Timestamp::MIN);
        Ok(Self { commit, working_tree: head.is_none(), head: head_files, base, record, now })
    }
}

/// The newest time that the record names; none of an empty one.
pub fn newest(record: &Record) -> Option<Timestamp> {
    Some(record.newest_time()).filter(|time| *time != Timestamp::MIN)
}

fn merge_into(
    clone: &Clone,
    base: &str,
    head: Option<&CommitId>,
    files: &Snapshot,
) -> Result<(Snapshot, Option<Base>), CliError> {
    let commit = clone.commit(base)?;
    let base_files = clone.read(&commit, &everything)?;
    let parted = match head {
        Some(head) => parting(clone, &commit, head)?,
        None => commit.clone(),
    };
    let old = clone.read(&parted, &everything)?;
    let merged = merged(&old, &base_files, files);
    Ok((merged, Some(Base { commit, files: base_files })))
}

/// The files after a merge: each file is the head's where the head changed it, and else the base's. What the bot wrote
/// is the base's, where it has any: it is newer.
pub fn merged(old: &Snapshot, base: &Snapshot, head: &Snapshot) -> Snapshot {
    let has_status = base.files.keys().any(|path| is_status(path));
    let paths: BTreeSet<&Arc<str>> = base.files.keys().chain(head.files.keys()).collect();
    let blob = |snapshot: &Snapshot, path: &str| snapshot.files.get(path).map(|file| file.blob.clone());
    let chosen = |path: &str| {
        let changed = blob(head, path) != blob(old, path);
        let side = if changed && !(has_status && is_status(path)) { head } else { base };
        side.files.get(path).cloned()
    };
    let files = paths.into_iter().filter_map(|path| Some((Arc::clone(path), chosen(path)?))).collect();
    Snapshot { commit: head.commit.clone(), files, refused: head.refused.clone() }
}

fn is_status(path: &str) -> bool {
    path.starts_with("status/")
}
