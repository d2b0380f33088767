//! The log of a session over plain HTTP: a page that may be waited for, and a stream.
//!
//! The stream (`Accept: text/event-stream`, HTML living standard 9.2) is for networks that let
//! no WebSocket through. It ends at the caller's removal, the session's deletion, the token's
//! end and the server's stop; what comes next is asked for with the last id.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequestParts, State};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream::{self, Stream};
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use protocol::limits::EVENTS_WAIT_SECONDS_MAX;
use protocol::{ErrorCode, Timestamp};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::answer::{Answer, ok};
use super::extract::{CurrentUser, From, PathIds};
use super::query::{SEQ_MAX, Target, number};
use crate::app::App;
use crate::auth::Caller;
use crate::chat::{Ask, Feed, Identity, Position};
use crate::refusal::Refusal;

/// A stream is silent for so long at most.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// A comment: it tells proxies and clients that the stream lives.
const COMMENT: Bytes = Bytes::from_static(b":\n\n");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

pub(super) async fn list_events(
    Listener { user, known }: Listener,
    State(app): State<Arc<App>>,
    ids: PathIds,
    target: Target,
    form: Form,
) -> Answer {
    let (actor, caller) = (user.actor(), user.0);
    let (identity, ends) = (identity_of(&caller, form.from), ends_at(&caller));
    if form.is_stream {
        app.chat.check_connections(&identity)?;
    }
    let query = target.query()?;
    let (limit, wait) = (query.limit()?, query.number("wait", 0..=EVENTS_WAIT_SECONDS_MAX)?);
    let asked = query.seq("after")?.unwrap_or(0);
    let (session, after) = (ids.session()?, form.last_event_id?.unwrap_or(asked));
    if form.is_stream {
        let position = Position { after: Some(after), epoch: None };
        let feed = app.chat.feed(actor, session, position, identity).await?;
        app.auth.confirm(&caller, known).await?;
        return Ok(stream_of(feed, ends, app.stop.clone()));
    }
    let left = ends.saturating_duration_since(Instant::now());
    let wait = Duration::from_secs(wait.unwrap_or(0)).min(left);
    let page = |wait| {
        let ask = Ask { after, limit, wait };
        app.chat.events(actor, session, ask, identity)
    };
    // A server that stops answers who waits with what there is.
    let page = match app.stop.run_until_cancelled(page(wait)).await {
        Some(page) => page?,
        None => page(Duration::ZERO).await?,
    };
    app.auth.confirm(&caller, known).await?;
    ok(&page)
}

/// Who calls to hear what happens, and how many revocations were known before.
pub(super) struct Listener {
    user: CurrentUser,
    known: u64,
}

impl FromRequestParts<Arc<App>> for Listener {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refusal> {
        let known = app.auth.revocations_known();
        Ok(Self { user: CurrentUser::from_request_parts(parts, app).await?, known })
    }
}

/// What the headers say about the answer.
pub(super) struct Form {
    from: IpAddr,
    is_stream: bool,
    last_event_id: Result<Option<u64>, ErrorCode>,
}

impl FromRequestParts<Arc<App>> for Form {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Infallible> {
        let From(from) = From::from_request_parts(parts, app).await?;
        let is_stream = wants_stream(&parts.headers);
        Ok(Self { from, is_stream, last_event_id: last_event_id(&parts.headers) })
    }
}

fn wants_stream(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut kinds = values.flat_map(|text| text.split(','));
    kinds.any(|kind| {
        let essence = kind.split(';').next().unwrap_or_default().trim();
        essence.eq_ignore_ascii_case("text/event-stream")
    })
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>, ErrorCode> {
    let mut given = headers.get_all(LAST_EVENT_ID).iter();
    match (given.next(), given.next()) {
        (None, _) => Ok(None),
        (Some(_), Some(_)) => Err(ErrorCode::InvalidQuery),
        (Some(one), None) => {
            let text = one.to_str().map_err(|_| ErrorCode::InvalidQuery)?;
            number(text, 0..=SEQ_MAX).map(Some)
        }
    }
}

fn identity_of(caller: &Caller, from: IpAddr) -> Identity {
    Identity {
        user: caller.user,
        token_id: caller.token.id,
        token_issued_ms: caller.token.issued_ms,
        address: Some(from),
    }
}

/// The token's end.
fn ends_at(caller: &Caller) -> Instant {
    let left_us = caller.token.expires.0.saturating_sub(Timestamp::now().0);
    let left = Duration::from_micros(u64::try_from(left_us).unwrap_or(0));
    // One that never ends within a lifetime must not overflow the clock.
    Instant::now() + left.min(Duration::from_secs(u64::from(u32::MAX)))
}

fn stream_of(feed: Feed, ends: Instant, stop: CancellationToken) -> Response {
    let turns = Turns { feed, ends, stop, waiting: vec![COMMENT].into_iter() };
    let mut response = Response::new(Body::from_stream(turns.stream()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
    // Some proxies gather an answer before they hand it on, unless told so.
    let buffering = HeaderName::from_static("x-accel-buffering");
    headers.insert(buffering, HeaderValue::from_static("no"));
    response
}

/// What a stream writes, turn by turn.
struct Turns {
    feed: Feed,
    /// The token's end.
    ends: Instant,
    stop: CancellationToken,
    waiting: std::vec::IntoIter<Bytes>,
}

impl Turns {
    fn stream(self) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + 'static {
        stream::unfold(self, |mut turns| async move {
            let bytes = turns.next().await?;
            Some((Ok(bytes), turns))
        })
    }

    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(bytes) = self.waiting.next() {
                return Some(bytes);
            }
            if Instant::now() >= self.ends {
                return None;
            }
            let until = self.ends.min(Instant::now() + HEARTBEAT);
            tokio::select! {
                () = self.stop.cancelled() => return None,
                turn = tokio::time::timeout_at(until, self.feed.next()) => match turn {
                    Ok(turn) => self.waiting = turn?.into_iter(),
                    Err(_) => self.waiting = vec![COMMENT].into_iter(),
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_wanted_where_it_is_accepted() {
        let wants = |accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_str(accept).expect("a value"));
            wants_stream(&headers)
        };
        assert!(wants("text/event-stream") && wants("application/json, Text/Event-Stream;q=0.5"));
        assert!(!wants("*/*") && !wants("application/json") && !wants("text/event-streams"));
        assert!(!wants_stream(&HeaderMap::new()));
    }

    #[test]
    fn the_last_event_id_is_a_seq() {
        let read = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(LAST_EVENT_ID, HeaderValue::from_static(value));
            }
            last_event_id(&headers)
        };
        assert_eq!((read(&[]), read(&["7"])), (Ok(None), Ok(Some(7))));
        for bad in [&[""][..], &["x"], &["-1"], &["1", "1"]] {
            assert_eq!(read(bad), Err(ErrorCode::InvalidQuery), "{bad:?}");
        }
    }
}
