//! `explain`: each value of a set with the file and line that set it.

use std::path::PathBuf;

use clap::ValueEnum;
use fleetwright_core::fleet::{Explained, FleetCache, explain, read_fleet};
use fleetwright_core::snapshot::Snapshot;
use fleetwright_schema::diagnostic::Diagnostic;
use fleetwright_schema::names::SetId;
use fleetwright_schema::render;
use serde_json::{Value, json};

use super::error::{CliError, Exit};
use super::names::{set_id, unknown_set};
use super::output::{FAINT, Out, plain};
use super::source::{Clone, without_status, working_tree};
use super::table::{Cell, Table};

const EXAMPLES: &str = "\
Examples:
  fleetwright explain prod/azure/westeurope/ModelServing
  fleetwright explain clustersets/prod/azure/westeurope/ModelServing.yaml --rev main -o json";

/// The arguments of `explain`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The set, as env/cloud/region/type or by its file
    set: String,
    /// The fleet repository
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Read this commit, not the files as they stand
    #[arg(long)]
    rev: Option<String>,
    /// How it is printed
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// How the fields are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Table,
    /// A list of objects
    Json,
}

/// Reads the set and prints its fields.
pub fn run(args: &Args, out: &mut Out) -> Result<Exit, CliError> {
    let snapshot = match &args.rev {
        None => working_tree(&args.dir, &without_status)?,
        Some(revision) => {
            let clone = Clone::open(&args.dir)?;
            clone.read(&clone.commit(revision)?, &without_status)?
        }
    };
    let id = find(&snapshot, &args.set)?;
    match fields(&snapshot, &id) {
        Ok(fields) => out.print(&rendered(&fields, args.output, out.color)?)?,
        Err(diagnostics) => {
            out.print(&render::text(&diagnostics, out.color))?;
            return Ok(Exit::Problems);
        }
    }
    Ok(Exit::Sound)
}

fn find(snapshot: &Snapshot, text: &str) -> Result<SetId, CliError> {
    match set_id(text).filter(|id| snapshot.files.contains_key(id.wish_path().as_str())) {
        Some(id) => Ok(id),
        None => {
            let reading = read_fleet(snapshot, &mut FleetCache::default());
            Err(unknown_set(text, reading.sets.keys()))
        }
    }
}

/// A map that a later layer filled is shown by what is in it.
fn fields(snapshot: &Snapshot, id: &SetId) -> Result<Vec<Explained>, Vec<Diagnostic>> {
    let all = explain(snapshot, id)?;
    let filled = |field: &str| all.iter().any(|other| other.field.starts_with(&format!("{field}.")));
    Ok(all.iter().filter(|explained| !filled(&explained.field)).cloned().collect())
}

fn rendered(fields: &[Explained], format: Format, color: bool) -> Result<String, CliError> {
    match format {
        Format::Table => Ok(table(fields, color)),
        Format::Json => {
            let fields: Vec<Value> = fields.iter().map(object).collect();
            let text = serde_json::to_string_pretty(&fields);
            text.map(|text| text + "\n").map_err(|error| CliError::problem(error.to_string()))
        }
    }
}

fn object(explained: &Explained) -> Value {
    let Explained { field, value, path, line } = explained;
    let value = serde_json::from_str(value).unwrap_or(Value::Null);
    json!({ "field": field, "value": value, "source": path, "line": line })
}

fn table(fields: &[Explained], color: bool) -> String {
    let mut table = Table::new(&["FIELD", "VALUE", "SET BY"]);
    for Explained { field, value, path, line } in fields {
        let source = line.map_or_else(|| path.clone(), |line| format!("{path}:{line}"));
        table.row(vec![field.clone().into(), short(value).into(), Cell::styled(source, FAINT)]);
    }
    table.render(color)
}

/// A value as people write it, cut where it would push the source off the screen; JSON has all of it.
fn short(value: &str) -> String {
    const CHARACTERS_MAX: usize = 56;
    let text = serde_json::from_str::<String>(value).unwrap_or_else(|_| value.to_owned());
    let text = plain(&text).replace('\n', "\\n");
    match text.char_indices().nth(CHARACTERS_MAX) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing;

    #[test]
    fn each_field_is_shown_with_who_set_it() {
        let template = testing::template();
        let id = find(&template, "clustersets/staging/aws/eu-central-1/ModelServing.yaml").unwrap();
        insta::assert_snapshot!(rendered(&fields(&template, &id).unwrap(), Format::Table, false).unwrap());
    }

    #[test]
    fn a_misspelled_set_gets_the_nearest_name() {
        let error = find(&testing::template(), "prod/azure/westeurop/ModelServing").unwrap_err();
        assert_eq!(error.hint.as_deref(), Some("did you mean prod/azure/westeurope/ModelServing?"));
        assert_eq!(error.exit, Exit::Problems);
    }
}
