//! From the original backend's tables to records.
//!
//! The log of a session is made of its messages and of a `participant.added` for each participant,
//! in the order of `created_at`; at the same moment participants come first, and then the order is
//! that of ids. Numbers are dense from 1. All members have read everything. The same rows give the
//! same records, so a second run finds everything there.
//!
//! What breaks a rule that holds here is mended where that loses nothing (a note), or left out (a
//! trouble); each in a sentence with its id, and nothing stops the rest.

use std::collections::{BTreeMap, HashSet, VecDeque};

use async_trait::async_trait;
use protocol::limits::{CONTENT_BYTES_MAX, NAME_CHARS_MAX, TITLE_CHARS_MAX};
use protocol::{ParticipantId, Timestamp, UserId, UserKind};

use super::{Batch, Error, Feed};
use crate::store::moving::original::{
    OriginalMessage, OriginalParticipant, OriginalSession, OriginalUser, Tables,
};
use crate::store::moving::{
    BATCH_BYTES, BATCH_ROWS, Counts, MovedChange, MovedEvent, MovedMember, MovedMessage,
    MovedSession, MovedUser, Record,
};
use crate::{auth, chat};

const UNTITLED: &str = "Untitled";
/// In the place of a control character, which no content may have.
const REPLACEMENT: char = '\u{fffd}';

/// The tables, as a feed.
pub struct Original {
    tables: Box<dyn Tables>,
    has_users: bool,
    has_ended: bool,
    position: u64,
    sessions: VecDeque<OriginalSession>,
    participants: VecDeque<OriginalParticipant>,
    messages: VecDeque<OriginalMessage>,
    open: Option<Open>,
}

/// The session whose messages come.
struct Open {
    session: OriginalSession,
    created_at: Timestamp,
    /// Who gets access and when, those of whom no event was made yet.
    joining: VecDeque<(Timestamp, ParticipantId, UserId)>,
    members: Vec<MovedMember>,
    last_seq: u64,
    /// Where the session is left out: what goes with it.
    skipped: Counts,
}

impl Original {
    #[must_use]
    pub fn new(tables: Box<dyn Tables>) -> Self {
        Self {
            tables,
            has_users: true,
            has_ended: false,
            position: 0,
            sessions: VecDeque::new(),
            participants: VecDeque::new(),
            messages: VecDeque::new(),
            open: None,
        }
    }

    /// A step that makes some records, and moves on.
    async fn step(&mut self, batch: &mut Batch) -> Result<(), Error> {
        if self.has_users {
            let users = self.tables.users().await?;
            self.has_users = !users.is_empty();
            self.position += users.len() as u64;
            batch.records.extend(users.into_iter().map(|user| user_of(user, &mut batch.notes)));
            return Ok(());
        }
        if self.messages.is_empty() {
            self.messages = self.tables.messages().await?.into();
        }
        let next = self.messages.front().map(|message| message.session);
        let Some(open) = &mut self.open else { return self.open_next(batch).await };
        let session = Some(open.session.id);
        if next.is_none_or(|next| next > session) {
            open.close(batch);
            self.open = None;
            return Ok(());
        }
        let message = self.messages.pop_front().expect("it was just looked at");
        self.position += 1;
        match message.session == session {
            true => open.message(message, batch),
            false => orphan_message(&message, batch),
        }
        Ok(())
    }

