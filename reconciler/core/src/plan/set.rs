//! The plan of one set: take up the wish, look at every cluster, choose who stays, start what the limits allow, and let
//! each cluster take its turn.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fleetwright_schema::documents::{ApiVersion, ClusterSetMetadata};
use fleetwright_schema::names::{ClusterName, SetId};
use fleetwright_schema::set::{Feature, ResolvedSet};
use fleetwright_schema::status::{
    Cluster, ClusterKind, ClusterMetadata, ClusterSetStatus, ClusterState, ClusterStatus, NetworkStatus,
    RetirementReason, SetStatus, Tombstone,
};

use super::admission::{self, Admission};
use super::choice::{Intent, choose};
use super::lifecycle::Turns;
use super::limits::Limits;
use super::report::{self, SetReport};
use super::view::View;
use super::{FleetView, Inputs, Wake};
use crate::action::Action;
use crate::change::Class;
use crate::fingerprint::revision;
use crate::inventory::Place;
use crate::mutant;
use crate::record::find;
use crate::waiting::Waiting;

/// What the plan of a set comes to.
pub struct Outcome {
    /// Its next status; `None` where there is nothing of it.
    pub next: Option<Arc<ClusterSetStatus>>,
    /// Effects that may happen now.
    pub actions: Vec<Action>,
    /// What it waits for.
    pub report: SetReport,
    /// Where something is under way.
    pub attention: BTreeSet<Place>,
}

/// Plans one set.
pub fn plan_set(
    inputs: &Inputs<'_>,
    fleet: &FleetView<'_>,
    id: &SetId,
    limits: &mut Limits,
    wake: &mut Wake,
) -> Outcome {
    let recorded = inputs.record.sets.get(id);
    let admission = match admission::admit(inputs, fleet, id, wake) {
        Ok(admission) => admission,
        Err(waiting) => return nothing(recorded, waiting),
    };
    let clusters: &[Arc<Cluster>] = recorded.map_or(&[], |recorded| &recorded.clusters);
    let views: Vec<View<'_>> = clusters
        .iter()
        .map(|cluster| View::new(inputs, id, &admission.set, cluster, fleet.busy.contains(&cluster.metadata.name)))
        .collect();
    let intents = choose(&views, &admission);
    let mut starts = Starts::new(inputs, id, &admission, &views, &intents);
    starts.drains(limits, wake);
    starts.updates(limits);
    let named = starts.names(recorded, limits);
    let Starts { mut started, mut why, mut waiting, .. } = starts;
    let turns = Turns {
        inputs,
        config: fleet.config,
        id,
        set: &admission.set,
        gates: admission.gates,
        in_the_way: in_the_way(&views, &intents, &admission.set),
        called_back: called_back(&views, &intents, &admission.set),
        enough_serve: views.iter().filter(|view| view.serves()).count() >= admission.set.count as usize,
    };
    let mut done = Done::default();
    for (index, (view, intent)) in views.iter().zip(&intents).enumerate() {
        let reasons = why.remove(&index).unwrap_or_default();
        let life = turns.live(view, *intent, started.remove(&index), reasons, wake);
        done.add(view, life);
    }
    done.clusters.extend(named);
    let mut all_waiting = admission.waiting.clone();
    all_waiting.append(&mut waiting);
    let next = next_status(inputs, id, &admission, recorded, &mut done, &all_waiting);
    wake_for_bake(&next, inputs, wake);
    let attention = attention(id, &next, &done.actions);
    let report = report::of_set(inputs, fleet, id, &next, all_waiting, done.waiting);
    let next = keep_tombstoned(next, recorded, inputs, fleet);
    Outcome { next, actions: done.actions, report, attention }
}

fn nothing(recorded: Option<&Arc<ClusterSetStatus>>, waiting: Vec<Waiting>) -> Outcome {
    let settled = waiting.is_empty();
    Outcome {
        next: recorded.cloned(),
        actions: Vec::new(),
        report: SetReport { settled, waiting, ..SetReport::default() },
        attention: BTreeSet::new(),
    }
}

