//! What can go wrong with a repository, classed by who can mend it.
//!
//! Owns the two error types and the reading of git's own words; redacting happened before (`program.rs`).

use git2::ErrorCode;

/// Why a repository could not be read. None of these ever means "absent".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RepoError {
    /// The network or the server did not answer properly; trying later may help.
    #[error("the remote can't be reached: {detail}")]
    Unreachable {
        /// Git's own words, without credentials.
        detail: String,
    },
    /// The server wants other credentials.
    #[error("the remote refused our credentials: {detail}")]
    Authentication {
        /// Git's own words, without credentials.
        detail: String,
    },
    /// The repository, revision or object that was asked for is not there.
    #[error("not found: {detail}")]
    NotFound {
        /// What was looked for.
        detail: String,
    },
    /// The child was stopped after its time limit.
    #[error("git {command} gave no result within {limit_seconds} s")]
    TimedOut {
        /// The git command, `fetch` for example.
        command: String,
        /// The limit it was given.
        limit_seconds: u64,
    },
    /// Objects are missing or damaged; for a mirror, [`Mirror::recreate`](crate::Mirror::recreate) helps.
    #[error("the repository is damaged: {detail}")]
    Corrupt {
        /// What is damaged.
        detail: String,
    },
    /// We, or git on our behalf, will not do this: a hostile name or URL, a directory that is not ours.
    #[error("refused: {detail}")]
    Refused {
        /// What was refused, and why.
        detail: String,
    },
    /// A limit on what is read was met; nothing of it is used.
    #[error("too large: {detail}")]
    TooLarge {
        /// The limit.
        detail: String,
    },
    /// Anything else.
    #[error("{detail}")]
    Other {
        /// Git's own words, without credentials.
        detail: String,
    },
}

/// Why a push changed nothing, or may have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// Someone else moved a ref first: fetch, plan again, render again.
    #[error("a ref moved meanwhile: {reason}")]
    Rejected {
        /// Ref and git's reason.
        reason: String,
    },
    /// A hook or the server's policy said no; a person has to look.
    #[error("the server declined: {reason}")]
    Declined {
        /// Ref, git's reason, and what the hook printed.
        reason: String,
    },
    /// Refused on our side before anything was sent: a bad name, a commit that does not build on what it replaces.
    #[error("not sent: {reason}")]
    NotSent {
        /// What is wrong with the update.
        reason: String,
    },
    /// The server was not reached, so nothing changed.
    #[error("the remote can't be reached: {reason}")]
    Unreachable {
        /// Git's own words, without credentials.
        reason: String,
    },
    /// The server refused our credentials, so nothing changed.
    #[error("the remote refused our credentials: {reason}")]
    Authentication {
        /// Git's own words, without credentials.
        reason: String,
    },
    /// The push may or may not have happened (time limit, connection lost): fetch and look.
    #[error("it is unknown whether the push happened: {reason}")]
    UnknownResult {
        /// What was last heard.
        reason: String,
    },
    /// Anything else; nothing is known to have changed.
    #[error("{reason}")]
    Other {
        /// Git's own words, without credentials.
        reason: String,
    },
}

impl RepoError {
    pub(crate) fn refused(detail: impl Into<String>) -> Self {
        Self::Refused { detail: detail.into() }
    }

    pub(crate) fn corrupt(detail: impl Into<String>) -> Self {
        Self::Corrupt { detail: detail.into() }
    }

    pub(crate) fn io(what: &str, error: &std::io::Error) -> Self {
        Self::Other { detail: format!("{what}: {error}") }
    }

    /// What git printed before it failed, classed; `LC_ALL=C` keeps its words the same everywhere.
    pub(crate) fn from_stderr(stderr: &str) -> Self {
        let detail = essence(stderr);
        let found = CLASSES.iter().find(|(words, _)| words.iter().any(|word| stderr.contains(word)));
        match found {
            Some((_, class)) => class(detail),
            None => Self::Other { detail },
        }
    }
}

