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
use super::close::{CLOSE_WAIT_MS, Closing};
use super::frame::Incoming;
use super::limits_of;
use super::socket::{ReadEnd, Socket, Turn};

/// A write that made no progress for this long ends the connection, in milliseconds.
const WRITE_STALLED_MS_MAX: i64 = 30_000;
/// Pings without a pong after which the peer counts as gone.
const PINGS_UNANSWERED_MAX: u8 = 2;

/// With so many bytes of answers waiting for a peer that does not read, what it asks is not read
/// either. Events wait as a number: they don't count, so that whoever sends without reading what
/// comes of it goes on.
const ANSWERS_BYTES_MAX: usize = 256 * 1024;

/// A moment that has passed.
const AT_ONCE: i64 = i64::MIN;
/// One that never comes.
const NEVER: i64 = i64::MAX;

const PING: &[u8] = &[0x80 | wire::PING, 0];

/// One WebSocket and what it is about. When to look at the clock again stands in its inbox;
/// `AT_ONCE`: that has to be found out.
pub struct Connection {
    socket: Socket,
    client: Client,
    closing: Option<Closing>,
    next_ping_ms: i64,
    /// When it ends unless the peer does something: takes some of what waits for it, or closes
    /// too, where it is being closed.
    ends_ms: i64,
    pings_unanswered: u8,
    /// `token_expiring` was told for this token.
    is_warned: bool,
    /// The server stops: what is under way is answered, nothing new is read.
    stops_with: Option<CloseCode>,
}

impl Connection {
    /// `first` are frames that come before all others.
    #[must_use]
    pub fn new(socket: Socket, client: Client, first: Option<Bytes>) -> Self {
        let now_ms = client.now_ms();
        client.connected.inbox().set_due(AT_ONCE);
        let mut connection = Self {
            socket,
            client,
            closing: None,
            // Spread, so that pings of connections made together don't stay together.
            next_ping_ms: now_ms + (HEARTBEAT_MS as i64) / 2 + now_ms % (HEARTBEAT_MS as i64 / 2),
            ends_ms: NEVER,
            pings_unanswered: 0,
            is_warned: false,
            stops_with: None,
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
        let closing = Closing::begin(&mut self.socket, code);
        self.go_on_closing(closing, now_ms);
    }

    fn go_on_closing(&mut self, closing: Closing, now_ms: i64) {
        self.client.let_go();
        self.closing = Some(closing);
        self.ends_ms = now_ms + CLOSE_WAIT_MS;
        self.look_again();
    }

    /// What is due, and when, has to be found out.
    fn look_again(&self) {
        self.client.connected.inbox().set_due(AT_ONCE);
    }

    /// One turn of an open connection: whether to go on, to wait, or how it ends.
    fn turn(&mut self, context: &mut Context<'_>, now_ms: i64) -> Result<Progress, Ending> {
        let mut out = Vec::new();
        let news = self.client.connected.inbox().drain(Some(context));
        if let Some(code) = self.client.take_news(news, &mut out) {
            let stops = matches!(code, CloseCode::GoingAway | CloseCode::Restart);
            if !stops || !self.client.has_pending() {
                self.socket.put_all(out);
                return Err(Ending::Close(code));
            }
            self.stops_with = Some(code);
        }
        if now_ms >= self.client.connected.inbox().due_ms() {
            self.look_again();
            self.on_time(now_ms, &mut out)?;
        }
        let may_read = self.socket.backlog() < ANSWERS_BYTES_MAX
            && self.client.has_room()
            && self.stops_with.is_none();
        // What is left unread wakes nobody by itself.
        let is_unread = if may_read { self.read(context)? == Turn::Paused } else { true };
        let expires = self.client.expires;
        let mut ended = self.client.poll_pending(context, &mut out);
        if self.client.expires != expires {
            // Another token has another end, and its own warning.
            self.is_warned = false;
            self.look_again();
        }
        let looks = self.socket.backlog() < TURN_BYTES;
        if looks && ended.is_none() {
            ended = self.client.poll_follows(context, &mut out);
        }
        self.socket.put_all(out);
        if let Some(code) = ended {
            return Err(Ending::Close(code));
        }
        self.flush(context, now_ms)?;
        match self.stops_with {
            Some(code) if !self.client.has_pending() => Err(Ending::Close(code)),
            _ => {
                let can_read = self.socket.backlog() < ANSWERS_BYTES_MAX && self.client.has_room();
                let skipped = is_unread && can_read && self.stops_with.is_none();
                let is_left = self.client.is_hot() || !looks;
                let is_hot = is_left && self.socket.backlog() < TURN_BYTES;
                Ok(if skipped || is_hot { Progress::More } else { Progress::Wait })
            }
        }
    }

    fn read(&mut self, context: &mut Context<'_>) -> Result<Turn, Ending> {
        let limits = limits_of(&self.client.app);
        let (client, pings) = (&mut self.client, &mut self.pings_unanswered);
        let turn = self.socket.read(context, limits, |incoming| {
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
        let was_waiting = self.ends_ms != NEVER;
        let Ok((written, writes)) = self.socket.flush(context) else { return Err(Ending::Gone) };
        if was_waiting && written > 0 {
            // Whoever takes what waits is there. A ping may wait among it, and so may its pong.
            self.pings_unanswered = 0;
        }
        if writes > 0 {
            let metrics = &self.client.app.metrics;
            metrics.socket_writes.inc_by(writes);
            metrics.socket_bytes.inc_by(written as u64);
        }
        if self.socket.backlog() == 0 {
            self.ends_ms = NEVER;
        } else if written > 0 || self.ends_ms == NEVER {
            self.ends_ms = now_ms + WRITE_STALLED_MS_MAX;
            self.look_again();
        }
        Ok(())
    }

    /// Pings, deadlines, and the end of the token.
    fn on_time(&mut self, now_ms: i64, out: &mut Vec<Bytes>) -> Result<(), Ending> {
        if now_ms >= self.ends_ms {
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
        if self.closing.is_some() {
            return self.ends_ms;
        }
        let left_ms = self.token_left_ms();
        let token_ms = if self.client.is_plain() {
            left_ms
        } else if self.is_warned {
            left_ms.saturating_add(TOKEN_GRACE_MS as i64)
        } else {
            left_ms.saturating_sub(TOKEN_EXPIRING_MS as i64)
        };
        self.next_ping_ms.min(now_ms.saturating_add(token_ms)).min(self.ends_ms)
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
                    let closing = Closing::answer(&mut this.socket, code);
                    this.go_on_closing(closing, now_ms);
                }
            }
        }
        if let Some(closing) = &mut this.closing {
            this.client.connected.inbox().drain(Some(context));
            let limits = limits_of(&this.client.app);
            let closed = closing.poll(&mut this.socket, context, limits);
            if closed.is_ready() || now_ms >= this.ends_ms {
                return Poll::Ready(());
            }
        }
        let inbox = this.client.connected.inbox();
        if inbox.due_ms() == AT_ONCE {
            inbox.set_due(this.next_due_ms(now_ms));
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// tokio adds 104 bytes and rounds up to 128: one more step is 2.5 MB for 20,000 idle
    /// connections.
    #[test]
    fn an_idle_connection_is_small() {
        assert!(size_of::<Connection>() <= 384 - 104, "{}", size_of::<Connection>());
        assert!(size_of::<crate::hub::Inbox>() <= 200, "{}", size_of::<crate::hub::Inbox>());
    }
}
