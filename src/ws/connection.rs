//! The one loop of a connection: a hand-written future, small while nothing happens.
//!
//! In a turn: what others left in the inbox, what is due by the clock, what the socket brings,
//! answers, events, then one write of all that gathered. It owns no timer: it tells its inbox
//! when it wants to be woken. Nobody else writes to the socket.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use protocol::limits::{HEARTBEAT_MS, TOKEN_EXPIRING_MS, TOKEN_GRACE_MS};
use protocol::{CloseCode, Timestamp, frame::ServerFrame, websocket as wire};

use super::client::{Client, TURN_BYTES, frame_of};
use super::close::Closing;
use super::frame::{Incoming, Limits};
use super::socket::{ReadEnd, Socket, Turn};

/// A write that made no progress for this long ends the connection, in milliseconds.
const WRITE_STALLED_MS_MAX: i64 = 30_000;
/// Pings without a pong after which the peer counts as gone.
const PINGS_UNANSWERED_MAX: u8 = 2;

/// A moment that has passed.
const AT_ONCE: i64 = i64::MIN;

const PING: &[u8] = &[0x80 | wire::PING, 0];

/// One WebSocket and what it is about.
pub struct Connection {
    socket: Socket,
    client: Client,
    limits: Limits,
    closing: Option<Closing>,
    next_ping_ms: i64,
    pings_unanswered: u8,
    /// `token_expiring` was told for this token.
    is_warned: bool,
    /// The server stops: what is under way is answered, nothing new is read.
    stops_with: Option<CloseCode>,
    /// Since when the peer has taken nothing of what waits for it.
    stalled_since_ms: Option<i64>,
    /// When to look at the clock again; `AT_ONCE`: that has to be found out.
    due_ms: i64,
}

impl Connection {
    /// `first` are frames that come before all others.
    #[must_use]
    pub fn new(socket: Socket, client: Client, limits: Limits, first: Option<Bytes>) -> Self {
        let now_ms = client.now_ms();
        let mut connection = Self {
            socket,
            client,
            limits,
            closing: None,
            // Spread, so that pings of connections made together don't stay together.
            next_ping_ms: now_ms + (HEARTBEAT_MS as i64) / 2 + now_ms % (HEARTBEAT_MS as i64 / 2),
            pings_unanswered: 0,
            is_warned: false,
            stops_with: None,
            stalled_since_ms: None,
            due_ms: AT_ONCE,
        };
        if let Some(first) = first {
            connection.socket.put(first);
        }
        connection
    }

    /// Closes before anything else happens.
    pub fn close_at_once(&mut self, code: CloseCode) {
        self.begin_close(code, self.client.now_ms());
    }

    fn begin_close(&mut self, code: CloseCode, now_ms: i64) {
        tracing::debug!(code = code.number(), "closes");
        self.client.app.metrics.close(code);
        self.client.let_go();
        self.closing = Some(Closing::begin(&mut self.socket, code, now_ms));
        self.due_ms = AT_ONCE;
    }

    /// One turn of an open connection: whether to go on, to wait, or how it ends.
    fn turn(&mut self, context: &mut Context<'_>, now_ms: i64) -> Result<Progress, Ending> {
        let mut out = Vec::new();
        let news = self.client.connected.inbox().drain(Some(context));
        if let Some(code) = self.client.take_news(news, &mut out) {
            let stops = matches!(code, CloseCode::GoingAway | CloseCode::Restart);
            if !stops || !self.client.has_pending() {
                self.put_all(&mut out);
                return Err(Ending::Close(code));
            }
            self.stops_with = Some(code);
        }
        if now_ms >= self.due_ms {
            self.due_ms = AT_ONCE;
            self.on_time(now_ms, &mut out)?;
        }
        let may_read = self.socket.backlog() < TURN_BYTES
            && self.client.has_room()
            && self.stops_with.is_none();
        // What is left unread wakes nobody by itself.
        let is_unread = if may_read { self.read(context)? == Turn::Paused } else { true };
        if self.client.poll_pending(context, &mut out) {
            // Another token has another end.
            self.due_ms = AT_ONCE;
        }
        let ended = if self.socket.backlog() < TURN_BYTES {
            self.client.poll_follows(context, &mut out)
        } else {
            None
        };
        self.put_all(&mut out);
        if let Some(code) = ended {
            return Err(Ending::Close(code));
        }
        self.flush(context, now_ms)?;
        match self.stops_with {
            Some(code) if !self.client.has_pending() => Err(Ending::Close(code)),
            _ => {
                let can_read = self.socket.backlog() < TURN_BYTES && self.client.has_room();
                let skipped = is_unread && can_read && self.stops_with.is_none();
                let is_hot = self.client.is_hot() && self.socket.backlog() < TURN_BYTES;
                Ok(if skipped || is_hot { Progress::More } else { Progress::Wait })
            }
        }
    }

    fn put_all(&mut self, out: &mut Vec<Bytes>) {
        for frame in out.drain(..) {
            self.socket.put(frame);
        }
    }

