//! What the operator decides: file < environment < flags, read once, then unchangeable.
//!
//! `settings` lists every setting with its meaning, `sources` reads what was given, `values` says
//! what values look like. [`Config`] is what came of it; whoever has one need check nothing. An
//! unknown key of the file is an error with its place; an unknown variable is a warning. Secrets
//! never show in `Debug` or in `config show`.

pub mod settings;
mod show;
mod sources;
mod values;

#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use show::{Shown, commented_file};
pub use sources::{Given, Origin};
pub use values::Network;
pub(crate) use values::duration;

use crate::auth::{AuthSettings, Secret, Throttling, secret};
use sources::Raw;

/// The file that is read when it is there and no other is named.
pub const FILE_NAME: &str = "assistdeck.toml";

/// A setting can't be what it is. The text says where it stood and what is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(String);

/// A configuration, or why it is none.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    fn new(origin: &Origin, what: &str) -> Self {
        Self(format!("{origin}: {what}"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    Text,
    Json,
}

/// All settings, checked. The fields are named as the settings are.
#[derive(Clone, Debug)]
pub struct Config {
    pub listen: Vec<SocketAddr>,
    /// Nobody named an address: one that this machine does not have (IPv6, say) is no error.
    pub listen_is_default: bool,
    pub data_dir: PathBuf,
    pub jwt_secret: Option<Secret>,
    pub token_ttl: Duration,
    pub token_issuer: Option<String>,
    pub token_audience: Option<String>,
    pub registration_open: bool,
    /// As browsers send them; `*` allows all.
    pub allowed_origins: Vec<String>,
    pub trusted_proxies: Vec<Network>,
    pub trust_client_ai_flag: bool,
    /// Per second and user; 0: off.
    pub message_rate_max: u32,
    /// 0: off.
    pub connections_per_user_max: usize,
    /// 0: off.
    pub connections_per_address_max: usize,
    pub frame_bytes_max: usize,
    pub frame_fragments_max: usize,
    pub throttling: Throttling,
    pub metrics_listen: Option<SocketAddr>,
    pub drain_seconds: u64,
    pub log_format: LogFormat,
    pub log_level: String,
}

/// Where a configuration comes from.
#[derive(Default)]
pub struct Sources {
    /// Named by `--config` or `ASSISTDECK_CONFIG`: it must be there.
    pub file: Option<PathBuf>,
    pub environment: Vec<(String, String)>,
    /// By name of the setting.
    pub flags: Vec<(String, Vec<String>)>,
}

impl Sources {
    /// Reads everything that was given. What it means is not judged yet.
    pub fn read(self) -> Result<Given> {
        let mut given = Given::default();
        let path = self.file.as_deref().unwrap_or(Path::new(FILE_NAME));
        match std::fs::read_to_string(path) {
            Ok(text) => given.add_file(path, &text)?,
            Err(error) if self.file.is_none() && error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error(format!("{}: {error}", path.display()))),
        }
        given.add_environment(self.environment)?;
        given.add_flags(self.flags)?;
        Ok(given)
    }
}

impl Config {
    /// Understands what was given. The first thing that is wrong is the error.
    pub fn new(given: &Given) -> Result<Self> {
        refuse_what_is_reserved(given)?;
        let config = Self {
            listen: list(given, "listen", values::address)?,
            listen_is_default: given.get("listen").is_none(),
            data_dir: one(given, "data_dir", folder)?,
            jwt_secret: maybe(given, "jwt_secret", |text| {
                Secret::new(text).ok_or_else(|| "is shorter than 32 bytes".to_owned())
            })?,
            token_ttl: one(given, "token_ttl", token_ttl)?,
            token_issuer: maybe(given, "token_issuer", not_empty)?,
            token_audience: maybe(given, "token_audience", not_empty)?,
            registration_open: one(given, "registration", |text| match text {
                "open" => Ok(true),
                "closed" => Ok(false),
                other => Err(format!("{other:?} is neither open nor closed")),
            })?,
            allowed_origins: list(given, "allowed_origins", values::origin)?,
            trusted_proxies: list(given, "trusted_proxies", str::parse)?,
            trust_client_ai_flag: one(given, "trust_client_ai_flag", values::boolean)?,
            message_rate_max: one(given, "message_rate_max", |t| values::number(t, 0, 1_000_000))?,
            connections_per_user_max: count(given, "connections_per_user_max")?,
            connections_per_address_max: count(given, "connections_per_address_max")?,
            frame_bytes_max: one(given, "frame_bytes_max", |text| {
                values::number(text, 1_024, 1 << 30)
            })?,
            frame_fragments_max: one(given, "frame_fragments_max", |text| {
                values::number(text, 1, 1 << 30)
            })?,
            throttling: throttling(given)?,
            metrics_listen: maybe(given, "metrics_listen", values::address)?,
            drain_seconds: one(given, "drain_seconds", |text| values::number(text, 0, 3_600))?,
            log_format: one(given, "log_format", |text| match text {
                "auto" => Ok(LogFormat::Auto),
                "text" => Ok(LogFormat::Text),
                "json" => Ok(LogFormat::Json),
                other => Err(format!("{other:?} is neither auto, text nor json")),
            })?,
            log_level: one(given, "log_level", crate::logging::check_level)?,
        };
        match config.listen.is_empty() {
            true => Err(Error("listen: name one address at least".to_owned())),
            false => Ok(config),
        }
    }

