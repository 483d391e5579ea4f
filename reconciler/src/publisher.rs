//! Writing the record back: one commit for all that changed, pushed against the tip that the plan was made from. On
//! rejection nothing is tried again here: the next plan is the retry.

use fleetwright_core::mutant;
use fleetwright_core::publication::{self, Changes, Notices};
use fleetwright_core::record::Record;
use fleetwright_core::snapshot::CommitId;
use fleetwright_repo::{NewCommit, PushError, RefUpdate, RepoError, Upstream};
use fleetwright_schema::names::ClusterName;
use fleetwright_schema::units::Timestamp;

use crate::tip::{OBSERVED_REF, RECORD_REF, Tip};

const AUTHOR: &str = "fleetwright[bot]";
/// By which the bot knows its own commits, where its ref is lost.
pub const EMAIL: &str = "fleetwright[bot]@users.noreply.fleetwright.dev";

/// Why a record was not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// Somebody was faster, or nobody knows: fetch, plan again, render again.
    #[error("the tip moved: {0}")]
    Superseded(String),
    /// The remote can't be reached; later.
    #[error("{0}")]
    Unreachable(String),
    /// The remote does not want it: a person has to see why.
    #[error("{0}")]
    Declined(String),
    /// There is no branch to write to.
    #[error("the remote no longer has the branch")]
    NoBranch,
    /// A defect of this program.
    #[error(transparent)]
    Render(#[from] publication::RenderError),
    /// The mirror can't be written.
    #[error(transparent)]
    Mirror(#[from] RepoError),
}

impl From<PushError> for PublishError {
    fn from(error: PushError) -> Self {
        match error {
            PushError::Rejected { reason } | PushError::UnknownResult { reason } => Self::Superseded(reason),
            PushError::Unreachable { reason } => Self::Unreachable(reason),
            PushError::Declined { reason }
            | PushError::NotSent { reason }
            | PushError::Authentication { reason }
            | PushError::Other { reason } => Self::Declined(reason),
        }
    }
}

/// What is published.
pub struct Publication<'a> {
    /// The branch of the bot's commits.
    pub branch: &'a str,
    /// The next record.
    pub record: &'a Record,
    /// What people are told.
    pub notices: &'a Notices,
    /// Whether the tip is taken up as a whole with this.
    pub observes: bool,
    /// The commit's time.
    pub committed_at: Timestamp,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The commit, if anything changed in a file.
    pub commit: Option<CommitId>,
    /// Its first line.
    pub summary: String,
    /// The refs that moved, with their new ids.
    pub moved: Vec<(String, CommitId)>,
}

/// Publishes a record onto a tip.
pub fn publish(upstream: &dyn Upstream, tip: &Tip, publication: &Publication<'_>) -> Result<Published, PublishError> {
    let changes = changes(tip, publication)?;
    let summary = summary(&tip.record, publication.record, tip);
    let separate = tip.commit != tip.status_commit;
    if tip.commit.is_none() || (tip.status_commit.is_none() && !separate) {
        return Err(PublishError::NoBranch);
    }
    let message = message(&summary, tip);
    let commit = upstream.objects().write_commit(&NewCommit {
        parent: tip.status_commit.clone(),
        changes: &changes,
        afresh: (!tip.edited.is_empty()).then_some("status"),
        message: &message,
        author_name: AUTHOR,
        author_email: EMAIL,
        time_unix_seconds: publication.committed_at.unix_seconds(),
    })?;
    let mut updates = Vec::new();
    if let Some(commit) = &commit {
        let name = format!("refs/heads/{}", publication.branch);
        updates.push(RefUpdate { name, expected: tip.status_commit.clone(), new: Some(commit.clone()) });
        updates.push(ref_update(tip, RECORD_REF, commit));
    }
    if commit.is_none() && !tip.edited.is_empty() {
        // The branch says already what would be written, but not in our last commit, as after a rewritten branch was
        // restored: then it is the record. Without this the same would be tried for ever. The branch goes with it, to
        // where it is: only if it is there, this is so.
        let name = format!("refs/heads/{}", publication.branch);
        let standing = tip.status_commit.as_ref();
        updates.extend(standing.map(|at| RefUpdate { name, expected: Some(at.clone()), new: Some(at.clone()) }));
        updates.extend(standing.map(|at| ref_update(tip, RECORD_REF, at)));
    }
    let observed = tip.source.as_ref().filter(|_| publication.observes);
    if let Some(source) = observed.filter(|source| tip.refs.get(OBSERVED_REF) != Some(*source)) {
        updates.push(ref_update(tip, OBSERVED_REF, source));
    }
    if mutant::on("swap-without-compare") {
        let there = upstream.ls_remote().unwrap_or_default();
        updates.iter_mut().for_each(|update| update.expected = there.get(&update.name).cloned());
    }
    upstream.push(&updates)?;
    let moved = updates.into_iter().filter_map(|update| Some((update.name, update.new?))).collect();
    Ok(Published { commit, summary, moved })
}

