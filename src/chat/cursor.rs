//! A cursor over one session's log: the last seq handed over, and what it may not pass.
//!
//! Pure: no store, no ring. A removal ends a following only where its seq is above the head at
//! which the following was authorised; whoever was added again replays across the old one.

use protocol::{Event, UserId};

use crate::hub::End;

/// The last seq handed over to one follower.
#[derive(Clone, Copy, Debug)]
pub struct Cursor {
    at: u64,
    /// The head when membership was looked up.
    authorised: u64,
    user: UserId,
}

impl Cursor {
    #[must_use]
    pub fn new(user: UserId, at: u64, authorised: u64) -> Self {
        Self { at, authorised, user }
    }

    #[must_use]
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Whether the log is known to go on behind the cursor.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.at < self.authorised
    }

    /// Everything up to `seq` was handed over.
    pub fn advance(&mut self, seq: u64) {
        debug_assert!(seq >= self.at, "a cursor never goes back");
        self.at = seq;
    }

    /// Whether an event with that effect on this user ends the following.
    #[must_use]
    pub fn ends_at(&self, seq: u64, end: End) -> bool {
        match end {
            End::Deleted => true,
            End::Removed => seq > self.authorised,
        }
    }

    /// The first of `events` that ends the following: its seq, and why.
    #[must_use]
    pub fn cut<'a>(&self, events: impl IntoIterator<Item = &'a Event>) -> Option<(u64, End)> {
        events.into_iter().filter(|event| event.seq > self.at).find_map(|event| {
            let end = if event.ends_session() {
                End::Deleted
            } else if event.removed_user() == Some(self.user) {
                End::Removed
            } else {
                return None;
            };
            self.ends_at(event.seq, end).then_some((event.seq, end))
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use protocol::event::{Nothing, RemovedParticipant};
    use protocol::{Change, SessionId, Timestamp};

    use super::*;

    fn event(seq: u64, change: Change) -> Event {
        Event { session_id: SessionId::from_bytes([0; 16]), seq, at: Timestamp(0), change }
    }

    proptest! {
        /// Against the rule said in another way: of my removals above what I was authorised at
        /// and above what I have, the first ends it.
        #[test]
        fn the_first_removal_above_the_authorised_head_cuts(
            removed in proptest::collection::vec(0_u8..3, 0..40),
            at in 0_u64..40,
            authorised in 0_u64..40,
        ) {
            let users = [UserId::new(), UserId::new()];
            let events: Vec<_> = removed.iter().zip(1..).map(|(&who, seq)| {
                let user_id = users[usize::from(who != 0)];
                event(seq, Change::ParticipantRemoved(RemovedParticipant { user_id }))
            }).collect();
            let cursor = Cursor::new(users[0], at, authorised);
            let expected = removed.iter().zip(1_u64..)
                .filter(|&(&who, seq)| who == 0 && seq > at.max(authorised))
                .map(|(_, seq)| (seq, End::Removed)).next();
            prop_assert_eq!(cursor.cut(&events), expected);
        }
    }

    #[test]
    fn a_deletion_ends_every_following() {
        let events = [event(3, Change::SessionDeleted(Nothing {}))];
        let cursor = Cursor::new(UserId::new(), 1, 9);
        assert_eq!(cursor.cut(&events), Some((3, End::Deleted)));
    }
}
