//! The Git layer: from the tip of a fleet repository to a [`Snapshot`](fleetwright_core::snapshot::Snapshot), and
//! commits pushed against the tip they were made from.
//!
//! Owns the daemon's bare clone ([`Mirror`]) and the reading of people's clones ([`LocalRepo`], [`working_tree_snapshot`]).
//! Knows no YAML and no cloud, and decides nothing: every failure is told, none is taken for absence. Objects, trees and
//! differences are handled in process by libgit2; whatever crosses to a remote goes through the `git` program, local
//! paths included, because libgit2's push over a path does not compare before it swaps.
//!
//! Everything here blocks; a [`Mirror`] may move between threads but not be shared by them.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod error;
mod local;
mod mirror;
mod names;
mod objects;
mod program;
mod push;
mod reading;
mod remote;
mod upstream;
mod watch;
mod worktree;
mod writing;

pub use error::{PushError, RepoError};
pub use local::LocalRepo;
pub use mirror::{Maintenance, Mirror, MirrorOptions, RemoteRefs};
pub use names::{branch_ref, check_ref};
pub use objects::{CommitInfo, Objects};
pub use push::RefUpdate;
pub use reading::{BLOB_BYTES_MAX, ENTRIES_MAX, SNAPSHOT_BYTES_MAX, SnapshotReading, TREE_DEPTH_MAX};
pub use remote::{Credentials, Remote};
pub use upstream::{Chore, Upstream};
pub use watch::{Watch, watch};
pub use worktree::working_tree_snapshot;
pub use writing::NewCommit;
