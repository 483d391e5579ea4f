//! Fetching, and what goes wrong on the way.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use common::{Changes, MAIN, OBSERVED, World, changes, commit, everything, git, update};
use fleetwright_repo::{Credentials, Mirror, MirrorOptions, Remote, RepoError, watch};

#[test]
fn an_empty_remote_has_no_refs_and_that_is_no_error() {
    let world = World::new();
    let mirror = world.mirror("mirror");
    assert_eq!(mirror.fetch().unwrap().iter().count(), 0);
    assert_eq!(mirror.ls_remote().unwrap().len(), 0);
    let options = MirrorOptions { branches: vec!["main".to_owned()], ..MirrorOptions::default() };
    assert_eq!(world.mirror_with("one", options).fetch().unwrap().iter().count(), 0);
}

#[test]
fn a_vanished_branch_is_absent_and_a_vanished_remote_is_an_error() {
    let (world, first, tip) = World::with_files(&[("fleet.yaml", "a")]);
    first.push(&[update("refs/heads/gone", None, Some(&tip)), update(OBSERVED, None, Some(&tip))]).unwrap();
    let only = |names: &[&str]| MirrorOptions {
        branches: names.iter().map(|name| name.to_string()).collect(),
        ..MirrorOptions::default()
    };
    for (name, options) in [("all", only(&[])), ("two", only(&["gone", "main"])), ("one", only(&["gone"]))] {
        git(&world.remote, &["update-ref", "refs/heads/gone", tip.as_str()]);
        let mirror = world.mirror_with(name, options);
        assert_eq!(mirror.fetch().unwrap().branch("gone"), Some(&tip));
        git(&world.remote, &["update-ref", "-d", "refs/heads/gone"]);
        let refs = mirror.fetch().unwrap();
        assert_eq!(refs.branch("gone"), None);
        assert_eq!(refs.branch("main").is_some(), name != "one");
        assert_eq!(refs.get(OBSERVED), Some(&tip));

        let elsewhere = world.dir.path().join("elsewhere");
        std::fs::rename(&world.remote, &elsewhere).unwrap();
        assert!(matches!(mirror.fetch(), Err(RepoError::NotFound { .. })));
        assert!(matches!(mirror.ls_remote(), Err(RepoError::NotFound { .. })));
        std::fs::rename(&elsewhere, &world.remote).unwrap();
    }
}

#[test]
fn a_branch_that_was_turned_back_by_a_person_is_followed() {
    let (world, mirror, base) = World::with_files(&[("fleet.yaml", "a")]);
    let next = commit(&mirror, Some(&base), &changes(&[("fleet.yaml", Some("b"))]), "next");
    mirror.push(&[update(MAIN, Some(&base), Some(&next))]).unwrap();
    git(&world.remote, &["update-ref", MAIN, base.as_str()]);
    assert_eq!(mirror.fetch().unwrap().branch("main"), Some(&base));
}

#[test]
fn a_branch_that_becomes_a_folder_of_branches_is_followed() {
    let (world, mirror, tip) = World::with_files(&[("fleet.yaml", "a")]);
    git(&world.remote, &["update-ref", "refs/heads/a", tip.as_str()]);
    mirror.fetch().unwrap();
    git(&world.remote, &["update-ref", "-d", "refs/heads/a"]);
    git(&world.remote, &["update-ref", "refs/heads/a/b", tip.as_str()]);
    assert_eq!(mirror.fetch().unwrap().branch("a/b"), Some(&tip));
}

#[test]
fn refs_are_listed_without_fetching_and_tags_are_not_ours() {
    let (world, mirror, tip) = World::with_files(&[("fleet.yaml", "a")]);
    mirror.push(&[update(OBSERVED, None, Some(&tip))]).unwrap();
    git(&world.remote, &["tag", "v1", tip.as_str()]);
    git(&world.remote, &["update-ref", "refs/notes/refs/heads/x", tip.as_str()]);
    let refs = mirror.ls_remote().unwrap();
    assert_eq!(refs.keys().collect::<Vec<_>>(), [OBSERVED, MAIN]);
    assert_eq!(mirror.default_branch().unwrap().as_deref(), Some("main"));
}

#[test]
fn a_mirror_is_reused_and_a_damaged_one_made_anew() {
    let (world, mirror, tip) = World::with_files(&[("fleet.yaml", "a")]);
    let dir = mirror.dir().to_owned();
    drop(mirror);
    let mirror = world.mirror("first");
    assert!(mirror.contains(&tip).unwrap());
    drop(mirror);

    std::fs::write(dir.join("refs/remotes/origin/main.lock"), "").unwrap();
    let mirror = world.mirror("first");
    git(&world.remote, &["update-ref", "refs/heads/b", tip.as_str()]);
    assert_eq!(mirror.fetch().unwrap().iter().count(), 2);
    drop(mirror);

    std::fs::write(dir.join("refs/remotes/origin/main"), "").unwrap();
    let mirror = world.mirror("first");
    assert!(!mirror.contains(&tip).unwrap());
    assert_eq!(mirror.fetch().unwrap().branch("main"), Some(&tip));

    let mirror = mirror.recreate().unwrap();
    assert!(!mirror.contains(&tip).unwrap());
    mirror.fetch().unwrap();
    assert!(mirror.snapshot(&tip, &everything, None).is_ok());
}

