//! The board: what people see when they open `status/` on a Git host. Nothing on it moves by itself.

use std::fmt::Write;
use std::sync::Arc;

use fleetwright_schema::names::SetId;
use fleetwright_schema::status::{Cluster, ClusterSetStatus, ClusterState, Condition, ConditionStatus};

use crate::desired::Hold;
use crate::record::Record;

/// What concerns the fleet as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notices {
    /// Why nothing is acted on.
    pub hold: Option<Hold>,
    /// Files of the tip that can't be read, with the first problem of each.
    pub unreadable: Vec<(String, String)>,
}

/// As many rows as people read before they search.
const ROWS_MAX: usize = 500;

/// The board as Markdown.
pub fn board(record: &Record, notices: &Notices) -> String {
    let mut text = String::from("# Fleet\n\nWritten by Fleetwright; edits are reverted. ");
    text.push_str("Programs read [clusters.json](clusters.json) and [clustersets/](clustersets/).\n");
    write_notices(&mut text, notices, record);
    write_totals(&mut text, record);
    let sets: Vec<(&SetId, &Arc<ClusterSetStatus>)> = record.sets.iter().filter(|(_, set)| is_shown(set)).collect();
    let (settled, unsettled): (Vec<_>, Vec<_>) = sets.into_iter().partition(|(_, set)| is_settled(set));
    write_moving(&mut text, &unsettled);
    write_settled(&mut text, &settled);
    text
}

fn is_shown(set: &ClusterSetStatus) -> bool {
    set.status.desired > 0 || !set.clusters.is_empty()
}

fn is_settled(set: &ClusterSetStatus) -> bool {
    set.status.conditions.first().is_some_and(|condition| condition.status == ConditionStatus::True)
}

fn write_notices(text: &mut String, notices: &Notices, record: &Record) {
    if let Some(hold) = &notices.hold {
        let _ = write!(text, "\n> **Nothing is acted on ({}):** {}.\n", hold.reason(), cell(&hold.to_string()));
    }
    for (path, why) in &notices.unreadable {
        let _ = write!(text, "\n> **{} can't be read:** {}\n", cell(path), cell(why));
    }
    for (path, why) in &record.unreadable {
        let _ = write!(text, "\n> **The record {} can't be read, its set is held:** {}\n", cell(path), cell(why));
    }
}

fn write_totals(text: &mut String, record: &Record) {
    let count = |state: ClusterState| record.clusters().filter(|(_, cluster)| cluster.status.state == state).count();
    let parts: Vec<String> = ClusterState::ALL
        .into_iter()
        .map(|state| (state, count(state)))
        .filter(|(_, count)| *count > 0)
        .map(|(state, count)| format!("{count} {state}"))
        .collect();
    let summary = if parts.is_empty() { "no clusters".to_owned() } else { parts.join(", ") };
    let _ = write!(
        text,
        "\n**{} sets, {} clusters:** {summary}\n",
        record.sets.values().filter(|set| is_shown(set)).count(),
        record.clusters().count()
    );
}

fn write_moving(text: &mut String, sets: &[(&SetId, &Arc<ClusterSetStatus>)]) {
    if sets.is_empty() {
        return;
    }
    text.push_str(
        "\n## Under way\n\n| set | what | progress | serving | alive | waits for |\n|---|---|---|---|---|---|\n",
    );
    for (id, set) in sets.iter().take(ROWS_MAX) {
        let what = set.status.conditions.first().map_or("", |condition| condition.reason.as_str());
        let _ = writeln!(
            text,
            "| {} | {what} | {} | {}/{} | {} | {} |",
            link(id),
            progress(set),
            set.status.serving,
            set.status.desired,
            set.status.alive,
            waits(set)
        );
    }
    write_more(text, sets.len());
    write_clusters(text, sets);
}

fn write_clusters(text: &mut String, sets: &[(&SetId, &Arc<ClusterSetStatus>)]) {
    text.push_str("\n| cluster | state | since | version | waits for |\n|---|---|---|---|---|\n");
    let all = sets.iter().flat_map(|(_, set)| set.clusters.iter());
    let moving: Vec<&Arc<Cluster>> = all.filter(|cluster| cluster.status.state != ClusterState::Ready).collect();
    for cluster in moving.iter().take(ROWS_MAX) {
        let Cluster { metadata, spec, status, .. } = &***cluster;
        let waits = reasons(status.conditions.iter().skip(1));
        let version = &spec.kubernetes_version;
        let _ = writeln!(text, "| {} | {} | {} | {version} | {waits} |", metadata.name, status.state, status.since);
    }
    write_more(text, moving.len());
}

fn write_settled(text: &mut String, sets: &[(&SetId, &Arc<ClusterSetStatus>)]) {
    if sets.is_empty() {
        return;
    }
    text.push_str("\n## Settled\n\n| set | clusters | version | revision | wave |\n|---|---|---|---|---|\n");
    for (id, set) in sets.iter().take(ROWS_MAX) {
        let status = &set.status;
        let wave = status.wave.as_ref().map_or("", |wave| wave.as_str());
        let version = &set.spec.template.kubernetes_version;
        let _ = writeln!(text, "| {} | {} | {version} | {} | {wave} |", link(id), status.serving, status.revision);
    }
    write_more(text, sets.len());
}

fn write_more(text: &mut String, rows: usize) {
    if rows > ROWS_MAX {
        let _ = writeln!(text, "\n… and {} more.", rows - ROWS_MAX);
    }
}

fn link(id: &SetId) -> String {
    format!("[{id}](clustersets/{id}.yaml)")
}

/// `2 of 5 ▓▓▓▓░░░░░░`: how many serve at the set's revision.
fn progress(set: &ClusterSetStatus) -> String {
    let (updated, desired) = (set.status.updated.min(set.status.desired), set.status.desired);
    let filled = (updated * 10).checked_div(desired).unwrap_or(10) as usize;
    format!("{}{} {updated} of {desired}", "▓".repeat(filled), "░".repeat(10 - filled))
}

fn waits(set: &ClusterSetStatus) -> String {
    reasons(set.status.conditions.iter().skip(1))
}

fn reasons<'a>(conditions: impl Iterator<Item = &'a Condition>) -> String {
    // A step that merely waits for another says nothing that the other does not.
    let telling = conditions.filter(|condition| {
        !(condition.r#type.ends_with("Ready") && condition.status == ConditionStatus::True)
            && condition.reason != "WaitingForParent"
    });
    let words = telling.map(|condition| match condition.message.is_empty() {
        true => format!("{} {}", condition.r#type, condition.reason),
        false => format!("{} {}: {}", condition.r#type, condition.reason, condition.message),
    });
    words.map(|word| cell(&word)).collect::<Vec<_>>().join("<br>")
}

/// Text of others made harmless in a table of Markdown.
fn cell(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '|' | '<' | '>' | '`' | '[' | ']' | '*' | '_' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            '\n' | '\r' => out.push(' '),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}