/// A set that was made larger after its clusters were drained for a smaller one may have as many alive as it may have,
/// and too few of them serving, with nothing on the way: then what is drained and outdated makes room, as much as is
/// missing. By the record alone: what can't be read makes nothing go.
fn in_the_way<'a>(views: &[View<'a>], intents: &[Intent], set: &ResolvedSet) -> BTreeSet<&'a ClusterName> {
    let alive_max = (set.count as usize).saturating_add(set.update_strategy.cluster_rotation.max_surge as usize);
    let serving = views.iter().filter(|view| view.state().serves()).count();
    let missing = (set.count as usize).saturating_sub(serving);
    let resting = |state: ClusterState| state == ClusterState::Ready || state == ClusterState::Drained;
    if views.len() < alive_max || !views.iter().all(|view| resting(view.state())) {
        return BTreeSet::new();
    }
    let drained = views
        .iter()
        .zip(intents)
        .filter(|(view, intent)| view.state() == ClusterState::Drained && matches!(intent, Intent::Retire(_)));
    drained.map(|(view, _)| &view.cluster.metadata.name).take(missing).collect()
}

/// What was to leave because enough served without it, and they no longer do: a replacement was lost, or people want
/// more. Where its drain has not begun it takes workloads still, and comes back, as many as are missing. By the record
/// alone, as [`in_the_way`]: what merely can't be read brings nothing back.
fn called_back<'a>(views: &[View<'a>], intents: &[Intent], set: &ResolvedSet) -> BTreeSet<&'a ClusterName> {
    let serving = views.iter().filter(|view| view.state().serves()).count();
    let missing = (set.count as usize).saturating_sub(serving);
    let leaving = views.iter().zip(intents).filter(|(view, intent)| {
        view.state() == ClusterState::Draining && matches!(intent, Intent::Retire(_)) && view.is_open()
    });
    leaving.rev().map(|(view, _)| &view.cluster.metadata.name).take(missing).collect()
}

/// Changes of state that the set decides on, because they need its limits.
struct Starts<'a, 'i> {
    inputs: &'a Inputs<'i>,
    id: &'a SetId,
    admission: &'a Admission,
    views: &'a [View<'a>],
    intents: &'a [Intent],
    started: BTreeMap<usize, Cluster>,
    why: BTreeMap<usize, Vec<Waiting>>,
    waiting: Vec<Waiting>,
}

