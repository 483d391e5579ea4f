//! What the providers accept and what they refuse, pure: from a state, an action and the time to the changes it makes.
//! Nothing is changed here.

mod create;
mod serving;

use std::sync::Arc;

use fleetwright_clouds::{CloudError, Progress};
use fleetwright_core::action::{Action, Effect};
use fleetwright_core::inventory::{Phase, Step};
use fleetwright_schema::set::{ClusterSpec, DrainMode};
use fleetwright_schema::status::{InfraServiceStatus, NodePoolStatus};
use fleetwright_schema::units::{Duration, Timestamp};

use crate::faults::Call;
use crate::lifecycle::{Applied, Life};
use crate::provider::{self, Reason};
use crate::record::{Id, Record, Verb};
use crate::state::{Change, State};

pub(crate) use serving::Scene;
use serving::{unborn_leftovers, without_services};

/// An accepted action.
#[derive(Debug)]
pub(crate) struct Decision {
    /// What it changes; nothing when it was done before.
    pub(crate) changes: Vec<Change>,
    /// What it is done to.
    pub(crate) id: Id,
    pub(crate) progress: Progress,
}

/// What a provider makes of this action now.
pub(crate) fn decide(state: &State, action: &Action, now: Timestamp) -> Result<Decision, CloudError> {
    let case = Case { state, action, now };
    match &action.effect {
        Effect::Create { token, fingerprint, spec, cidr, parents } => {
            create::Request { case, token, fingerprint, spec, cidr: cidr.as_ref(), parents }.decide()
        }
        Effect::Update { id, token: _, fingerprint, spec } => case.update(id, fingerprint, spec),
        Effect::Delete { id } => case.delete(id),
        Effect::Drain { id, mode } => case.drain(id, *mode),
        Effect::OpenPlacement { id } => case.open(id),
    }
}

/// Who deletes behind our back asks nobody: the resource goes, and with a control plane what lives in it.
pub(crate) fn vanish(state: &State, record: &Record, now: Timestamp) -> Vec<Change> {
    let mut changes = vec![Change::Remove { id: Arc::clone(&record.id) }];
    if record.step == Step::ControlPlane {
        changes.extend(state.users(&record.id).flat_map(|user| vanish_inside(state, user)));
        changes.extend(unborn_leftovers(state, record, now));
    }
    if record.step == Step::InfraServices {
        changes.extend(without_services(state, record, now));
    }
    changes
}

fn vanish_inside(state: &State, record: &Record) -> Vec<Change> {
    let mut changes = vec![Change::Remove { id: Arc::clone(&record.id) }];
    changes.extend(state.users(&record.id).flat_map(|user| vanish_inside(state, user)));
    changes
}

/// What a step takes from a spec.
fn applied(step: Step, fingerprint: &Arc<str>, spec: &ClusterSpec) -> Applied {
    let pools = spec
        .node_pools
        .iter()
        .map(|pool| NodePoolStatus { name: pool.name.clone(), instance_type: pool.spec.instance_type.clone() });
    let services = spec
        .infra_services
        .iter()
        .map(|service| InfraServiceStatus { name: service.name.clone(), version: service.version.clone() });
    Applied {
        fingerprint: Arc::clone(fingerprint),
        version: (step == Step::ControlPlane).then(|| spec.kubernetes_version.clone()),
        node_pools: if step == Step::NodePools { pools.collect() } else { Vec::new() },
        infra_services: if step == Step::InfraServices { services.collect() } else { Vec::new() },
    }
}

/// One action before the provider.
#[derive(Clone, Copy)]
struct Case<'a> {
    state: &'a State,
    action: &'a Action,
    now: Timestamp,
}

