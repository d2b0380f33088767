//! Behaviours of the whole server, in process: one file a noun, sentences as names.

mod store;
mod support;
