//! `assistdeck.v1`: what a client sends and what it is answered (contract, 7b).

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{Socket, TestServer, each, fields, number, paths, text};

fn message(session: &str, id: &str, content: &str) -> Value {
    json!({"type": "message.send", "session_id": session, "client_id": id, "content": content})
}

#[tokio::test]
async fn hello_comes_first() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let open = async || {
        let query = format!("token={}", ann.token);
        let socket = Socket::open(server.authority(), &query, Some("assistdeck.v1")).await;
        let mut socket = socket.expect("it opens");
        assert_eq!(socket.protocol.as_deref(), Some("assistdeck.v1"));
        socket.next().await
    };
    let (hello, other) = (open().await, open().await);
    assert_eq!(
        fields(&hello),
        ["connection_id", "heartbeat_ms", "limits", "token_expires_in_ms", "type", "user_id"],
    );
    assert_eq!((text(&hello["type"]), text(&hello["user_id"])), ("hello", &*ann.id));
    assert_eq!(hello["heartbeat_ms"], 25_000);
    assert!((3_500_000..=3_600_000).contains(&number(&hello["token_expires_in_ms"])));
    assert_eq!(hello["limits"]["content_bytes_max"], 65_536);
    assert_eq!(hello["limits"]["frame_bytes_max"], 524_288);
    assert_eq!(hello["limits"]["follows_max"], 200);
    assert_eq!(hello["limits"]["sends_in_flight_max"], 32);
    assert_ne!(hello["connection_id"], other["connection_id"]);
}

#[tokio::test]
async fn a_send_is_answered_to_its_connection_and_told_to_all() {
    let server = TestServer::start().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let session = ann.create_session_with(&[&bob]).await;
    let mut mine = bob.following(&session).await;
    let mut other_device = bob.following(&session).await;
    let mut others = ann.following(&session).await;
    let frame = json!({
        "type": "message.send", "session_id": session, "client_id": "k", "content": "hello",
        "file_url": "https://a.example/", "is_ai_message": false, "unknown": [1],
    });
    mine.send(&frame).await;
    let sent = mine.until("message.sent").await;
    assert_eq!(fields(&sent), ["client_id", "message", "type"]);
    assert_eq!(text(&sent["client_id"]), "k");
    assert_eq!(text(&sent["message"]["file_url"]), "https://a.example/");
    for socket in [&mut other_device, &mut others] {
        let told = socket.until_now().await;
        let created: Vec<_> = told.iter().filter(|f| f["type"] == "message.created").collect();
        assert_eq!((created.len(), &created[0]["data"]), (1, &sent["message"]));
        assert!(!each(&told, "type").contains(&json!("message.sent")));
    }
    // A repeat is answered alike, and is no event.
    let repeated = mine.ask(&frame).await;
    let repeated = if repeated["type"] == "message.created" { mine.next().await } else { repeated };
    assert_eq!(repeated, sent);
    assert!(!each(&others.until_now().await, "type").contains(&json!("message.created")));
}

#[tokio::test]
async fn sends_are_numbered_and_answered_in_their_order() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let sessions = [ann.create_session().await, ann.create_session().await];
    let mut socket = ann.v1().await;
    for session in &sessions {
        socket.send(&json!({"type": "follow", "session_id": session})).await;
    }
    // Far more than may be unanswered: the server reads on when it has answered.
    for n in 0..300_usize {
        socket.send(&message(&sessions[n % 2], &n.to_string(), "x")).await;
        if n % 50 == 0 {
            socket.send(&json!({"type": "nonsense", "ref": n.to_string()})).await;
        }
    }
    let frames = socket.up_to(|f| f["type"] == "message.sent" && f["client_id"] == "299").await;
    let answers = frames.iter().filter(|f| f["type"] == "message.sent" || f["type"] == "error");
    let order: Vec<_> = answers.map(|f| text(f.get("ref").unwrap_or(&f["client_id"]))).collect();
    let mut expected = Vec::new();
    for n in 0..300 {
        expected.push(n.to_string());
        if n % 50 == 0 {
            expected.push(n.to_string());
        }
    }
    assert_eq!(order, expected);
    for session in &sessions {
        let log = ann.events(session, 0).await;
        let ids: Vec<u64> =
            log.iter().map(|e| text(&e["data"]["client_id"]).parse().expect("n")).collect();
        assert!(ids.is_sorted(), "numbered as they were sent");
    }
}

