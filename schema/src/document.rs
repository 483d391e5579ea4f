//! Reading one file of a fleet repository: strict YAML, older spellings, schema, types, single-file rules, in this order
//! and with all problems at once.

use serde_json::Value;

pub use crate::paths::{DocumentKind, expected_kind, misplaced};
pub use crate::positions::{Positions, escape};

use crate::diagnostic::{Diagnostic, Problems};
use crate::documents::{ClusterSet, ClusterType, Fleet, InfraService, RemovalApproval};
use crate::{legacy, rules, validate, yaml};

/// A document of one of the five kinds.
// A fleet has one large document and thousands of small ones; boxing it would be in every reader's way.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Document {
    /// `fleet.yaml`
    Fleet(Fleet),
    /// `cluster-types/<type>.yaml`
    ClusterType(ClusterType),
    /// `clustersets/<env>/<cloud>/<region>/<type>.yaml`
    ClusterSet(ClusterSet),
    /// `infra-services/<name>/service.yaml`
    InfraService(InfraService),
    /// `approvals/<name>.yaml`
    RemovalApproval(RemovalApproval),
}

impl Document {
    fn typed(kind: DocumentKind, value: &Value) -> Result<Self, serde_json::Error> {
        use serde::Deserialize;
        match kind {
            DocumentKind::Fleet => Fleet::deserialize(value).map(Self::Fleet),
            DocumentKind::ClusterType => ClusterType::deserialize(value).map(Self::ClusterType),
            DocumentKind::ClusterSet => ClusterSet::deserialize(value).map(Self::ClusterSet),
            DocumentKind::InfraService => InfraService::deserialize(value).map(Self::InfraService),
            DocumentKind::RemovalApproval => RemovalApproval::deserialize(value).map(Self::RemovalApproval),
        }
    }
}

/// A document that was read, with what is needed to say where a problem of it is.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// The document.
    pub document: Document,
    /// The document as JSON in the current spelling, with nothing filled in.
    pub value: Value,
    /// Where each value of `value` stands.
    pub positions: Positions,
    /// What someone should look at.
    pub warnings: Vec<Diagnostic>,
}

impl Parsed {
    /// A problem of the value at this JSON pointer (`/spec/count`), with path, place and source line.
    pub fn problem(&self, pointer: &str, rule: &'static str, message: impl Into<String>) -> Diagnostic {
        self.positions.problem(pointer, rule, message)
    }
}

/// Reads the document that the path holds, or tells all that is wrong with it, in the order of its lines.
pub fn read(path: &str, bytes: &[u8]) -> Result<Parsed, Vec<Diagnostic>> {
    let Some(kind) = expected_kind(path) else {
        let no_document = || Diagnostic::error("not-a-document", path, "no document is read from this path");
        return Err(vec![misplaced(path).unwrap_or_else(no_document)]);
    };
    let mut problems = Problems::default();
    let (source, root) = yaml::read(path, bytes, &mut problems);
    let read = root.and_then(|mut root| {
        legacy::normalise(kind, path, &mut root, &mut problems);
        let positions = Positions::new(source.clone(), root);
        typed(kind, positions, &mut problems)
    });
    let refused = problems.has_errors();
    let told = problems.into_sorted(path).into_iter().map(|problem| source.with_snippet(problem)).collect();
    match read {
        Some((document, value, positions)) if !refused => Ok(Parsed { document, value, positions, warnings: told }),
        _ => Err(told),
    }
}

/// Where unknown fields are all that is wrong, the rest is typed and checked without them, so that nobody has to repair
/// a file twice.
fn typed(kind: DocumentKind, positions: Positions, problems: &mut Problems) -> Option<(Document, Value, Positions)> {
    let value = positions.root().to_value();
    let known = validate::check(kind, &value, &positions, problems);
    match Document::typed(kind, &known) {
        Ok(document) => {
            rules::check(&document, &positions, problems);
            Some((document, value, positions))
        }
        Err(error) => {
            if !problems.has_errors() {
                problems.extend(validate::untyped(&positions, &error.to_string()));
            }
            None
        }
    }
}
