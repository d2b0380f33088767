//! THE TRUTH: what is stored, and the promises under which it is.
//!
//! [`Store`] is what the domain sees; the backends (`sqlite`, `postgres`) are twins: the same
//! methods in the same order, run through the same contract suite (`tests/it/store`). A store
//! returns nouns (the model of `protocol`), never frames; absence is an `Option`, never an error.
//!
//! Promises, whatever the backend:
//!
//! * **Durable.** What was answered with success survives `kill -9` and a power cut.
//! * **One order.** [`Store::append`] numbers events 1, 2, 3, … in each session, without a gap,
//!   in the transaction that inserts them; membership, ownership and `client_id` are checked in
//!   that transaction. Who is no member there is refused there.
//! * **Group commit.** Appends of all sessions that wait together are committed together. One
//!   that is refused fails alone, never its batch.
//! * **The sink comes first.** Each commit goes to the [`Sink`], those of a session in their order,
//!   with its answers inside: whoever delivers decides when the senders hear of it, and does so
//!   after it delivered.
//! * **Bounded.** [`Store::admit`] is the only place where an append waits for room.
//! * **Failure.** A failed or unknown commit acknowledges nothing and makes the store forget all
//!   that it remembered between commits; it works again by itself when the cause is gone.

mod fault;
mod kind;
pub mod moving;
mod outcome;
pub mod postgres;
mod room;
mod rows;
mod schema;
pub mod sqlite;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use protocol::{
    Event, Message, MessageId, Participant, ParticipantId, ParticipantRow, Session, SessionId,
    Timestamp, User, UserId, UserKind,
};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use uuid::Uuid;

/// What a store may answer instead of a result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The rules of the data say no; nothing was changed.
    #[error("refused: {0:?}")]
    Refused(Refusal),
    /// The store is out of reach or can't write (disk full, I/O error). Nothing was acknowledged.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// A stored value can't be what it is.
    #[error("corrupt data in {table}, row {row}: {what}")]
    Corrupt { table: &'static str, row: String, what: String },
    /// A fault of ours.
    #[error("store: {0}")]
    Other(String),
}

/// What a store answers.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a write was refused, decided in its transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    EmailTaken,
    /// There is an account with this id already.
    UserExists,
    SessionNotFound,
    NotAMember,
    NotSessionOwner,
    UserNotFound,
    AlreadyParticipant,
    ParticipantNotFound,
    OwnerCannotLeave,
    MessageNotFound,
    NotMessageSender,
    MessageDeleted,
    ClientIdReused,
}

/// An account with what only `auth` may see.
#[derive(Clone)]
pub struct Account {
    pub user: User,
    /// A PHC string; none for accounts of a host application and for agents.
    pub password_hash: Option<String>,
    pub disabled: bool,
    /// Tokens issued before this moment (milliseconds since 1970) have ended.
    pub tokens_valid_from_ms: i64,
}

/// An account to be made.
pub struct NewAccount {
    pub id: UserId,
    pub name: String,
    pub email: String,
    pub kind: UserKind,
    pub password_hash: Option<String>,
    pub at: Timestamp,
}

/// An end of tokens before their time. Every node follows the log of these by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// All tokens of the user issued before this moment; `i64::MAX` when disabled.
    User { user: UserId, issued_before_ms: i64 },
    /// One token, by its `jti`.
    Token { id: Uuid },
}

/// A ticket for one WebSocket handshake. The store keeps the hash of its text only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    pub hash: [u8; 32],
    pub user: UserId,
    /// Of the token that it was made with.
    pub token_id: Option<Uuid>,
    pub token_issued_ms: i64,
    pub token_expires: Timestamp,
    /// After this the ticket is worth nothing.
    pub expires: Timestamp,
}

/// A session as one user may see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// With `is_owner` set for that user.
    pub session: Session,
    pub is_member: bool,
    /// The user's read mark; 0 for others than members.
    pub read_seq: u64,
}

/// A session in its member's list, with the session's last live message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub session: Session,
    pub unread_count: u64,
    pub last_message: Option<Message>,
}

/// Some items in order, and whether there are more behind them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub more: bool,
}

/// A page of a session's log and the head as of the same moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPage {
    pub events: Vec<Arc<Event>>,
    pub head: u64,
    /// The session was deleted: its contents are going or gone.
    pub deleted: bool,
}

/// A password to be set.
#[derive(Clone, Debug)]
pub struct NewPassword {
    pub hash: String,
    /// All earlier tokens end, which is a [`Revocation`] in the same transaction; without it only
    /// the hash changes.
    pub valid_from_ms: Option<i64>,
    /// Only where this is the present hash; without it, whatever that is.
    pub instead_of: Option<String>,
}

/// A read mark, as it is now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marked {
    pub seq: u64,
    /// It was lower before.
    pub has_grown: bool,
}

