//! WHO IS IT: accounts, passwords, tokens.
//!
//! [`Auth`] turns a token into a [`Caller`], and it alone makes, changes and ends accounts and
//! tokens, whoever asks: REST, socket or command line. It knows the store and nothing of HTTP.
//!
//! Promises:
//!
//! * Why a token was refused is told to nobody outside; an unknown email and a wrong password
//!   get one answer at one cost.
//! * A verified token is remembered, so the next call costs one hash and one lookup; what a
//!   revocation ends is forgotten at once on this node, and within about a second on others and
//!   after a command beside the server.
//! * No token and no password is ever logged or shown by `Debug`.
//! * Everything that guessing or flooding could use has a limit ([`Throttling`]).
//!
//! One page a thing: `account` for what people do, `admin` for the operator's commands,
//! `verify` for tokens, `ticket` for those of the WebSocket, `revocation` for the log of ends,
//! `password`, `bcrypt_hash`, `token`, `remembered`, `rules`, `secret`, `throttle`.

mod account;
mod admin;
mod bcrypt_hash;
mod error;
mod password;
mod remembered;
mod revocation;
mod rules;
pub mod secret;
mod throttle;
mod ticket;
mod token;
mod verify;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use protocol::{Timestamp, User, UserId, UserKind};
use tokio::sync::Notify;
use uuid::Uuid;

pub use admin::{NewUser, Revoke};
pub use bcrypt_hash::COST_MAX as BCRYPT_COST_MAX;
pub use error::{Cause, Error, Result};
pub use password::check_hash;
pub use rules::{is_email, is_name};
pub use secret::Secret;
pub use throttle::Rate;
pub use token::TOKEN_BYTES_MAX;

use crate::store::Store;
use password::Hashing;
use remembered::Remembered;
use throttle::Throttle;
use token::Tokens;

/// Who is calling, and with which token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    pub user: UserId,
    pub kind: UserKind,
    pub token: TokenStamp,
}

/// What of a token matters after it was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenStamp {
    /// By which it can be revoked.
    pub id: Option<Uuid>,
    pub issued_ms: i64,
    pub expires: Timestamp,
}

impl Caller {
    /// Whether that revocation ends this caller's token.
    #[must_use]
    pub fn is_ended_by(&self, revocation: crate::store::Revocation) -> bool {
        use crate::store::Revocation;
        match revocation {
            Revocation::User { user, issued_before_ms } => {
                self.user == user && self.token.issued_ms < issued_before_ms
            }
            Revocation::Token { id } => self.token.id == Some(id),
        }
    }
}

/// What `auth` is told once.
#[derive(Clone, Debug)]
pub struct AuthSettings {
    pub secret: Secret,
    /// Life of our own tokens.
    pub token_ttl: Duration,
    /// Where given, every token must name it.
    pub issuer: Option<String>,
    /// Where given, every token must name it.
    pub audience: Option<String>,
    pub registration_open: bool,
    pub throttling: Throttling,
}

/// How often and how many at once. A `max` of 0 is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttling {
    /// Failed logins for each (account, address).
    pub failures: Rate,
    /// Failed logins for each address.
    pub failures_per_address: Rate,
    /// Registrations for each address.
    pub registrations: Rate,
    /// Users looked up by email, for each user.
    pub lookups: Rate,
    /// The same, for each address.
    pub lookups_per_address: Rate,
    /// Passwords hashed at once; 0: as many as there are cores.
    pub hashes_at_once_max: usize,
    /// Passwords that wait to be hashed.
    pub hashes_waiting_max: usize,
}

impl Default for Throttling {
    fn default() -> Self {
        Self {
            failures: Rate { max: 10, window_seconds: 300 },
            failures_per_address: Rate { max: 300, window_seconds: 300 },
            registrations: Rate { max: 60, window_seconds: 60 },
            lookups: Rate { max: 600, window_seconds: 60 },
            lookups_per_address: Rate { max: 6_000, window_seconds: 60 },
            hashes_at_once_max: 0,
            hashes_waiting_max: 256,
        }
    }
}

/// Tells the present moment.
type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Accounts, passwords and tokens. Shared as one `Arc`.
pub struct Auth {
    store: Arc<dyn Store>,
    tokens: Tokens,
    token_ttl_seconds: u64,
    registration_open: bool,
    hashing: Hashing,
    remembered: Remembered,
    /// Accounts as their own users see them: nothing changes an account's name or email.
    profiles: Mutex<HashMap<UserId, Arc<User>>>,
    throttles: Arc<Throttles>,
    clock: Clock,
    /// Something was revoked here: whoever follows the log need not wait for its next look.
    revoked: Notify,
}

/// Whom failed logins count for: an account, or an email that is nobody's, and an address.
type Suspect = (Who, IpAddr);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Who {
    Account(UserId),
    Email(String),
}

struct Throttles {
    failures: Throttle<Suspect>,
    failures_per_address: Throttle<IpAddr>,
    registrations: Throttle<IpAddr>,
    lookups: Throttle<UserId>,
    lookups_per_address: Throttle<IpAddr>,
}

impl Auth {
    #[must_use]
    pub fn new(store: Arc<dyn Store>, settings: &AuthSettings) -> Self {
        Self::with_clock(store, settings, Arc::new(Timestamp::now))
    }

    /// As [`Self::new`], with another clock than the wall's for everything but a token's `exp`
    /// and `nbf`.
    #[must_use]
    pub fn with_clock(store: Arc<dyn Store>, settings: &AuthSettings, clock: Clock) -> Self {
        let throttling = settings.throttling;
        Self {
            store,
            tokens: Tokens::new(settings),
            token_ttl_seconds: settings.token_ttl.as_secs(),
            registration_open: settings.registration_open,
            hashing: Hashing::new(throttling.hashes_at_once_max, throttling.hashes_waiting_max),
            remembered: Remembered::new(),
            profiles: Mutex::default(),
            throttles: Arc::new(Throttles {
                failures: Throttle::new(throttling.failures),
                failures_per_address: Throttle::new(throttling.failures_per_address),
                registrations: Throttle::new(throttling.registrations),
                lookups: Throttle::new(throttling.lookups),
                lookups_per_address: Throttle::new(throttling.lookups_per_address),
            }),
            clock,
            revoked: Notify::new(),
        }
    }

    fn now(&self) -> Timestamp {
        (self.clock)()
    }
}
