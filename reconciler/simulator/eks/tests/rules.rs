//! That clusters made over the wire are clusters of the world, with its time and its faults.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{ROLE, authorization, cluster, group, lab, lab_over, world};
use fleetwright_core::inventory::{Phase, Step};
use fleetwright_schema::units::Duration;
use fleetwright_simulator::{Fault, Odds, Scope, SimClock, Speed, Target, Verb, World};
use serde_json::{Value, json};

fn outage(world: &World, minutes: u64) -> Fault {
    let now = world.clock().now();
    Fault::Outage { scope: Scope::default(), from: now, until: now.plus(Duration::from_minutes(minutes)) }
}

fn random(odds: Odds) -> Fault {
    Fault::Random { scope: Scope::default(), odds, until: None }
}

#[tokio::test]
async fn a_cluster_is_a_control_plane_of_the_world_and_takes_its_time() {
    let lab = lab().await;
    let made = lab.make("serving-3").await;
    assert_eq!(made["cluster"]["status"], json!("CREATING"));
    assert_eq!(made["cluster"]["endpoint"], Value::Null);
    let seen = lab.resource(Step::ControlPlane).unwrap();
    assert_eq!(
        (seen.phase, seen.set.to_string().as_str(), seen.ordinal),
        (Phase::Creating, "prod/aws/eu-west-1/Serving", 3)
    );
    let place = lab.world.resources().unwrap()[0].place.clone();
    assert_eq!((&*place.account, lab.world.observe_now(&place).unwrap().resources.len()), ("123456789012", 1));
    lab.wait(8);
    assert_eq!(lab.phase(Step::ControlPlane), Some(Phase::Creating));
    lab.settle("/clusters/serving-3", "cluster").await;
    assert_eq!(lab.phase(Step::ControlPlane), Some(Phase::Ready));
}

#[tokio::test]
async fn a_mark_in_the_tags_is_what_the_world_sees_as_applied() {
    let lab = lab().await;
    lab.made("serving-3").await;
    let path = "/tags/arn%3Aaws%3Aeks%3Aeu-west-1%3A123456789012%3Acluster%2Fserving-3";
    lab.call("POST", path, json!({"tags": {"fleetwright.dev/applied": "f7"}})).await;
    assert_eq!(&*lab.resource(Step::ControlPlane).unwrap().applied, "f7");
}

#[tokio::test]
async fn a_cluster_without_tags_is_of_a_set_of_its_own() {
    let lab = lab().await;
    let mut wanted = cluster("other");
    wanted.as_object_mut().unwrap().remove("tags");
    lab.call("POST", "/clusters", wanted).await;
    let seen = lab.resource(Step::ControlPlane).unwrap();
    assert_eq!((seen.set.to_string().as_str(), seen.ordinal), ("unmanaged/aws/eu-west-1/Unmanaged", 0));
}

#[tokio::test]
async fn node_groups_are_no_resources_of_a_listing_but_events_of_the_world() {
    let lab = lab().await;
    lab.made("serving-3").await;
    lab.call("POST", "/clusters/serving-3/node-groups", group("a")).await;
    assert_eq!(lab.phase(Step::NodePools), None);
    let next = lab.world.next_event().unwrap().unwrap().since(lab.world.clock().now());
    assert!((96..=144).contains(&next.seconds()), "{next}");
    lab.next();
    let group = lab.call("GET", "/clusters/serving-3/node-groups/a", Value::Null).await;
    assert_eq!(group["nodegroup"]["status"], json!("ACTIVE"));
}

#[tokio::test]
async fn a_lost_reply_closes_the_connection_and_the_same_token_gets_the_same_cluster() {
    let lab = lab().await;
    let target = Target { verb: Some(Verb::Create), ..Target::of("serving-*", Step::ControlPlane) };
    lab.world.inject(Fault::LoseReply { target, times: 1 }).unwrap();
    assert!(lab.try_call("POST", "/clusters", cluster("serving-3")).await.is_err());
    let again = lab.make("serving-3").await;
    assert_eq!(again["cluster"]["status"], json!("CREATING"));
    assert_eq!(lab.world.history().unwrap().len(), 1);
    let other = json!({"clientRequestToken": "t9"});
    let mut wanted = cluster("serving-3");
    wanted["clientRequestToken"] = other["clientRequestToken"].clone();
    assert_eq!(lab.refused("POST", "/clusters", wanted).await, (409, "ResourceInUseException".to_owned()));
}

