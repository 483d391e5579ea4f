//! What a call is about to change: drafted first, and then written in one line of the journal, or not at all.

use std::ops::Deref;
use std::sync::Arc;

use fleetwright_core::inventory::Step;
use fleetwright_schema::names::{ClusterName, KubernetesVersion, SetId};
use fleetwright_schema::set::DrainMode;
use fleetwright_schema::units::{Duration, Timestamp};
use serde_json::Value;

use super::{FrontError, Kind, Part, View};
use crate::chance;
use crate::faults::{Call, FaultId};
use crate::lifecycle::{Applied, Life};
use crate::provider::{self, Reason};
use crate::record::{Id, Record, Wire};
use crate::state::{Change, State};
use crate::workloads::Serving;

/// Changes over a view. It shows what it drafted.
pub struct Draft<'a> {
    view: View<'a>,
    call: Call<'a>,
    used: Vec<FaultId>,
    subject: Option<Id>,
}

/// What is to be made.
#[derive(Clone, Debug)]
pub struct NewPart<'a> {
    /// What it is.
    pub kind: Kind,
    /// Of which cluster, or which cluster it is.
    pub cluster: &'a ClusterName,
    /// The cluster's set.
    pub set: &'a SetId,
    /// The cluster's ordinal.
    pub ordinal: u32,
    /// Unique among its kind in the cluster; the front sees to it.
    pub name: &'a str,
    /// The id of the control plane that it is in.
    pub parent: Option<Arc<str>>,
    /// The client's token, and everything else that was asked for.
    pub token: Option<(&'a str, String)>,
    /// The version of a control plane.
    pub version: Option<KubernetesVersion>,
    /// How long it takes, in the middle; `None` is no time, and then it can't fail either.
    pub median: Option<Duration>,
    /// What the front wants to know of it.
    pub document: Value,
}

impl<'a> Deref for Draft<'a> {
    type Target = View<'a>;
    fn deref(&self) -> &View<'a> {
        &self.view
    }
}

