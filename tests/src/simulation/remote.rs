//! The Git remote of a simulation: the production code reads and writes its objects in memory; what crosses the wire is
//! lost, late, doubled, declined or a lie, all from one seed.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use fleetwright::tip::{OBSERVED_REF, RECORD_REF};
use fleetwright_core::record::{Record, RecordCache};
use fleetwright_core::snapshot::{CommitId, Snapshot};
use fleetwright_repo::{Chore, NewCommit, Objects, PushError, RefUpdate, RemoteRefs, RepoError, Upstream};
use fleetwright_schema::units::{Duration, Timestamp};

use super::points::{Kind, reach, replied};
use super::{Crash, Shared};
use crate::promises::{Effect, Process, Tip};
use crate::wishes::Dice;

/// The watched branch.
pub const BRANCH: &str = "refs/heads/main";
/// So many earlier states a lagging remote may answer with.
const PAST_MAX: usize = 4;

/// After it lagged, a copy shows the truth at least this long.
const CAUGHT_UP: Duration = Duration::from_minutes(6);

type Refs = BTreeMap<String, CommitId>;

/// How many calls of a hundred go wrong, by kind.
#[derive(Clone, Copy, Debug, Default)]
pub struct RemoteOdds {
    /// No answer.
    pub unreachable: u64,
    /// The refs as they were.
    pub stale: u64,
    /// A hook or a policy says no.
    pub declined: u64,
    /// The push is done, and nobody hears of it.
    pub reply_lost: u64,
    /// The push is not done, and nobody hears of it.
    pub request_lost: u64,
    /// The push is not done, and is said to be.
    pub lie: u64,
    /// The process ends before a push.
    pub crash_before: u64,
    /// The process ends after a push.
    pub crash_after: u64,
}

/// The remote.
pub struct Remote {
    /// Its objects, and those of every clone: what they are called is what they hold.
    pub objects: Rc<Objects>,
    refs: Refs,
    past: VecDeque<Refs>,
    lagging: Option<(Timestamp, Refs)>,
    caught_up_until: Timestamp,
    tips: BTreeMap<CommitId, Tip>,
    last_tip: Tip,
    record_cache: RecordCache,
    status: Option<Snapshot>,
    /// How it misbehaves now.
    pub odds: RemoteOdds,
    dice: Dice,
    /// Commits of the bot.
    pub bot_commits: u64,
}

impl Remote {
    /// An empty repository.
    pub fn new(seed: u64) -> Self {
        Self {
            objects: Rc::new(Objects::in_memory().unwrap()),
            refs: Refs::new(),
            past: VecDeque::new(),
            lagging: None,
            caught_up_until: Timestamp::MIN,
            tips: BTreeMap::new(),
            last_tip: 0,
            record_cache: RecordCache::new(),
            status: None,
            odds: RemoteOdds::default(),
            dice: Dice::new(seed ^ 0x6769_7400),
            bot_commits: 0,
        }
    }

    /// The tip of the branch.
    pub fn tip(&self) -> Option<CommitId> {
        self.refs.get(BRANCH).cloned()
    }

    /// The last commit of people that was taken up.
    pub fn observed(&self) -> Option<CommitId> {
        self.refs.get(OBSERVED_REF).cloned()
    }

    /// All refs as they are.
    pub fn refs(&self) -> RemoteRefs {
        self.refs.clone().into_iter().collect()
    }

    /// The place of a commit in the row of all tips.
    pub fn number_of(&self, commit: &CommitId) -> Tip {
        self.tips.get(commit).copied().unwrap_or(0)
    }

    /// The place of the tip.
    pub const fn last_number(&self) -> Tip {
        self.last_tip
    }

    /// Moves refs, whoever did it.
    pub fn move_refs(&mut self, moves: impl IntoIterator<Item = (String, Option<CommitId>)>) {
        self.past.push_back(self.refs.clone());
        if self.past.len() > PAST_MAX {
            self.past.pop_front();
        }
        for (name, commit) in moves {
            match commit {
                Some(commit) => {
                    if name == BRANCH {
                        self.last_tip += 1;
                        self.tips.insert(commit.clone(), self.last_tip);
                    }
                    self.refs.insert(name, commit);
                }
                None => drop(self.refs.remove(&name)),
            }
        }
    }

