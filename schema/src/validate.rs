//! A document against its schema: the validator's findings as diagnostics at the places they are about.
//!
//! The wording is here, so that nobody has to read a regular expression or a schema path.

mod words;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{ValidationError, Validator};
use serde_json::{Map, Value, json};

use crate::diagnostic::{Diagnostic, Problems, did_you_mean, shown};
use crate::json_schema;
use crate::names::{ClusterName, ClusterTypeName, KubernetesVersion, Name, Region, SetId};
use crate::paths::DocumentKind;
use crate::positions::{Positions, escape};
use crate::units::{Duration, Timestamp};
use crate::yaml::{Content, Node};

struct Checked {
    kind: DocumentKind,
    schema: Value,
    validator: Validator,
}

/// Compiling takes longer than validating a thousand documents.
static CHECKED: LazyLock<Vec<Checked>> = LazyLock::new(|| DocumentKind::ALL.into_iter().filter_map(compile).collect());

/// Types whose own check words the problem better than their pattern.
type Check = fn(&str) -> Result<(), String>;

fn parses<T: std::str::FromStr<Err = String>>(text: &str) -> Result<(), String> {
    text.parse::<T>().map(drop)
}

const CHECKED_TYPES: [(&str, Check); 8] = [
    ("ClusterName", parses::<ClusterName>),
    ("ClusterTypeName", parses::<ClusterTypeName>),
    ("Duration", parses::<Duration>),
    ("KubernetesVersion", parses::<KubernetesVersion>),
    ("Name", parses::<Name>),
    ("Region", parses::<Region>),
    ("SetId", parses::<SetId>),
    ("Timestamp", parses::<Timestamp>),
];

fn compile(kind: DocumentKind) -> Option<Checked> {
    let mut schema = json_schema::schema(kind.as_str())?;
    for (name, _) in CHECKED_TYPES {
        if let Some(definition) = schema.pointer_mut(&format!("/$defs/{name}")) {
            *definition = json!({ "type": "string", "format": name });
        }
    }
    consts_to_enums(&mut schema);
    let options = CHECKED_TYPES.into_iter().fold(
        jsonschema::options().with_draft(jsonschema::Draft::Draft202012).should_validate_formats(true),
        |options, (name, check)| options.with_format(name, move |text: &str| check(text).is_ok()),
    );
    let validator = options.build(&schema).ok()?;
    Some(Checked { kind, schema, validator })
}

/// `oneOf` of constants, which carries descriptions for editors, as the `enum` that it is: its errors name the options.
fn consts_to_enums(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(consts_to_enums),
        Value::Object(fields) => {
            if let Some(options) = fields.get("oneOf").and_then(constants) {
                fields.remove("oneOf");
                fields.insert("enum".into(), Value::Array(options));
                fields.insert("type".into(), json!("string"));
            }
            fields.values_mut().for_each(consts_to_enums);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn constants(options: &Value) -> Option<Vec<Value>> {
    let mut found = Vec::new();
    for option in options.as_array()? {
        match (option.get("const"), option.get("enum")) {
            (Some(constant), _) => found.push(constant.clone()),
            (None, Some(Value::Array(several))) => found.extend(several.iter().cloned()),
            _ => return None,
        }
    }
    Some(found)
}

/// Tells all that the schema refuses; returns the document without its unknown fields.
pub(crate) fn check(kind: DocumentKind, value: &Value, positions: &Positions, problems: &mut Problems) -> Value {
    let mut known = value.clone();
    let Some(checked) = CHECKED.iter().find(|checked| checked.kind == kind) else {
        problems.add(Diagnostic::error("schema", positions.path(), "the built-in schema of this document is broken"));
        return known;
    };
    let context = Context { kind, schema: &checked.schema, positions };
    for error in checked.validator.iter_errors(value) {
        if problems.is_full() {
            break;
        }
        forget_unknown(&mut known, &error);
        let consequence =
            matches!(error.kind(), ValidationErrorKind::Required { .. }) && problems.has_rule("merge-key");
        if consequence {
            continue;
        }
        context.tell(&error, problems);
    }
    known
}

fn forget_unknown(known: &mut Value, error: &ValidationError<'_>) {
    let ValidationErrorKind::AdditionalProperties { unexpected } = error.kind() else { return };
    if let Some(Value::Object(fields)) = known.pointer_mut(error.instance_path().as_str()) {
        let unexpected: BTreeSet<&String> = unexpected.iter().collect();
        fields.retain(|key, _| !unexpected.contains(key));
    }
}

/// What the schema accepts and serde doesn't: a number with a fraction of zero, and whatever we did not think of.
pub(crate) fn untyped(positions: &Positions, message: &str) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    whole_fractions(positions.root(), String::new(), &mut found);
    let fraction = |pointer: String| {
        let problem = positions.problem(&pointer, "wrong-type", "a whole number is written without a fraction");
        let whole = positions.scalar(&pointer).and_then(|scalar| scalar.text.split_once('.'));
        problem.hint_maybe(whole.map(|(whole, _)| format!("write {whole}")))
    };
    match found.is_empty() {
        true => vec![positions.problem("", "wrong-type", message)],
        false => found.into_iter().map(fraction).collect(),
    }
}

fn whole_fractions(node: &Node, pointer: String, found: &mut Vec<String>) {
    match &node.content {
        Content::Scalar(scalar) => found.extend(scalar.to_value().is_f64().then_some(pointer)),
        Content::Sequence(items) => {
            items.iter().enumerate().for_each(|(i, item)| whole_fractions(item, format!("{pointer}/{i}"), found));
        }
        Content::Mapping(entries) => entries
            .iter()
            .for_each(|entry| whole_fractions(&entry.value, format!("{pointer}/{}", escape(&entry.key)), found)),
    }
}

struct Context<'a> {
    kind: DocumentKind,
    schema: &'a Value,
    positions: &'a Positions,
}

