//! Pages of a session's log, and of its messages alone.
//!
//! The log is the merge of two tables by place: `messages` (each row the event of its creation)
//! and `events` (everything else). Both are read as one range of an index, in step.

use std::sync::Arc;

use protocol::event::DeletedMessage;
use protocol::{Change, Event, Message, ParticipantId, Session, SessionId, Timestamp, UserId};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::store::rows::{PageRoom, StoredEvent, StoredMessage, event_bytes, message_bytes};
use crate::store::sqlite::fault::{corrupt, refuse};
use crate::store::sqlite::messages::{COLUMNS, MessageRow};
use crate::store::sqlite::{messages, place, sessions};
use crate::store::{LogPage, MessageRange, Page, Refusal, Result};

/// (after, head, limit)
pub const MESSAGES_SQL: &str = "WHERE m.place > ?1 AND m.place <= ?2 ORDER BY m.place LIMIT ?3";
/// (after, head, limit)
pub const EVENTS_SQL: &str = "SELECT e.place, e.at, e.kind, e.user_id, e.participant_id, e.title,
                                     u.email, u.name, e.message
                              FROM events e LEFT JOIN users u ON u.id = e.user_id
                              WHERE e.place > ?1 AND e.place <= ?2 ORDER BY e.place LIMIT ?3";

/// (after, last) and the order.
pub const LIVE_SQL: &str = "WHERE m.place > ?1 AND m.place <= ?2 AND m.state <> 4 ORDER BY m.place";

/// A page of the log.
pub fn page(
    connection: &Connection,
    epoch: &str,
    id: SessionId,
    after: u64,
    limit: usize,
) -> Result<Option<LogPage>> {
    let Some(row) = sessions::find(connection, id)? else { return Ok(None) };
    let head = row.stored.last_seq;
    if row.stored.deleted {
        return Ok(Some(LogPage { events: Vec::new(), head, deleted: true }));
    }
    let range = (place::at(row.num, after), place::at(row.num, head), limit as i64);
    let session = row.stored.session(epoch, None);
    let mut created =
        connection.prepare_cached(&format!("SELECT {COLUMNS} FROM messages m {MESSAGES_SQL}"))?;
    let mut created = created.query(params![range.0, range.1, range.2])?;
    let mut others = connection.prepare_cached(EVENTS_SQL)?;
    let mut others = others.query(params![range.0, range.1, range.2])?;

    let mut room = PageRoom::new(limit);
    let mut events = Vec::new();
    let mut message = next_message(&mut created)?;
    let mut other = next_event(&mut others)?;
    loop {
        let message_comes = match (&message, &other) {
            (None, None) => break,
            (Some(message), Some(other)) => message.place < other.place,
            (Some(_), None) => true,
            (None, Some(_)) => false,
        };
        let event = if message_comes {
            let row = message.take().expect("it was just looked at");
            message = next_message(&mut created)?;
            created_event(connection, id, row)?
        } else {
            let row = other.take().expect("it was just looked at");
            other = next_event(&mut others)?;
            row.event(connection, &session)?
        };
        if !room.take(event_bytes(&event.change)) {
            break;
        }
        events.push(Arc::new(event));
    }
    Ok(Some(LogPage { events, head, deleted: false }))
}

fn next_message(rows: &mut rusqlite::Rows<'_>) -> Result<Option<MessageRow>> {
    Ok(rows.next()?.map(|row| MessageRow::read(row, 0)).transpose()?)
}

fn next_event(rows: &mut rusqlite::Rows<'_>) -> Result<Option<EventRow>> {
    Ok(rows.next()?.map(EventRow::read).transpose()?)
}

fn created_event(connection: &Connection, session: SessionId, row: MessageRow) -> Result<Event> {
    let (seq, at) = (place::seq(row.place), row.created_at);
    let change = if row.is_deleted() {
        Change::MessageDeleted(DeletedMessage { id: row.id })
    } else {
        Change::MessageCreated(row.present(connection, session)?)
    };
    Ok(Event { session_id: session, seq, at, change })
}

