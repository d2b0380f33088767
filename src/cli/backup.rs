//! `backup …`: copies of the database. The made secret is not in them.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

use super::beside::no_folder;
use super::exit::{Exit, Failure, Outcome};
use super::flags::AdminFlags;
use super::output::Output;
use crate::config::{Config, LogFormat};
use crate::logging;
use crate::store::sqlite::backup::{self, Contents};

#[derive(Subcommand)]
pub enum Command {
    /// Copy the database into a new file, also while a server runs
    Create {
        file: PathBuf,
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        flags: AdminFlags,
    },
    /// Check a copy and say what is in it
    Verify {
        file: PathBuf,
        #[command(flatten)]
        output: Output,
    },
    /// Put a copy in the database's place; the old one is kept beside it. The server must be
    /// stopped. Clients load their sessions anew
    Restore {
        file: PathBuf,
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        flags: AdminFlags,
    },
}

pub fn run(command: Command) -> Outcome {
    logging::start(LogFormat::Auto, "warn");
    match command {
        Command::Create { file, output, flags } => {
            let config = embedded(flags)?;
            if !config.data_dir.is_dir() {
                return Err(no_folder(&config));
            }
            if file.exists() {
                let message = format!("{} exists already", file.display());
                return Err(Failure::new(Exit::Conflict, message));
            }
            let contents = backup::create(&config.data_dir, &file)?;
            told(output, &file, &contents, None);
        }
        Command::Verify { file, output } => {
            told(output, &file, &backup::verify(existing(&file)?)?, None);
        }
        Command::Restore { file, output, flags } => {
            let config = embedded(flags)?;
            let contents = backup::verify(existing(&file)?)?;
            let kept = backup::restore(&file, &config.data_dir)?;
            told(output, &file, &contents, kept);
        }
    }
    Ok(())
}

/// The settings of a server with the embedded database.
fn embedded(flags: AdminFlags) -> Outcome<Config> {
    let config = flags.config()?;
    match config.database_url {
        None => Ok(config),
        Some(_) => Err(Failure::new(
            Exit::Usage,
            "the data are in PostgreSQL: copy them with its own tools (pg_dump, pg_basebackup), \
             and run `assistdeck epoch renew` after an older copy was put back",
        )),
    }
}

fn existing(file: &PathBuf) -> Outcome<&PathBuf> {
    match file.is_file() {
        true => Ok(file),
        false => Err(Failure::new(Exit::NotFound, format!("there is no file {}", file.display()))),
    }
}

fn told(output: Output, file: &PathBuf, contents: &Contents, kept: Option<PathBuf>) {
    let Contents { schema, users, sessions, messages, bytes } = contents;
    let json = json!({
        "file": file, "schema": schema, "users": users, "sessions": sessions,
        "messages": messages, "bytes": bytes, "replaced": kept,
    });
    output.tell(&json, || {
        let file = file.display();
        let mut text = format!(
            "{file} is good: {users} users, {sessions} sessions, {messages} messages, {bytes} bytes"
        );
        if let Some(kept) = kept {
            text.push_str(&format!("\nthe old database is {}", kept.display()));
        }
        text
    });
}
