//! What other nodes wrote, read from the store and put into the rings here, in its order.
//!
//! Somebody says that a session's log reaches further than its ring ([`Fills::ask`]): a hint of
//! another node, the slow check of all heads, or events that left a hole. The
//! events above the ring's head are read once for all followers and delivered exactly as a local
//! commit is. What is asked twice is read once; what was there falls out by its number.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use protocol::SessionId;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::deliver::{put_into, rewrites};
use super::{Chat, Result};

/// Sessions that are read at the same time.
const FILLS_AT_ONCE: usize = 4;
/// Events of one read.
const FILL_EVENTS_MAX: usize = 512;
/// Sessions in one question for heads.
const HEADS_AT_ONCE: usize = 1_000;

/// Sessions whose rings have something to get.
#[derive(Default)]
pub struct Fills {
    /// How far each log is known to reach. Bounded by the rings: others are not asked for.
    wanted: Mutex<HashMap<SessionId, u64>>,
    news: Notify,
}

impl Fills {
    /// The log of a session that is followed here reaches `head` at least.
    pub fn ask(&self, session: SessionId, head: u64) {
        let mut wanted = self.lock();
        let known = wanted.entry(session).or_default();
        *known = head.max(*known);
        drop(wanted);
        self.news.notify_one();
    }

    fn take(&self) -> Vec<(SessionId, u64)> {
        self.lock().drain().collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, u64>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Chat {
    /// Reads what is asked for, until `stop`.
    pub(super) async fn fill_rings(&self, stop: &CancellationToken) {
        use futures_util::StreamExt;
        while stop.run_until_cancelled(self.fills.news.notified()).await.is_some() {
            // A session is asked for again while it is read, if need be; never read twice at once.
            futures_util::stream::iter(self.fills.take())
                .for_each_concurrent(FILLS_AT_ONCE, async |(session, head)| {
                    if let Err(error) = self.fill(session, head).await {
                        // The check of all heads comes back to it.
                        tracing::debug!(%session, %error, "events of other nodes are not read");
                    }
                })
                .await;
        }
    }

    /// Brings a ring to `head`, or as far as the log goes.
    async fn fill(&self, session: SessionId, head: u64) -> Result<()> {
        loop {
            let Some(ring) = self.hub.ring(session) else { return Ok(()) };
            let after = ring.head();
            if after >= head {
                return Ok(());
            }
            if after == 0 {
                // Where its followers stand is for them to know: they read the store themselves.
                // How far it reaches, the store alone is believed.
                let heads = self.store.heads(&[session]).await?;
                self.pages.forget(session);
                ring.jump(heads.first().map_or(0, |(_, head)| *head));
                ring.wake();
                return Ok(());
            }
            self.metrics.fills.inc();
            let Some(page) = self.store.log(session, after, FILL_EVENTS_MAX).await? else {
                return Ok(());
            };
            if page.deleted || page.events.iter().any(|event| rewrites(event)) {
                self.pages.forget(session);
            }
            if page.deleted {
                ring.jump(page.head);
                ring.wake();
                return Ok(());
            }
            if page.events.is_empty() {
                return Ok(());
            }
            let _ = put_into(&ring, page.events);
            // Behind these, others may have come before them.
            self.arrive(&ring, Vec::new());
            ring.wake();
        }
    }

    /// Looks how far the logs of all followed sessions reach, for what nobody told.
    pub(super) async fn check_heads(&self) -> Result<()> {
        self.check(self.hub.heads()).await
    }

    /// Looks whether these logs reach further than that.
    pub(super) async fn check(&self, heads: Vec<(SessionId, u64)>) -> Result<()> {
        for slice in heads.chunks(HEADS_AT_ONCE) {
            let sessions: Vec<SessionId> = slice.iter().map(|(session, _)| *session).collect();
            let known: HashMap<SessionId, u64> = slice.iter().copied().collect();
            for (session, head) in self.store.heads(&sessions).await? {
                if known.get(&session).is_some_and(|known| *known < head) {
                    self.fills.ask(session, head);
                }
            }
        }
        Ok(())
    }
}