    /// Opens the next session; behind the last one there are only orphans.
    async fn open_next(&mut self, batch: &mut Batch) -> Result<(), Error> {
        if self.sessions.is_empty() {
            self.sessions = self.tables.sessions().await?.into();
        }
        let next = self.sessions.pop_front();
        let id = next.as_ref().map(|session| session.id);
        let mut own = Vec::new();
        loop {
            if self.participants.is_empty() {
                self.participants = self.tables.participants().await?.into();
            }
            let is_behind = |one: &OriginalParticipant| id.is_some_and(|id| one.session > Some(id));
            let Some(one) = self.participants.pop_front_if(|one| !is_behind(one)) else { break };
            self.position += 1;
            match id.is_some() && one.session == id {
                true => own.push(one),
                false => {
                    batch.left_out.members += 1;
                    let text = format!("participant {}: its session is not there", one.id);
                    batch.troubles.push(text);
                }
            }
        }
        match next {
            Some(session) => {
                self.position += 1;
                self.open = Some(Open::new(session, own, batch));
            }
            None => {
                while let Some(message) = self.messages.pop_front() {
                    self.position += 1;
                    orphan_message(&message, batch);
                }
                self.messages = self.tables.messages().await?.into();
                self.has_ended = self.messages.is_empty();
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Feed for Original {
    fn epoch(&self) -> Option<&str> {
        None
    }

    fn size(&self) -> Option<u64> {
        Some(self.tables.count())
    }

    async fn next(&mut self) -> Result<Option<Batch>, Error> {
        if self.has_ended {
            return Ok(None);
        }
        let mut batch = Batch::default();
        let mut bytes = 0;
        while !self.has_ended && batch.lines() < BATCH_ROWS && bytes < BATCH_BYTES {
            let before = batch.records.len();
            self.step(&mut batch).await?;
            bytes += batch.records[before..].iter().map(Record::bytes).sum::<usize>();
        }
        batch.position = self.position;
        Ok(Some(batch))
    }
}

impl Batch {
    /// How much there is in it.
    fn lines(&self) -> usize {
        self.records.len() + self.troubles.len() + self.notes.len()
    }

    fn leave_out(&mut self, what: Counts, text: String) {
        self.left_out = self.left_out.plus(what);
        self.troubles.push(text);
    }
}

const ONE_MESSAGE: Counts =
    Counts { users: 0, revoked_tokens: 0, sessions: 0, messages: 1, events: 0, members: 0 };
const ONE_MEMBER: Counts =
    Counts { users: 0, revoked_tokens: 0, sessions: 0, messages: 0, events: 0, members: 1 };

fn orphan_message(message: &OriginalMessage, batch: &mut Batch) {
    batch.leave_out(ONE_MESSAGE, format!("message {}: its session is not there", message.id));
}

impl Open {
    fn new(session: OriginalSession, own: Vec<OriginalParticipant>, batch: &mut Batch) -> Self {
        let id = session.id;
        let created_at = session.created_at.unwrap_or_default();
        let mut skipped = Counts::default();
        let mut joining = BTreeMap::new();
        let mut members = Vec::new();
        match session.owner {
            None => skipped = Counts { sessions: 1, members: own.len() as u64, ..skipped },
            Some(owner) => {
                let mut seen = HashSet::from([owner]);
                for one in own {
                    let what = match one.user {
                        None => "its user is not there",
                        Some(user) if user == owner => "its user is the session's owner",
                        Some(user) if !seen.insert(user) => "its user is a participant already",
                        Some(user) => {
                            joining.insert((one.created_at.unwrap_or(created_at), one.id), user);
                            continue;
                        }
                    };
                    let text = format!("participant {} of session {id}: {what}", one.id);
                    batch.leave_out(ONE_MEMBER, text);
                }
                let own_id = ParticipantId(id.0);
                members.push(member((created_at, own_id, owner), true));
                batch.records.push(Record::Session(MovedSession {
                    id,
                    user_id: owner,
                    title: title_of(&session, &mut batch.notes),
                    created_at,
                    updated_at: created_at,
                    last_seq: 0,
                    deleted_at: None,
                    is_open: true,
                }));
            }
        }
        let joining = joining.into_iter().map(|((at, id), user)| (at, id, user)).collect();
        Self { session, created_at, joining, members, last_seq: 0, skipped }
    }

    /// Events of who got access until then.
    fn join_until(&mut self, until: Timestamp, batch: &mut Batch) {
        let Some(actor_id) = self.session.owner else { return };
        while let Some((at, id, user_id)) = self.joining.pop_front_if(|(at, ..)| *at <= until) {
            self.last_seq += 1;
            let change = MovedChange::ParticipantAdded { user_id, participant_id: id };
            let event = MovedEvent { seq: self.last_seq, at, actor_id, change };
            batch.records.push(Record::Event(event));
            self.members.push(member((at, id, user_id), false));
        }
    }

    fn message(&mut self, message: OriginalMessage, batch: &mut Batch) {
        if self.session.owner.is_none() {
            self.skipped.messages += 1;
            return;
        }
        let id = message.id;
        let Some(sender_id) = message.sender else {
            let text = format!("message {id}: its sender is not there");
            return batch.leave_out(ONE_MESSAGE, text);
        };
        let created_at = message.created_at.unwrap_or(self.created_at);
        let is_ai_message = message.is_ai_message;
        let file_url = file_url_of(&message, &mut batch.notes);
        match content_of(message, file_url.as_deref(), &mut batch.notes) {
            Err(what) => batch.leave_out(ONE_MESSAGE, format!("message {id}: {what}")),
            Ok(content) => {
                self.join_until(created_at, batch);
                self.last_seq += 1;
                batch.records.push(Record::Message(MovedMessage {
                    seq: self.last_seq,
                    id,
                    sender_id,
                    created_at,
                    content: Some(content),
                    file_url,
                    is_ai_message,
                    edited_at: None,
                    client_id: None,
                    request_hash: None,
                }));
            }
        }
    }

    /// All messages have come.
    fn close(&mut self, batch: &mut Batch) {
        if self.session.owner.is_none() {
            let Counts { messages, members, .. } = self.skipped;
            let text = format!(
                "session {}: its owner is not there; with it {messages} messages and {members} \
                 participants",
                self.session.id
            );
            return batch.leave_out(self.skipped, text);
        }
        self.join_until(Timestamp(i64::MAX), batch);
        let read_seq = self.last_seq;
        let members = self.members.drain(..).map(|member| MovedMember { read_seq, ..member });
        batch.records.extend(members.map(Record::Member));
    }
}

/// The read mark comes when the log's end is known.
fn member(
    (created_at, id, user_id): (Timestamp, ParticipantId, UserId),
    is_owner: bool,
) -> MovedMember {
    MovedMember { id, user_id, created_at, is_owner, read_seq: 0 }
}

fn user_of(user: OriginalUser, notes: &mut Vec<String>) -> Record {
    let OriginalUser { id, email, name, password, created_at, same_email_as } = user;
    let mut note = |text: String| notes.push(format!("user {id}: {text}"));
    // An address that nobody has (RFC 2606).
    let nobodys = format!("{id}@unusable.invalid");
    let kept_email = match (same_email_as, auth::is_email(&email)) {
        (Some(other), true) => {
            note(format!(
                "the email {email:?} is that of user {other} too, who keeps it; this one gets \
                 {nobodys} and can't log in"
            ));
            nobodys
        }
        (_, false) => {
            note(format!(
                "the email {email:?} is none: it becomes {nobodys}, and nobody can log in"
            ));
            nobodys
        }
        (None, true) => email.clone(),
    };
    let local = email.split('@').next().unwrap_or_default();
    let usual = |name: &str| shortened(name, NAME_CHARS_MAX);
    let kept_name =
        [usual(&name), usual(local), id.to_string()].into_iter().find(|n| !n.is_empty());
    let kept_name = kept_name.unwrap_or_default();
    if kept_name != name.trim() {
        note(format!("the name becomes {kept_name:?}"));
    }
    let password_hash = password.filter(|hash| match auth::check_hash(hash) {
        Ok(()) => true,
        Err(what) => {
            note(format!("{what}: no password until one is reset"));
            false
        }
    });
    Record::User(MovedUser {
        id,
        name: kept_name,
        email: kept_email,
        kind: UserKind::Human,
        created_at: created_at.unwrap_or_default(),
        password_hash,
        disabled: false,
        tokens_valid_from_ms: 0,
    })
}

/// Without control characters and white space at the ends, and not too long.
fn shortened(text: &str, chars_max: usize) -> String {
    let kept = text.trim().chars().filter(|c| !c.is_control());
    kept.take(chars_max).collect::<String>().trim().to_owned()
}

fn title_of(session: &OriginalSession, notes: &mut Vec<String>) -> String {
    let mut title = shortened(&session.title, TITLE_CHARS_MAX);
    if title.is_empty() {
        UNTITLED.clone_into(&mut title);
    }
    if title != session.title.trim() {
        notes.push(format!("session {}: the title becomes {title:?}", session.id));
    }
    title
}

fn file_url_of(message: &OriginalMessage, notes: &mut Vec<String>) -> Option<String> {
    let url = message.file_url.as_deref()?;
    match chat::is_file_url(url) {
        true => Some(url.to_owned()),
        false => {
            let id = message.id;
            notes.push(format!("message {id}: the file_url is no address of the web, and goes"));
            None
        }
    }
}

fn content_of(
    message: OriginalMessage,
    file_url: Option<&str>,
    notes: &mut Vec<String>,
) -> Result<String, String> {
    let OriginalMessage { id, content, content_bytes, .. } = message;
    let bytes_max = CONTENT_BYTES_MAX as u64;
    if content_bytes > bytes_max {
        return Err(format!("its content has {content_bytes} bytes, and {bytes_max} are the most"));
    }
    let content = content.unwrap_or_default();
    if chat::is_content(&content) {
        return Ok(content);
    }
    let is_forbidden = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r');
    let mended = content.replace(is_forbidden, &REPLACEMENT.to_string());
    if content.trim().is_empty() {
        let Some(url) = file_url else { return Err("its content is empty".to_owned()) };
        notes.push(format!("message {id}: it has a file alone, whose address becomes its content"));
        return Ok(url.to_owned());
    }
    if !chat::is_content(&mended) {
        return Err("its content is too long without its control characters".to_owned());
    }
    notes.push(format!("message {id}: control characters of its content are replaced"));
    Ok(mended)
}
