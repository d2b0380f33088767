//! Which message has which `client_id`: what makes sending idempotent.
//!
//! A unique index over (session, sender, client_id) would be the plain way, and the dearest part
//! of an append: ids are random, so every message dirties a page of that index, which is then
//! written out three times. So new ids are kept in memory ([`Fresh`]), and go to the table
//! `client_ids` in slices of the hashes' range, many to a page. What is not in the table yet is
//! read again from `messages`, which are numbered as they arrive, when the writer starts or has
//! forgotten: `client_id_slices` says up to which number each slice is in the table.
//!
//! A hash only says where to look; the message's own row decides. Only the writer comes here.

use std::collections::BTreeSet;

use aws_lc_rs::digest;
use protocol::UserId;
use rusqlite::{Connection, Statement, params};

use crate::store::Result;
use crate::store::sqlite::fault::corrupt;
use crate::store::sqlite::place::Num;

/// Slices of the range of hashes, by their upper bits.
const SLICE_BITS: u32 = 6;
const SLICES: usize = 1 << SLICE_BITS;

/// Ids that are kept in memory: about 3 MiB, and 0.1 s of reading at the start.
const KEPT_MAX: usize = 65_536;

/// The newest ids, which are not in the table yet.
pub struct Fresh {
    slices: Vec<Slice>,
    count: usize,
    /// The slice that goes to the table next: the one that has waited longest.
    next: usize,
    kept_max: usize,
}

/// Ids whose hashes begin with the same bits.
#[derive(Default)]
struct Slice {
    /// (hash, number of the message)
    ids: BTreeSet<(i64, i64)>,
    /// Up to which message they are in the table.
    through: i64,
}

/// Sixty-four bits of a SHA-256: nobody can make many ids that fall together.
pub fn hash(session: Num, sender: UserId, client_id: &str) -> i64 {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&session.to_be_bytes());
    context.update(sender.as_bytes());
    context.update(client_id.as_bytes());
    let sum = context.finish();
    let first = sum.as_ref().first_chunk().expect("a SHA-256 has 32 bytes");
    i64::from_be_bytes(*first)
}

fn slice_of(hash: i64) -> usize {
    (hash as u64 >> (u64::BITS - SLICE_BITS)) as usize
}

impl Fresh {
    /// (hash) → number of a message
    pub const FIND_SQL: &str = "SELECT message FROM client_ids WHERE hash = ?1";

    /// Reads what is not in the table yet.
    pub fn load(connection: &Connection) -> Result<Self> {
        Self::load_keeping(connection, KEPT_MAX)
    }

    fn load_keeping(connection: &Connection, kept_max: usize) -> Result<Self> {
        let slices = std::iter::repeat_with(Slice::default).take(SLICES).collect();
        let mut fresh = Self { slices, count: 0, next: 0, kept_max };
        let mut known = connection.prepare("SELECT slice, through FROM client_id_slices")?;
        let mut rows = known.query([])?;
        while let Some(row) = rows.next()? {
            let slice: usize = row.get::<_, u8>(0)?.into();
            let Some(slice) = fresh.slices.get_mut(slice) else {
                return corrupt("client_id_slices", slice, "there are no such slices");
            };
            slice.through = row.get(1)?;
        }
        let oldest = fresh.slices.iter().enumerate().min_by_key(|(_, slice)| slice.through);
        let (next, oldest) = oldest.map_or((0, 0), |(next, slice)| (next, slice.through));
        fresh.next = next;
        let mut messages = connection.prepare(
            "SELECT number, place >> 32, sender_id, client_id FROM messages
             WHERE number > ?1 AND client_id IS NOT NULL AND state <> 5",
        )?;
        let mut rows = messages.query([oldest])?;
        while let Some(row) = rows.next()? {
            let number = row.get(0)?;
            let sender = UserId::from_bytes(row.get(2)?);
            let client_id: String = row.get(3)?;
            let hash = hash(row.get(1)?, sender, &client_id);
            if number > fresh.slices[slice_of(hash)].through {
                fresh.insert(hash, number);
            }
        }
        Ok(fresh)
    }

