//! From the steps of a case to commits in a bare repository, as a push would bring them: trees are written raw, because
//! what is wrong with them is what no well-meaning tool would write.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use git2::{ObjectType, Oid, Repository};

use super::step::{Author, Form, Part, Step, Target};

const MAIN: &str = "refs/heads/main";

/// Does the steps. `finish` is applied before the last commit that changes a file.
pub fn make(path: &Path, steps: &[Step], finish: impl FnOnce(&mut Maker)) {
    let mut maker = Maker::new(path);
    let last = steps.iter().rposition(Step::is_of_tree).map_or(0, |last| last + 1);
    steps[..last].iter().for_each(|step| maker.step(step));
    finish(&mut maker);
    if !matches!(steps.get(last), Some(Step::Commit { .. })) {
        maker.commit_if_changed();
    }
    steps[last..].iter().for_each(|step| maker.step(step));
    maker.commit_if_changed();
}

/// A bare repository with a tree that is not committed yet.
pub struct Maker {
    repo: Repository,
    tree: Oid,
    parent: Option<Oid>,
    committed: Option<Oid>,
}

#[derive(Clone)]
struct Entry {
    mode: String,
    name: Vec<u8>,
    id: Oid,
}

impl Maker {
    /// From the tip of `main`.
    pub fn new(path: &Path) -> Self {
        let repo = Repository::open_bare(path).unwrap();
        let parent = repo.refname_to_id(MAIN).ok();
        let tree = parent.map_or_else(|| write_tree(&repo, &[]), |tip| repo.find_commit(tip).unwrap().tree_id());
        Self { repo, tree, parent, committed: parent.map(|_| tree) }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Write { path, text, parts } => {
                let content = if parts.is_empty() { text.clone().into_bytes() } else { self.joined(parts) };
                self.write(path, &content);
            }
            Step::Edit { path, from, to } => self.edit(path, from, to),
            Step::Remove { path } => drop(self.take(path)),
            Step::Move { from, to } => {
                let entry = self.take(from);
                self.put(to, &entry.mode, entry.id);
            }
            Step::Entry { folder, name, name_hex, mode, text, id, last } => {
                let name = if name_hex.is_empty() { name.clone().into_bytes() } else { bytes(name_hex) };
                let id = id.as_ref().map_or_else(|| self.blob(text.as_bytes()), |id| Oid::from_str(id).unwrap());
                self.beside(folder, Entry { mode: mode.clone(), name, id }, *last);
            }
            Step::Files { folder, folders, each, suffix, text } => self.files(folder, *folders, *each, suffix, text),
            Step::TreeBomb { path, levels, width } => self.bomb(path, *levels, *width),
            Step::Deep { path, levels } => self.bomb(path, *levels, 1),
            Step::Zeros { path, bytes } => {
                let id = self.zeros(*bytes);
                self.put(path, "100644", id);
            }
            Step::Commit { author, message, times } => {
                let message = message.as_deref().unwrap_or("bad").repeat(*times);
                self.commit(author.as_ref(), &message);
            }
            Step::Commits { count } => self.commits(*count),
            Step::Rewind => (self.parent, self.committed) = (Some(self.first()), None),
            Step::Unrelated => (self.parent, self.committed) = (None, None),
            Step::Vanish => {
                self.commit_if_changed();
                self.repo.find_reference(MAIN).unwrap().delete().unwrap();
            }
            Step::Ref { name, to } => self.point(name, *to),
            Step::Unref { name } => self.repo.find_reference(name).unwrap().delete().unwrap(),
        }
    }

    /// The content of a file, if there is one.
    fn read(&self, path: &str) -> Option<Vec<u8>> {
        let id = self.find(self.tree, path)?.id;
        Some(self.repo.find_blob(id).ok()?.content().to_vec())
    }

    /// Whether a file is as it was at a commit.
    pub fn is_as_at(&self, commit: Oid, path: &str) -> bool {
        let then = self.find(self.repo.find_commit(commit).unwrap().tree_id(), path);
        let now = self.find(self.tree, path);
        now.zip(then).is_some_and(|(now, then)| (now.mode, now.id) == (then.mode, then.id))
    }

    /// Writes a file.
    pub fn write(&mut self, path: &str, content: &[u8]) {
        let id = self.blob(content);
        self.put(path, "100644", id);
    }

    /// Replaces a text that stands there once: a case that no longer fits the fleet fails.
    pub fn edit(&mut self, path: &str, from: &str, to: &str) {
        let text = String::from_utf8(self.read(path).unwrap_or_else(|| panic!("there is no {path}"))).unwrap();
        assert_eq!(text.matches(from).count(), 1, "{from:?} stands not once in {path}:\n{text}");
        self.write(path, text.replacen(from, to, 1).as_bytes());
    }

    fn commit_if_changed(&mut self) {
        if self.committed != Some(self.tree) {
            self.commit(None, "bad");
        }
    }

    /// Commits the tree onto the branch.
    pub fn commit(&mut self, author: Option<&Author>, message: &str) {
        let (name, email) = author.map_or(("A Person", "person@example.com"), |author| (&author.name, &author.email));
        let seconds = fleetwright::clock::machine_time().unix_seconds();
        let stamp = format!("{name} <{email}> {seconds} +0000");
        let parent = self.parent.map(|parent| format!("parent {parent}\n")).unwrap_or_default();
        // By hand, because libgit2 looks at the tree before it commits it.
        let text = format!("tree {}\n{parent}author {stamp}\ncommitter {stamp}\n\n{message}\n", self.tree);
        let id = self.object(ObjectType::Commit, text.as_bytes());
        self.move_main(id);
    }

    fn move_main(&mut self, id: Oid) {
        write_ref(&self.repo, MAIN, id);
        self.parent = Some(id);
        self.committed = Some(self.tree);
    }

    /// Puts back the files of another commit, but for those of the bot.
    pub fn restore(&mut self, commit: Oid) {
        let status = self.find(self.tree, "status");
        self.tree = self.repo.find_commit(commit).unwrap().tree_id();
        if let Some(status) = status {
            self.put("status", &status.mode, status.id);
        }
    }

    fn object(&self, kind: ObjectType, content: &[u8]) -> Oid {
        self.repo.odb().unwrap().write(kind, content).unwrap()
    }

    fn blob(&self, content: &[u8]) -> Oid {
        self.object(ObjectType::Blob, content)
    }

    fn joined(&self, parts: &[Part]) -> Vec<u8> {
        let mut all = Vec::new();
        for part in parts {
            let piece = match &part.file {
                Some(path) => self.read(path).unwrap_or_else(|| panic!("there is no {path}")),
                None if part.hex.is_empty() => part.text.clone().into_bytes(),
                None => bytes(&part.hex),
            };
            let piece = part.form.map_or(piece.clone(), |form| form.of(&piece));
            (0..part.times).for_each(|_| all.extend_from_slice(&piece));
        }
        all
    }

    fn find(&self, tree: Oid, path: &str) -> Option<Entry> {
        let (first, rest) = path.split_once('/').map_or((path, None), |(first, rest)| (first, Some(rest)));
        let mut named = entries(&self.repo, tree).into_iter().filter(|entry| entry.name == first.as_bytes());
        // Which of two is meant, nobody can say.
        let entry = named.next().filter(|_| named.next().is_none())?;
        match rest {
            None => Some(entry),
            Some(rest) => (entry.mode == "40000").then(|| self.find(entry.id, rest))?,
        }
    }

    fn put(&mut self, path: &str, mode: &str, id: Oid) {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let entry = Entry { mode: mode.to_owned(), name: name.as_bytes().to_vec(), id };
        self.tree = change(&self.repo, self.tree, folder, &mut |entries| {
            entries.retain(|other| other.name != entry.name);
            entries.push(entry.clone());
            sort(entries);
        });
    }

    fn beside(&mut self, folder: &str, entry: Entry, last: bool) {
        self.tree = change(&self.repo, self.tree, folder, &mut |entries| {
            entries.push(entry.clone());
            if !last {
                sort(entries);
            }
        });
    }

    fn take(&mut self, path: &str) -> Entry {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut taken = None;
        self.tree = change(&self.repo, self.tree, folder, &mut |entries| {
            let at = entries.iter().position(|entry| entry.name == name.as_bytes());
            taken = at.map(|at| entries.remove(at));
        });
        taken.unwrap_or_else(|| panic!("there is no {path}"))
    }

    fn files(&mut self, folder: &str, folders: usize, each: usize, suffix: &str, text: &str) {
        let id = self.blob(text.as_bytes());
        let file = |name: String| Entry { mode: "100644".to_owned(), name: name.into_bytes(), id };
        let inner: Vec<Entry> = (0..folders)
            .map(|outer| {
                let files: Vec<Entry> = (0..each).map(|n| file(format!("{outer:04}-{n:06}{suffix}"))).collect();
                let id = write_tree(&self.repo, &files);
                Entry { mode: "40000".to_owned(), name: format!("d{outer:04}").into_bytes(), id }
            })
            .collect();
        let id = write_tree(&self.repo, &inner);
        self.put(folder, "40000", id);
    }

    fn bomb(&mut self, path: &str, levels: usize, width: usize) {
        let file = Entry { mode: "100644".to_owned(), name: b"file.yaml".to_vec(), id: self.blob(b"x: 1\n") };
        let mut tree = write_tree(&self.repo, &[file]);
        for _ in 0..levels {
            let name = |n: usize| format!("d{n:03}").into_bytes();
            let inner = |n| Entry { mode: "40000".to_owned(), name: name(n), id: tree };
            tree = write_tree(&self.repo, &(0..width).map(inner).collect::<Vec<_>>());
        }
        self.put(path, "40000", tree);
    }

    /// By fast-import, which writes a pack: the server has nothing to compress, then, when it is fetched.
    fn zeros(&self, size: u64) -> Oid {
        let marks = self.repo.path().join("marks");
        fast_import(&self.repo, &["--export-marks=marks"], |input| {
            write!(input, "blob\nmark :1\ndata {size}\n").unwrap();
            let block = vec![0; 1 << 20];
            let mut left = size;
            while left > 0 {
                let now = left.min(block.len() as u64);
                input.write_all(&block[..usize::try_from(now).unwrap()]).unwrap();
                left -= now;
            }
            input.write_all(b"\n").unwrap();
        });
        let text = std::fs::read_to_string(&marks).unwrap();
        Oid::from_str(text.trim().split_once(' ').unwrap().1).unwrap()
    }

    fn commits(&mut self, count: usize) {
        self.commit_if_changed();
        fast_import(&self.repo, &[], |input| {
            for number in 0..count {
                let from = match (number, self.parent) {
                    (0, Some(parent)) => format!("from {parent}\n"),
                    _ => String::new(),
                };
                let who = "A Person <person@example.com> 1700000000 +0000";
                write!(input, "commit {MAIN}\ncommitter {who}\ndata 1\nx\n{from}\n").unwrap();
            }
        });
        self.parent = self.repo.refname_to_id(MAIN).ok();
    }

    fn first(&self) -> Oid {
        let mut walk = self.repo.revwalk().unwrap();
        walk.push(self.parent.unwrap()).unwrap();
        walk.last().unwrap().unwrap()
    }

    fn point(&mut self, name: &str, to: Target) {
        let tip = self.parent.unwrap();
        let id = match to {
            Target::Tip => tip,
            Target::Parent => self.repo.find_commit(tip).unwrap().parent_id(0).unwrap(),
            Target::First => self.first(),
            Target::Blob => self.blob(b"no commit\n"),
            Target::Tree => self.tree,
            Target::Tag => {
                let who = "A Person <person@example.com> 1700000000 +0000";
                let text = format!("object {tip}\ntype commit\ntag v1\ntagger {who}\n\na tag\n");
                self.object(ObjectType::Tag, text.as_bytes())
            }
            Target::Stranger => {
                let who = "A Person <person@example.com> 1700000000 +0000";
                let tree = write_tree(&self.repo, &[]);
                let text = format!("tree {tree}\nauthor {who}\ncommitter {who}\n\nfrom elsewhere\n");
                self.object(ObjectType::Commit, text.as_bytes())
            }
            Target::Missing => Oid::from_str("deadbeefdeadbeefdeadbeefdeadbeefdeadbeef").unwrap(),
        };
        write_ref(&self.repo, name, id);
    }
}