#[tokio::test]
async fn what_can_not_be_taken_is_an_error_and_the_connection_goes_on() {
    let server = TestServer::start().await;
    let (ann, eve) = (server.user("ann").await, server.user("eve").await);
    let session = ann.create_session().await;
    let foreign = eve.create_session().await;
    let nowhere = protocol::SessionId::new().to_string();
    let mut socket = ann.following(&session).await;
    let good = message(&session, "c", "a");
    let with = |other: Value| crate::support::token::with(&good, other);
    for (frame, code) in [
        (json!({"type": "nonsense"}), "invalid_json"),
        (json!({"type": "answer.delta", "session_id": session}), "invalid_json"),
        (json!({"type": "message.created", "session_id": session}), "invalid_json"),
        (json!({"type": 5}), "invalid_json"),
        (json!({"session_id": session}), "missing_field"),
        (with(json!({"session_id": "-"})), "missing_field"),
        (with(json!({"session_id": "x"})), "invalid_id"),
        (with(json!({"client_id": "-"})), "missing_field"),
        (with(json!({"client_id": ""})), "invalid_client_id"),
        (with(json!({"client_id": 5})), "invalid_client_id"),
        (with(json!({"content": "-"})), "missing_field"),
        (with(json!({"content": " "})), "invalid_content"),
        (with(json!({"content": "x".repeat(65_537)})), "content_too_large"),
        (with(json!({"file_url": "a"})), "invalid_file_url"),
        (with(json!({"is_ai_message": true})), "not_an_agent"),
        (with(json!({"session_id": foreign})), "not_a_member"),
        (json!({"type": "follow"}), "missing_field"),
        (json!({"type": "follow", "session_id": 5}), "invalid_id"),
        (json!({"type": "follow", "session_id": session, "after": -1}), "invalid_query"),
        (json!({"type": "follow", "session_id": session, "after": "1"}), "invalid_query"),
        (json!({"type": "follow", "session_id": foreign}), "not_a_member"),
        (json!({"type": "follow", "session_id": nowhere}), "session_not_found"),
        (json!({"type": "leave", "session_id": foreign}), "not_a_member"),
        (with(json!({"session_id": nowhere})), "session_not_found"),
        (json!({"type": "leave", "session_id": nowhere}), "session_not_found"),
        (json!({"type": "typing", "session_id": nowhere, "is_typing": true}), "session_not_found"),
        (json!({"type": "read", "session_id": nowhere, "seq": 0}), "session_not_found"),
        (json!({"type": "leave"}), "missing_field"),
        (json!({"type": "typing", "session_id": foreign, "is_typing": true}), "not_a_member"),
        (json!({"type": "typing", "session_id": session}), "missing_field"),
        (json!({"type": "typing", "session_id": session, "is_typing": 1}), "invalid_json"),
        (json!({"type": "read", "session_id": foreign, "seq": 0}), "not_a_member"),
        (json!({"type": "read", "session_id": session}), "missing_field"),
        (json!({"type": "read", "session_id": session, "seq": 1}), "position_unknown"),
        (json!({"type": "auth"}), "missing_field"),
        (json!({"type": "auth", "token": "x"}), "unauthorized"),
        (json!({"type": "auth", "token": eve.token}), "unauthorized"),
    ] {
        let mut named = frame.clone();
        named["ref"] = json!("r");
        let told = socket.ask(&named).await;
        assert_eq!((text(&told["type"]), text(&told["code"])), ("error", code), "{frame:.100}");
        assert!(told["error"].is_string() && told["ref"] == "r", "{told}");
        let client_id = frame["client_id"].as_str().filter(|id| !id.is_empty());
        assert_eq!(told["client_id"].as_str().filter(|id| !id.is_empty()), client_id);
    }
    for text_frame in
        ["", "{", "[]", "null", r#"{"type":"leave","type":"leave"}"#, "{\"a\":\"\\ud800\"}"]
    {
        socket.send_text(text_frame).await;
        assert_eq!(text(&socket.next().await["code"]), "invalid_json");
    }
    socket.send_binary(good.to_string().as_bytes()).await;
    assert_eq!(text(&socket.next().await["type"]), "error");
    socket.send(&good).await;
    assert_eq!(text(&socket.until("message.sent").await["client_id"]), "c");
    assert_eq!(ann.history(&session).await.len(), 1);
}

#[tokio::test]
async fn two_hundred_sessions_are_followed_and_no_more() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let sessions = join_all((0..201).map(|_| ann.create_session())).await;
    let mut socket = ann.v1().await;
    for session in &sessions {
        socket.send(&json!({"type": "follow", "session_id": session, "ref": session})).await;
    }
    let frames = socket.up_to(|frame| frame["type"] == "error").await;
    let last = frames.last().expect("one");
    assert_eq!((text(&last["code"]), text(&last["ref"])), ("rate_limited", &*sessions[200]));
    let count = |kind: &str| frames.iter().filter(|frame| frame["type"] == kind).count();
    assert_eq!(count("following"), 200);
    for _ in count("caught_up")..200 {
        socket.until("caught_up").await;
    }
    // One less is one more; and one that is followed can be followed anew.
    socket.send(&json!({"type": "leave", "session_id": sessions[0]})).await;
    for session in [&sessions[200], &sessions[1]] {
        socket.send(&json!({"type": "follow", "session_id": session})).await;
        let told = socket.up_to(|f| f["type"] == "following" || f["type"] == "error").await;
        assert_eq!(text(&told.last().expect("one")["session_id"]), session);
    }
    ann.say(&sessions[200], "heard").await;
    assert_eq!(socket.contents_before("heard").await, [""; 0]);
}

#[tokio::test]
async fn a_token_can_be_renewed_on_the_open_socket() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let session = ann.create_session().await;
    let mut socket = ann.following(&session).await;
    let fresh = ann.call("POST", "/api/token").send().await.expect(200);
    let fresh = ann.by(text(&fresh["token"]));
    socket.send(&json!({"type": "auth", "token": fresh.token, "ref": "renew"})).await;
    assert_eq!(socket.until_now().await, [json!(null); 0], "what goes well needs no answer");
    let earlier = json!({"type": "auth", "token": ann.token});
    assert_eq!(text(&socket.ask(&earlier).await["code"]), "unauthorized", "never an earlier end");
    let sent = socket.ask(&message(&session, "k", "still me")).await;
    assert!(matches!(text(&sent["type"]), "message.sent" | "message.created"));
    assert_eq!(fresh.get(&paths::session(&session)).await.status, 200);
}
