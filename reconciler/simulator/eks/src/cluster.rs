//! Clusters: made, described, listed, deleted.

use fleetwright_core::inventory::{Phase, Step};
use fleetwright_schema::names::{Cloud, KubernetesVersion, SetId};
use fleetwright_schema::units::Timestamp;
use fleetwright_simulator::front::{Draft, NewPart, Part, View};
use fleetwright_simulator::{Verb, latency_median};
use serde_json::{Value, json};

use crate::call::{ACCESS_ENTRY, ADDON, ASSOCIATION, CLUSTER, Call, NODEGROUP, repeated, seconds};
use crate::document::{Document, uuid};
use crate::errors::{Refusal, in_use, invalid, untimely};
use crate::{authority, pages, tags, versions};

/// CreateCluster.
pub fn create(call: &Call<'_>) -> Result<Value, Refusal> {
    let name = call.text("name");
    let cluster = name.parse().map_err(|wrong: String| invalid(wrong).about("clusterName", name))?;
    check(call)?;
    let (set, ordinal) = identity(call)?;
    call.write(CLUSTER, Verb::Create, |draft| {
        if let Some(existing) = draft.part(CLUSTER, &cluster, name) {
            let taken = format!("Cluster already exists with name: {name}");
            repeated(call, draft, &existing, &taken).map_err(|refusal| refusal.about("clusterName", name))?;
            return Ok(shown(call, draft, &existing));
        }
        let version: KubernetesVersion = versions::wanted(call.text("version"))?;
        let made = draft.create(NewPart {
            kind: CLUSTER,
            cluster: &cluster,
            set: &set,
            ordinal,
            name,
            parent: None,
            token: call.token(),
            median: Some(latency_median(Cloud::Aws, Step::ControlPlane, Verb::Create)),
            document: document(call, draft, &version).value(),
            version: Some(version),
        })?;
        let Some(made) = made else { return Ok(Value::Null) };
        let marks = Document::of(&made).tags;
        tags::mark(draft, &made, &marks);
        Ok(shown(call, draft, &made))
    })
}

fn check(call: &Call<'_>) -> Result<(), Refusal> {
    let network = call.or("resourcesVpcConfig", json!({}));
    let subnets = network["subnetIds"].as_array().map_or(0, Vec::len);
    if subnets < 2 {
        return Err(invalid("Subnets specified must be in at least two different AZs"));
    }
    check_role(call.text("roleArn"))?;
    let is_closed = network["endpointPublicAccess"] == json!(false) && network["endpointPrivateAccess"] != json!(true);
    match is_closed {
        true => Err(invalid("Private and public endpoint access cannot be false")),
        false => tags::check(call.given("tags")),
    }
}

/// The ARN of a role looks like one.
pub fn check_role(arn: &str) -> Result<(), Refusal> {
    match arn.strip_prefix("arn:aws:iam::").and_then(|rest| rest.split_once(":role/")) {
        Some((account, role)) if account.len() == 12 && !role.is_empty() => Ok(()),
        _ => Err(invalid(format!("Role with arn: {arn}, could not be assumed because it does not exist"))),
    }
}

/// The set and ordinal that the tags name. A cluster without them is somebody else's, and is in the world as such.
fn identity(call: &Call<'_>) -> Result<(SetId, u32), Refusal> {
    let tag = |key: &str| call.given("tags")?.get(format!("fleetwright.dev/{key}"))?.as_str();
    let set = tag("set").and_then(|set| set.parse::<SetId>().ok());
    let set = set.filter(|set| set.location.cloud == Cloud::Aws && set.location.region == call.place.region);
    match (set, tag("ordinal").and_then(|ordinal| ordinal.parse().ok())) {
        (Some(set), Some(ordinal)) => Ok((set, ordinal)),
        _ => Ok((call.unmanaged()?, 0)),
    }
}

fn document(call: &Call<'_>, draft: &Draft<'_>, version: &KubernetesVersion) -> Document {
    let name = call.text("name");
    let mark = |what: &str| format!("{:016x}", draft.chance(&[what, name, &draft.time().to_string()]));
    let asked = call.or("resourcesVpcConfig", json!({}));
    let network = json!({
        "subnetIds": asked["subnetIds"],
        "securityGroupIds": asked.get("securityGroupIds").cloned().unwrap_or(json!([])),
        "clusterSecurityGroupId": format!("sg-0{}", mark("group")),
        "vpcId": call.options.vpc_id,
        "endpointPublicAccess": asked.get("endpointPublicAccess").cloned().unwrap_or(json!(true)),
        "endpointPrivateAccess": asked.get("endpointPrivateAccess").cloned().unwrap_or(json!(false)),
        "publicAccessCidrs": asked.get("publicAccessCidrs").cloned().unwrap_or(json!(["0.0.0.0/0"])),
    });
    let asked = call.or("accessConfig", json!({}));
    let access = json!({
        "bootstrapClusterCreatorAdminPermissions":
            asked.get("bootstrapClusterCreatorAdminPermissions").cloned().unwrap_or(json!(true)),
        "authenticationMode": asked.get("authenticationMode").cloned().unwrap_or(json!("CONFIG_MAP")),
    });
    let mut shown = json!({
        "name": name,
        "arn": call.arn(&format!("cluster/{name}")),
        "version": version.as_str(),
        "roleArn": call.text("roleArn"),
        "resourcesVpcConfig": network,
        "kubernetesNetworkConfig": {"serviceIpv4Cidr": "172.20.0.0/16", "ipFamily": "ipv4"},
        "logging": logging(call.given("logging")),
        "platformVersion": "eks.7",
        "accessConfig": access,
        "upgradePolicy": call.or("upgradePolicy", json!({"supportType": "EXTENDED"})),
        "deletionProtection": call.or("deletionProtection", json!(false)),
    });
    for member in ["clientRequestToken", "encryptionConfig", "zonalShiftConfig", "computeConfig", "storageConfig"] {
        if let Some(value) = call.given(member) {
            shown[member] = value.clone();
        }
    }
    let mut own = serde_json::Map::new();
    own.insert("oidc".to_owned(), json!(mark("oidc").to_uppercase() + &mark("id").to_uppercase()));
    own.insert("networking".to_owned(), call.or("bootstrapSelfManagedAddons", json!(true)));
    own.insert("uuid".to_owned(), json!(uuid(draft, &[name, &draft.time().to_string()])));
    Document { shown, tags: tags::given(call.given("tags")), updates: Vec::new(), own }
}

