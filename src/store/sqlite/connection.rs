//! How connections are opened: the writer's, the readers', and those of the tools.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::store::{Error, Result};

/// SQLite before 3.51.3 could lose data when two connections met while a WAL was reset.
const SQLITE_VERSION_MIN: i32 = 3_051_003;
/// How long a connection waits for another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Pages in the WAL after which a commit also copies them back: 16 MiB.
const CHECKPOINT_PAGES: u32 = 4096;
/// The writer's page cache: it holds the ends of all trees that are being written.
const WRITER_CACHE_KIB: u32 = 65_536;
/// A reader's page cache: the upper pages of the trees. The rest is the system's cache to keep,
/// once for all readers: 8 MiB here cost each idle connection of 10,000 some 800 bytes and gained
/// no measurable time.
const READER_CACHE_KIB: u32 = 256;
/// Statements kept ready on each connection.
const STATEMENTS_MAX: usize = 64;

/// Refuses to work with a SQLite that is known to lose data.
pub fn check_version() -> Result<()> {
    let version = rusqlite::version_number();
    if version < SQLITE_VERSION_MIN {
        let text = rusqlite::version();
        return Err(Error::Other(format!("SQLite {text} is too old: 3.51.3 is the oldest safe")));
    }
    Ok(())
}

/// The connection that writes.
pub fn writer(path: &Path) -> Result<Connection> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.execute_batch(&format!(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA secure_delete = ON;
         PRAGMA foreign_keys = ON;
         PRAGMA temp_store = MEMORY;
         PRAGMA trusted_schema = OFF;
         PRAGMA cache_size = -{WRITER_CACHE_KIB};
         PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES};"
    ))?;
    Ok(connection)
}

/// A connection that reads only.
pub fn reader(path: &Path) -> Result<Connection> {
    // Opened for writing, for a WAL can't be read without its shared memory file.
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.execute_batch(&format!(
        "PRAGMA query_only = ON;
         PRAGMA temp_store = MEMORY;
         PRAGMA trusted_schema = OFF;
         PRAGMA cache_size = -{READER_CACHE_KIB};"
    ))?;
    Ok(connection)
}

/// A connection for a tool, with SQLite's own settings.
pub fn file(path: &Path) -> Result<Connection> {
    open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
}

fn open(path: &Path, flags: OpenFlags) -> Result<Connection> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    Ok(connection)
}

/// Copies the whole WAL into the database and cuts it to nothing. False: somebody still reads an
/// older state, or writes.
pub fn truncate_wal(connection: &Connection, patience: Duration) -> Result<bool> {
    connection.busy_timeout(patience)?;
    let outcome = connection
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0))
        .map(|busy| busy == 0);
    connection.busy_timeout(BUSY_TIMEOUT)?;
    match outcome {
        Err(rusqlite::Error::SqliteFailure(failure, _))
            if failure.code == rusqlite::ErrorCode::DatabaseBusy =>
        {
            Ok(false)
        }
        other => Ok(other?),
    }
}
