//! What a person did or met, free of HTTP: one code of the catalogue each.

use protocol::ErrorCode;

use crate::store::{self, Refusal};

/// Why something was not done.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// It can't be done as asked.
    #[error("{}", .0.code())]
    Refused(ErrorCode),
    /// Too often.
    #[error("rate limited, again in {retry_after_s} s")]
    RateLimited { retry_after_s: u64 },
    /// The store can't, or found something that can't be.
    #[error(transparent)]
    Store(store::Error),
}

impl Error {
    /// The word that the client hears.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Refused(code) => *code,
            Self::RateLimited { .. } => ErrorCode::RateLimited,
            Self::Store(store::Error::Refused(refusal)) => code_of(*refusal),
            Self::Store(store::Error::Unavailable(_)) => ErrorCode::Unavailable,
            Self::Store(store::Error::Corrupt { .. } | store::Error::Other(_)) => {
                ErrorCode::Internal
            }
        }
    }
}

impl From<ErrorCode> for Error {
    fn from(code: ErrorCode) -> Self {
        Self::Refused(code)
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        Self::Store(error)
    }
}

fn code_of(refusal: Refusal) -> ErrorCode {
    match refusal {
        Refusal::EmailTaken | Refusal::UserExists => ErrorCode::EmailTaken,
        Refusal::SessionNotFound => ErrorCode::SessionNotFound,
        Refusal::NotAMember => ErrorCode::NotAMember,
        Refusal::NotSessionOwner => ErrorCode::NotSessionOwner,
        Refusal::UserNotFound => ErrorCode::UserNotFound,
        Refusal::AlreadyParticipant => ErrorCode::AlreadyParticipant,
        Refusal::ParticipantNotFound => ErrorCode::ParticipantNotFound,
        Refusal::OwnerCannotLeave => ErrorCode::OwnerCannotLeave,
        Refusal::MessageNotFound => ErrorCode::MessageNotFound,
        Refusal::NotMessageSender => ErrorCode::NotMessageSender,
        Refusal::MessageDeleted => ErrorCode::MessageDeleted,
        Refusal::ClientIdReused => ErrorCode::ClientIdReused,
    }
}
