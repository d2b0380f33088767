//! Why a WebSocket was closed. 4000 to 4499: come back. 4500 to 4999: do not.

macro_rules! catalogue {
    ($($(#[$doc:meta])* $name:ident = $number:literal $reason:literal, $advice:literal;)+) => {
        /// The close codes that the server sends (RFC 6455, 7.4, and the application's own).
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum CloseCode { $($(#[$doc])* $name,)+ }

        impl CloseCode {
            /// Every code there is, in ascending order.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The number on the wire.
            #[must_use]
            pub fn number(self) -> u16 {
                match self { $(Self::$name => $number,)+ }
            }

            /// The reason that goes with the number, for people.
            #[must_use]
            pub fn reason(self) -> &'static str {
                match self { $(Self::$name => $reason,)+ }
            }

            /// What the client should do.
            #[must_use]
            pub fn advice(self) -> &'static str {
                match self { $(Self::$name => $advice,)+ }
            }
        }
    };
}

catalogue! {
    /// The client closed; its own code is echoed.
    Normal = 1000 "", "nothing: it closed the connection itself";
    /// The server goes down: connect again with `after`, after a random wait.
    GoingAway = 1001 "the server goes down",
        "connect again with `after`, after a random wait";
    /// A frame that RFC 6455 forbids.
    ProtocolError = 1002 "protocol error", "mend itself";
    /// A text frame that is no UTF-8.
    InvalidUtf8 = 1007 "invalid UTF-8", "mend itself";
    /// A frame above `frame_bytes_max` or `frame_fragments_max`.
    TooBig = 1009 "the frame is too big", "mend itself";
    /// A fault of the server's own.
    Internal = 1011 "internal error", "connect again with `after`, after a random wait";
    /// The server is being drained: connect again with `after`, after a random wait.
    Restart = 1012 "the server restarts", "connect again with `after`, after a random wait";
    /// The token has expired.
    TokenExpired = 4401 "the token has expired", "get a new token, connect with `after`";
    /// No pong for two heartbeats, or a write without progress.
    TooSlow = 4408 "the connection was too slow", "connect again with `after`";
    /// `after` is beyond the head, or the epoch changed.
    PositionUnknown = 4409 "the position is unknown",
        "load the session anew, connect without `after`";
    /// A configured rate was far exceeded.
    RateExceeded = 4429 "too many frames", "wait, connect with `after`";
    /// The token was revoked or the account disabled.
    Revoked = 4501 "access was revoked", "stop";
    /// The user was removed from the session, or left it.
    Removed = 4503 "removed from the session", "stop";
    /// The session was deleted.
    SessionDeleted = 4504 "the session was deleted", "stop";
}
