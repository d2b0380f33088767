//! The benchmark of AssistDeck: a black box driver that speaks the wire contract alone.
//!
//! - `run` starts servers and limit programs, loads them, and prints one table;
//! - `limit` and `hyper` are the limit programs themselves, which `run` starts as processes.
//!
//! How the crate reads: `workload/` says what is measured; `bench.rs` gives it the programs
//! (`server.rs`), their users and sessions (`world.rs`, `rest.rs`, `token.rs`) and takes the
//! figures (`goals.rs`, `report.rs`, `stats.rs`, `meter.rs`, `process.rs`); `driver/` is the
//! load generator over WebSocket (`frame.rs`, `verify.rs`), `rest_load.rs` the one over REST;
//! `backing.rs` is what several nodes stand on;
//! `limit/`, `hyper_limit.rs` and `peers.rs` are what everything is compared to; `crowd.rs`,
//! `fill.rs`, `curve.rs` and `plot.rs` are what growth needs beside. Nothing here is part of the
//! product.

mod backing;
mod bench;
mod crowd;
mod curve;
mod driver;
mod fill;
mod frame;
mod goals;
mod hyper_limit;
mod limit;
mod meter;
mod options;
mod peers;
mod plot;
mod process;
mod report;
mod rest;
mod rest_load;
mod server;
mod stats;
mod token;
mod verify;
mod workload;
mod world;

use anyhow::Result;
use clap::Parser;
use options::{Command, Flush, Options};
use std::process::ExitCode;

fn main() -> ExitCode {
    let done = match Options::parse().command {
        Command::Run(options) => bench::run(options),
        Command::Limit { listen, data_dir, flush } => {
            limit::run(listen, &data_dir, flush == Flush::On).map(|()| true)
        }
        Command::Hyper { listen, body_bytes } => serve_hyper(listen, body_bytes),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve_hyper(listen: std::net::SocketAddr, body_bytes: usize) -> Result<bool> {
    hyper_limit::run(listen, body_bytes)?;
    Ok(true)
}
