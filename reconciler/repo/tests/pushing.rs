//! Compare-and-swap at real remotes.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::{Changes, MAIN, OBSERVED, World, changes, commit, git, update, write};
use fleetwright_core::snapshot::CommitId;
use fleetwright_repo::{Mirror, MirrorOptions, PushError, Remote, RepoError};

#[test]
fn the_second_of_two_writers_loses_and_the_first_ones_commit_survives() {
    let (world, first, base) = World::with_files(&[("fleet.yaml", "a")]);
    let second = world.mirror("second");
    second.fetch().unwrap();
    let ours = commit(&first, Some(&base), &changes(&[("status/a", Some("1"))]), "first");
    let theirs = commit(&second, Some(&base), &changes(&[("status/a", Some("2"))]), "second");
    first.push(&[update(MAIN, Some(&base), Some(&ours))]).unwrap();
    let lost = second.push(&[update(MAIN, Some(&base), Some(&theirs))]);
    assert!(matches!(lost, Err(PushError::Rejected { .. })), "{lost:?}");
    assert_eq!(world.tip(MAIN), Some(ours));
}

#[test]
fn a_ref_that_moves_while_the_push_is_under_way_is_not_overwritten() {
    let (world, mirror, base) = World::with_files(&[("fleet.yaml", "a")]);
    let winner = commit(&mirror, Some(&base), &changes(&[("a", Some("1"))]), "winner");
    mirror.push(&[update("refs/heads/side", None, Some(&winner))]).unwrap();
    world.hook("pre-receive", &format!("env -u GIT_QUARANTINE_PATH git update-ref {MAIN} {winner}"));
    let loser = commit(&mirror, Some(&base), &changes(&[("a", Some("2"))]), "loser");
    let lost = mirror.push(&[update(MAIN, Some(&base), Some(&loser))]);
    // The server's word, not git's own look before it sends: the ref moved after that.
    assert!(matches!(&lost, Err(PushError::Rejected { reason }) if reason.contains("[remote rejected]")), "{lost:?}");
    assert_eq!(world.tip(MAIN), Some(winner));
}

/// The daemon asks so, before it acts, whether its tip is still the truth.
#[test]
fn a_push_that_moves_nothing_tells_whether_the_refs_still_stand() {
    let (world, mirror, base) = World::with_files(&[("fleet.yaml", "a")]);
    mirror.push(&[update(OBSERVED, None, Some(&base))]).unwrap();
    let standing = [update(MAIN, Some(&base), Some(&base)), update(OBSERVED, Some(&base), Some(&base))];
    assert_eq!(mirror.push(&standing), Ok(()));

    let other = world.mirror("other");
    other.fetch().unwrap();
    let next = commit(&other, Some(&base), &changes(&[("status/a", Some("1"))]), "next");
    other.push(&[update(MAIN, Some(&base), Some(&next))]).unwrap();
    let moved = mirror.push(&standing);
    assert!(matches!(moved, Err(PushError::Rejected { .. })), "{moved:?}");
    assert_eq!((world.tip(MAIN), world.tip(OBSERVED)), (Some(next), Some(base)));
}

#[test]
fn a_push_of_two_refs_is_rejected_as_a_whole() {
    let (world, first, base) = World::with_files(&[("fleet.yaml", "a")]);
    first.push(&[update(OBSERVED, None, Some(&base))]).unwrap();
    let next = commit(&first, Some(&base), &changes(&[("status/a", Some("1"))]), "next");
    let both = [update(MAIN, Some(&base), Some(&next)), update(OBSERVED, None, Some(&next))];
    let lost = first.push(&both);
    assert!(matches!(&lost, Err(PushError::Rejected { reason }) if reason.contains(OBSERVED)), "{lost:?}");
    assert_eq!(world.tip(MAIN).as_ref(), Some(&base));
    assert_eq!(world.tip(OBSERVED).as_ref(), Some(&base));

    let both = [update(MAIN, Some(&base), Some(&next)), update(OBSERVED, Some(&base), Some(&next))];
    first.push(&both).unwrap();
    assert_eq!(world.tip(MAIN).as_ref(), Some(&next));
    assert_eq!(world.tip(OBSERVED), Some(next));
}

#[test]
fn expecting_nothing_means_that_the_ref_must_not_exist() {
    let (world, mirror, base) = World::with_files(&[("fleet.yaml", "a")]);
    let other = commit(&mirror, Some(&base), &changes(&[("fleet.yaml", Some("b"))]), "other");
    let lost = mirror.push(&[update(MAIN, None, Some(&other))]);
    assert!(matches!(lost, Err(PushError::Rejected { .. })), "{lost:?}");
    mirror.push(&[update("refs/heads/new", None, Some(&other))]).unwrap();
    assert_eq!(world.tip(MAIN), Some(base));
    assert_eq!(world.tip("refs/heads/new"), Some(other));
}