impl<'a> Draft<'a> {
    pub(crate) fn new(state: &'a State, call: Call<'a>, now: Timestamp) -> Self {
        Self { view: View::new(state, call.place, now, now), call, used: Vec::new(), subject: None }
    }
    /// The id of what was mainly changed, and all changes.
    pub(crate) fn finish(self) -> (Id, Vec<Change>) {
        let drafted = self.view.drafted.into_iter().map(|(id, record)| match record {
            Some(record) => Change::Put(Box::new(record)),
            None => Change::Remove { id },
        });
        let used = self.used.into_iter().map(|id| Change::Used { id });
        (self.subject.unwrap_or_else(|| "".into()), drafted.chain(used).collect())
    }
    fn put(&mut self, record: Record) {
        self.subject.get_or_insert_with(|| Arc::clone(&record.id));
        self.view.drafted.insert(Arc::clone(&record.id), Some(record));
    }
    fn take_in(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Put(record) => self.put(*record),
                Change::Remove { id } => drop(self.view.drafted.insert(id, None)),
                // Serving changes nothing else.
                Change::Past { .. }
                | Change::Generation { .. }
                | Change::Arm { .. }
                | Change::Used { .. }
                | Change::Disarm { .. }
                | Change::NextFault { .. } => {}
            }
        }
    }

    /// The hash of what was asked for, by which a repeated token is judged.
    pub fn params(&self, asked: &str) -> u64 {
        self.view.chance(&["params", asked])
    }
    /// Makes something.
    pub fn create(&mut self, new: NewPart<'_>) -> Result<Option<Part>, FrontError> {
        self.check_quota(new.kind)?;
        let now = self.view.scene.now;
        let generation = self.view.scene.state.generation(new.cluster, new.kind.step) + 1;
        let id = provider::id(self.seed(), self.call.place, new.cluster, new.kind.step, generation);
        let life = match new.median {
            Some(median) => {
                Life::Made { ready_at: now.plus(self.latency(median, &id, new.kind.name)), fails: self.fails(&id) }
            }
            None => Life::Made { ready_at: now, fails: false },
        };
        let record = self.record_of(&id, generation, life, new);
        self.put(record);
        Ok(self.view.part_of(&id))
    }
    fn record_of(&self, id: &Id, generation: u32, life: Life, new: NewPart<'_>) -> Record {
        let NewPart { kind, cluster, set, ordinal, name, parent, token, version, median: _, document } = new;
        let now = self.view.scene.now;
        let load = || u32::try_from(chance::between(5, 40, self.seed(), &[id, "load"])).unwrap_or(5);
        Record {
            id: Arc::clone(id),
            place: self.call.place.clone(),
            step: kind.step,
            cluster: cluster.clone(),
            set: set.clone(),
            ordinal,
            generation,
            params: token.as_ref().map_or(0, |(_, asked)| self.params(asked)),
            token: token.map(|(token, _)| token.into()),
            created_at: now,
            since: now,
            life,
            applied: Applied { version, ..Applied::default() },
            uses: parent.into_iter().collect(),
            cidr: None,
            maker: None,
            serving: (kind.step == Step::ControlPlane).then(|| Serving::new(load())),
            wire: Some(Wire { kind: kind.name.into(), name: name.into(), document: Arc::new(document) }),
        }
    }
    fn check_quota(&self, kind: Kind) -> Result<(), FrontError> {
        let (place, state) = (self.call.place, self.view.scene.state);
        let lowered = state.faults.quota(place, kind.step, self.view.scene.now);
        match lowered.or_else(|| provider::quota(place.cloud, kind.step)) {
            Some(limit) if state.count(place, kind.step) >= limit => {
                let message = format!("{place} has {limit} {}s, and may have no more", kind.name);
                Err(provider::error(place.cloud, kind.step, Reason::Quota, message).into())
            }
            _ => Ok(()),
        }
    }
    fn fails(&mut self, id: &str) -> bool {
        let (state, now) = (self.view.scene.state, self.view.scene.now);
        let spent = state.faults.failure(&self.call, now);
        self.used.extend(spent);
        let odds = state.faults.odds(self.call.place, now).unwrap_or_default();
        let unlucky = chance::hash(state.seed, &[id, "fails"]) % 1000 < u64::from(odds.become_failed_per_mille);
        spent.is_some() || unlucky
    }
    fn latency(&self, median: Duration, id: &str, what: &str) -> Duration {
        self.view.scene.latency(&self.call, median, id, what)
    }
    fn seed(&self) -> u64 {
        self.view.scene.state.seed
    }

    fn edit(&mut self, id: &Id, edit: impl FnOnce(&mut Record, Timestamp)) {
        let now = self.view.scene.now;
        let Some(mut record) = self.view.record(id).cloned() else { return };
        edit(&mut record, now);
        record.since = now;
        self.put(record);
    }
    /// Replaces the document, at once.
    pub fn write(&mut self, id: &Arc<str>, document: Value) {
        self.edit(id, |record, _| {
            if let Some(wire) = &mut record.wire {
                wire.document = Arc::new(document);
            }
        });
    }
    /// Notes the fingerprint that the part is marked with, at once.
    pub fn mark(&mut self, id: &Arc<str>, fingerprint: &str) {
        self.edit(id, |record, now| {
            record.applied = Applied { fingerprint: fingerprint.into(), ..record.applied(now).clone() };
            if let Life::Changed { to, .. } = &mut record.life {
                to.fingerprint = fingerprint.into();
            }
        });
    }
    /// Begins a change, and tells when it is done; a control plane has another version then.
    pub fn begin_change(&mut self, id: &Arc<str>, median: Duration, version: Option<KubernetesVersion>) -> Timestamp {
        let until = self.view.scene.now.plus(self.latency(median, id, "change"));
        self.edit(id, |record, now| {
            let mut to = record.applied(now).clone();
            to.version = version.or(to.version);
            *record = record.with_life(Life::Changed { until, to: Box::new(to) }, now);
        });
        until
    }
    /// Begins a deletion, and tells when it is done.
    pub fn delete(&mut self, id: &Arc<str>, median: Duration) -> Timestamp {
        let gone_at = self.view.scene.now.plus(self.latency(median, id, "delete"));
        self.delete_at(id, gone_at);
        gone_at
    }
    /// Deletes together with something else.
    pub fn delete_at(&mut self, id: &Arc<str>, gone_at: Timestamp) {
        self.edit(id, |record, now| *record = record.with_life(Life::Going { gone_at }, now));
    }
    /// Deletes at once.
    pub fn remove(&mut self, id: &Arc<str>) {
        self.subject.get_or_insert_with(|| Arc::clone(id));
        self.view.drafted.insert(Arc::clone(id), None);
    }

    /// Lets workloads come some minutes after this time, if placement is open and none have come yet; the cluster makes
    /// itself a load balancer for them if `makes_leftovers`.
    pub fn serve_from(&mut self, control_plane: &Arc<str>, ready_at: Timestamp, makes_leftovers: bool) {
        let Some(record) = self.view.record(control_plane) else { return };
        let mut changes = self.view.scene.serves_from(record, ready_at);
        changes.truncate(if makes_leftovers { 2 } else { 1 });
        self.take_in(changes);
    }
    /// Closes placement, and lets workloads leave like this; nothing where they do already.
    pub fn drain(&mut self, control_plane: &Arc<str>, mode: DrainMode) {
        let Some(record) = self.view.record(control_plane) else { return };
        let scene = self.view.scene;
        let whole = scene.leaving(control_plane, mode);
        let drained = record.serving.as_ref().and_then(|serving| serving.drained(mode, whole, scene.now));
        let changes = drained.map_or_else(Vec::new, |serving| scene.close(record, serving));
        self.take_in(changes);
    }
    /// Opens placement: what left comes back. Whether it was closed.
    pub fn open(&mut self, control_plane: &Arc<str>) -> bool {
        let now = self.view.scene.now;
        let Some(record) = self.view.record(control_plane) else { return false };
        let Some(serving) = record.serving.as_ref().and_then(|serving| serving.opened(now)) else { return false };
        let open = record.with_serving(serving, now);
        self.put(open);
        true
    }
}