    fn read(&mut self, context: &mut Context<'_>) -> Result<Turn, Ending> {
        let (client, pings) = (&mut self.client, &mut self.pings_unanswered);
        let turn = self.socket.read(context, self.limits, |incoming| {
            if incoming == Incoming::Pong {
                *pings = 0;
            }
            client.take(&incoming)
        });
        match turn {
            Ok(turn) => Ok(turn),
            Err(ReadEnd::Gone) => Err(Ending::Gone),
            Err(ReadEnd::Closed(code)) => Err(Ending::Answer(code)),
            Err(ReadEnd::Fault(code)) => Err(Ending::Close(code)),
        }
    }

    fn flush(&mut self, context: &mut Context<'_>, now_ms: i64) -> Result<(), Ending> {
        let Ok((written, writes)) = self.socket.flush(context) else { return Err(Ending::Gone) };
        if writes > 0 {
            let metrics = &self.client.app.metrics;
            metrics.socket_writes.inc_by(writes);
            metrics.socket_bytes.inc_by(written as u64);
        }
        let has_progress = written > 0 || self.stalled_since_ms.is_none();
        if self.socket.backlog() == 0 {
            self.stalled_since_ms = None;
        } else if has_progress {
            self.stalled_since_ms = Some(now_ms);
            self.due_ms = AT_ONCE;
        }
        Ok(())
    }

    /// Pings, deadlines, and the end of the token.
    fn on_time(&mut self, now_ms: i64, out: &mut Vec<Bytes>) -> Result<(), Ending> {
        if self.stalled_since_ms.is_some_and(|since| now_ms - since >= WRITE_STALLED_MS_MAX) {
            return Err(Ending::Close(CloseCode::TooSlow));
        }
        if now_ms >= self.next_ping_ms {
            if self.pings_unanswered >= PINGS_UNANSWERED_MAX {
                return Err(Ending::Close(CloseCode::TooSlow));
            }
            self.pings_unanswered += 1;
            self.next_ping_ms = now_ms + HEARTBEAT_MS as i64;
            out.push(Bytes::from_static(PING));
        }
        let left_ms = self.token_left_ms();
        let grace_ms = if self.client.is_plain() { 0 } else { TOKEN_GRACE_MS as i64 };
        if left_ms <= -grace_ms {
            return Err(Ending::Close(CloseCode::TokenExpired));
        }
        let is_ending = left_ms <= TOKEN_EXPIRING_MS as i64;
        if is_ending && !self.is_warned && !self.client.is_plain() {
            let in_ms = left_ms.max(0) as u64;
            out.push(frame_of(&ServerFrame::TokenExpiring { in_ms }));
        }
        self.is_warned = is_ending;
        Ok(())
    }

    fn token_left_ms(&self) -> i64 {
        self.client.expires.as_ms().saturating_sub(Timestamp::now().as_ms())
    }

    /// When to look again though nothing happens.
    fn next_due_ms(&self, now_ms: i64) -> i64 {
        if let Some(closing) = &self.closing {
            return closing.deadline_ms;
        }
        let left_ms = self.token_left_ms();
        let token_ms = if self.client.is_plain() {
            left_ms
        } else if self.is_warned {
            left_ms.saturating_add(TOKEN_GRACE_MS as i64)
        } else {
            left_ms.saturating_sub(TOKEN_EXPIRING_MS as i64)
        };
        let stalled = self.stalled_since_ms.map_or(i64::MAX, |since| since + WRITE_STALLED_MS_MAX);
        self.next_ping_ms.min(now_ms.saturating_add(token_ms)).min(stalled)
    }
}

/// Whether a connection has more to do now.
enum Progress {
    More,
    Wait,
}

/// How a connection ends.
enum Ending {
    Close(CloseCode),
    /// The peer closed, with that code.
    Answer(Option<u16>),
    Gone,
}

impl Future for Connection {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let now_ms = this.client.now_ms();
        if this.closing.is_none() {
            match this.turn(context, now_ms) {
                Ok(Progress::More) => context.waker().wake_by_ref(),
                Ok(Progress::Wait) => {}
                Err(Ending::Gone) => return Poll::Ready(()),
                Err(Ending::Close(code)) => this.begin_close(code, now_ms),
                Err(Ending::Answer(code)) => {
                    this.client.let_go();
                    this.closing = Some(Closing::answer(&mut this.socket, code, now_ms));
                    this.due_ms = AT_ONCE;
                }
            }
        }
        if let Some(closing) = &mut this.closing {
            this.client.connected.inbox().drain(Some(context));
            if closing.poll(&mut this.socket, context, this.limits, now_ms).is_ready() {
                return Poll::Ready(());
            }
        }
        if this.due_ms == AT_ONCE {
            this.due_ms = this.next_due_ms(now_ms);
            this.client.connected.inbox().set_due(Some(this.due_ms));
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// tokio adds about 100 bytes and rounds up to 128: one more step is 2.5 MB for 20,000
    /// idle connections.
    #[test]
    fn an_idle_connection_is_small() {
        assert!(size_of::<Connection>() <= 384, "{}", size_of::<Connection>());
        assert!(size_of::<crate::hub::Inbox>() <= 200, "{}", size_of::<crate::hub::Inbox>());
    }
}
