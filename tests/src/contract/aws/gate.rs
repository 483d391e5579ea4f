//! A gate before each service: it lets calls through, counts them, answers some in the service's stead as AWS would, and
//! hangs up on others, before or after they arrived.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::contract::Way;

/// What every call is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The service is out.
    Outage,
    /// One too many.
    Throttled,
    /// The credentials are no longer valid.
    Expired,
}

impl Answer {
    const fn told(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::Outage => (503, "ServiceUnavailable", "the service is unavailable"),
            Self::Throttled => (400, "ThrottlingException", "Rate exceeded"),
            Self::Expired => (403, "ExpiredTokenException", "The security token included in the request is expired"),
        }
    }
}

#[derive(Debug, Default)]
struct State {
    answers: Option<Answer>,
    replies_lost: u32,
    /// The process ends at this call, counted from now.
    ends_at: Option<(u64, Way)>,
    ended: bool,
    calls: Vec<String>,
}

/// What all gates of a laboratory share: the process behind them is one.
#[derive(Clone, Debug, Default)]
pub struct Gatekeeper(Arc<Mutex<State>>);

/// What is done with one call.
enum Fate {
    Through,
    Refused,
    Lost,
    Told(Answer),
}

impl Gatekeeper {
    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
    /// Answers everything like this from now on.
    pub fn answer(&self, answer: Answer) {
        self.with(|state| state.answers = Some(answer));
    }
    /// Loses so many replies to calls that change something.
    pub fn lose_replies(&self, times: u32) {
        self.with(|state| state.replies_lost = times);
    }
    /// Ends the process at a call, counted from now; the first is 0.
    pub fn end_at(&self, call: u64, way: Way) {
        self.with(|state| {
            state.calls.clear();
            state.ends_at = Some((call, way));
        });
    }
    /// Whether the process has ended.
    pub fn ended(&self) -> bool {
        self.with(|state| state.ended)
    }
    /// Another process: everything goes through again.
    pub fn mend(&self) {
        self.with(|state| {
            let calls = std::mem::take(&mut state.calls);
            *state = State { calls, ..State::default() };
        });
    }
    /// The calls since the count began.
    pub fn calls(&self) -> Vec<String> {
        self.with(|state| state.calls.clone())
    }

    fn fate(&self, call: &str, changes: bool) -> Fate {
        self.with(|state| {
            if state.ended {
                return Fate::Refused;
            }
            let number = state.calls.len() as u64;
            state.calls.push(call.to_owned());
            if let Some((at, way)) = state.ends_at.filter(|(at, _)| number >= *at) {
                // After the last call that is heard, the next one finds nobody.
                let heard = way == Way::After && number == at;
                state.ended = !heard;
                return match way {
                    Way::After if heard => Fate::Through,
                    Way::Unheard => Fate::Lost,
                    Way::Before | Way::After => Fate::Refused,
                };
            }
            if let Some(answer) = state.answers {
                return Fate::Told(answer);
            }
            if changes && state.replies_lost > 0 {
                state.replies_lost -= 1;
                return Fate::Lost;
            }
            Fate::Through
        })
    }
}

/// A gate before one server.
pub struct Gate {
    /// Where it is.
    pub address: SocketAddr,
    _stop: oneshot::Sender<()>,
}

impl Gate {
    /// Opens a gate.
    pub async fn open(upstream: SocketAddr, keeper: Gatekeeper) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, mut stopped) = oneshot::channel::<()>();
        tokio::spawn(async move {
            loop {
                let stream = tokio::select! {
                    accepted = listener.accept() => accepted.unwrap().0,
                    _ = &mut stopped => return,
                };
                tokio::spawn(attend(stream, upstream, keeper.clone()));
            }
        });
        Self { address, _stop: stop }
    }

    /// `http://127.0.0.1:1234`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn attend(stream: TcpStream, upstream: SocketAddr, keeper: Gatekeeper) {
    let service = service_fn(move |request| pass(request, upstream, keeper.clone()));
    // A call that is hung up on ends its connection with an error, which is the point of it.
    drop(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
}

/// What ends a connection without an answer.
#[derive(Debug)]
struct HungUp;

impl std::fmt::Display for HungUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("hung up")
    }
}

impl std::error::Error for HungUp {}

