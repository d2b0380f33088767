//! Migrations: numbered SQL files, forward only, whichever the database.
//!
//! Each runs once and is kept with its checksum: a file that was changed after it ran is refused,
//! as is a database of a newer program.

use std::fmt::Write as _;

use aws_lc_rs::digest;

use crate::store::{Error, Result};

/// One step; its version is the place in the list, from 1.
pub struct Migration {
    pub name: &'static str,
    pub sql: &'static str,
}

impl Migration {
    pub fn checksum(&self) -> String {
        let sum = digest::digest(&digest::SHA256, self.sql.as_bytes());
        sum.as_ref().iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").expect("a string takes what is written");
            text
        })
    }
}

/// A migration that a database has.
pub struct Applied {
    pub version: u64,
    pub name: String,
    pub checksum: String,
}

/// Refuses a newer schema and a changed migration; how many there are otherwise.
pub fn check(applied: &[Applied], known: &[Migration]) -> Result<u64> {
    for Applied { version, name, checksum } in applied {
        let found = (1..).zip(known).find(|(number, _)| number == version);
        let Some((_, migration)) = found else {
            return Err(Error::Other(format!(
                "the database has schema {version} ({name}), this program knows up to {}: \
                 run the newer program, or restore an older backup",
                known.len()
            )));
        };
        if *checksum != migration.checksum() {
            return Err(Error::Other(format!(
                "migration {name} of the database is not the one in this program: \
                 they come from different builds"
            )));
        }
    }
    Ok(applied.len() as u64)
}
