//! What a load balancer, an operator and a metrics collector ask.
//!
//! Ready means: the last commit went well, there is room for the next ones, and the server is
//! not stopping. A query that reads would prove none of it.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use protocol::ErrorCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::{Answer, json, ok};
use crate::app::App;

/// Less free space than this is too little to go on, in bytes.
const FREE_BYTES_MIN: u64 = 16 << 20;

/// The answer of `/healthz`.
#[derive(Serialize, ToSchema)]
pub(super) struct Alive {
    status: &'static str,
}

/// The answer of `/readyz`, beside `error` and `code` where it is not ready.
#[derive(Serialize, ToSchema)]
pub(super) struct Ready {
    is_ready: bool,
    /// The last commit went well, or there was none yet.
    is_committing: bool,
    /// There is room where the store writes.
    has_free_space: bool,
    /// Free space where the store writes, in bytes, if it can tell.
    free_bytes: Option<u64>,
    /// The server is stopping and takes no new work.
    is_stopping: bool,
    /// Other nodes are heard; without, their events come by the slow look into the store. Absent
    /// where there is no bus.
    #[serde(skip_serializing_if = "Option::is_none")]
    is_bus_up: Option<bool>,
    /// Seconds by which this machine's clock is ahead of the database's (or, below nothing,
    /// behind); absent where they agree.
    #[serde(skip_serializing_if = "Option::is_none")]
    clock_ahead_seconds: Option<i64>,
}

#[derive(Serialize)]
struct NotReady {
    error: &'static str,
    code: &'static str,
    #[serde(flatten)]
    detail: Ready,
}

pub(super) async fn show_alive() -> Answer {
    ok(&Alive { status: "ok" })
}

pub(super) async fn show_ready(State(app): State<Arc<App>>) -> Response {
    let health = app.chat.health().await;
    let mut detail = readiness(&health.last_commit, health.free_bytes, app.stop.is_cancelled());
    detail.is_bus_up = app.chat.bus_state().map(|state| state.is_ok());
    detail.clock_ahead_seconds = health.clock_ahead_seconds;
    if detail.is_ready {
        return json(StatusCode::OK, &detail);
    }
    // The cause of a failed commit names files; it stands in the log.
    let code = ErrorCode::Unavailable;
    let body = NotReady { error: code.sentence(), code: code.code(), detail };
    let mut response = json(StatusCode::SERVICE_UNAVAILABLE, &body);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response.extensions_mut().insert(code);
    response
}

fn readiness(
    last_commit: &Result<(), String>,
    free_bytes: Option<u64>,
    is_stopping: bool,
) -> Ready {
    let is_committing = last_commit.is_ok();
    let has_free_space = free_bytes.is_none_or(|free| free >= FREE_BYTES_MIN);
    let is_ready = is_committing && has_free_space && !is_stopping;
    Ready {
        is_ready,
        is_committing,
        has_free_space,
        free_bytes,
        is_stopping,
        is_bus_up: None,
        clock_ahead_seconds: None,
    }
}

pub(super) async fn show_metrics(State(app): State<Arc<App>>) -> Response {
    let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    app.metrics.connections.set(count(app.chat.hub().connection_count()));
    app.metrics.sessions_followed.set(count(app.chat.hub().ring_count()));
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], app.metrics.encode()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_alone_makes_a_node_unready() {
        let ready = |commit: Result<(), String>, free, stopping| {
            readiness(&commit, free, stopping).is_ready
        };
        assert!(ready(Ok(()), Some(FREE_BYTES_MIN), false) && ready(Ok(()), None, false));
        assert!(!ready(Err("disk full".into()), None, false));
        assert!(!ready(Ok(()), Some(FREE_BYTES_MIN - 1), false));
        assert!(!ready(Ok(()), None, true));
    }
}
