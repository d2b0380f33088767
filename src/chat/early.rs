//! Events that came before others that belong before them.
//!
//! Where several nodes write to one session, their events come by the bus in any order. What does
//! not continue the ring waits here for a moment; what is still missing then, is read from the
//! store (`fill`). Where no events come by the bus nothing waits: the store is asked at once.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use protocol::{Event, SessionId};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::deliver::{put_into, rewrites};
use super::{Chat, Nodes};
use crate::hub::Ring;

/// Events wait so long for those that belong before them.
const HOLE_WAIT: Duration = Duration::from_millis(10);
/// Events that wait, of all sessions, by their contents and [`EVENT_BYTES`]; above it the store is
/// asked at once.
const EARLY_BYTES_MAX: usize = 8 << 20;
/// Memory that an event takes beside its contents, roughly, in bytes.
const EVENT_BYTES: usize = 512;

/// What waits, by session.
#[derive(Default)]
pub struct Early {
    state: Mutex<State>,
    news: Notify,
}

#[derive(Default)]
struct State {
    sessions: HashMap<SessionId, Waiting>,
    bytes: usize,
}

struct Waiting {
    since: Instant,
    events: BTreeMap<u64, Arc<Event>>,
}

impl Waiting {
    fn last(&self) -> Option<u64> {
        self.events.keys().next_back().copied()
    }
}

fn bytes_of(event: &Event) -> usize {
    EVENT_BYTES + event.content_len()
}

impl Early {
    /// Takes events in and gives those that continue the ring. Asks for the ring's head under its
    /// own lock, so that of two who come at once the later one sees what the earlier one left.
    fn sort(&self, ring: &Ring, events: Vec<Arc<Event>>) -> Sorted {
        let mut state = self.lock();
        let head = ring.head();
        let first = events.iter().find(|event| event.seq > head).map(|event| event.seq);
        let has_waiting = state.sessions.contains_key(&ring.session());
        if !has_waiting && first.is_none() {
            return Sorted::default();
        }
        if !has_waiting && first == Some(head + 1) && is_dense(&events) {
            let next = events.into_iter().filter(|event| event.seq > head).collect();
            return Sorted { next, left_out: None };
        }
        let mut waiting = state.remove(ring.session());
        waiting.events.extend(events.into_iter().map(|event| (event.seq, event)));
        waiting.events = waiting.events.split_off(&(head + 1));
        let mut next = Vec::new();
        while let Some(event) = waiting.events.remove(&(head + 1 + next.len() as u64)) {
            next.push(event);
        }
        if !next.is_empty() {
            waiting.since = Instant::now();
        }
        let left_out = state.put(ring.session(), waiting);
        drop(state);
        self.news.notify_one();
        Sorted { next, left_out }
    }

    /// What waited long enough, and the last number of each.
    fn overdue(&self) -> Vec<(SessionId, u64)> {
        let mut state = self.lock();
        let is_due = |waiting: &Waiting| waiting.since.elapsed() >= HOLE_WAIT;
        let sessions = state.sessions.iter().filter(|(_, waiting)| is_due(waiting));
        let sessions: Vec<SessionId> = sessions.map(|(session, _)| *session).collect();
        let last = |session| state.remove(session).last().map(|last| (session, last));
        sessions.into_iter().filter_map(last).collect()
    }

    fn is_empty(&self) -> bool {
        self.lock().sessions.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What became of events that came.
#[derive(Default)]
struct Sorted {
    /// Continue the ring.
    next: Vec<Arc<Event>>,
    /// There was no room for others, up to this number: the store has them.
    left_out: Option<u64>,
}

impl State {
    fn remove(&mut self, session: SessionId) -> Waiting {
        let waiting = self.sessions.remove(&session);
        let waiting =
            waiting.unwrap_or_else(|| Waiting { since: Instant::now(), events: BTreeMap::new() });
        self.bytes -= waiting.events.values().map(|event| bytes_of(event)).sum::<usize>();
        waiting
    }

    /// The last number where there is no room for it.
    fn put(&mut self, session: SessionId, waiting: Waiting) -> Option<u64> {
        let bytes: usize = waiting.events.values().map(|event| bytes_of(event)).sum();
        if self.bytes + bytes > EARLY_BYTES_MAX {
            return waiting.last();
        }
        if !waiting.events.is_empty() {
            self.bytes += bytes;
            self.sessions.insert(session, waiting);
        }
        None
    }
}

fn is_dense(events: &[Arc<Event>]) -> bool {
    events.windows(2).all(|pair| pair[0].seq + 1 == pair[1].seq)
}

impl Chat {
    /// Events of a session came, of whichever node: they go into its ring in their order. True:
    /// there is something to wake for.
    pub(super) fn arrive(&self, ring: &Ring, events: Vec<Arc<Event>>) -> bool {
        if !self.nodes.as_ref().is_some_and(Nodes::carries_events) {
            let last = events.last().map_or(0, |event| event.seq);
            let is_in = put_into(ring, events);
            if !is_in {
                self.fills.ask(ring.session(), last);
            }
            return is_in;
        }
        let mut is_news = false;
        let mut events = events;
        // Others may have come while these were put in.
        loop {
            let Sorted { next, left_out } = self.early.sort(ring, std::mem::take(&mut events));
            if let Some(last) = left_out {
                self.fills.ask(ring.session(), last);
            }
            if next.is_empty() {
                return is_news;
            }
            if next.iter().any(|event| rewrites(event)) {
                self.pages.forget(ring.session());
            }
            is_news |= put_into(ring, next);
        }
    }

    /// Reads from the store what did not come in time, until `stop`.
    pub(super) async fn end_waiting(&self, stop: &CancellationToken) {
        while stop.run_until_cancelled(self.early.news.notified()).await.is_some() {
            while !self.early.is_empty() {
                tokio::time::sleep(HOLE_WAIT).await;
                for (session, last) in self.early.overdue() {
                    self.fills.ask(session, last);
                }
            }
        }
    }
}
