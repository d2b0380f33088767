//! Moving the store on PostgreSQL: the statements of [`Rows`], on a connection of their own.
//!
//! A source is one read-only transaction that sees one moment. A target holds the lock that every
//! server of the database takes, so that none runs beside it.

use std::collections::HashMap;

use async_trait::async_trait;
use protocol::{MessageId, ParticipantId, SessionId, Timestamp, UserId};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, Statement};
use uuid::Uuid;

use crate::store::moving::intake::Intake;
use crate::store::moving::rows::{Totals, merged};
use crate::store::moving::walk::Walk;
use crate::store::moving::{
    About, Counts, MovedChange, MovedEvent, MovedMember, MovedMessage, MovedSession, MovedUser,
    Record, RequestHash, RevokedToken, Rows, Source, Step, Target,
};
use crate::store::postgres::column::{signed, time, unsigned, user};
use crate::store::postgres::connection::{self, Address};
use crate::store::postgres::{accounts, lane, meta, migrate};
use crate::store::rows::email_key;
use crate::store::{Account, Error, Result, kind};

/// A consumer of the records may be slow, and whole tables are counted.
const PATIENCE_SQL: &str = "SET idle_in_transaction_session_timeout = 0; SET statement_timeout = 0";

struct Moving {
    client: Client,
    statements: HashMap<String, Statement>,
}

type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

/// Reads the store at an address as of now, also beside servers.
pub async fn source(url: &str) -> Result<Box<dyn Source>> {
    let mut moving = Moving::connect(url).await?;
    let is_served = lane::is_locked(&moving.client).await?;
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
    moving.client.batch_execute(begin).await?;
    let epoch = meta::epoch(&moving.client).await?;
    let counts = moving.counts().await?;
    let about = About { store: "postgres", epoch, is_served, counts };
    Ok(Box::new(Walk::new(moving, about)))
}

/// Opens the store at an address to take records, or makes one. Refused while a server runs.
pub async fn target(url: &str) -> Result<Box<dyn Target>> {
    let moving = Moving::connect(url).await?;
    if !lane::lock_all(&moving.client).await? {
        return Err(Error::Unavailable(
            "a server uses this database: stop it, and all of its nodes, for the time of the \
             import"
                .to_owned(),
        ));
    }
    Ok(Box::new(Intake::new(moving)))
}

const SESSION: &str = "SELECT session_id, owner_id, title, created_at, updated_at, last_seq,
     deleted_at FROM sessions";

fn read_session(row: &Row) -> Result<MovedSession> {
    let deleted_at: Option<i64> = row.try_get(6)?;
    Ok(MovedSession {
        id: SessionId(row.try_get(0)?),
        user_id: user(row, 1)?,
        title: if deleted_at.is_some() { String::new() } else { row.try_get(2)? },
        created_at: time(row, 3)?,
        updated_at: time(row, 4)?,
        last_seq: unsigned(row, 5)?,
        deleted_at: deleted_at.map(Timestamp),
        is_open: false,
    })
}

/// (session, after, limit)
const MESSAGES: &str = "SELECT seq, is_ai, created_at, edited_at, id, sender_id, client_id,
        request_hash, file_url, content
     FROM messages WHERE session_id = $1 AND seq > $2 ORDER BY seq LIMIT $3";

fn read_message(row: &Row) -> Result<MovedMessage> {
    let hash: Option<&[u8]> = row.try_get(7)?;
    let content: Option<String> = row.try_get(9)?;
    let edited_at: Option<i64> = row.try_get(3)?;
    Ok(MovedMessage {
        seq: unsigned(row, 0)?,
        id: MessageId(row.try_get(4)?),
        sender_id: user(row, 5)?,
        created_at: time(row, 2)?,
        edited_at: edited_at.filter(|_| content.is_some()).map(Timestamp),
        content,
        file_url: row.try_get(8)?,
        is_ai_message: row.try_get(1)?,
        client_id: row.try_get(6)?,
        request_hash: hash.and_then(|hash| Some(RequestHash(hash.try_into().ok()?))),
    })
}