async fn pass(
    request: Request<Incoming>,
    upstream: SocketAddr,
    keeper: Gatekeeper,
) -> Result<Response<Full<Bytes>>, HungUp> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| HungUp)?.to_bytes();
    let text = String::from_utf8_lossy(&body);
    let target = parts.headers.get("x-amz-target").and_then(|value| value.to_str().ok());
    let call = name(parts.method.as_str(), parts.uri.path(), target, &text);
    match keeper.fate(&call, changes(&call)) {
        Fate::Refused => Err(HungUp),
        Fate::Told(answer) => Ok(told(answer, &call)),
        Fate::Through => arrived(&parts, body, upstream, &call).await,
        Fate::Lost => {
            drop(arrived(&parts, body, upstream, &call).await);
            Err(HungUp)
        }
    }
}

/// The operation of a call, as far as a bystander can tell: `CreateVpc`, `Kinesis_20131202.ListStreams`, `GET /clusters`.
fn name(method: &str, path: &str, target: Option<&str>, body: &str) -> String {
    let action = body.split('&').find_map(|pair| pair.strip_prefix("Action="));
    match (target, action) {
        (Some(target), _) => target.to_owned(),
        (None, Some(action)) => action.to_owned(),
        (None, None) => format!("{method} {path}"),
    }
}

fn changes(call: &str) -> bool {
    let operation = call.rsplit('.').next().unwrap_or(call);
    let looks = ["Describe", "List", "Get", "GET ", "Simulate"];
    !looks.iter().any(|prefix| operation.starts_with(prefix))
}

fn told(answer: Answer, call: &str) -> Response<Full<Bytes>> {
    let (status, code, message) = answer.told();
    let rest = call.starts_with("GET ") || call.contains(" /");
    let body = match rest || call.contains('.') {
        true => format!("{{\"__type\":\"{code}\",\"message\":\"{message}\"}}"),
        false => {
            format!(
                "<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors></Response>"
            )
        }
    };
    // IAM and STS have another shape of the same; both are read by what is within.
    let body = match ["Role", "CallerIdentity"].iter().any(|part| call.contains(part)) {
        true => format!(
            "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
        ),
        false => body,
    };
    let response = Response::builder().status(status).header("x-amzn-errortype", code);
    response.body(Full::new(Bytes::from(body))).unwrap()
}

/// What the service makes of a call. Kinesis tags a stream in the call that makes it, and moto drops those tags: they are
/// given to it once more.
async fn arrived(
    parts: &hyper::http::request::Parts,
    body: Bytes,
    upstream: SocketAddr,
    call: &str,
) -> Result<Response<Full<Bytes>>, HungUp> {
    let reply = forward(parts, body.clone(), upstream).await?;
    let asked: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
    let tags = asked.filter(|_| call.ends_with(".CreateStream") && reply.status().is_success());
    if let Some(asked) = tags.filter(|asked| asked.get("Tags").is_some()) {
        let mut parts = parts.clone();
        parts.headers.insert("x-amz-target", "Kinesis_20131202.AddTagsToStream".parse().unwrap());
        let body = serde_json::json!({"StreamName": asked["StreamName"], "Tags": asked["Tags"]}).to_string();
        parts.headers.insert("content-length", body.len().into());
        forward(&parts, Bytes::from(body), upstream).await?;
    }
    Ok(reply)
}

async fn forward(
    parts: &hyper::http::request::Parts,
    body: Bytes,
    upstream: SocketAddr,
) -> Result<Response<Full<Bytes>>, HungUp> {
    let stream = TcpStream::connect(upstream).await.map_err(|_| HungUp)?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|_| HungUp)?;
    tokio::spawn(connection);
    let mut request = Request::builder().method(parts.method.clone()).uri(parts.uri.clone());
    for (name, value) in &parts.headers {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(body)).map_err(|_| HungUp)?;
    let (head, body) = sender.send_request(request).await.map_err(|_| HungUp)?.into_parts();
    let body = body.collect().await.map_err(|_| HungUp)?.to_bytes();
    let mut response = Response::builder().status(head.status);
    for (name, value) in head.headers.iter().filter(|(name, _)| *name != "transfer-encoding") {
        response = response.header(name, value);
    }
    response.body(Full::new(body)).map_err(|_| HungUp)
}
