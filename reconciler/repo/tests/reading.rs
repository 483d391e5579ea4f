//! Snapshots of commits and of working trees, hostile ones included.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::cell::RefCell;
use std::path::Path;

use common::{MAIN, World, changes, commit, everything, git, update};
use fleetwright_core::snapshot::{CommitId, Snapshot};
use fleetwright_repo::{BLOB_BYTES_MAX, LocalRepo, RepoError, working_tree_snapshot};
use git2::{ObjectType, Oid, Repository};

/// A tree as bytes: git itself would refuse to write most of these.
fn raw_tree(repo: &Repository, entries: &[(&str, &[u8], Oid)]) -> Oid {
    let mut bytes = Vec::new();
    for (mode, name, id) in entries {
        bytes.extend_from_slice(mode.as_bytes());
        bytes.push(b' ');
        bytes.extend_from_slice(name);
        bytes.push(0);
        bytes.extend_from_slice(id.as_bytes());
    }
    repo.odb().unwrap().write(ObjectType::Tree, &bytes).unwrap()
}

fn raw_commit(repo: &Repository, tree: Oid) -> CommitId {
    let text = format!("tree {tree}\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\nodd\n");
    let id = repo.odb().unwrap().write(ObjectType::Commit, text.as_bytes()).unwrap();
    repo.reference(MAIN, id, true, "").unwrap();
    CommitId::parse(&id.to_string()).unwrap()
}

fn blob(repo: &Repository, text: &str) -> Oid {
    repo.blob(text.as_bytes()).unwrap()
}

fn refused(snapshot: &Snapshot) -> Vec<(&str, &str)> {
    snapshot.refused.iter().map(|entry| (entry.path.as_str(), entry.why.as_str())).collect()
}

fn paths(snapshot: &Snapshot) -> Vec<&str> {
    snapshot.files.keys().map(|path| &**path).collect()
}

#[test]
fn links_submodules_and_odd_modes_are_refused_and_the_rest_is_read() {
    let world = World::new();
    let repo = Repository::open(&world.remote).unwrap();
    let file = blob(&repo, "x");
    let tree = raw_tree(
        &repo,
        &[
            ("100644", b"fleet.yaml", file),
            ("120000", b"link", file),
            ("160000", b"module", Oid::from_bytes(&[1; 20]).unwrap()),
            ("100600", b"odd", file),
            ("100755", b"script", file),
        ],
    );
    let tip = raw_commit(&repo, tree);
    let mirror = world.mirror("mirror");
    assert_eq!(mirror.fetch().unwrap().branch("main"), Some(&tip));
    let snapshot = mirror.snapshot(&tip, &everything, None).unwrap().snapshot;
    assert_eq!(paths(&snapshot), ["fleet.yaml", "script"]);
    let expected = [
        ("link", "is a symbolic link"),
        ("module", "is a submodule"),
        ("odd", "has a mode that is neither a file's nor a directory's"),
    ];
    assert_eq!(refused(&snapshot), expected);
}

#[test]
fn odd_names_are_refused_and_nothing_below_them_is_read() {
    let world = World::new();
    let repo = Repository::open(&world.remote).unwrap();
    let file = blob(&repo, "x");
    let below = raw_tree(&repo, &[("100644", b"a.yaml", file)]);
    let names: [&[u8]; 12] = [
        b"..",
        b".git",
        b".GIT ",
        b"git~1",
        b".g\xe2\x80\x8cit",
        b"a\\b",
        b"a/b",
        b"bell\x07",
        b"caf\xe9",
        "evil\u{202e}lmay.json".as_bytes(),
        b".git:x",
        b".",
    ];
    for name in names {
        for (mode, id) in [("100644", file), ("40000", below)] {
            let mut entries = [(mode, name, id), ("100644", b"fine".as_slice(), file)];
            entries.sort_by_key(|entry| entry.1);
            let tip = raw_commit(&repo, raw_tree(&repo, &entries));
            let snapshot = LocalRepo::open(&world.remote).unwrap().snapshot(&tip, &everything, None).unwrap().snapshot;
            assert_eq!(paths(&snapshot), ["fine"], "{name:?}");
            assert_eq!(snapshot.refused.len(), 1, "{name:?}");
        }
    }
}

