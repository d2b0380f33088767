//! The wire of AssistDeck: what clients send and what they are told.
//!
//! One page a thing: [`id`] (UUIDs by noun), [`time`] (RFC 3339 in microseconds), [`model`]
//! (users, sessions, participants, messages), [`event`] (the durable items of a session's log),
//! [`frame`] (everything that goes over the WebSocket), [`rest`] (the bodies of REST calls),
//! [`error`] and [`close`] (the catalogues of codes), [`limits`] (every bound, with its unit),
//! [`json`] (strict reading), [`websocket`] (finished frames, RFC 6455).
//!
//! It knows nothing of databases, sockets or axum. Golden frames, one for each variant, lie in
//! `examples/`: they are test, documentation and fixture of the clients.

pub mod close;
pub mod error;
pub mod event;
pub mod frame;
pub mod id;
pub mod json;
pub mod limits;
pub mod model;
pub mod rest;
pub mod time;
pub mod websocket;

pub use close::CloseCode;
pub use error::{ErrorBody, ErrorCode};
pub use event::{Change, Event};
pub use id::{MessageId, ParticipantId, SessionId, UserId};
pub use model::{Message, Participant, ParticipantRow, Session, User, UserKind};
pub use time::Timestamp;
