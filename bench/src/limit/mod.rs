//! The bare limit program: what any server that keeps messages first and delivers them after
//! would cost, if it did nothing else.
//!
//! It accepts the same WebSocket handshake at any path, groups connections by `session_id`,
//! and for all that came in one turn of its loop: gives each message its number, puts ready
//! bytes around it, writes the whole batch to a preallocated file, flushes that file (or not),
//! and only then hands each session's bytes to each of its connections, with one write for
//! each. It checks nobody, decodes nothing, forgets everything, and replays nothing.
//!
//! One thread, one event loop: during the flush it waits, and what comes meanwhile is the next
//! batch. So the flush forms the batch, as a group commit does.

mod conn;
mod journal;
mod room;

use anyhow::Result;
use conn::{Conn, Turn};
use journal::Journal;
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};
use room::Room;
use std::collections::HashMap;
use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::path::Path;

const LISTENER: Token = Token(usize::MAX);
const EVENTS_A_TURN: usize = 4096;
const SCRATCH_BYTES: usize = 64 * 1024;

#[derive(Debug)]
pub struct Limit {
    poll: Poll,
    listener: TcpListener,
    conns: Vec<Option<Conn>>,
    free: Vec<usize>,
    rooms: Vec<Room>,
    by_session: HashMap<[u8; 36], usize>,
    /// The rooms that got something in this turn.
    touched: Vec<usize>,
    journal: Journal,
    scratch: Box<[u8]>,
}

/// Runs until it is killed. The address is printed as a banner.
pub fn run(listen: SocketAddr, data_dir: &Path, flush: bool) -> Result<()> {
    let mut listener = TcpListener::bind(listen)?;
    let poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut limit = Limit {
        poll,
        conns: Vec::new(),
        free: Vec::new(),
        rooms: Vec::new(),
        by_session: HashMap::new(),
        touched: Vec::new(),
        journal: Journal::create(data_dir, flush)?,
        scratch: vec![0; SCRATCH_BYTES].into_boxed_slice(),
        listener,
    };
    println!("http://{}", limit.listener.local_addr()?);
    std::io::stdout().flush()?;
    let mut events = Events::with_capacity(EVENTS_A_TURN);
    loop {
        limit.turn(&mut events)?;
    }
}

impl Limit {
    fn turn(&mut self, events: &mut Events) -> Result<()> {
        match self.poll.poll(events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            result => result?,
        }
        for event in events.iter() {
            if event.token() == LISTENER {
                self.accept()?;
                continue;
            }
            let at = event.token().0;
            if event.is_writable() && self.conns[at].as_mut().is_some_and(|c| c.flush().is_err()) {
                self.close(at);
            }
            if event.is_readable() || event.is_read_closed() {
                self.read(at, event.is_read_closed());
            }
        }
        if self.touched.is_empty() { Ok(()) } else { self.commit_and_deliver() }
    }

    fn accept(&mut self) -> Result<()> {
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            stream.set_nodelay(true)?;
            let at = self.free.pop().unwrap_or_else(|| {
                self.conns.push(None);
                self.conns.len() - 1
            });
            let both = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, Token(at), both)?;
            self.conns[at] = Some(Conn::new(stream));
        }
    }

    fn read(&mut self, at: usize, ended: bool) {
        let Some(conn) = &mut self.conns[at] else {
            return;
        };
        let turn = &mut Turn { rooms: &mut self.rooms, touched: &mut self.touched };
        match conn.read(ended, &mut self.scratch, turn) {
            Ok(None) => {}
            Ok(Some(session)) => self.join(at, session),
            Err(_) => self.close(at),
        }
    }

    fn join(&mut self, at: usize, session: [u8; 36]) {
        let rooms = &mut self.rooms;
        let room = *self.by_session.entry(session).or_insert_with(|| {
            rooms.push(Room::new(session));
            rooms.len() - 1
        });
        rooms[room].members.push(at);
        if let Some(conn) = &mut self.conns[at] {
            conn.room = Some(u32::try_from(room).expect("fewer rooms than connections"));
        }
    }

    fn close(&mut self, at: usize) {
        let Some(conn) = self.conns[at].take() else {
            return;
        };
        if let Some(room) = conn.room {
            self.rooms[room as usize].members.retain(|member| *member != at);
        }
        self.free.push(at);
    }

    fn commit_and_deliver(&mut self) -> Result<()> {
        for room in &self.touched {
            self.journal.add(&self.rooms[*room].frames);
        }
        self.journal.commit()?;
        let mut failed = Vec::new();
        for room in self.touched.drain(..) {
            let room = &mut self.rooms[room];
            for member in &room.members {
                let conn = self.conns[*member].as_mut().expect("a member leaves when it closes");
                if conn.deliver(&room.frames).is_err() {
                    failed.push(*member);
                }
            }
            room.frames.clear();
        }
        failed.into_iter().for_each(|at| self.close(at));
        Ok(())
    }
}
