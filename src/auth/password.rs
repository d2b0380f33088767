//! Passwords: Argon2id on threads of its own.
//!
//! Hashing takes tens of milliseconds and 19 MiB, so it happens on a few threads of low priority
//! behind a bounded queue: a burst of logins makes logins wait, or be told to come back, and
//! never holds up a message. Nobody's wrong password costs less than anybody's: where there is
//! nothing to compare with, [`NOBODYS_HASH`] is.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use tokio::sync::oneshot;

use super::{Error, Result};

/// Memory of one hash, in KiB.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Told to who finds the queue full: by then most of it has been worked off.
const QUEUE_RETRY_SECONDS: u64 = 2;
/// How much the threads yield to those that carry messages.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// The hash of a password that nobody knows, made with the parameters above.
const NOBODYS_HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$\
    bm9ib2R5J3Mgc2FsdCE$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

type Job = Box<dyn FnOnce() + Send>;

/// The threads that hash. They end when this is dropped.
pub(super) struct Hashing {
    jobs: SyncSender<Job>,
}

impl Hashing {
    /// `at_once` threads (0: as many as there are cores) and at most `waiting` jobs before them.
    pub(super) fn new(at_once: usize, waiting: usize) -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let threads = if at_once == 0 { cores } else { at_once };
        let (jobs, queue) = sync_channel(waiting.max(1));
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..threads {
            let queue = queue.clone();
            thread::Builder::new()
                .name("password".to_owned())
                .spawn(move || work(&queue))
                .expect("a thread can be started");
        }
        Self { jobs }
    }

    /// Runs a job on one of the threads. Refused when too many wait; skipped when whoever asked
    /// has gone away by the time that it is its turn.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        let (answer, outcome) = oneshot::channel();
        let job = Box::new(move || {
            if !answer.is_closed() {
                // Gone away meanwhile: nobody cares.
                let _ = answer.send(job());
            }
        });
        match self.jobs.try_send(job) {
            Ok(()) => outcome.await.map_err(|_| Error::Internal("a password job died".to_owned())),
            Err(TrySendError::Full(_)) => {
                Err(Error::RateLimited { retry_after: QUEUE_RETRY_SECONDS })
            }
            Err(TrySendError::Disconnected(_)) => {
                Err(Error::Internal("the password threads are gone".to_owned()))
            }
        }
    }
}

fn work(queue: &Mutex<Receiver<Job>>) {
    // On Linux the calling thread alone. If it can't be, the hashes merely compete.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, NICENESS);
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        if catch_unwind(AssertUnwindSafe(job)).is_err() {
            tracing::error!("a password job panicked");
        }
    }
}

fn hasher() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).expect("the parameters are valid");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// A PHC string with a salt of its own. Takes tens of milliseconds.
pub(super) fn hash(password: &str) -> String {
    let hash = hasher().hash_password(password.as_bytes());
    hash.expect("the password's length was checked and there is memory").to_string()
}

/// Whether it is the password of that hash; without a hash, or with one that can't be read, no,
/// after the same time. Takes tens of milliseconds.
pub(super) fn verify(password: &str, phc: Option<&str>) -> bool {
    let known = phc.and_then(|phc| match PasswordHash::new(phc) {
        Ok(hash) => Some(hash),
        Err(error) => {
            tracing::error!(%error, "a stored password hash can't be read");
            None
        }
    });
    let nobodys = || PasswordHash::new(NOBODYS_HASH).expect("the constant is a PHC string");
    let is_known = known.is_some();
    let compared = known.unwrap_or_else(nobodys);
    hasher().verify_password(password.as_bytes(), &compared).is_ok() && is_known
}

/// Whether the hash was made with other parameters than today's.
pub(super) fn is_outdated(phc: &str) -> bool {
    let Ok(hash) = PasswordHash::new(phc) else { return false };
    let Ok(params) = Params::try_from(&hash) else { return true };
    let todays = [MEMORY_KIB, PASSES, LANES];
    hash.algorithm.as_str() != "argon2id"
        || hash.version != Some(19)
        || [params.m_cost(), params.t_cost(), params.p_cost()] != todays
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn a_hash_knows_its_password_and_no_other() {
        let phc = hash("correct horse");
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
        assert!(verify("correct horse", Some(&phc)));
        assert!(!verify("wrong horse", Some(&phc)));
        assert!(!verify("correct horse", None));
        assert!(!verify("correct horse", Some("no hash")));
        assert!(!is_outdated(&phc));
    }

    #[test]
    fn nobodys_hash_costs_as_much_as_somebodys() {
        assert!(!is_outdated(NOBODYS_HASH));
        let phc = hash("correct horse");
        let time = |phc: Option<&str>| {
            let least = (0..5).map(|_| {
                let start = Instant::now();
                verify("wrong", phc);
                start.elapsed()
            });
            least.min().expect("five tries")
        };
        let (somebody, nobody) = (time(Some(&phc)), time(None));
        assert!(nobody > somebody / 2 && nobody < somebody * 2, "{nobody:?} {somebody:?}");
    }

    #[test]
    fn hashes_of_other_parameters_are_outdated() {
        let params = Params::new(8_192, 1, 1, None).expect("valid");
        let weak = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let phc = weak.hash_password(b"correct horse").expect("a hash").to_string();
        assert!(is_outdated(&phc));
        assert!(verify("correct horse", Some(&phc)));
    }

    #[tokio::test]
    async fn a_full_queue_says_come_back() {
        let hashing = Arc::new(Hashing::new(1, 1));
        let (release, held) = std::sync::mpsc::channel::<()>();
        let (started, running) = oneshot::channel();
        let blocked = tokio::spawn({
            let hashing = hashing.clone();
            async move {
                hashing
                    .run(move || {
                        let _ = started.send(());
                        let _ = held.recv_timeout(Duration::from_secs(30));
                    })
                    .await
            }
        });
        running.await.expect("it runs");
        let waits = tokio::spawn({
            let hashing = hashing.clone();
            async move { hashing.run(|| 7).await }
        });
        // The tests' runtime has one thread: after a turn the other task stands in the queue.
        tokio::task::yield_now().await;
        let refused = hashing.run(|| 8).await;
        assert_eq!(refused, Err(Error::RateLimited { retry_after: QUEUE_RETRY_SECONDS }));
        release.send(()).expect("it is held");
        assert_eq!(waits.await.expect("no panic"), Ok(7));
        assert_eq!(blocked.await.expect("no panic"), Ok(()));
    }

    #[tokio::test]
    async fn a_job_that_panics_takes_no_thread_with_it() {
        let hashing = Hashing::new(1, 4);
        let outcome: Result<()> = hashing.run(|| panic!("planted")).await;
        assert!(matches!(outcome, Err(Error::Internal(_))));
        assert_eq!(hashing.run(|| 7).await, Ok(7));
    }
}
