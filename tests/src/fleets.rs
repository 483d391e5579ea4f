//! Fleets of any size: their files, and all that a daemon knows of them at one moment of a rollout.

use std::sync::Arc;

use fleetwright_core::change::ChangeTable;
use fleetwright_core::desired::{Desired, Wish};
use fleetwright_core::fingerprint::{Memo, revision};
use fleetwright_core::fleet::{FleetCache, FleetReading, desired, read_fleet};
use fleetwright_core::inventory::{
    ControlPlaneFacts, Inventory, Listing, Phase, Place, Placement, Reading, Resource, Step, Workloads,
};
use fleetwright_core::memory::{Acknowledgements, Memory};
use fleetwright_core::plan::{Inputs, plan};
use fleetwright_core::record::{Record, place_of};
use fleetwright_core::snapshot::{BlobId, CommitId, Snapshot, SourceFile};
use fleetwright_schema::documents::{ApiVersion, ClusterSetMetadata};
use fleetwright_schema::names::{Cloud, Region, SetId};
use fleetwright_schema::set::{ClusterSpec, ResolvedSet};
use fleetwright_schema::status::{
    Cluster, ClusterKind, ClusterMetadata, ClusterSetStatus, ClusterState, ClusterStatus, InfraServiceStatus,
    NetworkStatus, NodePoolStatus, Retirement, RetirementReason, SetStatus,
};
use fleetwright_schema::units::{Duration, Timestamp};
use git2::{ObjectType, Oid};

use crate::stage::{cluster_set, path_of};

/// `fleet.yaml` of a large fleet: three clouds, room for 65,536 clusters.
pub const FLEET: &str = r#"
apiVersion: fleetwright.dev/v1alpha1
kind: Fleet
metadata: { name: large }
spec:
  builtinDefaults: 1
  environments:
    - name: prod
      accounts:
        aws: { id: "111111111111", provider: Simulated }
        azure: { id: 00000000-0000-0000-0000-000000000001, provider: Simulated }
        gcp: { id: large-project, provider: Simulated }
  addressPools:
    - { name: main, cidr: 10.0.0.0/8, clusterPrefixLength: 24 }
  publishing: { batchWindow: 1m }
"#;

const SERVICES: [&str; 3] = ["rbac", "namespaces", "observability"];

/// So many sets, spread evenly over so many regions of three clouds.
pub fn set_ids(sets: usize, regions: usize) -> Vec<SetId> {
    let of_cloud = |cloud: Cloud| Region::table().iter().filter(move |facts| facts.cloud == cloud).take(regions / 3);
    let regions: Vec<_> = Cloud::ALL.into_iter().flat_map(of_cloud).collect();
    let id = |index: usize| {
        let region = regions[index % regions.len()];
        format!("prod/{}/{}/Serving{}", region.cloud, region.name, index / regions.len()).parse().unwrap()
    };
    (0..sets).map(id).collect()
}

/// All files of a fleet with these sets; `spec` gives each its fields.
pub fn files(ids: &[SetId], spec: impl Fn(usize) -> String) -> Vec<(String, String)> {
    let mut files = vec![("fleet.yaml".to_owned(), FLEET.to_owned())];
    let types: std::collections::BTreeSet<_> = ids.iter().map(|id| id.cluster_type.clone()).collect();
    for name in types {
        let text = format!(
            "apiVersion: fleetwright.dev/v1alpha1\nkind: ClusterType\nmetadata: {{ name: {name} }}\nspec:\n  infraServices: [{}]\n  tags: {{ team: serving, cost-center: \"4711\" }}\n",
            SERVICES.join(", ")
        );
        files.push((format!("cluster-types/{name}.yaml"), text));
    }
    for name in SERVICES {
        let text = format!(
            "apiVersion: fleetwright.dev/v1alpha1\nkind: InfraService\nmetadata: {{ name: {name} }}\nspec: {{ version: 1.0.0 }}\n"
        );
        files.push((format!("infra-services/{name}/service.yaml"), text));
    }
    let sets = ids.iter().enumerate();
    files.extend(sets.map(|(index, id)| (path_of(&id.to_string()), cluster_set(&id.to_string(), &spec(index)))));
    files
}

