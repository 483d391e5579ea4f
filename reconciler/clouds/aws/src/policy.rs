//! What the adapter may call, and the least policies that allow it: `policies/reader.json` is all that plans need, and the
//! daemon is given `policies/writer.json` beside it. Together they would be longer than AWS lets a policy be.
//!
//! What AWS can hold to tags or names is held to them: things are made only with the tag that names a cluster, and changed
//! or deleted only where they have it; roles and streams only under our path and prefix. Two things it can't hold:
//! what a cluster leaves behind has tags of its cluster's choosing, so that part of the policy is open; and who may write
//! the policy of a role may write anything into it, so an account that has to be safe from its own daemon gives
//! `role/fleetwright/*` a boundary.

mod rules;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::calls::Calls;
pub(crate) use rules::{READING, Rule, WRITING};

/// Anyone may ask who they are; there is nothing to allow.
const FREE: [&str; 1] = ["sts:GetCallerIdentity"];

/// The least policy for looking, in this partition.
pub fn reader(partition: &str) -> Value {
    document(partition, READING.iter())
}

/// What making, changing and deleting takes beside it, in this partition.
pub fn writer(partition: &str) -> Value {
    document(partition, WRITING.iter())
}

/// The actions of the policy for looking.
pub fn reads() -> BTreeSet<&'static str> {
    actions(READING.iter())
}

/// The actions that the writer's adds.
pub fn writes() -> BTreeSet<&'static str> {
    actions(WRITING.iter())
}

/// Whether the two policies name everything that was called; what they lack if not.
pub fn covers(calls: &Calls) -> Result<(), Vec<String>> {
    lacking(calls, reads().union(&writes()).copied().collect())
}

/// Whether the reader's does by itself.
pub fn reader_covers(calls: &Calls) -> Result<(), Vec<String>> {
    lacking(calls, reads())
}

/// Operations are called as the actions that allow them, in all services that are called here.
fn lacking(calls: &Calls, allowed: BTreeSet<&str>) -> Result<(), Vec<String>> {
    let known = |call: &String| allowed.contains(call.as_str()) || FREE.contains(&call.as_str());
    let lacking: Vec<String> = calls.counts().into_keys().filter(|call| !known(call)).collect();
    if lacking.is_empty() { Ok(()) } else { Err(lacking) }
}

fn actions<'a>(rules: impl Iterator<Item = &'a Rule>) -> BTreeSet<&'static str> {
    rules.flat_map(|rule| rule.allows.iter().map(|(action, _)| *action)).collect()
}

fn document<'a>(partition: &str, rules: impl Iterator<Item = &'a Rule>) -> Value {
    let statements: Vec<Value> = rules.map(|rule| statement(partition, rule)).collect();
    json!({ "Version": "2012-10-17", "Statement": statements })
}

fn statement(partition: &str, rule: &Rule) -> Value {
    let mut statement = Map::new();
    let actions: BTreeSet<&str> = rule.allows.iter().map(|(action, _)| *action).collect();
    let on: BTreeSet<&str> = rule.allows.iter().flat_map(|(_, on)| on.iter().copied()).collect();
    let on: Vec<String> = on.into_iter().map(|on| arn(partition, on)).collect();
    statement.insert("Sid".to_owned(), json!(rule.name));
    statement.insert("Effect".to_owned(), json!("Allow"));
    statement.insert("Action".to_owned(), json!(actions));
    statement.insert("Resource".to_owned(), if on == ["*"] { json!("*") } else { json!(on) });
    if !rule.when.is_empty() {
        let mut condition: BTreeMap<&str, BTreeMap<&str, Value>> = BTreeMap::new();
        for (operator, key, values) in rule.when {
            let values: Vec<String> = values.iter().map(|value| value.replace("{partition}", partition)).collect();
            let value = if values.len() == 1 { json!(values[0]) } else { json!(values) };
            condition.entry(operator).or_default().insert(key, value);
        }
        statement.insert("Condition".to_owned(), json!(condition));
    }
    Value::Object(statement)
}

/// `ec2:*:*:vpc/*` as an ARN.
fn arn(partition: &str, on: &str) -> String {
    if on == "*" { on.to_owned() } else { format!("arn:{partition}:{on}") }
}

#[cfg(test)]
mod tests;
