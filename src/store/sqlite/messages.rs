//! Messages: how they are written, changed and wiped, and how their rows are read.
//!
//! A row never changes its size (see the schema). An edit puts the new content into `edits` and
//! wipes the old one where it stands; a deletion wipes all there is.

use protocol::event::DeletedMessage;
use protocol::{Change, Message, MessageId, SessionId, Timestamp, UserId};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::store::kind;
use crate::store::sqlite::batch::{Batch, EventColumns, Scene};
use crate::store::sqlite::client_ids::Key;
use crate::store::sqlite::column::{signed, unsigned};
use crate::store::sqlite::fault::{corrupt, refuse};
use crate::store::sqlite::place;
use crate::store::{Appended, Draft, Error, Refusal, Result};

/// The columns that [`MessageRow::read`] takes, of the table `messages` as `m`.
pub const COLUMNS: &str = "m.number, m.place, m.state, m.is_ai, m.created_at, m.id, m.sender_id, \
                           m.client_id, m.file_url, m.content";

/// A stored message; its content may stand in `edits`.
pub struct MessageRow {
    pub number: i64,
    pub place: i64,
    pub state: i64,
    is_ai: bool,
    pub created_at: Timestamp,
    pub id: MessageId,
    pub sender: UserId,
    client_id: Option<String>,
    file_url: Option<String>,
    content: String,
}

impl MessageRow {
    /// Reads [`COLUMNS`], the first of which is the row's column `from`.
    pub fn read(row: &Row<'_>, from: usize) -> rusqlite::Result<Self> {
        let state = row.get(from + 2)?;
        let is_deleted = state == kind::DELETED;
        Ok(Self {
            number: row.get(from)?,
            place: row.get(from + 1)?,
            state,
            is_ai: row.get(from + 3)?,
            created_at: Timestamp(row.get(from + 4)?),
            id: MessageId::from_bytes(row.get(from + 5)?),
            sender: UserId::from_bytes(row.get(from + 6)?),
            client_id: row.get(from + 7)?,
            // Wiped ones are of no use to anybody.
            file_url: if is_deleted { None } else { row.get(from + 8)? },
            content: if is_deleted { String::new() } else { row.get(from + 9)? },
        })
    }

    pub fn is_deleted(&self) -> bool {
        self.state == kind::DELETED
    }

    /// The message in its present form; not for deleted ones.
    pub fn present(self, connection: &Connection, session: SessionId) -> Result<Message> {
        let mut message = Message {
            id: self.id,
            session_id: session,
            seq: place::seq(self.place),
            sender_id: self.sender,
            content: self.content,
            file_url: self.file_url,
            is_ai_message: self.is_ai,
            client_id: self.client_id,
            created_at: self.created_at,
            edited_at: None,
        };
        if self.state == kind::EDITED {
            let Some(edit) = last_edit(connection, self.number)? else {
                return corrupt("messages", self.number, "the content of an edited one is missing");
            };
            message.content = edit.content;
            message.edited_at = Some(edit.at);
        }
        Ok(message)
    }
}

struct Edit {
    number: i64,
    at: Timestamp,
    content: String,
}

fn last_edit(connection: &Connection, message: i64) -> Result<Option<Edit>> {
    let found = connection
        .prepare_cached(
            "SELECT number, edited_at, content FROM edits
             WHERE message = ?1 ORDER BY number DESC LIMIT 1",
        )?
        .query_row([message], |row| {
            Ok(Edit { number: row.get(0)?, at: Timestamp(row.get(1)?), content: row.get(2)? })
        })
        .optional()?;
    Ok(found)
}

/// The row of a message of this session, deleted or not.
pub fn find(connection: &Connection, num: place::Num, id: MessageId) -> Result<Option<MessageRow>> {
    let found = connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM messages m WHERE m.id = ?1"))?
        .query_row([id.as_bytes()], |row| MessageRow::read(row, 0))
        .optional()?;
    Ok(found.filter(|row| place::num(row.place) == num))
}

