//! The user's own list, live: `session.added`, `session.removed`, `session.activity` to those
//! connections of a user that do not follow the session.
//!
//! Signals: what they tell is in the list when it is loaded. They are gathered for a moment, so
//! that a busy session costs its members a few frames a second and not one a message; who has to
//! hear of it is asked from the store then, and only while somebody listens at all.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use protocol::frame::ServerFrame;
use protocol::{Change, Event, SessionId, UserId};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{Chat, Result, frame_of};
use crate::store::MessageRange;

/// How long news of a session is gathered before it is told.
const GATHER: Duration = Duration::from_millis(150);
/// Sessions of which news is told at the same time.
const TOLD_AT_ONCE_MAX: usize = 32;

/// What is to be told.
#[derive(Default)]
pub struct Activity {
    sessions: Mutex<HashMap<SessionId, Noted>>,
    notify: Notify,
}

#[derive(Default)]
struct Noted {
    last_seq: u64,
    /// Whose membership changed, in order.
    members: Vec<(UserId, bool)>,
    /// The session is gone; whoever was a member then is among `members`.
    deleted: bool,
    /// It was committed on this node, so others hear of it from here.
    is_ours: bool,
}

impl Activity {
    /// Something happened in a session.
    pub fn note(&self, session: SessionId, events: &[Arc<Event>]) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let noted = sessions.entry(session).or_default();
        noted.is_ours = true;
        for event in events {
            noted.last_seq = event.seq.max(noted.last_seq);
            match &event.change {
                Change::ParticipantAdded(row) => noted.members.push((row.user_id, true)),
                Change::ParticipantRemoved(gone) => noted.members.push((gone.user_id, false)),
                _ => {}
            }
        }
        self.notify.notify_one();
    }

    /// A user has a session in the list now, or has it no more.
    pub fn member(&self, session: SessionId, user: UserId, added: bool) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.entry(session).or_default().members.push((user, added));
        self.notify.notify_one();
    }

    /// A session's log reaches that number, by word of another node.
    pub fn reaches(&self, session: SessionId, head: u64) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let noted = sessions.entry(session).or_default();
        noted.last_seq = head.max(noted.last_seq);
        self.notify.notify_one();
    }

    /// A session is gone. Its members were asked for before, as the purge takes them along.
    pub fn deleted(&self, session: SessionId, members: Vec<UserId>) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let noted = sessions.entry(session).or_default();
        noted.members.extend(members.into_iter().map(|user| (user, false)));
        noted.deleted = true;
        self.notify.notify_one();
    }

    fn take(&self) -> HashMap<SessionId, Noted> {
        std::mem::take(&mut self.sessions.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Chat {
    /// Tells members of what happens in sessions that they do not follow, until `stop`.
    pub(super) async fn tell_activity(&self, stop: &CancellationToken) {
        while stop.run_until_cancelled(self.activity.notify.notified()).await.is_some() {
            tokio::time::sleep(GATHER).await;
            // Several at a time: a burst of reads costs the store less than one after the other.
            stream::iter(self.activity.take())
                .for_each_concurrent(TOLD_AT_ONCE_MAX, async |(session, noted)| {
                    if let Err(error) = self.tell(session, noted).await {
                        tracing::debug!(%session, %error, "news of a session could not be told");
                    }
                })
                .await;
        }
    }

    async fn tell(&self, session_id: SessionId, noted: Noted) -> Result<()> {
        if noted.deleted {
            let gone = frame_of(&ServerFrame::SessionRemoved { session_id });
            let users: HashSet<UserId> = noted.members.iter().map(|&(user, _)| user).collect();
            for user in users {
                self.hub.tell_user(user, &gone, Some(session_id));
            }
            return Ok(());
        }
        for &(user, added) in &noted.members {
            if self.hub.listening(&[user]).is_empty() {
                continue;
            }
            let frame = if added {
                let Some(access) = self.store.access(session_id, user).await? else { continue };
                if !access.is_member {
                    continue;
                }
                ServerFrame::SessionAdded { session: access.session }
            } else {
                ServerFrame::SessionRemoved { session_id }
            };
            self.hub.tell_user(user, &frame_of(&frame), Some(session_id));
        }
        if noted.last_seq > 0 {
            self.tell_news(session_id, noted.last_seq, noted.is_ours).await?;
        }
        Ok(())
    }

    async fn tell_news(&self, session_id: SessionId, last_seq: u64, is_ours: bool) -> Result<()> {
        let nodes = self.nodes.as_ref().filter(|nodes| is_ours && nodes.wants_news());
        if nodes.is_none() && !self.hub.has_listeners() {
            return Ok(());
        }
        // Mostly nobody: whoever is there follows what goes on.
        let members = self.store.member_ids(session_id).await?;
        if let Some(nodes) = nodes {
            nodes.news(session_id, last_seq, &members);
        }
        let users = self.hub.listening_elsewhere(&members, session_id);
        if users.is_empty() {
            return Ok(());
        }
        let newest = self.store.messages(session_id, None, MessageRange::Newest, 1).await?;
        let last_message = newest.items.into_iter().next();
        let news = ServerFrame::SessionActivity { session_id, last_seq, last_message };
        let frame = frame_of(&news);
        for user in users {
            self.hub.tell_user(user, &frame, Some(session_id));
        }
        Ok(())
    }
}
