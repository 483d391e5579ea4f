//! Who may enter a cluster: access entries, and the policies that are associated with them. They are there at once.

use fleetwright_core::inventory::Phase;
use fleetwright_schema::units::Timestamp;
use fleetwright_simulator::Verb;
use fleetwright_simulator::front::{Draft, NewPart, Part, View};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::call::{ACCESS_ENTRY, Call, repeated, seconds};
use crate::cluster::names;
use crate::document::{Document, uuid};
use crate::errors::{Refusal, invalid, not_found, untimely};
use crate::{pages, tags};

const POLICIES: [&str; 5] = [
    "AmazonEKSAdminPolicy",
    "AmazonEKSAdminViewPolicy",
    "AmazonEKSClusterAdminPolicy",
    "AmazonEKSEditPolicy",
    "AmazonEKSViewPolicy",
];
const TYPES: [&str; 5] = ["STANDARD", "EC2_LINUX", "EC2_WINDOWS", "FARGATE_LINUX", "EC2"];

/// CreateAccessEntry.
pub fn create(call: &Call<'_>) -> Result<Value, Refusal> {
    let principal = call.text("principalArn");
    check(call)?;
    call.write(ACCESS_ENTRY, Verb::Create, |draft| {
        let cluster = open_cluster(call, draft)?;
        if let Some(existing) = draft.part(ACCESS_ENTRY, &cluster.cluster, principal) {
            let taken = "The specified access entry resource is already in use on this cluster.";
            repeated(call, draft, &existing, taken)?;
            return Ok(shown(draft, &existing));
        }
        let kind = if call.text("type").is_empty() { "STANDARD" } else { call.text("type") };
        let made = make(call, draft, &cluster, principal, kind)?;
        Ok(made.map_or(Value::Null, |made| shown(draft, &made)))
    })
}

fn make(
    call: &Call<'_>,
    draft: &mut Draft<'_>,
    cluster: &Part,
    principal: &str,
    kind: &str,
) -> Result<Option<Part>, Refusal> {
    let id = uuid(draft, &[&cluster.id, principal, &draft.time().to_string()]);
    let (sort, name) = split(principal).ok_or_else(|| no_principal(principal))?;
    let account = principal.split(':').nth(4).unwrap_or_default();
    let is_own = call.operation == "CreateAccessEntry";
    let username = match (if is_own { call.text("username") } else { "" }, kind, sort) {
        ("", "STANDARD", "role") => format!("arn:aws:sts::{account}:assumed-role/{name}/{{{{SessionName}}}}"),
        ("", "STANDARD", _) => principal.to_owned(),
        ("", ..) => "system:node:{{EC2PrivateDNSName}}".to_owned(),
        (username, ..) => username.to_owned(),
    };
    let groups = match (is_own, kind) {
        (true, "STANDARD") => call.or("kubernetesGroups", json!([])),
        _ => json!(["system:nodes"]),
    };
    let shown = json!({
        "clusterName": &*cluster.name,
        "principalArn": principal,
        "kubernetesGroups": groups,
        "accessEntryArn": call.arn(&format!("access-entry/{}/{sort}/{account}/{name}/{id}", cluster.name)),
        "username": username,
        "type": kind,
    });
    let tags = if is_own { tags::given(call.given("tags")) } else { Default::default() };
    Ok(draft.create(NewPart {
        kind: ACCESS_ENTRY,
        cluster: &cluster.cluster,
        set: &cluster.set,
        ordinal: cluster.ordinal,
        name: principal,
        parent: Some(cluster.id.clone()),
        token: call.token().filter(|_| is_own),
        version: None,
        median: None,
        document: Document { shown, tags, ..Document::default() }.value(),
    })?)
}

/// `role` and the name of `arn:aws:iam::123456789012:role/path/name`.
fn split(principal: &str) -> Option<(&str, &str)> {
    let (account, rest) = principal.strip_prefix("arn:aws:iam::")?.split_once(':')?;
    let (sort, path) = rest.split_once('/')?;
    let name = path.rsplit('/').next()?;
    let sound = account.len() == 12 && matches!(sort, "role" | "user") && !name.is_empty();
    sound.then_some((sort, name))
}

fn no_principal(principal: &str) -> Refusal {
    invalid(format!("The specified principalArn is invalid: invalid principal: {principal}"))
}