impl<'a, 'i> Starts<'a, 'i> {
    fn new(
        inputs: &'a Inputs<'i>,
        id: &'a SetId,
        admission: &'a Admission,
        views: &'a [View<'a>],
        intents: &'a [Intent],
    ) -> Self {
        let (started, why, waiting) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        Self { inputs, id, admission, views, intents, started, why, waiting }
    }

    fn members(&self) -> impl Iterator<Item = (usize, &'a View<'a>, Intent)> + use<'a> {
        let intents = self.intents;
        self.views.iter().enumerate().map(move |(index, view)| (index, view, intents[index]))
    }

    fn count(&self) -> usize {
        self.admission.set.count as usize
    }

    /// Starts as many drains as leave `count` serving. A replacement counts once it has baked; what can't be read
    /// counts for nothing.
    fn drains(&mut self, limits: &mut Limits, wake: &mut Wake) {
        let mut victims: Vec<(usize, &View<'_>, RetirementReason)> = self
            .members()
            .filter_map(|(index, view, intent)| match intent {
                Intent::Retire(reason) if view.state().serves() && !view.lost => Some((index, view, reason)),
                _ => None,
            })
            .collect();
        if victims.is_empty() {
            return;
        }
        let replacing = victims.iter().any(|(_, _, reason)| *reason == RetirementReason::Replaced);
        let counted = self.members().filter(|(_, view, _)| self.counts(view, replacing)).count();
        let mut spare = (counted + usize::from(mutant::on("spare-off-by-one"))).saturating_sub(self.count());
        // Outdated ones go first, and of what is left the youngest.
        victims.sort_by_key(|(_, view, _)| {
            let ordinal = view.cluster.metadata.ordinal;
            (view.class.keeps_cluster(), if view.class.keeps_cluster() { u32::MAX - ordinal } else { ordinal })
        });
        // Outdated clusters beyond `count` get no replacement: they go because people want fewer, and count as removals.
        let outdated = victims.iter().filter(|(_, _, reason)| *reason == RetirementReason::Replaced).count();
        let mut beyond = outdated.saturating_sub(self.count());
        for (index, view, reason) in victims {
            match self.may_drain(view, reason, spare, limits) {
                Ok(()) => {
                    spare -= 1;
                    let surplus = reason == RetirementReason::Replaced && beyond > 0;
                    beyond -= usize::from(surplus);
                    let told = if surplus { RetirementReason::ScaledDown } else { reason };
                    self.started.insert(index, draining(view, told, self.inputs));
                }
                Err(waiting) => {
                    let bake = self.bake_of_replacements(replacing, wake);
                    let shown = if matches!(waiting, Waiting::Replacement) { bake.unwrap_or(waiting) } else { waiting };
                    self.why.entry(index).or_default().push(shown);
                }
            }
        }
    }

    fn counts(&self, view: &View<'_>, replacing: bool) -> bool {
        // Only what is outdated has nothing to prove; a new cluster that is one too many has, as any other.
        let stands_in = !replacing || !view.class.keeps_cluster() || view.baked(&self.admission.set, self.inputs.now);
        view.serves() && !view.paused_out() && stands_in
    }

    fn may_drain(
        &self,
        view: &View<'_>,
        reason: RetirementReason,
        spare: usize,
        limits: &mut Limits,
    ) -> Result<(), Waiting> {
        let gates = self.admission.gates;
        let open = gates.retire && (reason != RetirementReason::Replaced || gates.replace);
        if view.paused || !gates.actions {
            return Err(Waiting::Paused);
        }
        if !open || spare == 0 {
            return Err(Waiting::Replacement);
        }
        if let Err(why) = &view.seen {
            return Err(super::lifecycle::unknown(view, why));
        }
        if view.state() == ClusterState::Updating {
            // It is disrupted already, and counted: waiting for a place in the budget, it would wait for itself.
            return Ok(());
        }
        limits.spend_disruption(self.id, &view.cluster.spec.tags).map_err(|budget| Waiting::Budget(budget.to_string()))
    }

    fn bake_of_replacements(&self, replacing: bool, wake: &mut Wake) -> Option<Waiting> {
        let set = &self.admission.set;
        let bake = set.update_strategy.cluster_rotation.bake;
        let fresh = self.members().filter(|(_, view, intent)| *intent == Intent::Keep && view.state().serves());
        let unbaked = fresh.filter(|(_, view, _)| !view.baked(set, self.inputs.now));
        let first = unbaked.min_by_key(|(_, view, _)| view.cluster.status.ready_at)?;
        let until = first.1.cluster.status.ready_at?.plus(bake);
        wake.at(until);
        replacing.then(|| Waiting::Bake { cluster: first.1.cluster.metadata.name.clone(), until })
    }

    /// Starts updates in place, some at a time.
    fn updates(&mut self, limits: &mut Limits) {
        let set = &self.admission.set;
        let updating = self.members().filter(|(_, view, _)| view.state() == ClusterState::Updating).count();
        let mut room = (set.update_strategy.max_concurrent_updates as usize).saturating_sub(updating);
        for (index, view, intent) in self.members() {
            let differs = matches!(view.class, Class::InPlace | Class::ReplaceNodePool);
            if intent != Intent::Keep || view.state() != ClusterState::Ready || !differs || view.paused {
                continue;
            }
            if !self.admission.gates.moves || !view.serves() {
                continue;
            }
            let spent = if room == 0 { None } else { Some(limits.spend_disruption(self.id, &view.cluster.spec.tags)) };
            match spent {
                None => self.why.entry(index).or_default().push(Waiting::Budget("maxConcurrentUpdates".to_owned())),
                Some(Err(budget)) => self.why.entry(index).or_default().push(Waiting::Budget(budget.to_string())),
                Some(Ok(())) => {
                    room -= 1;
                    self.started.insert(index, updating_to(view, self.admission, self.inputs));
                }
            }
        }
    }

    /// Names new clusters: to fill up to `count`, and replacements, at most `count` + `maxSurge` alive.
    fn names(&mut self, recorded: Option<&Arc<ClusterSetStatus>>, limits: &mut Limits) -> Vec<Arc<Cluster>> {
        let set = &self.admission.set;
        let kept = self.intents.iter().filter(|intent| **intent == Intent::Keep).count();
        let leaving_later = self
            .members()
            .filter(|(index, view, intent)| {
                *intent != Intent::Keep && view.state().serves() && !view.lost && !self.started.contains_key(index)
            })
            .count();
        let deficit = self.count().saturating_sub(kept);
        let fill = self.count().saturating_sub(kept + leaving_later).min(deficit);
        let gates = self.admission.gates;
        let wanted = (if gates.fill { fill } else { 0 }) + (if gates.moves { deficit - fill } else { 0 });
        let alive_max = self.count() + set.update_strategy.cluster_rotation.max_surge as usize;
        let alive_max = alive_max + usize::from(mutant::on("surge-off-by-one"));
        let room = alive_max.saturating_sub(self.views.len());
        if deficit > 0 && wanted > room {
            let alive_max = u32::try_from(alive_max).unwrap_or(u32::MAX);
            self.waiting.push(Waiting::Batch { alive_max });
        }
        let mut named = Vec::new();
        for ordinal in (first_ordinal(recorded)..).take(wanted.min(room)) {
            match self.name(ordinal, limits) {
                Ok(cluster) => named.push(Arc::new(cluster)),
                Err(waiting) => {
                    self.waiting.push(waiting);
                    break;
                }
            }
        }
        named
    }

    fn name(&self, ordinal: u64, limits: &mut Limits) -> Result<Cluster, Waiting> {
        let ordinal = u32::try_from(ordinal).map_err(|_| Waiting::Addresses("no ordinal is left".to_owned()))?;
        let template = &self.admission.set.template;
        let account = self.admission.account.clone().ok_or(Waiting::Replacement)?;
        let name = self.id.cluster_name(ordinal).map_err(Waiting::Addresses)?;
        if let Some((other, _)) = find(self.inputs.record, &name) {
            // The next record would name it twice, and no cluster of either set could be acted on any more.
            return Err(Waiting::Forbidden(format!("{name} is recorded as a cluster of {other}")));
        }
        let byon = template.features.contains(&Feature::Byon);
        limits.spend_alive(self.id, &template.tags).map_err(|budget| Waiting::Budget(budget.to_string()))?;
        let mut block = || limits.take_block(self.id, &template.network, &template.tags).map_err(Waiting::Addresses);
        let cidr = if byon { None } else { Some(block()?) };
        let now = self.inputs.now;
        Ok(Cluster {
            kind: ClusterKind::Cluster,
            metadata: ClusterMetadata { name, ordinal, account, creation_timestamp: now },
            spec: Arc::clone(template),
            status: ClusterStatus {
                state: ClusterState::Pending,
                since: now,
                revision: revision(template),
                provider_id: None,
                endpoint: None,
                network: NetworkStatus { cidr, id: None },
                ready_at: None,
                retirement: None,
                node_pools: Vec::new(),
                infra_services: Vec::new(),
                conditions: Vec::new(),
            },
        })
    }
}

