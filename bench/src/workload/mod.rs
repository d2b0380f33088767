//! What is measured: one file a question (growth: a folder), each with the same form.
//!
//! A workload gets the bench, makes its stages, goes round them, and adds its rows. It owns no
//! figure and no program beyond its end. The names are those of the command line.

mod cold;
mod fanout;
mod growth;
mod idle;
mod latency;
mod nodes;
mod presence;
mod reconnect;
mod rest;
mod slow;

use crate::bench::Bench;
use anyhow::Result;
use clap::ValueEnum;
pub use growth::Growth;
use serde::Serialize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Workload {
    /// One session of 100, one sender, 16 in flight
    W1,
    /// One session of 1,000, one sender, 8 in flight
    W2,
    /// 200 sessions of 5, all send, 1 in flight each
    W3,
    /// 100 messages a second into 100 members
    Latency,
    /// Memory of idle connections, and the storm in which they come
    Idle,
    /// A small authenticated GET, and the last 50 messages
    Rest,
    /// From exec to the first answer, on an existing database
    Cold,
    /// Healthy members beside ten that do not read
    Slow,
    /// Everybody comes back at once, with `after`, while a session goes on
    Reconnect,
    /// One comes, one goes, and 1,000 are told
    Presence,
    /// What costs how much at which size, as curves; minutes, so only when it is named
    Growth,
    /// One node against three on one PostgreSQL, over NATS and over PostgreSQL's own NOTIFY; needs
    /// both programs, so only when it is named
    Nodes,
}

impl Workload {
    /// Whether it is left out where nothing is named.
    pub fn is_only_named(self) -> bool {
        matches!(self, Self::Growth | Self::Nodes)
    }

    pub fn run(self, bench: &mut Bench) -> Result<()> {
        match self {
            Self::W1 => fanout::run(bench, &fanout::W1),
            Self::W2 => fanout::run(bench, &fanout::W2),
            Self::W3 => fanout::run(bench, &fanout::W3),
            Self::Latency => latency::run(bench),
            Self::Idle => idle::run(bench),
            Self::Rest => rest::run(bench),
            Self::Cold => cold::run(bench),
            Self::Slow => slow::run(bench),
            Self::Reconnect => reconnect::run(bench),
            Self::Presence => presence::run(bench),
            Self::Growth => growth::run(bench),
            Self::Nodes => nodes::run(bench),
        }
    }
}
