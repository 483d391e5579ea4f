//! One atomic compare-and-swap at the remote.
//!
//! Owns the check of what is sent and the reading of what the server answered, ref by ref; retries nothing.

use fleetwright_core::snapshot::CommitId;

use crate::error::{PushError, RepoError, essence};
use crate::mirror::Mirror;
use crate::names::check_ref;

/// One ref to move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefUpdate {
    /// The full name, below `refs/heads/` or `refs/fleetwright/`.
    pub name: String,
    /// What the remote must have there; `None`: the ref must not exist.
    pub expected: Option<CommitId>,
    /// What it should have; `None` deletes, which branches refuse.
    pub new: Option<CommitId>,
}

impl Mirror {
    /// Moves all refs or none, each only if the remote still has what is expected.
    ///
    /// A branch only ever moves forward. After [`PushError::UnknownResult`] only a fetch can tell what happened.
    pub fn push(&self, updates: &[RefUpdate]) -> Result<(), PushError> {
        if updates.is_empty() {
            return Ok(());
        }
        for update in updates {
            self.check(update)?;
        }
        let said = self.git(PUSH_ARGS, &self.arguments(updates)).map_err(not_run)?;
        judge(said.success, &said.stdout, &said.stderr, updates.len())?;
        for RefUpdate { name, new, .. } in updates {
            // Only a copy: the remote has it, and the next fetch mends what fails here.
            if let Err(error) = self.track(name, new.as_ref()) {
                tracing::debug!(%error, name, "the copy of a pushed ref did not move");
            }
        }
        Ok(())
    }

    fn check(&self, update: &RefUpdate) -> Result<(), PushError> {
        let RefUpdate { name, expected, new } = update;
        let not_sent = |reason: String| PushError::NotSent { reason };
        check_ref(name).map_err(|e| not_sent(e.to_string()))?;
        match (name.starts_with("refs/heads/"), expected, new) {
            (_, None, None) => Err(not_sent(format!("{name} would go from nothing to nothing"))),
            (true, Some(_), None) => Err(not_sent(format!("{name} is a branch, which is never deleted"))),
            (true, Some(old), Some(new)) => match self.descends(new, old) {
                Ok(true) => Ok(()),
                Ok(false) => Err(not_sent(format!("{new} does not build on {old}, the tip of {name}"))),
                Err(error) => Err(not_sent(error.to_string())),
            },
            (_, _, Some(new)) => match self.contains(new) {
                Ok(true) => Ok(()),
                Ok(false) => Err(not_sent(format!("{new} is not in the mirror"))),
                Err(error) => Err(not_sent(error.to_string())),
            },
            (false, Some(_), None) => Ok(()),
        }
    }

    fn arguments(&self, updates: &[RefUpdate]) -> Vec<String> {
        let id = |id: &Option<CommitId>| id.as_ref().map_or("", CommitId::as_str).to_owned();
        let leases = updates.iter().map(|u| format!("--force-with-lease={}:{}", u.name, id(&u.expected)));
        let refspecs = updates.iter().map(|u| format!("{}:{}", id(&u.new), u.name));
        let follow = self.updates_checkout().then(|| RECEIVE_PACK.to_owned());
        let target = ["--end-of-options".to_owned(), self.remote.url().to_owned()];
        follow.into_iter().chain(leases).chain(target).chain(refspecs).collect()
    }

    /// A local clone with a working tree follows a push if it is clean, unless its owner has set something else.
    fn updates_checkout(&self) -> bool {
        let repo = self.remote.local_git_dir().and_then(|dir| git2::Repository::open(dir).ok());
        let Some(repo) = repo.filter(|repo| !repo.is_bare()) else { return false };
        let own = repo.config().and_then(|config| config.get_string("receive.denyCurrentBranch"));
        own.is_err()
    }
}

const PUSH_ARGS: &[&str] = &[
    "push",
    "--porcelain",
    "--atomic",
    "--thin",
    "--no-verify",
    "--no-signed",
    "--no-follow-tags",
    "--no-recurse-submodules",
];
const RECEIVE_PACK: &str = "--receive-pack=git -c receive.denyCurrentBranch=updateInstead receive-pack";

/// Someone was faster: seen by git before it sent anything, or by the server when it took the ref's lock.
const LOST_RACE: &[&str] = &[
    "stale info",
    "fetch first",
    "non-fast-forward",
    "needs force",
    "already exists",
    "failed to update ref",
    "failed to lock",
    "cannot lock ref",
    "incorrect old value",
    "reference does not exist",
    "reference already exists",
    "remote ref updated since checkout",
    "but expected",
];
/// Said of the other refs of an atomic push, whatever the cause was.
const COLLATERAL: &[&str] = &["atomic push failed", "atomic push failure", "atomic transaction failed"];
/// The connection ended after it had begun; whether the server went on, it alone knows.
const CUT_OFF: &[&str] = &[
    "hung up unexpectedly",
    "unexpected disconnect",
    "bad line length",
    "protocol error",
    "early EOF",
    "RPC failed",
    "Broken pipe",
    "Connection reset",
    "died of signal",
];

