//! UpdateClusterConfig: one kind of change a call.

use fleetwright_schema::units::Duration;
use fleetwright_simulator::Verb;
use serde_json::{Map, Value, json};

use super::{Sound, again, begin};
use crate::call::{CLUSTER, Call};
use crate::cluster::logging;
use crate::document::Document;
use crate::errors::{Refusal, invalid};

/// What may be changed, each by itself.
const KINDS: [&str; 6] =
    ["resourcesVpcConfig", "logging", "accessConfig", "upgradePolicy", "zonalShiftConfig", "deletionProtection"];

/// UpdateClusterConfig.
pub fn cluster_config(call: &Call<'_>) -> Result<Value, Refusal> {
    call.write(CLUSTER, Verb::Update, |draft| {
        if let Some(reply) = again(call, draft, &call.cluster(draft)?)? {
            return Ok(reply);
        }
        let cluster = call.settled_cluster(draft)?;
        let members = Document::of(&cluster).at(draft.time());
        let sound = sound(call, &members).map_err(|refusal| refusal.about("clusterName", &cluster.name))?;
        Ok(begin(call, draft, &cluster, sound))
    })
}

fn sound(call: &Call<'_>, members: &Map<String, Value>) -> Result<Sound<'static>, Refusal> {
    let asked: Vec<&String> = call.params.keys().filter(|key| *key != "name" && *key != "clientRequestToken").collect();
    let [asked] = asked[..] else {
        return Err(invalid("Exactly one type of update is needed"));
    };
    let Some(member) = KINDS.into_iter().find(|kind| kind == asked) else {
        return Err(invalid(format!("This front can't update {asked}")));
    };
    let (new, old) = (call.or(member, Value::Null), members.get(member).unwrap_or(&Value::Null));
    let sound = match member {
        "resourcesVpcConfig" => network(&new, old)?,
        "logging" => logs(&new, old),
        "accessConfig" => access(&new, old)?,
        "upgradePolicy" => whole("UpgradePolicyUpdate", "UpgradePolicy", member, new),
        "zonalShiftConfig" => whole("ZonalShiftConfigUpdate", "ZonalShiftConfig", member, new),
        _ => whole("DeletionProtectionUpdate", "DeletionProtection", member, new),
    };
    match changes(old, &sound.change[member]) {
        true => Ok(sound),
        false => Err(invalid("Cluster is already at the desired configuration")),
    }
}

fn changes(old: &Value, new: &Value) -> bool {
    match new {
        Value::Object(new) => new.iter().any(|(key, value)| changes(old.get(key).unwrap_or(&Value::Null), value)),
        new => old != new,
    }
}

fn whole(kind: &'static str, param: &'static str, member: &str, new: Value) -> Sound<'static> {
    let change = json!({member: new});
    Sound { kind, params: vec![(param, new.to_string())], change, median: Duration::from_seconds(15), version: None }
}

fn network(new: &Value, old: &Value) -> Result<Sound<'static>, Refusal> {
    let named = |pairs: &[(&str, &'static str)]| -> Vec<(&'static str, String)> {
        pairs.iter().filter_map(|(member, param)| Some((*param, new.get(member)?.to_string()))).collect()
    };
    let access = named(&[
        ("endpointPublicAccess", "EndpointPublicAccess"),
        ("endpointPrivateAccess", "EndpointPrivateAccess"),
        ("publicAccessCidrs", "PublicAccessCidrs"),
    ]);
    let inside = named(&[("subnetIds", "Subnets"), ("securityGroupIds", "SecurityGroups")]);
    let holds = |member: &str| new.get(member).unwrap_or(&old[member]) == &json!(true);
    let (kind, params) = match (access.is_empty(), inside.is_empty()) {
        (false, true) if !holds("endpointPublicAccess") && !holds("endpointPrivateAccess") => {
            return Err(invalid("Private and public endpoint access cannot be false"));
        }
        (false, true) => ("EndpointAccessUpdate", access),
        (true, false) => ("VpcConfigUpdate", inside),
        _ => return Err(invalid("Either the access to the endpoint is updated, or subnets and security groups")),
    };
    let change = json!({"resourcesVpcConfig": new});
    Ok(Sound { kind, params, change, median: Duration::from_minutes(3), version: None })
}

/// What is not named stays as it is.
fn logs(new: &Value, old: &Value) -> Sound<'static> {
    let groups = |value: &Value| value["clusterLogging"].as_array().cloned().unwrap_or_default();
    let types = |group: &Value| group["types"].as_array().cloned().unwrap_or_default();
    let of = |value: &Value, on: bool| -> Vec<Value> {
        groups(value).iter().filter(|group| (group["enabled"] == json!(true)) == on).flat_map(types).collect()
    };
    let off = of(new, false);
    let on: Vec<Value> = of(old, true).into_iter().chain(of(new, true)).filter(|kind| !off.contains(kind)).collect();
    let after = logging(Some(&json!({"clusterLogging": [{"types": on, "enabled": true}]})));
    let params = vec![("ClusterLogging", new.to_string())];
    Sound {
        kind: "LoggingUpdate",
        params,
        change: json!({"logging": after}),
        median: Duration::from_minutes(1),
        version: None,
    }
}

/// Access entries come to stay: the way leads from the config map to them, and not back.
fn access(new: &Value, old: &Value) -> Result<Sound<'static>, Refusal> {
    const WAY: [&str; 3] = ["CONFIG_MAP", "API_AND_CONFIG_MAP", "API"];
    let step = |value: &Value| WAY.into_iter().position(|mode| value["authenticationMode"] == json!(mode));
    let (from, to) = (step(old).unwrap_or(0), step(new).unwrap_or(0));
    match to.checked_sub(from) {
        Some(0 | 1) => {
            let params = vec![("AuthenticationMode", WAY[to].to_owned())];
            let change = json!({"accessConfig": {"authenticationMode": WAY[to]}});
            let median = Duration::from_seconds(30);
            Ok(Sound { kind: "AccessConfigUpdate", params, change, median, version: None })
        }
        _ => Err(invalid(format!("Unsupported authentication mode update from {} to {}", WAY[from], WAY[to]))),
    }
}
