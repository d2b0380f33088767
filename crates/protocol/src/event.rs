//! Events: everything durable that happens in a session, each with its number.

use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};
use utoipa::ToSchema;

use crate::{Message, MessageId, ParticipantRow, Session, SessionId, Timestamp, UserId};

/// One numbered item of a session's log:
/// `{"type", "session_id", "seq", "at", "data"}`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
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
    /// A message was sent; in its present form.
    #[serde(rename = "message.created")]
    MessageCreated(Message),
    /// A message was edited; in its present form.
    #[serde(rename = "message.updated")]
    MessageUpdated(Message),
    /// A message was deleted. Replayed events of a message that was deleted since have this
    /// form too, under their own seq.
    #[serde(rename = "message.deleted")]
    MessageDeleted(DeletedMessage),
    /// The owner gave a user access.
    #[serde(rename = "participant.added")]
    ParticipantAdded(ParticipantRow),
    /// A user was removed, or left.
    #[serde(rename = "participant.removed")]
    ParticipantRemoved(RemovedParticipant),
    /// The title was changed. The session without `is_owner`.
    #[serde(rename = "session.updated")]
    SessionUpdated(Session),
    /// The last event of a session.
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

impl Change {
    /// The `type` on the wire.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::MessageCreated(_) => "message.created",
            Self::MessageUpdated(_) => "message.updated",
            Self::MessageDeleted(_) => "message.deleted",
            Self::ParticipantAdded(_) => "participant.added",
            Self::ParticipantRemoved(_) => "participant.removed",
            Self::SessionUpdated(_) => "session.updated",
            Self::SessionDeleted(_) => "session.deleted",
        }
    }
}

/// By hand, for speed and for the order in which people read it: each event is written once for
/// all who follow, but each is.
impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Event", 5)?;
        out.serialize_field("type", self.change.kind())?;
        out.serialize_field("session_id", &self.session_id)?;
        out.serialize_field("seq", &self.seq)?;
        out.serialize_field("at", &self.at)?;
        match &self.change {
            Change::MessageCreated(message) | Change::MessageUpdated(message) => {
                out.serialize_field("data", message)?;
            }
            Change::MessageDeleted(data) => out.serialize_field("data", data)?,
            Change::ParticipantAdded(data) => out.serialize_field("data", data)?,
            Change::ParticipantRemoved(data) => out.serialize_field("data", data)?,
            Change::SessionUpdated(data) => out.serialize_field("data", data)?,
            Change::SessionDeleted(data) => out.serialize_field("data", data)?,
        }
        out.end()
    }
}

impl Event {
    /// The user whose following ends with this event, if it takes somebody's access.
    #[must_use]
    pub fn removed_user(&self) -> Option<UserId> {
        match &self.change {
            Change::ParticipantRemoved(removed) => Some(removed.user_id),
            _ => None,
        }
    }

    /// Bytes of the message's content, where it carries one.
    #[must_use]
    pub fn content_len(&self) -> usize {
        match &self.change {
            Change::MessageCreated(message) | Change::MessageUpdated(message) => {
                message.content.len()
            }
            _ => 0,
        }
    }

    /// Whether every following ends with this event.
    #[must_use]
    pub fn ends_session(&self) -> bool {
        matches!(self.change, Change::SessionDeleted(_))
    }
}
