//! The embedded store: one SQLite database in the data folder.
//!
//! One thread writes ([`writer`]): it commits what waits ([`queue`]) in one transaction
//! ([`batch`]), remembering heads and members between commits ([`known`]). A few connections read
//! ([`readers`]). The files: [`folder`] (paths, modes, the server's lock), [`connection`] (how
//! SQLite is set), [`migrate`], [`backup`]; all of it at once: [`moving`]. The tables by noun:
//! [`accounts`], [`tokens`], [`sessions`], [`participants`], [`messages`], [`log`].
//!
//! The CLI opens the same folder beside a running server ([`Mode::Beside`]): it may do everything
//! but append, which needs the server's sink.

mod accounts;
pub mod backup;
mod batch;
mod chores;
mod client_ids;
mod column;
mod connection;
mod fault;
mod folder;
mod hot;
mod known;
mod log;
mod messages;
mod meta;
mod migrate;
pub mod moving;
mod participants;
mod place;
#[cfg(test)]
mod plans;
mod queue;
mod readers;
mod sessions;
mod tokens;
mod writer;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use async_trait::async_trait;
use protocol::{
    Message, MessageId, ParticipantId, ParticipantRow, Session, SessionId, Timestamp, User, UserId,
};
use rusqlite::Connection;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::store::outcome::Outcome;
use crate::store::rows::new_session;
use crate::store::{
    Access, Account, Append, Health, Listed, LogPage, Marked, MessageRange, NewAccount,
    NewPassword, Page, Pending, Permit, Result, Revocation, Sink, Store, Ticket,
};
use fault::stopped;
use folder::{Folder, Lock};
use queue::{Item, Mark, Queue};
use readers::Readers;
use writer::Writer;

/// As whom a store is opened.
pub enum Mode {
    /// The one server of the folder.
    Server { sink: Sink },
    /// A tool, with or without a server beside it.
    Beside,
}

/// The store in a data folder.
pub struct Sqlite {
    folder: Folder,
    queue: Arc<Queue>,
    readers: Readers,
    outcome: Arc<Outcome>,
    epoch: Arc<str>,
    thread: Mutex<Option<JoinHandle<()>>>,
    lock: Mutex<Option<Lock>>,
}

impl Sqlite {
    /// Opens the store in `dir`, makes it if there is none, and brings its schema up to date.
    /// Blocks for as long as that takes.
    pub fn open(dir: &Path, mode: Mode) -> Result<Self> {
        connection::check_version()?;
        let folder = Folder::new(dir);
        folder.prepare_dir()?;
        let sink = match mode {
            Mode::Server { sink } => Some(sink),
            Mode::Beside => None,
        };
        let lock = sink.is_some().then(|| folder.lock()).transpose()?;
        folder.prepare_database()?;
        let mut first = connection::writer(&folder.database())?;
        if sink.is_some() {
            migrate::run_locked(&mut first, &folder)?;
            meta::take_over_copy(&mut first)?;
        } else {
            migrate::run(&mut first, &folder)?;
        }
        let epoch: Arc<str> = meta::epoch(&first)?.into();
        drop(first);

        let queue = Arc::new(Queue::new());
        let outcome = Arc::new(Outcome::default());
        let writer = Writer {
            folder: folder.clone(),
            queue: Arc::clone(&queue),
            outcome: Arc::clone(&outcome),
            epoch: epoch.to_string(),
            sink,
        };
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run())?;
        Ok(Self {
            readers: Readers::new(folder.clone()),
            folder,
            queue,
            outcome,
            epoch,
            thread: Mutex::new(Some(thread)),
            lock: Mutex::new(lock),
        })
    }

    /// A write that is no append.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let room = self.queue.room.admit_job().await;
        let (job, answer) = queue::job(work, room);
        self.queue.push(Item::Job(job));
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        // The thread ends by itself once it has committed what waits.
        self.queue.close();
    }
}

#[async_trait]
impl Store for Sqlite {
    async fn create_account(&self, new: NewAccount) -> Result<User> {
        self.write(move |connection| accounts::create(connection, new)).await
    }

    async fn account(&self, user: UserId) -> Result<Option<Account>> {
        self.readers.read(move |connection| accounts::find(connection, user)).await
    }

    async fn account_by_email(&self, email: &str) -> Result<Option<Account>> {
        let email = email.to_owned();
        self.readers.read(move |connection| accounts::find_by_email(connection, &email)).await
    }

    async fn accounts(&self, after: Option<UserId>, limit: usize) -> Result<Vec<Account>> {
        self.readers.read(move |connection| accounts::list(connection, after, limit)).await
    }

    async fn set_password(&self, user: UserId, new: NewPassword) -> Result<bool> {
        let at = Timestamp::now();
        self.write(move |connection| accounts::set_password(connection, user, &new, at)).await
    }

