//! The seam between the daemon and Git: what it needs of the repository that it follows.
//!
//! [`Mirror`] is the one that ships. A simulation puts another one here, with a remote that rejects, hangs up, lies and
//! is late, all from one seed.

use std::collections::BTreeMap;

use fleetwright_core::snapshot::CommitId;

use crate::error::{PushError, RepoError};
use crate::mirror::{Mirror, RemoteRefs};
use crate::objects::Objects;
use crate::push::RefUpdate;

/// Work that may be done on another thread.
pub type Chore = Box<dyn FnOnce() -> Result<(), RepoError> + Send>;

/// A clone and its remote.
pub trait Upstream {
    /// What the clone holds, and where commits are written before they are pushed.
    fn objects(&self) -> &Objects;

    /// The remote's branches and our refs there, by full name, in one call that brings no objects.
    fn ls_remote(&self) -> Result<BTreeMap<String, CommitId>, RepoError>;

    /// Brings objects and refs up to date. Every failure is an error; an absent branch is just absent.
    fn fetch(&self) -> Result<RemoteRefs, RepoError>;

    /// Moves all refs or none, each only if the remote still has what is expected.
    fn push(&self, updates: &[RefUpdate]) -> Result<(), PushError>;

    /// What keeps the clone small; run every few hundred publications.
    fn maintenance(&self) -> Chore;
}

impl Upstream for Mirror {
    fn objects(&self) -> &Objects {
        self
    }
    fn ls_remote(&self) -> Result<BTreeMap<String, CommitId>, RepoError> {
        Self::ls_remote(self)
    }
    fn fetch(&self) -> Result<RemoteRefs, RepoError> {
        Self::fetch(self)
    }
    fn push(&self, updates: &[RefUpdate]) -> Result<(), PushError> {
        Self::push(self, updates)
    }
    fn maintenance(&self) -> Chore {
        let maintenance = Self::maintenance(self);
        Box::new(move || maintenance.run())
    }
}
