//! Moving a whole store: everything durable as records, in one order, out of a store and into one.
//!
//! A [`Source`] gives users, then revoked tokens, then the sessions: each with its log in the order
//! of `seq`, then its members. It sees one moment of the store, also while a server runs. A
//! [`Target`] takes records in that order. A session comes in whole, in one transaction, or not at
//! all; what is there already is compared and never changed; what can't come in is told as a
//! [`Trouble`] and stops nothing else. So an import that was killed is run again, and a second run
//! changes nothing. While a target is open no server uses the store.
//!
//! What follows from the records is made anew by the target (counts, ordinals, last live message);
//! tickets live for seconds and are not moved, nor is what tells one store from another.
//!
//! [`walk`] and [`intake`] are what both backends share, over the few statements of [`Rows`];
//! [`original`] is what the original backend's tables have.

pub mod intake;
pub mod original;
pub mod rows;
pub mod walk;

use std::fmt;

use async_trait::async_trait;
use protocol::{MessageId, ParticipantId, SessionId, Timestamp, UserId, UserKind};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Account, Result};
pub use rows::{Rows, Step};

/// Records that are read, written or compared at once.
pub const BATCH_ROWS: usize = 1_000;
/// Contents of one batch, in bytes; the record that passes it is in.
pub const BATCH_BYTES: usize = 1 << 20;
/// Rows of a log that are read at once: 16 MiB of contents at most.
const LOG_ROWS: usize = 256;
/// A transaction of an import ends behind the session that brings it to so many records.
const COMMIT_ROWS: u64 = 10_000;
/// Users who are remembered as known, about 3 MiB.
const KNOWN_USERS_MAX: usize = 65_536;

/// An account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovedUser {
    pub id: UserId,
    pub name: String,
    pub email: String,
    pub kind: UserKind,
    pub created_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_hash: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disabled: bool,
    /// Tokens issued before this moment (milliseconds since 1970) have ended.
    #[serde(default)]
    pub tokens_valid_from_ms: i64,
}

/// A token that was ended by its id. The ends of all tokens of a user stand with the user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokedToken {
    pub id: Uuid,
    pub at: Timestamp,
}

/// A session, before its log and its members. One that was deleted has neither.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovedSession {
    pub id: SessionId,
    /// The owner.
    pub user_id: UserId,
    pub title: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub last_seq: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Timestamp>,
    /// How long the log is and when it ended is seen when it has come; never in a file.
    #[serde(skip)]
    pub is_open: bool,
}

/// The creation of a message, with the message as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovedMessage {
    pub seq: u64,
    pub id: MessageId,
    pub sender_id: UserId,
    pub created_at: Timestamp,
    /// None: it was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_url: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_ai_message: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Of the first request with that `client_id`, 16 bytes in hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_hash: Option<RequestHash>,
}

/// Any other event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovedEvent {
    pub seq: u64,
    pub at: Timestamp,
    pub actor_id: UserId,
    #[serde(flatten)]
    pub change: MovedChange,
}

/// What an event was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind")]
pub enum MovedChange {
    #[serde(rename = "message.updated")]
    MessageUpdated { message_seq: u64 },
    #[serde(rename = "message.deleted")]
    MessageDeleted { message_seq: u64 },
    #[serde(rename = "participant.added")]
    ParticipantAdded { user_id: UserId, participant_id: ParticipantId },
    #[serde(rename = "participant.removed")]
    ParticipantRemoved { user_id: UserId },
    #[serde(rename = "session.updated")]
    SessionUpdated { title: String },
}

/// A member of the session that came last. The owner has the session's id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovedMember {
    pub id: ParticipantId,
    pub user_id: UserId,
    pub created_at: Timestamp,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_owner: bool,
    /// The read mark.
    pub read_seq: u64,
}

/// One thing that is moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    User(MovedUser),
    RevokedToken(RevokedToken),
    Session(MovedSession),
    Message(MovedMessage),
    Event(MovedEvent),
    Member(MovedMember),
}

/// Sixteen bytes as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RequestHash(pub [u8; 16]);

impl From<RequestHash> for String {
    fn from(hash: RequestHash) -> Self {
        Uuid::from_bytes(hash.0).simple().to_string()
    }
}

