//! What one thing costs when there are ten of it, and when there are ten million.
//!
//! Every figure is the server's own CPU time (or its memory) at several sizes, and becomes a
//! curve. The sizes are made by writing rows into the database of a stopped server (`fill.rs`);
//! what is measured goes over sockets and REST, to the one server that was named first, for a
//! size takes long enough to make once.

mod followed;
mod list;
mod messages;
mod pages;
mod participants;
mod touched;

use crate::bench::{Bench, Stage};
use crate::fill::Fill;
use crate::rest::{Client, Request};
use crate::rest_load::RestLoad;
use crate::server::Target;
use crate::stats::Runs;
use crate::world::{Member, Session, World};
use anyhow::{Context, Result};
use clap::ValueEnum;
use serde::Serialize;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

const REST_LANES: usize = 16;
const REST_WARMUP: Duration = Duration::from_millis(300);
const REST_WINDOW: Duration = Duration::from_millis(1500);

/// What grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Growth {
    /// Sessions that are followed
    Followed,
    /// Sessions of a user
    List,
    /// Participants of a session
    Participants,
    /// Sessions that were touched once and left
    Touched,
    /// Messages in the store, and before a page
    Messages,
}

pub fn run(bench: &mut Bench) -> Result<()> {
    let asked = match bench.options.growth.as_slice() {
        [] => Growth::value_variants().to_vec(),
        some => some.to_vec(),
    };
    for growth in asked {
        match growth {
            Growth::Followed => followed::run(bench)?,
            Growth::List => list::run(bench)?,
            Growth::Participants => participants::run(bench)?,
            Growth::Touched => touched::run(bench)?,
            Growth::Messages => {
                let filled = messages::run(bench)?;
                pages::run(bench, filled)?;
            }
        }
    }
    Ok(())
}

/// A server that does not run now, and its data.
#[derive(Debug)]
struct Stopped {
    target: Target,
    data_dir: PathBuf,
}

impl Stopped {
    /// With an empty database, which the server made itself.
    fn fresh(bench: &Bench, name: &str) -> Result<Self> {
        let target = bench.servers.first().context("no server to measure")?.clone();
        let data_dir = bench.fresh_dir(name, &target)?;
        let running = target.start(bench.options.cores(), &data_dir)?;
        Client::connect(running.addr)?.call(&Request::get("/healthz"))?;
        running.stop()?;
        Ok(Self { target, data_dir })
    }

    fn fill<T>(&self, work: impl FnOnce(&Fill) -> Result<T>) -> Result<T> {
        let fill = Fill::open(&self.data_dir)?;
        let made = work(&fill)?;
        fill.finish()?;
        Ok(made)
    }

    fn start(&self, bench: &Bench, sessions: Vec<Session>) -> Result<Stage> {
        let (target, data_dir) = (self.target.clone(), self.data_dir.clone());
        let running = target.start(bench.options.cores(), &data_dir)?;
        Client::connect(running.addr)?.call(&Request::get("/healthz"))?;
        Ok(Stage { running, world: World { sessions }, target, data_dir, others: 0.0 })
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        // Gigabytes: not kept until all curves are measured.
        let _ = fs::remove_dir_all(&self.data_dir);
    }
}

/// A session for each team of users, made of `owners` users who own as many sessions each.
fn owned(fill: &Fill, sessions: usize, owners: usize) -> Result<Vec<Session>> {
    let users = fill.users(owners)?;
    let share = sessions.div_ceil(owners.max(1)).max(1);
    fill.sessions((0..sessions).map(|at| vec![users[at / share].clone()]).collect())
}

/// Figures of one point.
#[derive(Debug, Default)]
struct Cost {
    runs: Runs,
    others: f64,
}

impl Cost {
    /// Does `work` and adds the server's CPU time in µs for each of `count`.
    fn take(
        &mut self,
        bench: &Bench,
        stage: &mut Stage,
        count: usize,
        work: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        bench.await_quiet()?;
        let meter = stage.meter(bench)?;
        work()?;
        let reading = stage.read(bench, &meter)?;
        self.others = self.others.max(reading.others);
        self.runs.push(reading.server_ms * 1000.0 / count as f64);
        Ok(())
    }

    /// The same for one GET, asked for again and again.
    fn take_get(
        &mut self,
        bench: &Bench,
        stage: &mut Stage,
        path: &str,
        by: &Member,
    ) -> Result<()> {
        let request = Request::get(path).by(&by.token).bytes(stage.running.addr);
        for _ in 0..bench.options.runs {
            bench.await_quiet()?;
            let mut load =
                RestLoad::connect(stage.running.addr, vec![request.clone(); REST_LANES])?;
            load.run_for(REST_WARMUP)?;
            let (before, meter) = (load.answered, stage.meter(bench)?);
            load.run_for(REST_WINDOW)?;
            let reading = stage.read(bench, &meter)?;
            let answered = (load.answered - before).max(1) as f64;
            self.others = self.others.max(reading.others);
            self.runs.push(reading.server_ms * 1000.0 / answered);
        }
        Ok(())
    }
}
