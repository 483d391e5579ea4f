//! I1 and I2: how many serve and how many are alive, counted where something leaves or begins.

use std::collections::{BTreeMap, BTreeSet};

use fleetwright_core::action::{Action, Effect as Call};
use fleetwright_core::inventory::{Phase, Resource, Step};
use fleetwright_core::record::{Record, find};
use fleetwright_schema::documents::{Budget, BudgetScope};
use fleetwright_schema::names::{ClusterName, SetId};
use fleetwright_schema::status::{Cluster, ClusterSetStatus, ClusterState, RetirementReason};
use fleetwright_simulator::{Mutation, Verb};

use super::world::live;
use super::{Judge, Promise, Publication};

/// What has to be remembered of each cluster.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory {
    /// How many had to serve when its drain was published.
    drained_from: BTreeMap<ClusterName, u32>,
    /// How many could be alive when it was named.
    alive_max: BTreeMap<ClusterName, u32>,
    /// Taken out of service by our own doing, in its cloud.
    out: BTreeSet<ClusterName>,
}

impl Memory {
    pub(super) fn digest(&self, name: &ClusterName, hasher: &mut impl std::hash::Hasher) {
        use std::hash::Hash;
        let Self { drained_from, alive_max, out } = self;
        (drained_from.get(name), alive_max.get(name), out.contains(name)).hash(hasher);
    }
}

fn began_to_drain<'a>(old: &[std::sync::Arc<Cluster>], new: &'a ClusterSetStatus) -> Vec<&'a Cluster> {
    let leaves = |c: &&std::sync::Arc<Cluster>| {
        let retires = matches!(c.status.state, ClusterState::Draining | ClusterState::Drained | ClusterState::Deleting);
        let lost = c.status.retirement.as_ref().is_some_and(|r| r.reason == RetirementReason::Lost);
        let served = old.iter().any(|o| o.metadata.name == c.metadata.name && o.status.state.serves());
        retires && served && !lost
    };
    new.clusters.iter().filter(leaves).map(|cluster| &**cluster).collect()
}

impl Judge {
    pub(super) fn serving_of_publication(&mut self, publication: &Publication<'_>) {
        let Publication { old, new, mind, .. } = publication;
        for (id, set) in &new.sets {
            let empty = Vec::new();
            let before = old.sets.get(id).map_or(&empty, |set| &set.clusters);
            self.alive(id, before, set);
            for restored in set.clusters.iter().filter(|cluster| cluster.status.state.serves()) {
                self.serving.drained_from.remove(&restored.metadata.name);
            }
            let began = began_to_drain(before, set);
            if began.is_empty() {
                continue;
            }
            let serving: Vec<_> = set.clusters.iter().filter(|cluster| cluster.status.state.serves()).collect();
            let count = set.spec.count;
            self.unless(serving.len() >= count as usize, Promise::I1, || {
                format!("{id}: {} of {count} serve after a drain", serving.len())
            });
            let replaced =
                |c: &&Cluster| c.status.retirement.as_ref().is_some_and(|r| r.reason == RetirementReason::Replaced);
            let bake = set.spec.update_strategy.cluster_rotation.bake;
            let baked = |c: &Cluster| c.status.ready_at.is_some_and(|ready| ready.plus(bake) <= mind.now);
            let stand = serving.iter().filter(|c| baked(c) || c.spec != set.spec.template).count();
            self.unless(!began.iter().any(replaced) || stand >= count as usize, Promise::I1, || {
                format!("{id}: {stand} of {count} serve and have baked")
            });
            for cluster in began {
                self.serving.drained_from.insert(cluster.metadata.name.clone(), count);
            }
        }
    }

    fn alive(&mut self, id: &SetId, before: &[std::sync::Arc<Cluster>], set: &ClusterSetStatus) {
        let alive_max = set.spec.count + set.spec.update_strategy.cluster_rotation.max_surge;
        let mut named = false;
        for cluster in &set.clusters {
            let name = &cluster.metadata.name;
            if before.iter().any(|old| old.metadata.name == *name) {
                continue;
            }
            named = true;
            self.serving.alive_max.insert(name.clone(), alive_max);
            let fresh = self.names.insert(name.clone());
            self.unless(fresh, Promise::I4, || format!("{name} is named twice"));
            let last = self.ordinals.insert(id.clone(), cluster.metadata.ordinal);
            self.unless(last < Some(cluster.metadata.ordinal), Promise::I4, || format!("{name}: an old ordinal"));
        }
        let alive = set.clusters.len();
        self.unless(!named || alive <= alive_max as usize, Promise::I2, || {
            format!("{id}: {alive} alive of {alive_max}")
        });
    }

