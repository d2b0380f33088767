//! The plain protocol: messages and nothing else (contract, 7a).

use serde_json::{Value, json};

use crate::support::frames::{LAST, TEXT};
use crate::support::{RawSocket, Socket, TestServer, fields, paths, text};

#[tokio::test]
async fn what_one_sends_all_get_as_it_is_stored() {
    let server = TestServer::start().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let session = ann.create_session_with(&[&bob]).await;
    let mut sockets = [
        ann.plain(&session, "").await,
        ann.plain(&session, "").await,
        bob.plain(&session, "").await,
    ];
    sockets[2].send(&json!({"content": "over the socket"})).await;
    let body = json!({"content": "over REST", "file_url": "http://a.example", "client_id": "k"});
    let one = sockets[2].next().await;
    let two = ann.post(&paths::messages(&session), body).await.expect(201);
    assert_eq!(
        fields(&one),
        ["content", "created_at", "id", "is_ai_message", "sender_id", "seq", "session_id"],
    );
    assert_eq!(text(&one["sender_id"]), bob.id);
    assert_eq!(sockets[2].next().await, two);
    for socket in &mut sockets[..2] {
        assert_eq!((&socket.next().await, &socket.next().await), (&one, &two));
    }
    assert_eq!(ann.history(&session).await, [one, two]);
}

#[tokio::test]
async fn edits_deletions_and_membership_are_not_told() {
    let server = TestServer::start().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let session = ann.create_session_with(&[&bob]).await;
    let mut socket = bob.plain(&session, "").await;
    let one = ann.say(&session, "one").await;
    let two = ann.say(&session, "two").await;
    ann.edit(&session, &one, "one, edited").await;
    ann.unsay(&session, &two).await;
    ann.add(&session, &server.user("eve").await).await;
    ann.patch(&paths::session(&session), json!({"title": "other"})).await.expect(200);
    ann.post(&paths::read(&session), json!({"seq": 1})).await.expect(200);
    ann.say(&session, "marker").await;
    assert_eq!(socket.contents_before("marker").await, ["one", "two"]);
    // A replay tells messages in their present form, and no deleted one.
    let mut again = bob.plain(&session, "&after=0").await;
    assert_eq!(again.contents_before("marker").await, ["one, edited"]);
}

#[tokio::test]
async fn a_replay_comes_first_and_without_after_there_is_none() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let session = ann.create_session().await;
    for n in 1..=5 {
        ann.say(&session, &n.to_string()).await;
    }
    let epoch = ann.get(&paths::session(&session)).await.expect(200)["epoch"].clone();
    let mut sockets = Vec::new();
    for (more, before) in [
        ("&after=0", &["1", "2", "3", "4", "5"][..]),
        ("&after=3", &["4", "5"]),
        (&format!("&after=4&epoch={}", text(&epoch)), &["5"]),
        ("&after=5", &[]),
        ("", &[]),
        ("&unknown=1", &[]),
    ] {
        sockets.push((ann.plain(&session, more).await, before));
    }
    ann.say(&session, "live").await;
    for (mut socket, before) in sockets {
        assert_eq!(socket.contents_before("live").await, before);
    }
}