#[tokio::test]
async fn a_lost_request_closes_the_connection_and_nothing_is_made() {
    let lab = lab().await;
    lab.world.inject(random(Odds { lose_request_per_mille: 1000, ..Odds::default() })).unwrap();
    assert!(lab.try_call("POST", "/clusters", cluster("serving-3")).await.is_err());
    lab.world.clear_faults().unwrap();
    assert!(lab.world.resources().unwrap().is_empty());
}

#[tokio::test]
async fn outages_budgets_and_refusals_have_the_codes_of_eks() {
    let lab = lab().await;
    let call = || lab.refused("GET", "/clusters", Value::Null);
    let fault = lab.world.inject(outage(&lab.world, 5)).unwrap();
    assert_eq!(call().await, (503, "ServiceUnavailableException".to_owned()));
    lab.world.remove_fault(fault).unwrap();
    let fault = Fault::Throttle { scope: Scope::default(), calls_per_minute: 1 };
    let fault = lab.world.inject(fault).unwrap();
    lab.call("GET", "/clusters", Value::Null).await;
    assert_eq!(call().await, (429, "ThrottlingException".to_owned()));
    lab.world.remove_fault(fault).unwrap();
    let denied = fleetwright_core::inventory::ErrorClass::Denied;
    let fault = Fault::Refuse { target: Target::default(), class: denied, times: Some(1), until: None };
    lab.world.inject(fault).unwrap();
    let refused = lab.refused("POST", "/clusters", cluster("a")).await;
    assert_eq!(refused, (403, "AccessDeniedException".to_owned()));
    let fault = Fault::Quota { scope: Scope::default(), step: Step::ControlPlane, count_max: 0 };
    lab.world.inject(fault).unwrap();
    let refused = lab.refused("POST", "/clusters", cluster("a")).await;
    assert_eq!(refused, (400, "ResourceLimitExceededException".to_owned()));
}

#[tokio::test]
async fn late_readings_show_what_was() {
    let lab = lab().await;
    lab.make("serving-3").await;
    lab.wait(20);
    let (now, lag) = (lab.world.clock().now(), Duration::from_minutes(15));
    let until = now.plus(Duration::from_minutes(60));
    let stale = Fault::StaleReads { scope: Scope::default(), lag, from: now, until };
    lab.world.inject(stale).unwrap();
    let seen = lab.call("GET", "/clusters/serving-3", Value::Null).await;
    assert_eq!(seen["cluster"]["status"], json!("CREATING"));
    lab.call("POST", "/clusters/serving-3/node-groups", group("a")).await;
    let missing = lab.refused("GET", "/clusters/serving-3/node-groups/a", Value::Null).await;
    assert_eq!(missing, (404, "ResourceNotFoundException".to_owned()));
}

#[tokio::test]
async fn what_becomes_failed_says_so() {
    let lab = lab().await;
    let target = Target::of("*", Step::ControlPlane);
    lab.world.inject(Fault::BecomeFailed { target, times: Some(1) }).unwrap();
    lab.make("serving-3").await;
    lab.wait(20);
    let seen = lab.call("GET", "/clusters/serving-3", Value::Null).await;
    assert_eq!(seen["cluster"]["status"], json!("FAILED"));
    lab.call("DELETE", "/clusters/serving-3", Value::Null).await;
}

#[tokio::test]
async fn what_vanishes_takes_with_it_what_is_inside() {
    let lab = lab().await;
    lab.built("serving-3").await;
    let vanish = |step| Fault::Vanish { cluster: "serving-3".parse().unwrap(), step };
    lab.world.inject(vanish(Step::NodePools)).unwrap();
    let left = lab.call("GET", "/clusters/serving-3/node-groups", Value::Null).await;
    assert_eq!(left["nodegroups"], json!([]));
    lab.call("POST", "/clusters/serving-3/node-groups", group("b")).await;
    lab.world.inject(vanish(Step::ControlPlane)).unwrap();
    let missing = lab.refused("GET", "/clusters/serving-3", Value::Null).await;
    assert_eq!(missing, (404, "ResourceNotFoundException".to_owned()));
    lab.made("serving-3").await;
    let left = lab.call("GET", "/clusters/serving-3/node-groups", Value::Null).await;
    assert_eq!(left["nodegroups"], json!([]));
}

