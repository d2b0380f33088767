//! A PostgreSQL of the tests' own: Debian's programs, a temporary folder, a Unix socket in it.
//!
//! A [`Cluster`] ends with the process that started it, however that ends: a shell holds the
//! server and waits on a pipe that only that process has. Where the tests run as root, the server
//! runs as another user, as it insists. It does not flush: what is tested here is never the disk.
//!
//! [`shared`] is the one of a test process; each test gets a schema of its own in it, which makes
//! the store in it as separate as a database would.
#![allow(dead_code)]

use std::fs;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

const START_MAX: Duration = Duration::from_secs(60);
const PORT: u16 = 5432;
/// Starts the server and waits; a word on standard input says whether the folder stays.
const HOLD: &str = r#"
folder=$1; shift
"$@" >>"$folder/log" 2>&1 &
read -r word
kill -INT $! 2>/dev/null
wait $!
[ "$word" = keep ] || rm -rf "$folder"
"#;

/// A server in a folder.
pub struct Cluster {
    folder: PathBuf,
    /// Where it listens beside its socket, if anywhere.
    listens: String,
    is_frozen: AtomicBool,
    shell: Option<Child>,
}

/// The one of this process.
pub fn shared() -> &'static Cluster {
    static SHARED: OnceLock<Cluster> = OnceLock::new();
    SHARED.get_or_init(Cluster::start)
}

/// The address of a place in the shared cluster that nobody has used.
pub fn fresh() -> String {
    shared().schema()
}

impl Cluster {
    /// Makes one and starts it. Panics, with what it said, when that does not work.
    pub fn start() -> Self {
        Self::start_at("")
    }

