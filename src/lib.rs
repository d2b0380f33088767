//! AssistDeck: the server for shared chat sessions.
//!
//! The table of contents, from the doors down; an arrow between modules goes down, never up
//! (ARCHITECTURE.md tells the whole map, `tests/tidy.rs` holds it):
//!
//! * [`cli`], [`server`], [`app`]: the program, the server as a whole, what handlers share;
//! * [`http`], [`ws`]: the doors; [`refusal`], [`origins`], [`peer`], [`heads`]: what both
//!   need;
//! * [`chat`], [`auth`]: what people may do and what then happens; who they are;
//! * [`hub`], [`bus`], [`store`]: who listens on this node; hints between nodes; the truth;
//! * [`moving`]: a whole store as a file, and what comes from elsewhere;
//! * [`config`], [`logging`], [`metrics`].
//!
//! The wire is a crate of its own, `assistdeck-protocol`.

pub mod app;
pub mod auth;
pub mod bus;
pub mod chat;
pub mod cli;
pub mod config;
pub mod heads;
pub mod http;
pub mod hub;
pub mod logging;
pub mod metrics;
pub mod moving;
pub mod origins;
pub mod peer;
pub mod refusal;
pub mod server;
pub mod store;
pub mod ws;
