//! The command line of the shipped binary: what it prints, how it ends, and what it does beside a
//! running server.

#[path = "support/call.rs"]
mod call;
#[path = "support/postgres.rs"]
mod postgres;
#[path = "support/process.rs"]
mod process;

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use call::{call, login};
use postgres::Cluster;
use process::{Launch, ServerProcess};
use serde_json::{Value, json};
use tempfile::TempDir;
use tungstenite::protocol::CloseFrame;
use tungstenite::{Message, WebSocket};

const WORD: &str = "correct horse";
/// A server hears of a revocation within about a second; a loaded machine may take longer.
const HEARS_WITHIN: Duration = Duration::from_secs(15);

/// How a command ended.
struct Ended {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Ended {
    fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{}", self.stderr);
        serde_json::from_str(&self.stdout).expect(&self.stdout)
    }
}

/// Runs a command in a folder, with the folder's `data`, and waits for its end.
fn run(folder: &Path, line: &str, stdin: &str) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_assistdeck"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ASSISTDECK_") || name == "RUST_LOG" {
            command.env_remove(name);
        }
    }
    command.env("ASSISTDECK_DATA_DIR", folder.join("data")).current_dir(folder);
    command.args(line.split_whitespace());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary starts");
    // A command that does not read its input may have ended already.
    let _ = child.stdin.take().expect("piped").write_all(stdin.as_bytes());
    let output = child.wait_with_output().expect("it ends");
    Ended {
        code: output.status.code().expect("no signal ended it"),
        stdout: String::from_utf8(output.stdout).expect("UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

/// A folder with a server that runs in it.
fn served() -> (TempDir, ServerProcess) {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Launch::serve(folder.path()).start();
    (folder, server)
}

fn create(folder: &Path, email: &str) -> Value {
    let line = format!("user create {email} --name Ada --password-stdin --json");
    run(folder, &line, WORD).json()
}

fn issue(folder: &Path, user: &str) -> String {
    let issued = run(folder, &format!("token issue {user}"), "");
    assert_eq!(issued.code, 0, "{}", issued.stderr);
    issued.stdout.trim().to_owned()
}

fn profile(server: &ServerProcess, token: &str) -> (u16, Value) {
    call(server, "GET /api/users/profile", token, &Value::Null)
}

/// A socket on a session of the token's user.
fn socket(server: &ServerProcess, token: &str) -> WebSocket<TcpStream> {
    let (status, session) =
        call(server, "POST /api/chat/sessions", token, &json!({"title": "a session"}));
    assert_eq!(status, 201, "{session}");
    let host = server.url().strip_prefix("http://").expect("http");
    let stream = TcpStream::connect(host).expect("it listens");
    stream.set_read_timeout(Some(HEARS_WITHIN)).expect("set");
    let id = session["id"].as_str().expect("an id");
    let url = format!("ws://{host}/ws?session_id={id}&token={token}");
    tungstenite::client(url, stream).expect("upgraded").0
}

/// The code with which the server closes a socket.
fn close_code(socket: &mut WebSocket<TcpStream>) -> u16 {
    loop {
        match socket.read().expect("a frame in time") {
            Message::Close(Some(CloseFrame { code, .. })) => return code.into(),
            Message::Close(None) => panic!("closed without a code"),
            _ => {}
        }
    }
}

#[test]
fn accounts_made_beside_a_server_work_there() {
    let (folder, server) = served();
    let ada = create(folder.path(), "ada@b.example");
    assert_eq!((&ada["kind"], &ada["name"]), (&json!("human"), &json!("Ada")));
    let (status, signed_in) = login(&server, "Ada@b.example", WORD);
    assert_eq!((status, &signed_in["user"]["id"]), (200, &ada["id"]));
    let made =
        run(folder.path(), "user create b@b.example --name B --generate-password --json", "");
    let word = made.json()["password"].as_str().expect("it is told").to_owned();
    assert_eq!(login(&server, "b@b.example", &word).0, 200);
    let agent = run(folder.path(), "agent create Summary --json", "").json();
    let token = issue(folder.path(), agent["id"].as_str().expect("an id"));
    let (status, user) = profile(&server, &token);
    assert_eq!((status, &user["kind"]), (200, &json!("agent")));
    let listed = run(folder.path(), "user list --json", "").json();
    let emails: Vec<&Value> =
        listed.as_array().expect("a list").iter().map(|user| &user["email"]).collect();
    assert_eq!(emails, [&ada["email"], &json!("b@b.example"), &agent["email"]]);
    assert!(run(folder.path(), "user list", "").stdout.contains("ada@b.example  Ada"));
}

#[test]
fn a_disabled_user_is_out_at_once_and_sockets_end_with_4501() {
    let (folder, server) = served();
    create(folder.path(), "ada@b.example");
    let token = issue(folder.path(), "ada@b.example");
    let mut socket = socket(&server, &token);
    let disabled = run(folder.path(), "user disable ada@b.example --json", "").json();
    assert_eq!(disabled["disabled"], true);
    assert_eq!(close_code(&mut socket), 4501);
    assert_eq!(profile(&server, &token).0, 401);
    assert_eq!(login(&server, "ada@b.example", WORD).0, 401);
    let refused = run(folder.path(), "token issue ada@b.example", "");
    assert_eq!((refused.code, refused.stdout.as_str()), (1, ""));
    assert_eq!(run(folder.path(), "user enable ada@b.example", "").code, 0);
    assert_eq!(profile(&server, &token).0, 401, "old tokens stay ended");
    assert_eq!(login(&server, "ada@b.example", WORD).0, 200);
}

#[test]
fn a_reset_password_ends_tokens_and_sockets() {
    let (folder, server) = served();
    create(folder.path(), "ada@b.example");
    let token = issue(folder.path(), "ada@b.example");
    let mut socket = socket(&server, &token);
    let reset =
        run(folder.path(), "user reset-password ada@b.example --password-stdin", "new horse\n");
    assert_eq!(reset.code, 0, "{}", reset.stderr);
    assert_eq!(close_code(&mut socket), 4501);
    assert_eq!(profile(&server, &token).0, 401);
    assert_eq!(login(&server, "ada@b.example", WORD).0, 401);
    assert_eq!(login(&server, "ada@b.example", "new horse").0, 200);
}

#[test]
fn a_revoked_token_ends_alone() {
    let (folder, server) = served();
    create(folder.path(), "ada@b.example");
    let (one, other) =
        (issue(folder.path(), "ada@b.example"), issue(folder.path(), "ada@b.example"));
    let mut socket = socket(&server, &one);
    let revoked = run(folder.path(), "token revoke --stdin", &one);
    assert_eq!(revoked.code, 0, "{}", revoked.stderr);
    assert_eq!(close_code(&mut socket), 4501);
    assert_eq!(profile(&server, &one).0, 401);
    assert_eq!(profile(&server, &other).0, 200);
    let mut socket = self::socket(&server, &other);
    assert_eq!(run(folder.path(), "token revoke --user ada@b.example", "").code, 0);
    assert_eq!(close_code(&mut socket), 4501);
    assert_eq!(profile(&server, &other).0, 401);
    let short = run(folder.path(), "token issue ada@b.example --ttl 1h --json", "").json();
    assert_eq!(profile(&server, short["token"].as_str().expect("a token")).0, 200);
}

#[test]
fn neither_tokens_nor_passwords_reach_the_log_or_other_eyes() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Launch::serve(folder.path()).args(["--log-level", "trace"]).start();
    create(folder.path(), "ada@b.example");
    let token = issue(folder.path(), "ada@b.example");
    assert_eq!(profile(&server, &token).0, 200);
    assert_eq!(profile(&server, &format!("{token}x")).0, 401);
    assert_eq!(login(&server, "ada@b.example", "a wrong horse").0, 401);
    assert_eq!(login(&server, "ada@b.example", WORD).0, 200);
    drop(socket(&server, &token));
    let log = server.log();
    let signature = token.rsplit_once('.').expect("three parts").1;
    for secret in [&token, signature, WORD, "wrong horse", "session_id="] {
        assert!(!log.contains(secret), "{secret:?} is in the log");
    }
    assert!(log.contains("signature"), "why a token was refused is told there: {log}");
    for entry in fs::read_dir(folder.path().join("data")).expect("a folder") {
        let entry = entry.expect("an entry");
        let mode = entry.metadata().expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{:?}", entry.path());
    }
    let mode = fs::metadata(folder.path().join("data")).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn exit_codes_tell_what_happened() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    assert_eq!(run(folder, "user list", "").code, 3, "no data folder");
    create(folder, "ada@b.example");
    for (line, stdin, code) in [
        ("user list", "", 0),
        ("--version", "", 0),
        ("user list --help", "", 0),
        ("--no-such-flag", "", 2),
        ("user create c@b.example --name C --password secret-in-argv", "", 2),
        ("user create c@b.example --name C", "", 2),
        ("user create c@b.example --name C --password-stdin", "short", 2),
        ("user create c@b.example --name C --password-stdin", "password1", 2),
        ("user create no-email --name C --generate-password", "", 2),
        ("user create ADA@b.example --name C --generate-password", "", 4),
        ("user disable nobody@b.example", "", 3),
        ("user reset-password nobody@b.example --generate-password", "", 3),
        ("token issue nobody@b.example", "", 3),
        ("token issue ada@b.example --ttl never", "", 2),
        ("token revoke --stdin", "no token", 2),
        ("token revoke", "", 2),
        ("backup verify missing.db", "", 3),
        ("health --url http://127.0.0.1:1", "", 5),
        ("serve --drain-seconds soon", "", 2),
        ("serve --database-url mysql://a", "", 2),
        ("config check --database-url postgres://u:p@h/d?sslmode=prefer", "", 2),
        ("config check --database-url postgres://u:p@h/d?colour=red", "", 2),
        ("config check --database-url postgres://u:p@h:x/d", "", 2),
        ("import missing.jsonl", "", 3),
        ("serve --config missing.toml", "", 2),
        ("serve --listen 127.0.0.1", "", 2),
    ] {
        let ended = run(folder, line, stdin);
        assert_eq!(ended.code, code, "{line}: {}", ended.stderr);
        if code != 0 {
            assert!(!ended.stderr.trim().is_empty() && ended.stdout.is_empty(), "{line}");
        }
    }
    assert_eq!(fs::read_dir(folder).expect("a folder").count(), 1, "nothing else was made");
}

#[test]
fn one_server_at_a_time_and_health_tells() {
    let (folder, server) = served();
    let ready = run(folder.path(), &format!("health --json --url {}", server.url()), "").json();
    assert_eq!((&ready["ready"], &ready["status"]), (&json!(true), &json!(200)));
    let second = run(folder.path(), "serve --listen 127.0.0.1:0", "");
    assert_eq!(second.code, 5, "{}", second.stderr);
    assert!(second.stderr.contains("another server uses the data folder"), "{}", second.stderr);
    let listen = server.url().strip_prefix("http://").expect("http").to_owned();
    let by_setting = format!("health --listen {listen}");
    assert_eq!(run(folder.path(), &by_setting, "").code, 0);
    let elsewhere = format!("serve --listen {listen} --data-dir other");
    assert_eq!(run(folder.path(), &elsewhere, "").code, 5, "the address is taken");
    assert!(server.stop().success());
    assert_eq!(run(folder.path(), &by_setting, "").code, 5);
}

#[test]
fn a_backup_made_beside_a_server_can_be_put_back_when_it_is_stopped() {
    let (folder, server) = served();
    let folder = folder.path();
    create(folder, "ada@b.example");
    let token = issue(folder, "ada@b.example");
    let session = call(&server, "POST /api/chat/sessions", &token, &json!({"title": "a"})).1;
    let made = run(folder, "backup create copy.db --json", "").json();
    assert_eq!((&made["users"], &made["sessions"]), (&json!(1), &json!(1)));
    assert_eq!(run(folder, "backup create copy.db", "").code, 4);
    assert_eq!(run(folder, "backup verify copy.db --json", "").json()["users"], 1);
    create(folder, "later@b.example");
    assert_eq!(run(folder, "backup restore copy.db", "").code, 5, "a server runs");
    assert!(server.stop().success());
    let restored = run(folder, "backup restore copy.db --json", "").json();
    assert!(Path::new(restored["replaced"].as_str().expect("kept")).is_file());
    let server = Launch::serve(folder).start();
    assert_eq!(login(&server, "later@b.example", WORD).0, 401, "the copy is older");
    let path = format!("GET /api/chat/sessions/{}", session["id"].as_str().expect("an id"));
    let (status, again) = call(&server, &path, &token, &Value::Null);
    assert_eq!(status, 200);
    assert_ne!(again["epoch"], session["epoch"], "its numbers mean something else now");
    let renewed = run(folder, "epoch renew --json", "").json();
    assert_ne!(renewed["epoch"], again["epoch"]);
}

#[test]
fn settings_are_written_checked_and_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    assert_eq!(run(folder, "config init", "").code, 0);
    assert_eq!(run(folder, "config init", "").code, 4);
    assert_eq!(run(folder, "config init --force", "").code, 0);
    assert!(run(folder, "config init -", "").stdout.contains("#listen = "));
    assert_eq!(run(folder, "config check --json", "").json()["valid"], true);
    let file = folder.join("assistdeck.toml");
    fs::write(&file, "registration = \"closed\"\ndrain_second = 5\n").expect("written");
    for line in ["config check", "config show", "serve", "user list"] {
        let wrong = run(folder, line, "");
        assert_eq!(wrong.code, 2);
        let told =
            "assistdeck.toml:2:1: unknown setting \"drain_second\" (is drain_seconds meant?)";
        assert!(wrong.stderr.contains(told), "{}", wrong.stderr);
    }
    fs::write(&file, "registration = \"closed\"\njwt_secret_file = \"key\"\n").expect("written");
    fs::write(folder.join("key"), "k".repeat(40)).expect("written");
    let shown = run(folder, "config show --origin --json --drain-seconds 9", "").json();
    assert_eq!(shown["registration"]["origin"], "assistdeck.toml:1:1");
    assert_eq!(shown["drain_seconds"], json!({"value": 9, "origin": "flag --drain-seconds"}));
    assert_eq!(shown["data_dir"]["origin"], "environment ASSISTDECK_DATA_DIR");
    assert_eq!(shown["jwt_secret"]["value"], "(hidden)");
    assert!(!shown.to_string().contains("kkk"));
}

