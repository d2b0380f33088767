//! Brings a database to the schema of this program: numbered SQL files, forward only.
//!
//! All pending ones run in one exclusive transaction (see [`schema`]). An existing database is
//! copied into the folder before it is changed.

use std::path::PathBuf;

use rusqlite::{Connection, TransactionBehavior, params};

use crate::store::Result;
use crate::store::schema::{self, Applied, Migration};
use crate::store::sqlite::column::{signed, unsigned};
use crate::store::sqlite::folder::Folder;
use crate::store::sqlite::{backup, meta};
use protocol::Timestamp;

/// In order; the version is the place in this list, from 1.
const MIGRATIONS: &[Migration] = &[Migration {
    name: "0001_the_log",
    sql: include_str!("../../../migrations/sqlite/0001_the_log.sql"),
}];

/// Marks a database file as ours ("ADek").
pub const APPLICATION_ID: i32 = 0x4144_656b;

/// The version that this program works with.
pub fn latest() -> u64 {
    MIGRATIONS.len() as u64
}

/// Runs what has not run yet.
pub fn run(connection: &mut Connection, folder: &Folder) -> Result<()> {
    let before = applied(connection)?;
    if before == latest() {
        return Ok(());
    }
    if before > 0 {
        // A running server of the older program must not lose its schema under its feet. The
        // caller that serves holds the lock itself and comes through `run_locked`.
        let _lock = folder.lock()?;
        return run_locked(connection, folder);
    }
    run_locked(connection, folder)
}

/// As [`run`], for a caller that holds the folder's lock.
pub fn run_locked(connection: &mut Connection, folder: &Folder) -> Result<()> {
    let before = applied(connection)?;
    if before == latest() {
        return Ok(());
    }
    if before > 0 {
        backup::copy(connection, &copy_path(folder, before))?;
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Exclusive)?;
    // Somebody else may have been here since.
    let before = applied(&transaction)?;
    transaction.execute_batch(
        "CREATE TABLE IF NOT EXISTS schema_migrations (
             version INTEGER PRIMARY KEY,
             name TEXT NOT NULL,
             checksum TEXT NOT NULL,
             at INTEGER NOT NULL
         ) STRICT",
    )?;
    for (version, migration) in (1..).zip(MIGRATIONS).filter(|(version, _)| *version > before) {
        transaction.execute_batch(migration.sql)?;
        transaction.execute(
            "INSERT INTO schema_migrations (version, name, checksum, at) VALUES (?1, ?2, ?3, ?4)",
            params![signed(version), migration.name, migration.checksum(), Timestamp::now().0],
        )?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    meta::begin(&transaction)?;
    Ok(transaction.commit()?)
}

/// How many migrations the database has. Refuses a newer schema and a changed migration.
pub fn applied(connection: &Connection) -> Result<u64> {
    let is_new = !connection.table_exists(None, "schema_migrations")?;
    if is_new {
        return Ok(0);
    }
    let mut statement = connection
        .prepare("SELECT version, name, checksum FROM schema_migrations ORDER BY version")?;
    let rows = statement.query_map([], |row| {
        Ok(Applied { version: unsigned(row, 0)?, name: row.get(1)?, checksum: row.get(2)? })
    })?;
    let rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    schema::check(&rows, MIGRATIONS)
}

fn copy_path(folder: &Folder, version: u64) -> PathBuf {
    let name = format!("before-schema-{}-{}.db", version + 1, Timestamp::now().as_ms());
    folder.dir().join(name)
}