/// These files as a commit would hold them.
pub fn snapshot<C: AsRef<[u8]>>(files: impl IntoIterator<Item = (String, C)>) -> Snapshot {
    let file = |(path, text): (String, C)| {
        let blob = Oid::hash_object(ObjectType::Blob, text.as_ref()).unwrap();
        let blob = BlobId::parse(&blob.to_string()).unwrap();
        (path.into(), SourceFile { blob, content: text.as_ref().into() })
    };
    let commit = CommitId::parse(&"c".repeat(40)).unwrap();
    Snapshot { commit, files: files.into_iter().map(file).collect(), refused: Vec::new() }
}

/// What a fleet is made of.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// How many sets.
    pub sets: usize,
    /// How many clusters each has.
    pub clusters: u32,
    /// Whether every second set is in the middle of a rotation.
    pub rotating: bool,
}

impl Shape {
    fn rotates(&self, index: usize) -> bool {
        self.rotating && index % 2 == 1
    }
    /// A set in rotation has two more clusters than it wants.
    fn count(&self, index: usize) -> u32 {
        if self.rotates(index) { self.clusters - 2 } else { self.clusters }
    }
    /// The fields of a set's file.
    pub fn spec(&self, index: usize, version: &str) -> String {
        let count = self.count(index);
        format!(
            "count: {count}\nkubernetesVersion: \"{version}\"\nupdateStrategy: {{ clusterRotation: {{ maxSurge: 2 }} }}"
        )
    }
}

/// All that a daemon knows at one moment, with nothing left to publish.
pub struct Moment {
    /// The time.
    pub now: Timestamp,
    /// The sets, in no order.
    pub ids: Vec<SetId>,
    /// The files that people wrote.
    pub snapshot: Snapshot,
    /// What was parsed of them.
    pub cache: FleetCache,
    /// What they say.
    pub reading: FleetReading,
    /// What should be.
    pub desired: Desired,
    /// What the bot wrote.
    pub record: Record,
    /// What was read of the clouds.
    pub inventory: Inventory,
    /// What the daemon remembers.
    pub memory: Memory,
    /// What consumers have read.
    pub acknowledgements: Acknowledgements,
    /// Fingerprints.
    pub memo: Memo,
}

impl Moment {
    /// A fleet of this shape.
    pub fn new(shape: Shape) -> Self {
        let now = Timestamp::from_unix_seconds(1_800_000_000);
        let ids = set_ids(shape.sets, 60);
        let snapshot = snapshot(files(&ids, |index| shape.spec(index, "1.33")));
        let mut cache = FleetCache::default();
        let reading = read_fleet(&snapshot, &mut cache);
        assert_eq!(reading.diagnostics, []);
        let desired = desired(&reading, &Record::default(), None, None);
        let mut moment = Self {
            now,
            ids: ids.clone(),
            snapshot,
            cache,
            reading,
            desired,
            record: Record::default(),
            inventory: Inventory::default(),
            memory: Memory::default(),
            acknowledgements: Acknowledgements::default(),
            memo: Memo::default(),
        };
        for (index, id) in ids.iter().enumerate() {
            moment.populate(id, shape.rotates(index).then_some(index));
        }
        moment.publish_until_quiet();
        moment
    }

