//! The daemon's own bare clone: opened or made, fetched, kept small.
//!
//! Owns the directory and everything in it, alone (a lock says so), and holds nothing that the remote does not:
//! losing it costs a fetch. Writes at the remote are `push.rs`'s.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fleetwright_core::snapshot::CommitId;
use git2::{Repository, RepositoryInitOptions};

use crate::error::RepoError;
use crate::names::{branch_ref, check_ref};
use crate::objects::{Objects, commit_id, oid};
use crate::program::{Access, Finished, Program};
use crate::remote::{Credentials, Remote};

const HEADS: &str = "refs/heads/";
const TRACKED: &str = "refs/remotes/origin/";
const OURS: &str = "refs/fleetwright/";
/// Says that a directory was made by us, so that a damaged one may be deleted. Nothing else ever is.
const MARK: &str = "fleetwright-mirror";
/// How often a branch may vanish between our asking and our fetching.
const FETCH_TRIES_MAX: usize = 3;

/// What the mirror is told once.
#[derive(Clone, Debug)]
pub struct MirrorOptions {
    /// The branches to follow, by short name; none means all.
    pub branches: Vec<String>,
    /// How long one git child may take.
    pub time_limit: Duration,
    /// How long maintenance may take.
    pub maintenance_time_limit: Duration,
}

impl Default for MirrorOptions {
    fn default() -> Self {
        Self {
            branches: Vec::new(),
            time_limit: Duration::from_secs(60),
            maintenance_time_limit: Duration::from_secs(600),
        }
    }
}

/// Refs as the remote has them, by full name. What is not in here was absent there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemoteRefs {
    refs: BTreeMap<String, CommitId>,
}

impl FromIterator<(String, CommitId)> for RemoteRefs {
    fn from_iter<I: IntoIterator<Item = (String, CommitId)>>(refs: I) -> Self {
        Self { refs: refs.into_iter().collect() }
    }
}

impl RemoteRefs {
    /// The tip of a branch, by short name.
    pub fn branch(&self, name: &str) -> Option<&CommitId> {
        self.refs.get(&format!("{HEADS}{name}"))
    }

    /// A ref by its full name, `refs/fleetwright/observed` for example.
    pub fn get(&self, name: &str) -> Option<&CommitId> {
        self.refs.get(name)
    }

    /// Notes a ref that was just pushed, so that nobody has to ask for what they wrote themselves.
    pub fn set(&mut self, name: &str, commit: &CommitId) {
        self.refs.insert(name.to_owned(), commit.clone());
    }

    /// All of them, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &CommitId)> {
        self.refs.iter().map(|(name, id)| (name.as_str(), id))
    }
}

/// Maintenance of a mirror, ready to be run.
pub struct Maintenance(Program);

impl Maintenance {
    /// Runs it to its end.
    pub fn run(self) -> Result<(), RepoError> {
        let args = MAINTAIN_ARGS.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>();
        self.0.run(&args, None)?.stdout_or_error().map(drop)
    }
}

/// A bare clone that only the daemon uses. What it can read of its objects is [`Objects`].
pub struct Mirror {
    pub(crate) objects: Objects,
    pub(crate) remote: Remote,
    pub(crate) program: Program,
    pub(crate) options: MirrorOptions,
    credentials: Option<Credentials>,
    lock: File,
}

impl Deref for Mirror {
    type Target = Objects;
    fn deref(&self) -> &Objects {
        &self.objects
    }
}

impl Mirror {
    /// Opens the mirror in `dir` with the default options; makes it if there is none, anew if it is damaged.
    pub fn open(remote: Remote, dir: &Path) -> Result<Self, RepoError> {
        Self::open_with(remote, dir, MirrorOptions::default())
    }

    /// Like [`Mirror::open`]. A directory that holds something else, or that another process uses, is refused.
    pub fn open_with(remote: Remote, dir: &Path, options: MirrorOptions) -> Result<Self, RepoError> {
        for branch in &options.branches {
            branch_ref(branch)?;
        }
        let dir = std::path::absolute(dir).map_err(|e| RepoError::io("the mirror's path can't be read", &e))?;
        let program = Program { git_dir: dir.clone(), time_limit: options.time_limit };
        program.check_version()?;
        claim(&dir)?;
        let lock = locked(&dir)?;
        let repo = sound_or_new(&dir)?;
        let credentials = remote.credentials().cloned();
        Ok(Self { objects: Objects { repo }, remote, program, options, credentials, lock })
    }

    /// Throws the clone away and begins an empty one: the answer to [`RepoError::Corrupt`].
    pub fn recreate(self) -> Result<Self, RepoError> {
        let Self { objects, remote, program, options, credentials, lock } = self;
        drop(objects);
        let objects = Objects { repo: renewed(&program.git_dir)? };
        Ok(Self { objects, remote, program, options, credentials, lock })
    }

