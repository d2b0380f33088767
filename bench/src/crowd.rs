//! Many sockets of `assistdeck.v1`, each following many sessions: the load of growth.
//!
//! One thread and one event loop, as the driver is, but for another question: not how fast a
//! session goes, but what one message costs when so many are followed. Every session belongs to
//! one socket, whose user sends to it and gets two frames for each message: `message.sent` and the
//! event. The session's place in the list stands in the content, so that the number of the event
//! goes to the right ledger without a look at the id.

use crate::driver::flush;
use crate::frame::{self, Keys};
use crate::verify::{Faults, Field, Ledger, leading_number};
use crate::world::Session;
use anyhow::{Context, Result, bail, ensure};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::io::{ErrorKind, Read};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use uuid::Uuid;

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const SCRATCH_BYTES: usize = 256 * 1024;
const TURN: Duration = Duration::from_millis(20);
const SILENCE_MAX: Duration = Duration::from_secs(10);
const GRACE: Duration = Duration::from_millis(100);
/// So many sockets open and ask at the same time.
const OPENING: usize = 4;
const EVENT: &[u8] = br#"{"type":"message.created""#;
const SENT: &[u8] = br#"{"type":"message.sent""#;
const CAUGHT_UP: &[u8] = br#"{"type":"caught_up""#;
const ERROR: &[u8] = br#"{"type":"error""#;
const CONTENT_BYTES: usize = 200;

#[derive(Debug)]
pub struct Crowd {
    poll: Poll,
    sockets: Vec<Socket>,
    /// For each session: its id, its socket, and what came of it.
    sessions: Vec<(String, usize, Ledger)>,
    /// Of each session, how many messages it was sent.
    heads: Vec<u64>,
    shared: Shared,
    scratch: Vec<u8>,
}

#[derive(Debug)]
struct Socket {
    stream: TcpStream,
    is_open: bool,
    partial: Vec<u8>,
    out: Vec<u8>,
}

#[derive(Debug)]
struct Shared {
    seq: Field,
    number: Field,
    keys: Keys,
    caught_up: usize,
    /// Answered as sent.
    sent: usize,
    /// (session, seq) of the events of this turn.
    events: Vec<(usize, u64)>,
    /// Makes the client ids of this crowd differ from all others.
    name: String,
    count: usize,
}

impl Crowd {
    /// Every session is followed by its owner; owners stand one behind the other in `sessions`.
    pub fn connect(addr: SocketAddr, sessions: &[Session]) -> Result<Self> {
        let mut crowd = Self {
            poll: Poll::new()?,
            sockets: Vec::new(),
            sessions: Vec::with_capacity(sessions.len()),
            heads: sessions.iter().map(|session| session.head).collect(),
            shared: Shared::new(),
            scratch: vec![0; SCRATCH_BYTES],
        };
        let mut followed = 0;
        for team in sessions.chunk_by(|a, b| a.members[0].user == b.members[0].user) {
            let at = crowd.sockets.len();
            let token = Token(at);
            let mut socket = Socket::connect(addr, &team[0].members[0].token)?;
            let both = Interest::READABLE | Interest::WRITABLE;
            crowd.poll.registry().register(&mut socket.stream, token, both)?;
            for session in team {
                let text = format!(r#"{{"type":"follow","session_id":"{}"}}"#, session.id);
                frame::put_client(
                    &mut socket.out,
                    frame::TEXT,
                    text.as_bytes(),
                    crowd.shared.keys.next(),
                );
                crowd.sessions.push((session.id.clone(), at, Ledger::new(session.head)));
            }
            crowd.sockets.push(socket);
            followed += team.len();
            let behind = OPENING * team.len();
            crowd.run_until(|shared| shared.caught_up + behind >= followed)?;
        }
        crowd.run_until(|shared| shared.caught_up >= followed)?;
        Ok(crowd)
    }

    /// Sends `count` messages to the sessions that `pick` names, `in_flight` at a time, and waits
    /// for all.
    pub fn send(
        &mut self,
        count: usize,
        in_flight: usize,
        mut pick: impl FnMut(usize) -> usize,
    ) -> Result<()> {
        let (before, mut begun) = (self.shared.sent, 0);
        while begun < count {
            let room = in_flight - (begun - (self.shared.sent - before));
            for _ in 0..room.min(count - begun) {
                self.begin(pick(begun))?;
                begun += 1;
            }
            let wanted = before + begun.saturating_sub(in_flight) + 1;
            self.run_until(|shared| shared.sent >= wanted)?;
        }
        self.run_until(|shared| shared.sent >= before + count)?;
        self.run_for(GRACE)
    }

    /// Takes what comes, and answers pings.
    pub fn run_for(&mut self, time: Duration) -> Result<()> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.turn()?;
        }
        Ok(())
    }

    pub fn sockets(&self) -> usize {
        self.sockets.len()
    }

    /// Settles the accounts and lets all sockets go.
    pub fn finish(self, sessions: &mut [Session]) -> Faults {
        let mut faults = Faults::default();
        let all = sessions.iter_mut().zip(&self.heads).zip(&self.sessions);
        for ((session, head), (_, _, ledger)) in all {
            session.head = *head;
            faults += ledger.close(*head);
        }
        faults
    }

    fn begin(&mut self, session: usize) -> Result<()> {
        let (id, socket, _) = &self.sessions[session];
        self.heads[session] += 1;
        let socket = &mut self.sockets[*socket];
        self.shared.put_message(&mut socket.out, id, session);
        socket.flush()
    }

    fn run_until(&mut self, is_done: impl Fn(&Shared) -> bool) -> Result<()> {
        let progress = |shared: &Shared| (shared.caught_up, shared.sent);
        let mut seen = (progress(&self.shared), Instant::now());
        while !is_done(&self.shared) {
            self.turn()?;
            if progress(&self.shared) != seen.0 {
                seen = (progress(&self.shared), Instant::now());
            }
            ensure!(seen.1.elapsed() < SILENCE_MAX, "nothing came for {SILENCE_MAX:?}: {seen:?}");
        }
        Ok(())
    }

    fn turn(&mut self) -> Result<()> {
        let mut events = Events::with_capacity(1024);
        match self.poll.poll(&mut events, Some(TURN)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            result => result?,
        }
        for event in &events {
            let socket = &mut self.sockets[event.token().0];
            if event.is_writable() {
                socket.flush()?;
            }
            socket.read(&mut self.shared, &mut self.scratch)?;
            for (session, seq) in self.shared.events.drain(..) {
                self.sessions[session].2.note(seq);
            }
        }
        Ok(())
    }
}

