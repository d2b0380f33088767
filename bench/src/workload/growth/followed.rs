//! What a message costs, and what nothing costs, with 10 to 100,000 followed sessions.
//!
//! Up to 500 sockets of `assistdeck.v1` follow up to 200 sessions each. Messages go to sessions
//! at random, ten under way at a time whatever the size, so that as many share a commit and each
//! is a write of its own; its only follower is its sender.

use super::{Cost, Stopped, owned};
use crate::bench::Bench;
use crate::crowd::Crowd;
use crate::curve::Curve;
use crate::fill::Chance;
use anyhow::Result;
use std::time::Duration;

const SIZES: [usize; 5] = [10, 100, 1_000, 10_000, 100_000];
const SOCKETS_MAX: usize = 500;
const IN_FLIGHT: usize = 10;
const WARMUP: usize = 1_000;
const MESSAGES: usize = 10_000;
const IDLE: Duration = Duration::from_secs(2);

pub fn run(bench: &mut Bench) -> Result<()> {
    let axes = ("followed sessions", "server CPU, µs a message");
    let mut busy = Curve::new("followed", "A message to one of the followed", axes, &["v1"]);
    let axes = ("followed sessions", "server CPU, ms a second");
    let mut idle = Curve::new("idle", "Followed sessions in which nothing happens", axes, &["v1"]);
    for size in SIZES {
        bench.say(&format!("growth: {size} followed sessions"));
        let stopped = Stopped::fresh(bench, "followed")?;
        let sessions = stopped.fill(|fill| owned(fill, size, size.min(SOCKETS_MAX)))?;
        let mut stage = stopped.start(bench, sessions)?;
        let mut crowd = Crowd::connect(stage.running.addr, &stage.world.sessions)?;
        let mut chance = Chance::new();
        crowd.send(WARMUP, IN_FLIGHT, |_| chance.below(size))?;
        let (mut message, mut second) = (Cost::default(), Cost::default());
        for _ in 0..bench.options.runs {
            message.take(bench, &mut stage, MESSAGES, || {
                crowd.send(MESSAGES, IN_FLIGHT, |_| chance.below(size))
            })?;
            // Milliseconds a second: a thousand times less than µs.
            let parts = usize::try_from(IDLE.as_millis())?;
            second.take(bench, &mut stage, parts, || crowd.run_for(IDLE))?;
        }
        busy.faults += crowd.finish(&mut stage.world.sessions);
        busy.add(0, size, message.runs, message.others);
        idle.add(0, size, second.runs, second.others);
        stage.running.stop()?;
    }
    bench.report.curves.extend([busy, idle]);
    Ok(())
}
