//! Real repositories in temporary directories.
#![allow(dead_code, missing_docs, clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use fleetwright_core::snapshot::CommitId;
use fleetwright_repo::{Mirror, MirrorOptions, NewCommit, RefUpdate, Remote};
use tempfile::TempDir;

pub const MAIN: &str = "refs/heads/main";
pub const OBSERVED: &str = "refs/fleetwright/observed";

pub type Changes = BTreeMap<String, Option<Vec<u8>>>;

/// A bare remote, and room for mirrors beside it.
pub struct World {
    pub dir: TempDir,
    pub remote: PathBuf,
}

pub fn git(dir: &Path, args: &[&str]) -> String {
    let mut command = Command::new("git");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("GIT_")) {
        command.env_remove(name);
    }
    let identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "init.defaultBranch=main"];
    let output = command.env("GIT_CONFIG_GLOBAL", "/dev/null").current_dir(dir).args(identity).args(args).output();
    let output = output.unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

pub fn changes(list: &[(&str, Option<&str>)]) -> Changes {
    list.iter().map(|(path, text)| (path.to_string(), text.map(|text| text.as_bytes().to_vec()))).collect()
}

pub fn update(name: &str, expected: Option<&CommitId>, new: Option<&CommitId>) -> RefUpdate {
    RefUpdate { name: name.to_owned(), expected: expected.cloned(), new: new.cloned() }
}

/// Writes a commit that must change something.
pub fn commit(mirror: &Mirror, parent: Option<&CommitId>, changes: &Changes, message: &str) -> CommitId {
    write(mirror, parent, changes, message).unwrap()
}

pub fn write(mirror: &Mirror, parent: Option<&CommitId>, changes: &Changes, message: &str) -> Option<CommitId> {
    let new = NewCommit {
        parent: parent.cloned(),
        changes,
        afresh: None,
        message,
        author_name: "fleetwright",
        author_email: "bot@example.com",
        time_unix_seconds: 1_700_000_000,
    };
    mirror.write_commit(&new).unwrap()
}

pub fn everything(_: &str) -> bool {
    true
}

impl World {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let remote = dir.path().join("fleet.git");
        git(dir.path(), &["init", "--quiet", "--bare", "fleet.git"]);
        Self { dir, remote }
    }

    /// A remote whose main branch has these files.
    pub fn with_files(files: &[(&str, &str)]) -> (Self, Mirror, CommitId) {
        let world = Self::new();
        let mirror = world.mirror("first");
        let files: Vec<_> = files.iter().map(|(path, text)| (*path, Some(*text))).collect();
        let tip = commit(&mirror, None, &changes(&files), "begin");
        mirror.push(&[update(MAIN, None, Some(&tip))]).unwrap();
        (world, mirror, tip)
    }

    pub fn at(&self) -> Remote {
        Remote::parse(self.remote.to_str().unwrap()).unwrap()
    }

    pub fn mirror(&self, name: &str) -> Mirror {
        self.mirror_with(name, MirrorOptions::default())
    }

    pub fn mirror_with(&self, name: &str, options: MirrorOptions) -> Mirror {
        Mirror::open_with(self.at(), &self.dir.path().join(name), options).unwrap()
    }

    pub fn tip(&self, name: &str) -> Option<CommitId> {
        let said = git(&self.remote, &["for-each-ref", "--format=%(objectname)", name]);
        CommitId::parse(&said)
    }

    pub fn hook(&self, name: &str, script: &str) {
        let path = self.remote.join("hooks").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
}