    /// The remote it follows.
    pub fn remote(&self) -> &Remote {
        &self.remote
    }

    /// Its directory, readable with [`LocalRepo::open`](crate::LocalRepo::open) from other threads.
    pub fn dir(&self) -> &Path {
        &self.program.git_dir
    }

    /// Replaces the credentials (tokens expire); they are only ever sent to the remote's own host, over HTTP.
    pub fn set_credentials(&mut self, credentials: Option<Credentials>) {
        self.credentials = credentials;
    }

    /// The commit that a revision means; branch names are the remote's.
    pub fn resolve(&self, revision: &str) -> Result<CommitId, RepoError> {
        let tracked = self.objects.resolve(&format!("{TRACKED}{revision}"));
        tracked.or_else(|_| self.objects.resolve(revision))
    }

    /// The remote's branches and our refs there, by full name, in one call that brings no objects.
    pub fn ls_remote(&self) -> Result<BTreeMap<String, CommitId>, RepoError> {
        let patterns = [format!("{HEADS}*"), format!("{OURS}*")];
        let said = self.git(&["ls-remote", "--refs", "--end-of-options", self.remote.url()], &patterns)?;
        let refs = said.stdout_or_error()?.lines().map(listed_ref).collect::<Result<Vec<_>, _>>()?;
        if refs.is_empty() {
            self.confirm_empty()?;
        }
        Ok(refs.into_iter().filter(|(name, _)| check_ref(name).is_ok()).collect())
    }

    /// The branch that the remote's `HEAD` names, if it names one.
    pub fn default_branch(&self) -> Result<Option<String>, RepoError> {
        let said = self.git(&["ls-remote", "--symref", "--end-of-options", self.remote.url(), "HEAD"], &[])?;
        let said = said.stdout_or_error()?;
        if said.is_empty() {
            self.confirm_empty()?;
        }
        let branch = said.lines().find_map(|line| line.strip_prefix("ref: refs/heads/")?.strip_suffix("\tHEAD"));
        Ok(branch.map(str::to_owned))
    }

    /// Brings objects and refs up to date, in one call. Every failure is an error; an absent branch is just absent.
    pub fn fetch(&self) -> Result<RemoteRefs, RepoError> {
        let mut branches = self.options.branches.clone();
        for _ in 0..FETCH_TRIES_MAX {
            let said = self.git(FETCH_ARGS, &self.refspecs(&branches))?;
            if said.success {
                self.forget_all_but(&branches)?;
                let refs = self.tracked_refs()?;
                if refs.refs.is_empty() && !self.ls_remote()?.is_empty() {
                    continue;
                }
                return Ok(refs);
            }
            // Git dies on the first branch that is not there; which of them are, only the remote can say.
            if branches.is_empty() || !said.stderr.contains("couldn't find remote ref") {
                return Err(RepoError::from_stderr(&said.stderr));
            }
            let there = self.ls_remote()?;
            branches.retain(|branch| there.contains_key(&format!("{HEADS}{branch}")));
            if branches.is_empty() {
                branches = vec![NO_BRANCH.to_owned()];
            }
        }
        Err(RepoError::Other { detail: "branches come and go while they are fetched".to_owned() })
    }

    /// Over HTTP a reply that ends within its head makes git take the server for one of plain files, and that one for
    /// empty: a cut connection would be read as a repository without refs. Only a server that spoke git's protocol is
    /// believed to have none.
    fn confirm_empty(&self) -> Result<(), RepoError> {
        if self.remote.origin().is_none() {
            return Ok(());
        }
        let said = self.git_with(TRACE_PACKETS, &["ls-remote", "--end-of-options", self.remote.url()], &[])?;
        let spoke = said.stderr.contains("packet:");
        said.stdout_or_error()?;
        match spoke {
            true => Ok(()),
            false => Err(RepoError::Unreachable { detail: "the reply ended before the list of refs".to_owned() }),
        }
    }

    /// Packs what has piled up, if it is worth it, and writes the commit graph. Run it every few hundred publications.
    pub fn maintain(&self) -> Result<(), RepoError> {
        self.maintenance().run()
    }

    /// What [`Mirror::maintain`] does, to be run on another thread: git packs while we read and write.
    pub fn maintenance(&self) -> Maintenance {
        let git_dir = self.program.git_dir.clone();
        Maintenance(Program { git_dir, time_limit: self.options.maintenance_time_limit })
    }

    pub(crate) fn git(&self, args: &[&str], more: &[String]) -> Result<Finished, RepoError> {
        self.git_with(&[], args, more)
    }

