//! The log over plain HTTP: a page that may be waited for, and server-sent events.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::token::now_s;
use crate::support::{Stream, TestServer, TestUser, each, fields, number, paths, text};

async fn stream(user: &TestUser, session: &str, query: &str, last_id: Option<&str>) -> Stream {
    let call = user.call("GET", &paths::events(session, query));
    let call = last_id.into_iter().fold(call, |call, id| call.header("last-event-id", id));
    call.stream().await.expect("it opens")
}

#[tokio::test]
async fn a_page_has_the_events_above_a_number() {
    let server = TestServer::start().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let session = ann.create_session_with(&[&bob]).await;
    for n in 2..=5 {
        ann.say(&session, &n.to_string()).await;
    }
    let shown = ann.get(&paths::session(&session)).await.expect(200);
    let get = async |query: &str| bob.get(&paths::events(&session, query)).await.expect(200);
    let page = get("after=0").await;
    assert_eq!(fields(&page), ["epoch", "events", "head"]);
    assert_eq!((&page["epoch"], &page["head"]), (&shown["epoch"], &json!(5)));
    let events = page["events"].as_array().expect("a list");
    assert_eq!(each(events, "seq"), [1, 2, 3, 4, 5]);
    for event in events {
        assert_eq!(fields(event), ["at", "data", "seq", "session_id", "type"]);
        assert_eq!(text(&event["session_id"]), session);
    }
    let numbers = async |query: &str| {
        let page = get(query).await;
        each(page["events"].as_array().expect("a list"), "seq")
    };
    assert_eq!(numbers("after=3").await, [4, 5]);
    assert_eq!(numbers("after=1&limit=2").await, [2, 3]);
    assert_eq!(numbers("after=5").await, [json!(null); 0]);
    let beyond = bob.get(&paths::events(&session, "after=6")).await;
    assert_eq!(beyond.error(409), "position_unknown");
}

/// Whoever waits for a page has no more rights than whoever asks for one.
#[tokio::test]
async fn a_page_is_waited_for_no_longer_than_the_token_counts() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let bob = server.user_until("bob", now_s() + 2).await;
    let eve = server.user("eve").await;
    let session = ann.create_session_with(&[&bob, &eve]).await;
    let path = paths::events(&session, "after=2&wait=30");
    let began = Instant::now();
    let (ended, revoked, ()) = tokio::join!(bob.get(&path), eve.get(&path), async {
        eve.get(&paths::session(&session)).await.expect(200);
        server.auth().disable(eve.id.parse().expect("an id")).await.expect("disabled");
    });
    assert_eq!(revoked.error(401), "unauthorized");
    assert_eq!(ended.expect(200)["events"], json!([]), "with what there was");
    assert!(began.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn a_page_that_is_waited_for_tells_that_the_session_was_deleted() {
    let server = TestServer::start().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let session = ann.create_session_with(&[&bob]).await;
    let path = paths::events(&session, "after=1&wait=30");
    let (page, ()) = tokio::join!(bob.get(&path), async {
        bob.get(&paths::session(&session)).await.expect(200);
        ann.delete(&paths::session(&session)).await.expect(200);
    });
    let page = page.expect(200);
    let events = page["events"].as_array().expect("a list");
    assert_eq!(
        (each(events, "type"), each(events, "seq")),
        (vec![json!("session.deleted")], vec![json!(2)])
    );
    assert_eq!(page["head"], 2);
}

#[tokio::test]
async fn a_page_is_waited_for_until_something_comes() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let session = ann.create_session().await;
    let path = paths::events(&session, "after=0&wait=30");
    let (page, said) = tokio::join!(ann.get(&path), async {
        // It waits when the server has read it, which its answer to another call shows.
        ann.get(&paths::session(&session)).await.expect(200);
        ann.say(&session, "at last").await
    });
    let page = page.expect(200);
    assert_eq!(page["events"][0]["data"], said);
    assert_eq!((number(&page["head"]), page["events"].as_array().map(Vec::len)), (1, Some(1)));
    // What is there already is not waited for.
    let began = Instant::now();
    ann.get(&path).await.expect(200);
    assert!(began.elapsed() < Duration::from_secs(10));
    let nothing = ann.get(&paths::events(&session, "after=1&wait=1")).await.expect(200);
    assert_eq!((&nothing["events"], &nothing["head"]), (&json!([]), &json!(1)));
}

#[tokio::test]
async fn a_removal_is_the_last_that_a_waiting_page_tells() {
    let server = TestServer::start().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let session = ann.create_session_with(&[&bob]).await;
    let path = paths::events(&session, "after=1&wait=30");
    let (page, ()) = tokio::join!(bob.get(&path), async {
        ann.get(&paths::session(&session)).await.expect(200);
        ann.remove(&session, &bob).await;
        ann.say(&session, "behind his back").await;
    });
    let (status, page) = (page.status, page.json());
    // Whichever came first: the removal, or the question, which is no member's any more then.
    if status == 200 {
        let events = page["events"].as_array().expect("a list");
        assert_eq!(each(events, "type"), ["participant.removed"]);
        assert_eq!(events[0]["data"], json!({"user_id": bob.id}));
    } else {
        assert_eq!((status, text(&page["code"])), (403, "not_a_member"));
    }
    assert_eq!(bob.get(&path).await.error(403), "not_a_member");
}

