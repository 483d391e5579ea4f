//! Pods: as many as the world counts workloads, and what runs on every node. An eviction tells the world that workloads
//! are put out; a disruption budget can forbid it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fleetwright_core::inventory::Placement;
use fleetwright_schema::set::DrainMode;
use fleetwright_schema::units::{Duration, Timestamp};
use fleetwright_simulator::Verb;
use fleetwright_simulator::front::{Part, View};
use serde_json::{Value, json};

use super::nodes::nodes;
use super::{Asked, Failure, failure};

/// Where the workloads are.
const NAMESPACE: &str = "serving";
/// For so long the world can tell what was.
const CONTINUE_MAX: Duration = Duration::from_seconds(86_400);

/// One pod.
struct Pod {
    namespace: String,
    name: String,
    owner: (&'static str, String),
    node: Option<String>,
    created_at: String,
    /// The world's reason, if it can't be evicted.
    budget: Option<String>,
}

/// All pods, in the order of names.
fn pods(view: &View<'_>, cluster: &Part) -> Result<Vec<Pod>, Failure> {
    let facts = view.control_plane(&cluster.cluster).and_then(|facts| facts.workloads);
    let Some(workloads) = facts else {
        return Err(failure(500, "InternalError", "etcdserver: request timed out"));
    };
    let nodes: Vec<String> = nodes(view, cluster).into_iter().filter(|n| n.is_ready).map(|node| node.name).collect();
    let blocked_by = view.blocked_by(&cluster.cluster);
    let mut pods = Vec::new();
    for index in 0..workloads.running as usize {
        let node = nodes.get(index % nodes.len().max(1)).cloned();
        pods.push(serving(view, cluster, index, node, blocked_by.filter(|_| index == 0)));
    }
    for (node, name) in nodes.iter().flat_map(|node| ["aws-node", "kube-proxy"].map(|name| (node, name))) {
        let suffix = format!("{:016x}", view.chance(&[node, name]));
        pods.push(Pod {
            namespace: "kube-system".to_owned(),
            name: format!("{name}-{}", &suffix[..5]),
            owner: ("DaemonSet", name.to_owned()),
            node: Some(node.clone()),
            created_at: cluster.created_at.to_string(),
            budget: None,
        });
    }
    pods.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    Ok(pods)
}

/// The first is the last to leave, and the one that is stuck; it bears the name that the fault gives.
fn serving(view: &View<'_>, cluster: &Part, index: usize, node: Option<String>, stuck: Option<&[String]>) -> Pod {
    let number = format!("{:016x}", view.chance(&[&cluster.id, "pod", &index.to_string()]));
    let reason = stuck.map(|by| by.first().cloned().unwrap_or_else(|| format!("{NAMESPACE}/serving-0 (serving)")));
    let given = reason.as_deref().and_then(|reason| reason.split([' ', ',']).next()?.split_once('/'));
    let (namespace, name) = match given {
        Some((namespace, name)) => (namespace.to_owned(), name.to_owned()),
        None => (NAMESPACE.to_owned(), format!("model-{}-{}", &number[..9], &number[9..14])),
    };
    let set = name.rsplit_once('-').map_or(name.clone(), |(set, _)| set.to_owned());
    let created_at = cluster.created_at.to_string();
    Pod { namespace, name, owner: ("ReplicaSet", set), node, created_at, budget: reason }
}

impl Pod {
    fn shown(&self) -> Value {
        let (kind, owner) = &self.owner;
        let uid = format!("{}/{}", self.namespace, self.name);
        let mut spec = json!({"containers": [{"name": "main", "image": "registry.example/main:1"}]});
        if let Some(node) = &self.node {
            spec["nodeName"] = json!(node);
        }
        json!({
            "kind": "Pod",
            "apiVersion": "v1",
            "metadata": {
                "name": self.name,
                "namespace": self.namespace,
                "uid": uid,
                "creationTimestamp": self.created_at,
                "labels": {"app": owner},
                "ownerReferences": [
                    {"apiVersion": "apps/v1", "kind": kind, "name": owner, "uid": owner, "controller": true},
                ],
            },
            "spec": spec,
            "status": {"phase": self.phase()},
        })
    }
    fn phase(&self) -> &'static str {
        match self.node {
            Some(_) => "Running",
            None => "Pending",
        }
    }
    /// Whether a field selector like `status.phase=Running,metadata.namespace!=kube-system` means it.
    fn is_selected(&self, selector: &str) -> Result<bool, Failure> {
        for term in selector.split(',').filter(|term| !term.is_empty()) {
            let (field, wanted, equal) = match term.split_once("!=") {
                Some((field, wanted)) => (field, wanted, false),
                None => {
                    let (field, wanted) = term.split_once('=').unwrap_or((term, ""));
                    (field, wanted.trim_start_matches('='), true)
                }
            };
            let value = match field {
                "metadata.name" => &self.name,
                "metadata.namespace" => &self.namespace,
                "spec.nodeName" => self.node.as_deref().unwrap_or_default(),
                "status.phase" => self.phase(),
                _ => return Err(failure(400, "BadRequest", format!("field label not supported: {field}"))),
            };
            if (value == wanted) != equal {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// GET api/v1/pods. All pages of a list show the same moment.
pub(super) fn list(asked: &Asked<'_>, namespace: Option<&str>) -> Result<Value, Failure> {
    if asked.query("labelSelector")?.is_some() {
        return Err(failure(400, "BadRequest", "pods are not selected by labels here"));
    }
    let limit = match asked.query("limit")?.map(|limit| limit.parse::<usize>()) {
        Some(Ok(limit)) if limit > 0 => limit,
        Some(Ok(_)) | None => usize::MAX,
        Some(Err(_)) => return Err(failure(400, "BadRequest", "limit is no number")),
    };
    let selector = asked.query("fieldSelector")?.unwrap_or_default();
    let (then, offset) = resumed(asked)?;
    asked.look_at(then, |view, cluster| {
        let mut wanted = Vec::new();
        for pod in pods(view, cluster)? {
            if namespace.is_none_or(|namespace| pod.namespace == namespace) && pod.is_selected(&selector)? {
                wanted.push(pod);
            }
        }
        let page: Vec<Value> = wanted.iter().skip(offset).take(limit).map(Pod::shown).collect();
        let (seen, time) = (offset + page.len(), view.time().unix_seconds());
        let mut metadata = json!({"resourceVersion": time.to_string()});
        if seen < wanted.len() {
            metadata["continue"] = json!(URL_SAFE_NO_PAD.encode(format!("{time} {seen}")));
            metadata["remainingItemCount"] = json!(wanted.len() - seen);
        }
        Ok(json!({"kind": "PodList", "apiVersion": "v1", "metadata": metadata, "items": page}))
    })
}

/// The moment that a list shows, and how far it was shown.
fn resumed(asked: &Asked<'_>) -> Result<(Option<Timestamp>, usize), Failure> {
    let Some(token) = asked.query("continue")? else { return Ok((None, 0)) };
    let text = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let parts = text.as_deref().and_then(|text| text.split_once(' '));
    let parts = parts.and_then(|(time, offset)| Some((time.parse().ok()?, offset.parse().ok()?)));
    let Some((time, offset)) = parts else {
        return Err(failure(400, "BadRequest", "continue key is not valid"));
    };
    let then = Timestamp::from_unix_seconds(time);
    match asked.app.world.clock().now().since(then) <= CONTINUE_MAX {
        true => Ok((Some(then), offset)),
        false => Err(failure(410, "Expired", "The provided continue parameter is too old")),
    }
}

fn find(view: &View<'_>, cluster: &Part, namespace: &str, name: &str) -> Result<Pod, Failure> {
    let mut pods = pods(view, cluster)?.into_iter();
    let found = pods.find(|pod| pod.namespace == namespace && pod.name == name);
    found.ok_or_else(|| failure(404, "NotFound", format!("pods {name:?} not found")))
}

/// POST .../eviction.
pub(super) fn evict(asked: &Asked<'_>, namespace: &str, name: &str) -> Result<(u16, Value), Failure> {
    let body = asked.body()?;
    let named = &body["metadata"];
    if body["kind"] != json!("Eviction") || body["apiVersion"] != json!("policy/v1") || named["name"] != json!(name) {
        return Err(failure(400, "BadRequest", "the body is no Eviction of policy/v1 of this pod"));
    }
    let pod = asked.look(|view, cluster| find(view, cluster, namespace, name))?;
    if let Some(reason) = &pod.budget {
        return Err(disrupted(reason));
    }
    let is_rehearsal = body["deleteOptions"]["dryRun"] == json!(["All"]) || asked.query("dryRun")?.is_some();
    if !is_rehearsal && pod.owner.0 != "DaemonSet" {
        put_out(asked, false)?;
    }
    Ok((201, json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201})))
}

/// DELETE .../pods/<name>, which no budget forbids.
pub(super) fn delete(asked: &Asked<'_>, namespace: &str, name: &str) -> Result<Value, Failure> {
    let pod = asked.look(|view, cluster| find(view, cluster, namespace, name))?;
    if pod.owner.0 != "DaemonSet" {
        put_out(asked, true)?;
    }
    Ok(pod.shown())
}

/// Workloads leave faster; but what a budget holds stays, unless it is deleted. While the cluster is open, whatever is
/// put out is back at once.
fn put_out(asked: &Asked<'_>, is_deletion: bool) -> Result<(), Failure> {
    asked.write(Verb::Drain, |draft, cluster| {
        let is_closed = draft.control_plane(&cluster.cluster).is_some_and(|facts| facts.placement == Placement::Closed);
        let is_stuck = draft.blocked_by(&cluster.cluster).is_some();
        if is_closed {
            let mode = if is_stuck && !is_deletion { DrainMode::Migrate } else { DrainMode::Evict };
            draft.drain(&cluster.id, mode);
        }
        Ok(())
    })
}

fn disrupted(reason: &str) -> Failure {
    let budget = match reason.split_once("budget ") {
        Some((_, budget)) => budget,
        None => reason.split_once('(').map_or("serving", |(_, budget)| budget),
    };
    let budget = budget.trim_end_matches(')');
    let cause = format!("The disruption budget {budget} needs 1 healthy pods and has 1 currently");
    Failure::Status {
        code: 429,
        reason: "TooManyRequests",
        message: "Cannot evict pod as it would violate the pod's disruption budget.".to_owned(),
        details: json!({"causes": [{"reason": "DisruptionBudget", "message": cause}]}),
    }
}
