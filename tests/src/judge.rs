//! Judges what a planner publishes and does by the promises: on the records that follow one another, and on the world.

use std::collections::{BTreeMap, BTreeSet};

use fleetwright_core::action::{Action, Effect};
use fleetwright_core::calendar::{self, Windows};
use fleetwright_core::desired::{Desired, Wish};
use fleetwright_core::inventory::{Phase, Step};
use fleetwright_core::memory::Acknowledgements;
use fleetwright_core::record::{Record, find};
use fleetwright_core::waiting::Removals;
use fleetwright_schema::documents::{Budget, BudgetScope, FleetSpec};
use fleetwright_schema::names::{ClusterName, SetId};
use fleetwright_schema::set::{DeletionPolicy, ResolvedSet};
use fleetwright_schema::status::{Cluster, ClusterSetStatus, ClusterState, RetirementReason};
use fleetwright_schema::units::Timestamp;
use fleetwright_simulator::{Mutation, Verb, World};

/// What the judge remembers.
#[derive(Debug, Default)]
pub struct Judge {
    names: BTreeSet<ClusterName>,
    ordinals: BTreeMap<SetId, u32>,
    /// What is wrong.
    pub faults: Vec<String>,
}

/// A change of the record and what was known when it was made.
pub struct Publication<'a> {
    /// Before.
    pub old: &'a Record,
    /// After.
    pub new: &'a Record,
    /// The wish.
    pub desired: &'a Desired,
    /// The time of the plan.
    pub now: Timestamp,
    /// The removals that an approval allows.
    pub approved: bool,
}

fn stopped(desired: &Desired, id: &SetId, spec: &ResolvedSet, now: Timestamp) -> Option<&'static str> {
    let config = desired.config.as_ref().unwrap();
    if desired.hold.is_some() || matches!(desired.sets.get(id), Some(Wish::Held(_))) {
        return Some("held");
    }
    let set = match desired.sets.get(id) {
        Some(Wish::Wanted(wanted)) => &wanted.resolved,
        _ => spec,
    };
    if set.paused {
        return Some("paused");
    }
    calendar::frozen(&config.freezes, id, &set.template.tags, now).map(|_| "frozen")
}

fn paused_cluster(desired: &Desired, id: &SetId, spec: &ResolvedSet, name: &ClusterName) -> bool {
    let held = desired.hold.is_some();
    match desired.sets.get(id) {
        Some(Wish::Wanted(wanted)) if !held => wanted.resolved.paused_clusters.contains(name),
        _ => spec.paused_clusters.contains(name),
    }
}

fn group(budget: &Budget, id: &SetId) -> String {
    match budget.per {
        BudgetScope::Fleet => String::new(),
        BudgetScope::Cloud => id.location.cloud.to_string(),
        BudgetScope::Region => format!("{}/{}", id.location.cloud, id.location.region),
        BudgetScope::ClusterType => id.cluster_type.to_string(),
    }
}

fn used(budget: &Budget, record: &Record, counts: impl Fn(&Cluster) -> bool) -> BTreeMap<String, u32> {
    let mut used = BTreeMap::new();
    for (id, cluster) in record.clusters().filter(|(_, cluster)| counts(cluster)) {
        if budget.sets.selects(id, &cluster.spec.tags) {
            *used.entry(group(budget, id)).or_default() += 1;
        }
    }
    used
}

const fn disrupted(state: ClusterState) -> bool {
    matches!(state, ClusterState::Draining | ClusterState::Updating)
}

impl Judge {
    fn unless(&mut self, sound: bool, what: impl FnOnce() -> String) {
        if !sound {
            self.faults.push(what());
        }
    }

    /// A record is published.
    pub fn publication(&mut self, publication: &Publication<'_>) {
        let Publication { old, new, .. } = publication;
        for (id, status) in &new.sets {
            let before = old.sets.get(id);
            self.set(publication, id, before.map(|set| &**set), status);
        }
        for id in old.sets.keys() {
            self.unless(new.sets.contains_key(id), || format!("{id} vanishes from the record"));
        }
        self.budgets(publication);
        self.removals(publication);
        let mut blocks = BTreeSet::new();
        for (_, cluster) in new.clusters() {
            let name = &cluster.metadata.name;
            if let Some(cidr) = &cluster.status.network.cidr {
                let sound = blocks.insert(cidr.clone());
                self.unless(sound, || format!("{name} shares its addresses"));
            }
        }
    }

