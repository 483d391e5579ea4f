//! Fleets and edits of them out of a seed: sets of one or two types in up to three waves, with short and long times.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fleetwright_core::desired::{Desired, Hold, WantedSet, Wish};
use fleetwright_core::inventory::Place;
use fleetwright_schema::documents::{
    Account, AddressPool, Budget, BudgetScope, Budgets, Consumer, Environment, FailureBudget, FleetSpec, Freeze,
    MaintenanceWindow, Provider, Publishing, RemovalBudget, SetSelector, Wave,
};
use fleetwright_schema::names::{Cloud, SetId};
use fleetwright_schema::set::{
    ClusterSpec, DeletionPolicy, DrainMode, DrainTimeoutPolicy, Feature, InfraServiceVersion, NetworkSpec, NodePool,
    NodePoolSpec, ResolvedSet, Rotation, SetLayer, SpecField, UpdateStrategy,
};
use fleetwright_schema::units::{Duration, Timestamp};

/// Numbers out of a seed: SplitMix64.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The same seed gives the same numbers.
    pub const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678_9abc_def1)
    }
    /// Any number.
    #[expect(clippy::should_implement_trait, reason = "dice have no end")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    /// From `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }
    /// True this often of a hundred.
    pub fn percent(&mut self, odds: u64) -> bool {
        self.next() % 100 < odds
    }
    /// One of these.
    pub fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.next() % of.len() as u64).unwrap()].clone()
    }
}

/// A fleet as people edit it.
#[derive(Clone, Debug)]
pub struct People {
    /// `fleet.yaml`.
    pub config: FleetSpec,
    /// The sets that have a file.
    pub sets: BTreeMap<SetId, ResolvedSet>,
    /// Sets whose file can't be read.
    pub held: BTreeSet<SetId>,
    /// A hold on everything.
    pub hold: Option<Hold>,
    /// Earlier versions of the sets, for reverts.
    pub history: Vec<BTreeMap<SetId, ResolvedSet>>,
    /// All sets that there may be.
    pub all: Vec<SetId>,
}

const ENVIRONMENTS: [&str; 3] = ["dev", "staging", "prod"];
const REGIONS: [(Cloud, &str); 4] =
    [(Cloud::Azure, "westeurope"), (Cloud::Aws, "eu-west-1"), (Cloud::Gcp, "europe-west1"), (Cloud::Aws, "us-east-1")];

fn minutes(dice: &mut Dice, of: &[u64]) -> Duration {
    Duration::from_minutes(dice.pick(of))
}

fn selector(dice: &mut Dice, all: &[SetId]) -> SetSelector {
    let mut selector = SetSelector::default();
    match dice.between(0, 5) {
        0 => selector.environments = vec![dice.pick(all).location.env],
        1 => selector.clouds = vec![dice.pick(all).location.cloud],
        2 => selector.cluster_types = vec![dice.pick(all).cluster_type],
        3 => drop(selector.match_tags.insert("tier".to_owned(), dice.pick(&["gold", "silver"]).to_owned())),
        _ => {}
    }
    selector
}

fn budget(dice: &mut Dice, all: &[SetId], low: u64, high: u64) -> Budget {
    let per = dice.pick(&[BudgetScope::Fleet, BudgetScope::Cloud, BudgetScope::Region, BudgetScope::ClusterType]);
    let max_clusters = u32::try_from(dice.between(low, high)).unwrap();
    Budget { name: "b".parse().unwrap(), sets: selector(dice, all), per, max_clusters }
}

impl People {
    /// A new fleet.
    pub fn new(dice: &mut Dice, now: Timestamp) -> Self {
        let types = dice.between(1, 2);
        let mut all: Vec<SetId> = Vec::new();
        for _ in 0..dice.pick(&[1, 1, 2, 3, 4]) {
            let (cloud, region) = dice.pick(&REGIONS);
            let (env, kind) = (dice.pick(&ENVIRONMENTS), dice.between(1, types));
            all.push(format!("{env}/{cloud}/{region}/Type{kind}").parse().unwrap());
        }
        all.sort();
        all.dedup();
        let sets: BTreeMap<SetId, ResolvedSet> = all.iter().map(|id| (id.clone(), set(dice))).collect();
        let config = config(dice, &all, now);
        Self { config, sets, held: BTreeSet::new(), hold: None, history: Vec::new(), all }
    }

