//! Who is there and who types: signals over `assistdeck.v1`. What takes its time is in
//! `deadlines`.

use serde_json::{Value, json};

use crate::support::{Socket, TestServer, TestUser, each, fields, paths};

fn presence(session: &str, user: &TestUser, online: bool) -> Value {
    json!({"type": "presence", "session_id": session, "user_id": user.id, "online": online})
}

fn typing(session: &str, user: &TestUser, is_typing: bool) -> Value {
    json!({"type": "typing", "session_id": session, "user_id": user.id, "is_typing": is_typing})
}

async fn types(socket: &mut Socket, session: &str, is_typing: bool) {
    let frame = json!({"type": "typing", "session_id": session, "is_typing": is_typing});
    socket.send(&frame).await;
}

#[tokio::test]
async fn several_devices_are_one_person() {
    let server = TestServer::start().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let session = ann.create_session_with(&[&bob]).await;
    let mut watch = ann.following(&session).await;
    let mut first = bob.following(&session).await;
    assert_eq!(watch.next().await, presence(&session, &bob, true));
    let second = bob.following(&session).await;
    let third = bob.plain(&session, "").await;
    let mut watch_later = ann.v1().await;
    let follow = json!({"type": "follow", "session_id": session});
    let online = watch_later.ask(&follow).await["online"].clone();
    let mut online = online.as_array().expect("a list").clone();
    online.sort_by_key(Value::to_string);
    let mut both = vec![json!(ann.id), json!(bob.id)];
    both.sort_by_key(Value::to_string);
    assert_eq!(online, both);
    third.close().await;
    second.close().await;
    // One is left, so nothing is told; nor does anybody hear of himself.
    assert_eq!(watch.until_now().await, [json!(null); 0]);
    let of_bob = first.until_now().await;
    assert_eq!(of_bob, [json!(null); 0], "ann was there before");
}

#[tokio::test]
async fn a_stream_of_events_counts_as_being_there() {
    let server = TestServer::start().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let session = ann.create_session_with(&[&bob]).await;
    let mut watch = ann.following(&session).await;
    let path = paths::events(&session, "after=0");
    let mut stream = bob.call("GET", &path).stream().await.expect("it opens");
    assert_eq!(watch.next().await, presence(&session, &bob, true));
    assert_eq!(stream.next().await.expect("an event")["type"], "participant.added");
    // A page that is waited for does not.
    bob.events(&session, 0).await;
    assert_eq!(watch.until_now().await, [json!(null); 0]);
}

#[tokio::test]
async fn a_reload_is_not_told() {
    let server = TestServer::start().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let session = ann.create_session_with(&[&bob]).await;
    let mut watch = ann.following(&session).await;
    for _ in 0..3 {
        bob.following(&session).await.close().await;
    }
    let _there = bob.following(&session).await;
    assert_eq!(watch.until_now().await, [presence(&session, &bob, true)]);
}

#[tokio::test]
async fn a_removal_is_told_at_once() {
    let server = TestServer::start().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let session = ann.create_session_with(&[&bob]).await;
    let mut watch = ann.following(&session).await;
    let mut socket = bob.following(&session).await;
    types(&mut socket, &session, true).await;
    assert_eq!(watch.next().await, presence(&session, &bob, true));
    assert_eq!(watch.next().await, typing(&session, &bob, true));
    ann.remove(&session, &bob).await;
    let mut told = Vec::new();
    while told.len() < 3 {
        told.push(watch.next().await);
    }
    assert!(told.contains(&presence(&session, &bob, false)), "{told:?}");
    assert!(told.contains(&typing(&session, &bob, false)), "{told:?}");
    assert!(each(&told, "type").contains(&json!("participant.removed")), "{told:?}");
    assert_eq!(socket.until("participant.removed").await["data"]["user_id"], json!(bob.id));
}

#[tokio::test]
async fn typing_is_told_when_it_changes_and_never_to_ones_own_devices() {
    let server = TestServer::start().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let session = ann.create_session_with(&[&bob]).await;
    let mut watch = ann.following(&session).await;
    let (mut one, mut two) = (bob.following(&session).await, bob.following(&session).await);
    let mut plain = bob.plain(&session, "").await;
    assert_eq!(watch.until_now().await, [presence(&session, &bob, true)]);
    types(&mut one, &session, true).await;
    let told = watch.next().await;
    assert_eq!(told, typing(&session, &bob, true));
    assert_eq!(fields(&told), ["is_typing", "session_id", "type", "user_id"]);
    types(&mut one, &session, true).await;
    types(&mut two, &session, true).await;
    types(&mut one, &session, false).await;
    assert_eq!(watch.next().await, typing(&session, &bob, false), "told once each");
    types(&mut one, &session, false).await;
    types(&mut one, &session, true).await;
    assert_eq!(watch.next().await, typing(&session, &bob, true), "soon again");
    types(&mut one, &session, false).await;
    assert_eq!(watch.next().await, typing(&session, &bob, false));
    assert_eq!(one.until_now().await, [json!(null); 0]);
    assert_eq!(two.until_now().await, [json!(null); 0]);
    assert_eq!(watch.until_now().await, [json!(null); 0]);
    ann.say(&session, "marker").await;
    assert_eq!(plain.next().await["content"], "marker");
}

#[tokio::test]
async fn who_goes_types_no_more() {
    let server = TestServer::start().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let session = ann.create_session_with(&[&bob]).await;
    let mut watch = ann.following(&session).await;
    let mut socket = bob.following(&session).await;
    types(&mut socket, &session, true).await;
    watch.until("typing").await;
    drop(socket);
    assert_eq!(watch.next().await, typing(&session, &bob, false));
}

#[tokio::test]
async fn a_flood_of_typing_costs_the_others_little() {
    let server = TestServer::start().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let session = ann.create_session_with(&[&bob]).await;
    let mut watch = ann.following(&session).await;
    let mut socket = bob.following(&session).await;
    for n in 0..2_000 {
        types(&mut socket, &session, n % 2 == 0).await;
    }
    assert_eq!(socket.until_now().await, [json!(null); 0]);
    let told = watch.until_now().await;
    assert!((2..10).contains(&told.len()), "{}", told.len());
    let mut sent = json!({"type": "message.send", "session_id": session, "client_id": "k"});
    sent["content"] = json!("through");
    socket.send(&sent).await;
    assert_eq!(watch.contents_before("through").await, [""; 0]);
}
