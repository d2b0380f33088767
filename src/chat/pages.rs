//! Pages of logs, read from the store for followers that are behind.
//!
//! Many clients that come back at once ask for the same page: it is read and encoded once and
//! shared while it is fresh. It is read by a task of its own: a connection that began it and then
//! waits for its peer goes on with nothing, and must hold up neither those who want the same page
//! nor, by its place in a queue of the store, anybody else. All pages in flight together are
//! bounded: a page holds a permit until the last follower has let it go. Slow readers may hold all
//! permits for as long as they like: pages without one are small, so that nobody waits for them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use protocol::limits::PAGE_BYTES_MAX;
use protocol::{ErrorCode, Event, SessionId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;

use super::{Error, Result};
use crate::hub::Segment;
use crate::metrics::Metrics;
use crate::store::{self, LogPage, Store};

/// Pages that all followers together hold, of at most [`PAGE_BYTES_MAX`] contents each.
const PAGES_IN_FLIGHT_MAX: usize = 256;
/// Pages that are kept for whoever comes next.
const PAGES_KEPT_MAX: usize = 64;
/// A page is shared no longer than this.
const PAGE_FRESH: Duration = Duration::from_secs(5);
/// Events of one page.
const PAGE_EVENTS_MAX: usize = 512;
/// Contents of a page without a permit, in bytes (one event at least).
const SMALL_PAGE_BYTES_MAX: usize = 32 * 1024;
/// Events of one.
const SMALL_PAGE_EVENTS_MAX: usize = 64;

const _: () = assert!(PAGES_IN_FLIGHT_MAX * PAGE_BYTES_MAX <= 64 << 20);

/// A page of a log as followers share it.
pub struct Page {
    /// None: there is nothing above the cursor.
    pub segment: Option<Segment>,
    pub head: u64,
    pub deleted: bool,
    /// None: a small one.
    _permit: Option<OwnedSemaphorePermit>,
}

type Reading = Shared<BoxFuture<'static, Result<Arc<Page>>>>;

/// Pages that followers read from the store.
pub struct Pages {
    store: Arc<dyn Store>,
    metrics: Arc<Metrics>,
    in_flight: Arc<Semaphore>,
    kept: Mutex<Kept>,
}

/// Pages, also such as are still being read, and when that began.
type Kept = HashMap<(SessionId, u64), (Reading, Instant)>;

impl Pages {
    pub fn new(store: Arc<dyn Store>, metrics: Arc<Metrics>) -> Self {
        let in_flight = Arc::new(Semaphore::new(PAGES_IN_FLIGHT_MAX));
        Self { store, metrics, in_flight, kept: Mutex::default() }
    }

    /// The page above `after`; `session_not_found` where there is no trace of the session.
    pub async fn get(self: &Arc<Self>, session: SessionId, after: u64) -> Result<Arc<Page>> {
        let reading = self.reading(session, after);
        let page = reading.clone().await;
        if page.is_err() {
            // Whoever comes next tries again.
            self.lock().retain(|_, (other, _)| !other.ptr_eq(&reading));
        }
        page
    }

    /// What is kept of a session is out of date: a message was edited or deleted. A read that is
    /// under way serves only those who wait for it already.
    pub fn forget(&self, session: SessionId) {
        self.lock().retain(|(kept, _), _| *kept != session);
    }

    /// Lets go of what is no longer fresh, until `stop`.
    pub async fn keep_fresh(&self, stop: &CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(PAGE_FRESH)).await.is_some() {
            self.lock().retain(|_, (_, made)| made.elapsed() < PAGE_FRESH);
        }
    }

    fn reading(self: &Arc<Self>, session: SessionId, after: u64) -> Reading {
        let mut kept = self.lock();
        if kept.len() >= PAGES_KEPT_MAX {
            kept.retain(|_, (_, made)| made.elapsed() < PAGE_FRESH);
        }
        if let Some((reading, made)) = kept.get(&(session, after))
            && made.elapsed() < PAGE_FRESH
        {
            return reading.clone();
        }
        let pages = self.clone();
        // Ends with its read, which the store waits for before it closes.
        let task = tokio::spawn(async move { pages.read(session, after).await });
        let reading = async move { task.await.unwrap_or_else(|error| Err(lost(&error))) };
        let reading = reading.boxed().shared();
        if kept.len() < PAGES_KEPT_MAX || kept.contains_key(&(session, after)) {
            kept.insert((session, after), (reading.clone(), Instant::now()));
        }
        reading
    }

    async fn read(&self, session: SessionId, after: u64) -> Result<Arc<Page>> {
        self.metrics.catch_ups.inc();
        let permit = self.permit();
        let limit = if permit.is_some() { PAGE_EVENTS_MAX } else { SMALL_PAGE_EVENTS_MAX };
        let page = self.store.log(session, after, limit).await?;
        let LogPage { mut events, head, deleted } = page.ok_or(ErrorCode::SessionNotFound)?;
        if permit.is_none() {
            events.truncate(small(&events));
        }
        Ok(Arc::new(Page { segment: Segment::new(events), head, deleted, _permit: permit }))
    }

    /// Kept pages that nobody reads any more make room first.
    fn permit(&self) -> Option<OwnedSemaphorePermit> {
        let take = || self.in_flight.clone().try_acquire_owned().ok();
        take().or_else(|| {
            self.lock().retain(|_, (reading, _)| match reading.peek() {
                Some(Ok(page)) => Arc::strong_count(page) > 1,
                _ => true,
            });
            take()
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many of these go into a small page.
fn small(events: &[Arc<Event>]) -> usize {
    let mut bytes = 0;
    let fits = |event: &&Arc<Event>| {
        bytes += event.content_len();
        bytes <= SMALL_PAGE_BYTES_MAX
    };
    events.iter().take_while(fits).count().max(1)
}

/// The task has panicked, or the process ends.
fn lost(error: &JoinError) -> Error {
    Error::Store(store::Error::Other(format!("a page was not read: {error}")))
}
