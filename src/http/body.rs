//! A request's body: whole, within its limit, in time, as JSON.
//!
//! What is too large by its `Content-Length`, or of a wrong type, is refused before a byte of it
//! is read. A body without a length is read up to the limit and no further.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request};
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use http_body::Body as _;
use http_body_util::BodyExt;
use protocol::ErrorCode;
use protocol::limits::BODY_BYTES_MAX;
use serde::Deserialize;

use super::query::Target;
use crate::app::App;
use crate::peer::CompleteBy;
use crate::refusal::Refusal;

/// A whole body, not read as JSON yet. What is wrong with the query is told together with what is
/// wrong in the body, for not every call that has one reads it.
pub(super) struct JsonBody {
    whole: Bytes,
    query: Result<(), ErrorCode>,
}

impl JsonBody {
    /// Reads it; what it gives may borrow from it.
    pub(super) fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<T, ErrorCode> {
        self.query?;
        protocol::json::read(&self.whole)
    }
}

impl FromRequest<Arc<App>> for JsonBody {
    type Rejection = Refusal;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Refusal> {
        let (mut parts, body) = request.into_parts();
        let Ok(target) = Target::from_request_parts(&mut parts, app).await;
        check_length(body.size_hint().lower())?;
        check_type(&parts.headers, body.is_end_stream())?;
        let whole = match parts.extensions.get::<CompleteBy>() {
            Some(by) => tokio::time::timeout_at(by.0, gather(body)).await,
            // Without a body there is nothing to wait for.
            None => Ok(gather(body).await),
        };
        let whole = whole.unwrap_or(Err(ErrorCode::RequestTimeout))?;
        Ok(Self { whole, query: target.query().map(|_| ()) })
    }
}

/// `at_least` is what the body says of itself: its `Content-Length`, if it has one.
pub(super) fn check_length(at_least: u64) -> Result<(), ErrorCode> {
    if at_least > BODY_BYTES_MAX as u64 { Err(ErrorCode::BodyTooLarge) } else { Ok(()) }
}

/// `application/json`, in UTF-8 if it says anything about that, not compressed. An empty body
/// needs no type: it is answered as the broken JSON that it is.
fn check_type(headers: &HeaderMap, is_empty: bool) -> Result<(), ErrorCode> {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let is_json = match (types.next(), types.next()) {
        (None, _) => is_empty,
        (Some(one), None) => is_json(one),
        (Some(_), Some(_)) => false,
    };
    let mut encodings = headers.get_all(CONTENT_ENCODING).iter();
    if is_json && encodings.all(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        Ok(())
    } else {
        Err(ErrorCode::UnsupportedMediaType)
    }
}

fn is_json(value: &HeaderValue) -> bool {
    let Ok(text) = value.to_str() else { return false };
    let mut parts = text.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    let is_utf8 = |part: &str| match part.split_once('=') {
        Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
            let value = value.trim().trim_matches('"');
            value.eq_ignore_ascii_case("utf-8") || value.eq_ignore_ascii_case("utf8")
        }
        _ => true,
    };
    essence.eq_ignore_ascii_case("application/json") && parts.all(is_utf8)
}

/// The whole body. The usual one comes in one piece, which is not copied.
async fn gather(mut body: Body) -> Result<Bytes, ErrorCode> {
    let Some(first) = piece(&mut body).await? else { return Ok(Bytes::new()) };
    let Some(second) = piece(&mut body).await? else { return within_limit(first) };
    let mut whole = BytesMut::with_capacity(first.len() + second.len());
    let mut next = Some(second);
    whole.extend_from_slice(&first);
    while let Some(piece_of_it) = next {
        if whole.len() + piece_of_it.len() > BODY_BYTES_MAX {
            return Err(ErrorCode::BodyTooLarge);
        }
        whole.extend_from_slice(&piece_of_it);
        next = piece(&mut body).await?;
    }
    Ok(whole.freeze())
}

fn within_limit(bytes: Bytes) -> Result<Bytes, ErrorCode> {
    if bytes.len() > BODY_BYTES_MAX { Err(ErrorCode::BodyTooLarge) } else { Ok(bytes) }
}

/// The next piece of data; trailers are nothing to us. A body that breaks off is no JSON.
async fn piece(body: &mut Body) -> Result<Option<Bytes>, ErrorCode> {
    loop {
        match body.frame().await {
            None => return Ok(None),
            Some(Err(_)) => return Err(ErrorCode::InvalidJson),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            let value = HeaderValue::from_str(value).expect("a header value");
            (http::HeaderName::from_static(name), value)
        });
        let mut map = HeaderMap::new();
        pairs.for_each(|(name, value)| {
            map.append(name, value);
        });
        map
    }

    #[test]
    fn only_plain_json_in_utf8_is_taken() {
        let takes = |pairs: &[(&'static str, &str)]| check_type(&headers(pairs), false).is_ok();
        for good in [
            "application/json",
            "Application/JSON; charset=\"UTF-8\"",
            "application/json;charset=utf-8",
            "application/json; profile=x",
        ] {
            assert!(takes(&[("content-type", good)]), "{good}");
        }
        for bad in [
            "",
            "text/plain",
            "application/jsonx",
            "application/json; charset=latin1",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
        ] {
            assert!(!takes(&[("content-type", bad)]), "{bad}");
        }
        let json = ("content-type", "application/json");
        assert!(takes(&[json, ("content-encoding", "Identity")]));
        assert!(!takes(&[json, ("content-encoding", "gzip")]));
        assert!(!takes(&[json, json]) && !takes(&[]));
        assert!(check_type(&headers(&[]), true).is_ok());
    }

    #[tokio::test]
    async fn pieces_are_joined_up_to_the_limit() {
        let body = |sizes: &'static [usize]| {
            let pieces = sizes.iter().map(|size| Ok::<_, std::io::Error>(vec![b' '; *size]));
            Body::from_stream(futures_util::stream::iter(pieces))
        };
        for (sizes, expected) in [
            (&[][..], Ok(0)),
            (&[10], Ok(10)),
            (&[10, 0, 20], Ok(30)),
            (&[BODY_BYTES_MAX - 1, 1], Ok(BODY_BYTES_MAX)),
            (&[BODY_BYTES_MAX + 1], Err(ErrorCode::BodyTooLarge)),
            (&[BODY_BYTES_MAX, 1], Err(ErrorCode::BodyTooLarge)),
        ] {
            assert_eq!(gather(body(sizes)).await.map(|bytes| bytes.len()), expected);
        }
        let broken = [Ok(vec![b'{']), Err(std::io::Error::other("gone"))];
        let broken = Body::from_stream(futures_util::stream::iter(broken));
        assert_eq!(gather(broken).await, Err(ErrorCode::InvalidJson));
    }
}
