//! The people around a fleet: who edit, revert, approve, read, rewrite history, and write where they should not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fleetwright::tip::{ACKS_PREFIX, RECORD_REF, TipReader};
use fleetwright_core::desired::{Desired, Wish};
use fleetwright_core::snapshot::CommitId;
use fleetwright_schema::documents::RemovalApprovalSpec;
use fleetwright_schema::set::{DeletionPolicy, ResolvedSet};
use fleetwright_schema::units::{Duration, Timestamp};

use super::files::{Files, changes, files, soundness};
use super::remote::BRANCH;
use super::script::{Moment, Stir};
use super::{Shared, Stage};
use crate::mishaps::mishap;
use crate::promises::{Effect, Soundness, approval};
use crate::wishes::{Dice, People};

/// Longer times than these only make runs longer.
const WAIT_MAX: Duration = Duration::from_minutes(30);

/// Everybody but the bot.
pub struct Crowd {
    people: People,
    approvals: Vec<RemovalApprovalSpec>,
    /// What they last committed.
    files: Files,
    /// The tip before the branch was rewritten.
    rewritten: Option<CommitId>,
    acknowledged: Option<CommitId>,
}

impl Crowd {
    /// The people of a seed.
    pub fn new(seed: u64, now: Timestamp) -> Self {
        let mut dice = Dice::new(seed ^ 0x6372_6f77_6400);
        let mut people = People::new(&mut dice, now);
        if dice.percent(80) {
            people.config.maintenance_windows.clear();
        }
        Self { people, approvals: Vec::new(), files: Files::new(), rewritten: None, acknowledged: None }
    }

    /// The first commit.
    pub fn begin(&mut self, shared: &Shared) {
        let mut stage = shared.borrow_mut();
        for (id, set) in &self.people.sets {
            let rotation = &set.update_strategy.cluster_rotation;
            let (count, version) = (set.count, &set.template.kubernetes_version);
            stage.say(format!("{id}: {count} at {version}, surge {}", rotation.max_surge));
        }
        self.commit(&mut stage);
    }

    /// Something happens.
    pub fn stir(&mut self, shared: &Shared, moment: Moment) {
        let stage = &mut *shared.borrow_mut();
        let (mut dice, now) = (Dice::new(moment.seed), stage.clock.now());
        match moment.stir {
            Stir::Edit if self.rewritten.is_none() => {
                let what = self.people.edit(&mut dice, now);
                stage.say(format!("edit: {what}"));
                stage.tally.edits += 1;
                self.commit(stage);
            }
            Stir::Fault => {
                let fault = mishap(&mut dice, &self.people, &stage.record, now);
                stage.say(format!("fault: {fault:?}"));
                stage.world.inject(fault).unwrap();
            }
            Stir::Mend => {
                stage.say("the clouds are well again");
                stage.world.clear_faults().unwrap();
            }
            Stir::Acknowledge => self.acknowledge(stage),
            Stir::Rewrite => self.rewrite(stage),
            Stir::Tamper => tamper(stage, &mut dice),
            Stir::Approve if self.rewritten.is_none() => self.approve(stage),
            Stir::Edit | Stir::Approve | Stir::Crash => {}
        }
    }

    /// Somebody edits in this way.
    pub fn edit(&mut self, shared: &Shared, how: impl FnOnce(&mut People)) {
        let stage = &mut *shared.borrow_mut();
        how(&mut self.people);
        stage.say("edit");
        self.commit(stage);
    }

    /// Somebody commits a file that says nothing of the fleet.
    pub fn note(shared: &Shared) {
        let stage = &mut *shared.borrow_mut();
        let (parent, now) = (stage.remote.tip(), stage.clock.now());
        let changes = BTreeMap::from([("NOTES.md".to_owned(), Some(now.to_string().into_bytes()))]);
        stage.say("a note");
        if stage.remote.commit(&changes, parent, now).is_some() {
            moved(stage);
        }
    }

    /// Somebody pushes an edit of the board to the bot's own ref, and leaves the branch as it is.
    pub fn misplace(shared: &Shared) {
        let stage = &mut *shared.borrow_mut();
        let (tip, now) = (stage.remote.tip(), stage.clock.now());
        let changes = BTreeMap::from([("status/README.md".to_owned(), Some(b"all is well".to_vec()))]);
        stage.say("the record is moved");
        if let Some(edit) = stage.remote.commit(&changes, tip.clone(), now) {
            stage.remote.move_refs([(BRANCH.to_owned(), tip), (RECORD_REF.to_owned(), Some(edit))]);
            moved(stage);
        }
    }

    fn commit(&mut self, stage: &mut Stage) {
        for set in self.people.sets.values_mut() {
            tame(set);
        }
        let next = files(&self.people, &self.approvals);
        let (changes, parent) = (changes(&self.files, &next), stage.remote.tip());
        let now = stage.clock.now();
        self.files = next;
        stage.soundness = soundness(&self.people);
        if stage.remote.commit(&changes, parent, now).is_some() {
            moved(stage);
        }
    }

    fn acknowledge(&mut self, stage: &mut Stage) {
        let Some(tip) = stage.remote.tip().filter(|tip| self.acknowledged.as_ref() != Some(tip)) else { return };
        let consumers = self.people.config.consumers.iter();
        let moves: Vec<_> = consumers.map(|c| (format!("{ACKS_PREFIX}{}", c.name), Some(tip.clone()))).collect();
        if !moves.is_empty() {
            stage.remote.move_refs(moves);
        }
        self.acknowledged = Some(tip);
    }