/// The row at a place.
pub fn at(connection: &Connection, place: i64) -> Result<Option<MessageRow>> {
    let found = connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM messages m WHERE m.place = ?1"))?
        .query_row([place], |row| MessageRow::read(row, 0))
        .optional()?;
    Ok(found)
}

/// Text of as many bytes without meaning.
fn blank(text: &str) -> String {
    " ".repeat(text.len())
}

impl Batch<'_, '_> {
    pub fn send(&mut self, scene: &Scene, draft: Draft) -> Result<Appended> {
        let key = draft.client_id.as_deref().map(|client_id| Key {
            session: scene.session.num,
            sender: scene.actor,
            client_id,
        });
        let hash = key.as_ref().map(Key::hash);
        if let (Some(key), Some(hash)) = (key, hash)
            && let Some(number) = self.known.client_ids.find(
                self.hot.connection,
                &mut self.hot.find_client_id,
                (hash, &key),
            )?
        {
            return self.repeat(scene, &draft, number);
        }
        let number = self.known.next_message();
        let ordinal = scene.session.message_count + 1;
        let request_hash = draft.client_id.as_ref().map(|_| &draft.request_hash[..]);
        let inserted = {
            let insert = &mut self.hot.insert_message;
            insert.raw_bind_parameter(1, number)?;
            insert.raw_bind_parameter(2, scene.place())?;
            insert.raw_bind_parameter(3, signed(ordinal))?;
            insert.raw_bind_parameter(4, draft.is_ai_message)?;
            insert.raw_bind_parameter(5, scene.at.0)?;
            insert.raw_bind_parameter(6, &draft.id.as_bytes()[..])?;
            insert.raw_bind_parameter(7, &scene.actor.as_bytes()[..])?;
            insert.raw_bind_parameter(8, draft.client_id.as_deref())?;
            insert.raw_bind_parameter(9, request_hash)?;
            insert.raw_bind_parameter(10, draft.file_url.as_deref())?;
            insert.raw_bind_parameter(11, draft.content.as_str())?;
            insert.raw_execute()?
        };
        if inserted == 0 {
            return Err(Error::Other(format!("there is a message {} already", draft.id)));
        }
        self.known.message_arrived(number);
        if let Some(hash) = hash {
            self.known.client_ids.insert(hash, number);
        }
        let session = self.known.sessions.advance(scene.id, scene.seq, scene.at);
        session.message_count = ordinal;
        session.last_live_seq = scene.seq;
        // What I write I have read.
        self.known.members.mark(scene.session.num, scene.actor, scene.seq, ordinal);
        let message = Message {
            id: draft.id,
            session_id: scene.id,
            seq: scene.seq,
            sender_id: scene.actor,
            content: draft.content,
            file_url: draft.file_url,
            is_ai_message: draft.is_ai_message,
            client_id: draft.client_id,
            created_at: scene.at,
            edited_at: None,
        };
        Ok(Appended::New(scene.event(Change::MessageCreated(message))))
    }

    /// The answer to a send whose `client_id` was used for the message `number`.
    fn repeat(&mut self, scene: &Scene, draft: &Draft, number: i64) -> Result<Appended> {
        let connection = self.hot.connection;
        let (hash, row) = connection
            .prepare_cached(&format!(
                "SELECT m.request_hash, {COLUMNS} FROM messages m WHERE m.number = ?1"
            ))?
            .query_row([number], |row| {
                Ok((row.get::<_, [u8; 16]>(0)?, MessageRow::read(row, 1)?))
            })?;
        if hash != draft.request_hash {
            return refuse(Refusal::ClientIdReused);
        }
        if row.is_deleted() {
            return refuse(Refusal::MessageDeleted);
        }
        Ok(Appended::Repeat(Box::new(row.present(connection, scene.id)?)))
    }

