//! What is generated or tabulated agrees with the types.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;

use fleetwright_schema::json_schema::{kinds, schema};
use fleetwright_schema::names::{Cloud, Region};

#[test]
fn the_checked_in_schemas_are_those_of_the_types() {
    for kind in kinds() {
        let path = format!("{}/json/{kind}.json", env!("CARGO_MANIFEST_DIR"));
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        let current = serde_json::to_string_pretty(&schema(kind)).unwrap() + "\n";
        assert!(written == current, "{kind}.json is old: cargo run -p fleetwright-schema --example generate");
    }
}

#[test]
fn no_other_schemas_are_checked_in() {
    let folder = std::fs::read_dir(format!("{}/json", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let found: BTreeSet<String> = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(found, kinds().iter().map(|kind| format!("{kind}.json")).collect());
}

#[test]
fn schemas_are_valid_and_name_themselves() {
    for kind in kinds() {
        let schema = schema(kind).unwrap();
        assert!(jsonschema::meta::is_valid(&schema), "{kind}");
        assert_eq!(schema["title"], *kind);
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert!(schema["$id"].as_str().unwrap().ends_with(&format!("/{kind}.json")));
        assert!(schema["description"].is_string());
    }
    assert_eq!(schema("Other"), None);
}

#[test]
fn the_short_forms_of_regions_are_unique_in_their_cloud() {
    for cloud in Cloud::ALL {
        let regions: Vec<_> = Region::table().iter().filter(|facts| facts.cloud == cloud).collect();
        let shorts: BTreeSet<&str> = regions.iter().map(|facts| facts.short.as_str()).collect();
        let names: BTreeSet<&str> = regions.iter().map(|facts| facts.name.as_str()).collect();
        assert!(regions.len() > 20, "{cloud}");
        assert_eq!((shorts.len(), names.len()), (regions.len(), regions.len()), "{cloud}");
    }
}

#[test]
fn the_names_and_short_forms_of_regions_are_valid() {
    for facts in Region::table() {
        let region: Region = facts.name.parse().unwrap();
        assert_eq!(region.facts(facts.cloud).unwrap().short, facts.short);
        let sound = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        assert!(!facts.short.is_empty() && facts.short.len() <= 8 && facts.short.chars().all(sound), "{facts:?}");
    }
}
