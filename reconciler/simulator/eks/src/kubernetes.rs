//! As much of the Kubernetes API of each cluster as it takes to see its nodes and pods, to close it and to empty it.
//! Behind it are the world's workloads: a count, of which pods are made up.

mod nodes;
mod pods;
mod token;

use std::time::{SystemTime, UNIX_EPOCH};

use axum::http::{StatusCode, header};
use axum::response::Response;
use fleetwright_core::inventory::{Phase, Place};
use fleetwright_schema::names::ClusterName;
use fleetwright_schema::units::Timestamp;
use fleetwright_simulator::Verb;
use fleetwright_simulator::front::{Draft, FrontCall, Part, View};
use serde_json::{Value, json};

use crate::call::CLUSTER;
use crate::document::Document;
use crate::errors::{ApiError, Refusal, not_found};
use crate::model;
use crate::nodegroup::cluster_of;
use crate::server::{App, Received, lost, reply};

/// Why a request is not answered with what was asked for.
enum Failure {
    Status { code: u16, reason: &'static str, message: String, details: Value },
    Lost,
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Lost => Self::Lost,
            Refusal::Api(ApiError { code, message, .. }) => failure(code.status().as_u16(), "InternalError", message),
        }
    }
}

fn failure(code: u16, reason: &'static str, message: impl Into<String>) -> Failure {
    Failure::Status { code, reason, message: message.into(), details: Value::Null }
}

fn no_route(received: &Received) -> Failure {
    failure(404, "NotFound", format!("the server could not find {} {}", received.method, received.path))
}

/// One cluster that is asked.
struct Asked<'a> {
    app: &'a App,
    received: &'a Received,
    place: Place,
    cluster: ClusterName,
}

/// Answers a request to `/kubernetes/<cluster>/...`.
pub(crate) fn answer(app: &App, received: &Received) -> Response {
    match route(app, received) {
        Ok((code, body)) => reply(StatusCode::from_u16(code).unwrap_or_default(), &body),
        Err(Failure::Lost) => lost(),
        Err(Failure::Status { code, reason, message, details }) => {
            let mut body = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                                  "message": message, "reason": reason, "code": code});
            if details != Value::Null {
                body["details"] = details;
            }
            reply(StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), &body)
        }
    }
}

fn route(app: &App, received: &Received) -> Result<(u16, Value), Failure> {
    let path: Option<Vec<String>> = received.path.split('/').skip(2).map(model::decode).collect();
    let path = path.ok_or_else(|| no_route(received))?;
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let (name, rest) = path.split_first().ok_or_else(|| no_route(received))?;
    let asked = admit(app, received, name)?;
    match (received.method.as_str(), rest) {
        ("GET", ["version"]) => asked.counted("version", |asked| asked.look(version)),
        ("GET", ["healthz" | "livez" | "readyz"]) => Ok((200, json!("ok"))),
        ("GET", ["api", "v1", "nodes"]) => asked.counted("listNodes", nodes::list),
        ("GET", ["api", "v1", "nodes", node]) => asked.counted("getNode", |asked| nodes::get(asked, node)),
        ("PATCH", ["api", "v1", "nodes", node]) => asked.counted("patchNode", |asked| nodes::patch(asked, node)),
        ("GET", ["api", "v1", "pods"]) => asked.counted("listPods", |asked| pods::list(asked, None)),
        ("GET", ["api", "v1", "namespaces", namespace, "pods"]) => {
            asked.counted("listPods", |asked| pods::list(asked, Some(namespace)))
        }
        ("POST", ["api", "v1", "namespaces", namespace, "pods", pod, "eviction"]) => {
            asked.counted("evictPod", |asked| pods::evict(asked, namespace, pod))
        }
        ("DELETE", ["api", "v1", "namespaces", namespace, "pods", pod]) => {
            asked.counted("deletePod", |asked| pods::delete(asked, namespace, pod))
        }
        _ => Err(no_route(received)),
    }
}

