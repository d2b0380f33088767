//! The nouns of the wire: users, sessions, participants, messages.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{MessageId, ParticipantId, SessionId, Timestamp, UserId};

/// A person, or an assistant's program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum UserKind {
    Human,
    Agent,
}

/// An account, as its own user sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct User {
    pub id: UserId,
    pub name: String,
    pub email: String,
    pub kind: UserKind,
    pub created_at: Timestamp,
}

/// An account, as others find it by email.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FoundUser {
    pub id: UserId,
    pub name: String,
    pub email: String,
}

/// A shared chat session. `is_owner` speaks of whoever asked and is absent from events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Session {
    pub id: SessionId,
    /// The owner.
    pub user_id: UserId,
    pub title: String,
    pub created_at: Timestamp,
    /// The last event's time.
    pub updated_at: Timestamp,
    /// The head: the number of the last event.
    pub last_seq: u64,
    /// Changes when the numbers that clients hold mean nothing any more.
    pub epoch: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_owner: Option<bool>,
}

/// A session in its member's list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListedSession {
    #[serde(flatten)]
    pub session: Session,
    /// Messages of others above the member's read mark, counted to 1,000.
    pub unread_count: u64,
    pub last_message: Option<Message>,
}

/// The row that gives a user access, as `POST …/participants` answers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Participant {
    pub id: ParticipantId,
    pub session_id: SessionId,
    pub user_id: UserId,
    pub created_at: Timestamp,
}

/// A row of the participants list. The owner's `id` is the session's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ParticipantRow {
    pub id: ParticipantId,
    pub user_id: UserId,
    pub email: String,
    pub name: String,
    pub is_owner: bool,
    pub created_at: Timestamp,
}

/// An event written by a member. `seq` is its creation's, for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Message {
    pub id: MessageId,
    pub session_id: SessionId,
    pub seq: u64,
    pub sender_id: UserId,
    pub content: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_url: Option<String>,
    pub is_ai_message: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    pub created_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited_at: Option<Timestamp>,
}
