//! `schema`: the JSON Schemas of all documents, for editors and other tools.

use fleetwright_schema::diagnostic::nearest;
use fleetwright_schema::json_schema::{kinds, schema};

use super::error::{CliError, Exit};
use super::output::Out;

const EXAMPLES: &str = "\
Examples:
  fleetwright schema                            the kinds, one a line
  fleetwright schema ClusterSet > ClusterSet.json";

/// The arguments of `schema`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The kind; all kinds are listed when left out
    kind: Option<String>,
}

/// Prints the kinds, or a schema.
pub fn run(args: &Args, out: &mut Out) -> Result<Exit, CliError> {
    out.print(&text(args.kind.as_deref())?)?;
    Ok(Exit::Sound)
}

fn text(kind: Option<&str>) -> Result<String, CliError> {
    let Some(kind) = kind else { return Ok(kinds().iter().map(|kind| format!("{kind}\n")).collect()) };
    let known = kinds().iter().copied().find(|known| known.eq_ignore_ascii_case(kind));
    let Some(schema) = known.and_then(schema) else {
        let hint = match nearest(kind, kinds().iter().copied()) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("known are {}", kinds().join(", ")),
        };
        return Err(CliError::problem(format!("there is no kind {kind:?}")).hint(hint));
    };
    let text = serde_json::to_string_pretty(&schema).map_err(|error| CliError::problem(error.to_string()))?;
    Ok(text + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_kind_has_a_schema() {
        for kind in text(None).unwrap().lines() {
            assert!(text(Some(kind)).unwrap().contains("$schema"), "{kind}");
        }
    }

    #[test]
    fn a_misspelled_kind_gets_the_nearest_name() {
        assert_eq!(text(Some("ClusterSte")).unwrap_err().hint.as_deref(), Some("did you mean ClusterSet?"));
    }
}