/// A row of `events`.
struct EventRow {
    place: i64,
    at: Timestamp,
    kind: i64,
    user: Option<UserId>,
    participant: Option<ParticipantId>,
    title: Option<String>,
    email: Option<String>,
    name: Option<String>,
    message: Option<i64>,
}

impl EventRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            place: row.get(0)?,
            at: Timestamp(row.get(1)?),
            kind: row.get(2)?,
            user: row.get::<_, Option<_>>(3)?.map(UserId::from_bytes),
            participant: row.get::<_, Option<_>>(4)?.map(ParticipantId::from_bytes),
            title: row.get(5)?,
            email: row.get(6)?,
            name: row.get(7)?,
            message: row.get(8)?,
        })
    }

    fn event(self, connection: &Connection, session: &Session) -> Result<Event> {
        let message = match self.message {
            None => None,
            Some(number) => match message_by_number(connection, number)? {
                None => return corrupt("events", self.place, "its message is missing"),
                Some(row) if row.is_deleted() => Some(StoredMessage::Deleted(row.id)),
                Some(row) => Some(StoredMessage::Live(row.present(connection, session.id)?)),
            },
        };
        let stored = StoredEvent {
            seq: place::seq(self.place),
            at: self.at,
            kind: self.kind,
            message,
            user: self.user,
            participant: self.participant,
            title: self.title,
            email: self.email,
            name: self.name,
        };
        stored.event(session)
    }
}

fn message_by_number(connection: &Connection, number: i64) -> Result<Option<MessageRow>> {
    let found = connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM messages m WHERE m.number = ?1"))?
        .query_row([number], |row| MessageRow::read(row, 0))
        .optional()?;
    Ok(found)
}

/// A page of the messages alone: a range, and how many at most.
pub fn messages(
    connection: &Connection,
    id: SessionId,
    reader: Option<UserId>,
    (range, limit): (MessageRange, usize),
) -> Result<Page<Message>> {
    let mut page = Page { items: Vec::new(), more: false };
    let row = sessions::find(connection, id)?.filter(|row| !row.stored.deleted);
    let row = match (row, reader) {
        (Some(row), Some(user)) if sessions::read_mark(connection, row.num, user)?.is_none() => {
            return refuse(Refusal::NotAMember);
        }
        (Some(row), _) => row,
        (None, Some(_)) => return refuse(Refusal::SessionNotFound),
        (None, None) => return Ok(page),
    };
    let (after, before, newest_first) = match range {
        MessageRange::Newest => (0, u64::MAX, true),
        MessageRange::Before(before) => (0, before, true),
        MessageRange::After(after) => (after, u64::MAX, false),
        MessageRange::Between(after, before) => (after, before, false),
    };
    let after = place::at(row.num, after);
    let last = before.checked_sub(1).map_or(after, |last| place::at(row.num, last));
    let order = if newest_first { "DESC" } else { "ASC" };
    let mut statement = connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM messages m {LIVE_SQL} {order}"))?;
    let mut rows = statement.query(params![after, last])?;
    let mut room = PageRoom::new(limit);
    while let Some(row) = next_message(&mut rows)? {
        let message = row.present(connection, id)?;
        if !room.take(message_bytes(&message)) {
            page.more = true;
            break;
        }
        page.items.push(message);
    }
    if newest_first {
        page.items.reverse();
    }
    Ok(page)
}

/// One message that was not deleted.
pub fn message(
    connection: &Connection,
    session: SessionId,
    id: protocol::MessageId,
) -> Result<Option<Message>> {
    let Some(row) = sessions::find(connection, session)?.filter(|row| !row.stored.deleted) else {
        return Ok(None);
    };
    match messages::find(connection, row.num, id)?.filter(|row| !row.is_deleted()) {
        Some(row) => Ok(Some(row.present(connection, session)?)),
        None => Ok(None),
    }
}
