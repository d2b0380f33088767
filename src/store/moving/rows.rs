//! The statements that a backend has for moving, on one connection of its own.
//!
//! Reading sees one moment as long as a transaction is open. An error that is `Unavailable` has
//! broken the connection; any other speaks of the rows given, and what was done since the last
//! [`Step::Mark`] is undone by [`Step::Undo`].

use async_trait::async_trait;
use protocol::{ParticipantId, SessionId, Timestamp, UserId};

use super::{Counts, MovedChange, MovedMember, MovedSession, MovedUser, Record, RevokedToken};
use crate::store::fault::corrupt;
use crate::store::{Account, Result, kind};

/// A step of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Begin,
    /// What comes now may be undone alone.
    Mark,
    /// Back to the mark, which goes.
    Undo,
    /// The mark goes, what was done since stays.
    Keep,
    Commit,
}

/// With their numbers.
pub type Numbered = Vec<(u64, RevokedToken)>;
pub type Sessions = Vec<MovedSession>;

/// What a session's log came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub messages: u64,
    /// The seq of the last message that is not deleted; 0 when there is none.
    pub last_live_seq: u64,
    pub members: u64,
    pub last_seq: u64,
    pub updated_at: Timestamp,
}

#[async_trait]
pub trait Rows: Send {
    // Reading.

    async fn counts(&mut self) -> Result<Counts>;
    /// In the order of ids.
    async fn users(&mut self, after: Option<UserId>, limit: usize) -> Result<Vec<Account>>;
    /// In the order of their numbers, which come with them.
    async fn revoked_tokens(&mut self, after: u64, limit: usize) -> Result<Numbered>;
    /// In the order of ids. Deleted ones have no title.
    async fn sessions(&mut self, after: Option<SessionId>, limit: usize) -> Result<Sessions>;
    /// Messages and events in the order of seq.
    async fn log(&mut self, session: SessionId, after: u64, limit: usize) -> Result<Vec<Record>>;
    /// The owner first, then by (created_at, id), from behind such a pair.
    async fn members(
        &mut self,
        session: SessionId,
        after: Option<(Timestamp, ParticipantId)>,
        limit: usize,
    ) -> Result<Vec<MovedMember>>;
    async fn session(&mut self, id: SessionId) -> Result<Option<MovedSession>>;
    async fn account(&mut self, id: UserId) -> Result<Option<Account>>;
    /// The first of these users who is not there.
    async fn missing_user(&mut self, users: &[UserId]) -> Result<Option<UserId>>;

    // Writing.

    async fn step(&mut self, step: Step) -> Result<()>;
    async fn set_epoch(&mut self, epoch: &str) -> Result<()>;
    /// False: the id or the email is taken.
    async fn add_user(&mut self, user: &MovedUser) -> Result<bool>;
    /// False: it is revoked already.
    async fn add_revoked(&mut self, token: &RevokedToken) -> Result<bool>;
    /// False: the id is taken.
    async fn add_session(&mut self, session: &MovedSession) -> Result<bool>;
    /// The next records of the log; `ordinal` messages came before.
    async fn add_log(&mut self, session: SessionId, ordinal: u64, records: &[Record])
    -> Result<()>;
    /// After the log: a read mark's count is made of it.
    async fn add_members(&mut self, session: SessionId, members: &[MovedMember]) -> Result<()>;
    async fn finish_session(&mut self, session: SessionId, totals: Totals) -> Result<()>;
    /// After the last commit.
    async fn close(&mut self) -> Result<()>;
}

/// Messages and events of a page that were read apart, in the order of seq, `limit` at most.
pub fn merged(mut records: Vec<Record>, limit: usize) -> Vec<Record> {
    records.sort_by_key(Record::seq);
    records.truncate(limit);
    records
}

/// The columns of an event that only some kinds have: of the message its seq, then user,
/// participant, title.
pub type Subject<T> = (Option<u64>, Option<UserId>, Option<ParticipantId>, Option<T>);

impl MovedChange {
    /// The number of its kind and its columns.
    #[must_use]
    pub fn columns(&self) -> (i64, Subject<&str>) {
        match self {
            Self::MessageUpdated { message_seq } => {
                (kind::MESSAGE_UPDATED, (Some(*message_seq), None, None, None))
            }
            Self::MessageDeleted { message_seq } => {
                (kind::MESSAGE_DELETED, (Some(*message_seq), None, None, None))
            }
            Self::ParticipantAdded { user_id, participant_id } => {
                (kind::PARTICIPANT_ADDED, (None, Some(*user_id), Some(*participant_id), None))
            }
            Self::ParticipantRemoved { user_id } => {
                (kind::PARTICIPANT_REMOVED, (None, Some(*user_id), None, None))
            }
            Self::SessionUpdated { title } => {
                (kind::SESSION_UPDATED, (None, None, None, Some(title)))
            }
        }
    }

    /// The change that a row of `events` stands for.
    pub fn from_columns(seq: u64, kind: i64, subject: Subject<String>) -> Result<Self> {
        match (kind, subject) {
            (kind::MESSAGE_UPDATED, (Some(message_seq), ..)) => {
                Ok(Self::MessageUpdated { message_seq })
            }
            (kind::MESSAGE_DELETED, (Some(message_seq), ..)) => {
                Ok(Self::MessageDeleted { message_seq })
            }
            (kind::PARTICIPANT_ADDED, (_, Some(user_id), Some(participant_id), _)) => {
                Ok(Self::ParticipantAdded { user_id, participant_id })
            }
            (kind::PARTICIPANT_REMOVED, (_, Some(user_id), ..)) => {
                Ok(Self::ParticipantRemoved { user_id })
            }
            (kind::SESSION_UPDATED, (.., title)) => {
                Ok(Self::SessionUpdated { title: title.unwrap_or_default() })
            }
            _ => corrupt("events", seq, "it is of an unknown kind, or lacks its subject"),
        }
    }
}
