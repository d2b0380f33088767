//! The other nodes: what this one tells them. What it makes of what they say is in `hear`.
//!
//! Notes are hints and signals ([`Note`]), told through the bus. A hint says how far a session's
//! log reaches; where the bus carries events, it is the events themselves. Presence is told by the
//! node that has the connections, for sessions that are followed; who begins to follow asks the
//! others. Each node says every two seconds that it lives.
//!
//! Where the bus has topics, a node listens to those of the sessions that are followed on it, from
//! the moment in which the first follower takes its place, and to those of the users who listen for
//! their list of sessions. So a message costs nothing on a node where nobody follows its session.
//! Members who listen elsewhere without following hear of it under their own topic, gathered by the
//! node that committed it (`activity`). With the sign of life each node says whether anybody
//! listens there at all: where nobody does, on no node, no members are asked for and no news told.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use protocol::limits::PRESENCE_GRACE_MS;
use protocol::{Change, Event, SessionId, UserId};
use tokio_util::sync::CancellationToken;

use super::Chat;
use super::note::{Note, USERS_OF_NOTE_MAX, posts_of};
use crate::bus::{Bus, NodeId, Post, Topic};
use crate::hub::{Connected, Followed, Outbox, Outward, Place};

/// Notes are gathered for so long before they are told.
const GATHER: Duration = Duration::from_millis(3);
/// A node says so often that it lives.
const ALIVE_EVERY: Duration = Duration::from_secs(2);
/// Whoever was not heard for so long is gone.
const LEASE: Duration = Duration::from_secs(6);
/// Between two looks at the topics that are of interest.
const KEEP_EVERY: Duration = Duration::from_secs(10);
/// Notes that may wait to be told, beside hints; above it new ones are lost.
const NOTES_WAITING_MAX: usize = 16_384;
/// Events that may wait to be told, roughly in bytes; of those above it only the last number is.
const EVENTS_WAITING_BYTES_MAX: usize = 8 << 20;
/// Memory that an event takes beside its contents, roughly, in bytes.
const EVENT_BYTES: usize = 512;
/// The news of a session with more members than this goes to all nodes.
const NEWS_TOPICS_MAX: usize = 200;

/// What a node has to do with others.
pub struct Nodes {
    bus: Arc<dyn Bus>,
    outbox: Arc<Outbox>,
    waiting: Mutex<Waiting>,
    heard: Mutex<HashMap<NodeId, Known>>,
    /// Since then nothing was missed of what nodes say about themselves.
    sure_since: Mutex<Instant>,
    /// Who left a session here, to be told at that moment unless they come back.
    left: Mutex<Vec<(Instant, SessionId, UserId)>>,
}

/// What is known of another node.
struct Known {
    /// When it was heard last; none when long ago.
    last: Option<Instant>,
    /// Somebody there listens for a list of sessions. Until it says so itself, that may be.
    listens: bool,
}

#[derive(Default)]
struct Waiting {
    fresh: HashMap<SessionId, Fresh>,
    /// Of all fresh events.
    bytes: usize,
    posts: Vec<Post>,
}

/// What was committed in a session.
#[derive(Default)]
struct Fresh {
    /// How far its log reaches.
    head: u64,
    /// Where the bus carries them.
    events: Vec<Arc<Event>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Nodes {
    #[must_use]
    pub fn new(bus: Arc<dyn Bus>, outbox: Arc<Outbox>) -> Self {
        let (heard, left) = (Mutex::default(), Mutex::default());
        let sure_since = Mutex::new(Instant::now());
        Self { bus, outbox, waiting: Mutex::default(), heard, sure_since, left }
    }

    /// What is wrong with the bus, while something is.
    pub fn state(&self) -> Result<(), String> {
        self.bus.state()
    }

    /// Whether a note comes to those alone whom it is for.
    pub(super) fn has_topics(&self) -> bool {
        self.bus.has_topics()
    }

    /// Whether other nodes' events come by the bus.
    pub(super) fn carries_events(&self) -> bool {
        self.bus.events_bytes_max() > 0
    }

    /// These events are durable, and were delivered here.
    pub(super) fn committed<'a>(&self, events: impl Iterator<Item = &'a Arc<Event>>) {
        let carries = self.carries_events();
        let mut waiting = lock(&self.waiting);
        for event in events {
            waiting.add(event, carries);
            let session = event.session_id;
            match &event.change {
                Change::ParticipantAdded(row) => {
                    waiting.put(Note::Member(session, row.user_id, true).post());
                }
                Change::ParticipantRemoved(gone) => {
                    waiting.put(Note::Member(session, gone.user_id, false).post());
                }
                _ => {}
            }
        }
        let is_news = !waiting.fresh.is_empty();
        drop(waiting);
        if is_news {
            self.outbox.nudge();
        }
    }

