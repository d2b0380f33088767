//! One client connection: its handshake, its reads, its writes, its account.
//!
//! It is served by the driver's thread alone, when the event loop says that something can be
//! read or written. Readiness is told by edges: a read that filled its buffer is followed by
//! another, a shorter one has emptied the socket, which saves a call that would only say so.

use super::dialect::Talk;
use super::shared::Shared;
use super::{Dialect, Plan};
use crate::frame;
use crate::verify::{Ledger, leading_number};
use crate::world::{Member, Session};
use anyhow::{Context, Result, bail, ensure};
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketFlags, SocketType};
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;

/// The key of RFC 6455's own example. A benchmark needs no fresh one, and the answer to it is
/// known without hashing.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// How the server writes what it tells of presence.
const PRESENCE: &[u8] = br#"{"type":"presence","#;

/// What a stalled member's socket takes in, so that it is soon full.
const STALLED_BUFFER_BYTES: usize = 4096;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Connecting,
    Upgrading,
    Open,
    /// Ended by the server, where that is allowed.
    Closed,
}

#[derive(Debug)]
pub struct Conn {
    pub session: usize,
    /// Where it is connected to, of several.
    pub node: usize,
    pub ledger: Ledger,
    pub state: State,
    /// It counts what it is told of presence, and takes no messages.
    watches: bool,
    dialect: Dialect,
    pub stalled: bool,
    pub was_stalled: bool,
    pub sends: bool,
    /// Own messages under way at the same time, as far as refilling goes.
    pub window: u64,
    sent: u64,
    own_seen: u64,
    user: String,
    stream: TcpStream,
    partial: Vec<u8>,
    out: Vec<u8>,
}

impl Conn {
    pub fn connect(
        addr: SocketAddr,
        at: usize,
        (session, member): (&Session, &Member),
        plan: Plan,
        stalled: bool,
    ) -> Result<Self> {
        let stream = if stalled { narrow(addr)? } else { TcpStream::connect(addr)? };
        let after = session.head.saturating_sub(plan.replay.unwrap_or(0));
        let parameter = plan.replay.map_or(String::new(), |_| format!("&after={after}"));
        let protocol = if plan.watch { "Sec-WebSocket-Protocol: assistdeck.v1\r\n" } else { "" };
        let path = plan.dialect.path();
        let request = format!(
            "GET {path}session_id={}&token={}{parameter} HTTP/1.1\r\nHost: {addr}\r\n\
             Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: {KEY}\r\n{protocol}\r\n",
            session.id, member.token
        );
        Ok(Self {
            session: at,
            node: 0,
            ledger: Ledger::new(after),
            state: State::Connecting,
            watches: plan.watch,
            dialect: plan.dialect,
            stalled,
            was_stalled: false,
            sends: false,
            window: 0,
            sent: 0,
            own_seen: 0,
            user: member.user.to_string(),
            stream,
            partial: Vec::new(),
            out: request.into_bytes(),
        })
    }

    pub fn register(&mut self, registry: &Registry, token: Token) -> Result<()> {
        let both = Interest::READABLE | Interest::WRITABLE;
        registry.register(&mut self.stream, token, both)?;
        Ok(())
    }

    /// From now on it reads nothing.
    pub fn stall(&mut self, registry: &Registry) -> Result<()> {
        Ok(registry.deregister(&mut self.stream)?)
    }

    pub fn resume(&mut self, registry: &Registry, token: Token) -> Result<()> {
        (self.stalled, self.was_stalled) = (false, true);
        self.register(registry, token)
    }

    pub fn on_event(
        &mut self,
        event: &Event,
        shared: &mut Shared,
        scratch: &mut [u8],
    ) -> Result<()> {
        if self.state == State::Closed {
            return Ok(());
        }
        if self.state == State::Connecting && event.is_writable() {
            if let Some(error) = self.stream.take_error()? {
                return Err(error).context("connecting");
            }
            self.stream.set_nodelay(true)?;
            self.state = State::Upgrading;
        }
        if event.is_writable() && !self.out.is_empty() {
            self.flush()?;
        }
        if event.is_readable() || event.is_read_closed() {
            self.read(event.is_read_closed(), shared, scratch)?;
        }
        Ok(())
    }

