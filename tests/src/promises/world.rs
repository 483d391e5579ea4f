//! I4, I5, I6: what stands in the clouds is there once, belongs to a record, and is touched by nobody else.

use std::collections::BTreeSet;

use fleetwright_core::action::Action;
use fleetwright_core::inventory::{Phase, Resource, Step};
use fleetwright_core::record::find;
use fleetwright_schema::names::ClusterName;
use fleetwright_simulator::{Mutation, Verb};

use super::{Judge, Promise};

pub(super) fn live<'a>(
    standing: &'a [Resource],
    cluster: &'a ClusterName,
    step: Step,
) -> impl Iterator<Item = &'a Resource> {
    standing.iter().filter(move |r| r.cluster == *cluster && r.step == step && r.phase != Phase::Deleting)
}

impl Judge {
    pub(super) fn uniqueness(&mut self, mutation: &Mutation, standing: &[Resource]) {
        let Mutation { cluster, step, verb, .. } = mutation;
        // A network has neither a unique name nor a token at one of the providers: it is settled later, before its use.
        if *verb == Verb::Create && !matches!(step, Step::Network | Step::Leftovers) {
            let doubles = live(standing, cluster, *step).count();
            self.unless(doubles <= 1, Promise::I4, || format!("{doubles} {step} of {cluster}"));
        }
    }

    /// Whatever stands belongs to a cluster that the remote names.
    pub(super) fn ownership(&mut self, standing: &[Resource]) {
        let ours = standing.iter().filter(|resource| !self.foreign.contains(&resource.id));
        let named: BTreeSet<&ClusterName> = self.record.clusters().map(|(_, c)| &c.metadata.name).collect();
        let orphans = ours.filter(|resource| !named.contains(&resource.cluster) && resource.step != Step::Leftovers);
        let orphans: Vec<String> =
            orphans.map(|resource| format!("{} of {}", resource.step, resource.cluster)).collect();
        self.unless(orphans.is_empty(), Promise::I5, || format!("no record names {}", orphans.join(", ")));
    }

    pub(super) fn tags(&mut self, action: &Action, mutations: &[Mutation]) {
        for Mutation { cluster, step, verb, id, .. } in mutations {
            let verb = verb.as_str();
            let named = find(&self.record, cluster).is_some();
            let foreign = self.foreign.contains(id);
            self.unless(named, Promise::I6, || format!("{verb} {step} of {cluster}, which no record names"));
            self.unless(!foreign, Promise::I6, || format!("{verb} {step} of {cluster}: {id} is somebody else's"));
            self.unless(*cluster == action.key.cluster && *step == action.key.step, Promise::I6, || {
                format!("{action} did {verb} {step} of {cluster}")
            });
        }
    }
}
