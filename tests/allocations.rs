//! What a delivery costs in allocations: they are counted, and do not wobble as times do.
//!
//! The server runs in this process, whose allocator counts. The clients are bare sockets that
//! read into one buffer and allocate nothing, so what is counted between two moments is the
//! server's. One message is under way at a time: each member gets it in a turn of its own, the
//! dearest way there is. A test program of its own, for the count is that of the whole process.

#[allow(
    dead_code,
    unused_imports,
    reason = "support for the behaviours; this test needs a part of it"
)]
#[path = "it/support/mod.rs"]
mod support;

use std::alloc::System;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use support::frames::{LAST, TEXT, head, masked};
use support::{TestServer, TestUser};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const MEMBERS: usize = 50;
/// After the rings, the maps and the statements have grown to what they need.
const WARM_UP: usize = 50;
const MESSAGES: usize = 200;
/// One for the delivery, 23 for the message. One more for each delivery is too much.
const PER_DELIVERY_MAX: f64 = 1.9;
/// What has to come has come long before this.
const PATIENCE: Duration = Duration::from_secs(40);

/// A plain socket that allocates nothing once it is open.
struct Bare {
    stream: TcpStream,
    buffer: Box<[u8; 1024]>,
}

impl Bare {
    fn open(user: &TestUser, session: &str) -> Self {
        let mut stream = TcpStream::connect(user.authority()).expect("the server listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_nodelay(true).expect("no delay");
        stream.write_all(head(user, session, None).as_bytes()).expect("the server reads");
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("the handshake is answered");
            answer.extend(byte);
        }
        assert!(answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
        Self { stream, buffer: Box::new([0; 1024]) }
    }

    /// Reads one message.
    fn take(&mut self) {
        let head = &mut self.buffer[..4];
        self.stream.read_exact(head).expect("a message comes");
        assert_eq!(head[..2], [LAST | TEXT, 126], "a text of 126 bytes or more");
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        self.stream.read_exact(&mut self.buffer[..length]).expect("a whole message comes");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_allocates_next_to_nothing() {
    let server = TestServer::embedded().await;
    let mut people = Vec::new();
    for number in 0..MEMBERS {
        people.push(server.user(&format!("member{number}")).await);
    }
    let others: Vec<&TestUser> = people[1..].iter().collect();
    let session = people[0].create_session_with(&others).await;
    let mut sockets: Vec<Bare> = people.iter().map(|person| Bare::open(person, &session)).collect();
    let frame = masked(LAST | TEXT, br#"{"content": "a message of some length"}"#);
    let mut send = |count: usize| {
        for _ in 0..count {
            sockets[0].stream.write_all(&frame).expect("the server reads");
            sockets.iter_mut().for_each(Bare::take);
        }
    };
    send(WARM_UP);
    let region = Region::new(ALLOCATOR);
    send(MESSAGES);
    let change = region.change();
    let count = change.allocations + change.reallocations;
    let per_delivery = count as f64 / (MESSAGES * MEMBERS) as f64;
    eprintln!("{count} allocations, {per_delivery:.3} a delivery");
    assert!(per_delivery <= PER_DELIVERY_MAX, "{per_delivery} a delivery");
}
