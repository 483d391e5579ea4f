//! Managed node groups.

use fleetwright_core::inventory::{Phase, Step};
use fleetwright_schema::names::{Cloud, KubernetesVersion};
use fleetwright_schema::units::{Duration, Timestamp};
use fleetwright_simulator::front::{Draft, NewPart, Part, View};
use fleetwright_simulator::{Verb, latency_median};
use serde_json::{Value, json};

use crate::access;
use crate::call::{CLUSTER, Call, NODEGROUP, repeated, seconds};
use crate::cluster::{check_role, names};
use crate::document::{Document, uuid};
use crate::errors::{Refusal, in_use, invalid, not_found};
use crate::{pages, tags};

/// How many minor versions nodes may be behind their control plane.
const SKEW_MAX: u32 = 3;

/// CreateNodegroup.
pub fn create(call: &Call<'_>) -> Result<Value, Refusal> {
    let name = call.text("nodegroupName");
    check(call).map_err(|refusal| about(call, refusal))?;
    call.write(NODEGROUP, Verb::Create, |draft| {
        let known = call.cluster(draft)?;
        if let Some(existing) = draft.part(NODEGROUP, &known.cluster, name) {
            let taken = format!("NodeGroup already exists with name {name} and cluster name {}", known.name);
            repeated(call, draft, &existing, &taken).map_err(|refusal| about(call, refusal))?;
            return Ok(shown(draft, &existing));
        }
        let cluster = call.settled_cluster(draft)?;
        let version = version(call, draft, &cluster)?;
        let made = draft.create(NewPart {
            kind: NODEGROUP,
            cluster: &cluster.cluster,
            set: &cluster.set,
            ordinal: cluster.ordinal,
            name,
            parent: Some(cluster.id.clone()),
            token: call.token(),
            version: None,
            median: Some(latency_median(Cloud::Aws, Step::NodePools, Verb::Create)),
            document: document(call, draft, &version).value(),
        })?;
        let Some(made) = made else { return Ok(Value::Null) };
        access::let_nodes_in(call, draft, &cluster, call.text("nodeRole"))?;
        if let Some(ready_at) = made.ends_at {
            draft.serve_from(&cluster.id, ready_at, call.options.makes_leftovers);
        }
        Ok(shown(draft, &made))
    })
}

fn about(call: &Call<'_>, refusal: Refusal) -> Refusal {
    refusal.about("clusterName", call.cluster_text()).about("nodegroupName", call.text("nodegroupName"))
}

fn check(call: &Call<'_>) -> Result<(), Refusal> {
    let name = call.text("nodegroupName");
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.len() > 63 || !name.chars().all(fits) || !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Err(invalid(format!("The nodegroup name {name} is not of 63 letters, digits, '-' and '_'")));
    }
    if call.given("subnets").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        return Err(invalid("The subnets are empty"));
    }
    if call.given("launchTemplate").is_some() && call.given("diskSize").is_some() {
        return Err(invalid("Disk size must be specified within the launch template"));
    }
    check_role(call.text("nodeRole"))?;
    check_scaling(&scaling(call.given("scalingConfig")))?;
    tags::check(call.given("tags"))
}

fn scaling(asked: Option<&Value>) -> Value {
    let asked = |member: &str| asked.and_then(|asked| asked.get(member)).and_then(Value::as_i64);
    let min = asked("minSize").unwrap_or(1);
    let max = asked("maxSize").unwrap_or_else(|| min.max(2));
    json!({"minSize": min, "maxSize": max, "desiredSize": asked("desiredSize").unwrap_or_else(|| min.clamp(1, max.max(1)))})
}

/// No fewer than the least, no more than the most.
pub fn check_scaling(scaling: &Value) -> Result<(), Refusal> {
    let size = |member: &str| scaling[member].as_i64().unwrap_or_default();
    match size("minSize") <= size("desiredSize") && size("desiredSize") <= size("maxSize") {
        true => Ok(()),
        false => Err(invalid(format!("minSize <= desiredSize <= maxSize does not hold: {scaling}"))),
    }
}

/// The control plane's version unless another is asked for: nodes may be a little behind it, and never ahead.
fn version(call: &Call<'_>, draft: &Draft<'_>, cluster: &Part) -> Result<String, Refusal> {
    let of_cluster = Document::of(cluster).text("version", draft.time());
    match call.text("version") {
        "" => Ok(of_cluster),
        asked => check_skew(asked, &of_cluster).map(|()| asked.to_owned()).map_err(|refusal| about(call, refusal)),
    }
}

/// Whether nodes of this version may be in a cluster of that.
pub fn check_skew(nodes: &str, cluster: &str) -> Result<(), Refusal> {
    let minor = |text: &str| text.parse().ok().as_ref().map(KubernetesVersion::minor);
    let behind = minor(nodes).zip(minor(cluster)).and_then(|(nodes, cluster)| cluster.checked_sub(nodes));
    match behind {
        Some(behind) if behind <= SKEW_MAX => Ok(()),
        _ => Err(invalid(format!("Requested Nodegroup version {nodes} is not supported by cluster version {cluster}"))),
    }
}

/// The release of the nodes' image for a version.
pub fn release(version: &str) -> String {
    format!("{version}.4-20261105")
}

