//! Brings a database to the schema of this program: numbered SQL files, forward only.
//!
//! Whoever comes first of several nodes takes an advisory lock and runs all pending ones in one
//! transaction; the others wait and find nothing to do. A migration must leave what the version
//! before needs, for its nodes still run (rolling upgrade).

use protocol::Timestamp;
use tokio_postgres::Client;

use crate::store::Result;
use crate::store::postgres::column::{signed, unsigned};
use crate::store::postgres::meta;
use crate::store::schema::{self, Applied, Migration};

/// In order; the version is the place in this list, from 1.
const MIGRATIONS: &[Migration] = &[Migration {
    name: "0001_the_log",
    sql: include_str!("../../../migrations/postgres/0001_the_log.sql"),
}];

/// The advisory lock ("ADek" and a number).
const LOCK: i64 = 0x4144_656b_0000_0001;

/// Runs what has not run yet.
pub async fn run(client: &mut Client) -> Result<()> {
    if applied(client).await? == MIGRATIONS.len() as u64 {
        return Ok(());
    }
    // Another node may be at it for longer than a statement usually may take.
    client.batch_execute("SET statement_timeout = 0; SET lock_timeout = 0").await?;
    client.execute("SELECT pg_advisory_lock($1)", &[&LOCK]).await?;
    let outcome = run_locked(client).await;
    client.execute("SELECT pg_advisory_unlock($1)", &[&LOCK]).await?;
    client.batch_execute("RESET statement_timeout; RESET lock_timeout").await?;
    outcome
}

async fn run_locked(client: &mut Client) -> Result<()> {
    let before = applied(client).await?;
    let transaction = client.transaction().await?;
    transaction
        .batch_execute(
            "CREATE TABLE IF NOT EXISTS schema_migrations (
                 version bigint PRIMARY KEY,
                 name text NOT NULL,
                 checksum text NOT NULL,
                 at bigint NOT NULL
             )",
        )
        .await?;
    for (version, migration) in (1..).zip(MIGRATIONS).filter(|(version, _)| *version > before) {
        transaction.batch_execute(migration.sql).await?;
        transaction
            .execute(
                "INSERT INTO schema_migrations (version, name, checksum, at)
                 VALUES ($1, $2, $3, $4)",
                &[&signed(version), &migration.name, &migration.checksum(), &Timestamp::now().0],
            )
            .await?;
    }
    meta::begin(transaction.client()).await?;
    Ok(transaction.commit().await?)
}

/// How many migrations the database has. Refuses a newer schema and a changed migration.
async fn applied(client: &Client) -> Result<u64> {
    let is_there = "SELECT to_regclass('schema_migrations') IS NOT NULL";
    let is_there: bool = client.query_one(is_there, &[]).await?.try_get(0)?;
    if !is_there {
        return Ok(0);
    }
    let sql = "SELECT version, name, checksum FROM schema_migrations ORDER BY version";
    let rows = client.query(sql, &[]).await?;
    let rows = rows.iter().map(|row| {
        let (name, checksum) = (row.try_get(1)?, row.try_get(2)?);
        Ok(Applied { version: unsigned(row, 0)?, name, checksum })
    });
    schema::check(&rows.collect::<Result<Vec<_>>>()?, MIGRATIONS)
}
