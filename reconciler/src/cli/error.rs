//! How a command ends: its exit code, and the one error type at the edge, with a hint.

use std::fmt;
use std::process::ExitCode;

use fleetwright_repo::{PushError, RepoError};

/// The exit codes, as `fleetwright --help` tells them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Sound, or done.
    Sound = 0,
    /// Problems were found.
    Problems = 1,
    /// The arguments make no sense.
    Usage = 2,
    /// Settled, but something waits for a person.
    Waiting = 3,
    /// The repository can't be reached or read.
    Unreadable = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command has no result.
#[derive(Debug)]
pub struct CliError {
    /// How the process ends.
    pub exit: Exit,
    /// A lower-case sentence without a full stop.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl CliError {
    /// Something is wrong with what was asked about.
    pub fn problem(message: impl Into<String>) -> Self {
        Self { exit: Exit::Problems, message: message.into(), hint: None }
    }

    /// The arguments make no sense.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, message: message.into(), hint: None }
    }

    /// The repository can't be reached or read.
    pub fn unreadable(message: impl Into<String>) -> Self {
        Self { exit: Exit::Unreadable, message: message.into(), hint: None }
    }

    /// With what to do about it.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With what to do about it, if that is known.
    pub fn hint_maybe(mut self, hint: Option<String>) -> Self {
        self.hint = hint.or(self.hint);
        self
    }

    /// For the failure of a system call on a file.
    pub fn io(what: impl fmt::Display, error: &std::io::Error) -> Self {
        Self::problem(format!("{what}: {error}"))
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<RepoError> for CliError {
    fn from(error: RepoError) -> Self {
        let hint = match &error {
            RepoError::Authentication { .. } => Some("git on this machine must be able to read it without a prompt"),
            RepoError::Unreachable { .. } | RepoError::TimedOut { .. } => Some("try again later"),
            RepoError::NotFound { .. }
            | RepoError::Corrupt { .. }
            | RepoError::Refused { .. }
            | RepoError::TooLarge { .. }
            | RepoError::Other { .. } => None,
        };
        Self::unreadable(error.to_string()).hint_maybe(hint.map(str::to_owned))
    }
}

impl From<PushError> for CliError {
    fn from(error: PushError) -> Self {
        let exit = match &error {
            PushError::Unreachable { .. } | PushError::Authentication { .. } | PushError::UnknownResult { .. } => {
                Exit::Unreadable
            }
            PushError::Rejected { .. }
            | PushError::Declined { .. }
            | PushError::NotSent { .. }
            | PushError::Other { .. } => Exit::Problems,
        };
        Self { exit, message: error.to_string(), hint: None }
    }
}
