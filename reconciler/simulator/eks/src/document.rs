//! What this front has the world keep of a part: the members that a description shows, its tags, and its updates. What
//! an update changes shows when the update is done, and that is a function of the time.

use std::collections::BTreeMap;

use fleetwright_schema::units::Timestamp;
use fleetwright_simulator::front::{Draft, Part};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::call::{Call, seconds};
use crate::errors::{Refusal, invalid};

/// One part.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Document {
    /// As it was made, with what finished updates made of it.
    pub shown: Value,
    /// By key.
    pub tags: BTreeMap<String, String>,
    /// The oldest first.
    #[serde(default)]
    pub updates: Vec<Update>,
    /// What only this front knows.
    #[serde(default)]
    pub own: Map<String, Value>,
}

/// A change that takes its time.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Update {
    /// Never used twice.
    pub id: String,
    /// `VersionUpdate`.
    pub kind: String,
    /// As the reply shows them.
    pub params: Vec<(String, String)>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it is done.
    pub ends_at: Timestamp,
    /// The client's token, and everything else that was asked for.
    pub token: Option<(String, String)>,
    /// The members that are others then.
    pub change: Value,
}

impl Document {
    /// The document of a part; one that this front did not write is empty.
    pub fn of(part: &Part) -> Self {
        Self::deserialize(&*part.document).unwrap_or_default()
    }
    /// For the world to keep.
    pub fn value(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }
    /// The members at this time, the tags included.
    pub fn at(&self, time: Timestamp) -> Map<String, Value> {
        let mut shown = self.shown.clone();
        for update in self.updates.iter().filter(|update| update.ends_at <= time) {
            merge(&mut shown, &update.change);
        }
        let mut members = match shown {
            Value::Object(members) => members,
            _ => Map::new(),
        };
        members.insert("tags".to_owned(), json!(self.tags));
        members
    }
    /// A member's text at this time.
    pub fn text(&self, member: &str, time: Timestamp) -> String {
        self.at(time).get(member).and_then(Value::as_str).unwrap_or_default().to_owned()
    }
    /// Its ARN, whatever a description calls it.
    pub fn arn(&self) -> Option<&str> {
        const NAMES: [&str; 5] = ["arn", "nodegroupArn", "addonArn", "accessEntryArn", "associationArn"];
        NAMES.into_iter().find_map(|name| self.shown.get(name)?.as_str())
    }
    /// Sets a member at once.
    pub fn set(&mut self, member: &str, value: Value) {
        merge(&mut self.shown, &json!({ member: value }));
    }
}

/// Puts what is new over what is there; `null` takes away.
fn merge(old: &mut Value, new: &Value) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            for (key, value) in new {
                match value {
                    Value::Null => drop(old.shift_remove(key)),
                    value => merge(old.entry(key).or_insert(Value::Null), value),
                }
            }
        }
        (old, new) => *old = new.clone(),
    }
}

impl Update {
    /// An update of this call, that changes these members when it is done.
    pub fn of(
        call: &Call<'_>,
        draft: &Draft<'_>,
        kind: &str,
        params: Vec<(&str, String)>,
        change: Value,
        ends_at: Timestamp,
        part: &Part,
    ) -> Self {
        let count = Document::of(part).updates.len().to_string();
        Self {
            id: uuid(draft, &[&part.id, kind, &count]),
            kind: kind.to_owned(),
            params: params.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            created_at: draft.time(),
            ends_at,
            token: call.token().map(|(token, asked)| (token.to_owned(), asked)),
            change,
        }
    }
    /// As a reply shows it.
    pub fn shown(&self, time: Timestamp) -> Value {
        let params: Vec<Value> =
            self.params.iter().map(|(name, value)| json!({"type": name, "value": value})).collect();
        json!({
            "id": self.id,
            "status": if self.ends_at <= time { "Successful" } else { "InProgress" },
            "type": self.kind,
            "params": params,
            "createdAt": seconds(self.created_at),
            "errors": [],
        })
    }
}

/// The update that this token began before; the same token with other members is refused.
pub fn begun_before(call: &Call<'_>, document: &Document) -> Result<Option<Update>, Refusal> {
    let Some((token, asked)) = call.token() else { return Ok(None) };
    let with_token = |update: &&Update| update.token.as_ref().is_some_and(|(known, _)| known == token);
    match document.updates.iter().find(with_token) {
        Some(update) if update.token.as_ref().is_some_and(|(_, known)| *known == asked) => Ok(Some(update.clone())),
        Some(_) => Err(invalid(format!("The token {token} was used with other parameters"))),
        None => Ok(None),
    }
}

/// Looks like a version 4 UUID, and is a function of the world's seed and of what it is for.
pub fn uuid(draft: &Draft<'_>, parts: &[&str]) -> String {
    let half = |salt: &str| format!("{:016x}", draft.chance(&[&[salt], parts].concat()));
    let (high, low) = (half("high"), half("low"));
    format!("{}-{}-4{}-a{}-{}", &high[..8], &high[8..12], &high[13..], &low[1..4], &low[4..])
}
