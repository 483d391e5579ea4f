//! Files that were written to hurt: refused, at once, and never with a panic.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use common::{SET, SET_PATH, bad, places};
use fleetwright_schema::document::read;
use fleetwright_schema::render;
use proptest::prelude::*;

/// Debug builds on busy machines take their time; without the limits these files take minutes, or the stack.
const AT_ONCE: Duration = Duration::from_secs(5);

fn refused_at_once(text: &str) -> Vec<String> {
    bad(SET_PATH, SET);
    let start = Instant::now();
    let problems = bad(SET_PATH, text);
    assert!(!problems.is_empty());
    let rendered = render::text(&problems, true);
    assert!(start.elapsed() < AT_ONCE, "{:?}", start.elapsed());
    assert!(rendered.len() < 200_000, "{} bytes are told", rendered.len());
    places(&problems)
}

#[test]
fn a_billion_laughs_are_refused() {
    let mut text = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        writeln!(text, "a{level}: &a{level} [{aliases}]").unwrap();
    }
    let places = refused_at_once(&text);
    assert_eq!(places.len(), 1);
    assert!(places[0].starts_with("alias-expansion"), "{places:?}");
}

#[test]
fn many_aliases_of_one_large_value_are_refused() {
    let large = vec!["x"; 2_000].join(", ");
    assert_eq!(refused_at_once(&format!("a: &a [{large}]\nb: *a\n")), ["alias-expansion 2:4"]);
}

#[test]
fn many_anchors_are_refused() {
    let text: String = (0..17).map(|i| format!("k{i}: &a{i} v\n")).collect();
    assert_eq!(refused_at_once(&text), ["too-many-anchors 17:6"]);
}

#[test]
fn aliases_do_not_get_around_the_depth() {
    let deep = format!("{}x{}", "[".repeat(20), "]".repeat(20));
    let text = format!("a: &a {deep}\nb: {}*a{}\n", "[".repeat(20), "]".repeat(20));
    assert!(refused_at_once(&text)[0].starts_with("too-deep 2:"));
}

#[test]
fn a_hundred_thousand_levels_are_refused() {
    let flow = "[".repeat(100_000);
    assert_eq!(refused_at_once(&flow), ["too-deep 1:256"], "the parser looks ahead");
    assert_eq!(refused_at_once(&format!("{flow}{}", "]".repeat(100_000))), ["too-deep 1:256"]);
    assert_eq!(refused_at_once(&"{a: ".repeat(60_000)), ["too-deep 1:1021"]);
    assert_eq!(refused_at_once(&"- ".repeat(100_000)), ["too-deep 1:65"]);
    assert_eq!(refused_at_once(&"? ".repeat(100_000)), ["too-deep 1:65"]);
    let block: String = (0..600).map(|level| format!("{}a:\n", " ".repeat(level))).collect();
    assert_eq!(refused_at_once(&block), ["too-deep 33:33"]);
}

#[test]
fn large_files_are_refused_unread() {
    let text = format!("{SET}# {}\n", "x".repeat(256 * 1024));
    assert_eq!(refused_at_once(&text), ["file-too-large"]);
}

