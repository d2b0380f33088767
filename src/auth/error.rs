//! What a person did or met, free of HTTP.
//!
//! Each variant maps to one code of the protocol. [`Cause`] says why a token was refused: for
//! our own log at debug level, never for whoever sent it.

use std::fmt;

use protocol::ErrorCode;

use crate::store;

/// What `auth` answers.
pub type Result<T> = std::result::Result<T, Error>;

/// Why `auth` said no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The token opens nothing. The cause stays inside.
    Unauthorized(Cause),
    /// The email or the password is wrong, whichever.
    InvalidCredentials,
    InvalidEmail,
    InvalidName,
    InvalidPassword,
    PasswordTooCommon,
    MissingField,
    RegistrationClosed,
    EmailTaken,
    UserNotFound,
    /// Too often, or too many at once. The time is whole seconds, 1 at least.
    RateLimited {
        retry_after: u64,
    },
    /// The store is out of reach; nothing was changed.
    Unavailable(String),
    /// A fault of ours.
    Internal(String),
}

/// Why a token was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    TooLong,
    Malformed,
    WrongAlgorithm,
    CriticalHeader,
    BadSignature,
    Expired,
    NotYetValid,
    WrongIssuer,
    WrongAudience,
    WrongClaim,
    NoSubject,
    UnknownUser,
    EmailOfAnother,
    Disabled,
    UserRevoked,
    TokenRevoked,
    UnknownTicket,
}

impl Error {
    /// The word on the wire.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Unauthorized(_) => ErrorCode::Unauthorized,
            Self::InvalidCredentials => ErrorCode::InvalidCredentials,
            Self::InvalidEmail => ErrorCode::InvalidEmail,
            Self::InvalidName => ErrorCode::InvalidName,
            Self::InvalidPassword => ErrorCode::InvalidPassword,
            Self::PasswordTooCommon => ErrorCode::PasswordTooCommon,
            Self::MissingField => ErrorCode::MissingField,
            Self::RegistrationClosed => ErrorCode::RegistrationClosed,
            Self::EmailTaken => ErrorCode::EmailTaken,
            Self::UserNotFound => ErrorCode::UserNotFound,
            Self::RateLimited { .. } => ErrorCode::RateLimited,
            Self::Unavailable(_) => ErrorCode::Unavailable,
            Self::Internal(_) => ErrorCode::Internal,
        }
    }

    /// Seconds for `Retry-After`, where the answer has one of its own.
    #[must_use]
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::RateLimited { retry_after } => Some(*retry_after),
            _ => None,
        }
    }

    /// The inner cause, for the log alone. No token, password or email is in it.
    #[must_use]
    pub fn cause(&self) -> Option<String> {
        match self {
            Self::Unauthorized(cause) => Some(cause.to_string()),
            Self::Unavailable(why) | Self::Internal(why) => Some(why.clone()),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code().sentence())?;
        match self.cause() {
            Some(cause) => write!(f, " ({cause})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "the token is too long",
            Self::Malformed => "the token is no JWT",
            Self::WrongAlgorithm => "the token's algorithm is not HS256",
            Self::CriticalHeader => "the token has a crit header",
            Self::BadSignature => "the signature is wrong",
            Self::Expired => "the token has expired",
            Self::NotYetValid => "the token is not valid yet",
            Self::WrongIssuer => "the issuer is not the configured one",
            Self::WrongAudience => "the audience is not the configured one",
            Self::WrongClaim => "a claim is missing or has a wrong form",
            Self::NoSubject => "neither sub nor user_id is a UUID",
            Self::UnknownUser => "the user is unknown and the claims have no valid email",
            Self::EmailOfAnother => "the user is unknown and the email is another user's",
            Self::Disabled => "the account is disabled",
            Self::UserRevoked => "the user's tokens of that time were revoked",
            Self::TokenRevoked => "the token was revoked",
            Self::UnknownTicket => "the ticket is unknown, taken or expired",
        })
    }
}

impl From<Cause> for Error {
    fn from(cause: Cause) -> Self {
        Self::Unauthorized(cause)
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Refused(store::Refusal::EmailTaken) => Self::EmailTaken,
            store::Error::Refused(store::Refusal::UserNotFound) => Self::UserNotFound,
            store::Error::Unavailable(why) => Self::Unavailable(why),
            other => Self::Internal(other.to_string()),
        }
    }
}
