//! Every setting, once: its name, its default, what it means.
//!
//! This list is the source of the flags, the environment variables, the keys of the file, the
//! file that `config init` writes and the table in docs/operations.md. What a value must look
//! like is said in `super::values`.

/// A setting as people meet it.
pub struct Setting {
    /// The key of the file. `--data-dir` and `ASSISTDECK_DATA_DIR` are made from it.
    pub name: &'static str,
    /// As it would stand in the file; none: there is no default.
    pub default: Option<&'static str>,
    /// An example for the file where there is no default.
    pub example: &'static str,
    /// Stands for the value in `--help`.
    pub value: &'static str,
    /// A list: an array in the file, commas or repeated flags elsewhere.
    pub is_list: bool,
    /// Never shown; can be read from a file with `_file` behind the name.
    pub is_secret: bool,
    /// In whole sentences, one line or more.
    pub meaning: &'static str,
}

impl Setting {
    const fn new(name: &'static str, value: &'static str, meaning: &'static str) -> Self {
        let (is_list, is_secret) = (false, false);
        Self { name, default: None, example: "", value, is_list, is_secret, meaning }
    }

    const fn default(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }

    const fn example(self, example: &'static str) -> Self {
        Self { example, ..self }
    }

    const fn list(self) -> Self {
        Self { is_list: true, ..self }
    }

    const fn secret(self) -> Self {
        Self { is_secret: true, ..self }
    }

    /// `--data-dir`, without the dashes before it.
    #[must_use]
    pub fn flag(&self) -> String {
        self.name.replace('_', "-")
    }

    /// `ASSISTDECK_DATA_DIR`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("{PREFIX}{}", self.name.to_uppercase())
    }
}

/// Before every variable of ours.
pub const PREFIX: &str = "ASSISTDECK_";