/// (session, after, limit)
const EVENTS: &str = "SELECT seq, at, actor_id, kind, message_seq, user_id, participant_id, title
     FROM events WHERE session_id = $1 AND seq > $2 ORDER BY seq LIMIT $3";

fn read_event(row: &Row) -> Result<MovedEvent> {
    let seq = unsigned(row, 0)?;
    let message_seq: Option<i64> = row.try_get(4)?;
    let user_id: Option<Uuid> = row.try_get(5)?;
    let participant_id: Option<Uuid> = row.try_get(6)?;
    let subject = (
        message_seq.map(|seq| seq as u64),
        user_id.map(UserId),
        participant_id.map(ParticipantId),
        row.try_get(7)?,
    );
    let kind: i16 = row.try_get(3)?;
    let change = MovedChange::from_columns(seq, kind.into(), subject)?;
    Ok(MovedEvent { seq, at: time(row, 1)?, actor_id: user(row, 2)?, change })
}

impl Moving {
    async fn connect(url: &str) -> Result<Self> {
        let (mut client, connection) = Address::parse(url)?.connect().await?;
        tokio::spawn(connection::drive(connection));
        connection::check_server(&client).await?;
        migrate::run(&mut client).await?;
        client.batch_execute(PATIENCE_SQL).await?;
        Ok(Self { client, statements: HashMap::new() })
    }

    async fn prepared(&mut self, sql: &str) -> Result<Statement> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql).await?;
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    async fn rows(&mut self, sql: &str, parameters: Parameters<'_>) -> Result<Vec<Row>> {
        let statement = self.prepared(sql).await?;
        Ok(self.client.query(&statement, parameters).await?)
    }

    async fn execute(&mut self, sql: &str, parameters: Parameters<'_>) -> Result<u64> {
        let statement = self.prepared(sql).await?;
        Ok(self.client.execute(&statement, parameters).await?)
    }

    async fn add_messages(
        &mut self,
        session: SessionId,
        before: u64,
        messages: &[&MovedMessage],
    ) -> Result<()> {
        fn each<'a, T>(
            messages: &[&'a MovedMessage],
            column: impl Fn(&'a MovedMessage) -> T,
        ) -> Vec<T> {
            messages.iter().map(|message| column(message)).collect()
        }
        let ordinals: Vec<i64> = (1..=messages.len() as u64).map(|n| signed(before + n)).collect();
        let states = each(messages, |message| match (&message.content, message.edited_at) {
            (None, _) => kind::DELETED as i16,
            (Some(_), Some(_)) => kind::EDITED as i16,
            (Some(_), None) => kind::SENT as i16,
        });
        self.execute(
            "INSERT INTO messages (session_id, seq, ordinal, state, is_ai, created_at, edited_at,
                 id, sender_id, client_id, request_hash, file_url, content)
             SELECT $1, * FROM unnest($2::bigint[], $3::bigint[], $4::smallint[], $5::bool[],
                 $6::bigint[], $7::bigint[], $8::uuid[], $9::uuid[], $10::text[], $11::bytea[],
                 $12::text[], $13::text[])",
            &[
                &session.0,
                &each(messages, |message| signed(message.seq)),
                &ordinals,
                &states,
                &each(messages, |message| message.is_ai_message),
                &each(messages, |message| message.created_at.0),
                &each(messages, |message| message.edited_at.map(|at| at.0)),
                &each(messages, |message| message.id.0),
                &each(messages, |message| message.sender_id.0),
                &each(messages, |message| message.client_id.as_deref()),
                &each(messages, |message| message.request_hash.as_ref().map(|hash| &hash.0[..])),
                &each(messages, |message| message.file_url.as_deref()),
                &each(messages, |message| message.content.as_deref()),
            ],
        )
        .await?;
        Ok(())
    }

    async fn add_events(&mut self, session: SessionId, events: &[&MovedEvent]) -> Result<()> {
        let each = events.iter().map(|event| event.change.columns());
        let (kinds, subjects): (Vec<i64>, Vec<_>) = each.unzip();
        let kinds: Vec<i16> = kinds.into_iter().map(|kind| kind as i16).collect();
        let seqs: Vec<i64> = events.iter().map(|event| signed(event.seq)).collect();
        let ats: Vec<i64> = events.iter().map(|event| event.at.0).collect();
        let actors: Vec<Uuid> = events.iter().map(|event| event.actor_id.0).collect();
        let messages: Vec<Option<i64>> = subjects.iter().map(|one| one.0.map(signed)).collect();
        let users: Vec<Option<Uuid>> = subjects.iter().map(|one| one.1.map(|id| id.0)).collect();
        let participants: Vec<Option<Uuid>> =
            subjects.iter().map(|one| one.2.map(|id| id.0)).collect();
        let titles: Vec<Option<&str>> = subjects.iter().map(|one| one.3).collect();
        let inserted = self
            .execute(
                "INSERT INTO events (session_id, seq, at, kind, actor_id, message_seq, user_id,
                     participant_id, title)
                 SELECT $1, * FROM unnest($2::bigint[], $3::bigint[], $4::smallint[], $5::uuid[],
                     $6::bigint[], $7::uuid[], $8::uuid[], $9::text[])
                     AS e (seq, at, kind, actor, message_seq, user_id, participant_id, title)
                 WHERE e.message_seq IS NULL OR EXISTS (
                     SELECT 1 FROM messages m WHERE m.session_id = $1 AND m.seq = e.message_seq)",
                &[
                    &session.0,
                    &seqs,
                    &ats,
                    &kinds,
                    &actors,
                    &messages,
                    &users,
                    &participants,
                    &titles,
                ],
            )
            .await?;
        match inserted as usize == events.len() {
            true => Ok(()),
            false => Err(Error::Other("an event speaks of no message".to_owned())),
        }
    }
}

