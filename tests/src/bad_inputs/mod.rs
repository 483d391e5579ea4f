//! Bad inputs: one case a file below `tests/bad-inputs/`, each with what is wrong, how it is made and what must be said.
//!
//! Owns the format of a case. `making` turns it into commits, `measured` runs the program and counts what it took,
//! `judging` says what of the promises was broken. The format is told to people in `tests/bad-inputs/README.md`.

pub mod judging;
pub mod making;
pub mod measured;
pub mod step;

use std::path::{Path, PathBuf};

use serde::Deserialize;

pub use step::Step;

/// One bad input.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Case {
    /// What is wrong, in a sentence.
    pub what: String,
    /// Why the input is let through, where it is: the documented tolerance.
    pub tolerated: Option<String>,
    /// The bug that this case once found.
    pub story: Option<String>,
    /// How the input is made.
    pub make: Vec<Step>,
    /// What `fleetwright validate` says of the tree.
    pub validate: Expected,
    /// What the daemon says.
    pub daemon: Expected,
    /// The sets on which something is done; the bystander alone, when left out.
    #[serde(default = "bystander_alone")]
    pub changes: Vec<String>,
    /// The sets of which clusters may leave.
    #[serde(default)]
    pub removes: Vec<String>,
    /// Whether the files as they were make everything right again.
    #[serde(default = "yes")]
    pub mends: bool,
    /// Seconds of CPU that git itself may take, where it has to hash what no fleet repository holds.
    pub git_seconds: Option<u64>,
}

/// What is said, and how it ends.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// The exit code.
    pub code: i32,
    /// Diagnostics, each with its rule, place and words.
    #[serde(default)]
    pub tells: Vec<Told>,
    /// Fragments of stdout or stderr.
    #[serde(default)]
    pub says: Vec<String>,
}

/// A diagnostic in the text that people see.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Told {
    /// The rule.
    pub rule: String,
    /// The file, and its line where there is one: `fleet.yaml:5`.
    pub at: String,
    /// A fragment of the message or the hint.
    pub says: String,
}

fn bystander_alone() -> Vec<String> {
    vec![judging::BYSTANDER.to_owned()]
}

const fn yes() -> bool {
    true
}

/// The folder of the cases.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("bad-inputs")
}

/// The case files by name, `documents/billion-laughs` for example.
pub fn files() -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    for group in listed(&folder()).into_iter().filter(|path| path.is_dir()) {
        for file in listed(&group) {
            let inside = file.strip_prefix(folder()).unwrap().with_extension("");
            found.push((inside.display().to_string(), file));
        }
    }
    found
}

fn listed(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// Reads a case; a file that is none fails as its own test does.
pub fn read(path: &Path) -> Result<Case, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let case: Case = serde_saphyr::from_str(&text).map_err(|error| error.to_string())?;
    let silent = case.validate.code == 0 && case.daemon.code == 0;
    match silent && case.tolerated.is_none() {
        true => Err("nothing is refused, and `tolerated` does not say why".to_owned()),
        false => Ok(case),
    }
}
