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
use crate::bus::nats::Address;
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

/// Text that must not be shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(String);

impl Hidden {
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// How nodes hear of each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BusKind {
    /// LISTEN and NOTIFY on the database.
    Postgres,
    /// A NATS server, or several of one cluster.
    Nats(Address),
}

/// All settings, checked. The fields are named as the settings are.
#[derive(Clone, Debug)]
pub struct Config {
    pub listen: Vec<SocketAddr>,
    /// Nobody named an address: one that this machine does not have (IPv6, say) is no error.
    pub listen_is_default: bool,
    pub data_dir: PathBuf,
    /// PostgreSQL; none: the embedded database in the data folder.
    pub database_url: Option<Hidden>,
    /// None: the node is alone on its store.
    pub bus: Option<BusKind>,
    /// Between two looks at the heads of all followed sessions.
    pub head_check_interval: Duration,
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
        let config = Self {
            listen: list(given, "listen", values::address)?,
            listen_is_default: given.get("listen").is_none(),
            data_dir: one(given, "data_dir", folder)?,
            database_url: maybe(given, "database_url", database_url)?,
            bus: maybe(given, "bus_url", bus)?,
            head_check_interval: one(given, "head_check_interval", head_check_interval)?,
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
        config.checked()
    }

    /// What several settings say together.
    fn checked(self) -> Result<Self> {
        let wrong = |what: &str| Err(Error(what.to_owned()));
        if self.listen.is_empty() {
            return wrong("listen: name one address at least");
        }
        if self.bus.is_some() && self.database_url.is_none() {
            return wrong("bus_url: nodes share a PostgreSQL database: give database_url too");
        }
        if self.bus.is_some() && self.jwt_secret.is_none() {
            return wrong("bus_url: all nodes need the same jwt_secret: give jwt_secret_file");
        }
        Ok(self)
    }

    /// Where the data are, for people.
    #[must_use]
    pub fn data_place(&self) -> String {
        match &self.database_url {
            Some(_) => "PostgreSQL".to_owned(),
            None => self.data_dir.display().to_string(),
        }
    }

    /// What `auth` needs to know. Makes the secret on the first start.
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

/// It may hold a password, so it is not repeated.
fn database_url(text: &str) -> values::Parsed<Hidden> {
    crate::store::check_database_url(text)?;
    Ok(Hidden::new(text))
}

fn bus(text: &str) -> values::Parsed<BusKind> {
    let is_nats = ["nats://", "tls://"].iter().any(|scheme| text.starts_with(scheme));
    match text {
        "postgres" => Ok(BusKind::Postgres),
        _ if is_nats => Address::parse(text).map(BusKind::Nats),
        _ => Err("is neither `postgres` nor begins with nats:// or tls://".to_owned()),
    }
}

fn head_check_interval(text: &str) -> values::Parsed<Duration> {
    let interval = duration(text)?;
    match (1..=3_600).contains(&interval.as_secs()) {
        true => Ok(interval),
        false => Err(format!("{text:?} is not between 1s and 1h")),
    }
}

fn folder(text: &str) -> values::Parsed<PathBuf> {
    not_empty(text).map(PathBuf::from)
}

fn token_ttl(text: &str) -> values::Parsed<Duration> {
    let ttl = duration(text)?;
    match (1..=3_650 * 86_400).contains(&ttl.as_secs()) {
        true => Ok(ttl),
        false => Err(format!("{text:?} is not between 1s and 3650d")),
    }
}
