//! The one thread that writes.
//!
//! It takes all that waits, does it in one transaction, commits, and hands the commit to the
//! sink; with nothing to do it sleeps, or does the chores ([`Chores`]) that are due.
//!
//! A failed commit acknowledges nothing: everything in it is answered with `Unavailable`, all that
//! was remembered is forgotten, and the connection is dropped, for an fsync that failed is never
//! tried again: the kernel may have dropped the pages and would say yes. The next connection first
//! copies the whole WAL into the database and cuts it (so that nothing is built upon pages that
//! may not be on the disk; not needed where only room was wanting), then writes a probe; only then
//! work goes on. What the failed commit
//! left in the file, if it left anything, is the truth then, and numbers go on after it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::Event;
use rusqlite::Connection;

use crate::store::outcome::Outcome;
use crate::store::sqlite::batch::Batch;
use crate::store::sqlite::chores::Chores;
use crate::store::sqlite::connection;
use crate::store::sqlite::fault::{is_disk_full, only_the_server};
use crate::store::sqlite::folder::Folder;
use crate::store::sqlite::hot::Hot;
use crate::store::sqlite::known::Known;
use crate::store::sqlite::meta;
use crate::store::sqlite::queue::{Item, Job, Queue, Taken};
use crate::store::{Appended, Commit, Error, Marked, Permit, Reply, Result, Sink};

/// Between two attempts to write again when nobody asks.
const RETRY: Duration = Duration::from_secs(1);
/// How long a checkpoint waits for readers of an older state.
const READERS_PATIENCE: Duration = Duration::from_millis(250);

/// What the thread works with for its whole life.
pub struct Writer {
    pub folder: Folder,
    pub queue: Arc<Queue>,
    pub outcome: Arc<Outcome>,
    pub epoch: String,
    /// None beside a server: appends are refused then.
    pub sink: Option<Sink>,
}

/// How far the files can be trusted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trust {
    Whole,
    /// Only room was wanting: what was written before is as good as it was.
    Room,
    /// What was written may not be on the disk, whatever the kernel says.
    None,
}

/// Why the work with one connection ended.
enum End {
    Closed,
    Broken(Error),
}

impl Writer {
    /// Works until the queue is closed and empty.
    pub fn run(mut self) {
        let queue = Arc::clone(&self.queue);
        // A panic here is a fault of ours; whoever waits must hear of it rather than wait for ever.
        let ended = catch_unwind(AssertUnwindSafe(|| self.work()));
        queue.abandon();
        if let Err(panic) = ended {
            self.outcome.set(&Err(Error::Other("the writer has panicked".to_owned())));
            std::panic::resume_unwind(panic);
        }
    }

    fn work(&mut self) {
        let mut trust = Trust::Whole;
        loop {
            let connected = self.connect(&mut trust);
            let is_connected = connected.is_ok();
            let end = match connected {
                Ok(connection) => self.serve(&connection),
                Err(error) => End::Broken(error),
            };
            let End::Broken(error) = end else { return };
            tracing::error!(%error, "the store can't write");
            self.outcome.set(&Err(error.clone()));
            trust = match trust {
                Trust::Whole | Trust::Room if is_disk_full(&error) => Trust::Room,
                _ => Trust::None,
            };
            // The first attempt to go on comes at once; if it fails, those who wait hear of it.
            if !is_connected && self.refuse_waiting(&error) {
                return;
            }
        }
    }

    /// A connection that may be written with.
    fn connect(&self, trust: &mut Trust) -> Result<Connection> {
        let connection = connection::writer(&self.folder.database())?;
        if *trust == Trust::None && !connection::truncate_wal(&connection, READERS_PATIENCE)? {
            return Err(Error::Unavailable("recovering, while somebody reads".to_owned()));
        }
        if *trust != Trust::Whole {
            meta::probe(&connection)?;
            *trust = Trust::Whole;
            self.outcome.set(&Ok(()));
            tracing::info!("the store can write again");
        }
        Ok(connection)
    }

