//! The ring of one session: its last frames in memory, and who follows it.
//!
//! Slots by seq, bounded by bytes: events above `floor` and up to `head`, without a gap. A
//! follower asks with its cursor and gets what comes next, or is told that this lies below the
//! floor: then it reads the store. Publishing never waits for a follower; what waits for a slow
//! one is its cursor, a number.
//!
//! A follower is hinted at once, then not again before it has asked: `dirty` says so. It is
//! cleared under the ring's lock before the follower looks, so no hint is ever lost.

mod others;
mod people;

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use protocol::{SessionId, UserId};
use slab::Slab;

use super::outbox::Outbox;
use super::presence::{Change, Presence};
use super::segment::{Segment, Wire};
use super::{Inbox, Mail, lock};

/// What one ring may hold, in bytes.
const RING_BYTES_MAX: usize = 512 * 1024;

/// Where a follower wants to stand.
pub struct Place {
    pub inbox: Arc<Inbox>,
    /// The connection's own number for this follow; hints go by it.
    pub number: u32,
    pub wire: Wire,
}

/// What a ring answers to a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Nothing is new.
    Idle,
    /// The cursor stands here now; there may be `more`.
    Upto { seq: u64, more: bool },
    /// The session's log goes on below what the ring holds: read the store.
    Below,
    /// As `Upto`; the following ends here.
    Ended { seq: u64, end: End },
}

/// What became of events that were to go into a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    Took,
    /// They were there.
    Known,
    /// Events before these were not delivered here yet, so these can't be; they have to come again
    /// behind the missing ones.
    Hole,
}

/// Why a following ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// An event removed this user. Whether it counts is for the follower to say: it compares
    /// the seq with the head at which it was authorised.
    Removed,
    Deleted,
}

/// The last frames of one session, and who follows it.
pub struct Ring {
    session: SessionId,
    /// Where other nodes hear of who is here; none where there are none.
    outbox: Option<Arc<Outbox>>,
    /// Followers of each wire, so that the committer encodes what somebody wants.
    wanted: [AtomicUsize; 3],
    /// How often events that were delivered before have changed what they look like.
    rewritten: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    slots: VecDeque<Slot>,
    bytes: usize,
    /// The ring holds the events above this.
    floor: u64,
    /// The last event that was delivered; 0 before the first.
    head: u64,
    followers: Slab<Follower>,
    presence: Presence,
    /// Whether something was delivered since the last sweep.
    is_warm: bool,
}

/// A segment with what is asked of it most, so that a search touches no segment.
struct Slot {
    last: u64,
    weight: usize,
    segment: Arc<Segment>,
}

struct Follower {
    inbox: Arc<Inbox>,
    number: u32,
    wire: Wire,
    /// The head at which its user was found to be a member, and counts as online since.
    present_since: Option<u64>,
    dirty: bool,
}

impl Ring {
    pub(super) fn new(session: SessionId, outbox: Option<Arc<Outbox>>) -> Self {
        let (wanted, rewritten) = Default::default();
        Self { session, outbox, wanted, rewritten, state: Mutex::default() }
    }

    #[must_use]
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// The last event that was delivered here; 0 before the first.
    #[must_use]
    pub fn head(&self) -> u64 {
        lock(&self.state).head
    }

    /// Encodes for those who follow, before the lock is taken.
    pub fn prepare(&self, segment: &Segment) {
        for wire in [Wire::Plain, Wire::V1, Wire::Sse] {
            if self.wanted[wire as usize].load(Ordering::Relaxed) > 0 {
                let _ = segment.frames(wire, 0);
            }
        }
    }

    /// Takes delivered events in. Wakes nobody: see [`Ring::wake`]. Where they rewrite what came
    /// before them, that is let go at the same moment.
    #[must_use]
    pub fn push(&self, segment: Arc<Segment>, rewrites: bool) -> Pushed {
        let mut state = lock(&self.state);
        let state = &mut *state;
        if state.head != 0 && segment.last() <= state.head {
            return Pushed::Known;
        }
        if state.head != 0 && segment.first() > state.head + 1 {
            return Pushed::Hole;
        }
        if rewrites {
            self.let_go(state);
        }
        if state.slots.is_empty() || segment.first() != state.head + 1 {
            // The first, or some of it was here: the rest is in the store.
            state.clear();
            state.floor = segment.first() - 1;
        }
        state.head = segment.last();
        state.is_warm = true;
        let weight = segment.weight();
        state.bytes += weight;
        state.slots.push_back(Slot { last: segment.last(), weight, segment });
        while state.bytes > RING_BYTES_MAX && state.slots.len() > 1 {
            state.drop_oldest();
        }
        Pushed::Took
    }

    /// Nothing was delivered here before: what follows `head` comes next.
    pub(super) fn begin(&self, head: u64) {
        let mut state = lock(&self.state);
        if state.head == 0 {
            state.head = head;
            state.floor = head;
        }
    }

    /// The log reaches `head`, and what is missing here is in the store; it may have changed what
    /// earlier events look like.
    pub fn jump(&self, head: u64) {
        let mut state = lock(&self.state);
        if state.head < head {
            self.rewritten.fetch_add(1, Ordering::Release);
            state.clear();
            state.head = head;
            state.floor = head;
        }
    }

