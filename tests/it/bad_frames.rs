//! Frames that RFC 6455 or the limits forbid: each has its close code, and nobody else notices.

use serde_json::json;

use crate::support::frames::{BINARY, CLOSE, LAST, PING, PONG, TEXT, masked};
use crate::support::{RawSocket, TestServer, TestUser};

const FRAME_BYTES_MAX: usize = 524_288;

/// What a socket is closed with after these bytes; the server goes on.
async fn closed_after(user: &TestUser, session: &str, bytes: &[u8]) -> u16 {
    let mut codes = Vec::new();
    for protocol in [None, Some("assistdeck.v1")] {
        let mut socket = RawSocket::open(user, session, protocol).await;
        socket.0.send(bytes).await;
        codes.push(socket.closed().await);
    }
    assert_eq!(codes[0], codes[1], "both protocols alike");
    codes[0]
}

fn frames(frames: &[(u8, &[u8])]) -> Vec<u8> {
    frames.iter().flat_map(|(first, payload)| masked(*first, payload)).collect()
}

#[tokio::test]
async fn what_breaks_the_protocol_is_closed_with_1002() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let session = ann.create_session().await;
    let mut watch = ann.plain(&session, "").await;
    let close = |code: u16| frames(&[(LAST | CLOSE, &code.to_be_bytes())]);
    let mut unmasked = vec![LAST | TEXT, 2];
    unmasked.extend_from_slice(b"{}");
    for (why, bytes) in [
        ("an unmasked frame", unmasked),
        ("reserved opcode 3", frames(&[(LAST | 0x3, b"")])),
        ("reserved opcode 11", frames(&[(LAST | 0xB, b"")])),
        ("reserved bit 1", frames(&[(LAST | 0x40 | TEXT, b"{}")])),
        ("reserved bit 3", frames(&[(LAST | 0x10 | TEXT, b"{}")])),
        ("a ping in fragments", frames(&[(PING, b"a")])),
        ("a ping of 126 bytes", frames(&[(LAST | PING, &[b'a'; 126])])),
        ("a continuation of nothing", frames(&[(LAST, b"{}")])),
        ("a message within a message", frames(&[(TEXT, b"{"), (LAST | TEXT, b"}")])),
        ("a close frame of one byte", frames(&[(LAST | CLOSE, &[3])])),
        ("a close code that is none", close(999)),
        ("a close code that is reserved", close(1005)),
        ("a close code of TLS", close(1015)),
        ("a close code of nobody", close(2999)),
        ("a close code too large", close(5000)),
    ] {
        assert_eq!(closed_after(&ann, &session, &bytes).await, 1002, "{why}");
    }
    ann.say(&session, "marker").await;
    assert_eq!(watch.contents_before("marker").await, [""; 0]);
}

#[tokio::test]
async fn text_that_is_no_utf8_is_closed_with_1007() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let session = ann.create_session().await;
    let long: Vec<u8> = [&b"{\"content\":\"\xC0"[..], &[b'a'; 100]].concat();
    for (why, bytes) in [
        ("a lone continuation byte", frames(&[(LAST | TEXT, b"{\"content\":\"\x80\"}")])),
        ("an overlong form", frames(&[(LAST | TEXT, b"{\"content\":\"\xC0\xAF\"}")])),
        ("a surrogate", frames(&[(LAST | TEXT, b"{\"content\":\"\xED\xA0\x80\"}")])),
        ("beyond Unicode", frames(&[(LAST | TEXT, b"{\"content\":\"\xF4\x90\x80\x80\"}")])),
        ("cut short", frames(&[(LAST | TEXT, b"{\"content\":\"\xE2\x82")])),
        ("cut short in fragments", frames(&[(TEXT, b"{\"content\":\"\xE2"), (LAST, b"\"}")])),
        ("told before the frame is whole", masked(LAST | TEXT, &long)[..60].to_vec()),
        ("a close reason", frames(&[(LAST | CLOSE, b"\x03\xE8\xFF")])),
    ] {
        assert_eq!(closed_after(&ann, &session, &bytes).await, 1007, "{why}");
    }
    assert_eq!(ann.history(&session).await.len(), 0);
}

