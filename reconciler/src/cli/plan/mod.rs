//! `plan`: what merging a change would do, by the very function that the daemon calls.
//!
//! No cloud is read: what the record says is assumed to be there, as [`assume`] writes it down. No clock is read: the same
//! input gives the same bytes. Only `--quotas` asks the accounts what room they have, and changes nothing of the plan.

pub(super) mod assume;
mod difference;
mod markdown;
mod quotas;
mod sides;
mod summary;
mod text;

use std::path::PathBuf;

use clap::ValueEnum;
use fleetwright_schema::diagnostic::Diagnostic;
use fleetwright_schema::units::Timestamp;

use super::error::{CliError, Exit};
use super::output::Out;
use super::validate;
use sides::Sides;
use summary::Summary;

const EXAMPLES: &str = "\
Examples:
  fleetwright plan                              the working tree against what exists
  fleetwright plan --base main                  only what differs from main
  fleetwright plan --base main --head HEAD -o markdown
                                                for a comment on a pull request
  fleetwright plan --quotas                     is there room for it in the real accounts?
  fleetwright plan --now 2026-12-24T12:00:00Z   what would freezes and windows say then?

What exists is read from the files below status/; no cloud is asked, and no clock: freezes and windows are judged at
--now, else at the newest time that the status names. --quotas asks, by the roles that may only look; with --base, as
the accounts are named there and not as the change names them. What has no room is told and changes no exit code.

The JSON has stable fields in a stable order: commit, workingTree, base, judgedAt, totals, removalApproval, shared,
sets, objections, and with --quotas quotas (place, clusters, error, and of each quota name, code, limit, used,
perCluster, ofNetwork, tooMany). Of each set: set, action, class, wave, changes (field, from, to, class, why), create, update, rotate,
remove, batches, maxSurge, estimateSeconds, rollbackWindowSeconds, clusters (name, class), waiting (type, reason,
message).";

/// The arguments of `plan`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The fleet repository
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Merge into this commit, and list only sets whose wish the change touches
    #[arg(long, value_name = "REV")]
    base: Option<String>,
    /// Plan this commit, not the files as they stand
    #[arg(long, value_name = "REV")]
    head: Option<String>,
    /// Judge freezes and windows at this time, RFC 3339
    #[arg(long, value_name = "TIME", value_parser = str::parse::<Timestamp>)]
    now: Option<Timestamp>,
    /// Ask the real accounts how much of their quotas is left, too
    #[arg(long)]
    quotas: bool,
    /// How the plan is printed
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// How a plan is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// Folded, for a comment or a job's summary
    Markdown,
    /// For programs
    Json,
}

/// Reads both sides, plans, and prints.
pub fn run(args: &Args, out: &mut Out) -> Result<Exit, CliError> {
    if args.quotas && args.head.is_some() && args.base.is_none() {
        let why = "--quotas with --head needs --base: a change doesn't choose by which roles accounts are entered";
        return Err(CliError::usage(why));
    }
    let sides = Sides::read(&args.dir, args.base.as_deref(), args.head.as_deref(), args.now)?;
    match summary::summarise(&sides) {
        Ok(mut summary) => {
            if args.quotas {
                summary.quotas = Some(summary::quotas(&sides, &summary.sets)?);
            }
            out.print(&rendered(&summary, args.output, out.color)?)?;
            Ok(Exit::Sound)
        }
        Err(diagnostics) => {
            out.print(&refusal(&diagnostics, args.output, out.color))?;
            out.note(&validate::summary(&diagnostics, validate::documents(&sides.head)));
            out.note("nothing is planned while there are errors");
            Ok(Exit::Problems)
        }
    }
}

/// The errors of a head that can't be planned, in what comes nearest to the format.
fn refusal(diagnostics: &[Diagnostic], format: Format, color: bool) -> String {
    match format {
        Format::Text => validate::rendered(diagnostics, validate::Format::Text, color),
        Format::Json => validate::rendered(diagnostics, validate::Format::Json, false),
        Format::Markdown => {
            // No line of it can end the fence: source lines have their number before them.
            let text = validate::rendered(diagnostics, validate::Format::Text, false);
            format!("## Fleetwright plan\n\nNothing is planned while there are errors.\n\n~~~~~~text\n{text}~~~~~~\n")
        }
    }
}

fn rendered(summary: &Summary, format: Format, color: bool) -> Result<String, CliError> {
    match format {
        Format::Text => Ok(text::text(summary, color)),
        Format::Markdown => Ok(markdown::markdown(summary)),
        Format::Json => {
            let text = serde_json::to_string_pretty(summary);
            text.map(|text| text + "\n").map_err(|error| CliError::problem(error.to_string()))
        }
    }
}

#[cfg(test)]
mod tests;