#[async_trait]
impl Rows for Moving {
    async fn counts(&mut self) -> Result<Counts> {
        let sql = "WITH live AS (SELECT session_id FROM sessions WHERE deleted_at IS NULL)
             SELECT (SELECT count(*) FROM users),
                    (SELECT count(*) FROM revocations WHERE token_id IS NOT NULL),
                    (SELECT count(*) FROM sessions),
                    (SELECT count(*) FROM messages JOIN live USING (session_id)),
                    (SELECT count(*) FROM events JOIN live USING (session_id)),
                    (SELECT count(*) FROM members JOIN live USING (session_id))";
        let row = self.client.query_one(sql, &[]).await?;
        Ok(Counts {
            users: unsigned(&row, 0)?,
            revoked_tokens: unsigned(&row, 1)?,
            sessions: unsigned(&row, 2)?,
            messages: unsigned(&row, 3)?,
            events: unsigned(&row, 4)?,
            members: unsigned(&row, 5)?,
        })
    }

    async fn users(&mut self, after: Option<UserId>, limit: usize) -> Result<Vec<Account>> {
        let sql = format!(
            "SELECT {} FROM users WHERE $1::uuid IS NULL OR id > $1 ORDER BY id LIMIT $2",
            accounts::COLUMNS
        );
        let found = self.rows(&sql, &[&after.map(|id| id.0), &(limit as i64)]).await?;
        found.iter().map(accounts::read).collect()
    }

    async fn revoked_tokens(
        &mut self,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, RevokedToken)>> {
        let sql = "SELECT number, token_id, at FROM revocations
             WHERE number > $1 AND token_id IS NOT NULL ORDER BY number LIMIT $2";
        let found = self.rows(sql, &[&signed(after), &(limit as i64)]).await?;
        let read = |row: &Row| {
            let (id, at) = (row.try_get(1)?, time(row, 2)?);
            Ok((unsigned(row, 0)?, RevokedToken { id, at }))
        };
        found.iter().map(read).collect()
    }