    /// What `auth` needs to know. Makes the secret on the first start; the data folder is there.
    pub fn auth_settings(&self) -> io::Result<AuthSettings> {
        let secret = match &self.jwt_secret {
            Some(secret) => secret.clone(),
            None => secret::load_or_make(&self.data_dir)?,
        };
        Ok(AuthSettings {
            secret,
            token_ttl: self.token_ttl,
            issuer: self.token_issuer.clone(),
            audience: self.token_audience.clone(),
            registration_open: self.registration_open,
            throttling: self.throttling,
        })
    }
}

fn throttling(given: &Given) -> Result<Throttling> {
    let mut throttling = Throttling::default();
    throttling.failures.max = count(given, "login_failures_max")?;
    throttling.failures_per_address.max = count(given, "login_failures_per_address_max")?;
    throttling.registrations.max = count(given, "registrations_per_minute_max")?;
    throttling.lookups.max = count(given, "user_lookups_per_minute_max")?;
    throttling.lookups_per_address.max = 10 * throttling.lookups.max;
    throttling.hashes_at_once_max =
        one(given, "password_hashes_at_once_max", |text| values::number(text, 0, 1_024))?;
    throttling.hashes_waiting_max =
        one(given, "password_hashes_waiting_max", |text| values::number(text, 1, 65_536))?;
    Ok(throttling)
}

fn refuse_what_is_reserved(given: &Given) -> Result<()> {
    for (name, what) in [
        ("database_url", "this version has its embedded database only; PostgreSQL comes later"),
        ("bus_url", "this version runs as one node; a bus between nodes comes later"),
    ] {
        if let Some(raw) = given.get(name) {
            return Err(Error::new(&raw.origin, &format!("{name} can't be set: {what}")));
        }
    }
    Ok(())
}

/// What was given for a setting, or its default.
fn raw(given: &Given, name: &str) -> Option<Raw> {
    if let Some(raw) = given.get(name) {
        return Some(raw.clone());
    }
    let setting = settings::named(name).expect("the setting is in the list");
    let mut default = Given::default();
    let line = format!("{name} = {}", setting.default?);
    default.add_file(Path::new(""), &line).expect("a default is a value of the file");
    let texts = default.get(name).expect("it was just read").texts.clone();
    Some(Raw { texts, origin: Origin::Default })
}

fn list<T>(given: &Given, name: &str, parse: impl Fn(&str) -> values::Parsed<T>) -> Result<Vec<T>> {
    let raw = raw(given, name).expect("a list has a default");
    let wrong = |what: String| Error::new(&raw.origin, &format!("{name}: {what}"));
    raw.texts.iter().map(|text| parse(text).map_err(wrong)).collect()
}

fn maybe<T>(
    given: &Given,
    name: &str,
    parse: impl Fn(&str) -> values::Parsed<T>,
) -> Result<Option<T>> {
    let Some(raw) = raw(given, name) else { return Ok(None) };
    let wrong = |what: String| Error::new(&raw.origin, &format!("{name}: {what}"));
    parse(&raw.texts.concat()).map(Some).map_err(wrong)
}

fn one<T>(given: &Given, name: &str, parse: impl Fn(&str) -> values::Parsed<T>) -> Result<T> {
    Ok(maybe(given, name, parse)?.expect("the setting has a default"))
}

fn count(given: &Given, name: &str) -> Result<usize> {
    one(given, name, |text| values::number(text, 0, 1_000_000))
}

fn not_empty(text: &str) -> values::Parsed<String> {
    match text.is_empty() {
        true => Err("must not be empty".to_owned()),
        false => Ok(text.to_owned()),
    }
}

fn folder(text: &str) -> values::Parsed<PathBuf> {
    not_empty(text).map(PathBuf::from)
}

fn token_ttl(text: &str) -> values::Parsed<Duration> {
    let ttl = duration(text)?;
    match (60..=3_650 * 86_400).contains(&ttl.as_secs()) {
        true => Ok(ttl),
        false => Err(format!("{text:?} is not between 1m and 3650d")),
    }
}
