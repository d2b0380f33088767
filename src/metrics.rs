//! What the node counts about itself; served on `metrics_listen` in the OpenMetrics text form.
//!
//! Typed handles, updated where things happen; no ids as labels, ever.

use std::sync::Mutex;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// A code of the catalogue, or of a close.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CodeLabel {
    pub code: &'static str,
}

/// The status class of an HTTP answer: `2xx`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct StatusLabel {
    pub status: &'static str,
}

/// Typed handles to everything that is counted.
pub struct Metrics {
    registry: Mutex<Registry>,
    /// Open WebSocket connections and event streams.
    pub connections: Gauge,
    /// Sessions followed on this node.
    pub sessions_followed: Gauge,
    /// Events that became durable.
    pub appends: Counter,
    pub commit_events: Histogram,
    pub commit_seconds: Histogram,
    /// Writes to sockets, and their bytes.
    pub socket_writes: Counter,
    pub socket_bytes: Counter,
    /// Pages that followers read from the store.
    pub catch_ups: Counter,
    /// Reads of the store for what other nodes wrote.
    pub fills: Counter,
    /// From a commit to the end of its delivery into the rings.
    pub delivery_lag_seconds: Histogram,
    /// Connections accepted.
    pub accepted: Counter,
    /// Connections closed by the server, by reason.
    pub closes: Family<CodeLabel, Counter>,
    /// Error answers and error frames, by code.
    pub rejections: Family<CodeLabel, Counter>,
    pub http_responses: Family<StatusLabel, Counter>,
}

impl Metrics {
    #[must_use]
    pub fn new() -> Self {
        let seconds = || Histogram::new(exponential_buckets(0.000_1, 2.0, 16));
        let metrics = Self {
            registry: Mutex::default(),
            connections: Gauge::default(),
            sessions_followed: Gauge::default(),
            appends: Counter::default(),
            commit_events: Histogram::new(exponential_buckets(1.0, 2.0, 11)),
            commit_seconds: seconds(),
            socket_writes: Counter::default(),
            socket_bytes: Counter::default(),
            catch_ups: Counter::default(),
            fills: Counter::default(),
            delivery_lag_seconds: seconds(),
            accepted: Counter::default(),
            closes: Family::default(),
            rejections: Family::default(),
            http_responses: Family::default(),
        };
        let mut registry = Registry::with_prefix("assistdeck");
        metrics.register(&mut registry);
        Self { registry: Mutex::new(registry), ..metrics }
    }

    fn register(&self, to: &mut Registry) {
        to.register("connections", "Open sockets and streams", self.connections.clone());
        let followed = self.sessions_followed.clone();
        to.register("sessions_followed", "Sessions followed on this node", followed);
        to.register("appends", "Events that became durable", self.appends.clone());
        to.register("commit_events", "Events of one commit", self.commit_events.clone());
        let commit = self.commit_seconds.clone();
        to.register_with_unit("commit", "Time of one commit", Unit::Seconds, commit);
        let lag = self.delivery_lag_seconds.clone();
        to.register_with_unit("delivery_lag", "From commit to rings", Unit::Seconds, lag);
        to.register("socket_writes", "Writes to sockets", self.socket_writes.clone());
        let bytes = self.socket_bytes.clone();
        to.register_with_unit("socket_written", "Bytes written to sockets", Unit::Bytes, bytes);
        to.register("catch_ups", "Pages read for followers", self.catch_ups.clone());
        to.register("fills", "Reads for what other nodes wrote", self.fills.clone());
        to.register("accepted", "Connections accepted", self.accepted.clone());
        to.register("closes", "Sockets closed by the server", self.closes.clone());
        to.register("rejections", "Error answers and frames", self.rejections.clone());
        to.register("http_responses", "HTTP answers", self.http_responses.clone());
    }

    /// One commit went into the rings `lag` after it was durable.
    pub fn observe_commit(&self, events: usize, took: Duration, lag: Duration) {
        self.appends.inc_by(events as u64);
        self.commit_events.observe(events as f64);
        self.commit_seconds.observe(took.as_secs_f64());
        self.delivery_lag_seconds.observe(lag.as_secs_f64());
    }

    /// An error was told to a client.
    pub fn reject(&self, code: &'static str) {
        self.rejections.get_or_create(&CodeLabel { code }).inc();
    }

    /// The server closed a socket.
    pub fn close(&self, code: protocol::CloseCode) {
        self.closes.get_or_create(&CodeLabel { code: code.reason() }).inc();
    }

    /// The OpenMetrics text.
    #[must_use]
    pub fn encode(&self) -> String {
        let registry = self.registry.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry)
            .expect("writing to a String does not fail");
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
