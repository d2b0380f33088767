//! How long a message takes to each of 100 members, when the server is far from busy.
//!
//! 100 messages a second are 10,000 deliveries a second; each one's time is kept. Beside the
//! limit program that flushes, for the flush is most of it.

use crate::bench::{BREATH, Bench, Stage};
use crate::driver::{Driver, Plan};
use crate::goals;
use crate::server::Target;
use crate::stats::Runs;
use crate::verify::Faults;
use crate::world::Shape;
use anyhow::Result;
use std::time::Duration;

const SHAPE: Shape = Shape { sessions: 1, members: 100 };
const INTERVAL: Duration = Duration::from_millis(10);
const WARMUP_MESSAGES: usize = 50;

pub fn run(bench: &mut Bench) -> Result<()> {
    let targets = bench.with_limits(&[Target::limit(true)]);
    let mut stages = bench.stages("latency", &targets, SHAPE)?;
    let mut figures = vec![(Runs::default(), Runs::default(), Faults::default()); stages.len()];
    for _ in 0..bench.options.runs {
        for (stage, (p50, p99, faults)) in stages.iter_mut().zip(&mut figures) {
            let (median, tail, found) = measure(bench, stage)?;
            p50.push(median);
            p99.push(tail);
            *faults += found;
        }
    }
    for (measure, is_tail) in [(goals::LATENCY_P50, false), (goals::LATENCY_P99, true)] {
        let entry = |(stage, (p50, p99, faults)): (&Stage, &(Runs, Runs, Faults))| {
            stage.entry(if is_tail { p99 } else { p50 }.clone(), Some(*faults))
        };
        bench.add(measure, stages.iter().zip(&figures).map(entry).collect());
    }
    Ok(())
}

fn measure(bench: &Bench, stage: &mut Stage) -> Result<(f64, f64, Faults)> {
    bench.await_quiet()?;
    let mut driver = Driver::connect(&stage.world, stage.running.addr, Plan::members(100))?;
    driver.run_paced(INTERVAL, WARMUP_MESSAGES)?;
    let count = (bench.options.seconds / INTERVAL.as_secs_f64()).ceil().max(1.0) as usize;
    let meter = stage.meter(bench)?;
    let mut latency = driver.run_paced(INTERVAL, count)?;
    stage.read(bench, &meter)?;
    let outcome = driver.finish(&mut stage.world)?;
    std::thread::sleep(BREATH);
    Ok((latency.percentile(0.50), latency.percentile(0.99), outcome.faults))
}