    /// A commit of a person, as a push would bring it.
    pub fn commit(
        &mut self,
        changes: &BTreeMap<String, Option<Vec<u8>>>,
        parent: Option<CommitId>,
        now: Timestamp,
    ) -> Option<CommitId> {
        let commit = self.objects.write_commit(&NewCommit {
            parent,
            changes,
            afresh: None,
            message: "edit",
            author_name: "A Person",
            author_email: "person@example.com",
            time_unix_seconds: now.unix_seconds(),
        });
        let commit = commit.unwrap()?;
        self.move_refs([(BRANCH.to_owned(), Some(commit.clone()))]);
        Some(commit)
    }

    fn hits(&mut self, odds: impl Fn(&RemoteOdds) -> u64) -> bool {
        let odds = odds(&self.odds);
        odds > 0 && self.dice.percent(odds)
    }

    /// A copy that lags answers with one earlier state, once or for minutes on end.
    fn answer(&mut self, now: Timestamp) -> Result<Refs, RepoError> {
        if self.lagging.as_ref().is_some_and(|(until, _)| *until <= now || self.odds.stale == 0) {
            // It catches up for a while: no copy lags for ever.
            self.lagging = None;
            self.caught_up_until = now.plus(CAUGHT_UP);
        }
        if self.hits(|odds| odds.unreachable) {
            return Err(RepoError::Unreachable { detail: "connection reset by peer".to_owned() });
        }
        if let Some((_, past)) = &self.lagging {
            return Ok(past.clone());
        }
        let stale = self.hits(|odds| odds.stale) && !self.past.is_empty() && self.caught_up_until <= now;
        if !stale {
            return Ok(self.refs.clone());
        }
        let past: Vec<Refs> = self.past.iter().cloned().collect();
        let past = self.dice.pick(&past);
        if self.dice.percent(30) {
            let until = now.plus(Duration::from_seconds(self.dice.between(30, 600)));
            self.lagging = Some((until, past.clone()));
        }
        Ok(past)
    }

    fn current(&self, updates: &[RefUpdate]) -> Result<(), PushError> {
        let moved = updates.iter().find(|update| self.refs.get(&update.name) != update.expected.as_ref());
        moved.map_or(Ok(()), |moved| {
            Err(PushError::Rejected { reason: format!("{}: [rejected] (stale info)", moved.name) })
        })
    }

    /// What is published: read from the bytes that everybody can read.
    fn record(&mut self, commit: &CommitId) -> (Record, Vec<String>) {
        let keep = |path: &str| path == "status/" || path.starts_with("status/");
        let snapshot = self.objects.snapshot(commit, &keep, self.status.as_ref()).unwrap().snapshot;
        let record = Record::parse(&snapshot, &mut self.record_cache);
        let known = |path: &std::sync::Arc<str>, file: &fleetwright_core::snapshot::SourceFile| {
            let before = self.status.as_ref().and_then(|before| before.files.get(path));
            before.is_some_and(|before| before.blob == file.blob)
        };
        let fresh = snapshot.files.iter().filter(|(path, file)| !known(path, file));
        let mut texts: Vec<String> =
            fresh.map(|(_, file)| String::from_utf8_lossy(&file.content).into_owned()).collect();
        texts.push(self.objects.commit_info(commit).unwrap().message);
        self.status = Some(snapshot);
        (record, texts)
    }
}

/// One process's clone.
pub struct SimUpstream {
    /// The stage.
    pub shared: Shared,
    /// The same objects as the remote's.
    pub objects: Rc<Objects>,
    /// Whose clone it is.
    pub process: Process,
}

impl SimUpstream {
    fn crash(&self, odds: impl Fn(&RemoteOdds) -> u64, when: &str) {
        let hits = self.shared.borrow_mut().remote.hits(odds);
        if hits {
            self.shared.borrow_mut().say(format!("process {} ends {when}", self.process));
            std::panic::resume_unwind(Box::new(Crash));
        }
    }

