//! What waits for one lane: appends and read marks, in the order they came.
//!
//! Bounded by the room that is taken before an item is queued, so that the queue itself needs no
//! limit.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, oneshot};

use crate::store::postgres::batch::Work;
use crate::store::room;
use crate::store::{Marked, Permit, Reply, Result};

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
        drop(waiting);
        self.news.notify_one();
    }

    /// Takes what waits, as much as one transaction may hold; waits until there is something.
    /// None: the store is closing and everything was taken.
    pub async fn take(&self) -> Option<Vec<Item>> {
        loop {
            {
                let mut waiting = self.lock();
                if !waiting.items.is_empty() {
                    return Some(waiting.take());
                }
                if waiting.closed {
                    return None;
                }
            }
            self.news.notified().await;
        }
    }

    /// Whether the store is closing and everything was taken.
    pub fn is_done(&self) -> bool {
        let waiting = self.lock();
        waiting.closed && waiting.items.is_empty()
    }

    /// What waits now.
    pub fn take_now(&self) -> Vec<Item> {
        self.lock().take()
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
