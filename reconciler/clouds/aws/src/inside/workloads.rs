//! What counts as a workload, how many there are, and how they are asked to leave.
//!
//! Not counted are pods that have ended, those that belong to a node (of daemon sets, and static ones) and those of the
//! cluster itself, which run until it goes: without the last no cluster would ever be empty.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use fleetwright_clouds::CloudError;
use fleetwright_core::inventory::Workloads;
use fleetwright_schema::names::ClusterName;
use serde::Deserialize;

use super::client::{Eviction, Kubernetes};
use super::placement::{Placed, placed};
use crate::control_plane::Live;
use crate::session::Session;
use crate::side_by_side::side_by_side;

/// Where the cluster's own services run, and ours.
const OF_THE_CLUSTER: [&str; 2] = ["kube-system", "fleetwright-system"];
/// So many pods that don't leave are named.
const NAMED_MAX: usize = 20;

/// Of a pod, what tells whether it counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Pod {
    metadata: Metadata,
    spec: Spec,
    status: Status,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metadata {
    name: String,
    namespace: String,
    annotations: BTreeMap<String, String>,
    owner_references: Vec<OwnerReference>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct OwnerReference {
    kind: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    node_name: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Status {
    phase: String,
}

impl Pod {
    /// Whether it is a workload that has not ended.
    pub fn counts(&self) -> bool {
        let Metadata { name: _, namespace, annotations, owner_references } = &self.metadata;
        let ended = ["Succeeded", "Failed"].contains(&self.status.phase.as_str());
        let of_node = annotations.contains_key("kubernetes.io/config.mirror")
            || owner_references.iter().any(|owner| owner.kind == "DaemonSet" || owner.kind == "Node");
        !ended && !of_node && !OF_THE_CLUSTER.contains(&namespace.as_str())
    }

    /// Whether it runs nowhere and, with placement closed, never will: what an evicted pod leaves behind.
    fn is_kept_out(&self) -> bool {
        self.status.phase == "Pending" && self.spec.node_name.is_empty()
    }

    /// How people name it.
    fn full_name(&self) -> String {
        format!("{}/{}", self.metadata.namespace, self.metadata.name)
    }
}

/// The evictions that were last refused, by cluster: pods with the budget that keeps them.
#[derive(Debug, Default)]
pub struct Blocked(Mutex<BTreeMap<ClusterName, BTreeMap<String, String>>>);

impl Blocked {
    fn note(&self, cluster: &ClusterName, refused: BTreeMap<String, String>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match refused.is_empty() {
            true => known.remove(cluster),
            false => known.insert(cluster.clone(), refused),
        };
    }

    /// Those that still run.
    fn of(&self, cluster: &ClusterName, running: &[&Pod]) -> Vec<String> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(refused) = known.get(cluster) else { return Vec::new() };
        let told = running.iter().filter_map(|pod| {
            let name = pod.full_name();
            refused.get(&name).map(|why| format!("{name} ({why})"))
        });
        told.take(NAMED_MAX).collect()
    }
}

/// All pods, over all pages.
pub async fn pods(kubernetes: &Kubernetes) -> Result<Vec<Pod>, CloudError> {
    kubernetes.all("/api/v1/pods").await
}

/// The workloads of a cluster at this moment.
pub async fn count(session: &Session, live: &Live) -> Result<Workloads, CloudError> {
    let pods = pods(&Kubernetes::of(session, live).await?).await?;
    let placed = placed(&live.tags);
    let running = running(&pods, placed);
    let blocked_by = session.blocked.of(&live.owner.cluster, &running);
    let running = number(running.len());
    Ok(Workloads { running, left: left(placed, running), blocked_by })
}

fn running(pods: &[Pod], placed: Option<Placed>) -> Vec<&Pod> {
    let closed = matches!(placed, Some(Placed::Closed(_)));
    pods.iter().filter(|pod| pod.counts() && !(closed && pod.is_kept_out())).collect()
}

fn left(placed: Option<Placed>, running: u32) -> u32 {
    match placed {
        Some(Placed::Closed(before)) => before.saturating_sub(running),
        Some(Placed::Changing(_)) | None => 0,
    }
}

/// How many workloads there are before placement is closed: those too that wait for a node.
pub fn number_open(pods: &[Pod]) -> u32 {
    number(pods.iter().filter(|pod| pod.counts()).count())
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Asks each workload to leave, once. Refusals are noted for the next reading.
pub async fn evict(
    session: &Arc<Session>,
    live: &Live,
    kubernetes: &Kubernetes,
    pods: Vec<Pod>,
) -> Result<(), CloudError> {
    let leaving = pods.into_iter().filter(|pod| pod.counts() && !pod.is_kept_out());
    let asked = leaving.map(|pod| (kubernetes.clone(), pod));
    let answers = side_by_side(asked, |(kubernetes, pod)| async move {
        let answer = kubernetes.evict(&pod.metadata.namespace, &pod.metadata.name).await?;
        Ok((pod.full_name(), answer))
    });
    let refused = answers.await?.into_iter().filter_map(|(pod, answer)| match answer {
        Eviction::Accepted => None,
        Eviction::Refused(why) => Some((pod, why)),
    });
    session.blocked.note(&live.owner.cluster, refused.collect());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(change: Value) -> Pod {
        let mut pod = json!({
            "metadata": { "name": "api-1", "namespace": "web" },
            "spec": { "nodeName": "node-1" },
            "status": { "phase": "Running" },
        });
        for (part, values) in change.as_object().unwrap() {
            for (key, value) in values.as_object().unwrap() {
                pod[part][key] = value.clone();
            }
        }
        serde_json::from_value(pod).unwrap()
    }

    #[test]
    fn what_has_ended_and_what_belongs_to_a_node_or_the_cluster_does_not_count() {
        for (counts, change) in [
            (true, json!({})),
            (true, json!({ "status": { "phase": "Pending" } })),
            (true, json!({ "status": { "phase": "Unknown" } })),
            (true, json!({ "metadata": { "deletionTimestamp": "2026-11-21T00:00:00Z" } })),
            (true, json!({ "metadata": { "ownerReferences": [{ "kind": "ReplicaSet", "name": "api" }] } })),
            (true, json!({ "metadata": { "ownerReferences": [{ "kind": "Job" }] } })),
            (false, json!({ "status": { "phase": "Succeeded" } })),
            (false, json!({ "status": { "phase": "Failed" } })),
            (false, json!({ "metadata": { "ownerReferences": [{ "kind": "DaemonSet" }] } })),
            (false, json!({ "metadata": { "annotations": { "kubernetes.io/config.mirror": "abc" } } })),
            (false, json!({ "metadata": { "namespace": "kube-system" } })),
            (false, json!({ "metadata": { "namespace": "fleetwright-system" } })),
        ] {
            assert_eq!(pod(change.clone()).counts(), counts, "{change}");
        }
    }

    #[test]
    fn a_pod_that_no_node_takes_any_more_does_not_run() {
        let waiting = pod(json!({ "status": { "phase": "Pending" }, "spec": { "nodeName": "" } }));
        let starting = pod(json!({ "status": { "phase": "Pending" } }));
        let pods = [waiting, starting, pod(json!({}))];
        assert_eq!(number_open(&pods), 3);
        assert_eq!(running(&pods, None).len(), 3);
        assert_eq!(running(&pods, Some(Placed::Changing(3))).len(), 3);
        assert_eq!(running(&pods, Some(Placed::Closed(3))).len(), 2);
    }

    #[test]
    fn what_left_is_counted_from_when_placement_was_closed() {
        assert_eq!(left(Some(Placed::Closed(10)), 4), 6);
        assert_eq!(left(Some(Placed::Closed(10)), 12), 0);
        assert_eq!(left(Some(Placed::Changing(10)), 4), 0);
        assert_eq!(left(None, 4), 0);
    }

    #[test]
    fn a_refusal_is_told_while_its_pod_runs() {
        let (blocked, cluster) = (Blocked::default(), "serving-1".parse().unwrap());
        let pod = pod(json!({}));
        blocked.note(&cluster, BTreeMap::from([("web/api-1".to_owned(), "api".to_owned())]));
        assert_eq!(blocked.of(&cluster, &[&pod]), ["web/api-1 (api)"]);
        assert_eq!(blocked.of(&cluster, &[]), Vec::<String>::new());
        blocked.note(&cluster, BTreeMap::new());
        assert_eq!(blocked.of(&cluster, &[&pod]), Vec::<String>::new());
    }
}
