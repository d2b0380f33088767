//! The ends of tokens before their time, and the tickets for the WebSocket.

use protocol::{Timestamp, UserId};
use uuid::Uuid;

use crate::store::fault::corrupt;
use crate::store::postgres::column::{signed, time, unsigned, user};
use crate::store::postgres::pool::{Reader, Work};
use crate::store::{Result, Revocation, Ticket};

/// Revocations of one page.
const PAGE: i64 = 1_000;

/// Ends tokens and notes it in the log.
pub async fn revoke(work: &Work<'_>, revocation: Revocation, at: Timestamp) -> Result<()> {
    if let Revocation::User { user, issued_before_ms } = revocation {
        end_before(work, user, issued_before_ms).await?;
    }
    log(work, revocation, at).await
}

/// Ends the tokens of a user that were issued before a moment.
pub async fn end_before(work: &Work<'_>, user: UserId, moment_ms: i64) -> Result<()> {
    let sql = "UPDATE users SET tokens_valid_from_ms = greatest(tokens_valid_from_ms, $2)
               WHERE id = $1";
    work.execute(sql, &[&user.0, &moment_ms]).await?;
    Ok(())
}

/// Notes a revocation, for every node to follow. The row of `meta` is locked until the commit, so
/// that numbers appear in their order.
pub async fn log(work: &Work<'_>, revocation: Revocation, at: Timestamp) -> Result<()> {
    let (user, before, token) = match revocation {
        Revocation::User { user, issued_before_ms } => (Some(user.0), Some(issued_before_ms), None),
        Revocation::Token { id } => (None, None, Some(id)),
    };
    work.execute(
        "WITH next AS (
             UPDATE meta SET value = (value::bigint + 1)::text WHERE key = 'revocation_head'
             RETURNING value::bigint AS number)
         INSERT INTO revocations (number, user_id, issued_before_ms, token_id, at)
         SELECT number, $1, $2, $3, $4 FROM next",
        &[&user, &before, &token, &at.0],
    )
    .await?;
    Ok(())
}

pub async fn is_revoked(reader: &Reader, id: Uuid) -> Result<bool> {
    Ok(reader.row("SELECT 1 FROM revocations WHERE token_id = $1", &[&id]).await?.is_some())
}

/// The revocations above a number, oldest first.
pub async fn revocations(reader: &Reader, after: u64) -> Result<Vec<(u64, Revocation)>> {
    let sql = "SELECT number, user_id, issued_before_ms, token_id FROM revocations
               WHERE number > $1 ORDER BY number LIMIT $2";
    let mut found = Vec::new();
    for row in reader.rows(sql, &[&signed(after), &PAGE]).await? {
        let number = unsigned(&row, 0)?;
        let revocation = match (row.try_get(1)?, row.try_get(2)?, row.try_get(3)?) {
            (Some(user), Some(issued_before_ms), None) => {
                Revocation::User { user: UserId(user), issued_before_ms }
            }
            (None, None, Some(id)) => Revocation::Token { id },
            _ => return corrupt("revocations", number, "it names neither user nor token"),
        };
        found.push((number, revocation));
    }
    Ok(found)
}

pub async fn head(reader: &Reader) -> Result<u64> {
    let sql = "SELECT value::bigint FROM meta WHERE key = 'revocation_head'";
    match reader.row(sql, &[]).await? {
        Some(row) => unsigned(&row, 0),
        None => corrupt("meta", "revocation_head", "is missing"),
    }
}

/// Keeps a ticket, and drops those that have ended.
pub async fn put_ticket(work: &Work<'_>, ticket: &Ticket, now: Timestamp) -> Result<()> {
    // Another node may be dropping the same ones.
    let old = "DELETE FROM tickets WHERE hash IN (
                   SELECT hash FROM tickets WHERE expires <= $1 FOR UPDATE SKIP LOCKED)";
    work.execute(old, &[&now.0]).await?;
    work.execute(
        "INSERT INTO tickets (hash, user_id, token_id, token_issued_ms, token_expires, expires)
         VALUES ($1, $2, $3, $4, $5, $6)",
        &[
            &&ticket.hash[..],
            &ticket.user.0,
            &ticket.token_id,
            &ticket.token_issued_ms,
            &ticket.token_expires.0,
            &ticket.expires.0,
        ],
    )
    .await?;
    Ok(())
}

/// Takes a ticket out.
pub async fn take_ticket(
    work: &Work<'_>,
    hash: [u8; 32],
    now: Timestamp,
) -> Result<Option<Ticket>> {
    let sql = "DELETE FROM tickets WHERE hash = $1
               RETURNING user_id, token_id, token_issued_ms, token_expires, expires";
    let Some(row) = work.row(sql, &[&&hash[..]]).await? else { return Ok(None) };
    let ticket = Ticket {
        hash,
        user: user(&row, 0)?,
        token_id: row.try_get(1)?,
        token_issued_ms: row.try_get(2)?,
        token_expires: time(&row, 3)?,
        expires: time(&row, 4)?,
    };
    Ok(Some(ticket).filter(|ticket| ticket.expires > now))
}
