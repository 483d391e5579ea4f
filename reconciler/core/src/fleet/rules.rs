//! Rules across files: names that fit, waves, address pools and budgets that can be met at all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fleetwright_schema::diagnostic::{Diagnostic, Severity, shown};
use fleetwright_schema::document::{Document, Parsed};
use fleetwright_schema::documents::{Budget, BudgetScope, FleetSpec};
use fleetwright_schema::names::{Cloud, ClusterName, SetId};
use fleetwright_schema::set::Feature;

use super::{Files, FleetReading, Read};
use crate::desired::WantedSet;
use crate::plan::{pool_blocks, pool_of};
use crate::snapshot::Snapshot;

/// The most digits that an ordinal is given room for in a name.
const ORDINAL_LONGEST: u32 = 9_999;

/// Checks everything that takes more than one file to see.
pub fn check(config: &FleetSpec, fleet: &Parsed, files: &Files, reading: &mut FleetReading) {
    let mut problems = Vec::new();
    let wanted: Vec<(&SetId, &WantedSet)> =
        reading.sets.iter().filter_map(|(id, set)| Some((id, set.wanted.as_deref()?))).collect();
    names(files, &wanted, &mut problems);
    tags(files, &wanted, &mut problems);
    pools(config, fleet, files, &wanted, &mut problems);
    budgets(config, fleet, &wanted, &mut problems);
    // A set whose names or addresses can't work is not acted on.
    let broken: BTreeSet<String> = problems.iter().filter(|p| p.is_error()).map(|p| p.path.clone()).collect();
    for (id, set) in reading.sets.iter_mut().filter(|_| !broken.is_empty()) {
        if broken.contains(&id.wish_path()) {
            *set = Arc::new(super::SetReading { wanted: None, problems: set.problems.clone() });
        }
    }
    reading.diagnostics.extend(problems);
}

/// Both sets of a collision are told and held: which of them has clusters already, no file says.
fn names(files: &Files, wanted: &[(&SetId, &WantedSet)], problems: &mut Vec<Diagnostic>) {
    let mut named: BTreeMap<ClusterName, Vec<&SetId>> = BTreeMap::new();
    for (id, _) in wanted {
        match id.cluster_name(ORDINAL_LONGEST) {
            Ok(longest) => named.entry(longest).or_default().push(id),
            Err(why) => problems.push(of_type(files, id, "name-unsound", why)),
        }
    }
    for twins in named.values().filter(|sets| sets.len() > 1) {
        for id in twins {
            let others: Vec<String> = twins.iter().filter(|other| other != &id).map(ToString::to_string).collect();
            let message = format!("clusters would have the same names as those of {}", others.join(", "));
            let hint = "names of cluster types must differ in more than case and hyphens";
            problems.push(of_type(files, id, "name-collision", message).hint(hint));
        }
    }
}

/// A problem of a set as a whole, shown where its file names its type.
fn of_type(files: &Files, id: &SetId, rule: &'static str, message: impl Into<String>) -> Diagnostic {
    in_set(files, id, "/metadata/clusterType", rule, message)
}

fn in_set(files: &Files, id: &SetId, pointer: &str, rule: &'static str, message: impl Into<String>) -> Diagnostic {
    match super::sound(files.sets.get(id)) {
        Some((_, parsed)) => parsed.problem(pointer, rule, message),
        None => Diagnostic::error(rule, id.wish_path(), message),
    }
}

/// What a tag may be is for the cloud to say, and which cloud it is only the set's place tells.
fn tags(files: &Files, wanted: &[(&SetId, &WantedSet)], problems: &mut Vec<Diagnostic>) {
    for (id, set) in wanted.iter().filter(|(id, _)| id.location.cloud == Cloud::Aws) {
        let unsound = set.resolved.template.tags.iter().find(|(key, value)| !is_tag_of_aws(key, value));
        let Some((key, value)) = unsound else { continue };
        let message = format!("{} is no tag of AWS", shown(&format!("{key}={value}")));
        let hint = "AWS takes letters, digits, spaces and `_.:/=+-@`, and keeps what begins with `aws:` for itself";
        problems.push(in_set(files, id, "/spec/tags", "tag-unsound", message).hint(hint));
    }
}

/// What all of its services take: <https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html>.
fn is_tag_of_aws(key: &str, value: &str) -> bool {
    let sound = |text: &str| text.chars().all(|c| c.is_alphanumeric() || c == ' ' || "_.:/=+-@".contains(c));
    sound(key) && sound(value) && !key.to_lowercase().starts_with("aws:")
}

