//! What an idle connection costs to have, and what it cost to come in.
//!
//! The server is set up, stopped, and started again on its data for each run, so that what the
//! setup left in its memory does not make room for the connections. Each connection is another
//! user's. Memory is the growth of the resident set of the process; the kernel's own memory
//! for sockets is not in it.

use crate::bench::{BREATH, Bench, Stage};
use crate::driver::{Driver, Plan};
use crate::goals;
use crate::rest::{Client, Request};
use crate::server::{Program, Target};
use crate::stats::Runs;
use crate::world::Shape;
use anyhow::Result;
use std::time::{Duration, Instant};

const MEMBERS: usize = 5;
/// Time for what a server does after a start, or after the last connection.
const REST: Duration = Duration::from_millis(700);

#[derive(Debug, Default, Clone)]
struct Figures {
    bytes: Runs,
    base: Runs,
    accept_cpu: Runs,
    accept_rate: Runs,
}

pub fn run(bench: &mut Bench) -> Result<()> {
    let connections = bench.clip(bench.options.connections);
    let shape = Shape { sessions: connections.div_ceil(MEMBERS), members: MEMBERS };
    let targets = bench.with_limits(&[Target::limit(true)]);
    let mut all = Vec::new();
    bench.say(&format!("idle: {} sessions of {MEMBERS}", shape.sessions));
    for target in &targets {
        let mut stage = bench.stage("idle", target, shape)?;
        let mut figures = Figures::default();
        for _ in 0..bench.options.runs {
            stage = restart(bench, stage)?;
            measure(bench, &mut stage, &mut figures)?;
        }
        all.push((stage, figures));
    }
    let mut add = |measure, runs: fn(&Figures) -> &Runs| {
        let entry = |(stage, figures): &(Stage, Figures)| stage.entry(runs(figures).clone(), None);
        bench.add(measure, all.iter().map(entry).collect());
    };
    add(goals::IDLE_BYTES, |figures| &figures.bytes);
    add(goals::IDLE_BASE, |figures| &figures.base);
    add(goals::ACCEPT_CPU, |figures| &figures.accept_cpu);
    add(goals::ACCEPT_RATE, |figures| &figures.accept_rate);
    Ok(())
}

fn restart(bench: &Bench, stage: Stage) -> Result<Stage> {
    stage.running.stop()?;
    let running = stage.target.start(bench.options.cores(), &stage.data_dir)?;
    if matches!(stage.target.program, Program::AssistDeck { .. }) {
        Client::connect(running.addr)?.call(&Request::get("/healthz"))?;
    }
    Ok(Stage { running, ..stage })
}

fn measure(bench: &Bench, stage: &mut Stage, figures: &mut Figures) -> Result<()> {
    std::thread::sleep(REST);
    bench.await_quiet()?;
    let base = stage.running.rss_bytes()?;
    let (meter, since) = (stage.meter(bench)?, Instant::now());
    let plan = Plan::members(MEMBERS);
    let driver = Driver::connect(&stage.world, stage.running.addr, plan)?;
    let seconds = since.elapsed().as_secs_f64();
    std::thread::sleep(REST);
    let reading = stage.read(bench, &meter)?;
    let full = stage.running.rss_bytes()?;
    let count = driver.connections() as f64;
    figures.bytes.push(full.saturating_sub(base) as f64 / count);
    figures.base.push(base as f64 / f64::from(1 << 20));
    figures.accept_cpu.push(reading.server_ms * 1000.0 / count);
    figures.accept_rate.push(count / seconds);
    drop(driver);
    std::thread::sleep(BREATH);
    Ok(())
}
