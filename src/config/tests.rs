//! What holds when a setting is given in several places, and how mistakes are told.

use super::*;

fn given(file: &str, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Given> {
    let mut given = Given::default();
    given.add_file(Path::new("/etc/assistdeck.toml"), file)?;
    let own = |(a, b): &(&str, &str)| ((*a).to_owned(), (*b).to_owned());
    given.add_environment(environment.iter().map(own))?;
    given
        .add_flags(flags.iter().map(|(a, b)| ((*a).to_owned(), vec![(*b).to_owned()])).collect())?;
    Ok(given)
}

fn config(file: &str, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Config> {
    Config::new(&given(file, environment, flags)?)
}

fn error(file: &str) -> String {
    config(file, &[], &[]).expect_err(file).to_string()
}

#[test]
fn the_defaults_are_those_of_the_contract() {
    let config = config("", &[], &[]).expect("valid");
    let listen: Vec<String> = config.listen.iter().map(ToString::to_string).collect();
    assert_eq!(listen, ["127.0.0.1:8080", "[::1]:8080"]);
    assert!(config.listen_is_default && config.registration_open && !config.trust_client_ai_flag);
    assert_eq!(config.data_dir, Path::new("./assistdeck_data"));
    assert_eq!(config.token_ttl, Duration::from_secs(7 * 86_400));
    assert_eq!(config.throttling, Throttling::default());
    assert_eq!(config.frame_bytes_max, protocol::limits::FRAME_BYTES_MAX);
    assert_eq!(config.frame_fragments_max, protocol::limits::FRAME_FRAGMENTS_MAX);
    assert_eq!((config.drain_seconds, config.message_rate_max), (5, 0));
}

#[test]
fn a_flag_goes_before_the_environment_and_that_before_the_file() {
    let file = "drain_seconds = 1\nmessage_rate_max = 1\ntoken_ttl = \"1h\"";
    let environment = [("ASSISTDECK_MESSAGE_RATE_MAX", "2"), ("ASSISTDECK_TOKEN_TTL", "2h")];
    let config = config(file, &environment, &[("token_ttl", "3h")]).expect("valid");
    assert_eq!((config.drain_seconds, config.message_rate_max), (1, 2));
    assert_eq!(config.token_ttl, Duration::from_secs(3 * 3_600));
}

#[test]
fn lists_come_as_arrays_or_with_commas() {
    let file = "trusted_proxies = [\"10.0.0.0/8\", \"::1\"]";
    let environment = [("ASSISTDECK_LISTEN", "127.0.0.1:1, [::1]:2,")];
    let flags = [("allowed_origins", "https://a.example,https://B.example/")];
    let config = config(file, &environment, &flags).expect("valid");
    assert_eq!(config.trusted_proxies.len(), 2);
    assert_eq!(config.listen.len(), 2);
    assert!(!config.listen_is_default);
    assert_eq!(config.allowed_origins, ["https://a.example", "https://b.example"]);
}

#[test]
fn mistakes_are_told_with_their_place() {
    for (file, told) in [
        (
            "\n lissen = 5",
            "/etc/assistdeck.toml:2:2: unknown setting \"lissen\" (is listen meant?)",
        ),
        ("[server]", "/etc/assistdeck.toml:1:2: unknown setting \"server\""),
        ("drain_seconds = ", "/etc/assistdeck.toml:1:17: "),
        ("drain_seconds = 1.5", "/etc/assistdeck.toml:1:17: a value of type float does not fit"),
        ("drain_seconds = 99999", "/etc/assistdeck.toml:1:1: drain_seconds: \"99999\" is no whole"),
        ("token_ttl = \"0s\"", "/etc/assistdeck.toml:1:1: token_ttl: \"0s\" is not between"),
        ("listen = \"here\"", "/etc/assistdeck.toml:1:1: listen: \"here\" is no address and port"),
        ("listen = []", "listen: name one address"),
        ("jwt_secret = \"short\"", "/etc/assistdeck.toml:1:1: jwt_secret: is shorter than 32"),
        ("database_url = \"mysql://a\"", "assistdeck.toml:1:1: database_url: begins with neither"),
        ("bus_url = \"redis://a\"", "bus_url: is neither `postgres` nor begins with nats://"),
        ("bus_url = \"nats://a\"", "bus_url: nodes share a PostgreSQL database"),
        (
            "bus_url = \"nats://u:kkk@a:b\"",
            "bus_url: is no address like nats://host:4222 or tls://",
        ),
        ("bus_url = \"postgres\"", "bus_url: nodes share a PostgreSQL database"),
        ("bus_url = \"postgres\"\ndatabase_url = \"postgres://a\"", "the same jwt_secret"),
        ("head_check_interval = \"0s\"", "head_check_interval: \"0s\" is not between 1s and 1h"),
        ("log_level = \"loud\"", "/etc/assistdeck.toml:1:1: log_level: "),
        ("jwt_secret_file = \"gone\"", "/etc/assistdeck.toml:1:1: /etc/gone: "),
        ("drain_seconds = 1\ndrain_seconds = 2", "/etc/assistdeck.toml:2:1: "),
    ] {
        assert!(error(file).contains(told), "{}", error(file));
    }
    let environment = config("", &[("ASSISTDECK_REGISTRATION", "shut")], &[]);
    assert_eq!(
        environment.expect_err("wrong").to_string(),
        "environment ASSISTDECK_REGISTRATION: registration: \"shut\" is neither open nor closed"
    );
}

#[test]
fn an_unknown_variable_is_a_warning() {
    let variables = [("ASSISTDECK_LISSEN", "5"), ("ASSISTDECK_CONFIG", "x"), ("HOME", "/")];
    let given = given("", &variables, &[]).expect("valid");
    assert_eq!(given.warnings, ["the environment variable ASSISTDECK_LISSEN is unknown"]);
}

#[test]
fn secrets_come_from_files_too_and_are_never_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("key");
    std::fs::write(&path, format!("{}\n", "k".repeat(32))).expect("written");
    let path = path.to_string_lossy().into_owned();
    let with_file = [("ASSISTDECK_JWT_SECRET_FILE", path.as_str())];
    let given = given("", &with_file, &[]).expect("valid");
    let with_secret = Config::new(&given).expect("valid");
    assert_eq!(with_secret.jwt_secret.as_ref().expect("given").expose(), [b'k'; 32]);
    let shown = Shown::new(&given).expect("valid");
    let database = config("database_url = \"postgres://u:kkk@h/d\"", &[], &[]).expect("valid");
    assert_eq!(database.database_url.as_ref().expect("given").expose(), "postgres://u:kkk@h/d");
    let nats = "database_url = \"postgres://a\"\nbus_url = \"nats://u:kkk@h\"";
    let key = [("jwt_secret", "j".repeat(32))];
    let flags: Vec<(&str, &str)> = key.iter().map(|(name, text)| (*name, &**text)).collect();
    let nats = config(nats, &[], &flags).expect("valid");
    for text in [
        format!("{with_secret:?} {database:?} {nats:?}"),
        shown.to_toml(true),
        shown.to_json(true).to_string(),
    ] {
        assert!(!text.contains("kkk"), "{text}");
    }
    let both = [with_file[0], ("ASSISTDECK_JWT_SECRET", "x")];
    let error = super::tests::given("", &both, &[]).err().expect("given twice").to_string();
    assert!(error.contains("give either jwt_secret or jwt_secret_file"), "{error}");
}

#[test]
fn what_is_shown_means_the_same_again() {
    let flags = [("listen", "0.0.0.0:1"), ("registration", "closed"), ("drain_seconds", "7")];
    let shown = Shown::new(&given("", &[], &flags).expect("valid")).expect("valid");
    let again = config(&shown.to_toml(true), &[], &[]).expect("valid");
    assert_eq!(again.listen, ["0.0.0.0:1".parse().expect("an address")]);
    assert_eq!((again.registration_open, again.drain_seconds), (false, 7));
    let json = shown.to_json(true);
    assert_eq!(json["drain_seconds"]["value"], 7);
    assert_eq!(json["drain_seconds"]["origin"], "flag --drain-seconds");
    assert_eq!(shown.to_json(false)["token_ttl"], "7d");
}

#[test]
fn the_commented_file_is_valid_with_and_without_its_comments() {
    let file = commented_file();
    assert!(config(&file, &[], &[]).is_ok());
    let reserved = ["#database_url_file", "#bus_url", "#jwt_secret"];
    let bare: String = file
        .lines()
        .filter(|line| !reserved.iter().any(|name| line.starts_with(name)))
        .map(|line| match line.strip_prefix('#') {
            Some(setting) if !setting.starts_with(' ') => format!("{setting}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let config = config(&bare, &[], &[]).expect("valid");
    assert_eq!(config.token_audience.as_deref(), Some("chat"));
    assert!(file.lines().all(|line| line.chars().count() <= 100));
}

#[test]
fn a_named_file_must_be_there() {
    let sources = Sources { file: Some("/nowhere/a.toml".into()), ..Sources::default() };
    assert!(sources.read().err().expect("missing").to_string().starts_with("/nowhere/a.toml: "));
}

/// The table of docs/operations.md, out of the list that everything else comes from.
fn documented() -> String {
    let cell = |text: &str| text.replace('\n', " ").replace('|', "\\|");
    let rows = settings::SETTINGS.iter().map(|setting| {
        let name = match setting.is_secret {
            true => format!("`{0}`, `{0}_file`", setting.name),
            false => format!("`{}`", setting.name),
        };
        let default = setting.default.map_or("none".to_owned(), |text| format!("`{text}`"));
        format!("| {name} | {default} | {} |\n", cell(setting.meaning))
    });
    format!("| setting | default | meaning |\n|---|---|---|\n{}", rows.collect::<String>())
}

#[test]
fn the_documentation_tells_every_setting() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md");
    let text = std::fs::read_to_string(path).expect("docs/operations.md");
    let table = documented();
    assert!(text.contains(&table), "docs/operations.md should contain this table:\n{table}");
}
