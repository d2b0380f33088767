//! What sessions that were touched once leave behind in the server's memory.
//!
//! Each of so many sessions is followed, gets one message, and is left by everybody, in waves of
//! ten thousand. Twelve
//! seconds later, when presence has ended too, the resident memory is compared with what it was
//! before anybody came; then everything again, to tell what is kept for each session from what
//! is bounded and was only filled by the first time.

use super::{Stopped, owned};
use crate::bench::{Bench, Stage};
use crate::crowd::Crowd;
use crate::curve::Curve;
use crate::stats::Runs;
use crate::verify::Faults;
use anyhow::Result;
use std::time::Duration;

const SIZES: [usize; 4] = [0, 1_000, 10_000, 100_000];
const SOCKETS_MAX: usize = 500;
/// Followed at the same time: what is left shall be that of all, not of the most at once.
const WAVE: usize = 10_000;
const IN_FLIGHT: usize = 64;
/// What a server does after a start is over.
const AT_REST: Duration = Duration::from_secs(1);
/// Longer than presence lasts, and longer than the store waits to cut its log.
const LEFT: Duration = Duration::from_secs(12);
const MIB: f64 = (1 << 20) as f64;

pub fn run(bench: &mut Bench) -> Result<()> {
    let axes = ("sessions that were touched", "resident memory, MiB");
    let names = ["before", "touched once, all left", "touched again, all left"];
    let mut curve = Curve::new("touched", "Sessions that were touched and left", axes, &names);
    for size in SIZES {
        bench.say(&format!("growth: {size} sessions touched once"));
        let stopped = Stopped::fresh(bench, "touched")?;
        let sessions = stopped.fill(|fill| owned(fill, size, size.min(SOCKETS_MAX)))?;
        let mut stage = stopped.start(bench, sessions)?;
        std::thread::sleep(AT_REST);
        curve.add(0, size, resident(&stage)?, 0.0);
        for line in 1..=2 {
            curve.faults += touch(&mut stage)?;
            std::thread::sleep(LEFT);
            curve.add(line, size, resident(&stage)?, 0.0);
        }
        stage.running.stop()?;
    }
    bench.report.curves.push(curve);
    Ok(())
}

fn resident(stage: &Stage) -> Result<Runs> {
    Ok(Runs::from_iter([stage.running.rss_bytes()? as f64 / MIB]))
}

fn touch(stage: &mut Stage) -> Result<Faults> {
    let mut faults = Faults::default();
    for sessions in stage.world.sessions.chunks_mut(WAVE) {
        let mut crowd = Crowd::connect(stage.running.addr, sessions)?;
        let sockets = crowd.sockets();
        let share = sessions.len() / sockets;
        // Round the sockets: a server takes 32 unanswered ones of each.
        crowd.send(sessions.len(), IN_FLIGHT, |at| at % sockets * share + at / sockets)?;
        faults += crowd.finish(sessions);
    }
    Ok(faults)
}