    fn budgets(&mut self, publication: &Publication<'_>) {
        let Publication { old, new, desired, .. } = publication;
        let config = desired.config.as_ref().unwrap();
        for budget in &config.budgets.alive {
            let (was, is) = (used(budget, old, |_| true), used(budget, new, |_| true));
            for (group, clusters) in is {
                let grew = clusters > was.get(&group).copied().unwrap_or(0);
                let named = new.clusters().any(|(id, cluster)| {
                    find(old, &cluster.metadata.name).is_none()
                        && self::group(budget, id) == group
                        && budget.sets.selects(id, &cluster.spec.tags)
                });
                self.unless(!(grew && named) || clusters <= budget.max_clusters, || {
                    format!("alive budget of {}: {clusters} in {group:?}", budget.max_clusters)
                });
            }
        }
        for budget in &config.budgets.disruption {
            for (group, clusters) in used(budget, new, |cluster| disrupted(cluster.status.state)) {
                let began = new.clusters().any(|(id, cluster)| {
                    let was = find(old, &cluster.metadata.name).map(|(_, was)| was);
                    let repaired = was.is_some_and(|was| was.spec == cluster.spec)
                        && cluster.status.state == ClusterState::Updating;
                    let starts = was.is_some_and(|was| was.status.state == ClusterState::Ready)
                        && disrupted(cluster.status.state)
                        && !repaired;
                    starts
                        && self::group(budget, id) == group
                        && was.is_some_and(|was| budget.sets.selects(id, &was.spec.tags))
                        && budget.sets.selects(id, &cluster.spec.tags)
                });
                self.unless(!began || clusters <= budget.max_clusters, || {
                    format!("disruption budget of {}: {clusters} in {group:?}", budget.max_clusters)
                });
            }
        }
    }

    fn removals(&mut self, publication: &Publication<'_>) {
        let Publication { old, new, desired, approved, .. } = publication;
        let config = desired.config.as_ref().unwrap();
        let mut removed = 0;
        for (id, before) in &old.sets {
            let count = new.sets.get(id).map_or(0, |set| set.spec.count);
            removed += before.spec.count.saturating_sub(count);
            if count < before.spec.count && !desired.sets.contains_key(id) && !before.clusters.is_empty() {
                let policy = before.spec.deletion_policy;
                self.unless(policy == DeletionPolicy::Delete, || format!("{id} is deleted and was to be retained"));
            }
        }
        let size: u32 = old.sets.values().map(|set| set.spec.count).sum();
        let allowed = config.budgets.removal.allowance(size);
        self.unless(removed <= allowed || *approved, || format!("{removed} removed, {allowed} allowed"));
    }

    fn set(
        &mut self,
        publication: &Publication<'_>,
        id: &SetId,
        old: Option<&ClusterSetStatus>,
        new: &ClusterSetStatus,
    ) {
        let Publication { desired, now, .. } = publication;
        let stop = stopped(desired, id, old.map_or(&new.spec, |old| &old.spec), *now);
        let clusters: &[_] = old.map_or(&[], |old| &old.clusters);
        let was = |name: &ClusterName| clusters.iter().find(|cluster| cluster.metadata.name == *name);
        let mut named = false;
        for cluster in &new.clusters {
            match was(&cluster.metadata.name) {
                None => {
                    named = true;
                    self.named(publication, id, cluster, stop);
                }
                Some(was) => self.transition(publication, id, was, cluster, new, stop),
            }
        }
        let alive_max = new.spec.count + new.spec.update_strategy.cluster_rotation.max_surge;
        let alive = new.clusters.len();
        self.unless(!named || alive <= alive_max as usize, || format!("{id}: {alive} alive of {alive_max}"));
        for gone in clusters.iter().filter(|old| new.clusters.iter().all(|c| c.metadata.name != old.metadata.name)) {
            let name = &gone.metadata.name;
            let state = gone.status.state;
            self.unless(state == ClusterState::Deleting, || format!("{name} vanishes while {state}"));
        }
        self.drains(publication, id, clusters, new);
        if let Some(old) = old {
            self.unless(new.status.next_ordinal >= old.status.next_ordinal, || format!("{id}: ordinals run back"));
            self.unless(stop.is_none() || new.spec.count >= old.spec.count, || format!("{id} shrinks while {stop:?}"));
            if new.spec.template != old.spec.template {
                self.taken_up(publication, id, old, new, stop);
            }
        }
    }

