//! The store on PostgreSQL: for more than one machine, or where there is one already.
//!
//! Appends and read marks run in [`LANES`] lanes by the hash of the session ([`lane`], [`queue`]):
//! each commits what waits in one transaction ([`batch`], [`gathered`], [`hot`]). Everything else
//! has a few pooled connections ([`pool`]). How the server is reached: [`connection`]; its schema:
//! [`migrate`]; purges: [`chores`]; all of it at once: [`moving`]. The tables by noun:
//! [`accounts`], [`tokens`], [`sessions`], [`participants`], [`messages`], [`log`].
//!
//! Nothing is remembered between transactions: what this node knows, another may have changed.
//!
//! The CLI opens the same database beside a running server ([`Mode::Beside`]): it may do
//! everything but append, which needs the server's sink.

mod accounts;
mod batch;
mod chores;
mod clock;
mod column;
mod connection;
mod fault;
mod gathered;
mod hot;
mod lane;
mod log;
mod messages;
mod meta;
mod migrate;
pub mod moving;
pub mod original;
mod participants;
mod pool;
mod queue;
mod sessions;
#[cfg(test)]
mod statements;
mod tokens;

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use async_trait::async_trait;
use protocol::{
    Message, MessageId, ParticipantId, ParticipantRow, Session, SessionId, Timestamp, User, UserId,
};
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::store::fault::{only_the_server, stopped};
use crate::store::outcome::Outcome;
use crate::store::room::Room;
use crate::store::rows::new_session;
use crate::store::{
    Access, Account, Append, Error, Health, Listed, LogPage, Marked, MessageRange, NewAccount,
    NewPassword, Page, Pending, Permit, Result, Revocation, Sink, Store, Ticket,
};
use batch::Work;
use clock::Clock;
pub use connection::Address;
use lane::Lane;
use pool::Pool;
use queue::{Item, Queue, Waiter};

/// Transactions of appends that a node has under way at the same time.
const LANES: usize = 2;

/// As whom a store is opened.
pub enum Mode {
    /// A server. One that is not `alone` hears of other nodes' events by a bus, as they all do.
    Server { sink: Sink, alone: bool },
    /// A tool, with or without a server beside it.
    Beside,
}

/// What the nodes of this store meet by: the database, and the store's own id.
#[derive(Clone)]
pub struct Meeting {
    pub address: Address,
    pub store_id: String,
}

/// The store in a PostgreSQL database.
pub struct Postgres {
    pool: Arc<Pool>,
    room: Room,
    /// None beside a server.
    lanes: Vec<Running>,
    epoch: Arc<str>,
    meeting: Meeting,
    clock: Arc<Clock>,
    /// Ends the chores.
    stop: CancellationToken,
}

