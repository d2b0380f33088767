//! The statements that run for every batch, prepared for a lane's connection. Each works on the
//! sessions that it is given, by `session_id`, however many these are.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tokio_postgres::{Client, Statement};

use crate::store::Result;

/// Locks the rows of live sessions, always in the same order, so that batches of other lanes and
/// nodes never wait for each other in a circle: (sessions)
pub const LOCK_SQL: &str = "SELECT s.session_id, s.owner_id, s.created_at, s.last_seq,
            s.message_count, s.last_live_seq
     FROM sessions s WHERE s.session_id = ANY($1::uuid[]) AND s.deleted_at IS NULL
     ORDER BY s.session_id FOR NO KEY UPDATE";

/// (sessions, users)
pub const MEMBERS_SQL: &str = "SELECT m.session_id, m.user_id, m.read_seq, m.read_count
     FROM unnest($1::uuid[], $2::uuid[]) AS asked (session_id, user_id)
     JOIN members m ON m.session_id = asked.session_id AND m.user_id = asked.user_id";

/// Which of the asked ones were sent before: (sessions, senders, client_ids)
pub const CLIENT_IDS_SQL: &str = "SELECT asked.place, m.seq
     FROM unnest($1::uuid[], $2::uuid[], $3::text[]) WITH ORDINALITY
          AS asked (session_id, sender_id, client_id, place)
     JOIN messages m ON m.session_id = asked.session_id AND m.sender_id = asked.sender_id
          AND m.client_id = asked.client_id";

/// Everything that a batch changes in sessions by sending: the messages, the sessions' rows, the
/// read marks. One statement, so that it happens whole or not at all.
pub const WRITE_SQL: &str = "WITH written AS (
         INSERT INTO messages (session_id, seq, ordinal, state, is_ai, created_at, id, sender_id,
             client_id, request_hash, file_url, content)
         SELECT n.session_id, n.seq, n.ordinal, 2, n.is_ai, n.created_at, n.id, n.sender_id,
             n.client_id, n.request_hash, n.file_url, n.content
         FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bool[], $5::bigint[], $6::uuid[],
                  $7::uuid[], $8::text[], $9::bytea[], $10::text[], $11::text[])
              AS n (session_id, seq, ordinal, is_ai, created_at, id, sender_id, client_id,
                    request_hash, file_url, content)),
     marked AS (
         UPDATE members m SET read_seq = n.read_seq, read_count = n.read_count
         FROM unnest($12::uuid[], $13::uuid[], $14::bigint[], $15::bigint[])
              AS n (session_id, user_id, read_seq, read_count)
         WHERE m.session_id = n.session_id AND m.user_id = n.user_id)
     UPDATE sessions s SET updated_at = n.updated_at, last_seq = n.last_seq,
         message_count = n.message_count, last_live_seq = n.last_live_seq
     FROM unnest($16::uuid[], $17::bigint[], $18::bigint[], $19::bigint[], $20::bigint[])
          AS n (session_id, updated_at, last_seq, message_count, last_live_seq)
     WHERE s.session_id = n.session_id";

/// The way along the index is the right one for every batch, and the tables grow while statements
/// stay prepared: no small table is to be read whole.
const PLANNING: &str = "SET enable_seqscan = off; SET enable_hashjoin = off;
     SET enable_mergejoin = off";

pub struct Hot {
    pub lock: Statement,
    pub members: Statement,
    pub client_ids: Statement,
    pub write: Statement,
    /// Those of rarer actions, by their text, of which there are few.
    others: Mutex<HashMap<String, Statement>>,
}

impl Hot {
    pub async fn prepare(client: &Client) -> Result<Self> {
        client.batch_execute(PLANNING).await?;
        Ok(Self {
            lock: client.prepare(LOCK_SQL).await?,
            members: client.prepare(MEMBERS_SQL).await?,
            client_ids: client.prepare(CLIENT_IDS_SQL).await?,
            write: client.prepare(WRITE_SQL).await?,
            others: Mutex::default(),
        })
    }

    /// A statement, prepared when it is needed first.
    pub async fn other(&self, client: &Client, sql: &str) -> Result<Statement> {
        let known = self.others.lock().unwrap_or_else(PoisonError::into_inner).get(sql).cloned();
        if let Some(statement) = known {
            return Ok(statement);
        }
        let statement = client.prepare(sql).await?;
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        others.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }
}
