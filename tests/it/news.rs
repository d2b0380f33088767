//! The user's own list, live over `assistdeck.v1`; and read marks that others and other devices
//! hear of.

use serde_json::{Value, json};

use crate::support::{Socket, TestServer, fields, number, paths, text};

/// Frames of that type among those that have come by now.
async fn told(socket: &mut Socket, kind: &str) -> Vec<Value> {
    socket.until_now().await.into_iter().filter(|frame| frame["type"] == kind).collect()
}

#[tokio::test]
async fn a_new_session_comes_to_all_devices_of_its_member() {
    let server = TestServer::start().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let (mut owner, mut guest, mut other) = (ann.v1().await, bob.v1().await, bob.v1().await);
    let session = ann.create_session().await;
    let added = owner.until("session.added").await;
    assert_eq!(fields(&added), ["session", "type"]);
    assert_eq!(added["session"], ann.get(&paths::session(&session)).await.expect(200));
    ann.add(&session, &bob).await;
    for socket in [&mut guest, &mut other] {
        let added = socket.until("session.added").await;
        assert_eq!(added["session"], bob.get(&paths::session(&session)).await.expect(200));
    }
    ann.remove(&session, &bob).await;
    for socket in [&mut guest, &mut other] {
        let removed = socket.until("session.removed").await;
        assert_eq!(removed, json!({"type": "session.removed", "session_id": session}));
    }
}

#[tokio::test]
async fn leaving_and_deleting_take_a_session_off_the_list() {
    let server = TestServer::start().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let (left, deleted) =
        (ann.create_session_with(&[&bob]).await, ann.create_session_with(&[&bob]).await);
    let (mut guest, mut owner) = (bob.v1().await, ann.v1().await);
    bob.call("POST", &paths::leave(&left)).send().await.expect(200);
    assert_eq!(text(&guest.until("session.removed").await["session_id"]), left);
    ann.delete(&paths::session(&deleted)).await.expect(200);
    for socket in [&mut guest, &mut owner] {
        assert_eq!(text(&socket.until("session.removed").await["session_id"]), deleted);
    }
}

#[tokio::test]
async fn activity_is_told_where_the_session_is_not_followed() {
    let server = TestServer::start().await;
    let (ann, bob, eve) =
        (server.user("ann").await, server.user("bob").await, server.user("eve").await);
    let session = ann.create_session_with(&[&bob]).await;
    let (mut follows, mut idles) = (bob.following(&session).await, bob.v1().await);
    let (mut stranger, mut plain) = (eve.v1().await, bob.plain(&session, "").await);
    let said = ann.say(&session, "news").await;
    let activity = idles.until("session.activity").await;
    assert_eq!(fields(&activity), ["last_message", "last_seq", "session_id", "type"]);
    assert_eq!(text(&activity["session_id"]), session);
    assert_eq!((&activity["last_seq"], &activity["last_message"]), (&said["seq"], &said));
    assert_eq!(told(&mut follows, "session.activity").await, [json!(null); 0]);
    assert_eq!(stranger.until_now().await, [json!(null); 0]);
    assert_eq!(plain.next().await["content"], "news");
    // A busy session costs those who do not look at it a few frames, and they end at the head.
    for n in 0..50 {
        ann.say(&session, &n.to_string()).await;
    }
    let mut count = 0;
    loop {
        count += 1;
        if number(&idles.until("session.activity").await["last_seq"]) == 52 {
            break;
        }
    }
    assert!(count <= 25, "{count}");
}

#[tokio::test]
async fn whoever_leaves_a_following_hears_of_the_session_again() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let session = ann.create_session().await;
    let mut socket = ann.following(&session).await;
    socket.send(&json!({"type": "leave", "session_id": session})).await;
    socket.until_now().await;
    ann.say(&session, "unfollowed").await;
    let activity = socket.until("session.activity").await;
    assert_eq!(text(&activity["last_message"]["content"]), "unfollowed");
}

#[tokio::test]
async fn a_read_mark_is_told_to_members_and_to_ones_other_devices() {
    let server = TestServer::start().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let session = ann.create_session_with(&[&bob]).await;
    for n in 0..3 {
        ann.say(&session, &n.to_string()).await;
    }
    let mut reads = bob.following(&session).await;
    let (mut follows, mut idles) = (bob.following(&session).await, bob.v1().await);
    let mut other = ann.following(&session).await;
    reads.send(&json!({"type": "read", "session_id": session, "seq": 3})).await;
    let mark = json!({"type": "read", "session_id": session, "user_id": bob.id, "seq": 3});
    for socket in [&mut follows, &mut idles, &mut other] {
        assert_eq!(socket.until("read").await, mark);
    }
    assert_eq!(number(&bob.listed(&session).await.expect("there")["unread_count"]), 1);
    // It only grows, so an older one is no news.
    reads.send(&json!({"type": "read", "session_id": session, "seq": 1})).await;
    reads.until_now().await;
    bob.post(&paths::read(&session), json!({"seq": 2})).await.expect(200);
    for socket in [&mut follows, &mut idles, &mut other] {
        assert_eq!(told(socket, "read").await, [json!(null); 0]);
    }
    bob.post(&paths::read(&session), json!({"seq": 4})).await.expect(200);
    for socket in [&mut reads, &mut follows, &mut idles, &mut other] {
        assert_eq!(number(&socket.until("read").await["seq"]), 4);
    }
    // Beyond the head there is nothing to read.
    reads.send(&json!({"type": "read", "session_id": session, "seq": 5, "ref": "r"})).await;
    let error = reads.until("error").await;
    assert_eq!((text(&error["code"]), text(&error["ref"])), ("position_unknown", "r"));
}
