//! The table `meta`: what the store knows about itself.

use rusqlite::{Connection, OptionalExtension, params};

use crate::store::rows::random_word;
use crate::store::{Error, Result};

const EPOCH: &str = "epoch";
const STORE_ID: &str = "store_id";
/// Only in the file of a backup.
const COPY: &str = "copy";
const PROBE: &str = "probe";

fn get(connection: &Connection, key: &str) -> Result<Option<String>> {
    let value = connection
        .prepare_cached("SELECT value FROM meta WHERE key = ?1")?
        .query_row([key], |row| row.get(0))
        .optional()?;
    Ok(value)
}

fn set(connection: &Connection, key: &str, value: &str) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO meta (key, value) VALUES (?1, ?2)
             ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        )?
        .execute(params![key, value])?;
    Ok(())
}

/// What a new store needs to know.
pub fn begin(connection: &Connection) -> Result<()> {
    if get(connection, EPOCH)?.is_none() {
        set(connection, STORE_ID, &random_word())?;
        renew_epoch(connection)?;
    }
    Ok(())
}

pub fn epoch(connection: &Connection) -> Result<String> {
    get(connection, EPOCH)?.ok_or_else(|| Error::Corrupt {
        table: "meta",
        row: EPOCH.to_owned(),
        what: "is missing".to_owned(),
    })
}

/// The epoch of the store that this one takes the place of.
pub fn set_epoch(connection: &Connection, epoch: &str) -> Result<()> {
    set(connection, EPOCH, epoch)
}

pub fn renew_epoch(connection: &Connection) -> Result<String> {
    let epoch = random_word();
    set(connection, EPOCH, &epoch)?;
    Ok(epoch)
}

/// Marks the file as a copy: whoever serves from it must begin a new epoch.
pub fn mark_copy(connection: &Connection) -> Result<()> {
    set(connection, COPY, "1")
}

/// A new epoch for a store that was restored from a copy; clears the mark.
pub fn take_over_copy(connection: &mut Connection) -> Result<()> {
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    if get(&transaction, COPY)?.is_some() {
        transaction.execute("DELETE FROM meta WHERE key = ?1", [COPY])?;
        renew_epoch(&transaction)?;
    }
    Ok(transaction.commit()?)
}

/// Writes something, to see whether the store can.
pub fn probe(connection: &Connection) -> Result<()> {
    set(connection, PROBE, &random_word())
}