#[test]
fn paths_that_differ_only_in_case_are_both_refused() {
    let world = World::new();
    let repo = Repository::open(&world.remote).unwrap();
    let file = blob(&repo, "x");
    let below = raw_tree(&repo, &[("100644", b"a", file), ("100644", b"a", file), ("100644", b"b", file)]);
    let tree =
        raw_tree(&repo, &[("100644", b"Fleet.yaml", file), ("40000", b"dir", below), ("100644", b"fleet.yaml", file)]);
    let tip = raw_commit(&repo, tree);
    let snapshot = LocalRepo::open(&world.remote).unwrap().snapshot(&tip, &everything, None).unwrap().snapshot;
    assert_eq!(paths(&snapshot), ["dir/b"]);
    let refused: Vec<_> = refused(&snapshot).into_iter().map(|(path, _)| path).collect();
    assert_eq!(refused, ["Fleet.yaml", "dir/a", "dir/a", "fleet.yaml"]);
}

#[test]
fn a_blob_over_the_limit_is_refused_without_being_read() {
    let world = World::new();
    let repo = Repository::open(&world.remote).unwrap();
    let large = repo.blob(&vec![0; BLOB_BYTES_MAX + 1]).unwrap();
    let just = repo.blob(&vec![0; BLOB_BYTES_MAX]).unwrap();
    let tip = raw_commit(&repo, raw_tree(&repo, &[("100644", b"just", just), ("100644", b"large", large)]));
    let reading = LocalRepo::open(&world.remote).unwrap().snapshot(&tip, &everything, None).unwrap();
    assert_eq!((paths(&reading.snapshot), reading.blobs_read), (vec!["just"], 1));
    assert!(reading.snapshot.refused[0].why.contains("too large"));
}

#[test]
fn a_tree_without_end_is_refused_whole() {
    let world = World::new();
    let repo = Repository::open(&world.remote).unwrap();
    let local = LocalRepo::open(&world.remote).unwrap();
    let file = blob(&repo, "x");
    let names: Vec<Vec<u8>> = (0..10).map(|n| vec![b'a' + n]).collect();
    let leaf = raw_tree(&repo, &[("100644", b"x", file)]);
    // A tree that names one subtree ten times, six levels deep: a few hundred bytes, a million files.
    let bomb = (0..6).fold(leaf, |below, _| {
        let entries: Vec<_> = names.iter().map(|name| ("40000", name.as_slice(), below)).collect();
        raw_tree(&repo, &entries)
    });
    let deep = (0..17).fold(leaf, |below, _| raw_tree(&repo, &[("40000", b"d", below)]));
    let sound = (0..16).fold(leaf, |below, _| raw_tree(&repo, &[("40000", b"d", below)]));
    for tree in [bomb, deep] {
        let said = local.snapshot(&raw_commit(&repo, tree), &everything, None);
        assert!(matches!(said, Err(RepoError::TooLarge { .. })), "{said:?}");
    }
    assert_eq!(local.snapshot(&raw_commit(&repo, sound), &everything, None).unwrap().blobs_read, 1);
}

#[test]
fn a_missing_object_is_damage_and_not_an_absent_file() {
    let world = World::new();
    let repo = Repository::open(&world.remote).unwrap();
    let gone = Oid::from_bytes(&[7; 20]).unwrap();
    let local = LocalRepo::open(&world.remote).unwrap();
    for mode in ["100644", "40000"] {
        let tip = raw_commit(&repo, raw_tree(&repo, &[(mode, b"x", gone)]));
        let said = local.snapshot(&tip, &everything, None);
        assert!(matches!(said, Err(RepoError::Corrupt { .. })), "{said:?}");
    }
    let unknown = CommitId::parse(&"1".repeat(40)).unwrap();
    let said = local.snapshot(&unknown, &everything, None);
    assert!(matches!(said, Err(RepoError::NotFound { .. })), "{said:?}");
}

