//! Passwords: Argon2id on threads of its own.
//!
//! Hashing takes tens of milliseconds and 19 MiB, so it happens on a few threads of low priority
//! behind a bounded queue: a burst of logins makes logins wait, or be told to come back, and
//! never holds up a message. Each thread keeps its memory for the next hash and gives it back
//! when none has come for a while: allocating it for each would scatter it over the heap.
//! Nobody's wrong password costs less than anybody's: where there is nothing to compare with,
//! [`NOBODYS_HASH`] is; and where accounts came with hashes of bcrypt (`bcrypt_hash`), whatever
//! fails costs one of each.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use tokio::sync::oneshot;

use super::{Error, Result, bcrypt_hash};

/// Memory of one hash, in KiB.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// More than any hash of ours will ever take: what claims more can't be read. In KiB.
const MEMORY_KIB_MAX: usize = 1 << 20;
/// A thread without a job for so long gives its memory back.
const IDLE: Duration = Duration::from_secs(5);
/// Told to who finds the queue full: by then most of it has been worked off.
const QUEUE_RETRY_SECONDS: u64 = 2;
/// How much the threads yield to those that carry messages.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// The hash of a password that nobody knows, made with the parameters above.
const NOBODYS_HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$\
    bm9ib2R5J3Mgc2FsdCE$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// What a hash is made in; it grows to what the hash needs.
#[derive(Default)]
pub(super) struct Memory(Vec<Block>);

