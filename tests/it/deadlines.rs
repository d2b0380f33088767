//! What takes its time: ends of tokens, typing and presence that run out, slow requests, peers
//! that read nothing. All of it waits at once, in one test.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::slow::slow_socket;
use crate::support::token::{now_s, sign};
use crate::support::{Socket, TestServer, TestUser, number, paths, text};

/// Whether it took that many seconds, from the first to the second.
#[track_caller]
fn took(began: Instant, least: f64, most: f64, what: &str) {
    let seconds = began.elapsed().as_secs_f64();
    assert!((least..=most).contains(&seconds), "{what}: {seconds} s");
}

async fn plain_ends_with_its_token(server: &TestServer) {
    let ann = server.user("ann").await;
    let exp = now_s() + 3;
    let bob = server.user_until("bob", exp).await;
    let session = ann.create_session_with(&[&bob]).await;
    let socket = bob.plain(&session, "").await;
    assert_eq!(socket.closed().await, 4401);
    assert!((exp..=exp + 3).contains(&now_s()), "at exp");
}

/// A token that ended 3 s ago is taken within the leeway.
async fn v1_ends_25_s_after_its_token_unless_it_is_renewed(server: &TestServer) {
    let exp = now_s() - 3;
    let ann = server.user_until("ann", exp).await;
    let open = async || {
        let query = format!("token={}", ann.token);
        let opened = Socket::open(ann.authority(), &query, Some("assistdeck.v1")).await;
        let mut socket = opened.expect("it opens");
        assert_eq!(number(&socket.next().await["token_expires_in_ms"]), 0);
        assert_eq!(socket.next().await, json!({"type": "token_expiring", "in_ms": 0}));
        socket
    };
    let (ends, mut renews) = (open().await, open().await);
    let fresh = ann.call("POST", "/api/token").send().await.expect(200);
    renews.send(&json!({"type": "auth", "token": fresh["token"]})).await;
    assert_eq!(ends.closed().await, 4401);
    assert!((exp + 25..=exp + 28).contains(&now_s()), "{}", now_s() - exp);
    assert_eq!(renews.until_now().await, [json!(null); 0], "and goes on");
}

async fn v1_is_warned_a_minute_before(server: &TestServer) {
    let ann = server.user_until("ann", now_s() + 63).await;
    let mut socket = ann.v1().await;
    let warning = socket.next().await;
    assert_eq!(text(&warning["type"]), "token_expiring");
    assert!((55_000..=60_000).contains(&number(&warning["in_ms"])), "{warning}");
}

async fn v1_is_warned_of_each_token(server: &TestServer) {
    let ann = server.user_until("ann", now_s() + 20).await;
    let mut socket = ann.v1().await;
    assert!(number(&socket.next().await["in_ms"]) <= 20_000);
    let later = sign(&json!({"sub": ann.id, "iat": now_s(), "exp": now_s() + 40}));
    socket.send(&json!({"type": "auth", "token": later})).await;
    let warning = socket.next().await;
    assert_eq!(text(&warning["type"]), "token_expiring");
    assert!((20_001..=40_000).contains(&number(&warning["in_ms"])), "{warning}");
}

async fn typing_ends_by_itself(server: &TestServer) {
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let session = ann.create_session_with(&[&bob]).await;
    let (mut watch, mut types) = (ann.following(&session).await, bob.following(&session).await);
    types.send(&json!({"type": "typing", "session_id": session, "is_typing": true})).await;
    assert_eq!(watch.until("typing").await["is_typing"], true);
    let began = Instant::now();
    assert_eq!(watch.until("typing").await["is_typing"], false);
    took(began, 5.5, 8.5, "typing");
}

async fn who_goes_is_told_as_gone_after_10_s(server: &TestServer) {
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let session = ann.create_session_with(&[&bob]).await;
    let (mut watch, goes) = (ann.following(&session).await, bob.following(&session).await);
    assert_eq!(watch.until("presence").await["online"], true);
    goes.close().await;
    let began = Instant::now();
    assert_eq!(watch.until("presence").await["online"], false);
    took(began, 9.5, 13.0, "presence");
}

