//! Sessions: made, looked at, and listed for their members.

use protocol::{Session, SessionId, Timestamp, UserId};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::store::rows::{self, StoredSession};
use crate::store::sqlite::column::unsigned;
use crate::store::sqlite::fault::refuse;
use crate::store::sqlite::messages;
use crate::store::sqlite::place::{self, Num};
use crate::store::{Access, Error, Listed, Page, Refusal, Result};

/// What [`SessionRow::read`] takes, of the table `sessions` as `s`.
const COLUMNS: &str = "s.num, s.id, s.owner_id, s.title, s.created_at, s.updated_at, s.last_seq, \
                       s.message_count, s.last_live_seq, s.deleted_at IS NOT NULL";

/// Of one user, newest first, from behind (updated_at, id): (user, updated_at, id, limit)
pub const LISTED_FROM: &str = "FROM members m JOIN sessions s ON s.num = m.session
     WHERE m.user_id = ?1 AND s.deleted_at IS NULL AND (s.updated_at, s.id) < (?2, ?3)
     ORDER BY s.updated_at DESC, s.id DESC LIMIT ?4";

/// Deleted messages above a mark: (mark, last)
pub const DELETED_ABOVE: &str = "SELECT count(*) FROM messages INDEXED BY deleted_messages
     WHERE state = 4 AND place > ?1 AND place <= ?2";

/// A stored session, with what only this database needs of it.
pub struct SessionRow {
    pub num: Num,
    pub last_live_seq: u64,
    pub stored: StoredSession,
}

impl SessionRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let stored = StoredSession {
            id: SessionId::from_bytes(row.get(1)?),
            owner: UserId::from_bytes(row.get(2)?),
            title: row.get(3)?,
            created_at: Timestamp(row.get(4)?),
            updated_at: Timestamp(row.get(5)?),
            last_seq: unsigned(row, 6)?,
            message_count: unsigned(row, 7)?,
            deleted: row.get(9)?,
        };
        Ok(Self { num: row.get(0)?, last_live_seq: unsigned(row, 8)?, stored })
    }
}

/// The row of a session, deleted or not.
pub fn find(connection: &Connection, id: SessionId) -> Result<Option<SessionRow>> {
    let found = connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM sessions s WHERE s.id = ?1"))?
        .query_row([id.as_bytes()], SessionRow::read)
        .optional()?;
    Ok(found)
}

/// Keeps a new session, with its owner as the first member.
pub fn create(connection: &Connection, new: Session) -> Result<Session> {
    let owner = new.user_id;
    let owner_exists = connection
        .prepare_cached("SELECT 1 FROM users WHERE id = ?1")?
        .exists([owner.as_bytes()])?;
    if !owner_exists {
        return refuse(Refusal::UserNotFound);
    }
    let num: Option<Num> = connection
        .prepare_cached(
            "INSERT INTO sessions (id, owner_id, title, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?4) ON CONFLICT DO NOTHING RETURNING num",
        )?
        .query_row(
            params![new.id.as_bytes(), owner.as_bytes(), new.title, new.created_at.0],
            |row| row.get(0),
        )
        .optional()?;
    let Some(num) = num else {
        return Err(Error::Other(format!("there is a session {} already", new.id)));
    };
    connection
        .prepare_cached(
            "INSERT INTO members (session, user_id, id, created_at, is_owner, read_seq, read_count)
             VALUES (?1, ?2, ?3, ?4, 1, 0, 0)",
        )?
        .execute(params![num, owner.as_bytes(), new.id.as_bytes(), new.created_at.0])?;
    Ok(new)
}

/// A session as one user may see it; none when it was deleted.
pub fn access(
    connection: &Connection,
    epoch: &str,
    id: SessionId,
    user: UserId,
) -> Result<Option<Access>> {
    let Some(row) = find(connection, id)?.filter(|row| !row.stored.deleted) else {
        return Ok(None);
    };
    let read_seq = read_mark(connection, row.num, user)?;
    Ok(Some(Access {
        session: row.stored.session(epoch, Some(user)),
        is_member: read_seq.is_some(),
        read_seq: read_seq.unwrap_or(0),
    }))
}

/// A member's read mark.
pub fn read_mark(connection: &Connection, session: Num, user: UserId) -> Result<Option<u64>> {
    let found = connection
        .prepare_cached("SELECT read_seq FROM members WHERE session = ?1 AND user_id = ?2")?
        .query_row(params![session, user.as_bytes()], |row| unsigned(row, 0))
        .optional()?;
    Ok(found)
}

/// The sessions of a user, newest first.
pub fn list(
    connection: &Connection,
    epoch: &str,
    user: UserId,
    before: Option<SessionId>,
    limit: usize,
) -> Result<Option<Page<Listed>>> {
    let (updated_at, id) = match before {
        None => (i64::MAX, [0xFF; 16]),
        Some(before) => {
            let found = connection
                .prepare_cached(
                    "SELECT s.updated_at FROM sessions s
                     JOIN members m ON m.session = s.num AND m.user_id = ?2
                     WHERE s.id = ?1 AND s.deleted_at IS NULL",
                )?
                .query_row(params![before.as_bytes(), user.as_bytes()], |row| row.get(0))
                .optional()?;
            let Some(updated_at) = found else { return Ok(None) };
            (updated_at, *before.as_bytes())
        }
    };
    let mut statement = connection
        .prepare_cached(&format!("SELECT {COLUMNS}, m.read_seq, m.read_count {LISTED_FROM}"))?;
    let rows = statement
        .query_map(params![user.as_bytes(), updated_at, id, limit as i64 + 1], |row| {
            Ok((SessionRow::read(row)?, unsigned(row, 10)?, unsigned(row, 11)?))
        })?;
    let rows = rows.collect::<rusqlite::Result<Vec<(SessionRow, u64, u64)>>>()?;
    let more = rows.len() > limit;
    let items = rows.into_iter().take(limit).map(|(row, read_seq, read_count)| {
        let last_message = match row.last_live_seq {
            0 => None,
            seq => messages::at(connection, place::at(row.num, seq))?,
        };
        let last_message = match last_message {
            Some(message) => Some(message.present(connection, row.stored.id)?),
            None => None,
        };
        let unread_count = unread(connection, &row, read_seq, read_count)?;
        Ok(Listed { session: row.stored.session(epoch, Some(user)), unread_count, last_message })
    });
    Ok(Some(Page { items: items.collect::<Result<_>>()?, more }))
}

/// Messages above a read mark that were not deleted. `read_count` were created up to the mark, so
/// nothing is counted here but the deleted ones above it.
fn unread(
    connection: &Connection,
    session: &SessionRow,
    read_seq: u64,
    read_count: u64,
) -> Result<u64> {
    if session.stored.message_count <= read_count {
        return Ok(0);
    }
    let deleted = connection
        .prepare_cached(DELETED_ABOVE)?
        .query_row(params![place::at(session.num, read_seq), place::end(session.num)], |row| {
            unsigned(row, 0)
        })?;
    Ok(rows::unread(session.stored.message_count, read_count, deleted))
}

/// The last numbers of some sessions' logs.
pub fn heads(connection: &Connection, sessions: &[SessionId]) -> Result<Vec<(SessionId, u64)>> {
    let mut statement = connection.prepare_cached("SELECT last_seq FROM sessions WHERE id = ?1")?;
    let mut found = Vec::with_capacity(sessions.len());
    for id in sessions {
        let head = statement.query_row([id.as_bytes()], |row| unsigned(row, 0)).optional()?;
        found.extend(head.map(|head| (*id, head)));
    }
    Ok(found)
}
