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
use protocol::{ErrorBody, ErrorCode, SessionId, json};

use super::client::{Client, Following, Pending, Speech, State, frame_of};
use super::frame::{Flow, Incoming};
use crate::auth::Caller;
use crate::chat::{Checked, Error, Follower, Position, Sent};
use crate::hub::{Place, Wire};

/// The same user is told to be typing no more often than this; between, it goes without saying.
const TYPING_TOLD_MS: i64 = (TYPING_MS / 4) as i64;

/// The outcome of a command.
pub(super) enum Answer {
    Nothing,
    Frame(Bytes),
    Followed { key: u32, serial: u32, opened: Box<Opened> },
    NotFollowed { key: u32, serial: u32, frame: Bytes },
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
        if let Err(code) = self.check_rate() {
            return self.refuse(code, Names::default());
        }
        match json::read::<NewMessage<'_>>(text).and_then(|new| Checked::new(new, None)) {
            Err(code) => self.refuse(code, Names::default()),
            Ok(new) => {
                let (chat, actor) = (self.app.chat.clone(), self.actor);
                self.begin(Box::pin(async move {
                    match chat.send(actor, session, new).await {
                        // The message comes to its sender as to everybody.
                        Ok(Sent::New(_)) => Answer::Nothing,
                        Ok(Sent::Repeat(message)) => Answer::Frame(frame_of(&message)),
                        Err(error) => Answer::Frame(frame_of(&error_body(&error))),
                    }
                }));
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
        if let Err(code) = self.check_rate() {
            return self.refuse(code, names);
        }
        match Checked::new(message, None) {
            Err(code) => self.refuse(code, names),
            Ok(_) if self.follow_of(session).is_none() => {
                self.refuse(ErrorCode::NotAMember, names);
            }
            Ok(new) => {
                let (chat, actor) = (self.app.chat.clone(), self.actor);
                let client_id = new.client_id().unwrap_or_default().to_owned();
                self.begin(Box::pin(async move {
                    match chat.send(actor, session, new).await {
                        Ok(sent) => {
                            let message = sent.message().clone();
                            let sent = ServerFrame::MessageSent { client_id, message };
                            Answer::Frame(frame_of(&sent))
                        }
                        Err(error) => Answer::Frame(names.error(log(&error))),
                    }
                }));
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
        let following = Following { session, serial, state: State::Opening, typed_ms: 0 };
        let key = self.follows.insert(following) as u32;
        let inbox = self.connected.inbox().clone();
        let place = Place { inbox, number: key, wire: Wire::V1 };
        let (chat, actor) = (self.app.chat.clone(), self.actor);
        self.begin(Box::pin(async move {
            let opened = async {
                let (follower, member) = chat.follow(actor, session, position, place).await?;
                let frame = frame_of(&chat.describe(&follower, member).await?);
                Ok::<_, Error>(Box::new(Opened { frame, follower }))
            };
            match opened.await {
                Ok(opened) => Answer::Followed { key, serial, opened },
                Err(error) => Answer::NotFollowed { key, serial, frame: names.error(log(&error)) },
            }
        }));
    }

    fn leave(&mut self, session: SessionId, names: Names) {
        let Some(key) = self.follow_of(session) else {
            return self.refuse(ErrorCode::NotAMember, names);
        };
        self.follows.remove(key);
        if key == 0 {
            self.speech = Speech::V1 { is_bound: false };
        }
    }

    fn set_typing(&mut self, session: SessionId, is_typing: bool, names: Names) {
        let now_ms = self.app.chat.hub().now_ms();
        let Some(key) = self.follow_of(session) else {
            return self.refuse(ErrorCode::NotAMember, names);
        };
        let typed_ms = &mut self.follows[key].typed_ms;
        if is_typing {
            // A flood is thinned here: the hub tells changes alone, and no faster than this.
            if *typed_ms != 0 && now_ms - *typed_ms < TYPING_TOLD_MS {
                return;
            }
            *typed_ms = now_ms.max(1);
        }
        self.app.chat.typing(self.actor, session, is_typing);
    }

    fn read(&mut self, session: SessionId, seq: u64, names: Names) {
        if self.follow_of(session).is_none() {
            return self.refuse(ErrorCode::NotAMember, names);
        }
        let (chat, actor) = (self.app.chat.clone(), self.actor);
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
        let (auth, user, expires) = (self.app.auth.clone(), self.actor.user, self.expires);
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
        match self.app.chat.check_rate(self.actor) {
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
