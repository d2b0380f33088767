//! The numbers that stand for words in the database. They never change their meaning.

/// `events.kind`.
pub const MESSAGE_UPDATED: i64 = 2;
pub const MESSAGE_DELETED: i64 = 3;
pub const PARTICIPANT_ADDED: i64 = 4;
pub const PARTICIPANT_REMOVED: i64 = 5;
pub const SESSION_UPDATED: i64 = 6;
pub const SESSION_DELETED: i64 = 7;

/// `messages.state`: 2 to 4, for 0 and 1 would make rows of another size.
pub const EDITED: i64 = 3;
pub const DELETED: i64 = 4;
pub const WIPED: i64 = 5;

/// `users.kind`.
pub const HUMAN: i64 = 1;
pub const AGENT: i64 = 2;
