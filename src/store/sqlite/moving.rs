//! Moving the embedded store: the statements of [`Rows`], on a connection of their own.
//!
//! A target holds the server's lock, so that the writer's memory of a running server can't be
//! passed by. Contents are put as the writer puts them: what was edited stands in `edits`, and each
//! `client_id` is found again by [`Fresh`].

mod records;

use std::path::Path;

use async_trait::async_trait;
use protocol::{ParticipantId, SessionId, Timestamp, UserId};
use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

use crate::store::moving::intake::Intake;
use crate::store::moving::rows::{Totals, merged};
use crate::store::moving::walk::Walk;
use crate::store::moving::{
    About, Counts, MovedEvent, MovedMember, MovedMessage, MovedSession, MovedUser, Record,
    RevokedToken, Rows, Source, Step, Target,
};
use crate::store::rows::email_key;
use crate::store::sqlite::client_ids::{Fresh, Key};
use crate::store::sqlite::column::{signed, unsigned};
use crate::store::sqlite::folder::{Folder, Lock};
use crate::store::sqlite::known::last_message;
use crate::store::sqlite::place::{self, Num};
use crate::store::sqlite::{accounts, connection, meta, migrate, tokens};
use crate::store::{Account, Error, Result, Revocation, kind};
use records::{EVENTS, MESSAGES, SESSION, counts, read_event, read_message, read_session};

/// How long the end of an import waits for readers, for the WAL to be cut.
const READERS_PATIENCE: std::time::Duration = std::time::Duration::from_secs(1);

struct Moving {
    connection: Connection,
    folder: Folder,
    writing: Option<Writing>,
}

/// What only a target has.
struct Writing {
    _lock: Lock,
    client_ids: Fresh,
    /// The arrival number of the last message.
    last_message: i64,
    /// The session whose log comes.
    session: (SessionId, Num),
}

/// Reads the store of a data folder as of now, also beside a server.
pub fn source(dir: &Path) -> Result<Box<dyn Source>> {
    connection::check_version()?;
    let folder = Folder::new(dir);
    if !folder.database().is_file() {
        return Err(Error::Other(format!("there is no database in {}", dir.display())));
    }
    let mut first = connection::writer(&folder.database())?;
    migrate::run(&mut first, &folder)?;
    drop(first);
    let is_served = folder.is_locked();
    let connection = connection::reader(&folder.database())?;
    connection.execute_batch("BEGIN")?;
    let epoch = meta::epoch(&connection)?;
    let counts = counts(&connection)?;
    let about = About { store: "sqlite", epoch, is_served, counts };
    Ok(Box::new(Walk::new(Moving { connection, folder, writing: None }, about)))
}

/// Opens the store of a data folder to take records, or makes one. Refused while a server runs.
pub fn target(dir: &Path) -> Result<Box<dyn Target>> {
    connection::check_version()?;
    let folder = Folder::new(dir);
    folder.prepare_dir()?;
    let lock = folder.lock()?;
    folder.prepare_database()?;
    let mut connection = connection::writer(&folder.database())?;
    migrate::run_locked(&mut connection, &folder)?;
    meta::take_over_copy(&mut connection)?;
    let writing = Writing {
        _lock: lock,
        client_ids: Fresh::load(&connection)?,
        last_message: last_message(&connection)?,
        session: (SessionId(Uuid::nil()), 0),
    };
    Ok(Box::new(Intake::new(Moving { connection, folder, writing: Some(writing) })))
}

impl Moving {
    fn num(&self, session: SessionId) -> Result<Option<Num>> {
        let found = self
            .connection
            .prepare_cached("SELECT num FROM sessions WHERE id = ?1")?
            .query_row([session.as_bytes()], |row| row.get(0))
            .optional()?;
        Ok(found)
    }

    /// The number of a session whose log comes.
    fn num_of_new(&mut self, session: SessionId) -> Result<Num> {
        if let Some(writing) = &self.writing
            && writing.session.0 == session
        {
            return Ok(writing.session.1);
        }
        let gone = || Error::Other(format!("there is no session {session}"));
        let num = self.num(session)?.ok_or_else(gone)?;
        self.writing().session = (session, num);
        Ok(num)
    }

