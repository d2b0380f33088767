//! What one connection is about: its user, the sessions that it follows, its open commands.
//!
//! It turns what the socket brings into calls of `chat` and what happens there into frames, in
//! the order that the contract promises: commands are submitted as they are read, up to
//! [`SENDS_IN_FLIGHT_MAX`] unanswered, also where they wait for room, and answered in that order;
//! events come from followers, each a cursor. It never writes: frames go into `out`, which the
//! connection flushes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use protocol::frame::ServerFrame;
use protocol::limits::SENDS_IN_FLIGHT_MAX;
use protocol::{CloseCode, ErrorCode, SessionId, Timestamp, UserKind, websocket as wire};
use slab::Slab;

use super::close;
use super::command::Answer;
use crate::app::App;
use crate::chat::{Actor, Admitted, Follower, Page, Step};
use crate::hub::{Connected, Mail, News, Numbers};

/// About so many bytes are handed over in one turn, and no more are fetched for a peer that
/// has as many waiting.
pub const TURN_BYTES: usize = 64 * 1024;
/// Pages that are read for a connection at the same time; further follows wait for their turn.
const READING_MAX: u32 = 4;
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
    /// From when on what the user says of typing here is heard as if there had been none before.
    pub typing_free_ms: i64,
}

pub(super) enum State {
    /// Membership is being looked up.
    Opening,
    Live(Follower),
    /// A page of the store is wanted, and others are on their way.
    Wanting(Follower),
    /// A page of the store is on its way.
    Reading(Follower, BoxFuture<'static, crate::chat::Result<Arc<Page>>>),
}

/// A command that is not answered yet.
pub(super) enum Pending {
    /// A message for which there is no room yet, or that is behind one.
    Entering(Box<Entering>),
    Waiting(BoxFuture<'static, Answer>),
    Done(Answer),
}

/// A message that waits for room, and what it becomes then.
pub(super) struct Entering {
    pub room: BoxFuture<'static, Admitted>,
    pub then: Option<Then>,
}

/// The sending of a message that has room.
pub(super) type Then = Box<dyn FnOnce(Admitted) -> BoxFuture<'static, Answer> + Send>;

impl Entering {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<BoxFuture<'static, Answer>> {
        let admitted = ready!(self.room.as_mut().poll(context));
        let then = self.then.take().expect("it has room once");
        Poll::Ready(then(admitted))
    }
}

/// What one connection is about.
pub struct Client {
    pub(super) app: Arc<App>,
    kind: UserKind,
    pub(super) speech: Speech,
    pub(super) connected: Connected,
    pub(super) follows: Slab<Following>,
    /// Follows begun so far.
    pub(super) follows_begun: u32,
    pub(super) pending: VecDeque<Pending>,
    /// Follows that may have something to hand over.
    hot: Numbers,
    /// How many follows wait for a page; whoever wakes the task, they are asked.
    reading: u32,
    /// Some wait until others have got theirs.
    is_wanting: bool,
    /// Rate-limited frames in a row.
    pub(super) strikes: u32,
    /// When the token ends, in microseconds since 1970; another one may take its place.
    pub(super) expires: Timestamp,
}

impl Client {
    #[must_use]
    pub fn new(
        app: Arc<App>,
        kind: UserKind,
        speech: Speech,
        connected: Connected,
        expires: Timestamp,
    ) -> Self {
        Self {
            app,
            kind,
            speech,
            connected,
            follows: Slab::new(),
            follows_begun: 0,
            pending: VecDeque::new(),
            hot: Numbers::new(),
            reading: 0,
            is_wanting: false,
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
        let following =
            Following { session, serial: 0, state: State::Live(follower), typing_free_ms: 0 };
        let key = self.follows.insert(following);
        self.hot.push(key as u32);
    }

    /// As whom it acts.
    pub(super) fn actor(&self) -> Actor {
        Actor { user: self.connected.inbox().user, kind: self.kind }
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

    /// Goes on with what was asked, and answers in order; tells when the connection has to end.
    pub fn poll_pending(
        &mut self,
        context: &mut Context<'_>,
        out: &mut Vec<Bytes>,
    ) -> Option<CloseCode> {
        let mut is_behind = false;
        for pending in &mut self.pending {
            if let Pending::Entering(entering) = pending {
                // None overtakes one that came before it, whoever is told of room first.
                if is_behind {
                    continue;
                }
                match entering.poll(context) {
                    Poll::Ready(sending) => *pending = Pending::Waiting(sending),
                    Poll::Pending => is_behind = true,
                }
            }
            if let Pending::Waiting(future) = pending
                && let Poll::Ready(answer) = future.as_mut().poll(context)
            {
                *pending = Pending::Done(answer);
            }
        }
        while let Some(Pending::Done(_)) = self.pending.front() {
            let Some(Pending::Done(answer)) = self.pending.pop_front() else { break };
            let ended = self.apply(answer, out);
            if ended.is_some() {
                return ended;
            }
        }
        if self.pending.is_empty() && self.pending.capacity() > 0 {
            self.pending = VecDeque::new();
        }
        None
    }

    fn apply(&mut self, answer: Answer, out: &mut Vec<Bytes>) -> Option<CloseCode> {
        match answer {
            Answer::Nothing => {}
            Answer::Frame(frame) => out.push(frame),
            Answer::Followed { key, serial, opened } => {
                // Left again before it was opened? Its place may be another's by now.
                let following = self.follows.get_mut(key as usize)?;
                if following.serial == serial {
                    out.push(opened.frame);
                    following.state = State::Live(opened.follower);
                    self.hot.push(key);
                }
            }
            Answer::NotFollowed { key, serial, frame, close } => {
                out.push(frame);
                if self.follows.get(key as usize).is_some_and(|f| f.serial == serial) {
                    self.follows.remove(key as usize);
                    return close.filter(|_| self.ends_with(key));
                }
            }
            Answer::Renewed(caller) => {
                self.expires = caller.token.expires;
                let inbox = self.connected.inbox();
                inbox.renew(super::identity_of(&caller, inbox.address));
            }
        }
        None
    }

    /// Hands over what followed sessions have, for one turn.
    pub fn poll_follows(
        &mut self,
        context: &mut Context<'_>,
        out: &mut Vec<Bytes>,
    ) -> Option<CloseCode> {
        let mut room = TURN_BYTES;
        let mut hot = std::mem::take(&mut self.hot);
        if std::mem::take(&mut self.is_wanting) {
            hot.extend(self.follows_that(|state| matches!(state, State::Wanting(_))));
        }
        // These come first: each that is done makes room for another.
        if std::mem::take(&mut self.reading) > 0 {
            hot.extend(self.follows_that(|state| matches!(state, State::Reading(..))));
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

    fn follows_that(&self, are: fn(&State) -> bool) -> impl Iterator<Item = u32> {
        let those = self.follows.iter().filter(move |(_, following)| are(&following.state));
        those.map(|(key, _)| key as u32)
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
            State::Wanting(follower) => (follower, Step::Read),
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
            Step::Read if self.reading >= READING_MAX => {
                self.follows[key as usize].state = State::Wanting(follower);
                self.is_wanting = true;
                Next::Idle
            }
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
        // Where the store is away, the client comes back with what it has.
        let close = close::code_of_lost(code).unwrap_or(CloseCode::Restart);
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
        self.hot = Numbers::new();
        (self.reading, self.is_wanting) = (0, false);
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
