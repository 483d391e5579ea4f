//! The server: which request goes where, and how answers are put into HTTP.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use fleetwright_simulator::World;
use serde_json::Value;
use tokio::sync::oneshot;

use crate::call::{Call, place};
use crate::errors::{ApiError, Refusal};
use crate::model::{self, Raw};
use crate::{auth, control, kubernetes, operations};

/// More than any request that makes sense.
const BODY_BYTES_MAX: usize = 1 << 20;

/// How a front is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// The port of 127.0.0.1; 0 is a free one.
    pub port: u16,
    /// The account that all calls are of.
    pub account: Arc<str>,
    /// The VPC that clusters tell they are in, for the front knows no networks.
    pub vpc_id: String,
    /// The secret keys by one of which tokens for the Kubernetes API are signed; none, and no signature is checked.
    pub secret_keys: Vec<String>,
    /// Whether a cluster that serves makes itself a load balancer in the world. Whoever deletes such a cluster has to
    /// sweep it up there.
    pub makes_leftovers: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: 0,
            account: "123456789012".into(),
            vpc_id: "vpc-0123456789abcdef0".to_owned(),
            secret_keys: Vec::new(),
            makes_leftovers: true,
        }
    }
}

/// A front that serves until it is dropped.
#[derive(Debug)]
pub struct Front {
    /// Where.
    pub address: SocketAddr,
    app: Arc<App>,
    _stop: oneshot::Sender<()>,
}

impl Front {
    /// `http://127.0.0.1:1234`.
    pub fn url(&self) -> &str {
        &self.app.base
    }
    /// How often each call was made.
    pub fn calls(&self) -> BTreeMap<String, u64> {
        self.app.calls()
    }
}

/// What all requests share.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) world: World,
    pub(crate) options: Options,
    pub(crate) base: String,
    calls: Mutex<BTreeMap<String, u64>>,
}

impl App {
    pub(crate) fn calls(&self) -> BTreeMap<String, u64> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
    pub(crate) fn count(&self, call: &str) {
        *self.calls.lock().unwrap_or_else(PoisonError::into_inner).entry(call.to_owned()).or_default() += 1;
    }
}

/// Serves this world on a port of this machine.
pub async fn serve(world: World, options: Options) -> std::io::Result<Front> {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await?;
    let address = listener.local_addr()?;
    let base = format!("http://{address}");
    let app = Arc::new(App { world, options, base, calls: Mutex::default() });
    let router = Router::new().fallback(handle).with_state(Arc::clone(&app));
    let (stop, stopped) = oneshot::channel::<()>();
    let ends = async move { drop(stopped.await) };
    tokio::spawn(async move { axum::serve(listener, router).with_graceful_shutdown(ends).await });
    Ok(Front { address, app, _stop: stop })
}

/// A request whose body was read.
pub(crate) struct Received {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

async fn handle(State(app): State<Arc<App>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, BODY_BYTES_MAX).await else {
        return reply(StatusCode::PAYLOAD_TOO_LARGE, &Value::Null);
    };
    let received = Received {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers,
        body,
    };
    match received.path.split('/').nth(1) {
        Some("control") => control::answer(&app, &received),
        Some("kubernetes") => kubernetes::answer(&app, &received),
        _ => match eks(&app, &received) {
            Ok(answer) => identified(reply(StatusCode::OK, &answer)),
            Err(Refusal::Api(error)) => identified(api_error(&error)),
            Err(Refusal::Lost) => lost(),
        },
    }
}

fn eks(app: &App, received: &Received) -> Result<Value, Refusal> {
    let region = auth::region(&received.headers)?;
    let Received { method, path, query, headers: _, body } = received;
    let (operation, params) = model::parse(&Raw { method, path, query, body })?;
    app.count(operation);
    let place = place(&app.options.account, region);
    operations::answer(&Call { world: &app.world, options: &app.options, base: &app.base, operation, place, params })
}

/// JSON with a status.
pub(crate) fn reply(status: StatusCode, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn identified(mut response: Response) -> Response {
    let id = HeaderValue::from_static("00000000-0000-4000-a000-000000000000");
    response.headers_mut().insert("x-amzn-requestid", id);
    response
}

fn api_error(error: &ApiError) -> Response {
    let mut response = reply(error.code.status(), &error.body());
    let headers = response.headers_mut();
    headers.insert("x-amzn-errortype", HeaderValue::from_static(error.code.as_str()));
    if let Some(wait) = error.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.seconds()));
    }
    response
}

/// Closes the connection without a reply.
pub(crate) fn lost() -> Response {
    Response::new(Body::new(Broken))
}

/// A body that breaks off before its first byte, and the head with it.
struct Broken;

impl http_body::Body for Broken {
    type Data = Bytes;
    type Error = std::io::Error;
    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, std::io::Error>>> {
        Poll::Ready(Some(Err(std::io::ErrorKind::ConnectionReset.into())))
    }
}