    async fn sessions(
        &mut self,
        after: Option<SessionId>,
        limit: usize,
    ) -> Result<Vec<MovedSession>> {
        let sql = format!(
            "{SESSION} WHERE $1::uuid IS NULL OR session_id > $1 ORDER BY session_id LIMIT $2"
        );
        let found = self.rows(&sql, &[&after.map(|id| id.0), &(limit as i64)]).await?;
        found.iter().map(read_session).collect()
    }

    async fn log(&mut self, session: SessionId, after: u64, limit: usize) -> Result<Vec<Record>> {
        let (after, rows) = (signed(after), limit as i64);
        let found = self.rows(MESSAGES, &[&session.0, &after, &rows]).await?;
        let messages = found.iter().map(|row| Ok(Record::Message(read_message(row)?)));
        let mut records = messages.collect::<Result<Vec<Record>>>()?;
        for row in self.rows(EVENTS, &[&session.0, &after, &rows]).await? {
            records.push(Record::Event(read_event(&row)?));
        }
        Ok(merged(records, limit))
    }

    async fn members(
        &mut self,
        session: SessionId,
        after: Option<(Timestamp, ParticipantId)>,
        limit: usize,
    ) -> Result<Vec<MovedMember>> {
        let sql = "SELECT id, user_id, created_at, is_owner, read_seq FROM members
             WHERE session_id = $1 AND ($2 OR NOT is_owner AND (created_at, id) > ($3, $4))
             ORDER BY is_owner DESC, created_at, id LIMIT $5";
        let (at, id) = after.map_or((0, Uuid::nil()), |(at, id)| (at.0, id.0));
        let parameters: Parameters<'_> = &[&session.0, &after.is_none(), &at, &id, &(limit as i64)];
        let read = |row: &Row| {
            Ok(MovedMember {
                id: ParticipantId(row.try_get(0)?),
                user_id: user(row, 1)?,
                created_at: time(row, 2)?,
                is_owner: row.try_get(3)?,
                read_seq: unsigned(row, 4)?,
            })
        };
        self.rows(sql, parameters).await?.iter().map(read).collect()
    }

    async fn session(&mut self, id: SessionId) -> Result<Option<MovedSession>> {
        let found = self.rows(&format!("{SESSION} WHERE session_id = $1"), &[&id.0]).await?;
        found.first().map(read_session).transpose()
    }

    async fn account(&mut self, id: UserId) -> Result<Option<Account>> {
        let sql = format!("SELECT {} FROM users WHERE id = $1", accounts::COLUMNS);
        self.rows(&sql, &[&id.0]).await?.first().map(accounts::read).transpose()
    }

    async fn missing_user(&mut self, users: &[UserId]) -> Result<Option<UserId>> {
        let ids: Vec<Uuid> = users.iter().map(|user| user.0).collect();
        let sql = "SELECT w.id FROM unnest($1::uuid[]) AS w (id)
             WHERE NOT EXISTS (SELECT 1 FROM users u WHERE u.id = w.id) LIMIT 1";
        self.rows(sql, &[&ids]).await?.first().map(|row| user(row, 0)).transpose()
    }

    async fn step(&mut self, step: Step) -> Result<()> {
        let sql = match step {
            Step::Begin => "BEGIN ISOLATION LEVEL READ COMMITTED",
            Step::Mark => "SAVEPOINT moved",
            Step::Undo => "ROLLBACK TO SAVEPOINT moved; RELEASE SAVEPOINT moved",
            Step::Keep => "RELEASE SAVEPOINT moved",
            Step::Commit => "COMMIT",
        };
        Ok(self.client.batch_execute(sql).await?)
    }

    async fn set_epoch(&mut self, epoch: &str) -> Result<()> {
        meta::set_epoch(&self.client, epoch).await
    }

    async fn add_user(&mut self, user: &MovedUser) -> Result<bool> {
        let inserted = self
            .execute(
                "INSERT INTO users (id, name, email, email_key, kind, password_hash, disabled,
                     tokens_valid_from_ms, created_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
                &[
                    &user.id.0,
                    &user.name,
                    &user.email,
                    &email_key(&user.email),
                    &(kind::of_user(user.kind) as i16),
                    &user.password_hash,
                    &user.disabled,
                    &user.tokens_valid_from_ms,
                    &user.created_at.0,
                ],
            )
            .await?;
        Ok(inserted > 0)
    }

