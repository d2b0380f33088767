//! Tokens that were verified, and whose they are, so that the next call need not verify again.
//!
//! Kept by the first half of the token's SHA-256, never by its text. Half is enough: a token that
//! was not issued would have to meet one of 65,536 that were among 2^128, at each attempt.
//!
//! Bounded: each shard has a young and an old half; a full young half becomes the old one, and what
//! is asked for comes back into the young one, so the tokens in use stay. What a revocation ends is
//! dropped at once; whoever read the store before that revocation is told by the generation that
//! the outcome may be stale.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use protocol::Timestamp;

use super::Caller;
use super::token::LEEWAY_SECONDS;
use crate::store::Revocation;

/// Tokens remembered, all shards together.
const TOKENS_MAX: usize = 65_536;
const SHARDS: usize = 16;
const HALF_MAX: usize = TOKENS_MAX / SHARDS / 2;

/// The SHA-256 of a token.
pub(super) type Digest = [u8; 32];

/// What a token is kept by.
type Key = [u8; 16];

type Half = HashMap<Key, Caller, BuildHasherDefault<FirstBytes>>;

#[derive(Default)]
struct Shard {
    young: Half,
    old: Half,
}

/// The verified tokens.
pub(super) struct Remembered {
    shards: [Mutex<Shard>; SHARDS],
    /// Counts the revocations that were applied.
    generation: AtomicU64,
}

impl Remembered {
    pub(super) fn new() -> Self {
        let shards = std::array::from_fn(|_| Mutex::default());
        Self { shards, generation: AtomicU64::new(0) }
    }

    /// To be read before the store is, and given to [`Self::insert`].
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    /// Whose token it is, if it was verified and has not expired.
    pub(super) fn get(&self, digest: &Digest, now: Timestamp) -> Option<Caller> {
        let (mut shard, key) = self.shard(digest);
        if let Some(caller) = shard.young.get(&key) {
            let caller = *caller;
            return live(&caller, now).then_some(caller);
        }
        let caller = shard.old.remove(&key)?;
        if !live(&caller, now) {
            return None;
        }
        put(&mut shard, key, caller);
        Some(caller)
    }

    /// Remembers, unless something was revoked since `generation` was read.
    pub(super) fn insert(&self, digest: Digest, caller: Caller, generation: u64) {
        let (mut shard, key) = self.shard(&digest);
        // Under the lock: a revocation counts first and then takes each lock.
        if self.generation() == generation {
            put(&mut shard, key, caller);
        }
    }

    /// Drops what a revocation ends.
    pub(super) fn forget(&self, revocation: Revocation) {
        self.retain(|caller| match revocation {
            Revocation::User { user, issued_before_ms } => {
                caller.user != user || caller.token.issued_ms >= issued_before_ms
            }
            Revocation::Token { id } => caller.token.id != Some(id),
        });
    }

    /// Drops everything: nobody knows what was revoked meanwhile.
    pub(super) fn clear(&self) {
        self.retain(|_| false);
    }

    fn retain(&self, keep: impl Fn(&Caller) -> bool) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        for shard in &self.shards {
            let mut shard = lock(shard);
            shard.young.retain(|_, caller| keep(caller));
            shard.old.retain(|_, caller| keep(caller));
        }
    }

    fn shard(&self, digest: &Digest) -> (MutexGuard<'_, Shard>, Key) {
        let key = *digest.first_chunk().expect("a digest has 32 bytes");
        (lock(&self.shards[usize::from(digest[31]) % SHARDS]), key)
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

fn put(shard: &mut Shard, key: Key, caller: Caller) {
    if shard.young.len() >= HALF_MAX {
        shard.old = std::mem::take(&mut shard.young);
    }
    shard.young.insert(key, caller);
}

fn live(caller: &Caller, now: Timestamp) -> bool {
    now.0 <= caller.token.expires.0.saturating_add(LEEWAY_SECONDS as i64 * 1_000_000)
}

/// A key is as good as a hash already: its first eight bytes are taken.
#[derive(Default)]
struct FirstBytes(u64);

impl Hasher for FirstBytes {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_ne_bytes(*first);
        }
    }

    // The length of the array comes by this way; it is always the same.
    fn write_usize(&mut self, _: usize) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::TokenStamp;
    use protocol::{UserId, UserKind};
    use uuid::Uuid;

    fn caller(user: UserId, issued_ms: i64) -> Caller {
        let id = Some(Uuid::now_v7());
        let token = TokenStamp { id, issued_ms, expires: Timestamp(10_000_000) };
        Caller { user, kind: UserKind::Human, token }
    }

    fn digest(n: usize) -> Digest {
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&(n as u64).to_ne_bytes());
        digest[31] = (n % 256) as u8;
        digest
    }

    #[test]
    fn a_token_is_remembered_until_it_expires() {
        let remembered = Remembered::new();
        let caller = caller(UserId::new(), 1);
        remembered.insert(digest(1), caller, remembered.generation());
        assert_eq!(remembered.get(&digest(1), Timestamp(15_000_000)), Some(caller));
        assert_eq!(remembered.get(&digest(1), Timestamp(15_000_001)), None);
        assert_eq!(remembered.get(&digest(2), Timestamp(0)), None);
    }

    #[test]
    fn a_revocation_drops_what_it_ends_and_nothing_else() {
        let remembered = Remembered::new();
        let user = UserId::new();
        let callers = [caller(user, 1), caller(user, 5), caller(UserId::new(), 1)];
        for (n, caller) in callers.into_iter().enumerate() {
            remembered.insert(digest(n), caller, remembered.generation());
        }
        remembered.forget(Revocation::User { user, issued_before_ms: 5 });
        let left: Vec<bool> =
            (0..3).map(|n| remembered.get(&digest(n), Timestamp(0)).is_some()).collect();
        assert_eq!(left, [false, true, true]);
        let id = callers[1].token.id.expect("an id");
        remembered.forget(Revocation::Token { id });
        assert_eq!(remembered.get(&digest(1), Timestamp(0)), None);
    }

    #[test]
    fn what_was_read_before_a_revocation_is_not_remembered() {
        let remembered = Remembered::new();
        let before = remembered.generation();
        remembered.forget(Revocation::Token { id: Uuid::now_v7() });
        remembered.insert(digest(1), caller(UserId::new(), 1), before);
        assert_eq!(remembered.get(&digest(1), Timestamp(0)), None);
    }

    #[test]
    fn it_is_bounded_and_keeps_what_is_in_use() {
        let remembered = Remembered::new();
        let used = caller(UserId::new(), 1);
        remembered.insert(digest(0), used, 0);
        for n in 1..4 * TOKENS_MAX {
            remembered.insert(digest(n), caller(UserId::new(), 1), 0);
            if n % (HALF_MAX / 2) == 0 {
                assert_eq!(remembered.get(&digest(0), Timestamp(0)), Some(used), "{n}");
            }
        }
        let size = |shard: &Mutex<Shard>| {
            let shard = lock(shard);
            shard.young.len() + shard.old.len()
        };
        let held: usize = remembered.shards.iter().map(size).sum();
        assert!(held <= TOKENS_MAX, "{held}");
    }
}
