//! From a commit's tree to a snapshot, without a checkout.
//!
//! Owns what is read, what is refused, and the limits; touches only the object database. Anyone who may open a pull
//! request writes these trees: an odd entry is refused by name and the rest is read, a tree without end is refused whole,
//! and what can't be read for damage is an error, never an absent file.

use std::collections::BTreeMap;
use std::sync::Arc;

use fleetwright_core::snapshot::{BlobId, CommitId, RefusedEntry, Snapshot, SourceFile};
use git2::{ObjectType, Odb, Oid, Repository};

use crate::error::RepoError;
use crate::names::{refused_part, visible};
use crate::objects::{Objects, damaged};

/// The largest file that is read: the status of a set of a thousand clusters that rotate all at once takes half of it.
pub const BLOB_BYTES_MAX: usize = 8 << 20;
/// How many entries are looked at, directories included.
pub const ENTRIES_MAX: usize = 50_000;
/// How many directories deep a file may be.
pub const TREE_DEPTH_MAX: usize = 16;
/// How much all files together may hold: they stay in memory, twice while one commit follows another.
pub const SNAPSHOT_BYTES_MAX: usize = 64 << 20;
/// A tree object is parsed in one piece, so its size is bounded before.
const TREE_BYTES_MAX: usize = 16 << 20;

const FILE: i32 = 0o100_644;
const EXECUTABLE: i32 = 0o100_755;
const SYMLINK: i32 = 0o120_000;
const GITLINK: i32 = 0o160_000;
const DIRECTORY: i32 = 0o040_000;

/// A snapshot, and what it cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotReading {
    /// What was read.
    pub snapshot: Snapshot,
    /// How many blobs were taken out of the object database; the others came from the previous snapshot.
    pub blobs_read: usize,
}

impl Objects {
    /// Reads the regular files of a commit.
    ///
    /// `keep` is asked for each directory, as `status/`, before anything below it is looked at, and for each file, as
    /// `status/README.md`. Blobs that stand unchanged at the same path in `previous` are not read again. A refused
    /// directory (a link in its place, a name, a twin) stands in `refused` by its own path, for all below it.
    pub fn snapshot(
        &self,
        commit: &CommitId,
        keep: &dyn Fn(&str) -> bool,
        previous: Option<&Snapshot>,
    ) -> Result<SnapshotReading, RepoError> {
        let root = self.tree_of(commit)?.id();
        let odb = self.repo.odb().map_err(damaged)?;
        let mut reader = Reader { repo: &self.repo, odb: &odb, previous, found: Found::new(keep), blobs_read: 0 };
        reader.read_tree(root, "", 0)?;
        let Reader { found, blobs_read, .. } = reader;
        Ok(SnapshotReading { snapshot: found.into_snapshot(commit.clone()), blobs_read })
    }
}

/// What a reading has met so far; shared with the reading of working trees, so that both are equally strict.
pub(crate) struct Found<'a> {
    keep: &'a dyn Fn(&str) -> bool,
    files: BTreeMap<Arc<str>, SourceFile>,
    refused: Vec<RefusedEntry>,
    entries: usize,
    bytes: usize,
}

impl<'a> Found<'a> {
    pub fn new(keep: &'a dyn Fn(&str) -> bool) -> Self {
        Self { keep, files: BTreeMap::new(), refused: Vec::new(), entries: 0, bytes: 0 }
    }

    /// The directory is named where a limit is met, for whoever has to find what is too much.
    pub fn enter(&mut self, dir: &str, depth: usize, entries: usize) -> Result<(), RepoError> {
        self.entries += entries;
        let detail = match (depth > TREE_DEPTH_MAX, self.entries > ENTRIES_MAX) {
            (false, false) => return Ok(()),
            (true, _) => format!("{}: directories are nested more than {TREE_DEPTH_MAX} deep", named(dir)),
            (false, true) => format!("{}: there are more than {ENTRIES_MAX} entries", named(dir)),
        };
        Err(RepoError::TooLarge { detail })
    }

    pub fn keeps(&self, path: &str, is_directory: bool) -> bool {
        match is_directory {
            true => (self.keep)(&format!("{path}/")),
            false => (self.keep)(path),
        }
    }

    pub fn refuse(&mut self, path: &str, why: &str) {
        self.refused.push(RefusedEntry { path: visible(path), why: why.to_owned() });
    }

    pub fn refuse_size(&mut self, path: &str, bytes: u64) {
        self.refuse(path, &format!("is too large: {bytes} bytes, and {BLOB_BYTES_MAX} are read at most"));
    }

    pub fn add(&mut self, path: Arc<str>, file: SourceFile) -> Result<(), RepoError> {
        self.bytes += file.content.len();
        if self.bytes > SNAPSHOT_BYTES_MAX {
            let detail = format!("{path}: the files up to here hold more than {SNAPSHOT_BYTES_MAX} bytes");
            return Err(RepoError::TooLarge { detail });
        }
        self.files.insert(path, file);
        Ok(())
    }

