//! Errors that both backends make.

use crate::store::{Error, Refusal, Result};

/// The rules of the data say no.
pub fn refuse<T>(refusal: Refusal) -> Result<T> {
    Err(Error::Refused(refusal))
}

/// Whatever is asked of a store that has stopped.
pub fn stopped() -> Error {
    Error::Unavailable("the store has stopped".to_owned())
}

/// An append by a tool beside the server: nobody would deliver it.
pub fn only_the_server() -> Error {
    Error::Unavailable("only the server appends".to_owned())
}

/// A stored value that can't be.
pub fn corrupt<T>(table: &'static str, row: impl ToString, what: &str) -> Result<T> {
    Err(Error::Corrupt { table, row: row.to_string(), what: what.to_owned() })
}
