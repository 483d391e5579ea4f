//! What the fleet repository says now: tips and refs as the remote has them, read into the wish, the record and the
//! acknowledgements. Reads only; what is written back is `publisher.rs`'s.

use std::collections::BTreeMap;
use std::sync::Arc;

use fleetwright_core::desired::{Desired, Hold};
use fleetwright_core::fleet::{FleetCache, FleetReading, desired, read_fleet};
use fleetwright_core::memory::Acknowledgements;
use fleetwright_core::mutant;
use fleetwright_core::publication::{INDEX_PATH, Notices};
use fleetwright_core::record::{Record, RecordCache};
use fleetwright_core::snapshot::{CommitId, Snapshot};
use fleetwright_repo::{Objects, RemoteRefs, RepoError};
use fleetwright_schema::documents::FleetSpec;
use fleetwright_schema::names::{ClusterName, Name};
use fleetwright_schema::status::{ClusterIndex, ClusterState};
use fleetwright_schema::units::Timestamp;

use crate::publisher::EMAIL;

/// The last bot commit: its `status/` is the record, whatever people did to the branch since.
pub const RECORD_REF: &str = "refs/fleetwright/record";
/// The last commit of people that was fully taken up.
pub const OBSERVED_REF: &str = "refs/fleetwright/observed";
/// Below it, the last commit that each consumer has read.
pub const ACKS_PREFIX: &str = "refs/fleetwright/acks/";

/// Everything that is read from one state of the remote.
pub struct Tip {
    /// The remote's refs.
    pub refs: RemoteRefs,
    /// The tip of the watched branch, if there is one.
    pub commit: Option<CommitId>,
    /// The tip of the branch that the bot writes to.
    pub status_commit: Option<CommitId>,
    /// The last commit that people made.
    pub source: Option<CommitId>,
    /// The wish.
    pub desired: Desired,
    /// What the bot last wrote.
    pub record: Record,
    /// What consumers have read.
    pub acknowledgements: Acknowledgements,
    /// What people are told about the tip.
    pub notices: Notices,
    /// Whether the tip can be taken up as a whole.
    pub sound: bool,
    /// Paths under `status/` that are not as the bot left them.
    pub edited: Vec<String>,
    /// How many files were parsed for this tip.
    pub files_parsed: usize,
}

/// Reads tips, and remembers what it parsed.
pub struct TipReader {
    branch: String,
    fleet_cache: FleetCache,
    record_cache: RecordCache,
    wish_snapshot: Option<Snapshot>,
    status_snapshot: Option<Snapshot>,
    reading: Option<(CommitId, Arc<FleetReading>)>,
    last_config: Option<Arc<FleetSpec>>,
    acks: BTreeMap<CommitId, BTreeMap<ClusterName, Timestamp>>,
    ancestry: Ancestry,
}

/// What is known of who descends from whom, so that months of status commits are walked once and not at every tip.
#[derive(Default)]
struct Ancestry {
    /// The last tip that was found to descend from this observed commit.
    proven: Option<(CommitId, CommitId)>,
}

impl Ancestry {
    fn descends(&mut self, objects: &Objects, tip: &CommitId, observed: &CommitId) -> Result<bool, RepoError> {
        let short = match &self.proven {
            // A rewritten branch may still descend from what was observed, but not from the tip before it.
            Some((known, before)) if known == observed => objects.contains(before)? && objects.descends(tip, before)?,
            _ => false,
        };
        let descends = short || objects.descends(tip, observed)?;
        if descends {
            self.proven = Some((observed.clone(), tip.clone()));
        }
        Ok(descends)
    }
}

impl TipReader {
    /// A reader of one branch.
    pub fn new(branch: &str) -> Self {
        Self {
            branch: branch.to_owned(),
            fleet_cache: FleetCache::default(),
            record_cache: RecordCache::new(),
            wish_snapshot: None,
            status_snapshot: None,
            reading: None,
            last_config: None,
            acks: BTreeMap::new(),
            ancestry: Ancestry::default(),
        }
    }

    /// The branch that is read.
    pub fn branch(&self) -> &str {
        &self.branch
    }

