//! HTTP below the router: heads, lengths, pipelines, old versions. What takes its time is in
//! `deadlines`.

use crate::support::{Raw, TestServer, TestUser, paths, text};

/// The server is well: it answers another connection.
async fn is_well(server: &TestServer) {
    server.call("GET", "/healthz").send().await.expect(200);
}

/// The status of the answer to these bytes; 0: cut without one.
async fn status_of(server: &TestServer, bytes: &[u8]) -> u16 {
    let mut raw = server.raw().await;
    raw.send(bytes).await;
    raw.answer().await.map_or(0, |answer| answer.status)
}

fn create(user: &TestUser, more: &str) -> String {
    format!(
        "POST {} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\n{more}\r\n",
        paths::SESSIONS,
        user.token,
    )
}

#[tokio::test]
async fn a_head_that_is_a_bomb_is_refused_or_cut() {
    let server = TestServer::start().await;
    let many: String = (0..5_000).map(|n| format!("X-{n}: {n}\r\n")).collect();
    let long = "x".repeat(400_000);
    for bomb in [
        format!("GET /healthz HTTP/1.1\r\nHost: a\r\n{many}\r\n"),
        format!("GET /healthz HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n"),
        format!("GET /healthz HTTP/1.1\r\nHost: a\r\n{long}: x\r\n\r\n"),
        format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"),
        format!("{long} /healthz HTTP/1.1\r\nHost: a\r\n\r\n"),
        format!("GET /healthz?{long} HTTP/1.1\r\nHost: a\r\n\r\n"),
        format!("GET /healthz HTTP/1.1\r\nHost: a\r\n{}", "X: y\r\n".repeat(100_000)),
    ] {
        let status = status_of(&server, bomb.as_bytes()).await;
        assert!(status == 0 || (400..500).contains(&status), "{status} {bomb:.60}");
        is_well(&server).await;
    }
}

/// The HTTP library refuses these before there is a request.
#[tokio::test]
async fn what_never_becomes_a_request_is_refused_in_the_form_of_all_errors() {
    let server = TestServer::start().await;
    let lines: String = (0..120).map(|n| format!("X-{n}: {n}\r\n")).collect();
    for broken in [
        "GET / HTTP/1.1\r\nHo st: a\r\n\r\n".to_owned(),
        "hello\r\n\r\n".to_owned(),
        format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n"),
        format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(65_535)),
    ] {
        let mut raw = server.raw().await;
        raw.send(&broken).await;
        let answer = raw.answer().await.unwrap_or_else(|| panic!("no answer to {broken:.40}"));
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("content-type", "application/json"),
            ("connection", "close"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{broken:.40}");
        }
        assert!(answer.header("x-request-id").is_some_and(|id| !id.is_empty()));
        assert_eq!(answer.error(400), "invalid_query");
        assert_eq!(raw.rest().await, "");
    }
}

#[tokio::test]
async fn what_is_no_http_is_refused_or_cut() {
    let server = TestServer::start().await;
    for noise in [
        &b"\r\n\r\n\r\n\r\nhello\r\n\r\n"[..],
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET  /  HTTP/1.1\r\n\r\n",
        b"get / http/1.1\r\n\r\n",
        b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHo st: a\r\n\r\n",
        b"GET / HTTP/1.1\r\n: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: a\0b\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: a\r\n folded\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: \xff\r\nX: \x01\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS hello\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"CONNECT example.com:80 HTTP/1.1\r\nHost: example.com:80\r\n\r\n",
        b"BREW /coffee HTTP/1.1\r\nHost: a\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        b"TRACE /healthz HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n",
    ] {
        let status = status_of(&server, noise).await;
        let shown = String::from_utf8_lossy(noise);
        assert!(status < 500 && !(100..200).contains(&status), "{status} {shown:?}");
        is_well(&server).await;
    }
}

#[tokio::test]
async fn two_ways_to_tell_a_length_are_one_too_many() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let before = ann.get(paths::SESSIONS).await.list().len();
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    for lengths in [
        "Content-Length: 13\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
        "Content-Length: 13\r\nTransfer-Encoding: gzip, chunked\r\n",
        "Content-Length: 13\r\nContent-Length: 14\r\n",
        "Content-Length: 13, 14\r\n",
        "Content-Length: +13\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 0x0d\r\n",
        "Content-Length: 99999999999999999999999\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
    ] {
        let mut raw = server.raw().await;
        raw.send(create(&ann, lengths)).await;
        raw.send("d\r\n{\"title\":\"a\"}\r\n0\r\n\r\n").await;
        raw.send(smuggled).await;
        let answer = raw.answer().await;
        let status = answer.as_ref().map_or(0, |answer| answer.status);
        assert!(matches!(status, 0 | 400 | 413 | 501), "{lengths:?}: {status}");
        assert!(!raw.rest().await.contains("HTTP/1.1"), "it closes: {lengths:?}");
    }
    let both = create(&ann, "Content-Length: 13\r\nTransfer-Encoding: chunked\r\n");
    assert_eq!(status_of(&server, both.as_bytes()).await, 400);
    assert_eq!(ann.get(paths::SESSIONS).await.list().len(), before, "nothing was done");
}

