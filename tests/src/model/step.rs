//! What a step makes of a state. Whatever a daemon does here is what the production daemon does: it plans, checks,
//! publishes or hands out, with the production's own functions.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use fleetwright_core::change::ChangeTable;
use fleetwright_core::check::{CheckedPlan, check};
use fleetwright_core::fingerprint::Memo;
use fleetwright_core::inventory::{ErrorClass, Reading, UnknownReason};
use fleetwright_core::memory::Acknowledgements;
use fleetwright_core::plan::{Inputs, Plan, plan};
use fleetwright_core::publication::status_file;
use fleetwright_core::record::{Record, RecordCache};
use fleetwright_core::snapshot::{BlobId, CommitId, Snapshot, SourceFile};
use fleetwright_schema::names::ClusterName;
use fleetwright_schema::status::ClusterState;
use fleetwright_schema::units::Timestamp;
use fleetwright_simulator::Mutation;

use super::moves::{Delivery, Kept, Move, Seen, soonest};
use super::scenario::{EPOCH, RETRY_AFTER, WITHIN_EPOCH_MAX, epoch};
use super::state::{Daemon, State};
use super::tell::{Teller, publication};
use super::world::Refusal;
use super::{Event, Model};
use crate::promises::{Effect, Soundness, approval};

thread_local! {
    static MEMO: Memo = Memo::default();
}

/// What a daemon plans now, checked.
pub fn planned(state: &State, index: usize) -> Option<CheckedPlan> {
    let daemon = &state.daemons[index];
    let tip = daemon.tip.as_ref()?;
    MEMO.with(|memo| {
        let inputs = Inputs {
            now: state.now,
            desired: &tip.desired,
            record: &tip.record,
            inventory: &daemon.inventory,
            memory: &daemon.memory,
            acknowledgements: &Acknowledgements::default(),
            table: ChangeTable::shipped(),
            memo,
        };
        Some(check(&inputs, plan(&inputs)))
    })
}

impl Model {
    /// The state after a step.
    pub fn step(&self, before: &State, step: &Move, tell: &mut Teller) -> Option<State> {
        let mut state = before.clone();
        if step.fault().is_some() {
            state.disturbances -= 1;
        }
        match step {
            Move::Edit => self.edit(&mut state, tell),
            Move::Approve(index) => self.approve(&mut state, *index),
            Move::Fetch(index) => fetch_foreign(&mut state, *index),
            Move::Read(index, seen) => self.read(&mut state, *index, *seen),
            Move::Publish(index, heard) => self.publish(&mut state, *index, *heard, tell),
            Move::HandOut(index) => self.hand_out(&mut state, *index, tell),
            Move::Land(index, name, delivery) => self.land(&mut state, *index, name, *delivery, tell),
            Move::Complete(name) => self.complete(&mut state, name),
            Move::Crash(index, kept) => self.crash(&mut state, *index, *kept, tell),
            Move::Vanish(name) => {
                let listing = Arc::clone(&state.world.listing);
                state.world.vanish(name);
                state.remember_world(listing);
            }
            Move::Soon => state.now = soonest(&state)?,
            Move::Epoch(_) => {
                let begun = epoch(state.now) + 1;
                state.now = Timestamp::from_unix_seconds(begun * EPOCH.seconds() as i64);
                // Lists lag behind by minutes, and a reading that takes longer is given up.
                state.earlier.clear();
            }
        }
        let within = state.now.unix_seconds().rem_euclid(EPOCH.seconds() as i64);
        debug_assert!(within < WITHIN_EPOCH_MAX as i64, "more happens within an epoch than it has seconds for");
        Some(state)
    }

    fn edit(&self, state: &mut State, tell: &mut Teller) {
        state.wish += 1;
        let wished = &self.scenario.wishes[state.wish];
        tell.say(|| format!("  {}", wished.words));
        let mut desired = wished.desired.clone();
        desired.approvals = state.remote.desired.approvals.clone();
        self.moved(state, desired);
    }

    fn approve(&self, state: &mut State, index: usize) {
        let Some(plan) = planned(state, index) else { return };
        let Some(removals) = &plan.plan().removals else { return };
        let mut desired = (*state.remote.desired).clone();
        desired.approvals.push(approval(removals, state.now));
        self.moved(state, desired);
    }

