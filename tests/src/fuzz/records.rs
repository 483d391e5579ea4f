//! Status files as the record of the next plan: written by an older version, by hand, by a merge, or by somebody who
//! means no good. What is accepted is written again as it was, and no plan from it panics or is objected to.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use fleetwright_core::change::ChangeTable;
use fleetwright_core::check::check;
use fleetwright_core::desired::{Desired, Hold, Wish};
use fleetwright_core::fingerprint::Memo;
use fleetwright_core::fleet::{FleetCache, desired, read_fleet};
use fleetwright_core::inventory::{
    ControlPlaneFacts, ErrorClass, Inventory, Listing, Phase, Place, Placement, Reading, Resource, Step, UnknownReason,
    Workloads,
};
use fleetwright_core::memory::{Acknowledgements, Memory};
use fleetwright_core::plan::{Inputs, Plan, parse_cidr, plan};
use fleetwright_core::publication::{BOARD_PATH, INDEX_PATH, Notices, all_files};
use fleetwright_core::record::{Record, RecordCache, find, place_of};
use fleetwright_schema::names::SetId;
use fleetwright_schema::status::{Cluster, ClusterIndex, RetirementReason};
use fleetwright_schema::units::{Duration, Timestamp};

use super::Reached;
use super::archive::{Files, files, over_template, snapshot};
use super::told::is_unseen;

/// A day after the status files of the corpus were written.
pub const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_435_200);

/// Records after one another that are planned from one input.
const ROUNDS: usize = 3;

/// The status files of the corpus that everything else is compared with.
const SETTLED: &[u8] = include_bytes!("../../corpus/records/settled.txt");

/// Plans the input's `status/` against the template, in every kind of world.
pub fn run(input: &[u8]) -> Reached {
    let mut reached = Reached::new();
    let files = files(input);
    let record = parsed(&files);
    no_file_is_overlooked(&files, &record, &mut reached);
    written_again(&record);
    let mut names = BTreeSet::new();
    for (id, cluster) in record.clusters() {
        let name = &cluster.metadata.name;
        assert!(names.insert(name), "{name} is of {id} and of another set");
        reached.insert(format!("recorded {}", cluster.status.state));
    }
    let rest: Files = files.into_iter().filter(|(path, _)| !path.starts_with("status/")).collect();
    let reading = read_fleet(&snapshot(&over_template(&rest)), &mut FleetCache::default());
    let wish = desired(&reading, &record, None, None);
    let held = Desired::held(Hold::BranchGone, wish.config.clone());
    let nothing = Desired { sets: Default::default(), ..wish.clone() };
    for world in World::ALL {
        live(&wish, record.clone(), world, &mut reached);
    }
    live(&held, record.clone(), World::Built, &mut reached);
    live(&nothing, record, World::Built, &mut reached);
    reached
}

/// The record of these files, which must not depend on what was read before.
pub fn parsed(files: &Files) -> Record {
    let snapshot = snapshot(files);
    let mut cache = RecordCache::new();
    let cold = Record::parse(&snapshot, &mut cache);
    assert_eq!(Record::parse(&snapshot, &mut cache), cold, "another record the second time");
    assert_eq!(Record::parse(&snapshot, &mut known()), cold, "another record after the settled one");
    cold
}

fn known() -> RecordCache {
    static KNOWN: LazyLock<RecordCache> = LazyLock::new(|| {
        let mut cache = RecordCache::new();
        Record::parse(&snapshot(&files(SETTLED)), &mut cache);
        cache
    });
    KNOWN.clone()
}

fn no_file_is_overlooked(files: &Files, record: &Record, reached: &mut Reached) {
    for path in files.keys().map(|path| path.trim_start_matches('!')) {
        let Some(id) = path.strip_prefix("status/clustersets/").and_then(|rest| rest.strip_suffix(".yaml")) else {
            continue;
        };
        let known = id.parse::<SetId>().is_ok_and(|id| record.sets.contains_key(&id));
        assert!(known != record.unreadable.contains_key(path), "{path}: read {known}, and the contrary");
    }
    for (path, why) in &record.unreadable {
        assert!(!why.is_empty() && !why.contains(is_unseen), "{path}: {why:?}");
        assert!(why.len() < 1000, "{path}: {} bytes say why it can't be read", why.len());
        reached.insert(format!("unreadable: {}", why.split([':', '`', '"']).next().unwrap_or_default()));
    }
}

