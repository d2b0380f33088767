//! Participants: add, list, remove, leave.

use serde_json::json;

use crate::support::{TestServer, each, fields, number, paths, text};

#[tokio::test]
async fn the_owner_adds_by_id_or_by_email() {
    let server = TestServer::start().await;
    let (ann, bob, eve) =
        (server.user("ann").await, server.user("bob").await, server.user("eve").await);
    let session = ann.create_session().await;
    let row = ann.add(&session, &bob).await;
    assert_eq!(fields(&row), ["created_at", "id", "session_id", "user_id"]);
    assert_eq!((text(&row["session_id"]), text(&row["user_id"])), (&*session, &*bob.id));
    let body = json!({"email": eve.email.to_uppercase(), "user_id": null});
    let row = ann.post(&paths::participants(&session), body).await.expect(201);
    assert_eq!(text(&row["user_id"]), eve.id);
    for member in [&bob, &eve] {
        member.get(&paths::session(&session)).await.expect(200);
    }
}

#[tokio::test]
async fn who_can_not_be_added_is_told_why() {
    let server = TestServer::start().await;
    let (ann, bob, eve) =
        (server.user("ann").await, server.user("bob").await, server.user("eve").await);
    let session = ann.create_session_with(&[&bob]).await;
    let path = paths::participants(&session);
    let nobody = protocol::UserId::new().to_string();
    for (body, status, code) in [
        (json!({}), 400, "missing_field"),
        (json!({"user_id": null, "email": null}), 400, "missing_field"),
        (json!({"user_id": "bob"}), 400, "invalid_id"),
        (json!({"user_id": ""}), 400, "invalid_id"),
        (json!({"user_id": 5}), 400, "invalid_id"),
        (json!({"user_id": format!("{{{nobody}}}")}), 400, "invalid_id"),
        (json!({"email": "bob"}), 400, "invalid_email"),
        (json!({"email": [1]}), 400, "invalid_email"),
        (json!({"user_id": nobody}), 404, "user_not_found"),
        (json!({"email": "nobody@example.com"}), 404, "user_not_found"),
        (json!({"user_id": bob.id}), 409, "already_participant"),
        (json!({"email": bob.email}), 409, "already_participant"),
        (json!({"user_id": ann.id}), 409, "already_participant"),
    ] {
        assert_eq!(ann.post(&path, body.clone()).await.error(status), code, "{body}");
    }
    for other in [&bob, &eve] {
        let refused = other.post(&path, json!({"user_id": eve.id})).await;
        assert_eq!(refused.error(403), "not_session_owner");
    }
    let head = ann.get(&paths::session(&session)).await.expect(200)["last_seq"].clone();
    assert_eq!(head, 1, "what was refused took no number");
}

#[tokio::test]
async fn the_list_has_the_owner_first_then_by_time() {
    let server = TestServer::start().await;
    let (ann, bob, eve) =
        (server.user("ann").await, server.user("bob").await, server.user("eve").await);
    let session = ann.create_session_with(&[&eve, &bob]).await;
    let path = paths::participants(&session);
    let rows = bob.get(&path).await.list();
    assert_eq!(rows, ann.get(&path).await.list());
    for (row, user) in rows.iter().zip([&ann, &eve, &bob]) {
        assert_eq!(fields(row), ["created_at", "email", "id", "is_owner", "name", "user_id"]);
        assert_eq!(text(&row["user_id"]), user.id);
        assert_eq!((text(&row["name"]), text(&row["email"])), (&*user.name, &*user.email));
        assert_eq!(row["is_owner"], user.id == ann.id);
    }
    assert_eq!((rows.len(), text(&rows[0]["id"])), (3, &*session));
    assert!(text(&rows[1]["created_at"]) <= text(&rows[2]["created_at"]));
    let stranger = server.user("stranger").await;
    assert_eq!(stranger.get(&path).await.error(403), "not_a_member");
}

