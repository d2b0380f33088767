//! Sessions: create, list in order and by pages, show, rename, delete.

use serde_json::json;

use crate::support::{TestServer, TestUser, each, fields, number, paths, text};

#[tokio::test]
async fn whoever_creates_a_session_owns_it() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let created = ann.post(paths::SESSIONS, json!({"title": "  Plans ü "})).await.expect(201);
    assert_eq!(
        fields(&created),
        ["created_at", "epoch", "id", "is_owner", "last_seq", "title", "updated_at", "user_id"],
    );
    assert_eq!((text(&created["title"]), text(&created["user_id"])), ("Plans ü", &*ann.id));
    assert_eq!((&created["is_owner"], &created["last_seq"]), (&json!(true), &json!(0)));
    assert!(!text(&created["epoch"]).is_empty());
    let shown = ann.get(&paths::session(text(&created["id"]))).await.expect(200);
    assert_eq!(shown, created);
}

#[tokio::test]
async fn a_title_has_1_to_200_characters_and_no_control_ones() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let session = paths::session(&ann.create_session().await);
    for good in ["x".to_owned(), "ü".repeat(200), format!("  {}  ", "x".repeat(200))] {
        let created = ann.post(paths::SESSIONS, json!({"title": good})).await.expect(201);
        assert_eq!(text(&created["title"]), good.trim());
        ann.patch(&session, json!({"title": good})).await.expect(200);
    }
    for (body, code) in [
        (json!({}), "missing_field"),
        (json!({"title": null}), "missing_field"),
        (json!({"title": ""}), "invalid_title"),
        (json!({"title": " \t\n "}), "invalid_title"),
        (json!({"title": "x".repeat(201)}), "invalid_title"),
        (json!({"title": "a\nb"}), "invalid_title"),
        (json!({"title": "a\u{0}b"}), "invalid_title"),
        (json!({"title": "a\u{9f}b"}), "invalid_title"),
        (json!({"title": 5}), "invalid_title"),
        (json!({"title": ["a"]}), "invalid_title"),
    ] {
        assert_eq!(ann.post(paths::SESSIONS, body.clone()).await.error(400), code, "{body}");
        assert_eq!(ann.patch(&session, body.clone()).await.error(400), code, "{body}");
    }
}

#[tokio::test]
async fn the_list_joins_owned_and_shared_sessions_the_latest_event_first() {
    let server = TestServer::start().await;
    let (ann, bob, eve) =
        (server.user("ann").await, server.user("bob").await, server.user("eve").await);
    let own = bob.create_session().await;
    let shared = ann.create_session_with(&[&bob]).await;
    let foreign = ann.create_session().await;
    let list = async || bob.get(paths::SESSIONS).await.list();
    let first = list().await;
    assert_eq!(each(&first, "id"), [&*shared, &*own]);
    assert_eq!(each(&first, "is_owner"), [false, true]);
    assert_eq!(
        fields(&first[0]),
        [
            "created_at",
            "epoch",
            "id",
            "is_owner",
            "last_message",
            "last_seq",
            "title",
            "unread_count",
            "updated_at",
            "user_id",
        ],
    );
    bob.say(&own, "up").await;
    assert_eq!(each(&list().await, "id"), [&*own, &*shared]);
    ann.patch(&paths::session(&shared), json!({"title": "other"})).await.expect(200);
    assert_eq!(each(&list().await, "id"), [&*shared, &*own]);
    assert_eq!(eve.get(paths::SESSIONS).await.list(), [json!(null); 0]);
    assert!(ann.listed(&foreign).await.is_some() && bob.listed(&foreign).await.is_none());
}

/// Ids of all pages, each of `limit`, and how many pages there were.
async fn walk(user: &TestUser, limit: usize) -> (Vec<String>, usize) {
    let mut next = Some(format!("{}?limit={limit}", paths::SESSIONS));
    let (mut ids, mut pages) = (Vec::new(), 0);
    while let Some(path) = next {
        let answer = user.get(&path).await;
        next = answer.link("next");
        let page = answer.list();
        assert!(page.len() == limit || next.is_none(), "full, but for the last");
        ids.extend(page.iter().map(|session| text(&session["id"]).to_owned()));
        pages += 1;
    }
    (ids, pages)
}

#[tokio::test]
async fn the_list_comes_in_pages_that_join_to_the_whole() {
    let server = TestServer::start().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    for n in 0..7 {
        let owner = if n % 2 == 0 { &ann } else { &bob };
        let other = if n % 2 == 0 { &bob } else { &ann };
        owner.create_session_with(&[other]).await;
    }
    let whole = ann.get(paths::SESSIONS).await;
    assert_eq!(whole.link("next"), None);
    let whole: Vec<_> = whole.list().iter().map(|s| text(&s["id"]).to_owned()).collect();
    assert_eq!(whole.len(), 7);
    for (limit, pages) in [(1, 7), (2, 4), (3, 3), (6, 2), (7, 1), (8, 1), (1000, 1)] {
        assert_eq!(walk(&ann, limit).await, (whole.clone(), pages), "limit {limit}");
    }
    let before = format!("{}?before={}", paths::SESSIONS, whole[2]);
    assert_eq!(each(&ann.get(&before).await.list(), "id"), whole[3..]);
}

