//! That what is done inside a cluster is done to the world's workloads, and that nobody gets in without a token.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{Lab, lab, token, token_of};
use fleetwright_core::inventory::{Placement, Step, Workloads};
use fleetwright_schema::units::Timestamp;
use fleetwright_simulator::{Fault, Target, Verb};
use serde_json::{Value, json};

fn workloads(lab: &Lab) -> (Placement, Workloads) {
    let facts = lab.resource(Step::ControlPlane).unwrap().control_plane.unwrap();
    (facts.placement, facts.workloads.unwrap())
}

async fn full() -> Lab {
    let lab = lab().await;
    lab.built("serving-3").await;
    assert!(lab.pods("serving-3").await.is_empty());
    lab.wait(10);
    lab
}

#[tokio::test]
async fn pods_come_some_minutes_after_the_nodes_and_are_as_many_as_the_world_counts() {
    let lab = full().await;
    let running = workloads(&lab).1.running;
    assert!(running >= 5);
    assert_eq!(lab.pods("serving-3").await.len(), running as usize);
    let (_, list) = lab.kubernetes("GET", "serving-3/api/v1/pods", Value::Null).await;
    let owner = |pod: &Value| pod["metadata"]["ownerReferences"][0]["kind"].as_str().unwrap().to_owned();
    let owners: Vec<String> = list["items"].as_array().unwrap().iter().map(owner).collect();
    assert_eq!(owners.iter().filter(|owner| *owner == "ReplicaSet").count(), running as usize);
    assert_eq!(owners.iter().filter(|owner| *owner == "DaemonSet").count(), 2 * lab.nodes("serving-3").await.len());
    assert!(lab.resource(Step::Leftovers).is_some());
}

#[tokio::test]
async fn all_nodes_closed_is_placement_closed_and_one_opened_opens_it() {
    let lab = full().await;
    let before = workloads(&lab).1.running;
    let nodes = lab.nodes("serving-3").await;
    let path = format!("serving-3/api/v1/nodes/{}", nodes[0]);
    lab.kubernetes("PATCH", &path, json!({"spec": {"unschedulable": true}})).await;
    assert_eq!(workloads(&lab).0, Placement::Open);
    lab.cordon("serving-3", true).await;
    assert_eq!(workloads(&lab).0, Placement::Closed);
    lab.wait(15);
    let (_, half) = workloads(&lab);
    assert!(half.running < before && half.running + half.left == before);
    assert_eq!(lab.pods("serving-3").await.len(), half.running as usize);
    lab.cordon("serving-3", false).await;
    lab.wait(2);
    assert_eq!((workloads(&lab).0, workloads(&lab).1.running), (Placement::Open, before));
}

#[tokio::test]
async fn what_was_kept_out_before_it_came_comes_when_nodes_are_opened() {
    let lab = lab().await;
    lab.built("serving-3").await;
    lab.cordon("serving-3", true).await;
    lab.wait(30);
    assert!(lab.pods("serving-3").await.is_empty());
    lab.cordon("serving-3", false).await;
    lab.wait(10);
    assert!(!lab.pods("serving-3").await.is_empty());
}

#[tokio::test]
async fn evictions_empty_a_closed_cluster_sooner_and_an_open_one_not_at_all() {
    let lab = full().await;
    let pod = lab.pods("serving-3").await.remove(1);
    assert_eq!(lab.evict("serving-3", &pod).await.0, 201);
    lab.wait(10);
    assert!(workloads(&lab).1.running > 0 && workloads(&lab).0 == Placement::Open);
    lab.cordon("serving-3", true).await;
    assert_eq!(lab.evict("serving-3", &pod).await.0, 201);
    lab.wait(7);
    assert!(lab.pods("serving-3").await.is_empty());
    assert_eq!(lab.evict("serving-3", &pod).await.0, 404);
}

