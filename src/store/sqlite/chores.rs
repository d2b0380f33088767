//! What the writer does beside the commits: keeps the WAL short, and purges deleted sessions.
//!
//! The WAL still holds what was overwritten in the database, so it is cut after every deletion
//! (again and again, while a reader of an older state prevents it), after every purge, when it
//! has grown too long, and some seconds after the last write. A purge goes in steps of bounded
//! size between the commits, and is resumed after a restart.

use std::time::{Duration, Instant};

use protocol::{Timestamp, UserId};
use rusqlite::{Connection, OptionalExtension, params};

use crate::store::Result;
use crate::store::sqlite::client_ids;
use crate::store::sqlite::connection::truncate_wal;
use crate::store::sqlite::folder::Folder;
use crate::store::sqlite::known::Known;
use crate::store::sqlite::place::{self, Num};

/// Rows that one step of a purge wipes or removes.
const PURGE_ROWS: i64 = 256;
/// The session whose purge goes on: (deleted before this its members go too)
pub const NEXT_PURGE: &str = "SELECT num, purged FROM sessions
     WHERE deleted_at IS NOT NULL AND purged < 2 AND (purged = 0 OR deleted_at < ?1)
     ORDER BY num LIMIT 1";
/// Whether there is anything to purge, now or later.
const ANY_PURGE: &str =
    "SELECT 1 FROM sessions WHERE deleted_at IS NOT NULL AND purged < 2 LIMIT 1";
/// (session, first, last, limit)
pub const NEXT_TO_WIPE: &str = "SELECT number, place, sender_id, client_id FROM messages
     WHERE place > (SELECT purged_place FROM sessions WHERE num = ?1)
       AND place BETWEEN ?2 AND ?3
     ORDER BY place LIMIT ?4";

/// The members of a deleted session are known for so long: they are still to be told.
const MEMBERS_KEPT: Duration = Duration::from_secs(60);
/// Between two steps of a purge.
const PURGE_INTERVAL: Duration = Duration::from_millis(20);
/// After the last write the WAL is cut.
const QUIET: Duration = Duration::from_secs(10);
/// Under steady writes it is cut this often.
const TRUNCATE_INTERVAL: Duration = Duration::from_secs(60);
/// Before a cut that a reader prevented is tried again.
const TRUNCATE_RETRY: Duration = Duration::from_secs(2);
/// A WAL that readers have kept from being reset is cut as soon as it can be.
const WAL_BYTES_MAX: u64 = 128 << 20;
/// How long the writer waits for readers of an older state.
const READERS_PATIENCE: Duration = Duration::from_millis(250);
/// And while one is known to read on: a backup, say. The writer has other work meanwhile.
const SLOW_READER_PATIENCE: Duration = Duration::from_millis(5);

pub struct Chores {
    /// Only the server purges.
    serves: bool,
    /// When the WAL is to be cut, if it holds anything.
    truncate_at: Option<Instant>,
    /// Not later than this, however much is written.
    truncate_by: Option<Instant>,
    /// When the next step of a purge is due, if there may be something to purge.
    purge_at: Option<Instant>,
    look_at_size: Instant,
    /// The last cut was prevented.
    has_slow_reader: bool,
}

impl Chores {
    pub fn new(serves: bool) -> Self {
        let now = Instant::now();
        Self {
            serves,
            // Whatever an earlier connection left.
            truncate_at: serves.then_some(now + QUIET),
            truncate_by: None,
            purge_at: serves.then_some(now),
            look_at_size: now,
            has_slow_reader: false,
        }
    }

    /// How long the writer may sleep; none: for ever.
    pub fn patience(&self) -> Option<Duration> {
        let due = [self.truncate_at, self.purge_at].into_iter().flatten().min()?;
        Some(due.saturating_duration_since(Instant::now()))
    }

    /// Notes a commit.
    pub fn committed(&mut self, deleted: bool, deleted_session: bool) {
        let now = Instant::now();
        let by = *self.truncate_by.get_or_insert(now + TRUNCATE_INTERVAL);
        // A cut that is owed to a deletion stays due as it is.
        let owed = self.truncate_at.filter(|due| *due < now + TRUNCATE_RETRY);
        self.truncate_at = Some(owed.unwrap_or_else(|| by.min(now + QUIET)));
        if deleted {
            self.truncate_at = Some(now);
        }
        if deleted_session && self.serves {
            self.purge_at = Some(now);
        }
    }

    /// Does what is due.
    pub fn run(
        &mut self,
        connection: &Connection,
        folder: &Folder,
        known: &mut Known,
    ) -> Result<()> {
        let now = Instant::now();
        if self.purge_at.is_some_and(|due| due <= now) {
            self.purge(connection, known)?;
        }
        if self.look_at_size <= now {
            self.look_at_size = now + TRUNCATE_RETRY;
            if self.truncate_by.is_some() && folder.wal_bytes() > WAL_BYTES_MAX {
                self.truncate_at = Some(now);
            }
        }
        if self.truncate_at.is_some_and(|due| due <= now) {
            self.truncate(connection)?;
        }
        Ok(())
    }