    fn writing(&mut self) -> &mut Writing {
        self.writing.as_mut().expect("records are put into a target")
    }

    fn add_message(&mut self, num: Num, ordinal: u64, message: &MovedMessage) -> Result<()> {
        let MovedMessage { seq, sender_id, edited_at, .. } = message;
        let number = self.writing().last_message + 1;
        let writing = self.writing.as_mut().expect("records are put into a target");
        if let Some(client_id) = &message.client_id {
            let key = Key { session: num, sender: *sender_id, client_id };
            let hash = key.hash();
            let mut find = self.connection.prepare_cached(Fresh::FIND_SQL)?;
            if writing.client_ids.find(&self.connection, &mut find, (hash, &key))?.is_some() {
                return Err(Error::Other(format!("seq {seq} has the client_id of another")));
            }
            writing.client_ids.insert(hash, number);
        }
        let content = message.content.as_deref().unwrap_or_default();
        let state = match (&message.content, edited_at) {
            (None, _) => kind::DELETED,
            (Some(_), Some(_)) => kind::EDITED,
            (Some(_), None) => kind::SENT,
        };
        let mut insert = self.connection.prepare_cached(
            "INSERT INTO messages (number, place, ordinal, state, is_ai, created_at, id,
                 sender_id, client_id, request_hash, file_url, content)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )?;
        insert.execute(params![
            number,
            place::at(num, *seq),
            signed(ordinal),
            state,
            message.is_ai_message,
            message.created_at.0,
            message.id.as_bytes(),
            sender_id.as_bytes(),
            message.client_id,
            message.request_hash.map(|hash| hash.0),
            message.file_url,
            if state == kind::SENT { content } else { "" },
        ])?;
        if let (kind::EDITED, Some(at)) = (state, edited_at) {
            self.connection
                .prepare_cached(
                    "INSERT INTO edits (message, edited_at, content) VALUES (?1, ?2, ?3)",
                )?
                .execute(params![number, at.0, content])?;
        }
        writing.last_message = number;
        Ok(())
    }

    fn add_event(&mut self, num: Num, event: &MovedEvent) -> Result<()> {
        let (kind, (message_seq, user, participant, title)) = event.change.columns();
        let message: Option<i64> = match message_seq {
            None => None,
            Some(seq) => self
                .connection
                .prepare_cached("SELECT number FROM messages WHERE place = ?1")?
                .query_row([place::at(num, seq)], |row| row.get(0))
                .optional()?,
        };
        if message.is_some() != message_seq.is_some() {
            return Err(Error::Other(format!("seq {} speaks of no message", event.seq)));
        }
        self.connection
            .prepare_cached(
                "INSERT INTO events (place, at, kind, actor_id, message, user_id,
                     participant_id, title)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![
                place::at(num, event.seq),
                event.at.0,
                kind,
                event.actor_id.as_bytes(),
                message,
                user.as_ref().map(UserId::as_bytes),
                participant.as_ref().map(ParticipantId::as_bytes),
                title,
            ])?;
        Ok(())
    }
}

#[async_trait]
impl Rows for Moving {
    async fn counts(&mut self) -> Result<Counts> {
        counts(&self.connection)
    }

    async fn users(&mut self, after: Option<UserId>, limit: usize) -> Result<Vec<Account>> {
        accounts::list(&self.connection, after, limit)
    }

