//! The page in a real browser: several people at once, each in a browser of their own, against
//! the shipped binary. The tests themselves are `tests/page/*.spec.mjs`, run by Playwright with
//! Debian's Chromium; the page's types are checked by `tsc`.
//!
//! Two servers run: one for all tests, and one that tests may end and start again, on the same
//! port with the same data, by a word over a little control connection. What is not installed
//! fails (`scripts/install-test-tools` installs it), unless ASSISTDECK_SKIP names `page`.
//! PAGE_ARGS goes to Playwright: `PAGE_ARGS="chat --repeat-each 3" cargo test --test page`.

#[path = "support/process.rs"]
mod process;

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use process::{Launch, ServerProcess};
use tempfile::TempDir;

const TRUST: [&str; 2] = ["--trust-client-ai-flag", "true"];

#[test]
fn people_use_the_page_in_a_browser() {
    if is_skipped() {
        return;
    }
    let (folder, other) = (TempDir::new().expect("a folder"), TempDir::new().expect("a folder"));
    // So that a test can speak as an assistant without making one by command.
    let server = Launch::serve(folder.path()).args(TRUST).start();
    let mortal = Launch::serve(other.path()).start();
    let control = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = control.local_addr().expect("an address").to_string();
    let url = mortal.url().to_owned();
    let obeying = thread::spawn(move || obey(&control, mortal, other.path()));
    let began = Instant::now();
    let status = npm_tool("playwright")
        .args(["test", "--config", "playwright.config.mjs"])
        .args(std::env::var("PAGE_ARGS").iter().flat_map(|args| args.split_whitespace()))
        .env("PAGE_URL", server.url())
        .env("PAGE_MORTAL_URL", url)
        .env("PAGE_CONTROL", &address)
        .status();
    let end = TcpStream::connect(&address).and_then(|mut socket| socket.write_all(b"end\n"));
    end.expect("the control connection is there");
    obeying.join().expect("the servers obeyed");
    let status = status.expect("Playwright starts; scripts/install-test-tools installs it");
    assert!(status.success(), "the page does not do what it should: {status}");
    println!("page: {} s in the browser", began.elapsed().as_secs());
}

#[test]
fn the_types_of_the_page_hold() {
    if is_skipped() {
        return;
    }
    let status = npm_tool("tsc")
        .arg("--project")
        .arg(repository().join("web/tsconfig.json"))
        .status()
        .expect("tsc starts; scripts/install-test-tools installs it");
    assert!(status.success(), "tsc finds fault with web/");
}

/// Everything in `web/` is short enough to be read at once.
#[test]
fn no_file_of_the_page_is_long() {
    let mut faults = Vec::new();
    let mut folders = vec![repository().join("web"), repository().join("tests/page")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let is_ours = path
                .extension()
                .is_some_and(|end| ["js", "mjs", "css", "html"].iter().any(|ours| end == *ours));
            if path.is_dir() && !path.ends_with("node_modules") {
                folders.push(path);
            } else if is_ours {
                let text = std::fs::read_to_string(&path).expect("text");
                let lines = text.lines().count();
                let width = text.lines().map(|line| line.chars().count()).max();
                if lines >= 300 || width > Some(100) {
                    faults.push(format!("{}: {lines} lines, {width:?} wide", path.display()));
                }
            }
        }
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

/// Ends the server and starts it again, as it is told, one word a connection, up to `end`.
fn obey(control: &TcpListener, server: ServerProcess, folder: &Path) {
    let address = server.url().trim_start_matches("http://").to_owned();
    let mut running = Some(server);
    for socket in control.incoming().map_while(Result::ok) {
        let word = word_of(&socket);
        let answer = match (word.as_str(), running.take()) {
            ("stop", Some(server)) => {
                server.stop();
                "done"
            }
            ("kill", Some(server)) => {
                server.kill9();
                "done"
            }
            ("start", None) => {
                let launch = Launch::serve_where_it_likes(folder);
                running = Some(launch.args(["--listen", &address]).start());
                "done"
            }
            ("end", _) => return,
            (_, before) => {
                running = before;
                "not now"
            }
        };
        // Whoever asked may be gone.
        let _ = writeln!(&socket, "{answer}");
    }
}

fn word_of(socket: &TcpStream) -> String {
    let mut line = String::new();
    // What can't be read is no word that anybody knows.
    let _ = BufReader::new(socket).read_line(&mut line);
    line.trim().to_owned()
}

fn is_skipped() -> bool {
    let skipped = std::env::var("ASSISTDECK_SKIP").unwrap_or_default();
    let found = skipped.split(',').any(|name| name.trim() == "page");
    if found {
        eprintln!("page: skipped, as ASSISTDECK_SKIP says");
    }
    found
}

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn npm_tool(name: &str) -> Command {
    let folder = repository().join("tests/page");
    let mut command = Command::new(folder.join("node_modules/.bin").join(name));
    command.current_dir(folder).stdin(Stdio::null());
    command
}