    pub(super) fn put(&self, note: Note) {
        self.put_all([note.post()]);
    }

    fn put_all(&self, posts: impl IntoIterator<Item = Post>) {
        let mut waiting = lock(&self.waiting);
        posts.into_iter().for_each(|post| waiting.put(post));
        drop(waiting);
        self.outbox.nudge();
    }

    /// A session is followed here from now on: who is there elsewhere?
    fn opened(&self, session: SessionId) {
        self.bus.listen(Topic::Session(session));
        self.put(Note::Who(session));
    }

    pub(super) fn read(&self, session: SessionId, user: UserId, seq: u64) {
        self.put(Note::Read(session, user, seq));
        if self.has_topics() {
            self.put(Note::OwnRead(session, user, seq));
        }
    }

    /// A user has a new session.
    pub(super) fn added(&self, session: SessionId, user: UserId) {
        self.put(Note::Member(session, user, true));
    }

    /// A session is gone, and its members are to hear of it.
    pub(super) fn gone(&self, session: SessionId, members: &[UserId]) {
        if self.has_topics() {
            let gone = |user: &UserId| Note::Gone(session, vec![*user]).post_to(Topic::User(*user));
            self.put_all(members.iter().map(gone));
            return;
        }
        for part in members.chunks(USERS_OF_NOTE_MAX) {
            self.put(Note::Gone(session, part.to_vec()));
        }
    }

    /// Something was committed here in a session with these members. Where the bus has no topics,
    /// the hint says so.
    pub(super) fn news(&self, session: SessionId, head: u64, members: &[UserId]) {
        if !self.has_topics() {
            return;
        }
        let news = Note::News(session, head);
        match members.len() <= NEWS_TOPICS_MAX {
            true => self.put_all(members.iter().map(|user| news.post_to(Topic::User(*user)))),
            false => self.put(news),
        }
    }

    /// What the hub has to tell, as notes.
    fn take_in(&self) {
        let outward = self.outbox.take();
        if outward.is_empty() {
            return;
        }
        let leaves_at = Instant::now() + Duration::from_millis(PRESENCE_GRACE_MS);
        let (mut waiting, mut left) = (lock(&self.waiting), lock(&self.left));
        for one in outward {
            let note = match one {
                Outward::Online { session, user, online } => Note::Online(session, user, online),
                Outward::Typing { session, user, is_typing } => {
                    Note::Typing(session, user, is_typing)
                }
                Outward::Left { session, user } => {
                    left.push((leaves_at, session, user));
                    continue;
                }
            };
            waiting.put(note.post());
        }
    }

    /// Hands over to the bus what waits.
    fn tell(&self) {
        self.take_in();
        let Waiting { fresh, mut posts, .. } = std::mem::take(&mut *lock(&self.waiting));
        let bytes_max = self.bus.events_bytes_max();
        for (session, Fresh { head, events }) in fresh {
            let told = posts.len();
            posts.extend(posts_of(session, &events, bytes_max));
            if posts.len() == told || events.last().is_none_or(|last| last.seq < head) {
                posts.push(Note::Head(session, head).post());
            }
        }
        if !posts.is_empty() {
            self.bus.publish(posts);
        }
    }

    /// Notes that a node was heard. True: it had fallen silent.
    pub(super) fn is_back(&self, node: NodeId) -> bool {
        let mut heard = lock(&self.heard);
        let is_new = !heard.contains_key(&node);
        let known = heard.entry(node).or_insert(Known { last: None, listens: true });
        let was_silent = known.last.replace(Instant::now()).is_none();
        known.listens |= was_silent;
        was_silent && !is_new
    }

    /// A node says whether anybody there listens for a list of sessions.
    pub(super) fn node_listens(&self, node: NodeId, listens: bool) {
        if let Some(known) = lock(&self.heard).get_mut(&node) {
            known.listens = listens;
        }
    }

    /// Something that nodes said about themselves may have been missed.
    pub(super) fn is_unsure(&self) {
        *lock(&self.sure_since) = Instant::now();
    }

