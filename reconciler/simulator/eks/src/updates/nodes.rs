//! Updates of node groups: their size and marks, and their version.

use fleetwright_core::inventory::Step;
use fleetwright_schema::names::{Cloud, KubernetesVersion};
use fleetwright_simulator::{Verb, latency_median};
use serde_json::{Map, Value, json};

use super::{Sound, again, begin};
use crate::call::{Call, NODEGROUP};
use crate::document::Document;
use crate::errors::{Refusal, invalid};
use crate::nodegroup::{CONFIG, check_idle, check_scaling, check_skew, find, release};

/// UpdateNodegroupConfig.
pub fn nodegroup_config(call: &Call<'_>) -> Result<Value, Refusal> {
    call.write(NODEGROUP, Verb::Update, |draft| {
        let group = find(call, draft)?;
        if let Some(reply) = again(call, draft, &group)? {
            return Ok(reply);
        }
        check_idle(call, draft, &group)?;
        let (params, change) = config(call, &Document::of(&group).at(draft.time()))?;
        let sound = Sound { kind: "ConfigUpdate", params, change, median: CONFIG, version: None };
        Ok(begin(call, draft, &group, sound))
    })
}

type Change = (Vec<(&'static str, String)>, Value);

fn config(call: &Call<'_>, members: &Map<String, Value>) -> Result<Change, Refusal> {
    let (mut params, mut change) = (Vec::new(), Map::new());
    if let Some(asked) = call.given("scalingConfig").and_then(Value::as_object) {
        let mut scaling = members.get("scalingConfig").cloned().unwrap_or(json!({}));
        for (member, param) in [("minSize", "MinSize"), ("maxSize", "MaxSize"), ("desiredSize", "DesiredSize")] {
            if let Some(size) = asked.get(member) {
                scaling[member] = size.clone();
                params.push((param, size.to_string()));
            }
        }
        check_scaling(&scaling)?;
        change.insert("scalingConfig".to_owned(), scaling);
    }
    if let Some(asked) = call.given("labels") {
        let mut labels = asked.get("addOrUpdateLabels").and_then(Value::as_object).cloned().unwrap_or_default();
        params.extend(asked.get("addOrUpdateLabels").map(|labels| ("LabelsToAdd", labels.to_string())));
        params.extend(asked.get("removeLabels").map(|labels| ("LabelsToRemove", labels.to_string())));
        for label in asked.get("removeLabels").and_then(Value::as_array).into_iter().flatten() {
            labels.insert(label.as_str().unwrap_or_default().to_owned(), Value::Null);
        }
        change.insert("labels".to_owned(), Value::Object(labels));
    }
    if let Some(asked) = call.given("taints") {
        params.extend(asked.get("addOrUpdateTaints").map(|taints| ("TaintsToAdd", taints.to_string())));
        params.extend(asked.get("removeTaints").map(|taints| ("TaintsToRemove", taints.to_string())));
        change.insert("taints".to_owned(), taints(asked, members.get("taints")));
    }
    if let Some(asked) = call.given("updateConfig") {
        params.extend(asked.get("maxUnavailable").map(|count| ("MaxUnavailable", count.to_string())));
        change.insert("updateConfig".to_owned(), asked.clone());
    }
    if let Some(asked) = call.given("nodeRepairConfig") {
        params.push(("NodeRepairConfig", asked.to_string()));
        change.insert("nodeRepairConfig".to_owned(), asked.clone());
    }
    match change.is_empty() {
        true => Err(invalid("Nothing is to be updated")),
        false => Ok((params, Value::Object(change))),
    }
}

/// A taint is known by its key and effect.
fn taints(asked: &Value, old: Option<&Value>) -> Value {
    let list = |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
    let (added, removed) = (list(asked.get("addOrUpdateTaints")), list(asked.get("removeTaints")));
    let same = |a: &Value, b: &Value| a["key"] == b["key"] && a["effect"] == b["effect"];
    let touched = |taint: &Value| added.iter().chain(&removed).any(|other| same(taint, other));
    let kept = list(old).into_iter().filter(|taint| !touched(taint));
    Value::Array(kept.chain(added.clone()).collect())
}

/// UpdateNodegroupVersion: not ahead of the control plane, and back by one minor version at most, as before a rollback.
pub fn nodegroup_version(call: &Call<'_>) -> Result<Value, Refusal> {
    call.write(NODEGROUP, Verb::Update, |draft| {
        let group = find(call, draft)?;
        if let Some(reply) = again(call, draft, &group)? {
            return Ok(reply);
        }
        check_idle(call, draft, &group)?;
        let of_cluster = Document::of(&call.cluster(draft)?).text("version", draft.time());
        let from = Document::of(&group).text("version", draft.time());
        let to = match call.text("version") {
            "" if call.given("launchTemplate").is_some() || call.given("releaseVersion").is_some() => from.clone(),
            "" => of_cluster.clone(),
            asked => asked.to_owned(),
        };
        check_skew(&to, &of_cluster)?;
        if minor(&to) + 1 < minor(&from) {
            return Err(invalid(format!("Nodegroup {} can't go back from {from} to {to}", group.name)));
        }
        let release = call.given("releaseVersion").and_then(Value::as_str).map_or_else(|| release(&to), str::to_owned);
        let mut change = json!({"version": to, "releaseVersion": release});
        if let Some(template) = call.given("launchTemplate") {
            change["launchTemplate"] = template.clone();
        }
        let params = vec![("Version", to), ("ReleaseVersion", release)];
        let median = latency_median(Cloud::Aws, Step::NodePools, Verb::Update);
        Ok(begin(call, draft, &group, Sound { kind: "VersionUpdate", params, change, median, version: None }))
    })
}

fn minor(text: &str) -> u32 {
    text.parse::<KubernetesVersion>().map_or(0, |version| version.minor())
}
