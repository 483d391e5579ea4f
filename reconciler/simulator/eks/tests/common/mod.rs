//! A front over a world whose clock the test moves, and a client that signs as much as is looked at.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fleetwright_core::inventory::{Phase, Resource, Step};
use fleetwright_eks_front::{Front, Options, serve};
use fleetwright_schema::units::{Duration, Timestamp};
use fleetwright_simulator::{SimClock, Speed, World};
use serde_json::{Value, json};

pub const ROLE: &str = "arn:aws:iam::123456789012:role/nodes";

pub struct Lab {
    pub world: World,
    pub front: Front,
    client: reqwest::Client,
}

pub fn world() -> World {
    let start = Timestamp::from_unix_seconds(1_790_000_000);
    World::open(None, 7, SimClock::new(start, Speed::Max)).unwrap()
}

pub async fn lab() -> Lab {
    lab_over(world()).await
}

pub async fn lab_over(world: World) -> Lab {
    let front = serve(world.clone(), Options::default()).await.unwrap();
    Lab { world, front, client: reqwest::Client::builder().no_proxy().build().unwrap() }
}

pub fn authorization(scope: &str) -> String {
    let signature = "0".repeat(64);
    format!("AWS4-HMAC-SHA256 Credential=AK/20260921/{scope}/aws4_request, SignedHeaders=host, Signature={signature}")
}

impl Lab {
    pub async fn try_call(
        &self,
        method: &str,
        path: &str,
        body: Value,
    ) -> Result<(u16, String, Value), reqwest::Error> {
        let request = self.client.request(method.parse().unwrap(), format!("{}{path}", self.front.url()));
        let request = request.header("authorization", authorization("eu-west-1/eks"));
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let reply = request.body(body).send().await?;
        let code = reply.headers().get("x-amzn-errortype").map_or("", |code| code.to_str().unwrap()).to_owned();
        Ok((reply.status().as_u16(), code, reply.json().await?))
    }
    /// The reply to a call that goes well.
    pub async fn call(&self, method: &str, path: &str, body: Value) -> Value {
        let (status, code, reply) = self.try_call(method, path, body).await.unwrap();
        assert_eq!((status, code.as_str()), (200, ""), "{method} {path}: {reply}");
        reply
    }
    /// The status and code of one that does not.
    pub async fn refused(&self, method: &str, path: &str, body: Value) -> (u16, String) {
        let (status, code, reply) = self.try_call(method, path, body).await.unwrap();
        assert!(reply["message"].is_string(), "{reply}");
        (status, code)
    }
    pub async fn make(&self, name: &str) -> Value {
        self.call("POST", "/clusters", cluster(name)).await
    }
    pub async fn made(&self, name: &str) {
        self.make(name).await;
        self.settle(&format!("/clusters/{name}"), "cluster").await;
    }
    /// A cluster with a node group that works.
    pub async fn built(&self, name: &str) {
        self.made(name).await;
        self.call("POST", &format!("/clusters/{name}/node-groups"), group("default")).await;
        self.settle(&format!("/clusters/{name}/node-groups/default"), "nodegroup").await;
    }
    /// Moves on until this is ACTIVE.
    pub async fn settle(&self, path: &str, what: &str) {
        while self.call("GET", path, Value::Null).await[what]["status"] != json!("ACTIVE") {
            self.next();
        }
    }
    pub fn next(&self) {
        self.world.clock().advance_to(self.world.next_event().unwrap().unwrap());
    }
    pub fn wait(&self, minutes: u64) {
        self.world.clock().advance_to(self.world.clock().now().plus(Duration::from_minutes(minutes)));
    }
    pub fn resource(&self, step: Step) -> Option<Resource> {
        let all = self.world.resources().unwrap().into_iter().map(|standing| standing.resource);
        all.filter(|resource| resource.step == step).max_by_key(|resource| resource.created_at)
    }
    pub fn phase(&self, step: Step) -> Option<Phase> {
        self.resource(step).map(|resource| resource.phase)
    }
    pub async fn kubernetes(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let cluster = path.split('/').next().unwrap();
        self.kubernetes_as(&token(cluster), method, path, body).await
    }
    pub async fn kubernetes_as(&self, token: &str, method: &str, path: &str, body: Value) -> (u16, Value) {
        let url = format!("{}/kubernetes/{path}", self.front.url());
        let request = self.client.request(method.parse().unwrap(), url).bearer_auth(token);
        let kind = if method == "PATCH" { "application/strategic-merge-patch+json" } else { "application/json" };
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let reply = request.header("content-type", kind).body(body).send().await.unwrap();
        (reply.status().as_u16(), reply.json().await.unwrap())
    }
    /// The names of the workloads' pods.
    pub async fn pods(&self, cluster: &str) -> Vec<String> {
        let path = format!("{cluster}/api/v1/pods?fieldSelector=metadata.namespace!%3Dkube-system");
        let (status, list) = self.kubernetes("GET", &path, Value::Null).await;
        assert_eq!(status, 200, "{list}");
        let name = |pod: &Value| {
            format!("{}/{}", pod["metadata"]["namespace"].as_str().unwrap(), pod["metadata"]["name"].as_str().unwrap())
        };
        list["items"].as_array().unwrap().iter().map(name).collect()
    }
    pub async fn nodes(&self, cluster: &str) -> Vec<String> {
        let (_, list) = self.kubernetes("GET", &format!("{cluster}/api/v1/nodes"), Value::Null).await;
        let name = |node: &Value| node["metadata"]["name"].as_str().unwrap().to_owned();
        list["items"].as_array().unwrap().iter().map(name).collect()
    }
    pub async fn cordon(&self, cluster: &str, is_closed: bool) {
        for node in self.nodes(cluster).await {
            let body = json!({"spec": {"unschedulable": is_closed}});
            let (status, reply) = self.kubernetes("PATCH", &format!("{cluster}/api/v1/nodes/{node}"), body).await;
            assert_eq!(status, 200, "{reply}");
        }
    }
    pub async fn evict(&self, cluster: &str, pod: &str) -> (u16, Value) {
        let (namespace, name) = pod.split_once('/').unwrap();
        let path = format!("{cluster}/api/v1/namespaces/{namespace}/pods/{name}/eviction");
        let metadata = json!({"name": name, "namespace": namespace});
        let body = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata});
        self.kubernetes("POST", &path, body).await
    }
}

