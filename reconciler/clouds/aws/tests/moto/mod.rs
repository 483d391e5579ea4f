//! A simulated AWS (moto) for one test process, and a wire between it and the adapter that can be cut.
//!
//! The wire also makes good where moto is looser than AWS: tags of `CreateStream` are kept. And it asks for short pages,
//! so that whoever forgets the second one is found out.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use fleetwright_aws::Aws;
use fleetwright_clouds::{Access, Cloud, CloudError, Progress};
use fleetwright_core::action::{Action, ActionKey, Effect};
use fleetwright_core::inventory::{Place, Resource, Step};
use fleetwright_schema::set::ClusterSpec;

/// The account that moto plays.
pub const ACCOUNT: &str = "123456789012";
/// The set that the clusters of these tests belong to.
pub const SET: &str = "test/aws/eu-west-1/Serving";

/// Each test has one for itself, so that they run side by side: IAM's paths and Kinesis are apart by region.
const REGIONS: [&str; 16] = [
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "eu-central-1",
    "eu-north-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
    "ap-south-1",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ca-central-1",
    "sa-east-1",
];

static RUNNING: Mutex<Weak<Moto>> = Mutex::new(Weak::new());
static REGIONS_TAKEN: AtomicUsize = AtomicUsize::new(0);

/// A server; it ends with the last test that holds it.
pub struct Moto(fleetwright_emulators::Moto);

impl Moto {
    /// The server of this process; none, and a word about it, where it is not installed.
    pub fn shared(test: &str) -> Option<Arc<Self>> {
        let mut running = RUNNING.lock().unwrap();
        if let Some(moto) = running.upgrade() {
            return Some(moto);
        }
        match fleetwright_emulators::Moto::start() {
            Ok(server) => {
                let moto = Arc::new(Self(server));
                *running = Arc::downgrade(&moto);
                Some(moto)
            }
            Err(missing) => {
                eprintln!("SKIPPED {test}: {missing}");
                None
            }
        }
    }

    /// A configuration for this server, over this wire.
    pub fn config(&self, region: &'static str, wire: &Arc<Wire>) -> SdkConfig {
        let credentials = Credentials::new("AKIATEST", "secret", None, None, "test");
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region))
            .endpoint_url(format!("http://127.0.0.1:{}", self.0.address.port()))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(client(Arc::clone(wire)))
            .build()
    }
}

/// What happens to calls on their way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The n-th call from now is lost before it arrives, or its reply is.
    Cut { nth: u64, arrives: bool },
    /// Calls of this operation are answered so.
    Answer { operation: &'static str, status: u16, code: &'static str },
    /// Calls of this operation are answered well, with this.
    Reply { operation: &'static str, body: String },
    /// Replies say this instead of that.
    Say { instead: &'static str, this: &'static str },
}

/// The way to the server.
#[derive(Debug, Default)]
pub struct Wire {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    fault: Option<Fault>,
    sent: u64,
    operations: Vec<String>,
    was_cut: bool,
}

impl Wire {
    /// From now on.
    pub fn set(&self, fault: Option<Fault>) {
        *self.state.lock().unwrap() = State { fault, ..State::default() };
    }

    /// Whether the fault has struck.
    pub fn was_cut(&self) -> bool {
        self.state.lock().unwrap().was_cut
    }

    /// The operations that were called since the last fault was set.
    pub fn operations(&self) -> Vec<String> {
        self.state.lock().unwrap().operations.clone()
    }

    fn next(&self, operation: &str) -> Verdict {
        let mut state = self.state.lock().unwrap();
        state.sent += 1;
        state.operations.push(operation.to_owned());
        match state.fault.clone() {
            Some(Fault::Cut { nth, arrives }) if state.sent == nth => {
                state.was_cut = true;
                if arrives { Verdict::LoseReply } else { Verdict::LoseCall }
            }
            Some(Fault::Answer { operation: of, status, code }) if of == operation => Verdict::Answer(status, code),
            Some(Fault::Reply { operation: of, body }) if of == operation => Verdict::Reply(body),
            Some(Fault::Say { instead, this }) => Verdict::Say(instead, this),
            _ => Verdict::Pass,
        }
    }
}