#[tokio::test]
async fn bounds_of_pages_are_told() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let session = ann.create_session().await;
    let members = paths::participants(&session);
    for list in [paths::SESSIONS, &members] {
        for bad in [
            "limit=0",
            "limit=1001",
            "limit=-1",
            "limit=",
            "limit=x",
            "limit=1.0",
            "limit=%2B1",
            "limit=99999999999999999999",
            "limit=1&limit=1",
            "before=",
            "before=x",
            "before=0192f0c1-2345-7abc-8def-0123456789ab",
            "before=x&before=x",
        ] {
            let answer = ann.get(&format!("{list}?{bad}")).await;
            assert_eq!(answer.error(400), "invalid_query", "{list}?{bad}");
        }
        ann.get(&format!("{list}?unknown=1&limit=1000")).await.expect(200);
    }
}

#[tokio::test]
async fn a_member_sees_the_session_and_who_is_none_hears_so() {
    let server = TestServer::start().await;
    let (ann, bob, eve) =
        (server.user("ann").await, server.user("bob").await, server.user("eve").await);
    let session = ann.create_session_with(&[&bob]).await;
    let path = paths::session(&session);
    let shown = bob.get(&path).await.expect(200);
    assert_eq!((&shown["is_owner"], &shown["last_seq"]), (&json!(false), &json!(1)));
    assert_eq!(text(&shown["user_id"]), ann.id);
    assert!(text(&shown["updated_at"]) > text(&shown["created_at"]));
    assert_eq!(eve.get(&path).await.error(403), "not_a_member");
    let unknown = paths::session("0192f0c1-2345-7abc-8def-0123456789ab");
    assert_eq!(eve.get(&unknown).await.error(404), "session_not_found");
    bob.get(&path.to_uppercase().replace("/API/CHAT/SESSIONS", paths::SESSIONS)).await.expect(200);
}

#[tokio::test]
async fn the_owner_renames_and_nobody_else() {
    let server = TestServer::start().await;
    let (ann, bob, eve) =
        (server.user("ann").await, server.user("bob").await, server.user("eve").await);
    let session = ann.create_session_with(&[&bob]).await;
    let path = paths::session(&session);
    let renamed = ann.patch(&path, json!({"title": " New "})).await.expect(200);
    assert_eq!((text(&renamed["title"]), number(&renamed["last_seq"])), ("New", 2));
    assert_eq!(renamed["is_owner"], true);
    assert_eq!(renamed["updated_at"], ann.get(&path).await.expect(200)["updated_at"]);
    for other in [bob, eve] {
        let refused = other.patch(&path, json!({"title": "Mine"})).await;
        assert_eq!(refused.error(403), "not_session_owner");
    }
    assert_eq!(ann.get(&path).await.expect(200)["title"], "New");
}

#[tokio::test]
async fn a_deleted_session_is_gone_for_everybody() {
    let server = TestServer::start().await;
    let (ann, bob, eve) =
        (server.user("ann").await, server.user("bob").await, server.user("eve").await);
    let session = ann.create_session_with(&[&bob]).await;
    let kept = ann.create_session_with(&[&bob]).await;
    let said = ann.say(&session, "gone with it").await;
    let path = paths::session(&session);
    for other in [&bob, &eve] {
        assert_eq!(other.delete(&path).await.error(403), "not_session_owner");
    }
    let done = ann.delete(&path).await.expect(200);
    assert_eq!(done, json!({"message": "session deleted"}));
    let message = paths::message(&session, text(&said["id"]));
    for user in [&ann, &bob, &eve] {
        for gone in [&path, &paths::messages(&session), &paths::participants(&session)] {
            assert_eq!(user.get(gone).await.error(404), "session_not_found");
        }
        assert_eq!(user.delete(&path).await.error(404), "session_not_found");
        assert_eq!(user.delete(&message).await.error(404), "session_not_found");
        let events = user.get(&paths::events(&session, "after=0")).await;
        assert_eq!(events.error(404), "session_not_found");
        let query = format!("session_id={session}&token={}&after=0", user.token);
        assert_eq!(user.refused(&query, None).await.error(404), "session_not_found");
    }
    for user in [&ann, &bob] {
        assert!(user.listed(&session).await.is_none() && user.listed(&kept).await.is_some());
    }
}