#[test]
fn wide_files_with_a_problem_everywhere_are_refused_at_once() {
    let wide = |item: &str, separator: &str| {
        let header = "apiVersion: fleetwright.dev/v1alpha1\nkind: ClusterSet\nspec: ";
        let count = (250_000 - header.len()) / (item.len() + separator.len());
        format!("{header}{{ features: [{}] }}\n", vec![item; count].join(separator))
    };
    for text in [
        wide("a", ","),
        wide("[]", ","),
        wide("1", ","),
        wide("!x 1", ","),
        wide("{a: b, a: b}", ","),
        format!("{{{}}}", (0..25_000).map(|i| format!("k{i}: 1")).collect::<Vec<_>>().join(", ")),
        (0..25_000).map(|i| format!("k{i}: 1\n")).collect(),
        "a: b\n".repeat(50_000),
        format!("location: {}\n", "a/".repeat(120_000)),
        format!("location: a\nupdate_strategy: [{}]\n", vec!["a: b"; 40_000].join(", ")),
        format!("{}: x\n", "k".repeat(250_000)),
        format!("location: {{ {}: x }}\n", "k".repeat(900)),
        "\t".repeat(250_000),
        "\u{202E}".repeat(80_000),
        "\"".repeat(250_000),
        "'".repeat(250_000),
        "&".repeat(250_000),
        "*".repeat(250_000),
        "!".repeat(250_000),
        "|\n".repeat(120_000),
        "? a\n".repeat(60_000),
        "a:\n\n".repeat(60_000),
        "#\n".repeat(120_000),
        "---\n".repeat(60_000),
        "[a, ".repeat(60_000),
        format!("a: \"{}\"\n", "\\x41".repeat(60_000)),
        format!("a: \"{}\"\n", "x\n  ".repeat(60_000)),
        " ".repeat(250_000),
        "- -\n".repeat(60_000),
    ] {
        let places = refused_at_once(&text);
        assert!(places.len() <= 101, "{} problems", places.len());
    }
}

#[test]
fn what_is_left_out_is_counted() {
    let text: String = (0..500).map(|i| format!("k{i}: 1\n")).collect();
    let problems = bad(SET_PATH, text);
    assert_eq!(problems.last().unwrap().rule, "too-many-problems");
    assert_eq!(problems.len(), 101);
}

/// Nested YAML in flow and block style, with all that is special in it.
fn yaml() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        "[a-z]{1,6}",
        Just("1.30".to_owned()),
        Just("~".to_owned()),
        Just("*a".to_owned()),
        Just("&a x".to_owned()),
        Just("!!str x".to_owned()),
        Just("<<".to_owned()),
        Just("\"\\u202E\"".to_owned()),
        Just("|\n  x".to_owned()),
        "[ -~]{0,8}",
        "\\PC{0,4}",
    ];
    scalar.prop_recursive(6, 64, 5, |inner| {
        let items = prop::collection::vec(inner.clone(), 0..5);
        let entries = prop::collection::vec(("[a-zA-Z_<-]{1,8}", inner), 0..5);
        prop_oneof![
            items.clone().prop_map(|items| format!("[{}]", items.join(", "))),
            items.prop_map(|items| items.iter().map(|item| format!("\n- {}", item.replace('\n', "\n  "))).collect()),
            entries.prop_map(|entries| {
                entries.iter().map(|(key, value)| format!("\n{key}: {}", value.replace('\n', "\n  "))).collect()
            }),
        ]
    })
}

fn reads_or_tells(path: &str, bytes: &[u8]) {
    if let Err(problems) = read(path, bytes) {
        assert!(!problems.is_empty());
        assert!(problems.iter().any(|problem| problem.is_error()));
        for text in [render::text(&problems, true), render::github(&problems), render::sarif(&problems)] {
            assert!(!text.is_empty());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        reads_or_tells(SET_PATH, &bytes);
    }

    #[test]
    fn arbitrary_text_never_panics(text in "[\\-\\[\\]{}:,?!&*#|>'\"%@`a-z0-9 \n\r\t\u{202e}\u{85}\u{2028}é]{0,120}") {
        reads_or_tells(SET_PATH, text.as_bytes());
    }

    #[test]
    fn arbitrary_nested_yaml_never_panics(text in yaml()) {
        reads_or_tells(SET_PATH, text.as_bytes());
        reads_or_tells("fleet.yaml", text.as_bytes());
    }

    #[test]
    fn documents_with_a_piece_replaced_never_panic(text in yaml(), at in 0..16_usize, older in any::<bool>()) {
        let begin = if older { common::OLDER_SET } else { SET };
        let lines: Vec<&str> = begin.lines().collect();
        let at = at % lines.len();
        let key = lines[at].split_inclusive(':').next().unwrap_or_default();
        let line = format!("{key} {}", text.replace('\n', "\n        "));
        let changed: Vec<&str> = lines.iter().enumerate().map(|(i, old)| if i == at { line.as_str() } else { old }).collect();
        reads_or_tells(SET_PATH, changed.join("\n").as_bytes());
    }
}
