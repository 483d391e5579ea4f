//! A file as text: decoding, lines, and the characters that may not be in it.

use std::sync::Arc;

use super::FILE_BYTES_MAX;
use crate::diagnostic::{Diagnostic, Problems, Span};

/// The text of a file, by lines.
#[derive(Clone, Debug)]
pub struct Source {
    path: Arc<str>,
    text: Arc<str>,
    line_starts: Arc<[usize]>,
    /// Where the parser sees other lines than everybody else; empty where it does not.
    rows: Arc<[(usize, usize)]>,
}

impl Source {
    pub(super) fn new(path: &str, text: &str) -> Self {
        let after_breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        let line_starts = std::iter::once(0).chain(after_breaks).collect();
        Self { path: path.into(), text: text.into(), line_starts, rows: rows(text).into() }
    }

    /// The file, relative to the fleet repository.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// A line without its break; the first is 1.
    pub fn line(&self, line: usize) -> Option<&str> {
        let start = *self.line_starts.get(line.checked_sub(1)?)?;
        let rest = self.text.get(start..)?;
        let text = rest.split_once('\n').map_or(rest, |(text, _)| text);
        Some(text.strip_suffix('\r').unwrap_or(text))
    }

    /// The place, no further right than behind the end of its line: a scanner that gave up may be further on.
    pub(crate) fn within(&self, span: Span) -> Span {
        let width = self.line(span.line).map_or(0, |line| line.chars().count());
        let column = span.column.min(width + 1);
        Span { column, end_column: column + 1, ..span }
    }

    /// The line that the parser counts as this one, and how many of its characters are before it. A text that ends within
    /// a line is taken for one line more, which is none here.
    pub(crate) fn row(&self, of_parser: usize) -> Option<(usize, usize)> {
        match self.rows.is_empty() {
            true => (of_parser <= self.line_starts.len()).then_some((of_parser, 0)),
            false => self.rows.get(of_parser.checked_sub(1)?).copied(),
        }
    }

    /// Behind the last character of the last line that has any.
    pub(crate) fn end(&self) -> Span {
        let lines = self.text.trim_end_matches(['\n', '\r']);
        let column = lines.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Span { line: lines.matches('\n').count() + 1, column, end_column: column + 1 }
    }

    /// The problem with its source line, if it has a place.
    pub(crate) fn with_snippet(&self, problem: Diagnostic) -> Diagnostic {
        let line = problem.span.and_then(|span| self.line(span.line));
        match (problem.span, line) {
            (Some(span), Some(line)) if problem.snippet.is_none() => problem.at(without_blanks(span, line), line),
            _ => problem,
        }
    }
}

/// The parser begins a line behind a carriage return that stands alone, too; editors and annotations do not.
fn rows(text: &str) -> Vec<(usize, usize)> {
    let (mut rows, mut alone) = (vec![(1, 0)], false);
    let (mut line, mut column) = (1, 0);
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        column += 1;
        match c {
            '\n' => {
                (line, column) = (line + 1, 0);
                rows.push((line, column));
            }
            '\r' if characters.peek() != Some(&'\n') => {
                alone = true;
                rows.push((line, column));
            }
            _ => {}
        }
    }
    if alone { rows } else { Vec::new() }
}

/// The parser counts blanks after a quoted text as part of it.
fn without_blanks(span: Span, line: &str) -> Span {
    let covered = span.end_column.saturating_sub(span.column);
    let text: String = line.chars().skip(span.column - 1).take(covered).collect();
    let blanks = text.chars().rev().take_while(|c| *c == ' ').count();
    Span { end_column: (span.end_column - blanks).max(span.column + 1), ..span }
}

/// Characters that change the direction of text: a reviewer would see another file than the parser.
pub(crate) fn is_bidi_override(c: char) -> bool {
    matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// Characters that no file has a use for: terminals obey them, editors hide them.
pub(crate) fn is_control(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\t')) || matches!(c, '\u{FEFF}' | '\u{FFFE}' | '\u{FFFF}')
}

/// Characters of no width, and ends of lines to some editors alone: what they stand in reads as another text.
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(c, '\u{00AD}' | '\u{180E}' | '\u{200B}' | '\u{2028}' | '\u{2029}' | '\u{2060}'..='\u{2064}' | '\u{E0000}'..='\u{E007F}')
}

/// The first line of what Git LFS leaves in place of a file.
const LARGE_FILE_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

