//! I3 and I9: what must have been read before something is published, and published before something is done.

use std::collections::BTreeMap;
use std::sync::Arc;

use fleetwright_core::action::{Action, ActionKey, Effect};
use fleetwright_core::inventory::{Listing, Phase, Place, Placement, Resource, Step};
use fleetwright_core::record::{find, is_in};
use fleetwright_schema::names::{ClusterName, SetId};
use fleetwright_schema::status::{Cluster, ClusterSetStatus, ClusterState, RetirementReason};
use fleetwright_schema::units::Timestamp;
use fleetwright_simulator::{Mutation, Verb};

use super::{Judge, Process, Promise, Publication};

/// What was read and done.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory {
    /// When the placement of a cluster was last closed.
    closed_at: BTreeMap<ClusterName, Timestamp>,
    /// The control plane that was read to be closed and empty, by a reading that was answered at this time.
    empty: BTreeMap<ClusterName, (Arc<str>, Timestamp)>,
    /// When a reading was answered that showed the cluster whole and open.
    whole: BTreeMap<ClusterName, Timestamp>,
    /// When a process last acted on a cluster, or heard of it: a reading of before that is none to it. What another
    /// process has under way it can't know.
    changed_at: BTreeMap<(Process, ClusterName), Timestamp>,
    /// Whether the remote permitted what was handed out last, when it was.
    permitted: BTreeMap<(ActionKey, &'static str), bool>,
    /// When a reading was answered that showed one network of the cluster, and no more.
    settled: BTreeMap<ClusterName, Timestamp>,
}

/// Two processes may hear of their readings in another order than they were answered in.
fn note(answered: &mut BTreeMap<ClusterName, Timestamp>, name: &ClusterName, served: Timestamp) {
    let last = answered.entry(name.clone()).or_insert(served);
    *last = served.max(*last);
}

fn permits(cluster: &Cluster, verb: Verb, step: Step) -> bool {
    use ClusterState::{Creating, Deleting, Drained, Draining, Pending, Updating};
    let (state, served) = (cluster.status.state, cluster.status.ready_at.is_some());
    match (verb, step) {
        (Verb::Create | Verb::Update, _) => matches!(state, Pending | Creating | Updating),
        (Verb::Drain, _) => matches!(state, Draining | Drained | Deleting),
        (Verb::Open, _) => !matches!(state, Deleting),
        (Verb::Delete, Step::ControlPlane) => state == Deleting || !served,
        (Verb::Delete, _) => matches!(state, Deleting | Pending | Creating | Updating),
    }
}

impl Memory {
    pub(super) fn digest(&self, name: &ClusterName, times: &[Timestamp], hasher: &mut impl std::hash::Hasher) {
        use std::hash::Hash;
        let Self { closed_at, empty, whole, changed_at, permitted, settled } = self;
        let closed_at = closed_at.get(name);
        let after = |time: &Timestamp, other: Option<&Timestamp>| other.is_none_or(|other| time > other);
        let proven = empty.get(name).map(|(plane, began)| (plane, after(began, closed_at)));
        (closed_at.is_some(), proven, settled.contains_key(name)).hash(hasher);
        times.iter().for_each(|time| after(time, closed_at).hash(hasher));
        for (_, changed) in changed_at.iter().filter(|((_, changed), _)| changed == name) {
            (whole.get(name).map(|read| read > changed), settled.get(name).map(|read| read > changed)).hash(hasher);
            times.iter().for_each(|time| (time > changed).hash(hasher));
        }
        whole.contains_key(name).hash(hasher);
        permitted.iter().filter(|((key, _), _)| key.cluster == *name).for_each(|entry| entry.hash(hasher));
    }
}

