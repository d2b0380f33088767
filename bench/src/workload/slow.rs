//! Healthy members beside ten that do not read.
//!
//! The same session of 110 is measured with 100 healthy members alone, and with the other ten
//! connected but stalled. The healthy ones may lose no more than 5 %. At the end the stalled
//! ones read on and must get everything, in order, unless the server cut them by then.

use crate::bench::{BREATH, Bench, Stage};
use crate::driver::{Driver, Plan, Senders};
use crate::goals;
use crate::stats::Runs;
use crate::verify::Faults;
use crate::workload::fanout;
use crate::world::Shape;
use anyhow::Result;

const HEALTHY: usize = 100;
const STALLED: usize = 10;
const SHAPE: Shape = Shape { sessions: 1, members: HEALTHY + STALLED };
const IN_FLIGHT: u64 = 16;

#[derive(Debug, Default, Clone)]
struct Figures {
    without: Runs,
    with: Runs,
    share: Runs,
    cut: Runs,
    faults: Faults,
}

pub fn run(bench: &mut Bench) -> Result<()> {
    let servers = bench.servers.clone();
    let mut stages = bench.stages("slow", &servers, SHAPE)?;
    let mut all = vec![Figures::default(); stages.len()];
    for _ in 0..bench.options.runs {
        for (stage, figures) in stages.iter_mut().zip(&mut all) {
            let without = measure(bench, stage, 0, figures)?;
            let with = measure(bench, stage, STALLED, figures)?;
            figures.without.push(without);
            figures.with.push(with);
            figures.share.push(with / without.max(1.0));
        }
    }
    let mut add = |measure, runs: fn(&Figures) -> &Runs| {
        let entry = |(stage, figures): (&Stage, &Figures)| {
            stage.entry(runs(figures).clone(), Some(figures.faults))
        };
        bench.add(measure, stages.iter().zip(&all).map(entry).collect());
    };
    add(goals::SLOW_WITHOUT, |figures| &figures.without);
    add(goals::SLOW_WITH, |figures| &figures.with);
    add(goals::SLOW_SHARE, |figures| &figures.share);
    add(goals::SLOW_CUT, |figures| &figures.cut);
    Ok(())
}

/// Deliveries to healthy members a second.
fn measure(bench: &Bench, stage: &mut Stage, stalled: usize, figures: &mut Figures) -> Result<f64> {
    bench.await_quiet()?;
    let plan = Plan { stalled, ..Plan::members(HEALTHY + stalled) };
    let mut driver = Driver::connect(&stage.world, stage.running.addr, plan)?;
    driver.start(Senders::Owners(IN_FLIGHT))?;
    driver.run_for(bench.options.warmup())?;
    let window = fanout::window(bench, stage, &mut driver)?;
    let outcome = driver.finish(&mut stage.world)?;
    figures.faults += outcome.faults;
    if stalled > 0 {
        figures.cut.push(outcome.cut as f64);
    }
    std::thread::sleep(BREATH);
    Ok(window.deliveries_per_s)
}
