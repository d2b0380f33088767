//! Events: everything durable that happens in a session, each with its number.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Message, MessageId, ParticipantRow, Session, SessionId, Timestamp, UserId};

/// One numbered item of a session's log:
/// `{"type", "session_id", "seq", "at", "data"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    pub session_id: SessionId,
    /// Dense from 1 in each session.
    pub seq: u64,
    pub at: Timestamp,
    #[serde(flatten)]
    pub change: Change,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", content = "data")]
pub enum Change {
    #[serde(rename = "message.created")]
    MessageCreated(Message),
    /// The message in its present form.
    #[serde(rename = "message.updated")]
    MessageUpdated(Message),
    /// Replayed events of a message that was deleted since have this form too.
    #[serde(rename = "message.deleted")]
    MessageDeleted(DeletedMessage),
    #[serde(rename = "participant.added")]
    ParticipantAdded(ParticipantRow),
    #[serde(rename = "participant.removed")]
    ParticipantRemoved(RemovedParticipant),
    /// The session without `is_owner`.
    #[serde(rename = "session.updated")]
    SessionUpdated(Session),
    #[serde(rename = "session.deleted")]
    SessionDeleted(Nothing),
}

/// The data of `message.deleted`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeletedMessage {
    pub id: MessageId,
}

/// The data of `participant.removed`: removed by the owner, or left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RemovedParticipant {
    pub user_id: UserId,
}

/// `{}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Nothing {}

impl Event {
    /// The user whose following ends with this event, if it takes somebody's access.
    #[must_use]
    pub fn removed_user(&self) -> Option<UserId> {
        match &self.change {
            Change::ParticipantRemoved(removed) => Some(removed.user_id),
            _ => None,
        }
    }

    /// Whether every following ends with this event.
    #[must_use]
    pub fn ends_session(&self) -> bool {
        matches!(self.change, Change::SessionDeleted(_))
    }
}
