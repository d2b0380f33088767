//! The read connections: a few threads, each with a connection of its own.
//!
//! Each read is one transaction and so sees one moment of the store. Reads wait in one queue.
//! Waking a thread costs about as much as a small read, so at most one is being woken at any
//! time: it wakes the next one when there is more than it can take. What comes in a burst is
//! thus mostly read by threads that are awake already.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::store::sqlite::connection;
use crate::store::sqlite::fault::stopped;
use crate::store::sqlite::folder::Folder;
use crate::store::{Error, Result};

/// Reads at the same time, which also bounds the pages in memory.
const READERS: usize = 4;

/// What a thread does with its connection, which it may leave behind as none.
type Read = Box<dyn FnOnce(&mut Option<Connection>, &Folder) + Send>;

pub struct Readers {
    shared: Arc<Shared>,
}

struct Shared {
    folder: Folder,
    state: Mutex<State>,
    news: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Read>,
    /// Threads that wait for news.
    idle: usize,
    /// One of them was told, and has not come yet.
    waking: bool,
    closed: bool,
    threads: Vec<JoinHandle<()>>,
}

impl Readers {
    pub fn new(folder: Folder) -> Self {
        let shared = Shared { folder, state: Mutex::default(), news: Condvar::new() };
        Self { shared: Arc::new(shared) }
    }

    /// Runs `work` in a transaction of its own, unless whoever asks has gone away before.
    pub async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        self.admit(Box::new(move |connection, folder| {
            if !reply.is_closed() {
                // Gone away meanwhile: nobody cares.
                let _ = reply.send(read(connection, folder, work));
            }
        }))?;
        answer.await.map_err(|_| Error::Other("a read has panicked".to_owned()))?
    }

    fn admit(&self, read: Read) -> Result<()> {
        let mut state = self.shared.lock();
        if state.closed {
            return Err(stopped());
        }
        state.waiting.push_back(read);
        if state.idle == 0 && state.threads.len() < READERS {
            let shared = Arc::clone(&self.shared);
            let name = "store-reader".to_owned();
            let thread = thread::Builder::new().name(name).spawn(move || shared.run());
            match thread {
                Ok(thread) => state.threads.push(thread),
                // The others do it.
                Err(_) if !state.threads.is_empty() => {}
                Err(error) => {
                    state.waiting.pop_back();
                    return Err(Error::Unavailable(format!("no thread to read: {error}")));
                }
            }
        }
        self.shared.wake(state);
        Ok(())
    }

    /// Does what waits, then ends the threads, which closes all connections.
    pub async fn close(&self) {
        let threads = {
            let mut state = self.shared.lock();
            state.closed = true;
            std::mem::take(&mut state.threads)
        };
        self.shared.news.notify_all();
        let joined = tokio::task::spawn_blocking(move || {
            for thread in threads {
                // One that panicked has said so already.
                let _ = thread.join();
            }
        });
        let _ = joined.await;
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes a thread where there is something to do and none is on its way.
    fn wake(&self, mut state: MutexGuard<'_, State>) {
        if !state.waking && state.idle > 0 && !state.waiting.is_empty() {
            state.waking = true;
            drop(state);
            self.news.notify_one();
        }
    }

    /// A thread: until the queue is empty and closed.
    fn run(&self) {
        let mut connection = None;
        loop {
            let mut state = self.lock();
            let read = loop {
                if let Some(read) = state.waiting.pop_front() {
                    break read;
                }
                if state.closed {
                    return;
                }
                state.idle += 1;
                state = self.news.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
                state.waking = false;
            };
            self.wake(state);
            if catch_unwind(AssertUnwindSafe(|| read(&mut connection, &self.folder))).is_err() {
                tracing::error!("a read panicked");
            }
        }
    }
}

/// One read on a thread's connection, which is opened when there is none.
fn read<T>(
    connection: &mut Option<Connection>,
    folder: &Folder,
    work: impl FnOnce(&Connection) -> Result<T>,
) -> Result<T> {
    let open = match connection.take() {
        Some(open) => open,
        None => connection::reader(&folder.database())?,
    };
    open.prepare_cached("BEGIN")?.execute([])?;
    let outcome = work(&open);
    let ended = open.prepare_cached("COMMIT")?.execute([]);
    // One that failed to read may be beyond use.
    if ended.is_ok() && !matches!(outcome, Err(Error::Unavailable(_))) {
        *connection = Some(open);
    }
    outcome
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use std::collections::HashSet;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Readers of an empty database, and the folder that it is in.
    fn readers() -> (Arc<Readers>, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        Connection::open(folder.database()).unwrap();
        (Arc::new(Readers::new(folder)), dir)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn every_read_of_many_bursts_is_answered() {
        let (readers, _dir) = readers();
        for burst in 1..200_u32 {
            let asked: Vec<_> = (0..burst % 17)
                .map(|number| {
                    let readers = Arc::clone(&readers);
                    tokio::spawn(async move {
                        readers
                            .read(move |connection| {
                                let same = connection
                                    .query_row("SELECT ?1", [number], |row| row.get::<_, u32>(0))?;
                                Ok((number, same))
                            })
                            .await
                    })
                })
                .collect();
            for answer in asked {
                let (number, same) = answer.await.unwrap().unwrap();
                assert_eq!(number, same);
            }
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn as_many_read_at_the_same_time_as_there_are_readers_and_no_more() {
        let (readers, _dir) = readers();
        let (barrier, running) = (Arc::new(Barrier::new(READERS)), Arc::new(AtomicUsize::new(0)));
        let asked: Vec<_> = (0..READERS * 3)
            .map(|_| {
                let (readers, barrier) = (Arc::clone(&readers), Arc::clone(&barrier));
                let running = Arc::clone(&running);
                tokio::spawn(async move {
                    readers
                        .read(move |_| {
                            assert!(running.fetch_add(1, Ordering::SeqCst) < READERS);
                            // Passed only when all of them are here.
                            barrier.wait();
                            running.fetch_sub(1, Ordering::SeqCst);
                            Ok(thread::current().id())
                        })
                        .await
                })
            })
            .collect();
        let mut threads = HashSet::new();
        for answer in asked {
            threads.insert(answer.await.unwrap().unwrap());
        }
        assert_eq!(threads.len(), READERS);
    }

    #[tokio::test]
    async fn a_read_that_panics_is_an_error_and_the_next_one_is_read() {
        let (readers, _dir) = readers();
        for _ in 0..READERS * 2 {
            let answer = readers.read(|_| -> Result<()> { panic!("on purpose") }).await;
            assert!(matches!(answer, Err(Error::Other(_))), "{answer:?}");
            assert_eq!(readers.read(|_| Ok(1)).await, Ok(1));
        }
    }

    #[tokio::test]
    async fn what_waits_is_read_before_the_end_and_nothing_afterwards() {
        let (readers, _dir) = readers();
        let asked: Vec<_> = (0..50).map(|n| readers.read(move |_| Ok(n))).collect();
        let asked = futures_util::future::join_all(asked);
        let (answers, ()) = tokio::join!(asked, readers.close());
        assert_eq!(answers, (0..50).map(Ok).collect::<Vec<_>>());
        assert_eq!(readers.read(|_| Ok(1)).await, Err(stopped()));
        readers.close().await;
    }
}