/// The lowest ordinal that was never used, by everything that the record remembers: a record that contradicts itself
/// must not bring back a name.
fn first_ordinal(recorded: Option<&Arc<ClusterSetStatus>>) -> u64 {
    let Some(recorded) = recorded.filter(|_| !mutant::on("ordinal-reused")) else { return 1 };
    let clusters = recorded.clusters.iter().map(|cluster| cluster.metadata.ordinal);
    let used = clusters.chain(recorded.tombstones.iter().map(|tombstone| tombstone.ordinal));
    let after = used.map(|ordinal| u64::from(ordinal) + 1).max().unwrap_or(1);
    after.max(u64::from(recorded.status.next_ordinal))
}

impl View<'_> {
    /// Paused and unwanted: nobody may count on it, for nobody may touch it.
    fn paused_out(&self) -> bool {
        self.paused && !self.class.keeps_cluster()
    }
}

fn draining(view: &View<'_>, reason: RetirementReason, inputs: &Inputs<'_>) -> Cluster {
    let mut cluster = (**view.cluster).clone();
    cluster.status.state = ClusterState::Draining;
    cluster.status.since = inputs.now;
    cluster.status.retirement = Some(super::lifecycle::retirement(reason, inputs.now));
    cluster
}

fn updating_to(view: &View<'_>, admission: &Admission, inputs: &Inputs<'_>) -> Cluster {
    let mut cluster = (**view.cluster).clone();
    cluster.spec = Arc::clone(&admission.set.template);
    cluster.status.revision = revision(&admission.set.template);
    cluster.status.state = ClusterState::Updating;
    cluster.status.since = inputs.now;
    cluster
}

/// The turns taken so far.
#[derive(Default)]
struct Done {
    clusters: Vec<Arc<Cluster>>,
    tombstones: Vec<Tombstone>,
    actions: Vec<Action>,
    waiting: BTreeMap<fleetwright_schema::names::ClusterName, Vec<Waiting>>,
}