/// Frames that can't be taken, and what is told.
fn bad_frames() -> Vec<(String, &'static str)> {
    let content = |content: Value| json!({"content": content}).to_string();
    let beside = |name: &str, value: Value| json!({"content": "a", name: value}).to_string();
    vec![
        (String::new(), "invalid_json"),
        ("hello".into(), "invalid_json"),
        ("null".into(), "invalid_json"),
        ("[]".into(), "invalid_json"),
        ("\"a\"".into(), "invalid_json"),
        ("{".into(), "invalid_json"),
        ("{}{}".into(), "invalid_json"),
        (r#"{"content":"a","content":"a"}"#.into(), "invalid_json"),
        (r#"{"content":"a","x":{"y":1,"y":1}}"#.into(), "invalid_json"),
        (r#"{"content":"\ud800"}"#.into(), "invalid_json"),
        (r#"{"content":"a","x":1e999}"#.into(), "invalid_json"),
        (
            format!(r#"{{"content":"a","x":{}{}}}"#, "[".repeat(5_000), "]".repeat(5_000)),
            "invalid_json",
        ),
        ("{}".into(), "missing_field"),
        (content(json!(null)), "missing_field"),
        (content(json!(5)), "invalid_content"),
        (content(json!(" \n")), "invalid_content"),
        (content(json!("a\u{0}")), "invalid_content"),
        (content(json!("x".repeat(65_537))), "content_too_large"),
        (beside("file_url", json!("/a")), "invalid_file_url"),
        (beside("client_id", json!("")), "invalid_client_id"),
        (beside("client_id", json!("x".repeat(65))), "invalid_client_id"),
        (beside("is_ai_message", json!(true)), "not_an_agent"),
    ]
}

#[tokio::test]
async fn a_frame_that_can_not_be_taken_is_answered_to_its_sender_alone() {
    let server = TestServer::start().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let session = ann.create_session_with(&[&bob]).await;
    let (mut bad, mut other) = (bob.plain(&session, "").await, ann.plain(&session, "").await);
    for (frame, code) in bad_frames() {
        bad.send_text(&frame).await;
        let told = bad.next().await;
        assert_eq!(
            (fields(&told), text(&told["code"])),
            (vec!["code", "error"], code),
            "{frame:.60}"
        );
    }
    for bytes in [&b""[..], b"{\"content\":\"a\"}", &[0xFF; 70_000]] {
        bad.send_binary(bytes).await;
        assert!(bad.next().await["code"].is_string(), "binary");
    }
    bad.send(&json!({"content": "still open"})).await;
    assert_eq!(bad.contents_before("still open").await, [""; 0]);
    assert_eq!(other.contents_before("still open").await, [""; 0]);
}

#[tokio::test]
async fn frames_are_answered_in_the_order_in_which_they_came() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let session = ann.create_session().await;
    ann.post(&paths::messages(&session), json!({"content": "a", "client_id": "k"}))
        .await
        .expect(201);
    let mut socket = ann.plain(&session, "").await;
    for n in 0..200 {
        match n % 2 {
            0 => socket.send(&json!({"content": n.to_string()})).await,
            _ => socket.send_text("{").await,
        }
    }
    let frames = socket.up_to(|frame| frame["content"] == "198").await;
    let sent: Vec<_> = frames.iter().filter_map(|frame| frame["content"].as_str()).collect();
    assert_eq!(sent, (0..200).step_by(2).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_subprotocol_is_echoed_where_it_is_ours() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let session = ann.create_session().await;
    let query = format!("session_id={session}&token={}", ann.token);
    for offer in ["assistdeck.plain", "other, assistdeck.plain"] {
        let socket = Socket::open(server.authority(), &query, Some(offer)).await.expect("it opens");
        assert_eq!(socket.protocol.as_deref(), Some("assistdeck.plain"));
    }
    // None that we speak: plain, and nothing is echoed.
    let mut other = RawSocket::open(&ann, &session, Some("graphql-ws")).await;
    other.frame(LAST | TEXT, br#"{"content":"plain"}"#).await;
    let (opcode, payload) = other.next().await.expect("a frame");
    let message: Value = serde_json::from_slice(&payload).expect("JSON");
    assert_eq!((opcode, text(&message["content"])), (TEXT, "plain"));
}

#[tokio::test]
async fn what_is_wrong_is_told_before_the_upgrade() {
    let server = TestServer::start().await;
    let (ann, eve) = (server.user("ann").await, server.user("eve").await);
    let session = ann.create_session().await;
    let (token, nowhere) = (&ann.token, protocol::SessionId::new());
    for (query, status, code) in [
        (format!("session_id={session}"), 401, "unauthorized"),
        (format!("session_id={session}&token="), 401, "unauthorized"),
        (format!("session_id={session}&token=x"), 401, "unauthorized"),
        (format!("token={token}"), 400, "missing_session_id"),
        (format!("session_id=&token={token}"), 400, "invalid_id"),
        (format!("session_id=x&token={token}"), 400, "invalid_id"),
        (format!("session_id={session}&session_id={session}&token={token}"), 400, "invalid_query"),
        (format!("session_id={session}&token={token}&after=x"), 400, "invalid_query"),
        (format!("session_id={session}&token={token}&after=-1"), 400, "invalid_query"),
        (format!("session_id={session}&token={token}&after="), 400, "invalid_query"),
        (format!("session_id={session}&token={token}&after=1&after=1"), 400, "invalid_query"),
        (format!("session_id={session}&token={token}&epoch=a&epoch=a"), 400, "invalid_query"),
        (format!("session_id={nowhere}&token={token}"), 404, "session_not_found"),
        (format!("session_id={session}&token={}", eve.token), 403, "not_a_member"),
    ] {
        let answer = ann.refused(&query, None).await;
        assert_eq!(answer.error(status), code, "{query}");
    }
}

#[tokio::test]
async fn opening_a_socket_writes_nothing_to_the_store() {
    let server = TestServer::embedded().await;
    let ann = server.user("ann").await;
    let session = ann.create_session().await;
    let files = || {
        let entries = std::fs::read_dir(server.data_dir()).expect("a folder");
        let mut files: Vec<_> = entries
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| !path.to_string_lossy().ends_with("-shm"))
            .map(|path| (path.clone(), std::fs::read(&path).unwrap_or_default()))
            .collect();
        files.sort();
        files
    };
    let before = files();
    for more in ["", "&after=0"] {
        let socket = ann.plain(&session, more).await;
        assert_eq!(socket.close().await, 1000);
        let socket = ann.v1_on(&format!("&session_id={session}{more}")).await;
        assert_eq!(socket.close().await, 1000);
    }
    assert!(before == files(), "nothing was written");
}
