//! The node's one clock for everything that is due later: pings, deadlines, typing that ends.
//!
//! A timer for each connection would cost more memory than the connection; instead each says in
//! its inbox when it wants to be woken, and once a second all are looked over: a load and a
//! comparison each.

use std::time::Duration;

use super::{Hub, lock};

/// Time between two looks.
pub const PULSE: Duration = Duration::from_secs(1);
/// Every so many looks the rings to which nothing came let their frames go.
const COOL_EVERY: u32 = 60;

impl Hub {
    /// Milliseconds since the hub was made: the clock of [`super::Inbox::set_due`].
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    /// One look at everything that may be due.
    pub fn beat(&self, round: u32) {
        let now_ms = self.now_ms();
        for (_, inbox) in &*lock(&self.connections) {
            inbox.wake_if_due(now_ms);
        }
        let rings: Vec<_> = lock(&self.rings).values().cloned().collect();
        for ring in rings {
            ring.expire();
            if round.is_multiple_of(COOL_EVERY) {
                ring.cool();
            }
        }
    }
}
