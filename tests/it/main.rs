//! Behaviours of the whole server, in process: one file a noun, sentences as names.

mod accounts;
mod answers;
mod bad_frames;
mod bodies;
mod catalogue;
mod closing;
mod edits;
mod feed;
mod follow;
mod heads;
mod history;
mod messages;
mod news;
mod origins;
mod participants;
mod plain;
mod presence;
mod repeats;
mod sessions;
mod store;
mod support;
mod throttles;
mod tickets;
mod tokens;
mod unread;
mod v1;