/// A lane that runs, as the store sees it.
struct Running {
    queue: Arc<Queue>,
    outcome: Arc<Outcome>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Postgres {
    /// Opens the store at a `postgres://` address, and brings its schema up to date.
    pub async fn open(url: &str, mode: Mode) -> Result<Self> {
        let address = Address::parse(url)?;
        let (mut first, connection) = address.connect().await?;
        let driver = tokio::spawn(connection::drive(connection));
        connection::check_server(&first).await?;
        migrate::run(&mut first).await?;
        let epoch: Arc<str> = meta::epoch(&first).await?.into();
        let store_id = meta::store_id(&first).await?;
        drop(first);
        // It says goodbye to the server first; how it ends is of no interest.
        let _ = driver.await;

        let pool = Arc::new(Pool::new(&address)?);
        let (room, stop) = (Room::new(), CancellationToken::new());
        let meeting = Meeting { address: address.clone(), store_id };
        let clock = Arc::<Clock>::default();
        let mut store = Self { pool, room, lanes: Vec::new(), epoch, meeting, clock, stop };
        if let Mode::Server { sink, alone } = mode {
            store.start(&address, sink, alone).await?;
        }
        Ok(store)
    }

    /// Where the nodes of this store meet.
    #[must_use]
    pub fn meeting(&self) -> Meeting {
        self.meeting.clone()
    }

    async fn start(&mut self, address: &Address, sink: Sink, alone: bool) -> Result<()> {
        let sink = Arc::new(Mutex::new(sink));
        let deleted = Arc::new(Notify::new());
        for number in 0..LANES {
            let (queue, outcome) = (Arc::<Queue>::default(), Arc::<Outcome>::default());
            let lane = Lane {
                number: number as i32,
                alone,
                address: address.clone(),
                queue: queue.clone(),
                outcome: outcome.clone(),
                epoch: self.epoch.clone(),
                sink: sink.clone(),
                deleted: deleted.clone(),
            };
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| Error::Other(error.to_string()))?;
            let (ready, connected) = oneshot::channel();
            let thread = std::thread::Builder::new()
                .name(format!("store-lane-{number}"))
                .spawn(move || lane.run(&runtime, ready));
            let thread = thread.map_err(|error| Error::Other(error.to_string()))?;
            self.lanes.push(Running { queue, outcome, thread: Mutex::new(Some(thread)) });
            connected.await.unwrap_or_else(|_| Err(stopped()))?;
        }
        self.clock.look(&self.pool).await?;
        tokio::spawn(self.clock.clone().watch(self.pool.clone(), self.stop.clone()));
        tokio::spawn(chores::run(self.pool.clone(), deleted, self.stop.clone()));
        Ok(())
    }

    /// Where the appends of a session go; none beside a server.
    fn lane(&self, session: SessionId) -> Option<&Running> {
        // The second half of an id is random.
        let (_, random) = session.0.as_u64_pair();
        self.lanes.get(random as usize % self.lanes.len().max(1))
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // The threads end by themselves once they have committed what waits.
        for lane in &self.lanes {
            lane.queue.close();
        }
        self.stop.cancel();
    }
}

#[async_trait]
impl Store for Postgres {
    async fn create_account(&self, new: NewAccount) -> Result<User> {
        self.pool.write(async |work| accounts::create(work, new).await).await
    }

    async fn account(&self, user: UserId) -> Result<Option<Account>> {
        accounts::find(&self.pool.reader().await?, user).await
    }

    async fn account_by_email(&self, email: &str) -> Result<Option<Account>> {
        accounts::find_by_email(&self.pool.reader().await?, email).await
    }

    async fn accounts(&self, after: Option<UserId>, limit: usize) -> Result<Vec<Account>> {
        accounts::list(&self.pool.reader().await?, after, limit).await
    }

    async fn set_password(&self, user: UserId, new: NewPassword) -> Result<bool> {
        let at = Timestamp::now();
        self.pool.write(async |work| accounts::set_password(work, user, &new, at).await).await
    }

    async fn set_disabled(&self, user: UserId, disabled: bool, at: Timestamp) -> Result<bool> {
        self.pool.write(async |work| accounts::set_disabled(work, user, disabled, at).await).await
    }

    async fn revoke(&self, revocation: Revocation, at: Timestamp) -> Result<()> {
        self.pool.write(async |work| tokens::revoke(work, revocation, at).await).await
    }

    async fn is_token_revoked(&self, id: Uuid) -> Result<bool> {
        tokens::is_revoked(&self.pool.reader().await?, id).await
    }

    async fn revocations(&self, after: u64) -> Result<Vec<(u64, Revocation)>> {
        tokens::revocations(&self.pool.reader().await?, after).await
    }

    async fn revocation_head(&self) -> Result<u64> {
        tokens::head(&self.pool.reader().await?).await
    }

    async fn put_ticket(&self, ticket: Ticket, now: Timestamp) -> Result<()> {
        self.pool.write(async |work| tokens::put_ticket(work, &ticket, now).await).await
    }

    async fn take_ticket(&self, hash: [u8; 32], now: Timestamp) -> Result<Option<Ticket>> {
        self.pool.write(async |work| tokens::take_ticket(work, hash, now).await).await
    }

