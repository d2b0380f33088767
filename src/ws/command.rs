//! What a client asks over the socket, and what it is answered.
//!
//! A frame is read, its form checked, and the call of `chat` begun: in the order of the frames,
//! so that sends are numbered as they were sent. What can't be taken gets an error frame in its
//! place in the order; the connection stays open.

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use protocol::frame::{ClientFrame, NewMessage, Received, ServerFrame};
use protocol::limits::{FOLLOWS_MAX, TYPING_MS};
use protocol::{CloseCode, ErrorBody, ErrorCode, SessionId, json};

use super::client::{Client, Entering, Following, Pending, Speech, State, Then, frame_of};
use super::close;
use super::frame::{Flow, Incoming};
use crate::auth::Caller;
use crate::chat::{Admitted, Checked, Error, Follower, Position, Sent};
use crate::hub::{Place, Wire};

/// Of a connection that says more often than this whether its user types in a session, some is
/// not heard, once it has said so several times in a row.
const TYPING_HEARD_MS: i64 = (TYPING_MS / 12) as i64;
const TYPING_IN_A_ROW_MAX: i64 = 6;

/// The outcome of a command.
pub(super) enum Answer {
    Nothing,
    Frame(Bytes),
    Followed {
        key: u32,
        serial: u32,
        opened: Box<Opened>,
    },
    /// With the code that closes a connection which is about that session.
    NotFollowed {
        key: u32,
        serial: u32,
        frame: Bytes,
        close: Option<CloseCode>,
    },
    Renewed(Box<Caller>),
}

/// A following that has begun.
pub(super) struct Opened {
    pub frame: Bytes,
    pub follower: Follower,
}

/// The names that a client gave to what it asked, for the error that may answer it.
#[derive(Default)]
struct Names {
    client_id: Option<String>,
    reference: Option<String>,
}

impl Names {
    fn error(self, code: ErrorCode) -> Bytes {
        error_frame(code, self.client_id, self.reference)
    }
}

impl Client {
    /// Takes one message of the socket.
    pub fn take(&mut self, incoming: &Incoming<'_>) -> Flow {
        match incoming {
            Incoming::Text(text) if self.is_plain() => self.take_plain(text.as_bytes()),
            Incoming::Text(text) => self.take_v1(text.as_bytes()),
            Incoming::Binary(_) => self.refuse(ErrorCode::InvalidJson, Names::default()),
            Incoming::Ping(_) | Incoming::Pong | Incoming::Close(_) => {}
        }
        if self.has_room() { Flow::Go } else { Flow::Pause }
    }

    fn take_plain(&mut self, text: &[u8]) {
        // A plain connection follows one session from its first moment to its last.
        let Some((_, following)) = self.follows.iter().next() else { return };
        let session = following.session;
        let new = json::read::<NewMessage<'_>>(text).and_then(|new| Checked::new(new, None));
        match new.and_then(|new| self.check_rate().map(|()| new)) {
            Err(code) => self.refuse(code, Names::default()),
            Ok(new) => {
                let (chat, actor) = (self.app.chat.clone(), self.actor());
                self.begin_send(new, move |new, admitted| async move {
                    match chat.send_admitted(actor, session, new, admitted).await {
                        // The message comes to its sender as to everybody.
                        Ok(Sent::New(_)) => Answer::Nothing,
                        Ok(Sent::Repeat(message)) => Answer::Frame(frame_of(&message)),
                        Err(error) => Answer::Frame(frame_of(&error_body(&error))),
                    }
                });
            }
        }
    }

    fn take_v1(&mut self, text: &[u8]) {
        let Received { frame, client_id, reference } = Received::read(text);
        let names = Names { client_id, reference };
        match frame {
            Err(code) => self.refuse(code, names),
            Ok(ClientFrame::Send { session_id, message }) => self.send(session_id, message, names),
            Ok(ClientFrame::Follow { session_id, after, epoch }) => {
                self.follow(session_id, Position { after, epoch }, names);
            }
            Ok(ClientFrame::Leave { session_id }) => self.leave(session_id, names),
            Ok(ClientFrame::Typing { session_id, is_typing }) => {
                self.set_typing(session_id, is_typing, names);
            }
            Ok(ClientFrame::Read { session_id, seq }) => self.read(session_id, seq, names),
            Ok(ClientFrame::Auth { token }) => self.renew(token, names),
        }
    }

