//! Editing and deleting messages: who may, what all see, and that what was deleted is gone.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{TestServer, each, fields, number, paths, text};

#[tokio::test]
async fn the_sender_edits_and_the_number_stays() {
    let server = TestServer::start().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let session = ann.create_session_with(&[&bob]).await;
    let body = json!({"content": "frist", "file_url": "https://a.example/f", "client_id": "k"});
    let sent = bob.post(&paths::messages(&session), body).await.expect(201);
    let edited = bob.edit(&session, &sent, "first").await;
    assert_eq!(
        fields(&edited),
        [
            "client_id",
            "content",
            "created_at",
            "edited_at",
            "file_url",
            "id",
            "is_ai_message",
            "sender_id",
            "seq",
            "session_id",
        ],
    );
    assert_eq!(text(&edited["content"]), "first");
    assert!(text(&edited["edited_at"]) > text(&edited["created_at"]));
    for kept in ["id", "seq", "sender_id", "created_at", "file_url", "client_id"] {
        assert_eq!(edited[kept], sent[kept], "{kept}");
    }
    assert_eq!(ann.history(&session).await, std::slice::from_ref(&edited));
    let events = ann.events(&session, number(&sent["seq"])).await;
    assert_eq!(each(&events, "type"), ["message.updated"]);
    assert_eq!((number(&events[0]["seq"]), &events[0]["data"]), (3, &edited));
    assert_eq!(events[0]["at"], edited["edited_at"]);
    // Every event tells the present form, also that of the creation.
    assert_eq!(ann.events(&session, 1).await[0]["data"], edited);
}

#[tokio::test]
async fn others_neither_edit_nor_delete_but_the_owner_deletes() {
    let server = TestServer::start().await;
    let (ann, bob, eve) =
        (server.user("ann").await, server.user("bob").await, server.user("eve").await);
    let stranger = server.user("stranger").await;
    let session = ann.create_session_with(&[&bob, &eve]).await;
    let said = bob.say(&session, "bob's").await;
    let path = paths::message(&session, text(&said["id"]));
    let edit = json!({"content": "not bob's"});
    for other in [&ann, &eve] {
        let refused = other.patch(&path, edit.clone()).await;
        assert_eq!(refused.error(403), "not_message_sender");
    }
    assert_eq!(eve.delete(&path).await.error(403), "not_message_sender");
    assert_eq!(stranger.patch(&path, edit.clone()).await.error(403), "not_a_member");
    assert_eq!(stranger.delete(&path).await.error(403), "not_a_member");
    assert_eq!(ann.delete(&path).await.expect(200), json!({"message": "message deleted"}));
    for user in [&ann, &bob, &eve] {
        assert_eq!(user.delete(&path).await.error(404), "message_not_found");
    }
    assert_eq!(bob.patch(&path, edit).await.error(404), "message_not_found");
    let own = eve.say(&session, "eve's").await;
    eve.unsay(&session, &own).await;
    assert_eq!(ann.history(&session).await, [json!(null); 0]);
}

#[tokio::test]
async fn a_message_is_looked_for_in_its_session_alone() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let (one, two) = (ann.create_session().await, ann.create_session().await);
    let said = ann.say(&one, "in one").await;
    for missing in [text(&said["id"]), &protocol::MessageId::new().to_string()] {
        let path = paths::message(&two, missing);
        let refused = ann.patch(&path, json!({"content": "x"})).await;
        assert_eq!(refused.error(404), "message_not_found");
        assert_eq!(ann.delete(&path).await.error(404), "message_not_found");
    }
    assert_eq!(ann.history(&one).await, [said]);
}

