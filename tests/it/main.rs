//! Behaviours of the whole server, in process: one file a noun, sentences as names.

mod accounts;
mod edits;
mod history;
mod messages;
mod participants;
mod repeats;
mod sessions;
mod store;
mod support;
mod throttles;
mod tickets;
mod tokens;
mod unread;
