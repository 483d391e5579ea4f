//! What stands in an object database: commits, their order, their differences. What is written is `writing.rs`'s.
//!
//! Owns the one door to libgit2 that [`Mirror`](crate::Mirror) and [`LocalRepo`](crate::LocalRepo) share; may not touch a
//! ref, a working tree or a remote.

use std::collections::{BTreeMap, BTreeSet};

use fleetwright_core::snapshot::CommitId;
use git2::{ErrorCode, ObjectType, Oid, Repository, Tree};

use crate::error::RepoError;
use crate::reading::{ENTRIES_MAX, joined};

/// The objects of one repository.
pub struct Objects {
    pub(crate) repo: Repository,
}

/// The largest commit that is looked at: who may push may write a message without end.
const COMMIT_BYTES_MAX: usize = 1 << 20;

/// What a commit says of itself, bytes that are no UTF-8 replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitInfo {
    /// Who wrote it.
    pub author_name: String,
    /// Where to write to them.
    pub author_email: String,
    /// The author's time, in seconds since 1970.
    pub time_unix_seconds: i64,
    /// The first paragraph, on one line.
    pub summary: String,
    /// All of the message.
    pub message: String,
    /// Its parents, first parent first.
    pub parents: Vec<CommitId>,
}

pub(crate) fn oid(commit: &CommitId) -> Result<Oid, RepoError> {
    Oid::from_str(commit.as_str())
        .map_err(|_| RepoError::refused(format!("{commit} is no id of this repository's format")))
}

pub(crate) fn commit_id(oid: Oid) -> Result<CommitId, RepoError> {
    CommitId::parse(&oid.to_string()).ok_or_else(|| RepoError::corrupt("libgit2 gave an id that is none"))
}

/// For what a sound object points at: when that is missing, the repository is damaged, not empty.
pub(crate) fn damaged(error: git2::Error) -> RepoError {
    RepoError::corrupt(error.message())
}

impl Objects {
    /// An empty database in memory, for simulations: the same code reads and writes it, and nothing touches a disk.
    pub fn in_memory() -> Result<Self, RepoError> {
        let odb = git2::Odb::new()?;
        odb.add_new_mempack_backend(1)?;
        Ok(Self { repo: Repository::from_odb(odb)? })
    }

    /// The commit that a revision means: `main`, `HEAD~2`, a tag, the start of an id.
    pub fn resolve(&self, revision: &str) -> Result<CommitId, RepoError> {
        let object = self.repo.revparse_single(revision)?;
        let kind = object.kind().map_or("nothing", |kind| kind.str());
        let peeled = object.peel_to_commit();
        commit_id(peeled.map_err(|_| RepoError::refused(format!("{revision:?} names a {kind}, and no commit")))?.id())
    }

