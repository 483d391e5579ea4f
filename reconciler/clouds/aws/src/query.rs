//! The Query protocol of EC2 and the load balancers: a form that is signed and sent, and XML that comes back. The SDK of
//! EC2 takes 8 GB of memory and minutes to build, for the forty calls that are made here.

use std::time::SystemTime;

use aws_config::SdkConfig;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use fleetwright_clouds::CloudError;
use fleetwright_core::inventory::ErrorClass;

use crate::calls::Calls;
use crate::error::{classify, error, of_unreadable, retry_after, steady};
use crate::session::{credentials, endpoint_override, partition};

/// A service that speaks Query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Networks.
    Ec2,
    /// Classic load balancers.
    Elb,
    /// Application and network load balancers.
    Elbv2,
}

impl Service {
    /// Its name in signatures, policies and addresses.
    const fn name(self) -> &'static str {
        match self {
            Self::Ec2 => "ec2",
            Self::Elb | Self::Elbv2 => "elasticloadbalancing",
        }
    }
    /// Its id in configuration files.
    const fn id(self) -> &'static str {
        match self {
            Self::Ec2 => "EC2",
            Self::Elb => "Elastic Load Balancing",
            Self::Elbv2 => "Elastic Load Balancing v2",
        }
    }
    const fn version(self) -> &'static str {
        match self {
            Self::Ec2 => "2016-11-15",
            Self::Elb => "2012-06-01",
            Self::Elbv2 => "2015-12-01",
        }
    }
}

/// The parameters of a call, in order: `("Filter.1.Name", "vpc-id")`.
pub type Params = Vec<(String, String)>;

/// A reply, as text; its root is what the operation answers.
#[derive(Clone, Debug)]
pub struct Reply(pub String);

/// The client.
pub struct Query {
    http: reqwest::Client,
    config: SdkConfig,
    region: String,
    calls: Calls,
}

impl Query {
    /// A client with the same credentials, timeouts and endpoints as the SDK's.
    pub fn new(config: SdkConfig, region: &str, calls: Calls) -> Result<Self, CloudError> {
        let timeouts = config.timeout_config().cloned();
        let mut http = reqwest::Client::builder();
        if let Some(connect) = timeouts.as_ref().and_then(|timeouts| timeouts.connect_timeout()) {
            http = http.connect_timeout(connect);
        }
        if let Some(whole) = timeouts.as_ref().and_then(|timeouts| timeouts.operation_timeout()) {
            http = http.timeout(whole);
        }
        let failed = |why: reqwest::Error| error(ErrorClass::Invalid, "ClientNotBuilt", why.to_string());
        Ok(Self { http: http.build().map_err(failed)?, config, region: region.to_owned(), calls })
    }

    fn endpoint(&self, name: &str, id: &str) -> String {
        let suffix = if partition(&self.region) == "aws-cn" { "amazonaws.com.cn" } else { "amazonaws.com" };
        let own = || format!("https://{name}.{}.{suffix}", self.region);
        endpoint_override(&self.config, id).unwrap_or_else(own)
    }

    /// One call.
    pub async fn call(&self, service: Service, operation: &str, params: &Params) -> Result<Reply, CloudError> {
        let mut form =
            vec![("Action".to_owned(), operation.to_owned()), ("Version".to_owned(), service.version().to_owned())];
        form.extend(params.iter().cloned());
        let headers = [("content-type", "application/x-www-form-urlencoded; charset=utf-8")];
        let message =
            Message { endpoint: self.endpoint(service.name(), service.id()), headers: &headers, body: encoded(&form) };
        self.send(service.name(), operation, message).await
    }

