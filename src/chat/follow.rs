//! The one idea: a follower is a cursor over a session's log.
//!
//! Joining, coming back after a week, reading too slowly, a hole in what the bus brought: one
//! code path. A follower takes its place at the ring first and looks membership and head up
//! then, so nothing falls between; what comes twice falls out by its seq. It asks the ring
//! ([`Follower::step`]); where the ring says that the log goes on below, it reads a page of the
//! store ([`Follower::page`], [`Follower::accept`]) and asks again.

use std::sync::Arc;

use bytes::Bytes;
use protocol::event::Nothing;
use protocol::frame::ServerFrame;
use protocol::limits::FRAME_LIST_ITEMS_MAX;
use protocol::{Change, ErrorCode, Event, SessionId, Timestamp};

use super::cursor::Cursor;
use super::pages::Page;
use super::{Actor, Chat, Member, Result};
use crate::hub::{End, Followed, Place, Segment, Taken, Wire};

/// Under a storm of edits a page is read no more often than this.
const REREADS_MAX: usize = 3;

/// Where a follower wants to begin.
#[derive(Clone, Debug, Default)]
pub struct Position {
    /// Everything above this; without it, only what is live.
    pub after: Option<u64>,
    /// The epoch in which that number was learnt.
    pub epoch: Option<String>,
}

/// What a follower can do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing is new; a hint comes when there is.
    Idle,
    /// Something was handed over, and that was all for now.
    Took,
    /// Something was handed over, and there is more.
    More,
    /// The log goes on in the store: get a page.
    Read,
    /// Handed over up to the event that ends it.
    Ended(End),
    /// The log does not reach the number that this follower holds.
    Lost,
}

/// A cursor over one log for one connection.
pub struct Follower {
    chat: Arc<Chat>,
    followed: Followed,
    wire: Wire,
    cursor: Cursor,
    /// The replay ends here; none once that was told.
    replay_until: Option<u64>,
    /// It began with a number that the client had.
    is_resumed: bool,
    /// The page whose frames were handed over last: it counts as in flight until the next step.
    page: Option<Arc<Page>>,
}

impl Chat {
    /// Takes the place, then looks membership up. `position_unknown` where `after` is beyond the
    /// head or of another epoch.
    pub async fn follow(
        self: &Arc<Self>,
        actor: Actor,
        session: SessionId,
        position: Position,
        place: Place,
    ) -> Result<(Follower, Member)> {
        let wire = place.wire;
        let followed = self.enter(session, place);
        let member = self.member(actor, session).await?;
        let head = member.head();
        if position.epoch.is_some_and(|epoch| epoch != self.epoch) {
            return Err(ErrorCode::PositionUnknown.into());
        }
        let is_resumed = position.after.is_some();
        let after = position.after.unwrap_or(head);
        if after > head {
            return Err(ErrorCode::PositionUnknown.into());
        }
        followed.appear(head);
        let cursor = Cursor::new(actor.user, after, head);
        let chat = self.clone();
        let replay_until = Some(head);
        let follower =
            Follower { chat, followed, wire, cursor, replay_until, is_resumed, page: None };
        Ok((follower, member))
    }
}

impl Chat {
    /// The frame that begins a following. The lists go with it where nothing is replayed.
    pub async fn describe(&self, follower: &Follower, member: Member) -> Result<ServerFrame> {
        let (session_id, head) = (member.session_id(), member.head());
        let is_resumed = follower.is_resumed;
        let mut member_count = None;
        let mut participants = None;
        if !is_resumed {
            let page = self.participants(&member, None, Some(FRAME_LIST_ITEMS_MAX)).await?;
            member_count = (!page.more).then_some(page.items.len() as u64);
            participants = Some(page.items);
        }
        let member_count = match member_count {
            Some(count) => count,
            None => self.store.member_count(session_id).await?,
        };
        let ring = follower.followed.ring();
        Ok(ServerFrame::Following {
            session_id,
            session: member.into_session(),
            after: follower.at(),
            head,
            member_count,
            participants,
            online: (!is_resumed).then(|| ring.online(FRAME_LIST_ITEMS_MAX)),
        })
    }
}

