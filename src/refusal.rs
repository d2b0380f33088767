//! An error as an HTTP answer: `{"error", "code"}`, the status of the code, `Retry-After` where
//! coming back helps. Both doors (`http`, `ws`) answer through this one place.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use protocol::ErrorCode;

/// Seconds after which to try again when nothing better is known.
const RETRY_AFTER_S: u64 = 1;

/// What the client is told instead of a result. The cause stays inside: it is logged where it
/// becomes this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub code: ErrorCode,
    pub retry_after_s: Option<u64>,
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Self { code, retry_after_s: None }
    }
}

impl From<crate::chat::Error> for Refusal {
    fn from(error: crate::chat::Error) -> Self {
        let code = error.code();
        match &error {
            crate::chat::Error::Store(_) if code == ErrorCode::Internal => {
                tracing::error!(%error, "the store failed");
            }
            crate::chat::Error::Store(_) if code == ErrorCode::Unavailable => {
                tracing::warn!(%error, "the store is unavailable");
            }
            _ => {}
        }
        let retry_after_s = match error {
            crate::chat::Error::RateLimited { retry_after_s } => Some(retry_after_s),
            _ => None,
        };
        Self { code, retry_after_s }
    }
}

impl From<crate::auth::Error> for Refusal {
    fn from(error: crate::auth::Error) -> Self {
        let code = error.code();
        match code {
            ErrorCode::Internal => tracing::error!(%error, "auth failed"),
            ErrorCode::Unavailable => tracing::warn!(%error, "auth is unavailable"),
            _ => tracing::debug!(%error, "auth refused"),
        }
        let retry_after_s = match error {
            crate::auth::Error::RateLimited { retry_after } => Some(retry_after),
            _ => None,
        };
        Self { code, retry_after_s }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.code.status())
            .expect("the catalogue holds valid statuses alone");
        let mut response = (status, axum::Json(self.code.body())).into_response();
        let waits = matches!(self.code, ErrorCode::RateLimited | ErrorCode::Unavailable);
        if waits || self.retry_after_s.is_some() {
            let seconds = self.retry_after_s.unwrap_or(RETRY_AFTER_S).max(1);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        // Whoever writes the access log and counts rejections finds the code here.
        response.extensions_mut().insert(self.code);
        response
    }
}