    fn moved(&self, state: &mut State, desired: fleetwright_core::desired::Desired) {
        state.remote.desired = Arc::new(desired);
        state.remote.version += 1;
        state.remote.commits += 1;
        let tip = state.remote.commits;
        state.judge().take(&Effect::Moved { tip, soundness: &Soundness::Sound });
        // A lone daemon can do nothing before it has fetched: its pushes are refused, and nothing is handed out.
        if state.daemons.len() == 1 && state.daemons[0].tip.is_some() {
            fetch(state, 0);
        }
    }

    fn read(&self, state: &mut State, index: usize, seen: Seen) {
        if !matches!(seen, Seen::Late(_)) {
            state.now = Timestamp::from_unix_seconds(state.now.unix_seconds() + 1);
        }
        let (listing, began) = match seen {
            Seen::Now => (Some(Arc::clone(&state.world.listing)), state.now),
            Seen::Stale(ago) => (Some(Arc::clone(&state.earlier[ago].listing)), state.now),
            Seen::Late(ago) => (Some(Arc::clone(&state.earlier[ago].listing)), state.earlier[ago].until),
            Seen::Failed => (None, state.now),
        };
        let place = self.place.clone();
        let daemon = &mut state.daemons[index];
        let Some(tip) = &daemon.tip else { return };
        let failing_since = daemon.inventory.places.get(&place).and_then(|reading| reading.failing_since);
        let reading = match &listing {
            Some(listing) => {
                daemon.memory.note_reading(&tip.record, &place, listing, began);
                Reading { at: began, result: Ok(Arc::clone(listing)), failing_since: None }
            }
            None => Reading {
                at: began,
                result: Err(UnknownReason::Failed(ErrorClass::Outage, "no answer".to_owned())),
                failing_since: failing_since.or(Some(began)),
            },
        };
        daemon.inventory.places.insert(place.clone(), reading);
        if let Some(listing) = listing {
            state.judge().take(&Effect::Read { place: &place, served: began, listing: &listing });
        }
    }

    /// A plan with which the production daemon would go on; what the check takes out of it is a defect by itself.
    fn plan_of(&self, state: &mut State, index: usize) -> Option<Plan> {
        let checked = planned(state, index)?;
        if let Some(violation) = checked.violations().first() {
            state.objection = Some(format!("the check objects: {violation}"));
        }
        let plan = checked.into_plan();
        let daemon = &state.daemons[index];
        let (process, now, tip) = (daemon.process, state.now, daemon.tip.clone()?);
        state.judge().take(&Effect::Planned {
            process,
            tip: tip.commits,
            now,
            desired: &tip.desired,
            acknowledgements: &Acknowledgements::default(),
            plan: &plan,
        });
        Some(plan)
    }

    fn publish(&self, state: &mut State, index: usize, heard: bool, tell: &mut Teller) {
        let Some(plan) = self.plan_of(state, index) else { return };
        publication(&state.remote.record, &plan.record, tell);
        if let Err(why) = self.renderings.check(&plan.record) {
            state.objection = Some(why);
        }
        let (process, standing) = (state.daemons[index].process, state.world.standing());
        state.judge().take(&Effect::Published { process, record: &plan.record, standing: &standing });
        state.remote.record = plan.record;
        state.remote.version += 1;
        if state.publisher.is_some_and(|last| last != index) {
            self.note(Event::BothPublished);
        }
        state.publisher = Some(index);
        if heard {
            fetch(state, index);
        }
    }

    fn hand_out(&self, state: &mut State, index: usize, tell: &mut Teller) {
        let Some(plan) = self.plan_of(state, index) else { return };
        let (now, process) = (state.now, state.daemons[index].process);
        for action in plan.actions {
            tell.say(|| format!("  {action}"));
            state.judge().take(&Effect::HandedOut { process, action: &action, now });
            let daemon = &mut state.daemons[index];
            daemon.memory.started(&action, now);
            daemon.flying.push(action);
        }
        state.daemons[index].flying.sort_by(|a, b| a.key.cmp(&b.key));
    }

