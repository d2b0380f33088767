//! What is resident while nothing happens: of 2,000 connections, five to a session, and of what
//! was read before.
//!
//! It does not wobble as times do: a buffer that each connection holds, or a page cache that
//! grows with what is read, fails here.

use std::io::{Read, Write};
use std::net::TcpStream;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use tokio::task::{JoinSet, block_in_place};

use crate::person::Person;
use crate::rest::{PATIENCE, Rest};
use crate::stalled::rss_bytes;
use crate::world::{found_session, read_log, start};

const CONNECTIONS: usize = 2_000;
/// Each is another person, who is in one session.
const MEMBERS: usize = 5;
/// A release build takes about 2,000 of 10,000 connections; what grows once (stacks, caches,
/// statements) is divided by fewer here.
const BYTES_MAX: u64 = 3_072;
/// Of the long log that is read: 24 MB.
const CONTENT_BYTES: usize = 60_000;
const MESSAGES: usize = 400;
/// Who read at the same time: enough to keep all of the store's readers busy.
const READERS: usize = 12;
/// What may stay of it: the readers' small caches, and what the allocator does not give back of
/// a few answers.
const KEPT_BYTES_MAX: u64 = 12 << 20;
/// Open files beside the connections, of which each process has one end.
const OTHER_FILES: u64 = 256;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_connection_takes_little_memory() {
    allow_files(CONNECTIONS as u64 + OTHER_FILES);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = start(&folder);
    let mut seats = Vec::new();
    for session in 0..CONNECTIONS / MEMBERS {
        let person = |n| Person::new(&format!("member {session}.{n}"));
        let people: Vec<Person> = (0..MEMBERS).map(person).collect();
        for person in &people {
            let mut rest = Rest::new(server.url(), person);
            rest.call("GET", "/api/users/profile").await.expect("an answer").expect(200);
        }
        let others: Vec<&Person> = people[1..].iter().collect();
        let id = found_session(&mut Rest::new(server.url(), &people[0]), &others).await;
        seats.extend(people.into_iter().map(|person| (person, id.clone())));
    }
    // What the sessions' making left in its memory would make room for the connections.
    assert!(block_in_place(|| server.stop()).success());
    let server = start(&folder);
    let authority = server.url().trim_start_matches("http://").to_owned();
    // The threads, their scratch and their statements are there before it is counted.
    let mut first = Vec::new();
    for (person, session) in &seats[..MEMBERS * 8] {
        first.push(block_in_place(|| connect(&authority, person, session)));
    }
    let before = rss_bytes(server.pid());
    let mut rest = Vec::new();
    for (person, session) in &seats[MEMBERS * 8..] {
        rest.push(block_in_place(|| connect(&authority, person, session)));
    }
    let grown = rss_bytes(server.pid()).saturating_sub(before);
    let each = grown / rest.len() as u64;
    eprintln!("idle: {each} bytes a connection");
    assert!(each <= BYTES_MAX, "{each} bytes a connection");
    assert!(each > 100, "{each} bytes a connection can't be: something else was measured");
    drop((first, rest));
    assert!(block_in_place(|| server.stop()).success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_read_does_not_stay() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = start(&folder);
    let owner = Person::new("owner");
    let mut rest = Rest::new(server.url(), &owner);
    let session = found_session(&mut rest, &[]).await;
    let content = "x".repeat(CONTENT_BYTES);
    let path = format!("/api/chat/sessions/{session}/messages");
    for _ in 0..MESSAGES {
        let sent = rest.post(&path, &json!({"content": content})).await;
        sent.expect("an answer").expect(201);
    }
    // The writer keeps what it wrote, which is another matter.
    assert!(block_in_place(|| server.stop()).success());
    let server = start(&folder);
    let mut rest = Rest::new(server.url(), &owner);
    rest.call("GET", &path).await.expect("an answer").expect(200);
    let before = rss_bytes(server.pid());
    let mut readers = JoinSet::new();
    for _ in 0..READERS {
        let (mut rest, session) = (Rest::new(server.url(), &owner), session.clone());
        readers.spawn(async move { read_log(&mut rest, &session).await.len() });
    }
    while let Some(read) = readers.join_next().await {
        assert_eq!(read.expect("the log is read"), MESSAGES);
    }
    let kept = rss_bytes(server.pid()).saturating_sub(before);
    eprintln!("idle: {} KiB are kept of what was read", kept >> 10);
    assert!(kept <= KEPT_BYTES_MAX, "{kept} bytes");
    assert!(block_in_place(|| server.stop()).success());
}

/// A plain socket, past its handshake.
fn connect(authority: &str, person: &Person, session: &str) -> TcpStream {
    let mut stream = TcpStream::connect(authority).expect("the server listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let request = format!(
        "GET /ws?session_id={session}&token={} HTTP/1.1\r\nHost: {authority}\r\n\
         Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        person.token
    );
    stream.write_all(request.as_bytes()).expect("the server reads");
    let mut answer = [0; 512];
    let count = stream.read(&mut answer).expect("the handshake is answered");
    let answer = String::from_utf8_lossy(&answer[..count]);
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    stream
}

/// Raises the limit on open files; the server inherits it.
fn allow_files(wanted: u64) {
    let now = getrlimit(Resource::Nofile);
    if now.current.is_some_and(|current| current < wanted) {
        let raised = Rlimit { current: Some(wanted), maximum: now.maximum };
        setrlimit(Resource::Nofile, raised).expect("2,500 open files must be allowed");
    }
}