    async fn add_revoked(&mut self, token: &RevokedToken) -> Result<bool> {
        let sql = "WITH next AS (
                 UPDATE meta SET value = (value::bigint + 1)::text
                 WHERE key = 'revocation_head'
                   AND NOT EXISTS (SELECT 1 FROM revocations WHERE token_id = $1)
                 RETURNING value::bigint AS number)
             INSERT INTO revocations (number, token_id, at) SELECT number, $1, $2 FROM next";
        Ok(self.execute(sql, &[&token.id, &token.at.0]).await? > 0)
    }

    async fn add_session(&mut self, session: &MovedSession) -> Result<bool> {
        let purged: i16 = if session.deleted_at.is_some() { 2 } else { 0 };
        let inserted = self
            .execute(
                "INSERT INTO sessions (session_id, owner_id, title, created_at, updated_at,
                     last_seq, deleted_at, purged)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
                &[
                    &session.id.0,
                    &session.user_id.0,
                    &session.title,
                    &session.created_at.0,
                    &session.updated_at.0,
                    &signed(session.last_seq),
                    &session.deleted_at.map(|at| at.0),
                    &purged,
                ],
            )
            .await?;
        Ok(inserted > 0)
    }

    async fn add_log(&mut self, session: SessionId, before: u64, records: &[Record]) -> Result<()> {
        let mut messages = Vec::with_capacity(records.len());
        let mut events = Vec::new();
        for record in records {
            match record {
                Record::Message(message) => messages.push(message),
                Record::Event(event) => events.push(event),
                _ => {}
            }
        }
        // Events may speak of these messages.
        if !messages.is_empty() {
            self.add_messages(session, before, &messages).await?;
        }
        if !events.is_empty() {
            self.add_events(session, &events).await?;
        }
        Ok(())
    }

    async fn add_members(&mut self, session: SessionId, members: &[MovedMember]) -> Result<()> {
        let users: Vec<Uuid> = members.iter().map(|member| member.user_id.0).collect();
        let ids: Vec<Uuid> = members.iter().map(|member| member.id.0).collect();
        let times: Vec<i64> = members.iter().map(|member| member.created_at.0).collect();
        let owners: Vec<bool> = members.iter().map(|member| member.is_owner).collect();
        let marks: Vec<i64> = members.iter().map(|member| signed(member.read_seq)).collect();
        self.execute(
            "INSERT INTO members (session_id, user_id, id, created_at, is_owner, read_seq,
                 read_count)
             SELECT $1, n.*, coalesce((
                 SELECT m.ordinal FROM messages m WHERE m.session_id = $1 AND m.seq <= n.read_seq
                 ORDER BY m.seq DESC LIMIT 1), 0)
             FROM unnest($2::uuid[], $3::uuid[], $4::bigint[], $5::bool[], $6::bigint[])
                 AS n (user_id, id, created_at, is_owner, read_seq)",
            &[&session.0, &users, &ids, &times, &owners, &marks],
        )
        .await?;
        Ok(())
    }

    async fn finish_session(&mut self, session: SessionId, totals: Totals) -> Result<()> {
        let (messages, live) = (signed(totals.messages), signed(totals.last_live_seq));
        let (members, last_seq) = (signed(totals.members), signed(totals.last_seq));
        let sql = "UPDATE sessions SET message_count = $2, last_live_seq = $3, member_count = $4,
                 last_seq = $5, updated_at = $6
             WHERE session_id = $1";
        let parameters: Parameters<'_> =
            &[&session.0, &messages, &live, &members, &last_seq, &totals.updated_at.0];
        self.execute(sql, parameters).await?;
        Ok(())
    }

    async fn close(&mut self) -> Result<()> {
        // What statements are planned by: nothing was known of these tables before.
        Ok(self.client.batch_execute("ANALYZE").await?)
    }
}