impl Socket {
    fn connect(addr: SocketAddr, token: &str) -> Result<Self> {
        let stream = std::net::TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let request = format!(
            "GET /ws HTTP/1.1\r\nHost: {addr}\r\nAuthorization: Bearer {token}\r\n\
             Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Protocol: assistdeck.v1\r\n\r\n"
        );
        let (partial, out) = (Vec::new(), request.into_bytes());
        Ok(Self { stream: TcpStream::from_std(stream), is_open: false, partial, out })
    }

    fn read(&mut self, shared: &mut Shared, scratch: &mut [u8]) -> Result<()> {
        loop {
            let kept = self.partial.len();
            scratch[..kept].copy_from_slice(&self.partial);
            let end = match self.stream.read(&mut scratch[kept..]) {
                Ok(0) => bail!("the server closed a socket"),
                Ok(count) => kept + count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return self.flush(),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).context("reading"),
            };
            let used = self.take(&scratch[..end], shared)?;
            self.partial.clear();
            self.partial.extend_from_slice(&scratch[used..end]);
        }
    }

    fn take(&mut self, bytes: &[u8], shared: &mut Shared) -> Result<usize> {
        let mut used = 0;
        if !self.is_open {
            let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else {
                return Ok(0);
            };
            let text = String::from_utf8_lossy(bytes);
            ensure!(bytes.starts_with(b"HTTP/1.1 101"), "the upgrade was refused: {text}");
            (self.is_open, used) = (true, end + 4);
        }
        while let Some(head) = frame::parse(&bytes[used..])? {
            let payload = &bytes[used + head.start..used + head.end];
            match head.opcode {
                frame::TEXT => shared.take(payload)?,
                frame::PING => {
                    frame::put_client(&mut self.out, frame::PONG, payload, shared.keys.next());
                }
                other => bail!("a frame of opcode {other}"),
            }
            used += head.end;
        }
        Ok(used)
    }

    fn flush(&mut self) -> Result<()> {
        flush(&mut self.stream, &mut self.out)
    }
}

impl Shared {
    fn new() -> Self {
        Self {
            seq: Field::new("\"seq\":"),
            number: Field::new("\"content\":\"n="),
            keys: Keys::new(0x9e37_79b9),
            caught_up: 0,
            sent: 0,
            events: Vec::new(),
            name: Uuid::new_v4().simple().to_string(),
            count: 0,
        }
    }

    fn take(&mut self, payload: &[u8]) -> Result<()> {
        if payload.starts_with(EVENT) {
            let seq = self.seq.number(payload).context("an event without a number")?;
            let session = self.number.value(payload).and_then(leading_number);
            let session = session.context("no number in a content")?;
            self.events.push((usize::try_from(session)?, seq));
        } else if payload.starts_with(SENT) {
            self.sent += 1;
        } else if payload.starts_with(CAUGHT_UP) {
            self.caught_up += 1;
        } else if payload.starts_with(ERROR) {
            bail!("refused: {}", String::from_utf8_lossy(payload));
        }
        Ok(())
    }

    fn put_message(&mut self, out: &mut Vec<u8>, id: &str, session: usize) {
        self.count += 1;
        let content = format!("n={session:010} {}", "x".repeat(CONTENT_BYTES - 13));
        let text = format!(
            r#"{{"type":"message.send","session_id":"{id}","client_id":"{}-{}","content":"{content}"}}"#,
            self.name, self.count
        );
        frame::put_client(out, frame::TEXT, text.as_bytes(), self.keys.next());
    }
}
