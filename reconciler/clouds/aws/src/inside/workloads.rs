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
use super::placement::Placed;
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

    /// Whether it runs nowhere and, with placement closed, never will: what an evicted pod leaves behind, and one whose
    /// node was lost.
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
pub async fn count(
    session: &Session,
    live: &Live,
    kubernetes: &Kubernetes,
    placed: Option<Placed>,
) -> Result<Workloads, CloudError> {
    let pods = pods(kubernetes).await?;
    let blocked_by = session.blocked.of(&live.owner.cluster, &running(&pods, placed));
    let (running, left) = told(placed, number(&pods, placed));
    Ok(Workloads { running, left, blocked_by })
}

/// Those that run. What waits for a node does too, wherever it was not we who evicted it: that a node is lost does not
/// prove that what ran on it runs elsewhere.
fn running(pods: &[Pod], placed: Option<Placed>) -> Vec<&Pod> {
    let evicted = matches!(placed, Some(Placed::Closed { evicted: true, .. }));
    pods.iter().filter(|pod| pod.counts() && !(evicted && pod.is_kept_out())).collect()
}

/// What is told as running and as left. While placement is closed they add up to the number that was written when it was
/// closed, whatever started since (of a job's schedule, say): who expects, at any reading, that as many leave as run and
/// have left, would wait for ever for more than that. So more than that is not told, but also never nothing while
/// something runs; for which the number is taken as one where none was counted.
fn told(placed: Option<Placed>, running: u32) -> (u32, u32) {
    match placed {
        Some(Placed::Closed { before, .. }) => {
            let all = before.max(1);
            let running = running.min(all);
            (running, all - running)
        }
        Some(Placed::Changing(_)) | None => (running, 0),
    }
}

/// How many run.
pub fn number(pods: &[Pod], placed: Option<Placed>) -> u32 {
    u32::try_from(running(pods, placed).len()).unwrap_or(u32::MAX)
}

/// Asks each workload to leave, once. Refusals are noted for the next reading, and keep no other pod from leaving.
pub async fn evict(
    session: &Arc<Session>,
    live: &Live,
    kubernetes: &Kubernetes,
    pods: Vec<Pod>,
) -> Result<(), CloudError> {
    session.blocked.note(&live.owner.cluster, refused(kubernetes, pods).await?);
    Ok(())
}

/// Asks each workload to leave; those that are refused, and why.
async fn refused(kubernetes: &Kubernetes, pods: Vec<Pod>) -> Result<BTreeMap<String, String>, CloudError> {
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
    Ok(refused.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::extract::Path;
    use axum::routing::post;
    use axum::{Json, Router};
    use fleetwright_core::inventory::ErrorClass;
    use reqwest::StatusCode;
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
    fn a_pod_that_no_node_takes_any_more_does_not_run_only_where_we_evicted() {
        let waiting = pod(json!({ "status": { "phase": "Pending" }, "spec": { "nodeName": "" } }));
        let starting = pod(json!({ "status": { "phase": "Pending" } }));
        let pods = [waiting, starting, pod(json!({}))];
        assert_eq!(number(&pods, None), 3);
        assert_eq!(number(&pods, Some(Placed::Changing(3))), 3);
        assert_eq!(number(&pods, closed(3, false)), 3, "its node may have been lost");
        assert_eq!(number(&pods, closed(3, true)), 2);
    }

    fn closed(before: u32, evicted: bool) -> Option<Placed> {
        Some(Placed::Closed { before, evicted })
    }

    #[test]
    fn what_left_is_counted_from_when_placement_was_closed() {
        assert_eq!(told(closed(10, false), 4), (4, 6));
        assert_eq!(told(Some(Placed::Changing(10)), 4), (4, 0));
        assert_eq!(told(None, 4), (4, 0));
    }

    #[test]
    fn whatever_a_reading_lets_expect_has_left_once_nothing_runs() {
        for before in [0, 1, 10] {
            let (none, left) = told(closed(before, false), 0);
            assert_eq!(none, 0);
            for actual in [1, 9, 10, 12, u32::MAX] {
                let (running, already) = told(closed(before, false), actual);
                assert!(running > 0, "{actual} of {before}");
                assert!(left >= running + already, "{actual} of {before}");
                let (_, raised) = told(closed(before.max(actual), false), 0);
                assert!(raised >= running + already, "{actual} of {before}");
            }
        }
    }

    #[tokio::test]
    async fn one_pod_s_refusal_or_lost_connection_keeps_no_other_from_being_asked() {
        let server = Server::open().await;
        let pods =
            ["twice", "unclear", "slow", "gone", "free"].map(|name| pod(json!({ "metadata": { "name": name } })));
        let refused = refused(&server.client(), pods.to_vec()).await.unwrap();
        let names: Vec<_> = refused.keys().map(String::as_str).collect();
        assert_eq!(names, ["web/slow", "web/twice", "web/unclear"]);
        assert_eq!(refused["web/twice"], "This pod has more than one PodDisruptionBudget");
        assert!(refused["web/slow"].contains("Kubernetes API"), "{refused:?}");
        let mut asked = server.asked();
        asked.sort();
        assert_eq!(asked, ["free", "gone", "slow", "twice", "unclear"]);
    }

    #[tokio::test]
    async fn who_may_not_evict_is_told_so() {
        let server = Server::open().await;
        for (name, class) in [("denied", ErrorClass::Denied), ("expired", ErrorClass::Denied)] {
            let pod = pod(json!({ "metadata": { "name": name } }));
            assert_eq!(refused(&server.client(), vec![pod]).await.unwrap_err().class, class, "{name}");
        }
    }

    #[tokio::test]
    async fn where_nothing_answers_nobody_was_asked() {
        let kubernetes = Kubernetes::at("http://127.0.0.1:1".to_owned());
        assert_eq!(refused(&kubernetes, vec![pod(json!({}))]).await.unwrap_err().class, ErrorClass::Outage);
    }

    /// Answers each eviction by the name of its pod.
    struct Server {
        address: String,
        asked: Arc<Mutex<Vec<String>>>,
    }

    impl Server {
        async fn open() -> Self {
            let asked: Arc<Mutex<Vec<String>>> = Arc::default();
            let noted = Arc::clone(&asked);
            let route = post(move |Path(pod): Path<String>| {
                noted.lock().unwrap().push(pod.clone());
                async move { answer(&pod).await }
            });
            let app = Router::new().route("/api/v1/namespaces/web/pods/{pod}/eviction", route);
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = format!("http://{}", listener.local_addr().unwrap());
            tokio::spawn(axum::serve(listener, app).into_future());
            Self { address, asked }
        }
        fn client(&self) -> Kubernetes {
            Kubernetes::at(self.address.clone())
        }
        fn asked(&self) -> Vec<String> {
            self.asked.lock().unwrap().clone()
        }
    }

    async fn answer(pod: &str) -> (StatusCode, Json<Value>) {
        let (status, message) = match pod {
            "twice" => (StatusCode::INTERNAL_SERVER_ERROR, "This pod has more than one PodDisruptionBudget"),
            "unclear" => (StatusCode::UNPROCESSABLE_ENTITY, "its admission failed"),
            "gone" => (StatusCode::NOT_FOUND, "not found"),
            "denied" => (StatusCode::FORBIDDEN, "you may not"),
            "expired" => (StatusCode::UNAUTHORIZED, "Unauthorized"),
            "slow" => std::future::pending().await,
            _ => (StatusCode::CREATED, ""),
        };
        (status, Json(json!({ "message": message })))
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
