//! Messages: how they are written, changed and wiped, and how their rows are read.
//!
//! Messages that are sent are gathered in columns ([`Fresh`]) and written for the whole batch at
//! once. A row is changed where it stands: an edit puts the new content over the old one, a
//! deletion leaves nothing of it.

use protocol::event::DeletedMessage;
use protocol::{Change, Message, MessageId, SessionId, Timestamp, UserId};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::store::fault::{corrupt, refuse};
use crate::store::kind;
use crate::store::postgres::batch::{Batch, EventColumns, Scene};
use crate::store::postgres::column::{signed, time, unsigned, user};
use crate::store::{Appended, Draft, Refusal, Result};

/// The columns that [`StoredRow::read`] takes, of the table `messages` as `m`.
pub const COLUMNS: &str = "m.seq, m.state, m.is_ai, m.created_at, m.edited_at, m.id, m.sender_id, \
                           m.client_id, m.file_url, m.content";
/// The same, where others of these names stand beside them.
pub const ALIASED: &str = "m.seq AS message_seq, m.state, m.is_ai, m.created_at, m.edited_at, \
                           m.id AS message_id, m.sender_id, m.client_id, m.file_url, m.content";

/// (session, message)
pub const FIND_SQL: &str = "WHERE m.session_id = $1 AND m.id = $2";
/// (session, seq)
pub const AT_SQL: &str = "WHERE m.session_id = $1 AND m.seq = $2";
/// (session, seq, content, at)
pub const EDIT_SQL: &str = "UPDATE messages SET state = 3, content = $3, edited_at = $4
     WHERE session_id = $1 AND seq = $2";
/// (session, seq)
pub const WIPE_SQL: &str = "UPDATE messages SET state = 4, content = NULL, file_url = NULL
     WHERE session_id = $1 AND seq = $2";
/// (session, seq)
pub const LIVE_BEFORE_SQL: &str = "SELECT seq FROM messages
     WHERE session_id = $1 AND seq < $2 AND state <> 4 ORDER BY seq DESC LIMIT 1";
/// (session, seq)
pub const ORDINAL_SQL: &str = "SELECT ordinal FROM messages
     WHERE session_id = $1 AND seq <= $2 ORDER BY seq DESC LIMIT 1";

/// A stored message.
pub struct StoredRow {
    pub seq: u64,
    state: i64,
    is_ai: bool,
    created_at: Timestamp,
    edited_at: Option<Timestamp>,
    pub id: MessageId,
    pub sender: UserId,
    client_id: Option<String>,
    file_url: Option<String>,
    content: Option<String>,
}

impl StoredRow {
    /// Reads [`COLUMNS`], the first of which is the row's column `from`.
    pub fn read(row: &Row, from: usize) -> Result<Self> {
        Ok(Self {
            seq: unsigned(row, from)?,
            state: row.try_get::<_, i16>(from + 1)?.into(),
            is_ai: row.try_get(from + 2)?,
            created_at: time(row, from + 3)?,
            edited_at: row.try_get::<_, Option<i64>>(from + 4)?.map(Timestamp),
            id: MessageId(row.try_get(from + 5)?),
            sender: user(row, from + 6)?,
            client_id: row.try_get(from + 7)?,
            file_url: row.try_get(from + 8)?,
            content: row.try_get(from + 9)?,
        })
    }

    /// As [`Self::read`], where an outer join may have found none.
    pub fn read_joined(row: &Row, from: usize) -> Result<Option<Self>> {
        match row.try_get::<_, Option<i64>>(from)? {
            None => Ok(None),
            Some(_) => Self::read(row, from).map(Some),
        }
    }

    pub fn is_deleted(&self) -> bool {
        self.state == kind::DELETED
    }

    /// The message in its present form; not for deleted ones.
    pub fn present(self, session: SessionId) -> Result<Message> {
        let Some(content) = self.content else {
            return corrupt("messages", self.id, "the content of one that was not deleted is gone");
        };
        Ok(Message {
            id: self.id,
            session_id: session,
            seq: self.seq,
            sender_id: self.sender,
            content,
            file_url: self.file_url,
            is_ai_message: self.is_ai,
            client_id: self.client_id,
            created_at: self.created_at,
            edited_at: self.edited_at,
        })
    }
}

/// Messages that were sent in this transaction and are not written yet, a vector a column.
#[derive(Default)]
pub struct Fresh<'a> {
    pub session: Vec<Uuid>,
    pub seq: Vec<i64>,
    pub ordinal: Vec<i64>,
    pub is_ai: Vec<bool>,
    pub created_at: Vec<i64>,
    pub id: Vec<Uuid>,
    pub sender: Vec<Uuid>,
    pub client_id: Vec<Option<&'a str>>,
    pub request_hash: Vec<Option<&'a [u8]>>,
    pub file_url: Vec<Option<&'a str>>,
    pub content: Vec<&'a str>,
}

