//! Add-ons: a fixed choice, each in a few versions.

use fleetwright_core::inventory::Phase;
use fleetwright_schema::names::KubernetesVersion;
use fleetwright_schema::units::Duration;
use fleetwright_simulator::Verb;
use fleetwright_simulator::front::{NewPart, Part, View};
use serde_json::{Value, json};

use crate::call::{ADDON, Call, NODEGROUP, repeated, seconds};
use crate::cluster::{check_role, names};
use crate::document::{Document, uuid};
use crate::errors::{Refusal, in_use, invalid, not_found};
use crate::updates::{Sound, again, begin};
use crate::{pages, tags, versions};

/// How long an add-on is made, changed or deleted, in the middle.
const MEDIAN: Duration = Duration::from_seconds(40);

const NAMES: [&str; 6] =
    ["aws-ebs-csi-driver", "coredns", "eks-pod-identity-agent", "kube-proxy", "metrics-server", "vpc-cni"];

/// The versions for a minor version of Kubernetes, the usual one first.
fn releases(name: &str, minor: u32) -> [String; 2] {
    match name {
        "kube-proxy" => [format!("v1.{minor}.3-eksbuild.4"), format!("v1.{minor}.4-eksbuild.2")],
        "coredns" => [format!("v1.12.{}-eksbuild.5", minor - 29), format!("v1.13.{}-eksbuild.1", minor - 29)],
        "vpc-cni" => ["v1.20.4-eksbuild.2".to_owned(), "v1.21.1-eksbuild.1".to_owned()],
        "eks-pod-identity-agent" => ["v1.3.9-eksbuild.3".to_owned(), "v1.3.10-eksbuild.1".to_owned()],
        "metrics-server" => ["v0.8.0-eksbuild.3".to_owned(), "v0.8.1-eksbuild.1".to_owned()],
        _ => ["v1.52.1-eksbuild.1".to_owned(), "v1.53.0-eksbuild.1".to_owned()],
    }
}

/// All that a control plane takes: those for its own version, and those for the version before, with which it was upgraded.
fn taken(name: &str, minor: u32) -> Vec<String> {
    let before = releases(name, minor - 1);
    let mut taken = releases(name, minor).to_vec();
    taken.extend(before.into_iter().filter(|release| !releases(name, minor).contains(release)));
    taken
}

/// CreateAddon.
pub fn create(call: &Call<'_>) -> Result<Value, Refusal> {
    let name = call.text("addonName");
    tags::check(call.given("tags"))?;
    check(call)?;
    call.write(ADDON, Verb::Create, |draft| {
        let known = call.cluster(draft)?;
        if let Some(existing) = draft.part(ADDON, &known.cluster, name) {
            repeated(call, draft, &existing, "Addon already exists.").map_err(|refusal| about(call, refusal))?;
            return Ok(shown(draft, &existing));
        }
        let cluster = call.settled_cluster(draft)?;
        let version = release(call, draft, &cluster)?;
        let id = uuid(draft, &[&cluster.id, name, &draft.time().to_string()]);
        let mut shown_members = json!({
            "addonName": name,
            "clusterName": &*cluster.name,
            "addonVersion": version,
            "addonArn": call.arn(&format!("addon/{}/{name}/{id}", cluster.name)),
        });
        for member in ["serviceAccountRoleArn", "configurationValues"] {
            if let Some(value) = call.given(member) {
                shown_members[member] = value.clone();
            }
        }
        let tags = tags::given(call.given("tags"));
        let made = draft.create(NewPart {
            kind: ADDON,
            cluster: &cluster.cluster,
            set: &cluster.set,
            ordinal: cluster.ordinal,
            name,
            parent: Some(cluster.id.clone()),
            token: call.token(),
            version: None,
            median: Some(MEDIAN),
            document: Document { shown: shown_members, tags, ..Document::default() }.value(),
        })?;
        Ok(made.map_or(Value::Null, |made| shown(draft, &made)))
    })
}