    async fn revoked_tokens(
        &mut self,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, RevokedToken)>> {
        let mut found = self.connection.prepare_cached(
            "SELECT number, token_id, at FROM revocations
             WHERE number > ?1 AND token_id IS NOT NULL ORDER BY number LIMIT ?2",
        )?;
        let rows = found.query_map(params![signed(after), limit as i64], |row| {
            let (id, at) = (Uuid::from_bytes(row.get(1)?), Timestamp(row.get(2)?));
            Ok((unsigned(row, 0)?, RevokedToken { id, at }))
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    async fn sessions(
        &mut self,
        after: Option<SessionId>,
        limit: usize,
    ) -> Result<Vec<MovedSession>> {
        // Every id sorts above the empty blob.
        let after: &[u8] = after.as_ref().map_or(&[], |id| id.as_bytes());
        let sql = format!("{SESSION} WHERE id > ?1 ORDER BY id LIMIT ?2");
        let mut found = self.connection.prepare_cached(&sql)?;
        let rows = found.query_map(params![after, limit as i64], read_session)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    async fn log(&mut self, session: SessionId, after: u64, limit: usize) -> Result<Vec<Record>> {
        let Some(num) = self.num(session)? else { return Ok(Vec::new()) };
        let range = params![place::at(num, after), place::end(num), limit as i64];
        let mut messages = self.connection.prepare_cached(MESSAGES)?;
        let found = messages.query_map(range, |row| Ok(Record::Message(read_message(row)?)))?;
        let mut records = found.collect::<rusqlite::Result<Vec<Record>>>()?;
        let mut events = self.connection.prepare_cached(EVENTS)?;
        let mut found = events.query(range)?;
        while let Some(row) = found.next()? {
            records.push(Record::Event(read_event(row)?));
        }
        Ok(merged(records, limit))
    }

    async fn members(
        &mut self,
        session: SessionId,
        after: Option<(Timestamp, ParticipantId)>,
        limit: usize,
    ) -> Result<Vec<MovedMember>> {
        let Some(num) = self.num(session)? else { return Ok(Vec::new()) };
        let mut found = self.connection.prepare_cached(
            "SELECT id, user_id, created_at, is_owner, read_seq FROM members
             WHERE session = ?1 AND (?2 OR NOT is_owner AND (created_at, id) > (?3, ?4))
             ORDER BY is_owner DESC, created_at, id LIMIT ?5",
        )?;
        let (at, id) = after.map_or((0, [0; 16]), |(at, id)| (at.0, *id.as_bytes()));
        let parameters = params![num, after.is_none(), at, id, limit as i64];
        let rows = found.query_map(parameters, |row| {
            Ok(MovedMember {
                id: ParticipantId::from_bytes(row.get(0)?),
                user_id: UserId::from_bytes(row.get(1)?),
                created_at: Timestamp(row.get(2)?),
                is_owner: row.get(3)?,
                read_seq: unsigned(row, 4)?,
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    async fn session(&mut self, id: SessionId) -> Result<Option<MovedSession>> {
        let mut found = self.connection.prepare_cached(&format!("{SESSION} WHERE id = ?1"))?;
        Ok(found.query_row([id.as_bytes()], read_session).optional()?)
    }

    async fn account(&mut self, id: UserId) -> Result<Option<Account>> {
        accounts::find(&self.connection, id)
    }

    async fn missing_user(&mut self, users: &[UserId]) -> Result<Option<UserId>> {
        let mut found = self.connection.prepare_cached("SELECT 1 FROM users WHERE id = ?1")?;
        for user in users {
            if !found.exists([user.as_bytes()])? {
                return Ok(Some(*user));
            }
        }
        Ok(None)
    }

    async fn step(&mut self, step: Step) -> Result<()> {
        if let (Step::Commit, Some(writing)) = (step, &mut self.writing) {
            writing.client_ids.flush(&self.connection, writing.last_message)?;
        }
        self.connection.execute_batch(match step {
            Step::Begin => "BEGIN IMMEDIATE",
            Step::Mark => "SAVEPOINT moved",
            Step::Undo => "ROLLBACK TO moved; RELEASE moved",
            Step::Keep => "RELEASE moved",
            Step::Commit => "COMMIT",
        })?;
        if let (Step::Undo, Some(writing)) = (step, &mut self.writing) {
            // They are numbered anew, and what was remembered of them is gone.
            let last = last_message(&self.connection)?;
            if last != writing.last_message {
                writing.last_message = last;
                writing.client_ids = Fresh::load(&self.connection)?;
            }
            writing.session.1 = 0;
            writing.session.0 = SessionId(Uuid::nil());
        }
        Ok(())
    }

    async fn set_epoch(&mut self, epoch: &str) -> Result<()> {
        meta::set_epoch(&self.connection, epoch)
    }

    async fn add_user(&mut self, user: &MovedUser) -> Result<bool> {
        let inserted = self
            .connection
            .prepare_cached(
                "INSERT INTO users (id, name, email, email_key, kind, password_hash, disabled,
                     tokens_valid_from_ms, created_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO NOTHING",
            )?
            .execute(params![
                user.id.as_bytes(),
                user.name,
                user.email,
                email_key(&user.email),
                kind::of_user(user.kind),
                user.password_hash,
                user.disabled,
                user.tokens_valid_from_ms,
                user.created_at.0,
            ])?;
        Ok(inserted > 0)
    }

    async fn add_revoked(&mut self, token: &RevokedToken) -> Result<bool> {
        if tokens::is_revoked(&self.connection, token.id)? {
            return Ok(false);
        }
        tokens::log(&self.connection, Revocation::Token { id: token.id }, token.at)?;
        Ok(true)
    }

    async fn add_session(&mut self, session: &MovedSession) -> Result<bool> {
        let is_deleted = session.deleted_at.is_some();
        let inserted = self
            .connection
            .prepare_cached(
                "INSERT INTO sessions (id, owner_id, title, created_at, updated_at, last_seq,
                     deleted_at, purged)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING",
            )?
            .execute(params![
                session.id.as_bytes(),
                session.user_id.as_bytes(),
                session.title,
                session.created_at.0,
                session.updated_at.0,
                signed(session.last_seq),
                session.deleted_at.map(|at| at.0),
                if is_deleted { 2 } else { 0 },
            ])?;
        Ok(inserted > 0)
    }

    async fn add_log(&mut self, session: SessionId, before: u64, records: &[Record]) -> Result<()> {
        let num = self.num_of_new(session)?;
        let mut ordinal = before;
        for record in records {
            match record {
                Record::Message(message) => {
                    ordinal += 1;
                    self.add_message(num, ordinal, message)?;
                }
                Record::Event(event) => self.add_event(num, event)?,
                _ => {}
            }
        }
        let writing = self.writing.as_mut().expect("records are put into a target");
        writing.client_ids.flush(&self.connection, writing.last_message)
    }

    async fn add_members(&mut self, session: SessionId, members: &[MovedMember]) -> Result<()> {
        let num = self.num_of_new(session)?;
        let mut insert = self.connection.prepare_cached(
            "INSERT INTO members (session, user_id, id, created_at, is_owner, read_seq, read_count)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, coalesce((
                 SELECT ordinal FROM messages WHERE place > ?7 AND place <= ?8
                 ORDER BY place DESC LIMIT 1), 0))",
        )?;
        for member in members {
            insert.execute(params![
                num,
                member.user_id.as_bytes(),
                member.id.as_bytes(),
                member.created_at.0,
                member.is_owner,
                signed(member.read_seq),
                place::start(num),
                place::at(num, member.read_seq),
            ])?;
        }
        Ok(())
    }

    async fn finish_session(&mut self, session: SessionId, totals: Totals) -> Result<()> {
        self.connection
            .prepare_cached(
                "UPDATE sessions SET message_count = ?2, last_live_seq = ?3, member_count = ?4,
                     last_seq = ?5, updated_at = ?6
                 WHERE id = ?1",
            )?
            .execute(params![
                session.as_bytes(),
                signed(totals.messages),
                signed(totals.last_live_seq),
                signed(totals.members),
                signed(totals.last_seq),
                totals.updated_at.0,
            ])?;
        Ok(())
    }

    async fn close(&mut self) -> Result<()> {
        // Whatever stays in the WAL is taken up at the next start.
        connection::truncate_wal(&self.connection, READERS_PATIENCE)?;
        crate::store::sqlite::folder::sync_dir(self.folder.dir())
    }
}