#[test]
fn a_change_of_one_file_reads_one_blob() {
    let files: Vec<_> = (0..50).map(|n| (format!("clustersets/prod/aws/r{n}/a.yaml"), format!("{n}"))).collect();
    let files: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let (_world, mirror, base) = World::with_files(&files);
    let before = mirror.snapshot(&base, &everything, None).unwrap();
    assert_eq!(before.blobs_read, 50);
    let change = changes(&[("clustersets/prod/aws/r7/a.yaml", Some("new")), ("clustersets/prod/aws/r8/a.yaml", None)]);
    let next = commit(&mirror, Some(&base), &change, "next");
    let after = mirror.snapshot(&next, &everything, Some(&before.snapshot)).unwrap();
    assert_eq!(after.blobs_read, 1);
    assert_eq!(after.snapshot, mirror.snapshot(&next, &everything, None).unwrap().snapshot);
    assert_eq!(after.snapshot.files.len(), 49);
}

#[test]
fn what_is_not_kept_is_not_looked_at() {
    let (_world, mirror, tip) = World::with_files(&[("fleet.yaml", "a"), ("status/x/a", "1"), ("statusx", "2")]);
    let asked = RefCell::new(Vec::new());
    let keep = |path: &str| {
        asked.borrow_mut().push(path.to_owned());
        !path.starts_with("status/")
    };
    let reading = mirror.snapshot(&tip, &keep, None).unwrap();
    assert_eq!(paths(&reading.snapshot), ["fleet.yaml", "statusx"]);
    assert_eq!(asked.into_inner(), ["fleet.yaml", "status/", "statusx"]);
}

#[test]
fn history_is_told() {
    let (_world, mirror, base) = World::with_files(&[("a", "1")]);
    let next = commit(&mirror, Some(&base), &changes(&[("a", Some("2"))]), "second: a\n\nand why");
    let side = commit(&mirror, Some(&base), &changes(&[("b", Some("2"))]), "side");
    let alone = commit(&mirror, None, &changes(&[("c", Some("2"))]), "alone");
    let unknown = CommitId::parse(&"1".repeat(40)).unwrap();
    assert!(mirror.descends(&next, &base).unwrap() && mirror.descends(&base, &base).unwrap());
    assert!(!mirror.descends(&base, &next).unwrap() && !mirror.descends(&next, &unknown).unwrap());
    assert!(mirror.descends(&unknown, &base).is_err());
    assert_eq!(mirror.merge_base(&next, &side).unwrap(), Some(base.clone()));
    assert_eq!(mirror.merge_base(&next, &alone).unwrap(), None);
    assert_eq!(mirror.changed_paths(Some(&next), &side).unwrap(), ["a", "b"]);
    assert_eq!(mirror.changed_paths(None, &side).unwrap(), ["a", "b"]);
    let info = mirror.commit_info(&next).unwrap();
    assert_eq!((info.summary.as_str(), info.message.as_str()), ("second: a", "second: a\n\nand why\n"));
    assert_eq!((info.author_name.as_str(), info.time_unix_seconds), ("fleetwright", 1_700_000_000));
    assert_eq!(info.parents, [base]);
}

#[test]
fn a_clone_is_found_from_below_and_revisions_are_resolved() {
    let dir = clone_with(&[("fleet.yaml", "a"), ("deep/er/x", "b")]);
    let local = LocalRepo::open(&dir.path().join("deep/er")).unwrap();
    let tip = local.resolve("main").unwrap();
    assert_eq!(local.resolve("HEAD").unwrap(), tip);
    assert_eq!(local.resolve(&tip.as_str()[..8]).unwrap(), tip);
    assert!(matches!(local.resolve("nothing"), Err(RepoError::NotFound { .. })));
    assert!(local.resolve("--all").is_err());
    assert!(LocalRepo::open(Path::new("/")).is_err());
}

