//! What must hold of every diagnostic, whatever it is about.

use fleetwright_schema::diagnostic::{Diagnostic, PROBLEMS_PER_FILE_MAX, Span};
use fleetwright_schema::render;

use super::Reached;
use super::archive::Files;

/// Problems of a file as a whole, or of one that is not there: they have no line.
const WITHOUT_LINE: [&str; 10] = [
    "byte-order-mark",
    "empty-document",
    "file-too-large",
    "fleet-missing",
    "misplaced-file",
    "not-a-document",
    "not-utf8",
    "path-mismatch",
    "refused-entry",
    "too-many-problems",
];

/// No message is longer: it quotes at most a few short pieces of the file.
const MESSAGE_BYTES_MAX: usize = 4096;

/// Whether a terminal would obey or hide this character, or show the text around it in another order.
pub fn is_unseen(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
}

/// Judges the problems that were told of these files.
pub fn judge(diagnostics: &[Diagnostic], files: &Files, reached: &mut Reached) {
    for diagnostic in diagnostics {
        judge_one(diagnostic, files);
        reached.insert(format!("rule {}", diagnostic.rule));
    }
    let seen = |text: &str| text.chars().all(|c| c == '\n' || !is_unseen(c));
    for text in [render::text(diagnostics, false), render::github(diagnostics)] {
        assert!(seen(&text), "what is printed holds raw control characters: {text:?}");
    }
    for text in [render::json(diagnostics), render::sarif(diagnostics)] {
        assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "no JSON: {text}");
    }
}

/// Judges the problems of one file, which are bounded.
pub fn judge_file(diagnostics: &[Diagnostic], path: &str, files: &Files, reached: &mut Reached) {
    assert!(diagnostics.len() <= PROBLEMS_PER_FILE_MAX + 1, "{} problems of one file", diagnostics.len());
    for diagnostic in diagnostics {
        assert_eq!(diagnostic.path, path, "told of another file: {diagnostic:?}");
    }
    judge(diagnostics, files, reached);
}

fn judge_one(diagnostic: &Diagnostic, files: &Files) {
    let Diagnostic { severity: _, rule, path, span, message, hint, snippet: _ } = diagnostic;
    for text in [message].into_iter().chain(hint) {
        assert!(!text.is_empty() && text.len() <= MESSAGE_BYTES_MAX, "{} bytes: {diagnostic:?}", text.len());
        assert!(!text.contains(is_unseen), "raw control characters: {diagnostic:?}");
    }
    assert!(!path.is_empty(), "{diagnostic:?}");
    let content = files.get(path);
    let known = content.is_some() || files.contains_key(&format!("!{path}")) || *rule == "fleet-missing";
    assert!(known, "told of a file that is not there: {diagnostic:?}");
    match (span, content) {
        (Some(span), Some(content)) => judge_span(*span, content, diagnostic),
        (Some(_), None) => panic!("a line in a file that is not there: {diagnostic:?}"),
        (None, _) => assert!(WITHOUT_LINE.contains(rule), "it has no line: {diagnostic:?}"),
    }
}

fn judge_span(span: Span, content: &[u8], diagnostic: &Diagnostic) {
    let Span { line, column, end_column } = span;
    let lines: Vec<&[u8]> = content.split(|byte| *byte == b'\n').collect();
    assert!((1..=lines.len()).contains(&line), "line {line} of {}: {diagnostic:?}", lines.len());
    let width = String::from_utf8_lossy(lines[line - 1]).chars().count();
    assert!((1..=width + 1).contains(&column), "column {column} of {width}: {diagnostic:?}");
    assert!((column..=width + 2).contains(&end_column), "to column {end_column} of {width}: {diagnostic:?}");
}
