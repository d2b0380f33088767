//! The one layer around every route.
//!
//! It gives each request an id and a span, so that every log line of the request has the id;
//! catches a panic and answers 500; puts the headers that every answer has; answers preflights;
//! writes one access line and counts. It never logs a query string, a body or an id of a path.

use std::any::Any;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD,
    CACHE_CONTROL, CONNECTION, HOST, HeaderName, ORIGIN, VARY, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use protocol::ErrorCode;
use tower::{Layer, Service};
use tracing::Instrument;
use uuid::Uuid;

use super::linger;
use crate::app::App;
use crate::heads::Head;
use crate::metrics::StatusLabel;
use crate::origins::Origins;
use crate::refusal::Refusal;

/// What access lines are filtered by.
const ACCESS: &str = "assistdeck::access";
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest id of a request that is taken over, in bytes.
const REQUEST_ID_BYTES_MAX: usize = 64;

const ALLOWED_METHODS: HeaderValue =
    HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE");
const ALLOWED_HEADERS: HeaderValue = HeaderValue::from_static(
    "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, X-Request-Id",
);
const EXPOSED_HEADERS: HeaderValue = HeaderValue::from_static("Link, Retry-After, X-Request-Id");
/// Seconds for which a browser may remember a preflight.
const PREFLIGHT_MAX_AGE: HeaderValue = HeaderValue::from_static("7200");

/// Puts the door around a route.
#[derive(Clone)]
pub(super) struct Doorway(pub Arc<App>);

impl<S> Layer<S> for Doorway {
    type Service = Door<S>;

    fn layer(&self, inner: S) -> Door<S> {
        Door { app: self.0.clone(), inner }
    }
}

/// A route with the door around it. A service of its own and not `axum::middleware::from_fn`,
/// which takes every request apart, puts it together again and boxes the route once more.
#[derive(Clone)]
pub(super) struct Door<S> {
    app: Arc<App>,
    inner: S,
}

impl<S> Service<Request> for Door<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let began = Instant::now();
        let app = self.app.clone();
        let id = request_id(request.headers());
        let page = Page::of(&request, &app.origins);
        let head = request.extensions().get::<Head>().copied();
        let method = method_name(request.method());
        let matched = request.extensions().get::<MatchedPath>().cloned();
        // The id alone: what a span holds is formatted for every request, logged or not.
        let span = tracing::error_span!("request", id = id.to_str().ok());
        // RFC 9112, 6.3: two lengths are a sign of an attack on whoever forwards the request.
        let is_suspect = head.is_some_and(|head| head.has_length && head.has_encoding);
        let answering = (!is_suspect).then(|| {
            linger::guard(&mut request, &app.tracker);
            AssertUnwindSafe(self.inner.call(request)).catch_unwind()
        });
        let answered = async move {
            let Ok(mut response) = match answering {
                Some(answering) => answering.await.unwrap_or_else(|panic| Ok(panicked(&*panic))),
                None => Ok(Refusal::from(ErrorCode::InvalidQuery).into_response()),
            };
            // Behind a chunked body nobody watches where the next head begins.
            if head.is_some_and(|head| head.has_encoding) {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            page.put(&mut response);
            put_headers(response.headers_mut(), id);
            let visit = Visit { began, method, matched };
            visit.note(&app, &mut response);
            Ok(response)
        };
        answered.instrument(span).boxed()
    }
}

