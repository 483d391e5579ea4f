//! The file that a world lives in: lines of JSON that are only ever added, under an advisory lock, so that several
//! processes share one world and each survives being killed at any moment.
//!
//! Nothing is synced to the disk: the world must outlive the process, not the machine.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use fleetwright_schema::units::Timestamp;
use serde::{Deserialize, Serialize};

use crate::record::Mutation;
use crate::state::Change;

/// The layout of the file; another number is another program's.
const FORMAT: u32 = 1;

/// Why a world can't be opened or used.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// The file can't be read or written.
    #[error("the world's file {} can't be used", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A whole line can't be understood. A torn last line is none; it is cut.
    #[error("the world's file {}, line {line}, can't be understood", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The file is something else.
    #[error("{} holds no world, or one of another version", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
}

/// One line: what changed, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Line {
    pub(crate) at: Timestamp,
    /// Of the first line, and of no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) world: Option<Header>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) changes: Vec<Change>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mutation: Option<Mutation>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Header {
    format: u32,
    pub(crate) seed: u64,
}

impl Line {
    pub(crate) const fn header(seed: u64, at: Timestamp) -> Self {
        Self { at, world: Some(Header { format: FORMAT, seed }), changes: Vec::new(), mutation: None }
    }
    pub(crate) const fn of(at: Timestamp, changes: Vec<Change>, mutation: Option<Mutation>) -> Self {
        Self { at, world: None, changes, mutation }
    }
    fn bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut bytes = serde_json::to_vec(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

/// What was read.
pub(crate) struct News {
    /// The file is another one than last time: everything known is void, and `lines` begins anew.
    pub(crate) replaced: bool,
    pub(crate) lines: Vec<Line>,
}

/// An open file.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    /// Up to where it was read, in bytes and lines.
    offset: u64,
    lines: u64,
}

impl Journal {
    pub(crate) fn open(path: &Path) -> Result<Self, WorldError> {
        let path = path.to_owned();
        match open_file(&path) {
            Ok(file) => Ok(Self { path, file, offset: 0, lines: 0 }),
            Err(source) => Err(WorldError::Io { path, source }),
        }
    }
    pub(crate) const fn size(&self) -> u64 {
        self.offset
    }

    /// Takes the lock, and reads what was added since. The lock is held until `unlock`.
    pub(crate) fn lock(&mut self) -> Result<News, WorldError> {
        let replaced = self.lock_current().map_err(|source| self.io(source))?;
        if replaced {
            (self.offset, self.lines) = (0, 0);
        }
        let fresh = self.read_whole_lines().map_err(|source| self.io(source))?;
        let lines = self.parse(&fresh);
        if lines.is_err() {
            // The next one to ask must meet the same error, and not go on behind it.
            (self.offset, self.lines) = (0, 0);
        }
        Ok(News { replaced, lines: lines? })
    }
    /// A lock that can't be given back goes with the process; there is nobody to tell.
    pub(crate) fn unlock(&self) {
        let _ = self.file.unlock();
    }
    /// Adds a line with a single write, so that a reader meets all of it or a torn end.
    pub(crate) fn append(&mut self, line: &Line) -> Result<(), WorldError> {
        let bytes = line.bytes().map_err(|source| self.corrupt(source))?;
        if let Err(source) = self.file.write_all(&bytes) {
            // Half a line in the file would be joined to the next one.
            let _ = self.file.set_len(self.offset);
            return Err(self.io(source));
        }
        self.offset += bytes.len() as u64;
        self.lines += 1;
        Ok(())
    }
    /// Puts a new file in the old one's place, in one step, while the lock of both is held; but leaves the old one when
    /// the new is more than half as long.
    pub(crate) fn replace_if_half(&mut self, lines: &[Line]) -> Result<(), WorldError> {
        let mut bytes = Vec::new();
        for line in lines {
            bytes.extend(line.bytes().map_err(|source| self.corrupt(source))?);
        }
        if bytes.len() as u64 * 2 > self.offset {
            return Ok(());
        }
        self.file = self.write_and_rename(&bytes).map_err(|source| self.io(source))?;
        self.offset = bytes.len() as u64;
        self.lines = lines.len() as u64;
        Ok(())
    }

    fn write_and_rename(&self, bytes: &[u8]) -> std::io::Result<File> {
        let mut name = self.path.clone().into_os_string();
        name.push(".new");
        let temporary = PathBuf::from(name);
        let mut file = open_file(&temporary)?;
        file.lock()?;
        file.set_len(0)?;
        file.write_all(bytes)?;
        std::fs::rename(&temporary, &self.path)?;
        Ok(file)
    }
    /// Locks the file that the path names now; whether that is another one than before.
    fn lock_current(&mut self) -> std::io::Result<bool> {
        let mut replaced = false;
        loop {
            self.file.lock()?;
            match std::fs::metadata(&self.path) {
                Ok(named) if is_same(&named, &self.file.metadata()?) => return Ok(replaced),
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            self.file = open_file(&self.path)?;
            replaced = true;
        }
    }
    /// Reads on to the last end of a line, and cuts what is behind it: under the lock nobody is still writing it.
    fn read_whole_lines(&mut self) -> std::io::Result<Vec<u8>> {
        let length = self.file.metadata()?.len();
        let mut bytes = Vec::new();
        if length > self.offset {
            self.file.seek(SeekFrom::Start(self.offset))?;
            self.file.read_to_end(&mut bytes)?;
        }
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        if whole < bytes.len() {
            self.file.set_len(self.offset + whole as u64)?;
            bytes.truncate(whole);
        }
        self.offset += whole as u64;
        Ok(bytes)
    }
    fn parse(&mut self, bytes: &[u8]) -> Result<Vec<Line>, WorldError> {
        let mut lines = Vec::new();
        for text in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.lines += 1;
            let line: Line = serde_json::from_slice(text).map_err(|source| self.corrupt(source))?;
            let is_sound = line.world.is_none_or(|header| header.format == FORMAT);
            if (self.lines == 1) != line.world.is_some() || !is_sound {
                return Err(WorldError::Foreign { path: self.path.clone() });
            }
            lines.push(line);
        }
        Ok(lines)
    }

    fn io(&self, source: std::io::Error) -> WorldError {
        WorldError::Io { path: self.path.clone(), source }
    }
    fn corrupt(&self, source: serde_json::Error) -> WorldError {
        WorldError::Corrupt { path: self.path.clone(), line: self.lines, source }
    }
}

fn open_file(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).open(path)
}

fn is_same(a: &std::fs::Metadata, b: &std::fs::Metadata) -> bool {
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}
