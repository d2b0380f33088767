//! One window: the time, what the server used, what the driver used, and what all others took.
//!
//! The last is what makes a figure worth something on a shared machine. A build on the same
//! cores halves every rate, and then a rate compares builds, not servers; CPU time per delivery
//! suffers much less. So each window tells the others' share of the two cores, the table shows
//! the highest of a row, and a verdict from a disturbed window carries a question mark.
//!
//! CPU time of a process holds the kernel's work for its sockets only where the kernel charges
//! soft interrupts to whom they interrupt: with `IRQ_TIME_ACCOUNTING` it does not.

use crate::process;
use crate::server::{Cores, Running};
use anyhow::Result;
use std::time::{Duration, Instant};

/// Above this share of the two cores, what was measured is doubtful.
pub const OTHERS_MAX: f64 = 0.08;
/// From here on a rate may be the load generator's and not the server's.
pub const DRIVER_MAX: f64 = 0.92;
const SAMPLE: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub struct Meter {
    cores: Cores,
    server_ms: f64,
    driver_ms: f64,
    busy_ms: f64,
    since: Instant,
}

#[derive(Debug, Clone, Copy)]
pub struct Reading {
    pub seconds: f64,
    pub server_ms: f64,
    pub driver_ms: f64,
    /// 0 to 1, of both cores.
    pub others: f64,
}

impl Meter {
    pub fn start(running: &Running, cores: Cores) -> Result<Self> {
        Self::start_at(running.cpu_ms()?, cores)
    }

    /// The same, where what is measured is several programs, which used so much until now.
    pub fn start_at(server_ms: f64, cores: Cores) -> Result<Self> {
        Ok(Self {
            cores,
            server_ms,
            driver_ms: process::cpu_ms(std::process::id())?,
            busy_ms: busy_ms(cores)?,
            since: Instant::now(),
        })
    }

    pub fn read(&self, running: &Running) -> Result<Reading> {
        self.read_at(running.cpu_ms()?)
    }

    pub fn read_at(&self, server_ms: f64) -> Result<Reading> {
        let server_ms = server_ms - self.server_ms;
        let driver_ms = process::cpu_ms(std::process::id())? - self.driver_ms;
        let busy = busy_ms(self.cores)? - self.busy_ms;
        let seconds = self.since.elapsed().as_secs_f64();
        let others = share(busy - server_ms - driver_ms, seconds, self.cores);
        Ok(Reading { seconds, server_ms, driver_ms, others })
    }
}

impl Reading {
    /// How busy the load generator's core was with it.
    pub fn driver_share(&self) -> f64 {
        self.driver_ms / (self.seconds * 1000.0)
    }
}

fn share(ms: f64, seconds: f64, cores: Cores) -> f64 {
    (ms / (seconds * 1000.0 * cores.list().len() as f64)).clamp(0.0, 1.0)
}

fn busy_ms(cores: Cores) -> Result<f64> {
    cores.list().iter().map(|core| process::core_busy_ms(*core)).sum()
}

/// The others' share of the cores just now, while the calling program waits.
pub fn sample(cores: Cores) -> Result<f64> {
    let own = process::cpu_ms(std::process::id())?;
    let (busy, since) = (busy_ms(cores)?, Instant::now());
    std::thread::sleep(SAMPLE);
    let own = process::cpu_ms(std::process::id())? - own;
    Ok(share(busy_ms(cores)? - busy - own, since.elapsed().as_secs_f64(), cores))
}

/// Waits until nobody else uses the cores, `limit` at most; whether it became quiet.
pub fn await_quiet(cores: Cores, limit: Duration) -> Result<bool> {
    let since = Instant::now();
    while sample(cores)? > OTHERS_MAX {
        if since.elapsed() >= limit {
            return Ok(false);
        }
    }
    Ok(true)
}
