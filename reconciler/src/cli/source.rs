//! Where a command reads from: a directory as it stands, a commit of a clone, or the tip of a remote.

use std::path::{Path, PathBuf};

use fleetwright_core::fingerprint::digest;
use fleetwright_core::record::{Record, RecordCache};
use fleetwright_core::snapshot::{CommitId, Snapshot};
use fleetwright_repo::{LocalRepo, Mirror, MirrorOptions, Objects, Remote, RepoError, working_tree_snapshot};
use tempfile::TempDir;

use super::error::CliError;

/// Everything of a repository is read.
pub fn everything(_: &str) -> bool {
    true
}

/// Everything but what the bot writes.
pub fn without_status(path: &str) -> bool {
    !path.starts_with("status/")
}

/// Only what the bot writes.
pub fn only_status(path: &str) -> bool {
    path.starts_with("status/")
}

/// The files of a directory as they stand.
pub fn working_tree(dir: &Path, keep: &dyn Fn(&str) -> bool) -> Result<Snapshot, CliError> {
    working_tree_snapshot(dir, keep).map_err(|error| match error {
        RepoError::NotFound { detail } => CliError::unreadable(format!("there is no directory {detail}")),
        other => other.into(),
    })
}

/// A clone, or a bare repository.
pub struct Clone {
    repo: LocalRepo,
    /// Removed with the clone.
    _joined: Option<TempDir>,
}

impl std::ops::Deref for Clone {
    type Target = Objects;
    fn deref(&self) -> &Objects {
        &self.repo
    }
}