/// Which messages of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageRange {
    /// The newest ones.
    Newest,
    /// The newest ones with a smaller seq.
    Before(u64),
    /// The oldest ones with a larger seq.
    After(u64),
    /// The oldest ones above the first and below the second.
    Between(u64, u64),
}

/// Something durable that is to happen in a session.
#[derive(Clone, Debug)]
pub struct Append {
    pub session: SessionId,
    /// Who wants it. What they may do is checked in the transaction.
    pub actor: UserId,
    pub at: Timestamp,
    pub action: Action,
}

/// What is to happen.
#[derive(Clone, Debug)]
pub enum Action {
    /// A member writes. A repeat by `client_id` with the same `request_hash` is answered with
    /// the stored message and changes nothing.
    Send { draft: Draft },
    /// The sender changes a message's content.
    Edit { message: MessageId, content: String },
    /// The sender or the owner deletes a message: its content is gone from the store's files
    /// when the commit reaches the sink.
    Delete { message: MessageId },
    /// The owner gives a user access.
    AddParticipant { id: ParticipantId, user: UserId },
    /// The owner takes a participant's access.
    RemoveParticipant { user: UserId },
    /// A participant leaves.
    Leave,
    /// The owner changes the title.
    Rename { title: String },
    /// The owner deletes the session. Its contents are purged in small steps behind it.
    DeleteSession,
}

impl Action {
    /// Of its contents.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Send { draft } => draft.content.len(),
            Self::Edit { content, .. } => content.len(),
            _ => 0,
        }
    }
}

/// A message before it has a number.
#[derive(Clone, Debug)]
pub struct Draft {
    pub id: MessageId,
    /// Without U+0000, which PostgreSQL keeps in no text.
    pub content: String,
    pub file_url: Option<String>,
    pub is_ai_message: bool,
    pub client_id: Option<String>,
    /// Of all that makes two requests the same; kept beside `client_id`, also in the tombstone.
    pub request_hash: [u8; 16],
}

/// The outcome of an append.
#[derive(Clone, Debug)]
pub enum Appended {
    /// It happened, as this event.
    New(Arc<Event>),
    /// It had happened before: the stored message in its present form.
    Repeat(Box<Message>),
}

/// Room for one append in the store's queue; goes back when the append is answered.
#[derive(Debug)]
pub struct Permit(pub OwnedSemaphorePermit);

/// Resolves when the append is durable and delivered, or refused. A dropped sender means that
/// the store stopped: unavailable.
pub type Pending = oneshot::Receiver<Result<Appended>>;

/// The other end of a [`Pending`].
pub type Reply = oneshot::Sender<Result<Appended>>;

/// What one transaction made durable.
pub struct Commit {
    /// In the order of their numbers within each session.
    pub events: Vec<Arc<Event>>,
    /// Who waits for what; answered by [`Commit::answer`].
    pub answers: Vec<(Reply, Result<Appended>, Permit)>,
    /// Time that the commit itself took.
    pub took: Duration,
    /// When it was durable.
    pub at: Instant,
}

impl Commit {
    /// Tells the senders. Comes after delivery.
    pub fn answer(self) {
        for (reply, outcome, _permit) in self.answers {
            // A sender that has gone away meanwhile does not care.
            let _ = reply.send(outcome);
        }
    }
}

/// Takes each commit on a thread of the store's own. It may block while the node has more commits
/// to deliver than it can hold.
pub type Sink = Box<dyn Fn(Commit) + Send>;

/// What `/readyz` needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// What the last commit failed with, until one goes well again.
    pub last_commit: std::result::Result<(), String>,
    /// Free space where the store writes, in bytes, if it can tell.
    pub free_bytes: Option<u64>,
    /// Seconds by which this machine's clock is ahead of the store's (or, below nothing, behind),
    /// where that is too much.
    pub clock_ahead_seconds: Option<i64>,
}