    pub fn edit(&mut self, scene: &Scene, id: MessageId, content: String) -> Result<Appended> {
        let row = self.live(scene, id)?;
        if row.sender != scene.actor {
            return refuse(Refusal::NotMessageSender);
        }
        let connection = self.hot.connection;
        self.wipe_content(&row)?;
        connection
            .prepare_cached("UPDATE messages SET state = ?2 WHERE number = ?1")?
            .execute(params![row.number, kind::EDITED])?;
        connection
            .prepare_cached("INSERT INTO edits (message, edited_at, content) VALUES (?1, ?2, ?3)")?
            .execute(params![row.number, scene.at.0, content])?;
        let columns = EventColumns { message: Some(row.number), ..Default::default() };
        self.insert_event(scene, kind::MESSAGE_UPDATED, &columns)?;
        let mut message = MessageRow { state: 0, ..row }.present(connection, scene.id)?;
        message.content = content;
        message.edited_at = Some(scene.at);
        Ok(self.happened(scene, Change::MessageUpdated(message)))
    }

    pub fn delete(&mut self, scene: &Scene, id: MessageId) -> Result<Appended> {
        let row = self.live(scene, id)?;
        if row.sender != scene.actor && scene.session.owner != scene.actor {
            return refuse(Refusal::NotMessageSender);
        }
        let connection = self.hot.connection;
        self.wipe_content(&row)?;
        connection
            .prepare_cached("UPDATE messages SET state = ?2, file_url = ?3 WHERE number = ?1")?
            .execute(params![row.number, kind::DELETED, row.file_url.as_deref().map(blank)])?;
        let columns = EventColumns { message: Some(row.number), ..Default::default() };
        self.insert_event(scene, kind::MESSAGE_DELETED, &columns)?;
        let seq = place::seq(row.place);
        let last_live_seq = if seq == scene.session.last_live_seq {
            self.live_before(row.place)?
        } else {
            scene.session.last_live_seq
        };
        self.deleted = true;
        let appended = self.happened(scene, Change::MessageDeleted(DeletedMessage { id }));
        self.known.sessions.advance(scene.id, scene.seq, scene.at).last_live_seq = last_live_seq;
        Ok(appended)
    }

    /// A message of the session that was not deleted.
    fn live(&mut self, scene: &Scene, id: MessageId) -> Result<MessageRow> {
        let found = find(self.hot.connection, scene.session.num, id)?;
        match found.filter(|row| !row.is_deleted()) {
            Some(row) => Ok(row),
            None => refuse(Refusal::MessageNotFound),
        }
    }

    /// Overwrites the content where it stands, with as many bytes.
    fn wipe_content(&mut self, row: &MessageRow) -> Result<()> {
        let connection = self.hot.connection;
        if row.state != kind::EDITED {
            connection
                .prepare_cached("UPDATE messages SET content = ?2 WHERE number = ?1")?
                .execute(params![row.number, blank(&row.content)])?;
            return Ok(());
        }
        if let Some(edit) = last_edit(connection, row.number)? {
            connection
                .prepare_cached("UPDATE edits SET content = ?2 WHERE number = ?1")?
                .execute(params![edit.number, blank(&edit.content)])?;
        }
        Ok(())
    }

    /// The seq of the last live message before a place of its session; 0 when there is none.
    fn live_before(&mut self, place: i64) -> Result<u64> {
        let found: Option<i64> = self
            .hot
            .connection
            .prepare_cached(
                "SELECT place FROM messages WHERE place > ?1 AND place < ?2 AND state <> 4
                 ORDER BY place DESC LIMIT 1",
            )?
            .query_row(params![place::start(place::num(place)), place], |row| row.get(0))
            .optional()?;
        Ok(found.map_or(0, place::seq))
    }

    /// How many messages were ever created in a session up to a place.
    pub fn messages_up_to(&mut self, place: i64) -> Result<u64> {
        let found = self
            .hot
            .connection
            .prepare_cached(
                "SELECT ordinal FROM messages WHERE place > ?1 AND place <= ?2
                 ORDER BY place DESC LIMIT 1",
            )?
            .query_row(params![place::start(place::num(place)), place], |row| unsigned(row, 0))
            .optional()?;
        Ok(found.unwrap_or(0))
    }
}
