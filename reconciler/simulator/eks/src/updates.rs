//! Updates of clusters and node groups: what may be asked for, and how far it is.

use fleetwright_core::inventory::Step;
use fleetwright_schema::names::{Cloud, KubernetesVersion};
use fleetwright_schema::units::Duration;
use fleetwright_simulator::front::{Draft, Part, View};
use fleetwright_simulator::{Verb, latency_median};
use serde_json::{Value, json};

use crate::call::{CLUSTER, Call, NODEGROUP};
use crate::document::{Document, Update, begun_before};
use crate::errors::{Refusal, invalid, not_found, untimely};
use crate::{addon, nodegroup, pages, versions};

mod config;
mod nodes;

pub use config::cluster_config;
pub use nodes::{nodegroup_config, nodegroup_version};

/// A rollback is possible for so long after an upgrade.
const ROLLBACK: Duration = Duration::from_seconds(7 * 86_400);

/// A change that was found to be sound.
pub struct Sound<'a> {
    /// `VersionUpdate`.
    pub kind: &'a str,
    /// As the reply shows them.
    pub params: Vec<(&'a str, String)>,
    /// The members that are others then.
    pub change: Value,
    /// How long it takes, in the middle.
    pub median: Duration,
    /// Of a control plane that changes its version.
    pub version: Option<KubernetesVersion>,
}

/// Begins an update of this part, and tells of it.
pub fn begin(call: &Call<'_>, draft: &mut Draft<'_>, part: &Part, sound: Sound<'_>) -> Value {
    let Sound { kind, params, change, median, version } = sound;
    let until = draft.begin_change(&part.id, median, version);
    let update = Update::of(call, draft, kind, params, change, until, part);
    let reply = json!({"update": update.shown(draft.time())});
    let mut document = Document::of(part);
    document.updates.push(update);
    draft.write(&part.id, document.value());
    reply
}

/// The reply to a token that was seen before.
pub fn again(call: &Call<'_>, view: &View<'_>, part: &Part) -> Result<Option<Value>, Refusal> {
    let update = begun_before(call, &Document::of(part))?;
    Ok(update.map(|update| json!({"update": update.shown(view.time())})))
}

/// UpdateClusterVersion: one minor version up, or back where it came from.
pub fn cluster_version(call: &Call<'_>) -> Result<Value, Refusal> {
    call.write(CLUSTER, Verb::Update, |draft| {
        if let Some(reply) = again(call, draft, &call.cluster(draft)?)? {
            return Ok(reply);
        }
        let cluster = call.settled_cluster(draft)?;
        let about = |refusal: Refusal| refusal.about("clusterName", &cluster.name);
        let to = versions::wanted(call.text("version")).map_err(about)?;
        let kind = check_version(call, draft, &cluster, &to).map_err(about)?;
        let sound = Sound {
            kind,
            params: vec![("Version", to.to_string()), ("PlatformVersion", "eks.7".to_owned())],
            change: json!({"version": to.as_str(), "platformVersion": "eks.7"}),
            median: latency_median(Cloud::Aws, Step::ControlPlane, Verb::Update),
            version: Some(to),
        };
        Ok(begin(call, draft, &cluster, sound))
    })
}

fn check_version(
    call: &Call<'_>,
    draft: &Draft<'_>,
    cluster: &Part,
    to: &KubernetesVersion,
) -> Result<&'static str, Refusal> {
    let from: KubernetesVersion = Document::of(cluster).text("version", draft.time()).parse().map_err(invalid)?;
    let is_rollback = to.minor() + 1 == from.minor();
    if call.given("rollbackConfig").is_some() && !is_rollback {
        return Err(invalid("rollbackConfig goes with a rollback alone"));
    }
    match (to.minor().checked_sub(from.minor()), is_rollback) {
        (Some(1), _) => check_nodes(draft, cluster, &from, &from).map(|()| "VersionUpdate"),
        (_, true) => {
            check_rollback(draft, cluster, &from, to)?;
            check_nodes(draft, cluster, to, to).map(|()| "VersionRollback")
        }
        _ => Err(invalid(format!("Unsupported Kubernetes minor version update from {from} to {to}"))),
    }
}

/// A control plane goes on only when all its nodes have caught up, and back only when they have gone before.
fn check_nodes(
    draft: &Draft<'_>,
    cluster: &Part,
    oldest: &KubernetesVersion,
    newest: &KubernetesVersion,
) -> Result<(), Refusal> {
    for group in draft.parts(NODEGROUP, Some(&cluster.cluster)) {
        let nodes: KubernetesVersion = Document::of(&group).text("version", draft.time()).parse().map_err(invalid)?;
        if !(oldest.minor()..=newest.minor()).contains(&nodes.minor()) {
            return Err(invalid(format!(
                "Nodegroup {} is of version {nodes}, and must be of {newest} first",
                group.name
            )));
        }
    }
    Ok(())
}

/// Only the version that the cluster came from in place, and only for a week.
fn check_rollback(
    draft: &Draft<'_>,
    cluster: &Part,
    from: &KubernetesVersion,
    to: &KubernetesVersion,
) -> Result<(), Refusal> {
    let updates = Document::of(cluster).updates;
    let mut versions = updates.iter().rev().filter(|update| update.kind.starts_with("Version"));
    let recent = |update: &&Update| update.kind == "VersionUpdate" && draft.time().since(update.ends_at) <= ROLLBACK;
    match versions.next().filter(recent) {
        Some(_) => Ok(()),
        None => Err(untimely(format!("{from} can't be rolled back to {to}: it was not upgraded within seven days"))),
    }
}

/// DescribeUpdate.
pub fn describe(call: &Call<'_>) -> Result<Value, Refusal> {
    let id = call.text("updateId");
    call.read(|view| {
        let updates = Document::of(&subject(call, view)?).updates;
        match updates.iter().find(|update| update.id == id) {
            Some(update) => Ok(json!({"update": update.shown(view.time())})),
            None => Err(not_found(format!("No update found for ID: {id}")).about("clusterName", call.cluster_text())),
        }
    })
}

/// ListUpdates.
pub fn list(call: &Call<'_>) -> Result<Value, Refusal> {
    let updates = call.read(|view| Ok(Document::of(&subject(call, view)?).updates))?;
    pages::page(call, "updateIds", updates.into_iter().map(|update| (update.id.clone(), json!(update.id))).collect())
}

fn subject(call: &Call<'_>, view: &View<'_>) -> Result<Part, Refusal> {
    match (call.given("nodegroupName"), call.given("addonName")) {
        (None, None) => call.cluster(view),
        (Some(_), None) => nodegroup::find(call, view),
        (None, Some(_)) => addon::find(call, view),
        (Some(_), Some(_)) => Err(invalid("An update is of a node group or of an add-on, not of both")),
    }
}
