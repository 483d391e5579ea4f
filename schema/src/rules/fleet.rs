//! Rules of `fleet.yaml`.

use std::collections::BTreeMap;

use super::network::Block;
use super::{Rules, layer};
use crate::diagnostic::{did_you_mean, shown};
use crate::documents::{Account, AddressPool, Fleet, FleetSpec, Freeze, MaintenanceWindow, SetSelector};
use crate::names::{Cloud, Region};

/// A window opens on days; one that is longer overlaps itself.
const WINDOW_SECONDS_MAX: u64 = 86_400;

pub(super) fn check(fleet: &Fleet, rules: &mut Rules<'_>) {
    let spec = &fleet.spec;
    check_names(spec, rules);
    layer::check(&spec.defaults, "/spec/defaults", rules);
    for (index, environment) in spec.environments.iter().enumerate() {
        layer::check(&environment.defaults, &format!("/spec/environments/{index}/defaults"), rules);
    }
    check_accounts(spec, rules);
    check_pools(&spec.address_pools, rules);
    if let Some(branch) = spec.publishing.branch.as_deref().filter(|branch| !is_branch(branch)) {
        let hint = Some("git takes no `..`, `//`, `/.` or `.lock` in it, and no `.` or `/` at its end".into());
        let message = format!("{} is no name of a branch", shown(branch));
        rules.error("/spec/publishing/branch", "branch-unsound", message, hint);
    }
    for (index, window) in spec.maintenance_windows.iter().enumerate() {
        check_window(window, &format!("/spec/maintenanceWindows/{index}"), rules);
    }
    for (index, freeze) in spec.freezes.iter().enumerate() {
        check_freeze(freeze, &format!("/spec/freezes/{index}"), rules);
    }
    for (pointer, selector) in selectors(spec) {
        check_selector(spec, selector, &pointer, rules);
    }
}

fn check_names(spec: &FleetSpec, rules: &mut Rules<'_>) {
    let FleetSpec { environments, address_pools, waves, budgets, consumers, maintenance_windows, freezes, .. } = spec;
    let mut unique = |list: &str, names: Vec<&str>| rules.unique(&format!("/spec/{list}"), "/name", names);
    unique("environments", environments.iter().map(|item| item.name.as_str()).collect());
    unique("addressPools", address_pools.iter().map(|item| item.name.as_str()).collect());
    unique("waves", waves.iter().map(|item| item.name.as_str()).collect());
    unique("budgets/alive", budgets.alive.iter().map(|item| item.name.as_str()).collect());
    unique("budgets/disruption", budgets.disruption.iter().map(|item| item.name.as_str()).collect());
    unique("consumers", consumers.iter().map(|item| item.name.as_str()).collect());
    unique("maintenanceWindows", maintenance_windows.iter().map(|item| item.name.as_str()).collect());
    unique("freezes", freezes.iter().map(|item| item.name.as_str()).collect());
}

/// An account that two environments share is entered in one way: which of two would be used, nobody could tell.
fn check_accounts(spec: &FleetSpec, rules: &mut Rules<'_>) {
    let mut known: BTreeMap<(Cloud, &str), (&str, &Account)> = BTreeMap::new();
    for (index, environment) in spec.environments.iter().enumerate() {
        for (cloud, account) in &environment.accounts {
            let first = known.entry((*cloud, &account.id)).or_insert((environment.name.as_str(), account));
            if first.1 != account {
                let (id, other) = (&account.id, first.0);
                let message = format!("the environment `{other}` says something else of the account {id}");
                let hint = Some("say the same of it in both, provider and roles, or give each its own account".into());
                rules.error(&format!("/spec/environments/{index}/accounts/{cloud}"), "accounts-differ", message, hint);
            }
        }
    }
}

fn check_pools(pools: &[AddressPool], rules: &mut Rules<'_>) {
    let mut earlier: Vec<(&str, Block)> = Vec::new();
    for (index, pool) in pools.iter().enumerate() {
        let Some(block) = check_pool(pool, &format!("/spec/addressPools/{index}"), rules) else { continue };
        if let Some((other, _)) = earlier.iter().find(|(_, other)| block.overlaps(*other)) {
            let message = format!("the pools `{other}` and `{}` have addresses in common", pool.name);
            let hint = Some("clusters of both can't be connected to each other".into());
            rules.warning(&format!("/spec/addressPools/{index}/cidr"), "address-pools-overlap", message, hint);
        }
        earlier.push((pool.name.as_str(), block));
    }
}