#[tokio::test]
async fn a_length_and_chunks_together_are_refused_on_every_path() {
    let server = TestServer::start().await;
    let both = "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n";
    for line in [
        "GET /healthz",
        "GET /nothing",
        "POST /api/login",
        "GET /ws",
        "DELETE /api/chat/sessions/x",
    ] {
        let mut raw = server.raw().await;
        raw.send(format!("{line} HTTP/1.1\r\nHost: a\r\n{both}\r\n0\r\n\r\n")).await;
        let status = raw.answer().await.map_or(0, |answer| answer.status);
        assert_eq!(status, 400, "{line}");
        assert_eq!(raw.rest().await, "", "and closes: {line}");
    }
}

#[tokio::test]
async fn requests_in_one_piece_are_answered_in_their_order() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let mut raw = server.raw().await;
    let body = |title: &str| format!("{{\"title\":\"{title}\"}}");
    let mut pipeline = String::new();
    for title in ["one", "two"] {
        let body = body(title);
        pipeline += &create(&ann, &format!("Content-Length: {}\r\n", body.len()));
        pipeline += &body;
    }
    pipeline += "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
    pipeline += "and then noise\r\n\r\n";
    raw.send(pipeline).await;
    for title in ["one", "two"] {
        let created = raw.answer().await.expect("an answer").expect(201);
        assert_eq!(text(&created["title"]), title);
    }
    assert_eq!(raw.answer().await.expect("an answer").status, 200);
    assert_eq!(raw.answer().await.map_or(400, |answer| answer.status), 400);
    raw.rest().await;
    is_well(&server).await;
}

#[tokio::test]
async fn http_1_0_is_answered_and_closed() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let session = ann.create_session().await;
    let mut raw = server.raw().await;
    raw.send("GET /healthz HTTP/1.0\r\n\r\n").await;
    assert_eq!(raw.answer().await.expect("an answer").status, 200);
    assert_eq!(raw.rest().await, "");
    let mut raw = server.raw().await;
    let list =
        format!("GET {} HTTP/1.0\r\nAuthorization: Bearer {}\r\n\r\n", paths::SESSIONS, ann.token);
    raw.send(list).await;
    assert_eq!(raw.answer().await.expect("an answer").status, 200);
    let upgrade =
        crate::support::frames::head(&ann, &session, None).replace("HTTP/1.1", "HTTP/1.0");
    let mut raw = server.raw().await;
    raw.send(upgrade).await;
    assert_ne!(raw.answer().await.map_or(0, |answer| answer.status), 101, "1.0 has no upgrade");
}

#[tokio::test]
async fn who_asks_for_a_connection_keeps_it_and_may_close_it() {
    let server = TestServer::start().await;
    let mut raw: Raw = server.raw().await;
    for _ in 0..3 {
        raw.send("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(raw.answer().await.expect("an answer").status, 200);
    }
    raw.send("HEAD /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    let head = raw.rest().await;
    assert!(head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"), "{head}");
    let mut raw = server.raw().await;
    raw.send("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").await;
    raw.shut().await;
    assert_eq!(raw.answer().await.expect("an answer all the same").status, 200);
}

#[tokio::test]
async fn an_early_answer_is_not_lost_under_a_body_that_goes_on() {
    let server = TestServer::start().await;
    let mut raw = server.raw().await;
    let length = 700_000;
    raw.send(format!(
        "POST /api/chat/sessions HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"
    ))
    .await;
    raw.send(vec![b' '; length]).await;
    assert_eq!(raw.answer().await.expect("an answer").error(401), "unauthorized");
    is_well(&server).await;
}

#[tokio::test]
async fn who_waits_for_100_continue_gets_it_or_the_refusal() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let mut raw = server.raw().await;
    raw.send(create(&ann, "Content-Length: 13\r\nExpect: 100-continue\r\n")).await;
    assert_eq!(raw.answer().await.expect("go on").status, 100);
    raw.send(r#"{"title":"a"}"#).await;
    raw.answer().await.expect("an answer").expect(201);
    let mut raw = server.raw().await;
    raw.send(create(&ann, "Content-Length: 600000\r\nExpect: 100-continue\r\n")).await;
    assert_eq!(raw.answer().await.expect("an answer").error(413), "body_too_large");
}