    async fn set_disabled(&self, user: UserId, disabled: bool, at: Timestamp) -> Result<bool> {
        self.write(move |connection| accounts::set_disabled(connection, user, disabled, at)).await
    }

    async fn revoke(&self, revocation: Revocation, at: Timestamp) -> Result<()> {
        self.write(move |connection| tokens::revoke(connection, revocation, at)).await
    }

    async fn is_token_revoked(&self, id: Uuid) -> Result<bool> {
        self.readers.read(move |connection| tokens::is_revoked(connection, id)).await
    }

    async fn revocations(&self, after: u64) -> Result<Vec<(u64, Revocation)>> {
        self.readers.read(move |connection| tokens::revocations(connection, after)).await
    }

    async fn revocation_head(&self) -> Result<u64> {
        self.readers.read(tokens::head).await
    }

    async fn put_ticket(&self, ticket: Ticket, now: Timestamp) -> Result<()> {
        self.write(move |connection| tokens::put_ticket(connection, &ticket, now)).await
    }

    async fn take_ticket(&self, hash: [u8; 32], now: Timestamp) -> Result<Option<Ticket>> {
        self.write(move |connection| tokens::take_ticket(connection, hash, now)).await
    }

    async fn create_session(
        &self,
        id: SessionId,
        owner: UserId,
        title: String,
        at: Timestamp,
    ) -> Result<Session> {
        let new = new_session(id, owner, title, at, &self.epoch);
        self.write(move |connection| sessions::create(connection, new)).await
    }

    async fn access(&self, session: SessionId, user: UserId) -> Result<Option<Access>> {
        let epoch = Arc::clone(&self.epoch);
        self.readers
            .read(move |connection| sessions::access(connection, &epoch, session, user))
            .await
    }

    async fn sessions_of(
        &self,
        user: UserId,
        before: Option<SessionId>,
        limit: usize,
    ) -> Result<Option<Page<Listed>>> {
        let epoch = Arc::clone(&self.epoch);
        self.readers
            .read(move |connection| sessions::list(connection, &epoch, user, before, limit))
            .await
    }

    async fn participants(
        &self,
        session: SessionId,
        before: Option<ParticipantId>,
        limit: usize,
    ) -> Result<Option<Page<ParticipantRow>>> {
        self.readers
            .read(move |connection| participants::list(connection, session, before, limit))
            .await
    }

    async fn member_count(&self, session: SessionId) -> Result<u64> {
        self.readers.read(move |connection| participants::count(connection, session)).await
    }

    async fn member_ids(&self, session: SessionId) -> Result<Vec<UserId>> {
        self.readers.read(move |connection| participants::ids(connection, session)).await
    }

    async fn set_read_mark(&self, session: SessionId, user: UserId, seq: u64) -> Result<Marked> {
        let room = self.queue.room.admit_job().await;
        let (reply, answer) = oneshot::channel();
        self.queue.push(Item::Mark(Mark { session, user, seq, reply, _room: room }));
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }

    async fn admit(&self, bytes: usize) -> Permit {
        self.queue.room.admit(bytes).await
    }

    fn append(&self, append: Append, permit: Permit) -> Pending {
        let (reply, pending) = oneshot::channel();
        self.queue.push(Item::Append { append, reply, permit });
        pending
    }

    async fn log(&self, session: SessionId, after: u64, limit: usize) -> Result<Option<LogPage>> {
        let epoch = Arc::clone(&self.epoch);
        self.readers
            .read(move |connection| log::page(connection, &epoch, session, after, limit))
            .await
    }

    async fn heads(&self, sessions: &[SessionId]) -> Result<Vec<(SessionId, u64)>> {
        let sessions = sessions.to_vec();
        self.readers.read(move |connection| sessions::heads(connection, &sessions)).await
    }

    async fn messages(
        &self,
        session: SessionId,
        reader: Option<UserId>,
        range: MessageRange,
        limit: usize,
    ) -> Result<Page<Message>> {
        self.readers
            .read(move |connection| log::messages(connection, session, reader, (range, limit)))
            .await
    }

    async fn message(&self, session: SessionId, message: MessageId) -> Result<Option<Message>> {
        self.readers.read(move |connection| log::message(connection, session, message)).await
    }

    async fn epoch(&self) -> Result<String> {
        Ok(self.epoch.to_string())
    }

    async fn renew_epoch(&self) -> Result<String> {
        self.write(meta::renew_epoch).await
    }

    async fn health(&self) -> Health {
        let folder = self.folder.clone();
        let free = tokio::task::spawn_blocking(move || folder.free_bytes()).await;
        Health {
            last_commit: self.outcome.get(),
            free_bytes: free.unwrap_or(None),
            clock_ahead_seconds: None,
        }
    }

    async fn close(&self) {
        self.queue.close();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A writer that panicked has said so already.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
        self.readers.close().await;
        drop(self.lock.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}
