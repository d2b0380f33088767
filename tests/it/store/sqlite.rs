//! The embedded store: every promise, and its own.

mod backups;
mod erasure;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use assistdeck::store::moving::{Source, Target};
use assistdeck::store::sqlite::{Mode, Sqlite, moving};
use assistdeck::store::{Action, Append, Commit, Error, Sink, Store};
use async_trait::async_trait;
use protocol::{SessionId, UserId};
use rusqlite::Connection;

use super::world::{Home, World, draft, event, now, until};

/// A temporary data folder.
pub struct Folder(tempfile::TempDir);

#[async_trait]
impl Home for Folder {
    async fn open(&self, sink: Sink) -> Arc<dyn Store> {
        Arc::new(server(self.0.path(), sink).expect("the store opens"))
    }

    async fn source(&self) -> Box<dyn Source> {
        moving::source(self.0.path()).expect("it is there")
    }

    async fn target(&self) -> Result<Box<dyn Target>, Error> {
        moving::target(self.0.path())
    }
}

pub fn folder() -> Folder {
    Folder(tempfile::tempdir().expect("a temporary folder"))
}

super::every_promise!(crate::store::sqlite::folder);

fn server(dir: &Path, sink: Sink) -> Result<Sqlite, Error> {
    Sqlite::open(dir, Mode::Server { sink })
}

fn answering() -> Sink {
    Box::new(Commit::answer)
}

/// A world, and where its files are.
async fn world() -> (World, PathBuf) {
    let folder = folder();
    let path = folder.0.path().to_owned();
    (World::new(Box::new(folder)).await, path)
}

/// What the error of a refused opening says.
fn sentence(opened: Result<Sqlite, Error>) -> String {
    opened.err().expect("it is refused").to_string()
}

#[tokio::test]
async fn only_the_owner_of_the_process_may_read_the_files() {
    let (world, dir) = world().await;
    world.shared_session().await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    let files: Vec<PathBuf> =
        fs::read_dir(&dir).unwrap().map(|file| file.unwrap().path()).collect();
    let names: BTreeSet<&str> =
        files.iter().map(|file| file.file_name().unwrap().to_str().unwrap()).collect();
    let expected = ["assistdeck.db", "assistdeck.db-shm", "assistdeck.db-wal", "lock"];
    assert_eq!(names, BTreeSet::from(expected));
    for file in &files {
        assert_eq!(mode(file), 0o600, "{}", file.display());
    }
}

#[tokio::test]
async fn wrong_modes_are_set_right() {
    let (mut world, dir) = world().await;
    world.store.close().await;
    let database = dir.join("assistdeck.db");
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&database, fs::Permissions::from_mode(0o644)).unwrap();
    world.reopen().await;
    assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::metadata(&database).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_second_server_is_kept_off_until_the_first_has_closed() {
    let (world, dir) = world().await;
    let said = sentence(server(&dir, answering()));
    assert!(said.contains("another server uses the data folder"), "{said}");
    world.store.close().await;
    server(&dir, answering()).unwrap().close().await;
}

#[tokio::test]
async fn a_tool_beside_the_server_does_everything_but_append() {
    let (world, dir) = world().await;
    let beside = Sqlite::open(&dir, Mode::Beside).unwrap();
    world.check_tool(&beside).await;
}

#[tokio::test]
async fn a_tool_makes_the_store_when_there_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("not/there/yet");
    let tool = Sqlite::open(&path, Mode::Beside).unwrap();
    let epoch = tool.epoch().await.unwrap();
    tool.close().await;
    let store = server(&path, answering()).unwrap();
    assert_eq!(store.epoch().await.unwrap(), epoch);
    store.close().await;
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let (world, dir) = world().await;
    world.store.close().await;
    let database = Connection::open(dir.join("assistdeck.db")).unwrap();
    let newer = "INSERT INTO schema_migrations VALUES (999, '0999_of_tomorrow', 'x', 0)";
    database.execute(newer, []).unwrap();
    drop(database);
    let said = sentence(server(&dir, answering()));
    assert!(said.contains("schema 999 (0999_of_tomorrow)"), "{said}");
    assert!(said.contains("run the newer program"), "{said}");
    assert!(sentence(Sqlite::open(&dir, Mode::Beside)).contains("999"));
}