async fn a_silent_connection_is_cut(server: &TestServer) {
    let began = Instant::now();
    assert!(!server.raw().await.rest().await.contains("200"));
    took(began, 9.0, 13.0, "silence");
}

async fn a_slow_head_is_cut(server: &TestServer) {
    let mut raw = server.raw().await;
    let began = Instant::now();
    for line in
        ["GET /healthz HTTP/1.1\r\n", "Host: a\r\n", "X-1: a\r\n", "X-2: a\r\n", "X-3: a\r\n"]
    {
        raw.send(line).await;
        sleep(Duration::from_millis(1_500)).await;
    }
    let rest = raw.rest().await;
    assert!(rest.is_empty() || rest.contains("408") || rest.contains("400"), "{rest}");
    took(began, 9.0, 13.0, "a slow head");
}

/// What counts is the first byte, not the time before it.
async fn a_head_after_a_silence_has_its_time(server: &TestServer) {
    let mut raw = server.raw().await;
    for _ in 0..2 {
        sleep(Duration::from_secs(7)).await;
        raw.send("GET /healthz HTTP/1.1\r\nHost: a\r\n").await;
        sleep(Duration::from_secs(7)).await;
        raw.send("\r\n").await;
        raw.answer().await.expect("an answer").expect(200);
    }
}

/// The first byte is what counts, not the last that came.
async fn a_slow_body_is_told_408(server: &TestServer, ann: &TestUser) {
    let mut raw = server.raw().await;
    let began = Instant::now();
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: 50\r\n\r\n",
        paths::SESSIONS,
        ann.token,
    );
    let (first, second) = head.split_at(20);
    raw.send(first).await;
    sleep(Duration::from_secs(3)).await;
    raw.send(second).await;
    for _ in 0..5 {
        raw.send("{").await;
        sleep(Duration::from_millis(1_200)).await;
    }
    let answer = raw.answer().await.expect("an answer");
    took(began, 9.0, 13.0, "a slow body");
    assert_eq!(answer.error(408), "request_timeout");
    assert_eq!(raw.rest().await, "", "and closes");
}

async fn a_ticket_ends_after_30_s(ann: &TestUser) {
    let made = ann.call("POST", "/api/ws-tickets").send().await.expect(201);
    sleep(Duration::from_millis(30_500)).await;
    let query = format!("ticket={}", text(&made["ticket"]));
    let refused = ann.refused(&query, Some("assistdeck.v1")).await;
    assert_eq!(refused.error(401), "unauthorized");
}

async fn who_reads_nothing_for_30_s_is_closed(server: &TestServer) {
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let session = ann.create_session_with(&[&bob]).await;
    let mut stalls = slow_socket(&bob, &session, None).await;
    let mut reads = bob.plain(&session, "").await;
    let long = "x".repeat(65_000);
    for _ in 0..150 {
        ann.say(&session, &long).await;
        reads.next().await;
    }
    sleep(Duration::from_millis(32_500)).await;
    assert_eq!(stalls.closed().await, 4408);
    ann.say(&session, "marker").await;
    let marker: Value = reads.next().await;
    assert_eq!(marker["content"], "marker");
}

#[tokio::test]
async fn what_is_due_comes_when_it_is_due() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    tokio::join!(
        plain_ends_with_its_token(&server),
        v1_ends_25_s_after_its_token_unless_it_is_renewed(&server),
        v1_is_warned_a_minute_before(&server),
        v1_is_warned_of_each_token(&server),
        typing_ends_by_itself(&server),
        who_goes_is_told_as_gone_after_10_s(&server),
        a_silent_connection_is_cut(&server),
        a_slow_head_is_cut(&server),
        a_head_after_a_silence_has_its_time(&server),
        a_slow_body_is_told_408(&server, &ann),
        a_ticket_ends_after_30_s(&ann),
        who_reads_nothing_for_30_s_is_closed(&server),
    );
}