impl Done {
    fn add(&mut self, view: &View<'_>, life: super::lifecycle::Life) {
        if !life.waiting.is_empty() {
            self.waiting.insert(view.cluster.metadata.name.clone(), life.waiting);
        }
        self.clusters.extend(life.next);
        self.tombstones.extend(life.tombstone);
        self.actions.extend(life.actions);
    }
}

fn next_status(
    inputs: &Inputs<'_>,
    id: &SetId,
    admission: &Admission,
    recorded: Option<&Arc<ClusterSetStatus>>,
    done: &mut Done,
    waiting: &[Waiting],
) -> Arc<ClusterSetStatus> {
    let set = &admission.set;
    let clusters = std::mem::take(&mut done.clusters);
    let next_ordinal = clusters.iter().map(|cluster| cluster.metadata.ordinal.saturating_add(1)).max().unwrap_or(1);
    let mut tombstones = recorded.map_or_else(Vec::new, |recorded| recorded.tombstones.clone());
    tombstones.append(&mut done.tombstones);
    tombstones.sort_by_key(|tombstone| tombstone.ordinal);
    let before = recorded.map_or(&[][..], |recorded| &recorded.status.conditions);
    let serving = |cluster: &&Arc<Cluster>| cluster.status.state.serves();
    let size = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let status = SetStatus {
        revision: match recorded {
            Some(recorded) if recorded.spec.template == set.template => recorded.status.revision.clone(),
            _ => revision(&set.template),
        },
        desired: set.count,
        serving: size(clusters.iter().filter(serving).count()),
        alive: size(clusters.len()),
        updated: size(clusters.iter().filter(serving).filter(|c| c.spec == set.template).count()),
        next_ordinal: next_ordinal.max(recorded.map_or(1, |recorded| recorded.status.next_ordinal)),
        wave: admission.wave.clone(),
        conditions: report::conditions(set, &clusters, waiting, before, inputs.now),
    };
    let next = ClusterSetStatus {
        api_version: ApiVersion::V1Alpha1,
        kind: Default::default(),
        metadata: ClusterSetMetadata { cluster_type: id.cluster_type.clone(), location: id.location.clone() },
        spec: Arc::clone(set),
        status,
        clusters,
        tombstones,
    };
    match recorded {
        Some(recorded) if **recorded == next => Arc::clone(recorded),
        _ => Arc::new(next),
    }
}

/// Tombstones go when their time is over, but never by a commit of their own: only with another change of the set. A
/// set of which nothing else is left goes with its last tombstone.
fn keep_tombstoned(
    next: Arc<ClusterSetStatus>,
    recorded: Option<&Arc<ClusterSetStatus>>,
    inputs: &Inputs<'_>,
    fleet: &FleetView<'_>,
) -> Option<Arc<ClusterSetStatus>> {
    if recorded.is_some_and(|recorded| Arc::ptr_eq(recorded, &next)) {
        return Some(next);
    }
    let retention = fleet.config.publishing.tombstone_retention;
    let known = recorded.map_or(&[][..], |recorded| &recorded.tombstones);
    // One that is new is published first, however short its time: without it a cluster would vanish unexplained.
    let kept = |stone: &Tombstone| stone.deleted_at.plus(retention) > inputs.now || !known.contains(stone);
    if next.tombstones.iter().all(kept) {
        return Some(next);
    }
    let mut pruned = (*next).clone();
    pruned.tombstones.retain(kept);
    Some(Arc::new(pruned))
}

/// Sets of later waves wait for the bake of this one's clusters.
fn wake_for_bake(next: &ClusterSetStatus, inputs: &Inputs<'_>, wake: &mut Wake) {
    let bake = next.spec.update_strategy.cluster_rotation.bake;
    let ready = next.clusters.iter().filter(|cluster| cluster.status.state == ClusterState::Ready);
    for until in ready.map(|cluster| cluster.status.since.plus(bake)).filter(|until| *until > inputs.now) {
        wake.at(until);
    }
}

fn attention(id: &SetId, next: &ClusterSetStatus, actions: &[Action]) -> BTreeSet<Place> {
    let moving = next
        .clusters
        .iter()
        .filter(|cluster| !matches!(cluster.status.state, ClusterState::Ready | ClusterState::Drained));
    let places = moving.map(|cluster| crate::record::place_of(id, cluster));
    places.chain(actions.iter().map(|action| action.place.clone())).collect()
}
