//! Pod identity associations: which service account of a cluster acts as which role. They are there at once.

use fleetwright_core::inventory::Phase;
use fleetwright_simulator::Verb;
use fleetwright_simulator::front::{NewPart, Part, View};
use serde_json::{Value, json};

use crate::call::{ASSOCIATION, Call, repeated, seconds};
use crate::cluster::check_role;
use crate::document::Document;
use crate::errors::{Refusal, not_found, untimely};
use crate::{pages, tags};

/// CreatePodIdentityAssociation.
pub fn create(call: &Call<'_>) -> Result<Value, Refusal> {
    check_role(call.text("roleArn"))?;
    tags::check(call.given("tags"))?;
    call.write(ASSOCIATION, Verb::Create, |draft| {
        let cluster = usable_cluster(call, draft)?;
        if let Some(existing) = of_account(call, draft, &cluster) {
            let taken = "Association already exists";
            repeated(call, draft, &existing, taken)?;
            return Ok(shown(&existing));
        }
        let salt = [&*cluster.id, call.text("namespace"), call.text("serviceAccount"), &draft.time().to_string()];
        let id = format!("a-{:016x}{:x}", draft.chance(&salt), draft.chance(&["last", salt[0]]) & 0xf);
        let mut members = json!({
            "clusterName": &*cluster.name,
            "namespace": call.text("namespace"),
            "serviceAccount": call.text("serviceAccount"),
            "roleArn": call.text("roleArn"),
            "associationArn": call.arn(&format!("podidentityassociation/{}/{id}", cluster.name)),
            "associationId": id,
            "disableSessionTags": call.or("disableSessionTags", json!(false)),
        });
        for member in ["targetRoleArn", "policy"] {
            if let Some(value) = call.given(member) {
                members[member] = value.clone();
            }
        }
        let tags = tags::given(call.given("tags"));
        let made = draft.create(NewPart {
            kind: ASSOCIATION,
            cluster: &cluster.cluster,
            set: &cluster.set,
            ordinal: cluster.ordinal,
            name: &id,
            parent: Some(cluster.id.clone()),
            token: call.token(),
            version: None,
            median: None,
            document: Document { shown: members, tags, ..Document::default() }.value(),
        })?;
        Ok(made.map_or(Value::Null, |made| shown(&made)))
    })
}

fn usable_cluster(call: &Call<'_>, view: &View<'_>) -> Result<Part, Refusal> {
    let cluster = call.cluster(view)?;
    match cluster.phase {
        Phase::Ready | Phase::Updating => Ok(cluster),
        Phase::Creating | Phase::Failed | Phase::Deleting => {
            Err(untimely(format!("Cluster {} is not in ACTIVE status", cluster.name)))
        }
    }
}

/// A service account has one role at most.
fn of_account(call: &Call<'_>, view: &View<'_>, cluster: &Part) -> Option<Part> {
    let same = |shown: &Value, member: &str| shown[member].as_str() == Some(call.text(member));
    view.parts(ASSOCIATION, Some(&cluster.cluster)).into_iter().find(|part| {
        let shown = Document::of(part).shown;
        same(&shown, "namespace") && same(&shown, "serviceAccount")
    })
}

fn find(call: &Call<'_>, view: &View<'_>) -> Result<Part, Refusal> {
    let (cluster, id) = (call.cluster(view)?, call.text("associationId"));
    let part = view.part(ASSOCIATION, &cluster.cluster, id);
    part.ok_or_else(|| not_found(format!("No association found with id: {id}")))
}

/// DescribePodIdentityAssociation.
pub fn describe(call: &Call<'_>) -> Result<Value, Refusal> {
    call.read(|view| Ok(shown(&find(call, view)?)))
}

/// ListPodIdentityAssociations.
pub fn list(call: &Call<'_>) -> Result<Value, Refusal> {
    const MEMBERS: [&str; 5] = ["clusterName", "namespace", "serviceAccount", "associationArn", "associationId"];
    let parts = call.read(|view| Ok(view.parts(ASSOCIATION, Some(&call.cluster(view)?.cluster))))?;
    let wanted = |shown: &Value| {
        ["namespace", "serviceAccount"]
            .iter()
            .all(|member| call.given(member).is_none_or(|wanted| shown[*member] == *wanted))
    };
    let rows = parts.iter().map(|part| (part.name.to_string(), Document::of(part).shown)).filter(|(_, s)| wanted(s));
    let rows = rows.map(|(id, shown)| {
        let summary = MEMBERS.into_iter().map(|member| (member.to_owned(), shown[member].clone()));
        (id, Value::Object(summary.collect()))
    });
    pages::page(call, "associations", rows.collect())
}

/// UpdatePodIdentityAssociation.
pub fn update(call: &Call<'_>) -> Result<Value, Refusal> {
    call.given("roleArn").and_then(Value::as_str).map_or(Ok(()), check_role)?;
    call.write(ASSOCIATION, Verb::Update, |draft| {
        let part = find(call, draft)?;
        let mut document = Document::of(&part);
        for member in ["roleArn", "disableSessionTags", "targetRoleArn", "policy"] {
            if let Some(value) = call.given(member) {
                document.set(member, value.clone());
            }
        }
        document.own.insert("modifiedAt".to_owned(), seconds(draft.time()));
        draft.write(&part.id, document.value());
        Ok(shown(&find(call, draft)?))
    })
}

/// DeletePodIdentityAssociation.
pub fn delete(call: &Call<'_>) -> Result<Value, Refusal> {
    call.write(ASSOCIATION, Verb::Delete, |draft| {
        let part = find(call, draft)?;
        draft.remove(&part.id);
        Ok(shown(&part))
    })
}

fn shown(part: &Part) -> Value {
    let document = Document::of(part);
    let modified = document.own.get("modifiedAt").cloned();
    let mut members = document.at(part.created_at);
    members.insert("createdAt".to_owned(), seconds(part.created_at));
    members.insert("modifiedAt".to_owned(), modified.unwrap_or_else(|| seconds(part.created_at)));
    json!({"association": members})
}