    /// The place of new clusters of a set.
    pub fn place(&self, id: &SetId) -> Place {
        let environment = self.config.environments.iter().find(|env| env.name == id.location.env).unwrap();
        let account = environment.accounts[&id.location.cloud].id.as_str().into();
        Place { cloud: id.location.cloud, account, region: id.location.region.clone() }
    }

    /// What a commit of this says.
    pub fn desired(&self) -> Desired {
        let config = Some(Arc::new(self.config.clone()));
        if let Some(hold) = &self.hold {
            return Desired::held(hold.clone(), config);
        }
        let wave = |id: &SetId| {
            let found = self.config.waves.iter().enumerate().find(|(_, wave)| {
                wave.sets.selects(id, &self.sets.get(id).map(|set| set.template.tags.clone()).unwrap_or_default())
            });
            found.map(|(index, wave)| (index, wave.name.clone()))
        };
        let wish = |(id, set): (&SetId, &ResolvedSet)| {
            let wanted = WantedSet { resolved: Arc::new(set.clone()), place: self.place(id), wave: wave(id) };
            let unreadable = Hold::FileUnreadable("a file".to_owned());
            let wish = if self.held.contains(id) { Wish::Held(unreadable) } else { Wish::Wanted(Arc::new(wanted)) };
            (id.clone(), wish)
        };
        Desired { config, sets: self.sets.iter().map(wish).collect(), hold: None, approvals: Vec::new() }
    }

    /// Somebody edits something; in words.
    pub fn edit(&mut self, dice: &mut Dice, now: Timestamp) -> String {
        let before = self.sets.clone();
        let what = self.edit_something(dice, now);
        if before != self.sets {
            self.history.push(before);
        }
        what
    }

    fn edit_something(&mut self, dice: &mut Dice, now: Timestamp) -> String {
        let id = dice.pick(&self.all);
        match dice.between(0, 24) {
            0..=3 => {
                let wide = dice.percent(50);
                let version = dice.pick(&VERSIONS).to_owned();
                for (other, set) in &mut self.sets {
                    if *other == id || wide {
                        std::sync::Arc::make_mut(&mut set.template).kubernetes_version = version.parse().unwrap();
                    }
                }
                format!("version {version} of {id}, of all: {wide}")
            }
            4..=7 => match self.history.pop() {
                Some(earlier) => {
                    // A revert is a commit of its own, so that it can be reverted too.
                    let now = std::mem::replace(&mut self.sets, earlier);
                    if dice.percent(50) {
                        self.history.push(now);
                    }
                    "revert".to_owned()
                }
                None => "nothing to revert".to_owned(),
            },
            8..=10 => {
                let count = u32::try_from(dice.between(0, 5)).unwrap();
                self.sets.entry(id.clone()).and_modify(|set| set.count = count);
                format!("count {count} of {id}")
            }
            11 => {
                let tier = dice.pick(&["gold", "silver"]).to_owned();
                self.sets.entry(id.clone()).and_modify(|set| {
                    drop(std::sync::Arc::make_mut(&mut set.template).tags.insert("tier".into(), tier))
                });
                format!("tier of {id}")
            }
            12..=13 => {
                let template = template(dice);
                self.sets.entry(id.clone()).and_modify(|set| set.template = template.into());
                format!("template of {id}")
            }
            14 => {
                let strategy = strategy(dice);
                self.sets.entry(id.clone()).and_modify(|set| set.update_strategy = strategy);
                format!("strategy of {id}")
            }
            15..=16 => {
                self.sets.remove(&id);
                format!("removal of {id}")
            }
            17 => {
                let fresh = set(dice);
                self.sets.entry(id.clone()).or_insert(fresh);
                format!("addition of {id}")
            }
            18 => {
                self.sets.entry(id.clone()).and_modify(|set| set.paused = !set.paused);
                format!("pause of {id}")
            }
            19 => {
                let name = id.cluster_name(u32::try_from(dice.between(1, 5)).unwrap()).unwrap();
                let toggle = |set: &mut ResolvedSet| {
                    if !set.paused_clusters.remove(&name) {
                        set.paused_clusters.insert(name.clone());
                    }
                };
                self.sets.entry(id).and_modify(toggle);
                format!("pause of {name}")
            }
            20 => {
                if !self.held.remove(&id) {
                    self.held.insert(id.clone());
                }
                format!("hold of {id}")
            }
            21 => {
                let length = minutes(dice, &[10, 60, 240]);
                let from = now.plus(minutes(dice, &[0, 0, 20]));
                let sets = selector(dice, &self.all);
                let freeze = Freeze { name: "f".parse().unwrap(), sets, from, until: from.plus(length), reason: None };
                self.config.freezes.push(freeze);
                "freeze".to_owned()
            }
            22 => {
                self.config.freezes.clear();
                "thaw".to_owned()
            }
            23 => {
                self.hold = if self.hold.is_some() { None } else { Some(Hold::FleetUnreadable) };
                "hold of all".to_owned()
            }
            _ => {
                self.sets.entry(id.clone()).and_modify(|set| {
                    set.deletion_policy = match set.deletion_policy {
                        DeletionPolicy::Delete => DeletionPolicy::Retain,
                        DeletionPolicy::Retain => DeletionPolicy::Delete,
                    };
                });
                format!("deletion policy of {id}")
            }
        }
    }