    /// The same, listening on that address too, where everybody is trusted.
    pub fn start_at(address: &str) -> Self {
        let (folder, user) = (new_folder(), other_user());
        let mut initdb = program("initdb");
        initdb.args(["--username=assistdeck", "--auth=trust", "--encoding=UTF8"]);
        initdb.args(["--locale=C.UTF-8", "--no-sync", "--pgdata"]).arg(folder.join("data"));
        let made = as_user(&mut initdb, user).output().expect("initdb runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let rules = folder.join("data/pg_hba.conf");
        let anybody = "local all all trust\nlocal replication all trust\nhost all all all trust\n";
        fs::write(rules, anybody).expect("written");
        let mut cluster = Self {
            folder,
            listens: address.to_owned(),
            is_frozen: AtomicBool::new(false),
            shell: None,
        };
        cluster.run();
        cluster
    }

    /// All its processes stand still, or go on: connections are open, and nothing answers.
    pub fn freeze(&self, frozen: bool) {
        self.is_frozen.store(frozen, Ordering::Relaxed);
        self.signal_all(if frozen { "STOP" } else { "CONT" });
    }

    fn signal_all(&self, word: &str) {
        let file = fs::read_to_string(self.folder.join("data/postmaster.pid")).expect("it runs");
        let first: u32 = file.lines().next().and_then(|line| line.parse().ok()).expect("a process");
        // The first makes the others: it stands still before they are counted. One of them may end
        // just then.
        let tell = format!("kill -STOP {first}; kill -{word} {first} $(pgrep -P {first}) || true");
        let told = Command::new("sh").args(["-c", &tell]).stderr(Stdio::null()).status();
        assert!(told.is_ok_and(|status| status.success()), "{word}");
    }

    /// A standby that has all that this server has, without which it commits nothing from now on.
    pub fn standby(&self) -> Self {
        let (folder, user) = (new_folder(), other_user());
        let mut copy = program("pg_basebackup");
        copy.arg("-D").arg(folder.join("data")).args(["-R", "-X", "stream", "-c", "fast"]);
        copy.args(["--no-sync", "-d"]).arg(format!("{} application_name=standby", self.words()));
        let made = as_user(&mut copy, user).output().expect("pg_basebackup runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let mut standby =
            Self { folder, listens: String::new(), is_frozen: AtomicBool::new(false), shell: None };
        standby.run();
        let streams = "SELECT 1 FROM pg_stat_replication WHERE state = 'streaming'";
        let until = Instant::now() + START_MAX;
        while self.sql(streams).is_empty() {
            assert!(Instant::now() < until, "the standby does not follow");
            sleep(Duration::from_millis(20));
        }
        self.sql("ALTER SYSTEM SET synchronous_standby_names = 'standby'");
        self.sql("SELECT pg_reload_conf()");
        standby
    }

    /// Ends as a machine does that burns: all its processes at once, in the middle of anything.
    pub fn kill9(&self) {
        let file = fs::read_to_string(self.folder.join("data/postmaster.pid")).expect("it runs");
        let lines: Vec<&str> = file.lines().collect();
        self.signal_all("KILL");
        // What it shared with its processes has no owner any more.
        let shared = lines.get(6).and_then(|line| line.split_whitespace().nth(1));
        if let Some(id) = shared {
            let _ = Command::new("ipcrm").args(["-m", id]).stderr(Stdio::null()).status();
        }
    }

    /// Starts the server again after [`Cluster::stop`].
    pub fn run(&mut self) {
        let server = program("postgres");
        let mut shell = Command::new("sh");
        shell.args(["-c", HOLD, "sh"]).arg(&self.folder).arg(server.get_program());
        shell.arg("-D").arg(self.folder.join("data")).arg("-k").arg(&self.folder);
        for setting in [
            &format!("listen_addresses={}", self.listens),
            "fsync=off",
            "full_page_writes=off",
            "max_connections=300",
            "shared_buffers=32MB",
            "autovacuum=off",
        ] {
            shell.args(["-c", setting]);
        }
        shell.stdin(Stdio::piped());
        self.shell = Some(as_user(&mut shell, other_user()).spawn().expect("a shell runs"));
        self.wait();
    }

    /// Stops the server; connections are cut.
    pub fn stop(&mut self) {
        self.end("keep\n");
    }

    /// Where its socket is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// How PostgreSQL's own programs reach it.
    fn words(&self) -> String {
        format!("host={} port={PORT} user=assistdeck dbname=postgres", self.folder.display())
    }

    /// The address of the database.
    pub fn url(&self) -> String {
        format!("postgres://assistdeck@/postgres?host={}&port={PORT}", self.folder.display())
    }

    /// The address of a new, empty schema.
    pub fn schema(&self) -> String {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let name = format!("s{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        self.sql(&format!("CREATE SCHEMA {name}"));
        format!("{}&options=-c%20search_path%3D{name}", self.url())
    }

    /// The same over a proxy that listens there.
    pub fn schema_over(&self, proxy: SocketAddr) -> String {
        let here = format!("host={}&port={PORT}", self.folder.display());
        self.schema().replace(&here, &format!("host={}&port={}", proxy.ip(), proxy.port()))
    }

    /// Where it listens.
    pub fn socket(&self) -> PathBuf {
        self.folder.join(format!(".s.PGSQL.{PORT}"))
    }

    /// Runs SQL as the superuser and gives what it says, a line a row.
    pub fn sql(&self, sql: &str) -> String {
        self.try_sql(sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// The same, where it may fail.
    pub fn try_sql(&self, sql: &str) -> Result<String, String> {
        let mut psql = program("psql");
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d"]).arg(self.url());
        let done = psql.args(["-c", sql]).output().expect("psql runs");
        match done.status.success() {
            true => Ok(String::from_utf8_lossy(&done.stdout).into_owned()),
            false => Err(String::from_utf8_lossy(&done.stderr).into_owned()),
        }
    }

    fn wait(&self) {
        let until = Instant::now() + START_MAX;
        loop {
            let mut ready = program("pg_isready");
            ready.arg("-q").arg("-h").arg(&self.folder).args(["-p", &PORT.to_string()]);
            if ready.status().is_ok_and(|status| status.success()) {
                return;
            }
            let log = || fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(Instant::now() < until, "PostgreSQL did not start:\n{}", log());
            sleep(Duration::from_millis(20));
        }
    }

    fn end(&mut self, word: &str) {
        // A failed test may leave it so, and what stands still never ends.
        if *self.is_frozen.get_mut() {
            self.freeze(false);
        }
        if let Some(mut shell) = self.shell.take() {
            let mut stdin = shell.stdin.take().expect("it is piped");
            // A shell that has ended does not need the word.
            let _ = stdin.write_all(word.as_bytes());
            drop(stdin);
            let _ = shell.wait();
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.end("\n");
    }
}

/// A folder of the user that the server runs as.
fn new_folder() -> PathBuf {
    let folder = tempfile::tempdir().expect("a temporary folder").keep();
    if let Some((uid, gid)) = other_user() {
        chown(&folder, Some(uid), Some(gid)).expect("root may do that");
    }
    folder
}

/// A program of the newest PostgreSQL of Debian, or of the path.
fn program(name: &str) -> Command {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions
        .map(|entry| entry.path().join("bin").join(name))
        .filter(|path| path.is_file())
        .max_by_key(|path| version(path));
    let program = newest.unwrap_or_else(|| PathBuf::from(name));
    let found = Command::new(&program).arg("--version").stdout(Stdio::null()).status();
    assert!(found.is_ok(), "{name} is missing: scripts/install-test-tools installs PostgreSQL");
    Command::new(program)
}

fn version(program: &Path) -> u32 {
    let folder = program.ancestors().nth(2).and_then(Path::file_name);
    folder.and_then(|name| name.to_str()?.parse().ok()).unwrap_or(0)
}

/// Whom the server runs as, where these tests run as root.
pub fn other_user() -> Option<(u32, u32)> {
    let id = |arguments: &[&str]| -> Option<u32> {
        let mut text = String::new();
        let mut command = Command::new("id");
        let child = command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut child = child.ok()?;
        child.stdout.take()?.read_to_string(&mut text).ok()?;
        child.wait().ok()?;
        text.trim().parse().ok()
    };
    if id(&["-u"]) != Some(0) {
        return None;
    }
    let of = |name: &str| Some((id(&["-u", name])?, id(&["-g", name])?));
    Some(of("postgres").or_else(|| of("nobody")).expect("Debian has these users"))
}

fn as_user(command: &mut Command, user: Option<(u32, u32)>) -> &mut Command {
    // Its own folder may be closed to that user.
    command.current_dir("/");
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
    command
}
