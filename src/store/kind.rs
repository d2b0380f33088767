//! The numbers that stand for words in a database, whichever it is. They never change their
//! meaning.

use protocol::{UserId, UserKind};

use super::Result;
use super::fault::corrupt;

/// `events.kind`; 1 stands for the creation of a message, which is a row of `messages`.
pub const MESSAGE_CREATED: i64 = 1;
pub const MESSAGE_UPDATED: i64 = 2;
pub const MESSAGE_DELETED: i64 = 3;
pub const PARTICIPANT_ADDED: i64 = 4;
pub const PARTICIPANT_REMOVED: i64 = 5;
pub const SESSION_UPDATED: i64 = 6;
pub const SESSION_DELETED: i64 = 7;

/// `messages.state`: 2 as sent, and so on to 5, for 0 and 1 would make rows of another size in
/// SQLite.
pub const SENT: i64 = 2;
pub const EDITED: i64 = 3;
pub const DELETED: i64 = 4;
pub const WIPED: i64 = 5;

/// `users.kind`.
pub const HUMAN: i64 = 1;
pub const AGENT: i64 = 2;

/// The number of a kind of user.
pub fn of_user(kind: UserKind) -> i64 {
    match kind {
        UserKind::Human => HUMAN,
        UserKind::Agent => AGENT,
    }
}

/// The kind of user that a number stands for.
pub fn user_kind(number: i64, user: UserId) -> Result<UserKind> {
    match number {
        HUMAN => Ok(UserKind::Human),
        AGENT => Ok(UserKind::Agent),
        _ => corrupt("users", user, "it has an unknown kind"),
    }
}