impl Form {
    fn of(self, content: &[u8]) -> Vec<u8> {
        let text = String::from_utf8(content.to_vec()).unwrap();
        match self {
            Self::Utf16le => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            Self::Utf16be => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
            Self::Cr => text.replace('\n', "\r").into_bytes(),
            Self::Crlf => text.replace('\n', "\r\n").into_bytes(),
        }
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<char> = hex.chars().filter(|c| !c.is_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap()).collect()
}

/// By hand, because git points a branch at nothing but commits.
fn write_ref(repo: &Repository, name: &str, id: Oid) {
    let path = repo.path().join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, format!("{id}\n")).unwrap();
}

fn entries(repo: &Repository, tree: Oid) -> Vec<Entry> {
    let odb = repo.odb().unwrap();
    let object = odb.read(tree).unwrap();
    let mut rest = object.data();
    let mut found = Vec::new();
    while !rest.is_empty() {
        let nul = rest.iter().position(|byte| *byte == 0).unwrap();
        let (head, tail) = (&rest[..nul], &rest[nul + 1..]);
        let space = head.iter().position(|byte| *byte == b' ').unwrap();
        let mode = String::from_utf8(head[..space].to_vec()).unwrap();
        found.push(Entry { mode, name: head[space + 1..].to_vec(), id: Oid::from_bytes(&tail[..20]).unwrap() });
        rest = &tail[20..];
    }
    found
}

