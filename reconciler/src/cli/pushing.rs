//! Moving one of our refs at a remote: only forward, unless somebody insists, and only from what was read.

use std::path::Path;

use fleetwright_core::snapshot::CommitId;
use fleetwright_repo::{Mirror, RefUpdate, Remote, RepoError};

use super::error::CliError;
use super::source::{Clone, cached_mirror, is_url};

/// Where a ref is moved, through a clone in the cache directory.
pub struct Target {
    /// The clone, just fetched.
    pub mirror: Mirror,
    /// The clone that the user works in, if it is one.
    local: Option<Clone>,
}

impl Target {
    /// Opens what `--repo` names: a remote, a bare repository, or a clone, whose `origin` is meant.
    pub fn open(place: &str) -> Result<Self, CliError> {
        let (remote, local) = match is_url(place) {
            true => (Remote::parse(place)?, None),
            false => {
                let clone = Clone::open(Path::new(place))?;
                (Remote::parse(&origin(Path::new(place)).unwrap_or_else(|| place.to_owned()))?, Some(clone))
            }
        };
        let mirror = cached_mirror(&remote)?;
        mirror.fetch()?;
        Ok(Self { mirror, local })
    }

    /// The commit that a revision means, as the user's clone understands it.
    pub fn commit(&self, revision: Option<&str>, branch: &str) -> Result<CommitId, CliError> {
        let found = match (&self.local, revision) {
            (Some(clone), revision) => return clone.commit(revision.unwrap_or("HEAD")),
            (None, Some(revision)) => self.mirror.resolve(revision),
            (None, None) => self.mirror.resolve(branch),
        };
        found.map_err(|error| match error {
            RepoError::NotFound { .. } => {
                CliError::unreadable(format!("the remote has no revision {:?}", revision.unwrap_or(branch)))
            }
            other => other.into(),
        })
    }

    /// Moves a ref; the old commit, if it had one. Moving to where it is does nothing.
    pub fn advance(&self, name: &str, new: &CommitId, force: bool) -> Result<Option<CommitId>, CliError> {
        let old = self.mirror.fetch()?.get(name).cloned();
        if old.as_ref() == Some(new) {
            return Ok(old);
        }
        if let Some(old) = old.as_ref().filter(|_| !force)
            && !self.mirror.descends(new, old)?
        {
            let message = format!("{name} stands at {}, and {} does not come after it", old.short(), new.short());
            return Err(CliError::problem(message).hint("--force moves it all the same"));
        }
        let update = RefUpdate { name: name.to_owned(), expected: old.clone(), new: Some(new.clone()) };
        self.mirror.push(&[update])?;
        Ok(old)
    }
}

/// The address of a clone's `origin`; a path is as seen from the clone. A bare repository is meant itself, wherever it was
/// once cloned from.
fn origin(dir: &Path) -> Option<String> {
    if git(dir, &["rev-parse", "--is-bare-repository"])? == "true" {
        return None;
    }
    let url = git(dir, &["remote", "get-url", "origin"])?;
    match is_url(&url) || Path::new(&url).is_absolute() {
        true => Some(url),
        false => dir.join(url).to_str().map(str::to_owned),
    }
}

fn git(dir: &Path, args: &[&str]) -> Option<String> {
    let output = std::process::Command::new("git").arg("-C").arg(dir).args(args).output().ok()?;
    let said = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    Some(said.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::TestRepo;

    #[test]
    fn a_clone_means_its_origin_and_a_bare_repository_means_itself() {
        let first = TestRepo::new();
        first.commit(&crate::cli::testing::template());
        first.git(&["clone", "--quiet", "--bare", ".", "bare.git"]);
        first.git(&["clone", "--quiet", "bare.git", "clone"]);
        let bare = first.path().join("bare.git");
        assert_eq!(origin(&bare), None);
        assert_eq!(origin(&first.path().join("clone")).as_deref(), bare.to_str());
    }
}
