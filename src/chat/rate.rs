//! The setting `message_rate_max`: messages a second and user, off by default.
//!
//! A token bucket for each user that holds one second's worth; those that are full again are
//! let go, so it is as large as the users of the last second.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use protocol::UserId;

/// Users remembered before those with a full bucket are let go.
const USERS_BEFORE_SWEEP: usize = 1_024;

/// Allowances by user.
pub struct Rates {
    per_second: f64,
    buckets: Mutex<HashMap<UserId, Bucket>>,
}

struct Bucket {
    left: f64,
    at: Instant,
}

impl Rates {
    /// 0: no limit.
    pub fn new(per_second: u32) -> Self {
        Self { per_second: f64::from(per_second), buckets: Mutex::default() }
    }

    /// Takes one, or tells the seconds to wait.
    pub fn take(&self, user: UserId) -> Result<(), u64> {
        if self.per_second == 0.0 {
            return Ok(());
        }
        let now = Instant::now();
        let refilled = |bucket: &Bucket| {
            let gained = now.duration_since(bucket.at).as_secs_f64() * self.per_second;
            (bucket.left + gained).min(self.per_second)
        };
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() > USERS_BEFORE_SWEEP {
            buckets.retain(|_, bucket| refilled(bucket) < self.per_second);
        }
        let full = Bucket { left: self.per_second, at: now };
        let bucket = buckets.entry(user).or_insert(full);
        bucket.left = refilled(bucket);
        bucket.at = now;
        if bucket.left < 1.0 {
            return Err(1);
        }
        bucket.left -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_a_seconds_worth_and_others_are_not_touched() {
        let rates = Rates::new(3);
        let (one, other) = (UserId::new(), UserId::new());
        assert_eq!([(); 4].map(|()| rates.take(one)), [Ok(()), Ok(()), Ok(()), Err(1)]);
        assert_eq!(rates.take(other), Ok(()));
        let off = Rates::new(0);
        assert!((0..1000).all(|_| off.take(one).is_ok()));
    }
}
