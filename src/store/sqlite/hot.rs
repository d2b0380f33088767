//! The writer's statements that run for every message or batch, prepared for its connection's
//! whole life.

use rusqlite::{Connection, Statement};

use crate::store::Result;
use crate::store::sqlite::client_ids::Fresh;

pub struct Hot<'c> {
    pub connection: &'c Connection,
    pub begin: Statement<'c>,
    pub commit: Statement<'c>,
    /// (id) → num, owner, created_at, updated_at, last_seq, message_count, last_live_seq
    pub find_session: Statement<'c>,
    /// (num, user) → read_seq, read_count
    pub find_member: Statement<'c>,
    /// (num, updated_at, last_seq, message_count, last_live_seq)
    pub update_session: Statement<'c>,
    /// (num, user, read_seq, read_count)
    pub update_mark: Statement<'c>,
    /// See `Batch::send`. Changes nothing when there is a message with this id.
    pub insert_message: Statement<'c>,
    /// (hash) → number of a message
    pub find_client_id: Statement<'c>,
}

impl<'c> Hot<'c> {
    pub fn prepare(connection: &'c Connection) -> Result<Self> {
        Ok(Self {
            connection,
            begin: connection.prepare("BEGIN IMMEDIATE")?,
            commit: connection.prepare("COMMIT")?,
            find_session: connection.prepare(
                "SELECT num, owner_id, created_at, updated_at, last_seq, message_count,
                        last_live_seq
                 FROM sessions WHERE id = ?1 AND deleted_at IS NULL",
            )?,
            find_member: connection.prepare(
                "SELECT read_seq, read_count FROM members WHERE session = ?1 AND user_id = ?2",
            )?,
            update_session: connection.prepare(
                "UPDATE sessions
                 SET updated_at = ?2, last_seq = ?3, message_count = ?4, last_live_seq = ?5
                 WHERE num = ?1",
            )?,
            update_mark: connection.prepare(
                "UPDATE members SET read_seq = ?3, read_count = ?4
                 WHERE session = ?1 AND user_id = ?2",
            )?,
            insert_message: connection.prepare(
                "INSERT INTO messages (number, place, ordinal, state, is_ai, created_at, id,
                     sender_id, client_id, request_hash, file_url, content)
                 VALUES (?1, ?2, ?3, 2, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
                 ON CONFLICT DO NOTHING",
            )?,
            find_client_id: connection.prepare(Fresh::FIND_SQL)?,
        })
    }
}
