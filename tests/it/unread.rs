//! Read marks, what is unread, and the last message in the list.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{TestServer, TestUser, number, paths, text};

async fn unread(user: &TestUser, session: &str) -> u64 {
    number(&user.listed(session).await.expect("in the list")["unread_count"])
}

async fn read(user: &TestUser, session: &str, seq: u64) -> Value {
    user.post(&paths::read(session), json!({"seq": seq})).await.expect(200)
}

#[tokio::test]
async fn unread_are_the_messages_of_others_above_my_mark() {
    let server = TestServer::start().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let session = ann.create_session().await;
    ann.say(&session, "before bob came").await;
    ann.add(&session, &bob).await;
    assert_eq!(unread(&bob, &session).await, 0, "the mark starts at the head");
    ann.say(&session, "one").await;
    let two = ann.say(&session, "two").await;
    let three = ann.say(&session, "three").await;
    assert_eq!((unread(&bob, &session).await, unread(&ann, &session).await), (3, 0));
    assert_eq!(read(&bob, &session, number(&two["seq"])).await, json!({"seq": two["seq"]}));
    assert_eq!(unread(&bob, &session).await, 1);
    // It only ever grows.
    assert_eq!(read(&bob, &session, 0).await, json!({"seq": two["seq"]}));
    assert_eq!(unread(&bob, &session).await, 1);
    ann.unsay(&session, &three).await;
    assert_eq!(unread(&bob, &session).await, 0, "what was deleted is not unread");
    ann.say(&session, "four").await;
    ann.patch(&paths::session(&session), json!({"title": "no message"})).await.expect(200);
    assert_eq!(unread(&bob, &session).await, 1);
    bob.say(&session, "my own moves it").await;
    assert_eq!((unread(&bob, &session).await, unread(&ann, &session).await), (0, 1));
}

#[tokio::test]
async fn whoever_is_added_again_begins_at_the_head() {
    let server = TestServer::start().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let session = ann.create_session_with(&[&bob]).await;
    ann.say(&session, "unread").await;
    ann.remove(&session, &bob).await;
    ann.say(&session, "while away").await;
    ann.add(&session, &bob).await;
    assert_eq!(unread(&bob, &session).await, 0);
    ann.say(&session, "since").await;
    assert_eq!(unread(&bob, &session).await, 1);
}

#[tokio::test]
async fn a_mark_is_a_number_up_to_the_head() {
    let server = TestServer::start().await;
    let (ann, eve) = (server.user("ann").await, server.user("eve").await);
    let session = ann.create_session().await;
    ann.say(&session, "one").await;
    let path = paths::read(&session);
    let mut socket = ann.following(&session).await;
    for _ in 0..3 {
        assert_eq!(read(&ann, &session, 1).await, json!({"seq": 1}));
    }
    assert_eq!(read(&ann, &session, 0).await, json!({"seq": 1}));
    assert_eq!(socket.until_now().await.len(), 0, "sending has moved it there");
    for beyond in [json!(2), json!(i64::MAX)] {
        let answer = ann.post(&path, json!({"seq": beyond})).await;
        assert_eq!(answer.error(409), "position_unknown");
    }
    for bad in [json!(-1), json!(1.5), json!("1"), json!(true), json!([1]), json!(1e300)] {
        assert_eq!(ann.post(&path, json!({"seq": bad})).await.status, 400, "{bad}");
    }
    assert_eq!(ann.post(&path, json!({})).await.error(400), "missing_field");
    assert_eq!(eve.post(&path, json!({"seq": 1})).await.error(403), "not_a_member");
    // Above what a store can count is beyond the head like any other number, or no number.
    let answer = ann.post(&path, json!({"seq": u64::MAX})).await;
    assert!(matches!(answer.status, 400 | 409), "{}", answer.text);
}

#[tokio::test]
async fn the_last_message_is_the_newest_that_was_not_deleted() {
    let server = TestServer::start().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let session = ann.create_session_with(&[&bob]).await;
    let last = async || bob.listed(&session).await.expect("in the list")["last_message"].clone();
    assert_eq!(last().await, json!(null));
    let one = ann.say(&session, "one").await;
    let two = bob.say(&session, "two").await;
    assert_eq!(last().await, two);
    let two = bob.edit(&session, &two, "two, better").await;
    assert_eq!(last().await, two);
    bob.unsay(&session, &two).await;
    assert_eq!(last().await, one);
    ann.unsay(&session, &one).await;
    assert_eq!(last().await, json!(null));
}

#[tokio::test]
async fn unread_is_counted_to_1000() {
    let server = TestServer::start().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let session = ann.create_session_with(&[&bob]).await;
    let bound = format!("&session_id={session}");
    let mut sockets = join_all((0..8).map(|_| ann.v1_on(&bound))).await;
    let floods = sockets.iter_mut().enumerate().map(|(n, socket)| {
        let session = &session;
        async move {
            for m in 0..126 {
                let id = format!("{n}-{m}");
                socket.send(&json!({
                    "type": "message.send", "session_id": session, "client_id": id, "content": id,
                }))
                .await;
            }
            let last = format!("{n}-125");
            socket
                .up_to(|frame| {
                    text(&frame["type"]) == "message.sent" && frame["client_id"] == *last
                })
                .await;
        }
    });
    join_all(floods).await;
    assert_eq!(unread(&bob, &session).await, 1_000);
    let head = number(&bob.listed(&session).await.expect("in the list")["last_seq"]);
    assert_eq!(head, 1 + 8 * 126);
    read(&bob, &session, head - 999).await;
    assert_eq!(unread(&bob, &session).await, 999);
}