impl Follower {
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.followed.ring().session()
    }

    /// The last seq handed over.
    #[must_use]
    pub fn at(&self) -> u64 {
        self.cursor.at()
    }

    /// Once, when the replay is over: the seq that it reached.
    pub fn take_caught_up(&mut self) -> Option<u64> {
        let until = self.replay_until?;
        (self.at() >= until).then(|| {
            self.replay_until = None;
            self.at()
        })
    }

    /// Hands over what the ring has, about `bytes_max` at most.
    pub fn step(&mut self, out: &mut Vec<Bytes>, bytes_max: usize) -> Step {
        self.page = None;
        loop {
            match self.followed.take(self.at(), out, bytes_max) {
                Taken::Idle if self.cursor.is_behind() => return Step::Read,
                Taken::Idle => return Step::Idle,
                Taken::Below => return Step::Read,
                Taken::Upto { seq, more } => {
                    self.cursor.advance(seq);
                    return if more { Step::More } else { Step::Took };
                }
                Taken::Ended { seq, end } => {
                    self.cursor.advance(seq);
                    if self.cursor.ends_at(seq, end) {
                        return Step::Ended(end);
                    }
                }
            }
        }
    }

    /// The page of the store that comes next. A connection may look at it long after it was read:
    /// what was edited or deleted meanwhile is read again.
    pub fn page(&self) -> impl Future<Output = Result<Arc<Page>>> + Send + 'static {
        let (chat, ring, after) = (self.chat.clone(), self.followed.ring().clone(), self.at());
        async move {
            for _ in 0..REREADS_MAX {
                let rewritten = ring.rewritten();
                let page = chat.pages.get(ring.session(), after).await;
                if ring.rewritten() == rewritten {
                    return page;
                }
            }
            chat.pages.get(ring.session(), after).await
        }
    }

    /// Hands over a page that was read for this cursor.
    pub fn accept(&mut self, page: Arc<Page>, out: &mut Vec<Bytes>) -> Step {
        if page.deleted {
            self.put(&self.deletion(&page), out);
            return Step::Ended(End::Deleted);
        }
        let Some(segment) = &page.segment else {
            return if self.cursor.is_behind() { Step::Lost } else { Step::Took };
        };
        if segment.last() <= self.at() {
            return Step::More;
        }
        let cut = self.cursor.cut(segment.events().iter().map(|event| &**event));
        match cut.and_then(|(seq, end)| segment.up_to(seq).map(|part| (part, end))) {
            Some((part, end)) => {
                self.put(&part, out);
                Step::Ended(end)
            }
            None => {
                self.put(segment, out);
                self.page = Some(page);
                Step::More
            }
        }
    }

    fn put(&mut self, segment: &Segment, out: &mut Vec<Bytes>) {
        let frames = segment.frames(self.wire, self.at());
        if !frames.is_empty() {
            out.push(frames);
        }
        self.cursor.advance(segment.last());
    }

    fn deletion(&self, page: &Page) -> Segment {
        let stored = page.segment.as_ref().map_or(&[][..], Segment::events);
        let event = deletion(self.session(), stored, page.head.max(self.at()));
        Segment::new(vec![event]).expect("one event")
    }
}

/// A session's last event, its deletion at `head`, whatever has been purged of its log meanwhile.
pub(super) fn deletion(session_id: SessionId, stored: &[Arc<Event>], head: u64) -> Arc<Event> {
    let last = stored.last().filter(|event| event.ends_session()).cloned();
    last.unwrap_or_else(|| {
        let change = Change::SessionDeleted(Nothing {});
        Arc::new(Event { session_id, seq: head, at: Timestamp::now(), change })
    })
}
