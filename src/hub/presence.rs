//! Who is here and who types, in one session: signals, which may be lost.
//!
//! Several connections of a user are one person, on however many nodes. Who comes back within the
//! grace was never gone for the others; a removal is told at once. Typing ends by itself. Each node
//! tells the others of its own connections only (`local`), and forgets a node that fell silent.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use protocol::frame::ServerFrame;
use protocol::limits::{PRESENCE_GRACE_MS, TYPING_MS};
use protocol::{SessionId, UserId, websocket};

use crate::bus::NodeId;

/// What the others have to hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Online { user: UserId, online: bool },
    Typing { user: UserId, is_typing: bool },
}

impl Change {
    pub fn user(self) -> UserId {
        match self {
            Self::Online { user, .. } | Self::Typing { user, .. } => user,
        }
    }

    pub fn frame(self, session_id: SessionId) -> Bytes {
        let frame = match self {
            Self::Online { user, online } => {
                ServerFrame::Presence { session_id, user_id: user, online }
            }
            Self::Typing { user, is_typing } => {
                ServerFrame::Typing { session_id, user_id: user, is_typing }
            }
        };
        let mut out = Vec::with_capacity(192);
        websocket::put_json(&mut out, &frame);
        Bytes::from(out)
    }
}

/// Who is here and who types.
#[derive(Debug, Default)]
pub struct Presence {
    /// On this node.
    users: HashMap<UserId, Here>,
    /// On other nodes, and which these are; no list is empty.
    elsewhere: HashMap<UserId, Vec<NodeId>>,
    /// Who came or left on this node since this was taken; for the other nodes.
    local: Vec<(UserId, bool)>,
    typing: HashMap<UserId, Instant>,
    /// How many of `users` are in their grace, so that nobody looks in vain.
    leaving: usize,
}

#[derive(Clone, Copy, Debug)]
enum Here {
    Connections(u32),
    /// Gone, but not told before this moment.
    LeavesAt(Instant),
}

impl Presence {
    /// One more connection of the user.
    pub fn enter(&mut self, user: UserId) -> Option<Change> {
        match self.users.insert(user, Here::Connections(1)) {
            None => {
                self.local.push((user, true));
                let is_news = !self.elsewhere.contains_key(&user);
                is_news.then_some(Change::Online { user, online: true })
            }
            Some(Here::LeavesAt(_)) => {
                self.leaving -= 1;
                None
            }
            Some(Here::Connections(count)) => {
                self.users.insert(user, Here::Connections(count + 1));
                None
            }
        }
    }

    /// One connection less. What it typed ends; that the user went is told after the grace.
    pub fn leave(&mut self, user: UserId) -> Option<Change> {
        match self.users.get_mut(&user) {
            Some(Here::Connections(count)) if *count > 1 => {
                *count -= 1;
                None
            }
            Some(here @ Here::Connections(_)) => {
                let grace = Duration::from_millis(PRESENCE_GRACE_MS);
                *here = Here::LeavesAt(Instant::now() + grace);
                self.leaving += 1;
                self.set_typing(user, false)
            }
            // Removed before; nobody waits to hear of it.
            Some(Here::LeavesAt(_)) | None => None,
        }
    }

    /// Gone at once; with so many connections, come again.
    pub fn remove(&mut self, user: UserId, stay: u32) -> Vec<Change> {
        let mut changes: Vec<_> = self.set_typing(user, false).into_iter().collect();
        let here = self.users.remove(&user);
        self.leaving -= usize::from(matches!(here, Some(Here::LeavesAt(_))));
        let was_elsewhere = self.elsewhere.remove(&user).is_some();
        if here.is_some() || was_elsewhere {
            changes.push(Change::Online { user, online: false });
        }
        if stay > 0 {
            self.users.insert(user, Here::Connections(stay));
            changes.push(Change::Online { user, online: true });
        }
        changes
    }

    /// A user is on another node, or is there no more.
    pub fn set_elsewhere(&mut self, node: NodeId, user: UserId, online: bool) -> Option<Change> {
        let nodes = self.elsewhere.entry(user).or_default();
        let was = !nodes.is_empty();
        nodes.retain(|other| *other != node);
        if online {
            nodes.push(node);
        }
        let is = !nodes.is_empty();
        if !is {
            self.elsewhere.remove(&user);
        }
        let is_news = was != is && !self.users.contains_key(&user);
        is_news.then_some(Change::Online { user, online: is })
    }

    /// A node fell silent: nobody is there any more.
    pub fn drop_node(&mut self, node: NodeId) -> Vec<Change> {
        let there = self.elsewhere.iter().filter(|(_, nodes)| nodes.contains(&node));
        let users: Vec<UserId> = there.map(|(user, _)| *user).collect();
        users.into_iter().filter_map(|user| self.set_elsewhere(node, user, false)).collect()
    }

    /// Who came or left on this node since the last time.
    pub fn take_local(&mut self) -> Vec<(UserId, bool)> {
        std::mem::take(&mut self.local)
    }

    /// Who is on this node.
    pub fn here(&self) -> Vec<UserId> {
        self.users.keys().copied().collect()
    }