    /// What a plan is made from.
    pub fn inputs(&self) -> Inputs<'_> {
        Inputs {
            now: self.now,
            desired: &self.desired,
            record: &self.record,
            inventory: &self.inventory,
            memory: &self.memory,
            acknowledgements: &self.acknowledgements,
            table: ChangeTable::shipped(),
            memo: &self.memo,
        }
    }

    /// The wish as of other files.
    pub fn wish_for(&mut self, files: impl IntoIterator<Item = (String, String)>) {
        self.snapshot = snapshot(files);
        self.reading = read_fleet(&self.snapshot, &mut self.cache);
        self.desired = desired(&self.reading, &self.record, None, None);
    }

    /// How many clusters are alive.
    pub fn clusters(&self) -> usize {
        self.record.clusters().count()
    }

    fn populate(&mut self, id: &SetId, rotation: Option<usize>) {
        let Some(Wish::Wanted(wanted)) = self.desired.sets.get(id).cloned() else { panic!("{id} is not wanted") };
        let set = &wanted.resolved;
        let old = ClusterSpec { kubernetes_version: "1.32".parse().unwrap(), ..(*set.template).clone() };
        let (old, new) = (Arc::new(old), Arc::clone(&set.template));
        let ready = ClusterState::Ready;
        let count = set.count as usize;
        let lot: Vec<(&Arc<ClusterSpec>, ClusterState)> = match rotation {
            None => vec![(&new, ready); count],
            Some(index) if index % 4 == 1 => {
                let mut lot = vec![(&old, ready); count / 2];
                lot.extend(vec![(&new, ready); count - count / 2]);
                lot.extend(vec![(&new, ClusterState::Creating); 2]);
                lot
            }
            Some(_) => {
                let mut lot = vec![(&old, ready); count / 4];
                lot.extend(vec![(&old, ClusterState::Draining); 2]);
                lot.extend(vec![(&new, ready); count - count / 4]);
                lot
            }
        };
        let clusters: Vec<Arc<Cluster>> = (1u32..)
            .zip(lot)
            .map(|(ordinal, (spec, state))| Arc::new(self.cluster(id, ordinal, spec, state, &wanted.place)))
            .collect();
        for cluster in &clusters {
            self.memory.touched.insert(cluster.metadata.name.clone(), self.minutes_ago(10));
            self.read(id, cluster);
        }
        self.record.sets.insert(id.clone(), Arc::new(set_status(id, set, clusters)));
    }

    fn minutes_ago(&self, minutes: i64) -> Timestamp {
        Timestamp::from_unix_seconds(self.now.unix_seconds() - minutes * 60)
    }

    fn cluster(
        &self,
        id: &SetId,
        ordinal: u32,
        spec: &Arc<ClusterSpec>,
        state: ClusterState,
        place: &Place,
    ) -> Cluster {
        // All clusters of the sets before are known by now.
        let block = u32::try_from(self.memory.touched.len()).unwrap() + ordinal - 1;
        let served = state != ClusterState::Creating;
        let since = self.minutes_ago(if served && state == ClusterState::Ready { 1000 } else { 8 });
        let retirement = (state == ClusterState::Draining).then(|| Retirement {
            reason: RetirementReason::Replaced,
            started_at: since,
            expected_workloads: None,
            empty_at: None,
            evidence: None,
            without_acknowledgement: Vec::new(),
        });
        Cluster {
            kind: ClusterKind::Cluster,
            metadata: ClusterMetadata {
                name: id.cluster_name(ordinal).unwrap(),
                ordinal,
                account: Arc::clone(&place.account),
                creation_timestamp: self.minutes_ago(1100),
            },
            spec: Arc::clone(spec),
            status: ClusterStatus {
                state,
                since,
                revision: revision(spec),
                provider_id: None,
                endpoint: None,
                network: NetworkStatus { cidr: Some(block_of(block)), id: None },
                ready_at: served.then(|| self.minutes_ago(1000)),
                retirement,
                node_pools: Vec::new(),
                infra_services: Vec::new(),
                conditions: Vec::new(),
            },
        }
    }

    /// Puts the resources of a cluster into the reading of its place.
    fn read(&mut self, id: &SetId, cluster: &Cluster) {
        let prints = self.memo.fingerprints(&cluster.status.revision, &cluster.spec);
        let at = self.minutes_ago(1);
        let reading = self.inventory.places.entry(place_of(id, cluster)).or_insert_with(|| Reading {
            at,
            result: Ok(Arc::new(Listing::default())),
            failing_since: None,
        });
        let listing = Arc::make_mut(reading.result.as_mut().unwrap());
        let state = cluster.status.state;
        let steps = Step::BUILD.into_iter().zip(prints.iter());
        // What is being created has got as far as its control plane.
        let there = steps.filter(|(step, _)| state != ClusterState::Creating || *step <= Step::ControlPlane);
        let resources: Vec<Resource> = there.map(|(step, print)| resource(id, cluster, step, print)).collect();
        listing.resources.insert(cluster.metadata.name.clone(), resources);
    }

    /// Takes the plan's record for published until it is the same.
    fn publish_until_quiet(&mut self) {
        for _ in 0..4 {
            let next = plan(&self.inputs());
            if next.is_quiet(&self.record) {
                return;
            }
            assert_eq!(next.actions, [], "nothing is to be done in the middle of things");
            self.record = next.record;
        }
        panic!("the plan does not come to rest");
    }
}

fn block_of(index: u32) -> String {
    let address = (10 << 24) + index * 256;
    format!("{}/24", std::net::Ipv4Addr::from(address))
}

