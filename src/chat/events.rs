//! The same log over HTTP: a page of events that may be waited for, and a stream.
//!
//! Both follow like any connection; rights, order and the cut at a removal are the follower's.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use protocol::frame::EventPage;
use protocol::limits::PAGE_ITEMS;
use protocol::{CloseCode, ErrorCode, SessionId};

use super::cursor::Cursor;
use super::{Actor, Chat, Follower, Position, Result, Step};
use crate::hub::{Connected, End, Identity, Inbox, Mail, Place, Taken, Wire};

/// Bytes of one turn of a stream.
const TURN_BYTES: usize = 64 * 1024;

/// A session's log as a stream of server-sent events.
pub struct Feed {
    follower: Follower,
    connected: Connected,
    has_ended: bool,
}

impl Chat {
    /// The events above `after`; where there are none, those that come within `wait`.
    pub async fn events(
        self: &Arc<Self>,
        actor: Actor,
        session: SessionId,
        after: u64,
        limit: Option<usize>,
        wait: Duration,
    ) -> Result<EventPage> {
        let inbox = Arc::new(Inbox::new(Identity::of(actor.user)));
        let place = Place { inbox: inbox.clone(), number: 0, wire: Wire::Sse };
        let followed = self.hub.follow(session, place);
        let member = self.member(actor, session).await?;
        if after > member.head() {
            return Err(ErrorCode::PositionUnknown.into());
        }
        let cursor = Cursor::new(actor.user, after, member.head());
        let deadline = tokio::time::Instant::now() + wait;
        loop {
            let page = self.store.log(session, after, limit.unwrap_or(PAGE_ITEMS)).await?;
            let page = page.ok_or(ErrorCode::SessionNotFound)?;
            let cut = cursor.cut(page.events.iter().map(|event| &**event));
            let upto = cut.map_or(u64::MAX, |(seq, _)| seq);
            let events = page.events.iter().take_while(|event| event.seq <= upto);
            let events: Vec<_> = events.map(|event| (**event).clone()).collect();
            if !events.is_empty() || page.deleted {
                return Ok(EventPage { epoch: self.epoch.clone(), head: page.head, events });
            }
            // It is not hinted again before it asks; what came since the page is news already.
            if followed.take(after, &mut Vec::new(), 0) != Taken::Idle {
                continue;
            }
            let hinted = std::future::poll_fn(|context| {
                let news = inbox.drain(Some(context));
                if news.follows.is_empty() { Poll::Pending } else { Poll::Ready(()) }
            });
            if tokio::time::timeout_at(deadline, hinted).await.is_err() {
                return Ok(EventPage { epoch: self.epoch.clone(), head: page.head, events });
            }
        }
    }

    /// The stream of events from `position` on.
    pub async fn feed(
        self: &Arc<Self>,
        actor: Actor,
        session: SessionId,
        position: Position,
        identity: Identity,
    ) -> Result<Feed> {
        let inbox = Arc::new(Inbox::new(identity));
        let connected = self.hub.connect(inbox.clone());
        let place = Place { inbox, number: 0, wire: Wire::Sse };
        let (follower, _) = self.follow(actor, session, position, place).await?;
        Ok(Feed { follower, connected, has_ended: false })
    }
}

impl Feed {
    /// What comes next; none when the stream is over: removed, deleted, revoked, stopped.
    pub async fn next(&mut self) -> Option<Vec<Bytes>> {
        let mut out = Vec::new();
        while !self.has_ended {
            let step = match self.follower.step(&mut out, TURN_BYTES) {
                Step::Read => match self.follower.page().await {
                    Ok(page) => self.follower.accept(page, &mut out),
                    Err(_) => return None,
                },
                step => step,
            };
            match step {
                Step::Ended(End::Removed | End::Deleted) | Step::Lost => self.has_ended = true,
                Step::Idle if out.is_empty() => self.has_ended = self.hinted().await.is_some(),
                Step::Idle | Step::Took | Step::More | Step::Read => {}
            }
            if !out.is_empty() {
                return Some(out);
            }
        }
        None
    }

    /// Waits for a hint, or for an order to end.
    async fn hinted(&self) -> Option<CloseCode> {
        std::future::poll_fn(|context| {
            let news = self.connected.inbox().drain(Some(context));
            let close = news.mail.into_iter().find_map(|mail| match mail {
                Mail::Close(code) => Some(code),
                Mail::Signal(_) | Mail::Notice(_) => None,
            });
            match close {
                Some(code) => Poll::Ready(Some(code)),
                None if news.follows.is_empty() => Poll::Pending,
                None => Poll::Ready(None),
            }
        })
        .await
    }
}
