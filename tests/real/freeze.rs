//! Stops a server between two instructions, as a power cut does.
//!
//! SIGSTOP alone is not enough: one thread of the process takes the signal, and until that thread
//! gets a processor the others run on.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::process::ServerProcess;

/// Long enough on a machine that is busy with other things.
const FREEZE_MAX: Duration = Duration::from_secs(20);

/// No instruction of the server runs any more when this returns. A system call that a thread is
/// in may still be under way within the kernel; what comes of it the server never learns.
pub fn freeze(server: &ServerProcess) {
    server.signal(Signal::STOP);
    let tasks = format!("/proc/{}/task", server.pid());
    let deadline = Instant::now() + FREEZE_MAX;
    while !is_frozen(Path::new(&tasks)) {
        assert!(Instant::now() < deadline, "the server does not stop");
        thread::yield_now();
    }
}

/// Whether each thread is stopped (`T`), or is deep in the kernel (`D`) and stops on its way out.
fn is_frozen(tasks: &Path) -> bool {
    let tasks = fs::read_dir(tasks).expect("the server's threads");
    let states: Vec<_> = tasks
        .filter_map(|task| fs::read_to_string(task.expect("a thread").path().join("stat")).ok())
        .map(|stat| stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next()))
        .collect();
    // The first stopped one shows that all have been told.
    states.contains(&Some('T')) && states.iter().all(|state| matches!(state, Some('T' | 'D')))
}
