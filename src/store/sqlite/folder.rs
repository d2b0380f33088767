//! The data folder: where its files are, who may read them, and who may serve from it.
//!
//! The folder is 0700 and every file in it 0600, whatever the umask: SQLite gives its `-wal`
//! and `-shm` the mode of the database, so the database is made here, before SQLite sees it. The
//! lock keeps a second server off; it is held by the open file and so ends with the process.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock, statvfs};

use crate::store::{Error, Result};

/// An export holds the lock for a moment, to see whether somebody else does.
const LOCK_PATIENCE: Duration = Duration::from_millis(250);
const LOCK_RETRY: Duration = Duration::from_millis(10);

/// Paths within one data folder.
#[derive(Clone, Debug)]
pub struct Folder {
    dir: PathBuf,
}

/// Nobody else serves from the folder while this lives.
pub struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Said aloud, for a child process that was just forked still has the file open. Closing
        // it is enough for all others, so an error is of no interest.
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

/// An error of the system, which does not say by itself where it happened.
fn named(path: &Path, error: &io::Error) -> Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display())).into()
}

impl Folder {
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// Makes the folder if it is missing, and sets its mode.
    pub fn prepare_dir(&self) -> Result<()> {
        if !self.dir.is_dir() {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.dir);
            made.map_err(|error| named(&self.dir, &error))?;
        }
        let set = fs::set_permissions(&self.dir, Permissions::from_mode(0o700));
        set.map_err(|error| named(&self.dir, &error))
    }

    /// Makes an empty database if there is none, and sets the modes of its files.
    pub fn prepare_database(&self) -> Result<()> {
        let made =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.database());
        match made {
            Ok(_) => {}
            // Never opened here when it exists: closing any handle of the file would drop the
            // POSIX locks that SQLite holds on it in this process.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(named(&self.database(), &error)),
        }
        for path in [self.database(), self.wal(), self.shared_memory()] {
            match fs::set_permissions(&path, Permissions::from_mode(0o600)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(named(&path, &error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Takes the server's lock, or says who can't.
    pub fn lock(&self) -> Result<Lock> {
        let path = self.dir.join("lock");
        let file =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = file.map_err(|error| named(&path, &error))?;
        let until = Instant::now() + LOCK_PATIENCE;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Lock(file)),
                Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < until => {
                    std::thread::sleep(LOCK_RETRY);
                }
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    return Err(Error::Unavailable(format!(
                        "another server uses the data folder {}",
                        self.dir.display()
                    )));
                }
                Err(error) => return Err(io::Error::from(error).into()),
            }
        }
    }

    /// Whether somebody holds the lock, who is then a server or an import.
    pub fn is_locked(&self) -> bool {
        // Nothing that was never served has the file.
        let file = OpenOptions::new().write(true).open(self.dir.join("lock"));
        let locked = |file| match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                drop(Lock(file));
                false
            }
            Err(error) => error == rustix::io::Errno::WOULDBLOCK,
        };
        file.is_ok_and(locked)
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn database(&self) -> PathBuf {
        self.dir.join("assistdeck.db")
    }

    pub fn wal(&self) -> PathBuf {
        self.dir.join("assistdeck.db-wal")
    }

    pub fn shared_memory(&self) -> PathBuf {
        self.dir.join("assistdeck.db-shm")
    }

    /// The size of the write-ahead log, in bytes; 0 when there is none.
    pub fn wal_bytes(&self) -> u64 {
        fs::metadata(self.wal()).map_or(0, |file| file.len())
    }

    /// Free space for this process, in bytes.
    pub fn free_bytes(&self) -> Option<u64> {
        statvfs(&self.dir).ok().map(|fs| fs.f_bavail.saturating_mul(fs.f_frsize))
    }
}

/// Makes the names in a folder durable.
pub fn sync_dir(dir: &Path) -> Result<()> {
    Ok(File::open(dir)?.sync_all()?)
}
