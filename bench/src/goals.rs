//! What is measured, in which direction it is better, and what issue 5 asks of it.
//!
//! One constant for each figure of the table. "Reach" must be met or explained with a profile,
//! "aim" is as near as we can come. A mark is a plain value, or a share of the limit program's
//! figure from the same run, for a noisy machine makes plain values drift.

use serde::Serialize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    Higher,
    Lower,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    Value(f64),
    OfLimit(f64),
}

#[derive(Debug, Clone, Copy, Serialize)]
pub struct Measure {
    pub workload: &'static str,
    pub name: &'static str,
    pub better: Better,
    /// Reach and aim.
    pub marks: Option<(Mark, Mark)>,
}

impl Measure {
    const fn told(workload: &'static str, name: &'static str, better: Better) -> Self {
        Self { workload, name, better, marks: None }
    }

    const fn value(self, reach: f64, aim: f64) -> Self {
        Self { marks: Some((Mark::Value(reach), Mark::Value(aim))), ..self }
    }

    const fn of_limit(self, reach: f64, aim: f64) -> Self {
        Self { marks: Some((Mark::OfLimit(reach), Mark::OfLimit(aim))), ..self }
    }
}

impl Mark {
    /// The value to be met, where the limit was measured if it takes one.
    pub fn resolve(self, limit: Option<f64>) -> Option<f64> {
        match self {
            Self::Value(value) => Some(value),
            Self::OfLimit(share) => limit.map(|limit| limit * share),
        }
    }
}

impl Better {
    pub fn met(self, value: f64, mark: f64) -> bool {
        match self {
            Self::Higher => value >= mark,
            Self::Lower => value <= mark,
        }
    }
}

/// The figures of a workload that fans messages out.
#[derive(Debug, Clone, Copy)]
pub struct FanoutMeasures {
    pub rate: Measure,
    pub cpu: Measure,
    pub joined: Measure,
    pub driver: Measure,
}

const fn fanout(workload: &'static str, rate: Measure, cpu: (f64, f64)) -> FanoutMeasures {
    let ms = Measure::told(workload, "CPU ms / 1,000 deliveries", Better::Lower);
    FanoutMeasures {
        rate,
        cpu: ms.value(cpu.0, cpu.1),
        joined: Measure::told(workload, "deliveries a read", Better::Higher),
        driver: Measure::told(workload, "driver's own ms / 1,000", Better::Lower),
    }
}

pub const W1: FanoutMeasures = fanout(
    "w1",
    Measure::told("w1", "deliveries/s", Better::Higher).value(190e3, 300e3),
    (2.0, 1.3),
);
pub const W2: FanoutMeasures = fanout(
    "w2",
    Measure::told("w2", "deliveries/s", Better::Higher).value(250e3, 380e3),
    (2.5, 2.1),
);
pub const W3: FanoutMeasures =
    fanout("w3", Measure::told("w3", "messages/s", Better::Higher).value(20e3, 40e3), (8.0, 5.0));

pub const LATENCY_P50: Measure =
    Measure::told("latency", "p50 µs", Better::Lower).of_limit(1.3, 1.1);
pub const LATENCY_P99: Measure =
    Measure::told("latency", "p99 µs", Better::Lower).of_limit(1.5, 1.2);

pub const IDLE_BYTES: Measure =
    Measure::told("idle", "bytes a connection", Better::Lower).value(2048.0, 1024.0);
pub const IDLE_BASE: Measure =
    Measure::told("idle", "base RSS MiB", Better::Lower).value(15.0, 8.0);
pub const ACCEPT_CPU: Measure =
    Measure::told("idle", "CPU µs an accept", Better::Lower).value(120.0, 90.0);
pub const ACCEPT_RATE: Measure = Measure::told("idle", "accepts/s", Better::Higher);

pub const PROFILE_RATE: Measure =
    Measure::told("rest", "profile requests/s", Better::Higher).of_limit(0.65, 0.85);
pub const PROFILE_CPU: Measure = Measure::told("rest", "profile CPU µs", Better::Lower);
pub const PAGE_RATE: Measure =
    Measure::told("rest", "last 50 messages/s", Better::Higher).value(10e3, 20e3);
pub const PAGE_CPU: Measure = Measure::told("rest", "last 50 CPU µs", Better::Lower);

pub const COLD_START: Measure =
    Measure::told("cold", "ms to first answer", Better::Lower).value(40.0, 15.0);

