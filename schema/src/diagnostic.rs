//! What is wrong with a file, and where: one type for the problems of single files and for those across files.
//!
//! Owns no wording but its own; `render` turns it into text.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde::Serialize;

use crate::yaml::is_bidi_override;

/// A place in one line of a file; all numbers from 1 and in characters, `end_column` exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Span {
    /// The line.
    pub line: usize,
    /// The first character.
    pub column: usize,
    /// The character after the last one.
    pub end_column: usize,
}

/// Whether a problem refuses the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The file is refused.
    Error,
    /// The file is read; someone should look at it.
    Warning,
}

impl Severity {
    /// The lower-case word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One problem of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Diagnostic {
    /// Whether it refuses the file.
    pub severity: Severity,
    /// The rule in kebab-case: `unknown-field`.
    pub rule: &'static str,
    /// The file, relative to the fleet repository.
    pub path: String,
    /// Where in the file; the whole file when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub span: Option<Span>,
    /// A lower-case sentence without a full stop.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The source line of `span`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snippet: Option<String>,
}

impl Diagnostic {
    /// A problem that refuses the file.
    pub fn error(rule: &'static str, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, rule, path.into(), message.into())
    }

    /// A problem that does not refuse the file.
    pub fn warning(rule: &'static str, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, rule, path.into(), message.into())
    }

    fn new(severity: Severity, rule: &'static str, path: String, message: String) -> Self {
        // A message quotes the file, and not only terminals show it: the board, a pull request, a log.
        let message = visible(&message).into_owned();
        Self { severity, rule, path, span: None, message, hint: None, snippet: None }
    }

    /// With its place and the source line there.
    pub fn at(mut self, span: Span, source_line: impl Into<String>) -> Self {
        self.span = Some(span);
        self.snippet = Some(source_line.into());
        self
    }

    /// With its place alone; the source line follows, or is not known.
    pub fn spanned(mut self, span: Option<Span>) -> Self {
        self.span = span;
        self
    }

    /// With what to do about it.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(visible(&hint.into()).into_owned());
        self
    }

    /// With what to do about it, if that is known.
    pub fn hint_maybe(mut self, hint: Option<String>) -> Self {
        self.hint = hint.map(|hint| visible(&hint).into_owned());
        self
    }

    /// Whether it refuses the file.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl Ord for Diagnostic {
    fn cmp(&self, other: &Self) -> Ordering {
        let Self { severity, rule, path, span, message, hint, snippet } = self;
        (path, span, severity, rule, message, hint, snippet).cmp(&(
            &other.path,
            &other.span,
            &other.severity,
            &other.rule,
            &other.message,
            &other.hint,
            &other.snippet,
        ))
    }
}

impl PartialOrd for Diagnostic {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The most problems that are told of one file: a hostile file has one on every character.
pub const PROBLEMS_PER_FILE_MAX: usize = 100;

/// A bounded collection of one file's problems.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    list: Vec<Diagnostic>,
    left_out: usize,
}

impl Problems {
    /// Whether further problems are only counted, so that a caller can spare itself the wording.
    pub(crate) fn is_full(&self) -> bool {
        self.list.len() >= PROBLEMS_PER_FILE_MAX
    }

    pub(crate) fn add(&mut self, problem: Diagnostic) {
        match self.is_full() {
            true => self.left_out += 1,
            false => self.list.push(problem),
        }
    }

    /// As [`Self::add`]; spares itself the wording where it is only counted. Finding a place takes time, and a hostile
    /// file has a problem on every character.
    pub(crate) fn add_with(&mut self, problem: impl FnOnce() -> Diagnostic) {
        match self.is_full() {
            true => self.left_out += 1,
            false => self.list.push(problem()),
        }
    }

    pub(crate) fn extend(&mut self, problems: impl IntoIterator<Item = Diagnostic>) {
        problems.into_iter().for_each(|problem| self.add(problem));
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.list.iter().any(Diagnostic::is_error)
    }

    pub(crate) fn has_rule(&self, rule: &str) -> bool {
        self.list.iter().any(|problem| problem.rule == rule)
    }

    /// Whether something is known of this line already, so that a consequence of it isn't told as well.
    pub(crate) fn names_line(&self, line: usize) -> bool {
        self.list.iter().any(|problem| problem.span.is_some_and(|span| span.line == line))
    }

    /// All in order, with a last one that tells how many were left out.
    pub(crate) fn into_sorted(mut self, path: &str) -> Vec<Diagnostic> {
        self.list.sort();
        self.list.dedup();
        if self.left_out > 0 {
            let message = format!("{} more problems of this file are not shown", self.left_out);
            self.list.push(Diagnostic::error("too-many-problems", path, message));
        }
        self.list
    }
}

/// A text of a hostile file, with what a terminal would obey or hide written out.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    let hidden = |c: char| c.is_control() || is_bidi_override(c) || matches!(c, '\u{2028}' | '\u{2029}');
    match text.contains(hidden) {
        false => Cow::Borrowed(text),
        true => text.chars().map(|c| if hidden(c) { c.escape_unicode().to_string() } else { c.to_string() }).collect(),
    }
}

/// A text of a file as it may stand in a message: quoted, and short.
pub fn shown(text: &str) -> String {
    const CHARACTERS_MAX: usize = 60;
    match text.char_indices().nth(CHARACTERS_MAX) {
        None => format!("`{text}`"),
        Some((cut, _)) => format!("`{}…`", &text[..cut]),
    }
}

/// The nearest of the known names, if one is near enough to be meant.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Longer words are no typing errors, and the distance costs their length times that of each name.
    const CHARACTERS_MAX: usize = 64;
    if word.chars().nth(CHARACTERS_MAX).is_some() {
        return None;
    }
    let plain = |text: &str| text.to_ascii_lowercase().replace(['-', '_'], "");
    let word = plain(word);
    let distance = |name: &&str| strsim::osa_distance(&word, &plain(name));
    let best = known.into_iter().min_by_key(distance)?;
    (distance(&best) <= best.len().div_ceil(3).min(4)).then_some(best)
}

/// `did you mean …?`, if a known name is near.
pub(crate) fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(word, known).map(|name| format!("did you mean `{name}`?"))
}