fn about(call: &Call<'_>, refusal: Refusal) -> Refusal {
    refusal.about("clusterName", call.cluster_text()).about("addonName", call.text("addonName"))
}

fn check(call: &Call<'_>) -> Result<(), Refusal> {
    let name = call.text("addonName");
    if !NAMES.contains(&name) {
        return Err(about(call, invalid(format!("Addon {name} is not supported"))));
    }
    if let Some(role) = call.given("serviceAccountRoleArn").and_then(Value::as_str) {
        check_role(role)?;
    }
    let values = call.given("configurationValues").and_then(Value::as_str).filter(|values| !values.is_empty());
    if values.is_some_and(|values| serde_json::from_str::<Value>(values).is_err()) {
        return Err(about(call, invalid("ConfigurationValue is not in valid JSON format")));
    }
    match call.given("podIdentityAssociations").or(call.given("namespaceConfig")) {
        Some(_) => Err(about(call, invalid("This front gives add-ons no identity or namespace of their own"))),
        None => Ok(()),
    }
}

fn release(call: &Call<'_>, view: &View<'_>, cluster: &Part) -> Result<String, Refusal> {
    let version: KubernetesVersion = Document::of(cluster).text("version", view.time()).parse().map_err(invalid)?;
    let taken = taken(call.text("addonName"), version.minor());
    match call.text("addonVersion") {
        "" => Ok(taken[0].clone()),
        asked if taken.iter().any(|release| release == asked) => Ok(asked.to_owned()),
        asked => Err(about(call, invalid(format!("Addon version specified is not supported: {asked}")))),
    }
}

/// DescribeAddon.
pub fn describe(call: &Call<'_>) -> Result<Value, Refusal> {
    call.read(|view| Ok(shown(view, &find(call, view)?)))
}

/// ListAddons.
pub fn list(call: &Call<'_>) -> Result<Value, Refusal> {
    let names = call.read(|view| Ok(names(&view.parts(ADDON, Some(&call.cluster(view)?.cluster)))))?;
    pages::page(call, "addons", names)
}

/// The add-on that the call names.
pub fn find(call: &Call<'_>, view: &View<'_>) -> Result<Part, Refusal> {
    let (cluster, name) = (call.cluster(view)?, call.text("addonName"));
    let part = view.part(ADDON, &cluster.cluster, name);
    part.ok_or_else(|| about(call, not_found(format!("No addon: {name} found in cluster: {}", cluster.name))))
}

/// UpdateAddon.
pub fn update(call: &Call<'_>) -> Result<Value, Refusal> {
    check(call)?;
    call.write(ADDON, Verb::Update, |draft| {
        let addon = find(call, draft)?;
        if let Some(reply) = again(call, draft, &addon)? {
            return Ok(reply);
        }
        check_idle(call, &addon)?;
        let cluster = call.settled_cluster(draft)?;
        let (mut params, mut change) = (Vec::new(), json!({}));
        if call.given("addonVersion").is_some() {
            change["addonVersion"] = json!(release(call, draft, &cluster)?);
        }
        for member in ["serviceAccountRoleArn", "configurationValues"] {
            if let Some(value) = call.given(member) {
                change[member] = value.clone();
            }
        }
        let named = [
            ("addonVersion", "AddonVersion"),
            ("serviceAccountRoleArn", "ServiceAccountRoleArn"),
            ("configurationValues", "ConfigurationValues"),
            ("resolveConflicts", "ResolveConflicts"),
        ];
        for (member, param) in named {
            params.extend(call.given(member).and_then(Value::as_str).map(|value| (param, value.to_owned())));
        }
        let sound = Sound { kind: "AddonUpdate", params, change, median: MEDIAN, version: None };
        Ok(begin(call, draft, &addon, sound))
    })
}

fn check_idle(call: &Call<'_>, addon: &Part) -> Result<(), Refusal> {
    let busy = |what: &str| Err(about(call, in_use(format!("Addon {} {what}", addon.name))));
    match addon.phase {
        Phase::Creating => busy("is being created"),
        Phase::Updating => busy("currently has an update in progress"),
        Phase::Deleting => busy("is being deleted"),
        Phase::Ready | Phase::Failed => Ok(()),
    }
}

