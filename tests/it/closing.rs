//! Why connections are closed: the codes of the contract's section 7c. Those of time are in
//! `deadlines`, those of the server's stop in `stop`.

use serde_json::{Value, json};

use crate::support::frames::{CLOSE, LAST, PING, PONG};
use crate::support::{RawSocket, Socket, TestServer, each, paths, text};

#[tokio::test]
async fn a_client_that_closes_gets_its_own_code_back() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let session = ann.create_session().await;
    assert_eq!(ann.plain(&session, "").await.close().await, 1000);
    for code in [1000_u16, 1001, 1003, 1008, 3000, 4999] {
        let mut socket = RawSocket::open(&ann, &session, None).await;
        let body = [&code.to_be_bytes()[..], "ä reason".as_bytes()].concat();
        socket.frame(LAST | CLOSE, &body).await;
        assert_eq!(socket.closed().await, code);
        assert_eq!(socket.0.rest().await, "", "and the connection ends");
    }
}

#[tokio::test]
async fn what_came_before_a_close_is_still_done() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let session = ann.create_session().await;
    let mut socket = RawSocket::open(&ann, &session, None).await;
    socket.frame(LAST | PING, b"are you there").await;
    assert_eq!(socket.next().await, Some((PONG, b"are you there".to_vec())));
    socket.texts(&[json!({"content": "last words"}).to_string()]).await;
    let (_, echoed) = socket.next().await.expect("the message");
    let echoed: Value = serde_json::from_slice(&echoed).expect("JSON");
    socket.frame(LAST | CLOSE, &1000_u16.to_be_bytes()).await;
    assert_eq!(socket.closed().await, 1000);
    assert_eq!(ann.history(&session).await, [echoed]);
}

#[tokio::test]
async fn an_unknown_position_closes_what_was_opened_with_it() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let session = ann.create_session().await;
    ann.say(&session, "one").await;
    let epoch = ann.get(&paths::session(&session)).await.expect(200)["epoch"].clone();
    let epoch = text(&epoch);
    for (after, is_known) in [
        ("&after=1".to_owned(), true),
        (format!("&after=1&epoch={epoch}"), true),
        (format!("&epoch={epoch}"), true),
        ("&after=2".to_owned(), false),
        ("&after=9223372036854775807".to_owned(), false),
        ("&after=1&epoch=another".to_owned(), false),
    ] {
        let plain = ann.plain(&session, &after).await;
        let mut v1 = ann.v1_on(&format!("&session_id={session}{after}")).await;
        if is_known {
            v1.until("caught_up").await;
            assert_eq!(plain.close().await, 1000, "{after}");
        } else {
            assert_eq!(plain.rest().await, (4409, vec![]), "{after}");
            assert_eq!(v1.closed().await, 4409, "{after}");
        }
    }
    // On a connection of its own it is an error, for that session alone.
    let mut socket = ann.v1().await;
    socket.send(&json!({"type": "follow", "session_id": session, "after": 2})).await;
    assert_eq!(text(&socket.until("error").await["code"]), "position_unknown");
    socket.send(&json!({"type": "follow", "session_id": session, "after": 1})).await;
    socket.until("caught_up").await;
    // One that is about the session ends with it, also where it follows anew.
    let mut bound = ann.v1_on(&format!("&session_id={session}")).await;
    bound.until("caught_up").await;
    bound.send(&json!({"type": "follow", "session_id": session, "after": 2, "ref": "r"})).await;
    assert_eq!(text(&bound.until("error").await["ref"]), "r");
    assert_eq!(bound.closed().await, 4409);
}

#[tokio::test]
async fn whoever_is_removed_or_leaves_is_closed_with_4503() {
    let server = TestServer::start().await;
    let (ann, bob, eve) =
        (server.user("ann").await, server.user("bob").await, server.user("eve").await);
    let session = ann.create_session_with(&[&bob, &eve]).await;
    let bound = format!("&session_id={session}");
    let (plain, v1) = (bob.plain(&session, "").await, bob.v1_on(&bound).await);
    let (mut owner, leaves) = (ann.plain(&session, "").await, eve.plain(&session, "").await);
    ann.say(&session, "before").await;
    ann.remove(&session, &bob).await;
    ann.say(&session, "after").await;
    let (code, told) = plain.rest().await;
    assert_eq!((code, each(&told, "content")), (4503, vec![json!("before")]));
    let (code, told) = v1.rest().await;
    assert_eq!(code, 4503);
    let events: Vec<_> = told.into_iter().filter(|frame| frame.get("seq").is_some()).collect();
    let events: Vec<_> =
        events.iter().filter(|event| event["type"] != "caught_up").cloned().collect();
    assert_eq!(each(&events, "type"), ["message.created", "participant.removed"]);
    eve.call("POST", &paths::leave(&session)).send().await.expect(200);
    assert_eq!(leaves.closed().await, 4503);
    ann.say(&session, "marker").await;
    assert_eq!(owner.contents_before("marker").await, ["before", "after"]);
}