fn document(call: &Call<'_>, draft: &Draft<'_>, version: &str) -> Document {
    let (cluster, name) = (call.cluster_text(), call.text("nodegroupName"));
    let id = uuid(draft, &[cluster, name, &draft.time().to_string()]);
    let mut shown = json!({
        "nodegroupName": name,
        "nodegroupArn": call.arn(&format!("nodegroup/{cluster}/{name}/{id}")),
        "clusterName": cluster,
        "version": version,
        "releaseVersion": call.or("releaseVersion", json!(release(version))),
        "capacityType": call.or("capacityType", json!("ON_DEMAND")),
        "scalingConfig": scaling(call.given("scalingConfig")),
        "subnets": call.or("subnets", json!([])),
        "amiType": call.or("amiType", json!("AL2023_x86_64_STANDARD")),
        "nodeRole": call.text("nodeRole"),
        "labels": call.or("labels", json!({})),
        "taints": call.or("taints", json!([])),
        "updateConfig": call.or("updateConfig", json!({"maxUnavailable": 1})),
        "resources": {"autoScalingGroups": [{"name": format!("eks-{name}-{id}")}]},
    });
    match call.given("launchTemplate") {
        Some(template) => shown["launchTemplate"] = template.clone(),
        None => shown["diskSize"] = call.or("diskSize", json!(20)),
    }
    match (call.given("instanceTypes"), call.given("launchTemplate")) {
        (Some(types), _) => shown["instanceTypes"] = types.clone(),
        (None, Some(_)) => {}
        (None, None) => shown["instanceTypes"] = json!(["t3.medium"]),
    }
    for member in ["nodeRepairConfig", "remoteAccess", "warmPoolConfig"] {
        if let Some(value) = call.given(member) {
            shown[member] = value.clone();
        }
    }
    Document { shown, tags: tags::given(call.given("tags")), ..Document::default() }
}

/// DescribeNodegroup.
pub fn describe(call: &Call<'_>) -> Result<Value, Refusal> {
    call.read(|view| Ok(shown(view, &find(call, view)?)))
}

/// ListNodegroups.
pub fn list(call: &Call<'_>) -> Result<Value, Refusal> {
    let names = call.read(|view| Ok(names(&view.parts(NODEGROUP, Some(&call.cluster(view)?.cluster)))))?;
    pages::page(call, "nodegroups", names)
}

/// The node group that the call names.
pub fn find(call: &Call<'_>, view: &View<'_>) -> Result<Part, Refusal> {
    let (cluster, name) = (call.cluster(view)?, call.text("nodegroupName"));
    let part = view.part(NODEGROUP, &cluster.cluster, name);
    part.ok_or_else(|| about(call, not_found(format!("No node group found for name: {name}."))))
}

/// DeleteNodegroup.
pub fn delete(call: &Call<'_>) -> Result<Value, Refusal> {
    call.write(NODEGROUP, Verb::Delete, |draft| {
        let group = find(call, draft)?;
        check_idle(call, draft, &group)?;
        draft.delete(&group.id, latency_median(Cloud::Aws, Step::NodePools, Verb::Delete));
        Ok(shown(draft, &Part { phase: Phase::Deleting, ..group }))
    })
}

/// Nothing is under way with the group, nor with its cluster.
pub fn check_idle(call: &Call<'_>, draft: &Draft<'_>, group: &Part) -> Result<(), Refusal> {
    let busy = |what: &str| Err(about(call, in_use(format!("Nodegroup {} {what}", group.name))));
    match group.phase {
        Phase::Creating => busy("is being created"),
        Phase::Updating => busy("currently has an update in progress"),
        Phase::Deleting => busy("is being deleted"),
        Phase::Ready | Phase::Failed => call.settled_cluster(draft).map(drop),
    }
}

const fn status(phase: Phase) -> &'static str {
    match phase {
        Phase::Creating => "CREATING",
        Phase::Ready => "ACTIVE",
        Phase::Updating => "UPDATING",
        Phase::Failed => "CREATE_FAILED",
        Phase::Deleting => "DELETING",
    }
}

fn shown(view: &View<'_>, group: &Part) -> Value {
    let document = Document::of(group);
    let mut members = document.at(view.time());
    let updated = document.updates.iter().map(|update| update.ends_at).filter(|end| *end <= view.time()).max();
    members.insert("createdAt".to_owned(), seconds(group.created_at));
    members.insert("modifiedAt".to_owned(), seconds(updated.unwrap_or(group.created_at)));
    members.insert("status".to_owned(), json!(status(group.phase)));
    let issue = json!({"code": "NodeCreationFailure", "message": "Instances failed to join the kubernetes cluster",
                       "resourceIds": []});
    let issues = if group.phase == Phase::Failed { json!([issue]) } else { json!([]) };
    members.insert("health".to_owned(), json!({"issues": issues}));
    json!({"nodegroup": members})
}

/// How long a change of size, labels or taints takes, in the middle.
pub const CONFIG: Duration = Duration::from_seconds(60);

/// The node groups of a cluster that have nodes, or had them a moment ago.
pub fn with_nodes(view: &View<'_>, cluster: &Part) -> Vec<(Part, Document)> {
    let groups = view.parts(NODEGROUP, Some(&cluster.cluster)).into_iter();
    let groups = groups.filter(|group| matches!(group.phase, Phase::Ready | Phase::Updating | Phase::Deleting));
    groups.map(|group| (Document::of(&group), group)).map(|(document, group)| (group, document)).collect()
}

/// How many nodes a group has at this time.
pub fn size(document: &Document, time: Timestamp) -> u64 {
    document.at(time).get("scalingConfig").and_then(|scaling| scaling["desiredSize"].as_u64()).unwrap_or(0)
}

/// The cluster of this name, for the Kubernetes side.
pub fn cluster_of(view: &View<'_>, name: &fleetwright_schema::names::ClusterName) -> Option<Part> {
    view.part(CLUSTER, name, name.as_str())
}