    fn is_online(&self, user: UserId) -> bool {
        self.users.contains_key(&user) || self.elsewhere.contains_key(&user)
    }

    /// Whether this is a change; typing on goes on for its time from now.
    pub fn set_typing(&mut self, user: UserId, is_typing: bool) -> Option<Change> {
        let changes = if is_typing {
            self.is_online(user)
                && self
                    .typing
                    .insert(user, Instant::now() + Duration::from_millis(TYPING_MS))
                    .is_none()
        } else {
            self.typing.remove(&user).is_some()
        };
        changes.then_some(Change::Typing { user, is_typing })
    }

    /// What has run out by now.
    pub fn expire(&mut self) -> Vec<Change> {
        let now = Instant::now();
        let mut changes = Vec::new();
        if !self.typing.is_empty() {
            self.typing.retain(|&user, &mut until| {
                if until <= now {
                    changes.push(Change::Typing { user, is_typing: false });
                }
                until > now
            });
        }
        if self.leaving > 0 {
            let (elsewhere, local) = (&self.elsewhere, &mut self.local);
            let leaving = &mut self.leaving;
            self.users.retain(|&user, here| match here {
                Here::LeavesAt(at) if *at <= now => {
                    *leaving -= 1;
                    local.push((user, false));
                    if !elsewhere.contains_key(&user) {
                        changes.push(Change::Online { user, online: false });
                    }
                    false
                }
                _ => true,
            });
        }
        changes
    }

    /// Up to `limit` users who are here, those in their grace among them: they were not told
    /// as gone.
    pub fn online(&self, limit: usize) -> Vec<UserId> {
        let others = self.elsewhere.keys().filter(|user| !self.users.contains_key(user));
        self.users.keys().chain(others).copied().take(limit).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn online(user: UserId, online: bool) -> Change {
        Change::Online { user, online }
    }

    #[test]
    fn several_connections_are_one_person_and_a_reload_is_not_told() {
        let (mut presence, user) = (Presence::default(), UserId::new());
        assert_eq!(presence.enter(user), Some(online(user, true)));
        assert_eq!(presence.enter(user), None);
        assert_eq!((presence.leave(user), presence.leave(user)), (None, None));
        assert_eq!(presence.expire(), []);
        assert_eq!(presence.enter(user), None, "back within the grace");
        presence.leave(user);
        presence.users.insert(user, Here::LeavesAt(Instant::now()));
        assert_eq!(presence.expire(), [online(user, false)]);
        assert_eq!((presence.leaving, presence.users.len()), (0, 0));
    }

    #[test]
    fn a_removal_is_told_at_once_and_leaving_then_is_silent() {
        let (mut presence, user) = (Presence::default(), UserId::new());
        presence.enter(user);
        presence.set_typing(user, true);
        let typing = Change::Typing { user, is_typing: false };
        assert_eq!(presence.remove(user, 0), [typing, online(user, false)]);
        assert_eq!(presence.leave(user), None);
        assert_eq!(presence.leaving, 0);
    }

    #[test]
    fn who_was_added_again_before_a_removal_is_told_stays() {
        let (mut presence, user) = (Presence::default(), UserId::new());
        presence.enter(user);
        presence.enter(user);
        assert_eq!(presence.remove(user, 1), [online(user, false), online(user, true)]);
        assert_eq!(presence.online(9), [user]);
        assert_eq!((presence.leave(user), presence.leaving), (None, 1));
    }

    #[test]
    fn a_user_on_two_nodes_is_online_until_gone_from_both() {
        let (mut presence, user) = (Presence::default(), UserId::new());
        assert_eq!(presence.set_elsewhere(1, user, true), Some(online(user, true)));
        assert_eq!(presence.set_elsewhere(2, user, true), None);
        assert_eq!(presence.enter(user), None, "known already");
        assert_eq!(presence.take_local(), [(user, true)], "but news for the others");
        assert_eq!(presence.set_elsewhere(1, user, false), None);
        presence.leave(user);
        presence.users.insert(user, Here::LeavesAt(Instant::now()));
        assert_eq!(presence.expire(), [], "still on the second node");
        assert_eq!((presence.take_local(), presence.leaving), (vec![(user, false)], 0));
        assert_eq!(presence.online(9), [user]);
        assert_eq!(presence.drop_node(1), []);
        assert_eq!(presence.drop_node(2), [online(user, false)]);
        presence.set_elsewhere(1, user, true);
        assert_eq!(presence.remove(user, 0), [online(user, false)]);
        assert!(presence.elsewhere.is_empty());
    }

    #[test]
    fn typing_is_told_when_it_changes_and_ends_by_itself() {
        let (mut presence, user) = (Presence::default(), UserId::new());
        assert_eq!(presence.set_typing(user, true), None, "who is not here can't type");
        presence.enter(user);
        assert!(presence.set_typing(user, true).is_some());
        assert_eq!(presence.set_typing(user, true), None);
        presence.typing.insert(user, Instant::now());
        assert_eq!(presence.expire(), [Change::Typing { user, is_typing: false }]);
    }
}
