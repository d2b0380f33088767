//! Pages of a session's log, and of its messages alone.
//!
//! The log is the merge of two tables by seq: `messages` (each row the event of its creation) and
//! `events` (everything else). One statement reads a page, so that it sees one moment; the bytes
//! of a page are summed up where the rows are, so that one more comes than it may hold, and no more
//! than that.

use std::sync::{Arc, LazyLock};

use protocol::limits::PAGE_BYTES_MAX;
use protocol::{Message, MessageId, ParticipantId, SessionId, UserId};
use tokio_postgres::Row;

use crate::store::fault::refuse;
use crate::store::kind;
use crate::store::postgres::column::{signed, time, unsigned};
use crate::store::postgres::messages::{self, StoredRow};
use crate::store::postgres::pool::Reader;
use crate::store::postgres::sessions;
use crate::store::rows::{PageRoom, StoredEvent, StoredMessage, event_bytes, message_bytes};
use crate::store::{LogPage, MessageRange, Page, Refusal, Result};

/// (session, after, limit, bytes)
pub static PAGE_SQL: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {session}, e.*
         FROM sessions s LEFT JOIN LATERAL (
             SELECT found.*, sum(coalesce(octet_length(found.content), 0)) OVER before_it AS before
             FROM (
                 (SELECT m.seq, m.created_at AS at, {created}::smallint AS kind,
                         NULL::uuid AS user_id, NULL::uuid AS participant_id, NULL::text AS title,
                         NULL::text AS email, NULL::text AS name, {message}
                  FROM messages m
                  WHERE m.session_id = $1 AND m.seq > $2 AND m.seq <= s.last_seq
                  ORDER BY m.seq LIMIT $3)
                 UNION ALL
                 (SELECT e.seq, e.at, e.kind, e.user_id, e.participant_id, e.title, u.email, u.name,
                         {message}
                  FROM events e
                  LEFT JOIN messages m ON m.session_id = $1 AND m.seq = e.message_seq
                  LEFT JOIN users u ON u.id = e.user_id
                  WHERE e.session_id = $1 AND e.seq > $2 AND e.seq <= s.last_seq
                  ORDER BY e.seq LIMIT $3)
                 ORDER BY seq LIMIT $3) found
             WINDOW before_it AS (ORDER BY seq ROWS BETWEEN UNBOUNDED PRECEDING AND 2 PRECEDING)
         ) e ON s.deleted_at IS NULL AND coalesce(e.before, 0) <= $4
         WHERE s.session_id = $1
         ORDER BY e.seq",
        session = sessions::COLUMNS,
        created = kind::MESSAGE_CREATED,
        message = messages::ALIASED,
    )
});

/// (session, after, before, limit, bytes, reader), in the order `ASC` or `DESC`. Whether the reader
/// may, first; a session without such messages has one row.
pub fn messages_sql(order: &str) -> String {
    format!(
        "SELECT $6::uuid IS NULL OR r.user_id IS NOT NULL, {columns}
         FROM sessions s
         LEFT JOIN members r ON r.session_id = s.session_id AND r.user_id = $6
         LEFT JOIN LATERAL (
             SELECT found.*, sum(octet_length(found.content)) OVER before_it AS before
             FROM (SELECT m.* FROM messages m
                   WHERE m.session_id = $1 AND m.seq > $2 AND m.seq < $3 AND m.state <> 4
                   ORDER BY m.seq {order} LIMIT $4) found
             WINDOW before_it AS (ORDER BY seq {order}
                                  ROWS BETWEEN UNBOUNDED PRECEDING AND 2 PRECEDING)
         ) m ON coalesce(m.before, 0) <= $5
         WHERE s.session_id = $1 AND s.deleted_at IS NULL
         ORDER BY m.seq {order}",
        columns = messages::COLUMNS,
    )
}

/// (session, message)
pub static MESSAGE_SQL: LazyLock<String> = LazyLock::new(|| {
    let columns = messages::COLUMNS;
    format!(
        "SELECT {columns} FROM sessions s JOIN messages m ON m.session_id = s.session_id
         WHERE s.session_id = $1 AND s.deleted_at IS NULL AND m.id = $2 AND m.state <> 4"
    )
});

