//! WHO LISTENS on this node: rings, inboxes, presence.
//!
//! The hub owns one [`Ring`] for each session that somebody here follows, and knows the
//! connections by user. It never waits (no `async fn`) and never asks the store: it is a hint
//! that there is something new, and a cache of the last frames. What a follower misses here, it
//! reads from the store.
//!
//! Locks, always in this order: the map of rings → one ring → one inbox. Nothing is awaited or
//! called back under them but a task's waker.

mod inbox;
mod outbox;
mod presence;
mod pulse;
mod ring;
mod segment;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use protocol::{CloseCode, SessionId, UserId};
use slab::Slab;

use crate::bus::NodeId;
use crate::store::Revocation;

pub use inbox::{Identity, Inbox, Mail, News, Numbers};
pub use outbox::{Outbox, Outward};
pub use pulse::PULSE;
pub use ring::{End, Place, Pushed, Ring, Taken};
pub use segment::{Segment, Wire};

/// Locks, and goes on with the data of a thread that panicked: every critical section here
/// leaves the data whole at each step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Who listens on this node.
pub struct Hub {
    started: Instant,
    rings: Mutex<HashMap<SessionId, Arc<Ring>>>,
    connections: Mutex<Slab<Arc<Inbox>>>,
    /// Connections that want to hear of their user's list of sessions, by user.
    listeners: Mutex<HashMap<UserId, Vec<Arc<Inbox>>>>,
    /// For the other nodes, where there are any.
    outbox: Option<Arc<Outbox>>,
}

impl Hub {
    /// Of a node that is alone.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Self::with(None)
    }

    /// Of a node whose news others hear through the outbox.
    #[must_use]
    pub fn with(outbox: Option<Arc<Outbox>>) -> Arc<Self> {
        Arc::new(Self {
            outbox,
            started: Instant::now(),
            rings: Mutex::default(),
            connections: Mutex::default(),
            listeners: Mutex::default(),
        })
    }

    /// Takes a connection in. It leaves when the returned value is dropped.
    #[must_use]
    pub fn connect(self: &Arc<Self>, inbox: Arc<Inbox>) -> Connected {
        // Their number is bounded by the open files.
        let key = lock(&self.connections).insert(inbox.clone()) as u32;
        Connected { hub: self.clone(), key, inbox, listens: false }
    }

    /// The number of connections.
    #[must_use]
    pub fn connection_count(&self) -> usize {
        lock(&self.connections).len()
    }

    /// How many connections a user, and an address, have here. Looks at all of them: for limits
    /// that are off by default.
    #[must_use]
    pub fn count(&self, user: UserId, address: Option<IpAddr>) -> (usize, usize) {
        let connections = lock(&self.connections);
        let count =
            |is: &dyn Fn(&Inbox) -> bool| connections.iter().filter(|(_, inbox)| is(inbox)).count();
        (count(&|inbox| inbox.user == user), count(&|inbox| inbox.address == address))
    }

    /// The number of sessions that are followed here.
    #[must_use]
    pub fn ring_count(&self) -> usize {
        lock(&self.rings).len()
    }

    /// Whether any connection listens for its user's list of sessions.
    #[must_use]
    pub fn has_listeners(&self) -> bool {
        !lock(&self.listeners).is_empty()
    }

    /// The ring of a session, if it is followed here.
    #[must_use]
    pub fn ring(&self, session: SessionId) -> Option<Arc<Ring>> {
        lock(&self.rings).get(&session).cloned()
    }

    /// Puts a follower in its place at the session's ring. From this moment on nothing that is
    /// delivered escapes it. It leaves when the returned value is dropped. True: it is the first
    /// one there.
    #[must_use]
    pub fn follow(self: &Arc<Self>, session: SessionId, place: Place) -> (Followed, bool) {
        let mut rings = lock(&self.rings);
        let is_first = !rings.contains_key(&session);
        let new = || Arc::new(Ring::new(session, self.outbox.clone()));
        let ring = rings.entry(session).or_insert_with(new).clone();
        let user = place.inbox.user;
        let key = ring.enter(place);
        (Followed { hub: self.clone(), ring, key, user }, is_first)
    }

    /// Sends a signal to every v1 follower of the session but those of `except`.
    pub fn signal(&self, session: SessionId, frame: &Bytes, except: Option<UserId>) {
        if let Some(ring) = self.ring(session) {
            ring.signal(&Mail::Signal(frame.clone()), except);
        }
    }

    /// Tells who types, if that is a change; see [`Ring::set_typing`].
    pub fn set_typing(&self, session: SessionId, user: UserId, is_typing: bool) {
        if let Some(ring) = self.ring(session) {
            ring.set_typing(user, is_typing);
        }
    }

    /// The sessions that are followed here, with the last event that was delivered to each; 0
    /// before the first.
    #[must_use]
    pub fn heads(&self) -> Vec<(SessionId, u64)> {
        let rings: Vec<_> = lock(&self.rings).values().cloned().collect();
        rings.into_iter().map(|ring| (ring.session(), ring.head())).collect()
    }

    /// A node fell silent: nobody is there any more.
    pub fn drop_node(&self, node: NodeId) {
        let rings: Vec<_> = lock(&self.rings).values().cloned().collect();
        for ring in rings {
            ring.drop_node(node);
        }
    }

    /// Sends to the connections of one user that listen for the list of sessions, but to those
    /// that follow `unless_following`.
    pub fn tell_user(&self, user: UserId, frame: &Bytes, unless_following: Option<SessionId>) {
        let inboxes = lock(&self.listeners).get(&user).cloned().unwrap_or_default();
        if inboxes.is_empty() {
            return;
        }
        let ring = unless_following.and_then(|session| self.ring(session));
        for inbox in inboxes {
            if !ring.as_ref().is_some_and(|ring| ring.has(&inbox)) {
                inbox.put(Mail::Notice(frame.clone()));
            }
        }
    }

    /// The users who have a connection that listens here.
    #[must_use]
    pub fn listeners(&self) -> Vec<UserId> {
        lock(&self.listeners).keys().copied().collect()
    }

    /// Of `users`, those who have a connection that listens here.
    #[must_use]
    pub fn listening(&self, users: &[UserId]) -> Vec<UserId> {
        let listeners = lock(&self.listeners);
        users.iter().copied().filter(|user| listeners.contains_key(user)).collect()
    }

    /// Of `users`, those who have a connection here that listens and does not follow the session.
    #[must_use]
    pub fn listening_elsewhere(&self, users: &[UserId], session: SessionId) -> Vec<UserId> {
        let following = self.ring(session).map(|ring| ring.inboxes()).unwrap_or_default();
        let listeners = lock(&self.listeners);
        let follows = |inbox: &Arc<Inbox>| following.contains(&Arc::as_ptr(inbox));
        let is_elsewhere =
            |user: &UserId| listeners.get(user).is_some_and(|inboxes| !inboxes.iter().all(follows));
        users.iter().copied().filter(is_elsewhere).collect()
    }

    /// Ends the connections whose token was revoked.
    pub fn revoke(&self, revocation: Revocation) {
        for (_, inbox) in &*lock(&self.connections) {
            if inbox.is_hit_by(revocation) {
                inbox.put(Mail::Close(CloseCode::Revoked));
            }
        }
    }

    /// All connections there are, for the stop of the server to close.
    #[must_use]
    pub fn connections(&self) -> Vec<Arc<Inbox>> {
        lock(&self.connections).iter().map(|(_, inbox)| inbox.clone()).collect()
    }

    fn listen(&self, inbox: &Arc<Inbox>) {
        lock(&self.listeners).entry(inbox.user).or_default().push(inbox.clone());
    }

    fn stop_listening(&self, inbox: &Arc<Inbox>) {
        let mut listeners = lock(&self.listeners);
        if let Some(inboxes) = listeners.get_mut(&inbox.user) {
            inboxes.retain(|other| !Arc::ptr_eq(other, inbox));
            if inboxes.is_empty() {
                listeners.remove(&inbox.user);
            }
        }
    }
}