#[tokio::test]
async fn lists_have_pages_and_a_token_is_of_one_list() {
    let lab = lab().await;
    for name in ["c", "a", "b"] {
        lab.make(name).await;
    }
    let first = lab.call("GET", "/clusters?maxResults=2", Value::Null).await;
    assert_eq!(first["clusters"], json!(["a", "b"]));
    let token = first["nextToken"].as_str().unwrap();
    let rest = lab.call("GET", &format!("/clusters?maxResults=2&nextToken={token}"), Value::Null).await;
    assert_eq!(rest, json!({"clusters": ["c"]}));
    lab.wait(20);
    let invalid = (400, "InvalidParameterException".to_owned());
    let foreign = format!("/clusters/a/node-groups?nextToken={token}");
    assert_eq!(lab.refused("GET", &foreign, Value::Null).await, invalid);
    assert_eq!(lab.refused("GET", "/clusters?maxResults=0", Value::Null).await, invalid);
    assert_eq!(lab.refused("GET", "/clusters?colour=red", Value::Null).await, invalid);
}

#[tokio::test]
async fn requests_that_make_no_sense_are_refused() {
    let lab = lab().await;
    let invalid = (400, "InvalidParameterException".to_owned());
    let with = |key: &str, value: Value| {
        let mut wanted = cluster("serving-3");
        wanted[key] = value;
        wanted
    };
    let wrong = [
        with("version", json!("1.12")),
        with("version", json!("1.33.2")),
        with("name", json!("Serving_3")),
        with("roleArn", json!("me")),
        with("resourcesVpcConfig", json!({"subnetIds": ["subnet-1"]})),
        with("resourcesVpcConfig", json!({"subnetIds": ["a", "b"], "endpointPublicAccess": false})),
        with("tags", json!({"aws:mine": "x"})),
        with("colour", json!("red")),
        with("deletionProtection", json!("yes")),
    ];
    for wanted in wrong {
        assert_eq!(lab.refused("POST", "/clusters", wanted.clone()).await, invalid, "{wanted}");
    }
    assert!(lab.world.resources().unwrap().is_empty());
    let unknown = lab.refused("GET", "/clusters/a/fargate-profiles", Value::Null).await;
    assert_eq!(unknown, (404, "UnknownOperationException".to_owned()));
}

#[tokio::test]
async fn requests_are_signed_for_eks() {
    let lab = lab().await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}/clusters", lab.front.url());
    assert_eq!(client.get(&url).send().await.unwrap().status(), 403);
    let foreign = client.get(&url).header("authorization", authorization("eu-west-1/ec2"));
    assert_eq!(foreign.send().await.unwrap().status(), 403);
    lab.make("serving-3").await;
    let elsewhere = client.get(&url).header("authorization", authorization("us-east-1/eks")).send().await.unwrap();
    assert_eq!(elsewhere.json::<Value>().await.unwrap(), json!({"clusters": []}));
}

#[tokio::test]
async fn a_version_goes_back_for_a_week_and_no_longer() {
    let lab = lab().await;
    lab.made("serving-3").await;
    let path = "/clusters/serving-3/updates";
    lab.call("POST", path, json!({"version": "1.34"})).await;
    assert_eq!(lab.phase(Step::ControlPlane), Some(Phase::Updating));
    let busy = lab.refused("DELETE", "/clusters/serving-3", Value::Null).await;
    assert_eq!(busy, (409, "ResourceInUseException".to_owned()));
    lab.settle("/clusters/serving-3", "cluster").await;
    lab.wait(7 * 24 * 60 + 1);
    let late = lab.refused("POST", path, json!({"version": "1.33"})).await;
    assert_eq!(late, (400, "InvalidRequestException".to_owned()));
    lab.call("POST", path, json!({"version": "1.35"})).await;
    lab.settle("/clusters/serving-3", "cluster").await;
    lab.wait(60);
    let back = lab.call("POST", path, json!({"version": "1.34"})).await;
    assert_eq!(back["update"]["type"], json!("VersionRollback"));
    lab.settle("/clusters/serving-3", "cluster").await;
    let twice = lab.refused("POST", path, json!({"version": "1.33"})).await;
    assert_eq!(twice, (400, "InvalidRequestException".to_owned()));
}