    fn named(&mut self, publication: &Publication<'_>, id: &SetId, cluster: &Cluster, stop: Option<&'static str>) {
        let name = &cluster.metadata.name;
        let wanted = matches!(publication.desired.sets.get(id), Some(Wish::Wanted(_)));
        self.unless(wanted, || format!("{name} is named and nobody wants its set"));
        self.unless(!matches!(stop, Some("held" | "paused")), || format!("{name} is named while {stop:?}"));
        self.unless(cluster.status.state == ClusterState::Pending, || format!("{name} begins as another state"));
        let fresh = self.names.insert(name.clone());
        self.unless(fresh, || format!("{name} is named twice"));
        let last = self.ordinals.insert(id.clone(), cluster.metadata.ordinal);
        self.unless(last < Some(cluster.metadata.ordinal), || format!("{name}: its ordinal is not new"));
    }

    fn transition(
        &mut self,
        publication: &Publication<'_>,
        id: &SetId,
        was: &Cluster,
        is: &Cluster,
        set: &ClusterSetStatus,
        stop: Option<&'static str>,
    ) {
        let Publication { desired, now, .. } = publication;
        let (name, from, to) = (&is.metadata.name, was.status.state, is.status.state);
        if from == to {
            return;
        }
        let paused = paused_cluster(desired, id, &set.spec, name);
        self.unless(!paused, || format!("{name} goes from {from} to {to} while it is paused"));
        let retires = matches!(to, ClusterState::Draining | ClusterState::Drained | ClusterState::Deleting);
        let retirement = is.status.retirement.as_ref();
        let lost = retirement.is_some_and(|retirement| retirement.reason == RetirementReason::Lost);
        let window_open = |config: &FleetSpec, tags| {
            !matches!(calendar::windows(&config.maintenance_windows, id, tags, *now), Windows::Closed(_))
        };
        self.unless(!retires || stop.is_none() || (lost && stop == Some("frozen")), || {
            format!("{name} goes from {from} to {to} while its set is {stop:?}")
        });
        if from == ClusterState::Ready && to == ClusterState::Updating && was.spec != is.spec {
            let open = window_open(desired.config.as_ref().unwrap(), &is.spec.tags);
            self.unless(open, || format!("{name} is updated outside its window"));
            self.unless(stop.is_none(), || format!("{name} is updated while {stop:?}"));
        }
        if to != ClusterState::Deleting || lost {
            return;
        }
        let never_served = was.status.ready_at.is_none();
        let proven = retirement.is_some_and(|r| r.empty_at.is_some() && r.evidence.is_some());
        let sound = never_served || (from == ClusterState::Drained && proven);
        self.unless(sound, || format!("{name} goes from {from} to {to} without evidence"));
        let window = set.spec.update_strategy.cluster_rotation.rollback_window;
        let over = from != ClusterState::Drained || was.status.since.plus(window) <= *now;
        self.unless(over, || format!("{name} is deleted within its rollback window"));
    }

