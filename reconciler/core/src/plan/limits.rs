//! Budgets over all sets, and blocks of addresses: counted once from the record, then spent by the plan as it goes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fleetwright_schema::documents::{AddressPool, Budget, BudgetScope, FleetSpec};
use fleetwright_schema::names::{Name, SetId};
use fleetwright_schema::set::NetworkSpec;
use fleetwright_schema::status::ClusterState;

use super::Inputs;
use crate::mutant;

/// The group in which a budget counts a set.
type Group = String;

fn group(budget: &Budget, set: &SetId) -> Group {
    match budget.per {
        BudgetScope::Fleet => String::new(),
        BudgetScope::Cloud => set.location.cloud.to_string(),
        BudgetScope::Region => format!("{}/{}", set.location.cloud, set.location.region),
        BudgetScope::ClusterType => set.cluster_type.to_string(),
    }
}

/// One list of budgets with what is used of each.
struct Ledger {
    budgets: Vec<Budget>,
    used: BTreeMap<(usize, Group), u32>,
}

impl Ledger {
    fn add(&mut self, set: &SetId, tags: &BTreeMap<String, String>) {
        for (index, budget) in self.budgets.iter().enumerate().filter(|(_, b)| b.sets.selects(set, tags)) {
            *self.used.entry((index, group(budget, set))).or_default() += 1;
        }
    }

    /// Takes one cluster's worth, or names the budget that has none left.
    fn spend(&mut self, set: &SetId, tags: &BTreeMap<String, String>) -> Result<(), Name> {
        let full = self.budgets.iter().enumerate().find(|(index, budget)| {
            budget.sets.selects(set, tags)
                && self.used.get(&(*index, group(budget, set))).copied().unwrap_or(0) >= budget.max_clusters
        });
        if let Some((_, budget)) = full {
            return Err(budget.name.clone());
        }
        self.add(set, tags);
        Ok(())
    }
}

/// What is left of every limit that sets share.
pub struct Limits {
    alive: Ledger,
    disruption: Ledger,
    config: Arc<FleetSpec>,
    /// Blocks in use by pool; filled when the first cluster is named.
    blocks: Option<BTreeSet<Block>>,
    /// By pool, how many of its first blocks are known to be in use: none becomes free within a plan.
    full: BTreeMap<Name, u64>,
    recorded_blocks: Vec<Arc<fleetwright_schema::status::ClusterSetStatus>>,
}

impl Limits {
    /// Counts what the record uses: everything named is alive, everything draining or updating is disrupted.
    pub fn count(inputs: &Inputs<'_>, config: &Arc<FleetSpec>) -> Self {
        let ledger = |budgets: &[Budget]| Ledger { budgets: budgets.to_vec(), used: BTreeMap::new() };
        let mut alive = ledger(&config.budgets.alive);
        let mut disruption = ledger(&config.budgets.disruption);
        // By each cluster's own tags, as they are spent: those of the set may have changed since.
        for (id, cluster) in inputs.record.clusters() {
            alive.add(id, &cluster.spec.tags);
            if is_disrupted(cluster.status.state) {
                disruption.add(id, &cluster.spec.tags);
            }
        }
        let recorded_blocks = inputs.record.sets.values().cloned().collect();
        Self { alive, disruption, config: Arc::clone(config), blocks: None, full: BTreeMap::new(), recorded_blocks }
    }

    /// One more cluster alive.
    pub fn spend_alive(&mut self, set: &SetId, tags: &BTreeMap<String, String>) -> Result<(), Name> {
        self.alive.spend(set, tags)
    }

    /// One more cluster leaving service or being changed in place.
    pub fn spend_disruption(&mut self, set: &SetId, tags: &BTreeMap<String, String>) -> Result<(), Name> {
        if mutant::on("disruption-budget-ignored") { Ok(()) } else { self.disruption.spend(set, tags) }
    }

