//! Readers that fall asleep beside healthy ones, under a stream of large messages.
//!
//! The healthy ones get everything while the others still sleep, and the server does not keep
//! for the sleepers what it can read again from its store. One of them wakes up and catches up
//! without a hole; the other sleeps on, is let go, and catches up when it comes back.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, sleep};

use crate::line::{Heard, Line, Speech};
use crate::person::Person;
use crate::rest::Rest;
use crate::world::{found_session, next_durable, start};

const CONTENT_BYTES: usize = 60_000;
/// Fills what the database and the allocator keep for good.
const MESSAGES_BEFORE: u64 = 1_500;
/// More than the kernel's buffers and all bounds of the server together.
const MESSAGES: u64 = 1_500;
const WINDOW: u64 = 8;
/// What the server may grow by while 90 MB go past two sleepers.
const GROWTH_BYTES_MAX: u64 = 40 << 20;
/// All of the server, whatever was sent.
const RSS_BYTES_MAX: u64 = 256 << 20;
/// A small window, so that the sleeper sleeps soon.
const RECEIVE_BYTES: u32 = 16 * 1024;
/// 30 s without progress, 5 s for the closing handshake, and a little.
const LET_GO_MAX: Duration = Duration::from_secs(30 + 5 + 5);
const TOO_SLOW: u16 = 4408;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sleeping_readers_cost_themselves_only() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = start(&folder);
    let (owner, other) = (Person::new("owner"), Person::new("other"));
    let mut others = Rest::new(server.url(), &other);
    others.call("GET", "/api/users/profile").await.expect("an answer").expect(200);
    let mut rest = Rest::new(server.url(), &owner);
    let session = found_session(&mut rest, &[&other]).await;
    let mut healthy = Healthy {
        sender: open(server.url(), &owner, &session, Speech::Plain).await,
        reader: open(server.url(), &other, &session, Speech::V1).await,
        // The one before the first message added the other.
        last_seq: 1,
    };
    healthy.stream(MESSAGES_BEFORE).await;
    let before = rss_bytes(server.pid());

    let from = healthy.last_seq;
    let mut waking = Sleeper::open(server.url(), &other, &session, from).await;
    let mut gone = Sleeper::open(server.url(), &owner, &session, from).await;
    let asleep_since = Instant::now();
    healthy.stream(MESSAGES).await;
    let after = rss_bytes(server.pid());
    eprintln!("stalled: RSS {} KiB, then {} KiB", before >> 10, after >> 10);
    assert!(after < before + GROWTH_BYTES_MAX, "grew from {before} to {after}");
    assert!(after < RSS_BYTES_MAX, "{after} bytes");
    assert!(waking.is_connected(server.url()) && gone.is_connected(server.url()));

    waking.expect_all(healthy.last_seq).await;
    while gone.is_connected(server.url()) {
        assert!(asleep_since.elapsed() < LET_GO_MAX, "it is still there");
        sleep(Duration::from_millis(100)).await;
    }
    let reached = gone.expect_end().await;
    assert!(reached < healthy.last_seq, "it slept");
    let mut again = Sleeper::open(server.url(), &owner, &session, reached).await;
    again.expect_all(healthy.last_seq).await;
    healthy.stream(10).await;
}

async fn open(url: &str, person: &Person, session: &str, speech: Speech) -> Line {
    Line::open(url, person, session, speech, None).await.expect("the server lives")
}

/// Two that read all the time; one of them writes.
struct Healthy {
    sender: Line,
    reader: Line,
    last_seq: u64,
}

impl Healthy {
    /// Sends so many, and returns when both have got all of them in order.
    async fn stream(&mut self, count: u64) {
        let (first, last) = (self.last_seq + 1, self.last_seq + count);
        let (sender, reader) = (&mut self.sender, &mut self.reader);
        let send = async {
            let mut sent = first;
            for seq in first..=last {
                while sent <= last.min(seq + WINDOW) {
                    let client_id = format!("s{sent}");
                    sender.say(&client_id, &content(sent)).await.expect("the server lives");
                    sent += 1;
                }
                check(&next_durable(sender).await, seq);
            }
        };
        let read = async {
            for seq in first..=last {
                check(&next_durable_event(reader).await["data"], seq);
            }
        };
        tokio::join!(send, read);
        self.last_seq = last;
    }
}

/// A reader that does not read until it is told to.
struct Sleeper {
    line: Line,
    address: SocketAddr,
    last_seq: u64,
}

impl Sleeper {
    async fn open(url: &str, person: &Person, session: &str, after: u64) -> Self {
        let authority = url.trim_start_matches("http://");
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(RECEIVE_BYTES).expect("a small buffer");
        let server: SocketAddr = authority.parse().expect("an address");
        let stream: TcpStream = socket.connect(server).await.expect("the server listens");
        let address = stream.local_addr().expect("its own address");
        let token = &person.token;
        let url = format!("ws://{authority}/ws?session_id={session}&token={token}&after={after}");
        let line = Line::open_on(stream, &url, session, Speech::V1).await;
        Self { line: line.expect("the server lives"), address, last_seq: after }
    }

    /// Reads up to `last`, and misses nothing.
    async fn expect_all(&mut self, last: u64) {
        while self.last_seq < last {
            let event = next_durable_event(&mut self.line).await;
            self.last_seq += 1;
            check(&event["data"], self.last_seq);
        }
    }

    /// Reads what had come before the end; how far that was.
    async fn expect_end(&mut self) -> u64 {
        loop {
            match self.line.hear().await {
                Heard::Frame(frame) if frame["at"].is_string() => {
                    self.last_seq += 1;
                    check(&frame["data"], self.last_seq);
                }
                Heard::Frame(_) => {}
                // Whoever does not read may miss the reason too.
                Heard::Gone | Heard::Closed(TOO_SLOW) => return self.last_seq,
                Heard::Closed(code) => panic!("closed with {code}"),
            }
        }
    }

    /// Whether the server still holds its end of the connection, as the kernel says.
    fn is_connected(&self, url: &str) -> bool {
        let port = |address: &str| {
            let port = address.rsplit(':').next().and_then(|port| port.parse::<u16>().ok());
            format!(":{:04X}", port.expect("a port"))
        };
        let (server, client) = (port(url), port(&self.address.to_string()));
        let table = fs::read_to_string("/proc/net/tcp").expect("the kernel's connections");
        table.lines().any(|line| {
            let mut columns = line.split_whitespace().skip(1);
            let mut next = || columns.next().unwrap_or_default();
            let (local, remote, state) = (next(), next(), next());
            local.ends_with(&server) && remote.ends_with(&client) && state == ESTABLISHED
        })
    }
}

/// In `/proc/net/tcp`.
const ESTABLISHED: &str = "01";

async fn next_durable_event(line: &mut Line) -> Value {
    let frame = next_durable(line).await;
    assert_eq!(frame["type"], "message.created");
    frame
}

fn content(seq: u64) -> String {
    format!("{seq} {}", "x".repeat(CONTENT_BYTES))
}

fn check(message: &Value, seq: u64) {
    assert_eq!(message["seq"], seq);
    assert_eq!(message["content"].as_str().map(str::len), Some(content(seq).len()));
}

/// What the process holds in memory.
pub fn rss_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process lives");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("its RSS");
    let kib = line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok());
    kib.expect("a number") << 10
}
