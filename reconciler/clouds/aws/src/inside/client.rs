//! A little of the Kubernetes API of one cluster: what it takes to count what runs, and to let it leave.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fleetwright_clouds::CloudError;
use fleetwright_core::inventory::ErrorClass;
use reqwest::{Certificate, Method, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::control_plane::Live;
use crate::error::{error, retry_after};
use crate::session::{Session, partition};
use crate::token::token;

/// Items a page: some megabytes of pods.
const PAGE_ITEMS_MAX: u32 = 500;
/// A call that takes longer has an unknown result.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);
/// Within it a connection stands, or the API can't be reached from here.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The client of one cluster, for as long as one token is good.
#[derive(Clone)]
pub struct Kubernetes {
    http: reqwest::Client,
    address: String,
    token: String,
}

/// A page of a list.
#[derive(Deserialize)]
struct Page<T> {
    #[serde(default)]
    metadata: PageMetadata,
    #[serde(default = "Vec::new")]
    items: Vec<T>,
}

#[derive(Default, Deserialize)]
struct PageMetadata {
    #[serde(default)]
    r#continue: String,
}

/// How an eviction was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Eviction {
    /// It leaves, or is gone.
    Accepted,
    /// Not now, in the words of the API.
    Refused(String),
}

impl Kubernetes {
    /// A client that trusts the cluster's own authority and nobody else, and shows who we are.
    pub async fn of(session: &Session, live: &Live) -> Result<Self, CloudError> {
        let none = || error(ErrorClass::NotFound, "NoEndpoint", format!("{} has no address yet", live.name()));
        let address = live.endpoint.clone().ok_or_else(none)?;
        let mut http = reqwest::Client::builder().timeout(CALL_TIMEOUT).connect_timeout(CONNECT_TIMEOUT).no_proxy();
        if let Some(authority) = &live.authority {
            http = http.tls_certs_only([certificate(authority)?]);
        }
        let failed = |why: reqwest::Error| error(ErrorClass::Invalid, "ClientNotBuilt", why.to_string());
        let (region, credentials) = (session.region(), session.credentials().await?);
        let token = token(&credentials, region, &sts(region), live.name(), SystemTime::now())?;
        let address = address.trim_end_matches('/').to_owned();
        Ok(Self { http: http.build().map_err(failed)?, address, token })
    }

    /// All items of a list, over all its pages, or an error.
    pub async fn all<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, CloudError> {
        let mut items = Vec::new();
        let mut token = String::new();
        loop {
            let limit = PAGE_ITEMS_MAX.to_string();
            let query = [("limit", limit.as_str()), ("continue", token.as_str())];
            let asked = if token.is_empty() { &query[..1] } else { &query[..] };
            let call = self.http.get(format!("{}{path}{}", self.address, encoded(asked)));
            let reply = accepted(self.send(call).await?).await?;
            let page: Page<T> = reply.json().await.map_err(lost)?;
            items.extend(page.items);
            token = page.metadata.r#continue;
            if token.is_empty() {
                return Ok(items);
            }
        }
    }

    /// Merges into an object; whether it is there.
    pub async fn merge(&self, path: &str, patch: &Value) -> Result<bool, CloudError> {
        let call = self.http.request(Method::PATCH, format!("{}{path}", self.address));
        let call = call.header("content-type", "application/merge-patch+json").body(patch.to_string());
        let reply = self.send(call).await?;
        if reply.status() == StatusCode::NOT_FOUND {
            return Ok(false);
        }
        accepted(reply).await.map(|_| true)
    }

    /// Asks a pod to leave; its disruption budgets have a say. Whatever is said of this pod alone is a refusal: one that
    /// two budgets cover is answered 500, and one that a webhook looks at may not be answered at all. An error is only
    /// what would meet all others too: that nothing answers here, or that we may not ask.
    pub async fn evict(&self, namespace: &str, pod: &str) -> Result<Eviction, CloudError> {
        let path = format!("{}/api/v1/namespaces/{namespace}/pods/{pod}/eviction", self.address);
        let reply = match self.send(self.http.post(path).json(&eviction(namespace, pod))).await {
            Err(why) if why.class == ErrorClass::UnknownResult => return Ok(Eviction::Refused(why.message)),
            reply => reply?,
        };
        match reply.status() {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => accepted(reply).await.map(|_| Eviction::Accepted),
            StatusCode::NOT_FOUND => Ok(Eviction::Accepted),
            status if status.is_success() => Ok(Eviction::Accepted),
            _ => {
                let status: Value = reply.json().await.unwrap_or_default();
                Ok(Eviction::Refused(refusal(&status)))
            }
        }
    }

