//! `config …`: settings on paper.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

use super::exit::{Exit, Failure, Outcome};
use super::flags::ServeFlags;
use super::output::{Output, print};
use crate::config::{Config, FILE_NAME, Shown, commented_file};

#[derive(Subcommand)]
pub enum Command {
    /// Write a file with every setting, explained and commented out
    Init {
        /// Where to; `-` is standard output
        #[arg(default_value = FILE_NAME)]
        file: PathBuf,
        /// Write over a file that is there
        #[arg(long)]
        force: bool,
    },
    /// Show the settings that hold; secrets are hidden
    Show {
        /// Show where each comes from
        #[arg(long)]
        origin: bool,
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        flags: ServeFlags,
    },
    /// Say whether the settings are right, or what is wrong and where
    Check {
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        flags: ServeFlags,
    },
}

pub fn run(command: Command) -> Outcome {
    match command {
        Command::Init { file, force } => init(file, force),
        Command::Show { origin, output, flags } => {
            let shown = Shown::new(&flags.read()?)?;
            let json = shown.to_json(origin);
            output.tell(&json, || shown.to_toml(origin).trim_end().to_owned());
            Ok(())
        }
        Command::Check { output, flags } => {
            let given = flags.read()?;
            Config::new(&given)?;
            let json = json!({ "valid": true, "warnings": given.warnings });
            output.tell(&json, || "the settings are right".to_owned());
            Ok(())
        }
    }
}

fn init(file: PathBuf, force: bool) -> Outcome {
    let text = commented_file();
    if file.as_os_str() == "-" {
        print(text.trim_end());
        return Ok(());
    }
    let mut options = OpenOptions::new();
    // A secret may be written into it.
    options.write(true).mode(0o600);
    match force {
        true => options.create(true).truncate(true),
        false => options.create_new(true),
    };
    let written = options.open(&file).and_then(|mut opened| opened.write_all(text.as_bytes()));
    written.map_err(|error| {
        let exit = Failure::from(std::io::Error::from(error.kind())).exit;
        let hint = if exit == Exit::Conflict { " (--force writes over it)" } else { "" };
        Failure::new(exit, format!("{}: {error}{hint}", file.display()))
    })?;
    print(&format!("wrote {}", file.display()));
    Ok(())
}