#[test]
fn a_ref_of_ours_goes_back_and_goes_away_but_only_from_what_is_expected() {
    let (world, mirror, base) = World::with_files(&[("fleet.yaml", "a")]);
    let next = commit(&mirror, Some(&base), &changes(&[("fleet.yaml", Some("b"))]), "next");
    mirror.push(&[update(OBSERVED, None, Some(&next))]).unwrap();
    mirror.push(&[update(OBSERVED, Some(&next), Some(&base))]).unwrap();
    let lost = mirror.push(&[update(OBSERVED, Some(&next), None)]);
    assert!(matches!(lost, Err(PushError::Rejected { .. })), "{lost:?}");
    mirror.push(&[update(OBSERVED, Some(&base), None)]).unwrap();
    assert_eq!(world.tip(OBSERVED), None);
    assert_eq!(mirror.fetch().unwrap().get(OBSERVED), None);
}

#[test]
fn a_branch_is_neither_turned_back_nor_deleted() {
    let (world, mirror, base) = World::with_files(&[("fleet.yaml", "a")]);
    let next = commit(&mirror, Some(&base), &changes(&[("fleet.yaml", Some("b"))]), "next");
    mirror.push(&[update(MAIN, Some(&base), Some(&next))]).unwrap();
    for bad in [
        update(MAIN, Some(&next), Some(&base)),
        update(MAIN, Some(&next), None),
        update("refs/tags/v1", None, Some(&base)),
        update("refs/heads/--x", None, Some(&base)),
        update("refs/heads/a:refs/heads/main", None, Some(&base)),
        update("refs/heads/x", None, CommitId::parse(&"1".repeat(40)).as_ref()),
    ] {
        let said = mirror.push(std::slice::from_ref(&bad));
        assert!(matches!(said, Err(PushError::NotSent { .. })), "{bad:?}: {said:?}");
    }
    assert_eq!(world.tip(MAIN), Some(next));
}

#[test]
fn what_a_hook_says_is_heard() {
    let (world, mirror, base) = World::with_files(&[("fleet.yaml", "a")]);
    world.hook("pre-receive", "echo 'status/ belongs to the bot, see rule 7' >&2; exit 1");
    let next = commit(&mirror, Some(&base), &changes(&[("status/a", Some("1"))]), "next");
    let said = mirror.push(&[update(MAIN, Some(&base), Some(&next))]);
    let Err(PushError::Declined { reason }) = said else { panic!("{said:?}") };
    assert!(reason.contains("pre-receive hook declined") && reason.contains("see rule 7"), "{reason}");
    assert_eq!(world.tip(MAIN), Some(base));
}

#[test]
fn a_push_that_takes_too_long_has_an_unknown_result() {
    let (world, first, base) = World::with_files(&[("fleet.yaml", "a")]);
    drop(first);
    let options = MirrorOptions { time_limit: Duration::from_secs(3), ..MirrorOptions::default() };
    let mirror = world.mirror_with("first", options);
    world.hook("pre-receive", "sleep 600");
    let next = commit(&mirror, Some(&base), &changes(&[("status/a", Some("1"))]), "next");
    let said = mirror.push(&[update(MAIN, Some(&base), Some(&next))]);
    assert!(matches!(said, Err(PushError::UnknownResult { .. })), "{said:?}");
}

#[test]
fn the_same_push_again_is_no_error_as_after_an_unknown_result() {
    let (world, mirror, base) = World::with_files(&[("fleet.yaml", "a")]);
    let next = commit(&mirror, Some(&base), &changes(&[("status/a", Some("1"))]), "next");
    let once = [update(MAIN, Some(&base), Some(&next))];
    mirror.push(&once).unwrap();
    mirror.push(&once).unwrap();
    assert_eq!(world.tip(MAIN), Some(next));
}

#[test]
fn a_remote_that_is_gone_is_an_error_of_the_push() {
    let (world, mirror, base) = World::with_files(&[("fleet.yaml", "a")]);
    let next = commit(&mirror, Some(&base), &changes(&[("status/a", Some("1"))]), "next");
    std::fs::rename(&world.remote, world.dir.path().join("elsewhere")).unwrap();
    assert!(mirror.push(&[update(MAIN, Some(&base), Some(&next))]).is_err());
}

