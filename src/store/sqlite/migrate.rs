//! Brings a database to the schema of this program: numbered SQL files, forward only.
//!
//! Each migration runs once, all pending ones in one exclusive transaction, and is kept with its
//! checksum: a file that was changed after it ran is refused, as is a database of a newer program.
//! An existing database is copied into the folder before it is changed.

use std::fmt::Write as _;
use std::path::PathBuf;

use aws_lc_rs::digest;
use rusqlite::{Connection, TransactionBehavior, params};

use crate::store::sqlite::column::{signed, unsigned};
use crate::store::sqlite::folder::Folder;
use crate::store::sqlite::{backup, meta};
use crate::store::{Error, Result};
use protocol::Timestamp;

struct Migration {
    name: &'static str,
    sql: &'static str,
}

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
            params![signed(version), migration.name, checksum(migration.sql), Timestamp::now().0],
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
        Ok((unsigned(row, 0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?))
    })?;
    let rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    for (version, name, sum) in &rows {
        let known = (1..).zip(MIGRATIONS).find(|(number, _)| number == version);
        let Some((_, migration)) = known else {
            return Err(Error::Other(format!(
                "the database has schema {version} ({name}), this program knows up to {}: \
                 run the newer program, or restore an older backup",
                latest()
            )));
        };
        if *sum != checksum(migration.sql) {
            return Err(Error::Other(format!(
                "migration {name} of the database is not the one in this program: \
                 they come from different builds"
            )));
        }
    }
    Ok(rows.len() as u64)
}

fn copy_path(folder: &Folder, version: u64) -> PathBuf {
    let name = format!("before-schema-{}-{}.db", version + 1, Timestamp::now().as_ms());
    folder.dir().join(name)
}

fn checksum(sql: &str) -> String {
    let sum = digest::digest(&digest::SHA256, sql.as_bytes());
    sum.as_ref().iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes what is written");
        text
    })
}
