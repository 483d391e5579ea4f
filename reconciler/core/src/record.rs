//! The bot's memory in Git: what it last wrote of every set. A memory, never proof that something exists.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fleetwright_schema::names::{ClusterName, SetId};
use fleetwright_schema::set::{ClusterSpec, Feature};
use fleetwright_schema::status::{Cluster, ClusterMetadata, ClusterSetStatus, ClusterState, RetirementReason};
use fleetwright_schema::units::Timestamp;

use crate::inventory::Place;
use crate::plan::parse_cidr;
use crate::snapshot::{BlobId, Snapshot};

/// Every set that the bot knows, with its clusters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The sets with their last written status.
    pub sets: BTreeMap<SetId, Arc<ClusterSetStatus>>,
    /// Status files that can't be read, by path: their sets are held, never taken for empty.
    pub unreadable: BTreeMap<String, String>,
}

/// Status files that were parsed before, by blob, so that a commit of one file parses one file.
pub type RecordCache = BTreeMap<BlobId, (SetId, Arc<ClusterSetStatus>)>;

const DIRECTORY: &str = "status/clustersets/";

impl Record {
    /// Reads the `status/` files of a commit. `cache` is replaced by what this commit holds.
    pub fn parse(snapshot: &Snapshot, cache: &mut RecordCache) -> Self {
        let mut record = Self::default();
        let mut fresh = RecordCache::new();
        for (path, file) in &snapshot.files {
            let Some(name) = path.strip_prefix(DIRECTORY).and_then(|rest| rest.strip_suffix(".yaml")) else { continue };
            // A file that was moved says the same of another set, which is wrong there.
            let known = cache.remove(&file.blob).filter(|(id, _)| id.status_path() == **path);
            let parsed = match known {
                Some(known) => Ok(known),
                None => parse_one(name, &file.content),
            };
            match parsed {
                Ok((id, status)) => {
                    fresh.insert(file.blob.clone(), (id.clone(), Arc::clone(&status)));
                    record.sets.insert(id, status);
                }
                Err(why) => {
                    record.unreadable.insert(path.to_string(), why);
                }
            }
        }
        record.hold_shared_names();
        for refused in snapshot.refused.iter().filter(|refused| refused.path.starts_with(DIRECTORY)) {
            record.unreadable.insert(refused.path.clone(), refused.why.clone());
        }
        *cache = fresh;
        record
    }

    /// A cluster is of one set: where two name it, neither is believed, or both would act on it.
    fn hold_shared_names(&mut self) {
        let mut owners: BTreeMap<&ClusterName, &SetId> = BTreeMap::new();
        let mut shared: BTreeMap<SetId, String> = BTreeMap::new();
        for (id, cluster) in self.clusters() {
            let name = &cluster.metadata.name;
            if let Some(other) = owners.insert(name, id).filter(|other| *other != id) {
                shared.insert(id.clone(), format!("it names {name}, which is of {other}, too"));
                shared.insert(other.clone(), format!("it names {name}, which is of {id}, too"));
            }
        }
        for (id, why) in shared {
            self.sets.remove(&id);
            self.unreadable.insert(id.status_path(), why);
        }
    }

    /// All clusters with their sets.
    pub fn clusters(&self) -> impl Iterator<Item = (&SetId, &Arc<Cluster>)> {
        self.sets.iter().flat_map(|(id, set)| set.clusters.iter().map(move |cluster| (id, cluster)))
    }

    /// The newest time that the record names: a clock that begins before it would run backwards.
    pub fn newest_time(&self) -> Timestamp {
        let sets = self.sets.values();
        let of_clusters = self.clusters().flat_map(|(_, cluster)| {
            let conditions = cluster.status.conditions.iter().map(|condition| condition.last_transition_time);
            conditions.chain([cluster.status.since])
        });
        let of_sets = sets.flat_map(|set| {
            let conditions = set.status.conditions.iter().map(|condition| condition.last_transition_time);
            conditions.chain(set.tombstones.iter().map(|tombstone| tombstone.deleted_at))
        });
        of_clusters.chain(of_sets).max().unwrap_or(Timestamp::MIN)
    }
}