#[tokio::test]
async fn a_tombstone_keeps_its_number() {
    let server = TestServer::start().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let session = ann.create_session_with(&[&bob]).await;
    let said = bob.say(&session, "to go").await;
    bob.edit(&session, &said, "to go, edited").await;
    let kept = bob.say(&session, "to stay").await;
    bob.unsay(&session, &said).await;
    let events = ann.events(&session, 0).await;
    assert_eq!(each(&events, "seq"), [1, 2, 3, 4, 5]);
    let gone = "message.deleted";
    assert_eq!(each(&events, "type"), ["participant.added", gone, gone, "message.created", gone]);
    for event in [&events[1], &events[2], &events[4]] {
        assert_eq!(event["data"], json!({"id": said["id"]}));
    }
    assert_eq!(ann.history(&session).await, [kept]);
}

/// Files below a folder that hold these bytes.
fn files_with(folder: &Path, needle: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files_with(&path, needle));
        } else {
            let bytes = std::fs::read(&path).expect("a file");
            if bytes.windows(needle.len()).any(|window| window == needle.as_bytes()) {
                found.push(path.display().to_string());
            }
        }
    }
    found
}

#[tokio::test]
async fn what_was_deleted_is_gone_from_files_pages_and_replays() {
    let server = TestServer::start().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let session = ann.create_session_with(&[&bob]).await;
    let (secret, edited) = ("the-secret-of-the-pyramids", "the-secret-of-the-sphinx");
    // Long enough for pages of its own in the database, and among others.
    let content = format!("{secret} {}", "x".repeat(9_000));
    bob.say(&session, "before").await;
    let body = json!({"content": content, "file_url": format!("https://a.example/{secret}")});
    let said = bob.post(&paths::messages(&session), body).await.expect(201);
    let mut live = ann.following(&session).await;
    let mut plain = ann.plain(&session, "&after=0").await;
    assert_eq!(plain.contents_before(&content).await, ["before"]);
    bob.edit(&session, &said, &format!("{edited} {}", "y".repeat(9_000))).await;
    for _ in 0..20 {
        bob.say(&session, "after").await;
    }
    assert!(!files_with(&server.data_dir(), edited).is_empty(), "the search finds it before");
    bob.unsay(&session, &said).await;
    for needle in [secret, edited] {
        assert_eq!(files_with(&server.data_dir(), needle), [""; 0], "on disk");
    }
    let path = paths::messages(&session);
    let mut told = vec![
        ann.get(&path).await.text,
        ann.get(&format!("{path}?after=0")).await.text,
        ann.get(&paths::events(&session, "after=0")).await.text,
        ann.get(paths::SESSIONS).await.text,
    ];
    ann.say(&session, "the end").await;
    let is_end =
        |frame: &Value| frame["data"]["content"] == "the end" || frame["content"] == "the end";
    let mut replayed = ann.v1_on(&format!("&session_id={session}&after=0")).await;
    let mut replayed_plain = ann.plain(&session, "&after=0").await;
    for socket in [&mut replayed, &mut replayed_plain] {
        told.extend(socket.up_to(is_end).await.iter().map(Value::to_string));
    }
    let mut stream =
        ann.call("GET", &paths::events(&session, "after=0")).stream().await.expect("open");
    while let Some(event) = stream.next().await {
        told.push(event.to_string());
        if is_end(&event) {
            break;
        }
    }
    for text in told {
        assert!(!text.contains(secret) && !text.contains(edited), "{text:.200}");
    }
    let deleted = live.until("message.deleted").await;
    assert_eq!(deleted["data"], json!({"id": said["id"]}));
}

#[tokio::test]
async fn a_deleted_session_leaves_no_contents_behind() {
    let mut server = TestServer::start().await;
    let ann = server.user("ann").await;
    let session = ann.create_session().await;
    let secret = "buried-with-the-pharaoh";
    for _ in 0..50 {
        ann.say(&session, &format!("{secret} {}", "x".repeat(3_000))).await;
    }
    ann.delete(&paths::session(&session)).await.expect(200);
    // The purge goes on behind the answer, also across a restart: ask until it is through.
    let began = std::time::Instant::now();
    while !files_with(&server.data_dir(), secret).is_empty() {
        assert!(began.elapsed().as_secs() < 20, "it is purged in the end");
        server.restart().await;
        let ann = server.again(&ann);
        ann.create_session().await;
    }
}