    fn drains(
        &mut self,
        publication: &Publication<'_>,
        id: &SetId,
        old: &[std::sync::Arc<Cluster>],
        new: &ClusterSetStatus,
    ) {
        let began: Vec<&Cluster> = new
            .clusters
            .iter()
            .filter(|c| c.status.state == ClusterState::Draining)
            .filter(|c| old.iter().any(|o| o.metadata.name == c.metadata.name && o.status.state.serves()))
            .map(|cluster| &**cluster)
            .collect();
        if began.is_empty() {
            return;
        }
        let serving: Vec<_> = new.clusters.iter().filter(|cluster| cluster.status.state.serves()).collect();
        let count = new.spec.count as usize;
        self.unless(serving.len() >= count, || format!("{id}: {} of {count} serve after a drain", serving.len()));
        let replaced =
            |c: &&Cluster| c.status.retirement.as_ref().is_some_and(|r| r.reason == RetirementReason::Replaced);
        let bake = new.spec.update_strategy.cluster_rotation.bake;
        let baked = |c: &Cluster| c.status.ready_at.is_some_and(|ready| ready.plus(bake) <= publication.now);
        let stand = serving.iter().filter(|c| baked(c) || c.spec != new.spec.template).count();
        self.unless(!began.iter().any(replaced) || stand >= count, || format!("{id}: {stand} of {count} have baked"));
    }

    fn taken_up(
        &mut self,
        publication: &Publication<'_>,
        id: &SetId,
        old: &ClusterSetStatus,
        new: &ClusterSetStatus,
        stop: Option<&'static str>,
    ) {
        let Publication { old: record, desired, now, .. } = publication;
        let config = desired.config.as_ref().unwrap();
        self.unless(stop.is_none(), || format!("{id} takes up a template while {stop:?}"));
        let stands = |c: &Cluster| c.status.state != ClusterState::Deleting && c.spec == new.spec.template;
        if old.clusters.iter().any(|cluster| stands(cluster)) {
            return;
        }
        let tags = &new.spec.template.tags;
        let open = !matches!(calendar::windows(&config.maintenance_windows, id, tags, *now), Windows::Closed(_));
        self.unless(open, || format!("{id} takes up a template outside its window"));
        let Some(Wish::Wanted(wanted)) = desired.sets.get(id) else {
            return self.faults.push(format!("{id} takes up a template that nobody wants"));
        };
        let Some((wave, _)) = &wanted.wave else { return };
        for (other, wish) in desired.sets.iter().filter(|(other, _)| other.cluster_type == id.cluster_type) {
            let Wish::Wanted(earlier) = wish else { continue };
            if earlier.wave.as_ref().is_none_or(|(index, _)| index >= wave) {
                continue;
            }
            let bake = earlier.resolved.update_strategy.cluster_rotation.bake;
            let there = record.sets.get(other).is_some_and(|set| {
                let serving = set.clusters.iter().filter(|cluster| cluster.status.state.serves());
                let fresh = |c: &Cluster| {
                    c.spec == earlier.resolved.template && c.status.ready_at.is_some_and(|at| at.plus(bake) <= *now)
                };
                serving.clone().count() >= earlier.resolved.count as usize && serving.clone().all(|c| fresh(c))
            });
            self.unless(there, || format!("{id} takes up a template before {other}"));
        }
    }

    /// An action is handed out.
    pub fn handed_out(
        &mut self,
        action: &Action,
        record: &Record,
        desired: &Desired,
        acknowledgements: &Acknowledgements,
        now: Timestamp,
    ) {
        let name = &action.key.cluster;
        let Some((id, cluster)) = find(record, name) else {
            return self.faults.push(format!("{action}: no record names it"));
        };
        let set = &record.sets[id].spec;
        let state = cluster.status.state;
        let stop = stopped(desired, id, set, now);
        let destroys = matches!(action.effect, Effect::Drain { .. })
            || (matches!(action.effect, Effect::Delete { .. }) && state == ClusterState::Deleting);
        self.unless(!destroys || stop.is_none(), || format!("{action} while its set is {stop:?}"));
        self.unless(stop != Some("paused"), || format!("{action} while its set is paused"));
        let paused = paused_cluster(desired, id, set, name);
        self.unless(!paused, || format!("{action} while it is paused"));
        if let (Effect::Drain { .. }, ClusterState::Draining) = (&action.effect, state) {
            let started = cluster.status.retirement.as_ref().unwrap().started_at;
            let config = desired.config.as_ref().unwrap();
            for consumer in config.consumers.iter().filter(|c| c.sets.selects(id, &cluster.spec.tags)) {
                let read = acknowledgements.covers(&consumer.name, name, started);
                let over = started.plus(consumer.grace) <= now;
                let late = cluster.status.retirement.as_ref().unwrap().without_acknowledgement.contains(&consumer.name);
                self.unless(read || over || late, || format!("{action} before {} has read of it", consumer.name));
            }
        }
    }

