//! A plan for a comment on a pull request: folded, bounded, and with nothing in it that a page would obey.

use std::fmt::Write;

use super::summary::{Approval, Difference, PlannedSet, Shared, Summary};
use super::text::{effects, quotas_of, total, verdict};
use crate::cli::output::{counted, plain};

/// Git hosts refuse comments above 65,536 characters.
const CHARACTERS_MAX: usize = 60_000;

/// The plan as Markdown, at most [`CHARACTERS_MAX`] long.
pub fn markdown(summary: &Summary) -> String {
    let mut out = format!("## Fleetwright plan\n\n{}\n", total(&summary.totals));
    write_head(&mut out, summary);
    let tail = format!("\n<sub>Judged at {} from what stands below `status/`.</sub>\n", summary.judged_at);
    let mut left = summary.sets.len();
    let mut room = CHARACTERS_MAX.saturating_sub(out.chars().count() + tail.chars().count() + 200);
    for set in &summary.sets {
        let folded = folded(set);
        let Some(rest) = room.checked_sub(folded.chars().count()) else { break };
        room = rest;
        left -= 1;
        out.push_str(&folded);
    }
    if left > 0 {
        let _ = writeln!(out, "\n**{left} more sets are left out here; `fleetwright plan` prints them all.**");
    }
    out.push_str(&tail);
    out
}

fn write_head(out: &mut String, summary: &Summary) {
    for Shared { path, sets } in summary.shared.iter().take(100) {
        let _ = writeln!(out, "\n- {} changes {}", code(path), counted(*sets, "set", "sets"));
    }
    if let Some(Approval { clusters, allowed, path, document, digest: _ }) = &summary.removal_approval {
        let _ = write!(out, "\n> [!WARNING]\n> {clusters} clusters are removed, and {allowed} are allowed. ");
        let _ = write!(out, "To go on, write {}:\n\n```yaml\n{document}```\n", code(path));
    }
    for quotas in summary.quotas.iter().flatten().take(100) {
        let alert = if quotas.are_too_small() { "WARNING" } else { "NOTE" };
        let _ = writeln!(out, "\n> [!{alert}]\n> {}", escaped(&quotas_of(quotas)));
        for line in quotas.lines() {
            let _ = writeln!(out, "> - {}", escaped(&line));
        }
    }
    for objection in summary.objections.iter().take(100) {
        let _ = writeln!(out, "\n> [!CAUTION]\n> The check took this out of the plan: {}", escaped(objection));
    }
}

fn folded(set: &PlannedSet) -> String {
    let wave = set.wave.as_ref().map_or_else(String::new, |wave| format!(", wave {wave}"));
    let mut out =
        format!("\n<details><summary><b>{}</b>: {}{wave}</summary>\n", html(&set.set.to_string()), verdict(set));
    if !set.changes.is_empty() {
        out.push_str("\n| field | from | to | what it does |\n|---|---|---|---|\n");
    }
    for Difference { field, from, to, class, why } in &set.changes {
        let class = class.map_or_else(String::new, |class| format!("{class}: "));
        let _ = writeln!(out, "| {} | {} | {} | {class}{} |", escaped(field), escaped(from), escaped(to), escaped(why));
    }
    out.push('\n');
    for line in effects(set) {
        let _ = writeln!(out, "- {}", escaped(&line));
    }
    for waiting in &set.waiting {
        let _ = writeln!(out, "- **waits:** {} ({})", escaped(&waiting.message), waiting.r#type);
    }
    out.push_str("\n</details>\n");
    out
}

fn code(text: &str) -> String {
    format!("`{}`", plain(text).replace('`', "'").replace('\n', " "))
}

fn html(text: &str) -> String {
    plain(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Text of others, with what Markdown or a host would obey (links, mentions, markup) made plain.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in plain(text).chars() {
        match c {
            '\n' => out.push(' '),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '@' => out.push_str("&#64;"),
            '#' => out.push_str("&#35;"),
            '|' | '`' | '[' | ']' | '*' | '_' | '\\' | '!' | '~' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_of_others_is_made_plain() {
        assert_eq!(escaped("a|b <img> @team `x`\n"), "a\\|b &lt;img&gt; &#64;team \\`x\\` ");
    }
}