    async fn send(&self, call: reqwest::RequestBuilder) -> Result<Response, CloudError> {
        call.bearer_auth(&self.token).header("accept", "application/json").send().await.map_err(lost)
    }
}

#[cfg(test)]
impl Kubernetes {
    /// A client of what a test serves, which has no patience.
    pub(super) fn at(address: String) -> Self {
        let http = reqwest::Client::builder().timeout(Duration::from_millis(500)).no_proxy().build().unwrap();
        Self { http, address, token: "token".to_owned() }
    }
}

/// STS in the region of the cluster: others need not be known to it.
fn sts(region: &str) -> String {
    let suffix = if partition(region) == "aws-cn" { "amazonaws.com.cn" } else { "amazonaws.com" };
    format!("https://sts.{region}.{suffix}")
}

fn certificate(authority: &str) -> Result<Certificate, CloudError> {
    let wrong = |why: String| error(ErrorClass::Invalid, "AuthorityNotUnderstood", why);
    let pem = STANDARD.decode(authority).map_err(|why| wrong(why.to_string()))?;
    Certificate::from_pem(&pem).map_err(|why| wrong(why.to_string()))
}

fn eviction(namespace: &str, pod: &str) -> Value {
    serde_json::json!({
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": { "name": pod, "namespace": namespace },
    })
}

/// Why an eviction was refused: the name of the budget, where there is one in `The disruption budget api needs 3 …`.
fn refusal(status: &Value) -> String {
    let causes = status["details"]["causes"].as_array().into_iter().flatten();
    let said = causes.filter(|cause| cause["reason"] == "DisruptionBudget").find_map(|cause| cause["message"].as_str());
    let budget = said.and_then(|said| said.strip_prefix("The disruption budget ")?.split(' ').next());
    budget.or(said).or(status["message"].as_str()).unwrap_or("refused").to_owned()
}

fn encoded(query: &[(&str, &str)]) -> String {
    let escape = |text: &str| -> String {
        let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
        text.bytes().map(|b| if keep(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
    };
    let pairs: Vec<String> = query.iter().map(|(key, value)| format!("{key}={}", escape(value))).collect();
    format!("?{}", pairs.join("&"))
}

fn lost(why: reqwest::Error) -> CloudError {
    let class = if why.is_connect() { ErrorClass::Outage } else { ErrorClass::UnknownResult };
    let mut cause: &dyn std::error::Error = &why;
    while let Some(next) = cause.source() {
        cause = next;
    }
    error(class, "ConnectionLost", format!("the Kubernetes API: {cause}"))
}

async fn accepted(reply: Response) -> Result<Response, CloudError> {
    let status = reply.status();
    if status.is_success() {
        return Ok(reply);
    }
    let wait = reply.headers().get("retry-after").and_then(|wait| wait.to_str().ok()).map(str::to_owned);
    let said: Value = reply.json().await.unwrap_or_default();
    let code = said["reason"].as_str().unwrap_or("KubernetesError");
    let message = said["message"].as_str().unwrap_or_default();
    let class = class(status.as_u16());
    Err(CloudError { retry_after: retry_after(wait.as_deref()), ..error(class, code, format!("{status} {message}")) })
}

const fn class(status: u16) -> ErrorClass {
    match status {
        401 | 403 => ErrorClass::Denied,
        404 => ErrorClass::NotFound,
        // 410: the list was too long in reading; begun anew, it is another.
        409 | 410 => ErrorClass::Conflict,
        429 => ErrorClass::Throttled,
        500..=599 => ErrorClass::Outage,
        _ => ErrorClass::Invalid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_refused_eviction_names_its_budget() {
        let status = json!({
            "message": "Cannot evict pod as it would violate the pod's disruption budget.",
            "details": { "causes": [{ "reason": "DisruptionBudget", "message": "The disruption budget api needs 3" }] },
        });
        assert_eq!(refusal(&status), "api");
        assert_eq!(refusal(&json!({ "message": "too many" })), "too many");
        assert_eq!(refusal(&Value::Null), "refused");
    }

    #[test]
    fn tokens_of_pages_are_escaped() {
        assert_eq!(encoded(&[("limit", "500"), ("continue", "a=/+")]), "?limit=500&continue=a%3D%2F%2B");
    }

    #[test]
    fn an_authority_that_is_none_is_an_error_and_no_trust_in_everybody() {
        assert_eq!(certificate("%").err().map(|why| why.class), Some(ErrorClass::Invalid));
    }
}
