//! Rows of the original backend's tables (`users`, `chat_sessions`, `chat_participants`,
//! `chat_messages`), as they stand there: nothing of them is judged here.
//!
//! Rows that were softly deleted (`deleted_at`) do not come, and what belongs to such a user counts
//! as nobody's. Times are in microseconds; those before 1970 are none.

use async_trait::async_trait;
use protocol::{MessageId, ParticipantId, SessionId, Timestamp, UserId};

use crate::store::Result;

/// Rows that are read at once; with contents of 64 KiB that is 16 MiB.
pub const ROWS: usize = 250;

#[derive(Clone, Debug)]
pub struct OriginalUser {
    pub id: UserId,
    /// Without white space at its ends.
    pub email: String,
    pub name: String,
    pub password: Option<String>,
    pub created_at: Option<Timestamp>,
    /// An older user with the same email, in any case.
    pub same_email_as: Option<UserId>,
}

#[derive(Clone, Debug)]
pub struct OriginalSession {
    pub id: SessionId,
    /// The owner; none that is a user.
    pub owner: Option<UserId>,
    pub title: String,
    pub created_at: Option<Timestamp>,
}

#[derive(Clone, Debug)]
pub struct OriginalParticipant {
    pub id: ParticipantId,
    pub session: Option<SessionId>,
    pub user: Option<UserId>,
    pub created_at: Option<Timestamp>,
}

#[derive(Clone, Debug)]
pub struct OriginalMessage {
    pub id: MessageId,
    pub session: Option<SessionId>,
    pub sender: Option<UserId>,
    /// None where it is longer than any content may be.
    pub content: Option<String>,
    pub content_bytes: u64,
    pub file_url: Option<String>,
    pub is_ai_message: bool,
    pub created_at: Option<Timestamp>,
}

/// The four tables as of one moment. Each call gives the next rows, none at the end.
#[async_trait]
pub trait Tables: Send {
    /// How many rows will come.
    fn count(&self) -> u64;
    /// In the order of ids.
    async fn users(&mut self) -> Result<Vec<OriginalUser>>;
    /// In the order of ids.
    async fn sessions(&mut self) -> Result<Vec<OriginalSession>>;
    /// In the order of (session, created_at, id); those of no session first.
    async fn participants(&mut self) -> Result<Vec<OriginalParticipant>>;
    /// In the order of (session, created_at, id); those of no session first.
    async fn messages(&mut self) -> Result<Vec<OriginalMessage>>;
}
