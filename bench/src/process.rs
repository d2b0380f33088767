//! What the kernel knows about a process: its CPU time, its memory, its core, its files.
//!
//! Everything is read from `/proc`, so nothing of the measured program takes part. CPU time is
//! user plus system of all threads in ticks of 10 ms: windows must be long beside that, which
//! seconds are.

use anyhow::{Context, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::fs;

/// CPU time of all threads since the start, in milliseconds.
pub fn cpu_ms(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("the process is gone")?;
    let ticks = cpu_ticks(&stat).context("/proc/PID/stat has another form")?;
    Ok(ticks as f64 * 1000.0 / rustix::param::clock_ticks_per_second() as f64)
}

/// The same of a process and all that descends from it and still runs.
pub fn tree_cpu_ms(root: u32) -> Result<f64> {
    let mut parents: Vec<(u32, u32)> = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let pid: Option<u32> = name.to_str().and_then(|name| name.parse().ok());
        let Some(pid) = pid else { continue };
        // It may have ended since.
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        let parent = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1));
        parents.extend(parent.and_then(|parent| parent.parse().ok()).map(|parent| (pid, parent)));
    }
    let mut family: Vec<u32> = vec![root];
    let mut at = 0;
    while at < family.len() {
        let parent: u32 = family[at];
        family.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| pid));
        at += 1;
    }
    let root_ms = cpu_ms(root)?;
    Ok(root_ms + family[1..].iter().filter_map(|pid| cpu_ms(*pid).ok()).sum::<f64>())
}

/// `utime` + `stime`: the 14th and 15th field. The second may hold blanks and brackets, so the
/// count begins after the last bracket, with the third.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// Time in which the core was not idle since the machine started, in milliseconds.
pub fn core_busy_ms(core: usize) -> Result<f64> {
    let stat = fs::read_to_string("/proc/stat")?;
    let name = format!("cpu{core}");
    let ticks = stat.lines().find_map(|line| busy_ticks(line, &name));
    let ticks = ticks.with_context(|| format!("no {name} in /proc/stat"))?;
    Ok(ticks as f64 * 1000.0 / rustix::param::clock_ticks_per_second() as f64)
}

/// All but idle and waiting for a disk; guest time stands within user time already.
fn busy_ticks(line: &str, name: &str) -> Option<u64> {
    let mut fields = line.split_ascii_whitespace();
    if fields.next() != Some(name) {
        return None;
    }
    let ticks: Vec<u64> = fields.take(8).map_while(|field| field.parse().ok()).collect();
    match ticks.as_slice() {
        [user, nice, system, _idle, _iowait, rest @ ..] => {
            Some(user + nice + system + rest.iter().sum::<u64>())
        }
        _ => None,
    }
}

/// The memory that is resident, in bytes.
pub fn rss_bytes(pid: u32) -> Result<u64> {
    status_bytes(pid, "VmRSS:")
}

/// The most that was resident since the start, or since [`forget_peak`], in bytes.
pub fn peak_bytes(pid: u32) -> Result<u64> {
    status_bytes(pid, "VmHWM:")
}

/// The peak is what is resident now.
pub fn forget_peak(pid: u32) -> Result<()> {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").context("the peak can't be reset")
}

fn status_bytes(pid: u32, name: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|rest| rest.trim().strip_suffix(" kB"));
    let kib = kib.with_context(|| format!("no {name}"))?;
    Ok(kib.trim().parse::<u64>()? * 1024)
}

/// Puts the calling thread on one core; what it starts from now on, threads and programs,
/// inherits that. On a machine without that core nothing happens.
pub fn pin(core: usize) -> Result<()> {
    let mut wanted = CpuSet::new();
    wanted.set(core);
    if sched_getaffinity(None)?.is_set(core) || cores() > core {
        sched_setaffinity(None, &wanted).context("the core can't be chosen")?;
    }
    Ok(())
}

pub fn cores() -> usize {
    fs::read_to_string("/proc/cpuinfo")
        .map_or(1, |text| text.lines().filter(|line| line.starts_with("processor")).count().max(1))
}

/// Raises the limit on open files as far as it goes (children inherit it) and says how far.
pub fn raise_files(wanted: u64) -> u64 {
    let now = getrlimit(Resource::Nofile);
    let hard = now.maximum.unwrap_or(u64::MAX);
    let raised = |maximum: u64| Rlimit { current: Some(maximum), maximum: Some(maximum) };
    if hard < wanted && setrlimit(Resource::Nofile, raised(wanted)).is_ok() {
        return wanted;
    }
    let soft = hard.min(wanted);
    let kept = Rlimit { current: Some(soft), maximum: now.maximum };
    match setrlimit(Resource::Nofile, kept) {
        Ok(()) => soft,
        Err(_) => now.current.unwrap_or(soft),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_behind_a_name_with_brackets_and_blanks() {
        let stat = "12 (a) (b c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 1";
        assert_eq!(cpu_ticks(stat), Some(200));
        assert_eq!(cpu_ticks("12 (a) S 1 2"), None);
    }

    #[test]
    fn a_core_is_busy_with_all_but_idling() {
        assert_eq!(busy_ticks("cpu1 10 1 5 900 80 2 3 4 0 0", "cpu1"), Some(25));
        assert_eq!(busy_ticks("cpu10 10 1 5 900 80 2 3 4 0 0", "cpu1"), None);
        assert!(core_busy_ms(0).expect("there is a first core") > 0.0);
    }

    #[test]
    fn this_process_uses_memory_and_time() {
        let pid = std::process::id();
        assert!(rss_bytes(pid).expect("ours") > 100_000);
        forget_peak(pid).expect("ours");
        assert!(peak_bytes(pid).expect("ours") > 100_000);
        assert!(cpu_ms(pid).expect("ours") >= 0.0);
    }
}