fn judge(success: bool, stdout: &str, stderr: &str, updates: usize) -> Result<(), PushError> {
    let results: Vec<RefResult<'_>> = stdout.lines().filter_map(RefResult::parse).collect();
    let failed: Vec<&RefResult<'_>> = results.iter().filter(|result| result.flag == '!').collect();
    match (success, failed.is_empty()) {
        (true, true) if results.len() == updates => Ok(()),
        (_, false) => Err(refusal(&failed, stderr)),
        (true, true) => Err(PushError::UnknownResult { reason: "git did not tell what became of each ref".to_owned() }),
        (false, true) if !results.is_empty() => Err(PushError::UnknownResult { reason: essence(stderr) }),
        (false, true) => Err(not_answered(stderr)),
    }
}

/// A line of `--porcelain`: flag, `from:to`, summary.
struct RefResult<'a> {
    flag: char,
    name: &'a str,
    summary: &'a str,
}

impl<'a> RefResult<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut parts = line.splitn(3, '\t');
        let flag = parts.next()?;
        let (_, name) = parts.next()?.rsplit_once(':')?;
        let mut chars = flag.chars();
        let flag = chars.next().filter(|_| chars.next().is_none())?;
        Some(Self { flag, name, summary: parts.next()? })
    }

    fn says(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.summary.contains(word))
    }
}

/// The ref that stopped the others tells why. A race is tried again, so a hook's word counts for more.
fn refusal(failed: &[&RefResult<'_>], stderr: &str) -> PushError {
    let causes = || failed.iter().filter(|result| !result.says(COLLATERAL));
    let reason = |result: &RefResult<'_>| format!("{}: {}", result.name, result.summary);
    if let Some(silent) = causes().find(|result| result.says(&["remote failure"])) {
        return PushError::UnknownResult { reason: reason(silent) };
    }
    if let Some(declined) = causes().find(|result| !result.says(LOST_RACE)) {
        let reason = [reason(declined), remote_words(stderr)].join("\n").trim_end().to_owned();
        return PushError::Declined { reason };
    }
    match causes().next().or(failed.first().as_ref().copied()) {
        Some(first) => PushError::Rejected { reason: reason(first) },
        None => PushError::Other { reason: essence(stderr) },
    }
}

/// What the server and its hooks printed.
fn remote_words(stderr: &str) -> String {
    let words = stderr.lines().filter_map(|line| line.strip_prefix("remote: ")).map(str::trim_end);
    words.filter(|line| !line.is_empty()).take(40).collect::<Vec<_>>().join("\n")
}

fn not_answered(stderr: &str) -> PushError {
    if stderr.contains("does not support --atomic") {
        let reason = "the server can't move several refs as one (git's atomic push), which is needed".to_owned();
        return PushError::Other { reason };
    }
    if CUT_OFF.iter().any(|word| stderr.contains(word)) {
        return PushError::UnknownResult { reason: essence(stderr) };
    }
    not_run(RepoError::from_stderr(stderr))
}

fn not_run(error: RepoError) -> PushError {
    let reason = error.to_string();
    match error {
        RepoError::TimedOut { .. } => PushError::UnknownResult { reason },
        RepoError::Unreachable { detail } => PushError::Unreachable { reason: detail },
        RepoError::Authentication { detail } => PushError::Authentication { reason: detail },
        RepoError::NotFound { .. }
        | RepoError::Corrupt { .. }
        | RepoError::Refused { .. }
        | RepoError::TooLarge { .. }
        | RepoError::Other { .. } => PushError::Other { reason },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_ref_of_an_answer_is_read() {
        let said = "To /x\n \tabc:refs/heads/main\tabc..def\n*\tabc:refs/fleetwright/o\t[new reference]\nDone\n";
        assert_eq!(judge(true, said, "", 2), Ok(()));
        assert!(matches!(judge(true, said, "", 3), Err(PushError::UnknownResult { .. })));
    }

    #[test]
    fn the_cause_is_told_and_not_the_ref_that_fell_with_it() {
        let said =
            "!\ta:refs/heads/main\t[rejected] (atomic push failed)\n!\ta:refs/fleetwright/o\t[rejected] (stale info)\n";
        let Err(PushError::Rejected { reason }) = judge(false, said, "", 2) else { panic!() };
        assert_eq!(reason, "refs/fleetwright/o: [rejected] (stale info)");
    }

    #[test]
    fn a_connection_that_ends_in_the_middle_leaves_the_result_open() {
        let cut = judge(false, "", "fatal: the remote end hung up unexpectedly", 1);
        assert!(matches!(cut, Err(PushError::UnknownResult { .. })));
        let said = "!\ta:refs/heads/main\t[remote failure] (remote failed to report status)\n";
        assert!(matches!(judge(false, said, "", 1), Err(PushError::UnknownResult { .. })));
        let never = judge(false, "", "fatal: unable to access 'https://h/': Could not resolve host: h", 1);
        assert!(matches!(never, Err(PushError::Unreachable { .. })));
    }

    #[test]
    fn a_server_without_atomic_pushes_is_told_clearly() {
        let said = judge(false, "", "fatal: the receiving end does not support --atomic push", 1);
        assert!(said.unwrap_err().to_string().contains("atomic"));
    }
}
