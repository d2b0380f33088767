//! The ends of tokens before their time, and the tickets for the WebSocket.

use protocol::{Timestamp, UserId};
use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

use crate::store::sqlite::column::{signed, unsigned};
use crate::store::sqlite::fault::corrupt;
use crate::store::{Result, Revocation, Ticket};

/// Revocations of one page.
const PAGE: i64 = 1_000;

/// Ends tokens and notes it in the log.
pub fn revoke(connection: &Connection, revocation: Revocation, at: Timestamp) -> Result<()> {
    if let Revocation::User { user, issued_before_ms } = revocation {
        end_before(connection, user, issued_before_ms)?;
    }
    log(connection, revocation, at)
}

/// Ends the tokens of a user that were issued before a moment.
pub fn end_before(connection: &Connection, user: UserId, moment_ms: i64) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE users SET tokens_valid_from_ms = max(tokens_valid_from_ms, ?2) WHERE id = ?1",
        )?
        .execute(params![user.as_bytes(), moment_ms])?;
    Ok(())
}

/// Notes a revocation, for every node to follow.
pub fn log(connection: &Connection, revocation: Revocation, at: Timestamp) -> Result<()> {
    let (user, before, token) = match revocation {
        Revocation::User { user, issued_before_ms } => {
            (Some(*user.as_bytes()), Some(issued_before_ms), None)
        }
        Revocation::Token { id } => (None, None, Some(*id.as_bytes())),
    };
    connection
        .prepare_cached(
            "INSERT INTO revocations (user_id, issued_before_ms, token_id, at)
             VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![user, before, token, at.0])?;
    Ok(())
}

pub fn is_revoked(connection: &Connection, id: Uuid) -> Result<bool> {
    let found = connection
        .prepare_cached("SELECT 1 FROM revocations WHERE token_id = ?1")?
        .exists([id.as_bytes()])?;
    Ok(found)
}

/// The revocations above a number, oldest first.
pub fn revocations(connection: &Connection, after: u64) -> Result<Vec<(u64, Revocation)>> {
    let mut statement = connection.prepare_cached(
        "SELECT number, user_id, issued_before_ms, token_id FROM revocations
         WHERE number > ?1 ORDER BY number LIMIT ?2",
    )?;
    let mut rows = statement.query(params![signed(after), PAGE])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let number = unsigned(row, 0)?;
        let revocation = match (row.get(1)?, row.get(2)?, row.get(3)?) {
            (Some(user), Some(issued_before_ms), None) => {
                Revocation::User { user: UserId::from_bytes(user), issued_before_ms }
            }
            (None, None, Some(token)) => Revocation::Token { id: Uuid::from_bytes(token) },
            _ => return corrupt("revocations", number, "it names neither user nor token"),
        };
        found.push((number, revocation));
    }
    Ok(found)
}

pub fn head(connection: &Connection) -> Result<u64> {
    let head = connection
        .prepare_cached("SELECT coalesce(max(number), 0) FROM revocations")?
        .query_row([], |row| unsigned(row, 0))?;
    Ok(head)
}

/// Keeps a ticket, and drops those that have ended.
pub fn put_ticket(connection: &Connection, ticket: &Ticket, now: Timestamp) -> Result<()> {
    connection.prepare_cached("DELETE FROM tickets WHERE expires <= ?1")?.execute([now.0])?;
    connection
        .prepare_cached(
            "INSERT INTO tickets (hash, user_id, token_id, token_issued_ms, token_expires, expires)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            ticket.hash,
            ticket.user.as_bytes(),
            ticket.token_id.map(Uuid::into_bytes),
            ticket.token_issued_ms,
            ticket.token_expires.0,
            ticket.expires.0,
        ])?;
    Ok(())
}

/// Takes a ticket out.
pub fn take_ticket(
    connection: &Connection,
    hash: [u8; 32],
    now: Timestamp,
) -> Result<Option<Ticket>> {
    let found = connection
        .prepare_cached(
            "DELETE FROM tickets WHERE hash = ?1
             RETURNING user_id, token_id, token_issued_ms, token_expires, expires",
        )?
        .query_row([hash], |row| {
            Ok(Ticket {
                hash,
                user: UserId::from_bytes(row.get(0)?),
                token_id: row.get::<_, Option<_>>(1)?.map(Uuid::from_bytes),
                token_issued_ms: row.get(2)?,
                token_expires: Timestamp(row.get(3)?),
                expires: Timestamp(row.get(4)?),
            })
        })
        .optional()?;
    Ok(found.filter(|ticket| ticket.expires > now))
}
