//! The catalogue of errors. A code never changes its meaning; the sentence may.

use serde::{Deserialize, Serialize};

/// `{"error": "a sentence", "code": "word"}`: every error, on every path.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ErrorBody {
    /// A sentence for people; it may change.
    pub error: String,
    /// A word for programs; it does not change.
    pub code: String,
}

macro_rules! catalogue {
    ($($(#[$doc:meta])* $name:ident = $status:literal $code:literal, $sentence:literal;)+) => {
        /// What went wrong, as a word for programs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorCode { $($(#[$doc])* $name,)+ }

        impl ErrorCode {
            /// Every code there is, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The word on the wire.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }

            /// The HTTP status that goes with it.
            #[must_use]
            pub fn status(self) -> u16 {
                match self { $(Self::$name => $status,)+ }
            }

            /// The sentence for people.
            #[must_use]
            pub fn sentence(self) -> &'static str {
                match self { $(Self::$name => $sentence,)+ }
            }
        }
    };
}

catalogue! {
    InvalidJson = 400 "invalid_json", "The body is not a JSON object of the documented form.";
    InvalidId = 400 "invalid_id", "An id is not a UUID.";
    InvalidQuery = 400 "invalid_query", "A query parameter or header is malformed or given twice.";
    InvalidContent = 400 "invalid_content",
        "The content must be text that is not blank, without control characters.";
    InvalidTitle = 400 "invalid_title", "A title has 1 to 200 characters, no control characters.";
    InvalidEmail = 400 "invalid_email", "This is not an email address of 254 bytes at most.";
    InvalidName = 400 "invalid_name", "A name has 1 to 100 characters, no control characters.";
    InvalidPassword = 400 "invalid_password", "A password has 8 to 128 characters.";
    PasswordTooCommon = 400 "password_too_common", "This password is among the most common ones.";
    InvalidFileUrl = 400 "invalid_file_url",
        "The file_url must be an absolute http or https URL of 2,048 bytes at most.";
    InvalidClientId = 400 "invalid_client_id",
        "A client_id has 1 to 64 characters, and an Idempotency-Key beside it must be the same.";
    MissingField = 400 "missing_field", "A required field is missing.";
    MissingSessionId = 400 "missing_session_id", "The parameter session_id is missing.";
    Unauthorized = 401 "unauthorized", "A valid token is required.";
    InvalidCredentials = 401 "invalid_credentials", "The email or the password is wrong.";
    NotSessionOwner = 403 "not_session_owner", "Only the session owner can do this.";
    NotAMember = 403 "not_a_member", "You don't have access to this chat session.";
    NotMessageSender = 403 "not_message_sender", "Only the sender of a message can do this.";
    NotAnAgent = 403 "not_an_agent", "Only an agent can send messages marked as an AI's.";
    OriginNotAllowed = 403 "origin_not_allowed", "Pages of this origin may not connect.";
    RegistrationClosed = 403 "registration_closed", "Registration is closed on this server.";
    NotFound = 404 "not_found", "There is nothing at this path.";
    SessionNotFound = 404 "session_not_found", "There is no such session.";
    UserNotFound = 404 "user_not_found", "There is no such user.";
    ParticipantNotFound = 404 "participant_not_found", "There is no such participant.";
    MessageNotFound = 404 "message_not_found", "There is no such message.";
    MethodNotAllowed = 405 "method_not_allowed", "This path does not take this method.";
    RequestTimeout = 408 "request_timeout", "The request was not complete in time.";
    BodyTooLarge = 413 "body_too_large", "The body is larger than 524,288 bytes.";
    ContentTooLarge = 413 "content_too_large", "The content is longer than 65,536 bytes.";
    UnsupportedMediaType = 415 "unsupported_media_type",
        "The body must be application/json in UTF-8, not compressed.";
    UpgradeRequired = 426 "upgrade_required", "This path takes WebSocket connections (version 13).";
    AlreadyParticipant = 409 "already_participant", "The user is already in this session.";
    EmailTaken = 409 "email_taken", "There is an account with this email already.";
    OwnerCannotLeave = 409 "owner_cannot_leave", "The owner can't leave the session.";
    ClientIdReused = 409 "client_id_reused", "This client_id was used with other contents.";
    MessageDeleted = 409 "message_deleted", "The message was deleted.";
    PositionUnknown = 409 "position_unknown",
        "This position is beyond the session's head, or of another epoch.";
    RateLimited = 429 "rate_limited", "Too many requests.";
    Unavailable = 503 "unavailable", "The server can't do this at the moment.";
    Internal = 500 "internal", "Something went wrong on the server.";
}

impl ErrorCode {
    /// The body with the code's own sentence.
    #[must_use]
    pub fn body(self) -> ErrorBody {
        ErrorBody { error: self.sentence().to_owned(), code: self.code().to_owned() }
    }
}
