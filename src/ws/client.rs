//! What one connection is about: its user, the sessions that it follows, its open commands.
//!
//! It turns what the socket brings into calls of `chat` and what happens there into frames, in
//! the order that the contract promises: commands are submitted as they are read, up to
//! [`SENDS_IN_FLIGHT_MAX`] unanswered, and answered in that order; events come from followers,
//! each a cursor. It never writes: frames go into `out`, which the connection flushes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use protocol::frame::ServerFrame;
use protocol::limits::SENDS_IN_FLIGHT_MAX;
use protocol::{CloseCode, ErrorCode, SessionId, Timestamp, websocket as wire};
use slab::Slab;

use super::close;
use super::command::Answer;
use crate::app::App;
use crate::chat::{Actor, Follower, Page, Step};
use crate::hub::{Connected, Mail, News};

/// About so many bytes are handed over in one turn, and no more are fetched for a peer that
/// has as many waiting.
pub const TURN_BYTES: usize = 64 * 1024;
/// Rate-limited frames in a row after which the connection is closed.
const STRIKES_MAX: u32 = 1_000;

/// How the client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speech {
    /// Section 7a of the contract.
    Plain,
    /// Section 7b. `is_bound`: opened with a session, whose end is the connection's.
    V1 { is_bound: bool },
}

/// One follow of the connection.
pub(super) struct Following {
    pub session: SessionId,
    /// Which of this connection's follows it is: its place may be given to another.
    pub serial: u32,
    pub state: State,
    /// When the user was last told to be typing here.
    pub typed_ms: i64,
}

pub(super) enum State {
    /// Membership is being looked up.
    Opening,
    Live(Follower),
    /// A page of the store is on its way.
    Reading(Follower, BoxFuture<'static, crate::chat::Result<Arc<Page>>>),
}

/// A command that is not answered yet.
pub(super) enum Pending {
    Waiting(BoxFuture<'static, Answer>),
    Done(Answer),
}

/// What one connection is about.
pub struct Client {
    pub(super) app: Arc<App>,
    pub(super) actor: Actor,
    pub(super) speech: Speech,
    pub(super) connected: Connected,
    pub(super) follows: Slab<Following>,
    /// Follows begun so far.
    pub(super) follows_begun: u32,
    pub(super) pending: VecDeque<Pending>,
    /// Follows that may have something to hand over.
    hot: Vec<u32>,
    /// How many follows wait for a page; whoever wakes the task, they are asked.
    reading: u32,
    /// Rate-limited frames in a row.
    pub(super) strikes: u32,
    /// When the token ends, in microseconds since 1970; another one may take its place.
    pub(super) expires: Timestamp,
}

impl Client {
    #[must_use]
    pub fn new(
        app: Arc<App>,
        actor: Actor,
        speech: Speech,
        connected: Connected,
        expires: Timestamp,
    ) -> Self {
        Self {
            app,
            actor,
            speech,
            connected,
            follows: Slab::new(),
            follows_begun: 0,
            pending: VecDeque::new(),
            hot: Vec::new(),
            reading: 0,
            strikes: 0,
            expires,
        }
    }

    /// Goes on with a following that was opened before the socket was.
    /// `frame` tells it, where that is told.
    pub fn adopt(&mut self, follower: Follower, frame: Bytes) {
        self.follows = Slab::with_capacity(1);
        if !frame.is_empty() {
            self.pending.push_back(Pending::Done(Answer::Frame(frame)));
        }
        let session = follower.session();
        let following = Following { session, serial: 0, state: State::Live(follower), typed_ms: 0 };
        let key = self.follows.insert(following);
        self.hot.push(key as u32);
    }

    /// The hub's clock.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.app.chat.hub().now_ms()
    }

    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.speech == Speech::Plain
    }

