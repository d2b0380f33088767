//! The members of a session.

use protocol::{ParticipantId, ParticipantRow, SessionId, Timestamp, UserId};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::store::sqlite::column::unsigned;
use crate::store::sqlite::sessions;
use crate::store::{Page, Result};

const COLUMNS: &str = "m.id, m.user_id, u.email, u.name, m.is_owner, m.created_at";

/// From behind (created_at, id): (session, created_at, id, limit)
pub const IN_ORDER: &str = "FROM members m JOIN users u ON u.id = m.user_id
     WHERE m.session = ?1 AND m.is_owner = 0 AND (m.created_at, m.id) > (?2, ?3)
     ORDER BY m.created_at, m.id LIMIT ?4";

fn read(row: &Row<'_>) -> rusqlite::Result<ParticipantRow> {
    Ok(ParticipantRow {
        id: ParticipantId::from_bytes(row.get(0)?),
        user_id: UserId::from_bytes(row.get(1)?),
        email: row.get(2)?,
        name: row.get(3)?,
        is_owner: row.get(4)?,
        created_at: Timestamp(row.get(5)?),
    })
}

/// The owner, then the others as they came.
pub fn list(
    connection: &Connection,
    session: SessionId,
    before: Option<ParticipantId>,
    limit: usize,
) -> Result<Option<Page<ParticipantRow>>> {
    let mut items = Vec::new();
    let Some(row) = sessions::find(connection, session)?.filter(|row| !row.stored.deleted) else {
        return Ok(before.is_none().then_some(Page { items, more: false }));
    };
    let mut behind = (i64::MIN, [0; 16]);
    match before {
        None => {
            let owner = connection
                .prepare_cached(&format!(
                    "SELECT {COLUMNS} FROM members m JOIN users u ON u.id = m.user_id
                     WHERE m.session = ?1 AND m.user_id = ?2"
                ))?
                .query_row(params![row.num, row.stored.owner.as_bytes()], read)
                .optional()?;
            items.extend(owner);
        }
        // The owner's row, which stands before all others.
        Some(before) if before.0 == session.0 => {}
        Some(before) => {
            let found = connection
                .prepare_cached("SELECT created_at FROM members WHERE id = ?1 AND session = ?2")?
                .query_row(params![before.as_bytes(), row.num], |row| row.get(0))
                .optional()?;
            let Some(created_at) = found else { return Ok(None) };
            behind = (created_at, *before.as_bytes());
        }
    }
    let mut statement = connection.prepare_cached(&format!("SELECT {COLUMNS} {IN_ORDER}"))?;
    let rows = statement.query_map(params![row.num, behind.0, behind.1, limit as i64 + 1], read)?;
    for row in rows {
        items.push(row?);
    }
    let more = items.len() > limit;
    items.truncate(limit);
    Ok(Some(Page { items, more }))
}

pub fn count(connection: &Connection, session: SessionId) -> Result<u64> {
    let found = connection
        .prepare_cached("SELECT member_count FROM sessions WHERE id = ?1 AND deleted_at IS NULL")?
        .query_row([session.as_bytes()], |row| unsigned(row, 0))
        .optional()?;
    Ok(found.unwrap_or(0))
}

/// All members, also of a session that was deleted and is not purged yet.
pub fn ids(connection: &Connection, session: SessionId) -> Result<Vec<UserId>> {
    let mut statement = connection.prepare_cached(
        "SELECT m.user_id FROM sessions s JOIN members m ON m.session = s.num WHERE s.id = ?1",
    )?;
    let rows = statement.query_map([session.as_bytes()], |row| row.get(0))?;
    Ok(rows.map(|id| id.map(UserId::from_bytes)).collect::<rusqlite::Result<_>>()?)
}
