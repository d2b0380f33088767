//! A lane: the writer of the sessions whose hash falls to it.
//!
//! Each lane is a thread with a connection of its own and a runtime for that alone, so that a
//! commit waits for no other work of the node, and one lane's flush holds up no other's sessions.
//! It takes all that waits ([`Queue`]), does it in one transaction ([`batch`]), and hands the
//! commit to the sink. Under load, where nodes share the database, it rests between two. All
//! appends of a session go through one lane, and so reach the sink in their order.
//!
//! A failed or unknown commit acknowledges nothing: everything in it is answered with
//! `Unavailable`, the connection is dropped, and the next one is made at once; while there is
//! none, whatever comes is answered so. A row that somebody else holds for too long fails its batch
//! alone. Nothing is remembered from one batch to the next. If
//! PostgreSQL takes offence at the data of a batch, each of its items is tried alone, so that a
//! bad one fails alone.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use protocol::Event;
use tokio::runtime::Runtime;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_postgres::Client;

use crate::store::outcome::Outcome;
use crate::store::postgres::batch::{self, Done};
use crate::store::postgres::connection::{self, Address};
use crate::store::postgres::fault::is_locked_out;
use crate::store::postgres::hot::Hot;
use crate::store::postgres::queue::{Item, Queue, Waiter};
use crate::store::{Commit, Error, Permit, Reply, Result, Sink};

/// Between two attempts to connect when nobody asks.
const RETRY: Duration = Duration::from_millis(500);
/// A batch that takes longer has an unknown end; the server's own limits come first.
const BATCH_PATIENCE: Duration = Duration::from_secs(45);
/// Where nodes share the database a lane rests after a batch: for as long as that took, once for
/// each so many items in it ...
const REST_ITEMS: usize = 8;
/// ... but not more often than this ...
const REST_TIMES_MAX: u32 = 3;
/// ... and no longer.
const REST_MAX: Duration = Duration::from_millis(25);
/// How long a connection and its first statements may take.
const CONNECT_PATIENCE: Duration = Duration::from_secs(15);
/// The session of a node that was killed takes a moment to end.
const LOCK_PATIENCE: Duration = Duration::from_secs(3);
/// As long as somebody looks who does not need the lock.
const LOOK_PATIENCE: Duration = Duration::from_secs(1);
const LOCK_RETRY: Duration = Duration::from_millis(50);

/// The first of the two keys of a lane's lock; the second is the lane's number.
const LOCK_KEY: &str = "hashtext('assistdeck ' || current_schema())";

/// Keeps all servers off as long as the connection lives. False: one is there.
pub async fn lock_all(client: &Client) -> Result<bool> {
    let sql = format!("SELECT pg_try_advisory_lock({LOCK_KEY}, 0)");
    let until = Instant::now() + LOCK_PATIENCE;
    while !client.query_one(&sql, &[]).await?.try_get(0)? {
        if Instant::now() >= until {
            return Ok(false);
        }
        sleep(LOCK_RETRY).await;
    }
    Ok(true)
}

/// Whether a server is there and stays, or somebody who keeps them off. Takes nothing.
pub async fn is_locked(client: &Client) -> Result<bool> {
    let sql = format!(
        "SELECT EXISTS (
             SELECT 1 FROM pg_locks l JOIN pg_database d ON d.oid = l.database
             WHERE d.datname = current_database() AND l.locktype = 'advisory' AND l.granted
               AND l.objsubid = 2 AND l.objid = 0
               AND l.classid = ({LOCK_KEY}::bigint & 4294967295)::oid)"
    );
    let until = Instant::now() + LOOK_PATIENCE;
    while client.query_one(&sql, &[]).await?.try_get(0)? {
        if Instant::now() >= until {
            return Ok(true);
        }
        sleep(LOCK_RETRY).await;
    }
    Ok(false)
}

/// What a lane works with for its whole life.
pub struct Lane {
    pub number: i32,
    /// Without a bus: no other node may use the store.
    pub alone: bool,
    pub address: Address,
    pub queue: Arc<Queue>,
    pub outcome: Arc<Outcome>,
    pub epoch: Arc<str>,
    pub sink: Arc<Mutex<Sink>>,
    /// Told when a session was deleted.
    pub deleted: Arc<Notify>,
}

