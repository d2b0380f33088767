//! Who is here and who types, in one session on this node: signals, which may be lost.
//!
//! Several connections of a user are one person. Who comes back within the grace was never
//! gone for the others; a removal is told at once. Typing ends by itself.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use protocol::frame::ServerFrame;
use protocol::limits::{PRESENCE_GRACE_MS, TYPING_MS};
use protocol::{SessionId, UserId, websocket};

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
    users: HashMap<UserId, Here>,
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
            None => Some(Change::Online { user, online: true }),
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

    /// Gone for good, at once.
    pub fn remove(&mut self, user: UserId) -> Vec<Change> {
        let mut changes: Vec<_> = self.set_typing(user, false).into_iter().collect();
        if let Some(here) = self.users.remove(&user) {
            self.leaving -= usize::from(matches!(here, Here::LeavesAt(_)));
            changes.push(Change::Online { user, online: false });
        }
        changes
    }

    /// Whether this is a change; typing on goes on for its time from now.
    pub fn set_typing(&mut self, user: UserId, is_typing: bool) -> Option<Change> {
        let changes = if is_typing {
            self.users.contains_key(&user)
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
            self.users.retain(|&user, here| match here {
                Here::LeavesAt(at) if *at <= now => {
                    changes.push(Change::Online { user, online: false });
                    false
                }
                _ => true,
            });
            let gone = changes.iter().filter(|change| matches!(change, Change::Online { .. }));
            self.leaving -= gone.count();
        }
        changes
    }

    /// Up to `limit` users who are here, those in their grace among them: they were not told
    /// as gone.
    pub fn online(&self, limit: usize) -> Vec<UserId> {
        self.users.keys().copied().take(limit).collect()
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
        assert_eq!(presence.remove(user), [typing, online(user, false)]);
        assert_eq!(presence.leave(user), None);
        assert_eq!(presence.leaving, 0);
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