    /// The lowest free block of the set's pool.
    pub fn take_block(
        &mut self,
        set: &SetId,
        network: &NetworkSpec,
        tags: &BTreeMap<String, String>,
    ) -> Result<String, String> {
        let pool =
            pool_of(&self.config, set, network, tags).ok_or_else(|| "no address pool is for this set".to_owned())?;
        let (base, blocks) =
            pool_blocks(pool).ok_or_else(|| format!("address pool {} can't be understood", pool.name))?;
        let recorded = &self.recorded_blocks;
        let used = self.blocks.get_or_insert_with(|| recorded_cidrs(recorded));
        let size = 1u64 << (32 - u32::from(pool.cluster_prefix_length));
        let full = self.full.entry(pool.name.clone()).or_default();
        let start_of = |index: u64| u64::from(base) + index * size;
        let free = (*full..blocks).find(|index| !overlaps(used, start_of(*index), size));
        *full = free.map_or(blocks, |index| index + 1);
        let start = start_of(free.ok_or_else(|| format!("address pool {} has no free block", pool.name))?);
        used.insert(Block { start, size });
        let start = u32::try_from(start).map_err(|error| error.to_string())?;
        Ok(format!("{}/{}", std::net::Ipv4Addr::from(start), pool.cluster_prefix_length))
    }
}

const fn is_disrupted(state: ClusterState) -> bool {
    matches!(state, ClusterState::Updating | ClusterState::Draining)
}

/// A block of addresses in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Block {
    start: u64,
    size: u64,
}

/// Blocks that are in use don't overlap one another, so only the neighbours can touch a new one.
fn overlaps(used: &BTreeSet<Block>, start: u64, size: u64) -> bool {
    let end = start + size;
    let before = used.range(..Block { start: end, size: 0 }).next_back();
    before.is_some_and(|block| block.start + block.size > start)
}

/// What is taken, without overlaps: a record may hold blocks within others, and only the nearest one is looked at.
fn recorded_cidrs(sets: &[Arc<fleetwright_schema::status::ClusterSetStatus>]) -> BTreeSet<Block> {
    let clusters = sets.iter().flat_map(|set| &set.clusters);
    let recorded = clusters.filter_map(|cluster| cluster.status.network.cidr.as_deref()).filter_map(parse_block);
    let mut disjoint: Vec<Block> = Vec::new();
    for block in recorded.collect::<BTreeSet<_>>() {
        let end = block.start + block.size;
        match disjoint.last_mut().filter(|last| block.start < last.start + last.size) {
            Some(last) => last.size = last.size.max(end - last.start),
            None => disjoint.push(block),
        }
    }
    disjoint.into_iter().collect()
}

fn parse_block(cidr: &str) -> Option<Block> {
    let (start, prefix) = parse_cidr(cidr)?;
    Some(Block { start: u64::from(start), size: 1u64 << (32 - u32::from(prefix)) })
}

/// Address and prefix length of `10.0.0.0/10`.
pub fn parse_cidr(cidr: &str) -> Option<(u32, u8)> {
    let (address, prefix) = cidr.split_once('/')?;
    let address: std::net::Ipv4Addr = address.parse().ok()?;
    let prefix: u8 = prefix.parse().ok()?;
    (prefix <= 32).then_some((u32::from(address), prefix))
}

/// The first address and the number of blocks of a pool.
pub fn pool_blocks(pool: &AddressPool) -> Option<(u32, u64)> {
    let (base, prefix) = parse_cidr(&pool.cidr)?;
    let bits = pool.cluster_prefix_length.checked_sub(prefix)?;
    (pool.cluster_prefix_length <= 32).then_some((base, 1u64 << bits))
}

/// The pool that a set takes its blocks from: the one it names, or the first that selects it.
pub fn pool_of<'a>(
    config: &'a FleetSpec,
    set: &SetId,
    network: &NetworkSpec,
    tags: &BTreeMap<String, String>,
) -> Option<&'a AddressPool> {
    match &network.address_pool {
        Some(name) => config.address_pools.iter().find(|pool| pool.name == *name),
        None => config.address_pools.iter().find(|pool| pool.sets.selects(set, tags)),
    }
}
