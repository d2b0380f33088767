//! Numbers of the database, which are signed, as the unsigned ones that they mean.

use protocol::{Timestamp, UserId};
use tokio_postgres::Row;

use crate::store::{Error, Result};

/// A column that is never negative.
pub fn unsigned(row: &Row, index: usize) -> Result<u64> {
    let number: i64 = row.try_get(index)?;
    u64::try_from(number).map_err(|_| Error::Corrupt {
        table: "unknown",
        row: "unknown".to_owned(),
        what: format!("{number} can't be"),
    })
}

/// A number for a statement; none that we keep comes near the limit.
pub fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub fn time(row: &Row, index: usize) -> Result<Timestamp> {
    Ok(Timestamp(row.try_get(index)?))
}

pub fn user(row: &Row, index: usize) -> Result<UserId> {
    Ok(UserId(row.try_get(index)?))
}
