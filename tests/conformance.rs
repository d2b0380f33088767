//! The shipped binary against judges that others wrote: the Autobahn cases for the socket layer,
//! schemathesis for the REST calls, the AsyncAPI parser for the document of the socket, and the
//! example of the specification, run word for word; and against our own JavaScript client, with
//! that client's tests.
//!
//! The judges are programs in Python and JavaScript; `scripts/install-test-tools` installs them,
//! the runners lie in `tests/conformance`. Each test starts the binary in a folder of its own and
//! fails with the end of its runner's output. A judge that is not installed fails its test: a
//! check that leaves itself out proves nothing. Who can't install one names it in ASSISTDECK_SKIP
//! (`autobahn`, `schemathesis`, `asyncapi`, `spec_example`, `client`, separated by commas). Nothing
//! else skips.

#[path = "support/process.rs"]
mod process;

use std::fs::{self, File};
use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use process::{Launch, last_lines};
use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

const OUTPUT_LINES_SHOWN: usize = 100;

#[test]
fn the_socket_layer_passes_the_autobahn_cases() {
    if is_skipped("autobahn") {
        return;
    }
    let folder = TempDir::new().expect("a temporary folder");
    // Some cases send 16 MiB in one frame or 4 MiB in 65,536 fragments; the limits that the
    // server has otherwise are tests of their own.
    let server = Launch::echo(folder.path())
        .args(["--frame-bytes-max", "33554432", "--frame-fragments-max", "1000000"])
        .start();
    let mut runner = python("autobahn_cases.py");
    runner.arg("--suite").arg(tools().join("python")).arg(format!("{}/", server.url()));
    run(runner, folder.path(), Duration::from_secs(300));
}

#[test]
fn every_answer_is_one_that_the_openapi_description_has() {
    if is_skipped("schemathesis") {
        return;
    }
    let folder = TempDir::new().expect("a temporary folder");
    let server = Launch::serve(folder.path()).start();
    let mut runner = python("schemathesis_run.py");
    runner.arg(server.url());
    run(runner, folder.path(), Duration::from_secs(240));
}

#[test]
fn the_asyncapi_document_describes_every_golden_frame() {
    if is_skipped("asyncapi") {
        return;
    }
    let folder = TempDir::new().expect("a temporary folder");
    let server = Launch::serve(folder.path()).start();
    let mut runner = Command::new("node");
    runner.arg(runners().join("asyncapi.mjs")).arg(server.url());
    run(runner, folder.path(), Duration::from_secs(60));
}

#[test]
fn the_example_of_the_specification_works_word_for_word() {
    if is_skipped("spec_example") {
        return;
    }
    let folder = TempDir::new().expect("a temporary folder");
    // The example names localhost:8080, which is where the server listens when nobody says
    // otherwise. Where that port is taken, the runner replaces the authority and says so.
    let (server, url) = if is_free("127.0.0.1:8080") && is_free("[::1]:8080") {
        (Launch::serve_where_it_likes(folder.path()).start(), "http://localhost:8080".to_owned())
    } else {
        let server = Launch::serve(folder.path()).start();
        let url = server.url().to_owned();
        (server, url)
    };
    let mut runner = Command::new("node");
    runner.arg(runners().join("spec_example.mjs")).arg(url);
    run(runner, folder.path(), Duration::from_secs(60));
    assert!(server.stop().success(), "the server stops in peace");
}

#[test]
fn the_javascript_client_works_with_this_server() {
    if is_skipped("client") {
        return;
    }
    let folder = TempDir::new().expect("a temporary folder");
    let server = Launch::serve(folder.path()).start();
    let mut runner = Command::new("npm");
    runner.args(["test", "--silent", "--prefix"]).arg(repository().join("clients/js"));
    runner.env("ASSISTDECK_URL", server.url());
    run(runner, folder.path(), Duration::from_secs(240));
}

fn is_skipped(judge: &str) -> bool {
    let skipped = std::env::var("ASSISTDECK_SKIP").unwrap_or_default();
    let found = skipped.split(',').any(|name| name.trim() == judge);
    if found {
        eprintln!("{judge}: skipped, as ASSISTDECK_SKIP says");
    }
    found
}

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn runners() -> PathBuf {
    repository().join("tests/conformance")
}

/// Where scripts/install-test-tools puts what does not belong to the repository.
fn tools() -> PathBuf {
    repository().join("target/test-tools")
}

fn python(script: &str) -> Command {
    let mut command = Command::new(tools().join("venv/bin/python"));
    command.arg("-u").arg(runners().join(script));
    command
}

fn is_free(address: &str) -> bool {
    match TcpListener::bind(address) {
        Ok(_) => true,
        // No IPv6 on this machine: then the server can't be asked there either.
        Err(error) => error.kind() == ErrorKind::AddrNotAvailable,
    }
}

/// Runs a judge to its end. Panics with the end of its output when it finds fault, is missing,
/// or takes longer than `seconds_max`.
fn run(mut command: Command, folder: &Path, seconds_max: Duration) {
    let output = folder.join("judge.log");
    let file = File::create(&output).expect("the output file of the judge opens");
    let both = file.try_clone().expect("one file for both outputs");
    // A group of its own, so that what it started ends with it.
    command.stdin(Stdio::null()).stdout(file).stderr(both).process_group(0);
    let started = Instant::now();
    let child = command.spawn().unwrap_or_else(|error| {
        panic!("{command:?}: {error}; scripts/install-test-tools installs what is missing")
    });
    let status = wait(child, seconds_max);
    let text = fs::read_to_string(&output).expect("the judge writes UTF-8");
    let took = started.elapsed().as_secs();
    match status {
        Some(status) if status.success() => {
            eprintln!("{} ({took} s)", last_lines(text.trim_end(), 1));
        }
        _ => {
            let end = status.map_or("took too long".to_owned(), |status| status.to_string());
            let shown = last_lines(&text, OUTPUT_LINES_SHOWN);
            panic!("{command:?}: {end} after {took} s; the end of its output:\n{shown}")
        }
    }
}

/// Waits for the end. None: it did not come in time, and the child's group is killed.
fn wait(mut child: Child, longest: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + longest;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().expect("the judge is our child") {
            return Some(status);
        }
        thread::sleep(Duration::from_millis(50));
    }
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    // It may have ended in this very moment.
    let _ = kill_process_group(group.expect("the judge has a pid"), Signal::KILL);
    let _ = child.wait();
    None
}