    /// One call to Service Quotas, which speaks JSON.
    pub async fn service_quotas(&self, operation: &str, body: &serde_json::Value) -> Result<Reply, CloudError> {
        let target = format!("ServiceQuotasV20190624.{operation}");
        let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target.as_str())];
        let endpoint = self.endpoint("servicequotas", "Service Quotas");
        self.send("servicequotas", operation, Message { endpoint, headers: &headers, body: body.to_string() }).await
    }

    async fn send(&self, service: &str, operation: &str, message: Message<'_>) -> Result<Reply, CloudError> {
        let request = self.signed(service, message).await?;
        self.calls.count(service, operation);
        let lost = |why: reqwest::Error| {
            let class = if why.is_connect() { ErrorClass::Outage } else { ErrorClass::UnknownResult };
            error(class, "ConnectionLost", innermost(&why))
        };
        let reply = self.http.execute(request).await.map_err(lost)?;
        let (status, wait) = (reply.status().as_u16(), reply.headers().get("retry-after").cloned());
        let text = reply.text().await.map_err(lost)?;
        if (200..300).contains(&status) {
            return Ok(Reply(text));
        }
        let told = told(&text).or_else(|| told_in_json(&text));
        let Some((code, message)) = told else {
            return Err(error(of_unreadable(status), "ReplyNotUnderstood", format!("status {status} without a code")));
        };
        let message = steady(&message);
        let retry_after = retry_after(wait.as_ref().and_then(|wait| wait.to_str().ok()));
        Err(CloudError { class: classify(&code, status), code, message, retry_after })
    }

    async fn signed(&self, service: &str, message: Message<'_>) -> Result<reqwest::Request, CloudError> {
        let failed = |what: String| error(ErrorClass::Invalid, "RequestNotBuilt", what);
        let Message { endpoint, headers, body } = message;
        let url = format!("{}/", endpoint.trim_end_matches('/'));
        let identity = credentials(&self.config).await?.into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(service)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|why| failed(why.to_string()))?;
        let signable =
            SignableRequest::new("POST", &url, headers.iter().copied(), SignableBody::Bytes(body.as_bytes()))
                .map_err(|why| failed(why.to_string()))?;
        let (instructions, _) = sign(signable, &params.into()).map_err(|why| failed(why.to_string()))?.into_parts();
        let mut request = http::Request::post(&url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(body).map_err(|why| failed(why.to_string()))?;
        instructions.apply_to_request_http1x(&mut request);
        reqwest::Request::try_from(request).map_err(|why| failed(why.to_string()))
    }
}

/// What is signed and sent.
struct Message<'a> {
    endpoint: String,
    headers: &'a [(&'a str, &'a str)],
    body: String,
}

/// The innermost cause, without the address that was asked.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

fn encoded(form: &Params) -> String {
    let escape = |text: &str| -> String {
        let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
        text.bytes()
            .map(|byte| if keep(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
            .collect()
    };
    let pairs: Vec<String> = form.iter().map(|(key, value)| format!("{}={}", escape(key), escape(value))).collect();
    pairs.join("&")
}

/// Code and message of an error's XML, of EC2's shape or of the others'.
fn told(text: &str) -> Option<(String, String)> {
    let document = roxmltree::Document::parse(text).ok()?;
    let error = document.descendants().find(|node| node.is_element() && node.tag_name().name() == "Error")?;
    let child = |name: &str| error.children().find(|node| node.tag_name().name() == name).and_then(|node| node.text());
    Some((child("Code")?.to_owned(), child("Message").unwrap_or_default().to_owned()))
}

/// Code and message of an error in JSON, `{"__type": "com.amazonaws…#NoSuchResourceException", "message": …}`.
fn told_in_json(text: &str) -> Option<(String, String)> {
    let error: serde_json::Value = serde_json::from_str(text).ok()?;
    let kind = error.get("__type")?.as_str()?;
    let message = error.get("message").or_else(|| error.get("Message")).and_then(serde_json::Value::as_str);
    Some((kind.rsplit('#').next().unwrap_or(kind).to_owned(), message.unwrap_or_default().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_both_shapes_are_read() {
        let ec2 = "<Response><Errors><Error><Code>DependencyViolation</Code><Message>in use</Message></Error></Errors></Response>";
        let elb = "<ErrorResponse xmlns=\"http://x\"><Error><Type>Sender</Type><Code>Throttling</Code></Error></ErrorResponse>";
        assert_eq!(told(ec2), Some(("DependencyViolation".to_owned(), "in use".to_owned())));
        assert_eq!(told(elb), Some(("Throttling".to_owned(), String::new())));
        assert_eq!(told("<html>"), None);
        let json = "{\"__type\": \"com.amazonaws.x#NoSuchResourceException\", \"message\": \"none\"}";
        assert_eq!(told_in_json(json), Some(("NoSuchResourceException".to_owned(), "none".to_owned())));
    }

    #[test]
    fn forms_escape_all_but_what_signatures_leave() {
        let form = vec![("Filter.1.Name".to_owned(), "tag:a/b c".to_owned())];
        assert_eq!(encoded(&form), "Filter.1.Name=tag%3Aa%2Fb%20c");
    }
}