    fn send(&mut self, session: SessionId, message: NewMessage<'_>, names: Names) {
        match Checked::new(message, None).and_then(|new| self.check_rate().map(|()| new)) {
            Err(code) => self.refuse(code, names),
            Ok(_) if self.follow_of(session).is_none() => self.refuse_unfollowed(session, names),
            Ok(new) => {
                let (chat, actor) = (self.app.chat.clone(), self.actor());
                let client_id = new.client_id().unwrap_or_default().to_owned();
                self.begin_send(new, move |new, admitted| async move {
                    match chat.send_admitted(actor, session, new, admitted).await {
                        Ok(sent) => {
                            let message = sent.message().clone();
                            let sent = ServerFrame::MessageSent { client_id, message };
                            Answer::Frame(frame_of(&sent))
                        }
                        Err(error) => Answer::Frame(names.error(log(&error))),
                    }
                });
            }
        }
    }

    /// Sends a message behind all that were sent before it. While the store has no room, it and
    /// those behind it wait their turn.
    fn begin_send<F>(
        &mut self,
        new: Checked,
        send: impl FnOnce(Checked, Admitted) -> F + Send + 'static,
    ) where
        F: Future<Output = Answer> + Send + 'static,
    {
        let chat = &self.app.chat;
        let is_behind = self.pending.iter().any(|one| matches!(one, Pending::Entering(_)));
        let admitted = if is_behind { None } else { chat.try_admit(&new) };
        match admitted {
            Some(admitted) => self.begin(Box::pin(send(new, admitted))),
            None => {
                let room = chat.admit(&new);
                let then: Then = Box::new(move |admitted| Box::pin(send(new, admitted)));
                let entering = Box::new(Entering { room, then: Some(then) });
                self.pending.push_back(Pending::Entering(entering));
            }
        }
    }

    fn follow(&mut self, session: SessionId, position: Position, names: Names) {
        match self.follow_of(session) {
            // Anew, from where the client now stands.
            Some(key) => drop(self.follows.remove(key)),
            None if self.follows.len() >= FOLLOWS_MAX => {
                return self.refuse(ErrorCode::RateLimited, names);
            }
            None => {}
        }
        self.follows_begun = self.follows_begun.wrapping_add(1);
        let serial = self.follows_begun;
        let following = Following { session, serial, state: State::Opening, typing_free_ms: 0 };
        let key = self.follows.insert(following) as u32;
        let inbox = self.connected.inbox().clone();
        let place = Place { inbox, number: key, wire: Wire::V1 };
        let (chat, actor) = (self.app.chat.clone(), self.actor());
        self.begin(Box::pin(async move {
            let opened = async {
                let (follower, member) = chat.follow(actor, session, position, place).await?;
                let frame = frame_of(&chat.describe(&follower, member).await?);
                Ok::<_, Error>(Box::new(Opened { frame, follower }))
            };
            match opened.await {
                Ok(opened) => Answer::Followed { key, serial, opened },
                Err(error) => {
                    let code = log(&error);
                    let close = close::code_of_lost(code);
                    Answer::NotFollowed { key, serial, frame: names.error(code), close }
                }
            }
        }));
    }

    fn leave(&mut self, session: SessionId, names: Names) {
        let Some(key) = self.follow_of(session) else {
            return self.refuse_unfollowed(session, names);
        };
        self.follows.remove(key);
        if key == 0 {
            self.speech = Speech::V1 { is_bound: false };
        }
    }

