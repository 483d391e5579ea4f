//! One state of everything: the remote, the clouds, the daemons, and the judge of how it came about.

use std::sync::Arc;

use fleetwright_core::action::Action;
use fleetwright_core::desired::Desired;
use fleetwright_core::inventory::{Inventory, Listing};
use fleetwright_core::memory::Memory;
use fleetwright_core::record::Record;
use fleetwright_schema::names::ClusterName;
use fleetwright_schema::units::Timestamp;

use super::world::World;
use crate::promises::Judge;

/// The remote, as one read of it shows it.
#[derive(Clone, Debug)]
pub struct Tip {
    /// Moves with every push, of people and of daemons: what a push is compared with, and what the fence asks for.
    pub version: u32,
    /// How many commits of people there are.
    pub commits: u64,
    /// What they say.
    pub desired: Arc<Desired>,
    /// What the bot last wrote.
    pub record: Record,
}

/// A process.
#[derive(Clone, Debug)]
pub struct Daemon {
    /// Which: one that was started anew is another.
    pub process: u32,
    /// Since when.
    pub born: Timestamp,
    /// What it last read of the remote.
    pub tip: Option<Tip>,
    /// What it read of the clouds.
    pub inventory: Inventory,
    /// What it remembers.
    pub memory: Memory,
    /// What it handed out and has not heard of.
    pub flying: Vec<Action>,
}

impl Daemon {
    /// One that knows nothing yet.
    pub fn new(process: u32, born: Timestamp) -> Self {
        let (inventory, memory) = (Inventory::default(), Memory::default());
        Self { process, born, tip: None, inventory, memory, flying: Vec::new() }
    }

    /// When its last reading began; before the first, when it was born.
    pub fn read_at(&self) -> Timestamp {
        self.inventory.places.values().map(|reading| reading.at).max().unwrap_or(self.born)
    }

    /// Clusters on which something is under way.
    pub fn touching(&self) -> Vec<ClusterName> {
        let mut names: Vec<_> = self.flying.iter().map(|action| action.key.cluster.clone()).collect();
        names.dedup();
        names
    }
}

/// The clouds as they were before a change.
#[derive(Clone, Debug)]
pub struct Earlier {
    /// What a list showed.
    pub listing: Arc<Listing>,
    /// Until when.
    pub until: Timestamp,
}

/// Everything.
#[derive(Clone, Debug)]
pub struct State {
    /// The time.
    pub now: Timestamp,
    /// Which wish stands.
    pub wish: usize,
    /// How many faults may still come.
    pub disturbances: u8,
    /// The remote.
    pub remote: Tip,
    /// The clouds.
    pub world: World,
    /// The last two times that they changed, the latest first; forgotten once no list lags so far behind.
    pub earlier: Vec<Earlier>,
    /// The processes.
    pub daemons: Vec<Daemon>,
    /// How many processes there ever were.
    pub processes: u32,
    /// Who published last.
    pub publisher: Option<usize>,
    /// Who judges.
    pub judge: Arc<Judge>,
    /// What else went wrong: the check objected, or a file does not say what was rendered.
    pub objection: Option<String>,
}

impl State {
    /// Who sees to it that the promises are kept.
    pub fn judge(&mut self) -> &mut Judge {
        Arc::make_mut(&mut self.judge)
    }

    /// Whether a daemon knows what the remote says.
    pub fn is_current(&self, daemon: usize) -> bool {
        self.daemons[daemon].tip.as_ref().is_some_and(|tip| tip.version == self.remote.version)
    }

    /// The clouds are about to change.
    pub fn remember_world(&mut self, before: Arc<Listing>) {
        if *before != *self.world.listing {
            self.earlier.insert(0, Earlier { listing: before, until: self.now });
            self.earlier.truncate(2);
        }
    }
}