    /// The message that this sender sent to this session under this id.
    /// `find` is [`Self::FIND_SQL`].
    pub fn find(
        &self,
        connection: &Connection,
        find: &mut Statement<'_>,
        (hash, wanted): (i64, &Key<'_>),
    ) -> Result<Option<i64>> {
        let fresh = self.slices[slice_of(hash)].ids.range((hash, i64::MIN)..=(hash, i64::MAX));
        for (_, number) in fresh {
            if wanted.is_of(connection, *number)? {
                return Ok(Some(*number));
            }
        }
        let mut rows = find.query([hash])?;
        while let Some(row) = rows.next()? {
            let number = row.get(0)?;
            if wanted.is_of(connection, number)? {
                return Ok(Some(number));
            }
        }
        Ok(None)
    }

    pub fn insert(&mut self, hash: i64, number: i64) {
        if self.slices[slice_of(hash)].ids.insert((hash, number)) {
            self.count += 1;
        }
    }

    /// The message is gone.
    pub fn remove(&mut self, hash: i64, number: i64) {
        if self.slices[slice_of(hash)].ids.remove(&(hash, number)) {
            self.count -= 1;
        }
    }

    /// Brings slices to the table until few enough ids are left here. `last` is the number of the
    /// last message.
    pub fn flush(&mut self, connection: &Connection, last: i64) -> Result<()> {
        while self.count > self.kept_max {
            let slice = &mut self.slices[self.next];
            let mut insert = connection.prepare_cached(
                "INSERT INTO client_ids (hash, message) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
            )?;
            for (hash, number) in &slice.ids {
                insert.execute([hash, number])?;
            }
            connection
                .prepare_cached(
                    "INSERT INTO client_id_slices (slice, through) VALUES (?1, ?2)
                     ON CONFLICT (slice) DO UPDATE SET through = excluded.through",
                )?
                .execute([self.next as i64, last])?;
            slice.through = last;
            self.count -= slice.ids.len();
            slice.ids.clear();
            self.next = (self.next + 1) % SLICES;
        }
        Ok(())
    }
}

/// What makes two sends the same.
pub struct Key<'a> {
    pub session: Num,
    pub sender: UserId,
    pub client_id: &'a str,
}

impl Key<'_> {
    pub fn hash(&self) -> i64 {
        hash(self.session, self.sender, self.client_id)
    }

    /// Whether the message with this number was sent so.
    fn is_of(&self, connection: &Connection, number: i64) -> Result<bool> {
        let mut statement = connection.prepare_cached(
            "SELECT 1 FROM messages
             WHERE number = ?1 AND place >> 32 = ?2 AND sender_id = ?3 AND client_id = ?4",
        )?;
        let sender = self.sender.as_bytes();
        Ok(statement.exists(params![number, self.session, sender, self.client_id])?)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// A message that has nothing but what this module looks at.
    fn insert(connection: &Connection, number: i64, key: &Key<'_>) {
        connection
            .execute(
                "INSERT INTO messages (number, place, ordinal, state, is_ai, created_at, id,
                     sender_id, client_id, content)
                 VALUES (?1, ?2 << 32 | ?1, 1, 2, 0, 0, ?3, ?4, ?5, '')",
                params![
                    number,
                    key.session,
                    uuid::Uuid::new_v4().as_bytes(),
                    key.sender.as_bytes(),
                    key.client_id
                ],
            )
            .expect("a new message");
    }

    #[test]
    fn an_id_is_found_in_memory_in_the_table_and_after_a_start() {
        let connection = Connection::open_in_memory().expect("a database in memory");
        connection
            .execute_batch(include_str!("../../../migrations/sqlite/0001_the_log.sql"))
            .expect("the schema is SQL");
        let mut sql = connection.prepare(Fresh::FIND_SQL).expect("it is SQL");
        let senders = [UserId::new(), UserId::new()];
        let mut model = HashMap::new();
        let mut fresh = Fresh::load_keeping(&connection, 300).expect("an empty store");
        let mut number = 0;
        for step in 0..6_000_usize {
            // Every third is a repeat, or one that looks like one.
            let name = (step * 7919 % 4_000).to_string();
            let (session, sender) = ((step % 3) as i64 + 1, step % 2);
            let key = Key { session, sender: senders[sender], client_id: &name };
            let found = fresh.find(&connection, &mut sql, (key.hash(), &key)).expect("a search");
            assert_eq!(found, model.get(&(session, sender, name.clone())).copied(), "step {step}");
            if found.is_none() {
                number += 1;
                insert(&connection, number, &key);
                fresh.insert(key.hash(), number);
                model.insert((session, sender, name), number);
            }
            if step % 50 == 0 {
                fresh.flush(&connection, number).expect("a flush");
                assert!(fresh.count <= 300);
            }
            if step % 701 == 0 {
                let count = fresh.count;
                fresh = Fresh::load_keeping(&connection, 300).expect("a start");
                assert_eq!(fresh.count, count, "what is in no slice yet is read again");
            }
        }
        assert!(number > 3_000, "{number}");
    }

    #[test]
    fn hashes_that_fall_together_are_told_apart() {
        let connection = Connection::open_in_memory().expect("a database in memory");
        connection
            .execute_batch(include_str!("../../../migrations/sqlite/0001_the_log.sql"))
            .expect("the schema is SQL");
        let mut sql = connection.prepare(Fresh::FIND_SQL).expect("it is SQL");
        let mut fresh = Fresh::load_keeping(&connection, 1).expect("an empty store");
        let sender = UserId::new();
        let names = ["a", "b", "c"];
        for (number, client_id) in (1..).zip(names) {
            insert(&connection, number, &Key { session: 1, sender, client_id });
            fresh.insert(42, number);
            fresh.flush(&connection, number).expect("a flush");
        }
        for (number, client_id) in (1..).zip(names) {
            let found =
                fresh.find(&connection, &mut sql, (42, &Key { session: 1, sender, client_id }));
            assert_eq!(found.expect("a search"), Some(number));
        }
        let other = Key { session: 1, sender, client_id: "d" };
        assert_eq!(fresh.find(&connection, &mut sql, (42, &other)).expect("a search"), None);
    }
}
