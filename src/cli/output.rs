//! What a command says on standard output: lines for people, or one JSON value for programs.

use std::io::Write;

use clap::Args;
use serde_json::Value;

/// How to say it.
#[derive(Args, Clone, Copy)]
pub struct Output {
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

impl Output {
    /// Says one thing.
    pub fn tell(self, json: &Value, text: impl FnOnce() -> String) {
        match self.json {
            true => print(&format!("{json:#}")),
            false => print(&text()),
        }
    }
}

/// A line on standard output. That nobody reads it is no failure.
pub fn print(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}
