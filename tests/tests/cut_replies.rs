//! A reply of a Git server that ends too early, at every few bytes, says that the remote was not reached: never that a ref
//! is not there, that a person has to do something, or that what was pushed was declined.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;

use fleetwright_core::snapshot::CommitId;
use fleetwright_repo::{Mirror, PushError, RefUpdate, Remote, RepoError};
use fleetwright_tests::git_server::GitServer;
use fleetwright_tests::person::Person;
use fleetwright_tests::proxy::{Harm, Proxy};

/// Where replies are cut: closely in the head, where what it is to be read as is decided, and then by a prime, so that no
/// boundary of a format is always stepped over. Heads and bodies of these replies are shorter than the last.
fn places() -> impl Iterator<Item = usize> {
    (0..900).step_by(97).chain((110..250).step_by(10))
}

struct Theatre {
    person: Person,
    mirror: Mirror,
    proxy: Proxy,
    _server: GitServer,
    _dir: tempfile::TempDir,
}

impl Theatre {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let person = Person::new(&dir.path().join("fleet.git"));
        let begin = person.commit("begin", &[("fleet.yaml", Some("a: b\n"))]);
        person.point("refs/fleetwright/record", begin);
        person.point("refs/fleetwright/observed", begin);
        let server = GitServer::new(dir.path(), "bot", "secret");
        let proxy = Proxy::new(server.address(), 1, [0, 0]);
        let remote = Remote::parse(&format!("http://bot:secret@{}/fleet.git", proxy.address())).unwrap();
        let mirror = Mirror::open(remote, &dir.path().join("mirror.git")).unwrap();
        mirror.fetch().unwrap();
        Self { person, mirror, proxy, _server: server, _dir: dir }
    }

    /// Cuts every reply to requests that begin so, at every few bytes, in both ways.
    fn cut(&self, text: &str, mut judge: impl FnMut(Harm)) {
        for at in places() {
            for harm in [Harm::ReplyCut(at), Harm::ReplyCutUnnoticed(at)] {
                self.proxy.always(text, harm);
                judge(harm);
            }
        }
        self.proxy.never();
        let hits = self.proxy.hits();
        assert!(hits["reply cut"] > 8 && hits["reply cut, unnoticed"] > 8, "{hits:?}");
    }
}

/// The first request of every command asks what the server can do; the second what it has.
const READS: [&str; 2] = ["GET /fleet.git/info/refs", "POST /fleet.git/git-upload-pack"];

/// A reply that was cut within its head made git take the server for one of plain files without any: an empty list of refs,
/// read as a branch that is gone, and, where no branch was named, as the default branch `main`.
#[test]
fn a_list_of_refs_that_is_cut_anywhere_is_never_shorter() {
    let theatre = Theatre::new();
    let whole = theatre.mirror.ls_remote().unwrap();
    assert_eq!(whole.len(), 3);
    let mut failures: BTreeMap<String, Harm> = BTreeMap::new();
    for text in READS {
        theatre.cut(text, |harm| match theatre.mirror.ls_remote() {
            Ok(refs) => assert_eq!(refs, whole, "{text}: {harm:?}"),
            Err(RepoError::Unreachable { .. }) => {}
            // A refusal without the words that ask for a password is one, whoever cut them off.
            Err(RepoError::Authentication { .. }) if text.starts_with("GET") => {}
            Err(error) => drop(failures.insert(format!("{text}: {error:?}"), harm)),
        });
        theatre.cut(text, |harm| match theatre.mirror.default_branch() {
            Ok(branch) => assert_eq!(branch.as_deref(), Some("main"), "{text}: {harm:?}"),
            Err(RepoError::Unreachable { .. }) => {}
            // A refusal without the words that ask for a password is one, whoever cut them off.
            Err(RepoError::Authentication { .. }) if text.starts_with("GET") => {}
            Err(error) => drop(failures.insert(format!("{text}: {error:?}"), harm)),
        });
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

/// The same in a fetch pruned every ref of the mirror, the bot's record among them, and succeeded.
#[test]
fn a_fetch_that_is_cut_anywhere_brings_everything_or_nothing() {
    let theatre = Theatre::new();
    let mut failures: BTreeMap<String, Harm> = BTreeMap::new();
    let mut count = 0;
    for text in READS {
        theatre.cut(text, |harm| {
            count += 1;
            let before: Vec<CommitId> = vec![id(theatre.person.tip().unwrap())];
            let tip = theatre.person.commit("more", &[("fleet.yaml", Some(&format!("a: {count}\n")))]);
            match theatre.mirror.fetch() {
                Ok(refs) => assert_eq!(refs.branch("main"), Some(&id(tip)), "{text}: {harm:?}"),
                Err(RepoError::Unreachable { .. }) => {}
                Err(RepoError::Authentication { .. }) if text.starts_with("GET") => {}
                Err(error) => drop(failures.insert(format!("{text}: {error:?}"), harm)),
            }
            assert!(theatre.mirror.contains(&before[0]).is_ok(), "{text}: {harm:?}");
        });
        let refs = theatre.mirror.fetch().unwrap();
        assert_eq!(refs.branch("main"), Some(&id(theatre.person.tip().unwrap())));
        assert_eq!(refs.iter().count(), 3, "no ref was pruned");
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

/// A connection that ended at first contact was a remote that declined: after six of them a run ended as if a person were
/// waited for.
#[test]
fn a_push_whose_reply_is_cut_anywhere_is_unknown_and_never_declined() {
    let theatre = Theatre::new();
    let mut failures: BTreeMap<String, Harm> = BTreeMap::new();
    let name = "refs/fleetwright/observed";
    let commits: Vec<CommitId> =
        (0..2).map(|at| id(theatre.person.commit("more", &[("fleet.yaml", Some(&format!("a: {at}\n")))]))).collect();
    theatre.mirror.fetch().unwrap();
    let there = || id(theatre.person.at(name).unwrap());
    for text in ["GET /fleet.git/info/refs", "POST /fleet.git/git-receive-pack"] {
        theatre.cut(text, |harm| {
            let old = there();
            let new = commits.iter().find(|commit| **commit != old).unwrap().clone();
            let update = RefUpdate { name: name.to_owned(), expected: Some(old.clone()), new: Some(new.clone()) };
            match theatre.mirror.push(&[update]) {
                Ok(()) => assert_eq!(there(), new, "{text}: {harm:?}"),
                Err(PushError::UnknownResult { .. }) => {}
                // A server without any ref has another than the one that was expected: fetch and look.
                Err(PushError::Unreachable { .. } | PushError::Rejected { .. }) => {
                    assert_eq!(there(), old, "{text}: {harm:?}");
                }
                Err(PushError::Authentication { .. }) if text.starts_with("GET") => assert_eq!(there(), old),
                Err(error) => drop(failures.insert(format!("{text}: {error:?}"), harm)),
            }
        });
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

fn id(oid: git2::Oid) -> CommitId {
    CommitId::parse(&oid.to_string()).unwrap()
}