#[tokio::test]
async fn a_migration_that_was_changed_is_refused() {
    let (world, dir) = world().await;
    world.store.close().await;
    let database = Connection::open(dir.join("assistdeck.db")).unwrap();
    database.execute("UPDATE schema_migrations SET checksum = 'x'", []).unwrap();
    drop(database);
    let said = sentence(server(&dir, answering()));
    assert!(said.contains("0001_the_log of the database is not the one"), "{said}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("assistdeck.db"), "this is no database at all".repeat(99)).unwrap();
    let said = sentence(server(dir.path(), answering()));
    assert!(said.contains("not a database"), "{said}");
}

#[tokio::test]
async fn a_commit_that_fails_acknowledges_nothing_and_the_store_works_again() {
    let (world, dir) = world().await;
    let (session, owner, _) = world.shared_session().await;
    // Another process that does not let go of the file in time is a failure like any other.
    let other = Connection::open(dir.join("assistdeck.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let send = Action::Send { draft: draft("x") };
    let sent = world.append(session, owner, send).await;
    assert!(matches!(sent, Err(Error::Unavailable(_))), "{sent:?}");
    let made = world.store.create_session(SessionId::new(), owner, "x".into(), now()).await;
    assert!(matches!(made, Err(Error::Unavailable(_))));
    assert!(world.store.health().await.last_commit.is_err());
    assert_eq!(world.log(session).await.head, 1, "reading goes on");

    drop(other);
    until("the store is healthy again without anybody's doing", async || {
        world.store.health().await.last_commit.is_ok()
    })
    .await;
    assert_eq!(world.send(session, owner, "y").await.seq, 2);
    assert_eq!(world.told(session).len(), 2);
}

#[tokio::test]
async fn a_full_disk_acknowledges_nothing_loses_nothing_and_passes() {
    let disk = match SmallDisk::mount() {
        Ok(disk) => disk,
        Err(why) => return eprintln!("not tested here: no small disk can be mounted ({why})"),
    };
    let store: Arc<dyn Store> = Arc::new(server(&disk.0.join("data"), answering()).unwrap());
    let owner = UserId::new();
    let new = assistdeck::store::NewAccount {
        id: owner,
        name: "n".into(),
        email: "e@example.org".into(),
        kind: protocol::UserKind::Human,
        password_hash: None,
        at: now(),
    };
    store.create_account(new).await.unwrap();
    let session = SessionId::new();
    store.create_session(session, owner, "x".into(), now()).await.unwrap();
    let send = async || {
        let action = Action::Send { draft: draft(&"x".repeat(60_000)) };
        let permit = store.admit(60_000).await;
        store.append(Append { session, actor: owner, at: now(), action }, permit).await.unwrap()
    };
    let filler = disk.0.join("filler");
    for _ in 0..2 {
        let mut sent = 0;
        // As much of it as there is room for.
        let _ = fs::write(&filler, vec![0; 5 << 20]);
        let failure = loop {
            match send().await {
                Ok(_) => sent += 1,
                Err(failure) => break failure,
            }
            assert!(sent < 10_000, "the disk is never full");
        };
        assert!(matches!(failure, Error::Unavailable(_)), "{failure:?}");
        let head = store.access(session, owner).await.unwrap().unwrap().session.last_seq;
        assert!(head >= sent);
        fs::remove_file(&filler).unwrap();
        until("there is room again", async || store.health().await.last_commit.is_ok()).await;
        let again = event(send().await);
        let head_now = store.access(session, owner).await.unwrap().unwrap().session.last_seq;
        assert_eq!(again.seq, head_now);
        assert!(again.seq > head);
    }
    store.close().await;
}

/// A disk of 16 MiB in memory, where one may be mounted.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount() -> Result<Self, String> {
        let path = tempfile::tempdir().map_err(|error| error.to_string())?.keep();
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=16m", "none"]).arg(&path);
        match mount.output() {
            Ok(done) if done.status.success() => Ok(Self(path)),
            Ok(done) => Err(String::from_utf8_lossy(&done.stderr).trim().to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
        let _ = fs::remove_dir(&self.0);
    }
}
