//! The data folder: where its files are, who may read them, and who may serve from it.
//!
//! The folder is 0700 and every file in it 0600, whatever the umask: SQLite gives its `-wal`
//! and `-shm` the mode of the database, so the database is made here, before SQLite sees it. The
//! lock keeps a second server off; it is held by the open file and so ends with the process.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock, statvfs};

use crate::store::{Error, Result};

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

impl Folder {
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// Makes the folder if it is missing, and sets its mode.
    pub fn prepare_dir(&self) -> Result<()> {
        if !self.dir.is_dir() {
            DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)?;
        }
        Ok(fs::set_permissions(&self.dir, Permissions::from_mode(0o700))?)
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
            Err(error) => return Err(error.into()),
        }
        for path in [self.database(), self.wal(), self.shared_memory()] {
            match fs::set_permissions(&path, Permissions::from_mode(0o600)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        Ok(())
    }

    /// Takes the server's lock, or says who can't.
    pub fn lock(&self) -> Result<Lock> {
        let path = self.dir.join("lock");
        let file =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Lock(file)),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::Unavailable(format!(
                "another server uses the data folder {}",
                self.dir.display()
            ))),
            Err(error) => Err(io::Error::from(error).into()),
        }
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
