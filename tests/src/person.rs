//! A person with a bare repository: commits made directly in its object database, as a push would bring them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use git2::{ErrorCode, ObjectType, Oid, Repository, Signature, Sort};

const MAIN: &str = "refs/heads/main";

/// A bare repository with a branch `main`.
pub struct Person {
    path: PathBuf,
    repo: Repository,
}

impl Person {
    /// An empty bare repository.
    pub fn new(path: &Path) -> Self {
        let mut options = git2::RepositoryInitOptions::new();
        options.bare(true).initial_head("main");
        let repo = Repository::init_opts(path, &options).unwrap();
        Self { path: path.to_owned(), repo }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The tip of `main`.
    pub fn tip(&self) -> Option<Oid> {
        self.repo.refname_to_id("refs/heads/main").ok()
    }

    /// Commits changes (`None` removes a file) on top of the tip.
    pub fn commit(&self, message: &str, changes: &[(&str, Option<&str>)]) -> Oid {
        let parent = self.tip().map(|tip| self.repo.find_commit(tip).unwrap());
        let tree = self.changed(parent.as_ref(), changes);
        let parents: Vec<_> = parent.iter().collect();
        self.write(MAIN, message, tree, &parents)
    }

    /// The tree of a commit with these changes.
    fn changed(&self, parent: Option<&git2::Commit<'_>>, changes: &[(&str, Option<&str>)]) -> Oid {
        let mut files: BTreeMap<String, Oid> = parent.map_or_else(BTreeMap::new, |c| self.blobs(c.id(), ""));
        for (path, content) in changes {
            match content {
                Some(content) => drop(files.insert((*path).to_owned(), self.repo.blob(content.as_bytes()).unwrap())),
                None => drop(files.remove(*path)),
            }
        }
        self.tree(&files)
    }

    /// Commits changes while others push, as people do: on top of whatever the tip is by then.
    pub fn commit_among_others(&self, message: &str, changes: &[(&str, Option<&str>)]) -> Oid {
        loop {
            let tip = self.tip().unwrap();
            let parent = self.repo.find_commit(tip).unwrap();
            let tree = self.changed(Some(&parent), changes);
            let commit = self.object(message, tree, &[&parent]);
            match self.repo.reference_matching(MAIN, commit, true, tip, message) {
                Ok(_) => return commit,
                // Somebody was faster, or holds the lock of the ref.
                Err(error) if matches!(error.code(), ErrorCode::Modified | ErrorCode::Locked) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn write(&self, reference: &str, message: &str, tree: Oid, parents: &[&git2::Commit<'_>]) -> Oid {
        let id = self.object(message, tree, parents);
        self.repo.reference(reference, id, true, message).unwrap();
        id
    }

    /// A commit that no ref names yet.
    fn object(&self, message: &str, tree: Oid, parents: &[&git2::Commit<'_>]) -> Oid {
        let who = Signature::now("A Person", "person@example.com").unwrap();
        let tree = self.repo.find_tree(tree).unwrap();
        self.repo.commit(None, &who, &who, message, &tree, parents).unwrap()
    }

    fn tree(&self, files: &BTreeMap<String, Oid>) -> Oid {
        let empty = self.repo.treebuilder(None).unwrap().write().unwrap();
        let baseline = self.repo.find_tree(empty).unwrap();
        let mut update = git2::build::TreeUpdateBuilder::new();
        for (path, blob) in files {
            update.upsert(path.as_str(), *blob, git2::FileMode::Blob);
        }
        update.create_updated(&self.repo, &baseline).unwrap()
    }

    fn blobs(&self, commit: Oid, prefix: &str) -> BTreeMap<String, Oid> {
        let tree = self.repo.find_commit(commit).unwrap().tree().unwrap();
        let mut found = BTreeMap::new();
        tree.walk(git2::TreeWalkMode::PreOrder, |root, entry| {
            let path = format!("{root}{}", entry.name().unwrap());
            if entry.kind() == Some(ObjectType::Blob) && path.starts_with(prefix) {
                found.insert(path, entry.id());
            }
            git2::TreeWalkResult::Ok
        })
        .unwrap();
        found
    }

    /// The files of a commit below a prefix.
    pub fn files(&self, commit: Oid, prefix: &str) -> BTreeMap<String, String> {
        let blobs = self.blobs(commit, prefix);
        let text = |id: Oid| String::from_utf8(self.repo.find_blob(id).unwrap().content().to_vec()).unwrap();
        blobs.into_iter().map(|(path, id)| (path, text(id))).collect()
    }

    /// Puts back everything but `status/` as it was before the given commit, as `git revert` of it does.
    pub fn revert(&self, commit: Oid) -> Oid {
        let parent = self.repo.find_commit(commit).unwrap().parent_id(0).unwrap();
        let wish = |files: BTreeMap<String, String>| -> BTreeMap<String, String> {
            files.into_iter().filter(|(path, _)| !path.starts_with("status/")).collect()
        };
        let (before, after) = (wish(self.files(parent, "")), wish(self.files(commit, "")));
        let mut changes: Vec<(&str, Option<&str>)> = Vec::new();
        for path in before.keys().chain(after.keys()).collect::<std::collections::BTreeSet<_>>() {
            if before.get(path) != after.get(path) {
                changes.push((path, before.get(path).map(String::as_str)));
            }
        }
        self.commit("revert", &changes)
    }

    /// Moves `main` to a commit with other parents: history rewritten.
    pub fn rewrite(&self, onto: Oid, changes: &[(&str, Option<&str>)]) -> Oid {
        self.repo.reference("refs/heads/main", onto, true, "force").unwrap();
        self.commit("rewritten", changes)
    }

    /// Points a ref somewhere.
    pub fn point(&self, name: &str, to: Oid) {
        self.repo.reference(name, to, true, "point").unwrap();
    }

    /// Removes a ref.
    pub fn remove_ref(&self, name: &str) {
        self.repo.find_reference(name).unwrap().delete().unwrap();
    }

    /// Where a ref points.
    pub fn at(&self, name: &str) -> Option<Oid> {
        self.repo.refname_to_id(name).ok()
    }

    /// The commits of `main`, oldest first.
    pub fn history(&self) -> Vec<Oid> {
        let mut walk = self.repo.revwalk().unwrap();
        walk.set_sorting(Sort::TOPOLOGICAL | Sort::REVERSE).unwrap();
        if let Some(tip) = self.tip() {
            walk.push(tip).unwrap();
        }
        walk.map(Result::unwrap).collect()
    }

    /// Author and message of a commit.
    pub fn described(&self, commit: Oid) -> (String, String) {
        let commit = self.repo.find_commit(commit).unwrap();
        let author = commit.author();
        (author.name().unwrap().to_owned(), commit.message().unwrap().to_owned())
    }
}
