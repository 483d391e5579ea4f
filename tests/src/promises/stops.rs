//! I13: waves, windows, freezes, pauses, and what consumers have to have read.

use fleetwright_core::action::{Action, Effect};
use fleetwright_core::calendar::{self, Windows};
use fleetwright_core::desired::{Desired, Wish};
use fleetwright_core::record::find;
use fleetwright_schema::documents::FleetSpec;
use fleetwright_schema::names::{ClusterName, SetId};
use fleetwright_schema::set::ResolvedSet;
use fleetwright_schema::status::{Cluster, ClusterSetStatus, ClusterState, RetirementReason};
use fleetwright_schema::units::Timestamp;

use super::{Judge, Mind, Process, Promise, Publication};

fn stopped(desired: &Desired, id: &SetId, spec: &ResolvedSet, now: Timestamp) -> Option<&'static str> {
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
    let freezes = desired.config.as_ref().map_or(&[][..], |config| &config.freezes);
    calendar::frozen(freezes, id, &set.template.tags, now).map(|_| "frozen")
}

fn paused_cluster(desired: &Desired, id: &SetId, spec: &ResolvedSet, name: &ClusterName) -> bool {
    let held = desired.hold.is_some();
    match desired.sets.get(id) {
        Some(Wish::Wanted(wanted)) if !held => wanted.resolved.paused_clusters.contains(name),
        _ => spec.paused_clusters.contains(name),
    }
}

fn window_open(
    config: &FleetSpec,
    id: &SetId,
    tags: &std::collections::BTreeMap<String, String>,
    now: Timestamp,
) -> bool {
    !matches!(calendar::windows(&config.maintenance_windows, id, tags, now), Windows::Closed(_))
}

impl Judge {
    pub(super) fn stops_of_publication(&mut self, publication: &Publication<'_>) {
        let Publication { old, new, mind, .. } = publication;
        for (id, set) in &new.sets {
            let before = old.sets.get(id);
            let stop = stopped(&mind.desired, id, before.map_or(&set.spec, |old| &old.spec), mind.now);
            for cluster in &set.clusters {
                let mut known = before.into_iter().flat_map(|set| &set.clusters);
                match known.find(|was| was.metadata.name == cluster.metadata.name) {
                    Some(was) => self.stops_of_transition(mind, id, was, cluster, set, stop),
                    None => {
                        let name = &cluster.metadata.name;
                        let may = !matches!(stop, Some("held" | "paused"));
                        self.unless(may, Promise::I13, || format!("{name} is named while {stop:?}"));
                    }
                }
            }
            let Some(before) = before else { continue };
            let shrinks = stop.is_some() && set.spec.count < before.spec.count;
            self.unless(!shrinks, Promise::I13, || format!("{id} shrinks while {stop:?}"));
            if set.spec.template != before.spec.template {
                self.taken_up(publication, id, before, set, stop);
            }
        }
    }

    fn stops_of_transition(
        &mut self,
        mind: &Mind,
        id: &SetId,
        was: &Cluster,
        is: &Cluster,
        set: &ClusterSetStatus,
        stop: Option<&'static str>,
    ) {
        let (name, from, to) = (&is.metadata.name, was.status.state, is.status.state);
        if from == to {
            return;
        }
        let paused = paused_cluster(&mind.desired, id, &set.spec, name);
        self.unless(!paused, Promise::I13, || format!("{name} goes from {from} to {to} while it is paused"));
        let retires = matches!(to, ClusterState::Draining | ClusterState::Drained | ClusterState::Deleting);
        let lost = is.status.retirement.as_ref().is_some_and(|r| r.reason == RetirementReason::Lost);
        self.unless(!retires || stop.is_none() || (lost && stop == Some("frozen")), Promise::I13, || {
            format!("{name} goes from {from} to {to} while its set is {stop:?}")
        });
        if from == ClusterState::Ready && to == ClusterState::Updating && was.spec != is.spec {
            let config = mind.desired.config.as_ref();
            let open = config.is_none_or(|config| window_open(config, id, &is.spec.tags, mind.now));
            self.unless(open, Promise::I13, || format!("{name} is updated outside its window"));
            self.unless(stop.is_none(), Promise::I13, || format!("{name} is updated while {stop:?}"));
        }
    }