pub(super) fn decode(path: &str, bytes: &[u8]) -> Result<Source, Box<Diagnostic>> {
    let refuse = |rule, message: String| Diagnostic::error(rule, path, message);
    if bytes.starts_with(LARGE_FILE_POINTER) {
        let problem = refuse("large-file-pointer", "the file is a pointer of Git LFS, not the document".into());
        return Err(Box::new(problem.hint("take it out of LFS: `git lfs untrack`, and commit the file itself")));
    }
    if bytes.len() > FILE_BYTES_MAX {
        let message = format!("the file has {} bytes; at most {FILE_BYTES_MAX} are read", bytes.len());
        return Err(Box::new(refuse("file-too-large", message)));
    }
    if let Some(encoding) = foreign_encoding(bytes) {
        let problem = refuse("not-utf8", format!("the file is {encoding}, not UTF-8"));
        return Err(Box::new(problem.hint("save it as UTF-8 without a byte order mark")));
    }
    let body = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let text = std::str::from_utf8(body).map_err(|error| Box::new(not_utf8(path, body, error.valid_up_to())))?;
    if body.len() != bytes.len() {
        let problem = refuse("byte-order-mark", "the file begins with a byte order mark".into());
        return Err(Box::new(problem.hint("save it as UTF-8 without a byte order mark")));
    }
    Ok(Source::new(path, text))
}

fn foreign_encoding(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0xFF, 0xFE, 0, 0, ..] | [0, 0, 0xFE, 0xFF, ..] => Some("UTF-32"),
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => Some("UTF-16"),
        [first, 0, ..] | [0, first, ..] if *first != 0 => Some("UTF-16"),
        _ => None,
    }
}

fn not_utf8(path: &str, bytes: &[u8], valid: usize) -> Diagnostic {
    let before = String::from_utf8_lossy(&bytes[..valid]);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    let message = format!("byte {valid} (0x{:02X}) is not UTF-8", bytes.get(valid).unwrap_or(&0));
    Diagnostic::error("not-utf8", path, message)
        .spanned(Some(Span { line, column, end_column: column + 1 }))
        .hint("save the file as UTF-8")
}

/// The characters of the raw text, comments included: what a reviewer sees is what is read.
pub(super) fn check(source: &Source, problems: &mut Problems) {
    for (index, line) in source.text.split('\n').enumerate() {
        let line = line.strip_suffix('\r').unwrap_or(line);
        check_line(source.path(), index + 1, line, problems);
        if problems.is_full() {
            return;
        }
    }
    check_directive(source, problems);
}

/// Tells each kind of unwanted character once a line.
fn check_line(path: &str, line: usize, text: &str, problems: &mut Problems) {
    let mut told: Vec<&str> = Vec::new();
    for (index, c) in text.chars().enumerate() {
        let Some((rule, message, hint)) = unwanted(c) else { continue };
        if !told.contains(&rule) {
            told.push(rule);
            let span = Span { line, column: index + 1, end_column: index + 2 };
            problems.add(Diagnostic::error(rule, path, message).spanned(Some(span)).hint(hint));
        }
    }
}

fn unwanted(c: char) -> Option<(&'static str, String, &'static str)> {
    let code = u32::from(c);
    match c {
        '\t' => Some(("tab", "a tab stands here".into(), "use spaces; within a quoted text write \\t")),
        _ if is_bidi_override(c) => Some((
            "bidi-override",
            format!("U+{code:04X} changes the direction of text, so that people read another file than we do"),
            "remove the character",
        )),
        _ if is_invisible(c) => Some((
            "invisible-character",
            format!("the character U+{code:04X} stands here, which nobody sees"),
            "remove the character",
        )),
        _ if is_control(c) => Some((
            "control-character",
            format!("the control character U+{code:04X} stands here"),
            "remove the character",
        )),
        _ => None,
    }
}

/// `%YAML` and `%TAG` before the document would change what it means.
fn check_directive(source: &Source, problems: &mut Problems) {
    let blank = |line: &str| line.trim().is_empty() || line.starts_with('#');
    let first = source.text.split('\n').enumerate().find(|(_, line)| !blank(line));
    let Some((index, line)) = first.filter(|(_, line)| line.starts_with('%')) else { return };
    let span = Span { line: index + 1, column: 1, end_column: line.chars().count() + 1 };
    let problem = Diagnostic::error("directive", source.path(), "YAML directives are not read").spanned(Some(span));
    problems.add(problem.hint("remove the line; files are YAML 1.2"));
}