#[tokio::test]
async fn a_deleted_session_is_closed_with_4504() {
    let server = TestServer::start().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let session = ann.create_session_with(&[&bob]).await;
    let bound = format!("&session_id={session}");
    let (plain, v1) = (bob.plain(&session, "").await, ann.v1_on(&bound).await);
    ann.say(&session, "last").await;
    ann.delete(&paths::session(&session)).await.expect(200);
    let (code, told) = plain.rest().await;
    assert_eq!((code, each(&told, "content")), (4504, vec![json!("last")]));
    let (code, told) = v1.rest().await;
    assert_eq!((code, text(&told.last().expect("one")["type"])), (4504, "session.deleted"));
}

/// As many as would close it, were they messages; and they take nothing from the allowance.
#[tokio::test]
async fn bad_frames_alone_close_nothing_and_cost_nothing() {
    let server = TestServer::with(|config| config.message_rate_max = 2).await;
    let ann = server.user("ann").await;
    let session = ann.create_session().await;
    let (mut plain, mut v1) = (ann.plain(&session, "").await, ann.following(&session).await);
    let blank = json!({
        "type": "message.send", "session_id": session, "client_id": "a", "content": " ",
    });
    for _ in 0..1_500 {
        plain.send_text("bad").await;
        assert_eq!(plain.next().await["code"], "invalid_json");
        v1.send(&blank).await;
        assert_eq!(v1.until("error").await["code"], "invalid_content");
    }
    plain.send(&json!({"content": "good"})).await;
    assert_eq!(plain.next().await["content"], "good");
}

#[tokio::test]
async fn a_rate_that_is_far_exceeded_is_closed_with_4429() {
    let server = TestServer::with(|config| config.message_rate_max = 1).await;
    let ann = server.user("ann").await;
    let session = ann.create_session().await;
    let mut socket = ann.plain(&session, "").await;
    for n in 0..20 {
        socket.send(&json!({"content": n.to_string()})).await;
    }
    let first = socket.next().await;
    let answers = socket.up_to(|frame| frame["code"] == "rate_limited").await;
    assert!(first["code"] == "rate_limited" || answers.len() < 20, "a little is told, not closed");
    // The server closes in the midst of it, so the end of what is sent may find it gone.
    for n in 0..3_000 {
        if !socket.try_send(&json!({"content": n.to_string()})).await {
            break;
        }
    }
    assert_eq!(socket.closed().await, 4429);
}

#[tokio::test]
async fn connections_can_be_limited_by_user_and_by_address() {
    let by_user = TestServer::with(|config| config.connections_per_user_max = 2).await;
    let by_address = TestServer::with(|config| config.connections_per_address_max = 2).await;
    for (server, others_may) in [(&by_user, true), (&by_address, false)] {
        let (ann, bob) = (server.user("ann").await, server.user("bob").await);
        let session = ann.create_session_with(&[&bob]).await;
        let one = ann.plain(&session, "").await;
        let _two = ann.v1().await;
        let query = format!("session_id={session}&token={}", ann.token);
        let refused = ann.refused(&query, None).await;
        assert!(refused.header("retry-after").is_some());
        assert_eq!(refused.error(429), "rate_limited");
        let events = paths::events(&session, "after=0");
        // Before what is wrong with the rest of the call.
        for path in [&events, &paths::events(&session, "limit=0"), &paths::events("x", "")] {
            let refused = ann.call("GET", path).stream().await.err().expect("no stream");
            assert_eq!(refused.error(429), "rate_limited");
        }
        // A page is no connection.
        ann.get(&events).await.expect(200);
        let bobs = format!("session_id={session}&token={}", bob.token);
        let other = Socket::open(server.authority(), &bobs, None).await;
        assert_eq!(other.is_ok(), others_may);
        drop(other);
        assert_eq!(one.close().await, 1000);
        // The server may hear of the end a little later than the client.
        let stream = loop {
            if let Ok(stream) = ann.call("GET", &events).stream().await {
                break stream;
            }
        };
        assert_eq!(ann.refused(&query, None).await.error(429), "rate_limited");
        drop(stream);
        while Socket::open(server.authority(), &query, None).await.is_err() {}
    }
}
