//! What a plan comes to, set by set: the one value that text, Markdown and JSON are written from. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fleetwright_core::change::{Change, ChangeTable, Class};
use fleetwright_core::check::check;
use fleetwright_core::desired::{Desired, Wish};
use fleetwright_core::fingerprint::Memo;
use fleetwright_core::fleet::{FleetCache, desired, read_fleet};
use fleetwright_core::inventory::Place;
use fleetwright_core::memory::Acknowledgements;
use fleetwright_core::plan::{Inputs, Plan, SetReport, plan};
use fleetwright_core::snapshot::Snapshot;
use fleetwright_core::waiting::{Removals, Waiting};
use fleetwright_schema::diagnostic::Diagnostic;
use fleetwright_schema::documents::FleetSpec;
use fleetwright_schema::names::{ClusterName, Name, SetId};
use fleetwright_schema::set::{DeletionPolicy, Feature, ResolvedSet};
use fleetwright_schema::status::Cluster;
use fleetwright_schema::units::{Duration, Timestamp};
use serde::Serialize;

use crate::cli::error::CliError;

use super::assume::{assumed_inventory, assumed_memory};
use super::difference::settings;
use super::quotas::{Demand, PlaceQuotas, ask};
use super::sides::Sides;

/// A plan on a change.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// The commit that is planned, or that below the working tree.
    pub commit: Option<String>,
    /// Whether the files as they stand are planned.
    pub working_tree: bool,
    /// The commit that is merged into.
    pub base: Option<String>,
    /// When freezes and windows were judged.
    pub judged_at: Timestamp,
    /// All sets, counted.
    pub totals: Totals,
    /// The approval that the removals wait for.
    pub removal_approval: Option<Approval>,
    /// Shared files that the change touches; only with a base.
    pub shared: Vec<Shared>,
    /// The sets that change, by name.
    pub sets: Vec<PlannedSet>,
    /// Parts of the plan that the check took out.
    pub objections: Vec<String>,
    /// What is left of the real accounts' quotas, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quotas: Option<Vec<PlaceQuotas>>,
}

/// All sets, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    /// Sets that are listed.
    pub changed: usize,
    /// Sets that are not.
    pub unchanged: usize,
    /// Clusters built beyond replacements.
    pub create: u32,
    /// Clusters changed in place.
    pub update: u32,
    /// Clusters replaced by new ones.
    pub rotate: u32,
    /// Clusters removed without a replacement.
    pub remove: u32,
}

/// What has to be written for the removals to go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Approval {
    /// How many clusters go.
    pub clusters: u32,
    /// How many may go without it.
    pub allowed: u32,
    /// What names exactly these removals.
    pub digest: String,
    /// Where it is written to.
    pub path: String,
    /// The document.
    pub document: String,
}

/// A shared file and how many sets it changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shared {
    /// The file.
    pub path: String,
    /// How many of the sets that rest on it change.
    pub sets: usize,
}

/// What becomes of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum SetAction {
    /// It is new.
    Create,
    /// It changes.
    Change,
    /// Its file is gone, and its clusters go.
    Remove,
    /// Its file is gone, and its clusters stay.
    Retain,
    /// Its wish does not change; what was begun goes on.
    Continue,
}

/// A set in the plan.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedSet {
    /// Which.
    pub set: SetId,
    /// What becomes of it.
    pub action: SetAction,
    /// The gravest class of what differs.
    pub class: Option<Class>,
    /// Its wave.
    pub wave: Option<Name>,
    /// What differs.
    pub changes: Vec<Difference>,
    /// Clusters built beyond replacements.
    pub create: u32,
    /// Clusters changed in place.
    pub update: u32,
    /// Clusters replaced by new ones.
    pub rotate: u32,
    /// Clusters removed without a replacement.
    pub remove: u32,
    /// How many batches the rotation takes.
    pub batches: u32,
    /// How many clusters above the count may be alive.
    pub max_surge: u32,
    /// About how long it takes, when nothing waits for other sets.
    pub estimate_seconds: u64,
    /// How long a drained cluster is kept for a revert.
    pub rollback_window_seconds: u64,
    /// The clusters that change.
    pub clusters: Vec<PlannedCluster>,
    /// What it waits for, in order.
    pub waiting: Vec<Reason>,
}

/// A field that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// The field.
    pub field: String,
    /// Its old value.
    pub from: String,
    /// Its new value.
    pub to: String,
    /// What changing it does to a cluster; none for what changes no cluster.
    pub class: Option<Class>,
    /// Why.
    pub why: String,
}