type Class = fn(String) -> RepoError;

/// In this order: a missing repository over SSH also says "could not read from remote repository".
const CLASSES: &[(&[&str], Class)] = &[
    (AUTHENTICATION, |detail| RepoError::Authentication { detail }),
    (REFUSED, |detail| RepoError::Refused { detail }),
    (NOT_FOUND, |detail| RepoError::NotFound { detail }),
    (CORRUPT, |detail| RepoError::Corrupt { detail }),
    (UNREACHABLE, |detail| RepoError::Unreachable { detail }),
];

const AUTHENTICATION: &[&str] = &[
    "Authentication failed",
    "could not read Username",
    "could not read Password",
    "terminal prompts disabled",
    "Permission denied (",
    "Host key verification failed",
    "returned error: 401",
    "returned error: 403",
];
const REFUSED: &[&str] = &["detected dubious ownership", "transport '"];
const NOT_FOUND: &[&str] = &[
    "does not appear to be a git repository",
    "Repository not found",
    "' not found",
    "does not exist",
    "returned error: 404",
];
const CORRUPT: &[&str] = &[
    "bad object",
    "corrupt",
    "did not send all necessary objects",
    "missing blob",
    "missing tree",
    "unresolved deltas",
    "inflate: data stream error",
    "unable to read tree",
];
const UNREACHABLE: &[&str] = &[
    "Could not resolve host",
    "Connection refused",
    "Connection timed out",
    "Connection reset",
    "Connection closed",
    "Operation timed out",
    "Network is unreachable",
    "No route to host",
    "unable to access",
    "hung up unexpectedly",
    "hung up upon initial contact",
    "expected flush after",
    "info/refs not valid",
    "invalid server response",
    "bad line length",
    "protocol error",
    "unexpected disconnect",
    "early EOF",
    "RPC failed",
    "Could not read from remote repository",
];

/// The lines of a failed git that say something: its errors and the server's words, or else all of them.
pub(crate) fn essence(stderr: &str) -> String {
    const TELLING: [&str; 4] = ["fatal: ", "error: ", "remote: ", "ssh: "];
    let lines = || stderr.lines().map(str::trim).filter(|line| !line.is_empty());
    let telling: Vec<&str> =
        lines().filter(|line| TELLING.iter().any(|start| line.starts_with(start))).take(12).collect();
    match telling.is_empty() {
        false => telling.join("; "),
        true => lines().take(12).collect::<Vec<_>>().join("; "),
    }
}

/// For an object or revision that the caller named. What is missing *below* it is damage, see `objects.rs`.
impl From<git2::Error> for RepoError {
    fn from(error: git2::Error) -> Self {
        let detail = error.message().to_owned();
        match error.code() {
            ErrorCode::NotFound | ErrorCode::UnbornBranch => Self::NotFound { detail },
            ErrorCode::HashsumMismatch => Self::Corrupt { detail },
            ErrorCode::Owner | ErrorCode::InvalidSpec => Self::Refused { detail },
            _ => Self::Other { detail },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_git_are_classed() {
        let class = |words: &str| RepoError::from_stderr(words);
        assert!(matches!(class("fatal: Authentication failed for 'https://h/r'"), RepoError::Authentication { .. }));
        assert!(matches!(
            class("fatal: '/x' does not appear to be a git repository\nfatal: Could not read from remote repository."),
            RepoError::NotFound { .. }
        ));
        assert!(matches!(
            class("fatal: unable to access 'https://h/': Could not resolve host: h"),
            RepoError::Unreachable { .. }
        ));
        assert!(matches!(
            class("fatal: unable to access 'https://h/': The requested URL returned error: 403"),
            RepoError::Authentication { .. }
        ));
        assert!(matches!(class("fatal: something new"), RepoError::Other { .. }));
    }
}
