//! Why a WebSocket was closed. 4000 to 4499: come back. 4500 to 4999: do not.

/// The close codes that the server sends (RFC 6455, 7.4, and the application's own).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseCode {
    /// The client closed; its own code is echoed.
    Normal,
    /// The server goes down: connect again with `after`, after a random wait.
    GoingAway,
    /// A frame that RFC 6455 forbids.
    ProtocolError,
    /// A text frame that is no UTF-8.
    InvalidUtf8,
    /// A frame above `frame_bytes_max` or `frame_fragments_max`.
    TooBig,
    /// A fault of the server's own.
    Internal,
    /// The server is being drained: connect again with `after`, after a random wait.
    Restart,
    /// The token has expired.
    TokenExpired,
    /// No pong for two heartbeats, or a write without progress.
    TooSlow,
    /// `after` is beyond the head, or the epoch changed.
    PositionUnknown,
    /// A configured rate was far exceeded.
    RateExceeded,
    /// The token was revoked or the account disabled.
    Revoked,
    /// The user was removed from the session, or left it.
    Removed,
    /// The session was deleted.
    SessionDeleted,
}

impl CloseCode {
    /// The number on the wire.
    #[must_use]
    pub fn number(self) -> u16 {
        match self {
            Self::Normal => 1000,
            Self::GoingAway => 1001,
            Self::ProtocolError => 1002,
            Self::InvalidUtf8 => 1007,
            Self::TooBig => 1009,
            Self::Internal => 1011,
            Self::Restart => 1012,
            Self::TokenExpired => 4401,
            Self::TooSlow => 4408,
            Self::PositionUnknown => 4409,
            Self::RateExceeded => 4429,
            Self::Revoked => 4501,
            Self::Removed => 4503,
            Self::SessionDeleted => 4504,
        }
    }

    /// The reason that goes with the number, for people.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Normal => "",
            Self::GoingAway => "the server goes down",
            Self::ProtocolError => "protocol error",
            Self::InvalidUtf8 => "invalid UTF-8",
            Self::TooBig => "the frame is too big",
            Self::Internal => "internal error",
            Self::Restart => "the server restarts",
            Self::TokenExpired => "the token has expired",
            Self::TooSlow => "the connection was too slow",
            Self::PositionUnknown => "the position is unknown",
            Self::RateExceeded => "too many frames",
            Self::Revoked => "access was revoked",
            Self::Removed => "removed from the session",
            Self::SessionDeleted => "the session was deleted",
        }
    }
}