    /// Takes all that has come, then sends as much as was seen back.
    fn read(&mut self, ended: bool, shared: &mut Shared, scratch: &mut [u8]) -> Result<()> {
        loop {
            let kept = self.partial.len();
            scratch[..kept].copy_from_slice(&self.partial);
            let end = match self.stream.read(&mut scratch[kept..]) {
                Ok(0) => bail!("the server closed the connection"),
                Ok(count) => kept + count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).context("reading"),
            };
            if let Some(latency) = &mut shared.latency {
                latency.tick();
            }
            shared.reads += 1;
            let used = self.take(&scratch[..end], shared)?;
            self.partial.clear();
            self.partial.extend_from_slice(&scratch[used..end]);
            ensure!(self.partial.len() < scratch.len(), "a frame beyond the buffer");
            // After the end was told no further edge comes: then the zero must be read too.
            if end < scratch.len() && !ended {
                break;
            }
        }
        if self.window > 0 {
            self.refill(shared)?;
        }
        if self.out.is_empty() { Ok(()) } else { self.flush() }
    }

    /// Looks at everything whole in `bytes` and says how far that goes.
    fn take(&mut self, bytes: &[u8], shared: &mut Shared) -> Result<usize> {
        let mut used = 0;
        if self.state == State::Upgrading {
            let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else {
                return Ok(0);
            };
            let head = String::from_utf8_lossy(&bytes[..end]);
            if !head.starts_with("HTTP/1.1 101") || !head.contains(ACCEPT) {
                bail!("the upgrade was refused: {}", String::from_utf8_lossy(bytes));
            }
            self.state = State::Open;
            shared.opened += usize::from(!self.dialect.has_opening());
            if let Some(greeting) = self.dialect.greeting(shared.session_id(self.session)) {
                shared.put(&mut self.out, greeting.as_bytes());
            }
            used = end + 4;
        }
        while let Some(head) = frame::parse(&bytes[used..])? {
            let payload = &bytes[used + head.start..used + head.end];
            match head.opcode {
                frame::TEXT if self.watches => {
                    shared.presences += u64::from(payload.starts_with(PRESENCE));
                }
                frame::TEXT | frame::BINARY => self.hear(head.opcode, payload, shared)?,
                frame::PING => shared.put_pong(&mut self.out, payload),
                frame::PONG => {}
                frame::CLOSE => bail!("closed by the server: {}", close_reason(payload)),
                other => bail!("a frame of opcode {other}"),
            }
            used += head.end;
        }
        Ok(used)
    }

    #[inline]
    fn hear(&mut self, opcode: u8, payload: &[u8], shared: &mut Shared) -> Result<()> {
        let mut at = 0;
        while at < payload.len() {
            let (talk, bytes) = self.dialect.hear(opcode, &payload[at..])?;
            match talk {
                Talk::Message(message) => self.take_message(message, shared)?,
                Talk::Answer(text) => shared.put(&mut self.out, text.as_bytes()),
                Talk::Ready => shared.opened += 1,
                Talk::Nothing => {}
            }
            at += bytes;
        }
        Ok(())
    }

    #[inline]
    fn take_message(&mut self, payload: &[u8], shared: &mut Shared) -> Result<()> {
        let Some(seq) = shared.seq.number(payload) else {
            bail!("not a message: {}", String::from_utf8_lossy(payload));
        };
        let seq = if self.dialect.numbers() { seq } else { self.ledger.last() + 1 };
        self.ledger.note(seq);
        shared.delivered += 1;
        if let Some(latency) = &mut shared.latency {
            latency.note(self.node, seq);
        }
        if self.sends {
            let sender = shared.sender.value(payload).context("no sender_id")?;
            if sender.starts_with(self.user.as_bytes()) {
                let number = shared.number.value(payload).and_then(leading_number);
                let number = number.context("no number in an own content")?;
                if number != self.own_seen {
                    self.ledger.note_disorder();
                }
                self.own_seen = number + 1;
            }
        }
        Ok(())
    }

    /// Sends until the window is full again.
    pub fn refill(&mut self, shared: &mut Shared) -> Result<()> {
        let room = self.window.saturating_sub(self.sent.saturating_sub(self.own_seen));
        if shared.sending && room > 0 { self.send(shared, room) } else { Ok(()) }
    }

    /// Sends `count` messages in one write.
    pub fn send(&mut self, shared: &mut Shared, count: u64) -> Result<()> {
        for _ in 0..count {
            shared.put_message(&mut self.out, self.session, &self.user, self.sent);
            self.sent += 1;
        }
        shared.sessions[self.session].sent += count;
        self.flush()
    }

    fn flush(&mut self) -> Result<()> {
        flush(&mut self.stream, &mut self.out)
    }
}

/// A connection on its way that takes in next to nothing unread. Set before it is made: where the
/// buffer shrinks afterwards, TCP lets no more than some 30 kB/s through.
fn narrow(addr: SocketAddr) -> Result<TcpStream> {
    let family = if addr.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = net::socket_with(family, SocketType::STREAM, flags, None)?;
    net::sockopt::set_socket_recv_buffer_size(&socket, STALLED_BUFFER_BYTES)?;
    match net::connect(&socket, &addr) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(TcpStream::from_std(socket.into())),
        Err(error) => Err(error.into()),
    }
}

/// Writes what the peer takes now; the rest stays.
pub fn flush(stream: &mut TcpStream, out: &mut Vec<u8>) -> Result<()> {
    while !out.is_empty() {
        match stream.write(out) {
            Ok(count) => drop(out.drain(..count)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error).context("writing"),
        }
    }
    Ok(())
}

fn close_reason(payload: &[u8]) -> String {
    match payload {
        [a, b, reason @ ..] => {
            format!("{} {}", u16::from_be_bytes([*a, *b]), String::from_utf8_lossy(reason))
        }
        _ => "no code".to_owned(),
    }
}
