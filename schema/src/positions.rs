//! Where each value of a document stands in its file, by JSON pointer into the normalised document.

use crate::diagnostic::{Diagnostic, Span};
use crate::yaml::{Content, Entry, Node, Scalar, Source};

/// The places of a document's values.
#[derive(Clone, Debug)]
pub struct Positions {
    source: Source,
    root: Node,
}

/// A value on the way of a pointer, with its key if it is in a mapping.
struct Found<'a> {
    node: &'a Node,
    key: Option<&'a Entry>,
}

impl Positions {
    pub(crate) fn new(source: Source, root: Node) -> Self {
        Self { source, root }
    }

    /// The file, relative to the fleet repository.
    pub fn path(&self) -> &str {
        self.source.path()
    }

    /// The place of a value.
    pub fn span(&self, pointer: &str) -> Option<Span> {
        self.find(pointer).map(|found| found.node.span)
    }

    /// The place of a value's key; none for items of lists.
    pub fn key_span(&self, pointer: &str) -> Option<Span> {
        self.find(pointer).and_then(|found| found.key).map(|entry| entry.key_span)
    }

    /// A line of the file without its break; the first is 1.
    pub fn source_line(&self, line: usize) -> Option<&str> {
        self.source.line(line)
    }

    /// A problem of the value at this pointer; of what is around it, where it isn't in the file.
    pub fn problem(&self, pointer: &str, rule: &'static str, message: impl Into<String>) -> Diagnostic {
        self.placed(self.nearest_span(pointer), Diagnostic::error(rule, self.path(), message))
    }

    /// As [`Self::problem`], with the key underlined.
    pub fn key_problem(&self, pointer: &str, rule: &'static str, message: impl Into<String>) -> Diagnostic {
        let span = self.key_span(pointer).or_else(|| self.nearest_span(pointer));
        self.placed(span, Diagnostic::error(rule, self.path(), message))
    }

    /// A scalar as it was written.
    pub(crate) fn scalar(&self, pointer: &str) -> Option<&Scalar> {
        self.find(pointer)?.node.scalar()
    }

    pub(crate) fn content(&self, pointer: &str) -> Option<&Content> {
        self.find(pointer).map(|found| &found.node.content)
    }

    pub(crate) fn root(&self) -> &Node {
        &self.root
    }

    fn placed(&self, span: Option<Span>, problem: Diagnostic) -> Diagnostic {
        self.source.with_snippet(problem.spanned(span))
    }

    /// The place of a value, or of the nearest key around it that is in the file.
    fn nearest_span(&self, pointer: &str) -> Option<Span> {
        if let Some(Found { node, key }) = self.find(pointer) {
            return Some(match (&node.content, key) {
                (Content::Sequence(_) | Content::Mapping(_), Some(entry)) => entry.key_span,
                _ => node.span,
            });
        }
        let (around, _) = pointer.rsplit_once('/')?;
        self.nearest_span(around)
    }

    fn find(&self, pointer: &str) -> Option<Found<'_>> {
        let mut found = Found { node: &self.root, key: None };
        if pointer.is_empty() {
            return Some(found);
        }
        for token in pointer.strip_prefix('/')?.split('/') {
            found = step(found.node, &unescape(token))?;
        }
        Some(found)
    }
}

fn step<'a>(node: &'a Node, token: &str) -> Option<Found<'a>> {
    match &node.content {
        Content::Scalar(_) => None,
        Content::Sequence(items) => Some(Found { node: items.get(token.parse::<usize>().ok()?)?, key: None }),
        Content::Mapping(_) => node.entry(token).map(|entry| Found { node: &entry.value, key: Some(entry) }),
    }
}

/// A key as a token of a JSON pointer.
pub fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

fn unescape(token: &str) -> String {
    token.replace("~1", "/").replace("~0", "~")
}
