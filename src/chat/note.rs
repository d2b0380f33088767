//! What nodes tell each other, and whom each note is for.
//!
//! A name never changes its meaning; unknown ones are passed over, for they come from a newer
//! version.

use std::sync::Arc;

use protocol::{Event, SessionId, UserId};
use serde::{Deserialize, Serialize};

use crate::bus::{NOTE_BYTES_MAX, Post, Topic};

/// Users in one note: within the bytes of one.
pub const USERS_OF_NOTE_MAX: usize = 100;

const _: () = assert!(USERS_OF_NOTE_MAX * 39 + 64 < NOTE_BYTES_MAX);

/// What nodes tell each other.
#[derive(Debug, Serialize, Deserialize)]
pub enum Note {
    /// The session's log reaches this number.
    #[serde(rename = "h")]
    Head(SessionId, u64),
    /// Events of one session in their order; between them others of other nodes may be missing.
    #[serde(rename = "e")]
    Events(Vec<Event>),
    /// The user came to the session on my node, or left it there.
    #[serde(rename = "o")]
    Online(SessionId, UserId, bool),
    /// These users are there on my node.
    #[serde(rename = "u")]
    Here(SessionId, Vec<UserId>),
    /// Who is there on your nodes?
    #[serde(rename = "w")]
    Who(SessionId),
    #[serde(rename = "t")]
    Typing(SessionId, UserId, bool),
    /// The user has read up to that number.
    #[serde(rename = "r")]
    Read(SessionId, UserId, u64),
    /// The same for those of the user's own connections that do not follow the session, where the
    /// bus has topics.
    #[serde(rename = "k")]
    OwnRead(SessionId, UserId, u64),
    /// The user has the session in the list now, or has it no more.
    #[serde(rename = "m")]
    Member(SessionId, UserId, bool),
    /// The session's log reaches this number, for members who do not follow it, where the bus has
    /// topics.
    #[serde(rename = "n")]
    News(SessionId, u64),
    /// The session is gone, and these were its members.
    #[serde(rename = "g")]
    Gone(SessionId, Vec<UserId>),
    /// Somebody on my node listens for a list of sessions, or nobody does.
    #[serde(rename = "l")]
    Listens(bool),
    /// My node lives.
    #[serde(rename = "a")]
    Alive,
}

impl Note {
    /// Those who follow a session hear what happens there; users, of their own list of sessions.
    fn topic(&self) -> Topic {
        match self {
            Self::Head(session, _)
            | Self::Online(session, ..)
            | Self::Here(session, _)
            | Self::Who(session)
            | Self::Typing(session, ..)
            | Self::Read(session, ..) => Topic::Session(*session),
            Self::Events(events) => {
                events.first().map_or(Topic::All, |event| Topic::Session(event.session_id))
            }
            Self::OwnRead(_, user, _) | Self::Member(_, user, _) => Topic::User(*user),
            Self::News(..) | Self::Gone(..) | Self::Listens(_) | Self::Alive => Topic::All,
        }
    }

    /// Told to whom it is for.
    pub fn post(&self) -> Post {
        self.post_to(self.topic())
    }

    pub fn post_to(&self, to: Topic) -> Post {
        let note = serde_json::to_string(self).expect("a note has nothing that JSON can't say");
        Post { to, note }
    }

    /// None: a newer version's, or nothing at all.
    pub fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

/// Events of one session as notes of at most so many bytes. What does not fit into one is left out:
/// whoever needs it reads the store.
pub fn posts_of(session: SessionId, events: &[Arc<Event>], bytes_max: usize) -> Vec<Post> {
    const OPEN: &str = "{\"e\":[";
    const CLOSE: &str = "]}";
    let mut posts = Vec::new();
    let mut note = String::from(OPEN);
    let mut end = |note: &mut String| {
        if note.len() > OPEN.len() {
            note.push_str(CLOSE);
            posts.push(Post { to: Topic::Session(session), note: std::mem::take(note) });
            note.push_str(OPEN);
        }
    };
    for event in events {
        let text = serde_json::to_string(&**event).expect("events serialise without error");
        if note.len() + 1 + text.len() + CLOSE.len() > bytes_max {
            end(&mut note);
        }
        if OPEN.len() + text.len() + CLOSE.len() > bytes_max {
            continue;
        }
        if note.len() > OPEN.len() {
            note.push(',');
        }
        note.push_str(&text);
    }
    end(&mut note);
    posts
}

#[cfg(test)]
mod tests {
    use protocol::{Change, Message, MessageId, Timestamp};

    use super::*;

    #[test]
    fn the_longest_notes_fit() {
        let users: Vec<UserId> = (0..USERS_OF_NOTE_MAX).map(|_| UserId::new()).collect();
        for note in [
            Note::Here(SessionId::new(), users.clone()),
            Note::Gone(SessionId::new(), users),
            Note::Head(SessionId::new(), u64::MAX),
        ] {
            let text = note.post().note;
            assert!(text.len() <= NOTE_BYTES_MAX && !text.contains('\n'), "{text}");
            assert!(Note::read(&text).is_some());
        }
        assert!(Note::read(r#"{"later":1}"#).is_none(), "passed over");
    }

    fn message(session_id: SessionId, seq: u64, content: String) -> Arc<Event> {
        let at = Timestamp(1_700_000_000_000_000);
        let message = Message {
            id: MessageId::new(),
            session_id,
            seq,
            sender_id: UserId::new(),
            content,
            file_url: None,
            is_ai_message: false,
            client_id: Some("mine".to_owned()),
            created_at: at,
            edited_at: None,
        };
        Arc::new(Event { session_id, seq, at, change: Change::MessageCreated(message) })
    }

    /// Notes of all sizes up to the limit come out again as they were, and what is above it is left
    /// out alone.
    #[test]
    fn events_are_cut_into_notes_within_the_limit() {
        const BYTES_MAX: usize = 4_096;
        let session = SessionId::new();
        let own = serde_json::to_string(&*message(session, 10, String::new())).expect("JSON").len();
        let room = BYTES_MAX - own - 8;
        for lengths in [vec![room], vec![room + 1], vec![9, room, 9], vec![9, room + 1, 9, 30_000]]
        {
            let text = |length: usize| match length % 2 {
                0 => "x".repeat(length),
                // A line break takes two bytes.
                _ => format!("\n{}", "x".repeat(length - 2)),
            };
            let events: Vec<_> = (10..)
                .zip(&lengths)
                .map(|(seq, length)| message(session, seq, text(*length)))
                .collect();
            let mut found = Vec::new();
            for post in posts_of(session, &events, BYTES_MAX) {
                assert!(post.note.len() <= BYTES_MAX && !post.note.contains('\n'));
                assert_eq!(post.to, Topic::Session(session));
                match Note::read(&post.note) {
                    Some(Note::Events(events)) => found.extend(events),
                    other => panic!("{other:?}"),
                }
            }
            let fits = events.iter().zip(&lengths).filter(|(_, length)| **length <= room);
            let fits: Vec<Event> = fits.map(|(event, _)| (**event).clone()).collect();
            assert_eq!(found, fits);
        }
    }
}
