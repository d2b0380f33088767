//! What the writer remembers between commits: heads, owners, and members with their read marks.
//!
//! Only the writer changes sessions and members, so what it read once stays true; other processes
//! write accounts, tokens and the epoch alone. Changes are made here first and written once for a
//! batch ([`Known::flush`]). After a failed commit all of it is forgotten.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use protocol::{SessionId, Timestamp, UserId};
use rusqlite::{Connection, OptionalExtension, params};

use crate::store::Result;
use crate::store::sqlite::client_ids::Fresh;
use crate::store::sqlite::column::{signed, unsigned};
use crate::store::sqlite::hot::Hot;
use crate::store::sqlite::place::Num;

/// Sessions, and members, that are remembered; above it all are forgotten. About 10 MiB each.
const REMEMBERED_MAX: usize = 65_536;

/// A live session.
#[derive(Clone, Copy, Debug)]
pub struct KnownSession {
    pub num: Num,
    pub owner: UserId,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub last_seq: u64,
    /// Messages ever created.
    pub message_count: u64,
    pub last_live_seq: u64,
    changed: bool,
}

/// A member's read mark.
#[derive(Clone, Copy, Debug)]
pub struct KnownMember {
    pub read_seq: u64,
    /// Messages ever created up to `read_seq`.
    pub read_count: u64,
    changed: bool,
}

pub struct Known {
    pub sessions: Sessions,
    pub members: Members,
    /// The arrival number that the next message gets.
    next_message: i64,
    pub client_ids: Fresh,
}

#[derive(Default)]
pub struct Sessions {
    by_id: HashMap<SessionId, KnownSession>,
    changed: Vec<SessionId>,
}

#[derive(Default)]
pub struct Members {
    by_key: HashMap<(Num, UserId), KnownMember>,
    changed: Vec<(Num, UserId)>,
}

impl Sessions {
    /// A session that is not deleted.
    pub fn get(&mut self, hot: &mut Hot<'_>, id: SessionId) -> Result<Option<&mut KnownSession>> {
        match self.by_id.entry(id) {
            Entry::Occupied(entry) => Ok(Some(entry.into_mut())),
            Entry::Vacant(entry) => Ok(load_session(hot, id)?.map(|found| entry.insert(found))),
        }
    }

    /// Notes an event of the session: its number and time are the session's last ones now.
    pub fn advance(&mut self, id: SessionId, seq: u64, at: Timestamp) -> &mut KnownSession {
        let session = self.by_id.get_mut(&id).expect("an event's session was looked up");
        session.last_seq = seq;
        session.updated_at = at;
        if !session.changed {
            session.changed = true;
            self.changed.push(id);
        }
        session
    }

    pub fn forget(&mut self, id: SessionId) {
        self.by_id.remove(&id);
    }
}

impl Members {
    pub fn get(
        &mut self,
        hot: &mut Hot<'_>,
        session: Num,
        user: UserId,
    ) -> Result<Option<&KnownMember>> {
        match self.by_key.entry((session, user)) {
            Entry::Occupied(entry) => Ok(Some(entry.into_mut())),
            Entry::Vacant(entry) => {
                let found = load_member(hot, session, user)?;
                Ok(found.map(|found| &*entry.insert(found)))
            }
        }
    }

    /// Sets the read mark of a member who was looked up.
    pub fn mark(&mut self, session: Num, user: UserId, read_seq: u64, read_count: u64) {
        let key = (session, user);
        let member = self.by_key.get_mut(&key).expect("a marked member was looked up");
        member.read_seq = read_seq;
        member.read_count = read_count;
        if !member.changed {
            member.changed = true;
            self.changed.push(key);
        }
    }

    pub fn forget(&mut self, session: Num, user: UserId) {
        self.by_key.remove(&(session, user));
    }
}

impl Known {
    /// Remembers what the writer can't begin without.
    pub fn load(connection: &Connection) -> Result<Self> {
        Ok(Self {
            sessions: Sessions::default(),
            members: Members::default(),
            next_message: last_message(connection)? + 1,
            client_ids: Fresh::load(connection)?,
        })
    }

    /// The arrival number for a message that is about to be inserted.
    pub fn next_message(&self) -> i64 {
        self.next_message
    }

    /// The number was given.
    pub fn message_arrived(&mut self, number: i64) {
        self.next_message = number + 1;
    }

    /// Writes the rows of sessions and members that changed in this batch.
    pub fn flush(&mut self, hot: &mut Hot<'_>) -> Result<()> {
        self.client_ids.flush(hot.connection, self.next_message - 1)?;
        for id in self.sessions.changed.drain(..) {
            // A session deleted in this batch wrote its row itself.
            let Some(session) = self.sessions.by_id.get_mut(&id) else { continue };
            if std::mem::take(&mut session.changed) {
                hot.update_session.execute(params![
                    session.num,
                    session.updated_at.0,
                    signed(session.last_seq),
                    signed(session.message_count),
                    signed(session.last_live_seq),
                ])?;
            }
        }
        for key in self.members.changed.drain(..) {
            // A member removed in this batch has no row.
            let Some(member) = self.members.by_key.get_mut(&key) else { continue };
            if std::mem::take(&mut member.changed) {
                hot.update_mark.execute(params![
                    key.0,
                    key.1.as_bytes(),
                    signed(member.read_seq),
                    signed(member.read_count),
                ])?;
            }
        }
        Ok(())
    }

    /// Between batches: forgets what has become too much.
    pub fn trim(&mut self) {
        if self.sessions.by_id.len() > REMEMBERED_MAX {
            self.sessions.by_id.clear();
        }
        if self.members.by_key.len() > REMEMBERED_MAX {
            self.members.by_key.clear();
        }
    }
}

/// The arrival number of the last message, also of one that was purged: `client_ids` counts on it
/// that none comes again.
pub fn last_message(connection: &Connection) -> Result<i64> {
    let last = connection.query_row(
        "SELECT max(coalesce((SELECT max(number) FROM messages), 0),
                    coalesce((SELECT max(through) FROM client_id_slices), 0))",
        [],
        |row| row.get(0),
    )?;
    Ok(last)
}

fn load_session(hot: &mut Hot<'_>, id: SessionId) -> Result<Option<KnownSession>> {
    let found = hot.find_session.query_row([id.as_bytes()], |row| {
        Ok(KnownSession {
            num: row.get(0)?,
            owner: UserId::from_bytes(row.get(1)?),
            created_at: Timestamp(row.get(2)?),
            updated_at: Timestamp(row.get(3)?),
            last_seq: unsigned(row, 4)?,
            message_count: unsigned(row, 5)?,
            last_live_seq: unsigned(row, 6)?,
            changed: false,
        })
    });
    Ok(found.optional()?)
}

fn load_member(hot: &mut Hot<'_>, session: Num, user: UserId) -> Result<Option<KnownMember>> {
    let found = hot.find_member.query_row(params![session, user.as_bytes()], |row| {
        let (read_seq, read_count) = (unsigned(row, 0)?, unsigned(row, 1)?);
        Ok(KnownMember { read_seq, read_count, changed: false })
    });
    Ok(found.optional()?)
}