/// What is accepted is rendered, and read again as it was.
fn written_again(record: &Record) {
    let known = Record { unreadable: Default::default(), ..record.clone() };
    let written = all_files(&known, &Notices::default()).unwrap();
    let written: Files = written.into_iter().filter_map(|(path, content)| Some((path, content?))).collect();
    let again = Record::parse(&snapshot(&written), &mut RecordCache::new());
    assert_eq!(again, known, "written and read, it is another record");
    let index: ClusterIndex = serde_json::from_slice(&written[INDEX_PATH]).unwrap();
    assert_eq!(index.clusters.len(), known.clusters().count());
    let board = std::str::from_utf8(&written[BOARD_PATH]).unwrap();
    assert!(board.chars().all(|c| c == '\n' || !is_unseen(c)), "raw control characters on the board: {board:?}");
}

/// What the clouds hold, seen from a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum World {
    /// Nobody has looked yet.
    Unread,
    /// Every reading fails.
    Failing,
    /// There is nothing.
    Empty,
    /// All parts of every cluster, as its spec wants them, closed and empty where it retires.
    Built,
    /// Every part twice, and failed.
    Doubled,
}

impl World {
    const ALL: [Self; 5] = [Self::Unread, Self::Failing, Self::Empty, Self::Built, Self::Doubled];

    /// What a reading of it at this time shows.
    pub fn inventory(self, record: &Record, wish: &Desired, at: Timestamp) -> Inventory {
        if self == Self::Unread {
            return Inventory::default();
        }
        let wished = wish.sets.values().filter_map(|wish| match wish {
            Wish::Wanted(wanted) => Some(wanted.place.clone()),
            Wish::Held(_) => None,
        });
        let places: BTreeSet<Place> =
            record.clusters().map(|(id, cluster)| place_of(id, cluster)).chain(wished).collect();
        let reading = |place: &Place| match self {
            Self::Unread | Self::Failing => {
                let why = UnknownReason::Failed(ErrorClass::Outage, "the provider does not answer".to_owned());
                Reading { at, result: Err(why), failing_since: Some(at) }
            }
            Self::Empty | Self::Built | Self::Doubled => {
                let here = record.clusters().filter(|(id, cluster)| place_of(id, cluster) == *place);
                let listing: Listing = here.flat_map(|(id, cluster)| self.parts(id, cluster)).collect();
                Reading { at, result: Ok(Arc::new(listing)), failing_since: None }
            }
        };
        Inventory { places: places.into_iter().map(|place| (place.clone(), reading(&place))).collect() }
    }

    fn parts(self, id: &SetId, cluster: &Cluster) -> Vec<Resource> {
        let (copies, phase) = match self {
            Self::Unread | Self::Failing | Self::Empty => (0, Phase::Ready),
            Self::Built => (1, Phase::Ready),
            Self::Doubled => (2, Phase::Failed),
        };
        let retires = cluster.status.retirement.is_some();
        let workloads = if retires { Workloads { left: 7, ..Workloads::default() } } else { Workloads::default() };
        let placement = if retires { Placement::Closed } else { Placement::Open };
        let facts = ControlPlaneFacts { placement, workloads: Some(workloads), ..ControlPlaneFacts::default() };
        let prints = Memo::default().fingerprints(&cluster.status.revision, &cluster.spec);
        let steps = Step::BUILD.into_iter().zip(prints.iter());
        let part = |copy: u32, step: Step, print: &Arc<str>| Resource {
            id: format!("{step}-{}-{copy}", cluster.metadata.name).into(),
            step,
            cluster: cluster.metadata.name.clone(),
            set: id.clone(),
            ordinal: cluster.metadata.ordinal,
            phase,
            applied: Arc::clone(print),
            created_at: cluster.metadata.creation_timestamp,
            uses: Vec::new(),
            control_plane: (step == Step::ControlPlane).then(|| facts.clone()),
            node_pools: Vec::new(),
            infra_services: Vec::new(),
        };
        steps
            .flat_map(|(step, print)| (0..copies).map(move |copy| (copy, step, print)))
            .map(|(copy, step, print)| part(copy, step, print))
            .collect()
    }
}

