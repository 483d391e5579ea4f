//! A directory on disk as a snapshot, for files that are not committed yet.
//!
//! Owns the walk over the directory, with the strictness of `reading.rs`; follows no link and writes nothing.

use std::fs::{DirEntry, OpenOptions};
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use fleetwright_core::snapshot::{CommitId, Snapshot, SourceFile};
use git2::{Index, ObjectType, Oid, Repository};
use rustix::fs::OFlags;

use crate::error::RepoError;
use crate::names::refused_part;
use crate::objects::commit_id;
use crate::reading::{BLOB_BYTES_MAX, Found, TWIN, blob_id, joined, twins};

/// Reads all files below `dir`, tracked or not, but for `.git` and what git ignores; `dir` need not be in a repository.
///
/// Blob ids are those that git would give the bytes as they stand; the commit's id is all zeros. `keep` is asked as by
/// [`Objects::snapshot`](crate::Objects::snapshot).
pub fn working_tree_snapshot(dir: &Path, keep: &dyn Fn(&str) -> bool) -> Result<Snapshot, RepoError> {
    let dir = dir.canonicalize().map_err(|e| io(dir, &e))?;
    let mut walk = Walk { ignores: Ignores::around(&dir), found: Found::new(keep) };
    walk.read_directory(&dir, "", 0)?;
    Ok(walk.found.into_snapshot(uncommitted()?))
}

fn uncommitted() -> Result<CommitId, RepoError> {
    commit_id(Oid::ZERO_SHA1)
}

fn io(path: &Path, error: &std::io::Error) -> RepoError {
    match error.kind() {
        std::io::ErrorKind::NotFound => RepoError::NotFound { detail: path.display().to_string() },
        _ => RepoError::io(&path.display().to_string(), error),
    }
}

struct Walk<'a> {
    ignores: Option<Ignores>,
    found: Found<'a>,
}

impl Walk<'_> {
    fn read_directory(&mut self, dir: &Path, relative: &str, depth: usize) -> Result<(), RepoError> {
        let entries = listed(dir)?;
        self.found.enter(relative, depth, entries.len())?;
        let names: Vec<Vec<u8>> = entries.iter().map(|entry| entry.file_name().into_vec()).collect();
        let is_twin = twins(names.iter().map(Vec::as_slice));
        for (entry, name) in entries.iter().zip(&names) {
            let path = joined(relative, name);
            match refused_part(name).or_else(|| is_twin(name).then_some(TWIN)) {
                Some(why) if self.found.keeps(&path, false) => self.found.refuse(&path, why),
                Some(_) => {}
                None => self.read_entry(entry, path, depth)?,
            }
        }
        Ok(())
    }

    fn read_entry(&mut self, entry: &DirEntry, path: String, depth: usize) -> Result<(), RepoError> {
        let on_disk = entry.path();
        let kind = entry.file_type().map_err(|e| io(&on_disk, &e))?;
        let ignored = self.ignores.as_ref().is_some_and(|ignores| ignores.covers(&on_disk, kind.is_dir()));
        if ignored || !self.found.keeps(&path, kind.is_dir()) {
            return Ok(());
        }
        match (kind.is_dir(), kind.is_file()) {
            (true, _) if on_disk.join(".git").exists() => self.found.refuse(&path, "is a submodule"),
            (true, _) => self.read_directory(&on_disk, &path, depth + 1)?,
            (false, true) => self.read_file(&on_disk, path)?,
            (false, false) if kind.is_symlink() => self.found.refuse(&path, "is a symbolic link"),
            (false, false) => self.found.refuse(&path, "is neither a file nor a directory"),
        }
        Ok(())
    }

    fn read_file(&mut self, on_disk: &Path, path: String) -> Result<(), RepoError> {
        // Between the listing and now a link or a pipe may have taken its place.
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let mut options = OpenOptions::new();
        let file = options.read(true).custom_flags(flags).open(on_disk).map_err(|e| io(on_disk, &e))?;
        let bytes = file.metadata().map_err(|e| io(on_disk, &e))?.len();
        let mut content = Vec::new();
        file.take(BLOB_BYTES_MAX as u64 + 1).read_to_end(&mut content).map_err(|e| io(on_disk, &e))?;
        if content.len() > BLOB_BYTES_MAX {
            self.found.refuse_size(&path, bytes);
            return Ok(());
        }
        let blob = blob_id(Oid::hash_object(ObjectType::Blob, &content)?)?;
        self.found.add(path.into(), SourceFile { blob, content: content.into() })
    }
}

/// Sorted, without git's own directory (or file, in a linked worktree).
fn listed(dir: &Path) -> Result<Vec<DirEntry>, RepoError> {
    let entries = std::fs::read_dir(dir).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let mut entries: Vec<DirEntry> = entries.map_err(|e| io(dir, &e))?;
    entries.retain(|entry| entry.file_name() != ".git");
    entries.sort_by_key(DirEntry::file_name);
    Ok(entries)
}

/// The ignore rules of the repository around a directory. A tracked file is never ignored.
struct Ignores {
    repo: Repository,
    index: Index,
    root: PathBuf,
}

impl Ignores {
    fn around(dir: &Path) -> Option<Self> {
        let repo = Repository::discover(dir).ok()?;
        let root = repo.workdir()?.canonicalize().ok()?;
        let index = repo.index().ok()?;
        dir.starts_with(&root).then_some(Self { repo, index, root })
    }

    fn covers(&self, on_disk: &Path, is_directory: bool) -> bool {
        let Ok(relative) = on_disk.strip_prefix(&self.root) else { return false };
        let mut name = relative.as_os_str().as_bytes().to_vec();
        if is_directory {
            name.push(b'/');
        }
        let asked = Path::new(std::ffi::OsStr::from_bytes(&name));
        let tracked = match is_directory {
            true => self.index.find_prefix(name.as_slice()).is_ok(),
            false => self.index.get_path(relative, 0).is_some(),
        };
        !tracked && self.repo.is_path_ignored(asked).unwrap_or(false)
    }
}