    fn land(&self, state: &mut State, index: usize, name: &ClusterName, delivery: Delivery, tell: &mut Teller) {
        let flying = std::mem::take(&mut state.daemons[index].flying);
        let (landing, rest): (Vec<_>, Vec<_>) = flying.into_iter().partition(|action| action.key.cluster == *name);
        state.daemons[index].flying = rest;
        let listing = Arc::clone(&state.world.listing);
        let now = state.now;
        for action in &landing {
            let mut result = match delivery {
                Delivery::RequestLost => Ok(()),
                Delivery::Once | Delivery::Twice | Delivery::ReplyLost => self.arrive(state, action, tell),
            };
            if delivery == Delivery::Twice {
                self.note(Event::Twice);
                let _ = self.arrive(state, action, tell);
            }
            if matches!(delivery, Delivery::ReplyLost | Delivery::RequestLost) {
                result = Err((ErrorClass::UnknownResult, "no reply"));
            }
            let error = result.err();
            let process = state.daemons[index].process;
            let told = error.map(|(class, _)| (class, Some(RETRY_AFTER)));
            state.judge().take(&Effect::Returned { process, key: &action.key, error: told, now });
            let error = error.map(|(class, words)| (class, words.to_owned(), Some(RETRY_AFTER)));
            state.daemons[index].memory.finished(action, now, error);
        }
        state.remember_world(listing);
    }

    fn arrive(
        &self,
        state: &mut State,
        action: &fleetwright_core::action::Action,
        tell: &mut Teller,
    ) -> Result<(), Refusal> {
        let (mutation, result) = state.world.perform(action, self.scenario.grain, state.now);
        tell.say(|| format!("  {action}: {result:?}"));
        let mutations: Vec<Mutation> = mutation.into_iter().collect();
        let standing = state.world.standing();
        state.judge().take(&Effect::Arrived { action, mutations: &mutations, standing: &standing });
        result
    }

    fn complete(&self, state: &mut State, name: &ClusterName) {
        let (listing, now) = (Arc::clone(&state.world.listing), state.now);
        state.world.complete(name, self.scenario.grain, now);
        state.remember_world(listing);
    }

    /// A request that is on its way arrives within seconds, before a new process has read and planned.
    fn crash(&self, state: &mut State, index: usize, kept: Kept, tell: &mut Teller) {
        let mut flying = std::mem::take(&mut state.daemons[index].flying);
        flying.truncate(match kept {
            Kept::None => 0,
            Kept::First => 1,
            Kept::All => usize::MAX,
        });
        let listing = Arc::clone(&state.world.listing);
        for action in &flying {
            let _ = self.arrive(state, action, tell);
        }
        state.remember_world(listing);
        let draining = |state: &State| {
            state.remote.record.clusters().any(|(_, cluster)| cluster.status.state == ClusterState::Draining)
        };
        if draining(state) {
            self.note(Event::CrashInDrain);
        }
        state.processes += 1;
        state.daemons[index] = Daemon::new(state.processes, state.now);
    }
}

/// Another daemon may have published meanwhile.
fn fetch_foreign(state: &mut State, index: usize) {
    let daemon = &mut state.daemons[index];
    if let Some(tip) = &daemon.tip {
        daemon.memory.note_foreign(&tip.record, &state.remote.record, state.now);
    }
    fetch(state, index);
}

fn fetch(state: &mut State, index: usize) {
    let (tip, now) = (state.remote.clone(), state.now);
    let daemon = &mut state.daemons[index];
    daemon.memory.note_record(&tip.record, now);
    daemon.tip = Some(tip);
}

/// Records that were rendered and read again, each kind once.
#[derive(Debug, Default)]
pub struct Renderings(Mutex<BTreeSet<String>>);

impl Renderings {
    /// What is written says what was meant: the record of the next plan is the one that is read back.
    fn check(&self, record: &Record) -> Result<(), String> {
        for (id, set) in &record.sets {
            let told = |cluster: &fleetwright_schema::status::Cluster| {
                let status = &cluster.status;
                let retirement =
                    status.retirement.as_ref().map(|r| (r.reason, r.expected_workloads, r.empty_at.is_some()));
                format!("{} {} {retirement:?} {:?}", status.state, status.conditions.len(), status.provider_id)
            };
            let kind: Vec<String> = set.clusters.iter().map(|cluster| told(cluster)).collect();
            let fresh = self.0.lock().map_err(|error| error.to_string())?.insert(kind.join("\n"));
            if !fresh {
                continue;
            }
            let content = status_file(id, set).map_err(|error| error.to_string())?;
            let ids = (BlobId::parse(&"b".repeat(40)), CommitId::parse(&"c".repeat(40)));
            let (Some(blob), Some(commit)) = ids else { return Err("an id can't be made".to_owned()) };
            let file = SourceFile { blob, content: content.into() };
            let files = [(id.status_path().into(), file)].into();
            let read = Record::parse(&Snapshot { commit, files, refused: Vec::new() }, &mut RecordCache::new());
            if read.sets.get(id) != Some(set) {
                return Err(format!("the file of {id} reads as something else: {:?}", read.unreadable));
            }
        }
        Ok(())
    }
}