pub fn cluster(name: &str) -> Value {
    let tags = json!({"fleetwright.dev/set": "prod/aws/eu-west-1/Serving", "fleetwright.dev/ordinal": "3"});
    json!({
        "name": name,
        "version": "1.33",
        "roleArn": ROLE,
        "resourcesVpcConfig": {"subnetIds": ["subnet-1", "subnet-2"]},
        "clientRequestToken": format!("token-{name}"),
        "tags": tags,
    })
}

pub fn group(name: &str) -> Value {
    let scaling = json!({"minSize": 2, "maxSize": 3, "desiredSize": 2});
    json!({"nodegroupName": name, "subnets": ["subnet-1"], "nodeRole": ROLE, "scalingConfig": scaling})
}

/// A token that nobody signed, for a front that has no secret keys.
pub fn token(_cluster: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    token_of(Timestamp::from_unix_seconds(i64::try_from(now).unwrap()))
}

pub fn token_of(time: Timestamp) -> String {
    let date = time.to_string().replace(['-', ':'], "");
    let day = &date[..8];
    let url = format!(
        "https://sts.eu-west-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15\
         &X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AK%2F{day}%2Feu-west-1%2Fsts%2Faws4_request\
         &X-Amz-Date={date}&X-Amz-Expires=60&X-Amz-SignedHeaders=host%3Bx-k8s-aws-id&X-Amz-Signature=00"
    );
    format!("k8s-aws-v1.{}", URL_SAFE_NO_PAD.encode(url))
}
