//! Leaves steps out of a failing plan as long as it fails without them.
//!
//! Steps run at the same time, so a plan that can fail need not: each candidate is tried a few
//! times, within a bound of time.

use std::time::{Duration, Instant};

use super::home::Restarts;
use super::plan::Step;
use super::run::run;

/// What has to come has come long before this, on a machine that is busy.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// While shrinking, less is waited for.
const SHORT_PATIENCE: Duration = Duration::from_secs(4);
/// All of the shrinking.
const TIME_MAX: Duration = Duration::from_secs(60);
/// Tries of one candidate.
const TRIES: usize = 2;

/// A smaller plan that still fails, and how.
pub async fn shrink(
    mut plan: Vec<Step>,
    restarts: (Restarts, u64),
    step: usize,
    mut failure: String,
) -> (Vec<Step>, String) {
    let deadline = Instant::now() + TIME_MAX;
    // Nothing behind the failure had to do with it, but for what was under way.
    plan.truncate(step + 1);
    let mut chunk = plan.len() / 2;
    while chunk > 0 && Instant::now() < deadline {
        let mut start = 0;
        let mut has_shrunk = false;
        while start < plan.len() && Instant::now() < deadline {
            let mut candidate = plan.clone();
            candidate.drain(start..(start + chunk).min(plan.len()));
            match fails(&candidate, restarts).await {
                Some(other) => {
                    (plan, failure, has_shrunk) = (candidate, other, true);
                }
                None => start += chunk,
            }
        }
        if !has_shrunk || chunk == 1 {
            chunk /= 2;
        }
    }
    (plan, failure)
}

async fn fails(plan: &[Step], restarts: (Restarts, u64)) -> Option<String> {
    for _ in 0..TRIES {
        if let Err((_, failure)) = run(plan, restarts, SHORT_PATIENCE).await {
            return Some(failure);
        }
    }
    None
}