fn check(call: &Call<'_>) -> Result<(), Refusal> {
    split(call.text("principalArn")).ok_or_else(|| no_principal(call.text("principalArn")))?;
    tags::check(call.given("tags"))?;
    let kind = call.text("type");
    if !kind.is_empty() && !TYPES.contains(&kind) {
        return Err(invalid(format!("The type {kind} of access entries is not known")));
    }
    let groups = call.given("kubernetesGroups").and_then(Value::as_array).into_iter().flatten();
    if !matches!(kind, "" | "STANDARD") && (groups.clone().next().is_some() || call.given("username").is_some()) {
        return Err(invalid(format!("Access entries of type {kind} have no groups or user name of their own")));
    }
    match groups.filter_map(Value::as_str).find(|group| group.starts_with("system:")) {
        Some(group) => {
            Err(invalid(format!("The kubernetes group name {group} is invalid, it cannot start with system:")))
        }
        None => Ok(()),
    }
}

/// The cluster, where entries count.
fn open_cluster(call: &Call<'_>, view: &View<'_>) -> Result<Part, Refusal> {
    let cluster = call.cluster(view)?;
    match cluster.phase {
        Phase::Ready | Phase::Updating if takes_entries(view, &cluster) => Ok(cluster),
        Phase::Ready | Phase::Updating => Err(untimely(
            "The cluster's authentication mode must be set to one of [API, API_AND_CONFIG_MAP] to perform this operation.",
        )),
        Phase::Creating | Phase::Failed | Phase::Deleting => {
            Err(untimely(format!("Cluster {} is not in ACTIVE status", cluster.name)))
        }
    }
}

fn takes_entries(view: &View<'_>, cluster: &Part) -> bool {
    let members = Document::of(cluster).at(view.time());
    members.get("accessConfig").is_some_and(|access| access["authenticationMode"] != json!("CONFIG_MAP"))
}

/// A node group lets its nodes in by itself, and nobody is asked.
pub fn let_nodes_in(call: &Call<'_>, draft: &mut Draft<'_>, cluster: &Part, role: &str) -> Result<(), Refusal> {
    let is_there = draft.part(ACCESS_ENTRY, &cluster.cluster, role).is_some();
    match takes_entries(draft, cluster) && !is_there {
        true => make(call, draft, cluster, role, "EC2_LINUX").map(drop),
        false => Ok(()),
    }
}

/// DescribeAccessEntry.
pub fn describe(call: &Call<'_>) -> Result<Value, Refusal> {
    call.read(|view| Ok(shown(view, &find(call, view)?)))
}

/// ListAccessEntries.
pub fn list(call: &Call<'_>) -> Result<Value, Refusal> {
    let policy = call.text("associatedPolicyArn");
    let entries = call.read(|view| {
        let entries = view.parts(ACCESS_ENTRY, Some(&open_cluster(call, view)?.cluster)).into_iter();
        let has = |entry: &Part| associated(&Document::of(entry)).iter().any(|known| known.policy_arn == policy);
        Ok(entries.filter(|entry| policy.is_empty() || has(entry)).collect::<Vec<_>>())
    })?;
    pages::page(call, "accessEntries", names(&entries))
}

fn find(call: &Call<'_>, view: &View<'_>) -> Result<Part, Refusal> {
    let (cluster, principal) = (open_cluster(call, view)?, call.text("principalArn"));
    view.part(ACCESS_ENTRY, &cluster.cluster, principal).ok_or_else(|| {
        not_found("The specified principalArn could not be found. You must specify an access entry that exists.")
    })
}

/// UpdateAccessEntry.
pub fn update(call: &Call<'_>) -> Result<Value, Refusal> {
    check(call)?;
    edit(call, |document, _| {
        for member in ["kubernetesGroups", "username"] {
            if let Some(value) = call.given(member) {
                document.set(member, value.clone());
            }
        }
        Ok(())
    })?;
    describe(call)
}

fn edit<T>(call: &Call<'_>, edit: impl FnOnce(&mut Document, Timestamp) -> Result<T, Refusal>) -> Result<T, Refusal> {
    call.write(ACCESS_ENTRY, Verb::Update, |draft| {
        let entry = find(call, draft)?;
        let mut document = Document::of(&entry);
        let answer = edit(&mut document, draft.time())?;
        document.own.insert("modifiedAt".to_owned(), seconds(draft.time()));
        draft.write(&entry.id, document.value());
        Ok(answer)
    })
}