impl Judge {
    pub(super) fn read(&mut self, place: &Place, served: Timestamp, listing: &Listing) {
        let clusters: Vec<_> = self.record.clusters().filter(|(set, cluster)| is_in(set, cluster, place)).collect();
        for (_, cluster) in clusters {
            let name = &cluster.metadata.name;
            let parts = listing.resources.get(name).map_or(&[][..], |parts| parts);
            let networks = parts.iter().filter(|r| r.step == Step::Network && r.phase != Phase::Deleting).count();
            if networks == 1 {
                note(&mut self.evidence.settled, name, served);
            }
            let plane = parts.iter().find(|r| r.step == Step::ControlPlane && r.phase != Phase::Deleting);
            let Some((plane, facts)) = plane.and_then(|plane| Some((plane, plane.control_plane.as_ref()?))) else {
                continue;
            };
            let usable = |step: &Step| parts.iter().any(|r| r.step == *step && r.phase == Phase::Ready);
            if facts.placement == Placement::Open && Step::BUILD.iter().all(usable) {
                note(&mut self.evidence.whole, name, served);
            }
            let gone = facts.workloads.as_ref().is_some_and(|workloads| workloads.running == 0);
            let newer = self.evidence.empty.get(name).is_none_or(|(_, known)| *known <= served);
            if facts.placement == Placement::Closed && gone && newer {
                self.evidence.empty.insert(name.clone(), (Arc::clone(&plane.id), served));
            }
        }
    }

    pub(super) fn evidence_of_publication(&mut self, publication: &Publication<'_>, standing: &[Resource]) {
        let Publication { old, new, .. } = publication;
        for (id, set) in &new.sets {
            let before: &[_] = old.sets.get(id).map_or(&[], |set| &set.clusters);
            for cluster in &set.clusters {
                let was = before.iter().find(|old| old.metadata.name == cluster.metadata.name);
                match was {
                    Some(was) => self.transition(publication, was, cluster, set, standing),
                    None => self.named(publication, id, cluster),
                }
            }
            for gone in before.iter().filter(|old| set.clusters.iter().all(|c| c.metadata.name != old.metadata.name)) {
                let (name, state) = (&gone.metadata.name, gone.status.state);
                let buried = set.tombstones.iter().any(|stone| stone.name == *name);
                self.unless(state == ClusterState::Deleting, Promise::I5, || format!("{name} vanishes while {state}"));
                self.unless(buried, Promise::I5, || format!("{name} vanishes without a tombstone"));
            }
            if let Some(old) = old.sets.get(id) {
                let on = set.status.next_ordinal >= old.status.next_ordinal;
                self.unless(on, Promise::I4, || format!("{id}: ordinals run back"));
            }
        }
        for id in old.sets.keys() {
            self.unless(new.sets.contains_key(id), Promise::I5, || format!("{id} vanishes from the record"));
        }
    }

    fn named(&mut self, publication: &Publication<'_>, id: &SetId, cluster: &Cluster) {
        let (name, state) = (&cluster.metadata.name, cluster.status.state);
        self.unless(state == ClusterState::Pending, Promise::I9, || format!("{name} begins as {state}"));
        let wish = publication.mind.desired.sets.get(id);
        let wanted = matches!(wish, Some(fleetwright_core::desired::Wish::Wanted(_)));
        self.unless(wanted, Promise::I9, || format!("{name} is named and nobody wants its set"));
    }

    fn transition(
        &mut self,
        publication: &Publication<'_>,
        was: &Cluster,
        is: &Cluster,
        set: &ClusterSetStatus,
        standing: &[Resource],
    ) {
        let (name, from, to) = (&is.metadata.name, was.status.state, is.status.state);
        let now = publication.mind.now;
        if from == to {
            return;
        }
        if to == ClusterState::Ready && !from.serves() {
            let changed = self.evidence.changed_at.get(&(publication.process, name.clone()));
            let whole = self.evidence.whole.get(name).is_some_and(|read| changed.is_none_or(|at| read > at));
            self.unless(whole, Promise::I9, || format!("{name} is published READY and was not read to be whole"));
        }
        let lost = is.status.retirement.as_ref().is_some_and(|r| r.reason == RetirementReason::Lost);
        if lost && to == ClusterState::Deleting {
            let plane = |r: &&Resource| r.cluster == *name && r.step == Step::ControlPlane;
            let there = standing.iter().filter(plane).any(|r| r.phase != Phase::Deleting);
            return self.unless(!there, Promise::I3, || format!("{name} is called lost, and its control plane stands"));
        }
        if to == ClusterState::Deleting && was.status.ready_at.is_some() {
            let proven = is.status.retirement.as_ref().is_some_and(|r| r.empty_at.is_some() && r.evidence.is_some());
            let sound = from == ClusterState::Drained && proven;
            self.unless(sound, Promise::I3, || format!("{name} goes from {from} to {to} without evidence"));
            let window = set.spec.update_strategy.cluster_rotation.rollback_window;
            let over = was.status.since.plus(window) <= now;
            self.unless(over, Promise::I3, || format!("{name} is deleted within its rollback window"));
        }
    }