/// Who shows no good token for this very cluster learns nothing of it.
fn admit<'a>(app: &'a App, received: &'a Received, name: &str) -> Result<Asked<'a>, Failure> {
    let header = received.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |span| span.as_secs());
    let now = Timestamp::from_unix_seconds(i64::try_from(now).unwrap_or(i64::MAX));
    let bearer = header.and_then(|header| header.strip_prefix("Bearer ")).unwrap_or_default();
    let region = token::check(bearer, name, &app.options.secret_keys, now)
        .map_err(|why| failure(401, "Unauthorized", format!("Unauthorized: {why}")))?;
    let away = || failure(503, "ServiceUnavailable", format!("nothing answers for {name}"));
    let cluster: ClusterName = name.parse().map_err(|_| away())?;
    let places = app.world.front_places(&cluster).map_err(|error| failure(500, "InternalError", error.to_string()))?;
    let by_region = places.iter().find(|place| place.region.as_str() == region);
    let place = by_region.or(places.first()).cloned().ok_or_else(away)?;
    let asked = Asked { app, received, place, cluster };
    let phase = asked.look(|view, cluster| Ok(cluster_of(view, &cluster.cluster).map(|part| part.phase)))?;
    match phase {
        Some(Phase::Ready | Phase::Updating | Phase::Deleting) => Ok(asked),
        Some(Phase::Creating | Phase::Failed) | None => Err(away()),
    }
}

impl Asked<'_> {
    fn counted<T: Into<Answer>>(
        &self,
        call: &str,
        answer: impl FnOnce(&Self) -> Result<T, Failure>,
    ) -> Result<(u16, Value), Failure> {
        self.app.count(call);
        let Answer(code, body) = answer(self)?.into();
        Ok((code, body))
    }
    /// Looks at the cluster as it is now.
    fn look<T>(&self, work: impl FnOnce(&View<'_>, &Part) -> Result<T, Failure>) -> Result<T, Failure> {
        self.look_at(None, work)
    }
    /// Looks at the cluster as it was then.
    fn look_at<T>(
        &self,
        then: Option<Timestamp>,
        work: impl FnOnce(&View<'_>, &Part) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let looked = self.app.world.front_look(&self.place, then, |view| {
            let cluster = view.part(CLUSTER, &self.cluster, self.cluster.as_str());
            cluster.map(|cluster| work(view, &cluster))
        });
        let away = || failure(503, "ServiceUnavailable", format!("nothing answers for {}", self.cluster));
        looked.map_err(|error| failure(500, "InternalError", error.to_string()))?.ok_or_else(away)?
    }
    /// Changes the cluster, as far as faults let it.
    fn write<T>(
        &self,
        verb: Verb,
        work: impl FnOnce(&mut Draft<'_>, &Part) -> Result<T, Refusal>,
    ) -> Result<T, Failure> {
        let set = self.look(|_, cluster| Ok(cluster.set.clone()))?;
        let (place, cluster) = (self.place.clone(), self.cluster.clone());
        let step = CLUSTER.step;
        let call = FrontCall { place, cluster, set, step, verb, at_provider: false };
        let written = self.app.world.front_write(&call, |draft| {
            let cluster = cluster_of(draft, &self.cluster).ok_or_else(|| not_found("the cluster is gone"))?;
            work(draft, &cluster)
        });
        Ok(written?)
    }
    fn body(&self) -> Result<Value, Failure> {
        serde_json::from_slice(&self.received.body)
            .map_err(|error| failure(400, "BadRequest", format!("the body is no JSON: {error}")))
    }
    fn query(&self, key: &str) -> Result<Option<String>, Failure> {
        let pairs =
            model::query(&self.received.query).map_err(|_| failure(400, "BadRequest", "the query is broken"))?;
        Ok(pairs.into_iter().find(|(name, _)| name == key).map(|(_, value)| value).filter(|value| !value.is_empty()))
    }
}

/// A status and a body; 200 for a body alone.
struct Answer(u16, Value);

impl From<Value> for Answer {
    fn from(body: Value) -> Self {
        Self(200, body)
    }
}

impl From<(u16, Value)> for Answer {
    fn from((code, body): (u16, Value)) -> Self {
        Self(code, body)
    }
}

fn version(view: &View<'_>, cluster: &Part) -> Result<Value, Failure> {
    let version = Document::of(cluster).text("version", view.time());
    let minor = version.split('.').nth(1).unwrap_or_default();
    Ok(json!({"major": "1", "minor": minor, "gitVersion": format!("v{version}.4-eks-0000000"),
              "platform": "linux/amd64"}))
}
