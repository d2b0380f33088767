//! What several nodes stand on: a PostgreSQL and a NATS server of the bench's own.
//!
//! Both run on the core of the measured programs, and end with this one, however it ends: a shell
//! holds each and waits on a pipe that only this program has. PostgreSQL flushes, as it does by
//! default, and lies in the work directory; it listens on a socket there. As it refuses to run as
//! root, it runs as the user that Debian has for it then.

use crate::peers;
use crate::process;
use crate::server::{Cores, spawn};
use anyhow::{Context, Result, bail, ensure};
use std::fs::{self, File};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const START_LIMIT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);
/// Runs a program until nobody holds the other end any more.
const HOLD: &str = r#"signal=$1; shift; "$@" & read -r word; kill "-$signal" $!; wait $!"#;
const PORT: u16 = 5432;
/// Beside these, PostgreSQL has its own defaults.
const SETTINGS: [&str; 3] = ["listen_addresses=", "max_connections=500", "shared_buffers=256MB"];

#[derive(Debug)]
pub struct Backing {
    /// Of PostgreSQL's programs.
    programs: PathBuf,
    folder: PathBuf,
    owner: Option<(u32, u32)>,
    postgres: Held,
    nats: Held,
    pub nats_url: String,
}

/// A program and the shell that holds it.
#[derive(Debug)]
struct Held(Child);

impl Backing {
    /// None, and a sentence, where a program is missing.
    pub fn start(folder: &Path, cores: Cores) -> Result<Option<Self>> {
        let Some(programs) = peers::postgres_programs() else {
            eprintln!("bench: PostgreSQL is not installed: nodes are left out");
            return Ok(None);
        };
        let nats = match peers::nats_program() {
            Ok(nats) => fs::canonicalize(nats)?,
            Err(error) => {
                eprintln!("bench: {error:#}: nodes are left out");
                return Ok(None);
            }
        };
        let folder = fs::canonicalize(folder)?;
        let owner = owner()?;
        let data = folder.join("postgres");
        fs::create_dir(&data)?;
        fs::set_permissions(&data, fs::Permissions::from_mode(0o700))?;
        if let Some((user, group)) = owner {
            chown(&data, Some(user), Some(group))?;
        }
        let mut initdb = as_owner(programs.join("initdb"), owner);
        initdb.args(["-U", "bench", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-D"]);
        run(initdb.arg(&data))?;
        let mut server = as_owner(PathBuf::from("sh"), owner);
        server.args(["-c", HOLD, "sh", "INT"]).arg(programs.join("postgres"));
        server.arg("-D").arg(&data).arg("-k").arg(&data);
        server.args(SETTINGS.iter().flat_map(|setting| ["-c", setting]));
        let postgres = Held::start(&mut server, &folder.join("postgres.log"), cores)?;
        let (nats, nats_url) = start_nats(&nats, &folder, cores)?;
        let backing = Self { programs, folder: data, owner, postgres, nats, nats_url };
        await_it("PostgreSQL", || backing.client("pg_isready").output().is_ok_and(is_well))?;
        Ok(Some(backing))
    }

    /// The address of a new database.
    pub fn database(&self, name: &str) -> Result<String> {
        run(self.client("createdb").arg(name))?;
        Ok(format!("postgres://bench@/{name}?host={}&port={PORT}", self.folder.display()))
    }

    /// CPU time of PostgreSQL with all its processes, and of NATS, in milliseconds.
    pub fn cpu_ms(&self) -> Result<[f64; 2]> {
        Ok([self.postgres.cpu_ms()?, self.nats.cpu_ms()?])
    }

    fn client(&self, name: &str) -> Command {
        let mut command = as_owner(self.programs.join(name), self.owner);
        command.arg("-h").arg(&self.folder).args(["-p", &PORT.to_string(), "-U", "bench"]);
        command
    }
}

impl Held {
    fn start(command: &mut Command, log: &Path, cores: Cores) -> Result<Self> {
        let file = File::create(log)?;
        command.stdin(Stdio::piped()).stdout(file.try_clone()?).stderr(file);
        Ok(Self(spawn(command, cores)?))
    }

    fn cpu_ms(&self) -> Result<f64> {
        process::tree_cpu_ms(self.0.id())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // If that fails there is nothing to wait for.
        let _ = self.0.wait();
    }
}

fn start_nats(program: &Path, folder: &Path, cores: Cores) -> Result<(Held, String)> {
    let ports = folder.join("ports");
    fs::create_dir(&ports)?;
    let mut command = Command::new("sh");
    command.args(["-c", HOLD, "sh", "KILL"]).arg(program);
    // -1: any port that is free, told in a file.
    command.args(["--addr", "127.0.0.1", "--port", "-1", "--ports_file_dir"]).arg(&ports);
    let held = Held::start(&mut command, &folder.join("nats.log"), cores)?;
    let mut url = None;
    await_it("nats-server", || {
        url = told_url(&ports);
        url.as_deref().is_some_and(|url| TcpStream::connect(&url["nats://".len()..]).is_ok())
    })?;
    Ok((held, url.context("it is there")?))
}

fn told_url(ports: &Path) -> Option<String> {
    let file = fs::read_dir(ports).ok()?.flatten().next()?;
    let text = fs::read_to_string(file.path()).ok()?;
    let value: serde_json::Value = serde_json::from_str(&text).ok()?;
    let url = value["nats"][0].as_str()?;
    url.starts_with("nats://").then(|| url.to_owned())
}

/// Whom PostgreSQL runs as, where this program runs as root.
fn owner() -> Result<Option<(u32, u32)>> {
    if !rustix::process::getuid().is_root() {
        return Ok(None);
    }
    let id = |flag: &str| -> Result<u32> {
        let told = Command::new("id").args([flag, "postgres"]).output()?;
        let text = String::from_utf8_lossy(&told.stdout).trim().to_owned();
        text.parse().context("there is no user postgres, and PostgreSQL does not run as root")
    };
    Ok(Some((id("-u")?, id("-g")?)))
}

fn as_owner(program: PathBuf, owner: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(program);
    // This one may be closed to that user.
    command.current_dir("/");
    if let Some((user, group)) = owner {
        command.uid(user).gid(group);
    }
    command
}

fn run(command: &mut Command) -> Result<()> {
    let done = command.output().with_context(|| format!("can't run {command:?}"))?;
    ensure!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    Ok(())
}

fn is_well(done: std::process::Output) -> bool {
    done.status.success()
}

fn await_it(name: &str, mut is_there: impl FnMut() -> bool) -> Result<()> {
    let since = Instant::now();
    while !is_there() {
        if since.elapsed() > START_LIMIT {
            bail!(
                "{name} did not start within {START_LIMIT:?}: its log lies in the work directory"
            );
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}