#[tokio::test]
async fn a_protected_cluster_is_not_deleted_and_another_not_while_node_groups_stand() {
    let lab = lab().await;
    let mut wanted = cluster("serving-3");
    wanted["deletionProtection"] = json!(true);
    lab.call("POST", "/clusters", wanted).await;
    lab.settle("/clusters/serving-3", "cluster").await;
    let delete = || lab.refused("DELETE", "/clusters/serving-3", Value::Null);
    assert_eq!(delete().await, (400, "InvalidRequestException".to_owned()));
    lab.call("POST", "/clusters/serving-3/update-config", json!({"deletionProtection": false})).await;
    lab.settle("/clusters/serving-3", "cluster").await;
    lab.call("POST", "/clusters/serving-3/node-groups", group("a")).await;
    assert_eq!(delete().await, (409, "ResourceInUseException".to_owned()));
    lab.settle("/clusters/serving-3/node-groups/a", "nodegroup").await;
    lab.call("DELETE", "/clusters/serving-3/node-groups/a", Value::Null).await;
    lab.wait(5);
    let gone = lab.call("DELETE", "/clusters/serving-3", Value::Null).await;
    assert_eq!(gone["cluster"]["status"], json!("DELETING"));
    lab.wait(10);
    assert_eq!(lab.phase(Step::ControlPlane), None);
}

#[tokio::test]
async fn a_cluster_outlives_its_front_in_the_file_of_the_world() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("world");
    let open = || {
        let start = fleetwright_schema::units::Timestamp::from_unix_seconds(1_790_000_000);
        World::open(Some(&path), 7, SimClock::new(start, Speed::Max)).unwrap()
    };
    let first = lab_over(open()).await;
    first.built("serving-3").await;
    let before = first.call("GET", "/clusters/serving-3", Value::Null).await;
    let url = first.front.url().to_owned();
    drop(first);
    let second = lab_over(open()).await;
    let mut after = second.call("GET", "/clusters/serving-3", Value::Null).await;
    after["cluster"]["endpoint"] = json!(format!("{url}/kubernetes/serving-3"));
    assert_eq!(after, before);
    let group = second.call("GET", "/clusters/serving-3/node-groups/default", Value::Null).await;
    assert_eq!(group["nodegroup"]["nodeRole"], json!(ROLE));
}

#[tokio::test]
async fn a_dropped_front_serves_no_more() {
    let lab = lab_over(world()).await;
    let url = format!("{}/clusters", lab.front.url());
    drop(lab);
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    assert!(reqwest::Client::builder().no_proxy().build().unwrap().get(url).send().await.is_err());
}

#[tokio::test]
async fn faults_can_be_set_over_the_wire() {
    let lab = lab().await;
    let control = |method: &'static str, path: &'static str, body: Value| async {
        lab.try_call(method, path, body).await.unwrap()
    };
    let throttle = json!({"throttle": {"callsPerMinute": 1}});
    assert_eq!(control("POST", "/control/faults", throttle).await.0, 200);
    assert_eq!(control("POST", "/control/faults", json!({"nonsense": 1})).await.0, 400);
    assert_eq!(lab.world.faults().unwrap().len(), 1);
    assert_eq!(control("DELETE", "/control/faults", Value::Null).await.0, 200);
    assert!(lab.world.faults().unwrap().is_empty());
    lab.make("serving-3").await;
    let (_, _, resources) = control("GET", "/control/resources", Value::Null).await;
    assert_eq!(resources[0]["resource"]["step"], json!("controlPlane"));
    let (_, _, calls) = control("GET", "/control/calls", Value::Null).await;
    assert_eq!(calls, json!({"CreateCluster": 1}));
}
