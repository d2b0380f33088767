//! The command line.
//!
//! It owns the defaults: windows of three seconds, three of each, the server on the first core
//! and the load generator on the second. What a workload is made of (members, messages in
//! flight, contents) is no option but stands in its file, for the goals of issue 5 speak of
//! exactly these, and a table with other numbers under the same names would mislead.

use crate::server::{Cores, Program, Target};
use crate::workload::{Growth, Workload};
use anyhow::{Result, bail, ensure};
use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::Serialize;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Parser)]
#[command(name = "assistdeck-bench", about = "Measures AssistDeck from outside")]
pub struct Options {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run workloads and print the table
    Run(Run),
    /// The limit program: ready bytes, written to a file before delivery
    Limit {
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
        #[arg(long)]
        data_dir: PathBuf,
        /// Flush the file before delivery
        #[arg(long, value_enum, default_value = "on")]
        flush: Flush,
    },
    /// The limit of REST: hyper, the same bytes for every request
    Hyper {
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
        #[arg(long, default_value_t = 200)]
        body_bytes: usize,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Flush {
    On,
    Off,
}

#[derive(Debug, Args, Serialize)]
pub struct Run {
    /// Which workloads; all but growth and nodes, when none is named
    #[arg(value_enum)]
    pub workloads: Vec<Workload>,
    /// Length of each measured window
    #[arg(long, default_value_t = 3.0)]
    pub seconds: f64,
    /// Load before each window that is not counted
    #[arg(long, default_value_t = 0.5)]
    pub warmup: f64,
    /// Windows of each program; the table shows their median
    #[arg(long, default_value_t = 3)]
    pub runs: usize,
    /// A server to measure, as PATH or NAME=PATH, beside the one built here; may be repeated
    #[arg(long, value_name = "[NAME=]PATH")]
    pub server: Vec<String>,
    /// Leave out the server that was built beside this program
    #[arg(long)]
    pub no_default_server: bool,
    /// Other servers beside, in w1, w2 and w3 (needs Node; nchan and PostgreSQL for one each)
    #[arg(long)]
    pub peers: bool,
    /// Wait so long before each window for other programs to leave the cores alone
    #[arg(long, default_value_t = 0.0, value_name = "SECONDS")]
    pub wait_quiet: f64,
    /// Idle connections (five to a session)
    #[arg(long, default_value_t = 10_000)]
    pub connections: usize,
    /// Connections that come back at once (five to a session)
    #[arg(long, default_value_t = 5_000)]
    pub reconnects: usize,
    /// Only these curves of growth, with commas between
    #[arg(long, value_enum, value_delimiter = ',')]
    pub growth: Vec<Growth>,
    /// Growth goes up to so many messages in the store (10,000,000 take 8 GB for a while)
    #[arg(long, default_value_t = 1_000_000)]
    pub messages: usize,
    /// Growth draws its curves into this folder
    #[arg(long, value_name = "FOLDER")]
    pub plots: Option<PathBuf>,
    /// Write all figures, every run of them, to this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Where databases and the journal lie: a real disk, or a flush costs nothing
    #[arg(long, default_value = "target/bench")]
    pub work_dir: PathBuf,
    /// The core of the measured programs
    #[arg(long, default_value_t = 0)]
    pub server_core: usize,
    /// The core of the load generator
    #[arg(long, default_value_t = 1)]
    pub driver_core: usize,
}

impl Run {
    pub fn check(&self) -> Result<()> {
        ensure!(self.runs > 0, "--runs must be 1 at least");
        ensure!(self.seconds > 0.0 && self.seconds <= 600.0, "--seconds: above 0, 600 at most");
        ensure!((0.0..=3600.0).contains(&self.wait_quiet), "--wait-quiet: 0 to 3600");
        ensure!(self.warmup >= 0.0 && self.warmup <= 60.0, "--warmup: 0 to 60");
        Ok(())
    }

    pub fn window(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    pub fn warmup(&self) -> Duration {
        Duration::from_secs_f64(self.warmup)
    }

    pub fn cores(&self) -> Cores {
        Cores { server: self.server_core, driver: self.driver_core }
    }

    pub fn workloads(&self) -> Vec<Workload> {
        match self.workloads.as_slice() {
            [] => {
                let all = Workload::value_variants().iter().copied();
                all.filter(|workload| !workload.is_only_named()).collect()
            }
            some => some.to_vec(),
        }
    }

    /// The builds of AssistDeck to measure: the one beside this program, and those named.
    pub fn servers(&self) -> Result<Vec<Target>> {
        let mut servers = Vec::new();
        if !self.no_default_server {
            let binary = std::env::current_exe()?.with_file_name("assistdeck");
            ensure!(
                binary.exists(),
                "{} is not built (--no-default-server leaves it out)",
                binary.display()
            );
            servers.push(Target {
                name: "assistdeck".to_owned(),
                program: Program::AssistDeck { binary, settings: Vec::new() },
            });
        }
        for given in &self.server {
            let (name, path) = given.split_once('=').unwrap_or((given, given));
            if servers.iter().any(|server| server.name == name) {
                bail!("two servers are called {name}: use NAME=PATH");
            }
            let binary = PathBuf::from(path);
            ensure!(binary.exists(), "{path} is not there");
            let program = Program::AssistDeck { binary, settings: Vec::new() };
            servers.push(Target { name: name.to_owned(), program });
        }
        Ok(servers)
    }
}
