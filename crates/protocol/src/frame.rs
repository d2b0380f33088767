//! Everything that goes over the WebSocket: the plain protocol's one frame and the frames of
//! `assistdeck.v1` beside the durable [`Event`]s.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::json::{Field, Text, read};
use crate::{ErrorCode, Event, Message, ParticipantRow, Session, SessionId, UserId};

/// Name of the plain subprotocol; also what a client without a subprotocol speaks.
pub const PLAIN: &str = "assistdeck.plain";
/// Name of the full subprotocol.
pub const V1: &str = "assistdeck.v1";

/// What a client of the plain protocol sends, and the body of `POST …/messages`.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct NewMessage<'a> {
    #[serde(borrow, default)]
    #[schema(value_type = String, required = true, min_length = 1)]
    pub content: Text<'a>,
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>)]
    pub file_url: Text<'a>,
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    pub is_ai_message: Field<bool>,
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 64)]
    pub client_id: Text<'a>,
}

/// What a client of `assistdeck.v1` sends.
#[derive(Debug)]
pub enum ClientFrame<'a> {
    Send { session_id: SessionId, message: NewMessage<'a> },
    Follow { session_id: SessionId, after: Option<u64>, epoch: Option<String> },
    Leave { session_id: SessionId },
    Typing { session_id: SessionId, is_typing: bool },
    Read { session_id: SessionId, seq: u64 },
    Auth { token: String },
}

/// A client's frame, or what is wrong with it, and the names that an answer goes by.
#[derive(Debug)]
pub struct Received<'a> {
    pub frame: Result<ClientFrame<'a>, ErrorCode>,
    pub client_id: Option<String>,
    pub reference: Option<String>,
}

/// All fields that any frame of a client may have.
#[derive(Debug, Default, Deserialize)]
struct Fields<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow, default)]
    session_id: Text<'a>,
    #[serde(borrow, default)]
    content: Text<'a>,
    #[serde(borrow, default)]
    file_url: Text<'a>,
    #[serde(default)]
    is_ai_message: Field<bool>,
    #[serde(borrow, default)]
    client_id: Text<'a>,
    #[serde(default)]
    after: Field<u64>,
    #[serde(borrow, default)]
    epoch: Text<'a>,
    #[serde(borrow, default, rename = "ref")]
    reference: Text<'a>,
    #[serde(default)]
    is_typing: Field<bool>,
    #[serde(default)]
    seq: Field<u64>,
    #[serde(borrow, default)]
    token: Text<'a>,
}

impl<'a> Received<'a> {
    /// Reads a text frame of a v1 client.
    #[must_use]
    pub fn read(text: &'a [u8]) -> Self {
        let mut fields: Fields<'a> = match read(text) {
            Ok(fields) => fields,
            Err(code) => return Self { frame: Err(code), client_id: None, reference: None },
        };
        let named = |field: &Text<'a>, chars_max: usize| match field {
            Field::Is(text) if text.chars().count() <= chars_max => Some(text.to_string()),
            _ => None,
        };
        let client_id = named(&fields.client_id, crate::limits::CLIENT_ID_CHARS_MAX);
        let reference = named(&fields.reference, crate::limits::REF_CHARS_MAX);
        Self { frame: fields.frame(), client_id, reference }
    }
}

