//! What waits for one lane: appends and read marks, in the order they came.
//!
//! Bounded by the room that is taken before an item is queued, so that the queue itself needs no
//! limit.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::store::postgres::batch::Work;
use crate::store::room;
use crate::store::{Marked, Permit, Reply, Result};

/// So many that wait end a lane's rest.
const COMPANY: usize = 128;

/// Who waits for an item, with the room that it takes.
pub enum Waiter {
    Append(Reply, Permit),
    Mark(oneshot::Sender<Result<Marked>>, OwnedSemaphorePermit),
}

pub struct Item {
    pub work: Work,
    pub waiter: Waiter,
}

#[derive(Default)]
pub struct Queue {
    waiting: Mutex<Waiting>,
    news: Notify,
}

#[derive(Default)]
struct Waiting {
    items: VecDeque<Item>,
    closed: bool,
    /// The lane wants to hear of nothing less than [`COMPANY`].
    is_resting: bool,
}

impl Queue {
    /// Queues an item; drops it, which answers it, when the store is closing.
    pub fn push(&self, item: Item) {
        let mut waiting = self.lock();
        if waiting.closed {
            drop(waiting);
            return;
        }
        waiting.items.push_back(item);
        let is_news = !waiting.is_resting || waiting.items.len() >= COMPANY;
        drop(waiting);
        if is_news {
            self.news.notify_one();
        }
    }

    /// Takes what waits, as much as one transaction may hold; waits until there is something, and
    /// for company as long as `rest`. None: the store is closing and everything was taken.
    pub async fn take(&self, rest: Duration) -> Option<Vec<Item>> {
        let until = Instant::now() + rest;
        loop {
            let rests = {
                let mut waiting = self.lock();
                let is_enough = waiting.items.len() >= COMPANY || waiting.closed;
                waiting.is_resting = !is_enough && Instant::now() < until;
                if !waiting.is_resting && !waiting.items.is_empty() {
                    return Some(waiting.take());
                }
                if waiting.closed {
                    return None;
                }
                waiting.is_resting
            };
            let news = self.news.notified();
            match rests {
                // Time is up, or there is news: either is looked at.
                true => drop(timeout_at(until, news).await),
                false => news.await,
            }
        }
    }

    /// Whether the store is closing and everything was taken.
    pub fn is_done(&self) -> bool {
        let waiting = self.lock();
        waiting.closed && waiting.items.is_empty()
    }

    /// What waits now.
    pub fn take_now(&self) -> Vec<Item> {
        let mut waiting = self.lock();
        waiting.is_resting = false;
        waiting.take()
    }

    /// Waits until there is something, or for `patience`.
    pub async fn wait_for_work(&self, patience: Duration) {
        let news = async {
            while self.lock().items.is_empty() && !self.lock().closed {
                self.news.notified().await;
            }
        };
        let _ = tokio::time::timeout(patience, news).await;
    }

    /// Takes no more. What waits is still taken.
    pub fn close(&self) {
        self.lock().closed = true;
        self.news.notify_one();
    }

    /// Takes no more, and drops what waits: there is no lane any more.
    pub fn abandon(&self) {
        let items = {
            let mut waiting = self.lock();
            waiting.closed = true;
            std::mem::take(&mut waiting.items)
        };
        drop(items);
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing panics while the lock is held; if it did, the list would still be whole.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn take(&mut self) -> Vec<Item> {
        let count = room::fit(self.items.iter().map(|item| item.work.bytes()));
        self.items.drain(..count).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use protocol::{SessionId, UserId};
    use tokio::sync::Semaphore;

    use super::*;

    /// Of those who are sure to be woken otherwise.
    const FOR_EVER: Duration = Duration::from_secs(3_600);

    fn mark() -> Item {
        let room = Arc::new(Semaphore::new(1)).try_acquire_owned().expect("room");
        let work = Work::Mark { session: SessionId::new(), user: UserId::new(), seq: 1 };
        Item { work, waiter: Waiter::Mark(oneshot::channel().0, room) }
    }

    /// How many are taken, after a rest, while something else happens.
    async fn take(queue: &Queue, rest: Duration, meanwhile: impl Future) -> Option<usize> {
        let taking = async { tokio::join!(queue.take(rest), meanwhile).0 };
        let patience = Duration::from_secs(20);
        let taken = tokio::time::timeout(patience, taking).await.expect("it ends");
        taken.map(|items| items.len())
    }

    async fn push(queue: &Queue, count: usize) {
        for _ in 0..count {
            tokio::task::yield_now().await;
            queue.push(mark());
        }
    }

    #[tokio::test]
    async fn a_rest_ends_by_the_clock_and_then_the_first_is_taken_at_once() {
        let queue = Queue::default();
        queue.push(mark());
        let rest = Duration::from_millis(10);
        assert_eq!(take(&queue, rest, async {}).await, Some(1));
        let late = async {
            tokio::time::sleep(rest * 5).await;
            queue.push(mark());
        };
        assert_eq!(take(&queue, rest, late).await, Some(1), "after a rest with nobody");
        queue.push(mark());
        assert_eq!(take(&queue, Duration::ZERO, async {}).await, Some(1), "no rest");
    }

    #[tokio::test]
    async fn enough_company_ends_a_rest_and_so_does_the_end() {
        let queue = Queue::default();
        assert_eq!(take(&queue, FOR_EVER, push(&queue, COMPANY)).await, Some(COMPANY));
        let close = async {
            push(&queue, COMPANY - 1).await;
            queue.close();
        };
        assert_eq!(take(&queue, FOR_EVER, close).await, Some(COMPANY - 1), "all that came");
        assert_eq!(take(&queue, FOR_EVER, async {}).await, None);
    }

    /// A lane that lost its connection in its rest still hears of what comes.
    #[tokio::test]
    async fn a_rest_that_was_broken_off_keeps_nobody_from_being_heard() {
        let queue = Queue::default();
        let broken = tokio::time::timeout(Duration::from_millis(5), queue.take(FOR_EVER)).await;
        assert!(broken.is_err());
        assert!(queue.take_now().is_empty());
        let heard = async { tokio::join!(queue.wait_for_work(FOR_EVER), push(&queue, 1)) };
        let patience = Duration::from_secs(20);
        tokio::time::timeout(patience, heard).await.expect("it was heard");
    }
}
