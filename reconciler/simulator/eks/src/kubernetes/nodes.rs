//! Nodes: made up of the sizes of the node groups. What can be done to one is to close it, and to open it again.

use std::collections::BTreeSet;

use fleetwright_core::inventory::Phase;
use fleetwright_schema::set::DrainMode;
use fleetwright_simulator::Verb;
use fleetwright_simulator::front::{Part, View};
use serde_json::{Value, json};

use super::{Asked, Failure, failure};
use crate::call::ADDON;
use crate::document::Document;
use crate::nodegroup::{size, with_nodes};

/// One node.
pub(super) struct Node {
    pub(super) name: String,
    group: String,
    version: String,
    labels: Value,
    taints: Value,
    is_closed: bool,
    pub(super) is_ready: bool,
    created_at: String,
}

/// The nodes of a cluster. A group that changes its version has other machines afterwards, under other names.
pub(super) fn nodes(view: &View<'_>, cluster: &Part) -> Vec<Node> {
    let document = Document::of(cluster);
    let closed = closed(&document);
    let has_network = document.own.get("networking") != Some(&json!(false))
        || view.parts(ADDON, Some(&cluster.cluster)).iter().any(|addon| {
            &*addon.name == "vpc-cni" && matches!(addon.phase, Phase::Ready | Phase::Updating | Phase::Deleting)
        });
    let mut nodes = Vec::new();
    for (group, document) in with_nodes(view, cluster) {
        let members = document.at(view.time());
        let text = |member: &str| members.get(member).and_then(Value::as_str).unwrap_or_default().to_owned();
        for index in 0..size(&document, view.time()) {
            let salt = [&*group.id, &text("releaseVersion"), &index.to_string()].map(str::to_owned);
            let number = view.chance(&[&salt[0], &salt[1], &salt[2]]);
            let [a, b, c, ..] = number.to_be_bytes();
            let name = format!("ip-10-{a}-{b}-{c}.{}.compute.internal", view.place().region);
            nodes.push(Node {
                is_closed: closed.contains(&name),
                name,
                group: group.name.to_string(),
                version: text("version"),
                labels: members.get("labels").cloned().unwrap_or(json!({})),
                taints: members.get("taints").cloned().unwrap_or(json!([])),
                is_ready: has_network,
                created_at: group.created_at.to_string(),
            });
        }
    }
    nodes
}

fn closed(document: &Document) -> BTreeSet<String> {
    let names = document.own.get("cordoned").and_then(Value::as_array).into_iter().flatten();
    names.filter_map(Value::as_str).map(str::to_owned).collect()
}

