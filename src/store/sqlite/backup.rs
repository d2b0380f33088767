//! Copies of the database: made while a server runs, checked, and put back.
//!
//! A backup is one file, 0600, complete and durable when its name appears. It is marked as a copy:
//! a server that starts on it begins a new epoch, for the numbers that clients hold may be of
//! events that the copy never had. Restoring keeps the old database beside the new one.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::store::kind::WIPED;
use crate::store::sqlite::column::unsigned;
use crate::store::sqlite::folder::{Folder, sync_dir};
use crate::store::sqlite::{connection, meta, migrate};
use crate::store::{Error, Result};
use protocol::Timestamp;

/// What a good backup holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    pub schema: u64,
    pub users: u64,
    pub sessions: u64,
    pub messages: u64,
    pub bytes: u64,
}

/// Copies the database of a data folder into a new file, also beside a running server.
pub fn create(dir: &Path, target: &Path) -> Result<Contents> {
    let folder = Folder::new(dir);
    if !folder.database().is_file() {
        return Err(Error::Other(format!("there is no database in {}", dir.display())));
    }
    let source = connection::file(&folder.database())?;
    copy(&source, target)?;
    verify(target)
}

/// Copies what `source` sees into a new file, checks and marks it.
pub fn copy(source: &Connection, target: &Path) -> Result<()> {
    if target.exists() {
        return Err(Error::Other(format!("{} exists already", target.display())));
    }
    let partial = with_suffix(target, ".partial");
    let made = write_copy(source, &partial).and_then(|()| Ok(fs::rename(&partial, target)?));
    if made.is_err() {
        let _ = fs::remove_file(&partial);
    }
    made?;
    sync_dir(parent(target))
}

fn write_copy(source: &Connection, partial: &Path) -> Result<()> {
    let _ = fs::remove_file(partial);
    // Made here for its mode; VACUUM INTO takes an empty file.
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(partial)?;
    let name = partial
        .to_str()
        .ok_or_else(|| Error::Other(format!("the name {} is not UTF-8", partial.display())))?;
    source.execute("VACUUM INTO ?1", [name])?;
    let copied = connection::file(partial)?;
    copied.execute_batch("PRAGMA journal_mode = MEMORY; PRAGMA synchronous = FULL;")?;
    if copied.table_exists(None, "meta")? {
        meta::mark_copy(&copied)?;
        leave_out_wiped(&copied)?;
    }
    check(&copied)?;
    copied.close().map_err(|(_, error)| error)?;
    Ok(File::open(partial)?.sync_all()?)
}

/// What was wiped in place takes up room in a database for ever; not so in its copies.
fn leave_out_wiped(copied: &Connection) -> Result<()> {
    let before = copied.total_changes();
    copied.execute_batch(&format!(
        "BEGIN;
         DELETE FROM edits WHERE number NOT IN (SELECT max(number) FROM edits GROUP BY message)
             OR message IN (SELECT number FROM messages WHERE state = {WIPED});
         DELETE FROM messages WHERE state = {WIPED};
         COMMIT;"
    ))?;
    if copied.total_changes() > before {
        copied.execute_batch("VACUUM")?;
    }
    Ok(())
}

/// Says what a backup holds, or what is wrong with it.
pub fn verify(file: &Path) -> Result<Contents> {
    if !file.is_file() {
        return Err(Error::Other(format!("there is no file {}", file.display())));
    }
    let connection = Connection::open_with_flags(
        file,
        rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY | rusqlite::OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    let id: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if id != migrate::APPLICATION_ID {
        return Err(Error::Other(format!("{} is no AssistDeck database", file.display())));
    }
    check(&connection)?;
    let schema = migrate::applied(&connection)?;
    let count = |sql: &str| connection.query_row(sql, [], |row| unsigned(row, 0));
    Ok(Contents {
        schema,
        users: count("SELECT count(*) FROM users")?,
        sessions: count("SELECT count(*) FROM sessions WHERE deleted_at IS NULL")?,
        messages: count("SELECT count(*) FROM messages WHERE state < 4")?,
        bytes: fs::metadata(file)?.len(),
    })
}

/// Puts a backup in the place of a data folder's database, and gives where the old one is now.
/// Refused while a server runs there.
pub fn restore(file: &Path, dir: &Path) -> Result<Option<PathBuf>> {
    verify(file)?;
    let folder = Folder::new(dir);
    folder.prepare_dir()?;
    let _lock = folder.lock()?;
    let database = folder.database();
    let partial = with_suffix(&database, ".partial");
    let _ = fs::remove_file(&partial);
    let mut copy = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial)?;
    io::copy(&mut File::open(file)?, &mut copy)?;
    copy.sync_all()?;
    drop(copy);
    // Also a plain copy of a database, made without us, begins a new epoch.
    let marked = connection::file(&partial)?;
    marked.execute_batch("PRAGMA journal_mode = MEMORY; PRAGMA synchronous = FULL;")?;
    meta::mark_copy(&marked)?;
    marked.close().map_err(|(_, error)| error)?;
    let kept = keep_old(&folder)?;
    fs::rename(&partial, &database)?;
    sync_dir(dir)?;
    Ok(kept)
}

/// Moves the database aside, with what belongs to it.
fn keep_old(folder: &Folder) -> Result<Option<PathBuf>> {
    let database = folder.database();
    if !database.exists() {
        return Ok(None);
    }
    let name = format!("replaced-{}.db", Timestamp::now().as_ms());
    let kept = folder.dir().join(name);
    // The WAL first: a database without it would look whole and be older than it is.
    for (from, suffix) in [(folder.wal(), "-wal"), (database, "")] {
        match fs::rename(from, with_suffix(&kept, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    let _ = fs::remove_file(folder.shared_memory());
    Ok(Some(kept))
}

/// Every page and index of the file.
fn check(connection: &Connection) -> Result<()> {
    let answer: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    if answer == "ok" {
        return Ok(());
    }
    Err(Error::Corrupt { table: "database", row: "integrity_check".to_owned(), what: answer })
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
