//! Places that hold a store, the commands on them, and servers on them.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

pub use crate::call::{call, login};
use crate::postgres;
use crate::process::{Launch, ServerProcess};

pub const WORD: &str = "correct horse";
const SECRET: &str = "the secret of all the servers of these tests";
const SOON: Duration = Duration::from_secs(60);

/// A store: a data folder, or a database with a folder for the secret.
pub struct Place {
    folder: TempDir,
    pub database: Option<String>,
}

/// How a command ended.
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    pub fn json(&self) -> Value {
        assert!([0, 6].contains(&self.code), "{}", self.stderr);
        serde_json::from_str(&self.stdout).expect(&self.stdout)
    }
}

impl Place {
    pub fn sqlite() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), database: None }
    }

    pub fn postgres() -> Self {
        let database = Some(postgres::fresh());
        Self { folder: tempfile::tempdir().expect("a folder"), database }
    }

    /// One of each kind.
    pub fn each() -> [Self; 2] {
        [Self::sqlite(), Self::postgres()]
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_assistdeck"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("ASSISTDECK_") || name == "RUST_LOG" {
                command.env_remove(name);
            }
        }
        command.env("ASSISTDECK_DATA_DIR", self.path("data")).env("ASSISTDECK_JWT_SECRET", SECRET);
        if let Some(database) = &self.database {
            command.env("ASSISTDECK_DATABASE_URL", database);
        }
        command.current_dir(self.folder.path()).args(line.split_whitespace());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn run(&self, line: &str, stdin: &[u8]) -> Ended {
        let mut child = self.command(line).spawn().expect("the binary starts");
        let mut input = child.stdin.take().expect("piped");
        let text = stdin.to_vec();
        // A command that does not read its input may have ended already.
        let writer = std::thread::spawn(move || drop(input.write_all(&text)));
        let output = child.wait_with_output().expect("it ends");
        writer.join().expect("no panic");
        Ended {
            code: output.status.code().expect("no signal ended it"),
            stdout: String::from_utf8(output.stdout).expect("UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("UTF-8"),
        }
    }

    pub fn start(&self, line: &str) -> Child {
        self.command(line).spawn().expect("the binary starts")
    }

    /// Exports and gives the text of the file.
    pub fn export(&self) -> String {
        let file = self.path("export.jsonl");
        let _ = fs::remove_file(&file);
        let ended = self.run("export export.jsonl --json", b"");
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert_eq!(ended.json()["is_served"], false);
        fs::read_to_string(file).expect("a file")
    }

    pub fn import(&self, text: &str) -> Ended {
        fs::write(self.path("import.jsonl"), text).expect("written");
        self.run("import import.jsonl --json", b"")
    }

    pub fn serve(&self) -> ServerProcess {
        let launch = Launch::serve(self.folder.path()).env("ASSISTDECK_JWT_SECRET", SECRET);
        match &self.database {
            Some(database) => launch.env("ASSISTDECK_DATABASE_URL", database).start(),
            None => launch.start(),
        }
    }
}

/// What a file has behind its first line.
pub fn body(file: &str) -> &str {
    file.split_once('\n').expect("a first line").1
}

pub fn get(server: &ServerProcess, path: &str, token: &str) -> (u16, Value) {
    call(server, &format!("GET {path}"), token, &Value::Null)
}

pub fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

pub fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + SOON;
    while !is_so() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(30));
    }
}

/// The folder of a path, for a message that names it.
pub fn name(path: &Path) -> String {
    path.display().to_string()
}