/// Several plans after one another, each from the record that the one before would publish.
fn live(wish: &Desired, mut record: Record, world: World, reached: &mut Reached) {
    let begins = record.newest_time().max(NOW);
    let mut memory = Memory::default();
    memory.note_record(&record, begins);
    for round in 0..ROUNDS {
        let hours = 1 + 24 * u64::try_from(round).unwrap();
        let now = begins.plus(Duration::from_minutes(60 * hours));
        let inventory = world.inventory(&record, wish, now);
        for (place, reading) in &inventory.places {
            if let Ok(listing) = &reading.result {
                memory.note_reading(&record, place, listing, begins);
            }
        }
        let plan = Planned { wish, record: &record, inventory: &inventory, memory: &memory, now }
            .plan(&Acknowledgements::default());
        for action in &plan.actions {
            reached.insert(format!("{world:?} {}", action.effect.verb()));
        }
        for (_, cluster) in plan.record.clusters() {
            reached.insert(format!("{world:?} {}", cluster.status.state));
        }
        addresses_are_its_own(&record, &plan.record);
        if matches!(world, World::Unread | World::Failing) {
            assert!(plan.actions.is_empty(), "done without having looked: {:?}", plan.actions);
        }
        if wish.hold.is_some() || wish.sets.is_empty() {
            nothing_starts(&record, &plan.record);
        }
        record = plan.record;
        memory.note_record(&record, now);
    }
    written_again(&record);
}

/// While the wish is not known, or names no set at all, nothing is named and nothing that serves is retired; a removal that
/// was taken up before goes on.
fn nothing_starts(old: &Record, new: &Record) {
    for (id, cluster) in new.clusters() {
        let name = &cluster.metadata.name;
        let (_, was) = find(old, name).unwrap_or_else(|| panic!("{name} is named while nobody is known to want it"));
        let lost = cluster.status.retirement.as_ref().is_some_and(|r| r.reason == RetirementReason::Lost);
        let removed = old.sets[id].spec.count == 0;
        let serves = cluster.status.state.serves() || !was.status.state.serves();
        assert!(serves || lost || removed, "{name} is {} while nobody is known to want it gone", cluster.status.state);
    }
}

/// Nothing that is named gets addresses of which another cluster has any.
fn addresses_are_its_own(old: &Record, new: &Record) {
    let blocks: Vec<(&Cluster, u64, u64)> = new.clusters().filter_map(|(_, cluster)| block(cluster)).collect();
    for (cluster, start, end) in &blocks {
        let name = &cluster.metadata.name;
        if old.clusters().any(|(_, old)| old.metadata.name == *name) {
            continue;
        }
        let other = blocks.iter().find(|(other, from, to)| other.metadata.name != *name && from < end && start < to);
        assert!(other.is_none(), "{name} shares addresses: {other:?}");
    }
}

/// The first address of a cluster, and the first behind its last.
fn block(cluster: &Cluster) -> Option<(&Cluster, u64, u64)> {
    let (start, prefix) = parse_cidr(cluster.status.network.cidr.as_deref()?)?;
    Some((cluster, u64::from(start), u64::from(start) + (1 << (32 - prefix))))
}

/// What one plan is made from.
pub struct Planned<'a> {
    /// The wish.
    pub wish: &'a Desired,
    /// The record.
    pub record: &'a Record,
    /// What was read.
    pub inventory: &'a Inventory,
    /// What is remembered.
    pub memory: &'a Memory,
    /// The time.
    pub now: Timestamp,
}

impl Planned<'_> {
    /// Plans twice, which must be the same; the check must have nothing against it.
    pub fn plan(&self, acknowledgements: &Acknowledgements) -> Plan {
        let Self { wish, record, inventory, memory, now } = *self;
        let inputs = Inputs {
            now,
            desired: wish,
            record,
            inventory,
            memory,
            acknowledgements,
            table: ChangeTable::shipped(),
            memo: &Memo::default(),
        };
        let made = plan(&inputs);
        assert!(plan(&inputs) == made, "the same inputs give another plan");
        let checked = check(&inputs, made);
        assert_eq!(checked.violations(), [], "the check objects to the plan");
        let plan = checked.into_plan();
        let keys: BTreeSet<_> = plan.actions.iter().map(|action| &action.key).collect();
        assert_eq!(keys.len(), plan.actions.len(), "two actions on one part: {:?}", plan.actions);
        plan
    }
}
