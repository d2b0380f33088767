//! HINTS between nodes: notes that may be lost, repeated, delayed or come in another order.
//!
//! A [`Bus`] carries short texts, each under a [`Topic`], and opens none of them; what they say is
//! `chat`'s. Nothing that must not be lost depends on it: the store is the truth, and whoever hears
//! nothing for a while looks there. Backends: [`notify`], LISTEN and NOTIFY of the PostgreSQL that
//! is the store, where all nodes hear all hints; [`nats`], a NATS server, where a node hears what
//! it listens to, and events travel too.

pub mod nats;
pub mod notify;

use std::collections::HashSet;

use protocol::{SessionId, UserId};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

/// A node, as others know it. Each process has a new one.
pub type NodeId = u64;

/// A note is no longer than this, in bytes, and has no line break; for notes of events see
/// [`Bus::events_bytes_max`].
pub const NOTE_BYTES_MAX: usize = 6_000;
/// What may wait to be heard; above it new notes are lost.
const HEARD_WAITING_MAX: usize = 1_024;

/// Whom a note is for. A bus that does not tell topics apart takes it to all nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    All,
    /// Nodes where the session is followed.
    Session(SessionId),
    /// Nodes where the user listens for the list of sessions.
    User(UserId),
}

/// A note to be told.
#[derive(Clone, Debug)]
pub struct Post {
    pub to: Topic,
    pub note: String,
}

/// What comes from the bus.
#[derive(Debug)]
pub enum Heard {
    /// It can be heard again, or for the first time: what was told before is unknown.
    Up,
    /// Of what these topics were told before this moment, something may be unknown; nothing of
    /// what comes from now on.
    Listening(Vec<Topic>),
    /// Notes were lost here, as too many came.
    Lost,
    /// Notes of another node.
    Notes {
        from: NodeId,
        notes: Vec<String>,
        /// Room for them, until they were read.
        room: Option<OwnedSemaphorePermit>,
    },
}

/// The end of the bus that hears.
pub type Ears = mpsc::Receiver<Heard>;

/// A way to the other nodes.
pub trait Bus: Send + Sync + 'static {
    /// Hands notes over to be told to other nodes. Never waits; what is too much is lost.
    fn publish(&self, posts: Vec<Post>);

    /// What is told under the topic is to be heard here, told by [`Heard::Listening`] once it is.
    /// Everybody hears [`Topic::All`]. Never waits.
    fn listen(&self, topic: Topic);

    /// Of the topics listened to, only these are of interest still, and those of new calls of
    /// [`Bus::listen`]: others end sooner or later. Of these none is missed.
    fn keep(&self, topics: &HashSet<Topic>);

    /// Whether a note comes to those alone who listen to its topic. Otherwise all nodes hear all,
    /// and neither [`Bus::listen`] nor [`Bus::keep`] means anything.
    fn has_topics(&self) -> bool;

    /// The longest note of events, in bytes; 0 where events don't travel.
    fn events_bytes_max(&self) -> usize;

    /// What is wrong with it, while something is.
    fn state(&self) -> Result<(), String>;
}

/// What another node says: the node in the first line of a payload, then a note a line.
fn opened(payload: &str, own: NodeId) -> Option<(NodeId, Vec<String>)> {
    let mut lines = payload.lines();
    let from = lines.next().and_then(|line| NodeId::from_str_radix(line, 16).ok())?;
    (from != own).then(|| (from, lines.map(str::to_owned).collect()))
}
