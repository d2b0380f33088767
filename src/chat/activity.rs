//! The user's own list, live: `session.added`, `session.removed`, `session.activity` to those
//! connections of a user that do not follow the session.
//!
//! Signals: what they tell is in the list when it is loaded. They are gathered for a moment, so
//! that a busy session costs its members a few frames a second and not one a message; who has to
//! hear of it is asked from the store then, and only while somebody listens at all.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use protocol::frame::ServerFrame;
use protocol::{Change, Event, SessionId, UserId};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{Chat, Result, frame_of};
use crate::store::MessageRange;

/// How long news of a session is gathered before it is told.
const GATHER: Duration = Duration::from_millis(150);

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
}

impl Activity {
    /// Something happened in a session.
    pub fn note(&self, session: SessionId, events: &[Arc<Event>]) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let noted = sessions.entry(session).or_default();
        for event in events {
            noted.last_seq = event.seq;
            match &event.change {
                Change::ParticipantAdded(row) => noted.members.push((row.user_id, true)),
                Change::ParticipantRemoved(gone) => noted.members.push((gone.user_id, false)),
                _ => {}
            }
        }
        self.notify.notify_one();
    }

    /// A user has a new session.
    pub fn added(&self, session: SessionId, user: UserId) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.entry(session).or_default().members.push((user, true));
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
            for (session, noted) in self.activity.take() {
                if let Err(error) = self.tell(session, noted).await {
                    tracing::debug!(%session, %error, "news of a session could not be told");
                }
            }
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
            self.tell_news(session_id, noted.last_seq).await?;
        }
        Ok(())
    }

    async fn tell_news(&self, session_id: SessionId, last_seq: u64) -> Result<()> {
        let users = self.hub.listening(&self.store.member_ids(session_id).await?);
        if users.is_empty() {
            return Ok(());
        }
        let newest = self.store.messages(session_id, MessageRange::Newest, 1).await?;
        let last_message = newest.items.into_iter().next();
        let news = ServerFrame::SessionActivity { session_id, last_seq, last_message };
        let frame = frame_of(&news);
        for user in users {
            self.hub.tell_user(user, &frame, Some(session_id));
        }
        Ok(())
    }
}
