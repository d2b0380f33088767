//! What every workload needs: the programs, a place for their data, and where figures go.
//!
//! A [`Stage`] is one program with its world, ready to be loaded. Workloads start the stages of
//! all programs first and then go round: the limit, the server, the other server, and again,
//! so that a noisy minute falls on all of them.

use crate::curve::Curve;
use crate::goals::Measure;
use crate::meter::{self, DRIVER_MAX, Meter, Reading};
use crate::options::Run;
use crate::peers;
use crate::plot;
use crate::process;
use crate::report::{Entry, Report, Row};
use crate::server::{Running, Target};
use crate::stats::Runs;
use crate::verify::Faults;
use crate::world::{Shape, World};
use anyhow::{Context, Result};
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// After connections were dropped a server is still busy with that.
pub const BREATH: Duration = Duration::from_millis(300);
const FILES_WANTED: u64 = 65_536;
/// Files that are not connections: standard ones, event loop, a server's database.
const FILES_KEPT: u64 = 200;

#[derive(Debug)]
pub struct Bench {
    pub options: Run,
    pub servers: Vec<Target>,
    /// Beside them, where messages are fanned out.
    pub peers: Vec<Target>,
    pub report: Report,
    connections_max: usize,
}

#[derive(Debug)]
pub struct Stage {
    pub target: Target,
    pub running: Running,
    pub world: World,
    pub data_dir: PathBuf,
    /// The highest share that others took in a window.
    pub others: f64,
}

/// Runs what was asked for; false when a delivery was lost, doubled or out of order.
pub fn run(options: Run) -> Result<bool> {
    options.check()?;
    process::pin(options.driver_core)?;
    let files = process::raise_files(FILES_WANTED);
    let mut bench = Bench {
        servers: options.servers()?,
        peers: if options.peers { peers::install()? } else { Vec::new() },
        report: Report::default(),
        connections_max: usize::try_from(files.saturating_sub(FILES_KEPT))?,
        options,
    };
    fs::create_dir_all(&bench.options.work_dir)?;
    bench.warn();
    for workload in bench.options.workloads() {
        workload.run(&mut bench).with_context(|| format!("workload {workload:?}"))?;
    }
    let _ = fs::remove_dir_all(bench.options.work_dir.join("data"));
    println!("{}", bench.report.text());
    bench.write_json()?;
    bench.write_plots()?;
    let faults = bench.report.faults();
    if faults != Faults::default() {
        eprintln!("bench: FAULTS: {faults:?}");
    }
    Ok(faults == Faults::default())
}

impl Bench {
    /// The limit programs, then the servers: the order of a round.
    pub fn with_limits(&self, limits: &[Target]) -> Vec<Target> {
        limits.iter().chain(&self.servers).cloned().collect()
    }

    /// An empty directory for the data of `target` in a workload.
    pub fn fresh_dir(&self, workload: &str, target: &Target) -> Result<PathBuf> {
        let dir = self.options.work_dir.join("data").join(workload).join(target.slug());
        match fs::remove_dir_all(&dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => fs::create_dir_all(&dir)?,
        }
        Ok(dir)
    }

    pub fn stage(&self, workload: &str, target: &Target, shape: Shape) -> Result<Stage> {
        let data_dir = self.fresh_dir(workload, target)?;
        let running = target.start(self.options.cores(), &data_dir)?;
        let world = World::build(target, &running, shape)?;
        Ok(Stage { target: target.clone(), running, world, data_dir, others: 0.0 })
    }

    pub fn stages(&self, workload: &str, targets: &[Target], shape: Shape) -> Result<Vec<Stage>> {
        self.say(&format!("{workload}: {} sessions of {}", shape.sessions, shape.members));
        targets.iter().map(|target| self.stage(workload, target, shape)).collect()
    }

    /// As many connections as the limit on open files allows.
    pub fn clip(&self, wanted: usize) -> usize {
        if wanted > self.connections_max {
            self.say(&format!("only {} of {wanted}: open files", self.connections_max));
        }
        wanted.min(self.connections_max)
    }

    /// Before each window, where the command line says so.
    pub fn await_quiet(&self) -> Result<()> {
        let limit = self.options.wait_quiet;
        if limit > 0.0 {
            let limit = Duration::from_secs_f64(limit);
            if !meter::await_quiet(self.options.cores(), limit)? {
                self.say(&format!("it did not become quiet within {limit:?}"));
            }
        }
        Ok(())
    }

    /// Progress goes to standard error: standard output is the table alone.
    pub fn say(&self, text: &str) {
        eprintln!("bench: {text}");
    }

    /// Adds one measure of all programs, compared to the first of them that is a limit.
    pub fn add(&mut self, measure: Measure, entries: Vec<Entry>) {
        let limit = entries.iter().find(|entry| entry.is_limit).map(|entry| entry.runs.median());
        self.report.add(measure, limit, entries);
    }

    fn warn(&self) {
        const TMPFS: u64 = 0x0102_1994;
        let kind = rustix::fs::statfs(&self.options.work_dir).map(|stat| stat.f_type);
        if kind.is_ok_and(|kind| u64::try_from(kind) == Ok(TMPFS)) {
            self.say("the work directory lies in memory: a flush costs nothing there");
        }
        if process::cores() < 2 {
            self.say("one core only: the load generator takes the server's time");
        }
    }

    fn write_json(&self) -> Result<()> {
        let Some(path) = &self.options.json else {
            return Ok(());
        };
        let Report { rows, curves } = &self.report;
        let file = File { machine: Machine::here(), options: &self.options, rows, curves };
        write_json_file(path, &file)
    }

    fn write_plots(&self) -> Result<()> {
        let Some(folder) = &self.options.plots else {
            return Ok(());
        };
        fs::create_dir_all(folder)?;
        for curve in &self.report.curves {
            let path = folder.join(format!("growth-{}.svg", curve.slug));
            fs::write(&path, plot::svg(curve))
                .with_context(|| format!("can't write {}", path.display()))?;
        }
        Ok(())
    }
}

fn write_json_file(path: &Path, file: &File<'_>) -> Result<()> {
    let text = serde_json::to_string_pretty(file)?;
    fs::write(path, text + "\n").with_context(|| format!("can't write {}", path.display()))
}

impl Stage {
    pub fn entry(&self, runs: Runs, faults: Option<Faults>) -> Entry {
        let (target, is_limit) = (self.target.name.clone(), self.target.is_limit());
        let (is_peer, others) = (self.target.is_peer(), self.others);
        Entry { target, is_limit, is_peer, runs, faults, others }
    }

    pub fn meter(&self, bench: &Bench) -> Result<Meter> {
        Meter::start(&self.running, bench.options.cores())
    }

    /// Ends a window; what disturbed it stays with the stage.
    pub fn read(&mut self, bench: &Bench, meter: &Meter) -> Result<Reading> {
        let reading = meter.read(&self.running)?;
        self.others = self.others.max(reading.others);
        if reading.driver_share() > DRIVER_MAX {
            let name = &self.target.name;
            bench.say(&format!("{name}: the load generator is busy, the rate may be its own"));
        }
        Ok(reading)
    }
}

#[derive(Serialize)]
struct File<'a> {
    machine: Machine,
    options: &'a Run,
    rows: &'a [Row],
    curves: &'a [Curve],
}

#[derive(Serialize)]
struct Machine {
    cores: usize,
    cpu: String,
    kernel: String,
}

impl Machine {
    fn here() -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let name = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            cores: process::cores(),
            cpu: name.unwrap_or("").trim_start_matches([' ', '\t', ':']).to_owned(),
            kernel: kernel.trim().to_owned(),
        }
    }
}