    fn git_with(&self, env: &[(&str, &str)], args: &[&str], more: &[String]) -> Result<Finished, RepoError> {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).chain(more.iter().cloned()).collect();
        let access = Access { remote: &self.remote, credentials: self.credentials.as_ref(), env };
        self.program.run(&args, Some(&access))
    }

    /// Moves our copy of a remote ref, after a push that the remote confirmed.
    pub(crate) fn track(&self, name: &str, new: Option<&CommitId>) -> Result<(), RepoError> {
        let local = tracking_name(name);
        match new {
            Some(id) => self.objects.repo.reference(&local, oid(id)?, true, "pushed").map(drop)?,
            None => forget(&self.objects.repo, &local)?,
        }
        Ok(())
    }

    fn refspecs(&self, branches: &[String]) -> Vec<String> {
        let heads = match branches {
            [] => vec!["*".to_owned()],
            [only] if only == NO_BRANCH => Vec::new(),
            some => some.to_vec(),
        };
        let heads = heads.iter().map(|name| format!("+{HEADS}{name}:{TRACKED}{name}"));
        std::iter::once(self.remote.url().to_owned()).chain(heads).chain([format!("+{OURS}*:{OURS}*")]).collect()
    }

    /// Without a wildcard nothing prunes, so copies of branches that were not fetched go by hand.
    fn forget_all_but(&self, fetched: &[String]) -> Result<(), RepoError> {
        if fetched.is_empty() {
            return Ok(());
        }
        for name in ref_names(&self.objects.repo, TRACKED)? {
            if !fetched.iter().any(|branch| name.strip_prefix(TRACKED) == Some(branch)) {
                forget(&self.objects.repo, &name)?;
            }
        }
        Ok(())
    }

    fn tracked_refs(&self) -> Result<RemoteRefs, RepoError> {
        let repo = &self.objects.repo;
        let mut refs = BTreeMap::new();
        for start in [TRACKED, OURS] {
            for local in ref_names(repo, start)? {
                let target = repo.refname_to_id(&local).map_err(|e| RepoError::corrupt(e.message()))?;
                let name = local.strip_prefix(TRACKED).map_or(local.clone(), |short| format!("{HEADS}{short}"));
                refs.insert(name, commit_id(target)?);
            }
        }
        Ok(RemoteRefs { refs })
    }
}

/// Stands for "none of the branches": no branch can be called that.
const NO_BRANCH: &str = "..";

/// What is said to the server and by it, on stderr; the credentials are not in it.
const TRACE_PACKETS: &[(&str, &str)] = &[("GIT_TRACE_PACKET", "1")];

const FETCH_ARGS: &[&str] = &[
    "fetch",
    "--quiet",
    "--prune",
    "--no-tags",
    "--force",
    "--no-write-fetch-head",
    "--no-recurse-submodules",
    "--no-auto-maintenance",
    "--end-of-options",
];

/// `gc.auto` counts loose objects; a lost race leaves a few that nobody will ever want, and a day is enough for them.
const MAINTAIN_ARGS: &[&str] = &[
    "-c",
    "gc.auto=1000",
    "-c",
    "gc.autoPackLimit=20",
    "-c",
    "gc.autoDetach=false",
    "-c",
    "gc.pruneExpire=1.day.ago",
    "-c",
    "gc.writeCommitGraph=true",
    "gc",
    "--auto",
    "--quiet",
];

fn tracking_name(name: &str) -> String {
    name.strip_prefix(HEADS).map_or(name.to_owned(), |short| format!("{TRACKED}{short}"))
}

fn listed_ref(line: &str) -> Result<(String, CommitId), RepoError> {
    let unreadable = || RepoError::Other { detail: "git ls-remote answered in no known form".to_owned() };
    let (id, name) = line.split_once('\t').ok_or_else(unreadable)?;
    Ok((name.to_owned(), CommitId::parse(id).ok_or_else(unreadable)?))
}

fn ref_names(repo: &Repository, start: &str) -> Result<Vec<String>, RepoError> {
    let damaged = |e: git2::Error| RepoError::corrupt(e.message());
    let mut references = repo.references_glob(&format!("{start}*")).map_err(damaged)?;
    let names = references.names().map(|name| name.map(str::to_owned).map_err(damaged));
    names.collect()
}