impl Context<'_> {
    fn tell(&self, error: &ValidationError<'_>, problems: &mut Problems) {
        let pointer = error.instance_path().as_str();
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                let known = self.properties_beside(error);
                unexpected.iter().for_each(|field| problems.add_with(|| self.unknown_field(pointer, field, known)));
            }
            _ => problems.add(self.problem(pointer, error)),
        }
    }

    fn problem(&self, pointer: &str, error: &ValidationError<'_>) -> Diagnostic {
        let field = words::field(pointer);
        let at = |rule, message: String| self.positions.problem(pointer, rule, message);
        match error.kind() {
            ValidationErrorKind::Required { property } => self.missing_field(pointer, property),
            ValidationErrorKind::Enum { options } => self.unknown_value(pointer, error.instance(), options),
            ValidationErrorKind::Constant { expected_value } => {
                self.unknown_value(pointer, error.instance(), &json!([**expected_value]))
            }
            ValidationErrorKind::Type { kind } => self.wrong_type(pointer, error.instance(), kind),
            ValidationErrorKind::Pattern { .. } => self.wrong_form(pointer, error.instance()),
            ValidationErrorKind::Format { format } => self.wrong_format(pointer, error.instance(), format),
            ValidationErrorKind::Minimum { limit } => at("out-of-range", format!("{field} is at least {limit}")),
            ValidationErrorKind::Maximum { limit } => at("out-of-range", format!("{field} is at most {limit}")),
            ValidationErrorKind::MinItems { limit } => {
                at("wrong-length", format!("{field} has at least {limit} items"))
            }
            ValidationErrorKind::MaxItems { limit } => at("wrong-length", format!("{field} has at most {limit} items")),
            ValidationErrorKind::MaxLength { limit } => {
                at("wrong-length", format!("{field} has at most {limit} characters"))
            }
            ValidationErrorKind::UniqueItems => at("duplicate-item", format!("{field} lists something twice")),
            ValidationErrorKind::PropertyNames { error: inner } => self.wrong_key(pointer, inner),
            _ => at("schema", format!("{field} is not valid: {}", shown(&error.to_string()))),
        }
    }

    fn unknown_field(&self, pointer: &str, field: &str, known: Option<&Map<String, Value>>) -> Diagnostic {
        let names: Vec<&str> = known.into_iter().flat_map(Map::keys).map(String::as_str).collect();
        let at = format!("{pointer}/{}", escape(field));
        let problem = self.positions.key_problem(&at, "unknown-field", format!("unknown field {}", shown(field)));
        let list = || (!names.is_empty() && names.len() <= 16).then(|| format!("known are {}", names.join(", ")));
        problem.hint_maybe(did_you_mean(field, names.iter().copied()).or_else(list))
    }

    /// The fields that the schema knows where it found one that it doesn't.
    fn properties_beside(&self, error: &ValidationError<'_>) -> Option<&Map<String, Value>> {
        let (around, _) = error.schema_path().as_str().rsplit_once('/')?;
        self.schema.pointer(around)?.get("properties")?.as_object()
    }

    fn missing_field(&self, pointer: &str, property: &Value) -> Diagnostic {
        let name = property.as_str().unwrap_or_default();
        let message = match words::last(pointer) {
            None => format!("the field `{name}` is missing"),
            Some(_) => format!("{} lacks the field `{name}`", words::field(pointer)),
        };
        let problem = self.positions.key_problem(pointer, "missing-field", message);
        problem.hint_maybe(words::header(self.kind, pointer, name))
    }

    fn unknown_value(&self, pointer: &str, instance: &Value, options: &Value) -> Diagnostic {
        let options: Vec<&str> = options.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let Some(text) = instance.as_str() else {
            return self.wrong_type_of(pointer, instance, "string");
        };
        if pointer == "/kind" {
            let message = format!("a file at this path is a {}, not a {}", self.kind.as_str(), shown(text));
            return self.positions.problem(pointer, "wrong-kind", message);
        }
        let message = format!("{} is no {}; known: {}", shown(text), words::noun(pointer), options.join(", "));
        let problem = self.positions.problem(pointer, "unknown-value", message);
        problem.hint_maybe(did_you_mean(text, options))
    }

    fn wrong_type(&self, pointer: &str, instance: &Value, kind: &TypeKind) -> Diagnostic {
        match kind {
            TypeKind::Single(expected) => self.wrong_type_of(pointer, instance, expected.as_str()),
            TypeKind::Multiple(_) => self.wrong_type_of(pointer, instance, "other"),
        }
    }

    fn wrong_type_of(&self, pointer: &str, instance: &Value, expected: &str) -> Diagnostic {
        let raw = self.positions.scalar(pointer);
        if let Some(raw) = raw.filter(|_| expected == "string" && instance.is_number() && words::is_version(pointer)) {
            let message = format!("{} is a number here, which loses zeros at its end", words::field(pointer));
            let problem = self.positions.problem(pointer, "version-must-be-quoted", message);
            return problem.hint(format!("write \"{}\"", raw.text));
        }
        let (field, wanted) = (words::field(pointer), words::type_name(expected));
        let message = match instance {
            Value::Null => format!("{field} has no value; it takes {wanted}"),
            _ => format!("{field} takes {wanted}, not {}", words::value_name(instance)),
        };
        let problem = self.positions.problem(pointer, "wrong-type", message);
        problem.hint_maybe(words::type_hint(pointer, expected, instance, raw))
    }

    fn wrong_form(&self, pointer: &str, instance: &Value) -> Diagnostic {
        let text = instance.as_str().unwrap_or_default();
        let message = format!("{} is no {}", shown(text), words::noun(pointer));
        let problem = self.positions.problem(pointer, "wrong-format", message);
        problem.hint_maybe(words::form_hint(pointer))
    }

    fn wrong_format(&self, pointer: &str, instance: &Value, format: &str) -> Diagnostic {
        let text = instance.as_str().unwrap_or_default();
        let check = CHECKED_TYPES.iter().find(|(name, _)| *name == format).map(|(_, check)| check);
        let told = check.and_then(|check| check(&text.chars().take(120).collect::<String>()).err());
        let message = told.unwrap_or_else(|| format!("{} is no {}", shown(text), words::noun(pointer)));
        self.positions.problem(pointer, "wrong-format", message)
    }

    fn wrong_key(&self, pointer: &str, inner: &ValidationError<'_>) -> Diagnostic {
        let key = inner.instance().as_str().unwrap_or_default();
        let at = format!("{pointer}/{}", escape(key));
        let message = format!("{} is no key of {}", shown(key), words::field(pointer));
        let options = match inner.kind() {
            ValidationErrorKind::Enum { options } => options.as_array().map(Vec::as_slice).unwrap_or_default(),
            _ => &[],
        };
        let problem = self.positions.key_problem(&at, "unknown-field", message);
        problem.hint_maybe(did_you_mean(key, options.iter().filter_map(Value::as_str)))
    }
}