    /// Still broken: answers all that waits, then waits for more or for the next attempt. True:
    /// the store is closing.
    fn refuse_waiting(&mut self, error: &Error) -> bool {
        loop {
            match self.queue.take(Some(Duration::ZERO)) {
                Taken::Items(items) => {
                    let mut waiting = Waiting::default();
                    items.into_iter().for_each(|item| drop(waiting.admit(item)));
                    waiting.fail(error, self.sink.as_ref());
                }
                Taken::Closed => return true,
                Taken::Nothing => break,
            }
        }
        self.queue.wait_for_work(RETRY);
        false
    }

    /// Commits what comes, until the end or the first failure.
    fn serve(&mut self, connection: &Connection) -> End {
        let mut hot = match Hot::prepare(connection) {
            Ok(hot) => hot,
            Err(error) => return End::Broken(error),
        };
        let mut known = match Known::load(connection) {
            Ok(known) => known,
            Err(error) => return End::Broken(error),
        };
        let mut chores = Chores::new(self.sink.is_some());
        loop {
            match self.queue.take(chores.patience()) {
                Taken::Items(items) => {
                    if let Err(error) = self.commit(items, &mut hot, &mut known, &mut chores) {
                        return End::Broken(error);
                    }
                    known.trim();
                }
                Taken::Nothing => {}
                Taken::Closed => {
                    chores.last(connection);
                    return End::Closed;
                }
            }
            if let Err(error) = chores.run(connection, &self.folder, &mut known) {
                return End::Broken(error);
            }
        }
    }

    /// One transaction. An error has been told to everybody in it.
    fn commit(
        &mut self,
        items: Vec<Item>,
        hot: &mut Hot<'_>,
        known: &mut Known,
        chores: &mut Chores,
    ) -> Result<()> {
        let mut waiting = Waiting::with_capacity(items.len());
        let mut batch = Batch {
            hot,
            known,
            epoch: &self.epoch,
            events: Vec::with_capacity(items.len()),
            deleted: false,
        };
        let serves = self.sink.is_some();
        let began = Instant::now();
        let written = write(items, &mut batch, &mut waiting, serves);
        if let Err(error) = written {
            // Fails too when SQLite has rolled back by itself, or can't: the connection goes.
            let _ = batch.hot.connection.execute_batch("ROLLBACK");
            waiting.fail(&error, self.sink.as_ref());
            return Err(error);
        }
        let Batch { events, deleted, .. } = batch;
        let at = Instant::now();
        chores.committed(deleted, events.iter().any(|event| event.ends_session()));
        let truncated = if deleted { chores.truncate(hot.connection) } else { Ok(()) };
        self.outcome.set(&Ok(()));
        waiting.tell(events, began, at, self.sink.as_ref());
        truncated
    }
}

/// Does all items within one transaction and commits it.
fn write(
    items: Vec<Item>,
    batch: &mut Batch<'_, '_>,
    waiting: &mut Waiting,
    serves: bool,
) -> Result<()> {
    let mut items = items.into_iter();
    let done = begin_and_do(&mut items, batch, waiting, serves);
    // After a failure the rest waits for the same answer.
    items.for_each(|item| drop(waiting.admit(item)));
    done?;
    batch.known.flush(batch.hot)?;
    batch.hot.commit.execute([])?;
    Ok(())
}

fn begin_and_do(
    items: &mut impl Iterator<Item = Item>,
    batch: &mut Batch<'_, '_>,
    waiting: &mut Waiting,
    serves: bool,
) -> Result<()> {
    batch.hot.begin.execute([])?;
    for item in items {
        match waiting.admit(item) {
            Work::Append(append) => {
                let outcome = if serves { batch.append(append) } else { Err(only_the_server()) };
                if serves {
                    unless_spoiled(&outcome, batch)?;
                }
                waiting.outcomes.push(outcome);
            }
            Work::Mark(at) => {
                let Waiter::Mark { mark, result } = &mut waiting.others[at] else { continue };
                let outcome = batch.mark(mark.session, mark.user, mark.seq);
                unless_spoiled(&outcome, batch)?;
                *result = outcome;
            }
            Work::Job(at) => {
                let Waiter::Job { job, result } = &mut waiting.others[at] else { continue };
                let outcome = batch.in_savepoint(|batch| job.run(batch.hot.connection));
                unless_spoiled(&outcome, batch)?;
                *result = outcome;
            }
        }
    }
    Ok(())
}

