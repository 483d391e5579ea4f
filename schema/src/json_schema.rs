//! The JSON Schemas of all documents, generated from their types: what editors validate with, checked in below `json/`.
//!
//! They are stricter than serde in one thing: a field without a value (`count:`) is refused, not taken for left out.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use crate::documents::{ClusterSet, ClusterType, Fleet, InfraService, RemovalApproval};
use crate::status::{ClusterIndex, ClusterSetStatus};

const KINDS: [&str; 7] =
    ["Fleet", "ClusterType", "ClusterSet", "InfraService", "RemovalApproval", "ClusterSetStatus", "ClusterIndex"];

/// All kinds that have a schema.
pub fn kinds() -> &'static [&'static str] {
    &KINDS
}

/// The schema of a kind, JSON Schema 2020-12; equal for equal types.
pub fn schema(kind: &str) -> Option<Value> {
    let generated = match kind {
        "Fleet" => generate::<Fleet>(),
        "ClusterType" => generate::<ClusterType>(),
        "ClusterSet" => generate::<ClusterSet>(),
        "InfraService" => generate::<InfraService>(),
        "RemovalApproval" => generate::<RemovalApproval>(),
        "ClusterSetStatus" => generate::<ClusterSetStatus>(),
        "ClusterIndex" => generate::<ClusterIndex>(),
        _ => return None,
    };
    Some(finish(kind, generated))
}

fn generate<T: JsonSchema>() -> Schema {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>()
}

fn finish(kind: &str, generated: Schema) -> Value {
    let mut body = generated.to_value();
    tidy(&mut body);
    let mut out = Map::new();
    out.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
    out.insert("$id".into(), json!(format!("https://fleetwright.dev/schema/v1alpha1/{kind}.json")));
    if let Value::Object(fields) = body {
        out.extend(fields.into_iter().filter(|(key, _)| key != "$schema"));
    }
    Value::Object(out)
}

/// Takes out what serde would tolerate, and bounds every integer by its type, so that what a schema accepts is typed
/// without a further error.
fn tidy(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Object(fields) => {
            refuse_null(fields);
            bound_integer(fields);
            fields.values_mut().for_each(tidy);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn refuse_null(fields: &mut Map<String, Value>) {
    if fields.get("default").is_some_and(Value::is_null) {
        fields.remove("default");
    }
    if let Some(Value::Array(types)) = fields.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            fields.insert("type".into(), only);
        }
    }
    if let Some(Value::Array(mut options)) = fields.remove("anyOf") {
        options.retain(|option| option.get("type").is_none_or(|name| name != "null"));
        match <[Value; 1]>::try_from(options) {
            Ok([Value::Object(only)]) => fields.extend(only),
            Ok([other]) => drop(fields.insert("anyOf".into(), json!([other]))),
            Err(several) => drop(fields.insert("anyOf".into(), Value::Array(several))),
        }
    }
}

fn bound_integer(fields: &mut Map<String, Value>) {
    let maximum = match fields.get("format").and_then(Value::as_str) {
        Some("uint8") => u32::from(u8::MAX),
        Some("uint16") => u32::from(u16::MAX),
        Some("uint32") => u32::MAX,
        _ => return,
    };
    fields.remove("format");
    fields.entry("maximum").or_insert_with(|| json!(maximum));
}
