//! Pages for people: what runs here, and the reference of its calls.
//!
//! No script, nothing from elsewhere: the policy allows the one style sheet and images from
//! here, and nothing else.

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};

use super::{openapi, reference};

const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";
const START: &str = include_str!("pages/start.html");
const STYLE: &str = include_str!("pages/style.css");
const ICON: &str = include_str!("pages/favicon.svg");
/// Seconds for which style and icon may be kept.
const KEEP: &str = "max-age=3600";

pub(super) async fn show_start() -> Response {
    static PAGE: LazyLock<String> =
        LazyLock::new(|| START.replace("{version}", env!("CARGO_PKG_VERSION")));
    html(Bytes::from_static(PAGE.as_bytes()))
}

pub(super) async fn show_docs() -> Response {
    static PAGE: LazyLock<String> = LazyLock::new(|| reference::page(openapi::document()));
    html(Bytes::from_static(PAGE.as_bytes()))
}

pub(super) async fn show_openapi() -> Response {
    static TEXT: LazyLock<String> = LazyLock::new(|| openapi::document().to_string());
    let kind = [(CONTENT_TYPE, "application/json")];
    (kind, Bytes::from_static(TEXT.as_bytes())).into_response()
}

pub(super) async fn show_style() -> Response {
    ([(CONTENT_TYPE, "text/css; charset=utf-8"), (CACHE_CONTROL, KEEP)], STYLE).into_response()
}

pub(super) async fn show_icon() -> Response {
    ([(CONTENT_TYPE, "image/svg+xml"), (CACHE_CONTROL, KEEP)], ICON).into_response()
}

fn html(page: Bytes) -> Response {
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
    ];
    (headers, page).into_response()
}