fn pools(
    config: &FleetSpec,
    fleet: &Parsed,
    files: &Files,
    wanted: &[(&SetId, &WantedSet)],
    problems: &mut Vec<Diagnostic>,
) {
    let mut needed: BTreeMap<&str, u64> = BTreeMap::new();
    for (id, set) in wanted {
        let template = &set.resolved.template;
        if template.features.contains(&Feature::Byon) || set.resolved.count == 0 {
            continue;
        }
        match pool_of(config, id, &template.network, &template.tags) {
            Some(pool) => {
                let surge = set.resolved.update_strategy.cluster_rotation.max_surge;
                *needed.entry(pool.name.as_str()).or_default() += u64::from(set.resolved.count) + u64::from(surge);
            }
            None => {
                let problem = of_type(files, id, "address-pool-none", "no address pool is for this set");
                problems.push(problem.hint("add a pool that selects it to fleet.yaml, spec.addressPools"));
            }
        }
    }
    for (index, pool) in config.address_pools.iter().enumerate() {
        let (Some((_, blocks)), Some(needed)) = (pool_blocks(pool), needed.get(pool.name.as_str())) else { continue };
        if *needed > blocks {
            let message = format!(
                "pool {} has {blocks} blocks of /{}, and its sets need {needed} with their surge",
                pool.name, pool.cluster_prefix_length
            );
            let problem = fleet.problem(&format!("/spec/addressPools/{index}/cidr"), "address-pool-too-small", message);
            problems.push(problem.hint("widen the block, or make clusterPrefixLength larger"));
        }
    }
}

fn budgets(config: &FleetSpec, fleet: &Parsed, wanted: &[(&SetId, &WantedSet)], problems: &mut Vec<Diagnostic>) {
    for (index, budget) in config.budgets.alive.iter().enumerate() {
        let mut groups: BTreeMap<String, u32> = BTreeMap::new();
        for (id, set) in wanted.iter().filter(|(id, set)| budget.sets.selects(id, &set.resolved.template.tags)) {
            *groups.entry(group(budget, id)).or_default() += set.resolved.count;
        }
        for (group, count) in groups.into_iter().filter(|(_, count)| *count >= budget.max_clusters) {
            let whose = if group.is_empty() { String::new() } else { format!(" in {group}") };
            let max = budget.max_clusters;
            let message = format!(
                "budget {} allows {max} clusters, and the sets{whose} ask for {count}: no rotation could begin",
                budget.name
            );
            let pointer = format!("/spec/budgets/alive/{index}/maxClusters");
            problems.push(fleet.problem(&pointer, "budget-too-small", message).hint(format!("at least {}", count + 1)));
        }
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

/// A service that names manifests which the repository does not have is as good as unreadable: what its version means,
/// nobody can say.
pub fn without_missing_manifests(path: &str, read: Read, snapshot: &Snapshot) -> Read {
    let Ok(parsed @ Parsed { document: Document::InfraService(service), .. }) = read.as_ref() else { return read };
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let manifests = service.spec.manifests.iter().map(|manifest| format!("{folder}/{manifest}")).enumerate();
    let missing = manifests.filter(|(_, manifest)| !snapshot.files.contains_key(manifest.as_str()));
    let problems: Vec<Diagnostic> = missing
        .map(|(index, manifest)| {
            let pointer = format!("/spec/manifests/{index}");
            parsed.problem(&pointer, "manifest-missing", format!("there is no {manifest} that can be read"))
        })
        .collect();
    if problems.is_empty() { read } else { Arc::new(Err(problems)) }
}

/// Services that others depend on and the repository does not have.
pub fn check_services(files: &Files, reading: &mut FleetReading) {
    for (name, (_, read)) in &files.infra {
        let Ok(parsed) = read.as_ref() else { continue };
        let Document::InfraService(service) = &parsed.document else { continue };
        for (index, needs) in service.spec.depends_on.iter().enumerate() {
            if !files.infra.contains_key(needs.as_str()) {
                let message = format!("{name} depends on {needs}, and there is no infra-services/{needs}/service.yaml");
                let mut problem = parsed.problem(&format!("/spec/dependsOn/{index}"), "infra-service-unknown", message);
                problem.severity = Severity::Error;
                reading.diagnostics.push(problem);
            }
        }
    }
}
