//! Rows written straight into the database of a server that is not running.
//!
//! Ten million messages through a socket take a quarter of an hour, this way they take minutes.
//! The layout is that of `migrations/sqlite`; whether the server takes it as its own shows in
//! every figure behind: its numbers must go on from here, or the ledgers tell of holes. Members
//! stand in their sessions without the events of their joining, which nobody misses.
//!
//! Messages arrive in the order of a caller's choosing and have a `client_id`, as those of v1
//! clients do; the hashes go to their table in one sorted sweep.

use crate::world::{self, Member, Session};
use crate::{frame, token};
use anyhow::{Context, Result, ensure};
use rusqlite::{Connection, params};
use sha2::{Digest, Sha256};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};
use uuid::Uuid;

/// The first bits of a hash name its slice, in `client_id_slices`.
const SLICES: i64 = 64;
const CONTENT_BYTES: usize = 200;

#[derive(Debug)]
pub struct Fill {
    connection: Connection,
    now: i64,
}

/// A session while messages are written.
#[derive(Debug)]
struct Place {
    num: i64,
    seq: i64,
    messages: i64,
}

impl Fill {
    /// Opens the database that a server made in `data_dir`, and left.
    pub fn open(data_dir: &Path) -> Result<Self> {
        let path = data_dir.join("assistdeck.db");
        ensure!(path.exists(), "no server was here");
        let connection = Connection::open(path)?;
        connection.execute_batch(
            "PRAGMA foreign_keys = OFF;
             PRAGMA locking_mode = EXCLUSIVE;
             PRAGMA journal_mode = OFF;
             PRAGMA synchronous = OFF;
             PRAGMA cache_size = -524288;
             BEGIN;",
        )?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros();
        Ok(Self { connection, now: i64::try_from(now)? })
    }

    pub fn users(&self, count: usize) -> Result<Vec<Member>> {
        let users = world::members(count, token::sign)?;
        let mut insert = self.connection.prepare(
            "INSERT INTO users (id, name, email, email_key, kind, created_at)
             VALUES (?1, 'Bench', ?2, ?2, 1, ?3)",
        )?;
        for Member { user, .. } in &users {
            let email = format!("{}@bench.test", user.simple());
            insert.execute(params![user.as_bytes(), email, self.now])?;
        }
        Ok(users)
    }

    /// A session for each team, whose first is the owner.
    pub fn sessions(&self, teams: Vec<Vec<Member>>) -> Result<Vec<Session>> {
        let mut insert = self.connection.prepare(
            "INSERT INTO sessions (id, owner_id, title, created_at, updated_at, member_count)
             VALUES (?1, ?2, 'Bench', ?3, ?3, ?4)",
        )?;
        let mut join = self.connection.prepare(
            "INSERT INTO members (session, user_id, id, created_at, is_owner, read_seq, read_count)
             VALUES (?1, ?2, ?3, ?4, ?5, 0, 0)",
        )?;
        let mut sessions = Vec::with_capacity(teams.len());
        for (at, members) in (0..).zip(teams) {
            let id = Uuid::now_v7();
            let owner = members.first().context("a team without an owner")?.user;
            let count = i64::try_from(members.len())?;
            insert.execute(params![id.as_bytes(), owner.as_bytes(), self.now + at, count])?;
            let num = self.connection.last_insert_rowid();
            for (place, member) in (0..).zip(&members) {
                let row = if place == 0 { id } else { Uuid::now_v7() };
                let user = member.user.as_bytes();
                join.execute(params![num, user, row.as_bytes(), self.now + place, place == 0])?;
            }
            sessions.push(Session { id: id.to_string(), members, head: 0 });
        }
        Ok(sessions)
    }