/// The headers of every answer.
fn put_headers(headers: &mut HeaderMap, id: HeaderValue) {
    headers.insert(X_REQUEST_ID, id);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

/// What the access line tells of a request.
struct Visit {
    began: Instant,
    method: &'static str,
    matched: Option<MatchedPath>,
}

impl Visit {
    /// Headers that go with certain refusals, the counts and the access line.
    fn note(&self, app: &App, response: &mut Response) {
        let code = response.extensions().get::<ErrorCode>().copied();
        put_headers_of(code, response.headers_mut());
        let status = response.status();
        let class = StatusLabel { status: class(status) };
        app.metrics.http_responses.get_or_create(&class).inc();
        let code = code.map(ErrorCode::code);
        if let Some(code) = code {
            app.metrics.reject(code);
        }
        let route = self.matched.as_ref().map_or("none", MatchedPath::as_str);
        let (method, status) = (self.method, status.as_u16());
        let latency_us = self.began.elapsed().as_micros() as u64;
        // Successes are many: their lines are written at the level `debug` alone.
        if status >= 500 {
            tracing::warn!(target: ACCESS, method, route, status, code, latency_us, "answered");
        } else {
            tracing::debug!(target: ACCESS, method, route, status, code, latency_us, "answered");
        }
    }
}

fn put_headers_of(code: Option<ErrorCode>, headers: &mut HeaderMap) {
    match code {
        Some(ErrorCode::Unauthorized | ErrorCode::InvalidCredentials) => {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        // What is left of such a request is not worth waiting for.
        Some(ErrorCode::RequestTimeout | ErrorCode::BodyTooLarge) => {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        _ => {}
    }
}

fn class(status: StatusCode) -> &'static str {
    match status.as_u16() / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    }
}

/// A method's name, if it is one that means something.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// Our fault; the text of a panic is ours too and holds nothing that a client sent.
fn panicked(panic: &(dyn Any + Send)) -> Response {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = text.unwrap_or("of another type"), "a handler panicked");
    Refusal::from(ErrorCode::Internal).into_response()
}

/// The id that came along, if it is a sane one; else a fresh UUID.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let is_sane = |value: &&HeaderValue| {
        let bytes = value.as_bytes();
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
        (1..=REQUEST_ID_BYTES_MAX).contains(&bytes.len()) && bytes.iter().all(is_plain)
    };
    match headers.get(X_REQUEST_ID).filter(is_sane) {
        Some(given) => given.clone(),
        None => fresh_id(),
    }
}

/// Unique is enough here: one random start for the process, then counted, costs no system call.
fn fresh_id() -> HeaderValue {
    static START: LazyLock<u128> = LazyLock::new(|| Uuid::new_v4().as_u128());
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = u128::from(COUNT.fetch_add(1, Ordering::Relaxed));
    let id = uuid::Builder::from_random_bytes(START.wrapping_add(count).to_be_bytes()).into_uuid();
    let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
    let text = id.hyphenated().encode_lower(&mut text);
    HeaderValue::from_str(text).expect("a UUID is a header value")
}

/// The page that a browser calls from.
struct Page {
    /// Its origin, if it may read the answer.
    allowed: Option<HeaderValue>,
    is_options: bool,
    is_preflight: bool,
}

impl Page {
    fn of(request: &Request, origins: &Origins) -> Self {
        let headers = request.headers();
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let allows = |origin: &&HeaderValue| {
            origin.to_str().is_ok_and(|origin| origins.allows(Some(origin), text(HOST)))
        };
        let is_options = request.method() == Method::OPTIONS;
        Self {
            allowed: headers.get(ORIGIN).filter(allows).cloned(),
            is_options,
            is_preflight: is_options && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD),
        }
    }

    /// CORS (fetch standard, 3.2). `OPTIONS` says what a path takes: the router adds `Allow`.
    fn put(self, response: &mut Response) {
        if self.is_options && response.status() == StatusCode::METHOD_NOT_ALLOWED {
            *response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
        }
        let headers = response.headers_mut();
        headers.append(VARY, HeaderValue::from_static("Origin"));
        let Some(origin) = self.allowed else { return };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if self.is_preflight {
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, ALLOWED_METHODS);
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS);
            headers.insert(ACCESS_CONTROL_MAX_AGE, PREFLIGHT_MAX_AGE);
        } else {
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED_HEADERS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sane_request_id_is_taken_over() {
        let id = |given: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(X_REQUEST_ID, HeaderValue::from_str(given).expect("a value"));
            request_id(&headers).to_str().expect("text").to_owned()
        };
        let long = "a".repeat(64);
        for sane in ["a", "A-1_b.2", &long] {
            assert_eq!(id(sane), sane);
        }
        for odd in ["", "a b", "a\"b", "ä", &"a".repeat(65)] {
            assert!(Uuid::try_parse(&id(odd)).is_ok(), "{odd}");
        }
    }

    #[test]
    fn fresh_ids_differ() {
        let ids: std::collections::HashSet<_> = (0..1000).map(|_| fresh_id()).collect();
        assert_eq!(ids.len(), 1000);
    }
}