#[test]
fn a_given_secret_is_the_one_that_opens_the_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = "a host application's own secret!";
    fs::write(folder.path().join("key"), format!("{key}\n")).expect("written");
    let server = Launch::serve(folder.path()).args(["--jwt-secret-file", "key"]).start();
    let id = "01a203f3-50a8-7117-833d-add96ff5853a";
    let claims = json!({"sub": id, "email": "host@b.example", "exp": 4_102_444_800_u64});
    let signing = jsonwebtoken::EncodingKey::from_secret(key.as_bytes());
    let token = jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &signing);
    let (status, user) = profile(&server, &token.expect("signed"));
    assert_eq!((status, &user["id"], &user["name"]), (200, &json!(id), &json!("host")));
    assert!(!folder.path().join("data/jwt_secret").exists());
}

#[test]
fn server_and_commands_work_on_postgresql_and_say_what_is_wrong_with_it() {
    let mut cluster = Cluster::start();
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let settings = |url: &str| {
        let text = format!("database_url = {url:?}\n");
        fs::write(folder.join("assistdeck.toml"), text).expect("written");
    };
    settings(&cluster.url());
    let user = create(folder, "ada@b.example");
    let server = Launch::serve(folder).start();
    assert!(!folder.join("data/assistdeck.db").exists());
    let (status, signed) = login(&server, "ada@b.example", WORD);
    assert_eq!((status, &signed["user"]["id"]), (200, &user["id"]));
    let token = signed["token"].as_str().expect("a token").to_owned();
    assert_eq!(run(folder, "user list --json", "").json()[0]["email"], "ada@b.example");
    let second = run(folder, "serve --listen 127.0.0.1:0", "");
    assert_eq!(second.code, 5);
    assert!(second.stderr.contains("another server uses this database"), "{}", second.stderr);
    let backup = run(folder, "backup create copy.db", "");
    assert_eq!(backup.code, 2);
    assert!(backup.stderr.contains("pg_dump"), "{}", backup.stderr);

    let health = || run(folder, &format!("health --url {}", server.url()), "").code;
    assert_eq!(health(), 0);
    cluster.stop();
    wait_for("the server knows", || health() == 5);
    assert_eq!(run(folder, "user list", "").code, 5);
    let body = json!({"title": "t"});
    let (status, answer) = call(&server, "POST /api/chat/sessions", &token, &body);
    assert_eq!((status, &answer["code"]), (503, &json!("unavailable")));
    cluster.run();
    wait_for("the server is well again", || health() == 0);
    assert_eq!(call(&server, "POST /api/chat/sessions", &token, &body).0, 201);
    assert!(server.stop().success());

    settings("postgres://u:secret@127.0.0.1:1/d");
    let away = run(folder, "serve --listen 127.0.0.1:0", "");
    assert_eq!(away.code, 5);
    assert!(away.stderr.contains("can't connect to PostgreSQL at 127.0.0.1"), "{}", away.stderr);
    assert!(!away.stderr.contains("secret"), "{}", away.stderr);
}

fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = std::time::Instant::now() + HEARS_WITHIN;
    while !is_so() {
        assert!(std::time::Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
