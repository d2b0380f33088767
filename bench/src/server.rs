//! The programs under test, each a process of its own on its own core.
//!
//! A [`Target`] is a program by name: a build of AssistDeck, or one of the limit programs of
//! this crate. [`Target::start`] runs it on the server's core and reads its address from the
//! banner; a [`Running`] one is stopped when it is dropped, so that no failure leaves a server
//! behind. What it prints to standard error lies as `server.log` beside its data.

use crate::driver::Dialect;
use crate::process;
use crate::token;
use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

const START_LIMIT: Duration = Duration::from_secs(20);
const STOP_LIMIT: Duration = Duration::from_secs(15);

#[derive(Debug, Clone, PartialEq)]
pub enum Program {
    AssistDeck {
        binary: PathBuf,
        /// Variables that it is started with.
        settings: Vec<(&'static str, String)>,
    },
    /// Ready bytes to all connections of a session, written to a file first.
    Limit { flush: bool },
    /// The same number of bytes for every request.
    Hyper { body_bytes: usize },
    /// Somebody else's server (`peers.rs`).
    Peer { command: Vec<OsString>, dialect: Dialect },
}

#[derive(Debug, Clone)]
pub struct Target {
    pub name: String,
    pub program: Program,
}

/// Who runs where: the load generator must not take the server's time.
#[derive(Debug, Clone, Copy)]
pub struct Cores {
    pub server: usize,
    pub driver: usize,
}

impl Cores {
    /// Both, or the one that is there twice.
    pub fn list(self) -> Vec<usize> {
        if self.server == self.driver { vec![self.server] } else { vec![self.server, self.driver] }
    }
}

#[derive(Debug)]
pub struct Running {
    child: Child,
    /// It may have programs of its own, which it must end itself.
    is_peer: bool,
    pub addr: SocketAddr,
    pub started_at: Instant,
}

impl Target {
    /// Every limit program: the same that everything else is compared to.
    pub fn limit(flush: bool) -> Self {
        let name = if flush { "limit" } else { "limit, no flush" };
        Self { name: name.to_owned(), program: Program::Limit { flush } }
    }

    pub fn hyper(body_bytes: usize) -> Self {
        Self { name: "bare hyper".to_owned(), program: Program::Hyper { body_bytes } }
    }

    pub fn is_limit(&self) -> bool {
        matches!(self.program, Program::Limit { .. } | Program::Hyper { .. })
    }

    pub fn is_peer(&self) -> bool {
        matches!(self.program, Program::Peer { .. })
    }

    pub fn dialect(&self) -> Dialect {
        match self.program {
            Program::Peer { dialect, .. } => dialect,
            _ => Dialect::Plain,
        }
    }

    /// A word that can stand in a path.
    pub fn slug(&self) -> String {
        self.name.chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect()
    }

    /// Starts it on a free port and waits for the banner.
    pub fn start(&self, cores: Cores, data_dir: &Path) -> Result<Running> {
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        let (mut running, banner) = self.launch(free, cores, data_dir)?;
        let address = banner.recv_timeout(START_LIMIT).with_context(|| {
            let log = fs::read_to_string(data_dir.join("server.log")).unwrap_or_default();
            let tail: Vec<&str> = log.lines().rev().take(5).collect();
            format!("{} printed no line with http://:\n{}", self.name, tail.join("\n"))
        })?;
        running.addr = address.parse().with_context(|| format!("{address:?} is no address"))?;
        Ok(running)
    }

    /// Starts it at `listen` and does not wait for anything.
    pub fn start_unawaited(
        &self,
        listen: SocketAddr,
        cores: Cores,
        data_dir: &Path,
    ) -> Result<Running> {
        Ok(self.launch(listen, cores, data_dir)?.0)
    }

