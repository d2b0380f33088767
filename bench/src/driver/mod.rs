//! The load generator: one thread, one event loop, thousands of connections.
//!
//! It must cost much less than the server, or it measures itself. So: one read for all that
//! has come, frames looked at where they lie, fields found by a byte scan, one write for all
//! that may be sent, and no allocation per message. Beside that it checks every delivery
//! (`verify.rs`); a refused frame, a close or a torn connection ends the run with an error,
//! for a figure with failures in it means nothing.
//!
//! The order of use: [`Driver::connect`], [`Driver::start`], [`Driver::run_for`] as often as
//! wanted, [`Driver::finish`], which lets everything come in and settles the accounts.

mod conn;
mod dialect;
mod latency;
mod shared;
#[cfg(test)]
mod tests;

use crate::verify::Faults;
use crate::world::World;
use anyhow::{Context, Result, bail};
pub use conn::flush;
use conn::{Conn, State};
pub use dialect::Dialect;
pub use latency::Latency;
use mio::{Events, Poll, Token};
use shared::Shared;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const SCRATCH_BYTES: usize = 256 * 1024;
const EVENTS_A_TURN: usize = 4096;
const TURN: Duration = Duration::from_millis(20);
/// Time for what should not come any more.
const GRACE: Duration = Duration::from_millis(100);
const CONNECT_LIMIT: Duration = Duration::from_secs(60);
const SILENCE_MAX: Duration = Duration::from_secs(3);

/// Who connects, and how.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// So many members of each session, the owner first.
    pub members: usize,
    /// Behind so many, who don't connect.
    pub skip: usize,
    /// Of several nodes one has all members of a session, as where a balancer goes by the session.
    pub is_kept_together: bool,
    /// They speak `assistdeck.v1` and count what they are told of presence.
    pub watch: bool,
    /// So many of these, the last ones, don't read until the end.
    pub stalled: usize,
    /// Handshakes under way at the same time.
    pub handshakes: usize,
    /// Ask for the last so many messages with `after`.
    pub replay: Option<u64>,
    /// Every message has a `client_id` of its own.
    pub client_ids: bool,
    pub dialect: Dialect,
    /// Without any delivery for so long, what is missing is lost.
    pub silence_max: Duration,
}

impl Plan {
    pub fn members(members: usize) -> Self {
        Self {
            members,
            skip: 0,
            is_kept_together: false,
            watch: false,
            stalled: 0,
            handshakes: 64,
            replay: None,
            client_ids: false,
            dialect: Dialect::Plain,
            silence_max: SILENCE_MAX,
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub enum Senders {
    /// The owner of each session, with so many messages in flight.
    Owners(u64),
    Everyone(u64),
}

#[derive(Debug)]
pub struct Driver {
    poll: Poll,
    events: Events,
    conns: Vec<Conn>,
    shared: Shared,
    scratch: Box<[u8]>,
    silence_max: Duration,
}

/// What a run came to, besides the figures.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    pub faults: Faults,
    /// Stalled connections that the server closed, which it may.
    pub cut: usize,
}

impl Driver {
    /// Opens all connections; returns when the last handshake is through.
    pub fn connect(world: &World, addr: SocketAddr, plan: Plan) -> Result<Self> {
        Self::connect_over(world, &[addr], plan)
    }

    /// The same over several nodes: the members of a session are spread over them in turn, unless
    /// they are kept together, and the owner of the first session is on the first.
    pub fn connect_over(world: &World, nodes: &[SocketAddr], plan: Plan) -> Result<Self> {
        let mut driver = Self {
            poll: Poll::new()?,
            events: Events::with_capacity(EVENTS_A_TURN),
            conns: Vec::with_capacity(world.members()),
            shared: Shared::new(world, plan),
            scratch: vec![0; SCRATCH_BYTES].into_boxed_slice(),
            silence_max: plan.silence_max,
        };
        let since = Instant::now();
        for (at, session) in world.sessions.iter().enumerate() {
            let members = session.members.iter().skip(plan.skip).take(plan.members);
            for (place, member) in members.enumerate() {
                while driver.conns.len() - driver.shared.opened >= plan.handshakes {
                    driver.turn_of_handshakes(since)?;
                }
                let node = at + if plan.is_kept_together { 0 } else { place };
                let node = node % nodes.len();
                let stalled = place >= plan.members - plan.stalled;
                let who = (session, member);
                let mut conn = Conn::connect(nodes[node], at, who, plan, stalled)?;
                conn.node = node;
                conn.register(driver.poll.registry(), Token(driver.conns.len()))?;
                driver.conns.push(conn);
            }
        }
        while driver.shared.opened < driver.conns.len() {
            driver.turn_of_handshakes(since)?;
        }
        for conn in driver.conns.iter_mut().filter(|conn| conn.stalled) {
            conn.stall(driver.poll.registry())?;
        }
        Ok(driver)
    }

    fn turn_of_handshakes(&mut self, since: Instant) -> Result<()> {
        if since.elapsed() > CONNECT_LIMIT {
            let (opened, asked) = (self.shared.opened, self.conns.len());
            bail!("{opened} of {asked} handshakes within {CONNECT_LIMIT:?}");
        }
        self.turn(TURN)
    }

    pub fn connections(&self) -> usize {
        self.conns.len()
    }

    pub fn delivered(&self) -> u64 {
        self.shared.delivered
    }

    /// How often somebody was told of somebody's presence.
    pub fn presences(&self) -> u64 {
        self.shared.presences
    }

    /// Goes on until so much was told of presence, or for `limit`.
    pub fn run_until_presences(&mut self, wanted: u64, limit: Duration) -> Result<()> {
        let until = Instant::now() + limit;
        while self.shared.presences < wanted && Instant::now() < until {
            self.turn(TURN)?;
        }
        Ok(())
    }

    /// Reads that brought something: deliveries by reads tell how much the server joins.
    pub fn reads(&self) -> u64 {
        self.shared.reads
    }

    /// Begins to send, and sends again whenever an own message was seen.
    pub fn start(&mut self, senders: Senders) -> Result<()> {
        self.shared.sending = true;
        let mut last_session = usize::MAX;
        for conn in &mut self.conns {
            let first = conn.session != last_session;
            last_session = conn.session;
            match senders {
                Senders::Everyone(window) if !conn.stalled => conn.window = window,
                Senders::Owners(window) if first => conn.window = window,
                _ => continue,
            }
            conn.sends = true;
            conn.refill(&mut self.shared)?;
        }
        Ok(())
    }

    /// One message by the first connection at a fixed pace, whatever comes back, and the time
    /// that each of its deliveries took.
    pub fn run_paced(&mut self, interval: Duration, count: usize) -> Result<Latency> {
        self.run_paced_while(interval, |sent| sent < count)
    }

    /// The same, for as long as `goes_on` says so of the number of messages.
    pub fn run_paced_while(
        &mut self,
        interval: Duration,
        goes_on: impl Fn(usize) -> bool,
    ) -> Result<Latency> {
        self.conns[0].sends = true;
        self.shared.latency = Some(Latency::new(self.shared.sessions[0].head()));
        let since = Instant::now();
        for at in (0..).take_while(|at| goes_on(*at)) {
            let due = since + interval * u32::try_from(at).context("too many messages")?;
            while let Some(left) = due.checked_duration_since(Instant::now()) {
                // Whole milliseconds sleep in the kernel, the rest is waited for awake.
                self.turn(Duration::from_millis(u64::try_from(left.as_millis())?))?;
            }
            if let Some(latency) = &mut self.shared.latency {
                latency.sent();
            }
            self.conns[0].send(&mut self.shared, 1)?;
        }
        self.settle()?;
        self.shared.latency.take().context("nobody else takes it")
    }

    pub fn run_for(&mut self, time: Duration) -> Result<()> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.turn(TURN)?;
        }
        Ok(())
    }

