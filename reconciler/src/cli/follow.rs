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
            Status::Remote { .. } => None,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::{self, TestRepo};

    #[test]
    fn what_the_bot_commits_is_read_and_its_next_commit_arrives() {
        let repo = TestRepo::new();
        let template = testing::template();
        let named = testing::first_plan(&template, testing::built_at());
        let built = testing::built(&template);
        repo.commit(&testing::with_status(&template, &named));
        let mut follow = Follow::open(repo.path().to_str().unwrap()).unwrap();
        assert_eq!(follow.next().unwrap(), named);
        repo.commit(&testing::with_status(&template, &built));
        assert_eq!(follow.next().unwrap(), built);
    }

    #[test]
    fn a_repository_without_a_commit_is_told_at_once() {
        let repo = TestRepo::new();
        let mut follow = Follow::open(repo.path().to_str().unwrap()).unwrap();
        assert_eq!(follow.next().unwrap_err().exit, crate::cli::error::Exit::Unreadable);
    }
}