fn clone_with(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    git(dir.path(), &["init", "--quiet", "."]);
    put(dir.path(), files);
    git(dir.path(), &["add", "--force", "."]);
    git(dir.path(), &["commit", "--quiet", "-m", "begin"]);
    dir
}

fn put(dir: &Path, files: &[(&str, &str)]) {
    for (path, text) in files {
        let path = dir.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

#[test]
fn a_working_tree_is_read_as_it_stands() {
    let dir = clone_with(&[("fleet.yaml", "a"), ("kept/tracked.log", "b"), (".gitignore", "*.log\n/build/\n")]);
    let local = LocalRepo::open(dir.path()).unwrap();
    let committed = local.snapshot(&local.resolve("HEAD").unwrap(), &everything, None).unwrap().snapshot;
    let clean = local.working_tree_snapshot(&everything).unwrap();
    assert_eq!(clean.files, committed.files);
    assert_eq!(clean.commit.as_str(), "0".repeat(40));

    put(dir.path(), &[("new/a.yaml", "n"), ("new/x.log", "i"), ("build/out", "i"), ("fleet.yaml", "changed")]);
    std::os::unix::fs::symlink("/etc", dir.path().join("new/link")).unwrap();
    std::os::unix::fs::symlink("fleet.yaml", dir.path().join("alias")).unwrap();
    git(dir.path(), &["init", "--quiet", "inner"]);
    std::fs::write(dir.path().join("new/large"), vec![0; BLOB_BYTES_MAX + 1]).unwrap();
    std::fs::write(dir.path().join("new/Twin"), "").unwrap();
    std::fs::write(dir.path().join("new/twin"), "").unwrap();
    let snapshot = local.working_tree_snapshot(&everything).unwrap();
    assert_eq!(paths(&snapshot), [".gitignore", "fleet.yaml", "kept/tracked.log", "new/a.yaml"]);
    assert_eq!(&*snapshot.files["fleet.yaml"].content, b"changed");
    let refused: Vec<_> = refused(&snapshot).into_iter().map(|(path, _)| path).collect();
    assert_eq!(refused, ["alias", "inner", "new/Twin", "new/large", "new/link", "new/twin"]);
}

#[test]
fn a_directory_that_is_no_repository_is_read_too() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), &[("fleet.yaml", "a"), ("clustersets/x.yaml", "b"), ("status/s", "c")]);
    let keep = |path: &str| !path.starts_with("status/");
    let snapshot = working_tree_snapshot(dir.path(), &keep).unwrap();
    assert_eq!(paths(&snapshot), ["clustersets/x.yaml", "fleet.yaml"]);
    let missing = working_tree_snapshot(&dir.path().join("missing"), &keep);
    assert!(matches!(missing, Err(RepoError::NotFound { .. })), "{missing:?}");
}

#[test]
fn a_folder_of_a_clone_is_read_from_its_own_root() {
    let dir = clone_with(&[("fleet/fleet.yaml", "a"), ("fleet/x.log", "b"), (".gitignore", "*.tmp\n")]);
    put(dir.path(), &[("fleet/y.tmp", "i")]);
    let snapshot = working_tree_snapshot(&dir.path().join("fleet"), &everything).unwrap();
    assert_eq!(paths(&snapshot), ["fleet.yaml", "x.log"]);
}

#[test]
fn a_push_can_be_read_back_by_another_mirror() {
    let (world, mirror, base) = World::with_files(&[("fleet.yaml", "a")]);
    let next = commit(&mirror, Some(&base), &changes(&[("status/é.yaml", Some("1"))]), "next");
    mirror.push(&[update(MAIN, Some(&base), Some(&next))]).unwrap();
    let other = world.mirror("other");
    other.fetch().unwrap();
    assert_eq!(
        other.snapshot(&next, &everything, None).unwrap().snapshot,
        mirror.snapshot(&next, &everything, None).unwrap().snapshot
    );
    assert_eq!(other.resolve("main").unwrap(), next);
}