    fn set_typing(&mut self, session: SessionId, is_typing: bool, names: Names) {
        let now_ms = self.app.chat.hub().now_ms();
        let Some(key) = self.follow_of(session) else {
            return self.refuse_unfollowed(session, names);
        };
        // A flood is thinned here; the hub tells changes alone. Each one that is heard moves the
        // moment from which on nothing is owed, and that may lie only so far ahead.
        let typing_free_ms = &mut self.follows[key].typing_free_ms;
        if *typing_free_ms - now_ms >= TYPING_HEARD_MS * TYPING_IN_A_ROW_MAX {
            return;
        }
        *typing_free_ms = now_ms.max(*typing_free_ms) + TYPING_HEARD_MS;
        self.app.chat.typing(self.actor(), session, is_typing);
    }

    fn read(&mut self, session: SessionId, seq: u64, names: Names) {
        if self.follow_of(session).is_none() {
            return self.refuse_unfollowed(session, names);
        }
        let (chat, actor) = (self.app.chat.clone(), self.actor());
        self.begin(Box::pin(async move {
            let read = async {
                let member = chat.member(actor, session).await?;
                chat.read(&member, seq).await
            };
            match read.await {
                Ok(_) => Answer::Nothing,
                Err(error) => Answer::Frame(names.error(log(&error))),
            }
        }));
    }

    fn renew(&mut self, token: String, names: Names) {
        let (auth, user, expires) = (self.app.auth.clone(), self.actor().user, self.expires);
        self.begin(Box::pin(async move {
            match auth.authenticate(&token).await {
                Ok(caller) if caller.user == user && caller.token.expires >= expires => {
                    Answer::Renewed(Box::new(caller))
                }
                Ok(_) => Answer::Frame(names.error(ErrorCode::Unauthorized)),
                Err(error) => Answer::Frame(names.error(error.code())),
            }
        }));
    }

    fn check_rate(&mut self) -> Result<(), ErrorCode> {
        match self.app.chat.check_rate(self.actor()) {
            Ok(()) => {
                self.strikes = 0;
                Ok(())
            }
            Err(error) => {
                self.strikes += 1;
                Err(error.code())
            }
        }
    }

    /// Begins a command: its first step is taken now, so that order is kept.
    fn begin(&mut self, mut answer: BoxFuture<'static, Answer>) {
        let pending = match answer.as_mut().now_or_never() {
            Some(answer) => Pending::Done(answer),
            None => Pending::Waiting(answer),
        };
        self.pending.push_back(pending);
    }

    /// What is said in a session that is not followed here: `session_not_found` where there is
    /// none, `not_a_member` to everybody else.
    fn refuse_unfollowed(&mut self, session: SessionId, names: Names) {
        let (app, actor) = (self.app.clone(), self.actor());
        self.begin(Box::pin(async move {
            let code = match app.chat.member(actor, session).await {
                Ok(_) => ErrorCode::NotAMember,
                Err(error) => log(&error),
            };
            app.metrics.reject(code.code());
            Answer::Frame(names.error(code))
        }));
    }

    /// An error in its place in the order of answers.
    fn refuse(&mut self, code: ErrorCode, names: Names) {
        self.app.metrics.reject(code.code());
        let frame = if self.is_plain() { frame_of(&code.body()) } else { names.error(code) };
        if self.pending.is_empty() {
            self.pending.reserve_exact(1);
        }
        self.pending.push_back(Pending::Done(Answer::Frame(frame)));
    }
}

/// The error frame of `assistdeck.v1`.
pub(super) fn error_frame(
    code: ErrorCode,
    client_id: Option<String>,
    reference: Option<String>,
) -> Bytes {
    let ErrorBody { error, code } = code.body();
    frame_of(&ServerFrame::Error { error, code, client_id, reference })
}

fn error_body(error: &Error) -> ErrorBody {
    log(error).body()
}

/// The inner cause goes to the log, once; the client gets the word.
fn log(error: &Error) -> ErrorCode {
    let code = error.code();
    match code {
        ErrorCode::Internal => tracing::error!(%error, "a command failed"),
        ErrorCode::Unavailable => tracing::warn!(%error, "a command failed"),
        _ => tracing::trace!(%error, "a command was refused"),
    }
    code
}
