use std::path::{Path, PathBuf};

use super::*;

/// What EKS asks of whoever calls it, and what is asked when something is made with tags.
const NOT_CALLED: [&str; 4] = ["iam:PassRole", "iam:CreateServiceLinkedRole", "kms:CreateGrant", "kms:DescribeKey"];
/// An attached policy has no more characters, spaces not counted.
const POLICY_CHARACTERS_MAX: usize = 6144;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn text(policy: &Value) -> String {
    format!("{policy:#}\n")
}

#[test]
fn the_policies_that_are_handed_out_are_current() {
    for (name, policy) in [("reader.json", reader("aws")), ("writer.json", writer("aws"))] {
        let path = root().join("policies").join(name);
        if std::env::var_os("FLEETWRIGHT_BLESS").is_some() {
            std::fs::write(&path, text(&policy)).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(written == text(&policy), "{name} is old; run the tests once with FLEETWRIGHT_BLESS=1");
    }
}

#[test]
fn the_policies_fit_into_one_attached_policy_each() {
    for policy in [reader("aws-us-gov"), writer("aws-us-gov")] {
        let length = policy.to_string().chars().filter(|letter| !letter.is_whitespace()).count();
        assert!(length <= POLICY_CHARACTERS_MAX, "{length}");
    }
}

#[test]
fn the_reader_changes_nothing() {
    let verbs = ["Describe", "List", "Get", "Simulate"];
    for action in reads() {
        let (_, operation) = action.split_once(':').unwrap();
        assert!(verbs.iter().any(|verb| operation.starts_with(verb)), "{action}");
    }
}

#[test]
fn what_is_changed_is_held_to_tags_names_or_conditions() {
    for rule in WRITING.iter().filter(|rule| rule.when.is_empty()) {
        for (action, on) in rule.allows {
            let named = on.iter().all(|on| on.contains("fleetwright") || on.contains("aws-service-role"));
            let known = ["SweepWhatClustersLeave", "EksUsesTheAccountsKey"].contains(&rule.name);
            assert!(named || known, "{action} is open");
        }
    }
}

/// All sources of the crate, without white space and without their tests.
fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let is_ours = path.file_name().is_some_and(|name| name == "policy" || name == "tests.rs");
        if path.is_dir() && !is_ours {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") && !is_ours {
            let text = std::fs::read_to_string(&path).unwrap();
            let text = text.split("#[cfg(test)]").next().unwrap_or_default();
            found.push(text.split_whitespace().collect());
        }
    }
}

fn pascal(snake: &str) -> String {
    let upper = |word: &str| word[..1].to_uppercase() + &word[1..];
    snake.split('_').filter(|word| !word.is_empty()).map(upper).collect()
}

/// `.iam.list_roles(` and the like.
fn of_sdks(source: &str, called: &mut BTreeSet<String>) {
    for service in ["eks", "iam", "kinesis", "sts"] {
        for (at, marker) in source.match_indices(&format!(".{service}.")) {
            let rest = &source[at + marker.len()..];
            let end = rest.find(|letter: char| !letter.is_ascii_lowercase() && letter != '_').unwrap_or(0);
            if rest[end..].starts_with("()") {
                called.insert(format!("{service}:{}", pascal(&rest[..end])));
            }
        }
    }
}

/// The operations that are named in words, `"DescribeVpcs"`.
fn by_words(source: &str, called: &mut BTreeSet<String>) {
    let verbs = [
        "Allocate",
        "Associate",
        "Attach",
        "Authorize",
        "Create",
        "Delete",
        "Describe",
        "Detach",
        "Disassociate",
        "Get",
        "Modify",
        "Release",
        "Replace",
        "Revoke",
    ];
    let words = source.split('"').skip(1).step_by(2);
    let words = words.filter(|word| word.chars().all(|letter| letter.is_ascii_alphanumeric()));
    for word in words.filter(|word| verbs.iter().any(|verb| word.starts_with(verb) && word.len() > verb.len())) {
        let service = match word {
            "GetServiceQuota" => "servicequotas",
            word if ["LoadBalancer", "TargetGroup"].iter().any(|thing| word.contains(thing)) => "elasticloadbalancing",
            // Of both.
            "DescribeTags" => {
                called.insert("ec2:DescribeTags".to_owned());
                "elasticloadbalancing"
            }
            word if word.ends_with("Response") || word == "DeleteConflict" => continue,
            _ => "ec2",
        };
        called.insert(format!("{service}:{word}"));
    }
}

#[test]
fn every_operation_in_the_sources_is_in_the_policies_and_nothing_else_is() {
    let (mut all, mut called) = (Vec::new(), BTreeSet::new());
    sources(&root().join("src"), &mut all);
    for source in &all {
        of_sdks(source, &mut called);
        by_words(source, &mut called);
    }
    assert!(called.len() > 80, "the sources were not understood: {called:?}");
    let allowed: BTreeSet<String> = reads().union(&writes()).map(|action| (*action).to_owned()).collect();
    let lacking: Vec<&String> = called.difference(&allowed).filter(|call| !FREE.contains(&call.as_str())).collect();
    assert!(lacking.is_empty(), "called and not allowed: {lacking:?}");
    let spare: Vec<&String> = allowed.difference(&called).filter(|call| !NOT_CALLED.contains(&call.as_str())).collect();
    assert!(spare.is_empty(), "allowed and never called: {spare:?}");
}

#[test]
fn a_call_that_no_policy_names_is_found() {
    let calls = Calls::default();
    calls.count("sts", "GetCallerIdentity");
    calls.count("ec2", "DescribeVpcs");
    assert_eq!((covers(&calls), reader_covers(&calls)), (Ok(()), Ok(())));
    calls.count("iam", "DeleteRole");
    assert_eq!((covers(&calls), reader_covers(&calls)), (Ok(()), Err(vec!["iam:DeleteRole".to_owned()])));
    calls.count("iam", "DeleteAccountAlias");
    assert_eq!(covers(&calls), Err(vec!["iam:DeleteAccountAlias".to_owned()]));
}
