//! How much may wait to be written: appends by the bytes that they hold, other writes by their
//! number. The room is taken before an item is queued and goes back when it is answered, so that a
//! queue itself needs no limit.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::store::Permit;

/// Bytes that appends may hold while they wait.
pub const APPEND_QUEUE_BYTES_MAX: usize = 64 << 20;
/// What an append holds beside its contents, in bytes, about.
pub const APPEND_COST_BYTES: usize = 512;
/// Other writes that may wait.
pub const JOBS_MAX: usize = 1_024;
/// Items of one transaction.
const COMMIT_ITEMS_MAX: usize = 1_024;
/// Contents of one transaction, in bytes (one item at least).
const COMMIT_BYTES_MAX: usize = 8 << 20;

/// How many of the first items, of these sizes in bytes, go into one transaction.
pub fn fit(sizes: impl Iterator<Item = usize>) -> usize {
    let mut bytes = 0;
    sizes
        .take(COMMIT_ITEMS_MAX)
        .take_while(|size| {
            let first = bytes == 0;
            bytes += size;
            first || bytes <= COMMIT_BYTES_MAX
        })
        .count()
}

/// The room that is left.
pub struct Room {
    appends: Arc<Semaphore>,
    jobs: Arc<Semaphore>,
}

impl Room {
    pub fn new() -> Self {
        Self {
            appends: Arc::new(Semaphore::new(APPEND_QUEUE_BYTES_MAX)),
            jobs: Arc::new(Semaphore::new(JOBS_MAX)),
        }
    }

    /// Waits for room for an append with contents of `bytes`.
    pub async fn admit(&self, bytes: usize) -> Permit {
        let cost = bytes.saturating_add(APPEND_COST_BYTES).min(APPEND_QUEUE_BYTES_MAX);
        let cost = u32::try_from(cost).expect("the queue's limit fits 32 bits");
        let room = Arc::clone(&self.appends).acquire_many_owned(cost).await;
        Permit(room.expect("the room is never closed"))
    }

    /// Waits for room for another write.
    pub async fn admit_job(&self) -> OwnedSemaphorePermit {
        let room = Arc::clone(&self.jobs).acquire_owned().await;
        room.expect("the room is never closed")
    }
}
