//! Shapes, and whether a value has one.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

/// By name.
#[derive(Default, Deserialize)]
#[serde(transparent)]
pub(super) struct Shapes(BTreeMap<String, Shape>);

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ShapeRef {
    pub(super) shape: String,
    /// `uri`, `querystring`; the body where there is none.
    pub(super) location: Option<String>,
    pub(super) location_name: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub(super) enum Shape {
    Structure {
        #[serde(default)]
        required: Vec<String>,
        #[serde(default)]
        members: BTreeMap<String, ShapeRef>,
    },
    List {
        member: ShapeRef,
        #[serde(flatten)]
        range: Range,
    },
    Map {
        value: ShapeRef,
        #[serde(flatten)]
        range: Range,
    },
    String {
        #[serde(default, rename = "enum")]
        words: Vec<String>,
        #[serde(flatten)]
        range: Range,
    },
    Integer {
        #[serde(flatten)]
        range: Range,
    },
    Boolean {},
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Range {
    min: Option<i64>,
    max: Option<i64>,
}

impl Range {
    fn check(self, size: i64, at: &str, what: &str) -> Result<(), String> {
        if let Some(min) = self.min.filter(|min| size < *min) {
            return Err(format!("{what} of {at} is {size}, and at least {min}"));
        }
        match self.max.filter(|max| size > *max) {
            Some(max) => Err(format!("{what} of {at} is {size}, and at most {max}")),
            None => Ok(()),
        }
    }
}

fn size(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

impl Shapes {
    pub(super) fn get(&self, name: &str) -> Option<&Shape> {
        self.0.get(name)
    }
    /// Whether this value has this shape, or what is wrong, where.
    pub(super) fn check(&self, name: &str, value: &Value, at: &str) -> Result<(), String> {
        match (self.get(name), value) {
            (Some(Shape::Structure { required, members }), Value::Object(given)) => {
                if let Some(missing) = required.iter().find(|member| !given.contains_key(*member)) {
                    return Err(format!("{at}{missing} is missing"));
                }
                given.iter().try_for_each(|(key, value)| match members.get(key) {
                    Some(member) => self.check(&member.shape, value, &format!("{at}{key}.")),
                    None => Err(format!("there is no {at}{key}")),
                })
            }
            (Some(Shape::List { member, range }), Value::Array(items)) => {
                range.check(size(items.len()), at, "the length")?;
                items.iter().try_for_each(|item| self.check(&member.shape, item, at))
            }
            (Some(Shape::Map { value: member, range }), Value::Object(entries)) => {
                range.check(size(entries.len()), at, "the size")?;
                entries.iter().try_for_each(|(key, entry)| self.check(&member.shape, entry, &format!("{at}{key}.")))
            }
            (Some(Shape::String { words, range }), Value::String(text)) => {
                range.check(size(text.chars().count()), at, "the length")?;
                match words.is_empty() || words.contains(text) {
                    true => Ok(()),
                    false => Err(format!("{at} can't be {text}; known are {}", words.join(", "))),
                }
            }
            (Some(Shape::Integer { range }), Value::Number(number)) if number.is_i64() => {
                range.check(number.as_i64().unwrap_or_default(), at, "the value")
            }
            (Some(Shape::Boolean {}), Value::Bool(_)) => Ok(()),
            (shape, value) => {
                let shape = shape.map_or_else(|| name.to_owned(), |shape| shape.as_word().to_owned());
                Err(format!("{at} is no {shape}: {value}"))
            }
        }
    }
    /// A value out of a query.
    pub(super) fn read(&self, name: &str, text: &str) -> Result<Value, String> {
        match self.get(name) {
            Some(Shape::Integer { .. }) => match text.parse::<i64>() {
                Ok(number) => Ok(json!(number)),
                Err(_) => Err(format!("{text} is no number")),
            },
            Some(Shape::Boolean {}) => match text.parse::<bool>() {
                Ok(flag) => Ok(json!(flag)),
                Err(_) => Err(format!("{text} is neither true nor false")),
            },
            Some(Shape::List { member, .. }) => Ok(json!([self.read(&member.shape, text)?])),
            _ => Ok(json!(text)),
        }
    }
}

impl Shape {
    const fn as_word(&self) -> &'static str {
        match self {
            Self::Structure { .. } => "structure",
            Self::List { .. } => "list",
            Self::Map { .. } => "map",
            Self::String { .. } => "string",
            Self::Integer { .. } => "integer",
            Self::Boolean {} => "boolean",
        }
    }
}