    pub fn into_snapshot(mut self, commit: CommitId) -> Snapshot {
        self.refused.sort_by(|one, two| one.path.cmp(&two.path));
        Snapshot { commit, files: self.files, refused: self.refused }
    }
}

/// Names of one directory that are the same to a file system that ignores case (or are just the same).
pub(crate) fn twins<'n>(names: impl Iterator<Item = &'n [u8]> + Clone) -> impl Fn(&[u8]) -> bool {
    let folded = |name: &[u8]| String::from_utf8_lossy(name).to_lowercase();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for name in names {
        *counts.entry(folded(name)).or_default() += 1;
    }
    counts.retain(|_, count| *count > 1);
    move |name| !counts.is_empty() && counts.contains_key(&folded(name))
}

/// `dir/name`, or the name alone at the root.
pub(crate) fn joined(dir: &str, name: &[u8]) -> String {
    let name = String::from_utf8_lossy(name);
    match dir.is_empty() {
        true => name.into_owned(),
        false => format!("{dir}/{name}"),
    }
}

fn named(dir: &str) -> &str {
    if dir.is_empty() { "the root" } else { dir }
}

struct Entry {
    name: Vec<u8>,
    mode: i32,
    id: Oid,
}

struct Reader<'a> {
    repo: &'a Repository,
    odb: &'a Odb<'a>,
    previous: Option<&'a Snapshot>,
    found: Found<'a>,
    blobs_read: usize,
}

impl Reader<'_> {
    fn read_tree(&mut self, id: Oid, dir: &str, depth: usize) -> Result<(), RepoError> {
        let entries = self.entries(id, dir)?;
        self.found.enter(dir, depth, entries.len())?;
        let is_twin = twins(entries.iter().map(|entry| entry.name.as_slice()));
        for entry in &entries {
            let path = joined(dir, &entry.name);
            if !self.found.keeps(&path, entry.mode == DIRECTORY) {
                continue;
            }
            match refused_entry(entry, &is_twin) {
                Some(why) => self.found.refuse(&path, why),
                None if entry.mode == DIRECTORY => self.read_tree(entry.id, &path, depth + 1)?,
                None => self.read_file(path, entry.id)?,
            }
        }
        Ok(())
    }

    fn entries(&self, id: Oid, dir: &str) -> Result<Vec<Entry>, RepoError> {
        let (bytes, _) = self.odb.read_header(id).map_err(damaged)?;
        if bytes > TREE_BYTES_MAX {
            let detail = format!("{}: its listing holds {bytes} bytes", named(dir));
            return Err(RepoError::TooLarge { detail });
        }
        let lost = |e: git2::Error| RepoError::corrupt(format!("{}: {}", named(dir), e.message()));
        let tree = self.repo.find_tree(id).map_err(lost)?;
        let entry = |entry: git2::TreeEntry<'_>| Entry {
            name: entry.name_bytes().to_vec(),
            mode: entry.filemode_raw(),
            id: entry.id(),
        };
        Ok(tree.iter().map(entry).collect())
    }

    fn read_file(&mut self, path: String, id: Oid) -> Result<(), RepoError> {
        let blob = blob_id(id)?;
        let known = self.previous.and_then(|previous| previous.files.get_key_value(path.as_str()));
        if let Some((path, file)) = known.filter(|(_, file)| file.blob == blob) {
            return self.found.add(path.clone(), file.clone());
        }
        // The header first: a few kilobytes of zlib can unfold to gigabytes.
        let lost = |e: git2::Error| RepoError::corrupt(format!("{path}: {}", e.message()));
        let (bytes, kind) = self.odb.read_header(id).map_err(lost)?;
        if kind != ObjectType::Blob {
            return Err(RepoError::corrupt(format!("{path} is a file by its mode, and {kind} by its object")));
        }
        if bytes > BLOB_BYTES_MAX {
            self.found.refuse_size(&path, bytes as u64);
            return Ok(());
        }
        let content = self.odb.read(id).map_err(damaged)?.data().into();
        self.blobs_read += 1;
        self.found.add(path.into(), SourceFile { blob, content })
    }
}

fn refused_entry(entry: &Entry, is_twin: &impl Fn(&[u8]) -> bool) -> Option<&'static str> {
    let odd_mode = match entry.mode {
        FILE | EXECUTABLE | DIRECTORY => None,
        SYMLINK => Some("is a symbolic link"),
        GITLINK => Some("is a submodule"),
        _ => Some("has a mode that is neither a file's nor a directory's"),
    };
    odd_mode.or_else(|| refused_part(&entry.name)).or_else(|| is_twin(&entry.name).then_some(TWIN))
}

pub(crate) const TWIN: &str = "differs only in case from its neighbour";

pub(crate) fn blob_id(id: Oid) -> Result<BlobId, RepoError> {
    BlobId::parse(&id.to_string()).ok_or_else(|| RepoError::corrupt("libgit2 gave an id that is none"))
}