    async fn create_session(
        &self,
        id: SessionId,
        owner: UserId,
        title: String,
        at: Timestamp,
    ) -> Result<Session> {
        let new = new_session(id, owner, title, at, &self.epoch);
        self.pool.write(async |work| sessions::create(work, new).await).await
    }

    async fn access(&self, session: SessionId, user: UserId) -> Result<Option<Access>> {
        sessions::access(&self.pool.reader().await?, &self.epoch, session, user).await
    }

    async fn sessions_of(
        &self,
        user: UserId,
        before: Option<SessionId>,
        limit: usize,
    ) -> Result<Option<Page<Listed>>> {
        sessions::list(&self.pool.reader().await?, &self.epoch, user, before, limit).await
    }

    async fn participants(
        &self,
        session: SessionId,
        before: Option<ParticipantId>,
        limit: usize,
    ) -> Result<Option<Page<ParticipantRow>>> {
        participants::list(&self.pool.reader().await?, session, before, limit).await
    }

    async fn member_count(&self, session: SessionId) -> Result<u64> {
        participants::count(&self.pool.reader().await?, session).await
    }

    async fn member_ids(&self, session: SessionId) -> Result<Vec<UserId>> {
        participants::ids(&self.pool.reader().await?, session).await
    }

    async fn set_read_mark(&self, session: SessionId, user: UserId, seq: u64) -> Result<Marked> {
        let Some(lane) = self.lane(session) else { return Err(only_the_server()) };
        let room = self.room.admit_job().await;
        let (reply, answer) = oneshot::channel();
        let work = Work::Mark { session, user, seq };
        lane.queue.push(Item { work, waiter: Waiter::Mark(reply, room) });
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }

    async fn admit(&self, bytes: usize) -> Permit {
        self.room.admit(bytes).await
    }

    fn append(&self, append: Append, permit: Permit) -> Pending {
        let (reply, pending) = oneshot::channel();
        match self.lane(append.session) {
            Some(lane) => {
                let waiter = Waiter::Append(reply, permit);
                lane.queue.push(Item { work: Work::Append(append), waiter });
            }
            // Whoever asked holds the other end.
            None => drop(reply.send(Err(only_the_server()))),
        }
        pending
    }

    async fn log(&self, session: SessionId, after: u64, limit: usize) -> Result<Option<LogPage>> {
        log::page(&self.pool.reader().await?, &self.epoch, session, after, limit).await
    }

    async fn heads(&self, sessions: &[SessionId]) -> Result<Vec<(SessionId, u64)>> {
        sessions::heads(&self.pool.reader().await?, sessions).await
    }

    async fn messages(
        &self,
        session: SessionId,
        reader: Option<UserId>,
        range: MessageRange,
        limit: usize,
    ) -> Result<Page<Message>> {
        log::messages(&self.pool.reader().await?, session, reader, (range, limit)).await
    }

    async fn message(&self, session: SessionId, message: MessageId) -> Result<Option<Message>> {
        log::message(&self.pool.reader().await?, session, message).await
    }

    async fn epoch(&self) -> Result<String> {
        Ok(self.epoch.to_string())
    }

    async fn renew_epoch(&self) -> Result<String> {
        self.pool.write(meta::renew_epoch).await
    }

    async fn health(&self) -> Health {
        let outcomes = self.lanes.iter().map(|lane| lane.outcome.get());
        let last_commit = outcomes.collect::<std::result::Result<(), String>>();
        Health { last_commit, free_bytes: None, clock_ahead_seconds: self.clock.ahead_seconds() }
    }

    async fn close(&self) {
        for lane in &self.lanes {
            lane.queue.close();
        }
        for lane in &self.lanes {
            let thread = lane.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(thread) = thread {
                // A lane that panicked has said so already.
                let _ = tokio::task::spawn_blocking(move || thread.join()).await;
            }
        }
        self.stop.cancel();
        self.pool.close();
    }
}