impl<'a> Case<'a> {
    fn refused(&self, reason: Reason, message: String) -> CloudError {
        provider::error(self.action.place.cloud, self.action.key.step, reason, message)
    }
    fn call(&self) -> Call<'a> {
        Call {
            place: &self.action.place,
            cluster: &self.action.key.cluster,
            set: &self.action.set,
            step: self.action.key.step,
            verb: Verb::of(&self.action.effect),
        }
    }
    fn scene(&self) -> Scene<'a> {
        Scene { state: self.state, now: self.now }
    }
    /// How long an operation on this id takes.
    fn latency(&self, id: &str, what: &str) -> Duration {
        let call = self.call();
        let median = provider::latency_median(call.place.cloud, call.step, call.verb);
        self.scene().latency(&call, median, id, what)
    }
    fn nothing_to_do(&self, id: &Id, progress: Progress) -> Decision {
        Decision { changes: Vec::new(), id: Arc::clone(id), progress }
    }
    fn done(&self, id: &Id, changes: Vec<Change>, progress: Progress) -> Decision {
        Decision { changes, id: Arc::clone(id), progress }
    }

    /// The resource with this id and its phase, which must be of the place, cluster and step that the action names.
    fn find(&self, id: &str) -> Result<(&'a Record, Phase), CloudError> {
        let here = self.state.get(id).filter(|record| record.place == self.action.place);
        let present = here.and_then(|record| Some((record, record.phase(self.now)?)));
        let Some((record, phase)) = present else {
            return Err(self.refused(Reason::NotFound, format!("there is no {id}")));
        };
        let key = &self.action.key;
        match (&record.cluster, record.step) == (&key.cluster, key.step) {
            true => Ok((record, phase)),
            false => Err(self.refused(Reason::Invalid, format!("{id} is {} of {}", record.step, record.cluster))),
        }
    }
    fn find_control_plane(&self, id: &str) -> Result<(&'a Record, Phase), CloudError> {
        match self.action.key.step {
            Step::ControlPlane => self.find(id),
            step => Err(self.refused(Reason::Invalid, format!("{step} take no workloads"))),
        }
    }

    fn update(&self, id: &Id, fingerprint: &Arc<str>, spec: &ClusterSpec) -> Result<Decision, CloudError> {
        let (record, phase) = self.find(id)?;
        if record.step == Step::Leftovers {
            return Err(self.refused(Reason::Invalid, "what a cluster made by itself is not updated".to_owned()));
        }
        match (phase, &record.life) {
            (Phase::Ready, _) if record.applied(self.now).fingerprint == *fingerprint => {
                Ok(self.nothing_to_do(id, Progress::Done))
            }
            (Phase::Ready, _) => self.change(record, fingerprint, spec),
            (Phase::Updating, Life::Changed { to, .. }) if to.fingerprint == *fingerprint => {
                Ok(self.nothing_to_do(id, Progress::InProgress))
            }
            _ => Err(self.refused(Reason::InUse, format!("{id} can't be updated while it is {phase:?}"))),
        }
    }
    fn change(&self, record: &Record, fingerprint: &Arc<str>, spec: &ClusterSpec) -> Result<Decision, CloudError> {
        self.check_version(record, spec)?;
        let until = self.now.plus(self.latency(&record.id, fingerprint));
        let to = Box::new(applied(record.step, fingerprint, spec));
        let changed = record.with_life(Life::Changed { until, to }, self.now);
        Ok(self.done(&record.id, vec![Change::Put(Box::new(changed))], Progress::InProgress))
    }
    /// A control plane takes one minor version at a time, and never an older one.
    fn check_version(&self, record: &Record, spec: &ClusterSpec) -> Result<(), CloudError> {
        let Some(from) = &record.applied(self.now).version else { return Ok(()) };
        let to = &spec.kubernetes_version;
        match to.minor().checked_sub(from.minor()) {
            Some(0 | 1) => Ok(()),
            _ => Err(self.refused(Reason::Invalid, format!("Kubernetes {from} can't be updated to {to}"))),
        }
    }

    fn delete(&self, id: &Id) -> Result<Decision, CloudError> {
        let (record, phase) = self.find(id)?;
        if phase == Phase::Deleting {
            return Ok(self.nothing_to_do(id, Progress::InProgress));
        }
        self.check_unused(record)?;
        let gone_at = self.now.plus(self.latency(id, ""));
        let mut changes = vec![Change::Put(Box::new(record.with_life(Life::Going { gone_at }, self.now)))];
        if record.step == Step::InfraServices {
            changes.extend(without_services(self.state, record, self.now));
        }
        Ok(self.done(id, changes, Progress::InProgress))
    }
    fn check_unused(&self, record: &Record) -> Result<(), CloudError> {
        let inside: &[Step] = match record.step {
            Step::ControlPlane => &[Step::NodePools, Step::Access, Step::Secrets, Step::InfraServices],
            _ => &[],
        };
        let inside = inside.iter().flat_map(|step| self.state.of(&record.place, &record.cluster, *step));
        let maker = record.maker.as_ref().and_then(|maker| self.state.get(maker));
        let mut in_the_way = self.state.users(&record.id).chain(inside).chain(maker);
        match in_the_way.find(|other| other.phase(self.now).is_some()) {
            None => Ok(()),
            Some(other) => Err(self.refused(Reason::InUse, format!("{} is in use by {}", record.id, other.id))),
        }
    }

    fn drain(&self, id: &Id, mode: DrainMode) -> Result<Decision, CloudError> {
        let (record, phase) = self.find_control_plane(id)?;
        if matches!(phase, Phase::Creating | Phase::Deleting) {
            return Err(self.refused(Reason::InUse, format!("{id} can't be drained while it is {phase:?}")));
        }
        let Some(serving) = &record.serving else { return Ok(self.nothing_to_do(id, Progress::Done)) };
        let drained = serving.drained(mode, self.scene().leaving(id, mode), self.now);
        let stuck = self.state.count_faults(record, self.now).stuck;
        let progress = match drained.as_ref().unwrap_or(serving).count(self.now, stuck).running {
            0 => Progress::Done,
            _ => Progress::InProgress,
        };
        let changes = drained.map_or_else(Vec::new, |serving| self.scene().close(record, serving));
        Ok(self.done(id, changes, progress))
    }
    fn open(&self, id: &Id) -> Result<Decision, CloudError> {
        let (record, phase) = self.find_control_plane(id)?;
        if !matches!(phase, Phase::Ready | Phase::Updating) {
            return Err(self.refused(Reason::InUse, format!("{id} can't take workloads while it is {phase:?}")));
        }
        let opened = record.serving.as_ref().and_then(|serving| serving.opened(self.now));
        let Some(serving) = opened else { return Ok(self.nothing_to_do(id, Progress::Done)) };
        let open = record.with_serving(serving, self.now);
        let changes = match self.services_ready_at() {
            Some(ready_at) => self.scene().serves_from(&open, ready_at),
            None => vec![Change::Put(Box::new(open))],
        };
        Ok(self.done(id, changes, Progress::Done))
    }
    /// From when on the cluster's infra services are ready, if they are, or will be.
    fn services_ready_at(&self) -> Option<Timestamp> {
        let mut services = self.state.of(&self.action.place, &self.action.key.cluster, Step::InfraServices);
        services.find_map(|services| match services.life {
            Life::Made { ready_at, fails: false } => Some(ready_at.max(self.now)),
            Life::Changed { .. } => Some(self.now),
            Life::Made { fails: true, .. } | Life::Going { .. } => None,
        })
    }
}
