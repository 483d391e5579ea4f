//! I10, and what of I5 can only be seen at the end: the fleet is as wished, and from then on nothing moves.

use fleetwright_core::desired::{Desired, Wish};
use fleetwright_core::inventory::{Placement, Resource, Step};
use fleetwright_core::record::find;
use fleetwright_schema::status::ClusterState;

use super::{Effect, Judge, Promise};

impl Judge {
    pub(super) fn note_quiet(&mut self, effect: &Effect<'_>) {
        if !self.settled {
            return;
        }
        match effect {
            Effect::Published { .. } => self.unless(false, Promise::I10, || "a commit after it had settled".to_owned()),
            Effect::HandedOut { action, .. } => {
                self.unless(false, Promise::I10, || format!("{action}, after it had settled"));
            }
            _ => {}
        }
    }

    pub(super) fn settled(&mut self, desired: &Desired, standing: &[Resource]) {
        self.settled = true;
        self.as_wished(desired);
        let clusters: Vec<_> = self.record.clusters().map(|(_, cluster)| cluster.metadata.name.clone()).collect();
        let ours: Vec<&Resource> = standing.iter().filter(|r| !self.foreign.contains(&r.id)).collect();
        for resource in &ours {
            let (name, step) = (&resource.cluster, resource.step);
            let named = find(&self.record, name).is_some();
            self.unless(named, Promise::I5, || format!("{step} of {name} is left over"));
        }
        for name in clusters {
            for step in Step::BUILD {
                let parts = ours.iter().filter(|r| r.cluster == name && r.step == step).count();
                self.unless(parts == 1, Promise::I5, || format!("{parts} {step} of {name}"));
            }
            let plane = ours.iter().find(|r| r.cluster == name && r.step == Step::ControlPlane);
            let open = plane
                .and_then(|plane| plane.control_plane.as_ref())
                .is_some_and(|facts| facts.placement == Placement::Open);
            self.unless(open, Promise::I10, || format!("{name} is READY and takes no workloads"));
        }
    }

    fn as_wished(&mut self, desired: &Desired) {
        let record = self.record.clone();
        for (id, wish) in &desired.sets {
            let Wish::Wanted(wanted) = wish else { continue };
            let Some(set) = record.sets.get(id) else {
                self.unless(wanted.resolved.count == 0, Promise::I10, || format!("{id} was never begun"));
                continue;
            };
            let ready = set
                .clusters
                .iter()
                .all(|c| c.status.state == ClusterState::Ready && c.spec == wanted.resolved.template);
            let count = wanted.resolved.count as usize;
            self.unless(ready && set.clusters.len() == count, Promise::I10, || format!("{id} is not as wished"));
        }
        for (id, set) in record.sets.iter().filter(|(id, _)| !desired.sets.contains_key(*id)) {
            self.unless(set.clusters.is_empty(), Promise::I10, || format!("{id} was removed and has clusters"));
        }
    }
}
