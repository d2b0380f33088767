//! The original backend's tables, read from its database in one read-only transaction, through a
//! cursor each. Columns that are not there are null, others are passed over.

use std::collections::HashMap;

use async_trait::async_trait;
use protocol::limits::CONTENT_BYTES_MAX;
use protocol::{MessageId, ParticipantId, SessionId, Timestamp, UserId};
use tokio_postgres::{Client, Row};

use crate::store::moving::original::{
    OriginalMessage, OriginalParticipant, OriginalSession, OriginalUser, ROWS, Tables,
};
use crate::store::postgres::column::unsigned;
use crate::store::postgres::connection::{self, Address};
use crate::store::{Error, Result};

/// What is read of a text that has a limit far below, in characters.
const TEXT_CHARS: usize = 3_000;

const BEGIN: &str = "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0;
     SET timezone = 'UTC'; BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

struct Original {
    client: Client,
    count: u64,
}

/// A table, and the types of its columns.
struct Table {
    name: &'static str,
    columns: HashMap<String, String>,
}

/// Begins to read the tables at an address.
pub async fn open(url: &str) -> Result<Box<dyn Tables>> {
    let (client, connection) = Address::parse(url)?.of_another().connect().await?;
    tokio::spawn(connection::drive(connection));
    client.batch_execute(BEGIN).await?;
    let users = Table::find(&client, "users", &["id", "email"]).await?;
    let sessions = Table::find(&client, "chat_sessions", &["id", "user_id"]).await?;
    let participants = ["id", "session_id", "user_id"];
    let participants = Table::find(&client, "chat_participants", &participants).await?;
    let messages = ["id", "session_id", "sender_id", "content"];
    let messages = Table::find(&client, "chat_messages", &messages).await?;
    let (Some(users), Some(sessions), Some(messages)) = (users, sessions, messages) else {
        return Err(Error::Other(
            "this is no database of the original backend: the tables users, chat_sessions and \
             chat_messages should be there (those of another schema are found by \
             ?options=-c%20search_path%3Dname)"
                .to_owned(),
        ));
    };
    let live_users = format!("(SELECT id FROM users WHERE {})", users.live());
    let mut count = 0;
    for table in [&users, &sessions, &messages].into_iter().chain(&participants) {
        let sql = format!("SELECT count(*) FROM {} WHERE {}", table.name, table.live());
        count += unsigned(&client.query_one(&sql, &[]).await?, 0)?;
    }
    let participants = match &participants {
        Some(table) => table.participants(&live_users),
        None => "SELECT NULL::uuid, NULL::uuid, NULL::uuid, NULL::bigint LIMIT 0".to_owned(),
    };
    for (cursor, sql) in [
        ("users", users.users()),
        ("sessions", sessions.sessions(&live_users)),
        ("participants", participants),
        ("messages", messages.messages(&live_users)),
    ] {
        let sql = format!("DECLARE original_{cursor} NO SCROLL CURSOR FOR {sql}");
        client.batch_execute(&sql).await?;
    }
    Ok(Box::new(Original { client, count }))
}

impl Table {
    /// None: there is none. Refused without the columns that it must have.
    async fn find(client: &Client, name: &'static str, needed: &[&str]) -> Result<Option<Self>> {
        let sql = "SELECT attname::text, format_type(atttypid, NULL) FROM pg_attribute
             WHERE attrelid = to_regclass($1::text) AND attnum > 0 AND NOT attisdropped";
        let mut columns = HashMap::new();
        for row in client.query(sql, &[&name]).await? {
            columns.insert(row.try_get(0)?, row.try_get(1)?);
        }
        if columns.is_empty() {
            return Ok(None);
        }
        for column in needed {
            let kind: Option<&String> = columns.get(*column);
            let is_right = |kind: &String| !column.ends_with("id") || kind == "uuid";
            if !kind.is_some_and(is_right) {
                let found = kind.map_or("missing".to_owned(), |kind| format!("of type {kind}"));
                let wanted = if column.ends_with("id") { " of type uuid" } else { "" };
                return Err(Error::Other(format!(
                    "this is no database of the original backend: the column {name}.{column} is \
                     {found}, and should be there{wanted}"
                )));
            }
        }
        Ok(Some(Self { name, columns }))
    }