/// Which logs are on, and which are off, as EKS groups them.
pub fn logging(asked: Option<&Value>) -> Value {
    const TYPES: [&str; 5] = ["api", "audit", "authenticator", "controllerManager", "scheduler"];
    let groups = asked.and_then(|asked| asked["clusterLogging"].as_array()).cloned().unwrap_or_default();
    let enabled = groups.iter().filter(|group| group["enabled"] == json!(true));
    let enabled: Vec<&str> =
        enabled.filter_map(|g| g["types"].as_array()).flatten().filter_map(Value::as_str).collect();
    let group = |on: bool| {
        let types: Vec<&str> = TYPES.into_iter().filter(|kind| enabled.contains(kind) == on).collect();
        (!types.is_empty()).then(|| json!({"types": types, "enabled": on}))
    };
    let groups: Vec<Value> = [group(true), group(false)].into_iter().flatten().collect();
    json!({"clusterLogging": groups})
}

/// DescribeCluster.
pub fn describe(call: &Call<'_>) -> Result<Value, Refusal> {
    call.read(|view| Ok(shown(call, view, &call.cluster(view)?)))
}

/// ListClusters.
pub fn list(call: &Call<'_>) -> Result<Value, Refusal> {
    let names = call.read(|view| Ok(names(&view.parts(CLUSTER, None))))?;
    pages::page(call, "clusters", names)
}

/// The names of these, for a list.
pub fn names(parts: &[Part]) -> Vec<(String, Value)> {
    parts.iter().map(|part| (part.name.to_string(), json!(&*part.name))).collect()
}

/// DeleteCluster. Add-ons, access entries and associations go with it; node groups stand in its way.
pub fn delete(call: &Call<'_>) -> Result<Value, Refusal> {
    call.write(CLUSTER, Verb::Delete, |draft| {
        let cluster = call.cluster(draft)?;
        let about = |refusal: Refusal| refusal.about("clusterName", &cluster.name);
        check_deletable(draft, &cluster).map_err(about)?;
        let gone_at = draft.delete(&cluster.id, latency_median(Cloud::Aws, Step::ControlPlane, Verb::Delete));
        for kind in [ADDON, ACCESS_ENTRY, ASSOCIATION] {
            for part in draft.parts(kind, Some(&cluster.cluster)) {
                draft.delete_at(&part.id, gone_at);
            }
        }
        Ok(shown(call, draft, &Part { phase: Phase::Deleting, ..cluster }))
    })
}

fn check_deletable(draft: &Draft<'_>, cluster: &Part) -> Result<(), Refusal> {
    let (name, document) = (&cluster.name, Document::of(cluster));
    if !draft.parts(NODEGROUP, Some(&cluster.cluster)).is_empty() {
        return Err(in_use("Cluster has nodegroups attached"));
    }
    match cluster.phase {
        Phase::Creating => Err(in_use(format!("Cluster {name} is being created"))),
        Phase::Updating => Err(in_use(format!("Cluster {name} currently has an update in progress"))),
        Phase::Deleting => Err(in_use(format!("Cluster {name} is being deleted"))),
        // What never became active is not protected.
        Phase::Ready if is_protected(&document, draft.time()) => {
            Err(untimely(format!("Cluster {name} has deletion protection enabled")))
        }
        Phase::Ready | Phase::Failed => Ok(()),
    }
}

fn is_protected(document: &Document, time: Timestamp) -> bool {
    document.at(time).get("deletionProtection") == Some(&json!(true))
}

/// `CREATING`.
pub const fn status(phase: Phase) -> &'static str {
    match phase {
        Phase::Creating => "CREATING",
        Phase::Ready => "ACTIVE",
        Phase::Updating => "UPDATING",
        Phase::Failed => "FAILED",
        Phase::Deleting => "DELETING",
    }
}

/// A cluster as replies show it: without an address while it is being made.
fn shown(call: &Call<'_>, view: &View<'_>, cluster: &Part) -> Value {
    let document = Document::of(cluster);
    let mut members = document.at(view.time());
    members.insert("createdAt".to_owned(), seconds(cluster.created_at));
    members.insert("status".to_owned(), json!(status(cluster.phase)));
    members.insert("health".to_owned(), json!({"issues": []}));
    if !matches!(cluster.phase, Phase::Creating | Phase::Failed) {
        let issuer = document.own.get("oidc").and_then(Value::as_str).unwrap_or_default();
        let issuer = format!("https://oidc.eks.{}.amazonaws.com/id/{issuer}", call.place.region);
        members.insert("identity".to_owned(), json!({"oidc": {"issuer": issuer}}));
        members.insert("endpoint".to_owned(), json!(format!("{}/kubernetes/{}", call.base, cluster.name)));
    }
    let data = if members.contains_key("endpoint") { json!({"data": authority::data()}) } else { json!({}) };
    members.insert("certificateAuthority".to_owned(), data);
    json!({"cluster": members})
}