/// DeleteAccessEntry.
pub fn delete(call: &Call<'_>) -> Result<Value, Refusal> {
    call.write(ACCESS_ENTRY, Verb::Delete, |draft| {
        let entry = find(call, draft)?;
        draft.remove(&entry.id);
        Ok(json!({}))
    })
}

fn shown(view: &View<'_>, entry: &Part) -> Value {
    let document = Document::of(entry);
    let mut members = document.at(view.time());
    let modified = document.own.get("modifiedAt").cloned();
    members.insert("createdAt".to_owned(), seconds(entry.created_at));
    members.insert("modifiedAt".to_owned(), modified.unwrap_or_else(|| seconds(entry.created_at)));
    json!({"accessEntry": members})
}

/// A policy with an entry, as it is kept and shown.
#[derive(Clone, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Associated {
    policy_arn: String,
    access_scope: Value,
    associated_at: Value,
    modified_at: Value,
}

fn associated(document: &Document) -> Vec<Associated> {
    document.own.get("policies").and_then(|policies| Vec::deserialize(policies).ok()).unwrap_or_default()
}

fn keep(own: &mut Map<String, Value>, policies: &[Associated]) {
    own.insert("policies".to_owned(), json!(policies));
}

fn arn_of(policy: &str) -> String {
    format!("arn:aws:eks::aws:cluster-access-policy/{policy}")
}

/// AssociateAccessPolicy.
pub fn associate(call: &Call<'_>) -> Result<Value, Refusal> {
    let (policy, scope) = (call.text("policyArn"), call.or("accessScope", json!({})));
    if !POLICIES.iter().any(|known| arn_of(known) == policy) {
        return Err(not_found(format!("The specified policyArn {policy} could not be found.")));
    }
    let has_namespaces = scope["namespaces"].as_array().is_some_and(|all| !all.is_empty());
    if (scope["type"] == json!("namespace")) != has_namespaces {
        return Err(invalid("The access scope has namespaces if it is of type namespace, and only then"));
    }
    let associated = edit(call, |document, now| {
        if document.shown["type"] != json!("STANDARD") {
            return Err(untimely("Policies go with access entries of type STANDARD alone"));
        }
        let mut all = associated(document);
        let since = all.iter().find(|known| known.policy_arn == policy).map(|known| known.associated_at.clone());
        all.retain(|known| known.policy_arn != policy);
        let new = Associated {
            policy_arn: policy.to_owned(),
            access_scope: scope.clone(),
            associated_at: since.unwrap_or_else(|| seconds(now)),
            modified_at: seconds(now),
        };
        all.push(new.clone());
        keep(&mut document.own, &all);
        Ok(new)
    })?;
    let (cluster, principal) = (call.cluster_text(), call.text("principalArn"));
    Ok(json!({"clusterName": cluster, "principalArn": principal, "associatedAccessPolicy": associated}))
}

/// DisassociateAccessPolicy.
pub fn disassociate(call: &Call<'_>) -> Result<Value, Refusal> {
    let policy = call.text("policyArn");
    edit(call, |document, _| {
        let mut all = associated(document);
        let count = all.len();
        all.retain(|known| known.policy_arn != policy);
        keep(&mut document.own, &all);
        match all.len() < count {
            true => Ok(json!({})),
            false => Err(not_found(format!("The policy {policy} is not associated with this principal."))),
        }
    })
}

/// ListAssociatedAccessPolicies.
pub fn list_associated(call: &Call<'_>) -> Result<Value, Refusal> {
    let all = call.read(|view| Ok(associated(&Document::of(&find(call, view)?))))?;
    let rows = all.into_iter().map(|policy| (policy.policy_arn.clone(), json!(policy)));
    let mut reply = pages::page(call, "associatedAccessPolicies", rows.collect())?;
    reply["clusterName"] = json!(call.cluster_text());
    reply["principalArn"] = json!(call.text("principalArn"));
    Ok(reply)
}

/// ListAccessPolicies.
pub fn list_policies(call: &Call<'_>) -> Result<Value, Refusal> {
    call.read(|_| Ok(()))?;
    let row = |name: &str| (name.to_owned(), json!({"name": name, "arn": arn_of(name)}));
    pages::page(call, "accessPolicies", POLICIES.into_iter().map(row).collect())
}