fn forget(repo: &Repository, name: &str) -> Result<(), RepoError> {
    match repo.find_reference(name) {
        Ok(mut reference) => Ok(reference.delete()?),
        Err(error) if error.code() == git2::ErrorCode::NotFound => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Makes the directory ours: it is, or it is empty, or it is refused.
fn claim(dir: &Path) -> Result<(), RepoError> {
    let io = |e: std::io::Error| RepoError::io(&format!("the mirror's directory {}", dir.display()), &e);
    std::fs::create_dir_all(dir).map_err(io)?;
    let mark = dir.join(MARK);
    if mark.is_file() {
        return Ok(());
    }
    if std::fs::read_dir(dir).map_err(io)?.next().is_some() {
        let detail = format!("{} holds something that is no mirror of ours", dir.display());
        return Err(RepoError::refused(detail));
    }
    std::fs::write(mark, "Made by fleetwright, which may delete all of it at any time.\n").map_err(io)
}

fn locked(dir: &Path) -> Result<File, RepoError> {
    let io = |e: std::io::Error| RepoError::io("the mirror can't be locked", &e);
    let file = File::open(dir.join(MARK)).map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(RepoError::refused(format!("another process uses the mirror in {}", dir.display())))
        }
        Err(TryLockError::Error(error)) => Err(io(error)),
    }
}

fn sound_or_new(dir: &Path) -> Result<Repository, RepoError> {
    remove_stale_locks(dir);
    match sound(dir) {
        Ok(repo) => Ok(repo),
        Err(error) => {
            tracing::debug!(reason = %error, "the mirror is made");
            renewed(dir)
        }
    }
}

/// Opens, and resolves every ref to an object that is there: a machine that lost power leaves empty files behind.
fn sound(dir: &Path) -> Result<Repository, RepoError> {
    let repo = Repository::open_bare(dir)?;
    // Read by hand, because libgit2 and git pass over a broken ref as if it were not there.
    let is_id = |file: &PathBuf| std::fs::read_to_string(file).is_ok_and(|text| CommitId::parse(text.trim()).is_some());
    if let Some(broken) = ref_files(dir).iter().find(|file| !is_id(file)) {
        return Err(RepoError::corrupt(format!("{} holds no id", broken.display())));
    }
    for name in ref_names(&repo, "refs/")? {
        let target = repo.refname_to_id(&name)?;
        repo.odb()?.read_header(target)?;
    }
    configure(&repo)?;
    Ok(repo)
}

fn renewed(dir: &Path) -> Result<Repository, RepoError> {
    let io = |e: std::io::Error| RepoError::io("the mirror can't be made anew", &e);
    for entry in std::fs::read_dir(dir).map_err(io)? {
        let entry = entry.map_err(io)?;
        let is_directory = entry.file_type().map_err(io)?.is_dir();
        match (entry.file_name() == MARK, is_directory) {
            (true, _) => {}
            (false, true) => std::fs::remove_dir_all(entry.path()).map_err(io)?,
            (false, false) => std::fs::remove_file(entry.path()).map_err(io)?,
        }
    }
    // Without templates: they are where foreign hooks come from.
    let mut options = RepositoryInitOptions::new();
    options.bare(true).external_template(false).no_reinit(true);
    let repo = Repository::init_opts(dir, &options)?;
    configure(&repo)?;
    Ok(repo)
}

/// No child may start collecting on its own: `maintain` does, when the daemon says so.
fn configure(repo: &Repository) -> Result<(), RepoError> {
    const SETTINGS: [(&str, &str); 9] = [
        ("gc.auto", "0"),
        ("core.commitGraph", "true"),
        ("fetch.writeCommitGraph", "true"),
        ("fetch.unpackLimit", "100"),
        ("core.logAllRefUpdates", "false"),
        ("pack.window", "50"),
        // With bitmaps a push sends whole files: it no longer looks for the old ones to make deltas against. Measured
        // for one changed line in an index of 300 kB: 67 kB with, 0.8 kB without.
        ("repack.writeBitmaps", "false"),
        ("pack.useBitmaps", "false"),
        ("push.negotiate", "false"),
    ];
    let mut config = repo.config()?;
    for (name, value) in SETTINGS {
        if config.get_string(name).ok().as_deref() != Some(value) {
            config.set_str(name, value)?;
        }
    }
    Ok(())
}

/// We hold the mirror's own lock, so git's lock files are those of children that were killed.
fn remove_stale_locks(dir: &Path) {
    let others = ["packed-refs.lock", "config.lock", "HEAD.lock", "gc.pid"].map(|name| dir.join(name));
    for file in ref_files(dir).into_iter().filter(|file| is_lock(file)).chain(others) {
        // Mostly absent; what can't be removed shows when git needs it.
        let _ = std::fs::remove_file(file);
    }
}

fn is_lock(file: &Path) -> bool {
    file.extension().is_some_and(|end| end == "lock")
}

/// Every file below `refs/`, whatever it holds.
fn ref_files(dir: &Path) -> Vec<PathBuf> {
    let mut directories: Vec<PathBuf> = vec![dir.join("refs")];
    let mut files = Vec::new();
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            match entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                true => directories.push(entry.path()),
                false => files.push(entry.path()),
            }
        }
    }
    files
}
