//! Rows of the embedded store as records, and how many there are.

use protocol::{MessageId, ParticipantId, SessionId, Timestamp, UserId};
use rusqlite::{Connection, Row};

use crate::store::moving::{
    Counts, MovedChange, MovedEvent, MovedMessage, MovedSession, RequestHash,
};
use crate::store::sqlite::column::unsigned;
use crate::store::sqlite::place;
use crate::store::{Result, kind};

pub fn counts(connection: &Connection) -> Result<Counts> {
    let count = |sql: &str| connection.query_row(sql, [], |row| unsigned(row, 0));
    Ok(Counts {
        users: count("SELECT count(*) FROM users")?,
        revoked_tokens: count("SELECT count(*) FROM revocations WHERE token_id IS NOT NULL")?,
        sessions: count("SELECT count(*) FROM sessions")?,
        messages: count(
            "SELECT count(*) FROM messages m JOIN sessions s ON s.num = m.place >> 32
             WHERE s.deleted_at IS NULL",
        )?,
        events: count(
            "SELECT count(*) FROM events e JOIN sessions s ON s.num = e.place >> 32
             WHERE s.deleted_at IS NULL",
        )?,
        members: count(
            "SELECT count(*) FROM members m JOIN sessions s ON s.num = m.session
             WHERE s.deleted_at IS NULL",
        )?,
    })
}

pub fn read_session(row: &Row<'_>) -> rusqlite::Result<MovedSession> {
    let deleted_at: Option<i64> = row.get(6)?;
    Ok(MovedSession {
        id: SessionId::from_bytes(row.get(0)?),
        user_id: UserId::from_bytes(row.get(1)?),
        title: if deleted_at.is_some() { String::new() } else { row.get(2)? },
        created_at: Timestamp(row.get(3)?),
        updated_at: Timestamp(row.get(4)?),
        last_seq: unsigned(row, 5)?,
        deleted_at: deleted_at.map(Timestamp),
        is_open: false,
    })
}

pub const SESSION: &str =
    "SELECT id, owner_id, title, created_at, updated_at, last_seq, deleted_at FROM sessions";

pub fn read_message(row: &Row<'_>) -> rusqlite::Result<MovedMessage> {
    let is_deleted = row.get::<_, i64>(1)? >= kind::DELETED;
    let (content, edited_at): (String, Option<i64>) = (row.get(9)?, row.get(10)?);
    Ok(MovedMessage {
        seq: place::seq(row.get(0)?),
        id: MessageId::from_bytes(row.get(4)?),
        sender_id: UserId::from_bytes(row.get(5)?),
        created_at: Timestamp(row.get(3)?),
        content: (!is_deleted).then_some(content),
        file_url: if is_deleted { None } else { row.get(8)? },
        is_ai_message: row.get(2)?,
        edited_at: edited_at.filter(|_| !is_deleted).map(Timestamp),
        client_id: row.get(6)?,
        request_hash: row.get::<_, Option<_>>(7)?.map(RequestHash),
    })
}

/// (first, last, limit)
pub const MESSAGES: &str = "SELECT m.place, m.state, m.is_ai, m.created_at, m.id, m.sender_id,
        m.client_id, m.request_hash, m.file_url, coalesce(e.content, m.content), e.edited_at
     FROM messages m LEFT JOIN edits e ON m.state = 3
        AND e.number = (SELECT max(number) FROM edits WHERE message = m.number)
     WHERE m.place > ?1 AND m.place <= ?2 ORDER BY m.place LIMIT ?3";

/// (first, last, limit)
pub const EVENTS: &str = "SELECT e.place, e.at, e.actor_id, e.kind, m.place, e.user_id,
        e.participant_id, e.title
     FROM events e LEFT JOIN messages m ON m.number = e.message
     WHERE e.place > ?1 AND e.place <= ?2 ORDER BY e.place LIMIT ?3";

pub fn read_event(row: &Row<'_>) -> Result<MovedEvent> {
    let user_id = row.get::<_, Option<_>>(5)?.map(UserId::from_bytes);
    let participant_id = row.get::<_, Option<_>>(6)?.map(ParticipantId::from_bytes);
    let message_seq = row.get::<_, Option<i64>>(4)?.map(place::seq);
    let subject = (message_seq, user_id, participant_id, row.get(7)?);
    let seq = place::seq(row.get(0)?);
    Ok(MovedEvent {
        seq,
        at: Timestamp(row.get(1)?),
        actor_id: UserId::from_bytes(row.get(2)?),
        change: MovedChange::from_columns(seq, row.get(3)?, subject)?,
    })
}
