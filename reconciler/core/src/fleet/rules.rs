//! Rules across files: names that fit, waves, address pools and budgets that can be met at all.

use std::collections::{BTreeMap, BTreeSet};

use fleetwright_schema::diagnostic::{Diagnostic, Severity};
use fleetwright_schema::document::{Document, Parsed};
use fleetwright_schema::documents::{Budget, BudgetScope, FleetSpec, SetSelector};
use fleetwright_schema::names::{Cloud, SetId};
use fleetwright_schema::set::Feature;

use super::{Files, FleetReading};
use crate::calendar::zone_exists;
use crate::desired::WantedSet;
use crate::plan::{parse_cidr, pool_blocks, pool_of};

/// The most digits that an ordinal is given room for in a name.
const ORDINAL_LONGEST: u32 = 9_999;

/// Checks everything that takes more than one file to see.
pub fn check(config: &FleetSpec, fleet: &Parsed, reading: &mut FleetReading) {
    let mut problems = Vec::new();
    let wanted: Vec<(&SetId, &WantedSet)> =
        reading.sets.iter().filter_map(|(id, set)| Some((id, set.wanted.as_deref()?))).collect();
    names(&wanted, &mut problems);
    pools(config, fleet, &wanted, &mut problems);
    budgets(config, fleet, &wanted, &mut problems);
    calendar(config, fleet, &mut problems);
    selectors(config, fleet, &mut problems);
    // A set whose names or addresses can't work is not acted on.
    let broken: BTreeSet<String> = problems.iter().filter(|p| p.is_error()).map(|p| p.path.clone()).collect();
    for (id, set) in &mut reading.sets {
        if broken.contains(&id.wish_path()) {
            *set = std::sync::Arc::new(super::SetReading { wanted: None, problems: set.problems.clone() });
        }
    }
    reading.diagnostics.extend(problems);
}

fn names(wanted: &[(&SetId, &WantedSet)], problems: &mut Vec<Diagnostic>) {
    let mut seen: BTreeMap<String, &SetId> = BTreeMap::new();
    for (id, _) in wanted {
        let path = id.wish_path();
        let longest = match id.cluster_name(ORDINAL_LONGEST) {
            Ok(name) => name,
            Err(why) => {
                problems.push(Diagnostic::error("name-unsound", path, why));
                continue;
            }
        };
        let max = id.location.cloud.cluster_name_length_max();
        if longest.as_str().len() > max {
            let length = longest.as_str().len();
            let message = format!("clusters would be named {longest}, {length} characters, and {} allows {max}", id.location.cloud);
            let hint = "a shorter name of the cluster type or of the environment helps";
            problems.push(Diagnostic::error("name-too-long", path, message).hint(hint));
        } else if let Some(other) = seen.insert(longest.to_string(), id) {
            let message = format!("clusters would have the same names as those of {other}");
            let hint = "names of cluster types must differ in more than case and hyphens";
            problems.push(Diagnostic::error("name-collision", path, message).hint(hint));
        }
    }
}

fn pools(config: &FleetSpec, fleet: &Parsed, wanted: &[(&SetId, &WantedSet)], problems: &mut Vec<Diagnostic>) {
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
                let problem = Diagnostic::error("address-pool-none", id.wish_path(), "no address pool is for this set");
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
    overlapping_pools(config, fleet, problems);
}

fn overlapping_pools(config: &FleetSpec, fleet: &Parsed, problems: &mut Vec<Diagnostic>) {
    let range = |cidr: &str| parse_cidr(cidr).map(|(start, prefix)| (u64::from(start), u64::from(start) + (1u64 << (32 - u32::from(prefix)))));
    for (index, pool) in config.address_pools.iter().enumerate() {
        for other in &config.address_pools[..index] {
            let (Some(a), Some(b)) = (range(&pool.cidr), range(&other.cidr)) else { continue };
            if a.0 < b.1 && b.0 < a.1 {
                let message = format!("pool {} overlaps pool {}", pool.name, other.name);
                let pointer = format!("/spec/addressPools/{index}/cidr");
                problems.push(fleet.problem(&pointer, "address-pools-overlap", message));
            }
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
            let message = format!("budget {} allows {max} clusters, and the sets{whose} ask for {count}: no rotation could begin", budget.name);
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

fn calendar(config: &FleetSpec, fleet: &Parsed, problems: &mut Vec<Diagnostic>) {
    for (index, window) in config.maintenance_windows.iter().enumerate() {
        let Some(zone) = window.time_zone.as_deref().filter(|zone| !zone_exists(zone)) else { continue };
        let pointer = format!("/spec/maintenanceWindows/{index}/timeZone");
        let message = format!("there is no time zone {zone}");
        problems.push(fleet.problem(&pointer, "time-zone-unknown", message).hint("use a name of the IANA table, like Europe/Berlin"));
    }
}

/// Selectors that name what the fleet does not have select nothing, which nobody means.
fn selectors(config: &FleetSpec, fleet: &Parsed, problems: &mut Vec<Diagnostic>) {
    let named = |list: &str, index: usize| format!("/spec/{list}/{index}/sets");
    let mut all: Vec<(String, &SetSelector)> = Vec::new();
    all.extend(config.waves.iter().enumerate().map(|(i, wave)| (named("waves", i), &wave.sets)));
    all.extend(config.address_pools.iter().enumerate().map(|(i, pool)| (named("addressPools", i), &pool.sets)));
    all.extend(config.consumers.iter().enumerate().map(|(i, consumer)| (named("consumers", i), &consumer.sets)));
    all.extend(config.freezes.iter().enumerate().map(|(i, freeze)| (named("freezes", i), &freeze.sets)));
    all.extend(config.maintenance_windows.iter().enumerate().map(|(i, w)| (named("maintenanceWindows", i), &w.sets)));
    all.extend(config.budgets.alive.iter().enumerate().map(|(i, b)| (named("budgets/alive", i), &b.sets)));
    all.extend(config.budgets.disruption.iter().enumerate().map(|(i, b)| (named("budgets/disruption", i), &b.sets)));
    for (pointer, selector) in all {
        for (index, name) in selector.environments.iter().enumerate() {
            if !config.environments.iter().any(|env| env.name == *name) {
                let message = format!("the fleet has no environment {name}");
                let pointer = format!("{pointer}/environments/{index}");
                let known = config.environments.iter().map(|env| env.name.as_str());
                let hint = super::layers::did_you_mean(name.as_str(), known);
                problems.push(fleet.problem(&pointer, "environment-unknown", message).hint_maybe(hint));
            }
        }
        for (index, region) in selector.regions.iter().enumerate() {
            if Cloud::ALL.iter().all(|cloud| region.facts(*cloud).is_none()) {
                let message = format!("no cloud has a region {region}");
                problems.push(fleet.problem(&format!("{pointer}/regions/{index}"), "region-unknown", message));
            }
        }
    }
}

/// Manifests that a service names and the repository does not have.
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
