//! Every bound of the wire, once, with its unit in its name.
//!
//! What a setting may change has its default here. What only concerns the inside of the
//! server (queues, rings, pages) stands beside the thing that it bounds.

/// `content` of a message, in bytes.
pub const CONTENT_BYTES_MAX: usize = 65_536;
/// `file_url` of a message, in bytes.
pub const FILE_URL_BYTES_MAX: usize = 2_048;
/// `client_id` of a message and `Idempotency-Key`, in characters.
pub const CLIENT_ID_CHARS_MAX: usize = 64;
/// A session's title, in characters after trimming.
pub const TITLE_CHARS_MAX: usize = 200;
/// A user's name, in characters after trimming.
pub const NAME_CHARS_MAX: usize = 100;
/// An email address, in bytes (RFC 5321, 4.5.3.1.3).
pub const EMAIL_BYTES_MAX: usize = 254;
/// A password, in characters.
pub const PASSWORD_CHARS_MIN: usize = 8;
/// A password, in characters.
pub const PASSWORD_CHARS_MAX: usize = 128;
/// The body of a REST call, in bytes.
pub const BODY_BYTES_MAX: usize = 524_288;
/// A reassembled frame, in bytes: the default of the setting `frame_bytes_max`.
pub const FRAME_BYTES_MAX: usize = 524_288;
/// Fragments of one frame: the default of the setting `frame_fragments_max`.
pub const FRAME_FRAGMENTS_MAX: usize = 65_536;
/// Items of any page asked for with `limit`.
pub const PAGE_ITEMS_MAX: usize = 1_000;
/// Messages or events of a page when no `limit` is given.
pub const PAGE_ITEMS: usize = 100;
/// Contents of one page of messages or events, in bytes (one item at least).
pub const PAGE_BYTES_MAX: usize = 262_144;
/// Messages counted for `unread_count`.
pub const UNREAD_COUNT_MAX: u64 = 1_000;
/// Sessions followed by one socket.
pub const FOLLOWS_MAX: usize = 200;
/// Sends of one connection that are not answered yet.
pub const SENDS_IN_FLIGHT_MAX: usize = 32;
/// Entries of a list within a frame (`following`).
pub const FRAME_LIST_ITEMS_MAX: usize = 200;
/// Length of a `ref` that a client gives to a frame, in characters.
pub const REF_CHARS_MAX: usize = 64;
/// The longest wait of `GET …/events?wait=`, in seconds.
pub const EVENTS_WAIT_SECONDS_MAX: u64 = 30;
/// Time between two pings of the server, in milliseconds.
pub const HEARTBEAT_MS: u64 = 25_000;
/// Typing ends by itself after this, in milliseconds.
pub const TYPING_MS: u64 = 6_000;
/// A member who comes back within this is not told as gone, in milliseconds.
pub const PRESENCE_GRACE_MS: u64 = 10_000;
/// A v1 connection lives on after its token's `exp`, in milliseconds.
pub const TOKEN_GRACE_MS: u64 = 25_000;
/// `token_expiring` is told this long before `exp`, in milliseconds.
pub const TOKEN_EXPIRING_MS: u64 = 60_000;
/// Life of a ticket for the WebSocket, in seconds.
pub const TICKET_TTL_SECONDS: u64 = 30;
