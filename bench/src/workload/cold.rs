//! From exec to the first answer, on a database that is there already.
//!
//! The port is chosen before, and the driver knocks at it until `/healthz` is answered with
//! 200: so the banner's way through a pipe is not in the figure. The bare hyper program tells
//! what a process that does nothing takes. The page cache is warm, as after an upgrade.

use crate::bench::Bench;
use crate::driver::{Driver, Plan, Senders};
use crate::goals;
use crate::meter;
use crate::report::Entry;
use crate::rest::{Client, Request};
use crate::server::{Running, Target};
use crate::stats::Runs;
use crate::world::Shape;
use anyhow::{Result, bail};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::{Duration, Instant};

const SHAPE: Shape = Shape { sessions: 200, members: 5 };
const MESSAGES_A_SESSION: u64 = 50;
/// A start is short: more runs than of the long workloads cost nothing.
const RUNS_A_RUN: usize = 5;
const KNOCK_INTERVAL: Duration = Duration::from_micros(100);
const LIMIT: Duration = Duration::from_secs(20);

pub fn run(bench: &mut Bench) -> Result<()> {
    let hyper = Target::hyper(2);
    let hyper_dir = bench.fresh_dir("cold", &hyper)?;
    let figures = measure(bench, &hyper, &hyper_dir)?;
    let entry = |target: &Target, (runs, others)| Entry {
        target: target.name.clone(),
        is_limit: target.is_limit(),
        is_peer: false,
        runs,
        faults: None,
        others,
    };
    let mut entries = vec![entry(&hyper, figures)];
    for target in bench.servers.clone() {
        bench.say(&format!("cold: {} sessions of {}", SHAPE.sessions, SHAPE.members));
        let mut stage = bench.stage("cold", &target, SHAPE)?;
        let plan = Plan::members(1);
        let mut driver = Driver::connect(&stage.world, stage.running.addr, plan)?;
        driver.start(Senders::Owners(MESSAGES_A_SESSION))?;
        driver.finish(&mut stage.world)?;
        stage.running.stop()?;
        entries.push(entry(&target, measure(bench, &target, &stage.data_dir)?));
    }
    bench.add(goals::COLD_START, entries);
    Ok(())
}

fn measure(bench: &Bench, target: &Target, data_dir: &Path) -> Result<(Runs, f64)> {
    bench.await_quiet()?;
    let mut runs = Runs::default();
    // A start is too short to be told from the others' ticks: they are asked before and after.
    let before = meter::sample(bench.options.cores())?;
    for _ in 0..bench.options.runs * RUNS_A_RUN {
        let request = Request::get("/healthz");
        runs.push(start(bench, target, data_dir, &[(request, 200)])?[0]);
    }
    Ok((runs, before.max(meter::sample(bench.options.cores())?)))
}

/// Starts the program on its data and stops it again: milliseconds until each of `requests`, one
/// after the other, was answered with its status.
pub fn start(
    bench: &Bench,
    target: &Target,
    data_dir: &Path,
    requests: &[(Request, u16)],
) -> Result<Vec<f64>> {
    let running = target.start_unawaited(free_address()?, bench.options.cores(), data_dir)?;
    let answered = |(request, status): &(Request, u16)| {
        Ok((knock(&running, request, *status)? - running.started_at).as_secs_f64() * 1000.0)
    };
    let times: Vec<f64> = requests.iter().map(answered).collect::<Result<_>>()?;
    running.stop()?;
    Ok(times)
}

fn knock(running: &Running, request: &Request, status: u16) -> Result<Instant> {
    while running.started_at.elapsed() < LIMIT {
        // Until the port is open, connecting is refused at once.
        if let Ok(mut client) = Client::connect(running.addr)
            && client.call(request).is_ok_and(|answer| answer.status == status)
        {
            return Ok(Instant::now());
        }
        std::thread::sleep(KNOCK_INTERVAL);
    }
    bail!("no answer within {LIMIT:?}")
}

/// A port that was free a moment ago.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
