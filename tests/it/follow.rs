//! Following a log over `assistdeck.v1`: the beginning, the replay, every event, the end.

use serde_json::{Value, json};

use crate::support::{RawSocket, TestServer, each, fields, number, paths, text};

#[tokio::test]
async fn following_begins_with_the_session_and_who_is_there() {
    let server = TestServer::start().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let session = ann.create_session_with(&[&bob]).await;
    let _here = bob.following(&session).await;
    let mut socket = ann.v1().await;
    let following = socket.ask(&json!({"type": "follow", "session_id": session})).await;
    assert_eq!(
        fields(&following),
        [
            "after",
            "head",
            "member_count",
            "online",
            "participants",
            "session",
            "session_id",
            "type"
        ],
    );
    assert_eq!(text(&following["type"]), "following");
    assert_eq!((number(&following["after"]), number(&following["head"])), (1, 1));
    assert_eq!(following["member_count"], 2);
    let listed = ann.get(&paths::participants(&session)).await.list();
    assert_eq!(following["participants"], json!(listed));
    assert_eq!(following["session"], ann.get(&paths::session(&session)).await.expect(200));
    let online = following["online"].as_array().expect("a list");
    assert!(online.contains(&json!(bob.id)), "{online:?}");
    let caught_up = socket.next().await;
    assert_eq!(caught_up, json!({"type": "caught_up", "session_id": session, "seq": 1}));
}

#[tokio::test]
async fn with_after_the_replay_comes_in_place_of_the_lists() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let session = ann.create_session().await;
    for n in 1..=4 {
        ann.say(&session, &n.to_string()).await;
    }
    let epoch = ann.get(&paths::session(&session)).await.expect(200)["epoch"].clone();
    let mut socket = ann.v1().await;
    for after in [0, 2, 4] {
        let follow =
            json!({"type": "follow", "session_id": session, "after": after, "epoch": epoch});
        let following = socket.ask(&follow).await;
        assert_eq!(
            fields(&following),
            ["after", "head", "member_count", "session", "session_id", "type"],
        );
        assert_eq!((number(&following["after"]), number(&following["head"])), (after, 4));
        let replay = socket.up_to(|frame| frame["type"] == "caught_up").await;
        let (caught_up, events) = replay.split_last().expect("it ends");
        assert_eq!(*caught_up, json!({"type": "caught_up", "session_id": session, "seq": 4}));
        assert_eq!(events, ann.events(&session, after).await);
    }
    for (after, epoch) in [(json!(5), json!(epoch)), (json!(4), json!("another"))] {
        let follow = json!({
            "type": "follow", "session_id": session, "after": after, "epoch": epoch, "ref": "r",
        });
        let told = socket.ask(&follow).await;
        assert_eq!((text(&told["code"]), text(&told["ref"])), ("position_unknown", "r"));
    }
}

#[tokio::test]
async fn every_durable_event_has_its_form_and_its_number() {
    let server = TestServer::start().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let session = ann.create_session().await;
    let mut socket = ann.following(&session).await;
    let row = ann.add(&session, &bob).await;
    let said = bob.say(&session, "frist").await;
    let edited = bob.edit(&session, &said, "first").await;
    bob.unsay(&session, &said).await;
    let renamed = ann.patch(&paths::session(&session), json!({"title": "New"})).await.expect(200);
    ann.remove(&session, &bob).await;
    ann.delete(&paths::session(&session)).await.expect(200);
    let frames = socket.up_to(|frame| frame["type"] == "session.deleted").await;
    let events: Vec<_> = frames.into_iter().filter(|frame| frame.get("seq").is_some()).collect();
    assert_eq!(
        each(&events, "type"),
        [
            "participant.added",
            "message.created",
            "message.updated",
            "message.deleted",
            "session.updated",
            "participant.removed",
            "session.deleted",
        ],
    );
    for (event, seq) in events.iter().zip(1..) {
        assert_eq!(fields(event), ["at", "data", "seq", "session_id", "type"]);
        assert_eq!((number(&event["seq"]), text(&event["session_id"])), (seq, &*session));
        assert!(text(&event["at"]).ends_with('Z'));
    }
    let added = json!({
        "id": row["id"], "user_id": bob.id, "email": bob.email, "name": bob.name,
        "is_owner": false, "created_at": row["created_at"],
    });
    assert_eq!(events[0]["data"], added);
    assert_eq!(events[1]["data"]["id"], said["id"]);
    assert_eq!((&events[2]["data"], &events[3]["data"]), (&edited, &json!({"id": said["id"]})));
    let mut without_owner = renamed;
    without_owner.as_object_mut().expect("an object").remove("is_owner");
    assert_eq!(events[4]["data"], without_owner);
    assert_eq!((&events[5]["data"], &events[6]["data"]), (&json!({"user_id": bob.id}), &json!({})));
}