impl Clone {
    /// Opens the repository that a directory is in.
    pub fn open(dir: &Path) -> Result<Self, CliError> {
        let quarantine = std::env::var_os("GIT_QUARANTINE_PATH").map(PathBuf::from);
        let opened = match quarantine {
            Some(quarantine) => return Self::with_quarantine(dir, &quarantine),
            None => LocalRepo::open(dir),
        };
        let hint = "name a clone of the fleet repository, or make one with `fleetwright init DIR`";
        match opened {
            Ok(repo) => Ok(Self { repo, _joined: None }),
            Err(RepoError::NotFound { .. }) => {
                Err(CliError::unreadable(format!("{} is in no git repository", dir.display())).hint(hint))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// In a pre-receive hook, what is pushed stands in a directory of its own, which libgit2 does not know of: both are
    /// joined in a repository that has them as alternates.
    fn with_quarantine(dir: &Path, quarantine: &Path) -> Result<Self, CliError> {
        let io = |error: std::io::Error| CliError::io("the pushed objects can't be read", &error);
        let own = Remote::parse(&dir.to_string_lossy())?.local_git_dir().unwrap_or_else(|| dir.to_owned());
        let own = own.join("objects").canonicalize().map_err(io)?;
        let pushed = quarantine.canonicalize().map_err(io)?;
        let joined = tempfile::tempdir().map_err(io)?;
        let root = joined.path();
        for inner in ["objects/info", "refs"] {
            std::fs::create_dir_all(root.join(inner)).map_err(io)?;
        }
        std::fs::write(root.join("HEAD"), "ref: refs/heads/main\n").map_err(io)?;
        let alternates = format!("{}\n{}\n", pushed.display(), own.display());
        std::fs::write(root.join("objects/info/alternates"), alternates).map_err(io)?;
        Ok(Self { repo: LocalRepo::open(root)?, _joined: Some(joined) })
    }

    /// The commit that a revision means.
    pub fn commit(&self, revision: &str) -> Result<CommitId, CliError> {
        self.repo.resolve(revision).map_err(|error| match error {
            RepoError::NotFound { .. } => CliError::unreadable(format!("there is no revision {revision:?}")),
            other => other.into(),
        })
    }

    /// The files of a commit.
    pub fn read(&self, commit: &CommitId, keep: &dyn Fn(&str) -> bool) -> Result<Snapshot, CliError> {
        Ok(self.repo.snapshot(commit, keep, None)?.snapshot)
    }
}

/// The status that a repository holds: the `HEAD` of a directory, or the default branch of a remote.
pub enum Status {
    /// A directory on this machine.
    Local(PathBuf),
    /// A remote, through a clone in the cache directory.
    Remote {
        /// The clone.
        mirror: Box<Mirror>,
        /// The branch that the remote's `HEAD` names.
        branch: String,
    },
}

impl Status {
    /// Opens what `-C` names.
    pub fn open(place: &str) -> Result<Self, CliError> {
        if !is_url(place) {
            return Ok(Self::Local(PathBuf::from(place)));
        }
        let mirror = cached_mirror(&Remote::parse(place)?)?;
        let branch = default_branch(&mirror)?;
        Ok(Self::Remote { mirror: Box::new(mirror), branch })
    }

    /// The tip, after a fetch where there is something to fetch from.
    pub fn tip(&self) -> Result<CommitId, CliError> {
        match self {
            Self::Local(dir) => Clone::open(dir)?.commit("HEAD").map_err(|error| {
                error.hint("the repository has no commit yet, or another branch is meant: check one out")
            }),
            Self::Remote { mirror, branch } => {
                let refs = mirror.fetch()?;
                let gone = || CliError::unreadable(format!("the remote has no branch {branch}"));
                refs.branch(branch).cloned().ok_or_else(gone)
            }
        }
    }

    /// What people wish for at this commit.
    pub fn wish(&self, commit: &CommitId) -> Result<Snapshot, CliError> {
        match self {
            Self::Local(dir) => Clone::open(dir)?.read(commit, &without_status),
            Self::Remote { mirror, .. } => Ok(mirror.snapshot(commit, &without_status, None)?.snapshot),
        }
    }

    /// What the bot last wrote at this commit.
    pub fn record(&self, commit: &CommitId, cache: &mut RecordCache) -> Result<Record, CliError> {
        let snapshot = match self {
            Self::Local(dir) => Clone::open(dir)?.read(commit, &only_status)?,
            Self::Remote { mirror, .. } => mirror.snapshot(commit, &only_status, None)?.snapshot,
        };
        Ok(Record::parse(&snapshot, cache))
    }

    /// What the bot last wrote.
    pub fn newest(&self) -> Result<Record, CliError> {
        self.record(&self.tip()?, &mut RecordCache::new())
    }
}

/// The branch that the remote's `HEAD` names.
pub fn default_branch(mirror: &Mirror) -> Result<String, CliError> {
    Ok(mirror.default_branch()?.unwrap_or_else(|| "main".to_owned()))
}

/// Whether a text names a remote, not a directory.
pub fn is_url(text: &str) -> bool {
    let scp_like = text.find(':').is_some_and(|colon| !text[..colon].contains('/'));
    text.contains("://") || (scp_like && !Path::new(text).exists())
}

/// How many commands may read one remote at the same time.
const SLOTS_MAX: u32 = 16;

/// A clone of a remote in the cache directory; another one, where another process uses the first.
pub fn cached_mirror(remote: &Remote) -> Result<Mirror, CliError> {
    let base = cache_dir()?.join(digest(&remote.to_string(), 16));
    let mut last = CliError::unreadable("every clone in the cache directory is in use");
    for slot in 0..SLOTS_MAX {
        let dir = if slot == 0 { base.clone() } else { base.with_extension(slot.to_string()) };
        match Mirror::open_with(remote.clone(), &dir, MirrorOptions::default()) {
            Err(error @ RepoError::Refused { .. }) => last = error.into(),
            opened => return Ok(opened?),
        }
    }
    Err(last)
}

fn cache_dir() -> Result<PathBuf, CliError> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
    let missing = || CliError::unreadable("neither XDG_CACHE_HOME nor HOME says where a clone can be kept");
    Ok(base.ok_or_else(missing)?.join("fleetwright"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_and_remotes_are_told_apart() {
        for url in ["https://host/fleet.git", "file:///srv/fleet.git", "git@host:fleet.git"] {
            assert!(is_url(url), "{url}");
        }
        for dir in [".", "fleet", "/srv/fleet.git", "../a:b"] {
            assert!(!is_url(dir), "{dir}");
        }
    }
}
