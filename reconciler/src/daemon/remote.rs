//! The daemon's side of the remote: when it is asked, what is taken up from it, when something is published to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration as RealDuration;

use fleetwright_core::check::CheckedPlan;
use fleetwright_core::mutant;
use fleetwright_core::plan::Plan;
use fleetwright_core::record::{Record, place_of};
use fleetwright_core::snapshot::CommitId;
use fleetwright_repo::{PushError, RefUpdate, RemoteRefs, RepoError};
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
                self.declines = 0;
                self.declined_why = None;
                let refs = refs_after(&tip, &published.moved);
                self.known = checked.into_plan().record;
                self.tip = Some(tip);
                self.take_up(refs)?;
                // That it succeeded is what the server says. Before anything is done because of it, it is asked again: one
                // that lost what it had taken (a failover, a proxy) is found out by that.
                self.confirmed_at = mutant::on("push-believed").then(|| self.clock.uptime());
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
        let pause = pause_after(failures);
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
                // Where the fetch fails, the tip that is known is not the remote's.
                self.confirmed_at = None;
                self.upstream.fetch().and_then(|refs| self.read_tip(refs)).or_else(|error| self.remote_failed(error))
            }
            Ok(false) => {
                self.poll_failures = 0;
                Ok(())
            }
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

    fn has_moved(&self, tip: &Tip) -> Result<bool, RepoError> {
        let there = self.upstream.ls_remote()?;
        let known: BTreeMap<String, _> = tip.refs.iter().map(|(name, id)| (name.to_owned(), id.clone())).collect();
        Ok(known != there)
    }

    /// Whether the tip is still the remote's: another daemon may have gone on meanwhile, and what its record says now may
    /// forbid what ours permits. Asked before actions, unless it was just asked.
    pub(super) fn is_current(&mut self, tip: &Tip) -> bool {
        let now = self.clock.uptime();
        let recently = |at: Uptime| now.saturating_sub(at) < CONFIRMED_RECENTLY;
        if self.confirmed_at.is_some_and(recently) || mutant::on("fencing-skipped") {
            return true;
        }
        if self.asks_again_at.is_some_and(|at| now < at) {
            return false;
        }
        let failures = match self.stands(tip) {
            Ok(()) => {
                (self.confirmed_at, self.asks_again_at) = (Some(now), None);
                self.races_lost = 0;
                return true;
            }
            Err(PushError::Rejected { .. }) => {
                self.races_lost += 1;
                self.races_lost - 1
            }
            Err(error) => {
                self.events.event(Event::Trouble(&error.to_string()));
                self.poll_failures += 1;
                self.poll_failures
            }
        };
        // Read anew, and never later than it would be anyhow, however often actions wait for it.
        let at = now + pause_after(failures);
        self.asks_again_at = Some(at);
        self.poll_at = self.poll_at.min(at);
        false
    }

    /// Asks the server that takes pushes, by a push that moves nothing. A copy that is read from may lag, and a server
    /// may have lost what it said it took: only where a push is compared with is the truth.
    fn stands(&self, tip: &Tip) -> Result<(), PushError> {
        if mutant::on("older-tip-believed") {
            return self.shown(tip);
        }
        let branch = |name: &str| format!("refs/heads/{name}");
        let separate = tip.desired.config.as_ref().and_then(|config| config.publishing.branch.as_deref());
        let names: BTreeSet<String> = [branch(self.reader.branch()), RECORD_REF.to_owned(), OBSERVED_REF.to_owned()]
            .into_iter()
            .chain(separate.map(branch))
            .collect();
        let standing = names.into_iter().filter_map(|name| {
            let at = tip.refs.get(&name).cloned()?;
            Some(RefUpdate { name, expected: Some(at.clone()), new: Some(at) })
        });
        self.upstream.push(&standing.collect::<Vec<_>>())
    }

    /// What a fence that reads would say.
    fn shown(&self, tip: &Tip) -> Result<(), PushError> {
        match self.has_moved(tip) {
            Ok(false) => Ok(()),
            Ok(true) => Err(PushError::Rejected { reason: String::new() }),
            Err(error) => Err(PushError::Unreachable { reason: error.to_string() }),
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
        self.poll_failures = 0;
        self.confirmed_at = None;
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

/// None after the first race that was lost: somebody was merely faster.
fn pause_after(failures: u32) -> RealDuration {
    if failures == 0 { RealDuration::ZERO } else { remote_backoff(failures) }
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
