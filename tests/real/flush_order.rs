//! In the order of the system calls themselves: a message is written to the log of the database,
//! then that is flushed, and only then does anybody hear of the message.
//!
//! `strace` writes the calls down in the order in which they happen. Each message has a marker
//! that is looked for in the bytes that go into the write-ahead log and into sockets.

use serde_json::json;
use tokio::task::block_in_place;

use crate::line::{Line, Speech};
use crate::person::Person;
use crate::rest::Rest;
use crate::strace::Strace;
use crate::world::{found_session, next_durable, start};

const MESSAGES: usize = 60;
/// A whole page of the database, or all of a frame.
const BYTES_SHOWN: usize = 8_192;
const CALLS: &[&str] = &["pwrite64", "fsync", "fdatasync", "write", "writev", "sendto", "sendmsg"];
const FLUSHES: [&str; 2] = ["fsync", "fdatasync"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_told_to_nobody_before_it_is_flushed() {
    if crate::is_skipped("flush_order") {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = start(&folder);
    let (owner, other) = (Person::new("owner"), Person::new("other"));
    let mut rest = Rest::new(server.url(), &owner);
    let mut others = Rest::new(server.url(), &other);
    others.call("GET", "/api/users/profile").await.expect("an answer").expect(200);
    let session = found_session(&mut rest, &[&other]).await;
    let open = async |person, speech| {
        let line = Line::open(server.url(), person, &session, speech, None).await;
        line.expect("the server lives")
    };
    let mut plain = open(&owner, Speech::Plain).await;
    let mut v1 = open(&other, Speech::V1).await;
    let strace = block_in_place(|| Strace::record(server.pid(), folder.path(), CALLS, BYTES_SHOWN));
    let path = format!("/api/chat/sessions/{session}/messages");
    for number in 0..MESSAGES {
        let content = marker(number);
        match number % 3 {
            0 => plain.say(&content, &content).await.expect("the server lives"),
            1 => v1.say(&content, &content).await.expect("the server lives"),
            _ => {
                let answer = rest.post(&path, &json!({"content": content})).await;
                answer.expect("an answer").expect(201);
            }
        }
        for line in [&mut plain, &mut v1] {
            while !next_durable(line).await.to_string().contains(&content) {}
        }
    }
    let log = block_in_place(|| strace.detach());
    let lines: Vec<&str> = log.lines().collect();
    for number in 0..MESSAGES {
        check(&lines, &marker(number));
    }
    assert!(block_in_place(|| server.stop()).success());
}

fn marker(number: usize) -> String {
    format!("marker-{number:03}.")
}

/// Finds write, flush and telling of one message in what strace wrote.
fn check(lines: &[&str], marker: &str) {
    let is_log = |line: &str| line.contains("-wal>");
    let find = |from: usize, test: &dyn Fn(&str) -> bool| {
        lines[from..].iter().position(|line| test(line)).map(|at| from + at)
    };
    let written =
        find(0, &|line| line.contains("pwrite64(") && is_log(line) && line.contains(marker));
    let written = written.unwrap_or_else(|| panic!("{marker} is not in the log"));
    let flushed =
        find(written, &|line| is_done(line) && (is_log(line) || line.contains("resumed")));
    let flushed = flushed.unwrap_or_else(|| panic!("{marker} is not flushed"));
    let told = find(0, &|line| !line.contains("pwrite64(") && line.contains(marker));
    let told = told.unwrap_or_else(|| panic!("{marker} is told to nobody"));
    assert!(
        written < flushed && flushed < told,
        "{marker} is written in line {written}, flushed in {flushed}, but told in {told}:\n{}",
        lines[told]
    );
}

/// Whether a flush ended well in that line.
fn is_done(line: &str) -> bool {
    let is_flush = FLUSHES.iter().any(|call| {
        line.contains(&format!(" {call}(")) || line.contains(&format!("<... {call} resumed>"))
    });
    is_flush && line.trim_end().ends_with("= 0")
}