    /// Whether a page of the store is out of date: if this is not what it was before it was read.
    #[must_use]
    pub fn rewritten(&self) -> usize {
        self.rewritten.load(Ordering::Acquire)
    }

    /// Lets go of all frames: followers that are behind read the store, where an edited or
    /// deleted message has its present form.
    fn let_go(&self, state: &mut State) {
        self.rewritten.fetch_add(1, Ordering::Release);
        state.clear();
        state.floor = state.head;
    }

    /// Hints to all followers that there is something new.
    pub fn wake(&self) {
        for (_, follower) in &mut lock(&self.state).followers {
            if !follower.dirty {
                follower.dirty = true;
                follower.inbox.hint(follower.number);
            }
        }
    }

    pub(super) fn take(
        &self,
        key: usize,
        after: u64,
        out: &mut Vec<Bytes>,
        bytes_max: usize,
    ) -> Taken {
        let mut state = lock(&self.state);
        let state = &mut *state;
        state.followers[key].dirty = false;
        let follower = &state.followers[key];
        if after >= state.head {
            return Taken::Idle;
        }
        if after < state.floor {
            return Taken::Below;
        }
        let (mut seq, mut bytes) = (after, 0);
        for Slot { last, segment, .. } in state.slots.range(state.place_of(after)..) {
            if bytes >= bytes_max {
                return Taken::Upto { seq, more: true };
            }
            let frames = segment.frames(follower.wire, seq);
            bytes += frames.len();
            seq = *last;
            if !frames.is_empty() {
                out.push(frames);
            }
            if let Some(end) = end_of(segment, follower.inbox.user) {
                return Taken::Ended { seq, end };
            }
        }
        Taken::Upto { seq, more: false }
    }

    pub(super) fn enter(&self, place: Place) -> usize {
        self.wanted[place.wire as usize].fetch_add(1, Ordering::Relaxed);
        let mut state = lock(&self.state);
        let Place { inbox, number, wire } = place;
        let follower = Follower { inbox, number, wire, present_since: None, dirty: false };
        state.followers.insert(follower)
    }

    /// The follower's user counts as online from here on: it was found to be a member at `head`.
    pub(super) fn appear(&self, key: usize, user: UserId, head: u64) {
        let mut state = lock(&self.state);
        if state.followers[key].present_since.replace(head).is_none()
            && let Some(change) = state.presence.enter(user)
        {
            state.tell(self.session, change);
        }
        self.tell_others(&mut state);
    }

    /// True: that was the last one.
    pub(super) fn leave(&self, key: usize, user: UserId) -> bool {
        let mut state = lock(&self.state);
        let follower = state.followers.remove(key);
        self.wanted[follower.wire as usize].fetch_sub(1, Ordering::Relaxed);
        if follower.present_since.is_some()
            && let Some(change) = state.presence.leave(user)
        {
            state.tell(self.session, change);
            self.put_out(change);
        }
        if state.followers.is_empty() {
            // The ring goes, and its clock with it.
            self.tell_left(&state.presence);
        }
        state.followers.is_empty()
    }

    /// Whether the connection follows this session.
    #[must_use]
    pub fn has(&self, inbox: &Arc<Inbox>) -> bool {
        lock(&self.state).followers.iter().any(|(_, other)| Arc::ptr_eq(&other.inbox, inbox))
    }

    /// Where those are that follow here, to be compared with others.
    #[must_use]
    pub fn inboxes(&self) -> HashSet<*const Inbox> {
        lock(&self.state).followers.iter().map(|(_, other)| Arc::as_ptr(&other.inbox)).collect()
    }

    pub(super) fn signal(&self, mail: &Mail, except: Option<UserId>) {
        lock(&self.state).signal(mail, except);
    }

    /// A ring to which nothing came for a whole round lets its frames go.
    pub(super) fn cool(&self) {
        let mut state = lock(&self.state);
        if !std::mem::take(&mut state.is_warm) && !state.slots.is_empty() {
            state.clear();
            state.slots.shrink_to_fit();
            state.floor = state.head;
        }
    }
}

impl State {
    /// Where what comes behind `after` begins: nearly always in the last slot.
    fn place_of(&self, after: u64) -> usize {
        let newest = self.slots.len().saturating_sub(1);
        match newest.checked_sub(1).map(|before| self.slots[before].last) {
            Some(last) if last <= after => newest,
            _ => self.slots.partition_point(|slot| slot.last <= after),
        }
    }

    fn clear(&mut self) {
        self.slots.clear();
        self.bytes = 0;
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.slots.pop_front() {
            self.bytes -= oldest.weight;
            self.floor = oldest.last;
        }
    }

    fn tell(&self, session: SessionId, change: Change) {
        // The user's own devices know it.
        self.signal(&Mail::Signal(change.frame(session)), Some(change.user()));
    }

    fn signal(&self, mail: &Mail, except: Option<UserId>) {
        for (_, follower) in &self.followers {
            if follower.wire == Wire::V1 && Some(follower.inbox.user) != except {
                follower.inbox.put(mail.clone());
            }
        }
    }
}