/// A cluster that changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedCluster {
    /// Its name.
    pub name: ClusterName,
    /// What the change does to it; none for one that is removed.
    pub class: Option<Class>,
}

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reason {
    /// The type of its condition.
    pub r#type: String,
    /// One word for programs.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
}

/// Plans the head, or tells what is wrong with it.
pub fn summarise(sides: &Sides) -> Result<Summary, Vec<Diagnostic>> {
    let reading = read_fleet(&sides.head, &mut FleetCache::default());
    if !reading.is_sound() {
        return Err(reading.diagnostics);
    }
    let wish = desired(&reading, &sides.record, None, None);
    let before = sides
        .base
        .as_ref()
        .map(|base| desired(&read_fleet(&base.files, &mut FleetCache::default()), &sides.record, None, None));
    let (plan, objections) = planned(sides, &wish);
    let writer = Writer { sides, wish: &wish, before: before.as_ref(), plan: &plan };
    Ok(writer.summary(objections))
}

/// What is left of the quotas of the places of these sets.
pub fn quotas(sides: &Sides, sets: &[PlannedSet]) -> Result<Vec<PlaceQuotas>, CliError> {
    let unreadable =
        || CliError::problem("fleet.yaml of what is merged into can't be read, so no account can be asked");
    let config = trusted_config(sides).ok_or_else(unreadable)?;
    let wish = wish_of(sides, &sides.head);
    ask(&demand(&wish, sets), &config)
}

/// By which roles accounts are entered is for what is merged into to say: no change chooses it.
pub(super) fn trusted_config(sides: &Sides) -> Option<FleetSpec> {
    wish_of(sides, sides.base.as_ref().map_or(&sides.head, |base| &base.files)).config.map(|config| (*config).clone())
}

fn wish_of(sides: &Sides, files: &Snapshot) -> Desired {
    desired(&read_fleet(files, &mut FleetCache::default()), &sides.record, None, None)
}

/// New clusters, and those that stand beside the ones that they replace: at most at once, place by place.
pub(super) fn demand(wish: &Desired, sets: &[PlannedSet]) -> BTreeMap<Place, Demand> {
    let mut all: BTreeMap<Place, Demand> = BTreeMap::new();
    for set in sets {
        let Some(Wish::Wanted(wanted)) = wish.sets.get(&set.set) else { continue };
        let demand = all.entry(wanted.place.clone()).or_default();
        let given = wanted.resolved.template.features.contains(&Feature::Byon);
        let count = if given { &mut demand.in_given } else { &mut demand.in_own };
        *count = count.saturating_add(set.create.saturating_add(set.rotate.min(set.max_surge)));
    }
    all.retain(|_, demand| *demand != Demand::default());
    all
}

fn planned(sides: &Sides, wish: &Desired) -> (Plan, Vec<String>) {
    let memo = Memo::default();
    let inputs = Inputs {
        now: sides.now,
        desired: wish,
        record: &sides.record,
        inventory: &assumed_inventory(&sides.record, wish, &memo, sides.now),
        memory: &assumed_memory(&sides.record),
        acknowledgements: &Acknowledgements::default(),
        table: ChangeTable::shipped(),
        memo: &memo,
    };
    let checked = check(&inputs, plan(&inputs));
    let objections = checked.violations().iter().map(ToString::to_string).collect();
    (checked.into_plan(), objections)
}

struct Writer<'a> {
    sides: &'a Sides,
    wish: &'a Desired,
    before: Option<&'a Desired>,
    plan: &'a Plan,
}

