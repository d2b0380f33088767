//! Whether this machine's clock is right, as the database's tells.
//!
//! The order of events needs no clock. Times do that people see, and so do tokens, tickets and
//! revocations, which a node compares with its own time: nodes that share a store must agree. It is
//! looked at once a minute; a difference above [`DIFFERENCE_MAX`] is told in the log and by
//! `/readyz`, and the node goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use protocol::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::store::Result;
use crate::store::postgres::pool::Pool;

/// Tokens allow as much.
const DIFFERENCE_MAX: Duration = Duration::from_secs(5);
const LOOK_INTERVAL: Duration = Duration::from_secs(60);

pub const NOW_SQL: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";

/// How far this machine's clock is ahead of the database's.
#[derive(Default)]
pub struct Clock {
    /// In microseconds; below nothing where it is behind.
    ahead_us: AtomicI64,
}

impl Clock {
    /// Seconds by which it is ahead (or, below nothing, behind), where that is too much.
    pub fn ahead_seconds(&self) -> Option<i64> {
        let ahead = self.ahead_us.load(Ordering::Relaxed);
        is_too_much(ahead).then_some(ahead / 1_000_000)
    }

    /// Looks once a minute until told to stop.
    pub async fn watch(self: Arc<Self>, pool: Arc<Pool>, stop: CancellationToken) {
        loop {
            // Whether the database can be reached is told by others.
            if let Ok(ahead) = look(&pool).await {
                self.note(ahead);
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_INTERVAL) => {}
            }
        }
    }

    /// Looks for the first time, before the server is ready.
    pub async fn look(&self, pool: &Pool) -> Result<()> {
        self.note(look(pool).await?);
        Ok(())
    }

    fn note(&self, ahead: i64) {
        let before = self.ahead_us.swap(ahead, Ordering::Relaxed);
        match (is_too_much(before), is_too_much(ahead)) {
            (false, true) => tracing::warn!(
                ahead_seconds = ahead / 1_000_000,
                "this machine's clock differs from the database's: tokens, tickets and revocations \
                 need the same time on all nodes; set the clocks, by NTP for instance"
            ),
            (true, false) => tracing::info!("this machine's clock agrees with the database's"),
            _ => {}
        }
    }
}

async fn look(pool: &Pool) -> Result<i64> {
    let reader = pool.reader().await?;
    let before = Timestamp::now().0;
    let found = reader.row(NOW_SQL, &[]).await?;
    let after = Timestamp::now().0;
    let there = found.map_or(Ok(after), |row| row.try_get(0))?;
    Ok(ahead(before, there, after))
}

/// What is certain of the difference: the answer was made at some time between.
fn ahead(before: i64, there: i64, after: i64) -> i64 {
    if there < before {
        before - there
    } else if there > after {
        after - there
    } else {
        0
    }
}

fn is_too_much(ahead: i64) -> bool {
    u128::from(ahead.unsigned_abs()) > DIFFERENCE_MAX.as_micros()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    #[test]
    fn a_slow_answer_is_no_difference() {
        assert_eq!(ahead(0, 30 * SECOND, 60 * SECOND), 0);
        assert_eq!(ahead(100 * SECOND, 40 * SECOND, 101 * SECOND), 60 * SECOND);
        assert_eq!(ahead(100 * SECOND, 161 * SECOND, 101 * SECOND), -60 * SECOND);
    }

    #[test]
    fn a_difference_is_told_above_what_tokens_allow_and_until_it_is_gone() {
        let clock = Clock::default();
        for (ahead, told) in [
            (5 * SECOND, None),
            (5 * SECOND + 1, Some(5)),
            (-300 * SECOND, Some(-300)),
            (-5 * SECOND, None),
        ] {
            clock.note(ahead);
            assert_eq!(clock.ahead_seconds(), told, "{ahead}");
        }
    }
}
