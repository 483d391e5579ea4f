//! A person's clone, read by the command line. Never written.

use std::ops::Deref;
use std::path::Path;

use fleetwright_core::snapshot::Snapshot;
use git2::Repository;

use crate::error::RepoError;
use crate::objects::Objects;
use crate::worktree::working_tree_snapshot;

/// A repository that is only read. What it can read of its objects is [`Objects`].
pub struct LocalRepo {
    objects: Objects,
}

impl Deref for LocalRepo {
    type Target = Objects;
    fn deref(&self) -> &Objects {
        &self.objects
    }
}

impl LocalRepo {
    /// Finds the repository that `path` is in, or is.
    pub fn open(path: &Path) -> Result<Self, RepoError> {
        Ok(Self { objects: Objects { repo: Repository::discover(path)? } })
    }

    /// The root of the working tree; `None` for a bare repository.
    pub fn root(&self) -> Option<&Path> {
        self.objects.repo.workdir()
    }

    /// The working tree as it stands, from its root; see [`working_tree_snapshot`].
    pub fn working_tree_snapshot(&self, keep: &dyn Fn(&str) -> bool) -> Result<Snapshot, RepoError> {
        match self.root() {
            Some(root) => working_tree_snapshot(root, keep),
            None => Err(RepoError::refused("a bare repository has no working tree")),
        }
    }
}