#[tokio::test]
async fn a_stream_tells_what_was_and_what_comes() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let session = ann.create_session().await;
    for n in 1..=3 {
        ann.say(&session, &n.to_string()).await;
    }
    let logged = ann.events(&session, 0).await;
    let mut whole = stream(&ann, &session, "after=0", None).await;
    let mut part = stream(&ann, &session, "after=2", None).await;
    let mut resumed = stream(&ann, &session, "after=0", Some("2")).await;
    let mut by_id = stream(&ann, &session, "", Some("3")).await;
    for event in &logged {
        assert_eq!(whole.next().await.as_ref(), Some(event));
    }
    for stream in [&mut part, &mut resumed] {
        assert_eq!(stream.next().await.as_ref(), Some(&logged[2]));
    }
    let live = ann.say(&session, "live").await;
    ann.edit(&session, &live, "live, edited").await;
    for stream in [&mut whole, &mut part, &mut resumed, &mut by_id] {
        let created = stream.next().await.expect("an event");
        assert_eq!((text(&created["type"]), number(&created["seq"])), ("message.created", 4));
        let updated = stream.next().await.expect("an event");
        assert_eq!(updated["data"]["content"], "live, edited");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_stream_is_told_before_it_begins() {
    let server = TestServer::start().await;
    let (ann, eve) = (server.user("ann").await, server.user("eve").await);
    let session = ann.create_session().await;
    let path = paths::events(&session, "after=0");
    let beyond = ann.call("GET", &path).header("last-event-id", "1").stream().await;
    assert_eq!(beyond.err().expect("refused").error(409), "position_unknown");
    for bad in ["x", "-1", "", "1.5", "99999999999999999999"] {
        let answer = ann.call("GET", &path).header("last-event-id", bad).stream().await;
        assert_eq!(answer.err().expect("refused").error(400), "invalid_query", "{bad:?}");
    }
    let stranger = eve.call("GET", &path).stream().await;
    assert_eq!(stranger.err().expect("refused").error(403), "not_a_member");
    let anonymous = server.call("GET", &path).stream().await;
    assert_eq!(anonymous.err().expect("refused").error(401), "unauthorized");
    let unknown = paths::events(&protocol::SessionId::new().to_string(), "");
    let nowhere = ann.call("GET", &unknown).stream().await;
    assert_eq!(nowhere.err().expect("refused").error(404), "session_not_found");
}

#[tokio::test]
async fn a_removal_and_a_deletion_end_the_stream_with_their_event() {
    let server = TestServer::start().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let session = ann.create_session_with(&[&bob]).await;
    let guest = stream(&bob, &session, "after=1", None).await;
    let owner = stream(&ann, &session, "after=1", None).await;
    ann.say(&session, "heard").await;
    ann.remove(&session, &bob).await;
    ann.say(&session, "unheard").await;
    let told = guest.rest().await;
    assert_eq!(each(&told, "type"), ["message.created", "participant.removed"]);
    ann.delete(&paths::session(&session)).await.expect(200);
    let told = owner.rest().await;
    assert_eq!(text(&told.last().expect("one")["type"]), "session.deleted");
    assert_eq!(each(&told, "seq"), [2, 3, 4, 5]);
}

#[tokio::test]
async fn a_stream_ends_with_its_token() {
    let server = TestServer::start().await;
    let password = "correct horse battery";
    let ann = server.register("ann", password).await;
    let session = ann.create_session().await;
    let revoked = stream(&ann, &session, "after=0", None).await;
    let change = json!({"password": password, "new_password": "another long one"});
    let fresh = ann.put("/api/users/password", change).await.expect(200);
    assert_eq!(revoked.rest().await, [json!(null); 0]);
    let ann = ann.by(text(&fresh["token"]));
    let bob = server.user_until("bob", now_s() + 2).await;
    ann.add(&session, &bob).await;
    let expiring = stream(&bob, &session, "after=0", None).await;
    let told = expiring.rest().await;
    assert!(
        now_s() >= crate::support::token::claims_of(&bob.token)["exp"].as_i64().expect("a time")
    );
    assert_eq!(each(&told, "type"), ["participant.added"]);
}

#[tokio::test]
async fn long_logs_are_streamed_whole() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let session = ann.create_session().await;
    let long = "ü\"\n".repeat(10_000);
    for _ in 0..24 {
        ann.say(&session, &long).await;
    }
    let mut stream = stream(&ann, &session, "after=0", None).await;
    for seq in 1..=24 {
        let event: Value = stream.until("message.created").await;
        assert_eq!((number(&event["seq"]), text(&event["data"]["content"])), (seq, &*long));
    }
}
