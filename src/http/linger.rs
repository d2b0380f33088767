//! A body that nobody read to its end is read a little further after the answer.
//!
//! An early answer (401, 413, 429) leaves a client that is still writing. If the server closed
//! at once, TCP would reset the connection and the client would lose the answer that was on its
//! way. So what is left is thrown away for a moment, within bounds, and never beyond the time
//! that the request had for being complete.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use protocol::limits::BODY_BYTES_MAX;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::peer::CompleteBy;

/// A request is complete so long after its first byte, or refused.
const COMPLETE_WITHIN: Duration = Duration::from_secs(10);
/// Read beyond an answer for so long at most.
const LINGER: Duration = Duration::from_secs(2);
/// Read beyond an answer so much at most, in bytes.
const LINGER_BYTES_MAX: usize = 2 * BODY_BYTES_MAX;

/// If a request has a body: notes by when it has to be complete, and lets it linger.
pub(super) fn guard(request: &mut Request, tracker: &TaskTracker) {
    if request.body().is_end_stream() {
        return;
    }
    let fresh = || CompleteBy(Instant::now() + COMPLETE_WITHIN);
    let by = *request.extensions_mut().get_or_insert_with(fresh);
    // Who waits for "100 Continue" has not begun to write.
    if request.headers().contains_key(http::header::EXPECT) {
        return;
    }
    let inner = Some(std::mem::take(request.body_mut()));
    *request.body_mut() = Body::new(Lingering { inner, by: by.0, tracker: tracker.clone() });
}

struct Lingering {
    /// None when it has come to its end.
    inner: Option<Body>,
    by: Instant,
    tracker: TaskTracker,
}

impl HttpBody for Lingering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
        let frame = Pin::new(inner).poll_frame(context);
        if let Poll::Ready(None | Some(Err(_))) = frame {
            self.inner = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        let Some(rest) = self.inner.take().filter(|inner| !inner.is_end_stream()) else { return };
        // Without a runtime the server is gone, and so is whoever would hear the answer.
        if tokio::runtime::Handle::try_current().is_ok() {
            let until = self.by.min(Instant::now() + LINGER);
            self.tracker.spawn(tokio::time::timeout_at(until, drain(rest)));
        }
    }
}

async fn drain(mut body: Body) {
    let mut drained = 0;
    while let Some(Ok(frame)) = body.frame().await {
        drained += frame.data_ref().map_or(0, Bytes::len);
        if drained > LINGER_BYTES_MAX {
            return;
        }
    }
}
