//! Where values come from: the file, the environment, the flags. Later ones win.
//!
//! A source gives texts and knows where each stood, so that whatever is wrong with one later can
//! be told with its place. Secrets read from files are read here.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::settings::{self, PREFIX, Setting};
use super::{Error, Result};
use crate::auth::secret;

/// Where a value stood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Default,
    File { path: PathBuf, line: usize, column: usize },
    Variable(String),
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line, column } => write!(f, "{}:{line}:{column}", path.display()),
            Self::Variable(name) => write!(f, "environment {name}"),
            Self::Flag(flag) => write!(f, "flag --{flag}"),
        }
    }
}

/// A value before it was understood.
#[derive(Clone)]
pub struct Raw {
    /// One text, or those of a list.
    pub texts: Vec<String>,
    pub origin: Origin,
}

/// What was given, by the name of the setting.
#[derive(Default)]
pub struct Given {
    values: HashMap<&'static str, Raw>,
    /// What was odd, but no reason not to start.
    pub warnings: Vec<String>,
}

impl Given {
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Raw> {
        self.values.get(name)
    }

    /// Adds what the text of a file says.
    pub fn add_file(&mut self, path: &Path, text: &str) -> Result<()> {
        let place = |at: usize| {
            let (line, column) = position(text, at);
            Origin::File { path: path.to_owned(), line, column }
        };
        let table = DeTable::parse(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            Error::new(&place(at), error.message())
        })?;
        let mut seen = HashMap::new();
        for (key, value) in table.get_ref() {
            let origin = place(key.span().start);
            let Some((setting, is_file)) = settings::keyed(key.get_ref()) else {
                return Err(unknown(&origin, key.get_ref()));
            };
            if seen.insert(setting.name, ()).is_some() {
                return Err(Error::new(&origin, &both(setting)));
            }
            let texts = texts_of(setting, value)
                .map_err(|why| Error::new(&place(value.span().start), &why))?;
            // Paths in a file are meant from where the file is.
            let beside = path.parent().unwrap_or(Path::new(""));
            self.put(setting, is_file, texts, (origin, beside))?;
        }
        Ok(())
    }

    /// Adds what the environment says; unknown names of ours are warned of.
    pub fn add_environment(
        &mut self,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<()> {
        let mut seen = HashMap::new();
        for (name, text) in variables {
            let Some(key) = name.strip_prefix(PREFIX).map(str::to_lowercase) else { continue };
            if key == "config" {
                continue;
            }
            let Some((setting, is_file)) = settings::keyed(&key) else {
                self.warnings.push(format!("the environment variable {name} is unknown"));
                continue;
            };
            let origin = Origin::Variable(name);
            if seen.insert(setting.name, ()).is_some() {
                return Err(Error::new(&origin, &both(setting)));
            }
            self.put(setting, is_file, parts(setting, &text), (origin, Path::new("")))?;
        }
        Ok(())
    }

    /// Adds the flags: the name of the setting (or with `_file` behind it) and what was said.
    pub fn add_flags(&mut self, flags: Vec<(String, Vec<String>)>) -> Result<()> {
        let mut seen = HashMap::new();
        for (key, texts) in flags {
            let origin = Origin::Flag(key.replace('_', "-"));
            let (setting, is_file) = settings::keyed(&key)
                .ok_or_else(|| Error::new(&origin, "there is no such setting"))?;
            if seen.insert(setting.name, ()).is_some() {
                return Err(Error::new(&origin, &both(setting)));
            }
            let texts = texts.iter().flat_map(|text| parts(setting, text)).collect();
            self.put(setting, is_file, texts, (origin, Path::new("")))?;
        }
        Ok(())
    }

    fn put(
        &mut self,
        setting: &'static Setting,
        is_file: bool,
        texts: Vec<String>,
        (origin, beside): (Origin, &Path),
    ) -> Result<()> {
        let texts = match is_file {
            true => vec![read_secret(&beside.join(texts.concat()), &origin)?],
            false if setting.name == "data_dir" => {
                vec![beside.join(texts.concat()).to_string_lossy().into_owned()]
            }
            false => texts,
        };
        self.values.insert(setting.name, Raw { texts, origin });
        Ok(())
    }
}

fn read_secret(path: &Path, origin: &Origin) -> Result<String> {
    let unreadable =
        |why: &dyn fmt::Display| Error::new(origin, &format!("{}: {why}", path.display()));
    let secret = secret::read(path).map_err(|error| unreadable(&error))?;
    String::from_utf8(secret.expose().to_vec()).map_err(|_| unreadable(&"is no UTF-8 text"))
}

fn both(setting: &Setting) -> String {
    let name = setting.name;
    format!("{name} is given twice: give either {name} or {name}_file")
}

fn unknown(origin: &Origin, key: &str) -> Error {
    let hint = match settings::nearest(key) {
        Some(name) => format!(" (is {name} meant?)"),
        None => String::new(),
    };
    Error::new(origin, &format!("unknown setting {key:?}{hint}"))
}

/// A list's parts are separated by commas outside of files.
fn parts(setting: &Setting, text: &str) -> Vec<String> {
    match setting.is_list {
        true => {
            let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
            parts.map(str::to_owned).collect()
        }
        false => vec![text.to_owned()],
    }
}

fn texts_of(
    setting: &Setting,
    value: &Spanned<DeValue<'_>>,
) -> std::result::Result<Vec<String>, String> {
    match value.get_ref() {
        DeValue::Array(items) if setting.is_list => {
            items.iter().map(|item| text_of(item.get_ref())).collect()
        }
        DeValue::String(text) => Ok(parts(setting, text)),
        other => text_of(other).map(|text| vec![text]),
    }
}

fn text_of(value: &DeValue<'_>) -> std::result::Result<String, String> {
    match value {
        DeValue::String(text) => Ok(text.clone().into_owned()),
        DeValue::Boolean(value) => Ok(value.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Ok(number.as_str().replace('_', "")),
        other => Err(format!("a value of type {} does not fit here", other.type_str())),
    }
}

/// Line and column, both from 1, of a byte of the text.
fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}
