//! The shipped socket layer with nothing behind it: every message comes back as it went.
//!
//! For conformance suites, which need an echo; `assistdeck echo` starts it.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::any;
use bytes::Bytes;
use hyper_util::rt::TokioIo;
use protocol::websocket as wire;

use super::close::Closing;
pub use super::frame::Limits;
use super::frame::{Flow, Incoming};
use super::handshake;
use super::socket::{ReadEnd, Socket};
use crate::heads::Watched;

/// No more is read while so much waits for the peer.
const BACKLOG_BYTES_MAX: usize = 1 << 20;

/// Echoes at every path.
pub fn router(limits: Limits) -> Router {
    Router::new().fallback(any(upgrade)).with_state(limits)
}

async fn upgrade(State(limits): State<Limits>, mut request: Request) -> Response {
    let upgraded = hyper::upgrade::on(&mut request);
    let response = handshake::accept(&request.into_parts().0, None);
    tokio::spawn(async move {
        let Ok(upgraded) = upgraded.await else { return };
        let Ok(parts) = upgraded.downcast::<TokioIo<Watched>>() else { return };
        let socket = Socket::new(parts.io.into_inner().into_inner(), &parts.read_buf);
        Echo { socket, limits, closing: None }.await;
    });
    response
}

struct Echo {
    socket: Socket,
    limits: Limits,
    closing: Option<Closing>,
}

impl Echo {
    fn turn(&mut self, context: &mut Context<'_>) -> Result<(), ReadEnd> {
        let mut out = Vec::new();
        let turn = self.socket.read(context, self.limits, |incoming| {
            let (opcode, payload) = match incoming {
                Incoming::Text(text) => (wire::TEXT, text.as_bytes()),
                Incoming::Binary(data) => (wire::BINARY, data),
                Incoming::Ping(_) | Incoming::Pong | Incoming::Close(_) => return Flow::Go,
            };
            let mut frame = Vec::new();
            wire::put_frame(&mut frame, opcode, payload);
            out.push(Bytes::from(frame));
            Flow::Go
        });
        self.socket.put_all(out);
        turn.map(|_| ())
    }
}

impl Future for Echo {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this.closing.is_none() && this.socket.backlog() < BACKLOG_BYTES_MAX {
            match this.turn(context) {
                Ok(()) => {}
                Err(ReadEnd::Gone) => return Poll::Ready(()),
                Err(ReadEnd::Closed(code)) => {
                    this.closing = Some(Closing::answer(&mut this.socket, code));
                }
                Err(ReadEnd::Fault(code)) => {
                    this.closing = Some(Closing::begin(&mut this.socket, code));
                }
            }
        }
        match &mut this.closing {
            Some(closing) => closing.poll(&mut this.socket, context, this.limits),
            None => {
                let waited = this.socket.backlog() >= BACKLOG_BYTES_MAX;
                if this.socket.flush(context).is_err() {
                    return Poll::Ready(());
                }
                if waited && this.socket.backlog() < BACKLOG_BYTES_MAX {
                    context.waker().wake_by_ref();
                }
                Poll::Pending
            }
        }
    }
}