fn ref_update(tip: &Tip, name: &str, new: &CommitId) -> RefUpdate {
    RefUpdate { name: name.to_owned(), expected: tip.refs.get(name).cloned(), new: Some(new.clone()) }
}

fn changes(tip: &Tip, publication: &Publication<'_>) -> Result<Changes, PublishError> {
    // A branch that has no status yet gets all of it.
    if tip.edited.is_empty() && tip.status_commit.is_some() {
        return Ok(publication::changes(&tip.record, publication.record, publication.notices)?);
    }
    // Somebody else wrote below status/: everything there is written anew, and what does not belong goes.
    Ok(publication::all_files(publication.record, publication.notices)?)
}

/// The first line of the commit: what happened to which clusters, in words that fit.
fn summary(old: &Record, new: &Record, tip: &Tip) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut sets = 0;
    let mut first = String::new();
    for (id, set) in &new.sets {
        let before = old.sets.get(id);
        if before == Some(set) {
            continue;
        }
        sets += 1;
        if sets == 1 {
            first = id.to_string();
        }
        for cluster in &set.clusters {
            let known = before.and_then(|set| set.clusters.iter().find(|c| c.metadata.name == cluster.metadata.name));
            if known.map(|known| known.status.state) != Some(cluster.status.state) {
                words.push(format!("{} {}", cluster.metadata.name, cluster.status.state));
            }
        }
        // They are in the order of their ordinals, and old ones go: a new one may be anywhere.
        let known =
            |name: &ClusterName| before.is_some_and(|set| set.tombstones.iter().any(|stone| stone.name == *name));
        let new = set.tombstones.iter().filter(|stone| !known(&stone.name));
        words.extend(new.map(|stone| format!("{} retired", stone.name)));
    }
    match words.as_slice() {
        [] if !tip.edited.is_empty() => "status: rewrite files that were edited by hand".to_owned(),
        [] if sets == 0 => "status: the board".to_owned(),
        [] => format!(
            "status: conditions of {first}{}",
            if sets == 1 { String::new() } else { format!(" and {} more", sets - 1) }
        ),
        [one] => format!("status: {one}"),
        [one, two] => format!("status: {one}, {two}"),
        [one, ..] => format!("status: {one} and {} more changes in {sets} sets", words.len() - 1),
    }
}

fn message(summary: &str, tip: &Tip) -> String {
    let mut text = format!("{summary}\n");
    if !tip.edited.is_empty() {
        text.push_str("\nThese files are the bot's alone, and were edited by somebody else:\n");
        tip.edited.iter().take(20).for_each(|path| text.push_str(&format!("- {path}\n")));
    }
    if let Some(source) = &tip.source {
        text.push_str(&format!("\nFleetwright-Source: {source}\n"));
    }
    text
}