    fn live(&self) -> &'static str {
        if self.columns.contains_key("deleted_at") { "deleted_at IS NULL" } else { "true" }
    }

    /// A text of bounded length, empty where there is none.
    fn text(&self, column: &str) -> String {
        match self.columns.contains_key(column) {
            true => format!("coalesce(left(t.{column}::text, {TEXT_CHARS}), '')"),
            false => "''::text".to_owned(),
        }
    }

    /// Microseconds; null where there is no time, or none that can be.
    fn time(&self, column: &str) -> String {
        match self.columns.get(column) {
            Some(kind) if kind.starts_with("timestamp") => format!(
                "CASE WHEN t.{column} BETWEEN '1970-01-01' AND '9999-12-31'
                      THEN (extract(epoch FROM t.{column}) * 1000000)::bigint END"
            ),
            _ => "NULL::bigint".to_owned(),
        }
    }

    fn users(&self) -> String {
        let (live, at) = (self.live(), self.time("created_at"));
        let (email, name) = (self.text("email"), self.text("name"));
        let password = self.text("password");
        format!(
            "SELECT id, email, name, password, at,
                    first_value(id) OVER (PARTITION BY lower(email) ORDER BY at, id)
             FROM (SELECT t.id, btrim({email}, E' \\t\\r\\n') AS email, {name} AS name,
                          {password} AS password, {at} AS at
                   FROM users t WHERE {live}) t
             ORDER BY id"
        )
    }

    fn sessions(&self, users: &str) -> String {
        let (live, at, title) = (self.live(), self.time("created_at"), self.text("title"));
        format!(
            "SELECT t.id, u.id, {title}, {at} FROM chat_sessions t
             LEFT JOIN {users} u ON u.id = t.user_id
             WHERE {live} ORDER BY t.id"
        )
    }

    fn participants(&self, users: &str) -> String {
        let (live, at) = (self.live(), self.time("created_at"));
        format!(
            "SELECT t.id, t.session_id, u.id, {at} AS at FROM chat_participants t
             LEFT JOIN {users} u ON u.id = t.user_id
             WHERE {live} ORDER BY t.session_id NULLS FIRST, at NULLS FIRST, t.id"
        )
    }

    fn messages(&self, users: &str) -> String {
        let (live, at, file_url) = (self.live(), self.time("created_at"), self.text("file_url"));
        let is_ai = match self.columns.get("is_ai_message").map(String::as_str) {
            Some("boolean") => "coalesce(t.is_ai_message, false)",
            _ => "false",
        };
        format!(
            "SELECT t.id, t.session_id, u.id, {at} AS at, {file_url}, {is_ai},
                    CASE WHEN octet_length(t.content::text) <= {CONTENT_BYTES_MAX}
                         THEN t.content::text END,
                    coalesce(octet_length(t.content::text), 0)::bigint
             FROM chat_messages t
             LEFT JOIN {users} u ON u.id = t.sender_id
             WHERE {live} ORDER BY t.session_id NULLS FIRST, at NULLS FIRST, t.id"
        )
    }
}

fn time(row: &Row, index: usize) -> Result<Option<Timestamp>> {
    Ok(row.try_get::<_, Option<i64>>(index)?.map(Timestamp))
}

impl Original {
    async fn fetch(&self, cursor: &str) -> Result<Vec<Row>> {
        Ok(self.client.query(&format!("FETCH {ROWS} FROM original_{cursor}"), &[]).await?)
    }
}

#[async_trait]
impl Tables for Original {
    fn count(&self) -> u64 {
        self.count
    }

    async fn users(&mut self) -> Result<Vec<OriginalUser>> {
        let read = |row: &Row| {
            let id = UserId(row.try_get(0)?);
            let password: String = row.try_get(3)?;
            let first = UserId(row.try_get(5)?);
            Ok(OriginalUser {
                id,
                email: row.try_get(1)?,
                name: row.try_get(2)?,
                password: Some(password).filter(|password| !password.is_empty()),
                created_at: time(row, 4)?,
                same_email_as: Some(first).filter(|first| *first != id),
            })
        };
        self.fetch("users").await?.iter().map(read).collect()
    }

    async fn sessions(&mut self) -> Result<Vec<OriginalSession>> {
        let read = |row: &Row| {
            Ok(OriginalSession {
                id: SessionId(row.try_get(0)?),
                owner: row.try_get::<_, Option<_>>(1)?.map(UserId),
                title: row.try_get(2)?,
                created_at: time(row, 3)?,
            })
        };
        self.fetch("sessions").await?.iter().map(read).collect()
    }

    async fn participants(&mut self) -> Result<Vec<OriginalParticipant>> {
        let read = |row: &Row| {
            Ok(OriginalParticipant {
                id: ParticipantId(row.try_get(0)?),
                session: row.try_get::<_, Option<_>>(1)?.map(SessionId),
                user: row.try_get::<_, Option<_>>(2)?.map(UserId),
                created_at: time(row, 3)?,
            })
        };
        self.fetch("participants").await?.iter().map(read).collect()
    }

    async fn messages(&mut self) -> Result<Vec<OriginalMessage>> {
        let read = |row: &Row| {
            let file_url: String = row.try_get(4)?;
            Ok(OriginalMessage {
                id: MessageId(row.try_get(0)?),
                session: row.try_get::<_, Option<_>>(1)?.map(SessionId),
                sender: row.try_get::<_, Option<_>>(2)?.map(UserId),
                created_at: time(row, 3)?,
                file_url: Some(file_url).filter(|url| !url.is_empty()),
                is_ai_message: row.try_get(5)?,
                content: row.try_get(6)?,
                content_bytes: unsigned(row, 7)?,
            })
        };
        self.fetch("messages").await?.iter().map(read).collect()
    }
}
