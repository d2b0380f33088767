//! `import`: into the store what another one, or the original backend, had.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::beside::on_store;
use super::exit::{Exit, Failure, Outcome};
use super::flags::AdminFlags;
use super::output::Output;
use super::progress::{Progress, Unit};
use crate::app;
use crate::config::Config;
use crate::moving::{self, Feed, Summary};
use crate::store::check_database_url;

const READ_BYTES: usize = 1 << 16;

const EXAMPLES: &str = "A session comes in whole or not at all; what is there already is compared \
    and never changed. So an import that was interrupted is run again, and a second run changes \
    nothing. What can't come in is told in a line each on standard error, stops nothing else, and \
    makes the command end with 6.\n\n\
    Examples:\n  \
    assistdeck import all.jsonl\n  \
    assistdeck import all.jsonl --database-url postgres://db.example/assistdeck 2> report.txt\n  \
    assistdeck import --from-legacy postgres://reader@db.example/original 2> report.txt";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Import {
    /// What `assistdeck export` wrote; `-` is standard input
    #[arg(required_unless_present_any = ["from_legacy", "from_legacy_file"])]
    file: Option<PathBuf>,
    /// Take in the original backend's PostgreSQL database, which is only read: its users,
    /// sessions, participants and messages. Passwords go on to work
    #[arg(long, value_name = "URL", conflicts_with_all = ["file", "from_legacy_file"])]
    from_legacy: Option<String>,
    /// The same, with the address in a file, where the password is not seen by others
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    from_legacy_file: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    flags: AdminFlags,
}

pub fn run(import: Import) -> Outcome {
    let config = import.flags.config()?;
    let (summary, outcome) = on_store(async {
        let address = match &import.from_legacy_file {
            Some(path) => Some(std::fs::read_to_string(path).map_err(|error| named(path, error))?),
            None => import.from_legacy,
        };
        match (address, &import.file) {
            (Some(url), _) => {
                let url = url.trim_end_matches(['\r', '\n']);
                check_database_url(url)
                    .map_err(|what| Failure::new(Exit::Usage, format!("--from-legacy: {what}")))?;
                let tables = app::open_original(url).await?;
                let mut feed = moving::original::Original::new(tables);
                take(&config, &mut feed, Unit::Records).await
            }
            (None, Some(path)) => {
                let mut feed = file(path)?;
                take(&config, feed.as_mut(), Unit::Bytes).await
            }
            (None, None) => Err(Failure::new(Exit::Usage, "name a file, or --from-legacy")),
        }
    })?;
    end(import.output, summary, outcome)
}

/// The file, of which the first line was read.
fn file(path: &Path) -> Outcome<Box<dyn Feed>> {
    if path.as_os_str() == "-" {
        let input = BufReader::with_capacity(READ_BYTES, io::stdin());
        return Ok(Box::new(moving::file::File::open(input, None)?));
    }
    let opened = File::open(path).map_err(|error| named(path, error))?;
    let size = opened.metadata().map_err(|error| named(path, error))?;
    let input = BufReader::with_capacity(READ_BYTES, opened);
    let file = moving::file::File::open(input, size.is_file().then_some(size.len()));
    file.map(|file| Box::new(file) as Box<dyn Feed>).map_err(|error| named(path, error))
}

/// A failure that names its file.
fn named(path: &Path, error: impl Into<Failure>) -> Failure {
    let Failure { exit, message } = error.into();
    Failure::new(exit, format!("{}: {message}", path.display()))
}

async fn take(
    config: &Config,
    feed: &mut dyn Feed,
    unit: Unit,
) -> Outcome<(Summary, Result<(), moving::Error>)> {
    let target = app::open_target(config).await?;
    let mut progress = Progress::new(feed.size(), unit);
    let done = moving::run(feed, target, &mut progress).await;
    progress.end();
    Ok(done)
}

/// Says what came of it.
fn end(output: Output, summary: Summary, outcome: Result<(), moving::Error>) -> Outcome {
    let Summary { read, tally, left_out, troubles, notes, store } = summary;
    let refused = tally.refused.plus(left_out);
    if let Err(error) = outcome {
        eprintln!("it ended early; stored {}", tally.stored);
        return Err(error.into());
    }
    let json = json!({
        "read": read, "stored": tally.stored, "already_there": tally.present,
        "left_out": refused, "left_out_lines": troubles, "changed_lines": notes, "store": store,
    });
    output.tell(&json, || {
        let mut text =
            format!("read {read}\nstored {}\nalready there {}", tally.stored, tally.present);
        if troubles > 0 {
            text.push_str(&format!("\nleft out {refused}, as told in {troubles} lines"));
        }
        if notes > 0 {
            text.push_str(&format!("\nchanged something, as told in {notes} lines"));
        }
        text + &format!("\nthe store has {store}")
    });
    match troubles {
        0 => Ok(()),
        _ => Err(Failure::new(Exit::Partly, "not everything came in: see the lines above")),
    }
}
