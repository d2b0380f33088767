//! Everybody comes back at once, as after a restart, and asks for what was missed, while a
//! session goes on.
//!
//! Each session has a history; all members connect with `after` so far back that twenty
//! messages are replayed to each. It ends when every connection has all of them, in order. All
//! the while another session of 100 members has 100 messages a second, whose deliveries are
//! timed and checked as well; its load generator shares the core with the storm's, so that what
//! it waits for there is in its figures. The limit program has no replay, so there is nothing
//! to compare it to.

use crate::bench::{BREATH, Bench, Stage};
use crate::driver::{Driver, Latency, Plan, Senders};
use crate::goals::{self, Measure};
use crate::process;
use crate::stats::Runs;
use crate::verify::Faults;
use crate::world::{Shape, World};
use anyhow::{Context, Result};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

const MEMBERS: usize = 5;
const MISSED: u64 = 20;
const HANDSHAKES: usize = 512;
const LIVE: Shape = Shape { sessions: 1, members: 100 };
const LIVE_INTERVAL: Duration = Duration::from_millis(10);
const LIVE_WARMUP: usize = 50;

/// One figure of all runs.
type Pick = fn(&Figures) -> &Runs;

#[derive(Debug, Default, Clone)]
struct Figures {
    cpu: Runs,
    seconds: Runs,
    events: Runs,
    p50: Runs,
    p99: Runs,
    peak: Runs,
    faults: Faults,
}

const TOLD: [(Measure, Pick); 6] = [
    (goals::RECONNECT_SECONDS, |figures| &figures.seconds),
    (goals::RECONNECT_EVENTS, |figures| &figures.events),
    (goals::RECONNECT_CPU, |figures| &figures.cpu),
    (goals::RECONNECT_P50, |figures| &figures.p50),
    (goals::RECONNECT_P99, |figures| &figures.p99),
    (goals::RECONNECT_RSS, |figures| &figures.peak),
];

pub fn run(bench: &mut Bench) -> Result<()> {
    let connections = bench.clip(bench.options.reconnects);
    let shape = Shape { sessions: connections.div_ceil(MEMBERS), members: MEMBERS };
    let servers = bench.servers.clone();
    let mut stages = bench.stages("reconnect", &servers, shape)?;
    let mut all = Vec::new();
    for stage in &mut stages {
        let mut figures = Figures::default();
        let mut driver = Driver::connect(&stage.world, stage.running.addr, Plan::members(1))?;
        driver.start(Senders::Owners(MISSED))?;
        figures.faults += driver.finish(&mut stage.world)?.faults;
        all.push((figures, World::build(&stage.target, &stage.running, LIVE)?));
    }
    for _ in 0..bench.options.runs {
        for (stage, (figures, live)) in stages.iter_mut().zip(&mut all) {
            thread::sleep(BREATH);
            measure(bench, stage, live, figures)?;
        }
    }
    for (measure, pick) in TOLD {
        let entry = |(stage, (figures, _)): (&Stage, &(Figures, World))| {
            stage.entry(pick(figures).clone(), Some(figures.faults))
        };
        bench.add(measure, stages.iter().zip(&all).map(entry).collect());
    }
    Ok(())
}

fn measure(
    bench: &Bench,
    stage: &mut Stage,
    live: &mut World,
    figures: &mut Figures,
) -> Result<()> {
    let plan = Plan { handshakes: HANDSHAKES, replay: Some(MISSED), ..Plan::members(MEMBERS) };
    bench.await_quiet()?;
    let (addr, is_over) = (stage.running.addr, AtomicBool::new(false));
    let (ready, is_ready) = sync_channel(1);
    let (mut latency, faults) = thread::scope(|scope| {
        let goes_on = scope.spawn(|| go_on(live, addr, &is_over, ready));
        // An error comes out of the thread below.
        let storm = is_ready
            .recv()
            .context("the live session ended")
            .and_then(|()| storm(bench, stage, plan, figures));
        is_over.store(true, Ordering::Relaxed);
        let live = goes_on.join().expect("the load generator does not panic")?;
        storm.map(|()| live)
    })?;
    figures.p50.push(latency.percentile(0.50) / 1000.0);
    figures.p99.push(latency.percentile(0.99) / 1000.0);
    figures.faults += faults;
    Ok(())
}

fn storm(bench: &Bench, stage: &mut Stage, plan: Plan, figures: &mut Figures) -> Result<()> {
    process::forget_peak(stage.running.pid())?;
    let meter = stage.meter(bench)?;
    let mut driver = Driver::connect(&stage.world, stage.running.addr, plan)?;
    driver.settle()?;
    let reading = stage.read(bench, &meter)?;
    let peak = process::peak_bytes(stage.running.pid())?;
    let count = driver.connections() as f64;
    figures.cpu.push(reading.server_ms * 1000.0 / count);
    figures.seconds.push(reading.seconds);
    figures.events.push(count * MISSED as f64 / reading.seconds);
    figures.peak.push(peak as f64 / f64::from(1 << 20));
    figures.faults += driver.finish(&mut stage.world)?.faults;
    Ok(())
}

/// The session that goes on until the storm is over.
fn go_on(
    world: &mut World,
    addr: SocketAddr,
    is_over: &AtomicBool,
    ready: SyncSender<()>,
) -> Result<(Latency, Faults)> {
    let mut driver = Driver::connect(world, addr, Plan::members(LIVE.members))?;
    driver.run_paced(LIVE_INTERVAL, LIVE_WARMUP)?;
    ready.send(()).context("nobody waits")?;
    let latency = driver.run_paced_while(LIVE_INTERVAL, |_| !is_over.load(Ordering::Relaxed))?;
    Ok((latency, driver.finish(world)?.faults))
}
