//! What SQLite says, as the store's errors.
//!
//! The one distinction that matters: [`Error::Unavailable`] speaks of the file, the disk or a
//! lock, and spoils the whole transaction; everything else speaks of one statement.

use std::io;

use rusqlite::ErrorCode;

use crate::store::Error;
pub use crate::store::fault::{corrupt, only_the_server, refuse, stopped};

const DISK_FULL: &str = "the disk is full";

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        let text = error.to_string();
        match error {
            rusqlite::Error::SqliteFailure(failure, _) => match failure.code {
                // The statement's own fault; SQLite has undone it alone.
                ErrorCode::ConstraintViolation
                | ErrorCode::TooBig
                | ErrorCode::TypeMismatch
                | ErrorCode::ParameterOutOfRange
                | ErrorCode::ApiMisuse
                | ErrorCode::Unknown => Self::Other(text),
                ErrorCode::DiskFull => Self::Unavailable(DISK_FULL.to_owned()),
                _ => Self::Unavailable(text),
            },
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::Utf8Error(..)
            | rusqlite::Error::InvalidColumnType(..) => {
                Self::Corrupt { table: "unknown", row: "unknown".to_owned(), what: text }
            }
            _ => Self::Other(text),
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// Whether a write found no room. Nothing was lost then: an fsync that fails is never this.
pub fn is_disk_full(error: &Error) -> bool {
    matches!(error, Error::Unavailable(text) if text == DISK_FULL)
}
