//! What leads from one node to three: the lines of the README as they stand there, the script that
//! starts three nodes, and the files in `deploy`.
//!
//! The nodes are the shipped binary, the balancer is HAProxy with `deploy/haproxy.cfg`, and the
//! clients speak through it by the JavaScript client (`tests/deploy/three_nodes.mjs`), while nodes
//! are killed. The README names ports and paths; so its lines run in a network of their own, with
//! a folder of the test's own at `/run/postgresql`, for which root is needed. Who can't be root
//! names `readme` in ASSISTDECK_SKIP. Nothing else skips. No container engine is needed: the files
//! for one are judged by linters ([`files`]).

mod files;
#[path = "../support/postgres.rs"]
mod postgres;

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use postgres::Cluster;
use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

/// What has to come has come long before this.
const PATIENCE: Duration = Duration::from_secs(90);
/// Before the lines of the README: a network without anybody in it, PostgreSQL where Debian has it.
const PLACE: &str = r#"
set -e
ip link set lo up
mkdir -p /run/postgresql
mount --bind "$1" /run/postgresql
"#;

#[test]
fn the_script_starts_three_nodes_and_clients_notice_killed_ones_by_a_reconnect_alone() {
    let folder = TempDir::new().expect("a temporary folder");
    let port = free_ports();
    let mut script = Command::new(repository().join("scripts/three-nodes"));
    script.args(["--port", &port.to_string(), "--program", env!("CARGO_BIN_EXE_assistdeck")]);
    let nodes = Running::start(script, folder.path());
    nodes.until(|| nodes.log().contains("Ctrl-C ends all of it."));
    talk(Command::new("node"), port, &nodes, 3);
    let log = nodes.log();
    let (_, place) = log.split_once("everything is in ").expect("it tells where");
    let place = Path::new(place.lines().next().expect("a line"));
    assert!(place.is_dir(), "{place:?}");
    nodes.end();
    assert!(!place.exists(), "{place:?} is left");
    assert!((0..4).all(|more| is_free(port + more)), "something is left that listens");
}

#[test]
fn the_lines_of_the_readme_lead_from_one_node_to_three() {
    let skipped = std::env::var("ASSISTDECK_SKIP").unwrap_or_default();
    if skipped.split(',').any(|name| name.trim() == "readme") {
        eprintln!("readme: skipped, as ASSISTDECK_SKIP says");
        return;
    }
    let cluster = Cluster::start();
    cluster.sql("CREATE ROLE root SUPERUSER LOGIN");
    let folder = TempDir::new().expect("a temporary folder");
    symlink(repository().join("deploy"), folder.path().join("deploy")).expect("linked");
    let lines = lines_of_the_readme();
    assert!(lines.lines().count() <= 10, "ten lines, not more:\n{lines}");
    let script = format!("{PLACE}\n{lines}");
    let mut shell = Command::new("unshare");
    shell.args(["--net", "--mount", "bash", "-c", &script, "bash"]).arg(cluster.folder());
    shell.env("PATH", path_with_program()).current_dir(folder.path());
    let nodes = Running::start(shell, folder.path());
    let inside = || {
        let mut command = Command::new("nsenter");
        command.args(["--net", "--target", &nodes.child.id().to_string()]);
        command
    };
    let mut ready = inside();
    ready.args(["curl", "-fso", "/dev/null", "http://127.0.0.1:8080/readyz"]);
    nodes.until(|| ready.status().expect("nsenter runs, as root").success());
    let mut node = inside();
    node.arg("node");
    talk(node, 8080, &nodes, 1);
}

/// People write and read through the balancer while nodes are killed; they see to it that nothing
/// is noticed but a reconnect.
fn talk(mut node: Command, port: u16, nodes: &Running, kills: u16) {
    node.arg(repository().join("tests/deploy/three_nodes.mjs"));
    node.arg(format!("http://127.0.0.1:{port}")).arg(nodes.child.id().to_string());
    node.arg(kills.to_string()).args((1..=3).map(|node| (port + node).to_string()));
    let done = node.output().expect("node runs: scripts/install-test-tools installs it");
    let said = String::from_utf8_lossy(&done.stdout);
    let faults = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}{faults}\n--- the nodes:\n{}", nodes.log());
    eprintln!("{}", said.trim_end());
}

/// The block of commands below the heading.
fn lines_of_the_readme() -> String {
    let readme = fs::read_to_string(repository().join("README.md")).expect("the README");
    let (_, section) = readme.split_once("### From one node to three").expect("the heading");
    let (_, block) = section.split_once("```\n").expect("a block");
    block.split_once("```").expect("its end").0.to_owned()
}

/// The built binary first.
fn path_with_program() -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_assistdeck")).parent().expect("a folder");
    format!("{}:{}:/usr/sbin", program.display(), std::env::var("PATH").unwrap_or_default())
}

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The first of four ports that nobody has.
fn free_ports() -> u16 {
    // Below the range from which the system gives ports away.
    let from = 20_000 + (std::process::id() % 2_000) as u16 * 4;
    (from..32_000)
        .step_by(4)
        .find(|first| (0..4).all(|more| is_free(first + more)))
        .expect("four free ports")
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

/// A shell with its nodes, in a group of its own, which ends with it.
struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    fn start(mut command: Command, folder: &Path) -> Self {
        for (key, _) in std::env::vars_os() {
            if key.to_string_lossy().starts_with("ASSISTDECK_") {
                command.env_remove(key);
            }
        }
        let log = folder.join("output.log");
        let output = File::create(&log).expect("created");
        let both = output.try_clone().expect("one file for both outputs");
        command.stdin(Stdio::null()).stdout(output).stderr(both).process_group(0);
        Self { child: command.spawn().expect("bash and unshare are there"), log }
    }

    /// Waits until that holds, for as long as the shell runs.
    fn until(&self, mut holds: impl FnMut() -> bool) {
        let until = Instant::now() + PATIENCE;
        while !holds() {
            assert!(Instant::now() < until, "not in time:\n{}", self.log());
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// As Ctrl-C does it.
    fn end(mut self) {
        self.signal(Signal::TERM);
        assert!(self.wait(), "it did not end:\n{}", self.log());
    }

    fn signal(&self, signal: Signal) {
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        // It may have ended.
        let _ = kill_process_group(group.expect("it has a pid"), signal);
    }

    /// Whether it ended in time.
    fn wait(&mut self) -> bool {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if self.child.try_wait().expect("our child").is_some() {
                return true;
            }
            thread::sleep(Duration::from_millis(20));
        }
        false
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.signal(Signal::TERM);
        if !self.wait() {
            self.signal(Signal::KILL);
        }
    }
}
