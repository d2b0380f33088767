//! The ring of one session: its last frames in memory, and who follows it.
//!
//! Slots by seq, bounded by bytes: events above `floor` and up to `head`, without a gap. A
//! follower asks with its cursor and gets what comes next, or is told that this lies below the
//! floor: then it reads the store. Publishing never waits for a follower; what waits for a slow
//! one is its cursor, a number.
//!
//! A follower is hinted at once, then not again before it has asked: `dirty` says so. It is
//! cleared under the ring's lock before the follower looks, so no hint is ever lost.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use protocol::{SessionId, UserId};
use slab::Slab;

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
    /// Followers of each wire, so that the committer encodes what somebody wants.
    wanted: [AtomicUsize; 3],
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
    /// Its user counts as online.
    is_present: bool,
    dirty: bool,
}

impl Ring {
    pub(super) fn new(session: SessionId) -> Self {
        Self { session, wanted: Default::default(), state: Mutex::default() }
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

    /// Takes delivered events in. Wakes nobody: see [`Ring::wake`].
    pub fn push(&self, segment: Arc<Segment>) {
        let mut state = lock(&self.state);
        let state = &mut *state;
        if state.head != 0 && segment.last() <= state.head {
            return;
        }
        if state.slots.is_empty() || segment.first() != state.head + 1 {
            // The first, or after a jump: what is missing is in the store.
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
    }

    /// Lets go of all frames: followers that are behind read the store, where an edited or
    /// deleted message has its present form.
    pub fn forget(&self) {
        let mut state = lock(&self.state);
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
        let follower = Follower { inbox, number, wire, is_present: false, dirty: false };
        state.followers.insert(follower)
    }

    /// The follower's user counts as online from here on: it was found to be a member.
    pub(super) fn appear(&self, key: usize, user: UserId) {
        let mut state = lock(&self.state);
        if !std::mem::replace(&mut state.followers[key].is_present, true)
            && let Some(change) = state.presence.enter(user)
        {
            state.tell(self.session, change);
        }
    }

    /// True: that was the last one.
    pub(super) fn leave(&self, key: usize, user: UserId) -> bool {
        let mut state = lock(&self.state);
        let follower = state.followers.remove(key);
        self.wanted[follower.wire as usize].fetch_sub(1, Ordering::Relaxed);
        if follower.is_present
            && let Some(change) = state.presence.leave(user)
        {
            state.tell(self.session, change);
        }
        state.followers.is_empty()
    }

    /// The user is no member any more: gone at once, however many connections are still open.
    pub fn remove_user(&self, user: UserId) {
        let mut state = lock(&self.state);
        for change in state.presence.remove(user) {
            state.tell(self.session, change);
        }
    }

    /// Tells who types, if that is a change. It ends by itself.
    pub fn set_typing(&self, user: UserId, is_typing: bool) {
        let mut state = lock(&self.state);
        if let Some(change) = state.presence.set_typing(user, is_typing) {
            state.tell(self.session, change);
        }
    }

    /// Who is here, up to `limit` users.
    #[must_use]
    pub fn online(&self, limit: usize) -> Vec<UserId> {
        lock(&self.state).presence.online(limit)
    }

    /// Whether the connection follows this session.
    #[must_use]
    pub fn has(&self, inbox: &Arc<Inbox>) -> bool {
        lock(&self.state).followers.iter().any(|(_, other)| Arc::ptr_eq(&other.inbox, inbox))
    }

    pub(super) fn signal(&self, mail: &Mail, except: Option<UserId>) {
        lock(&self.state).signal(mail, except);
    }

    /// Ends what has run out: typing, and the grace of those who left.
    pub(super) fn expire(&self) {
        let mut state = lock(&self.state);
        for change in state.presence.expire() {
            state.tell(self.session, change);
        }
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
            let ring = Ring::new(SessionId::new());
            let key = ring.enter(Place { inbox: inbox.clone(), number: 7, wire: Wire::V1 });
            Self { ring, key, inbox }
        }

        fn push(&self, seqs: std::ops::Range<u64>) {
            let events = seqs.map(|seq| message(self.ring.session, seq)).collect();
            self.ring.push(Arc::new(Segment::new(events).expect("events")));
        }

        fn take(&self, after: u64) -> Taken {
            self.ring.take(self.key, after, &mut Vec::new(), usize::MAX)
        }
    }

    #[test]
    fn a_cursor_gets_what_comes_next_or_is_sent_to_the_store() {
        let f = Fixture::new();
        assert_eq!(f.take(3), Taken::Idle);
        f.push(5..7);
        assert_eq!(f.take(3), Taken::Below);
        assert_eq!(f.take(4), Taken::Upto { seq: 6, more: false });
        assert_eq!(f.take(5), Taken::Upto { seq: 6, more: false });
        assert_eq!(f.take(9), Taken::Idle);
        f.push(7..8);
        assert_eq!(f.take(4), Taken::Upto { seq: 7, more: false });
        f.push(9..10);
        assert_eq!(f.take(7), Taken::Below, "a jump is read from the store");
        f.push(5..7);
        assert_eq!(f.ring.head(), 9, "old news is no news");
        f.ring.forget();
        assert_eq!((f.take(8), f.take(9)), (Taken::Below, Taken::Idle));
        f.push(10..11);
        assert_eq!(f.take(9), Taken::Upto { seq: 10, more: false });
    }

    #[test]
    fn a_ring_is_bounded_by_bytes_and_keeps_the_newest() {
        let f = Fixture::new();
        for seq in 1..20_000 {
            f.push(seq..seq + 1);
        }
        let state = lock(&f.ring.state);
        assert!(state.bytes <= RING_BYTES_MAX && state.slots.len() > 100);
        assert_eq!(state.bytes, state.slots.iter().map(|slot| slot.weight).sum::<usize>());
        assert_eq!(state.slots[0].segment.first(), state.floor + 1);
    }

    #[test]
    fn a_follower_is_hinted_at_once_until_it_asks() {
        let f = Fixture::new();
        f.push(1..2);
        f.ring.wake();
        f.ring.wake();
        assert_eq!(f.inbox.drain(None).follows, [7]);
        f.ring.wake();
        assert_eq!(f.inbox.drain(None).follows.len(), 0);
        f.take(0);
        f.ring.wake();
        assert_eq!(f.inbox.drain(None).follows, [7]);
    }

    #[test]
    fn a_turn_is_bounded() {
        let f = Fixture::new();
        f.push(1..2);
        f.push(2..3);
        let mut out = Vec::new();
        let taken = f.ring.take(f.key, 0, &mut out, 1);
        assert_eq!((taken, out.len()), (Taken::Upto { seq: 1, more: true }, 1));
    }

    #[test]
    fn a_removal_ends_its_user_alone_and_a_deletion_everybody() {
        let f = Fixture::new();
        let one = |event| Arc::new(Segment::new(vec![event]).expect("an event"));
        f.ring.push(one(removal(f.ring.session, 1, UserId::new())));
        assert_eq!(f.take(0), Taken::Upto { seq: 1, more: false });
        f.ring.push(one(removal(f.ring.session, 2, f.inbox.user)));
        f.push(3..4);
        assert_eq!(f.take(0), Taken::Ended { seq: 2, end: End::Removed });
        assert_eq!(f.take(2), Taken::Upto { seq: 3, more: false });
        f.ring.push(one(deletion(f.ring.session, 4)));
        assert_eq!(f.take(2), Taken::Ended { seq: 4, end: End::Deleted });
    }
}