/// A message whose JSON has exactly so many bytes.
fn padded(bytes: usize) -> Vec<u8> {
    let (start, end) = (r#"{"content":"padded","x":""#, r#""}"#);
    format!("{start}{}{end}", "x".repeat(bytes - start.len() - end.len())).into_bytes()
}

#[tokio::test]
async fn the_largest_frame_is_taken_and_one_byte_more_is_closed_with_1009() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let session = ann.create_session().await;
    let mut watch = ann.plain(&session, "").await;
    let mut socket = RawSocket::open(&ann, &session, None).await;
    let whole = padded(FRAME_BYTES_MAX);
    socket.frame(LAST | TEXT, &whole).await;
    let (first, rest) = whole.split_at(300_000);
    socket.frame(TEXT, first).await;
    socket.frame(LAST | PING, b"between fragments").await;
    socket.frame(LAST, rest).await;
    let mut opcodes = Vec::new();
    for _ in 0..3 {
        opcodes.push(socket.next().await.expect("a frame").0);
    }
    opcodes.sort_unstable();
    assert_eq!(opcodes, [TEXT, TEXT, PONG]);
    let over = padded(FRAME_BYTES_MAX + 1);
    let (first, rest) = over.split_at(300_000);
    for bytes in [
        masked(LAST | TEXT, &over),
        // The header alone says it.
        masked(LAST | TEXT, &over)[..14].to_vec(),
        masked(LAST | BINARY, &over),
        frames(&[(TEXT, first), (LAST, rest)]),
        [&[LAST | TEXT, 0xFF][..], &(u64::MAX >> 1).to_be_bytes(), &[0; 4]].concat(),
    ] {
        assert_eq!(closed_after(&ann, &session, &bytes).await, 1009);
    }
    ann.say(&session, "marker").await;
    assert_eq!(watch.contents_before("marker").await, ["padded", "padded"]);
}

#[tokio::test]
async fn a_flood_of_fragments_is_closed_with_1009() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let session = ann.create_session().await;
    let mut watch = ann.plain(&session, "").await;
    let mut socket = RawSocket::open(&ann, &session, None).await;
    // Empty ones, which no limit on bytes would ever stop.
    let mut flood = masked(TEXT, b"{");
    flood.extend((0..65_536).flat_map(|_| masked(0, b"")));
    socket.0.send(&flood).await;
    assert_eq!(socket.closed().await, 1009);
    // As many as may be are one message.
    let mut socket = RawSocket::open(&ann, &session, None).await;
    let message = json!({"content": "x".repeat(50_000)}).to_string().into_bytes();
    let mut torn = masked(TEXT, &message[..1]);
    torn.extend(message[1..message.len() - 1].iter().flat_map(|byte| masked(0, &[*byte])));
    torn.extend(masked(LAST, &message[message.len() - 1..]));
    socket.0.send(&torn).await;
    assert_eq!(socket.next().await.expect("the message").0, TEXT);
    assert_eq!(watch.next().await["content"], "x".repeat(50_000));
}

#[tokio::test]
async fn frames_come_through_however_they_are_torn() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let session = ann.create_session().await;
    let mut socket = RawSocket::open(&ann, &session, None).await;
    let texts = ["ü torn", "second", "third"].map(|text| json!({"content": text}).to_string());
    let bytes = frames(&[
        (LAST | TEXT, texts[0].as_bytes()),
        (LAST | PING, b"p"),
        (TEXT, &texts[1].as_bytes()[..5]),
        (0, b""),
        (LAST, &texts[1].as_bytes()[5..]),
        (LAST | PONG, b"unasked"),
        (LAST | TEXT, texts[2].as_bytes()),
    ]);
    for byte in &bytes {
        assert!(socket.0.send([*byte]).await);
    }
    let mut contents = Vec::new();
    while contents.len() < 3 {
        if let (TEXT, payload) = socket.next().await.expect("a frame") {
            let message: serde_json::Value = serde_json::from_slice(&payload).expect("JSON");
            contents.push(message["content"].clone());
        }
    }
    assert_eq!(contents, ["ü torn", "second", "third"]);
}

#[tokio::test]
async fn more_bad_frames_than_may_be_unanswered_are_all_answered() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let session = ann.create_session().await;
    for protocol in [None, Some("assistdeck.v1")] {
        let mut socket = RawSocket::open(&ann, &session, protocol).await;
        let bad = vec!["{".to_owned(); 100];
        socket.texts(&bad).await;
        let mut answered = 0;
        while answered < bad.len() {
            answered += usize::from(socket.json().await["code"] == "invalid_json");
        }
    }
}

#[tokio::test]
async fn frames_behind_the_handshake_in_one_piece_are_not_lost() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let session = ann.create_session().await;
    let mut raw = server.raw().await;
    let mut bytes = crate::support::frames::head(&ann, &session, None).into_bytes();
    for n in 0..3 {
        let text = json!({"content": format!("eager {n}")}).to_string();
        bytes.extend(masked(LAST | TEXT, text.as_bytes()));
    }
    raw.send(&bytes).await;
    assert_eq!(raw.answer().await.expect("an answer").status, 101);
    let mut socket = RawSocket(raw);
    for n in 0..3 {
        let (_, payload) = socket.next().await.expect("a frame");
        let message: serde_json::Value = serde_json::from_slice(&payload).expect("JSON");
        assert_eq!(message["content"], format!("eager {n}"));
    }
}

#[tokio::test]
async fn a_connection_that_breaks_off_in_the_midst_harms_nobody() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let session = ann.create_session().await;
    let mut watch = ann.plain(&session, "").await;
    let frame = masked(LAST | TEXT, json!({"content": "never whole"}).to_string().as_bytes());
    for end in [1, 2, 5, frame.len() - 1] {
        let mut socket = RawSocket::open(&ann, &session, None).await;
        socket.0.send(&frame[..end]).await;
    }
    ann.say(&session, "marker").await;
    assert_eq!(watch.contents_before("marker").await, [""; 0]);
}
