//! A ring and the other nodes: who is there, by their word, and what they hear from here.

use protocol::UserId;

use super::{Ring, State};
use crate::bus::NodeId;
use crate::hub::lock;
use crate::hub::outbox::Outward;
use crate::hub::presence::{Change, Presence};

impl Ring {
    /// As [`Ring::set_typing`], by word of another node.
    pub fn set_typing_elsewhere(&self, user: UserId, is_typing: bool) {
        let mut state = lock(&self.state);
        if let Some(change) = state.presence.set_typing(user, is_typing) {
            state.tell(self.session, change);
        }
    }

    /// These users are on another node, or are there no more.
    pub fn set_elsewhere(&self, node: NodeId, users: &[UserId], online: bool) {
        let mut state = lock(&self.state);
        for user in users {
            if let Some(change) = state.presence.set_elsewhere(node, *user, online) {
                state.tell(self.session, change);
            }
        }
    }

    pub(in crate::hub) fn drop_node(&self, node: NodeId) {
        let mut state = lock(&self.state);
        for change in state.presence.drop_node(node) {
            state.tell(self.session, change);
        }
    }

    /// Who is here on this node.
    #[must_use]
    pub fn here(&self) -> Vec<UserId> {
        lock(&self.state).presence.here()
    }

    /// Other nodes hear who came or left here.
    pub(super) fn tell_others(&self, state: &mut State) {
        for (user, online) in state.presence.take_local() {
            self.put_out(Change::Online { user, online });
        }
    }

    pub(super) fn put_out(&self, change: Change) {
        let session = self.session;
        self.put(match change {
            Change::Online { user, online } => Outward::Online { session, user, online },
            Change::Typing { user, is_typing } => Outward::Typing { session, user, is_typing },
        });
    }

    /// The last follower went, and these users with it.
    pub(super) fn tell_left(&self, presence: &Presence) {
        for user in presence.here() {
            self.put(Outward::Left { session: self.session, user });
        }
    }

    fn put(&self, outward: Outward) {
        if let Some(outbox) = &self.outbox {
            outbox.put(outward);
        }
    }
}