    pub(super) fn serving_of_mutation(&mut self, mutation: &Mutation, standing: &[Resource]) {
        let Mutation { cluster, step, verb, .. } = mutation;
        let Some((id, named)) = find(&self.record, cluster).map(|(id, named)| (id.clone(), named.clone())) else {
            return;
        };
        match verb {
            Verb::Open => drop(self.serving.out.remove(cluster)),
            Verb::Create if *step == Step::ControlPlane => self.alive_in_the_cloud(&id, cluster, standing),
            // Of a part that was made twice one may go, and nothing leaves service.
            Verb::Delete if live(standing, cluster, *step).next().is_some() => {}
            Verb::Drain | Verb::Delete
                if named.status.ready_at.is_some() && self.serving.out.insert(cluster.clone()) =>
            {
                // What its cloud lost while the call was under way is not our doing, and its replacement is on the way.
                let lost =
                    |c: &Cluster| c.status.retirement.as_ref().is_some_and(|r| r.reason == RetirementReason::Lost);
                self.serve_without(&id, cluster, format!("{} of {cluster}", verb.as_str()), lost);
            }
            _ => {}
        }
    }

    /// A drain that has not begun is judged again: what served when it was published may have been lost since.
    pub(super) fn serving_of_action(&mut self, action: &Action) {
        let name = &action.key.cluster;
        if matches!(action.effect, Call::Drain { .. }) && !self.serving.out.contains(name) {
            self.serve_without(&action.set, name, action, |_| false);
        }
    }

    /// Those of the record that serve, and that we did not take out of service in their clouds ourselves.
    fn serve_without(
        &mut self,
        id: &SetId,
        cluster: &ClusterName,
        what: impl std::fmt::Display,
        excused: impl Fn(&Cluster) -> bool,
    ) {
        let Some(count) = self.serving.drained_from.get(cluster).copied() else { return };
        let Some(set) = self.record.sets.get(id) else { return };
        let serve = |c: &&std::sync::Arc<Cluster>| {
            excused(c)
                || (c.status.state.serves()
                    && c.metadata.name != *cluster
                    && !self.serving.out.contains(&c.metadata.name))
        };
        let (serving, count) = (set.clusters.iter().filter(serve).count(), count.min(set.spec.count) as usize);
        self.unless(serving >= count, Promise::I1, || format!("{what}: {serving} of {count} serve without it"));
    }

    fn alive_in_the_cloud(&mut self, id: &SetId, cluster: &ClusterName, standing: &[Resource]) {
        let planes = standing.iter().filter(|r| r.set == *id && r.step == Step::ControlPlane);
        let alive: BTreeSet<_> = planes.filter(|r| r.phase != Phase::Deleting).map(|r| &r.cluster).collect();
        // People may want fewer since: what was named while they wanted more is alive until it is gone.
        let named = self.record.sets.get(id).into_iter().flat_map(|set| &set.clusters);
        let allowed = named.filter_map(|cluster| self.serving.alive_max.get(&cluster.metadata.name)).max();
        let (alive, alive_max) = (alive.len(), allowed.copied().unwrap_or(0) as usize);
        self.unless(alive <= alive_max, Promise::I2, || {
            format!("{cluster} is created: {alive} control planes of {id}, {alive_max} may be")
        });
    }

    /// The fleet's budgets, on the record: what is named is alive, what drains or is updated is disrupted.
    pub(super) fn budgets(&mut self, publication: &Publication<'_>) {
        let Publication { old, new, mind, .. } = publication;
        let Some(config) = mind.desired.config.clone() else { return };
        for budget in &config.budgets.alive {
            let (was, is) = (used(budget, old, |_| true), used(budget, new, |_| true));
            for (group, clusters) in is {
                let grew = clusters > was.get(&group).copied().unwrap_or(0);
                let named = new.clusters().any(|(id, cluster)| {
                    find(old, &cluster.metadata.name).is_none()
                        && self::group(budget, id) == group
                        && budget.sets.selects(id, &cluster.spec.tags)
                });
                self.unless(!(grew && named) || clusters <= budget.max_clusters, Promise::I2, || {
                    format!("alive budget of {}: {clusters} in {group:?}", budget.max_clusters)
                });
            }
        }
        for budget in &config.budgets.disruption {
            for (group, clusters) in used(budget, new, |cluster| disrupted(cluster.status.state)) {
                let began = new.clusters().any(|(id, cluster)| {
                    let was = find(old, &cluster.metadata.name).map(|(_, was)| &**was);
                    let (now, before) = (budget.sets.selects(id, &cluster.spec.tags), was.map(|was| &was.spec.tags));
                    let counted = now && before.is_some_and(|tags| budget.sets.selects(id, tags));
                    counted && starts_disruption(was, cluster) && self::group(budget, id) == group
                });
                self.unless(!began || clusters <= budget.max_clusters, Promise::I1, || {
                    format!("disruption budget of {}: {clusters} in {group:?}", budget.max_clusters)
                });
            }
        }
    }
}

/// A repair is no disruption of ours: what is repaired is disrupted already.
fn starts_disruption(was: Option<&Cluster>, cluster: &Cluster) -> bool {
    let repaired = was.is_some_and(|was| was.spec == cluster.spec) && cluster.status.state == ClusterState::Updating;
    was.is_some_and(|was| was.status.state == ClusterState::Ready) && disrupted(cluster.status.state) && !repaired
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
