//! What PostgreSQL says, as the store's errors.
//!
//! [`Error::Unavailable`] speaks of the server, the connection or a lock: it may be tried again.
//! Everything else speaks of one statement. Only PostgreSQL's own message is passed on, never its
//! detail, which may quote a row.

use deadpool_postgres::PoolError;
use tokio_postgres::error::{DbError, SqlState};

use crate::store::Error;

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        if let Some(said) = error.as_db_error() {
            return of_database(said);
        }
        let text = with_causes(&error);
        match text.starts_with("error deserializing") {
            true => Self::Corrupt { table: "unknown", row: "unknown".to_owned(), what: text },
            false => Self::Unavailable(format!("PostgreSQL: {text}")),
        }
    }
}

impl From<PoolError> for Error {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => error.into(),
            PoolError::Timeout(_) => {
                Self::Unavailable("PostgreSQL: no connection was free in time".to_owned())
            }
            other => Self::Unavailable(format!("PostgreSQL: {other}")),
        }
    }
}

fn of_database(said: &DbError) -> Error {
    let text = format!("PostgreSQL: {} ({})", said.message(), said.code().code());
    let is_data = said.code() == &SqlState::T_R_INTEGRITY_CONSTRAINT_VIOLATION
        || ["0A", "21", "22", "23", "42"].contains(&said.code().code().get(..2).unwrap_or(""));
    if said.code() == &SqlState::DATA_CORRUPTED || said.code() == &SqlState::INDEX_CORRUPTED {
        Error::Corrupt { table: "unknown", row: "unknown".to_owned(), what: text }
    } else if is_data {
        Error::Other(text)
    } else {
        Error::Unavailable(text)
    }
}

/// Whether somebody else held a row for too long: nothing happened, and the connection is fine.
pub fn is_locked_out(error: &Error) -> bool {
    let code = format!("({})", SqlState::LOCK_NOT_AVAILABLE.code());
    matches!(error, Error::Unavailable(text) if text.ends_with(&code))
}

/// An error and what it came from, in one line.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}
