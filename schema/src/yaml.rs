//! Strict YAML: bytes to a tree of nodes with places, with every problem told instead of guessed around.
//!
//! A tree is bounded before it is built: size, depth, anchors, and the nodes that aliases stand for. Knows no document.

mod build;
mod scalar;
mod text;

use serde_json::Value;

pub use scalar::Scalar;
pub use text::Source;
pub(crate) use text::is_bidi_override;

use crate::diagnostic::{Problems, Span};

/// The largest file that is read, in bytes.
pub const FILE_BYTES_MAX: usize = 256 * 1024;
/// How deep a document may be nested; the deepest of ours is 9.
pub const DEPTH_MAX: usize = 32;
/// How many anchors a document may have.
pub const ANCHORS_MAX: usize = 16;
/// How many nodes all aliases of a document may stand for together: a billion laughs need more.
pub const ALIAS_NODES_MAX: usize = 1_000;

/// A value with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The place of a scalar, or of the first line of a collection.
    pub span: Span,
    /// What it is.
    pub content: Content,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// A text, number, boolean or nothing.
    Scalar(Scalar),
    /// A list.
    Sequence(Vec<Node>),
    /// A map with text keys, each once, in the order of the file.
    Mapping(Vec<Entry>),
}

impl Content {
    /// The entries of a mapping, to be changed.
    pub(crate) fn entries_mut(&mut self) -> Option<&mut Vec<Entry>> {
        match self {
            Self::Mapping(entries) => Some(entries),
            Self::Scalar(_) | Self::Sequence(_) => None,
        }
    }
}

/// A key with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// The key's place.
    pub key_span: Span,
    /// The value.
    pub value: Node,
}

impl Node {
    /// The entries of a mapping.
    pub fn entries(&self) -> Option<&[Entry]> {
        match &self.content {
            Content::Mapping(entries) => Some(entries),
            Content::Scalar(_) | Content::Sequence(_) => None,
        }
    }

    /// The entry of this key, if this is a mapping that has it.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries()?.iter().find(|entry| entry.key == key)
    }

    /// The scalar, if this is one.
    pub fn scalar(&self) -> Option<&Scalar> {
        match &self.content {
            Content::Scalar(scalar) => Some(scalar),
            Content::Sequence(_) | Content::Mapping(_) => None,
        }
    }

    /// The value without places. Recursion is bounded by [`DEPTH_MAX`].
    pub fn to_value(&self) -> Value {
        match &self.content {
            Content::Scalar(scalar) => scalar.to_value(),
            Content::Sequence(items) => items.iter().map(Self::to_value).collect(),
            Content::Mapping(entries) => {
                entries.iter().map(|entry| (entry.key.clone(), entry.value.to_value())).collect()
            }
        }
    }
}

/// Reads one document; `None` when nothing can be said about what it holds.
pub(crate) fn read(path: &str, bytes: &[u8], problems: &mut Problems) -> (Source, Option<Node>) {
    match text::decode(path, bytes) {
        Ok(source) => {
            text::check(&source, problems);
            let root = build::build(&source, problems);
            (source, root)
        }
        Err(problem) => {
            problems.add(*problem);
            (Source::new(path, ""), None)
        }
    }
}
