//! One set on a bench: a record and a reading made by hand, and one plan from them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fleetwright_core::change::ChangeTable;
use fleetwright_core::check::{Violation, check};
use fleetwright_core::desired::{Desired, WantedSet, Wish};
use fleetwright_core::fingerprint::{Memo, revision};
use fleetwright_core::inventory::{
    ControlPlaneFacts, Inventory, Listing, Phase, Place, Placement, Reading, Resource, Step, Workloads,
};
use fleetwright_core::memory::{Acknowledgements, Memory};
use fleetwright_core::plan::{Inputs, Plan, plan};
use fleetwright_core::record::{Record, place_of};
use fleetwright_schema::documents::{ApiVersion, ClusterSetMetadata, FleetSpec};
use fleetwright_schema::names::SetId;
use fleetwright_schema::set::ResolvedSet;
use fleetwright_schema::status::{
    Cluster, ClusterMetadata, ClusterSetStatus, ClusterState, ClusterStatus, NetworkStatus, Retirement,
    RetirementReason, SetStatus,
};
use fleetwright_schema::units::{Duration, Timestamp};

use crate::wishes::{Dice, People};

/// What a plan is made from, to be changed before it is made.
pub struct Bench {
    /// The time.
    pub now: Timestamp,
    /// The set.
    pub id: SetId,
    /// `fleet.yaml`, without any limit.
    pub config: FleetSpec,
    /// The wish.
    pub wish: ResolvedSet,
    /// What was taken up last.
    pub spec: ResolvedSet,
    /// Its clusters.
    pub clusters: Vec<Cluster>,
    /// What the record says is next.
    pub next_ordinal: u32,
    /// What was read.
    pub resources: Vec<Resource>,
    /// When.
    pub read_at: Timestamp,
    /// What is remembered.
    pub memory: Memory,
}

/// So long before now.
pub fn ago(bench: &Bench, minutes: u64) -> Timestamp {
    Timestamp::from_unix_seconds(bench.now.unix_seconds() - i64::try_from(minutes * 60).unwrap())
}

impl Bench {
    /// A set of so many clusters, of which there is none yet.
    pub fn new(count: u32) -> Self {
        let now = Timestamp::from_unix_seconds(1_790_000_000);
        let id: SetId = "prod/azure/westeurope/Serving".parse().unwrap();
        let mut people = People::new(&mut Dice::new(1), now);
        let mut config = people.config.clone();
        config.waves.clear();
        config.budgets.alive.clear();
        config.budgets.disruption.clear();
        config.consumers.clear();
        config.maintenance_windows.clear();
        config.freezes.clear();
        config.publishing.tombstone_retention = Duration::from_minutes(60);
        let mut wish = people.sets.pop_first().unwrap().1;
        wish.count = count;
        std::sync::Arc::make_mut(&mut wish.template).kubernetes_version = "1.32".parse().unwrap();
        std::sync::Arc::make_mut(&mut wish.template).tags.clear();
        let rotation = &mut wish.update_strategy.cluster_rotation;
        rotation.max_surge = 2;
        (rotation.bake, rotation.rollback_window) = (Duration::from_minutes(30), Duration::from_minutes(60));
        wish.update_strategy.rotate_on.clear();
        wish.progress_deadline = Duration::from_minutes(240);
        let (spec, read_at) = (wish.clone(), now);
        let (clusters, resources, memory) = (Vec::new(), Vec::new(), Memory::default());
        Self { now, id, config, wish, spec, clusters, next_ordinal: 1, resources, read_at, memory }
    }

    /// One more cluster, complete where it serves or served, since so many minutes.
    pub fn add(&mut self, ordinal: u32, state: ClusterState, minutes: u64) -> &mut Cluster {
        let since = ago(self, minutes);
        let served = !matches!(state, ClusterState::Pending | ClusterState::Creating);
        let retires = matches!(state, ClusterState::Draining | ClusterState::Drained | ClusterState::Deleting);
        let retirement = Retirement {
            reason: RetirementReason::Replaced,
            started_at: since,
            expected_workloads: None,
            empty_at: None,
            evidence: None,
            without_acknowledgement: Vec::new(),
        };
        let name = self.id.cluster_name(ordinal).unwrap();
        let spec = Arc::clone(&self.spec.template);
        let cluster = Cluster {
            kind: Default::default(),
            metadata: ClusterMetadata {
                name: name.clone(),
                ordinal,
                account: "prod-account".into(),
                creation_timestamp: since,
            },
            status: ClusterStatus {
                state,
                since,
                revision: revision(&spec),
                provider_id: None,
                endpoint: None,
                network: NetworkStatus { cidr: Some(format!("10.{}.0.0/20", ordinal % 250)), id: None },
                ready_at: served.then_some(since),
                retirement: retires.then_some(retirement),
                node_pools: Vec::new(),
                infra_services: Vec::new(),
                conditions: Vec::new(),
            },
            spec,
        };
        self.memory.touched.insert(name, Timestamp::MIN);
        self.next_ordinal = self.next_ordinal.max(ordinal.saturating_add(1));
        self.clusters.push(cluster);
        self.clusters.last_mut().unwrap()
    }

