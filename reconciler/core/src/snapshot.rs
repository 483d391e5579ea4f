//! What was read from Git at one commit: bytes by path, before anything is parsed.
//!
//! Owns no IO: `fleetwright-repo` fills a [`Snapshot`], everything after it is pure.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The hexadecimal id of a commit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitId(Arc<str>);

/// The hexadecimal id of a blob; the key of the parse cache.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobId(Arc<str>);

macro_rules! object_id {
    ($name:ident) => {
        impl $name {
            /// Takes 40 or 64 hexadecimal digits, in lower case; anything else is `None`.
            pub fn parse(text: &str) -> Option<Self> {
                let sound = matches!(text.len(), 40 | 64)
                    && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
                sound.then(|| Self(text.into()))
            }
            /// All hexadecimal digits.
            pub fn as_str(&self) -> &str {
                &self.0
            }
            /// The first ten digits, as people read them.
            pub fn short(&self) -> &str {
                &self.0[..10]
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}
object_id!(CommitId);
object_id!(BlobId);

/// A file of the repository: its blob's id and its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// The id of the blob that holds the content.
    pub blob: BlobId,
    /// The content as stored, not decoded.
    pub content: Arc<[u8]>,
}

/// An entry of a tree that is never read: a symlink, a submodule, an odd mode, an odd name, a file too large.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedEntry {
    /// The path in the repository, bytes that are no UTF-8 replaced.
    pub path: String,
    /// What is wrong, as a sentence without its subject: `is a symbolic link`.
    pub why: String,
}

/// The readable files of one commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The commit that was read.
    pub commit: CommitId,
    /// Regular files by path, with `/` between parts.
    pub files: BTreeMap<Arc<str>, SourceFile>,
    /// What was not read, and why.
    pub refused: Vec<RefusedEntry>,
}
