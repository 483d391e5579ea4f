//! What is checked: a small fleet, the edits of its wish, and which faults may come how often.

use std::sync::Arc;

use fleetwright_core::desired::{Desired, WantedSet, Wish};
use fleetwright_core::inventory::Place;
use fleetwright_schema::documents::{FailureBudget, FleetSpec, RemovalBudget};
use fleetwright_schema::names::SetId;
use fleetwright_schema::set::{DeletionPolicy, DrainMode, DrainTimeoutPolicy, ResolvedSet, SpecField};
use fleetwright_schema::units::{Duration, Timestamp};

use super::world::Grain;
use crate::bench::Bench;

/// Time has two scales. Within an epoch seconds pass, one a reading, and only order matters; every limit of the planner
/// (see [`LIMIT`]) is longer than what passes within an epoch, and shorter than what is left of it: so each is over
/// exactly when another epoch has begun, and a state needs to remember of a time only its order and its epoch.
pub const EPOCH: Duration = Duration::from_seconds(1200);
/// As many seconds may pass within an epoch.
pub const WITHIN_EPOCH_MAX: u64 = 300;
/// Bake, rollback window and deadlines: as long as the planner's own age of readings, and longer than its time until a
/// cluster counts as lost.
pub const LIMIT: Duration = Duration::from_seconds(EPOCH.seconds() - WITHIN_EPOCH_MAX);
/// What providers ask for after a failure: longer than all readings of an epoch, so that it ends by a step of its own.
pub const RETRY_AFTER: Duration = Duration::from_seconds(200);
/// Longer than any path.
const NEVER: Duration = Duration::from_minutes(60 * 24 * 30);

/// What goes wrong. Each costs one of the scenario's disturbances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A process ends, and another begins; what it had handed out lands at once or never.
    Crash,
    /// A process is told that nobody knows what came of an action that was done.
    LostReply,
    /// The same of one that was not done.
    LostRequest,
    /// An action reaches its cloud twice.
    Twice,
    /// A list shows everything as it was up to two changes ago, placement and workloads included.
    StaleList,
    /// A list that was begun up to two changes ago comes in now.
    LateReading,
    /// A reading fails.
    FailedReading,
    /// A push succeeds, and its reply is lost.
    LostPush,
    /// An epoch begins while something is under way.
    Slowness,
    /// Somebody deletes a control plane behind our back.
    Vanishing,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Crash,
        Self::LostReply,
        Self::LostRequest,
        Self::Twice,
        Self::StaleList,
        Self::LateReading,
        Self::FailedReading,
        Self::LostPush,
        Self::Slowness,
        Self::Vanishing,
    ];
}

/// What a wish is, beside the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit {
    /// The first.
    Start,
    /// Another version, by new clusters.
    Rotate,
    /// Back to the version before.
    Revert,
    /// Another count, or another way.
    Other,
}

/// A wish, as one commit of people says it.
#[derive(Clone, Debug)]
pub struct Wished {
    /// What it does.
    pub edit: Edit,
    /// In words.
    pub words: String,
    /// As the planner takes it.
    pub desired: Desired,
}

/// One fleet with everything that may happen to it.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// In words.
    pub name: &'static str,
    /// The wishes, in the order in which people commit them.
    pub wishes: Vec<Wished>,
    /// Whether the first wish is reached before anything happens.
    pub built: bool,
    /// How many daemons run.
    pub daemons: usize,
    /// How many faults may come.
    pub disturbances: u8,
    /// Which.
    pub faults: &'static [Fault],
    /// How closely clusters are looked at.
    pub grain: Grain,
    /// Whether actions may be handed out while a publication waits for its batch; else it always comes first.
    pub batches: bool,
    /// What must be seen to happen: a scenario in which it does not proves less than it says.
    pub expects: &'static [&'static str],
}

/// The beginning of the first epoch.
pub fn start() -> Timestamp {
    Timestamp::from_unix_seconds(1200 * 1_491_667)
}

/// How many epochs have begun.
pub fn epoch(time: Timestamp) -> i64 {
    time.unix_seconds().div_euclid(1200)
}

/// A fleet in the making.
pub struct Fleet {
    config: FleetSpec,
    sets: Vec<(SetId, ResolvedSet, Option<usize>)>,
    wishes: Vec<Wished>,
}

