//! What handlers answer, and the answers of paths without a handler.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use protocol::ErrorCode;
use protocol::rest::Done;
use serde::Serialize;

use crate::refusal::Refusal;

/// What a handler gives.
pub(super) type Answer = Result<Response, Refusal>;

/// Room for the usual answer, in bytes.
const BODY_BYTES: usize = 512;
/// Room for the headers of the usual answer.
const HEADERS: usize = 8;

/// A value as JSON.
pub(super) fn json<T: Serialize + ?Sized>(status: StatusCode, value: &T) -> Response {
    let mut body = Vec::with_capacity(BODY_BYTES);
    serde_json::to_writer(&mut body, value).expect("the wire's types serialise without error");
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.reserve(HEADERS);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

pub(super) fn ok<T: Serialize + ?Sized>(value: &T) -> Answer {
    Ok(json(StatusCode::OK, value))
}

pub(super) fn created<T: Serialize>(value: &T) -> Answer {
    Ok(json(StatusCode::CREATED, value))
}

/// `{"message": "..."}`.
pub(super) fn done(message: &str) -> Answer {
    ok(&Done { message: message.to_owned() })
}

/// Unknown paths.
pub(super) async fn not_found() -> Response {
    Refusal::from(ErrorCode::NotFound).into_response()
}

/// Known paths, other methods. The router adds `Allow`.
pub(super) async fn method_not_allowed() -> Response {
    Refusal::from(ErrorCode::MethodNotAllowed).into_response()
}
