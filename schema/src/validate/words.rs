//! Words for fields, types and values.

use serde_json::Value;

use crate::documents::API_VERSION;
use crate::paths::DocumentKind;
use crate::yaml::Scalar;

/// The last key of a pointer that is no index; none for the document itself.
pub(super) fn last(pointer: &str) -> Option<&str> {
    pointer.rsplit('/').find(|token| !token.is_empty() && !token.bytes().all(|b| b.is_ascii_digit()))
}

/// A value as messages name it: `` `count` ``, `an item of `features``, `the document`.
pub(super) fn field(pointer: &str) -> String {
    let item = pointer.rsplit('/').next().is_some_and(|token| token.bytes().all(|b| b.is_ascii_digit()));
    match last(pointer).map(|key| key.replace("~1", "/").replace("~0", "~")) {
        None => "the document".into(),
        Some(key) if item => format!("an item of {}", crate::diagnostic::shown(&key)),
        Some(key) => crate::diagnostic::shown(&key),
    }
}

/// What the value of a field is called.
pub(super) fn noun(pointer: &str) -> &'static str {
    match last(pointer).unwrap_or_default() {
        "apiVersion" => "version of our formats",
        "features" => "feature",
        "cloud" | "clouds" => "cloud",
        "deletionPolicy" => "deletion policy",
        "drain" => "way to drain",
        "onDrainTimeout" => "policy after a drain's time",
        "rotateOn" => "field that clusters can be rotated on",
        "provider" => "provider",
        "per" => "scope of a budget",
        "days" => "day of the week",
        "instanceType" => "machine type",
        "existing" => "provider's id of a network",
        "id" => "account, subscription or project",
        "cidr" => "block of addresses",
        "start" => "time of day",
        "timeZone" => "time zone",
        "branch" => "branch",
        "version" => "version",
        "digest" => "digest of removals",
        _ => "value of this field",
    }
}

/// What a field's text looks like.
pub(super) fn form_hint(pointer: &str) -> Option<String> {
    let form = match last(pointer)? {
        "instanceType" => "use letters, digits, '.', '_' and '-', like D32s_v3 or m6i.2xlarge",
        "existing" => "use the id as the provider shows it, at most 256 characters",
        "id" => "use letters, digits, '.', '_' and '-', at most 64 characters",
        "cidr" => "write it like 10.0.0.0/10",
        "start" => "write it like \"22:00\"",
        "timeZone" => "write it like Europe/Berlin",
        "branch" => "use letters, digits, '.', '_', '/' and '-', beginning with a letter or digit",
        "version" => "use letters, digits, '.', '_', '+' and '-', at most 64 characters",
        "digest" => "copy the 16 characters that `fleetwright plan` prints",
        _ => return None,
    };
    Some(form.into())
}

/// Whether the field is a version, which people write without quotes.
pub(super) fn is_version(pointer: &str) -> bool {
    matches!(last(pointer), Some("kubernetesVersion" | "version"))
}

/// The first lines of a document, for those who left them out.
pub(super) fn header(kind: DocumentKind, pointer: &str, name: &str) -> Option<String> {
    match (pointer, name) {
        ("", "apiVersion") => Some(format!("write apiVersion: {API_VERSION}")),
        ("", "kind") => Some(format!("write kind: {}", kind.as_str())),
        _ => None,
    }
}

pub(super) fn type_name(expected: &str) -> &'static str {
    match expected {
        "string" => "text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        "array" => "a list",
        "object" => "fields",
        "null" => "nothing",
        _ => "something else",
    }
}

pub(super) fn value_name(instance: &Value) -> &'static str {
    match instance {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(number) if number.is_f64() => "a number with a fraction",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "fields",
    }
}

pub(super) fn type_hint(pointer: &str, expected: &str, instance: &Value, raw: Option<&Scalar>) -> Option<String> {
    match (expected, instance) {
        ("object", Value::String(_)) if pointer == "/metadata/location" => {
            Some("write { env: prod, cloud: azure, region: westeurope }, or prod/azure/westeurope".into())
        }
        (_, Value::Null) => Some("give it a value, or leave the field out".into()),
        ("string", Value::Bool(_) | Value::Number(_)) => raw.map(|raw| format!("quote it: \"{}\"", raw.text)),
        ("integer" | "number", Value::String(_)) => raw.and_then(number_hint),
        ("boolean", Value::String(_)) => {
            raw.and_then(Scalar::boolean_meant).map(|word| format!("write {word}; YAML 1.2 has only true and false"))
        }
        ("array", Value::String(_) | Value::Number(_) | Value::Object(_)) => {
            Some("write a list, an item a line, each after `- `".into())
        }
        ("object", Value::Array(_)) => Some("write `field: value`, without `- `".into()),
        _ => None,
    }
}

/// Why a text is no number, where other tools would take it for one.
fn number_hint(raw: &Scalar) -> Option<String> {
    let digits = || "write numbers in decimal digits alone, without leading zeros, signs, `_` or exponents".to_owned();
    let large =
        raw.plain && raw.text.trim_start_matches('-').bytes().all(|b| b.is_ascii_digit()) && raw.text.len() > 18;
    match raw.is_quoted_number() {
        true => Some(format!("remove the quotes: {}", raw.text)),
        false if large => Some("no number here is that large".to_owned()),
        false => raw.number_meant().then(digits),
    }
}