impl Fleet {
    /// A fleet of one set with so many clusters.
    pub fn new(count: u32, surge: u32) -> Self {
        let bench = Bench::new(count);
        let mut config = bench.config;
        config.budgets.removal = RemovalBudget { max_clusters: 10, max_percent: 100 };
        config.budgets.failure = FailureBudget { max_stalled_clusters: 1 };
        config.publishing.tombstone_retention = Duration::from_seconds(0);
        let mut set = bench.wish;
        set.deletion_policy = DeletionPolicy::Delete;
        set.progress_deadline = LIMIT;
        set.update_strategy.rotate_on = [SpecField::KubernetesVersion].into();
        set.update_strategy.max_concurrent_updates = 1;
        let rotation = &mut set.update_strategy.cluster_rotation;
        (rotation.max_surge, rotation.bake, rotation.rollback_window) = (surge, LIMIT, LIMIT);
        (rotation.drain, rotation.on_drain_timeout) = (DrainMode::Wait, DrainTimeoutPolicy::Hold);
        rotation.drain_timeout = NEVER;
        let fleet = Self { config, sets: vec![(bench.id, set, None)], wishes: Vec::new() };
        fleet.commit(Edit::Start, "the beginning")
    }

    /// The same set once more, in the wave after this one's.
    pub fn in_two_waves(mut self) -> Self {
        let (_, set, _) = self.sets[0].clone();
        self.sets[0].2 = Some(0);
        let later = "prod/azure/westeurope/Serving".replace("prod", "staging");
        // The names of environments say nothing here; both are in one account, so that they share a reading.
        self.sets.push((later.parse().unwrap_or_else(|_| self.sets[0].0.clone()), set, Some(1)));
        self.wishes.clear();
        self.commit(Edit::Start, "the beginning")
    }

    /// No time passes between the drain of a cluster and its deletion, nor before a new one counts.
    pub fn in_a_hurry(mut self) -> Self {
        for (_, set, _) in &mut self.sets {
            let rotation = &mut set.update_strategy.cluster_rotation;
            (rotation.bake, rotation.rollback_window) = (Duration::from_seconds(0), Duration::from_seconds(0));
        }
        self.wishes.clear();
        self.commit(Edit::Start, "the beginning")
    }

    /// So many clusters may be removed by one commit, without an approval.
    pub fn with_removals(mut self, max_clusters: u32) -> Self {
        self.config.budgets.removal = RemovalBudget { max_clusters, max_percent: 0 };
        self.wishes.clear();
        self.commit(Edit::Start, "the beginning")
    }

    /// A commit that changes the version of all sets: new clusters for old.
    pub fn version(mut self, edit: Edit, version: &str) -> Self {
        for (_, set, _) in &mut self.sets {
            if let Ok(version) = version.parse() {
                Arc::make_mut(&mut set.template).kubernetes_version = version;
            }
        }
        self.commit(edit, &format!("version {version}"))
    }

    /// A commit that changes the count of all sets.
    pub fn count(mut self, count: u32) -> Self {
        self.sets.iter_mut().for_each(|(_, set, _)| set.count = count);
        self.commit(Edit::Other, &format!("count {count}"))
    }

    /// A commit that changes a tag of all sets: done in place.
    pub fn tag(mut self, tier: &str) -> Self {
        for (_, set, _) in &mut self.sets {
            Arc::make_mut(&mut set.template).tags.insert("tier".to_owned(), tier.to_owned());
        }
        self.commit(Edit::Other, &format!("tier {tier}"))
    }

    fn commit(mut self, edit: Edit, words: &str) -> Self {
        let wanted = |(id, set, wave): &(SetId, ResolvedSet, Option<usize>)| {
            let wanted = WantedSet {
                resolved: Arc::new(set.clone()),
                place: place(id),
                wave: wave.and_then(|wave| Some((wave, format!("wave-{wave}").parse().ok()?))),
            };
            (id.clone(), Wish::Wanted(Arc::new(wanted)))
        };
        let desired = Desired {
            config: Some(Arc::new(self.config.clone())),
            sets: self.sets.iter().map(wanted).collect(),
            hold: None,
            approvals: Vec::new(),
        };
        self.wishes.push(Wished { edit, words: words.to_owned(), desired });
        self
    }

    /// The wishes of all commits so far.
    pub fn wishes(self) -> Vec<Wished> {
        self.wishes
    }
}

/// The one place of all sets.
pub fn place(id: &SetId) -> Place {
    Place { cloud: id.location.cloud, account: "account".into(), region: id.location.region.clone() }
}