    fn approve(&mut self, stage: &mut Stage) {
        let now = stage.clock.now();
        let mut fresh = Vec::new();
        for removals in std::mem::take(&mut stage.wanted_approvals).into_values() {
            let valid = |known: &&RemovalApprovalSpec| known.digest == removals.digest && known.expires > now;
            if !self.approvals.iter().any(|known| valid(&known)) {
                fresh.push(approval(&removals, now));
            }
        }
        if !fresh.is_empty() {
            stage.say(format!("approval of {:?} removals", fresh.iter().map(|a| a.clusters).collect::<Vec<_>>()));
            self.approvals.extend(fresh);
            self.commit(stage);
        }
    }

    /// Somebody pushes another history over the branch, or puts the old one back.
    fn rewrite(&mut self, stage: &mut Stage) {
        if let Some(old) = self.rewritten.take() {
            stage.say("the branch is restored");
            stage.soundness = soundness(&self.people);
            stage.remote.move_refs([(BRANCH.to_owned(), Some(old))]);
            return moved(stage);
        }
        let now = stage.clock.now();
        let Some(observed) = stage.remote.observed() else { return };
        let Some(tip) = stage.remote.tip() else { return };
        let other = BTreeMap::from([("README.md".to_owned(), Some(b"another history".to_vec()))]);
        let mut all: BTreeMap<_, _> =
            self.files.iter().map(|(path, text)| (path.clone(), Some(text.clone()))).collect();
        all.extend(other);
        // With most of the sets gone, so that whoever believes it does harm.
        all.retain(|path, _| !path.starts_with("clustersets/") || path.len() % 2 == 0);
        stage.say(format!("the branch is rewritten, {} was observed", observed.short()));
        stage.soundness = Soundness::Held;
        stage.remote.commit(&all, None, now);
        self.rewritten = Some(tip);
        moved(stage);
    }

    /// Everybody lets go: what would wait for a person for ever is undone.
    pub fn let_go(&mut self, shared: &Shared) {
        let stage = &mut *shared.borrow_mut();
        if self.rewritten.is_some() {
            self.rewrite(stage);
        }
        self.people.let_go();
        self.people.config.maintenance_windows.clear();
        for (id, set) in &stage.record.sets {
            let waits = set.spec.deletion_policy == DeletionPolicy::Retain && !set.clusters.is_empty();
            let paused = set.spec.paused || !set.spec.paused_clusters.is_empty();
            if !self.people.sets.contains_key(id) && (waits || paused) {
                let wish = ResolvedSet { paused: false, paused_clusters: BTreeSet::new(), ..(*set.spec).clone() };
                self.people.sets.insert(id.clone(), wish);
            }
        }
        self.commit(stage);
    }

    /// What people do all the time when nothing is wrong: read, and approve.
    pub fn look_after(&mut self, shared: &Shared) {
        let stage = &mut *shared.borrow_mut();
        if !stage.wanted_approvals.is_empty() {
            self.approve(stage);
        }
        if self.acknowledged != stage.remote.tip() {
            self.acknowledge(stage);
        }
    }

    /// What the last commit says, read as the daemon reads it, and compared with what was meant.
    pub fn desired(&self, stage: &Stage) -> Desired {
        let refs = stage.remote.refs();
        let desired = TipReader::new("main").read(&stage.remote.objects, refs).unwrap().desired;
        let said: BTreeMap<_, _> = desired
            .sets
            .iter()
            .filter_map(|(id, wish)| match wish {
                Wish::Wanted(wanted) => Some((id.clone(), (*wanted.resolved).clone())),
                Wish::Held(_) => None,
            })
            .collect();
        assert_eq!(said, self.people.sets, "what was committed is not what is read");
        desired
    }

    /// The wish as it stands.
    pub fn wish(&self) -> People {
        self.people.clone()
    }

    /// People who want this from the beginning.
    pub fn who_want(people: People) -> Self {
        Self { people, approvals: Vec::new(), files: Files::new(), rewritten: None, acknowledged: None }
    }
}

/// Within what a run has time for, and with what its files can say.
fn tame(set: &mut ResolvedSet) {
    let rotation = &mut set.update_strategy.cluster_rotation;
    rotation.bake = rotation.bake.min(WAIT_MAX);
    rotation.rollback_window = rotation.rollback_window.min(WAIT_MAX);
    rotation.drain_timeout = rotation.drain_timeout.max(WAIT_MAX);
    if set.template.infra_services.iter().any(|service| service.version != "1") {
        let template = Arc::make_mut(&mut set.template);
        template.infra_services.iter_mut().for_each(|service| service.version = "1".to_owned());
    }
}

fn moved(stage: &mut Stage) {
    let (tip, soundness) = (stage.remote.last_number(), stage.soundness.clone());
    stage.judge.take(&Effect::Moved { tip, soundness: &soundness });
}

/// Somebody edits what is the bot's alone.
fn tamper(stage: &mut Stage, dice: &mut Dice) {
    let Some(parent) = stage.remote.tip() else { return };
    let keep = |path: &str| path == "status/" || path.starts_with("status/");
    let snapshot = stage.remote.objects.snapshot(&parent, &keep, None).unwrap().snapshot;
    let paths: Vec<String> = snapshot.files.keys().map(ToString::to_string).collect();
    if paths.is_empty() {
        return;
    }
    let path = dice.pick(&paths);
    let text = String::from_utf8_lossy(&snapshot.files[path.as_str()].content).into_owned();
    let content = match dice.between(0, 3) {
        0 => None,
        1 => Some("not: [what was here".to_owned()),
        2 => Some(text.replace("state: READY", "state: DELETING")),
        _ => Some(text.replace("DRAINING", "READY")),
    };
    stage.say(format!("somebody edits {path}"));
    let now = stage.clock.now();
    let changes = BTreeMap::from([(path, content.map(String::into_bytes))]);
    if stage.remote.commit(&changes, Some(parent), now).is_some() {
        moved(stage);
    }
}