fn check_pool(pool: &AddressPool, at: &str, rules: &mut Rules<'_>) -> Option<Block> {
    match Block::parse(&pool.cidr) {
        Err((message, hint)) => {
            rules.error(&format!("{at}/cidr"), "cidr-unsound", message, hint);
            None
        }
        Ok(block) if block.prefix_length >= pool.cluster_prefix_length => {
            let message = format!("a block of /{} can't be cut out of {}", pool.cluster_prefix_length, pool.cidr);
            let hint = Some(format!("write a number above {}", block.prefix_length));
            rules.error(&format!("{at}/clusterPrefixLength"), "cluster-prefix-too-short", message, hint);
            None
        }
        Ok(block) => Some(block),
    }
}

/// What `git check-ref-format` takes, of what the schema's pattern lets through.
fn is_branch(branch: &str) -> bool {
    let sound = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock");
    branch != "HEAD" && !branch.ends_with('.') && !branch.contains("..") && branch.split('/').all(sound)
}

fn check_window(window: &MaintenanceWindow, at: &str, rules: &mut Rules<'_>) {
    if !(1..=WINDOW_SECONDS_MAX).contains(&window.duration.seconds()) {
        let message = format!("a window is open for more than nothing and at most a day, not {}", window.duration);
        rules.error(&format!("{at}/duration"), "window-duration", message, None);
    }
    if let Some(zone) = window.time_zone.as_deref().filter(|zone| jiff::tz::TimeZone::get(zone).is_err()) {
        let hint = Some("use a name of the tz database, like Europe/Berlin".into());
        rules.error(&format!("{at}/timeZone"), "time-zone-unknown", format!("{} is no time zone", shown(zone)), hint);
    }
    rules.unique(&format!("{at}/days"), "", window.days.iter().map(|day| day_name(*day)));
}

fn day_name(day: crate::documents::Weekday) -> &'static str {
    use crate::documents::Weekday::{Fri, Mon, Sat, Sun, Thu, Tue, Wed};
    match day {
        Mon => "Mon",
        Tue => "Tue",
        Wed => "Wed",
        Thu => "Thu",
        Fri => "Fri",
        Sat => "Sat",
        Sun => "Sun",
    }
}

fn check_freeze(freeze: &Freeze, at: &str, rules: &mut Rules<'_>) {
    if freeze.until <= freeze.from {
        let message = format!("the freeze ends at {}, before it begins at {}", freeze.until, freeze.from);
        rules.error(&format!("{at}/until"), "freeze-ends-before-it-begins", message, None);
    }
}

/// All selectors of the document with their pointers.
fn selectors(spec: &FleetSpec) -> Vec<(String, &SetSelector)> {
    let mut found: Vec<(String, &SetSelector)> = Vec::new();
    let mut list = |name: &str, index: usize, selector| found.push((format!("/spec/{name}/{index}/sets"), selector));
    spec.address_pools.iter().enumerate().for_each(|(i, item)| list("addressPools", i, &item.sets));
    spec.waves.iter().enumerate().for_each(|(i, item)| list("waves", i, &item.sets));
    spec.budgets.alive.iter().enumerate().for_each(|(i, item)| list("budgets/alive", i, &item.sets));
    spec.budgets.disruption.iter().enumerate().for_each(|(i, item)| list("budgets/disruption", i, &item.sets));
    spec.consumers.iter().enumerate().for_each(|(i, item)| list("consumers", i, &item.sets));
    spec.maintenance_windows.iter().enumerate().for_each(|(i, item)| list("maintenanceWindows", i, &item.sets));
    spec.freezes.iter().enumerate().for_each(|(i, item)| list("freezes", i, &item.sets));
    found
}

/// A selector that can select nothing is a typing error, and a freeze or budget that holds for nobody.
fn check_selector(spec: &FleetSpec, selector: &SetSelector, at: &str, rules: &mut Rules<'_>) {
    let environments: Vec<&str> = spec.environments.iter().map(|environment| environment.name.as_str()).collect();
    for (index, name) in selector.environments.iter().enumerate() {
        if !environments.contains(&name.as_str()) {
            let hint = did_you_mean(name.as_str(), environments.iter().copied());
            let message = format!("`{name}` is no environment of this fleet");
            rules.error(&format!("{at}/environments/{index}"), "environment-unknown", message, hint);
        }
    }
    for (index, region) in selector.regions.iter().enumerate() {
        check_region(selector, region, &format!("{at}/regions/{index}"), rules);
    }
}

fn check_region(selector: &SetSelector, region: &Region, at: &str, rules: &mut Rules<'_>) {
    let clouds = if selector.clouds.is_empty() { &Cloud::ALL[..] } else { &selector.clouds };
    if clouds.iter().all(|cloud| region.facts(*cloud).is_none()) {
        let names =
            Region::table().iter().filter(|facts| clouds.contains(&facts.cloud)).map(|facts| facts.name.as_str());
        let hint = did_you_mean(region.as_str(), names);
        rules.error(at, "region-unknown", format!("`{region}` is no region of the selected clouds"), hint);
    }
}