impl Writer<'_> {
    fn summary(&self, objections: Vec<String>) -> Summary {
        let all: BTreeSet<&SetId> = self.plan.reports.keys().chain(self.wish.sets.keys()).collect();
        let count = all.len();
        let sets: Vec<PlannedSet> = all.into_iter().filter_map(|id| self.set(id)).collect();
        let Sides { commit, working_tree, base, now, .. } = self.sides;
        Summary {
            commit: commit.as_ref().map(ToString::to_string),
            working_tree: *working_tree,
            base: base.as_ref().map(|base| base.commit.to_string()),
            judged_at: *now,
            totals: totals(&sets, count),
            removal_approval: self.plan.removals.as_ref().map(|removals| approval(removals, *now)),
            shared: self.shared(&sets),
            sets,
            objections,
            quotas: None,
        }
    }

    fn set(&self, id: &SetId) -> Option<PlannedSet> {
        let fallback = SetReport::default();
        let report = self.plan.reports.get(id).unwrap_or(&fallback);
        let changes = self.changes(id, report);
        let action = self.action(id, &changes);
        let listed = match self.before {
            Some(before) => before.sets.get(id) != self.wish.sets.get(id),
            None => !report.settled || action != SetAction::Continue,
        };
        listed.then(|| self.planned_set(id, report, action, changes))
    }

    fn planned_set(&self, id: &SetId, report: &SetReport, action: SetAction, changes: Vec<Difference>) -> PlannedSet {
        let target = self.target(id);
        let rollout = &report.rollout;
        let held_back = self.wanted(id).filter(|_| !self.sides.record.sets.contains_key(id));
        // A set that may not begin yet has no rollout in its report; merging asks for its clusters all the same.
        let create = held_back.map_or(rollout.create, |wanted| wanted.count);
        let rotation = target.map(|set| &set.update_strategy.cluster_rotation);
        let blocked = self.blocked_removals(id);
        PlannedSet {
            set: id.clone(),
            action,
            class: report.class.or_else(|| gravest(&changes)),
            wave: self.wave(id).or_else(|| report.wave.clone()),
            changes,
            create,
            update: rollout.update,
            rotate: rollout.rotate,
            remove: blocked.unwrap_or(rollout.remove),
            batches: rollout.batches,
            max_surge: rotation.map_or(0, |rotation| rotation.max_surge),
            estimate_seconds: rollout.estimate.seconds(),
            rollback_window_seconds: rotation.map_or(0, |rotation| rotation.rollback_window.seconds()),
            clusters: self.clusters(id, report, action),
            waiting: told(&report.waiting).map(|waiting| reason(waiting, self.sides.now)).collect(),
        }
    }

    /// What the report does not count while it waits for an approval.
    fn blocked_removals(&self, id: &SetId) -> Option<u32> {
        let recorded = self.sides.record.sets.get(id)?;
        let goes = recorded.spec.deletion_policy == DeletionPolicy::Delete;
        let wanted = match self.wish.sets.get(id) {
            Some(Wish::Wanted(wanted)) => wanted.resolved.count,
            None if goes => 0,
            Some(Wish::Held(_)) | None => return None,
        };
        let staying = recorded.clusters.iter().filter(|cluster| cluster.status.retirement.is_none()).count();
        Some(u32::try_from(staying).unwrap_or(u32::MAX).saturating_sub(wanted))
    }

    fn action(&self, id: &SetId, changes: &[Difference]) -> SetAction {
        let recorded = self.sides.record.sets.get(id);
        match self.wish.sets.get(id) {
            Some(_) if recorded.is_none() => SetAction::Create,
            Some(_) if changes.is_empty() => SetAction::Continue,
            Some(_) => SetAction::Change,
            None if recorded.is_some_and(|set| set.spec.deletion_policy == DeletionPolicy::Delete) => SetAction::Remove,
            None if recorded.is_some_and(|set| set.clusters.is_empty()) => SetAction::Remove,
            None => SetAction::Retain,
        }
    }

    fn wanted(&self, id: &SetId) -> Option<&ResolvedSet> {
        match self.wish.sets.get(id) {
            Some(Wish::Wanted(wanted)) => Some(&wanted.resolved),
            Some(Wish::Held(_)) | None => None,
        }
    }

    fn wave(&self, id: &SetId) -> Option<Name> {
        match self.wish.sets.get(id) {
            Some(Wish::Wanted(wanted)) => wanted.wave.as_ref().map(|(_, name)| name.clone()),
            Some(Wish::Held(_)) | None => None,
        }
    }

    fn target(&self, id: &SetId) -> Option<&ResolvedSet> {
        self.wanted(id).or_else(|| self.sides.record.sets.get(id).map(|set| &*set.spec))
    }

    /// From what was taken up last; from the wish before the merge, where nothing was.
    fn changes(&self, id: &SetId, report: &SetReport) -> Vec<Difference> {
        let Some(to) = self.wanted(id) else { return Vec::new() };
        let recorded = self.sides.record.sets.get(id).map(|set| Arc::clone(&set.spec));
        let before = || match self.before.and_then(|before| before.sets.get(id)) {
            Some(Wish::Wanted(wanted)) => Some(Arc::clone(&wanted.resolved)),
            Some(Wish::Held(_)) | None => None,
        };
        let (from, template) = match recorded {
            Some(from) => (from, report.changes.clone()),
            None => {
                let Some(from) = before() else { return Vec::new() };
                let table = ChangeTable::shipped();
                let changes = table.classify(id.location.cloud, &to.update_strategy, &from.template, &to.template);
                return changes.iter().map(|change| unbuilt(difference(change))).chain(settings(&from, to)).collect();
            }
        };
        template.iter().map(difference).chain(settings(&from, to)).collect()
    }

    fn clusters(&self, id: &SetId, report: &SetReport, action: SetAction) -> Vec<PlannedCluster> {
        let leaving = action == SetAction::Remove;
        let recorded = self.sides.record.sets.get(id).into_iter().flat_map(|set| &set.clusters);
        let planned = |cluster: &Arc<Cluster>| {
            let name = cluster.metadata.name.clone();
            let class = report.classes.get(&name).copied();
            (leaving || class.is_some()).then_some(PlannedCluster { name, class })
        };
        recorded.filter_map(planned).collect()
    }

    /// Files that several sets rest on, and how many of those are listed.
    fn shared(&self, sets: &[PlannedSet]) -> Vec<Shared> {
        let Some(base) = &self.sides.base else { return Vec::new() };
        let mut counted: BTreeMap<String, usize> = BTreeMap::new();
        for path in changed_paths(&base.files, &self.sides.head) {
            let Some(name) = shared_name(&path) else { continue };
            let rests = |set: &&PlannedSet| self.rests_on(&set.set, &path);
            *counted.entry(name).or_default() = sets.iter().filter(rests).count();
        }
        counted.into_iter().map(|(path, sets)| Shared { path, sets }).collect()
    }

    fn rests_on(&self, id: &SetId, path: &str) -> bool {
        if let Some(file) = path.strip_prefix("cluster-types/") {
            return file.strip_suffix(".yaml") == Some(id.cluster_type.as_str());
        }
        let Some(service) = path.strip_prefix("infra-services/").and_then(|rest| rest.split('/').next()) else {
            return path == "fleet.yaml";
        };
        self.wanted(id).is_some_and(|set| set.template.infra_services.iter().any(|used| used.name.as_str() == service))
    }
}