#[tokio::test]
async fn what_is_left_is_not_told_any_more() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let (left, kept) = (ann.create_session().await, ann.create_session().await);
    let mut socket = ann.following(&left).await;
    socket.send(&json!({"type": "follow", "session_id": kept})).await;
    socket.until("caught_up").await;
    socket.send(&json!({"type": "leave", "session_id": left})).await;
    socket.until_now().await;
    ann.say(&left, "unheard").await;
    ann.say(&kept, "heard").await;
    let before = socket.up_to(|frame| frame["data"]["content"] == "heard").await;
    let of_left = |frame: &&Value| frame["session_id"] == left && frame.get("seq").is_some();
    assert_eq!(before.iter().find(of_left), None);
    socket.send(&json!({"type": "leave", "session_id": left, "ref": "again"})).await;
    assert_eq!(text(&socket.until("error").await["code"]), "not_a_member");
}

#[tokio::test]
async fn a_follow_that_was_left_before_it_began_does_not_disturb_the_next() {
    let server = TestServer::start().await;
    let (ann, eve) = (server.user("ann").await, server.user("eve").await);
    let (own, one, two) =
        (ann.create_session().await, ann.create_session().await, ann.create_session().await);
    let foreign = eve.create_session().await;
    ann.say(&one, "elsewhere").await;
    for first in [&one, &foreign] {
        let mut socket = RawSocket::open(&ann, &own, Some("assistdeck.v1")).await;
        while socket.json().await["type"] != "caught_up" {}
        let frame = |kind: &str, session: &str| {
            json!({"type": kind, "session_id": session, "after": 0}).to_string()
        };
        socket.texts(&[frame("follow", first), frame("leave", first), frame("follow", &two)]).await;
        let is_two = |frame: &Value| frame["session_id"] == two.as_str();
        loop {
            let told = socket.json().await;
            if told["type"] == "following" && is_two(&told) {
                break;
            }
        }
        ann.say(&one, "elsewhere").await;
        ann.say(&two, "heard").await;
        loop {
            let told = socket.json().await;
            assert!(told.get("data").is_none() || is_two(&told), "it was left: {told}");
            if told["data"]["content"] == "heard" {
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_session_in_the_url_is_followed_at_once() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let (session, other) = (ann.create_session().await, ann.create_session().await);
    ann.say(&session, "before").await;
    let mut live = ann.v1_on(&format!("&session_id={session}")).await;
    assert!(live.next().await["participants"].is_array());
    assert_eq!(text(&live.next().await["type"]), "caught_up");
    let mut resumed = ann.v1_on(&format!("&session_id={session}&after=0")).await;
    assert_eq!(resumed.next().await.get("participants"), None);
    assert_eq!(text(&resumed.next().await["data"]["content"]), "before");
    assert_eq!(text(&resumed.next().await["type"]), "caught_up");
    live.send(&json!({"type": "follow", "session_id": other})).await;
    live.until("caught_up").await;
    ann.say(&other, "there").await;
    ann.say(&session, "here").await;
    let mut heard = [live.until("message.created").await, live.until("message.created").await]
        .map(|event| text(&event["data"]["content"]).to_owned());
    heard.sort();
    assert_eq!(heard, ["here", "there"]);
}

#[tokio::test]
async fn following_anew_begins_again_from_where_the_client_stands() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let session = ann.create_session().await;
    for n in 1..=3 {
        ann.say(&session, &n.to_string()).await;
    }
    let mut socket = ann.following(&session).await;
    socket.send(&json!({"type": "follow", "session_id": session, "after": 1})).await;
    let frames = socket.up_to(|frame| frame["type"] == "caught_up").await;
    let kinds = ["following", "message.created", "message.created", "caught_up"];
    assert_eq!(each(&frames, "type"), kinds);
    ann.say(&session, "4").await;
    ann.say(&session, "5").await;
    let told = socket.up_to(|frame| frame["data"]["content"] == "5").await;
    assert_eq!(each(&told, "seq"), [4, 5], "once, not twice");
}

#[tokio::test]
async fn an_end_that_concerns_one_session_ends_only_its_following() {
    let server = TestServer::start().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let mut sessions = Vec::new();
    for _ in 0..3 {
        sessions.push(ann.create_session_with(&[&bob]).await);
    }
    let mut socket = bob.v1().await;
    for session in &sessions {
        socket.send(&json!({"type": "follow", "session_id": session})).await;
        socket.until("caught_up").await;
    }
    ann.remove(&sessions[0], &bob).await;
    let removed = socket.until("participant.removed").await;
    assert_eq!(removed["data"], json!({"user_id": bob.id}));
    ann.delete(&paths::session(&sessions[1])).await.expect(200);
    let deleted = socket.until("session.deleted").await;
    assert_eq!(text(&deleted["session_id"]), sessions[1]);
    ann.say(&sessions[0], "unheard").await;
    let send = json!({
        "type": "message.send", "session_id": sessions[0], "client_id": "k", "content": "a",
    });
    socket.send(&send).await;
    assert_eq!(text(&socket.until("error").await["code"]), "not_a_member");
    ann.say(&sessions[2], "heard").await;
    assert_eq!(socket.contents_before("heard").await, [""; 0]);
}
