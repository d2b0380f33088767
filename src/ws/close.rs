//! Why a connection ends, and the closing handshake that tells it.
//!
//! After a close frame the server goes on reading until the peer has closed too or a deadline
//! has passed: bytes left unread would make the kernel throw the close frame away.

use std::task::{Context, Poll};

use protocol::{CloseCode, ErrorCode};

use super::frame::{Flow, Limits};
use super::socket::{ReadEnd, Socket};
use crate::hub::End;

/// How long the peer has to close on its side, in milliseconds.
pub const CLOSE_WAIT_MS: i64 = 5_000;

/// The close code of a following that ended.
#[must_use]
pub fn code_of(end: End) -> CloseCode {
    match end {
        End::Removed => CloseCode::Removed,
        End::Deleted => CloseCode::SessionDeleted,
    }
}

/// The close code where a session can't be followed, or no more; none where the store is away.
#[must_use]
pub fn code_of_lost(code: ErrorCode) -> Option<CloseCode> {
    match code {
        ErrorCode::PositionUnknown => Some(CloseCode::PositionUnknown),
        ErrorCode::SessionNotFound => Some(CloseCode::SessionDeleted),
        ErrorCode::NotAMember => Some(CloseCode::Removed),
        _ => None,
    }
}

/// A connection that is being closed. Whoever has it bounds how long that takes.
#[derive(Clone, Copy, Debug)]
pub struct Closing {
    /// What the peer sends can't be read any more, or need not be.
    is_deaf: bool,
    is_shut: bool,
}

impl Closing {
    /// The server ends it.
    pub fn begin(socket: &mut Socket, code: CloseCode) -> Self {
        socket.put_close(code.number(), code.reason());
        let is_deaf =
            matches!(code, CloseCode::ProtocolError | CloseCode::InvalidUtf8 | CloseCode::TooBig);
        Self { is_deaf, is_shut: false }
    }

    /// The peer ended it: its code is echoed (RFC 6455, 5.5.1).
    pub fn answer(socket: &mut Socket, code: Option<u16>) -> Self {
        socket.put_close(code.unwrap_or_else(|| CloseCode::Normal.number()), "");
        Self { is_deaf: true, is_shut: false }
    }

    /// Ready when the connection can be let go.
    pub fn poll(
        &mut self,
        socket: &mut Socket,
        context: &mut Context<'_>,
        limits: Limits,
    ) -> Poll<()> {
        if socket.flush(context).is_err() {
            return Poll::Ready(());
        }
        let read = if self.is_deaf {
            if socket.backlog() == 0 && !std::mem::replace(&mut self.is_shut, true) {
                socket.shut(context);
            }
            socket.discard(context)
        } else {
            // What still comes is dropped, under the limits of an open connection.
            socket.read(context, limits, |_| Flow::Go).map(|_| ())
        };
        match read {
            Ok(()) => Poll::Pending,
            Err(ReadEnd::Closed(_) | ReadEnd::Fault(_)) if socket.backlog() > 0 => {
                self.is_deaf = true;
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Err(ReadEnd::Gone | ReadEnd::Closed(_) | ReadEnd::Fault(_)) => Poll::Ready(()),
        }
    }
}
