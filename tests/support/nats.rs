//! A NATS server of the tests' own: on a free port of this machine, in a temporary folder.
//!
//! It ends with the process that started it, however that ends: a shell holds the server and waits
//! on a pipe that only that process has. It can be killed, and comes back at the same port.
//! [`shared`] is the one of a test process: each store has subjects of its own in it.
#![allow(dead_code)]

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

const START_MAX: Duration = Duration::from_secs(60);
/// Starts the server, and kills it when there is nobody any more who reads on.
const HOLD: &str = r#"
log=$1; shift
"$@" >>"$log" 2>&1 &
read -r word
kill -KILL $!
wait $!
"#;

/// A server with its settings.
pub struct NatsServer {
    folder: TempDir,
    port: u16,
    monitor: u16,
    process: Option<Pid>,
    shell: Option<Child>,
}

/// The one of this process.
pub fn shared() -> &'static NatsServer {
    static SHARED: OnceLock<NatsServer> = OnceLock::new();
    SHARED.get_or_init(|| NatsServer::start(""))
}

impl NatsServer {
    /// Starts one with these settings beside the defaults, as its file of settings has them.
    /// Panics, with what it said, when that does not work.
    pub fn start(settings: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("settings"), settings).expect("written");
        let mut server = Self { folder, port: 0, monitor: 0, process: None, shell: None };
        server.run();
        server
    }

    /// Starts it again, at the port that it had, after [`NatsServer::kill`].
    pub fn run(&mut self) {
        let ports = self.folder.path().join("ports");
        let _ = fs::remove_dir_all(&ports);
        fs::create_dir(&ports).expect("a folder");
        // -1: any that is free.
        let port = |known: u16| if known == 0 { "-1".to_owned() } else { known.to_string() };
        let mut shell = Command::new("sh");
        shell.args(["-c", HOLD, "sh"]).arg(self.log()).arg(program());
        shell.arg("--config").arg(self.folder.path().join("settings"));
        shell.args(["--addr", "127.0.0.1", "--port", &port(self.port)]);
        shell.args(["--http_port", &port(self.monitor)]);
        shell.arg("--ports_file_dir").arg(&ports);
        self.shell =
            Some(shell.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().expect("a shell runs"));
        let until = Instant::now() + START_MAX;
        while !self.is_there(&ports) {
            let log = || fs::read_to_string(self.log()).unwrap_or_default();
            assert!(Instant::now() < until, "nats-server did not start:\n{}", log());
            sleep(Duration::from_millis(10));
        }
    }

    /// Ends it at once; connections are cut.
    pub fn kill(&mut self) {
        if let Some(mut shell) = self.shell.take() {
            // The end of its input is the word.
            drop(shell.stdin.take());
            let _ = shell.wait();
        }
    }

    /// Whether it does nothing for a while.
    pub fn freeze(&self, freezes: bool) {
        let signal = if freezes { Signal::STOP } else { Signal::CONT };
        kill_process(self.process.expect("it runs"), signal).expect("it is ours");
    }

    /// `nats://` with this before the host: nothing, or who connects and an @.
    pub fn url(&self, who: &str) -> String {
        format!("nats://{who}127.0.0.1:{}", self.port)
    }

    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// What the server says about its connections: how many messages went to each, and the
    /// subjects that it listens to.
    pub fn connections(&self) -> Vec<Value> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.monitor)).expect("it listens");
        let ask = "GET /connz?subs=1 HTTP/1.0\r\nHost: nats\r\n\r\n";
        stream.write_all(ask.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        let body = answer.split_once("\r\n\r\n").expect("a body").1;
        let value: Value = serde_json::from_str(body).expect("JSON");
        value["connections"].as_array().expect("a list").clone()
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Learns the ports, and whether they are open.
    fn is_there(&mut self, ports: &Path) -> bool {
        let Some(file) = fs::read_dir(ports).expect("a folder").flatten().next() else {
            return false;
        };
        let text = fs::read_to_string(file.path()).unwrap_or_default();
        let Ok(value) = serde_json::from_str::<Value>(&text) else { return false };
        // nats-server_PID.ports
        let name = file.file_name().to_string_lossy().into_owned();
        let number = name.split(['_', '.']).find_map(|part| part.parse().ok());
        self.process = number.and_then(Pid::from_raw);
        let port = |name: &str| {
            let url = value[name][0].as_str()?;
            url.rsplit(':').next()?.parse().ok()
        };
        let (Some(clients), Some(monitor)) = (port("nats"), port("monitoring")) else {
            return false;
        };
        (self.port, self.monitor) = (clients, monitor);
        TcpStream::connect(("127.0.0.1", clients)).is_ok()
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The one that scripts/install-test-tools installs, or of the path.
fn program() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = if root.ends_with("bench") { root.parent().unwrap_or(root) } else { root };
    let installed = root.join("target/test-tools/venv/bin/nats-server");
    let program = if installed.is_file() { installed } else { PathBuf::from("nats-server") };
    let found = Command::new(&program).arg("--version").stdout(Stdio::null()).status();
    assert!(found.is_ok(), "nats-server is missing: scripts/install-test-tools installs it");
    program
}