    /// Whether another command may be read.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.pending.len() < SENDS_IN_FLIGHT_MAX
    }

    #[must_use]
    pub fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Whether there is more to hand over at once.
    #[must_use]
    pub fn is_hot(&self) -> bool {
        !self.hot.is_empty()
    }

    /// Takes what others left; tells when the connection has to end.
    pub fn take_news(&mut self, news: News, out: &mut Vec<Bytes>) -> Option<CloseCode> {
        if self.hot.is_empty() {
            self.hot = news.follows;
        } else {
            for follow in news.follows {
                if !self.hot.contains(&follow) {
                    self.hot.push(follow);
                }
            }
        }
        for mail in news.mail {
            match mail {
                Mail::Signal(frame) | Mail::Notice(frame) => out.push(frame),
                Mail::Close(code) => return Some(code),
            }
        }
        (self.strikes > STRIKES_MAX).then_some(CloseCode::RateExceeded)
    }

    /// Goes on with what was asked, and answers in order. True: the token is another one now.
    pub fn poll_pending(&mut self, context: &mut Context<'_>, out: &mut Vec<Bytes>) -> bool {
        let expires = self.expires;
        for pending in &mut self.pending {
            if let Pending::Waiting(future) = pending
                && let Poll::Ready(answer) = future.as_mut().poll(context)
            {
                *pending = Pending::Done(answer);
            }
        }
        while let Some(Pending::Done(_)) = self.pending.front() {
            let Some(Pending::Done(answer)) = self.pending.pop_front() else { break };
            self.apply(answer, out);
        }
        if self.pending.is_empty() && self.pending.capacity() > 0 {
            self.pending = VecDeque::new();
        }
        self.expires != expires
    }

    fn apply(&mut self, answer: Answer, out: &mut Vec<Bytes>) {
        match answer {
            Answer::Nothing => {}
            Answer::Frame(frame) => out.push(frame),
            Answer::Followed { key, serial, opened } => {
                // Left again before it was opened? Its place may be another's by now.
                let Some(following) = self.follows.get_mut(key as usize) else { return };
                if following.serial != serial {
                    return;
                }
                out.push(opened.frame);
                following.state = State::Live(opened.follower);
                self.hot.push(key);
            }
            Answer::NotFollowed { key, serial, frame } => {
                if self.follows.get(key as usize).is_some_and(|f| f.serial == serial) {
                    self.follows.remove(key as usize);
                }
                out.push(frame);
            }
            Answer::Renewed(caller) => {
                self.expires = caller.token.expires;
                let inbox = self.connected.inbox();
                inbox.renew(super::identity_of(&caller, inbox.address));
            }
        }
    }

    /// Hands over what followed sessions have, for one turn.
    pub fn poll_follows(
        &mut self,
        context: &mut Context<'_>,
        out: &mut Vec<Bytes>,
    ) -> Option<CloseCode> {
        let mut room = TURN_BYTES;
        let mut hot = std::mem::take(&mut self.hot);
        if std::mem::take(&mut self.reading) > 0 {
            let waits = |following: &Following| matches!(following.state, State::Reading(..));
            let waiting = self.follows.iter().filter(|(_, following)| waits(following));
            hot.extend(waiting.map(|(key, _)| key as u32));
        }
        // What gets no turn now stays hot; what needs another turn becomes hot again.
        while room > 0 {
            let Some(key) = hot.pop() else { break };
            let before = out.len();
            match self.poll_follow(key, context, out, room) {
                Next::Idle => {}
                Next::Hot => self.hot.push(key),
                Next::Ended(code) => return Some(code),
            }
            let handed: usize = out[before..].iter().map(Bytes::len).sum();
            room = room.saturating_sub(handed);
        }
        hot.append(&mut self.hot);
        if !hot.is_empty() {
            self.hot = hot;
        }
        None
    }

    fn poll_follow(
        &mut self,
        key: u32,
        context: &mut Context<'_>,
        out: &mut Vec<Bytes>,
        room: usize,
    ) -> Next {
        let Some(following) = self.follows.get_mut(key as usize) else { return Next::Idle };
        let state = std::mem::replace(&mut following.state, State::Opening);
        let (mut follower, step) = match state {
            State::Opening => return Next::Idle,
            State::Live(mut follower) => {
                let step = follower.step(out, room);
                (follower, step)
            }
            State::Reading(mut follower, mut reading) => match reading.as_mut().poll(context) {
                Poll::Pending => {
                    following.state = State::Reading(follower, reading);
                    self.reading += 1;
                    return Next::Idle;
                }
                Poll::Ready(Ok(page)) => {
                    let step = follower.accept(page, out);
                    (follower, step)
                }
                Poll::Ready(Err(error)) => return self.lose(key, error.code(), out),
            },
        };
        if !self.is_plain()
            && let Some(seq) = follower.take_caught_up()
        {
            let session_id = follower.session();
            out.push(frame_of(&ServerFrame::CaughtUp { session_id, seq }));
        }
        match step {
            Step::Ended(end) => self.end(key, close::code_of(end)),
            Step::Lost => self.lose(key, ErrorCode::PositionUnknown, out),
            Step::Read => {
                let page = Box::pin(follower.page());
                self.follows[key as usize].state = State::Reading(follower, page);
                // Polled at once, so that it is on its way and wakes.
                self.poll_follow(key, context, out, room)
            }
            Step::Idle | Step::Took | Step::More => {
                self.follows[key as usize].state = State::Live(follower);
                if step == Step::More { Next::Hot } else { Next::Idle }
            }
        }
    }

    /// The following is over: with the connection, or for that session only.
    fn end(&mut self, key: u32, code: CloseCode) -> Next {
        self.follows.try_remove(key as usize);
        if self.ends_with(key) { Next::Ended(code) } else { Next::Idle }
    }

    /// The following can't go on.
    fn lose(&mut self, key: u32, code: ErrorCode, out: &mut Vec<Bytes>) -> Next {
        let Some(following) = self.follows.try_remove(key as usize) else { return Next::Idle };
        let close = match code {
            ErrorCode::PositionUnknown => CloseCode::PositionUnknown,
            ErrorCode::SessionNotFound => CloseCode::SessionDeleted,
            ErrorCode::NotAMember => CloseCode::Removed,
            // The store is away: the client comes back with what it has.
            _ => CloseCode::Restart,
        };
        if self.ends_with(key) || close == CloseCode::Restart {
            return Next::Ended(close);
        }
        tracing::debug!(session = %following.session, code = code.code(), "a following was lost");
        out.push(super::command::error_frame(code, None, None));
        Next::Idle
    }

    /// Whether the connection ends with this following. The follow of the URL is the first.
    fn ends_with(&self, key: u32) -> bool {
        match self.speech {
            Speech::Plain => true,
            Speech::V1 { is_bound } => is_bound && key == 0,
        }
    }

    /// The follow of a session, if there is one.
    pub(super) fn follow_of(&self, session: SessionId) -> Option<usize> {
        self.follows.iter().find(|(_, f)| f.session == session).map(|(key, _)| key)
    }

    /// Nothing more is handed over; others see the user go.
    pub fn let_go(&mut self) {
        self.follows = Slab::new();
        self.hot = Vec::new();
        self.reading = 0;
        self.pending = VecDeque::new();
    }
}

/// What comes of one follow's turn.
enum Next {
    Idle,
    Hot,
    Ended(CloseCode),
}

/// One finished frame.
pub(super) fn frame_of<T: serde::Serialize>(value: &T) -> Bytes {
    let mut out = Vec::with_capacity(256);
    wire::put_json(&mut out, value);
    Bytes::from(out)
}