#[test]
fn a_directory_that_is_not_ours_or_in_use_is_refused_and_left_alone() {
    let world = World::new();
    let theirs = world.dir.path().join("theirs");
    std::fs::create_dir(&theirs).unwrap();
    std::fs::write(theirs.join("thesis.txt"), "years of work").unwrap();
    for dir in [theirs.as_path(), world.remote.as_path()] {
        assert!(matches!(Mirror::open(world.at(), dir), Err(RepoError::Refused { .. })));
    }
    assert!(theirs.join("thesis.txt").exists());

    let _mirror = world.mirror("mirror");
    let second = Mirror::open(world.at(), &world.dir.path().join("mirror"));
    assert!(matches!(second, Err(RepoError::Refused { .. })));
}

#[test]
fn hostile_branch_names_are_refused_at_open() {
    let world = World::new();
    for name in ["--upload-pack=touch x", "-x", "a:b", "*", "../x", ""] {
        let options = MirrorOptions { branches: vec![name.to_owned()], ..MirrorOptions::default() };
        let opened = Mirror::open_with(world.at(), &world.dir.path().join("mirror"), options);
        assert!(matches!(opened, Err(RepoError::Refused { .. })), "{name:?}");
    }
}

#[test]
fn maintenance_packs_what_piled_up() {
    let (_world, mirror, base) = World::with_files(&[("fleet.yaml", "a")]);
    let many: Changes = (0..3000).map(|n| (format!("status/{}/{n}", n % 50), Some(vec![b'x'; n]))).collect();
    let next = commit(&mirror, Some(&base), &many, "many");
    mirror.push(&[update(MAIN, Some(&base), Some(&next))]).unwrap();
    assert!(loose(mirror.dir()) > 3000);
    mirror.maintain().unwrap();
    assert!(loose(mirror.dir()) < 10, "{}", loose(mirror.dir()));
    assert!(mirror.dir().join("objects/info").read_dir().unwrap().count() > 0);
    assert_eq!(mirror.snapshot(&next, &everything, None).unwrap().blobs_read, 3001);
    assert!(mirror.descends(&next, &base).unwrap());
}

fn loose(dir: &Path) -> usize {
    let folders = dir.join("objects").read_dir().unwrap().map(Result::unwrap);
    folders.filter(|folder| folder.file_name().len() == 2).map(|folder| folder.path().read_dir().unwrap().count()).sum()
}

/// Answers every request with 401 and tells which credentials came.
fn refusing_server() -> (u16, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            for line in lines.take_while(|line| !line.is_empty()) {
                if line.to_lowercase().starts_with("authorization:") {
                    let _ = sender.send(line);
                }
            }
            let answer = "HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=\"r\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (port, receiver)
}

#[test]
fn credentials_reach_the_server_and_no_error() {
    let (port, heard) = refusing_server();
    let dir = tempfile::tempdir().unwrap();
    let remote = Remote::parse(&format!("http://bot:s3cret@127.0.0.1:{port}/fleet.git")).unwrap();
    let mut mirror = Mirror::open(remote, &dir.path().join("mirror")).unwrap();
    let said = mirror.fetch();
    assert!(matches!(said, Err(RepoError::Authentication { .. })), "{said:?}");
    assert!(!format!("{said:?} {} {:?}", mirror.remote(), mirror.remote()).contains("s3cret"));
    // `bot:s3cret` in base64.
    assert!(heard.recv_timeout(Duration::from_secs(30)).unwrap().ends_with("Basic Ym90OnMzY3JldA=="));

    let renewed = Credentials { username: "x-access-token".to_owned(), password: "t0ken".to_owned() };
    assert!(!format!("{renewed:?}").contains("t0ken"));
    mirror.set_credentials(Some(renewed));
    assert!(matches!(mirror.ls_remote(), Err(RepoError::Authentication { .. })));
    let config = std::fs::read_to_string(mirror.dir().join("config")).unwrap();
    assert!(!config.contains("s3cret") && !config.contains("t0ken"));
}

#[test]
fn a_server_that_is_down_is_unreachable_and_one_that_is_silent_times_out() {
    let dir = tempfile::tempdir().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let remote = Remote::parse(&format!("http://127.0.0.1:{port}/fleet.git")).unwrap();
    let options = MirrorOptions { time_limit: Duration::from_secs(3), ..MirrorOptions::default() };
    let mirror = Mirror::open_with(remote, &dir.path().join("mirror"), options).unwrap();
    let said = mirror.fetch();
    assert!(matches!(said, Err(RepoError::TimedOut { .. })), "{said:?}");
    drop(silent);
    let said = mirror.fetch();
    assert!(matches!(said, Err(RepoError::Unreachable { .. })), "{said:?}");
}

#[test]
fn a_push_to_a_local_remote_is_news_and_a_fetch_from_it_is_not() {
    let (world, mirror, base) = World::with_files(&[("fleet.yaml", "a")]);
    let (sender, news) = channel();
    let watching = watch(&world.at(), move || sender.send(()).unwrap_or_default()).unwrap();
    mirror.fetch().unwrap();
    assert!(news.try_recv().is_err());
    let next = commit(&mirror, Some(&base), &changes(&[("fleet.yaml", Some("b"))]), "next");
    mirror.push(&[update(MAIN, Some(&base), Some(&next))]).unwrap();
    news.recv_timeout(Duration::from_secs(30)).unwrap();
    drop(watching);
    // The sender went with the watch: what is queued ends, and then nothing can come.
    while news.recv_timeout(Duration::from_secs(30)).is_ok() {}
    assert!(watch(&Remote::parse("https://example.com/fleet.git").unwrap(), || {}).is_none());
}

#[test]
fn a_mirror_may_move_between_threads() {
    fn moves<T: Send>() {}
    moves::<Mirror>();
    moves::<fleetwright_repo::LocalRepo>();
}
