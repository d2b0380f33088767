//! Sending is idempotent by `client_id`: over REST and socket, across restarts.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{Answer, TestServer, TestUser, each, number, paths, text};

async fn send(user: &TestUser, session: &str, body: Value) -> Answer {
    user.post(&paths::messages(session), body).await
}

fn v1(session: &str, id: &str, content: &str) -> Value {
    json!({"type": "message.send", "session_id": session, "client_id": id, "content": content})
}

#[tokio::test]
async fn a_repeat_gives_the_stored_message_over_every_door_and_after_a_restart() {
    let mut server = TestServer::start().await;
    let ann = server.user("ann").await;
    let session = ann.create_session().await;
    let body = json!({"content": "once", "client_id": "k"});
    let stored = send(&ann, &session, body.clone()).await.expect(201);
    for round in 0..2 {
        let ann = server.again(&ann);
        assert_eq!(send(&ann, &session, body.clone()).await.expect(200), stored, "{round}");
        let by_header = ann.call("POST", &paths::messages(&session)).header("idempotency-key", "k");
        let by_header = by_header.json(&json!({"content": "once"})).send().await;
        assert_eq!(by_header.expect(200), stored);
        assert_eq!(ann.plain(&session, "").await.ask(&body).await, stored);
        let mut socket = ann.following(&session).await;
        let sent = socket.ask(&v1(&session, "k", "once")).await;
        assert_eq!(sent, json!({"type": "message.sent", "client_id": "k", "message": stored}));
        drop(socket);
        server.restart().await;
    }
    assert_eq!(server.again(&ann).history(&session).await, [stored]);
}

#[tokio::test]
async fn what_was_sent_over_a_socket_is_repeated_over_rest() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let session = ann.create_session().await;
    let plain = ann.plain(&session, "").await.ask(&json!({"content": "a", "client_id": "p"})).await;
    let mut socket = ann.following(&session).await;
    socket.send(&v1(&session, "v", "b")).await;
    let sent = socket.until("message.sent").await["message"].clone();
    for (id, content, stored) in [("p", "a", plain), ("v", "b", sent)] {
        let body = json!({"content": content, "client_id": id});
        assert_eq!(send(&ann, &session, body).await.expect(200), stored);
    }
}

#[tokio::test]
async fn the_key_belongs_to_its_sender_and_session() {
    let server = TestServer::start().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let (one, two) = (ann.create_session_with(&[&bob]).await, ann.create_session().await);
    let body = json!({"content": "mine", "client_id": "k"});
    let mut ids = Vec::new();
    for (user, session) in [(&ann, &one), (&bob, &one), (&ann, &two)] {
        let sent = send(user, session, body.clone()).await.expect(201);
        ids.push(text(&sent["id"]).to_owned());
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 3);
}

#[tokio::test]
async fn other_contents_under_the_same_key_are_refused() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let session = ann.create_session().await;
    let url = "https://a.example/";
    let first = json!({"content": "a", "file_url": url, "client_id": "k"});
    let stored = send(&ann, &session, first.clone()).await.expect(201);
    for other in [
        json!({"content": "b", "file_url": url, "client_id": "k"}),
        json!({"content": "a", "client_id": "k"}),
        json!({"content": "a", "file_url": "https://b.example/", "client_id": "k"}),
        json!({"content": "ahttps://a.example/", "client_id": "k"}),
    ] {
        let refused = send(&ann, &session, other.clone()).await;
        assert_eq!(refused.error(409), "client_id_reused", "{other}");
        let told = ann.plain(&session, "").await.ask(&other).await;
        assert_eq!(told["code"], "client_id_reused");
    }
    let mut socket = ann.following(&session).await;
    let told = socket.ask(&v1(&session, "k", "c")).await;
    assert_eq!((text(&told["code"]), text(&told["client_id"])), ("client_id_reused", "k"));
    // The first request is what counts, not what the message has become.
    let edited = ann.edit(&session, &stored, "a, edited").await;
    assert_eq!(send(&ann, &session, first).await.expect(200), edited);
    let as_edited = json!({"content": "a, edited", "file_url": url, "client_id": "k"});
    assert_eq!(send(&ann, &session, as_edited).await.error(409), "client_id_reused");
}

