//! What rows mean, whichever database they come from.

use protocol::event::{DeletedMessage, Nothing, RemovedParticipant};
use protocol::limits::{PAGE_BYTES_MAX, UNREAD_COUNT_MAX};
use protocol::{
    Change, Event, Message, MessageId, ParticipantId, ParticipantRow, Session, SessionId,
    Timestamp, UserId,
};

use crate::store::fault::corrupt;
use crate::store::{Result, kind};

/// What makes two emails the same.
pub fn email_key(email: &str) -> String {
    // A sigma at a word's end has a lower case of its own.
    email.to_lowercase().replace('ς', "σ")
}

/// Twelve random hexadecimal digits: an epoch, a store's id.
pub fn random_word() -> String {
    let mut word = uuid::Uuid::new_v4().simple().to_string();
    word.truncate(12);
    word
}

/// Messages above a read mark that were not deleted. All of them are of others, for the own
/// sending moves the mark. `created` were ever, `read` of them up to the mark.
pub fn unread(created: u64, read: u64, deleted_above: u64) -> u64 {
    created.saturating_sub(read).saturating_sub(deleted_above).min(UNREAD_COUNT_MAX)
}

/// A stored session, deleted or not.
pub struct StoredSession {
    pub id: SessionId,
    pub owner: UserId,
    pub title: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub last_seq: u64,
    pub message_count: u64,
    pub deleted: bool,
}

impl StoredSession {
    /// As `viewer` sees it; with none, as events have it.
    pub fn session(&self, epoch: &str, viewer: Option<UserId>) -> Session {
        Session {
            id: self.id,
            user_id: self.owner,
            title: self.title.clone(),
            created_at: self.created_at,
            updated_at: self.updated_at,
            last_seq: self.last_seq,
            epoch: epoch.to_owned(),
            is_owner: viewer.map(|user| user == self.owner),
        }
    }
}

/// A session that is made now, as its owner sees it.
pub fn new_session(
    id: SessionId,
    owner: UserId,
    title: String,
    at: Timestamp,
    epoch: &str,
) -> Session {
    Session {
        id,
        user_id: owner,
        title,
        created_at: at,
        updated_at: at,
        last_seq: 0,
        epoch: epoch.to_owned(),
        is_owner: Some(true),
    }
}

/// How much a page may still take.
pub struct PageRoom {
    items: usize,
    bytes: usize,
    is_empty: bool,
}

impl PageRoom {
    pub fn new(items: usize) -> Self {
        Self { items, bytes: PAGE_BYTES_MAX, is_empty: true }
    }

    /// Whether an item of so many bytes still fits; the first always does.
    pub fn take(&mut self, bytes: usize) -> bool {
        if self.items == 0 || (bytes > self.bytes && !self.is_empty) {
            return false;
        }
        self.items -= 1;
        self.bytes = self.bytes.saturating_sub(bytes);
        self.is_empty = false;
        true
    }
}

/// What a message takes of a page.
pub fn message_bytes(message: &Message) -> usize {
    message.content.len() + message.file_url.as_ref().map_or(0, String::len)
}

/// What an event takes of a page.
pub fn event_bytes(change: &Change) -> usize {
    match change {
        Change::MessageCreated(message) | Change::MessageUpdated(message) => message_bytes(message),
        Change::SessionUpdated(session) => session.title.len(),
        Change::MessageDeleted(_)
        | Change::ParticipantAdded(_)
        | Change::ParticipantRemoved(_)
        | Change::SessionDeleted(_) => 0,
    }
}

/// A message that a row speaks of.
pub enum StoredMessage {
    /// In its present form.
    Live(Message),
    Deleted(MessageId),
}

/// An event as it is kept, with what it speaks of.
pub struct StoredEvent {
    pub seq: u64,
    pub at: Timestamp,
    pub kind: i64,
    pub message: Option<StoredMessage>,
    pub user: Option<UserId>,
    pub participant: Option<ParticipantId>,
    pub title: Option<String>,
    /// Of the user.
    pub email: Option<String>,
    pub name: Option<String>,
}

impl StoredEvent {
    /// The event as it is told; `session` is as it is now.
    pub fn event(self, session: &Session) -> Result<Event> {
        let Self { seq, at, .. } = self;
        let change = match (self.kind, self.message, self.user) {
            (
                kind::MESSAGE_CREATED | kind::MESSAGE_UPDATED | kind::MESSAGE_DELETED,
                Some(StoredMessage::Deleted(id)),
                _,
            ) => Change::MessageDeleted(DeletedMessage { id }),
            (kind::MESSAGE_CREATED, Some(StoredMessage::Live(message)), _) => {
                Change::MessageCreated(message)
            }
            (
                kind::MESSAGE_UPDATED | kind::MESSAGE_DELETED,
                Some(StoredMessage::Live(message)),
                _,
            ) => Change::MessageUpdated(message),
            (kind::PARTICIPANT_ADDED, _, Some(user_id)) => {
                let (Some(id), Some(email), Some(name)) = (self.participant, self.email, self.name)
                else {
                    return corrupt("events", seq, "its user is missing");
                };
                let (is_owner, created_at) = (false, at);
                let row = ParticipantRow { id, user_id, email, name, is_owner, created_at };
                Change::ParticipantAdded(row)
            }
            (kind::PARTICIPANT_REMOVED, _, Some(user_id)) => {
                Change::ParticipantRemoved(RemovedParticipant { user_id })
            }
            (kind::SESSION_UPDATED, ..) => Change::SessionUpdated(Session {
                title: self.title.unwrap_or_default(),
                updated_at: at,
                last_seq: seq,
                ..session.clone()
            }),
            (kind::SESSION_DELETED, ..) => Change::SessionDeleted(Nothing {}),
            _ => return corrupt("events", seq, "it is of an unknown kind, or lacks its subject"),
        };
        Ok(Event { session_id: session.id, seq, at, change })
    }
}