    /// Everybody lets go: no hold, no pause, no freeze; sets that would be retained for ever come back.
    pub fn let_go(&mut self) {
        self.hold = None;
        self.held.clear();
        self.config.freezes.clear();
        for set in self.sets.values_mut() {
            set.paused = false;
            set.paused_clusters.clear();
        }
    }
}

const VERSIONS: [&str; 5] = ["1.31", "1.32", "1.33", "1.33.4", "1.34"];

fn template(dice: &mut Dice) -> ClusterSpec {
    let instance_type = dice.pick(&["D4s_v3", "D8s_v3"]).to_owned();
    let pool = NodePoolSpec {
        instance_type,
        min_count: 1,
        max_count: 3,
        disk_size_gib: None,
        labels: BTreeMap::new(),
        taints: Vec::new(),
    };
    let mut tags = BTreeMap::from([("team".to_owned(), "serving".to_owned())]);
    if dice.percent(50) {
        tags.insert("tier".to_owned(), dice.pick(&["gold", "silver"]).to_owned());
    }
    let rbac = InfraServiceVersion { name: "rbac".parse().unwrap(), version: dice.pick(&["1", "2"]).to_owned() };
    ClusterSpec {
        kubernetes_version: dice.pick(&VERSIONS).parse().unwrap(),
        features: if dice.percent(20) { BTreeSet::from([Feature::PrivateConnectivity]) } else { BTreeSet::new() },
        node_pools: vec![NodePool { name: "default".parse().unwrap(), spec: pool }],
        infra_services: vec![rbac],
        network: NetworkSpec::default(),
        tags,
    }
}

fn strategy(dice: &mut Dice) -> UpdateStrategy {
    UpdateStrategy {
        cluster_rotation: Rotation {
            max_surge: u32::try_from(dice.between(1, 3)).unwrap(),
            bake: minutes(dice, &[0, 1, 30, 120]),
            rollback_window: minutes(dice, &[0, 0, 10, 60, 240]),
            drain_timeout: minutes(dice, &[1, 30, 360]),
            drain: dice.pick(&[DrainMode::Wait, DrainMode::Migrate, DrainMode::Evict]),
            on_drain_timeout: dice.pick(&[DrainTimeoutPolicy::Hold, DrainTimeoutPolicy::Evict]),
        },
        rotate_on: if dice.percent(40) {
            BTreeSet::from([SpecField::KubernetesVersion, dice.pick(&[SpecField::Tags, SpecField::NodePools])])
        } else {
            BTreeSet::new()
        },
        max_concurrent_updates: u32::try_from(dice.between(1, 3)).unwrap(),
    }
}

