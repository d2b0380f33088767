//! `export`: a whole store as a file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::beside::{no_folder, on_store};
use super::exit::{Exit, Failure, Outcome};
use super::flags::AdminFlags;
use super::output::Output;
use super::progress::{Progress, Unit};
use crate::store::moving::Counts;
use crate::{app, moving};

const WRITE_BYTES: usize = 1 << 16;

const EXAMPLES: &str = "The file has a line of JSON for each user, session, message, event and \
    member, as of one moment, with password hashes: keep it as you keep a backup. Stop the server \
    before an export that is to be moved: what happens behind that moment is not in it. The \
    secret that signs tokens is not in it either: copy data_dir/jwt_secret, or everybody has to \
    log in again.\n\n\
    Examples:\n  \
    assistdeck export all.jsonl\n  \
    assistdeck export - | assistdeck import - --database-url postgres://db.example/assistdeck";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Export {
    /// A new file; `-` is standard output
    file: PathBuf,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    flags: AdminFlags,
}

pub fn run(export: Export) -> Outcome {
    let config = export.flags.clone().config()?;
    if config.database_url.is_none() && !config.data_dir.is_dir() {
        return Err(no_folder(&config));
    }
    let to_stdout = export.file.as_os_str() == "-";
    if !to_stdout && export.file.exists() {
        let message = format!("{} exists already", export.file.display());
        return Err(Failure::new(Exit::Conflict, message));
    }
    let counts = on_store(async {
        let mut source = app::open_source(&config).await?;
        let mut progress = Progress::new(Some(source.about().counts.total()), Unit::Records);
        let written = match to_stdout {
            true => {
                let mut out = BufWriter::with_capacity(WRITE_BYTES, io::stdout().lock());
                moving::export(source.as_mut(), &mut out, &mut progress).await
            }
            false => {
                let partial = Partial::create(&export.file)?;
                let mut out = BufWriter::with_capacity(WRITE_BYTES, &partial.opened);
                let written = moving::export(source.as_mut(), &mut out, &mut progress).await;
                drop(out);
                written.and_then(|counts| Ok(partial.keep().map(|()| counts)?))
            }
        };
        progress.end();
        let served = source.about().is_served;
        Ok((written?, served))
    })?;
    tell(&export, to_stdout, counts);
    Ok(())
}

fn tell(export: &Export, to_stdout: bool, (counts, is_served): (Counts, bool)) {
    if is_served {
        eprintln!(
            "assistdeck: warning: a server runs: what happens from now on is not in the export, and \
             a store that takes it in begins a new epoch"
        );
    }
    let text = format!("exported {counts}");
    match to_stdout {
        true => eprintln!("{text}"),
        false => {
            let json = json!({ "file": export.file, "counts": counts, "is_served": is_served });
            export.output.tell(&json, || format!("{text} to {}", export.file.display()));
        }
    }
}

/// A file that has its name only when it is whole.
struct Partial {
    opened: File,
    path: PathBuf,
    target: PathBuf,
}

impl Partial {
    fn create(target: &Path) -> io::Result<Self> {
        let mut path = target.as_os_str().to_owned();
        path.push(".partial");
        let path = PathBuf::from(path);
        // Left by an export that was killed.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let named =
            |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let opened = opened.map_err(named)?;
        Ok(Self { opened, path, target: target.to_owned() })
    }

    fn keep(mut self) -> io::Result<()> {
        self.opened.flush()?;
        self.opened.sync_all()?;
        fs::rename(&self.path, &self.target)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Gone already where it was kept.
        let _ = fs::remove_file(&self.path);
    }
}
