//! What it costs to tell 1,000 members of one session that another one comes, or goes.
//!
//! A thousand follow the session over `assistdeck.v1`. Others come, one after the other, each
//! when all have been told of the one before; the cost of its connection is in the figure. Then
//! all of them go, and are told as gone when the server has waited for them to come back, so
//! that several may share a write: the figure is what is left of a change then.

use crate::bench::{BREATH, Bench, Stage};
use crate::driver::{Driver, Plan};
use crate::goals;
use crate::stats::Runs;
use crate::verify::Faults;
use crate::world::Shape;
use anyhow::Result;
use std::time::Duration;

const STAY: usize = 1_000;
const COME: usize = 50;
const SHAPE: Shape = Shape { sessions: 1, members: STAY + COME };
/// Signals may be lost, so what does not come is not waited for for ever.
const TOLD_LIMIT: Duration = Duration::from_secs(5);
/// Ten seconds of grace, the pulse, and what telling takes.
const GONE_LIMIT: Duration = Duration::from_secs(20);
/// Without anything told for so long, all of it is told.
const QUIET: Duration = Duration::from_millis(500);

#[derive(Debug, Default, Clone)]
struct Figures {
    comes: Runs,
    goes: Runs,
    faults: Faults,
}

pub fn run(bench: &mut Bench) -> Result<()> {
    let servers = bench.servers.clone();
    let mut stages = bench.stages("presence", &servers, SHAPE)?;
    let mut all = vec![Figures::default(); stages.len()];
    for _ in 0..bench.options.runs {
        for (stage, figures) in stages.iter_mut().zip(&mut all) {
            measure(bench, stage, figures)?;
            std::thread::sleep(BREATH);
        }
    }
    for (measure, is_coming) in [(goals::PRESENCE_COMES, true), (goals::PRESENCE_GOES, false)] {
        let entry = |(stage, figures): (&Stage, &Figures)| {
            let runs = if is_coming { &figures.comes } else { &figures.goes };
            stage.entry(runs.clone(), Some(figures.faults))
        };
        bench.add(measure, stages.iter().zip(&all).map(entry).collect());
    }
    Ok(())
}

fn measure(bench: &Bench, stage: &mut Stage, figures: &mut Figures) -> Result<()> {
    let plan = Plan { watch: true, replay: Some(0), ..Plan::members(STAY) };
    let addr = stage.running.addr;
    let mut watchers = Driver::connect(&stage.world, addr, plan)?;
    loop {
        let before = watchers.presences();
        watchers.run_for(QUIET)?;
        if watchers.presences() == before {
            break;
        }
    }
    bench.await_quiet()?;
    let before = watchers.presences();
    let mut told = before;
    let mut here = Vec::new();
    let meter = stage.meter(bench)?;
    for at in 0..COME {
        let one = Plan { skip: STAY + at, ..Plan { members: 1, ..plan } };
        here.push(Driver::connect(&stage.world, addr, one)?);
        told += STAY as u64;
        watchers.run_until_presences(told, TOLD_LIMIT)?;
    }
    let coming = stage.read(bench, &meter)?;
    let meter = stage.meter(bench)?;
    drop(here);
    told += (STAY * COME) as u64;
    watchers.run_until_presences(told, GONE_LIMIT)?;
    let going = stage.read(bench, &meter)?;
    watchers.run_for(QUIET)?;
    figures.comes.push(coming.server_ms * 1000.0 / COME as f64);
    figures.goes.push(going.server_ms * 1000.0 / COME as f64);
    figures.faults += Faults {
        lost: told.saturating_sub(watchers.presences()),
        doubled: watchers.presences().saturating_sub(told),
        out_of_order: 0,
    };
    Ok(())
}
