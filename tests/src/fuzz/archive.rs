//! Several files in one input: `-- path --` on a line of its own, then the file's bytes. A text, so that a corpus can be
//! read and edited, and so that a mutator of lines moves files as well.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, LazyLock};

use fleetwright_core::snapshot::{BlobId, CommitId, RefusedEntry, Snapshot, SourceFile};

/// Files by path.
pub type Files = BTreeMap<String, Vec<u8>>;

/// The files of an input. What stands before the first header, and what has a path that the repository crate refuses, is
/// left out; of two files with one path the later stays.
pub fn files(input: &[u8]) -> Files {
    let mut files = Files::new();
    let mut current: Option<(String, Vec<u8>)> = None;
    for line in input.split_inclusive(|byte| *byte == b'\n') {
        match (header(line), &mut current) {
            (Some(path), _) => files.extend(current.replace((path, Vec::new()))),
            (None, Some((_, content))) => content.extend_from_slice(line),
            (None, None) => {}
        }
    }
    files.extend(current);
    files.retain(|path, _| is_path(path.trim_start_matches(REFUSED)));
    // No tree has two entries of one name.
    let read: BTreeSet<String> = files.keys().cloned().collect();
    files.retain(|path, _| {
        path.strip_prefix(REFUSED).is_none_or(|path| !path.starts_with(REFUSED) && !read.contains(path))
    });
    files
}

/// In front of the path of an entry that the repository crate would not read: a symbolic link, say.
const REFUSED: char = '!';

/// The path of a header.
pub fn header(line: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(line).ok()?;
    Some(text.trim_end_matches(['\n', '\r']).strip_prefix("-- ")?.strip_suffix(" --")?.to_owned())
}

/// Files as an input.
pub fn joined<'a>(files: impl IntoIterator<Item = (&'a String, &'a Vec<u8>)>) -> Vec<u8> {
    let mut input = Vec::new();
    for (path, content) in files {
        input.extend_from_slice(format!("-- {path} --\n").as_bytes());
        input.extend_from_slice(content);
    }
    input
}

/// What `fleetwright-repo` hands on: parts of at most 255 bytes that people can see as they are.
fn is_path(path: &str) -> bool {
    let hidden = |c: char| {
        c.is_control()
            || c == '\\'
            || matches!(c, '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    path.split('/').all(|part| !matches!(part, "" | "." | "..") && part.len() <= 255) && !path.contains(hidden)
}

/// The files as one commit of a repository.
pub fn snapshot(files: &Files) -> Snapshot {
    let (refused, read): (Vec<_>, Vec<_>) = files.iter().partition(|(path, _)| path.starts_with(REFUSED));
    let refused = refused.into_iter().map(|(path, _)| RefusedEntry {
        path: path.trim_start_matches(REFUSED).to_owned(),
        why: "is a symbolic link".to_owned(),
    });
    let file = |content: &Vec<u8>| {
        let blob = git2::Oid::hash_object(git2::ObjectType::Blob, content).unwrap();
        SourceFile { blob: BlobId::parse(&blob.to_string()).unwrap(), content: content.as_slice().into() }
    };
    Snapshot {
        commit: CommitId::parse(&"c".repeat(40)).unwrap(),
        files: read.into_iter().map(|(path, content)| (Arc::from(path.as_str()), file(content))).collect(),
        refused: refused.collect(),
    }
}

/// The template repository: what inputs are laid over.
pub static TEMPLATE: LazyLock<Files> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fleet-repo-template");
    let mut found = Files::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
            found.insert(name, std::fs::read(path).unwrap());
        }
    }
    found.retain(|path, _| !path.starts_with('.'));
    found
});

/// The template with the input's files in place of its own.
pub fn over_template(files: &Files) -> Files {
    let mut all = TEMPLATE.clone();
    all.extend(files.clone());
    all
}