/// A page of the log.
pub async fn page(
    reader: &Reader,
    epoch: &str,
    id: SessionId,
    after: u64,
    limit: usize,
) -> Result<Option<LogPage>> {
    let (after, limit_rows) = (signed(after), limit as i64);
    let found =
        reader.rows(&PAGE_SQL, &[&id.0, &after, &limit_rows, &(PAGE_BYTES_MAX as i64)]).await?;
    let Some(first) = found.first() else { return Ok(None) };
    let row = sessions::read(first)?;
    let session = row.session(epoch, None);
    let mut room = PageRoom::new(limit);
    let mut events = Vec::with_capacity(found.len());
    for row in &found {
        let Some(stored) = stored_event(row, id)? else { break };
        let event = stored.event(&session)?;
        if !room.take(event_bytes(&event.change)) {
            break;
        }
        events.push(Arc::new(event));
    }
    Ok(Some(LogPage { events, head: row.last_seq, deleted: row.deleted }))
}

/// The event of a row of [`PAGE_SQL`]; a page without events has a row of its session alone.
fn stored_event(row: &Row, session: SessionId) -> Result<Option<StoredEvent>> {
    const FIRST: usize = sessions::COLUMN_COUNT;
    if row.try_get::<_, Option<i64>>(FIRST)?.is_none() {
        return Ok(None);
    }
    let message = match StoredRow::read_joined(row, FIRST + 8)? {
        None => None,
        Some(message) if message.is_deleted() => Some(StoredMessage::Deleted(message.id)),
        Some(message) => Some(StoredMessage::Live(message.present(session)?)),
    };
    Ok(Some(StoredEvent {
        seq: unsigned(row, FIRST)?,
        at: time(row, FIRST + 1)?,
        kind: row.try_get::<_, i16>(FIRST + 2)?.into(),
        message,
        user: row.try_get::<_, Option<_>>(FIRST + 3)?.map(UserId),
        participant: row.try_get::<_, Option<_>>(FIRST + 4)?.map(ParticipantId),
        title: row.try_get(FIRST + 5)?,
        email: row.try_get(FIRST + 6)?,
        name: row.try_get(FIRST + 7)?,
    }))
}

/// A page of the messages alone.
pub async fn messages(
    reader: &Reader,
    id: SessionId,
    reader_id: Option<UserId>,
    (range, limit): (MessageRange, usize),
) -> Result<Page<Message>> {
    let (after, before, newest_first) = match range {
        MessageRange::Newest => (0, u64::MAX, true),
        MessageRange::Before(before) => (0, before, true),
        MessageRange::After(after) => (after, u64::MAX, false),
        MessageRange::Between(after, before) => (after, before, false),
    };
    let (after, before, limit_and_one) = (signed(after), signed(before), limit as i64 + 1);
    let sql = messages_sql(if newest_first { "DESC" } else { "ASC" });
    let (bytes, user) = (PAGE_BYTES_MAX as i64, reader_id.map(|user| user.0));
    let found = reader.rows(&sql, &[&id.0, &after, &before, &limit_and_one, &bytes, &user]).await?;
    let mut page = Page { items: Vec::with_capacity(found.len()), more: false };
    match (found.first(), reader_id) {
        (None, Some(_)) => return refuse(Refusal::SessionNotFound),
        (None, None) => return Ok(page),
        (Some(first), _) if !first.try_get(0)? => return refuse(Refusal::NotAMember),
        _ => {}
    }
    let mut room = PageRoom::new(limit);
    for row in &found {
        let Some(row) = StoredRow::read_joined(row, 1)? else { break };
        let message = row.present(id)?;
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
pub async fn message(
    reader: &Reader,
    session: SessionId,
    id: MessageId,
) -> Result<Option<Message>> {
    let found = reader.row(&MESSAGE_SQL, &[&session.0, &id.0]).await?;
    found.map(|row| StoredRow::read(&row, 0)?.present(session)).transpose()
}
