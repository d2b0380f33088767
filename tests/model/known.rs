//! What is known of one session: what was asked, what was answered, what was seen.
//!
//! Nothing here knows the order in advance: the server gives it. Each thing that is seen, by
//! whomever and over whichever door, must fit to all that is known; what does not is an error
//! with a sentence.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use protocol::{Change, Event, Message, MessageId, SessionId, Timestamp, UserId};

use super::plan::USERS;

/// A content that somebody wants to be stored, each different from all others.
#[derive(Clone, Debug)]
pub struct Text {
    /// The number of the send in its session.
    pub send: usize,
    /// 0 as it was sent, above that an edit.
    pub version: usize,
    pub content: Arc<str>,
}

/// A message that was asked to be sent, once or several times.
#[derive(Debug)]
pub struct Send {
    pub user: usize,
    pub client_id: Option<String>,
    pub file_url: Option<String>,
    pub content: Arc<str>,
    /// Other contents under a `client_id` that is taken: it must never be stored.
    pub is_twisted: bool,
    /// It was sent over a plain socket, where a repeat is answered by the message itself.
    pub is_plain: bool,
    /// Where it was seen to be stored.
    pub found: Option<(MessageId, u64)>,
    /// Requests, those that were refused, and those that were answered as the first.
    pub asked: u32,
    pub refused: u32,
    pub created: u32,
    /// Somebody was told that it is stored.
    pub is_acknowledged: bool,
    pub edits_asked: u32,
    /// Acknowledged edits: when, and the content.
    pub edits: Vec<(Timestamp, Arc<str>)>,
    pub deletes_asked: u32,
    pub is_delete_acknowledged: bool,
    /// Since when somebody knows that it is deleted.
    pub deleted: Option<Instant>,
}

impl Send {
    pub fn is_open(&self) -> bool {
        !self.is_acknowledged && self.asked > self.refused
    }
}

/// A user's membership as far as it can be known from outside.
#[derive(Clone, Debug, Default)]
pub struct Membership {
    /// Sure, as long as nobody changes it.
    pub certain: Option<bool>,
    pub in_flight: u32,
    /// Beginnings and ends of changes.
    pub changes: u64,
    pub is_ever: bool,
    /// Read marks: acknowledged, and asked for.
    pub mark_min: u64,
    pub mark_max: u64,
}

/// What an event was seen to be, whatever its present form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sight {
    Message(MessageId),
    Added(UserId),
    Removed(UserId),
    Renamed,
}

/// What is known of one session.
#[derive(Debug)]
pub struct Known {
    pub id: SessionId,
    pub owner: usize,
    /// Its deletion was asked for; acknowledged.
    pub is_ending: bool,
    pub is_gone: bool,
    pub members: [Membership; USERS],
    /// The last event that is known to be durable.
    pub head: u64,
    pub sends: Vec<Send>,
    pub titles: Vec<String>,
    by_message: HashMap<MessageId, usize>,
    sights: HashMap<u64, Sight>,
}

impl Known {
    pub fn new(id: SessionId, owner: usize, title: String) -> Self {
        let mut members: [Membership; USERS] = Default::default();
        for (user, member) in members.iter_mut().enumerate() {
            member.certain = Some(user == owner);
            member.is_ever = user == owner;
        }
        Self {
            id,
            owner,
            is_ending: false,
            is_gone: false,
            members,
            head: 0,
            sends: Vec::new(),
            titles: vec![title],
            by_message: HashMap::new(),
            sights: HashMap::new(),
        }
    }

    pub fn send_of(&self, message: MessageId) -> Option<usize> {
        self.by_message.get(&message).copied()
    }

    /// Somebody begins to change a membership.
    pub fn begin_change(&mut self, user: usize) -> u64 {
        let member = &mut self.members[user];
        member.in_flight += 1;
        member.changes += 1;
        member.changes
    }

    /// The change is over, and as far as it knows the membership is `now`.
    pub fn end_change(&mut self, user: usize, began: u64, now: Option<bool>) {
        let member = &mut self.members[user];
        member.in_flight -= 1;
        let alone = member.in_flight == 0 && member.changes == began;
        member.changes += 1;
        member.certain = now.filter(|_| alone);
    }

    /// The membership now, if that is sure, and what tells whether it changed meanwhile.
    pub fn glimpse(&self, user: usize) -> (Option<bool>, u64) {
        let member = &self.members[user];
        (member.certain.filter(|_| member.in_flight == 0), member.changes)
    }

    /// The membership that held from a glimpse until now, if that is sure.
    pub fn held(&self, user: usize, glimpse: (Option<bool>, u64)) -> Option<bool> {
        glimpse.0.filter(|_| self.members[user].changes == glimpse.1)
    }

