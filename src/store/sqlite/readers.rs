//! The read connections: a few, each used by one read at a time, off the async threads.
//!
//! Each read is one transaction and so sees one moment of the store.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use crate::store::sqlite::connection;
use crate::store::sqlite::fault::stopped;
use crate::store::sqlite::folder::Folder;
use crate::store::{Error, Result};

/// Reads at the same time, which also bounds the pages in memory.
const READERS: usize = 4;

pub struct Readers {
    folder: Folder,
    idle: Arc<Mutex<Vec<Connection>>>,
    room: Arc<Semaphore>,
}

impl Readers {
    pub fn new(folder: Folder) -> Self {
        Self { folder, idle: Arc::default(), room: Arc::new(Semaphore::new(READERS)) }
    }

    /// Runs `work` in a transaction of its own.
    pub async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let room = Arc::clone(&self.room).acquire_owned().await.map_err(|_| stopped())?;
        let idle = Arc::clone(&self.idle);
        let path = self.folder.database();
        let done = tokio::task::spawn_blocking(move || {
            let connection = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut connection = connection.map_or_else(|| connection::reader(&path), Ok)?;
            let transaction = connection.transaction()?;
            let outcome = work(&transaction);
            drop(transaction);
            // One that failed to read may be beyond use.
            if !matches!(outcome, Err(Error::Unavailable(_))) {
                idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            }
            drop(room);
            outcome
        });
        done.await.map_err(|error| Error::Other(format!("a read has panicked: {error}")))?
    }

    /// Waits for reads in flight, then closes all connections.
    pub async fn close(&self) {
        let everything = u32::try_from(READERS).expect("a small number");
        // None: it was closed before.
        let _all = self.room.acquire_many(everything).await;
        self.room.close();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