#[test]
fn a_clean_clone_with_a_working_tree_follows_and_a_dirty_one_declines() {
    let dir = tempfile::tempdir().unwrap();
    let clone = dir.path().join("clone");
    git(dir.path(), &["init", "--quiet", "clone"]);
    std::fs::write(clone.join("fleet.yaml"), "a").unwrap();
    git(&clone, &["add", "."]);
    git(&clone, &["commit", "--quiet", "-m", "begin"]);
    let remote = Remote::parse(clone.to_str().unwrap()).unwrap();
    let mirror = Mirror::open(remote, &dir.path().join("mirror")).unwrap();
    let base = mirror.fetch().unwrap().branch("main").cloned().unwrap();

    let next = commit(&mirror, Some(&base), &changes(&[("status/a", Some("1"))]), "next");
    mirror.push(&[update(MAIN, Some(&base), Some(&next))]).unwrap();
    assert_eq!(std::fs::read_to_string(clone.join("status/a")).unwrap(), "1");
    assert_eq!(git(&clone, &["status", "--porcelain"]), "");

    std::fs::write(clone.join("status/a"), "a person's work").unwrap();
    let third = commit(&mirror, Some(&next), &changes(&[("status/a", Some("2"))]), "third");
    let said = mirror.push(&[update(MAIN, Some(&next), Some(&third))]);
    assert!(matches!(said, Err(PushError::Declined { .. })), "{said:?}");
    assert_eq!(std::fs::read_to_string(clone.join("status/a")).unwrap(), "a person's work");
}

#[test]
fn no_change_gives_no_commit() {
    let (_world, mirror, base) = World::with_files(&[("fleet.yaml", "a"), ("status/a", "1")]);
    assert_eq!(write(&mirror, Some(&base), &changes(&[("status/a", Some("1"))]), "same"), None);
    assert_eq!(write(&mirror, Some(&base), &changes(&[("status/gone/x", None), ("fleet.yaml/x", None)]), "gone"), None);
    assert_eq!(write(&mirror, Some(&base), &Changes::new(), "empty"), None);
    assert_eq!(write(&mirror, None, &changes(&[("a", None)]), "empty"), None);
}

#[test]
fn deleting_the_last_file_of_a_directory_deletes_the_directory() {
    let (world, mirror, base) = World::with_files(&[("fleet.yaml", "a"), ("status/x/y/a", "1"), ("status/b", "2")]);
    let next = commit(&mirror, Some(&base), &changes(&[("status/x/y/a", None)]), "next");
    assert_eq!(mirror.changed_paths(Some(&base), &next).unwrap(), ["status/x/"]);
    mirror.push(&[update(MAIN, Some(&base), Some(&next))]).unwrap();
    assert_eq!(git(&world.remote, &["ls-tree", "-r", "-t", "--name-only", "main"]), "fleet.yaml\nstatus\nstatus/b");
    git(&world.remote, &["fsck", "--strict"]);
}

#[test]
fn a_file_never_takes_the_place_of_a_directory_that_holds_something() {
    let (_world, mirror, base) = World::with_files(&[("status/a", "1"), ("status/b", "2")]);
    let attempt = |changes: &Changes| {
        mirror.write_commit(&fleetwright_repo::NewCommit {
            parent: Some(base.clone()),
            changes,
            afresh: None,
            message: "m",
            author_name: "bot",
            author_email: "b@example.com",
            time_unix_seconds: 0,
        })
    };
    let refused = |said: Result<_, RepoError>| matches!(said, Err(RepoError::Refused { .. }));
    assert!(refused(attempt(&changes(&[("status", Some("x"))]))));
    assert!(refused(attempt(&changes(&[("status", Some("x")), ("status/a", None)]))));
    assert!(attempt(&changes(&[("status", Some("x")), ("status/a", None), ("status/b", None)])).unwrap().is_some());
    assert!(attempt(&changes(&[("status/a", None), ("status/a/b", Some("x"))])).unwrap().is_some());
    for path in ["../x", "/x", "a//b", ".git/config", "a/.GIT/x", ""] {
        assert!(refused(attempt(&changes(&[(path, Some("x"))]))), "{path:?}");
    }
}