    /// An event was seen, on a following that began at that moment. `people` are the users' ids.
    pub fn see(&mut self, event: &Event, began: Instant, texts: &Texts) -> Result<(), String> {
        self.head = self.head.max(event.seq);
        let seq = event.seq;
        let sight = match &event.change {
            Change::MessageCreated(message) => {
                if message.seq != seq || message.created_at != event.at {
                    return Err(format!("number {seq} creates {}", message.seq));
                }
                self.see_message(message, began, texts)?;
                Sight::Message(message.id)
            }
            Change::MessageUpdated(message) => {
                if message.seq >= seq || message.edited_at.is_none_or(|at| at < event.at) {
                    return Err(format!("number {seq} updates {message:?}"));
                }
                self.see_message(message, began, texts)?;
                Sight::Message(message.id)
            }
            Change::MessageDeleted(gone) => {
                self.see_deletion(gone.id)?;
                Sight::Message(gone.id)
            }
            Change::ParticipantAdded(row) => Sight::Added(row.user_id),
            Change::ParticipantRemoved(gone) => Sight::Removed(gone.user_id),
            Change::SessionUpdated(session) => {
                if !self.titles.contains(&session.title) {
                    return Err(format!("nobody gave the title {:?}", session.title));
                }
                Sight::Renamed
            }
            Change::SessionDeleted(_) if !self.is_ending => {
                return Err("the session is deleted though nobody asked".into());
            }
            // Its number may be told as a later one, where the log was purged.
            Change::SessionDeleted(_) => return Ok(()),
        };
        let known = *self.sights.entry(seq).or_insert(sight);
        if known == sight {
            return Ok(());
        }
        Err(format!("number {seq} was {known:?} and is {sight:?}"))
    }

    fn see_deletion(&mut self, id: MessageId) -> Result<(), String> {
        // Of a message that was deleted before anybody saw it nothing is known.
        let Some(send) = self.by_message.get(&id).map(|&send| &mut self.sends[send]) else {
            return Ok(());
        };
        if send.deletes_asked == 0 {
            return Err(format!("message {id} is deleted though nobody asked"));
        }
        send.deleted.get_or_insert_with(Instant::now);
        Ok(())
    }

    /// A message was seen in what was asked for at that moment. Gives the number of its send.
    pub fn see_message(
        &mut self,
        message: &Message,
        began: Instant,
        texts: &Texts,
    ) -> Result<usize, String> {
        let wrong = |what: &str| {
            let start: String = message.content.chars().take(24).collect();
            Err(format!("message {} ({start}…) at {}: {what}", message.id, message.seq))
        };
        let Some(text) = texts.find(self.id, &message.content) else {
            return wrong("nobody sent this content to this session");
        };
        let send = &mut self.sends[text.send];
        if send.client_id != message.client_id || send.file_url != message.file_url {
            return wrong("it is not as it was sent");
        }
        if (text.version > 0) != message.edited_at.is_some() {
            return wrong("content and edited_at do not go together");
        }
        if send.is_twisted || send.asked == send.refused {
            return wrong("it was refused and is stored");
        }
        if send.deleted.is_some_and(|deleted| deleted < began) {
            return wrong("its content comes after it was deleted");
        }
        let place = (message.id, message.seq);
        if send.found.is_some_and(|found| found != place) {
            return wrong(&format!("it is stored twice, also as {:?}", send.found));
        }
        send.found = Some(place);
        match self.by_message.insert(message.id, text.send) {
            Some(other) if other != text.send => wrong("one id is two messages"),
            _ => Ok(text.send),
        }
    }
}

/// All contents that anybody wants to be stored.
#[derive(Debug, Default)]
pub struct Texts {
    all: Vec<(SessionId, Text)>,
}

impl Texts {
    /// A content of about so many bytes that is like no other.
    pub fn make(&mut self, id: SessionId, send: usize, version: usize, bytes: usize) -> Arc<str> {
        let mut content = format!("#{} ", self.all.len());
        // Some of it takes several bytes, or an escape in JSON.
        content.push_str(["ä\"", "✓\n", "\\", "plain "][self.all.len() % 4]);
        while content.len() + 8 < bytes {
            content.push_str("lorem ip");
        }
        let content: Arc<str> = content.into();
        self.all.push((id, Text { send, version, content: content.clone() }));
        content
    }

    pub fn find(&self, id: SessionId, content: &str) -> Option<&Text> {
        let number = content.strip_prefix('#')?.split(' ').next()?;
        let (session, text) = self.all.get(number.parse::<usize>().ok()?)?;
        (*session == id && *text.content == *content).then_some(text)
    }
}