/// DeleteAddon.
pub fn delete(call: &Call<'_>) -> Result<Value, Refusal> {
    call.write(ADDON, Verb::Delete, |draft| {
        let addon = find(call, draft)?;
        check_idle(call, &addon)?;
        draft.delete(&addon.id, MEDIAN);
        Ok(shown(draft, &Part { phase: Phase::Deleting, ..addon }))
    })
}

/// Name servers that find no node to run on are no good.
fn status(view: &View<'_>, addon: &Part) -> &'static str {
    let nodes = || view.parts(NODEGROUP, Some(&addon.cluster)).iter().any(|group| group.phase != Phase::Creating);
    match addon.phase {
        Phase::Ready if &*addon.name == "coredns" && !nodes() => "DEGRADED",
        Phase::Ready => "ACTIVE",
        Phase::Creating => "CREATING",
        Phase::Updating => "UPDATING",
        Phase::Failed => "CREATE_FAILED",
        Phase::Deleting => "DELETING",
    }
}

fn shown(view: &View<'_>, addon: &Part) -> Value {
    let document = Document::of(addon);
    let mut members = document.at(view.time());
    let status = status(view, addon);
    let issue = json!({"code": "InsufficientNumberOfReplicas", "message": "There are no nodes to run on",
                       "resourceIds": []});
    let issues = if status == "DEGRADED" { json!([issue]) } else { json!([]) };
    let updated = document.updates.iter().map(|update| update.ends_at).filter(|end| *end <= view.time()).max();
    members.insert("status".to_owned(), json!(status));
    members.insert("health".to_owned(), json!({"issues": issues}));
    members.insert("createdAt".to_owned(), seconds(addon.created_at));
    members.insert("modifiedAt".to_owned(), seconds(updated.unwrap_or(addon.created_at)));
    json!({"addon": members})
}

/// DescribeAddonVersions.
pub fn versions(call: &Call<'_>) -> Result<Value, Refusal> {
    call.read(|_| Ok(()))?;
    let (name, version) = (call.text("addonName"), call.text("kubernetesVersion"));
    if !name.is_empty() && !NAMES.contains(&name) {
        return Err(not_found(format!("Addon {name} not found")).about("addonName", name));
    }
    let wanted = NAMES.into_iter().filter(|addon| name.is_empty() || *addon == name);
    let rows = wanted.map(|addon| (addon.to_owned(), offer(addon, version)));
    pages::page(call, "addons", rows.collect())
}

fn offer(name: &str, version: &str) -> Value {
    let minors: Vec<u32> =
        versions::offered().filter(|minor| version.is_empty() || version == format!("1.{minor}")).collect();
    let mut known: Vec<String> = Vec::new();
    for release in minors.iter().flat_map(|minor| taken(name, *minor)) {
        if !known.contains(&release) {
            known.push(release);
        }
    }
    let fits = |release: &String| -> Vec<Value> {
        let minors = minors.iter().filter(|minor| taken(name, **minor).contains(release));
        let fit = |minor: &u32| {
            json!({"clusterVersion": format!("1.{minor}"), "platformVersions": ["*"],
                                       "defaultVersion": releases(name, *minor)[0] == *release})
        };
        minors.map(fit).collect()
    };
    let release = |release: &String| {
        json!({
            "addonVersion": release,
            "architecture": ["amd64", "arm64"],
            "computeTypes": ["ec2"],
            "compatibilities": fits(release),
            "requiresConfiguration": false,
            "requiresIamPermissions": name == "vpc-cni" || name == "aws-ebs-csi-driver",
        })
    };
    json!({
        "addonName": name,
        "type": "networking",
        "publisher": "eks",
        "owner": "aws",
        "defaultNamespace": "kube-system",
        "addonVersions": known.iter().map(release).collect::<Vec<_>>(),
    })
}
