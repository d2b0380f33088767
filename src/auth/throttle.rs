//! How often something may happen: a window that slides, for each key of its own.
//!
//! A [`Throttle`] remembers the moments of what counts, so that `Retry-After` is exact. It is
//! bounded: when it holds [`KEYS_MAX`] keys, one of them is forgotten for a new one. It has no
//! clock: the present moment is passed in. IPv6 callers count by their /64, which is what one
//! subscriber has.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use protocol::Timestamp;

use super::{Error, Result};

/// Keys that one throttle remembers.
const KEYS_MAX: usize = 65_536;
/// How often a full one looks for keys that have left the window.
const SWEEPS_PER_WINDOW: i64 = 60;

/// So many in such a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// 0: no limit.
    pub max: usize,
    pub window_seconds: i64,
}

/// Counts by key.
pub struct Throttle<K> {
    rate: Rate,
    counts: Mutex<Counts<K>>,
}

struct Counts<K> {
    moments: HashMap<K, VecDeque<Timestamp>>,
    /// When those that have left the window were last looked for.
    swept: Timestamp,
}

/// Between a look at the clock and the count of it there is less than this, in microseconds.
const AHEAD_US_MAX: i64 = 1_000_000;

impl<K: Eq + Hash + Clone> Throttle<K> {
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        let counts = Counts { moments: HashMap::new(), swept: Timestamp(0) };
        Self { rate, counts: Mutex::new(counts) }
    }

    /// Whether one more may happen now; counts nothing.
    pub fn check(&self, key: &K, now: Timestamp) -> Result<()> {
        if self.rate.max == 0 {
            return Ok(());
        }
        match self.lock().moments.get_mut(key) {
            Some(moments) => self.room(moments, now),
            None => Ok(()),
        }
    }

    /// Counts one, if it may happen now.
    pub fn take(&self, key: &K, now: Timestamp) -> Result<()> {
        if self.rate.max == 0 {
            return Ok(());
        }
        let mut counts = self.lock();
        if counts.moments.len() >= KEYS_MAX && !counts.moments.contains_key(key) {
            self.make_room(&mut counts, now);
        }
        let moments = counts.moments.entry(key.clone()).or_default();
        self.room(moments, now)?;
        moments.push_back(now);
        Ok(())
    }

    /// Takes back the one counted at that moment: it was none of those that count.
    pub fn give_back(&self, key: &K, counted: Timestamp) {
        let mut counts = self.lock();
        let Some(moments) = counts.moments.get_mut(key) else { return };
        if let Some(at) = moments.iter().rposition(|moment| *moment == counted) {
            moments.remove(at);
        }
        if moments.is_empty() {
            counts.moments.remove(key);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counts<K>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what has left the window, then says whether there is room for one more.
    fn room(&self, moments: &mut VecDeque<Timestamp>, now: Timestamp) -> Result<()> {
        let window = self.rate.window_seconds * 1_000_000;
        // A moment of the far future: the clock was set back. It would count for too long. One of
        // the near future is of another thread, which read the clock later and came here first.
        moments.retain(|moment| moment.0 - now.0 <= AHEAD_US_MAX && now.0 - moment.0 < window);
        if moments.len() < self.rate.max {
            return Ok(());
        }
        // When this one leaves the window, there is room.
        let leaves = moments[moments.len() - self.rate.max].0 + window;
        Err(Error::RateLimited { retry_after: seconds_up(leaves - now.0) })
    }

    fn make_room(&self, counts: &mut Counts<K>, now: Timestamp) {
        let window = self.rate.window_seconds * 1_000_000;
        // Looking at all keys takes a millisecond: not for each new one.
        if (now.0 - counts.swept.0).abs() >= window / SWEEPS_PER_WINDOW {
            counts.swept = now;
            let recent = |last: &Timestamp| now.0 - last.0 < window;
            counts.moments.retain(|_, moments| moments.back().is_some_and(recent));
        }
        if counts.moments.len() >= KEYS_MAX
            && let Some(any) = counts.moments.keys().next().cloned()
        {
            counts.moments.remove(&any);
        }
    }
}

/// Whole seconds, rounded up, 1 at least.
fn seconds_up(micros: i64) -> u64 {
    u64::try_from(micros).unwrap_or(0).div_ceil(1_000_000).max(1)
}

/// Who counts as one caller: an IPv4 address, or the /64 of an IPv6 one.
#[must_use]
pub fn caller_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    fn at(seconds: i64) -> Timestamp {
        Timestamp(1_700_000_000 * SECOND + seconds * SECOND)
    }

    fn limited(outcome: Result<()>) -> u64 {
        outcome.expect_err("no room").retry_after().expect("a time")
    }

    #[test]
    fn the_window_slides_and_tells_exactly_when_there_is_room() {
        let throttle = Throttle::new(Rate { max: 3, window_seconds: 300 });
        for second in [0, 10, 20] {
            throttle.take(&"a", at(second)).expect("room");
        }
        assert_eq!(limited(throttle.check(&"a", at(20))), 280);
        assert_eq!(limited(throttle.take(&"a", at(299))), 1);
        throttle.take(&"b", at(20)).expect("another key has its own");
        throttle.take(&"a", at(300)).expect("the first has left");
        assert_eq!(limited(throttle.take(&"a", at(300))), 10);
    }

    #[test]
    fn what_is_given_back_does_not_count() {
        let throttle = Throttle::new(Rate { max: 1, window_seconds: 60 });
        throttle.take(&"a", at(0)).expect("room");
        throttle.give_back(&"a", at(0));
        throttle.take(&"a", at(1)).expect("room again");
        assert_eq!(limited(throttle.check(&"a", at(1))), 60);
    }

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out() {
        let throttle = Throttle::new(Rate { max: 1, window_seconds: 60 });
        throttle.take(&"a", at(100_000)).expect("room");
        throttle.take(&"a", at(0)).expect("room");
    }

    #[test]
    fn it_holds_no_more_keys_than_its_bound() {
        let throttle = Throttle::new(Rate { max: 1, window_seconds: 60 });
        for key in 0..KEYS_MAX + 10 {
            throttle.take(&key, at(0)).expect("room");
        }
        assert_eq!(throttle.lock().moments.len(), KEYS_MAX);
    }

    #[test]
    fn neighbours_of_one_ipv6_network_count_together() {
        let one = "2001:db8:1:2::1".parse::<IpAddr>().expect("an address");
        let other = "2001:db8:1:2:ffff::9".parse::<IpAddr>().expect("an address");
        assert_eq!(caller_of(one), caller_of(other));
        let mapped = "::ffff:192.0.2.1".parse::<IpAddr>().expect("an address");
        assert_eq!(caller_of(mapped), "192.0.2.1".parse::<IpAddr>().expect("an address"));
    }
}