enum Verdict {
    Pass,
    LoseCall,
    LoseReply,
    Answer(u16, &'static str),
    Reply(String),
    Say(&'static str, &'static str),
}

#[derive(Debug)]
struct Cuttable {
    inner: SharedHttpConnector,
    wire: Arc<Wire>,
}

fn client(wire: Arc<Wire>) -> SharedHttpClient {
    let plain = aws_smithy_http_client::Builder::new().build_http();
    http_client_fn(move |settings, components| {
        use aws_smithy_runtime_api::client::http::HttpClient;
        let inner = plain.http_connector(settings, components);
        SharedHttpConnector::new(Cuttable { inner, wire: Arc::clone(&wire) })
    })
}

impl HttpConnector for Cuttable {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let operation = operation_of(&request);
        let verdict = self.wire.next(&operation);
        let inner = self.inner.clone();
        let lost = || ConnectorError::io("the wire was cut".into());
        HttpConnectorFuture::new(async move {
            match verdict {
                Verdict::LoseCall => return Err(lost()),
                Verdict::Answer(status, code) => return Ok(refusal(status, code)),
                Verdict::Reply(body) => return Ok(HttpResponse::new(200.try_into().unwrap(), SdkBody::from(body))),
                Verdict::Pass | Verdict::LoseReply | Verdict::Say(..) => {}
            }
            let kept = (operation == "CreateStream").then(|| tagging(&request)).flatten();
            let reply = inner.call(with_short_pages(request)).await?;
            if let Some(tagging) = kept.filter(|_| reply.status().is_success()) {
                inner.call(tagging).await?;
            }
            match verdict {
                Verdict::LoseReply => Err(lost()),
                Verdict::Say(instead, this) => Ok(saying(reply, instead, this).await),
                Verdict::Pass | Verdict::LoseCall | Verdict::Answer(..) | Verdict::Reply(_) => Ok(reply),
            }
        })
    }
}

fn body_of(request: &HttpRequest) -> String {
    String::from_utf8_lossy(request.body().bytes().unwrap_or_default()).into_owned()
}

fn operation_of(request: &HttpRequest) -> String {
    if let Some(target) = request.headers().get("x-amz-target") {
        return target.rsplit('.').next().unwrap_or_default().to_owned();
    }
    let body = body_of(request);
    let action = body.split('&').find_map(|pair| pair.strip_prefix("Action="));
    action.map_or_else(|| request.uri().to_owned(), str::to_owned)
}

fn with_short_pages(request: HttpRequest) -> HttpRequest {
    let body = body_of(&request);
    // Of this list moto does not tell that there is more.
    if body.contains("Action=ListEntitiesForPolicy") {
        return request;
    }
    let short = body.replace("MaxItems=1000", "MaxItems=2").replace("\"Limit\":10000", "\"Limit\":2");
    let short = short.replace("\"Limit\":50}", "\"Limit\":2}").replace("\"Limit\":50,", "\"Limit\":2,");
    if short == body { request } else { with_body(request, short) }
}

fn with_body(mut request: HttpRequest, body: String) -> HttpRequest {
    request.headers_mut().insert("content-length", body.len().to_string());
    *request.body_mut() = SdkBody::from(body);
    request
}

/// The call that moto needs for the tags of a creation.
fn tagging(request: &HttpRequest) -> Option<HttpRequest> {
    let asked: serde_json::Value = serde_json::from_str(&body_of(request)).ok()?;
    let body = serde_json::json!({ "StreamName": asked["StreamName"], "Tags": asked["Tags"] });
    let mut tagging = with_body(request.try_clone()?, body.to_string());
    tagging.headers_mut().insert("x-amz-target", "Kinesis_20131202.AddTagsToStream");
    Some(tagging)
}

async fn saying(mut reply: HttpResponse, instead: &str, this: &str) -> HttpResponse {
    let body = ByteStream::new(reply.take_body()).collect().await.unwrap().into_bytes();
    let text = String::from_utf8(body.to_vec()).unwrap().replace(instead, this);
    reply.headers_mut().insert("content-length", text.len().to_string());
    *reply.body_mut() = SdkBody::from(text);
    reply
}

/// An error that both protocols understand.
fn refusal(status: u16, code: &'static str) -> HttpResponse {
    let xml = format!(
        "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>told so</Message></Error></ErrorResponse>"
    );
    let json = format!("{{\"__type\":\"{code}\",\"message\":\"told so\"}}");
    let is_json = code.ends_with("Exception");
    let mut reply = HttpResponse::new(status.try_into().unwrap(), SdkBody::from(if is_json { json } else { xml }));
    reply.headers_mut().insert("content-type", if is_json { "application/x-amz-json-1.1" } else { "text/xml" });
    reply
}