fn parse_one(name: &str, content: &[u8]) -> Result<(SetId, Arc<ClusterSetStatus>), String> {
    let path_id: SetId = name.parse()?;
    let text = std::str::from_utf8(content).map_err(|error| error.to_string())?;
    let mut status: ClusterSetStatus =
        serde_saphyr::from_str_with_options(text, reading()).map_err(|error| first_line(&error.to_string()))?;
    if status.metadata.id() != path_id {
        return Err("its metadata names another set".to_owned());
    }
    check_sound(&status)?;
    intern_specs(&mut status);
    Ok((path_id, Arc::new(status)))
}

/// The usual budget of the parser is less than the status of a thousand clusters takes while they rotate.
fn reading() -> serde_saphyr::Options {
    serde_saphyr::options! { budget: serde_saphyr::budget! { max_events: 8_000_000, max_nodes: 4_000_000 } }
}

/// A record that contradicts itself was not written by us, and is not acted on.
fn check_sound(status: &ClusterSetStatus) -> Result<(), String> {
    let mut names = BTreeSet::new();
    let mut ordinals = BTreeSet::new();
    for cluster in &status.clusters {
        let ClusterMetadata { name, ordinal, .. } = &cluster.metadata;
        if !names.insert(name) || !ordinals.insert(*ordinal) {
            return Err(format!("it names {name} or its ordinal {ordinal} twice"));
        }
        if status.metadata.id().cluster_name(*ordinal).as_ref() != Ok(name) {
            return Err(format!("it gives {name} the ordinal {ordinal}, which is another cluster's"));
        }
        let byon = cluster.spec.features.contains(&Feature::Byon);
        match &cluster.status.network.cidr {
            None if !byon => return Err(format!("{name} has no addresses, and brings no network of its own")),
            Some(cidr) if parse_cidr(cidr).is_none() => {
                return Err(format!("the addresses of {name} are no block: {cidr:?}"));
            }
            None | Some(_) => {}
        }
    }
    let (count, surge) = (status.spec.count, status.spec.update_strategy.cluster_rotation.max_surge);
    match count.max(surge) > COUNT_MAX {
        true => Err(format!("it asks for {count} clusters and {surge} more, and a set may have {COUNT_MAX}")),
        false => Ok(()),
    }
}

/// What the schema of a ClusterSet allows for `count` and for `maxSurge`.
const COUNT_MAX: u32 = 1000;

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// Lets equal specs of a set share one allocation: most clusters are built from the set's template.
fn intern_specs(status: &mut ClusterSetStatus) {
    let mut known: Vec<Arc<ClusterSpec>> = vec![Arc::clone(&status.spec.template)];
    for cluster in &mut status.clusters {
        let shared = match known.iter().find(|spec| ***spec == *cluster.spec) {
            Some(spec) => Arc::clone(spec),
            None => {
                known.push(Arc::clone(&cluster.spec));
                continue;
            }
        };
        let mut copy = (**cluster).clone();
        copy.spec = shared;
        *cluster = Arc::new(copy);
    }
}

/// The place that a cluster was built in.
pub fn place_of(set: &SetId, cluster: &Cluster) -> Place {
    Place {
        cloud: set.location.cloud,
        account: Arc::clone(&cluster.metadata.account),
        region: set.location.region.clone(),
    }
}

/// Whether a cluster was built in this place.
pub fn is_in(set: &SetId, cluster: &Cluster, place: &Place) -> bool {
    let Place { cloud, account, region } = place;
    set.location.cloud == *cloud && set.location.region == *region && cluster.metadata.account == *account
}

/// Whether a cluster leaves because people want fewer, not because another takes its place.
pub fn is_removal(cluster: &Cluster) -> bool {
    cluster.status.retirement.as_ref().is_some_and(|retirement| {
        matches!(retirement.reason, RetirementReason::ScaledDown | RetirementReason::SetDeleted)
    })
}

/// Finds a cluster by name.
pub fn find<'a>(record: &'a Record, name: &ClusterName) -> Option<(&'a SetId, &'a Arc<Cluster>)> {
    record.clusters().find(|(_, cluster)| cluster.metadata.name == *name)
}

/// Whether a cluster is between being named and being ready.
pub const fn is_building(state: ClusterState) -> bool {
    matches!(state, ClusterState::Pending | ClusterState::Creating)
}