pub const SLOW_WITHOUT: Measure = Measure::told("slow", "deliveries/s, all read", Better::Higher);
pub const SLOW_WITH: Measure = Measure::told("slow", "deliveries/s, 10 stalled", Better::Higher);
/// "Nobody slower by more than 5 %".
pub const SLOW_SHARE: Measure =
    Measure::told("slow", "with / without", Better::Higher).value(0.95, 1.0);
pub const SLOW_CUT: Measure = Measure::told("slow", "stalled ones cut", Better::Lower);

pub const RECONNECT_CPU: Measure = Measure::told("reconnect", "CPU µs a return", Better::Lower);
pub const RECONNECT_SECONDS: Measure =
    Measure::told("reconnect", "s until all have caught up", Better::Lower);
pub const RECONNECT_EVENTS: Measure =
    Measure::told("reconnect", "replayed events/s", Better::Higher);
pub const RECONNECT_P50: Measure =
    Measure::told("reconnect", "live session, p50 ms", Better::Lower);
pub const RECONNECT_P99: Measure =
    Measure::told("reconnect", "live session, p99 ms", Better::Lower);
pub const RECONNECT_RSS: Measure = Measure::told("reconnect", "peak RSS MiB", Better::Lower);

pub const PRESENCE_COMES: Measure = Measure::told("presence", "CPU µs, one comes", Better::Lower);
pub const PRESENCE_GOES: Measure = Measure::told("presence", "CPU µs, one goes", Better::Lower);

pub const NODES_RATE: Measure = Measure::told("nodes", "200 x 5: messages/s", Better::Higher);
/// "Three nodes on one PostgreSQL against one: not slower in sum".
pub const NODES_SHARE: Measure =
    Measure::told("nodes", "200 x 5: three nodes / one", Better::Higher).value(1.0, 1.0);
pub const NODES_KEPT_RATE: Measure =
    Measure::told("nodes", "200 x 5, sessions kept together: messages/s", Better::Higher);
/// The same where each session is on one node.
pub const NODES_KEPT_SHARE: Measure =
    Measure::told("nodes", "200 x 5, sessions kept together: three / one", Better::Higher)
        .value(1.0, 1.0);
pub const NODES_CPU: Measure =
    Measure::told("nodes", "200 x 5: nodes' CPU ms / 1,000 messages", Better::Lower);
pub const NODES_DATABASE_CPU: Measure =
    Measure::told("nodes", "200 x 5: PostgreSQL's CPU ms / 1,000 messages", Better::Lower);
pub const NODES_NATS_CPU: Measure =
    Measure::told("nodes", "200 x 5: NATS's CPU ms / 1,000 messages", Better::Lower);
pub const NODES_P50_HERE: Measure = Measure::told("nodes", "p50 ms, sender's node", Better::Lower);
pub const NODES_P50_THERE: Measure = Measure::told("nodes", "p50 ms, another node", Better::Lower);
pub const NODES_P99_HERE: Measure = Measure::told("nodes", "p99 ms, sender's node", Better::Lower);
pub const NODES_P99_THERE: Measure = Measure::told("nodes", "p99 ms, another node", Better::Lower);
/// "Within 2 ms (p50) of the same on the sender's node over NATS".
pub const NODES_GAP: Measure =
    Measure::told("nodes", "p50 ms, another node's lag", Better::Lower).value(2.0, 1.0);
/// Of PostgreSQL's NOTIFY nothing is asked.
pub const NODES_GAP_TOLD: Measure = Measure { marks: None, ..NODES_GAP };
pub const NODES_REST: Measure = Measure::told("nodes", "a node at rest, CPU ms/s", Better::Lower);
/// Above what it takes at rest: "nothing".
pub const NODES_UNFOLLOWED: Measure =
    Measure::told("nodes", "not followed there, CPU ms / 1,000 messages", Better::Lower);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_limit_needs_the_limit() {
        assert_eq!(Mark::Value(3.0).resolve(None), Some(3.0));
        assert_eq!(Mark::OfLimit(0.5).resolve(Some(8.0)), Some(4.0));
        assert_eq!(Mark::OfLimit(0.5).resolve(None), None);
        assert!(Better::Higher.met(2.0, 2.0) && !Better::Higher.met(1.9, 2.0));
        assert!(Better::Lower.met(2.0, 2.0) && !Better::Lower.met(2.1, 2.0));
    }
}
