//! Diagnostics as people and tools read them: on a terminal, as JSON, as GitHub's annotations, as SARIF.

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde_json::{Value, json};

use crate::diagnostic::{Diagnostic, Severity, Span, visible};

/// The widest source line that is shown; longer ones are cut around the place.
const WIDTH_MAX: usize = 140;

/// For terminals, after the manner of rustc; with colours if asked for.
pub fn text(diagnostics: &[Diagnostic], color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.term_width(WIDTH_MAX + 40);
    diagnostics.iter().map(|diagnostic| one(diagnostic, &renderer) + "\n\n").collect()
}

/// The renderer takes the column from the line that it is given; where that was cut, the true one is put in its place.
fn one(diagnostic: &Diagnostic, renderer: &Renderer) -> String {
    let excerpt = diagnostic.span.zip(diagnostic.snippet.as_ref()).map(|(span, line)| excerpt(line, span));
    let rendered = renderer.render(&[group(diagnostic, excerpt.as_ref())]);
    let (Some(span), Some((_, at))) = (diagnostic.span, excerpt) else { return rendered };
    // The title is one line, as nothing in it breaks lines any more; the place is the second.
    let Some((title, rest)) = rendered.split_once('\n') else { return rendered };
    let (shown, true_place) = (format!(":{}:{}", at.line, at.column), format!(":{}:{}", span.line, span.column));
    let (place, source) = rest.split_once('\n').unwrap_or((rest, ""));
    match place.rsplit_once(&shown) {
        Some((path, style)) => format!("{title}\n{path}{true_place}{style}\n{source}"),
        None => rendered,
    }
}

fn group<'a>(diagnostic: &'a Diagnostic, excerpt: Option<&'a (String, Span)>) -> Group<'a> {
    let Diagnostic { severity, rule, path, span, message, hint, snippet: _ } = diagnostic;
    let level = match severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let group = Group::with_title(level.primary_title(visible(message)).id(*rule));
    let group = match (excerpt, span) {
        (Some((line, at)), _) => {
            let mark = AnnotationKind::Primary.span(bytes_of(line, *at));
            group.element(Snippet::source(line).line_start(at.line).path(visible(path)).annotation(mark))
        }
        (None, Some(span)) => group.element(Origin::path(visible(path)).line(span.line).char_column(span.column)),
        (None, None) => group.element(Origin::path(visible(path))),
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

/// What is shown of a source line, with the place in it. The renderer cuts long lines as well, but reads all of them, and
/// a hostile file has a hundred problems in a line of 256 KiB.
fn excerpt(line: &str, span: Span) -> (String, Span) {
    let skipped = span.column.saturating_sub(1 + WIDTH_MAX / 2);
    let shown: String = line.chars().skip(skipped).take(WIDTH_MAX).map(drawn).collect();
    let cut = line.chars().nth(skipped + WIDTH_MAX).is_some();
    let (before, after) = (if skipped > 0 { "…" } else { "" }, if cut { "…" } else { "" });
    let shift = |column: usize| column - skipped + before.chars().count();
    let end_column = span.end_column.min(skipped + WIDTH_MAX + 1);
    let at = Span { column: shift(span.column), end_column: shift(end_column.max(span.column)), ..span };
    (format!("{before}{shown}{after}"), at)
}

/// The renderer draws control characters as pictures, but lets these through to the terminal.
fn drawn(c: char) -> char {
    let obeyed = matches!(c, '\u{80}'..='\u{9F}' | '\u{2028}' | '\u{2029}' | '\u{FEFF}');
    if obeyed { char::REPLACEMENT_CHARACTER } else { c }
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