    /// Cuts the WAL, or tries again soon.
    pub fn truncate(&mut self, connection: &Connection) -> Result<()> {
        let patience = if self.has_slow_reader { SLOW_READER_PATIENCE } else { READERS_PATIENCE };
        let is_cut = truncate_wal(connection, patience)?;
        self.has_slow_reader = !is_cut;
        if is_cut {
            self.truncate_at = None;
            self.truncate_by = None;
        } else {
            self.truncate_at = Some(Instant::now() + TRUNCATE_RETRY);
        }
        Ok(())
    }

    /// Before the connection is closed.
    pub fn last(&mut self, connection: &Connection) {
        // Whatever stays in the WAL is taken up at the next start.
        let _ = truncate_wal(connection, READERS_PATIENCE);
    }

    /// One step of the oldest purge.
    fn purge(&mut self, connection: &Connection, known: &mut Known) -> Result<()> {
        let now = Instant::now();
        let members_until = Timestamp::now().0 - MEMBERS_KEPT.as_micros() as i64;
        let next: Option<(Num, i64)> = connection
            .prepare_cached(NEXT_PURGE)?
            .query_row([members_until], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((session, purged)) = next else {
            let some_later = connection.prepare_cached(ANY_PURGE)?.exists([])?;
            self.purge_at = some_later.then_some(now + MEMBERS_KEPT / 4);
            return Ok(());
        };
        let transaction = connection.unchecked_transaction()?;
        let finished = if purged == 0 {
            purge_contents(&transaction, session, known)?
        } else {
            purge_members(&transaction, session)?
        };
        if finished {
            transaction
                .prepare_cached("UPDATE sessions SET purged = purged + 1 WHERE num = ?1")?
                .execute([session])?;
        }
        transaction.commit()?;
        self.purge_at = Some(now + PURGE_INTERVAL);
        self.truncate_by.get_or_insert(now + TRUNCATE_INTERVAL);
        if finished {
            self.truncate_at = Some(now);
        }
        Ok(())
    }
}

/// Wipes or removes some contents of a deleted session; true when none are left.
fn purge_contents(connection: &Connection, session: Num, known: &mut Known) -> Result<bool> {
    // Messages stay as rows without contents: see the schema for why none is ever removed.
    if wipe_messages(connection, session, known)? > 0 {
        return Ok(false);
    }
    let removed = connection
        .prepare_cached(
            "DELETE FROM events WHERE place IN (
                 SELECT place FROM events WHERE place BETWEEN ?1 AND ?2 LIMIT ?3)",
        )?
        .execute(params![place::start(session), place::end(session), PURGE_ROWS])?;
    if removed > 0 {
        return Ok(false);
    }
    connection
        .prepare_cached("UPDATE sessions SET title = '' WHERE num = ?1")?
        .execute([session])?;
    Ok(true)
}

/// Removes some members of a deleted session; true when none are left.
fn purge_members(connection: &Connection, session: Num) -> Result<bool> {
    let removed = connection
        .prepare_cached(
            "DELETE FROM members WHERE session = ?1 AND user_id IN (
                 SELECT user_id FROM members WHERE session = ?1 LIMIT ?2)",
        )?
        .execute(params![session, PURGE_ROWS])?;
    Ok(removed == 0)
}

/// Wipes the next messages of a deleted session, and says how many.
fn wipe_messages(connection: &Connection, session: Num, known: &mut Known) -> Result<usize> {
    let mut messages = connection.prepare_cached(NEXT_TO_WIPE)?;
    let (first, last) = (place::start(session), place::end(session));
    let mut rows = messages.query(params![session, first, last, PURGE_ROWS])?;
    let mut wiped = (0, first);
    while let Some(row) = rows.next()? {
        let number: i64 = row.get(0)?;
        if let Some(client_id) = row.get::<_, Option<String>>(3)? {
            let hash = client_ids::hash(session, UserId::from_bytes(row.get(2)?), &client_id);
            connection
                .prepare_cached("DELETE FROM client_ids WHERE hash = ?1 AND message = ?2")?
                .execute([hash, number])?;
            known.client_ids.remove(hash, number);
        }
        for sql in [
            "UPDATE messages
             SET state = 5, sender_id = zeroblob(16),
                 request_hash = iif(request_hash IS NULL, NULL, zeroblob(16)),
                 client_id = iif(client_id IS NULL, NULL,
                                 printf('%*s', octet_length(client_id), '')),
                 file_url = iif(file_url IS NULL, NULL,
                                printf('%*s', octet_length(file_url), '')),
                 content = printf('%*s', octet_length(content), '')
             WHERE number = ?1",
            "UPDATE edits SET content = printf('%*s', octet_length(content), '')
             WHERE message = ?1",
        ] {
            connection.prepare_cached(sql)?.execute([number])?;
        }
        wiped = (wiped.0 + 1, row.get(1)?);
    }
    if wiped.0 > 0 {
        connection
            .prepare_cached("UPDATE sessions SET purged_place = ?2 WHERE num = ?1")?
            .execute([session, wiped.1])?;
    }
    Ok(wiped.0)
}