#[tokio::test]
async fn the_list_comes_in_pages_that_join_to_the_whole() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let session = ann.create_session().await;
    for n in 0..5 {
        ann.add(&session, &server.user(&format!("user{n}")).await).await;
    }
    let path = paths::participants(&session);
    let whole = ann.get(&path).await.list();
    assert_eq!(whole.len(), 6);
    for limit in 1..8 {
        let mut next = Some(format!("{path}?limit={limit}"));
        let mut joined = Vec::new();
        while let Some(path) = next {
            let answer = ann.get(&path).await;
            next = answer.link("next");
            joined.extend(answer.list());
        }
        assert_eq!(joined, whole, "limit {limit}");
    }
}

#[tokio::test]
async fn the_owner_removes_and_the_removed_see_nothing_more() {
    let server = TestServer::start().await;
    let (ann, bob, eve) =
        (server.user("ann").await, server.user("bob").await, server.user("eve").await);
    let session = ann.create_session_with(&[&bob, &eve]).await;
    let said = bob.say(&session, "bob was here").await;
    let path = paths::participant(&session, &bob.id);
    for other in [&bob, &eve] {
        assert_eq!(other.delete(&path).await.error(403), "not_session_owner");
    }
    assert_eq!(ann.delete(&path).await.expect(200), json!({"message": "participant removed"}));
    for gone in [&bob.id, &ann.id, &protocol::UserId::new().to_string()] {
        let answer = ann.delete(&paths::participant(&session, gone)).await;
        assert_eq!(answer.error(404), "participant_not_found");
    }
    let message = paths::message(&session, text(&said["id"]));
    for answer in [
        bob.get(&paths::session(&session)).await,
        bob.get(&paths::messages(&session)).await,
        bob.get(&paths::participants(&session)).await,
        bob.get(&paths::events(&session, "after=0")).await,
        bob.post(&paths::messages(&session), json!({"content": "still?"})).await,
        bob.patch(&message, json!({"content": "still?"})).await,
        bob.delete(&message).await,
        bob.post(&paths::read(&session), json!({"seq": 1})).await,
        bob.call("POST", &paths::leave(&session)).send().await,
        bob.refused(&format!("session_id={session}&token={}", bob.token), None).await,
    ] {
        assert_eq!(answer.error(403), "not_a_member");
    }
    assert!(bob.listed(&session).await.is_none());
    let rows = ann.get(&paths::participants(&session)).await.list();
    assert_eq!(each(&rows, "user_id"), [&*ann.id, &*eve.id]);
    assert_eq!(each(&ann.history(&session).await, "content"), ["bob was here"]);
}

#[tokio::test]
async fn a_participant_leaves_and_an_owner_can_not() {
    let server = TestServer::start().await;
    let (ann, bob, eve) =
        (server.user("ann").await, server.user("bob").await, server.user("eve").await);
    let session = ann.create_session_with(&[&bob]).await;
    let leave = async |user: &crate::support::TestUser| {
        user.call("POST", &paths::leave(&session)).send().await
    };
    assert_eq!(leave(&ann).await.error(409), "owner_cannot_leave");
    assert_eq!(leave(&eve).await.error(403), "not_a_member");
    assert_eq!(leave(&bob).await.expect(200), json!({"message": "left the session"}));
    assert_eq!(leave(&bob).await.error(403), "not_a_member");
    let events = ann.events(&session, 0).await;
    assert_eq!(each(&events, "type"), ["participant.added", "participant.removed"]);
    assert_eq!(events[1]["data"], json!({"user_id": bob.id}));
}

#[tokio::test]
async fn everybody_who_comes_at_once_is_added_once() {
    let server = TestServer::start().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let session = ann.create_session().await;
    let path = paths::participants(&session);
    let adding = (0..8).map(|_| ann.post(&path, json!({"user_id": bob.id})));
    let answers = futures_util::future::join_all(adding).await;
    let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409, 409, 409, 409, 409]);
    assert_eq!(ann.get(&path).await.list().len(), 2);
    assert_eq!(number(&ann.get(&paths::session(&session)).await.expect(200)["last_seq"]), 1);
}