/// All settings, in the order in which people read about them.
pub const SETTINGS: &[Setting] = &[
    Setting::new(
        "listen",
        "ADDRESS:PORT",
        "Where the server listens. Port 0 takes a free one. To be reached from other machines,\n\
         name an address of this one or 0.0.0.0, and put a proxy with TLS before it.",
    )
    .default(r#"["127.0.0.1:8080", "[::1]:8080"]"#)
    .list(),
    Setting::new(
        "data_dir",
        "FOLDER",
        "The folder of the embedded database and the made secret; created with mode 0700. One\n\
         server at a time can use it.",
    )
    .default(r#""./assistdeck_data""#),
    Setting::new(
        "database_url",
        "URL",
        "A PostgreSQL database (15 or newer) in place of the embedded one. Further parameters as\n\
         libpq has them; of TLS, sslmode=disable or verify-full, and sslrootcert.",
    )
    .example(r#""postgres://assistdeck:password@db.example/assistdeck""#)
    .secret(),
    Setting::new(
        "bus_url",
        "URL",
        "How several nodes on one PostgreSQL database hear of each other: `postgres` is LISTEN\n\
         and NOTIFY there; nats://host:4222 or tls://user:password@host:4222 is a NATS server,\n\
         several of one cluster with commas between them. Without it one server at a time can\n\
         use a database.",
    )
    .example(r#""postgres""#)
    .secret(),
    Setting::new(
        "head_check_interval",
        "DURATION",
        "How often a node looks in the database for events that the bus did not tell of.",
    )
    .default(r#""5s""#),
    Setting::new(
        "jwt_secret",
        "TEXT",
        "The key (HS256) of all tokens, 32 bytes at least. Give it when a host application signs\n\
         tokens too; otherwise one is made at the first start and kept in data_dir/jwt_secret.\n\
         Prefer jwt_secret_file: the command line and the environment can be seen by others.",
    )
    .example(r#""...""#)
    .secret(),
    Setting::new("token_ttl", "DURATION", "How long tokens made by this server live, 1s to 3650d.")
        .default(r#""7d""#),
    Setting::new(
        "token_issuer",
        "TEXT",
        "Where set, every token must carry it as `iss`; tokens made here do.",
    )
    .example(r#""https://host.example""#),
    Setting::new(
        "token_audience",
        "TEXT",
        "Where set, every token must carry it in `aud`; tokens made here do. Where not set, a\n\
         token with an `aud` is meant for somebody else and refused.",
    )
    .example(r#""chat""#),
    Setting::new(
        "registration",
        "open|closed",
        "Whether anybody can make an account. When closed, `assistdeck user create` makes them.",
    )
    .default(r#""open""#),
    Setting::new(
        "allowed_origins",
        "ORIGIN",
        "Web pages that may call besides the server's own and those of this machine. \"*\" allows\n\
         every page.",
    )
    .default("[]")
    .example(r#"["https://app.example"]"#)
    .list(),
    Setting::new(
        "trusted_proxies",
        "NETWORK",
        "Addresses or networks of proxies whose X-Forwarded-For is believed.",
    )
    .default("[]")
    .example(r#"["10.0.0.0/8", "::1"]"#)
    .list(),
    Setting::new(
        "trust_client_ai_flag",
        "true|false",
        "Whether people may mark their own messages as an AI's. Otherwise agents' messages are\n\
         marked, and no others.",
    )
    .default("false"),
    Setting::new(
        "message_rate_max",
        "COUNT",
        "Messages that a user can send in a second; 0 is no limit.",
    )
    .default("0"),
    Setting::new(
        "connections_per_user_max",
        "COUNT",
        "WebSockets and event streams of one user; 0 is no limit.",
    )
    .default("0"),
    Setting::new(
        "connections_per_address_max",
        "COUNT",
        "WebSockets and event streams from one address; 0 is no limit.",
    )
    .default("0"),
    Setting::new(
        "frame_bytes_max",
        "BYTES",
        "The largest WebSocket message that is read, after its fragments were put together.",
    )
    .default("524288"),
    Setting::new("frame_fragments_max", "COUNT", "The most fragments of one WebSocket message.")
        .default("65536"),
    Setting::new(
        "login_failures_max",
        "COUNT",
        "Failed logins for one account from one address in 5 minutes; 0 is no limit.",
    )
    .default("10"),
    Setting::new(
        "login_failures_per_address_max",
        "COUNT",
        "Failed logins from one address in 5 minutes; 0 is no limit.",
    )
    .default("300"),
    Setting::new(
        "registrations_per_minute_max",
        "COUNT",
        "Registrations from one address in a minute; 0 is no limit.",
    )
    .default("60"),
    Setting::new(
        "user_lookups_per_minute_max",
        "COUNT",
        "Lookups by email (GET /api/users) of one user in a minute, ten times as many from one\n\
         address; 0 is no limit.",
    )
    .default("600"),
    Setting::new(
        "password_hashes_at_once_max",
        "COUNT",
        "Passwords that are hashed at the same time, 19 MiB each; 0: as many as there are cores.",
    )
    .default("0"),
    Setting::new(
        "password_hashes_waiting_max",
        "COUNT",
        "Passwords that wait to be hashed; who comes when so many wait is told to come back.",
    )
    .default("256"),
    Setting::new(
        "metrics_listen",
        "ADDRESS:PORT",
        "Where GET /metrics answers. It tells nothing of contents, but keep it inside.",
    )
    .example(r#""127.0.0.1:9464""#),
    Setting::new(
        "drain_seconds",
        "SECONDS",
        "How long connections may take to end after SIGTERM, at most.",
    )
    .default("5"),
    Setting::new(
        "log_format",
        "auto|text|json",
        "The form of log lines on standard error; auto: text on a terminal, JSON otherwise.",
    )
    .default(r#""auto""#),
    Setting::new(
        "log_level",
        "LEVEL",
        "error, warn, info, debug or trace, or directives as of RUST_LOG, which goes before this.",
    )
    .default(r#""info""#),
];

/// The setting of that name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

/// The setting that a key of the file speaks of, and whether it names a file to read it from.
#[must_use]
pub fn keyed(key: &str) -> Option<(&'static Setting, bool)> {
    if let Some(setting) = named(key) {
        return Some((setting, false));
    }
    let setting = named(key.strip_suffix("_file")?)?;
    setting.is_secret.then_some((setting, true))
}

/// The name most like a wrong one, if one is like it.
#[must_use]
pub fn nearest(wrong: &str) -> Option<&'static str> {
    let near = SETTINGS.iter().map(|setting| (distance(wrong, setting.name), setting.name));
    near.min().filter(|(distance, name)| *distance <= name.len() / 3).map(|(_, name)| name)
}

/// How many characters differ (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let above = row[j + 1];
            let replaced = diagonal + usize::from(x != y);
            row[j + 1] = replaced.min(above + 1).min(row[j] + 1);
            diagonal = above;
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_for_all_three() {
        let setting = named("data_dir").expect("there");
        assert_eq!(setting.flag(), "data-dir");
        assert_eq!(setting.variable(), "ASSISTDECK_DATA_DIR");
        assert!(keyed("jwt_secret_file").is_some_and(|(_, is_file)| is_file));
        assert!(keyed("listen_file").is_none());
    }

    #[test]
    fn a_slip_of_the_pen_finds_its_name() {
        assert_eq!(nearest("lisen"), Some("listen"));
        assert_eq!(nearest("trusted_proxys"), Some("trusted_proxies"));
        assert_eq!(nearest("colour"), None);
    }
}