impl TryFrom<String> for RequestHash {
    type Error = &'static str;

    fn try_from(text: String) -> std::result::Result<Self, &'static str> {
        let parsed = Uuid::try_parse(&text).ok().filter(|_| text.len() == 32);
        parsed.map(|bytes| Self(bytes.into_bytes())).ok_or("it is not 32 hexadecimal digits")
    }
}

/// How many of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub users: u64,
    pub revoked_tokens: u64,
    /// Also deleted ones.
    pub sessions: u64,
    /// Also deleted ones, but not those of deleted sessions.
    pub messages: u64,
    pub events: u64,
    pub members: u64,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { users, sessions, messages, events, members, revoked_tokens } = self;
        write!(
            f,
            "{users} users, {sessions} sessions, {messages} messages, {events} other events, \
             {members} members, {revoked_tokens} revoked tokens"
        )
    }
}

impl Counts {
    /// One more like this.
    pub fn add(&mut self, record: &Record) {
        *match record {
            Record::User(_) => &mut self.users,
            Record::RevokedToken(_) => &mut self.revoked_tokens,
            Record::Session(_) => &mut self.sessions,
            Record::Message(_) => &mut self.messages,
            Record::Event(_) => &mut self.events,
            Record::Member(_) => &mut self.members,
        } += 1;
    }

    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            users: self.users + other.users,
            revoked_tokens: self.revoked_tokens + other.revoked_tokens,
            sessions: self.sessions + other.sessions,
            messages: self.messages + other.messages,
            events: self.events + other.events,
            members: self.members + other.members,
        }
    }

    /// Of all kinds together.
    #[must_use]
    pub fn total(self) -> u64 {
        self.users
            + self.revoked_tokens
            + self.sessions
            + self.messages
            + self.events
            + self.members
    }
}

/// What became of the records that a target was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    pub stored: Counts,
    /// The same was there already.
    pub present: Counts,
    pub refused: Counts,
}

/// Something that did not come in, in a sentence with its id.
pub type Trouble = String;

/// A store as a source sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// `sqlite` or `postgres`.
    pub store: &'static str,
    pub epoch: String,
    /// A server used the store when the source was opened: it may go on behind this moment.
    pub is_served: bool,
    /// How many records will come.
    pub counts: Counts,
}

/// Reads a whole store as of one moment.
#[async_trait]
pub trait Source: Send {
    fn about(&self) -> &About;
    /// The next records, [`BATCH_ROWS`] and about [`BATCH_BYTES`] at most; none: that was all.
    async fn next(&mut self) -> Result<Vec<Record>>;
}

/// Takes a whole store, or some of one.
#[async_trait]
pub trait Target: Send {
    /// Comes first. A store without users and sessions takes the epoch, if there is one: what
    /// clients know of the numbers stays true. How many records are there, before.
    async fn begin(&mut self, epoch: Option<&str>) -> Result<Counts>;
    /// Takes records; what became of those of the last session is known when the next one comes,
    /// or at the end. An error ends the import; what was committed stays.
    async fn put(&mut self, records: Vec<Record>) -> Result<Vec<Trouble>>;
    /// The last session is whole if `is_whole`, otherwise it is left out. Gives what trouble there
    /// was, and how many records the store has after the last commit.
    async fn end(&mut self, is_whole: bool) -> Result<(Vec<Trouble>, Counts)>;
    /// What became of the records so far.
    fn tally(&self) -> Tally;
}

impl From<Account> for MovedUser {
    fn from(account: Account) -> Self {
        let Account { user, password_hash, disabled, tokens_valid_from_ms } = account;
        Self {
            id: user.id,
            name: user.name,
            email: user.email,
            kind: user.kind,
            created_at: user.created_at,
            password_hash,
            disabled,
            tokens_valid_from_ms,
        }
    }
}

impl Record {
    /// Of its contents.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Message(message) => message.content.as_ref().map_or(0, String::len),
            _ => 0,
        }
    }

    /// Its place in the log, if it has one.
    #[must_use]
    pub fn seq(&self) -> Option<u64> {
        match self {
            Self::Message(message) => Some(message.seq),
            Self::Event(event) => Some(event.seq),
            _ => None,
        }
    }
}