#[tokio::test]
async fn a_budget_holds_the_last_pod_until_it_is_deleted() {
    let lab = full().await;
    let blocked_by = vec!["web/cart-0 (budget cart)".to_owned()];
    lab.world.inject(Fault::StuckDrain { cluster: "serving-*".to_owned(), blocked_by }).unwrap();
    lab.cordon("serving-3", true).await;
    let (status, reply) = lab.evict("serving-3", "web/cart-0").await;
    assert_eq!((status, &reply["details"]["causes"][0]["reason"]), (429, &json!("DisruptionBudget")));
    assert!(reply["details"]["causes"][0]["message"].as_str().unwrap().contains("budget cart needs"));
    for pod in lab.pods("serving-3").await.iter().filter(|pod| *pod != "web/cart-0") {
        assert_eq!(lab.evict("serving-3", pod).await.0, 201);
    }
    lab.wait(30);
    assert_eq!(lab.pods("serving-3").await, ["web/cart-0"]);
    assert_eq!(lab.evict("serving-3", "web/cart-0").await.0, 429);
    lab.kubernetes("DELETE", "serving-3/api/v1/namespaces/web/pods/cart-0", Value::Null).await;
    lab.wait(10);
    assert!(lab.pods("serving-3").await.is_empty());
}

#[tokio::test]
async fn what_is_uncountable_is_not_listed() {
    let lab = full().await;
    lab.world.inject(Fault::Uncountable { cluster: "*".to_owned(), until: None }).unwrap();
    assert_eq!(lab.kubernetes("GET", "serving-3/api/v1/pods", Value::Null).await.0, 500);
}

#[tokio::test]
async fn a_list_in_pages_shows_one_moment() {
    let lab = full().await;
    let all = lab.pods("serving-3").await.len() + 4;
    let (_, first) = lab.kubernetes("GET", "serving-3/api/v1/pods?limit=2", Value::Null).await;
    assert_eq!(first["metadata"]["remainingItemCount"], json!(all - 2));
    lab.cordon("serving-3", true).await;
    lab.wait(40);
    let next = first["metadata"]["continue"].as_str().unwrap();
    let (_, rest) = lab.kubernetes("GET", &format!("serving-3/api/v1/pods?continue={next}"), Value::Null).await;
    assert_eq!(rest["items"].as_array().unwrap().len(), all - 2);
    lab.wait(25 * 60);
    let (late, _) = lab.kubernetes("GET", &format!("serving-3/api/v1/pods?continue={next}"), Value::Null).await;
    assert_eq!(late, 410);
}

#[tokio::test]
async fn a_lost_reply_to_a_cordon_closes_the_node_all_the_same() {
    let lab = full().await;
    let nodes = lab.nodes("serving-3").await;
    lab.cordon("serving-3", true).await;
    let target = Target { verb: Some(Verb::Open), ..Target::of("serving-3", Step::ControlPlane) };
    lab.world.inject(Fault::LoseReply { target, times: 1 }).unwrap();
    let url = format!("{}/kubernetes/serving-3/api/v1/nodes/{}", lab.front.url(), nodes[0]);
    let request = reqwest::Client::builder().no_proxy().build().unwrap().patch(url).bearer_auth(token("serving-3"));
    let request = request.header("content-type", "application/merge-patch+json");
    assert!(request.body(r#"{"spec": {"unschedulable": null}}"#).send().await.is_err());
    assert_eq!(workloads(&lab).0, Placement::Open);
}

#[tokio::test]
async fn a_token_is_fresh_and_whole_or_refused() {
    let lab = full().await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let at = |seconds: u64| token_of(Timestamp::from_unix_seconds(i64::try_from(seconds).unwrap()));
    let cases = [(at(now), 200), (at(now - 16 * 60), 401), (at(now + 20 * 60), 401), (String::new(), 401)];
    for (token, wanted) in cases {
        let (status, _) = lab.kubernetes_as(&token, "GET", "serving-3/version", Value::Null).await;
        assert_eq!(status, wanted, "{token}");
    }
    let (status, _) = lab.kubernetes("GET", "nothing-1/version", Value::Null).await;
    assert_eq!(status, 503);
}