    fn launch(
        &self,
        listen: SocketAddr,
        cores: Cores,
        data_dir: &Path,
    ) -> Result<(Running, Receiver<String>)> {
        fs::create_dir_all(data_dir)?;
        let mut command = self.command(&listen.to_string(), data_dir)?;
        let log = File::create(data_dir.join("server.log"))?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let started_at = Instant::now();
        let mut child = spawn(&mut command, cores)?;
        let banner = read_banner(child.stdout.take().context("standard output is piped")?);
        let is_peer = self.is_peer();
        Ok((Running { child, addr: listen, started_at, is_peer }, banner))
    }

    fn command(&self, listen: &str, data_dir: &Path) -> Result<Command> {
        let mut command = match &self.program {
            Program::AssistDeck { binary, .. } => Command::new(binary),
            Program::Peer { command, .. } => Command::new(&command[0]),
            _ => Command::new(std::env::current_exe()?),
        };
        match &self.program {
            Program::AssistDeck { settings, .. } => {
                for (name, _) in std::env::vars() {
                    if name.starts_with("ASSISTDECK_") && !is_for_server(&name) {
                        command.env_remove(name);
                    }
                }
                command.env("ASSISTDECK_JWT_SECRET", token::SECRET);
                command.envs(settings.iter().map(|(name, value)| (name, value)));
                command.args(["serve", "--listen", listen, "--data-dir"]).arg(data_dir)
            }
            Program::Limit { flush } => {
                let flush = if *flush { "on" } else { "off" };
                let arguments = ["limit", "--listen", listen, "--flush", flush, "--data-dir"];
                command.args(arguments).arg(data_dir)
            }
            Program::Hyper { body_bytes } => {
                command.args(["hyper", "--listen", listen, "--body-bytes"]);
                command.arg(body_bytes.to_string())
            }
            Program::Peer { command: words, .. } => {
                // A socket of its database lies in there: it needs the whole path.
                command.args(&words[1..]).arg(fs::canonicalize(data_dir)?)
            }
        };
        Ok(command)
    }
}

/// Starts a program on the core of those that are measured.
pub fn spawn(command: &mut Command, cores: Cores) -> Result<Child> {
    process::pin(cores.server)?;
    let child = command.spawn();
    process::pin(cores.driver)?;
    child.with_context(|| format!("can't run {command:?}"))
}

/// Settings of the measured server that an experiment may give through the environment.
fn is_for_server(name: &str) -> bool {
    !["ASSISTDECK_LISTEN", "ASSISTDECK_DATA_DIR", "ASSISTDECK_JWT_SECRET"].contains(&name)
}

/// The address in the first line that holds `http://`. The pipe is read to its end in the
/// background, for a full pipe would stop the server.
fn read_banner(stdout: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = mpsc::sync_channel(1);
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if let Some((_, rest)) = line.split_once("http://") {
                let end = rest.find(|c: char| c == '/' || c.is_whitespace()).unwrap_or(rest.len());
                // Only the first is wanted; later ones find nobody, which is right.
                let _ = sender.try_send(rest[..end].to_owned());
            }
        }
    });
    receiver
}

impl Running {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn cpu_ms(&self) -> Result<f64> {
        if self.is_peer { process::tree_cpu_ms(self.pid()) } else { process::cpu_ms(self.pid()) }
    }

    pub fn rss_bytes(&self) -> Result<u64> {
        process::rss_bytes(self.pid())
    }

    /// Stops it as an operator would, and says so if it does not go.
    pub fn stop(mut self) -> Result<()> {
        self.ask_to_stop()
    }

    fn ask_to_stop(&mut self) -> Result<()> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        let since = Instant::now();
        while self.child.try_wait()?.is_none() {
            if since.elapsed() > STOP_LIMIT {
                bail!("the server did not stop within {STOP_LIMIT:?}");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.is_peer {
            // If that fails it is ended below.
            let _ = self.ask_to_stop();
        }
        end(&mut self.child);
    }
}

fn end(child: &mut Child) {
    // It may have ended by itself: then both fail, and nothing is left to do.
    let _ = child.kill();
    let _ = child.wait();
}
