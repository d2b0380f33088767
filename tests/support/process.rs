//! The shipped binary as a process of its own, for tests that need the real thing: its command
//! line, its files, its signals, its death.
//!
//! A [`Launch`] says how to start, a [`ServerProcess`] is what runs. Starting returns when the
//! server has printed the address it listens on, so no test waits by sleeping. Everything lives
//! below one folder that the test owns: `data` is the data folder, `stderr.log` the log, to which
//! each start in that folder adds. Dropping kills at once; when the test is failing, the end of
//! the log goes to the test's output.
//!
//! Used by several test programs through `#[path]`, none of which needs all of it.
#![allow(dead_code)]

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// A debug build on a loaded machine starts within a second or two.
const START_MAX: Duration = Duration::from_secs(30);
/// The drain takes 5 s at most by default.
const STOP_MAX: Duration = Duration::from_secs(30);
const LOG_LINES_SHOWN: usize = 40;

/// How to start the binary: a subcommand, its arguments, its environment.
pub struct Launch {
    command: Command,
    scheme: &'static str,
    log: PathBuf,
}

impl Launch {
    /// `assistdeck serve` on a free port of 127.0.0.1, with the folder's `data`.
    pub fn serve(folder: &Path) -> Self {
        Self::serve_where_it_likes(folder).args(["--listen", "127.0.0.1:0"])
    }

    /// `assistdeck serve` on the addresses it takes by default.
    pub fn serve_where_it_likes(folder: &Path) -> Self {
        let data = folder.join("data");
        Self::subcommand("serve", "http://", folder).arg("--data-dir").arg(data)
    }

    /// `assistdeck echo`: the socket layer alone, on a free port of 127.0.0.1.
    pub fn echo(folder: &Path) -> Self {
        Self::subcommand("echo", "ws://", folder).args(["--listen", "127.0.0.1:0"])
    }

    fn subcommand(name: &str, scheme: &'static str, folder: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_assistdeck"));
        // Settings of whoever runs the tests must not reach the server.
        for (key, _) in std::env::vars_os() {
            if key.to_string_lossy().starts_with("ASSISTDECK_") {
                command.env_remove(key);
            }
        }
        command.arg(name).current_dir(folder).stdin(Stdio::null());
        Self { command, scheme, log: folder.join("stderr.log") }
    }

    pub fn arg(mut self, arg: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    pub fn args<const N: usize>(mut self, args: [&str; N]) -> Self {
        self.command.args(args);
        self
    }

    pub fn env(mut self, key: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    /// In the network of that process; as root.
    pub fn in_network_of(mut self, pid: u32) -> Self {
        let mut inside = Command::new("nsenter");
        inside.args(["--net", "--target", &pid.to_string()]);
        inside.arg(self.command.get_program()).args(self.command.get_args());
        for (key, value) in self.command.get_envs() {
            match value {
                Some(value) => inside.env(key, value),
                None => inside.env_remove(key),
            };
        }
        if let Some(folder) = self.command.get_current_dir() {
            inside.current_dir(folder);
        }
        inside.stdin(Stdio::null());
        self.command = inside;
        self
    }

    /// Starts, and waits for the address in what the server prints. Panics, with the log, when
    /// the server ends before that or takes too long.
    pub fn start(mut self) -> ServerProcess {
        let log = OpenOptions::new().create(true).append(true).open(&self.log);
        self.command.stderr(log.expect("the log of the server opens"));
        let mut child = self.command.stdout(Stdio::piped()).spawn().expect("the binary starts");
        let stdout = child.stdout.take().expect("the output of the server is piped");
        let (sender, receiver) = mpsc::sync_channel(1);
        let scheme = self.scheme;
        thread::spawn(move || send_first_url(stdout, scheme, &sender));
        let mut server = ServerProcess { child, url: String::new(), log: self.log };
        server.url = server.wait_for_url(&receiver);
        server
    }
}

/// Sends the first URL of the scheme, then reads on: a full pipe would stop the server.
fn send_first_url(stdout: ChildStdout, scheme: &str, found: &SyncSender<String>) {
    let mut sought = true;
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        if sought && let Some(at) = line.find(scheme) {
            let url = line[at..].split_whitespace().next().unwrap_or_default();
            // Nobody listens any more when the start took too long.
            let _ = found.send(url.trim_end_matches(['/', '.', ',']).to_owned());
            sought = false;
        }
    }
}

/// A running `assistdeck`. Killed when dropped.
pub struct ServerProcess {
    child: Child,
    url: String,
    log: PathBuf,
}

impl ServerProcess {
    /// Where it listens, as it printed it, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything that was logged in this folder so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// SIGTERM, and waits for the end. Panics when it does not come.
    pub fn stop(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        let deadline = Instant::now() + STOP_MAX;
        loop {
            if let Some(status) = self.child.try_wait().expect("the server is our child") {
                return status;
            }
            assert!(Instant::now() < deadline, "the server did not stop within {STOP_MAX:?}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// SIGKILL: no code of the server runs any more.
    pub fn kill9(mut self) {
        self.kill();
    }

    /// Sends a signal and returns at once.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("the server has a pid"), signal).expect("the server takes signals");
    }

    fn kill(&mut self) {
        // It may have ended already, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn wait_for_url(&mut self, receiver: &Receiver<String>) -> String {
        match receiver.recv_timeout(START_MAX) {
            Ok(url) => url,
            Err(RecvTimeoutError::Timeout) => panic!("no address printed within {START_MAX:?}"),
            Err(RecvTimeoutError::Disconnected) => {
                let status = self.child.wait().expect("the server is our child");
                panic!("the server ended ({status}) before it printed its address")
            }
        }
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            let shown = last_lines(&self.log(), LOG_LINES_SHOWN);
            eprintln!("--- the end of the server's log:\n{shown}\n---");
        }
    }
}

/// The last `count` lines of a text.
pub fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
