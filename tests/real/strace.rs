//! `strace` on a running server: system calls that are made to fail, or are written down.
//!
//! Attached until [`Strace::detach`]; the server goes on as if nothing had been. Every thread is
//! traced, also those that start later.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

const ATTACH_MAX: Duration = Duration::from_secs(20);

/// An attached strace.
pub struct Strace {
    child: Child,
    log: PathBuf,
}

impl Strace {
    /// Makes calls fail: `faults` as `-e inject=` takes them.
    pub fn inject(pid: u32, folder: &Path, faults: &[&str]) -> Self {
        let calls = faults.iter().map(|fault| fault.split(':').next().unwrap_or_default());
        let mut arguments = vec!["-e".to_owned(), format!("trace={}", join(calls))];
        for fault in faults {
            arguments.extend(["-e".to_owned(), format!("inject={fault}")]);
        }
        Self::attach(pid, folder, &arguments)
    }

    /// Writes calls down, with what files and sockets they were for and up to `bytes_max` bytes
    /// of data.
    pub fn record(pid: u32, folder: &Path, calls: &[&str], bytes_max: usize) -> Self {
        let calls = format!("trace={}", join(calls.iter().copied()));
        let arguments = ["-yy", "-e", &calls, "-s", &bytes_max.to_string()].map(str::to_owned);
        Self::attach(pid, folder, &arguments)
    }

    fn attach(pid: u32, folder: &Path, arguments: &[String]) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let log = folder.join(format!("strace-{}.log", NUMBER.fetch_add(1, Ordering::Relaxed)));
        let mut child = Command::new("strace")
            .args(["-f", "-p", &pid.to_string(), "-o"])
            .arg(&log)
            .args(arguments)
            .stderr(Stdio::piped())
            .spawn()
            .expect("strace is there; scripts/install-test-tools installs it");
        let stderr = child.stderr.take().expect("piped");
        let (attached, is_attached) = mpsc::sync_channel(1);
        thread::spawn(move || {
            // Read on to the end: a full pipe would stop strace, and with it the server.
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                // Nobody listens any more after the first.
                let _ = attached.try_send(line);
            }
        });
        let said = is_attached.recv_timeout(ATTACH_MAX).expect("strace says something");
        assert!(said.contains("attached"), "strace: {said}");
        Self { child, log }
    }

    /// Ends it, and returns what it wrote.
    pub fn detach(mut self) -> String {
        self.end();
        fs::read_to_string(&self.log).expect("strace wrote its log")
    }

    fn end(&mut self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        // It ends by itself with its server.
        let _ = kill_process(pid.expect("strace has a pid"), Signal::TERM);
        let _ = self.child.wait();
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        self.end();
    }
}

fn join<'a>(calls: impl IntoIterator<Item = &'a str>) -> String {
    calls.into_iter().collect::<Vec<_>>().join(",")
}