/// A connection that the hub knows of; leaving is `Drop`.
pub struct Connected {
    hub: Arc<Hub>,
    key: u32,
    inbox: Arc<Inbox>,
    listens: bool,
}

impl Connected {
    /// From now on notices of the user's list of sessions come to the inbox.
    pub fn listen(&mut self) {
        if !self.listens {
            self.listens = true;
            self.hub.listen(&self.inbox);
        }
    }

    #[must_use]
    pub fn inbox(&self) -> &Arc<Inbox> {
        &self.inbox
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        if self.listens {
            self.hub.stop_listening(&self.inbox);
        }
        lock(&self.hub.connections).remove(self.key as usize);
    }
}

/// A follower's place at a ring; leaving is `Drop`.
pub struct Followed {
    hub: Arc<Hub>,
    ring: Arc<Ring>,
    key: usize,
    user: UserId,
}

impl Followed {
    #[must_use]
    pub fn ring(&self) -> &Arc<Ring> {
        &self.ring
    }

    /// Whoever follows is a member, and counts as online until this is dropped. A place alone
    /// tells nobody anything: it is taken before membership is known. `head` is the log's, as of
    /// when it became known.
    pub fn appear(&self, head: u64) {
        self.ring.begin(head);
        self.ring.appear(self.key, self.user, head);
    }

    /// What is new above `after`; see [`Ring::take`].
    pub fn take(&self, after: u64, out: &mut Vec<Bytes>, bytes_max: usize) -> Taken {
        self.ring.take(self.key, after, out, bytes_max)
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        let mut rings = lock(&self.hub.rings);
        if self.ring.leave(self.key, self.user) {
            rings.remove(&self.ring.session());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(user: UserId) -> Place {
        Place { inbox: Arc::new(Inbox::new(Identity::of(user))), number: 0, wire: Wire::V1 }
    }

    #[test]
    fn the_last_follower_takes_the_ring_along() {
        let hub = Hub::new();
        let session = SessionId::new();
        let (one, is_first) = hub.follow(session, place(UserId::new()));
        let (two, is_second_first) = hub.follow(session, place(UserId::new()));
        assert!(is_first && !is_second_first);
        drop(one);
        assert_eq!(hub.ring_count(), 1);
        drop(two);
        assert_eq!(hub.ring_count(), 0);
    }

    #[test]
    fn a_user_hears_of_the_list_only_where_the_session_is_not_followed() {
        let hub = Hub::new();
        let (session, user) = (SessionId::new(), UserId::new());
        let (here, there) = (place(user), place(user));
        let (follows, idles) = (here.inbox.clone(), there.inbox.clone());
        let mut connected = [hub.connect(follows.clone()), hub.connect(idles.clone())];
        connected.iter_mut().for_each(Connected::listen);
        let _followed = hub.follow(session, here);
        assert_eq!(hub.listening_elsewhere(&[user, UserId::new()], session), [user]);
        hub.tell_user(user, &Bytes::from_static(b"x"), Some(session));
        assert_eq!(follows.drain(None).mail.len(), 0);
        assert_eq!(idles.drain(None).mail.len(), 1);
        let _everywhere = hub.follow(session, Place { inbox: idles, number: 0, wire: Wire::V1 });
        assert!(hub.listening_elsewhere(&[user], session).is_empty());
        drop(connected);
        assert!(!hub.has_listeners() && hub.connection_count() == 0);
    }
}
