//! From changed files to a commit object. No ref moves here; that is the push's.
//!
//! Owns blobs, the touched trees and the commit, written to an object database. Untouched entries, odd ones
//! included, are carried over as they stand.

use std::collections::BTreeMap;

use fleetwright_core::snapshot::CommitId;
use git2::{ObjectType, Oid, Repository, Signature, Time, Tree, TreeBuilder};

use crate::error::RepoError;
use crate::names::check_path;
use crate::objects::{Objects, commit_id, damaged, oid};

const FILE: i32 = 0o100_644;
const DIRECTORY: i32 = 0o040_000;

/// A commit to write.
#[derive(Clone, Debug)]
pub struct NewCommit<'a> {
    /// What it builds on; `None` for the first commit of a branch.
    pub parent: Option<CommitId>,
    /// Content by path; `None` deletes. A path that is not there need not be deleted, and is then no change.
    pub changes: &'a BTreeMap<String, Option<Vec<u8>>>,
    /// A folder of the root that is written anew: whatever stands there and `changes` does not name goes.
    pub afresh: Option<&'a str>,
    /// The message; a line end is added if it has none.
    pub message: &'a str,
    /// Author and committer.
    pub author_name: &'a str,
    /// Their address.
    pub author_email: &'a str,
    /// Seconds since 1970, in UTC.
    pub time_unix_seconds: i64,
}

impl Objects {
    /// Writes blobs, touched trees and the commit. `None` if the tree would be the parent's: no change, no commit.
    ///
    /// A file never replaces a directory that still holds something; a directory does replace a file or link.
    pub fn write_commit(&self, new: &NewCommit<'_>) -> Result<Option<CommitId>, RepoError> {
        let repo = &self.repo;
        let changes = Node::from_changes(new.changes)?;
        let parent = new.parent.as_ref().map(|id| Ok::<_, RepoError>(repo.find_commit(oid(id)?)?)).transpose()?;
        let base = parent.as_ref().map(git2::Commit::tree).transpose().map_err(damaged)?;
        let kept = new.afresh.map(|folder| without(repo, base.as_ref(), folder)).transpose()?;
        let tree = write_tree(repo, kept.as_ref().or(base.as_ref()), &changes)?;
        let unchanged = base.as_ref().map_or(tree.is_empty(), |base| base.id() == tree.id());
        if unchanged {
            return Ok(None);
        }
        let signature = Signature::new(new.author_name, new.author_email, &Time::new(new.time_unix_seconds, 0))
            .map_err(|e| RepoError::refused(format!("the author can't be written: {}", e.message())))?;
        let message = format!("{}\n", new.message.trim_end());
        let parents: Vec<_> = parent.iter().collect();
        commit_id(repo.commit(None, &signature, &signature, &message, &tree, &parents)?).map(Some)
    }
}

/// The changes of one entry and of what is below it.
#[derive(Default)]
struct Node<'a> {
    own: Option<&'a Option<Vec<u8>>>,
    below: BTreeMap<&'a str, Node<'a>>,
}

impl<'a> Node<'a> {
    fn from_changes(changes: &'a BTreeMap<String, Option<Vec<u8>>>) -> Result<Self, RepoError> {
        let mut root = Self::default();
        for (path, content) in changes {
            check_path(path)?;
            let node = path.split('/').fold(&mut root, |node, part| node.below.entry(part).or_default());
            node.own = Some(content);
        }
        Ok(root)
    }
}

fn without<'r>(repo: &'r Repository, base: Option<&Tree<'_>>, folder: &str) -> Result<Tree<'r>, RepoError> {
    let mut builder = repo.treebuilder(base).map_err(damaged)?;
    remove(&mut builder, folder)?;
    repo.find_tree(builder.write()?).map_err(damaged)
}

fn write_tree<'r>(repo: &'r Repository, base: Option<&Tree<'_>>, changes: &Node<'_>) -> Result<Tree<'r>, RepoError> {
    let mut builder = repo.treebuilder(base).map_err(damaged)?;
    for (name, node) in &changes.below {
        change_entry(repo, &mut builder, name, node)?;
    }
    repo.find_tree(builder.write()?).map_err(damaged)
}

fn change_entry(
    repo: &Repository,
    builder: &mut TreeBuilder<'_>,
    name: &str,
    node: &Node<'_>,
) -> Result<(), RepoError> {
    if !node.below.is_empty() {
        change_directory(repo, builder, name, node)?;
    }
    let is_directory = existing(builder, name)?.is_some_and(|(mode, _)| mode == DIRECTORY);
    match node.own {
        Some(Some(_)) if is_directory => {
            Err(RepoError::refused(format!("{name:?} is a directory that still holds something, not a file")))
        }
        Some(Some(content)) => {
            let blob = repo.odb()?.write(ObjectType::Blob, content)?;
            builder.insert(name, blob, FILE)?;
            Ok(())
        }
        Some(None) if !is_directory => remove(builder, name),
        Some(None) | None => Ok(()),
    }
}

/// Deletions below a file or link change nothing; only something to write makes a directory of it.
fn change_directory(
    repo: &Repository,
    builder: &mut TreeBuilder<'_>,
    name: &str,
    node: &Node<'_>,
) -> Result<(), RepoError> {
    let old = existing(builder, name)?;
    let base = match old {
        Some((DIRECTORY, id)) => Some(repo.find_tree(id).map_err(damaged)?),
        Some(_) | None => None,
    };
    let tree = write_tree(repo, base.as_ref(), node)?;
    match (tree.is_empty(), base) {
        (false, _) => builder.insert(name, tree.id(), DIRECTORY).map(drop).map_err(RepoError::from),
        (true, Some(_)) => remove(builder, name),
        (true, None) => Ok(()),
    }
}

fn existing(builder: &TreeBuilder<'_>, name: &str) -> Result<Option<(i32, Oid)>, RepoError> {
    Ok(builder.get(name)?.map(|entry| (entry.filemode_raw(), entry.id())))
}

fn remove(builder: &mut TreeBuilder<'_>, name: &str) -> Result<(), RepoError> {
    if existing(builder, name)?.is_some() {
        builder.remove(name)?;
    }
    Ok(())
}
