//! The settings as flags, made from the one list in `config::settings`.
//!
//! [`ServeFlags`] has them all; [`AdminFlags`] has what a command beside the server needs, the
//! rest coming from the environment and the file as always.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches};

use super::exit::Outcome;
use crate::config::settings::{SETTINGS, Setting};
use crate::config::{Config, Given, Sources};

/// Settings that commands beside the server take as flags.
const ADMIN: [&str; 3] = ["data_dir", "database_url", "jwt_secret"];
const CONFIG: &str = "config";
/// Settings whose help begins so are there to be refused with a sentence.
const RESERVED: &str = "Reserved";

/// Flags of a command. `ALL`: every setting.
#[derive(Clone, Debug, Default)]
pub struct Flags<const ALL: bool> {
    file: Option<PathBuf>,
    given: Vec<(String, Vec<String>)>,
}

/// Every setting.
pub type ServeFlags = Flags<true>;
/// What a command beside the server needs.
pub type AdminFlags = Flags<false>;

impl<const ALL: bool> Flags<ALL> {
    /// Everything that was given, in flags, environment and file. Warnings go to standard error.
    pub fn read(self) -> Outcome<Given> {
        // A variable that is no UTF-8 can be none of ours.
        let variables = std::env::vars_os()
            .filter_map(|(name, text)| Some((name.into_string().ok()?, text.into_string().ok()?)));
        let environment: Vec<(String, String)> = variables.collect();
        let given = Sources { file: self.file, environment, flags: self.given }.read()?;
        for warning in &given.warnings {
            eprintln!("assistdeck: warning: {warning}");
        }
        Ok(given)
    }

    /// The configuration that comes of it.
    pub fn config(self) -> Outcome<Config> {
        Ok(Config::new(&self.read()?)?)
    }

    fn settings() -> impl Iterator<Item = &'static Setting> {
        SETTINGS.iter().filter(|setting| ALL || ADMIN.contains(&setting.name))
    }
}

impl<const ALL: bool> Args for Flags<ALL> {
    fn augment_args(command: Command) -> Command {
        let file = Arg::new(CONFIG)
            .long(CONFIG)
            .value_name("FILE")
            .env("ASSISTDECK_CONFIG")
            .hide_env_values(true)
            .value_parser(clap::value_parser!(PathBuf))
            .help("The file with settings; ./assistdeck.toml, if it is there, when not named")
            .help_heading("Settings");
        Self::settings().fold(command.arg(file), |command, setting| {
            let command = command.arg(flag(setting));
            if setting.is_secret { command.arg(file_flag(setting)) } else { command }
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<const ALL: bool> FromArgMatches for Flags<ALL> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.file = matches.get_one::<PathBuf>(CONFIG).cloned();
        for setting in Self::settings() {
            let file = setting.is_secret.then(|| format!("{}_file", setting.name));
            for name in std::iter::once(setting.name.to_owned()).chain(file) {
                if let Some(texts) = matches.get_many::<String>(&name) {
                    self.given.push((name, texts.cloned().collect()));
                }
            }
        }
        Ok(())
    }
}

fn flag(setting: &'static Setting) -> Arg {
    let meaning = setting.meaning.replace('\n', " ");
    let mut notes = Vec::new();
    if let Some(default) = setting.default {
        notes.push(format!("[default: {}]", default.replace('"', "")));
    }
    notes.push(format!("[env: {}]", setting.variable()));
    let arg = Arg::new(setting.name)
        .long(setting.flag())
        .value_name(setting.value)
        .help(meaning.clone())
        .long_help(format!("{meaning} {}", notes.join(" ")))
        .hide(setting.meaning.starts_with(RESERVED))
        .help_heading("Settings");
    match setting.value {
        "true|false" => arg.num_args(0..=1).default_missing_value("true"),
        _ if setting.is_list => arg.action(ArgAction::Append),
        _ => arg,
    }
}

fn file_flag(setting: &'static Setting) -> Arg {
    Arg::new(format!("{}_file", setting.name))
        .long(format!("{}-file", setting.flag()))
        .value_name("FILE")
        .help(format!("Reads {} from a file", setting.name))
        .hide(setting.meaning.starts_with(RESERVED))
        .help_heading("Settings")
}