fn resource(id: &SetId, cluster: &Cluster, step: Step, print: &Arc<str>) -> Resource {
    let state = cluster.status.state;
    let (is_plane, is_pools, is_services) =
        (step == Step::ControlPlane, step == Step::NodePools, step == Step::InfraServices);
    let busy = state == ClusterState::Creating && is_plane;
    let draining = state == ClusterState::Draining;
    let name = &cluster.metadata.name;
    Resource {
        id: format!("/{}/{}/{name}/{step:?}-0a1b2c3d", id.location.cloud, id.location.region).into(),
        step,
        cluster: name.clone(),
        set: id.clone(),
        ordinal: cluster.metadata.ordinal,
        phase: if busy { Phase::Creating } else { Phase::Ready },
        applied: Arc::clone(print),
        created_at: cluster.metadata.creation_timestamp,
        uses: Vec::new(),
        control_plane: is_plane.then(|| ControlPlaneFacts {
            endpoint: (!busy).then(|| format!("https://{name}.k8s.example")),
            placement: if draining { Placement::Closed } else { Placement::Open },
            workloads: Some(Workloads { running: 5, left: if draining { 5 } else { 0 }, blocked_by: Vec::new() }),
            has_open_nodes: false,
        }),
        node_pools: match is_pools {
            true => cluster
                .spec
                .node_pools
                .iter()
                .map(|pool| NodePoolStatus { name: pool.name.clone(), instance_type: pool.spec.instance_type.clone() })
                .collect(),
            false => Vec::new(),
        },
        infra_services: match is_services {
            true => cluster
                .spec
                .infra_services
                .iter()
                .map(|service| InfraServiceStatus { name: service.name.clone(), version: service.version.clone() })
                .collect(),
            false => Vec::new(),
        },
    }
}

fn set_status(id: &SetId, set: &Arc<ResolvedSet>, clusters: Vec<Arc<Cluster>>) -> ClusterSetStatus {
    let next_ordinal = clusters.last().map_or(1, |cluster| cluster.metadata.ordinal + 1);
    let alive = u32::try_from(clusters.len()).unwrap();
    ClusterSetStatus {
        api_version: ApiVersion::V1Alpha1,
        kind: Default::default(),
        metadata: ClusterSetMetadata { cluster_type: id.cluster_type.clone(), location: id.location.clone() },
        spec: Arc::clone(set),
        status: SetStatus {
            revision: revision(&set.template),
            desired: set.count,
            serving: 0,
            alive,
            updated: 0,
            next_ordinal,
            wave: None,
            conditions: Vec::new(),
        },
        clusters,
        tombstones: Vec::new(),
    }
}

/// The record with so many clusters in another state, spread over all sets.
pub fn changed(record: &Record, changes: usize, at: Timestamp) -> Record {
    let mut next = record.clone();
    let total = record.clusters().count();
    let stride = (total / changes.max(1)).max(1);
    let mut seen = 0;
    let mut done = 0;
    for set in next.sets.values_mut() {
        let hit: Vec<usize> = (0..set.clusters.len()).filter(|index| (seen + index).is_multiple_of(stride)).collect();
        seen += set.clusters.len();
        let hit: Vec<usize> = hit.into_iter().take(changes - done).collect();
        if hit.is_empty() {
            continue;
        }
        done += hit.len();
        let status = Arc::make_mut(set);
        for index in hit {
            change(Arc::make_mut(&mut status.clusters[index]), at);
        }
        let serving = status.clusters.iter().filter(|cluster| cluster.status.state == ClusterState::Ready).count();
        status.status.updated = u32::try_from(serving).unwrap();
    }
    assert_eq!(done, changes);
    next
}

fn change(cluster: &mut Cluster, at: Timestamp) {
    let status = &mut cluster.status;
    status.state = match status.state {
        ClusterState::Ready => ClusterState::Updating,
        _ => ClusterState::Ready,
    };
    status.since = at;
    let step = |step: Step| {
        let words = (step.condition().to_owned(), "Ready".to_owned());
        fleetwright_schema::status::Condition {
            r#type: words.0,
            status: fleetwright_schema::status::ConditionStatus::True,
            reason: words.1,
            message: String::new(),
            last_transition_time: at,
        }
    };
    status.conditions.truncate(1);
    if status.state == ClusterState::Updating {
        status.conditions.extend(Step::BUILD.into_iter().map(step));
    }
}

/// A minute later.
pub fn later(time: Timestamp) -> Timestamp {
    time.plus(Duration::from_minutes(1))
}
