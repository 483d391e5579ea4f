//! The daemon's side of the remote: when it is asked, what is taken up from it, when something is published to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration as RealDuration;

use fleetwright_core::check::CheckedPlan;
use fleetwright_core::mutant;
use fleetwright_core::plan::Plan;
use fleetwright_core::record::{Record, place_of};
use fleetwright_core::snapshot::CommitId;
use fleetwright_repo::{Objects, PushError, RefUpdate, RemoteRefs, RepoError};
use fleetwright_schema::documents::Publishing;
use fleetwright_schema::status::ClusterSetStatus;
use fleetwright_schema::units::{Duration, Timestamp};

use super::{AFTER_ACTION, Daemon, DaemonError};
use crate::clock::{Clock, Uptime};
use crate::events::Event;
use crate::publisher::{Publication, PublishError, publish};
use crate::tip::{OBSERVED_REF, RECORD_REF, Tip};

/// The longest pause after a remote that does not answer.
const REMOTE_BACKOFF_MAX: RealDuration = RealDuration::from_secs(300);
/// How long details of steps are collected for one commit.
const DETAILS_WINDOW: Duration = Duration::from_minutes(1);
/// The remote's tips are not asked for again within this time before something is done.
const CONFIRMED_RECENTLY: RealDuration = RealDuration::from_secs(1);
/// Objects are packed after so many publications.
const MAINTENANCE_EVERY: u32 = 200;

/// A state of the remote: what moves with every push of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    branch: Option<CommitId>,
    record: Option<CommitId>,
}

impl State {
    fn of(tip: &Tip) -> Self {
        Self { branch: tip.commit.clone(), record: tip.refs.get(RECORD_REF).cloned() }
    }

    fn is_older(&self, than: &Self, objects: &Objects) -> Result<bool, RepoError> {
        let older = |shown: &Option<CommitId>, known: &Option<CommitId>| match (shown, known) {
            (Some(shown), Some(known)) if shown != known => objects.descends(known, shown),
            _ => Ok(false),
        };
        Ok(older(&self.branch, &than.branch)? || older(&self.record, &than.record)?)
    }
}

/// The newest states of the remote that this process has seen or made: one, and beside it those that the remote said it
/// took, and lost.
#[derive(Debug, Default)]
pub(super) struct Newest(Vec<State>);

/// So many lost states are remembered.
const LOST_STATES_MAX: usize = 16;

