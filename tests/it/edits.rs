//! Editing and deleting messages: who may, and what all see.

use serde_json::json;

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
