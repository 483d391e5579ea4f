//! I7: fewer clusters only within the budget or with an approval, and never because something could not be read.

use fleetwright_core::record::is_removal;
use fleetwright_schema::names::SetId;
use fleetwright_schema::set::DeletionPolicy;
use fleetwright_schema::status::{ClusterSetStatus, ClusterState};

use super::{Judge, Promise, Publication, Soundness};

impl Judge {
    pub(super) fn removals(&mut self, publication: &Publication<'_>) {
        let Publication { old, new, mind, .. } = publication;
        let mut removed = 0;
        for (id, before) in &old.sets {
            let count = new.sets.get(id).map_or(0, |set| set.spec.count);
            removed += before.spec.count.saturating_sub(count);
            if count < before.spec.count && !mind.desired.sets.contains_key(id) && !before.clusters.is_empty() {
                let policy = before.spec.deletion_policy;
                self.unless(policy == DeletionPolicy::Delete, Promise::I7, || {
                    format!("{id} is deleted and was to be retained")
                });
            }
        }
        let size: u32 = old.sets.values().map(|set| set.spec.count).sum();
        let Some(config) = &mind.desired.config else { return };
        let allowed = config.budgets.removal.allowance(size);
        let mut approvals = mind.desired.approvals.iter();
        let approved = approvals.any(|approval| mind.now < approval.expires && approval.clusters >= removed);
        // What is on its way out counts as long as it is.
        let leaving = old.clusters().filter(|(_, cluster)| is_removal(cluster)).count();
        let all = removed.saturating_add(u32::try_from(leaving).unwrap_or(u32::MAX));
        self.unless(removed == 0 || all <= allowed || approved, Promise::I7, || {
            format!("{removed} removed, {leaving} leaving, {allowed} allowed")
        });
        self.unsound(publication);
    }

    /// What the maker of the tip knows of it counts, not what the daemon made of it.
    fn unsound(&mut self, publication: &Publication<'_>) {
        let Publication { old, new, mind, .. } = publication;
        let soundness = self.soundness.get(&mind.tip).cloned().unwrap_or_default();
        for (id, set) in &new.sets {
            let held = match &soundness {
                Soundness::Sound => false,
                Soundness::Held => true,
                Soundness::HeldSets(sets) => sets.contains(id),
            };
            if held {
                self.retires_nothing(id, old.sets.get(id).map(|set| &**set), set);
            }
        }
    }

    fn retires_nothing(&mut self, id: &SetId, old: Option<&ClusterSetStatus>, new: &ClusterSetStatus) {
        let Some(old) = old else {
            return self.unless(new.clusters.is_empty(), Promise::I7, || format!("{id} is begun by an unsound tip"));
        };
        self.unless(new.spec == old.spec, Promise::I7, || format!("{id} takes up a wish of an unsound tip"));
        for was in old.clusters.iter().filter(|was| was.status.state.serves()) {
            let name = &was.metadata.name;
            let is = new.clusters.iter().find(|cluster| cluster.metadata.name == *name);
            let stays = is.is_some_and(|is| is.status.state.serves() || lost(&is.status));
            self.unless(stays, Promise::I7, || format!("{name} is retired by an unsound tip"));
        }
        let deletes = |is: &&std::sync::Arc<fleetwright_schema::status::Cluster>| {
            let was = old.clusters.iter().find(|was| was.metadata.name == is.metadata.name);
            is.status.state == ClusterState::Deleting
                && !lost(&is.status)
                && was.is_some_and(|was| was.status.state != ClusterState::Deleting)
        };
        let deleted = new.clusters.iter().find(deletes).map(|cluster| cluster.metadata.name.to_string());
        self.unless(deleted.is_none(), Promise::I7, || format!("{deleted:?} is deleted by an unsound tip"));
    }
}

fn lost(status: &fleetwright_schema::status::ClusterStatus) -> bool {
    let reason = status.retirement.as_ref().map(|retirement| retirement.reason);
    reason == Some(fleetwright_schema::status::RetirementReason::Lost)
}