    /// Whether the commit itself is here.
    pub fn contains(&self, commit: &CommitId) -> Result<bool, RepoError> {
        match self.repo.find_commit(oid(commit)?) {
            Ok(_) => Ok(true),
            Err(error) if error.code() == ErrorCode::NotFound => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether `ancestor` is `commit` itself or reached from it; an ancestor that is not here is none.
    pub fn descends(&self, commit: &CommitId, ancestor: &CommitId) -> Result<bool, RepoError> {
        if !self.contains(ancestor)? {
            return Ok(false);
        }
        let (commit, ancestor) = (oid(commit)?, oid(ancestor)?);
        self.commit(commit)?;
        Ok(commit == ancestor || self.repo.graph_descendant_of(commit, ancestor).map_err(damaged)?)
    }

    /// Author, time, message and parents.
    pub fn commit_info(&self, commit: &CommitId) -> Result<CommitInfo, RepoError> {
        let commit = self.commit(oid(commit)?)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let author = commit.author();
        Ok(CommitInfo {
            author_name: text(author.name_bytes()),
            author_email: text(author.email_bytes()),
            time_unix_seconds: author.when().seconds(),
            summary: text(commit.summary_bytes().unwrap_or_default()),
            message: text(commit.message_bytes()),
            parents: commit.parent_ids().map(commit_id).collect::<Result<_, _>>()?,
        })
    }

    /// The best common ancestor, if the histories have one.
    pub fn merge_base(&self, one: &CommitId, two: &CommitId) -> Result<Option<CommitId>, RepoError> {
        let (one, two) = (oid(one)?, oid(two)?);
        self.repo.find_commit(one)?;
        self.repo.find_commit(two)?;
        match self.repo.merge_base(one, two) {
            Ok(base) => commit_id(base).map(Some),
            Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
            Err(error) => Err(damaged(error)),
        }
    }

    /// Paths that differ between two commits, sorted; against nothing, all paths. Renames show as both paths, and a
    /// directory that only one of them has shows as itself, `junk/`: what is below it may have no end.
    pub fn changed_paths(&self, from: Option<&CommitId>, to: &CommitId) -> Result<Vec<String>, RepoError> {
        let from = from.map(|from| self.tree_of(from)).transpose()?;
        let mut comparison = Comparison { repo: &self.repo, entries: 0, paths: BTreeSet::new() };
        comparison.compare(from.as_ref().map(Tree::id), self.tree_of(to)?.id(), "")?;
        Ok(comparison.paths.into_iter().collect())
    }

    pub(crate) fn tree_of(&self, commit: &CommitId) -> Result<Tree<'_>, RepoError> {
        self.commit(oid(commit)?)?.tree().map_err(damaged)
    }

    /// A ref may be pointed at anything by whoever may push; what is no commit is told as what it is.
    fn commit(&self, id: Oid) -> Result<git2::Commit<'_>, RepoError> {
        let size = self.repo.odb().and_then(|odb| odb.read_header(id)).map_or(0, |(bytes, _)| bytes);
        if size > COMMIT_BYTES_MAX {
            return Err(RepoError::TooLarge { detail: format!("commit {id} holds {size} bytes") });
        }
        self.repo.find_commit(id).map_err(|error| match self.repo.odb().and_then(|odb| odb.read_header(id)) {
            Ok((_, kind)) if kind != ObjectType::Commit => {
                RepoError::refused(format!("{id}, which a ref names, is a {kind} and no commit"))
            }
            _ => error.into(),
        })
    }
}

/// Two trees beside each other; bounded, because whoever may push may write trees that share all their parts.
struct Comparison<'a> {
    repo: &'a Repository,
    entries: usize,
    paths: BTreeSet<String>,
}

type Listing = BTreeMap<Vec<u8>, (bool, i32, Oid)>;

impl Comparison<'_> {
    fn compare(&mut self, old: Option<Oid>, new: Oid, dir: &str) -> Result<(), RepoError> {
        let (old, new) = (old.map_or(Ok(Listing::new()), |old| self.listing(old))?, self.listing(new)?);
        self.entries += old.len() + new.len();
        if self.entries > 2 * ENTRIES_MAX {
            return Err(RepoError::TooLarge { detail: format!("{dir}: more than {ENTRIES_MAX} entries changed") });
        }
        for name in old.keys().chain(new.keys()) {
            let path = joined(dir, name);
            match (old.get(name), new.get(name)) {
                (before, after) if before == after => {}
                (Some((true, _, before)), Some((true, _, after))) => self.compare(Some(*before), *after, &path)?,
                (before, after) => {
                    let sides = before.into_iter().chain(after);
                    self.paths
                        .extend(sides.map(|(folder, ..)| if *folder { format!("{path}/") } else { path.clone() }));
                }
            }
        }
        Ok(())
    }

    fn listing(&self, id: Oid) -> Result<Listing, RepoError> {
        let tree = self.repo.find_tree(id).map_err(damaged)?;
        let folder = |entry: &git2::TreeEntry<'_>| entry.kind() == Some(ObjectType::Tree);
        Ok(tree.iter().map(|e| (e.name_bytes().to_vec(), (folder(&e), e.filemode_raw(), e.id()))).collect())
    }
}
