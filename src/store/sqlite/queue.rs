//! What waits for the writer: appends, read marks, and other writes, in the order they came.
//!
//! Bounded twice: appends by the bytes that they hold, other writes by their number. The room is
//! taken before an item is queued and goes back when it is answered, so that the queue itself
//! needs no limit. The sleeping writer is woken only if it sleeps: a signal is a system call.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use protocol::{SessionId, UserId};
use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::store::{Action, Append, Error, Permit, Reply, Result};

/// Bytes that appends may hold while they wait.
pub const APPEND_QUEUE_BYTES_MAX: usize = 64 << 20;
/// What an append holds beside its contents, in bytes, about.
pub const APPEND_COST_BYTES: usize = 512;
/// Other writes that may wait.
pub const JOBS_MAX: usize = 1_024;
/// Items of one transaction.
pub const COMMIT_ITEMS_MAX: usize = 1_024;
/// Contents of one transaction, in bytes (one item at least).
pub const COMMIT_BYTES_MAX: usize = 8 << 20;

/// A write that is no event.
pub trait Job: Send {
    /// Does the work within the transaction. An error undoes this job alone.
    fn run(&mut self, connection: &Connection) -> Result<()>;
    /// Answers: after the commit, or with what it failed with.
    fn finish(self: Box<Self>, commit: Result<()>);
}

/// A read mark to be raised.
pub struct Mark {
    pub session: SessionId,
    pub user: UserId,
    pub seq: u64,
    pub reply: oneshot::Sender<Result<Option<u64>>>,
    pub _room: OwnedSemaphorePermit,
}

/// What waits.
pub enum Item {
    Append { append: Append, reply: Reply, permit: Permit },
    Mark(Mark),
    Job(Box<dyn Job>),
}

impl Item {
    /// Of its contents.
    fn bytes(&self) -> usize {
        match self {
            Self::Append { append, .. } => match &append.action {
                Action::Send { draft } => draft.content.len(),
                Action::Edit { content, .. } => content.len(),
                _ => 0,
            },
            Self::Mark(_) | Self::Job(_) => 0,
        }
    }
}

/// What the writer found.
pub enum Taken {
    /// At least one item, in order.
    Items(Vec<Item>),
    /// Nothing came in time.
    Nothing,
    /// The store is closing and everything was taken.
    Closed,
}

pub struct Queue {
    waiting: Mutex<Waiting>,
    wake: Condvar,
    append_room: Arc<Semaphore>,
    job_room: Arc<Semaphore>,
}

#[derive(Default)]
struct Waiting {
    items: VecDeque<Item>,
    /// The writer sleeps and wants a signal.
    sleeping: bool,
    closed: bool,
}

impl Queue {
    pub fn new() -> Self {
        Self {
            waiting: Mutex::default(),
            wake: Condvar::new(),
            append_room: Arc::new(Semaphore::new(APPEND_QUEUE_BYTES_MAX)),
            job_room: Arc::new(Semaphore::new(JOBS_MAX)),
        }
    }

    /// Waits for room for an append with contents of `bytes`.
    pub async fn admit(&self, bytes: usize) -> Permit {
        let cost = bytes.saturating_add(APPEND_COST_BYTES).min(APPEND_QUEUE_BYTES_MAX);
        let cost = u32::try_from(cost).expect("the queue's limit fits 32 bits");
        let room = Arc::clone(&self.append_room).acquire_many_owned(cost).await;
        Permit(room.expect("the room is never closed"))
    }

    /// Waits for room for another write.
    pub async fn admit_job(&self) -> OwnedSemaphorePermit {
        let room = Arc::clone(&self.job_room).acquire_owned().await;
        room.expect("the room is never closed")
    }

    /// Queues an item; drops it, which answers it, when the store is closing.
    pub fn push(&self, item: Item) {
        let mut waiting = self.lock();
        if waiting.closed {
            drop(waiting);
            return;
        }
        waiting.items.push_back(item);
        let wake = std::mem::take(&mut waiting.sleeping);
        drop(waiting);
        if wake {
            self.wake.notify_one();
        }
    }

    /// Takes what waits, as much as one transaction may hold; waits until there is something, or
    /// for `patience`.
    pub fn take(&self, patience: Option<Duration>) -> Taken {
        let mut waiting = self.wait(patience);
        if waiting.items.is_empty() {
            return if waiting.closed { Taken::Closed } else { Taken::Nothing };
        }
        let mut bytes = 0;
        let count = waiting
            .items
            .iter()
            .take(COMMIT_ITEMS_MAX)
            .take_while(|item| {
                let first = bytes == 0;
                bytes += item.bytes();
                first || bytes <= COMMIT_BYTES_MAX
            })
            .count();
        if count == waiting.items.len() {
            let items = std::mem::take(&mut waiting.items);
            drop(waiting);
            return Taken::Items(items.into());
        }
        Taken::Items(waiting.items.drain(..count).collect())
    }

    /// Whether something waits or the store is closing; waits for `patience` until it is so.
    pub fn wait_for_work(&self, patience: Duration) {
        drop(self.wait(Some(patience)));
    }

    /// Takes no more. What waits is still taken by the writer.
    pub fn close(&self) {
        self.lock().closed = true;
        self.wake.notify_one();
    }

    /// Takes no more, and drops what waits: there is no writer any more.
    pub fn abandon(&self) {
        let items = {
            let mut waiting = self.lock();
            waiting.closed = true;
            std::mem::take(&mut waiting.items)
        };
        drop(items);
    }

    fn wait(&self, patience: Option<Duration>) -> MutexGuard<'_, Waiting> {
        let until = patience.map(|patience| Instant::now() + patience);
        let mut waiting = self.lock();
        while waiting.items.is_empty() && !waiting.closed {
            waiting.sleeping = true;
            waiting = match until {
                None => self.wake.wait(waiting).unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        break;
                    }
                    let waited = self.wake.wait_timeout(waiting, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        waiting.sleeping = false;
        waiting
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing panics while the lock is held; if it did, the list would still be whole.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A [`Job`] out of a closure, and the channel that its answer goes through.
struct Task<T, F> {
    work: Option<F>,
    result: Option<T>,
    reply: oneshot::Sender<Result<T>>,
    _room: OwnedSemaphorePermit,
}

/// Makes a job whose answer comes through the receiver once it is durable.
pub fn job<T, F>(
    work: F,
    room: OwnedSemaphorePermit,
) -> (Box<dyn Job>, oneshot::Receiver<Result<T>>)
where
    T: Send + 'static,
    F: FnOnce(&Connection) -> Result<T> + Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    (Box::new(Task { work: Some(work), result: None, reply, _room: room }), answer)
}

impl<T, F> Job for Task<T, F>
where
    T: Send,
    F: FnOnce(&Connection) -> Result<T> + Send,
{
    fn run(&mut self, connection: &Connection) -> Result<()> {
        let work = self.work.take().expect("a job runs once");
        self.result = Some(work(connection)?);
        Ok(())
    }

    fn finish(self: Box<Self>, commit: Result<()>) {
        let Self { result, reply, .. } = *self;
        let no_result = || Error::Other("a job had no result".to_owned());
        let answer = commit.and_then(|()| result.ok_or_else(no_result));
        // Whoever asked may have gone away.
        let _ = reply.send(answer);
    }
}
