//! What is found out of an account before anything is made in it.

use serde::Serialize;

/// What was found out about one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at: `permissions`.
    pub what: String,
    /// How it is.
    pub verdict: Verdict,
    /// What was seen.
    pub detail: String,
    /// What mends it; empty where nothing has to be mended.
    pub hint: String,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Verdict {
    /// As it should be.
    Fine,
    /// Clusters can be made, but not for long, or it could not be seen.
    Warning,
    /// Clusters can't be made.
    Broken,
}

impl Finding {
    /// A finding, with what mends it.
    pub fn new(what: &str, verdict: Verdict, detail: impl Into<String>, hint: &str) -> Self {
        Self { what: what.to_owned(), verdict, detail: detail.into(), hint: hint.to_owned() }
    }
}
