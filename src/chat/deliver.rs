//! What was committed goes to those who follow: the committer's other half.
//!
//! One task a node takes the store's commits in their order. It puts the events of a whole
//! commit into all rings, encoded once, answers the senders, and only then wakes: each
//! connection writes all that gathered, once. It waits for no reader.
//!
//! An edit or a deletion empties what the node remembers of that session before it is
//! delivered itself: followers that are behind read the store, where the message has its
//! present form.
//!
//! Where other nodes write too, a commit may have numbers above events that this node has not read
//! yet. Such events are not delivered: they wait for what is missing (`early`), or `fill` reads
//! them with it, in their order.

use std::collections::HashMap;
use std::sync::Arc;

use protocol::{Change, Event, SessionId};
use tokio::sync::mpsc;

use super::{Chat, Nodes};
use crate::hub::{Pushed, Ring, Segment};
use crate::store::{Commit, Sink};

/// Commits that may wait to be delivered; the store's writer waits when there are more.
const COMMITS_WAITING_MAX: usize = 16;

/// The two ends between a store and the task that delivers.
#[must_use]
pub fn channel() -> (Sink, mpsc::Receiver<Commit>) {
    let (sender, receiver) = mpsc::channel(COMMITS_WAITING_MAX);
    let sink = move |commit| {
        // The task ends last, after the store was closed; if it is gone, nobody waits any more.
        let _ = sender.blocking_send(commit);
    };
    (Box::new(sink), receiver)
}

/// Delivers until the store is closed.
pub async fn run(chat: Arc<Chat>, mut commits: mpsc::Receiver<Commit>) {
    let mut waiting = Vec::with_capacity(COMMITS_WAITING_MAX);
    while commits.recv_many(&mut waiting, COMMITS_WAITING_MAX).await > 0 {
        let mut touched = Vec::new();
        for commit in &waiting {
            chat.put(&commit.events, &mut touched);
        }
        if let Some(nodes) = &chat.nodes {
            nodes.committed(waiting.iter().flat_map(|commit| &commit.events));
        }
        for commit in waiting.drain(..) {
            chat.metrics.observe_commit(commit.events.len(), commit.took, commit.at.elapsed());
            commit.answer();
        }
        for ring in touched {
            ring.wake();
        }
    }
}

impl Chat {
    /// Puts a commit into the rings, and remembers which were touched.
    fn put(&self, events: &[Arc<Event>], touched: &mut Vec<Arc<Ring>>) {
        let elsewhere = self.nodes.as_ref().is_some_and(Nodes::has_topics);
        let notices = elsewhere || self.hub.has_listeners();
        for (session, events) in by_session(events) {
            if notices {
                self.activity.note(session, &events);
            }
            let forgets = events.iter().any(|event| rewrites(event));
            if forgets {
                self.pages.forget(session);
            }
            let Some(ring) = self.hub.ring(session) else { continue };
            if self.arrive(&ring, events) {
                touched.push(ring);
            }
        }
    }
}

/// Puts some events of a session into its ring. False: earlier ones, of other nodes, are missing
/// there, and come first.
pub(super) fn put_into(ring: &Ring, events: Vec<Arc<Event>>) -> bool {
    for segment in segments(events) {
        let rewrites = rewrites(&segment.events()[0]);
        ring.prepare(&segment);
        let last = segment.last();
        let removed = segment.events().last().and_then(|event| event.removed_user());
        match ring.push(Arc::new(segment), rewrites) {
            Pushed::Hole => return false,
            // Who was removed then may have been added again since.
            Pushed::Known => {}
            Pushed::Took => removed.into_iter().for_each(|user| ring.remove_user(user, last)),
        }
    }
    true
}

/// Whether an event changes what earlier events of its session look like.
pub(super) fn rewrites(event: &Event) -> bool {
    matches!(event.change, Change::MessageUpdated(_) | Change::MessageDeleted(_))
}

/// The events of a commit by session, each in its order.
fn by_session(events: &[Arc<Event>]) -> impl Iterator<Item = (SessionId, Vec<Arc<Event>>)> {
    let mut places = HashMap::new();
    let mut groups: Vec<(SessionId, Vec<Arc<Event>>)> = Vec::new();
    for event in events {
        let place = *places.entry(event.session_id).or_insert_with(|| {
            groups.push((event.session_id, Vec::new()));
            groups.len() - 1
        });
        groups[place].1.push(event.clone());
    }
    groups.into_iter()
}

/// Cuts one session's events so that what takes somebody's access ends a segment, and what
/// rewrites history begins one.
fn segments(events: Vec<Arc<Event>>) -> Vec<Segment> {
    let mut parts: Vec<Vec<Arc<Event>>> = vec![Vec::new()];
    for event in events {
        let ends = event.removed_user().is_some() || event.ends_session();
        if rewrites(&event) {
            parts.push(Vec::new());
        }
        parts.last_mut().expect("never empty").push(event);
        if ends {
            parts.push(Vec::new());
        }
    }
    parts.into_iter().filter_map(Segment::new).collect()
}
