//! Removal acts at its place in the order, under load, and whoever is added again has it all.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{Dice, Socket, TestServer, TestUser, each, number, paths, text};

/// The numbers of a user's removals and of the same user's messages.
fn of_user(log: &[Value], user: &TestUser) -> (Vec<u64>, Vec<u64>) {
    let seqs = |is: &dyn Fn(&&Value) -> bool| {
        log.iter().filter(is).map(|event| number(&event["seq"])).collect()
    };
    let removed = seqs(&|event| {
        event["type"] == "participant.removed" && event["data"]["user_id"] == *user.id
    });
    (removed, seqs(&|event| event["data"]["sender_id"] == *user.id))
}

/// Sends without end until the socket is closed; the code, and what came.
async fn flood(mut socket: Socket, names: String) -> (u16, Vec<Value>) {
    for n in 0..400 {
        let content = format!("{names}-{n}");
        if !socket.try_send(&json!({"content": content})).await {
            break;
        }
    }
    socket.rest().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_ends_at_the_removal_for_who_sends_and_who_listens() {
    let server = TestServer::start().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let session = ann.create_session().await;
    let mut watch = ann.plain(&session, "").await;
    let mut dice = Dice::new(7);
    for round in 0..15 {
        ann.add(&session, &bob).await;
        let head = number(&ann.get(&paths::session(&session)).await.expect(200)["last_seq"]);
        let floods = join_all([
            flood(bob.plain(&session, "").await, format!("{round}-a")),
            flood(bob.plain(&session, "").await, format!("{round}-b")),
        ]);
        let wait = head + dice.below(60);
        let remove = async {
            let query = format!("after={wait}&wait=10&limit=1");
            // Beyond the head there is nothing to wait for: ask until it is there.
            while ann.get(&paths::events(&session, &query)).await.status == 409 {}
            ann.remove(&session, &bob).await;
        };
        let (ends, ()) = tokio::join!(floods, remove);
        let log = ann.events(&session, head).await;
        let (removed, sent) = of_user(&log, &bob);
        assert_eq!(removed.len(), 1, "round {round}");
        assert!(sent.iter().all(|seq| *seq < removed[0]), "nothing is numbered behind it");
        for (code, told) in ends {
            assert_eq!(code, 4503, "round {round}");
            let seqs: Vec<_> = told.iter().filter_map(|frame| frame["seq"].as_u64()).collect();
            assert!(seqs.iter().all(|seq| *seq < removed[0]), "nothing is delivered behind it");
            assert_eq!(seqs.len() as u64, removed[0] - 1 - head, "and all before it is");
        }
        ann.say(&session, &format!("end of {round}")).await;
        let seen = watch.contents_before(&format!("end of {round}")).await;
        assert_eq!(seen.len(), sent.len(), "the others see what is stored");
        assert_eq!(bob.get(&paths::messages(&session)).await.status, 403);
    }
}

#[tokio::test]
async fn a_removal_ends_what_was_opened_before_it_though_the_user_is_back() {
    let server = TestServer::start().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let session = ann.create_session_with(&[&bob]).await;
    let sockets = [
        bob.plain(&session, "").await,
        bob.plain(&session, "&after=0").await,
        bob.v1_on(&format!("&session_id={session}")).await,
    ];
    ann.remove(&session, &bob).await;
    ann.add(&session, &bob).await;
    ann.say(&session, "after both").await;
    for socket in sockets {
        let (code, told) = socket.rest().await;
        assert_eq!(code, 4503);
        assert!(!each(&told, "content").contains(&json!("after both")));
    }
    let mut back = bob.plain(&session, "&after=1").await;
    assert_eq!(back.contents_before("after both").await, [""; 0]);
}

#[tokio::test]
async fn whoever_is_added_again_has_the_whole_history_also_of_the_time_away() {
    let server = TestServer::start().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let session = ann.create_session_with(&[&bob]).await;
    for round in 0..3 {
        bob.say(&session, &format!("there {round}")).await;
        ann.remove(&session, &bob).await;
        ann.say(&session, &format!("away {round}")).await;
        ann.add(&session, &bob).await;
    }
    let log = ann.events(&session, 0).await;
    assert_eq!(log.len(), 13);
    assert_eq!(bob.events(&session, 0).await, log);
    for after in 0..=13 {
        let mut socket = bob.v1_on(&format!("&session_id={session}&after={after}")).await;
        let frames = socket.up_to(|frame| frame["type"] == "caught_up").await;
        assert_eq!(frames[1..frames.len() - 1], log[after..], "after {after}");
        let call = bob.call("GET", &paths::events(&session, &format!("after={after}")));
        let mut stream = call.stream().await.expect("it opens");
        for event in &log[after..] {
            assert_eq!(stream.next().await.as_ref(), Some(event));
        }
    }
    let mut plain = bob.plain(&session, "&after=0").await;
    ann.say(&session, "marker").await;
    let contents = plain.contents_before("marker").await;
    assert_eq!(contents, ["there 0", "away 0", "there 1", "away 1", "there 2", "away 2"]);
}

/// Follows again and again from what it has, until it holds the event with that content.
async fn persist(bob: &TestUser, session: &str, last: &str) -> Vec<Value> {
    let mut got: Vec<Value> = Vec::new();
    loop {
        let have = got.last().map_or(0, |event| number(&event["seq"]));
        let query = format!("session_id={session}&after={have}&token={}", bob.token);
        let socket = Socket::open(bob.authority(), &query, Some("assistdeck.v1")).await;
        let Ok(mut socket) = socket else { continue };
        let mut authorised = u64::MAX;
        loop {
            let Some(frame) = socket.next_or_closed().await else { break };
            if frame["type"] == "following" {
                authorised = number(&frame["head"]);
            }
            if frame.get("data").is_none() {
                continue;
            }
            let seq = number(&frame["seq"]);
            let is_last = frame["data"]["content"] == last;
            let ends = frame["type"] == "participant.removed" && seq > authorised;
            got.push(frame);
            if ends {
                assert_eq!(socket.closed().await, 4503, "nothing comes behind a removal");
                break;
            }
            if is_last {
                return got;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_removed_and_added_without_end_still_misses_nothing() {
    let server = TestServer::start().await;
    let (ann, bob, eve) =
        (server.user("ann").await, server.user("bob").await, server.user("eve").await);
    let session = ann.create_session_with(&[&bob, &eve]).await;
    let changes = async {
        for _ in 0..25 {
            ann.remove(&session, &bob).await;
            eve.say(&session, "between").await;
            ann.add(&session, &bob).await;
            eve.say(&session, "among").await;
        }
        eve.say(&session, "last").await;
    };
    let (got, ()) = tokio::join!(persist(&bob, &session, "last"), changes);
    let log = ann.events(&session, 0).await;
    assert_eq!(each(&got, "seq"), each(&log, "seq"));
    assert_eq!(text(&got[got.len() - 1]["data"]["content"]), "last");
}
