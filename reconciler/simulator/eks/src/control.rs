//! The way for tests, beside the provider's own: faults in and out, what exists, what was called, what time it is.

use axum::http::StatusCode;
use axum::response::Response;
use fleetwright_simulator::{Fault, FaultId, Standing, WorldError};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::server::{App, Received, reply};

/// Answers a request to `/control/...`.
pub(crate) fn answer(app: &App, received: &Received) -> Response {
    let path: Vec<&str> = received.path.split('/').skip(2).collect();
    let answered = match (received.method.as_str(), &path[..]) {
        ("POST", ["faults"]) => return inject(app, &received.body),
        ("GET", ["faults"]) => faults(app),
        ("DELETE", ["faults"]) => app.world.clear_faults().map(|()| json!({})),
        ("DELETE", ["faults", id]) => match serde_json::from_str::<FaultId>(id) {
            Ok(id) => app.world.remove_fault(id).map(|()| json!({})),
            Err(_) => return refused(&format!("{id} is no fault")),
        },
        ("GET", ["resources"]) => resources(app),
        ("GET", ["calls"]) => Ok(json!(app.calls())),
        ("GET", ["time"]) => time(app),
        ("POST", ["time"]) => return pass(app, &received.body),
        _ => return reply(StatusCode::NOT_FOUND, &json!({"message": "there is no such control"})),
    };
    told(answered)
}

fn told(answered: Result<Value, WorldError>) -> Response {
    match answered {
        Ok(body) => reply(StatusCode::OK, &body),
        Err(error) => reply(StatusCode::INTERNAL_SERVER_ERROR, &json!({"message": error.to_string()})),
    }
}

fn refused(message: &str) -> Response {
    reply(StatusCode::BAD_REQUEST, &json!({"message": message}))
}

fn inject(app: &App, body: &[u8]) -> Response {
    match serde_json::from_slice::<Fault>(body) {
        Ok(fault) => told(app.world.inject(fault).map(|id| json!({"id": id}))),
        Err(error) => refused(&error.to_string()),
    }
}

fn faults(app: &App) -> Result<Value, WorldError> {
    let shown = |(id, fault, used)| json!({"id": id, "fault": fault, "used": used});
    Ok(app.world.faults()?.into_iter().map(shown).collect())
}

fn resources(app: &App) -> Result<Value, WorldError> {
    let shown = |Standing { place, resource, cidr }| json!({"place": place, "resource": resource, "cidr": cidr});
    Ok(app.world.resources()?.into_iter().map(shown).collect())
}

fn time(app: &App) -> Result<Value, WorldError> {
    Ok(json!({"now": app.world.clock().now(), "next": app.world.next_event()?}))
}

/// Where to move the clock: to a time, or to the next event.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pass {
    #[serde(default)]
    to: Option<fleetwright_schema::units::Timestamp>,
}

/// Moves the clock forward, whatever its speed.
fn pass(app: &App, body: &[u8]) -> Response {
    let pass = if body.is_empty() { Ok(Pass::default()) } else { serde_json::from_slice::<Pass>(body) };
    let Ok(Pass { to }) = pass else { return refused("the body is {} or {\"to\": a time}") };
    let next = app.world.next_event().map(|next| to.or(next));
    told(next.and_then(|next| {
        next.into_iter().for_each(|time| app.world.clock().at_least(time));
        time(app)
    }))
}