#[tokio::test]
async fn a_deleted_message_is_not_sent_again() {
    let mut server = TestServer::start().await;
    let ann = server.user("ann").await;
    let session = ann.create_session().await;
    let body = json!({"content": "gone", "client_id": "k"});
    let stored = send(&ann, &session, body.clone()).await.expect(201);
    ann.unsay(&session, &stored).await;
    for _ in 0..2 {
        let ann = server.again(&ann);
        assert_eq!(send(&ann, &session, body.clone()).await.error(409), "message_deleted");
        assert_eq!(ann.plain(&session, "").await.ask(&body).await["code"], "message_deleted");
        let mut socket = ann.following(&session).await;
        let told = socket.ask(&v1(&session, "k", "gone")).await;
        assert_eq!((text(&told["code"]), text(&told["client_id"])), ("message_deleted", "k"));
        let other = json!({"content": "other", "client_id": "k"});
        assert_eq!(send(&ann, &session, other).await.error(409), "client_id_reused");
        drop(socket);
        server.restart().await;
    }
    assert_eq!(server.again(&ann).history(&session).await, [json!(null); 0]);
}

#[tokio::test]
async fn header_and_field_may_both_name_the_request_but_alike() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let session = ann.create_session().await;
    let call = |keys: &[&str], body: Value| {
        let call = ann.call("POST", &paths::messages(&session));
        let call = keys.iter().fold(call, |call, key| call.header("idempotency-key", key));
        call.json(&body).send()
    };
    let sent = call(&["k"], json!({"content": "a", "client_id": "k"})).await.expect(201);
    assert_eq!(text(&sent["client_id"]), "k");
    let sent = call(&["ü-2"], json!({"content": "a"})).await.expect(201);
    assert_eq!(text(&sent["client_id"]), "ü-2");
    let different = call(&["l"], json!({"content": "a", "client_id": "k"})).await;
    assert_eq!(different.error(400), "invalid_client_id");
    for bad in ["", &"x".repeat(65)] {
        assert_eq!(call(&[bad], json!({"content": "a"})).await.error(400), "invalid_client_id");
    }
    assert_eq!(call(&["a", "a"], json!({"content": "a"})).await.status, 400, "given twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_at_once_one_is_stored_and_all_get_it() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let session = ann.create_session().await;
    for round in 0..5 {
        let body = json!({"content": "once", "client_id": format!("k{round}")});
        let answers = join_all((0..12).map(|_| send(&ann, &session, body.clone()))).await;
        let created = answers.iter().filter(|answer| answer.status == 201).count();
        let repeated = answers.iter().filter(|answer| answer.status == 200).count();
        assert_eq!((created, repeated), (1, 11));
        assert!(answers.iter().all(|answer| answer.text == answers[0].text));
    }
    let history = ann.history(&session).await;
    assert_eq!(each(&history, "seq"), [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn a_repeat_takes_no_number_and_is_no_event() {
    let server = TestServer::start().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let session = ann.create_session_with(&[&bob]).await;
    let (mut mine, mut others) = (ann.plain(&session, "").await, bob.plain(&session, "").await);
    let body = json!({"content": "once", "client_id": "k"});
    let stored = mine.ask(&body).await;
    for _ in 0..3 {
        assert_eq!(mine.ask(&body).await, stored, "to the one who asked");
    }
    let marker = ann.say(&session, "marker").await;
    assert_eq!(number(&marker["seq"]), number(&stored["seq"]) + 1);
    assert_eq!(others.contents_before("marker").await, ["once"]);
}
