//! A slow reader costs itself only.

use serde_json::{Value, json};
use tokio::net::TcpSocket;

use crate::support::frames::TEXT;
use crate::support::{Raw, RawSocket, TestServer, TestUser, number, text};

/// A socket whose kernel takes little, so that the server soon has to wait for it.
pub async fn slow_socket(user: &TestUser, session: &str, protocol: Option<&str>) -> RawSocket {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4_096).expect("a small buffer");
    let address = user.authority().parse().expect("an address");
    let stream = socket.connect(address).await.expect("the server listens");
    RawSocket::upgrade(user, session, protocol, Raw::on(stream)).await
}

#[tokio::test]
async fn a_reader_that_stalls_holds_up_nobody_and_catches_up_later() {
    let server = TestServer::start().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let session = ann.create_session_with(&[&bob]).await;
    let mut slow = slow_socket(&bob, &session, None).await;
    let mut slow_v1 = slow_socket(&bob, &session, Some("assistdeck.v1")).await;
    let mut healthy = bob.plain(&session, "").await;
    let long = "x".repeat(60_000);
    // More than ring and kernel hold together.
    for n in 0..160 {
        ann.say(&session, &format!("{n} {long}")).await;
        assert!(text(&healthy.next().await["content"]).starts_with(&format!("{n} ")));
    }
    let number_of = |message: &Value| {
        let content = text(&message["content"]);
        content.split(' ').next().expect("a word").parse::<u64>().expect("a number")
    };
    for n in 0..160 {
        assert_eq!(number_of(&slow.json().await), n);
    }
    let mut seq = 1;
    while seq < 161 {
        let frame = slow_v1.json().await;
        if frame["type"] == "message.created" {
            seq += 1;
            assert_eq!((number(&frame["seq"]), number_of(&frame["data"])), (seq, seq - 2));
        }
    }
    ann.say(&session, "marker").await;
    assert_eq!(healthy.contents_before("marker").await, [""; 0]);
    let (opcode, _) = slow.next().await.expect("live again");
    assert_eq!(opcode, TEXT);
}

#[tokio::test]
async fn who_sends_without_reading_is_not_read_and_then_all_is_answered() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let session = ann.create_session().await;
    let mut slow = slow_socket(&ann, &session, None).await;
    let long = "x".repeat(30_000);
    let texts: Vec<_> =
        (0..150).map(|n| json!({"content": format!("{n} {long}")}).to_string()).collect();
    // The answers fill what lies between, so the server must stop to read at some point.
    let mut sent = 0;
    let send = async {
        for part in texts.chunks(10) {
            slow.texts(part).await;
            sent += part.len();
        }
    };
    let stopped = tokio::time::timeout(std::time::Duration::from_secs(2), send).await;
    let stored = ann.history(&session).await.len();
    if stopped.is_err() {
        // Torn within a part: the rest of it can't be sent any more, but all before counts.
        assert!(sent < texts.len());
    }
    for n in 0..stored.min(sent) {
        let message = slow.json().await;
        assert!(text(&message["content"]).starts_with(&format!("{n} ")));
    }
}

/// Contents that fill a page of the store by few messages.
const PAGE_MESSAGES: usize = 4;
/// Pages of so many sessions are more than the kernel holds.
const SESSIONS: usize = 60;

#[tokio::test]
async fn who_stalls_while_pages_are_read_for_it_holds_up_nobody_who_wants_the_same() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let long = "x".repeat(65_000);
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS {
        let session = ann.create_session().await;
        for _ in 0..PAGE_MESSAGES {
            ann.say(&session, &long).await;
        }
        sessions.push(session);
    }
    let quiet = ann.create_session().await;
    let follow = |session| json!({"type": "follow", "session_id": session, "after": 0});
    let follows: Vec<_> = sessions.iter().map(|session| follow(session).to_string()).collect();
    let mut slow = slow_socket(&ann, &quiet, Some("assistdeck.v1")).await;
    slow.texts(&follows).await;
    // It is given as much as the kernel holds meanwhile, and stands still then.
    for _ in 0..20 {
        ann.create_session().await;
    }
    let mut healthy = ann.v1().await;
    for frame in &follows {
        healthy.send_text(frame).await;
    }
    for _ in 0..SESSIONS {
        healthy.until("caught_up").await;
    }
    // It is still there, so nobody has waited for its end.
    let mut told = 0;
    while told < SESSIONS * PAGE_MESSAGES {
        told += usize::from(slow.json().await["type"] == "message.created");
    }
}

/// So many sessions, and so many places in each to begin at, are more pages than there may be of
/// full size.
const LONG_SESSIONS: usize = 15;
const BEGINNINGS: usize = 20;
/// Behind the last of them, more than the kernel holds.
const LONG_MESSAGES: usize = 20;

#[tokio::test]
async fn who_stalls_with_all_pages_that_there_may_be_holds_up_nobody() {
    let server = TestServer::start().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let long = "x".repeat(65_000);
    let mut slow = Vec::new();
    for _ in 0..LONG_SESSIONS {
        let session = ann.create_session().await;
        for _ in 0..BEGINNINGS + LONG_MESSAGES {
            ann.say(&session, &long).await;
        }
        for after in 0..BEGINNINGS {
            slow.push(slow_socket(&ann, &format!("{session}&after={after}"), None).await);
        }
    }
    let other = ann.create_session_with(&[&bob]).await;
    for n in 0..200 {
        ann.say(&other, &n.to_string()).await;
    }
    let mut healthy = bob.plain(&other, "&after=0").await;
    for n in 0..200 {
        assert_eq!(healthy.next().await["content"], n.to_string());
    }
    // They are still there, so nobody has waited for their end.
    for socket in &mut slow {
        for _ in 0..LONG_MESSAGES {
            assert_eq!(text(&socket.json().await["content"]).len(), long.len());
        }
    }
}
