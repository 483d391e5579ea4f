//! Waiting for news of a repository: a local one tells them, a remote one is asked.

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use fleetwright_core::record::{Record, RecordCache};
use fleetwright_core::snapshot::CommitId;
use fleetwright_repo::{Remote, Watch, watch};

use super::error::CliError;
use super::source::Status;

/// A remote is asked this often; a local one, which tells its news but may forget some, too.
const ASKED_EVERY: Duration = Duration::from_secs(5);

/// The status of a repository, one commit after the other.
pub struct Follow {
    status: Status,
    cache: RecordCache,
    seen: Option<CommitId>,
    news: Receiver<()>,
    _watch: Option<Watch>,
}

impl Follow {
    /// Begins with the tip.
    pub fn open(place: &str) -> Result<Self, CliError> {
        let status = Status::open(place)?;
        let (sender, news) = channel();
        let watch = match &status {
            Status::Local(dir) => watch(&Remote::parse(&dir.to_string_lossy())?, move || {
                // A message that nobody waits for any more is no loss.
                let _ = sender.send(());
            }),
            Status::Remote(_) => None,
        };
        Ok(Self { status, cache: RecordCache::new(), seen: None, news, _watch: watch })
    }

    /// The record of the next commit; waits until there is one. `Err` on the first reading only: later, a repository
    /// that can't be reached is asked again.
    pub fn next(&mut self) -> Result<Record, CliError> {
        loop {
            match self.read() {
                Ok(Some(record)) => return Ok(record),
                Ok(None) => {}
                Err(error) if self.seen.is_none() => return Err(error),
                Err(_) => {}
            }
            self.wait();
        }
    }

    fn read(&mut self) -> Result<Option<Record>, CliError> {
        let tip = self.status.tip()?;
        if self.seen.as_ref() == Some(&tip) {
            return Ok(None);
        }
        let record = self.status.record(&tip, &mut self.cache)?;
        self.seen = Some(tip);
        Ok(Some(record))
    }

    /// News come in swarms: all that are there count as one.
    fn wait(&self) {
        match self.news.recv_timeout(ASKED_EVERY) {
            Ok(()) => while self.news.try_recv().is_ok() {},
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => std::thread::sleep(ASKED_EVERY),
        }
    }
}