/// A connection that is in use.
struct Link {
    client: Client,
    hot: Hot,
    /// After the last batch.
    rest: Duration,
    /// Ends with the connection.
    driver: JoinHandle<()>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Lane {
    /// Works until the queue is closed and empty; `ready` hears of the first connection.
    pub fn run(self, runtime: &Runtime, ready: oneshot::Sender<Result<()>>) {
        // A panic here is a fault of ours; whoever waits must hear of it rather than wait for ever.
        let ended = catch_unwind(AssertUnwindSafe(|| self.work(runtime, ready)));
        self.queue.abandon();
        if let Err(panic) = ended {
            self.outcome.set(&Err(Error::Other("a lane has panicked".to_owned())));
            std::panic::resume_unwind(panic);
        }
    }

    fn work(&self, runtime: &Runtime, ready: oneshot::Sender<Result<()>>) {
        let mut link = match runtime.block_on(self.connect(LOCK_PATIENCE)) {
            Ok(link) => Some(link),
            Err(error) => {
                let _ = ready.send(Err(error));
                return;
            }
        };
        // Whoever opened the store may have gone away.
        let _ = ready.send(Ok(()));
        while let Some(commits) = runtime.block_on(self.turn(&mut link)) {
            // Outside of the runtime: the sink may block.
            for commit in commits {
                if !commit.events.is_empty() || !commit.answers.is_empty() {
                    self.sink.lock().unwrap_or_else(PoisonError::into_inner)(commit);
                }
            }
        }
        // The driver ends with the client, after it has said goodbye.
        runtime.block_on(async { sleep(Duration::ZERO).await });
    }

    /// One round: what was committed, or failed, in it. None: it is over.
    async fn turn(&self, link: &mut Option<Link>) -> Option<Vec<Commit>> {
        let Some(open) = link else { return self.reconnect(link).await };
        let items = tokio::select! {
            biased;
            items = self.queue.take(open.rest) => items?,
            _ = &mut open.driver => {
                self.lost(link, &Error::Unavailable("PostgreSQL: the connection was lost".into()));
                return Some(Vec::new());
            }
        };
        let (count, began) = (items.len(), Instant::now());
        let (commits, failed) = self.commit(open, items).await;
        open.rest = self.rest_after(count, began.elapsed());
        if let Some(error) = failed {
            self.lost(link, &error);
        }
        Some(commits)
    }

    /// How long a lane waits for company after a batch of so many items, where nodes share the
    /// database. A transaction costs several times what an item in it does: several nodes that each
    /// begin one as soon as they can make many small ones, the smaller the busier the database is.
    /// Few items at a time find no rest.
    fn rest_after(&self, count: usize, took: Duration) -> Duration {
        let times = REST_TIMES_MAX.min((count / REST_ITEMS) as u32);
        if self.alone { Duration::ZERO } else { REST_MAX.min(took * times) }
    }

    fn lost(&self, link: &mut Option<Link>, error: &Error) {
        tracing::error!(lane = self.number, %error, "the store can't write");
        self.outcome.set(&Err(error.clone()));
        *link = None;
    }

    /// Connects again; if that fails, those who wait hear of it.
    async fn reconnect(&self, link: &mut Option<Link>) -> Option<Vec<Commit>> {
        if self.queue.is_done() {
            return None;
        }
        let connected = match self.connect(Duration::ZERO).await {
            Ok(open) => self.probe(&open).await.map(|()| open),
            Err(error) => Err(error),
        };
        let error = match connected {
            Ok(open) => {
                tracing::info!(lane = self.number, "the store can write again");
                self.outcome.set(&Ok(()));
                *link = Some(open);
                return Some(Vec::new());
            }
            Err(error) => error,
        };
        self.outcome.set(&Err(error.clone()));
        let waiting = self.queue.take_now();
        if waiting.is_empty() {
            self.queue.wait_for_work(RETRY).await;
            return Some(Vec::new());
        }
        Some(vec![fail(waiters(waiting), &error)])
    }

    async fn connect(&self, patience: Duration) -> Result<Link> {
        let connecting = async {
            let (client, connection) = self.address.connect().await?;
            let driver = tokio::spawn(connection::drive(connection));
            self.be_alone(&client, patience).await?;
            let hot = Hot::prepare(&client).await?;
            Ok(Link { client, hot, rest: Duration::ZERO, driver })
        };
        timeout(CONNECT_PATIENCE, connecting)
            .await
            .unwrap_or_else(|_| Err(Error::Unavailable("PostgreSQL does not answer".to_owned())))
    }

    /// Nodes that do not hear of each other's events must not share a store.
    async fn be_alone(&self, client: &Client, patience: Duration) -> Result<()> {
        let until = Instant::now() + patience;
        let shared = if self.alone { "" } else { "_shared" };
        let sql = format!("SELECT pg_try_advisory_lock{shared}({LOCK_KEY}, $1)");
        while !client.query_one(&sql, &[&self.number]).await?.try_get(0)? {
            if Instant::now() >= until {
                return Err(Error::Unavailable(
                    "another server uses this database, and one of the two has no bus: \
                     give all of them the same bus_url, `postgres` for instance"
                        .to_owned(),
                ));
            }
            sleep(LOCK_RETRY).await;
        }
        Ok(())
    }

    /// Writes something, to see whether the store can.
    async fn probe(&self, open: &Link) -> Result<()> {
        let sql = "INSERT INTO meta (key, value) VALUES ('probe', $1)
                   ON CONFLICT (key) DO UPDATE SET value = excluded.value";
        open.client.execute(sql, &[&self.number.to_string()]).await?;
        Ok(())
    }

    /// One transaction, or one for each item where the data of one gives offence. Whatever failed
    /// has been told to everybody in it; the error is one after which the connection goes.
    async fn commit(&self, open: &Link, items: Vec<Item>) -> (Vec<Commit>, Option<Error>) {
        let (work, waiters): (Vec<_>, Vec<_>) =
            items.into_iter().map(|item| (item.work, item.waiter)).unzip();
        let error = match self.attempt(open, &work).await {
            Ok(outcome) => return (vec![self.told(outcome, waiters)], None),
            Err(error) => error,
        };
        if is_locked_out(&error) {
            tracing::warn!(lane = self.number, %error, "a session is held by somebody else");
            return (vec![fail(waiters, &error)], None);
        }
        if matches!(error, Error::Unavailable(_)) {
            return (vec![fail(waiters, &error)], Some(error));
        }
        let mut commits = Vec::new();
        let mut waiters = waiters.into_iter();
        for (one, waiter) in work.chunks(1).zip(waiters.by_ref()) {
            match self.attempt(open, one).await {
                Ok(outcome) => commits.push(self.told(outcome, vec![waiter])),
                Err(error) => {
                    tracing::error!(%error, "the store could not take something");
                    commits.push(fail(vec![waiter], &error));
                    if matches!(error, Error::Unavailable(_)) {
                        commits.push(fail(waiters.collect(), &error));
                        return (commits, Some(error));
                    }
                }
            }
        }
        (commits, None)
    }

    async fn attempt(&self, open: &Link, work: &[batch::Work]) -> Result<Outcomes> {
        let began = Instant::now();
        let run = batch::run(&open.client, &open.hot, &self.epoch, work);
        let outcome = timeout(BATCH_PATIENCE, run).await.unwrap_or_else(|_| {
            Err(Error::Unavailable("PostgreSQL did not answer in time".to_owned()))
        });
        match outcome {
            Ok((events, done)) => {
                self.outcome.set(&Ok(()));
                Ok(Outcomes { events, done, took: began.elapsed() })
            }
            Err(error) => {
                if !matches!(error, Error::Unavailable(_)) || is_locked_out(&error) {
                    open.client.batch_execute("ROLLBACK").await?;
                }
                Err(error)
            }
        }
    }

    /// The commit went well: what goes to the sink. Read marks are answered here.
    fn told(&self, outcomes: Outcomes, waiters: Vec<Waiter>) -> Commit {
        let Outcomes { events, done, took } = outcomes;
        if events.iter().any(|event| event.ends_session()) {
            self.deleted.notify_one();
        }
        let mut answers = Vec::with_capacity(waiters.len());
        for (waiter, done) in waiters.into_iter().zip(done) {
            match (waiter, done) {
                (Waiter::Append(reply, permit), Done::Append(outcome)) => {
                    answers.push((reply, outcome, permit));
                }
                // Whoever asked may have gone away.
                (Waiter::Mark(reply, _room), Done::Mark(outcome)) => drop(reply.send(outcome)),
                _ => unreachable!("outcomes come in the order of the work"),
            }
        }
        Commit { events, answers, took, at: Instant::now() }
    }
}

struct Outcomes {
    events: Vec<Arc<Event>>,
    done: Vec<Done>,
    took: Duration,
}

fn waiters(items: Vec<Item>) -> Vec<Waiter> {
    items.into_iter().map(|item| item.waiter).collect()
}

/// Nothing happened.
fn fail(waiters: Vec<Waiter>, error: &Error) -> Commit {
    let mut answers: Vec<(Reply, Result<_>, Permit)> = Vec::with_capacity(waiters.len());
    for waiter in waiters {
        match waiter {
            Waiter::Append(reply, permit) => answers.push((reply, Err(error.clone()), permit)),
            Waiter::Mark(reply, _room) => drop(reply.send(Err(error.clone()))),
        }
    }
    Commit { events: Vec::new(), answers, took: Duration::ZERO, at: Instant::now() }
}
