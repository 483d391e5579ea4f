//! `validate`: everything that is wrong with a fleet repository, at once.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use fleetwright_core::fleet::{FleetCache, read_fleet};
use fleetwright_core::snapshot::{CommitId, Snapshot};
use fleetwright_schema::diagnostic::Diagnostic;
use fleetwright_schema::document::expected_kind;
use fleetwright_schema::render;

use super::error::{CliError, Exit};
use super::output::{Out, counted};
use super::source::{Clone, only_status, without_status, working_tree};

const EXAMPLES: &str = "\
Examples:
  fleetwright validate                          the working tree
  fleetwright validate my-fleet --rev main      a commit
  fleetwright validate --base main -o github    annotations on a pull request, edits of status/ refused";

/// The arguments of `validate`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The fleet repository
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Read this commit, not the files as they stand
    #[arg(long)]
    rev: Option<String>,
    /// Refuse changes below status/ since the history parted from this commit: the bot alone writes there
    #[arg(long, value_name = "REV")]
    base: Option<String>,
    /// How problems are printed
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// How problems are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// A list of objects
    Json,
    /// Workflow commands, which GitHub shows on the lines
    Github,
    /// SARIF 2.1.0, for code scanning
    Sarif,
}

/// Reads, tells what is wrong, and counts it on stderr.
pub fn run(args: &Args, out: &mut Out) -> Result<Exit, CliError> {
    let snapshot = match &args.rev {
        None => working_tree(&args.dir, &without_status)?,
        Some(revision) => {
            let clone = Clone::open(&args.dir)?;
            clone.read(&clone.commit(revision)?, &without_status)?
        }
    };
    let mut diagnostics = problems(&snapshot);
    if let Some(base) = &args.base {
        diagnostics.extend(edits_of_status(&args.dir, base, args.rev.as_deref())?);
        diagnostics.sort();
    }
    out.print(&rendered(&diagnostics, args.output, out.color))?;
    out.note(&summary(&diagnostics, documents(&snapshot)));
    Ok(exit(&diagnostics))
}

/// Everything that is wrong with the files of a snapshot.
pub fn problems(snapshot: &Snapshot) -> Vec<Diagnostic> {
    read_fleet(snapshot, &mut FleetCache::default()).diagnostics
}

/// How the command ends: warnings refuse nothing.
pub fn exit(diagnostics: &[Diagnostic]) -> Exit {
    match diagnostics.iter().any(Diagnostic::is_error) {
        true => Exit::Problems,
        false => Exit::Sound,
    }
}

/// The problems in a format.
pub fn rendered(diagnostics: &[Diagnostic], format: Format, color: bool) -> String {
    match format {
        Format::Text => render::text(diagnostics, color),
        Format::Json => render::json(diagnostics),
        Format::Github => render::github(diagnostics),
        Format::Sarif => render::sarif(diagnostics),
    }
}

/// How many documents a snapshot holds.
pub fn documents(snapshot: &Snapshot) -> usize {
    snapshot.files.keys().filter(|path| expected_kind(path).is_some()).count()
}

/// `3 errors, 1 warning in 12 files`.
pub fn summary(diagnostics: &[Diagnostic], documents: usize) -> String {
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
    let warnings = diagnostics.len() - errors;
    let parts = [(errors, "error", "errors"), (warnings, "warning", "warnings")];
    let told: Vec<String> = parts
        .into_iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(count, one, many)| counted(count, one, many))
        .collect();
    match told.is_empty() {
        true if documents == 1 => "1 file is sound".to_owned(),
        true => format!("{documents} files are sound"),
        false => format!("{} in {}", told.join(", "), counted(documents, "file", "files")),
    }
}

/// Files below `status/` that differ from where the history parted from the base.
fn edits_of_status(dir: &Path, base: &str, head: Option<&str>) -> Result<Vec<Diagnostic>, CliError> {
    let clone = Clone::open(dir)?;
    let base = clone.commit(base)?;
    let head_commit = clone.commit(head.unwrap_or("HEAD"))?;
    let parted = parting(&clone, &base, &head_commit)?;
    let before = clone.read(&parted, &only_status)?;
    let after = match head {
        Some(_) => clone.read(&head_commit, &only_status)?,
        None => working_tree(dir, &only_status)?,
    };
    Ok(status_edits(&before, &after))
}

/// Where a history parted from a base; the base itself, where they have nothing in common.
pub fn parting(clone: &Clone, base: &CommitId, head: &CommitId) -> Result<CommitId, CliError> {
    Ok(clone.merge_base(base, head)?.unwrap_or_else(|| base.clone()))
}

fn status_edits(before: &Snapshot, after: &Snapshot) -> Vec<Diagnostic> {
    let paths: std::collections::BTreeSet<&str> =
        before.files.keys().chain(after.files.keys()).map(|path| &**path).collect();
    let blob = |snapshot: &Snapshot, path: &str| snapshot.files.get(path).map(|file| file.blob.clone());
    let changed = paths.into_iter().filter(|path| blob(before, path) != blob(after, path));
    changed
        .map(|path| {
            Diagnostic::error("status-is-written-by-the-bot", path, "files below status/ are written by the bot alone")
                .hint("take the change out: what stands there is rewritten from what exists")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing;

    const SET: &str = "clustersets/prod/azure/westeurope/ModelServing.yaml";

    #[test]
    fn a_sound_fleet_is_counted() {
        let template = testing::template();
        assert_eq!(problems(&template), Vec::new());
        assert_eq!(summary(&[], documents(&template)), "10 files are sound");
        assert_eq!(exit(&[]), Exit::Sound);
    }

    #[test]
    fn every_problem_is_told_with_its_place() {
        let broken = testing::edited(&testing::template(), SET, "count: 5", "cuont: 5\n  kubernetesVersion: 1.33");
        let diagnostics = problems(&broken);
        insta::assert_snapshot!(rendered(&diagnostics, Format::Text, false));
        assert_eq!(exit(&diagnostics), Exit::Problems);
        assert_eq!(summary(&diagnostics, documents(&broken)), "2 errors in 10 files");
    }

    #[test]
    fn a_warning_refuses_nothing() {
        let warned = testing::without(&testing::template(), "cluster-types/Training.yaml");
        let diagnostics = problems(&warned);
        assert_eq!(exit(&diagnostics), Exit::Sound, "{diagnostics:?}");
        assert_eq!(summary(&diagnostics, documents(&warned)), "1 warning in 9 files");
    }

    #[test]
    fn edits_of_status_are_refused() {
        let template = testing::template();
        let before = testing::with_status(&template, &testing::built(&template));
        assert_eq!(status_edits(&before, &before), Vec::new());
        let path = "status/clustersets/prod/azure/westeurope/ModelServing.yaml";
        let after = testing::edited(&before, path, "READY", "DRAINED");
        let found = status_edits(&before, &after);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].rule, found[0].path.as_str()), ("status-is-written-by-the-bot", path));
    }
}
