//! The members of a session.

use protocol::{ParticipantId, ParticipantRow, SessionId, UserId};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::store::postgres::column::{time, unsigned, user};
use crate::store::postgres::pool::Reader;
use crate::store::{Page, Result};

/// From behind (created_at, id): (session, whether the owner comes too, created_at,
/// id, limit). The owner has the session's id.
pub const IN_ORDER: &str = "SELECT m.id, m.user_id, u.email, u.name, m.is_owner, m.created_at
     FROM sessions s JOIN members m ON m.session_id = s.session_id
     JOIN users u ON u.id = m.user_id
     WHERE s.session_id = $1 AND s.deleted_at IS NULL
       AND (m.is_owner AND $2 OR NOT m.is_owner AND (m.created_at, m.id) > ($3, $4))
     ORDER BY m.is_owner DESC, m.created_at, m.id LIMIT $5";

fn read(row: &Row) -> Result<ParticipantRow> {
    Ok(ParticipantRow {
        id: ParticipantId(row.try_get(0)?),
        user_id: user(row, 1)?,
        email: row.try_get(2)?,
        name: row.try_get(3)?,
        is_owner: row.try_get(4)?,
        created_at: time(row, 5)?,
    })
}

/// The owner, then the others as they came.
pub async fn list(
    reader: &Reader,
    session: SessionId,
    before: Option<ParticipantId>,
    limit: usize,
) -> Result<Option<Page<ParticipantRow>>> {
    let mut behind = (i64::MIN, Uuid::nil());
    // The owner's row stands before all others.
    if let Some(before) = before.filter(|before| before.0 != session.0) {
        let sql = "SELECT created_at FROM members WHERE session_id = $1 AND id = $2";
        let Some(row) = reader.row(sql, &[&session.0, &before.0]).await? else { return Ok(None) };
        behind = (row.try_get(0)?, before.0);
    }
    let (owner_too, limit_and_one) = (before.is_none(), limit as i64 + 1);
    let rows = reader
        .rows(IN_ORDER, &[&session.0, &owner_too, &behind.0, &behind.1, &limit_and_one])
        .await?;
    let more = rows.len() > limit;
    let items = rows.iter().take(limit).map(read).collect::<Result<_>>()?;
    Ok(Some(Page { items, more }))
}

pub async fn count(reader: &Reader, session: SessionId) -> Result<u64> {
    let sql = "SELECT member_count FROM sessions WHERE session_id = $1 AND deleted_at IS NULL";
    match reader.row(sql, &[&session.0]).await? {
        Some(row) => unsigned(&row, 0),
        None => Ok(0),
    }
}

/// All members, also of a session that was deleted and is not purged yet.
pub async fn ids(reader: &Reader, session: SessionId) -> Result<Vec<UserId>> {
    let sql = "SELECT user_id FROM members WHERE session_id = $1";
    reader.rows(sql, &[&session.0]).await?.iter().map(|row| user(row, 0)).collect()
}
