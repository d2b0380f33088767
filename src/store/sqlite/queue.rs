//! What waits for the writer: appends, read marks, and other writes, in the order they came.
//!
//! Bounded by the [`Room`] that is taken before an item is queued. The sleeping writer is woken
//! only if it sleeps: a signal is a system call.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use protocol::{SessionId, UserId};
use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::store::room::{self, Room};
use crate::store::{Append, Error, Marked, Permit, Reply, Result};

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
    pub reply: oneshot::Sender<Result<Marked>>,
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
            Self::Append { append, .. } => append.action.bytes(),
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
    /// For what is about to be queued.
    pub room: Room,
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
        Self { waiting: Mutex::default(), wake: Condvar::new(), room: Room::new() }
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
        let count = room::fit(waiting.items.iter().map(Item::bytes));
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
