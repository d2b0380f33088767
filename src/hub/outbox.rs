//! What this node's presence means to others: gathered here for whoever tells them.
//!
//! The hub neither waits nor knows of other nodes; it leaves word, and wakes whoever reads it.
//! Where nobody reads, because the node is alone, there is no outbox.

use std::sync::Mutex;

use protocol::{SessionId, UserId};
use tokio::sync::Notify;

use super::lock;

/// Words that may wait; above it new ones are lost, as signals may be.
const WAITING_MAX: usize = 65_536;

/// A change on this node that others may want to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outward {
    /// A user came to a session here, or left it for good.
    Online {
        session: SessionId,
        user: UserId,
        online: bool,
    },
    /// The last follower of a session went here, and with it this user; who comes back soon was
    /// never gone.
    Left {
        session: SessionId,
        user: UserId,
    },
    Typing {
        session: SessionId,
        user: UserId,
        is_typing: bool,
    },
}

/// What waits to be told.
#[derive(Default)]
pub struct Outbox {
    waiting: Mutex<Vec<Outward>>,
    news: Notify,
}

impl Outbox {
    pub(super) fn put(&self, outward: Outward) {
        let mut waiting = lock(&self.waiting);
        if waiting.len() < WAITING_MAX {
            waiting.push(outward);
        }
        drop(waiting);
        self.news.notify_one();
    }

    /// Wakes whoever waits, also when nothing is here.
    pub fn nudge(&self) {
        self.news.notify_one();
    }

    /// Told when there is something, or after [`Outbox::nudge`].
    #[must_use]
    pub fn news(&self) -> &Notify {
        &self.news
    }

    #[must_use]
    pub fn take(&self) -> Vec<Outward> {
        std::mem::take(&mut lock(&self.waiting))
    }
}
