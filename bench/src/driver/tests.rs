//! The driver against a server of a few lines that breaks its promises on purpose: what the
//! ledger finds by itself must also be found through sockets, frames and settling. The bytes
//! are torn in the middle of frames on purpose, and no test waits longer than the silence that
//! tells the driver that nothing comes any more.

use super::*;
use crate::frame;
use crate::world::{Member, Session};
use std::io::{Read, Write};
use std::net::TcpListener;
use uuid::Uuid;

/// Accepts one connection, takes the handshake, and sends messages with these numbers, each
/// write torn in the middle of a frame.
fn serve(numbers: &'static [u64]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let addr = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("the driver comes");
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("a whole request");
            request.push(byte[0]);
        }
        let mut bytes = b"HTTP/1.1 101 Switching Protocols\r\n\
            Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
            .to_vec();
        for seq in numbers {
            let text =
                format!(r#"{{"seq":{seq},"sender_id":"x","content":"{}"}}"#, "y".repeat(200));
            frame::put_server(&mut bytes, frame::TEXT, &[text.as_bytes()]);
        }
        for piece in bytes.chunks(150) {
            stream.write_all(piece).expect("the driver reads");
        }
        // Open until the driver has settled and goes.
        let _ = stream.read(&mut [0]);
    });
    addr
}

/// The outcome for a member that stands at 0 of 5.
fn outcome(numbers: &'static [u64]) -> Result<Faults> {
    let member = Member { user: Uuid::new_v4(), token: "t".to_owned() };
    let session = Session { id: "s".to_owned(), members: vec![member], head: 5 };
    let mut world = World { sessions: vec![session] };
    let silence_max = Duration::from_millis(200);
    let plan = Plan { replay: Some(5), silence_max, ..Plan::members(1) };
    let driver = Driver::connect(&world, serve(numbers), plan)?;
    Ok(driver.finish(&mut world)?.faults)
}

#[test]
fn a_server_that_keeps_its_promise_has_no_fault() {
    assert_eq!(outcome(&[1, 2, 3, 4, 5]).expect("runs"), Faults::default());
}

#[test]
fn what_a_server_loses_doubles_or_swaps_is_found() {
    let lost = Faults { lost: 1, ..Faults::default() };
    assert_eq!(outcome(&[1, 2, 4, 5]).expect("runs"), lost);
    assert_eq!(outcome(&[1, 2, 3, 4]).expect("runs"), lost);
    let doubled = Faults { doubled: 1, ..Faults::default() };
    assert_eq!(outcome(&[1, 2, 3, 3, 4, 5]).expect("runs"), doubled);
    assert_eq!(outcome(&[1, 2, 3, 4, 5, 5]).expect("runs"), doubled);
    let swapped = Faults { out_of_order: 1, ..Faults::default() };
    assert_eq!(outcome(&[1, 3, 2, 4, 5]).expect("runs"), swapped);
}