    /// Reads everything anew that changed. An error means that nothing is known, and nothing is acted on.
    pub fn read(&mut self, objects: &Objects, refs: RemoteRefs) -> Result<Tip, RepoError> {
        let commit = refs.branch(&self.branch).cloned();
        let observed = refs.get(OBSERVED_REF).cloned();
        let reading = commit.as_ref().map(|commit| self.read_wish(objects, commit)).transpose()?;
        if let Some(config) = reading.as_ref().and_then(|reading| reading.config.clone()) {
            self.last_config = Some(config);
        }
        let status_branch = self.last_config.as_ref().and_then(|config| config.publishing.branch.clone());
        let status_commit = refs.branch(status_branch.as_deref().unwrap_or(&self.branch)).cloned();
        let record_commit = match refs.get(RECORD_REF) {
            Some(_) if mutant::on("edited-record-believed") => status_commit.clone(),
            Some(record) => Some(record.clone()),
            None => last_commit(objects, status_commit.as_ref(), |author| author == EMAIL)?,
        };
        let record = self.read_record(objects, record_commit.as_ref())?;
        let hold = self.hold(objects, commit.as_ref(), observed.as_ref())?;
        let sound = hold.is_none() && reading.as_ref().is_some_and(|reading| reading.is_sound());
        let desired = match &reading {
            Some(reading) => desired(reading, &record, hold, self.last_config.clone()),
            None => Desired::held(Hold::BranchGone, self.last_config.clone()),
        };
        let notices = notices(desired.hold.clone(), reading.as_deref());
        let rewritten = matches!(desired.hold, Some(Hold::HistoryRewritten { .. }));
        let source = source(objects, commit.as_ref(), observed.as_ref().filter(|_| !rewritten))?;
        let edited = edited(objects, record_commit.as_ref(), status_commit.as_ref())?;
        let acknowledgements = self.read_acks(objects, &refs)?;
        let files_parsed = self.fleet_cache.files_parsed;
        Ok(Tip {
            refs,
            commit,
            status_commit,
            source,
            desired,
            record,
            acknowledgements,
            notices,
            sound,
            edited,
            files_parsed,
        })
    }

    fn read_wish(&mut self, objects: &Objects, commit: &CommitId) -> Result<Arc<FleetReading>, RepoError> {
        if let Some((known, reading)) = &self.reading
            && known == commit
        {
            return Ok(Arc::clone(reading));
        }
        let keep = |path: &str| path != "status/" && !path.starts_with("status/");
        let snapshot = objects.snapshot(commit, &keep, self.wish_snapshot.as_ref())?.snapshot;
        // The bot's own commits change nothing outside of status/, so they are no news.
        let same = self
            .wish_snapshot
            .as_ref()
            .is_some_and(|old| old.files == snapshot.files && old.refused == snapshot.refused);
        let reading = match (same, self.reading.take()) {
            (true, Some((_, reading))) => reading,
            _ => Arc::new(read_fleet(&snapshot, &mut self.fleet_cache)),
        };
        self.wish_snapshot = Some(snapshot);
        self.reading = Some((commit.clone(), Arc::clone(&reading)));
        Ok(reading)
    }

    fn read_record(&mut self, objects: &Objects, commit: Option<&CommitId>) -> Result<Record, RepoError> {
        let Some(commit) = commit else { return Ok(Record::default()) };
        let keep = |path: &str| path == "status/" || path.starts_with("status/clustersets/");
        let snapshot = objects.snapshot(commit, &keep, self.status_snapshot.as_ref())?.snapshot;
        let record = Record::parse(&snapshot, &mut self.record_cache);
        self.status_snapshot = Some(snapshot);
        Ok(record)
    }

    fn hold(
        &mut self,
        objects: &Objects,
        commit: Option<&CommitId>,
        observed: Option<&CommitId>,
    ) -> Result<Option<Hold>, RepoError> {
        let Some(tip) = commit else { return Ok(Some(Hold::BranchGone)) };
        let Some(observed) = observed else { return Ok(None) };
        if self.ancestry.descends(objects, tip, observed)? || mutant::on("rewritten-history-believed") {
            return Ok(None);
        }
        // The last commit of people, because the bot's own commit would change what it writes with each commit.
        let tip = last_commit(objects, Some(tip), |author| author != EMAIL)?.unwrap_or_else(|| tip.clone());
        Ok(Some(Hold::HistoryRewritten { observed: observed.clone(), tip }))
    }