    fn asked(&self, kind: Kind) -> Result<Refs, RepoError> {
        let way = reach(&self.shared, self.process, kind);
        let answer = {
            let stage = &mut *self.shared.borrow_mut();
            stage.remote.answer(stage.clock.now())
        };
        replied(&self.shared, self.process, kind, way);
        answer
    }

    fn apply(&self, updates: &[RefUpdate]) {
        let mut stage = self.shared.borrow_mut();
        let moving: Vec<_> = updates.iter().filter(|update| update.expected != update.new).collect();
        stage.remote.move_refs(moving.iter().map(|update| (update.name.clone(), update.new.clone())));
        if moving.iter().any(|update| update.name == BRANCH) {
            stage.remote.bot_commits += 1;
            let (tip, soundness) = (stage.remote.last_number(), stage.soundness.clone());
            stage.judge.take(&Effect::Moved { tip, soundness: &soundness });
        }
        let Some(commit) = updates.iter().find(|u| u.name == RECORD_REF).and_then(|u| u.new.clone()) else { return };
        let (record, texts) = stage.remote.record(&commit);
        let standing = stage.standing();
        stage.say_changes(self.process, &record);
        stage.judge.take(&Effect::Published { process: self.process, record: &record, standing: &standing });
        for text in &texts {
            stage.judge.take(&Effect::Said { text });
        }
        let (now, stage) = (stage.clock.now(), &mut *stage);
        if let Some(log) = &mut stage.log {
            log.note(&stage.record, &record, now);
        }
        stage.record = record;
    }
}

impl Upstream for SimUpstream {
    fn objects(&self) -> &Objects {
        &self.objects
    }

    fn ls_remote(&self) -> Result<BTreeMap<String, CommitId>, RepoError> {
        self.asked(Kind::LsRemote)
    }

    fn fetch(&self) -> Result<RemoteRefs, RepoError> {
        Ok(self.asked(Kind::Fetch)?.into_iter().collect())
    }

    fn push(&self, updates: &[RefUpdate]) -> Result<(), PushError> {
        if updates.is_empty() {
            return Ok(());
        }
        let kind = Kind::of_push(updates);
        let way = reach(&self.shared, self.process, kind);
        let answer = self.pushed(updates);
        replied(&self.shared, self.process, kind, way);
        answer
    }

    fn maintenance(&self) -> Chore {
        Box::new(|| Ok(()))
    }
}

impl SimUpstream {
    fn pushed(&self, updates: &[RefUpdate]) -> Result<(), PushError> {
        self.crash(|odds| odds.crash_before, "before a push");
        if updates.iter().all(|update| update.expected == update.new) {
            // Git compares with what the server says before anything is sent: there is nothing to lose or to lie about.
            let stage = &mut *self.shared.borrow_mut();
            return match stage.remote.hits(|odds| odds.unreachable) {
                true => Err(PushError::Unreachable { reason: "connection refused".to_owned() }),
                false => stage.remote.current(updates),
            };
        }
        let unknown = || PushError::UnknownResult { reason: "the remote end hung up unexpectedly".to_owned() };
        let fate = {
            let mut stage = self.shared.borrow_mut();
            let remote = &mut stage.remote;
            if remote.hits(|odds| odds.unreachable) {
                Some(Err(PushError::Unreachable { reason: "connection refused".to_owned() }))
            } else if remote.hits(|odds| odds.declined) {
                Some(Err(PushError::Declined { reason: "pre-receive hook declined".to_owned() }))
            } else if remote.hits(|odds| odds.request_lost) {
                Some(Err(unknown()))
            } else if remote.hits(|odds| odds.lie) {
                stage.say("the remote says that it took a push, and did not");
                Some(Ok(()))
            } else {
                remote.current(updates).err().map(Err)
            }
        };
        if let Some(fate) = fate {
            return fate;
        }
        self.apply(updates);
        self.crash(|odds| odds.crash_after, "after a push");
        match self.shared.borrow_mut().remote.hits(|odds| odds.reply_lost) {
            true => Err(unknown()),
            false => Ok(()),
        }
    }
}
