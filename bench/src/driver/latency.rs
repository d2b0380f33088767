//! How long deliveries take, when one connection sends at a fixed pace.
//!
//! The pace is kept whatever comes back, so a server that stalls is not spared the messages
//! that would have met the stall. The clock is read once a read, and once a message sent.

use crate::stats;
use std::time::Instant;

#[derive(Debug)]
pub struct Latency {
    base: u64,
    sent_at: Vec<Instant>,
    now: Instant,
    /// For each node that anybody is connected to.
    nanoseconds: Vec<Vec<u32>>,
}

impl Latency {
    /// The first message sent will have the number `base` + 1.
    pub fn new(base: u64) -> Self {
        Self { base, sent_at: Vec::new(), now: Instant::now(), nanoseconds: Vec::new() }
    }

    pub fn sent(&mut self) {
        self.sent_at.push(Instant::now());
    }

    /// Something was just read.
    pub fn tick(&mut self) {
        self.now = Instant::now();
    }

    /// A connection to that node got that message.
    pub fn note(&mut self, node: usize, seq: u64) {
        let at = seq.checked_sub(self.base + 1).and_then(|at| usize::try_from(at).ok());
        if let Some(sent_at) = at.and_then(|at| self.sent_at.get(at)) {
            let took = self.now.saturating_duration_since(*sent_at).as_nanos();
            if self.nanoseconds.len() <= node {
                self.nanoseconds.resize_with(node + 1, Vec::new);
            }
            self.nanoseconds[node].push(u32::try_from(took).unwrap_or(u32::MAX));
        }
    }

    /// On the sender's node, in microseconds.
    pub fn percentile(&mut self, p: f64) -> f64 {
        self.percentile_of(0, p)
    }

    /// The same on that node.
    pub fn percentile_of(&mut self, node: usize, p: f64) -> f64 {
        self.nanoseconds.get_mut(node).map_or(0.0, |all| stats::percentile(all, p) / 1000.0)
    }
}