fn write_tree(repo: &Repository, entries: &[Entry]) -> Oid {
    let mut content = Vec::new();
    for Entry { mode, name, id } in entries {
        content.extend_from_slice(mode.as_bytes());
        content.push(b' ');
        content.extend_from_slice(name);
        content.push(0);
        content.extend_from_slice(id.as_bytes());
    }
    repo.odb().unwrap().write(ObjectType::Tree, &content).unwrap()
}

/// Git sorts a folder as if its name ended in a slash.
fn sort(entries: &mut [Entry]) {
    entries.sort_by_key(|entry| {
        let mut key = entry.name.clone();
        key.extend((entry.mode == "40000").then_some(b'/'));
        key
    });
}

fn change(repo: &Repository, tree: Oid, folder: &str, with: &mut dyn FnMut(&mut Vec<Entry>)) -> Oid {
    let mut all = entries(repo, tree);
    if folder.is_empty() {
        with(&mut all);
        return write_tree(repo, &all);
    }
    let (first, rest) = folder.split_once('/').unwrap_or((folder, ""));
    let at = all.iter().position(|entry| entry.name == first.as_bytes() && entry.mode == "40000");
    let below = at.map_or_else(|| write_tree(repo, &[]), |at| all[at].id);
    let id = change(repo, below, rest, with);
    match at {
        Some(at) if entries(repo, id).is_empty() => drop(all.remove(at)),
        Some(at) => all[at].id = id,
        None => {
            all.push(Entry { mode: "40000".to_owned(), name: first.as_bytes().to_vec(), id });
            sort(&mut all);
        }
    }
    write_tree(repo, &all)
}

fn fast_import(repo: &Repository, args: &[&str], write: impl FnOnce(&mut dyn Write)) {
    let mut command = Command::new("git");
    command.current_dir(repo.path()).args(["-c", "pack.compression=1", "fast-import", "--quiet", "--force"]).args(args);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut input = std::io::BufWriter::new(child.stdin.take().unwrap());
    write(&mut input);
    drop(input);
    assert!(child.wait().unwrap().success());
}

/// Where `main` points, whatever that is.
pub fn tip(path: &Path) -> Option<Oid> {
    Repository::open_bare(path).unwrap().refname_to_id(MAIN).ok()
}