impl<'a> Fresh<'a> {
    fn push(&mut self, scene: &Scene, draft: &'a Draft, ordinal: u64) {
        self.session.push(scene.id.0);
        self.seq.push(signed(scene.seq));
        self.ordinal.push(signed(ordinal));
        self.is_ai.push(draft.is_ai_message);
        self.created_at.push(scene.at.0);
        self.id.push(draft.id.0);
        self.sender.push(scene.actor.0);
        self.client_id.push(draft.client_id.as_deref());
        self.request_hash.push(draft.client_id.as_ref().map(|_| &draft.request_hash[..]));
        self.file_url.push(draft.file_url.as_deref());
        self.content.push(&draft.content);
    }
}

impl<'a> Batch<'a> {
    pub async fn send(&mut self, scene: &Scene, draft: &'a Draft) -> Result<Appended> {
        if let Some(client_id) = draft.client_id.as_deref() {
            let key = (scene.id, scene.actor, client_id);
            if let Some(&seq) = self.client_ids.get(&key) {
                return self.repeat(scene, draft, seq).await;
            }
            self.client_ids.insert(key, scene.seq);
        }
        let ordinal = scene.session.message_count + 1;
        self.fresh.push(scene, draft, ordinal);
        let session = self.advance(scene);
        session.message_count = ordinal;
        session.last_live_seq = scene.seq;
        // What I write I have read.
        self.set_mark(scene.id, scene.actor, (scene.seq, ordinal));
        let message = Message {
            id: draft.id,
            session_id: scene.id,
            seq: scene.seq,
            sender_id: scene.actor,
            content: draft.content.clone(),
            file_url: draft.file_url.clone(),
            is_ai_message: draft.is_ai_message,
            client_id: draft.client_id.clone(),
            created_at: scene.at,
            edited_at: None,
        };
        Ok(Appended::New(scene.event(Change::MessageCreated(message))))
    }

    /// The answer to a send whose `client_id` was used for the message `seq`.
    async fn repeat(&mut self, scene: &Scene, draft: &Draft, seq: u64) -> Result<Appended> {
        self.flush().await?;
        let sql = format!("SELECT {COLUMNS}, m.request_hash FROM messages m {AT_SQL}");
        let Some(found) = self.row(&sql, &[&scene.id.0, &signed(seq)]).await? else {
            return corrupt("messages", seq, "it was there a moment ago");
        };
        let hash: &[u8] = found.try_get(10)?;
        if hash != draft.request_hash {
            return refuse(Refusal::ClientIdReused);
        }
        let row = StoredRow::read(&found, 0)?;
        if row.is_deleted() {
            return refuse(Refusal::MessageDeleted);
        }
        Ok(Appended::Repeat(Box::new(row.present(scene.id)?)))
    }

    pub async fn edit(&mut self, scene: &Scene, id: MessageId, content: &str) -> Result<Appended> {
        let mut row = self.live(scene, id).await?;
        if row.sender != scene.actor {
            return refuse(Refusal::NotMessageSender);
        }
        let seq = signed(row.seq);
        self.execute(EDIT_SQL, &[&scene.id.0, &seq, &content, &scene.at.0]).await?;
        let columns = EventColumns { message_seq: Some(seq), ..Default::default() };
        self.insert_event(scene, kind::MESSAGE_UPDATED, &columns).await?;
        row.content = Some(content.to_owned());
        row.edited_at = Some(scene.at);
        Ok(self.happened(scene, Change::MessageUpdated(row.present(scene.id)?)))
    }

    pub async fn delete(&mut self, scene: &Scene, id: MessageId) -> Result<Appended> {
        let row = self.live(scene, id).await?;
        if row.sender != scene.actor && scene.session.owner != scene.actor {
            return refuse(Refusal::NotMessageSender);
        }
        let seq = signed(row.seq);
        self.execute(WIPE_SQL, &[&scene.id.0, &seq]).await?;
        let columns = EventColumns { message_seq: Some(seq), ..Default::default() };
        self.insert_event(scene, kind::MESSAGE_DELETED, &columns).await?;
        let mut last_live_seq = scene.session.last_live_seq;
        if row.seq == last_live_seq {
            let before = self.row(LIVE_BEFORE_SQL, &[&scene.id.0, &seq]).await?;
            last_live_seq = before.map_or(Ok(0), |row| unsigned(&row, 0))?;
        }
        let appended = self.happened(scene, Change::MessageDeleted(DeletedMessage { id }));
        self.advance(scene).last_live_seq = last_live_seq;
        Ok(appended)
    }

    /// A message of the session that was not deleted.
    async fn live(&mut self, scene: &Scene, id: MessageId) -> Result<StoredRow> {
        let sql = format!("SELECT {COLUMNS} FROM messages m {FIND_SQL}");
        let found = self.row(&sql, &[&scene.id.0, &id.0]).await?;
        let found = found.map(|row| StoredRow::read(&row, 0)).transpose()?;
        match found.filter(|row| !row.is_deleted()) {
            Some(row) => Ok(row),
            None => refuse(Refusal::MessageNotFound),
        }
    }

    /// How many messages were ever created in a session up to a seq.
    pub async fn messages_up_to(&mut self, session: SessionId, seq: u64) -> Result<u64> {
        self.flush().await?;
        let found = self.row(ORDINAL_SQL, &[&session.0, &signed(seq)]).await?;
        found.map_or(Ok(0), |row| unsigned(&row, 0))
    }
}
