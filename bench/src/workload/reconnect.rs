//! Everybody comes back at once, as after a restart, and asks for what was missed.
//!
//! Each session has a history; all members connect with `after` so far back that twenty
//! messages are replayed to each. It ends when every connection has all of them, in order.
//! The limit program has no replay, so there is nothing to compare it to.

use crate::bench::{BREATH, Bench, Stage};
use crate::driver::{Driver, Plan, Senders};
use crate::goals;
use crate::stats::Runs;
use crate::verify::Faults;
use crate::world::Shape;
use anyhow::Result;

const MEMBERS: usize = 5;
const MISSED: u64 = 20;
const HANDSHAKES: usize = 512;

#[derive(Debug, Default, Clone)]
struct Figures {
    cpu: Runs,
    rate: Runs,
    faults: Faults,
}

pub fn run(bench: &mut Bench) -> Result<()> {
    let connections = bench.clip(bench.options.reconnects);
    let shape = Shape { sessions: connections.div_ceil(MEMBERS), members: MEMBERS };
    let servers = bench.servers.clone();
    let mut stages = bench.stages("reconnect", &servers, shape)?;
    let mut all = vec![Figures::default(); stages.len()];
    for (stage, figures) in stages.iter_mut().zip(&mut all) {
        let plan = Plan::members(1);
        let mut driver = Driver::connect(&stage.world, stage.running.addr, plan)?;
        driver.start(Senders::Owners(MISSED))?;
        figures.faults += driver.finish(&mut stage.world)?.faults;
    }
    for _ in 0..bench.options.runs {
        for (stage, figures) in stages.iter_mut().zip(&mut all) {
            std::thread::sleep(BREATH);
            measure(bench, stage, figures)?;
        }
    }
    for (measure, is_cpu) in [(goals::RECONNECT_CPU, true), (goals::RECONNECT_RATE, false)] {
        let entry = |(stage, figures): (&Stage, &Figures)| {
            let runs = if is_cpu { &figures.cpu } else { &figures.rate };
            stage.entry(runs.clone(), Some(figures.faults))
        };
        bench.add(measure, stages.iter().zip(&all).map(entry).collect());
    }
    Ok(())
}

fn measure(bench: &Bench, stage: &mut Stage, figures: &mut Figures) -> Result<()> {
    let plan = Plan { handshakes: HANDSHAKES, replay: Some(MISSED), ..Plan::members(MEMBERS) };
    bench.await_quiet()?;
    let meter = stage.meter(bench)?;
    let mut driver = Driver::connect(&stage.world, stage.running.addr, plan)?;
    driver.settle()?;
    let reading = stage.read(bench, &meter)?;
    let count = driver.connections() as f64;
    figures.cpu.push(reading.server_ms * 1000.0 / count);
    figures.rate.push(count / reading.seconds);
    figures.faults += driver.finish(&mut stage.world)?.faults;
    Ok(())
}
