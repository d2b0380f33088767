//! The data folder while a server runs: who may read it, and that it has one server only. And
//! what the first start tells.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::json;
use tokio::task::block_in_place;

use crate::person::{Person, SECRET};
use crate::process::Launch;
use crate::rest::Rest;
use crate::world::{found_session, start};

/// "The server, its data folder or an address is out of reach or in use."
const EXIT_UNAVAILABLE: i32 = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_server_on_the_same_folder_is_refused_and_the_first_goes_on() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let first = start(&folder);
    let second = block_in_place(|| run(folder.path(), "umask 022", &["serve"]));
    let said = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(EXIT_UNAVAILABLE), "{said}");
    assert!(said.contains("another server uses the data folder"), "{said}");
    assert!(said.contains("data"), "it says which one: {said}");
    let mut rest = Rest::new(first.url(), &Person::new("somebody"));
    found_session(&mut rest, &[]).await;
    // The lock goes with its process, however that ends.
    first.kill9();
    let third = start(&folder);
    assert!(block_in_place(|| third.stop()).success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_else_can_read_what_the_server_keeps() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // A folder that was made too open, by a shell that makes everything too open.
    fs::create_dir(folder.path().join("data")).expect("a folder");
    set_mode(&folder.path().join("data"), 0o777);
    let made = block_in_place(|| run(folder.path(), "umask 000", &["user", "list", "--json"]));
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    check_modes(&folder.path().join("data"));
    // Without a secret in the environment the server makes one, in the folder.
    let server = block_in_place(|| Launch::serve(folder.path()).start());
    let register = json!({
        "name": "Ada", "email": "ada@example.com", "password": "correct horse battery staple",
    });
    let mut rest = Rest::new(server.url(), &Person::new("nobody"));
    rest.post("/api/register", &register).await.expect("an answer").expect(201);
    let files = check_modes(&folder.path().join("data"));
    for part in ["assistdeck.db", "-wal", "-shm", "secret"] {
        assert!(files.iter().any(|file| file.contains(part)), "{part} is not in {files:?}");
    }
    assert!(block_in_place(|| server.stop()).success());
    check_modes(&folder.path().join("data"));
}

#[test]
fn the_first_start_tells_where_it_is_and_keeps_its_secret() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let script = "umask 022; set -m; \"$0\" \"$@\" & \
        for i in $(seq 300); do grep -q '/docs' out && break; sleep 0.1; done; \
        kill -TERM $!; wait $!";
    let told = shell(folder.path(), &format!("({script}) > out"), &["--listen", "127.0.0.1:0"]);
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let banner = fs::read_to_string(folder.path().join("out")).expect("what it printed");
    assert!(banner.contains("is ready: http://127.0.0.1:"), "{banner}");
    assert!(banner.contains("data in "), "{banner}");
    let log = String::from_utf8_lossy(&told.stderr);
    let data = folder.path().join("data");
    for file in check_modes(&data).iter().filter(|file| file.contains("secret")) {
        let secret = fs::read(data.join(file)).expect("the secret");
        let secret = String::from_utf8_lossy(&secret).trim().to_owned();
        assert!(!banner.contains(&secret) && !log.contains(&secret), "the secret is told");
    }
}

/// Runs `assistdeck` in a shell, to its end.
fn run(folder: &Path, before: &str, arguments: &[&str]) -> Output {
    shell(folder, &format!("{before}; exec \"$0\" \"$@\""), arguments)
}

/// Runs a script in which `"$0" "$@"` is `assistdeck` with these arguments.
fn shell(folder: &Path, script: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_assistdeck")]).args(arguments);
    command.current_dir(folder).env_remove("ASSISTDECK_SEED").env_remove("ASSISTDECK_SKIP");
    command.env("ASSISTDECK_DATA_DIR", folder.join("data"));
    if arguments == ["serve"] {
        command.env("ASSISTDECK_LISTEN", "127.0.0.1:0").env("ASSISTDECK_JWT_SECRET", SECRET);
    }
    command.output().expect("a shell")
}

/// The folder is its owner's alone and so is every file in it; their names.
fn check_modes(data: &Path) -> Vec<String> {
    assert_eq!(mode(data), 0o700, "{}", data.display());
    let entries = fs::read_dir(data).expect("the data folder");
    let paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    assert!(!paths.is_empty(), "there is something in it");
    for path in &paths {
        assert_eq!(mode(path), 0o600, "{}", path.display());
    }
    let name = |path: &PathBuf| path.file_name().expect("a name").to_string_lossy().into_owned();
    paths.iter().map(name).collect()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("its mode").permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("the mode");
}