    /// All parts of a cluster are there, as its spec wants them; its control plane has this placement and workloads.
    pub fn build(&mut self, ordinal: u32, placement: Placement, workloads: Option<(u32, u32)>) {
        let cluster = self.clusters.iter().find(|cluster| cluster.metadata.ordinal == ordinal).unwrap().clone();
        let prints = Memo::default().fingerprints(&cluster.status.revision, &cluster.spec);
        for (step, print) in Step::BUILD.into_iter().zip(prints.iter()) {
            let workloads = workloads.map(|(running, left)| Workloads { running, left, blocked_by: Vec::new() });
            let facts = ControlPlaneFacts { placement, workloads, ..ControlPlaneFacts::default() };
            self.resources.push(Resource {
                id: format!("{step}-{ordinal}").into(),
                step,
                cluster: cluster.metadata.name.clone(),
                set: self.id.clone(),
                ordinal,
                phase: Phase::Ready,
                applied: Arc::clone(print),
                created_at: cluster.metadata.creation_timestamp,
                uses: Vec::new(),
                control_plane: (step == Step::ControlPlane).then_some(facts),
                node_pools: Vec::new(),
                infra_services: Vec::new(),
            });
        }
    }

    /// The record as it is published.
    pub fn record(&self) -> Record {
        let count = |serves: bool| {
            u32::try_from(self.clusters.iter().filter(|c| !serves || c.status.state.serves()).count()).unwrap()
        };
        let status = ClusterSetStatus {
            api_version: ApiVersion::V1Alpha1,
            kind: Default::default(),
            metadata: ClusterSetMetadata {
                cluster_type: self.id.cluster_type.clone(),
                location: self.id.location.clone(),
            },
            spec: Arc::new(self.spec.clone()),
            status: SetStatus {
                revision: revision(&self.spec.template),
                desired: self.spec.count,
                serving: count(true),
                alive: count(false),
                updated: 0,
                next_ordinal: self.next_ordinal,
                wave: None,
                conditions: Vec::new(),
            },
            clusters: self.clusters.iter().cloned().map(Arc::new).collect(),
            tombstones: Vec::new(),
        };
        Record { sets: BTreeMap::from([(self.id.clone(), Arc::new(status))]), unreadable: BTreeMap::new() }
    }

    /// Plans once; the second opinion must have nothing against it.
    pub fn plan(&self) -> Plan {
        let (plan, violations) = self.plan_and_check();
        assert_eq!(violations, Vec::new());
        plan
    }

    /// Plans once.
    pub fn plan_and_check(&self) -> (Plan, Vec<Violation>) {
        let account = "prod-account".into();
        let place = Place { cloud: self.id.location.cloud, account, region: self.id.location.region.clone() };
        let wanted = WantedSet { resolved: Arc::new(self.wish.clone()), place: place.clone(), wave: None };
        let desired = Desired {
            config: Some(Arc::new(self.config.clone())),
            sets: BTreeMap::from([(self.id.clone(), Wish::Wanted(Arc::new(wanted)))]),
            hold: None,
            approvals: Vec::new(),
        };
        let record = self.record();
        let listing: Listing = self.resources.iter().cloned().collect();
        let reading = Reading { at: self.read_at, result: Ok(Arc::new(listing)), failing_since: None };
        let read: BTreeSet<Place> =
            record.clusters().map(|(id, cluster)| place_of(id, cluster)).chain([place]).collect();
        let inventory = Inventory { places: read.into_iter().map(|place| (place, reading.clone())).collect() };
        let inputs = Inputs {
            now: self.now,
            desired: &desired,
            record: &record,
            inventory: &inventory,
            memory: &self.memory,
            acknowledgements: &Acknowledgements::default(),
            table: ChangeTable::shipped(),
            memo: &Memo::default(),
        };
        let checked = check(&inputs, plan(&inputs));
        let violations = checked.violations().to_vec();
        (checked.into_plan(), violations)
    }

    /// A cluster in a plan.
    pub fn of(&self, plan: &Plan, ordinal: u32) -> Option<Arc<Cluster>> {
        let clusters = &plan.record.sets[&self.id].clusters;
        clusters.iter().find(|cluster| cluster.metadata.ordinal == ordinal).cloned()
    }

    /// Its state in a plan.
    pub fn state(&self, plan: &Plan, ordinal: u32) -> Option<ClusterState> {
        self.of(plan, ordinal).map(|cluster| cluster.status.state)
    }
}
