//! The steps by which a case makes its input, as its file writes them. What they do is in `making.rs`.

use serde::Deserialize;

/// A step; all up to a `commit`, or to the end, are one commit.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Step {
    /// Writes a file.
    Write {
        /// Where.
        path: String,
        /// What.
        #[serde(default)]
        text: String,
        /// Or: pieces, one after the other.
        #[serde(default)]
        parts: Vec<Part>,
    },
    /// Replaces a text that stands in a file exactly once.
    Edit {
        /// Where.
        path: String,
        /// What stands there.
        from: String,
        /// What stands there then.
        to: String,
    },
    /// Removes a file or a folder.
    Remove {
        /// Which.
        path: String,
    },
    /// Moves a file or a folder.
    Move {
        /// From where.
        from: String,
        /// To where.
        to: String,
    },
    /// Puts an entry of any kind into a folder, beside one of the same name.
    Entry {
        /// The folder; the root, when empty.
        folder: String,
        /// The entry's name.
        #[serde(default)]
        name: String,
        /// Or: its bytes.
        #[serde(default)]
        name_hex: String,
        /// Its mode as trees write it, `120000` for example.
        mode: String,
        /// The content of its blob.
        #[serde(default)]
        text: String,
        /// Or: the object that it names, which need not be there.
        id: Option<String>,
        /// Not where git would sort it, but at the end.
        #[serde(default)]
        last: bool,
    },
    /// Many files, in folders of their own.
    Files {
        /// Below this folder.
        folder: String,
        /// So many folders.
        folders: usize,
        /// So many files in each.
        each: usize,
        /// What each file is called, after its number.
        #[serde(default)]
        suffix: String,
        /// What stands in each.
        #[serde(default)]
        text: String,
    },
    /// Folders in folders, each of them `width` times the same: a kilobyte that unfolds to more files than there are atoms.
    TreeBomb {
        /// Where.
        path: String,
        /// How deep.
        levels: usize,
        /// How wide.
        width: usize,
    },
    /// A folder in a folder in a folder.
    Deep {
        /// Where.
        path: String,
        /// How deep.
        levels: usize,
    },
    /// A file of zeros, which packs to a thousandth of its size.
    Zeros {
        /// Where.
        path: String,
        /// How large.
        bytes: u64,
    },
    /// Ends a commit.
    Commit {
        /// Who made it.
        #[serde(default)]
        author: Option<Author>,
        /// Its message.
        #[serde(default)]
        message: Option<String>,
        /// How often the message is repeated.
        #[serde(default = "once")]
        times: usize,
    },
    /// So many commits that change nothing.
    Commits {
        /// How many.
        count: usize,
    },
    /// Forgets all commits of the branch but its first: the next one replaces them.
    Rewind,
    /// The next commit has no parent.
    Unrelated,
    /// Commits what was done, and then removes the branch.
    Vanish,
    /// Points a ref, as nothing but a hand at the server would.
    Ref {
        /// Which.
        name: String,
        /// To what.
        to: Target,
    },
    /// Removes a ref.
    Unref {
        /// Which.
        name: String,
    },
}

/// A piece of a file.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Part {
    /// A text.
    #[serde(default)]
    pub text: String,
    /// Or: bytes.
    #[serde(default)]
    pub hex: String,
    /// Or: a file as it stands.
    pub file: Option<String>,
    /// How often.
    #[serde(default = "once")]
    pub times: usize,
    /// In another form.
    pub form: Option<Form>,
}

/// Another form of a text.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// UTF-16, little end first.
    Utf16le,
    /// UTF-16, big end first.
    Utf16be,
    /// Lines end as on old Macintoshes.
    Cr,
    /// Lines end as on Windows.
    Crlf,
}

/// Who made a commit.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Author {
    /// The name.
    pub name: String,
    /// The address.
    pub email: String,
}

/// What a ref points to.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Target {
    /// The branch's tip.
    Tip,
    /// The commit before it.
    Parent,
    /// The branch's first commit.
    First,
    /// A file.
    Blob,
    /// A folder.
    Tree,
    /// A tag that names itself with the bot's message.
    Tag,
    /// An empty commit of another history.
    Stranger,
    /// An object that is not there.
    Missing,
}

const fn once() -> usize {
    1
}

impl Step {
    /// Whether it changes files, so that what is asked of the other sets goes into one commit with it.
    pub(super) const fn is_of_tree(&self) -> bool {
        match self {
            Self::Write { .. }
            | Self::Edit { .. }
            | Self::Remove { .. }
            | Self::Move { .. }
            | Self::Entry { .. }
            | Self::Files { .. }
            | Self::TreeBomb { .. }
            | Self::Deep { .. }
            | Self::Zeros { .. }
            | Self::Rewind
            | Self::Unrelated => true,
            Self::Commit { .. } | Self::Commits { .. } | Self::Vanish | Self::Ref { .. } | Self::Unref { .. } => false,
        }
    }
}