    /// What was done to the world, judged by the record of this moment.
    pub fn mutation(&mut self, mutation: &Mutation, record: &Record, world: &World) {
        let Mutation { cluster, step, verb, running, .. } = mutation;
        let Some((_, named)) = find(record, cluster) else {
            return self.faults.push(format!("{} {step} of {cluster}, which no record names", verb.as_str()));
        };
        let state = named.status.state;
        match (verb, step) {
            (Verb::Create, Step::ControlPlane) => {
                let planes = world.resources().unwrap().into_iter().map(|standing| standing.resource);
                let live = planes
                    .filter(|r| r.cluster == *cluster && r.step == Step::ControlPlane && r.phase != Phase::Deleting)
                    .count();
                self.unless(live == 1, || format!("{live} control planes of {cluster}"));
            }
            (Verb::Delete, Step::ControlPlane) => {
                let never_served = named.status.ready_at.is_none();
                self.unless(running.unwrap_or(0) == 0, || format!("{cluster} is deleted with {running:?} workloads"));
                self.unless(state == ClusterState::Deleting || never_served, || {
                    format!("{cluster} is deleted while {state}")
                });
            }
            (Verb::Delete, _) => {
                let sound = matches!(
                    state,
                    ClusterState::Deleting | ClusterState::Pending | ClusterState::Creating | ClusterState::Updating
                );
                self.unless(sound, || format!("{step} of {cluster} is deleted while {state}"));
            }
            _ => {}
        }
    }

    /// At the end: what the record says serves, serves.
    pub fn end(&mut self, people: &Desired, record: &Record, world: &World) {
        for (id, wish) in &people.sets {
            let Wish::Wanted(wanted) = wish else { continue };
            let Some(set) = record.sets.get(id) else {
                self.unless(wanted.resolved.count == 0, || format!("{id} was never begun"));
                continue;
            };
            let ready = set
                .clusters
                .iter()
                .all(|c| c.status.state == ClusterState::Ready && c.spec == wanted.resolved.template);
            let count = wanted.resolved.count as usize;
            self.unless(ready && set.clusters.len() == count, || format!("{id} is not as wished"));
        }
        for (id, set) in record.sets.iter().filter(|(id, _)| !people.sets.contains_key(*id)) {
            self.unless(set.clusters.is_empty(), || format!("{id} was removed and has clusters"));
        }
        let standing: Vec<_> = world.resources().unwrap().into_iter().map(|standing| standing.resource).collect();
        for resource in &standing {
            let (name, step) = (&resource.cluster, resource.step);
            self.unless(find(record, name).is_some(), || format!("{step} of {name} is left over"));
        }
        for (_, cluster) in record.clusters() {
            let name = &cluster.metadata.name;
            for step in Step::BUILD {
                let parts = standing.iter().filter(|r| r.cluster == *name && r.step == step).count();
                self.unless(parts == 1, || format!("{parts} {step} of {name}"));
            }
            let plane = standing.iter().find(|r| r.cluster == *name && r.step == Step::ControlPlane);
            let open = plane
                .and_then(|plane| plane.control_plane.as_ref())
                .is_some_and(|facts| facts.placement == fleetwright_core::inventory::Placement::Open);
            self.unless(open, || format!("{name} is READY and takes no workloads"));
        }
    }
}

/// An approval of what a plan says it would remove.
pub fn approval(removals: &Removals, now: Timestamp) -> fleetwright_schema::documents::RemovalApprovalSpec {
    fleetwright_schema::documents::RemovalApprovalSpec {
        digest: removals.digest.clone(),
        clusters: removals.clusters,
        expires: now.plus(fleetwright_schema::units::Duration::from_minutes(600)),
        reason: None,
    }
}
