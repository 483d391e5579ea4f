//! A plan for a terminal.

use std::fmt::Write;

use fleetwright_core::change::Class;
use fleetwright_schema::units::Duration;

use super::quotas::PlaceQuotas;
use super::summary::{Approval, Difference, PlannedSet, SetAction, Shared, Summary, Totals};
use crate::cli::output::{BAD, FAINT, GOOD, MOVING, STRONG, counted, paint, plain};

/// The plan in lines.
pub fn text(summary: &Summary, color: bool) -> String {
    let mut out = String::new();
    for set in &summary.sets {
        write_set(&mut out, set, color);
    }
    write_shared(&mut out, &summary.shared);
    if let Some(approval) = &summary.removal_approval {
        write_approval(&mut out, approval, color);
    }
    for objection in &summary.objections {
        let _ =
            writeln!(out, "{}: the check took it out of the plan: {}", paint("defect", BAD, color), plain(objection));
    }
    for place in summary.quotas.iter().flatten() {
        write_quotas(&mut out, place, color);
    }
    let _ = writeln!(out, "{}", total(&summary.totals));
    out
}

fn write_set(out: &mut String, set: &PlannedSet, color: bool) {
    let title = paint(&set.set.to_string(), STRONG, color);
    let style = match (set.action, set.class) {
        (SetAction::Remove, _) | (_, Some(Class::Forbidden)) => BAD,
        (_, Some(Class::Rotate)) => MOVING,
        (SetAction::Create | SetAction::Change | SetAction::Retain | SetAction::Continue, _) => GOOD,
    };
    let wave = set.wave.as_ref().map_or_else(String::new, |wave| format!("  wave {wave}"));
    let _ = writeln!(out, "{title}  {}{}", paint(verdict(set), style, color), paint(&wave, FAINT, color));
    for change in &set.changes {
        write_change(out, change);
    }
    for line in effects(set) {
        let _ = writeln!(out, "  {line}");
    }
    for waiting in &set.waiting {
        let label = paint("waits:", MOVING, color);
        let _ = writeln!(out, "  {label} {} ({})", plain(&waiting.message), waiting.r#type);
    }
    out.push('\n');
}

/// The one word that says what becomes of a set.
pub fn verdict(set: &PlannedSet) -> &'static str {
    match (set.action, set.class) {
        (SetAction::Create, _) => "new",
        (SetAction::Remove, _) => "removed",
        (SetAction::Retain, _) => "file removed, clusters stay",
        (_, None | Some(Class::None)) if set.create > 0 => "larger",
        (_, None | Some(Class::None)) if set.remove > 0 => "smaller",
        (_, Some(Class::None)) | (SetAction::Change, None) => "changes no cluster",
        (SetAction::Change | SetAction::Continue, Some(class)) => class.as_words(),
        (SetAction::Continue, None) => "goes on",
    }
}

fn write_change(out: &mut String, change: &Difference) {
    let Difference { field, from, to, class, why } = change;
    let class = class.map_or_else(String::new, |class| format!("{class}: "));
    let _ = writeln!(out, "  {}: {} → {}  ({class}{})", plain(field), plain(from), plain(to), plain(why));
}

/// What happens to its clusters, a line each.
pub fn effects(set: &PlannedSet) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let clusters = |count: u32| counted(count as usize, "cluster", "clusters");
    if set.create > 0 {
        lines.push(format!("create {}", clusters(set.create)));
    }
    if set.update > 0 {
        lines.push(format!("update {} in place", clusters(set.update)));
    }
    if set.rotate > 0 {
        let batches = counted(set.batches as usize, "batch", "batches");
        lines.push(format!("rotate {} in {batches} of at most {}", clusters(set.rotate), set.max_surge));
        let window = Duration::from_seconds(set.rollback_window_seconds);
        lines.push(format!(
            "a revert brings each old cluster back until {window} after it is drained, when it is deleted"
        ));
    }
    if set.remove > 0 {
        lines.push(format!("remove {}", clusters(set.remove)));
    }
    if set.estimate_seconds > 0 {
        lines.push(format!("takes about {}", Duration::from_seconds(set.estimate_seconds)));
    }
    if !set.clusters.is_empty() {
        lines.push(format!("clusters: {}", names(set)));
    }
    lines
}

fn names(set: &PlannedSet) -> String {
    const NAMES_MAX: usize = 12;
    let mut names: Vec<String> = set.clusters.iter().take(NAMES_MAX).map(|cluster| cluster.name.to_string()).collect();
    if set.clusters.len() > NAMES_MAX {
        names.push(format!("… and {} more", set.clusters.len() - NAMES_MAX));
    }
    names.join(", ")
}

fn write_shared(out: &mut String, shared: &[Shared]) {
    for Shared { path, sets } in shared {
        let _ = writeln!(out, "{path} changes {}", counted(*sets, "set", "sets"));
    }
    if !shared.is_empty() {
        out.push('\n');
    }
}

fn write_approval(out: &mut String, approval: &Approval, color: bool) {
    let Approval { clusters, allowed, path, document, digest: _ } = approval;
    let label = paint("approval needed", BAD, color);
    let _ =
        writeln!(out, "{label}: {clusters} clusters are removed, and {allowed} are allowed. To go on, write {path}:\n");
    for line in document.lines() {
        let _ = writeln!(out, "    {line}");
    }
    out.push('\n');
}

fn write_quotas(out: &mut String, quotas: &PlaceQuotas, color: bool) {
    let style = if quotas.are_too_small() { BAD } else { STRONG };
    let _ = writeln!(out, "{}", paint(&quotas_of(quotas), style, color));
    for line in quotas.lines() {
        let _ = writeln!(out, "  {}", plain(&line));
    }
    out.push('\n');
}

/// `quotas of aws/123456789012/eu-west-1, for at most 6 more clusters at once`
pub fn quotas_of(quotas: &PlaceQuotas) -> String {
    let clusters = counted(quotas.clusters as usize, "more cluster", "more clusters");
    format!("quotas of {}, for at most {clusters} at once", quotas.place)
}

/// `1 set changes: 5 rotate; 3 sets stay as they are.`
pub fn total(totals: &Totals) -> String {
    let Totals { changed, unchanged, create, update, rotate, remove } = totals;
    let parts = [(create, "create"), (update, "update in place"), (rotate, "rotate"), (remove, "remove")];
    let told: Vec<String> =
        parts.into_iter().filter(|(count, _)| **count > 0).map(|(count, word)| format!("{count} to {word}")).collect();
    let staying = match unchanged {
        0 => String::new(),
        1 => "; 1 set stays as it is".to_owned(),
        many => format!("; {many} sets stay as they are"),
    };
    let clusters = if told.is_empty() { "no cluster is touched".to_owned() } else { told.join(", ") };
    match changed {
        0 => format!("Nothing to do{staying}."),
        1 => format!("1 set changes: {clusters}{staying}."),
        many => format!("{many} sets change: {clusters}{staying}."),
    }
}
