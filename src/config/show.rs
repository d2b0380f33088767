//! Settings on paper: the commented file, and what `config show` prints.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::settings::{SETTINGS, Setting};
use super::sources::{Given, Raw};
use super::{Config, Origin, Result};

/// Stands where a secret is.
const HIDDEN: &str = "(hidden)";

/// The file that `config init` writes: every setting with its meaning, each as a comment, so
/// that a default that changes in a later version changes with it.
#[must_use]
pub fn commented_file() -> String {
    let mut file = String::from(
        "# Settings of AssistDeck. Each can be given here, as an environment variable\n\
         # (ASSISTDECK_DATA_DIR) or as a flag (--data-dir); a flag goes before the environment,\n\
         # the environment before this file. `assistdeck config check` says what is wrong here,\n\
         # `assistdeck config show --origin` what holds and why.\n",
    );
    for setting in SETTINGS {
        file.push('\n');
        for line in setting.meaning.lines() {
            let _ = writeln!(file, "# {line}");
        }
        let value = match setting.default {
            Some(default) if setting.example.is_empty() => default,
            _ => setting.example,
        };
        let _ = writeln!(file, "#{} = {value}", setting.name);
        if setting.is_secret {
            let _ = writeln!(file, "#{}_file = \"/path/to/file\"", setting.name);
        }
    }
    file
}

/// What holds, and where it comes from.
pub struct Shown(Vec<(&'static Setting, Option<Raw>)>);

impl Shown {
    /// Of what was given, if it is valid.
    pub fn new(given: &Given) -> Result<Self> {
        Config::new(given)?;
        let held = SETTINGS.iter().map(|setting| (setting, super::raw(given, setting.name)));
        Ok(Self(held.collect()))
    }

    /// As a file that means the same, secrets excepted.
    #[must_use]
    pub fn to_toml(&self, with_origin: bool) -> String {
        let mut text = String::new();
        for (setting, raw) in &self.0 {
            let Some(raw) = raw else { continue };
            let _ = match setting.is_secret {
                true => write!(text, "# {} = {HIDDEN}", setting.name),
                false => write!(text, "{} = {}", setting.name, value(setting, raw)),
            };
            if with_origin {
                let _ = write!(text, "  # {}", raw.origin);
            }
            text.push('\n');
        }
        text
    }

    /// `{"name": {"value": …, "origin": …}}`, or without origins `{"name": value}`.
    #[must_use]
    pub fn to_json(&self, with_origin: bool) -> Value {
        let mut all = Map::new();
        for (setting, raw) in &self.0 {
            let shown = match raw {
                None => Value::Null,
                Some(_) if setting.is_secret => json!(HIDDEN),
                Some(raw) => value(setting, raw),
            };
            let origin = raw.as_ref().map_or(&Origin::Default, |raw| &raw.origin);
            let shown = match with_origin {
                true => json!({"value": shown, "origin": origin.to_string()}),
                false => shown,
            };
            all.insert(setting.name.to_owned(), shown);
        }
        Value::Object(all)
    }
}

/// In JSON, which for these values TOML writes the same way.
fn value(setting: &Setting, raw: &Raw) -> Value {
    if setting.is_list {
        return json!(raw.texts);
    }
    let text = raw.texts.concat();
    // A setting whose default is a bare word or number is written as one.
    match setting.default {
        Some(default) if !default.starts_with('"') => text.parse().unwrap_or_else(|_| json!(text)),
        _ => json!(text),
    }
}