/// Passes on the errors after which the transaction can't go on.
fn unless_spoiled<T>(outcome: &Result<T>, batch: &Batch<'_, '_>) -> Result<()> {
    match outcome {
        Err(error @ Error::Unavailable(_)) => Err(error.clone()),
        Err(error) if batch.hot.connection.is_autocommit() => {
            Err(Error::Unavailable(format!("the transaction was undone: {error}")))
        }
        _ => Ok(()),
    }
}

/// Everybody who waits for the outcome of one transaction.
#[derive(Default)]
struct Waiting {
    appends: Vec<(Reply, Permit)>,
    /// Of the first of `appends`, as far as they were done.
    outcomes: Vec<Result<Appended>>,
    others: Vec<Waiter>,
}

enum Waiter {
    Mark { mark: crate::store::sqlite::queue::Mark, result: Result<Marked> },
    Job { job: Box<dyn Job>, result: Result<()> },
}

/// An item without those who wait for it.
enum Work {
    Append(crate::store::Append),
    /// Where it is in `others`.
    Mark(usize),
    Job(usize),
}

impl Waiting {
    fn with_capacity(items: usize) -> Self {
        Self {
            appends: Vec::with_capacity(items),
            outcomes: Vec::with_capacity(items),
            others: Vec::new(),
        }
    }

    fn admit(&mut self, item: Item) -> Work {
        match item {
            Item::Append { append, reply, permit } => {
                self.appends.push((reply, permit));
                Work::Append(append)
            }
            Item::Mark(mark) => {
                self.others.push(Waiter::Mark { mark, result: Ok(Marked::default()) });
                Work::Mark(self.others.len() - 1)
            }
            Item::Job(job) => {
                self.others.push(Waiter::Job { job, result: Ok(()) });
                Work::Job(self.others.len() - 1)
            }
        }
    }

    /// The commit went well: hands everything over.
    fn tell(self, events: Vec<Arc<Event>>, began: Instant, at: Instant, sink: Option<&Sink>) {
        let answers = self.appends.into_iter().zip(self.outcomes);
        let answers: Vec<_> =
            answers.map(|((reply, permit), outcome)| (reply, outcome, permit)).collect();
        let took = at.duration_since(began);
        hand_over(Commit { events, answers, took, at }, sink);
        for waiter in self.others {
            match waiter {
                Waiter::Mark { mark, result } => drop(mark.reply.send(result)),
                Waiter::Job { job, result } => job.finish(result),
            }
        }
    }

    /// Nothing happened.
    fn fail(self, error: &Error, sink: Option<&Sink>) {
        let answers = self.appends.into_iter();
        let answers: Vec<_> =
            answers.map(|(reply, permit)| (reply, Err(error.clone()), permit)).collect();
        let (took, at) = (Duration::ZERO, Instant::now());
        hand_over(Commit { events: Vec::new(), answers, took, at }, sink);
        for waiter in self.others {
            match waiter {
                Waiter::Mark { mark, .. } => drop(mark.reply.send(Err(error.clone()))),
                Waiter::Job { job, .. } => job.finish(Err(error.clone())),
            }
        }
    }
}

fn hand_over(commit: Commit, sink: Option<&Sink>) {
    if commit.events.is_empty() && commit.answers.is_empty() {
        return;
    }
    match sink {
        Some(sink) => sink(commit),
        None => commit.answer(),
    }
}
