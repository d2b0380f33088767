//! Seeded chance: what a test drew can be drawn again.
//!
//! A test has a fixed seed, or prints it; then `ASSISTDECK_SEED=N` repeats it. What other machines
//! and threads do at the same time is not repeated by that: the seed brings back the plan, not the
//! race.
#![allow(dead_code)]

use std::hash::{BuildHasher, RandomState};

/// SplitMix64: small, and good enough to plan tests with.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// For one test, by its name. Prints the seed.
    pub fn of(test: &str) -> Self {
        let seed = match std::env::var("ASSISTDECK_SEED") {
            Ok(text) => text.parse().expect("ASSISTDECK_SEED is a number"),
            Err(_) => RandomState::new().hash_one(test) >> 32,
        };
        eprintln!("{test}: ASSISTDECK_SEED={seed}");
        Self(seed)
    }

    /// 0 to `end` - 1.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// A place in something of that length.
    pub fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.index(from.len())]
    }

    /// Others, for a task of its own.
    pub fn others(&mut self) -> Self {
        Self(self.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
