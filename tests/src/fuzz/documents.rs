//! Single documents: refused with a place, or accepted and then the same after every way of writing them again.

use fleetwright_schema::document::{Document, Parsed, expected_kind, read};

use super::Reached;
use super::archive::{Files, files};
use super::told::judge_file;

/// Reads each file of the input by itself.
pub fn run(input: &[u8]) -> Reached {
    let mut reached = Reached::new();
    let files = files(input);
    for (path, content) in &files {
        one(path, content, &files, &mut reached);
    }
    reached
}

fn one(path: &str, content: &[u8], files: &Files, reached: &mut Reached) {
    let kind = expected_kind(path).map_or("none", |kind| kind.as_str());
    match (read(path, content), read(path, content)) {
        (Ok(parsed), Ok(again)) => {
            assert_eq!((&parsed.document, &parsed.value), (&again.document, &again.value), "read twice");
            reached.insert(format!("{kind} accepted"));
            judge_file(&parsed.warnings, path, files, reached);
            same_when_written_again(path, &parsed);
        }
        (Err(problems), Err(again)) => {
            assert_eq!(problems, again, "read twice");
            assert!(problems.iter().any(|problem| problem.is_error()), "refused without an error");
            reached.insert(format!("{kind} refused"));
            judge_file(&problems, path, files, reached);
        }
        _ => panic!("{path} is accepted once and refused once"),
    }
}

fn same_when_written_again(path: &str, parsed: &Parsed) {
    for text in [serde_json::to_string(&parsed.value).unwrap(), yaml(&parsed.document)] {
        match read(path, text.as_bytes()) {
            Ok(again) => assert_eq!(again.document, parsed.document, "another document:\n{text}"),
            Err(problems) => panic!("refused when written again: {problems:?}\n{text}"),
        }
    }
}

fn yaml(document: &Document) -> String {
    match document {
        Document::Fleet(document) => serde_saphyr::to_string(document),
        Document::ClusterType(document) => serde_saphyr::to_string(document),
        Document::ClusterSet(document) => serde_saphyr::to_string(document),
        Document::InfraService(document) => serde_saphyr::to_string(document),
        Document::RemovalApproval(document) => serde_saphyr::to_string(document),
    }
    .unwrap()
}