#[test]
fn what_is_not_touched_is_carried_over_as_it_stands() {
    let (world, mirror, _) = World::with_files(&[("fleet.yaml", "a")]);
    let clone = world.dir.path().join("clone");
    git(world.dir.path(), &["clone", "--quiet", "--branch", "main", "fleet.git", "clone"]);
    std::os::unix::fs::symlink("fleet.yaml", clone.join("link")).unwrap();
    git(&clone, &["add", "."]);
    git(&clone, &["update-index", "--chmod=+x", "fleet.yaml"]);
    git(&clone, &["commit", "--quiet", "-m", "link"]);
    git(&clone, &["push", "--quiet", "origin", "main"]);
    let base = mirror.fetch().unwrap().branch("main").cloned().unwrap();
    let next = commit(&mirror, Some(&base), &changes(&[("status/a", Some("1"))]), "next");
    assert_eq!(mirror.changed_paths(Some(&base), &next).unwrap(), ["status/"]);
}

/// What a publication costs on the wire: one status file of 600, an index of 300 kB, a board of a thousand lines.
#[test]
fn a_change_of_one_cluster_costs_at_most_two_kilobytes_on_the_wire() {
    let world = World::new();
    let mirror = world.mirror("mirror");
    let mut files: Changes = (0..600).map(|set| (status_path(set), Some(status_file(set, "READY")))).collect();
    files.insert("status/clusters.json".to_owned(), Some(index(None)));
    files.insert("status/README.md".to_owned(), Some(board(None)));
    let base = commit(&mirror, None, &files, "begin");
    mirror.push(&[update(MAIN, None, Some(&base))]).unwrap();
    let change = Changes::from([
        (status_path(300), Some(status_file(300, "DRAINING"))),
        ("status/clusters.json".to_owned(), Some(index(Some(500)))),
        ("status/README.md".to_owned(), Some(board(Some(500)))),
    ]);
    let next = commit(&mirror, Some(&base), &change, "status: one cluster drains");
    let loose = thin_pack(&mirror, &next, &base);
    // A bitmap, which a bare repository gets by default, would hide the old objects that deltas are made against.
    git(mirror.dir(), &["gc", "--quiet"]);
    let packed = thin_pack(&mirror, &next, &base);
    println!("pack: {loose} bytes from loose objects, {packed} from packed ones");
    assert!((200..=2048).contains(&loose) && (200..=2048).contains(&packed), "{loose} {packed}");
}

fn hash(seed: usize) -> String {
    let mut state = seed as u64 ^ 0x9e37_79b9_7f4a_7c15;
    (0..4)
        .map(|_| {
            state = state.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(1);
            format!("{:016x}", state ^ (state >> 29))
        })
        .collect()
}

fn status_path(set: usize) -> String {
    format!("status/clustersets/prod/{}/region{}/type{}.yaml", ["aws", "azure", "gcp"][set % 3], set / 3 % 20, set / 60)
}

fn status_file(set: usize, state: &str) -> Vec<u8> {
    let clusters = (0..5).map(|n| {
        let id = hash(set * 10 + n);
        let state = if n == 2 { state } else { "READY" };
        format!(
            "  - name: c{n}\n    state: {state}\n    endpoint: https://{id}.example.com\n    network: {}\n",
            &id[..12]
        )
    });
    format!("kind: ClusterSetStatus\nclusters:\n{}", clusters.collect::<String>()).into_bytes()
}

fn index(changed: Option<usize>) -> Vec<u8> {
    let line = |n: usize| {
        let state = if changed == Some(n) { "DRAINING" } else { "READY" };
        let id = hash(n);
        format!(
            r#"{{"name":"cluster-{n}","set":"{}","state":"{state}","endpoint":"https://{id}.example.com","labels":{{"env":"prod","cloud":"aws","region":"eu-west-1"}},"revision":"{}","since":"2026-01-01T00:00:00Z"}}"#,
            status_path(n % 600),
            &id[..10]
        )
    };
    format!("[\n{}\n]\n", (0..1000).map(line).collect::<Vec<_>>().join(",\n")).into_bytes()
}

fn board(changed: Option<usize>) -> Vec<u8> {
    let line =
        |n: usize| format!("| {} | {} |\n", &hash(n)[..20], if changed == Some(n) { "DRAINING" } else { "READY" });
    (0..1000).map(line).collect::<String>().into_bytes()
}

/// The pack that `git push` makes, with the flags that it gives.
fn thin_pack(mirror: &Mirror, new: &CommitId, old: &CommitId) -> usize {
    let mut child = Command::new("git")
        .arg("--git-dir")
        .arg(mirror.dir())
        .args(["pack-objects", "--all-progress-implied", "--revs", "--stdout", "--thin", "--delta-base-offset", "-q"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    writeln!(child.stdin.take().unwrap(), "^{old}\n{new}").unwrap();
    child.wait_with_output().unwrap().stdout.len()
}
