//! Diagnostics as people and tools read them: on a terminal, as JSON, as GitHub's annotations, as SARIF.

use std::borrow::Cow;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde_json::{Value, json};

use crate::diagnostic::{Diagnostic, Severity, Span};
use crate::yaml::is_bidi_override;

/// The widest source line that is shown; longer ones are cut around the place.
const WIDTH_MAX: usize = 140;

/// For terminals, after the manner of rustc; with colours if asked for.
pub fn text(diagnostics: &[Diagnostic], color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.term_width(WIDTH_MAX);
    diagnostics.iter().map(|diagnostic| renderer.render(&[group(diagnostic)]) + "\n\n").collect()
}

fn group(diagnostic: &Diagnostic) -> Group<'_> {
    let Diagnostic { severity, rule, path, span, message, hint, snippet } = diagnostic;
    let level = match severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let group = Group::with_title(level.primary_title(visible(message)).id(*rule));
    let group = match (span, snippet) {
        (Some(span), Some(line)) => {
            let at = AnnotationKind::Primary.span(bytes_of(line, *span));
            group.element(Snippet::source(line.as_str()).line_start(span.line).path(visible(path)).annotation(at))
        }
        (Some(span), None) => {
            group.element(Origin::path(visible(path)).line(span.line).char_column(span.column))
        }
        (None, _) => group.element(Origin::path(visible(path))),
    };
    match hint {
        Some(hint) => group.element(Level::HELP.with_name("hint").message(visible(hint))),
        None => group,
    }
}

/// The bytes of a line's characters; an empty range at the line's end where it is shorter.
fn bytes_of(line: &str, span: Span) -> std::ops::Range<usize> {
    let byte = |column: usize| line.char_indices().nth(column.saturating_sub(1)).map_or(line.len(), |(at, _)| at);
    byte(span.column)..byte(span.end_column.max(span.column))
}

/// A text of a hostile file, with what a terminal would obey or hide written out.
fn visible(text: &str) -> Cow<'_, str> {
    let hidden = |c: char| c.is_control() || is_bidi_override(c) || matches!(c, '\u{2028}' | '\u{2029}');
    match text.contains(hidden) {
        false => Cow::Borrowed(text),
        true => text.chars().map(|c| if hidden(c) { c.escape_unicode().to_string() } else { c.to_string() }).collect(),
    }
}

/// A JSON list, with a line break at its end.
pub fn json(diagnostics: &[Diagnostic]) -> String {
    pretty(&json!(diagnostics))
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

/// GitHub Actions' workflow commands, which become annotations of a pull request.
pub fn github(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(workflow_command).collect()
}

fn workflow_command(diagnostic: &Diagnostic) -> String {
    let Diagnostic { severity, rule, path, span, message, hint, snippet: _ } = diagnostic;
    let place = span.map(|Span { line, column, end_column }| {
        format!(",line={line},col={column},endColumn={}", end_column.saturating_sub(1).max(column))
    });
    let hint = hint.as_ref().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
    format!(
        "::{} file={}{},title={}::{}\n",
        severity.as_str(),
        escape_property(path),
        place.unwrap_or_default(),
        escape_property(rule),
        escape_data(&format!("{message}{hint}")),
    )
}

fn escape_data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn escape_property(text: &str) -> String {
    escape_data(text).replace(':', "%3A").replace(',', "%2C")
}

/// SARIF 2.1.0, for code scanning.
pub fn sarif(diagnostics: &[Diagnostic]) -> String {
    let rules: std::collections::BTreeSet<&str> = diagnostics.iter().map(|diagnostic| diagnostic.rule).collect();
    let rules: Vec<Value> = rules.into_iter().map(|rule| json!({ "id": rule })).collect();
    let results: Vec<Value> = diagnostics.iter().map(sarif_result).collect();
    pretty(&json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "fleetwright",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    }))
}

fn sarif_result(diagnostic: &Diagnostic) -> Value {
    let Diagnostic { severity, rule, path, span, message, hint, snippet: _ } = diagnostic;
    let text = hint.as_ref().map_or_else(|| message.clone(), |hint| format!("{message}. Hint: {hint}"));
    let mut location = json!({ "artifactLocation": { "uri": uri(path) } });
    if let Some(Span { line, column, end_column }) = span {
        location["region"] = json!({ "startLine": line, "startColumn": column, "endColumn": end_column });
    }
    json!({
        "ruleId": rule,
        "level": severity.as_str(),
        "message": { "text": text },
        "locations": [{ "physicalLocation": location }],
    })
}

/// A path as a relative URI reference.
fn uri(path: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~/".contains(&b);
    let encode = |b: u8| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") };
    path.bytes().map(encode).collect()
}
