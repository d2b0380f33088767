//! Sessions: made, looked at, and listed for their members.

use protocol::{Session, SessionId, UserId};
use tokio_postgres::Row;

use crate::store::fault::refuse;
use crate::store::postgres::column::{time, unsigned, user};
use crate::store::postgres::messages::{self, StoredRow};
use crate::store::postgres::pool::{Reader, Work};
use crate::store::rows::{self, StoredSession};
use crate::store::{Access, Error, Listed, Page, Refusal, Result};

/// What [`read`] takes, of the table `sessions` as `s`.
pub const COLUMNS: &str = "s.session_id, s.owner_id, s.title, s.created_at, s.updated_at, \
                           s.last_seq, s.message_count, s.deleted_at IS NOT NULL";
/// How many these are.
pub const COLUMN_COUNT: usize = 8;

/// (session, user)
pub const ACCESS_SQL: &str = "LEFT JOIN members m ON m.session_id = s.session_id AND m.user_id = $2
     WHERE s.session_id = $1 AND s.deleted_at IS NULL";

/// (sessions)
pub const HEADS_SQL: &str = "SELECT s.session_id, s.last_seq FROM sessions s
     WHERE s.session_id = ANY($1::uuid[])";

/// Of one user, newest first, from behind (updated_at, id): (user, updated_at, id, limit). The
/// deleted messages above the mark are counted only where there are unread ones at all.
const LISTED_FROM: &str = "FROM members m JOIN sessions s ON s.session_id = m.session_id
     WHERE m.user_id = $1 AND s.deleted_at IS NULL AND (s.updated_at, s.session_id) < ($2, $3)
     ORDER BY s.updated_at DESC, s.session_id DESC LIMIT $4";

/// Reads [`COLUMNS`], the first of the row.
pub fn read(row: &Row) -> Result<StoredSession> {
    Ok(StoredSession {
        id: SessionId(row.try_get(0)?),
        owner: user(row, 1)?,
        title: row.try_get(2)?,
        created_at: time(row, 3)?,
        updated_at: time(row, 4)?,
        last_seq: unsigned(row, 5)?,
        message_count: unsigned(row, 6)?,
        deleted: row.try_get(7)?,
    })
}

/// Keeps a new session, with its owner as the first member.
pub async fn create(work: &Work<'_>, new: Session) -> Result<Session> {
    let owner = new.user_id;
    if work.row("SELECT 1 FROM users WHERE id = $1", &[&owner.0]).await?.is_none() {
        return refuse(Refusal::UserNotFound);
    }
    let inserted = work
        .execute(
            "INSERT INTO sessions (session_id, owner_id, title, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $4) ON CONFLICT DO NOTHING",
            &[&new.id.0, &owner.0, &new.title, &new.created_at.0],
        )
        .await?;
    if inserted == 0 {
        return Err(Error::Other(format!("there is a session {} already", new.id)));
    }
    work.execute(
        "INSERT INTO members (session_id, user_id, id, created_at, is_owner, read_seq, read_count)
         VALUES ($1, $2, $1, $3, true, 0, 0)",
        &[&new.id.0, &owner.0, &new.created_at.0],
    )
    .await?;
    Ok(new)
}

/// A session as one user may see it; none when it was deleted.
pub async fn access(
    reader: &Reader,
    epoch: &str,
    id: SessionId,
    user: UserId,
) -> Result<Option<Access>> {
    let sql = format!("SELECT {COLUMNS}, m.read_seq FROM sessions s {ACCESS_SQL}");
    let Some(found) = reader.row(&sql, &[&id.0, &user.0]).await? else { return Ok(None) };
    let row = read(&found)?;
    let read_seq: Option<i64> = found.try_get(COLUMN_COUNT)?;
    Ok(Some(Access {
        session: row.session(epoch, Some(user)),
        is_member: read_seq.is_some(),
        read_seq: read_seq.unwrap_or(0) as u64,
    }))
}

/// The sessions of a user, newest first.
pub async fn list(
    reader: &Reader,
    epoch: &str,
    user: UserId,
    before: Option<SessionId>,
    limit: usize,
) -> Result<Option<Page<Listed>>> {
    let (updated_at, id) = match before {
        None => (i64::MAX, uuid::Uuid::max()),
        Some(before) => {
            let sql = "SELECT s.updated_at FROM sessions s
                       JOIN members m ON m.session_id = s.session_id AND m.user_id = $2
                       WHERE s.session_id = $1 AND s.deleted_at IS NULL";
            let Some(row) = reader.row(sql, &[&before.0, &user.0]).await? else { return Ok(None) };
            (row.try_get(0)?, before.0)
        }
    };
    let sql = format!(
        "SELECT {COLUMNS}, s.read_count, deleted.count, {}
         FROM (SELECT s.*, m.read_seq, m.read_count {LISTED_FROM}) s
         LEFT JOIN messages m ON m.session_id = s.session_id AND m.seq = s.last_live_seq
         CROSS JOIN LATERAL (
             SELECT count(*) FROM messages d
             WHERE s.message_count > s.read_count AND d.session_id = s.session_id
               AND d.state = 4 AND d.seq > s.read_seq) deleted
         ORDER BY s.updated_at DESC, s.session_id DESC",
        messages::COLUMNS
    );
    let limit_and_one = limit as i64 + 1;
    let found = reader.rows(&sql, &[&user.0, &updated_at, &id, &limit_and_one]).await?;
    let more = found.len() > limit;
    let items = found.iter().take(limit).map(|found| {
        let row = read(found)?;
        let (read, deleted) = (unsigned(found, COLUMN_COUNT)?, unsigned(found, COLUMN_COUNT + 1)?);
        let last = StoredRow::read_joined(found, COLUMN_COUNT + 2)?;
        let last_message = last.map(|last| last.present(row.id)).transpose()?;
        let unread_count = rows::unread(row.message_count, read, deleted);
        Ok(Listed { session: row.session(epoch, Some(user)), unread_count, last_message })
    });
    Ok(Some(Page { items: items.collect::<Result<_>>()?, more }))
}

/// The last numbers of some sessions' logs.
pub async fn heads(reader: &Reader, sessions: &[SessionId]) -> Result<Vec<(SessionId, u64)>> {
    let ids: Vec<uuid::Uuid> = sessions.iter().map(|session| session.0).collect();
    let rows = reader.rows(HEADS_SQL, &[&ids]).await?;
    rows.iter().map(|row| Ok((SessionId(row.try_get(0)?), unsigned(row, 1)?))).collect()
}