    fn read_acks(&mut self, objects: &Objects, refs: &RemoteRefs) -> Result<Acknowledgements, RepoError> {
        let mut acks = Acknowledgements::default();
        let mut kept = BTreeMap::new();
        for (name, commit) in refs.iter() {
            let Some(consumer) = name.strip_prefix(ACKS_PREFIX).and_then(|rest| rest.parse::<Name>().ok()) else {
                continue;
            };
            let read = match self.acks.remove(commit).or_else(|| kept.get(commit).cloned()) {
                Some(read) => read,
                None => draining_at(objects, commit)?,
            };
            kept.insert(commit.clone(), read.clone());
            acks.0.insert(consumer, read);
        }
        self.acks = kept;
        Ok(acks)
    }
}

/// The last commit of people: the tip, unless everything since `observed` is below `status/`. Without an observed
/// commit that the tip descends from, the last that the bot did not make.
fn source(
    objects: &Objects,
    commit: Option<&CommitId>,
    observed: Option<&CommitId>,
) -> Result<Option<CommitId>, RepoError> {
    let (Some(tip), Some(observed)) = (commit, observed) else {
        return last_commit(objects, commit, |author| author != EMAIL);
    };
    let changed = if tip == observed { Vec::new() } else { objects.changed_paths(Some(observed), tip)? };
    let ours = changed.iter().all(|path| path.starts_with("status/"));
    Ok(Some(if ours { observed.clone() } else { tip.clone() }))
}

/// As many commits are searched for the last one of the bot, or of people.
const SEARCHED_MAX: usize = 10_000;

/// The last commit whose author's address is as wanted. Without its ref the record is the bot's last commit on the
/// branch: people's edits since are not believed.
fn last_commit(
    objects: &Objects,
    tip: Option<&CommitId>,
    wanted: impl Fn(&str) -> bool,
) -> Result<Option<CommitId>, RepoError> {
    let mut next = tip.cloned();
    for _ in 0..SEARCHED_MAX {
        let Some(commit) = next else { return Ok(None) };
        let info = objects.commit_info(&commit)?;
        if wanted(&info.author_email) {
            return Ok(Some(commit));
        }
        next = info.parents.first().cloned();
    }
    Ok(None)
}

/// Which clusters the index of a commit shows as draining, and since when. An index that can't be read acknowledges
/// nothing.
fn draining_at(objects: &Objects, commit: &CommitId) -> Result<BTreeMap<ClusterName, Timestamp>, RepoError> {
    let keep = |path: &str| path == "status/" || path == INDEX_PATH;
    // Anything may be pushed there; what is no commit of this repository acknowledges nothing.
    let Ok(reading) = objects.snapshot(commit, &keep, None) else { return Ok(BTreeMap::new()) };
    Ok(reading.snapshot.files.get(INDEX_PATH).map(|file| acknowledged(&file.content)).unwrap_or_default())
}

/// What a consumer acknowledges by having read this index.
pub fn acknowledged(index: &[u8]) -> BTreeMap<ClusterName, Timestamp> {
    let Ok(index) = serde_json::from_slice::<ClusterIndex>(index) else { return BTreeMap::new() };
    let draining = index.clusters.into_iter().filter(|entry| entry.state == ClusterState::Draining);
    draining.map(|entry| (entry.name, entry.since)).collect()
}

fn edited(objects: &Objects, record: Option<&CommitId>, status: Option<&CommitId>) -> Result<Vec<String>, RepoError> {
    match (record, status) {
        (Some(record), Some(status)) if record != status && objects.contains(record)? => {
            let changed = objects.changed_paths(Some(record), status)?;
            Ok(changed.into_iter().filter(|path| path.starts_with("status/")).collect())
        }
        _ => Ok(Vec::new()),
    }
}

/// As many unreadable files as the board names.
const UNREADABLE_MAX: usize = 20;

fn notices(hold: Option<Hold>, reading: Option<&FleetReading>) -> Notices {
    let errors = reading.into_iter().flat_map(|reading| reading.diagnostics.iter().filter(|d| d.is_error()));
    let mut unreadable: BTreeMap<String, String> = BTreeMap::new();
    for error in errors {
        let line = error.span.map(|span| format!(" (line {})", span.line)).unwrap_or_default();
        unreadable.entry(error.path.clone()).or_insert_with(|| format!("{}: {}{line}", error.rule, error.message));
    }
    Notices { hold, unreadable: unreadable.into_iter().take(UNREADABLE_MAX).collect() }
}
