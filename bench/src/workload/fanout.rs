//! W1, W2, W3: how many deliveries, and what each costs.
//!
//! Every window has fresh connections to the same server: it is connected, loaded, warmed up,
//! measured, then everything under way comes in and the accounts are settled. CPU time and
//! deliveries are taken at the same two moments.

use crate::bench::{BREATH, Bench, Stage};
use crate::driver::{Driver, Plan, Senders};
use crate::goals::{self, FanoutMeasures};
use crate::server::Target;
use crate::stats::Runs;
use crate::verify::Faults;
use crate::world::Shape;
use anyhow::Result;

#[derive(Debug)]
pub struct Spec {
    measures: FanoutMeasures,
    shape: Shape,
    senders: Senders,
    /// Deliveries of which the rate counts one: W3 tells messages.
    deliveries_a_count: f64,
}

pub const W1: Spec = Spec {
    measures: goals::W1,
    shape: Shape { sessions: 1, members: 100 },
    senders: Senders::Owners(16),
    deliveries_a_count: 1.0,
};

pub const W2: Spec = Spec {
    measures: goals::W2,
    shape: Shape { sessions: 1, members: 1000 },
    senders: Senders::Owners(8),
    deliveries_a_count: 1.0,
};

pub const W3: Spec = Spec {
    measures: goals::W3,
    shape: Shape { sessions: 200, members: 5 },
    senders: Senders::Everyone(1),
    deliveries_a_count: 5.0,
};

/// One window.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    pub deliveries_per_s: f64,
    pub cpu_ms_per_1000: f64,
    pub driver_ms_per_1000: f64,
    pub deliveries_a_read: f64,
}

pub fn run(bench: &mut Bench, spec: &Spec) -> Result<()> {
    let mut targets = bench.with_limits(&[Target::limit(true), Target::limit(false)]);
    targets.extend(bench.peers.iter().cloned());
    let workload = spec.measures.rate.workload;
    let mut stages = bench.stages(workload, &targets, spec.shape)?;
    let mut windows = vec![Vec::new(); stages.len()];
    let mut faults = vec![Faults::default(); stages.len()];
    for _ in 0..bench.options.runs {
        for (at, stage) in stages.iter_mut().enumerate() {
            let (window, found) = measure(bench, spec, stage)?;
            windows[at].push(window);
            faults[at] += found;
        }
    }
    let FanoutMeasures { rate, cpu, joined, driver } = spec.measures;
    let mut add = |measure, figure: &dyn Fn(&Window) -> f64| {
        let entry = |(at, stage): (usize, &Stage)| {
            let runs: Runs = windows[at].iter().map(figure).collect();
            stage.entry(runs, Some(faults[at]))
        };
        bench.add(measure, stages.iter().enumerate().map(entry).collect());
    };
    add(rate, &|window| window.deliveries_per_s / spec.deliveries_a_count);
    add(cpu, &|window| window.cpu_ms_per_1000);
    add(joined, &|window| window.deliveries_a_read);
    add(driver, &|window| window.driver_ms_per_1000);
    Ok(())
}

fn measure(bench: &Bench, spec: &Spec, stage: &mut Stage) -> Result<(Window, Faults)> {
    bench.await_quiet()?;
    let plan = Plan { dialect: stage.target.dialect(), ..Plan::members(spec.shape.members) };
    let mut driver = Driver::connect(&stage.world, stage.running.addr, plan)?;
    driver.start(spec.senders)?;
    driver.run_for(bench.options.warmup())?;
    let window = window(bench, stage, &mut driver)?;
    let outcome = driver.finish(&mut stage.world)?;
    std::thread::sleep(BREATH);
    Ok((window, outcome.faults))
}

/// Lets the driver run on and takes the figures of that time.
pub fn window(bench: &Bench, stage: &mut Stage, driver: &mut Driver) -> Result<Window> {
    let before = (driver.delivered(), driver.reads());
    let meter = stage.meter(bench)?;
    driver.run_for(bench.options.window())?;
    let reading = stage.read(bench, &meter)?;
    let deliveries = (driver.delivered() - before.0) as f64;
    // Below one delivery a cost of each has no meaning; one keeps the division finite.
    let thousands = deliveries.max(1.0) / 1000.0;
    Ok(Window {
        deliveries_per_s: deliveries / reading.seconds,
        cpu_ms_per_1000: reading.server_ms / thousands,
        driver_ms_per_1000: reading.driver_ms / thousands,
        deliveries_a_read: deliveries / ((driver.reads() - before.1) as f64).max(1.0),
    })
}