    /// Waits until every connection stands at its session's head, or nothing comes any more.
    pub fn settle(&mut self) -> Result<()> {
        let mut seen = (self.shared.delivered, Instant::now());
        while !self.caught_up() && seen.1.elapsed() < self.silence_max {
            self.turn(TURN)?;
            if self.shared.delivered != seen.0 {
                seen = (self.shared.delivered, Instant::now());
            }
        }
        Ok(())
    }

    fn caught_up(&self) -> bool {
        let head = |conn: &Conn| self.shared.sessions[conn.session].head();
        let waits = |conn: &Conn| !conn.stalled && conn.state == State::Open;
        self.conns.iter().filter(|conn| waits(conn)).all(|conn| conn.ledger.last() >= head(conn))
    }

    /// Stops sending, takes what is under way, lets stalled members read, and settles the
    /// accounts of all; the world's heads move on to where the sessions are now.
    pub fn finish(mut self, world: &mut World) -> Result<Outcome> {
        self.shared.sending = false;
        self.settle()?;
        for (at, conn) in self.conns.iter_mut().enumerate().filter(|(_, conn)| conn.stalled) {
            conn.resume(self.poll.registry(), Token(at))?;
        }
        self.settle()?;
        // What comes twice comes after the head was reached, too.
        self.run_for(GRACE)?;
        let mut outcome = Outcome { faults: Faults::default(), cut: 0 };
        for conn in &self.conns {
            let head = self.shared.sessions[conn.session].head();
            match conn.state {
                State::Closed => {
                    outcome.cut += 1;
                    outcome.faults += conn.ledger.close(conn.ledger.last());
                }
                _ => outcome.faults += conn.ledger.close(head),
            }
        }
        for (session, state) in world.sessions.iter_mut().zip(&self.shared.sessions) {
            session.head = state.head();
        }
        Ok(outcome)
    }

    /// Waits for events and serves each connection once.
    fn turn(&mut self, timeout: Duration) -> Result<()> {
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            result => result?,
        }
        for event in &self.events {
            let conn = &mut self.conns[event.token().0];
            if let Err(error) = conn.on_event(event, &mut self.shared, &mut self.scratch) {
                if conn.was_stalled && conn.state == State::Open {
                    conn.state = State::Closed;
                    continue;
                }
                return Err(error.context(format!("connection {}", event.token().0)));
            }
        }
        Ok(())
    }
}
