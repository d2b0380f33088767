//! Who is here and who types, as those who follow are told.

use protocol::UserId;

use super::Ring;
use crate::hub::lock;

impl Ring {
    /// The user was removed at `seq`: gone at once, however many connections are still open. Those
    /// that were let in after that, as the user was added again, stay.
    pub fn remove_user(&self, user: UserId, seq: u64) {
        let mut state = lock(&self.state);
        let mut stay = 0;
        for (_, follower) in &mut state.followers {
            if follower.inbox.user == user && follower.present_since.is_some() {
                follower.present_since = follower.present_since.filter(|since| *since >= seq);
                stay += u32::from(follower.present_since.is_some());
            }
        }
        for change in state.presence.remove(user, stay) {
            state.tell(self.session, change);
        }
    }

    /// Tells who types, if that is a change. It ends by itself.
    pub fn set_typing(&self, user: UserId, is_typing: bool) {
        let mut state = lock(&self.state);
        if let Some(change) = state.presence.set_typing(user, is_typing) {
            state.tell(self.session, change);
            self.put_out(change);
        }
    }

    /// Who is here, up to `limit` users.
    #[must_use]
    pub fn online(&self, limit: usize) -> Vec<UserId> {
        lock(&self.state).presence.online(limit)
    }

    /// Ends what has run out: typing, and the grace of those who left.
    pub(in crate::hub) fn expire(&self) {
        let mut state = lock(&self.state);
        for change in state.presence.expire() {
            state.tell(self.session, change);
        }
        self.tell_others(&mut state);
    }
}
