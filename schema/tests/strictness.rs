//! YAML that other readers tolerate, each with the rule that refuses it.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{SET, SET_PATH, bad, good, places};

fn after_spec(line: &str) -> String {
    SET.replacen("spec:\n", &format!("spec:\n{line}\n"), 1)
}

#[test]
fn each_strictness_rule_has_its_name_and_place() {
    let mut wrong = Vec::new();
    for (line, place) in [
        ("  count: 4", "duplicate-key 8:3"),
        ("  <<: { paused: true }", "merge-key 7:3"),
        ("  paused: !!bool true", "tag 7:11"),
        ("  paused: !x true", "tag 7:11"),
        ("  paused: !!binary aGk=", "tag 7:11"),
        ("  1: x", "key-not-text 7:3"),
        ("  true: x", "key-not-text 7:3"),
        ("  ~: x", "key-not-text 7:3"),
        ("  [a]: x", "key-not-text 7:3"),
        ("  ? { a: b }\n  : x", "key-not-text 7:5"),
        ("\tpaused: true", "tab 7:1"),
        ("  paused:\ttrue", "tab 7:10"),
        ("  # \u{202E}true :desuap", "bidi-override 7:5"),
        ("  # \u{7}", "control-character 7:5"),
        ("  tagz: \"\\u202E\"", "bidi-override 7:9"),
        ("  tagz: \"\\a\"", "control-character 7:9"),
        ("  paused: *nowhere", "yaml-syntax 7:11"),
        ("  paused: &self [*self]", "alias-cycle 7:18"),
        ("  paused: \"open", "yaml-syntax 7:11"),
        ("--- \na: b", "several-documents 7:1"),
    ] {
        let found = places(&bad(SET_PATH, after_spec(line)));
        if !found.contains(&place.to_owned()) {
            wrong.push(format!("{line:?}: {found:?}"))
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn encodings_other_than_utf8_are_refused() {
    let utf16: Vec<u8> = SET.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let with_mark = [&[0xFF, 0xFE], utf16.as_slice()].concat();
    assert_eq!(places(&bad(SET_PATH, utf16)), ["not-utf8"]);
    assert_eq!(places(&bad(SET_PATH, with_mark)), ["not-utf8"]);
    let marked = [b"\xEF\xBB\xBF", SET.as_bytes()].concat();
    assert_eq!(places(&bad(SET_PATH, marked)), ["byte-order-mark"]);
    let mut broken = SET.as_bytes().to_vec();
    broken[SET.find("ModelServing").unwrap()] = 0xC3;
    let problems = bad(SET_PATH, broken);
    assert_eq!(places(&problems), ["not-utf8 4:16"]);
    assert!(problems[0].message.contains("byte 79 (0xC3)"), "{}", problems[0].message);
}

#[test]
fn files_without_a_document_are_refused() {
    for text in ["", "\n", "# nothing\n", "---\n", "~\n", "---\n...\n"] {
        assert_eq!(places(&bad(SET_PATH, text)).first().map(|place| &place[..14]), Some("empty-document"), "{text:?}");
    }
    assert_eq!(places(&bad(SET_PATH, "just text\n")), ["wrong-type 1:1"]);
    assert_eq!(places(&bad(SET_PATH, "- a\n- b\n")), ["wrong-type 1:1"]);
    assert_eq!(places(&bad(SET_PATH, format!("%YAML 1.1\n---\n{SET}"))), ["directive 1:1"]);
}

#[test]
fn anchors_within_bounds_are_read() {
    let text =
        SET.replace("infraServices: [rbac,", "infraServices: [&first rbac,").replace("team: serving", "team: *first");
    let parsed = good(SET_PATH, &text);
    assert_eq!(parsed.value["spec"]["tags"]["team"], "rbac");
}

#[test]
fn windows_line_ends_and_document_marks_are_read() {
    let parsed = good(SET_PATH, &format!("---\n{SET}...\n").replace('\n', "\r\n"));
    assert_eq!(parsed.positions.source_line(8), Some("  count: 5"));
    assert_eq!(parsed.positions.span("/spec/count").unwrap().line, 8);
}

#[test]
fn why_a_text_is_no_number_or_boolean_is_told() {
    let hint = |from: &str, to: &str| bad(SET_PATH, SET.replacen(from, to, 1))[0].hint.clone().unwrap_or_default();
    assert!(hint("count: 5", "count: 0755").contains("decimal digits"));
    assert!(hint("count: 5", "count: 1_000").contains("decimal digits"));
    assert_eq!(hint("count: 5", "count: '5'"), "remove the quotes: 5");
    assert!(hint("spec:\n", "spec:\n  paused: yes\n").contains("write true"));
    assert!(hint("spec:\n", "spec:\n  paused: Off\n").contains("write false"));
    assert_eq!(hint("\"1.33\"", "1.30"), "write \"1.30\"");
    assert_eq!(hint("team: serving", "team: 0.10"), "quote it: \"0.10\"");
}