impl Node {
    fn shown(&self) -> Value {
        let mut labels = json!({
            "kubernetes.io/hostname": self.name,
            "kubernetes.io/os": "linux",
            "eks.amazonaws.com/nodegroup": self.group,
        });
        for (key, value) in self.labels.as_object().into_iter().flatten() {
            labels[key] = value.clone();
        }
        let taints = self.taints.as_array().cloned().unwrap_or_default().into_iter().map(|taint| {
            let effect = match taint["effect"].as_str() {
                Some("NO_EXECUTE") => "NoExecute",
                Some("PREFER_NO_SCHEDULE") => "PreferNoSchedule",
                _ => "NoSchedule",
            };
            json!({"key": taint["key"], "value": taint["value"], "effect": effect})
        });
        let closed = json!({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"});
        let taints: Vec<Value> = taints.chain(self.is_closed.then_some(closed)).collect();
        let mut spec = json!({"providerID": format!("aws:///{}", self.name)});
        if self.is_closed {
            spec["unschedulable"] = json!(true);
        }
        if !taints.is_empty() {
            spec["taints"] = json!(taints);
        }
        let ready = if self.is_ready { "True" } else { "False" };
        json!({
            "kind": "Node",
            "apiVersion": "v1",
            "metadata": {"name": self.name, "uid": self.name, "labels": labels, "creationTimestamp": self.created_at,
                         "resourceVersion": "1"},
            "spec": spec,
            "status": {
                "conditions": [{"type": "Ready", "status": ready}],
                "nodeInfo": {"kubeletVersion": format!("v{}.4-eks-0000000", self.version)},
            },
        })
    }
}

/// GET api/v1/nodes.
pub(super) fn list(asked: &Asked<'_>) -> Result<Value, Failure> {
    if asked.query("fieldSelector")?.or(asked.query("labelSelector")?).is_some() {
        return Err(failure(400, "BadRequest", "nodes are not selected here"));
    }
    asked.look(|view, cluster| {
        let items: Vec<Value> = nodes(view, cluster).iter().map(Node::shown).collect();
        let version = view.time().unix_seconds().to_string();
        Ok(json!({"kind": "NodeList", "apiVersion": "v1", "metadata": {"resourceVersion": version}, "items": items}))
    })
}

/// GET api/v1/nodes/<name>.
pub(super) fn get(asked: &Asked<'_>, name: &str) -> Result<Value, Failure> {
    asked.look(|view, cluster| find(view, cluster, name))
}

fn find(view: &View<'_>, cluster: &Part, name: &str) -> Result<Value, Failure> {
    let found = nodes(view, cluster).into_iter().find(|node| node.name == name);
    let missing = || failure(404, "NotFound", format!("nodes {name:?} not found"));
    found.map(|node| node.shown()).ok_or_else(missing)
}

/// PATCH api/v1/nodes/<name>. When the last open node is closed, the workloads begin to leave; when one is opened, they
/// come back.
pub(super) fn patch(asked: &Asked<'_>, name: &str) -> Result<Value, Failure> {
    asked.look(|view, cluster| find(view, cluster, name))?;
    let closes = wanted(asked)?;
    let verb = if closes { Verb::Drain } else { Verb::Open };
    asked.write(verb, |draft, cluster| {
        let mut document = Document::of(cluster);
        let mut names = closed(&document);
        let before = names.clone();
        let known: BTreeSet<String> = nodes(draft, cluster).into_iter().map(|node| node.name).collect();
        names.retain(|name| known.contains(name));
        match closes {
            true => names.insert(name.to_owned()),
            false => names.remove(name),
        };
        if names != before {
            document.own.insert("cordoned".to_owned(), json!(names));
            draft.write(&cluster.id, document.value());
        }
        match closes {
            true if known.is_subset(&names) => draft.drain(&cluster.id, DrainMode::Wait),
            true => {}
            // Those that were kept out before they ever came, come now.
            false if draft.open(&cluster.id) => {
                let now = draft.time();
                draft.serve_from(&cluster.id, now, asked.app.options.makes_leftovers);
            }
            false => {}
        }
        Ok(())
    })?;
    asked.look(|view, cluster| find(view, cluster, name))
}

/// Whether a patch closes the node. It may say nothing else.
fn wanted(asked: &Asked<'_>) -> Result<bool, Failure> {
    let wrong = |message: &str| failure(422, "Invalid", message);
    let kind = asked.received.headers.get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let body = asked.body()?;
    let value = match kind.split(';').next().unwrap_or_default() {
        "application/merge-patch+json" | "application/strategic-merge-patch+json" => merged(&body),
        "application/json-patch+json" => patched(&body),
        _ => return Err(failure(415, "UnsupportedMediaType", format!("{kind} is no kind of patch"))),
    };
    match value.ok_or_else(|| wrong("only spec.unschedulable can be patched here"))? {
        Value::Bool(closes) => Ok(*closes),
        Value::Null => Ok(false),
        _ => Err(wrong("spec.unschedulable is true or false")),
    }
}

fn merged(body: &Value) -> Option<&Value> {
    let known = ["kind", "apiVersion", "metadata", "spec"];
    let outer = body.as_object()?;
    let spec = outer.get("spec")?.as_object().filter(|spec| spec.len() == 1)?;
    outer.keys().all(|key| known.contains(&key.as_str())).then(|| spec.get("unschedulable")).flatten()
}

fn patched(body: &Value) -> Option<&Value> {
    let [operation] = &body.as_array()?[..] else { return None };
    let is_known = operation["path"] == json!("/spec/unschedulable");
    match operation["op"].as_str() {
        Some("add" | "replace") if is_known => operation.get("value"),
        Some("remove") if is_known => Some(&Value::Null),
        _ => None,
    }
}