fn shared_name(path: &str) -> Option<String> {
    match path.split('/').collect::<Vec<_>>()[..] {
        ["fleet.yaml"] | ["cluster-types", _] => Some(path.to_owned()),
        ["infra-services", service, ..] => Some(format!("infra-services/{service}")),
        _ => None,
    }
}

fn changed_paths(before: &Snapshot, after: &Snapshot) -> BTreeSet<String> {
    let blob = |snapshot: &Snapshot, path: &str| snapshot.files.get(path).map(|file| file.blob.clone());
    let all = before.files.keys().chain(after.files.keys());
    all.filter(|path| blob(before, path) != blob(after, path)).map(ToString::to_string).collect()
}

fn difference(change: &Change) -> Difference {
    let Change { field, from, to, class, why, .. } = change;
    Difference { field: field.clone(), from: from.clone(), to: to.clone(), class: Some(*class), why: why.clone() }
}

/// A change of a set of which nothing was taken up yet: there is no cluster that it could do anything to.
fn unbuilt(difference: Difference) -> Difference {
    Difference { class: None, why: "nothing is built yet".to_owned(), ..difference }
}

fn gravest(changes: &[Difference]) -> Option<Class> {
    changes.iter().filter_map(|change| change.class).max()
}

/// Without the wait for the next batch: how many there are is said already.
fn told(waiting: &[Waiting]) -> impl Iterator<Item = &Waiting> {
    waiting.iter().filter(|waiting| !matches!(waiting, Waiting::Batch { .. }))
}

fn reason(waiting: &Waiting, now: Timestamp) -> Reason {
    let condition = waiting.condition(&[], now);
    Reason { r#type: condition.r#type, reason: condition.reason, message: condition.message }
}

fn totals(sets: &[PlannedSet], all: usize) -> Totals {
    let mut totals = Totals { changed: sets.len(), unchanged: all - sets.len(), ..Totals::default() };
    for set in sets {
        totals.create += set.create;
        totals.update += set.update;
        totals.rotate += set.rotate;
        totals.remove += set.remove;
    }
    totals
}

/// Long enough for a review, short enough that nobody finds it again a year later.
const APPROVAL_VALID: Duration = Duration::from_seconds(14 * 86_400);

fn approval(removals: &Removals, now: Timestamp) -> Approval {
    let Removals { digest, clusters, allowed } = removals;
    let name = format!("removal-{digest}");
    let document = format!(
        "# yaml-language-server: $schema=https://fleetwright.dev/schema/v1alpha1/RemovalApproval.json\n\
         apiVersion: fleetwright.dev/v1alpha1\n\
         kind: RemovalApproval\n\
         metadata:\n  \
           name: {name}\n\
         spec:\n  \
           digest: \"{digest}\"\n  \
           clusters: {clusters}\n  \
           expires: \"{}\" # void from then on; set it to some days from today\n",
        now.plus(APPROVAL_VALID)
    );
    let path = format!("approvals/{name}.yaml");
    Approval { clusters: *clusters, allowed: *allowed, digest: digest.clone(), path, document }
}