fn set(dice: &mut Dice) -> ResolvedSet {
    ResolvedSet {
        count: u32::try_from(dice.pick(&[0u64, 1, 1, 2, 2, 3, 5])).unwrap(),
        template: std::sync::Arc::new(template(dice)),
        update_strategy: strategy(dice),
        progress_deadline: minutes(dice, &[8, 30, 60, 240]),
        deletion_policy: if dice.percent(75) { DeletionPolicy::Delete } else { DeletionPolicy::Retain },
        paused: false,
        paused_clusters: BTreeSet::new(),
    }
}

fn config(dice: &mut Dice, all: &[SetId], now: Timestamp) -> FleetSpec {
    let environments = ENVIRONMENTS.map(|env| Environment {
        name: env.parse().unwrap(),
        accounts: Cloud::ALL
            .map(|cloud| (cloud, Account { id: format!("{env}-account"), provider: Provider::Simulated, aws: None }))
            .into(),
        defaults: SetLayer::default(),
    });
    let waves = ENVIRONMENTS.map(|env| Wave {
        name: env.parse().unwrap(),
        sets: SetSelector { environments: vec![env.parse().unwrap()], ..SetSelector::default() },
    });
    let some = |dice: &mut Dice, odds| dice.percent(odds);
    let consumers = (0..dice.pick(&[0, 0, 1, 2])).map(|index| Consumer {
        name: format!("consumer-{index}").parse().unwrap(),
        grace: minutes(dice, &[0, 5, 60]),
        sets: selector(dice, all),
    });
    let consumers = consumers.collect();
    let window = |dice: &mut Dice| MaintenanceWindow {
        name: "w".parse().unwrap(),
        sets: selector(dice, all),
        days: Vec::new(),
        start: format!("{:02}:00", dice.between(0, 23)),
        duration: minutes(dice, &[30, 120, 600]),
        time_zone: None,
    };
    let freeze_later = some(dice, 10).then(|| Freeze {
        name: "later".parse().unwrap(),
        sets: selector(dice, all),
        from: now.plus(Duration::from_minutes(90)),
        until: now.plus(Duration::from_minutes(300)),
        reason: None,
    });
    FleetSpec {
        builtin_defaults: 1,
        defaults: SetLayer::default(),
        environments: environments.to_vec(),
        address_pools: vec![AddressPool {
            name: "main".parse().unwrap(),
            cidr: "10.0.0.0/8".to_owned(),
            cluster_prefix_length: 20,
            sets: SetSelector::default(),
        }],
        waves: if some(dice, 60) { waves.to_vec() } else { Vec::new() },
        budgets: Budgets {
            // Never less than all sets may ask for together and one more: a smaller one is refused before.
            alive: if some(dice, 30) { vec![budget(dice, all, 21, 24)] } else { Vec::new() },
            disruption: if some(dice, 50) { vec![budget(dice, all, 1, 2)] } else { Vec::new() },
            removal: RemovalBudget { max_clusters: u32::try_from(dice.between(0, 5)).unwrap(), max_percent: 10 },
            failure: FailureBudget { max_stalled_clusters: u32::try_from(dice.between(1, 3)).unwrap() },
        },
        consumers,
        maintenance_windows: if some(dice, 30) { vec![window(dice)] } else { Vec::new() },
        freezes: freeze_later.into_iter().collect(),
        publishing: Publishing {
            branch: None,
            batch_window: Duration::from_seconds(5),
            tombstone_retention: minutes(dice, &[0, 60, 10080]),
        },
    }
}