    /// Writes `count` messages, each into the session that `pick` names, by its members in turn.
    pub fn messages(
        &self,
        sessions: &mut [Session],
        count: usize,
        mut pick: impl FnMut(usize) -> usize,
    ) -> Result<()> {
        let mut places = self.places(sessions)?;
        let mut insert = self.connection.prepare(
            "INSERT INTO messages (number, place, ordinal, state, is_ai, created_at, id,
                 sender_id, client_id, request_hash, content)
             VALUES (?1, ?2, ?3, 2, 0, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?;
        let last = "SELECT coalesce(max(number), 0) FROM messages";
        let mut number: i64 = self.connection.query_row(last, [], |row| row.get(0))?;
        let content = "a message of the fill ".repeat(CONTENT_BYTES.div_ceil(22));
        let mut hashes = Vec::with_capacity(count);
        for at in 0..count {
            let chosen = pick(at);
            let (place, session) = (&mut places[chosen], &sessions[chosen]);
            let sender = session.members[at % session.members.len()].user;
            number += 1;
            place.seq += 1;
            place.messages += 1;
            let client_id = Uuid::new_v4().to_string();
            hashes.push((hash(place.num, sender, &client_id), number));
            insert.execute(params![
                number,
                place.num << 32 | place.seq,
                place.messages,
                self.now,
                Uuid::now_v7().as_bytes(),
                sender.as_bytes(),
                client_id,
                [0_u8; 16],
                &content[..CONTENT_BYTES],
            ])?;
        }
        self.write_hashes(hashes, number)?;
        self.write_heads(sessions, &places)
    }

    fn places(&self, sessions: &[Session]) -> Result<Vec<Place>> {
        let mut find = self
            .connection
            .prepare("SELECT num, last_seq, message_count FROM sessions WHERE id = ?1")?;
        let mut place = |session: &Session| {
            let id: Uuid = session.id.parse()?;
            Ok(find.query_row([id.as_bytes()], |row| {
                Ok(Place { num: row.get(0)?, seq: row.get(1)?, messages: row.get(2)? })
            })?)
        };
        sessions.iter().map(&mut place).collect()
    }

    fn write_hashes(&self, mut hashes: Vec<(i64, i64)>, last: i64) -> Result<()> {
        hashes.sort_unstable();
        let mut insert =
            self.connection.prepare("INSERT INTO client_ids (hash, message) VALUES (?1, ?2)")?;
        for (hash, number) in hashes {
            insert.execute([hash, number])?;
        }
        let mut slice = self.connection.prepare(
            "INSERT INTO client_id_slices (slice, through) VALUES (?1, ?2)
             ON CONFLICT (slice) DO UPDATE SET through = excluded.through",
        )?;
        for at in 0..SLICES {
            slice.execute([at, last])?;
        }
        Ok(())
    }

    fn write_heads(&self, sessions: &mut [Session], places: &[Place]) -> Result<()> {
        let mut update = self.connection.prepare(
            "UPDATE sessions SET last_seq = ?2, message_count = ?3, last_live_seq = ?2,
                 updated_at = ?4
             WHERE num = ?1",
        )?;
        for (session, place) in sessions.iter_mut().zip(places) {
            update.execute(params![place.num, place.seq, place.messages, self.now + place.num])?;
            session.head = u64::try_from(place.seq)?;
        }
        Ok(())
    }

    pub fn finish(self) -> Result<()> {
        self.connection.execute_batch("COMMIT; PRAGMA journal_mode = WAL;")?;
        self.connection.close().map_err(|(_, error)| error)?;
        Ok(())
    }
}

/// As the server finds a `client_id` again.
fn hash(session: i64, sender: Uuid, client_id: &str) -> i64 {
    let sum = Sha256::new()
        .chain_update(session.to_be_bytes())
        .chain_update(sender.as_bytes())
        .chain_update(client_id)
        .finalize();
    let first = sum.first_chunk().expect("a SHA-256 has 32 bytes");
    i64::from_be_bytes(*first)
}

/// A cheap stream of numbers below a bound, the same in every run.
#[derive(Debug)]
pub struct Chance(frame::Keys);

impl Chance {
    pub fn new() -> Self {
        Self(frame::Keys::new(0x2545_f491))
    }

    pub fn below(&mut self, bound: usize) -> usize {
        u32::from_ne_bytes(self.0.next()) as usize % bound
    }
}
