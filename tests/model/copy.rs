//! What a device has of a session's log, and what it may be handed next.
//!
//! The rules that need no store: each number once, in order, without a gap; nothing behind the
//! event that ends a following.

use std::time::Instant;

use protocol::{Change, Event, Timestamp, UserId};

/// A device's copy of one log: the events above `base`.
#[derive(Debug, Default)]
pub struct Copy {
    pub base: u64,
    pub events: Vec<Event>,
}

impl Copy {
    pub fn at(&self) -> u64 {
        self.events.last().map_or(self.base, |event| event.seq)
    }

    /// Goes on behind `after`: what the copy has above is dropped, and all of it where it does
    /// not reach so far.
    pub fn rewind(&mut self, after: u64) {
        if after < self.base || after > self.at() {
            self.events.clear();
            self.base = after;
        } else {
            self.events.retain(|event| event.seq <= after);
        }
    }

    pub fn take(&mut self, event: Event) -> Result<(), String> {
        let (at, seq) = (self.at(), event.seq);
        // What was before a session's end may be purged.
        let is_next = seq == at + 1 || (event.ends_session() && seq > at);
        if !is_next {
            return Err(format!("number {seq} after {at}"));
        }
        self.events.push(event);
        Ok(())
    }
}

/// How a following ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    Removed,
    Deleted,
}

/// One following of one session, as far as its client can know it.
#[derive(Clone, Debug)]
pub struct Following {
    /// Before it was asked for.
    pub began: Instant,
    /// The last event that was known to be durable then: it was authorised at this or above.
    pub head_min: u64,
    /// The head at which it was authorised, where that is told.
    pub head: Option<u64>,
    /// After it was granted: what is later than this is above its head.
    pub granted: Timestamp,
    pub over: Option<Over>,
    /// The end of the replay was told.
    pub is_caught_up: bool,
}

impl Following {
    /// An event is handed over: whether it may be, and whether it is the last one.
    pub fn pass(&mut self, event: &Event, user: UserId) -> Result<(), String> {
        if let Some(over) = self.over {
            return Err(format!("number {} after the end of its following ({over:?})", event.seq));
        }
        match &event.change {
            Change::SessionDeleted(_) => self.over = Some(Over::Deleted),
            Change::ParticipantRemoved(gone) if gone.user_id == user => {
                let ends = match self.head {
                    Some(head) => event.seq > head,
                    None => event.at > self.granted,
                };
                if ends {
                    self.over = Some(Over::Removed);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether a removal with that number may have ended it.
    pub fn may_end_at(&self, seq: u64) -> bool {
        seq > self.head.unwrap_or(self.head_min)
    }
}