    /// Whether somebody on another node may want news of sessions from this one. By the end of a
    /// lease each node that lives has been heard.
    pub(super) fn wants_news(&self) -> bool {
        self.has_topics()
            && (lock(&self.sure_since).elapsed() < LEASE
                || lock(&self.heard).values().any(|node| node.last.is_some() && node.listens))
    }

    /// Those who fell silent since the last time.
    fn silent(&self) -> Vec<NodeId> {
        let mut silent = Vec::new();
        for (node, known) in lock(&self.heard).iter_mut() {
            if known.last.is_some_and(|last| last.elapsed() > LEASE) {
                known.last = None;
                silent.push(*node);
            }
        }
        silent
    }

    /// Who left, and did not come back in time.
    fn gone_by_now(&self) -> Vec<(SessionId, UserId)> {
        let now = Instant::now();
        let mut gone = Vec::new();
        lock(&self.left).retain(|&(at, session, user)| {
            if at <= now {
                gone.push((session, user));
            }
            at > now
        });
        gone
    }
}

impl Waiting {
    fn put(&mut self, post: Post) {
        if self.posts.len() < NOTES_WAITING_MAX {
            self.posts.push(post);
        }
    }

    fn add(&mut self, event: &Arc<Event>, carries: bool) {
        let fresh = self.fresh.entry(event.session_id).or_default();
        fresh.head = event.seq;
        let bytes = EVENT_BYTES + event.content_len();
        if carries && self.bytes + bytes <= EVENTS_WAITING_BYTES_MAX {
            self.bytes += bytes;
            fresh.events.push(event.clone());
        }
    }
}

impl Chat {
    /// Puts a follower in its place. From that moment on the node also hears what other nodes
    /// commit in that session.
    pub(super) fn enter(&self, session: SessionId, place: Place) -> Followed {
        let (followed, is_first) = self.hub.follow(session, place);
        if is_first && let Some(nodes) = &self.nodes {
            // What is kept is from before, when nobody here listened.
            self.pages.forget(session);
            nodes.opened(session);
        }
        followed
    }

    /// From now on the connection hears of its user's list of sessions.
    pub fn listen(&self, connected: &mut Connected) {
        let is_first = !self.hub.has_listeners();
        connected.listen();
        if let Some(nodes) = &self.nodes {
            nodes.bus.listen(Topic::User(connected.inbox().user));
            if is_first && nodes.has_topics() {
                nodes.put(Note::Listens(true));
            }
        }
    }

    /// Tells the other nodes what happens here, until `stop`.
    pub(super) async fn tell_nodes(&self, stop: &CancellationToken) {
        let Some(nodes) = &self.nodes else { return };
        while stop.run_until_cancelled(nodes.outbox.news().notified()).await.is_some() {
            nodes.tell();
            // What comes meanwhile goes together.
            tokio::time::sleep(GATHER).await;
        }
    }

    /// What is due by the clock: that this node lives, that others do not, who stayed away, what
    /// is of interest still; and every so often the heads.
    pub(super) async fn watch_nodes(&self, stop: &CancellationToken) {
        let Some(nodes) = &self.nodes else { return };
        let (mut alive, mut checked, mut kept) = (None::<Instant>, Instant::now(), Instant::now());
        let second = Duration::from_secs(1);
        while stop.run_until_cancelled(tokio::time::sleep(second)).await.is_some() {
            if alive.is_none_or(|last| last.elapsed() >= ALIVE_EVERY) {
                alive = Some(Instant::now());
                nodes.put(Note::Alive);
                if nodes.has_topics() {
                    nodes.put(Note::Listens(self.hub.has_listeners()));
                }
            }
            for node in nodes.silent() {
                self.hub.drop_node(node);
            }
            for (session, user) in nodes.gone_by_now() {
                let ring = self.hub.ring(session);
                if !ring.is_some_and(|ring| ring.here().contains(&user)) {
                    nodes.put(Note::Online(session, user, false));
                }
            }
            if nodes.has_topics() && kept.elapsed() >= KEEP_EVERY {
                nodes.bus.keep(&self.topics());
                kept = Instant::now();
            }
            if checked.elapsed() >= self.settings.head_check_interval {
                if let Err(error) = self.check_heads().await {
                    tracing::debug!(%error, "heads are not checked");
                }
                checked = Instant::now();
            }
        }
    }

    /// What this node wants to hear of.
    fn topics(&self) -> HashSet<Topic> {
        let sessions = self.hub.heads().into_iter().map(|(session, _)| Topic::Session(session));
        let users = self.hub.listeners().into_iter().map(Topic::User);
        sessions.chain(users).collect()
    }
}
