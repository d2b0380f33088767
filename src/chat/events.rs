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
use super::follow::deletion;
use super::{Actor, Chat, Follower, Position, Result, Step};
use crate::hub::{Connected, End, Identity, Inbox, Mail, Place, Taken, Wire};

/// Bytes of one turn of a stream.
const TURN_BYTES: usize = 64 * 1024;

/// Which events of a log are asked for, and how long they are waited for where there are none.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    pub after: u64,
    pub limit: Option<usize>,
    pub wait: Duration,
}

/// A session's log as a stream of server-sent events.
pub struct Feed {
    follower: Follower,
    connected: Connected,
    has_ended: bool,
}

impl Chat {
    /// The events that are asked for. `unauthorized` where the token was revoked while they were
    /// waited for.
    pub async fn events(
        self: &Arc<Self>,
        actor: Actor,
        session: SessionId,
        ask: Ask,
        identity: Identity,
    ) -> Result<EventPage> {
        let Ask { after, limit, wait } = ask;
        let inbox = Arc::new(Inbox::new(identity));
        let _connected = self.hub.connect(inbox.clone());
        let place = Place { inbox: inbox.clone(), number: 0, wire: Wire::Sse };
        let followed = self.enter(session, place);
        let member = self.member(actor, session).await?;
        if after > member.head() {
            return Err(ErrorCode::PositionUnknown.into());
        }
        let cursor = Cursor::new(actor.user, after, member.head());
        let deadline = tokio::time::Instant::now() + wait;
        loop {
            let page = self.store.log(session, after, limit.unwrap_or(PAGE_ITEMS)).await?;
            let page = page.ok_or(ErrorCode::SessionNotFound)?;
            if page.deleted {
                let head = page.head.max(after);
                let events = vec![(*deletion(session, &page.events, head)).clone()];
                return Ok(EventPage { epoch: self.epoch.clone(), head, events });
            }
            let cut = cursor.cut(page.events.iter().map(|event| &**event));
            let upto = cut.map_or(u64::MAX, |(seq, _)| seq);
            let events = page.events.iter().take_while(|event| event.seq <= upto);
            let events: Vec<_> = events.map(|event| (**event).clone()).collect();
            if !events.is_empty() {
                return Ok(EventPage { epoch: self.epoch.clone(), head: page.head, events });
            }
            // It is not hinted again before it asks; what came since the page is news already.
            if followed.take(after, &mut Vec::new(), 0) != Taken::Idle {
                continue;
            }
            match tokio::time::timeout_at(deadline, hinted(&inbox)).await {
                Ok(None) => {}
                Ok(Some(CloseCode::Revoked)) => return Err(ErrorCode::Unauthorized.into()),
                // The time is over, or the server stops.
                Ok(Some(_)) | Err(_) => {
                    return Ok(EventPage { epoch: self.epoch.clone(), head: page.head, events });
                }
            }
        }
    }

    /// Whether another socket or stream may be opened: the settings `connections_per_user_max` and
    /// `connections_per_address_max`.
    pub fn check_connections(&self, identity: &Identity) -> Result<()> {
        let (per_user, per_address) =
            (self.settings.connections_per_user_max, self.settings.connections_per_address_max);
        if per_user == 0 && per_address == 0 {
            return Ok(());
        }
        let (of_user, of_address) = self.hub.count(identity.user, identity.address);
        let is_full = |count: usize, max: usize| max != 0 && count >= max;
        if is_full(of_user, per_user) || is_full(of_address, per_address) {
            return Err(ErrorCode::RateLimited.into());
        }
        Ok(())
    }

    /// The stream of events from `position` on, for whom [`Self::check_connections`] lets.
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
                // What was taken goes out first: whoever waits may give up.
                Step::Read if !out.is_empty() => return Some(out),
                Step::Read => match self.follower.page().await {
                    Ok(page) => self.follower.accept(page, &mut out),
                    Err(_) => return None,
                },
                step => step,
            };
            match step {
                Step::Ended(End::Removed | End::Deleted) | Step::Lost => self.has_ended = true,
                Step::Idle if out.is_empty() => {
                    self.has_ended = hinted(self.connected.inbox()).await.is_some();
                }
                Step::Idle | Step::Took | Step::More | Step::Read => {}
            }
            if !out.is_empty() {
                return Some(out);
            }
        }
        None
    }
}

/// Waits for a hint, or for an order to end.
async fn hinted(inbox: &Inbox) -> Option<CloseCode> {
    std::future::poll_fn(|context| {
        let news = inbox.drain(Some(context));
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
