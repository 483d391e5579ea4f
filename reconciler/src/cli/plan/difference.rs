//! What differs between two wishes beside the clusters' template: sizes, strategy, pauses. These change no cluster.

use std::collections::BTreeMap;

use fleetwright_schema::set::ResolvedSet;
use serde_json::Value;

use super::summary::Difference;

/// The fields that differ, in the order of their names.
pub fn settings(from: &ResolvedSet, to: &ResolvedSet) -> Vec<Difference> {
    let (from, to) = (leaves(from), leaves(to));
    let fields: std::collections::BTreeSet<&String> = from.keys().chain(to.keys()).collect();
    let changed = fields.into_iter().filter(|field| from.get(*field) != to.get(*field));
    let shown = |value: Option<&String>| value.cloned().unwrap_or_else(|| "none".to_owned());
    changed
        .map(|field| Difference {
            field: field.clone(),
            from: shown(from.get(field)),
            to: shown(to.get(field)),
            class: None,
            why: why(field).to_owned(),
        })
        .collect()
}

fn why(field: &str) -> &'static str {
    match field {
        "count" => "clusters are built or retired",
        "paused" | "pausedClusters" => "what is paused is not touched",
        "deletionPolicy" => "says what happens when the set's file is removed",
        _ => "how changes reach the clusters; changes none by itself",
    }
}

/// Values by dotted field, without the template, which is classed by its own rules.
fn leaves(set: &ResolvedSet) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    if let Ok(Value::Object(mut fields)) = serde_json::to_value(set) {
        fields.remove("template");
        walk(&Value::Object(fields), "", &mut found);
    }
    found
}

fn walk(value: &Value, field: &str, found: &mut BTreeMap<String, String>) {
    let Value::Object(fields) = value else {
        found.insert(field.to_owned(), shown(value));
        return;
    };
    for (key, value) in fields {
        let name = if field.is_empty() { key.clone() } else { format!("{field}.{key}") };
        walk(value, &name, found);
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(", "),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}
