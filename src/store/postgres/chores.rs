//! What is done beside the commits: deleted sessions are purged, in steps of bounded size.
//!
//! One step is one transaction. The session's row is locked for it, and one that is locked already
//! is somebody else's: any number of nodes may purge at the same time, and each takes up what
//! another left. Vacuum, which gives the room back, is PostgreSQL's own.

use std::sync::Arc;
use std::time::Duration;

use protocol::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::store::Result;
use crate::store::postgres::pool::{Pool, Work};

/// Rows that one step removes.
const PURGE_ROWS: i64 = 256;
/// The members of a deleted session are known for so long: they are still to be told.
const MEMBERS_KEPT: Duration = Duration::from_secs(60);
/// Between two steps of a purge.
const PURGE_INTERVAL: Duration = Duration::from_millis(20);
/// Between two looks for what another node left, or what was too early.
const LOOK_INTERVAL: Duration = Duration::from_secs(15);

/// The session whose purge goes on: (deleted before this its members go too)
pub const NEXT_SQL: &str = "SELECT session_id, purged FROM sessions
     WHERE deleted_at IS NOT NULL AND purged < 2 AND (purged = 0 OR deleted_at < $1)
     ORDER BY session_id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED";
/// (session, limit)
pub const CONTENTS_SQL: [&str; 2] = [
    "DELETE FROM messages WHERE session_id = $1 AND seq IN (
         SELECT seq FROM messages WHERE session_id = $1 ORDER BY seq LIMIT $2)",
    "DELETE FROM events WHERE session_id = $1 AND seq IN (
         SELECT seq FROM events WHERE session_id = $1 ORDER BY seq LIMIT $2)",
];
/// (session, limit)
pub const MEMBERS_SQL: &str = "DELETE FROM members WHERE session_id = $1 AND user_id IN (
         SELECT user_id FROM members WHERE session_id = $1 LIMIT $2)";
/// (session)
pub const DONE_SQL: &str = "UPDATE sessions SET purged = purged + 1, title = ''
     WHERE session_id = $1";

/// Purges until told to stop; `deleted` says that there is something to do.
pub async fn run(pool: Arc<Pool>, deleted: Arc<Notify>, stop: CancellationToken) {
    let mut failing = false;
    while !stop.is_cancelled() {
        let pause = match pool.write(step).await {
            Ok(true) => {
                failing = false;
                PURGE_INTERVAL
            }
            Ok(false) => {
                failing = false;
                LOOK_INTERVAL
            }
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(%error, "deleted sessions can't be purged");
                }
                LOOK_INTERVAL
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
            () = deleted.notified() => {}
        }
    }
}

/// One step of a purge; false when there is none to do.
async fn step(work: &Work<'_>) -> Result<bool> {
    let members_until = Timestamp::now().0 - MEMBERS_KEPT.as_micros() as i64;
    let Some(row) = work.row(NEXT_SQL, &[&members_until]).await? else { return Ok(false) };
    let (session, purged): (Uuid, i16) = (row.try_get(0)?, row.try_get(1)?);
    let mut removed = 0;
    if purged == 0 {
        for sql in CONTENTS_SQL {
            removed += work.execute(sql, &[&session, &PURGE_ROWS]).await?;
        }
    } else {
        removed += work.execute(MEMBERS_SQL, &[&session, &PURGE_ROWS]).await?;
    }
    if removed == 0 {
        work.execute(DONE_SQL, &[&session]).await?;
    }
    Ok(true)
}
