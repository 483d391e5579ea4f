//! How problems look, on terminals and to tools.
#![allow(clippy::unwrap_used, clippy::panic)]

use fleetwright_schema::diagnostic::{Diagnostic, Span};
use fleetwright_schema::render::{github, json, sarif, text};

fn problem(path: &str, line: &str, column: usize, end_column: usize) -> Diagnostic {
    Diagnostic::error("unknown-field", path, "unknown field `cuont`")
        .at(Span { line: 7, column, end_column }, line)
        .hint("did you mean `count`?")
}

#[test]
fn a_problem_looks_like_rustc_says_it() {
    let problems = [
        problem("clustersets/dev/aws/us-east-1/A.yaml", "  cuont: 5", 3, 8),
        Diagnostic::warning("address-pools-overlap", "fleet.yaml", "two pools have addresses in common"),
    ];
    insta::assert_snapshot!(text(&problems, false));
}

#[test]
fn colours_are_shown_when_asked_for() {
    let problems = [problem("fleet.yaml", "  cuont: 5", 3, 8)];
    assert!(text(&problems, true).contains("\u{1b}["));
    assert!(!text(&problems, false).contains('\u{1b}'));
}

#[test]
fn long_lines_are_cut_around_the_place() {
    let line = format!("{}cuont: 5 {}", "a: b, ".repeat(20_000), "c: d, ".repeat(20_000));
    let shown = text(&[problem("fleet.yaml", &line, 120_001, 120_006)], false);
    assert!(shown.len() < 1_000, "{} bytes", shown.len());
    assert!(shown.contains("cuont: 5") && shown.contains("^^^^^"), "{shown}");
    assert!(shown.contains("fleet.yaml:7:120001"), "{shown}");
    insta::assert_snapshot!(shown);
}

#[test]
fn wide_and_tabbed_lines_keep_the_caret_below_its_character() {
    insta::assert_snapshot!(text(&[problem("fleet.yaml", "\tカ: é, cuont: 5", 8, 13)], false));
}

#[test]
fn characters_that_terminals_obey_are_written_out() {
    let hostile = "\u{1b}[2Jx\u{202E}y\u{7}z\r\u{85}\u{2028}";
    let problem = Diagnostic::error("tab", format!("a{hostile}.yaml"), format!("m{hostile}"))
        .at(Span { line: 1, column: 1, end_column: 3 }, format!("s{hostile}"))
        .hint(format!("h{hostile}"));
    let shown = text(&[problem], false);
    let obeyed = |c: &char| (c.is_control() && *c != '\n') || matches!(*c, '\u{202A}'..='\u{202E}' | '\u{2028}');
    assert_eq!(shown.chars().find(obeyed), None, "{shown:?}");
    assert_eq!(shown.lines().filter(|line| line.starts_with("error")).count(), 1);
}

#[test]
fn workflow_commands_can_not_be_broken_out_of() {
    let evil = Diagnostic::error("tab", "a,b:c\n::set-env name=x::y.yaml", "100%\r\n::error::x").hint("h");
    let shown = github(&[evil, problem("fleet.yaml", "  cuont: 5", 3, 8)]);
    assert_eq!(shown.lines().count(), 2);
    insta::assert_snapshot!(shown);
}

#[test]
fn json_and_sarif_say_the_same() {
    let problems = [
        problem("infra services/a.yaml", "  cuont: 5", 3, 8),
        Diagnostic::warning("address-pools-overlap", "fleet.yaml", "two pools have addresses in common"),
    ];
    insta::assert_snapshot!("json", json(&problems));
    insta::assert_snapshot!("sarif", sarif(&problems));
    serde_json::from_str::<serde_json::Value>(&sarif(&problems)).unwrap();
}