impl Newest {
    fn is_older(&self, shown: &State, objects: &Objects) -> Result<bool, RepoError> {
        for known in &self.0 {
            if shown.is_older(known, objects)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn add(&mut self, shown: State, objects: &Objects) -> Result<(), RepoError> {
        let mut kept = Vec::new();
        for known in self.0.drain(..) {
            if known != shown && !known.is_older(&shown, objects)? {
                kept.push(known);
            }
        }
        kept.truncate(LOST_STATES_MAX);
        kept.insert(0, shown);
        self.0 = kept;
        Ok(())
    }
}

impl Daemon {
    pub(super) fn wants_publishing(&self, tip: &Tip, plan: &Plan) -> bool {
        let record = plan.record != tip.record;
        let told = self.told.as_ref() != Some(&tip.notices);
        let source = tip.source.as_ref().filter(|_| tip.sound);
        let observed = source.is_some_and(|source| tip.refs.get(OBSERVED_REF) != Some(source));
        let unwritten = tip.status_commit.is_none() && !tip.record.sets.is_empty();
        tip.commit.is_some() && (record || told || unwritten || observed || !tip.edited.is_empty())
    }

    pub(super) fn may_publish(&self) -> bool {
        self.declined_until.is_none_or(|until| until <= self.clock.uptime())
    }

    /// When the next commit may be made. What consumers act on goes out soon; how steps get on is collected for longer.
    pub(super) fn batch_ends(&self, tip: &Tip, plan: &Plan) -> Option<Timestamp> {
        let config = tip.desired.config.as_ref();
        let window = config.map_or_else(|| Publishing::default().batch_window, |config| config.publishing.batch_window);
        let window = if changes_state(&tip.record, &plan.record) { window } else { window.max(DETAILS_WINDOW) };
        Some(self.published_at?.plus(window))
    }

    pub(super) fn publish(&mut self, tip: Tip, checked: CheckedPlan) -> Result<(), DaemonError> {
        let config = tip.desired.config.as_ref();
        let branch = config.and_then(|config| config.publishing.branch.clone());
        let branch = branch.unwrap_or_else(|| self.reader.branch().to_owned());
        let now = self.clock.now();
        let publication = Publication {
            branch: &branch,
            record: if mutant::on("another-record-published") { &tip.record } else { &checked.plan().record },
            notices: &tip.notices,
            observes: tip.sound,
            committed_at: self.clock.machine_time(),
        };
        match publish(&*self.upstream, &tip, &publication) {
            Ok(published) => {
                self.events.event(Event::Published { published: &published, now });
                self.note_time();
                self.told = Some(tip.notices.clone());
                // Only a commit opens a batch: a ref that moved is nothing that others read.
                self.published_at = published.commit.is_some().then_some(now).or(self.published_at);
                self.poll_failures = 0;
                self.races_lost = 0;
                self.has_pushed = true;
                self.declines = 0;
                self.declined_why = None;
                // That a push succeeded is what the remote says. Before anything is done because of it, the remote is
                // asked for its tips: a server that lost what it had taken (a failover, a proxy) is found out by that.
                self.confirmed_at = mutant::on("push-believed").then(|| self.clock.uptime());
                let refs = refs_after(&tip, &published.moved);
                self.known = checked.into_plan().record;
                self.tip = Some(tip);
                self.take_up(refs)?;
                self.maintain();
            }
            Err(error) => {
                self.tip = Some(tip);
                self.not_published(error);
            }
        }
        Ok(())
    }

    pub(super) fn not_published(&mut self, error: PublishError) {
        self.events.event(Event::NotPublished(&error));
        if matches!(error, PublishError::Declined(_)) {
            self.declines += 1;
            self.declined_why = Some(error.to_string());
        }
        // Fetch and plan again. At once where somebody was merely faster; but who loses race after race reads a copy
        // that lags, and would ask as fast as the server answers.
        let failures = match error {
            PublishError::Superseded(_) if mutant::on("race-lost-without-pause") => 0,
            PublishError::Superseded(_) => {
                self.races_lost += 1;
                self.races_lost - 1
            }
            _ => {
                self.poll_failures += 1;
                self.poll_failures
            }
        };
        let pause = if failures == 0 { RealDuration::ZERO } else { remote_backoff(failures) };
        self.declined_until = Some(self.clock.uptime() + pause);
        self.poll_at = self.clock.uptime() + pause;
    }

    pub(super) fn maintain(&mut self) {
        self.publications += 1;
        if self.publications.is_multiple_of(MAINTENANCE_EVERY) {
            let maintenance = self.upstream.maintenance();
            std::thread::spawn(move || {
                if let Err(error) = maintenance() {
                    tracing::warn!(%error, "maintenance of the mirror failed; it is tried again later");
                }
            });
        }
    }

    /// Asks the remote for its tips when it is time, and fetches what is new.
    pub(super) fn look_at_remote(&mut self) -> Result<(), DaemonError> {
        if self.clock.uptime() < self.poll_at {
            return Ok(());
        }
        self.poll_at = self.clock.uptime() + jittered(self.options.poll_interval, self.salt, self.publications);
        match self.news_of_remote() {
            Ok(true) => {
                // Only what was read as well is confirmed: where the fetch fails, the tip that is known is not the remote's.
                self.confirmed_at = None;
                let asked = self.clock.uptime();
                let read = self.upstream.fetch().and_then(|refs| self.read_tip(refs));
                self.confirmed_at = read.is_ok().then_some(asked);
                read.or_else(|error| self.remote_failed(error))
            }
            Ok(false) => Ok(()),
            Err(error) => self.remote_failed(error),
        }
    }

    /// One `ls-remote`: whether anything differs from what was last read.
    pub(super) fn news_of_remote(&mut self) -> Result<bool, RepoError> {
        let Some(tip) = self.tip.take() else { return Ok(true) };
        let moved = self.has_moved(&tip);
        self.tip = Some(tip);
        moved
    }

    pub(super) fn has_moved(&mut self, tip: &Tip) -> Result<bool, RepoError> {
        let asked = self.clock.uptime();
        let there = self.upstream.ls_remote()?;
        let known: BTreeMap<String, _> = tip.refs.iter().map(|(name, id)| (name.to_owned(), id.clone())).collect();
        self.confirmed_at = (known == there).then_some(asked);
        if known == there {
            self.poll_failures = 0;
        }
        Ok(known != there)
    }

    /// A copy of the remote that lags answers with a state that was left behind, and a server may lose what it took.
    /// From such a tip is planned and published (a push compares before it swaps), but nothing is done by it.
    fn note_age(&mut self, tip: &Tip) -> Result<(), RepoError> {
        let shown = State::of(tip);
        self.shows_older = self.newest.is_older(&shown, self.upstream.objects())?;
        match self.shows_older {
            true => Ok(()),
            false => self.newest.add(shown, self.upstream.objects()),
        }
    }

    /// Whether the tip is still the remote's: another daemon may have gone on meanwhile, and what its record says now may
    /// forbid what ours permits. Asked before actions, unless it was just asked.
    pub(super) fn is_current(&mut self, tip: &Tip) -> bool {
        if mutant::on("fencing-skipped") {
            return true;
        }
        // A new process can't tell a copy that lags from the truth, and no process can where an older state is shown.
        let known = (self.has_pushed && !self.shows_older) || mutant::on("older-tip-believed");
        let recently = |at: Uptime| self.clock.uptime().saturating_sub(at) < CONFIRMED_RECENTLY;
        if known && self.confirmed_at.is_some_and(recently) {
            return true;
        }
        if !known && self.asks_again_at.is_some_and(|at| self.clock.uptime() < at) {
            return false;
        }
        let current = if known { self.has_moved(tip).map(|moved| !moved) } else { self.stands(tip) };
        let failures = match current {
            Ok(true) => {
                self.asks_again_at = None;
                return true;
            }
            // Where reading it fails, that has its own pauses.
            Ok(false) if known && self.poll_failures == 0 => 0,
            Ok(false) => {
                self.races_lost += 1;
                self.races_lost
            }
            Err(error) => {
                self.events.event(Event::Trouble(&error.to_string()));
                self.poll_failures += 1;
                self.poll_failures
            }
        };
        // Never later than it would be read anyhow, however often actions wait for it.
        let pause = if failures == 0 { RealDuration::ZERO } else { remote_backoff(failures) };
        let at = self.clock.uptime() + pause;
        self.asks_again_at = Some(at);
        self.poll_at = self.poll_at.min(at);
        false
    }

    /// Asks the server that takes pushes, which no copy stands in for, by a push that moves nothing.
    fn stands(&mut self, tip: &Tip) -> Result<bool, RepoError> {
        let branch = |name: Option<&str>| name.map(|name| format!("refs/heads/{name}"));
        let config = tip.desired.config.as_ref();
        let separate = branch(config.and_then(|config| config.publishing.branch.as_deref()));
        let own = branch(Some(self.reader.branch()));
        let names: BTreeSet<String> =
            own.into_iter().chain(separate).chain([RECORD_REF.to_owned(), OBSERVED_REF.to_owned()]).collect();
        let standing = names.into_iter().filter_map(|name| {
            let at = tip.refs.get(&name).cloned()?;
            Some(RefUpdate { name, expected: Some(at.clone()), new: Some(at) })
        });
        let asked = self.clock.uptime();
        match self.upstream.push(&standing.collect::<Vec<_>>()) {
            Ok(()) => {
                self.has_pushed = true;
                self.shows_older = false;
                self.newest = Newest(vec![State::of(tip)]);
                self.confirmed_at = Some(asked);
                Ok(true)
            }
            Err(PushError::Rejected { .. }) => Ok(false),
            Err(error) => Err(RepoError::Other { detail: error.to_string() }),
        }
    }

    pub(super) fn remote_failed(&mut self, error: RepoError) -> Result<(), DaemonError> {
        self.poll_failures += 1;
        self.poll_at = self.clock.uptime() + remote_backoff(self.poll_failures);
        // A daemon that has read the repository once waits for it to come back; at the start, a person is watching.
        let ends = self.options.once || self.options.until_settled || self.options.dry_run;
        if self.tip.is_none() && ends {
            return Err(DaemonError::Repository(error));
        }
        self.events.event(Event::Trouble(&error.to_string()));
        Ok(())
    }

    pub(super) fn take_up(&mut self, refs: RemoteRefs) -> Result<(), DaemonError> {
        self.read_tip(refs).or_else(|error| self.remote_failed(error))
    }

    pub(super) fn read_tip(&mut self, refs: RemoteRefs) -> Result<(), RepoError> {
        let tip = self.reader.read(self.upstream.objects(), refs)?;
        if let Clock::Simulated(clock) = &self.clock {
            clock.at_least(tip.record.newest_time());
        }
        if let Some(config) = &tip.desired.config {
            self.hands.learn(config);
        }
        self.note_age(&tip)?;
        self.poll_failures = 0;
        let now = self.clock.now();
        self.memory.note_foreign(&self.known, &tip.record, now);
        self.memory.note_record(&tip.record, now);
        let touched = |name| self.memory.touched.get(name) == Some(&now);
        let fresh = tip.record.clusters().filter(|(_, cluster)| touched(&cluster.metadata.name));
        for place in fresh.map(|(set, cluster)| place_of(set, cluster)).collect::<BTreeSet<_>>() {
            self.rounds.entry(place).or_default().due = Some(now.plus(AFTER_ACTION));
        }
        self.known = tip.record.clone();
        self.events.event(Event::Tip { tip: &tip });
        self.tip = Some(tip);
        Ok(())
    }
}

/// The refs as they are after a push that succeeded: no need to ask for what we wrote ourselves.
fn refs_after(tip: &Tip, moved: &[(String, CommitId)]) -> RemoteRefs {
    let mut refs = tip.refs.clone();
    moved.iter().for_each(|(name, commit)| refs.set(name, commit));
    refs
}

/// Whether a cluster comes, goes or changes its state, or a set takes up another wish.
fn changes_state(old: &Record, new: &Record) -> bool {
    new.sets.len() != old.sets.len()
        || new.sets.iter().any(|(id, set)| {
            let Some(before) = old.sets.get(id).filter(|before| !Arc::ptr_eq(before, set)) else {
                return !old.sets.contains_key(id);
            };
            let states = |set: &ClusterSetStatus| -> Vec<_> {
                set.clusters.iter().map(|c| (c.metadata.ordinal, c.status.state, c.status.retirement.clone())).collect()
            };
            before.spec != set.spec || states(before) != states(set)
        })
}

fn remote_backoff(failures: u32) -> RealDuration {
    let seconds = 1u64 << failures.saturating_sub(1).min(9);
    RealDuration::from_secs(seconds).min(REMOTE_BACKOFF_MAX)
}

/// Up to a tenth more, so that daemons that began together do not ask together.
fn jittered(interval: RealDuration, process: u32, turn: u32) -> RealDuration {
    let share = (process.wrapping_mul(31).wrapping_add(turn.wrapping_mul(17))) % 100;
    interval + interval.mul_f64(f64::from(share) / 1000.0)
}