/// Whether this user's following ends with the segment's last event.
fn end_of(segment: &Segment, user: UserId) -> Option<End> {
    let last = segment.events().last()?;
    if last.ends_session() {
        Some(End::Deleted)
    } else {
        (last.removed_user() == Some(user)).then_some(End::Removed)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Identity;
    use super::super::segment::tests::{deletion, message, removal};
    use super::*;

    struct Fixture {
        ring: Ring,
        key: usize,
        inbox: Arc<Inbox>,
    }

    impl Fixture {
        fn new() -> Self {
            let inbox = Arc::new(Inbox::new(Identity::of(UserId::new())));
            let ring = Ring::new(SessionId::new(), None);
            let key = ring.enter(Place { inbox: inbox.clone(), number: 7, wire: Wire::V1 });
            Self { ring, key, inbox }
        }

        fn push(&self, seqs: std::ops::Range<u64>) -> Pushed {
            let events = seqs.map(|seq| message(self.ring.session, seq)).collect();
            self.ring.push(Arc::new(Segment::new(events).expect("events")), false)
        }

        fn take(&self, after: u64) -> Taken {
            self.ring.take(self.key, after, &mut Vec::new(), usize::MAX)
        }
    }

    #[test]
    fn a_cursor_gets_what_comes_next_or_is_sent_to_the_store() {
        let f = Fixture::new();
        assert_eq!(f.take(3), Taken::Idle);
        let _ = f.push(5..7);
        assert_eq!(f.take(3), Taken::Below);
        assert_eq!(f.take(4), Taken::Upto { seq: 6, more: false });
        assert_eq!(f.take(5), Taken::Upto { seq: 6, more: false });
        assert_eq!(f.take(9), Taken::Idle);
        let _ = f.push(7..8);
        assert_eq!(f.take(4), Taken::Upto { seq: 7, more: false });
        assert_eq!(f.push(9..10), Pushed::Hole, "what is missing has to come first");
        assert_eq!(f.take(7), Taken::Idle);
        assert_eq!(f.push(7..10), Pushed::Took, "with some of what is here");
        assert_eq!(f.take(7), Taken::Upto { seq: 9, more: false });
        assert_eq!((f.push(5..7), f.ring.head()), (Pushed::Known, 9), "old news is no news");
        let edit = Segment::new(vec![message(f.ring.session, 10)]).expect("an event");
        let rewritten = f.ring.rewritten();
        assert_eq!(f.ring.push(Arc::new(edit), true), Pushed::Took);
        assert_eq!((f.take(8), f.ring.rewritten()), (Taken::Below, rewritten + 1));
        assert_eq!(f.take(9), Taken::Upto { seq: 10, more: false });
    }

    #[test]
    fn a_ring_is_bounded_by_bytes_and_keeps_the_newest() {
        let f = Fixture::new();
        for seq in 1..20_000 {
            assert_eq!(f.push(seq..seq + 1), Pushed::Took);
        }
        let state = lock(&f.ring.state);
        assert!(state.bytes <= RING_BYTES_MAX && state.slots.len() > 100);
        assert_eq!(state.bytes, state.slots.iter().map(|slot| slot.weight).sum::<usize>());
        assert_eq!(state.slots[0].segment.first(), state.floor + 1);
    }

    #[test]
    fn a_follower_is_hinted_at_once_until_it_asks() {
        let f = Fixture::new();
        let _ = f.push(1..2);
        f.ring.wake();
        f.ring.wake();
        assert_eq!(f.inbox.drain(None).follows[..], [7]);
        f.ring.wake();
        assert_eq!(f.inbox.drain(None).follows.len(), 0);
        f.take(0);
        f.ring.wake();
        assert_eq!(f.inbox.drain(None).follows[..], [7]);
    }

    #[test]
    fn a_turn_is_bounded() {
        let f = Fixture::new();
        let _ = f.push(1..2);
        let _ = f.push(2..3);
        let mut out = Vec::new();
        let taken = f.ring.take(f.key, 0, &mut out, 1);
        assert_eq!((taken, out.len()), (Taken::Upto { seq: 1, more: true }, 1));
    }

    #[test]
    fn a_removal_ends_its_user_alone_and_a_deletion_everybody() {
        let f = Fixture::new();
        let one = |event| Arc::new(Segment::new(vec![event]).expect("an event"));
        let _ = f.ring.push(one(removal(f.ring.session, 1, UserId::new())), false);
        assert_eq!(f.take(0), Taken::Upto { seq: 1, more: false });
        let _ = f.ring.push(one(removal(f.ring.session, 2, f.inbox.user)), false);
        let _ = f.push(3..4);
        assert_eq!(f.take(0), Taken::Ended { seq: 2, end: End::Removed });
        assert_eq!(f.take(2), Taken::Upto { seq: 3, more: false });
        let _ = f.ring.push(one(deletion(f.ring.session, 4)), false);
        assert_eq!(f.take(2), Taken::Ended { seq: 4, end: End::Deleted });
    }
}