type Job = Box<dyn FnOnce(&mut Memory) + Send>;

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
        job: impl FnOnce(&mut Memory) -> T + Send + 'static,
    ) -> Result<T> {
        let (answer, outcome) = oneshot::channel();
        let job = Box::new(move |memory: &mut Memory| {
            if !answer.is_closed() {
                // Gone away meanwhile: nobody cares.
                let _ = answer.send(job(memory));
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
    let mut memory = Memory::default();
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(IDLE);
        match job {
            Ok(job) => {
                if catch_unwind(AssertUnwindSafe(|| job(&mut memory))).is_err() {
                    tracing::error!("a password job panicked");
                }
            }
            Err(RecvTimeoutError::Timeout) => memory = Memory::default(),
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Argon2 of a password. None: the parameters fit no hash that we could have made.
fn output(
    password: &str,
    salt: &[u8],
    (algorithm, version, params): (Algorithm, Version, Params),
    memory: &mut Memory,
) -> Option<Output> {
    let blocks = params.block_count();
    if blocks > MEMORY_KIB_MAX {
        return None;
    }
    if memory.0.len() < blocks {
        memory.0.resize(blocks, Block::new());
    }
    let length = params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
    let mut buffer = [0; Output::MAX_LENGTH];
    let out = buffer.get_mut(..length)?;
    let argon2 = Argon2::new(algorithm, version, params);
    let within = &mut memory.0[..blocks];
    argon2.hash_password_into_with_memory(password.as_bytes(), salt, out, within).ok()?;
    Output::new(out).ok()
}

/// A PHC string with a salt of its own. Takes tens of milliseconds.
pub(super) fn hash(password: &str, memory: &mut Memory) -> String {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).expect("the parameters are valid");
    let salt = Salt::generate();
    let kind = (Algorithm::Argon2id, Version::V0x13, params.clone());
    let hash = output(password, &salt, kind, memory).expect("the password's length was checked");
    PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(&params).expect("the parameters have a text"),
        salt: Some(salt),
        hash: Some(hash),
    }
    .to_string()
}

/// Whether it is the password of that hash; without a hash, or with one that can't be read, no,
/// after the same time. Takes tens of milliseconds.
pub(super) fn verify(password: &str, stored: Option<&str>, memory: &mut Memory) -> bool {
    if let Some(hash) = stored.filter(|stored| bcrypt_hash::is_one(stored)) {
        match bcrypt_hash::compare(password, hash) {
            Some(true) => return true,
            Some(false) => {}
            None => tracing::error!("a stored password hash can't be read"),
        }
        nobodys(password, memory);
        return false;
    }
    match stored.map(|phc| compare(password, phc, memory)) {
        Some(Some(true)) => return true,
        Some(Some(false)) => {}
        Some(None) => {
            tracing::error!("a stored password hash can't be read");
            nobodys(password, memory);
        }
        None => nobodys(password, memory),
    }
    bcrypt_hash::spend(password);
    false
}

/// As much work as a comparison, for nothing.
fn nobodys(password: &str, memory: &mut Memory) {
    compare(password, NOBODYS_HASH, memory).expect("the constant is a PHC string");
}

/// Whether a hash from elsewhere can be kept: Argon2 as a PHC string, or bcrypt. What is wrong with
/// it otherwise.
pub fn check_hash(hash: &str) -> std::result::Result<(), &'static str> {
    if bcrypt_hash::is_one(hash) {
        return bcrypt_hash::check(hash);
    }
    let params = PasswordHash::new(hash)
        .ok()
        .filter(|phc| phc.salt.is_some() && phc.hash.is_some())
        .filter(|phc| Algorithm::try_from(phc.algorithm.as_str()).is_ok())
        .and_then(|phc| Params::try_from(&phc).ok());
    match params {
        None => Err("the password hash is neither of Argon2 nor of bcrypt"),
        Some(params) if params.block_count() > MEMORY_KIB_MAX => {
            Err("the password hash takes more memory than is ever given to one")
        }
        Some(_) => Ok(()),
    }
}

/// None: that is no hash of a password.
fn compare(password: &str, phc: &str, memory: &mut Memory) -> Option<bool> {
    let phc = PasswordHash::new(phc).ok()?;
    let algorithm = Algorithm::try_from(phc.algorithm.as_str()).ok()?;
    let version = phc.version.map_or(Ok(Version::default()), Version::try_from).ok()?;
    let kind = (algorithm, version, Params::try_from(&phc).ok()?);
    // `Output` compares in constant time.
    Some(output(password, &phc.salt?, kind, memory)? == phc.hash?)
}

/// Whether the hash was made with other parameters than today's.
pub(super) fn is_outdated(phc: &str) -> bool {
    if bcrypt_hash::is_one(phc) {
        return true;
    }
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
    use argon2::PasswordHasher;
    use std::time::Instant;

    #[test]
    fn a_hash_knows_its_password_and_no_other() {
        let phc = hash("correct horse", &mut Memory::default());
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
        let mut memory = Memory::default();
        let mut is = |word, phc| verify(word, phc, &mut memory);
        assert!(is("correct horse", Some(&phc)));
        assert!(!is("wrong horse", Some(&phc)));
        assert!(is("correct horse", Some(&phc)), "used memory is as good as fresh");
        assert!(!is("correct horse", None));
        let huge = phc.replace("m=19456", "m=4000000000");
        for unreadable in ["no hash", "$bcrypt$x", &huge] {
            assert!(!is("correct horse", Some(unreadable)));
        }
        assert!(!is_outdated(&phc));
    }

    #[test]
    fn nobodys_hash_costs_as_much_as_somebodys() {
        assert!(!is_outdated(NOBODYS_HASH));
        let phc = hash("correct horse", &mut Memory::default());
        let mut memory = Memory::default();
        let mut time = |phc: Option<&str>| {
            let start = Instant::now();
            verify("wrong", phc, &mut memory);
            start.elapsed()
        };
        time(None);
        // By turns, and the least of many: other tests run at the same time.
        let pairs: Vec<_> = (0..15).map(|_| (time(Some(&phc)), time(None))).collect();
        let somebody = pairs.iter().map(|pair| pair.0).min().expect("15 pairs");
        let nobody = pairs.iter().map(|pair| pair.1).min().expect("15 pairs");
        // No work at all would be a thousandth.
        assert!(nobody > somebody / 3 && nobody < somebody * 3, "{nobody:?} {somebody:?}");
    }

    #[test]
    fn hashes_of_other_parameters_are_outdated() {
        let params = Params::new(8_192, 1, 1, None).expect("valid");
        let weak = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let phc = weak.hash_password(b"correct horse").expect("a hash").to_string();
        assert!(is_outdated(&phc));
        assert!(verify("correct horse", Some(&phc), &mut Memory::default()));
    }

    #[tokio::test]
    async fn a_full_queue_says_come_back() {
        let hashing = Arc::new(Hashing::new(1, 1));
        let (release, held) = sync_channel::<()>(1);
        let (started, running) = oneshot::channel();
        let blocked = tokio::spawn({
            let hashing = hashing.clone();
            async move {
                hashing
                    .run(move |_| {
                        let _ = started.send(());
                        let _ = held.recv_timeout(Duration::from_secs(30));
                    })
                    .await
            }
        });
        running.await.expect("it runs");
        let waits = tokio::spawn({
            let hashing = hashing.clone();
            async move { hashing.run(|_| 7).await }
        });
        // The tests' runtime has one thread: after a turn the other task stands in the queue.
        tokio::task::yield_now().await;
        let refused = hashing.run(|_| 8).await;
        assert_eq!(refused, Err(Error::RateLimited { retry_after: QUEUE_RETRY_SECONDS }));
        release.send(()).expect("it is held");
        assert_eq!(waits.await.expect("no panic"), Ok(7));
        assert_eq!(blocked.await.expect("no panic"), Ok(()));
    }

    #[tokio::test]
    async fn a_job_that_panics_takes_no_thread_with_it() {
        let hashing = Hashing::new(1, 4);
        let outcome: Result<()> = hashing.run(|_| panic!("planted")).await;
        assert!(matches!(outcome, Err(Error::Internal(_))));
        assert_eq!(hashing.run(|_| 7).await, Ok(7));
    }
}