impl<'a> Fields<'a> {
    fn frame(&mut self) -> Result<ClientFrame<'a>, ErrorCode> {
        let take = |field: &mut Text<'a>| std::mem::take(field);
        let kind = take(&mut self.kind).required(ErrorCode::InvalidJson)?;
        match kind.as_ref() {
            "message.send" => {
                let session_id = self.session_id()?;
                if self.client_id == Field::Absent {
                    return Err(ErrorCode::MissingField);
                }
                let message = NewMessage {
                    content: take(&mut self.content),
                    file_url: take(&mut self.file_url),
                    is_ai_message: std::mem::take(&mut self.is_ai_message),
                    client_id: take(&mut self.client_id),
                };
                Ok(ClientFrame::Send { session_id, message })
            }
            "follow" => Ok(ClientFrame::Follow {
                session_id: self.session_id()?,
                after: std::mem::take(&mut self.after).optional(ErrorCode::InvalidQuery)?,
                epoch: take(&mut self.epoch)
                    .optional(ErrorCode::InvalidQuery)?
                    .map(std::borrow::Cow::into_owned),
            }),
            "leave" => Ok(ClientFrame::Leave { session_id: self.session_id()? }),
            "typing" => Ok(ClientFrame::Typing {
                session_id: self.session_id()?,
                is_typing: std::mem::take(&mut self.is_typing).required(ErrorCode::InvalidJson)?,
            }),
            "read" => Ok(ClientFrame::Read {
                session_id: self.session_id()?,
                seq: std::mem::take(&mut self.seq).required(ErrorCode::InvalidJson)?,
            }),
            "auth" => Ok(ClientFrame::Auth {
                token: take(&mut self.token).required(ErrorCode::InvalidJson)?.into_owned(),
            }),
            _ => Err(ErrorCode::InvalidJson),
        }
    }

    fn session_id(&mut self) -> Result<SessionId, ErrorCode> {
        std::mem::take(&mut self.session_id)
            .required(ErrorCode::InvalidId)?
            .parse()
            .map_err(|_| ErrorCode::InvalidId)
    }
}

/// The limits that `hello` tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Limits {
    pub content_bytes_max: u64,
    pub frame_bytes_max: u64,
    pub follows_max: u64,
    pub sends_in_flight_max: u64,
}

/// What the server sends over `assistdeck.v1` beside [`Event`]s. None has a top-level `seq` that
/// counts in a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type")]
pub enum ServerFrame {
    /// First on every connection.
    #[serde(rename = "hello")]
    Hello {
        connection_id: uuid::Uuid,
        user_id: UserId,
        heartbeat_ms: u64,
        token_expires_in_ms: u64,
        limits: Limits,
    },
    /// A log is followed: its replay comes next, then `caught_up`, then what is live.
    #[serde(rename = "following")]
    Following {
        session_id: SessionId,
        session: Session,
        after: u64,
        head: u64,
        member_count: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        participants: Option<Vec<ParticipantRow>>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        online: Option<Vec<UserId>>,
    },
    /// The replay is through; what comes now is live.
    #[serde(rename = "caught_up")]
    CaughtUp { session_id: SessionId, seq: u64 },
    /// The answer to a send, the first or a repeat.
    #[serde(rename = "message.sent")]
    MessageSent { client_id: String, message: Message },
    /// A member came online, or is so no more. Several devices are one person.
    #[serde(rename = "presence")]
    Presence { session_id: SessionId, user_id: UserId, online: bool },
    /// A member types, or does so no more; never told to the sender's own devices.
    #[serde(rename = "typing")]
    Typing { session_id: SessionId, user_id: UserId, is_typing: bool },
    /// A member's read mark has grown.
    #[serde(rename = "read")]
    Read { session_id: SessionId, user_id: UserId, seq: u64 },
    /// The user has a session more: made, or given access to.
    #[serde(rename = "session.added")]
    SessionAdded { session: Session },
    /// The user has a session less: removed, left, or deleted.
    #[serde(rename = "session.removed")]
    SessionRemoved { session_id: SessionId },
    /// There is something new in a session that is not followed on this connection.
    #[serde(rename = "session.activity")]
    SessionActivity { session_id: SessionId, last_seq: u64, last_message: Option<Message> },
    /// The token ends soon: send `auth`.
    #[serde(rename = "token_expiring")]
    TokenExpiring { in_ms: u64 },
    /// What was asked can't be done; the connection goes on.
    #[serde(rename = "error")]
    Error {
        error: String,
        code: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client_id: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none", rename = "ref")]
        reference: Option<String>,
    },
}

/// What the feed `GET …/events` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EventPage {
    pub epoch: String,
    pub head: u64,
    pub events: Vec<Event>,
}