    /// A thing without unique names or tokens may be made twice, and is settled before anything is made in it, as far as
    /// its process can know.
    pub(super) fn settled_before_use(&mut self, process: Process, action: &Action) {
        let name = &action.key.cluster;
        if action.key.step == Step::ControlPlane && matches!(action.effect, Effect::Create { .. }) {
            let changed = self.evidence.changed_at.get(&(process, name.clone()));
            let settled = self.evidence.settled.get(name).is_some_and(|read| changed.is_none_or(|at| read > at));
            self.unless(settled, Promise::I4, || format!("{action}: no reading showed that it has one network"));
        }
    }

    /// What may be done to a cluster is what the remote says of it: when it was handed out, or when it arrives. Another
    /// process may have published something else in between.
    pub(super) fn published_before(&mut self, mutation: &Mutation) {
        let Mutation { cluster, step, verb, .. } = mutation;
        let Some((_, named)) = find(&self.record, cluster) else { return };
        let (state, key) = (named.status.state, ActionKey { cluster: cluster.clone(), step: *step });
        let handed_out = self.evidence.permitted.get(&(key, verb.as_str())).copied();
        let permitted = permits(named, *verb, *step) || handed_out == Some(true);
        let verb = verb.as_str();
        self.unless(permitted, Promise::I9, || format!("{verb} {step} of {cluster}, which is published as {state}"));
    }

    pub(super) fn permission_of(&mut self, process: Process, action: &Action, now: Timestamp) {
        let (key, verb) = (&action.key, Verb::of(&action.effect));
        let permitted = find(&self.record, &key.cluster).is_some_and(|(_, named)| permits(named, verb, key.step));
        self.evidence.permitted.insert((key.clone(), verb.as_str()), permitted);
        self.touched(process, key, now);
    }

    pub(super) fn touched(&mut self, process: Process, key: &ActionKey, now: Timestamp) {
        self.evidence.changed_at.insert((process, key.cluster.clone()), now);
    }

    pub(super) fn evidence_of_mutation(&mut self, mutation: &Mutation) {
        let Mutation { cluster, step, verb, running, id, at, .. } = mutation;
        let named = find(&self.record, cluster).map(|(_, named)| Arc::clone(named));
        match (verb, step) {
            (Verb::Drain, _) => {
                self.evidence.closed_at.insert(cluster.clone(), *at);
                self.evidence.empty.remove(cluster);
            }
            (Verb::Open, _) => {
                self.evidence.closed_at.remove(cluster);
                self.evidence.empty.remove(cluster);
            }
            (Verb::Delete, Step::ControlPlane) if named.as_ref().is_some_and(|c| c.status.ready_at.is_some()) => {
                self.unless(running.unwrap_or(0) == 0, Promise::I3, || {
                    format!("{cluster} is deleted with {running:?} workloads")
                });
                let closed = self.evidence.closed_at.get(cluster);
                let read = self.evidence.empty.get(cluster);
                let proven = read.is_some_and(|(plane, served)| plane == id && closed.is_some_and(|at| served > at));
                let retirement = named.as_ref().and_then(|cluster| cluster.status.retirement.as_ref());
                let lost = retirement.is_some_and(|retirement| retirement.reason == RetirementReason::Lost);
                self.unless(proven || lost, Promise::I3, || {
                    format!("{cluster} is deleted, and {id} was not read to be empty after its drain")
                });
            }
            _ => {}
        }
    }
}