    fn taken_up(
        &mut self,
        publication: &Publication<'_>,
        id: &SetId,
        old: &ClusterSetStatus,
        new: &ClusterSetStatus,
        stop: Option<&'static str>,
    ) {
        let Publication { old: record, mind, .. } = publication;
        self.unless(stop.is_none(), Promise::I13, || format!("{id} takes up a template while {stop:?}"));
        let stands = |c: &Cluster| c.status.state != ClusterState::Deleting && c.spec == new.spec.template;
        let Some(config) = mind.desired.config.as_ref() else { return };
        if old.clusters.iter().any(|cluster| stands(cluster)) {
            return;
        }
        let open = window_open(config, id, &new.spec.template.tags, mind.now);
        self.unless(open, Promise::I13, || format!("{id} takes up a template outside its window"));
        let Some(Wish::Wanted(wanted)) = mind.desired.sets.get(id) else {
            return self.unless(false, Promise::I13, || format!("{id} takes up a template that nobody wants"));
        };
        let Some((wave, _)) = &wanted.wave else { return };
        for (other, wish) in mind.desired.sets.iter().filter(|(other, _)| other.cluster_type == id.cluster_type) {
            let Wish::Wanted(earlier) = wish else { continue };
            if earlier.wave.as_ref().is_none_or(|(index, _)| index >= wave) {
                continue;
            }
            let there = record.sets.get(other).is_some_and(|set| has_reached(set, &earlier.resolved, mind.now));
            self.unless(there, Promise::I13, || format!("{id} takes up a template before {other}"));
        }
    }

    pub(super) fn stops_of_action(&mut self, process: Process, action: &Action) {
        let Some(mind) = self.processes.get(&process).cloned() else { return };
        let name = &action.key.cluster;
        // What the process took for the published record was judged when it planned: an action needs no change of state.
        let Some((id, cluster)) = find(&mind.record, name) else {
            return self.unless(false, Promise::I6, || format!("{action}: no record names it"));
        };
        let set = &mind.record.sets[id].spec;
        let state = cluster.status.state;
        let makes = matches!(action.effect, Effect::Create { .. } | Effect::Update { .. });
        let built = matches!(state, ClusterState::Pending | ClusterState::Creating | ClusterState::Updating);
        self.unless(!makes || built, Promise::I9, || format!("{action}, which is published as {state}"));
        let served = matches!(state, ClusterState::Ready | ClusterState::Draining | ClusterState::Drained);
        let deletes = matches!(action.effect, Effect::Delete { .. });
        self.unless(!deletes || !served, Promise::I9, || format!("{action}, which is published as {state}"));
        let stop = stopped(&mind.desired, id, set, mind.now);
        let destroys = matches!(action.effect, Effect::Drain { .. })
            || (matches!(action.effect, Effect::Delete { .. }) && state == ClusterState::Deleting);
        self.unless(!destroys || stop.is_none(), Promise::I13, || format!("{action} while its set is {stop:?}"));
        self.unless(stop != Some("paused"), Promise::I13, || format!("{action} while its set is paused"));
        let paused = paused_cluster(&mind.desired, id, set, name);
        self.unless(!paused, Promise::I13, || format!("{action} while it is paused"));
        if matches!(action.effect, Effect::Drain { .. }) && state == ClusterState::Draining {
            self.read_by_consumers(&mind, id, cluster, action);
        }
    }

    fn read_by_consumers(&mut self, mind: &Mind, id: &SetId, cluster: &Cluster, action: &Action) {
        let (Some(retirement), Some(config)) = (&cluster.status.retirement, &mind.desired.config) else { return };
        let name = &cluster.metadata.name;
        for consumer in config.consumers.iter().filter(|c| c.sets.selects(id, &cluster.spec.tags)) {
            let read = mind.acknowledgements.covers(&consumer.name, name, retirement.started_at);
            let over = retirement.started_at.plus(consumer.grace) <= mind.now;
            let late = retirement.without_acknowledgement.contains(&consumer.name);
            self.unless(read || over || late, Promise::I9, || {
                format!("{action} before {} has read of it", consumer.name)
            });
        }
    }
}

/// All that serve are of the wished revision, enough of them, and baked.
fn has_reached(set: &ClusterSetStatus, wish: &ResolvedSet, now: Timestamp) -> bool {
    let bake = wish.update_strategy.cluster_rotation.bake;
    let fresh = |c: &Cluster| c.spec == wish.template && c.status.ready_at.is_some_and(|at| at.plus(bake) <= now);
    let serving: Vec<_> = set.clusters.iter().filter(|cluster| cluster.status.state.serves()).collect();
    serving.len() >= wish.count as usize && serving.iter().all(|cluster| fresh(cluster))
}