/// The adapter on a server, and eyes that look past it.
pub struct Lab {
    pub aws: Aws,
    pub wire: Arc<Wire>,
    pub iam: aws_sdk_iam::Client,
    pub kinesis: aws_sdk_kinesis::Client,
    pub region: &'static str,
    config: SdkConfig,
    _moto: Arc<Moto>,
}

impl Lab {
    /// On the server of this process.
    pub fn new(test: &str) -> Option<Self> {
        let moto = Moto::shared(test)?;
        let region = REGIONS[REGIONS_TAKEN.fetch_add(1, Ordering::Relaxed)];
        let (wire, eye) = (Arc::<Wire>::default(), moto.config(region, &Arc::default()));
        let config = moto.config(region, &wire);
        let aws = Aws::with_config(config.clone(), Access::ReadWrite);
        let (iam, kinesis) = (aws_sdk_iam::Client::new(&eye), aws_sdk_kinesis::Client::new(&eye));
        Some(Self { aws, wire, iam, kinesis, region, config, _moto: moto })
    }

    /// A new process that knows nothing of the old one.
    pub fn restarted(self) -> Self {
        Self { aws: Aws::with_config(self.config.clone(), Access::ReadWrite), ..self }
    }

    /// Where all of it is.
    pub fn place(&self) -> Place {
        Place { cloud: "aws".parse().unwrap(), account: ACCOUNT.into(), region: self.region.parse().unwrap() }
    }

    /// An action on a cluster of the set.
    pub fn action(&self, cluster: &str, step: Step, effect: Effect) -> Action {
        let key = ActionKey { cluster: cluster.parse().unwrap(), step };
        Action { key, set: SET.parse().unwrap(), ordinal: 7, place: self.place(), effect }
    }

    /// What the adapter tells of one step of one cluster.
    pub async fn told(&self, cluster: &str, step: Step) -> Vec<Resource> {
        self.told_or_error(cluster, step).await.unwrap()
    }

    /// The same, where the reading may fail.
    pub async fn told_or_error(&self, cluster: &str, step: Step) -> Result<Vec<Resource>, CloudError> {
        let name = cluster.parse().unwrap();
        let listing = self.aws.observe(&self.place(), &BTreeSet::from([name])).await?;
        let resources = listing.resources.get(&cluster.parse().unwrap()).cloned().unwrap_or_default();
        Ok(resources.into_iter().filter(|resource| resource.step == step).collect())
    }

    /// Creates.
    pub async fn create(&self, cluster: &str, step: Step, spec: &Arc<ClusterSpec>) -> Result<Progress, CloudError> {
        let (token, fingerprint, spec) = ("token".into(), "f1".into(), Arc::clone(spec));
        let effect = Effect::Create { token, fingerprint, spec, cidr: None, parents: Vec::new() };
        self.aws.perform(&self.action(cluster, step, effect)).await
    }

    /// Updates what has this id.
    pub async fn update(
        &self,
        cluster: &str,
        step: Step,
        id: &str,
        fingerprint: &str,
        spec: &Arc<ClusterSpec>,
    ) -> Result<Progress, CloudError> {
        let (id, token, fingerprint) = (id.into(), "token".into(), fingerprint.into());
        let effect = Effect::Update { id, token, fingerprint, spec: Arc::clone(spec) };
        self.aws.perform(&self.action(cluster, step, effect)).await
    }

    /// Deletes what has this id.
    pub async fn delete(&self, cluster: &str, step: Step, id: &str) -> Result<Progress, CloudError> {
        self.aws.perform(&self.action(cluster, step, Effect::Delete { id: id.into() })).await
    }

    /// What the planner would do next to have the step whole, from what is told; whether there was anything to do.
    pub async fn build_on(&self, cluster: &str, step: Step, spec: &Arc<ClusterSpec>) -> bool {
        match &self.told(cluster, step).await[..] {
            [] => drop(self.create(cluster, step, spec).await),
            [one] if &*one.applied == "f1" => return false,
            [one] => drop(self.update(cluster, step, &one.id, "f1", spec).await),
            several => panic!("told twice: {several:?}"),
        }
        true
    }
}

/// A spec with these tags.
pub fn spec(tags: &[(&str, &str)]) -> Arc<ClusterSpec> {
    let tags: serde_json::Map<_, _> =
        tags.iter().map(|(key, value)| ((*key).to_owned(), serde_json::json!(value))).collect();
    let spec = serde_json::json!({ "kubernetesVersion": "1.33", "nodePools": [], "tags": tags });
    Arc::new(serde_json::from_value(spec).unwrap())
}
