//! What reaches one connection from others: hints that a log has news, signals, orders to close.
//!
//! One inbox a connection, shared with every ring that it follows. Whoever puts something in
//! wakes the connection's task; only that task takes anything out. It is bounded: hints are
//! numbers that each stand in it once, signals are dropped or end the connection.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Waker};

use bytes::Bytes;
use protocol::{CloseCode, UserId};
use smallvec::SmallVec;
use uuid::Uuid;

use super::lock;
use crate::store::Revocation;

/// Signals that may wait for one connection; above it typing and presence are dropped.
const SIGNALS_WAITING_MAX: usize = 256;
/// Mail of any kind that may wait; above it the connection is closed as too slow.
const MAIL_WAITING_MAX: usize = 4_096;

/// Whose connection it is, and by which token.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    pub user: UserId,
    /// `jti`, when it is a UUID.
    pub token_id: Option<Uuid>,
    pub token_issued_ms: i64,
    /// Where it comes from, where that is known.
    pub address: Option<IpAddr>,
}

impl Identity {
    /// Of a user, by a token of which nothing is known.
    #[must_use]
    pub fn of(user: UserId) -> Self {
        Self { user, token_id: None, token_issued_ms: 0, address: None }
    }
}

/// Something for a connection that is no event of a log.
#[derive(Clone, Debug)]
pub enum Mail {
    /// A finished frame that may be lost: typing, presence, read.
    Signal(Bytes),
    /// A finished frame about the user's list of sessions.
    Notice(Bytes),
    /// The connection has to end.
    Close(CloseCode),
}

/// Numbers of follows. Most connections have one or a few, which need no allocation.
pub type Numbers = SmallVec<[u32; 4]>;

/// What was found in an inbox.
#[derive(Debug, Default)]
pub struct News {
    /// The follows that have something new.
    pub follows: Numbers,
    pub mail: VecDeque<Mail>,
}

/// What reaches one connection from others.
#[derive(Debug)]
pub struct Inbox {
    pub user: UserId,
    pub address: Option<IpAddr>,
    /// When the connection wants to be woken, in milliseconds of the hub's pulse clock.
    due_ms: AtomicI64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    waker: Option<Waker>,
    news: News,
    token: Token,
}

/// By what the connection came in; another may take its place.
#[derive(Clone, Copy, Debug)]
struct Token {
    id: Option<Uuid>,
    issued_ms: i64,
}

impl From<Identity> for Token {
    fn from(identity: Identity) -> Self {
        Self { id: identity.token_id, issued_ms: identity.token_issued_ms }
    }
}

impl Inbox {
    #[must_use]
    pub fn new(identity: Identity) -> Self {
        let state = State { waker: None, news: News::default(), token: identity.into() };
        let due_ms = AtomicI64::new(i64::MAX);
        let Identity { user, address, .. } = identity;
        Self { user, address, due_ms, state: Mutex::new(state) }
    }

    /// The connection goes on by another token of the same user.
    pub fn renew(&self, identity: Identity) {
        debug_assert_eq!(identity.user, self.user);
        lock(&self.state).token = identity.into();
    }

    /// A log has news. The ring sees to it that one follow is named once at a time.
    pub(super) fn hint(&self, follow: u32) {
        let mut state = lock(&self.state);
        state.news.follows.push(follow);
        state.wake();
    }

    /// Leaves mail. Never waits, never grows beyond its bound.
    pub fn put(&self, mail: Mail) {
        let mut state = lock(&self.state);
        let waiting = state.news.mail.len();
        match mail {
            Mail::Signal(_) if waiting >= SIGNALS_WAITING_MAX => return,
            Mail::Notice(_) if waiting == MAIL_WAITING_MAX => {
                state.news.mail.push_back(Mail::Close(CloseCode::TooSlow));
            }
            Mail::Signal(_) | Mail::Notice(_) if waiting > MAIL_WAITING_MAX => return,
            Mail::Close(_) if waiting > MAIL_WAITING_MAX + 8 => return,
            mail => state.news.mail.push_back(mail),
        }
        state.wake();
    }

    /// Takes everything out, and remembers whom to wake for what comes next.
    pub fn drain(&self, context: Option<&Context<'_>>) -> News {
        let mut state = lock(&self.state);
        if let Some(context) = context {
            match &state.waker {
                Some(waker) if waker.will_wake(context.waker()) => {}
                _ => state.waker = Some(context.waker().clone()),
            }
        }
        std::mem::take(&mut state.news)
    }

    /// The connection wants to be woken at that moment of the pulse clock.
    pub fn set_due(&self, due_ms: i64) {
        self.due_ms.store(due_ms, Ordering::Relaxed);
    }

    /// When it wants to be woken.
    pub fn due_ms(&self) -> i64 {
        self.due_ms.load(Ordering::Relaxed)
    }

    /// Wakes the connection if its moment has come.
    pub(super) fn wake_if_due(&self, now_ms: i64) {
        if self.due_ms.load(Ordering::Relaxed) <= now_ms {
            lock(&self.state).wake();
        }
    }

    pub(super) fn is_hit_by(&self, revocation: Revocation) -> bool {
        let token = lock(&self.state).token;
        match revocation {
            Revocation::User { user, issued_before_ms } => {
                self.user == user && token.issued_ms < issued_before_ms
            }
            Revocation::Token { id } => token.id == Some(id),
        }
    }
}

impl State {
    fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mail_is_bounded_and_the_overflow_closes() {
        let inbox = Inbox::new(Identity::of(UserId::new()));
        for _ in 0..2 * MAIL_WAITING_MAX {
            inbox.put(Mail::Signal(Bytes::new()));
        }
        assert_eq!(inbox.drain(None).mail.len(), SIGNALS_WAITING_MAX);
        for _ in 0..2 * MAIL_WAITING_MAX {
            inbox.put(Mail::Notice(Bytes::new()));
        }
        let mail = inbox.drain(None).mail;
        assert_eq!(mail.len(), MAIL_WAITING_MAX + 1);
        assert!(matches!(mail.back(), Some(Mail::Close(CloseCode::TooSlow))));
    }

    #[test]
    fn a_revocation_hits_older_tokens_of_its_user_alone() {
        let user = UserId::new();
        let token_id = Some(Uuid::nil());
        let identity = Identity { token_id, token_issued_ms: 10, ..Identity::of(user) };
        let inbox = Inbox::new(identity);
        let hits =
            |user, issued_before_ms| inbox.is_hit_by(Revocation::User { user, issued_before_ms });
        assert!(hits(user, 11) && !hits(user, 10) && !hits(UserId::new(), 11));
        assert!(inbox.is_hit_by(Revocation::Token { id: Uuid::nil() }));
        assert!(!inbox.is_hit_by(Revocation::Token { id: Uuid::max() }));
    }
}