/// The truth. See the module's promises.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    // Accounts.

    /// Refused: `EmailTaken` (compared case-insensitively), `UserExists`.
    async fn create_account(&self, new: NewAccount) -> Result<User>;
    async fn account(&self, user: UserId) -> Result<Option<Account>>;
    /// Compared case-insensitively.
    async fn account_by_email(&self, email: &str) -> Result<Option<Account>>;
    /// In the order of ids, above `after`.
    async fn accounts(&self, after: Option<UserId>, limit: usize) -> Result<Vec<Account>>;
    /// False: no such account, or the hash to be replaced is another by now.
    async fn set_password(&self, user: UserId, new: NewPassword) -> Result<bool>;
    /// Disabling ends all tokens, as a [`Revocation`] in the same transaction. False: no such
    /// account.
    async fn set_disabled(&self, user: UserId, disabled: bool, at: Timestamp) -> Result<bool>;

    // Tokens.

    /// Ends tokens and appends to the log of revocations; of a user too, without a new password.
    async fn revoke(&self, revocation: Revocation, at: Timestamp) -> Result<()>;
    async fn is_token_revoked(&self, id: Uuid) -> Result<bool>;
    /// The revocations numbered above `after`, oldest first, 1,000 at most, with their numbers.
    async fn revocations(&self, after: u64) -> Result<Vec<(u64, Revocation)>>;
    /// The number of the last revocation, 0 when there is none.
    async fn revocation_head(&self) -> Result<u64>;
    /// Keeps a ticket, and drops those that have expired at `now`.
    async fn put_ticket(&self, ticket: Ticket, now: Timestamp) -> Result<()>;
    /// Takes a ticket out, once only; none if it is unknown, taken, or expired at `now`.
    async fn take_ticket(&self, hash: [u8; 32], now: Timestamp) -> Result<Option<Ticket>>;

    // Sessions.

    async fn create_session(
        &self,
        id: SessionId,
        owner: UserId,
        title: String,
        at: Timestamp,
    ) -> Result<Session>;
    /// None: there is no such session, or it was deleted.
    async fn access(&self, session: SessionId, user: UserId) -> Result<Option<Access>>;
    /// Owned and participating, by the last event's time then id, newest first, from behind
    /// `before`; an unknown `before` gives none at all (`None`).
    async fn sessions_of(
        &self,
        user: UserId,
        before: Option<SessionId>,
        limit: usize,
    ) -> Result<Option<Page<Listed>>>;
    /// The owner first, then by `created_at`, then id, from behind the row with id `before`; an
    /// unknown `before` gives `None`.
    async fn participants(
        &self,
        session: SessionId,
        before: Option<ParticipantId>,
        limit: usize,
    ) -> Result<Option<Page<ParticipantRow>>>;
    async fn member_count(&self, session: SessionId) -> Result<u64>;
    /// All members, also of a session that was just deleted, in no order.
    async fn member_ids(&self, session: SessionId) -> Result<Vec<UserId>>;
    /// Raises the user's read mark to `seq`, or to the head if that is lower. Refused:
    /// `SessionNotFound`, `NotAMember`.
    async fn set_read_mark(&self, session: SessionId, user: UserId, seq: u64) -> Result<Marked>;

    // The log.

    /// Waits for room in the queue of appends, first come first served. `bytes` is the size of
    /// what will be appended.
    async fn admit(&self, bytes: usize) -> Permit;
    /// Queues an append. Never blocks; those of a session are taken in the order of these calls.
    fn append(&self, append: Append, permit: Permit) -> Pending;
    /// The events above `after`, oldest first: `limit` at most, fewer when their contents pass
    /// [`protocol::limits::PAGE_BYTES_MAX`], one at least if there is any. Messages are in their
    /// present form; events of a deleted message are `message.deleted` under their own seq.
    /// None: there is no trace of such a session.
    async fn log(&self, session: SessionId, after: u64, limit: usize) -> Result<Option<LogPage>>;
    /// The last numbers of these sessions' logs, in no order; of deleted ones too. What there is no
    /// trace of is left out.
    async fn heads(&self, sessions: &[SessionId]) -> Result<Vec<(SessionId, u64)>>;
    /// Messages, ascending by seq, without deleted ones; pages end as those of [`Store::log`].
    /// For a reader, whose membership is looked up in the same moment; refused:
    /// `SessionNotFound`, `NotAMember`. Without one nothing is refused: there are just none.
    async fn messages(
        &self,
        session: SessionId,
        reader: Option<UserId>,
        range: MessageRange,
        limit: usize,
    ) -> Result<Page<Message>>;
    /// A message that was not deleted.
    async fn message(&self, session: SessionId, message: MessageId) -> Result<Option<Message>>;

    // Upkeep.

    /// The present epoch (contract, section 6).
    async fn epoch(&self) -> Result<String>;
    /// Makes a new epoch. Running nodes take it up when they start.
    async fn renew_epoch(&self) -> Result<String>;
    async fn health(&self) -> Health;
    /// Commits what is queued, then takes no more. Returns when all files are closed.
    async fn close(&self);
}

/// Says what is wrong with the address of a database, if anything, and nothing secret of it.
pub fn check_database_url(url: &str) -> std::result::Result<(), String> {
    let said = match postgres::Address::parse(url) {
        Ok(_) => return Ok(()),
        Err(Error::Other(said)) => said,
        Err(other) => other.to_string(),
    };
    Err(said.strip_prefix("database_url ").map_or(said.clone(), str::to_owned))
}

/// The answer to `POST …/participants` out of the event that it became.
#[must_use]
pub fn participant_of(event: &Event) -> Option<Participant> {
    let protocol::Change::ParticipantAdded(row) = &event.change else { return None };
    Some(Participant {
        id: row.id,
        session_id: event.session_id,
        user_id: row.user_id,
        created_at: row.created_at,
    })
}
