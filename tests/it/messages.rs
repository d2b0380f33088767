//! Messages: what can be sent, what comes back, who may.

use serde_json::{Value, json};

use crate::support::{TestServer, fields, number, paths, text};

#[tokio::test]
async fn a_sent_message_comes_back_as_it_is_stored() {
    let server = TestServer::start().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let session = ann.create_session_with(&[&bob]).await;
    let sent = bob.say(&session, "hello").await;
    let all = ["content", "created_at", "id", "is_ai_message", "sender_id", "seq", "session_id"];
    assert_eq!(fields(&sent), all);
    assert_eq!((text(&sent["session_id"]), text(&sent["sender_id"])), (&*session, &*bob.id));
    assert_eq!((number(&sent["seq"]), &sent["is_ai_message"]), (2, &json!(false)));
    let body = json!({
        "content": "with all", "file_url": "https://files.example/a?b=c#d", "client_id": "k",
        "is_ai_message": false, "unknown": {"deep": [1, 2]},
    });
    let full = ann.post(&paths::messages(&session), body).await.expect(201);
    assert_eq!(text(&full["file_url"]), "https://files.example/a?b=c#d");
    assert_eq!((text(&full["client_id"]), number(&full["seq"])), ("k", 3));
    let nulls = json!({"content": "x", "file_url": null, "client_id": null, "is_ai_message": null});
    let bare = ann.post(&paths::messages(&session), nulls).await.expect(201);
    assert_eq!(fields(&bare), all);
    assert_eq!(bob.history(&session).await, [sent, full, bare]);
}

#[tokio::test]
async fn content_is_kept_byte_for_byte() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let session = ann.create_session().await;
    let contents = [
        "  leading and trailing \r\n\t".to_owned(),
        "a\tb\nc\r\nd".to_owned(),
        "\"quotes\" \\ back / slash </script> \u{2028}\u{2029}".to_owned(),
        "👩\u{200d}👩\u{200d}👧 e\u{301} é \u{202e}rtl \u{feff}bom \u{fffd}\u{10ffff}".to_owned(),
        "x".repeat(65_536),
        "ü".repeat(32_768),
    ];
    for content in &contents {
        assert_eq!(text(&ann.say(&session, content).await["content"]), content);
    }
    let escaped = r#"{"content":"\u0041\ud83d\ude00\/"}"#;
    let call = ann.call("POST", &paths::messages(&session)).body("application/json", escaped);
    assert_eq!(text(&call.send().await.expect(201)["content"]), "A😀/");
    let stored = ann.history(&session).await;
    for (message, content) in stored.iter().zip(&contents) {
        assert_eq!(text(&message["content"]), content);
    }
}

fn long_url(bytes: usize) -> String {
    let start = "https://files.example/";
    format!("{start}{}", "x".repeat(bytes - start.len()))
}

#[tokio::test]
async fn what_is_wrong_with_a_message_is_told() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let session = ann.create_session().await;
    let said = ann.say(&session, "to be edited").await;
    let (send, edit) = (paths::messages(&session), paths::message(&session, text(&said["id"])));
    for (content, status, code) in [
        (json!(null), 400, "missing_field"),
        (json!(5), 400, "invalid_content"),
        (json!(["a"]), 400, "invalid_content"),
        (json!({"text": "a"}), 400, "invalid_content"),
        (json!(""), 400, "invalid_content"),
        (json!(" \t\r\n\u{a0}\u{2003}"), 400, "invalid_content"),
        (json!("a\u{0}b"), 400, "invalid_content"),
        (json!("a\u{1b}[31m"), 400, "invalid_content"),
        (json!("a\u{7f}"), 400, "invalid_content"),
        (json!("a\u{85}b"), 400, "invalid_content"),
        (json!("x".repeat(65_537)), 413, "content_too_large"),
        (json!(format!("x{}", "ü".repeat(32_768))), 413, "content_too_large"),
    ] {
        let body = json!({"content": content});
        assert_eq!(ann.post(&send, body.clone()).await.error(status), code, "{content:.40}");
        assert_eq!(ann.patch(&edit, body).await.error(status), code, "{content:.40}");
    }
    assert_eq!(ann.post(&send, json!({})).await.error(400), "missing_field");
    assert_eq!(ann.patch(&edit, json!({})).await.error(400), "missing_field");
    assert_eq!(ann.history(&session).await, [said]);
}

#[tokio::test]
async fn a_file_url_is_an_absolute_web_address() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let session = ann.create_session().await;
    let send = async |url: Value| {
        ann.post(&paths::messages(&session), json!({"content": "a", "file_url": url})).await
    };
    for good in [
        "http://a.example",
        "HTTPS://A.example:8443/b?c#d",
        "http://[::1]/x",
        &long_url(2_048),
        "https://a.example/%20ü",
    ] {
        assert_eq!(text(&send(json!(good)).await.expect(201)["file_url"]), good, "as it came");
    }
    for bad in [
        json!(""),
        json!("a"),
        json!("/a"),
        json!("//a.example"),
        json!("ftp://a.example"),
        json!("javascript:alert(1)"),
        json!("data:text/html,x"),
        json!("file:///etc/passwd"),
        json!("https://"),
        json!("https:///a"),
        json!("http:a.example"),
        json!("http://a b"),
        json!(" https://a.example"),
        json!("https://a.example\n"),
        json!("https://a\u{0}"),
        json!(long_url(2_049)),
        json!(5),
        json!(["https://a.example"]),
    ] {
        assert_eq!(send(bad.clone()).await.error(400), "invalid_file_url", "{bad:.60}");
    }
}

#[tokio::test]
async fn a_client_id_has_1_to_64_characters() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let session = ann.create_session().await;
    let send = async |id: Value| {
        ann.post(&paths::messages(&session), json!({"content": "a", "client_id": id})).await
    };
    for good in ["x".to_owned(), "ü".repeat(64), " ".to_owned(), "a/b\"c".to_owned()] {
        assert_eq!(text(&send(json!(good)).await.expect(201)["client_id"]), good);
    }
    for bad in [json!(""), json!("x".repeat(65)), json!(5), json!(true), json!(["a"])] {
        assert_eq!(send(bad.clone()).await.error(400), "invalid_client_id", "{bad:.40}");
    }
}

#[tokio::test]
async fn is_ai_message_is_the_servers_word() {
    let server = TestServer::start().await;
    let (ann, bot) = (server.user("ann").await, server.agent("bot").await);
    let session = ann.create_session_with(&[&bot]).await;
    let path = paths::messages(&session);
    for claim in [json!(null), json!(true), json!(false)] {
        let body = json!({"content": "beep", "is_ai_message": claim});
        assert_eq!(bot.post(&path, body).await.expect(201)["is_ai_message"], true);
    }
    let lie = json!({"content": "beep", "is_ai_message": true});
    assert_eq!(ann.post(&path, lie).await.error(403), "not_an_agent");
    let wrong = json!({"content": "beep", "is_ai_message": "yes"});
    assert_eq!(ann.post(&path, wrong).await.status, 400);
    assert_eq!(bot.get("/api/users/profile").await.expect(200)["kind"], "agent");
}

#[tokio::test]
async fn a_server_can_be_told_to_trust_the_ai_flag() {
    let server = TestServer::with(|config| config.trust_client_ai_flag = true).await;
    let (ann, bot) = (server.user("ann").await, server.agent("bot").await);
    let session = ann.create_session_with(&[&bot]).await;
    let send = async |user: &crate::support::TestUser, claim: Value| {
        let body = json!({"content": "beep", "is_ai_message": claim});
        user.post(&paths::messages(&session), body).await.expect(201)["is_ai_message"].clone()
    };
    assert_eq!(send(&ann, json!(true)).await, true);
    assert_eq!(send(&ann, json!(false)).await, false);
    assert_eq!(
        (send(&ann, json!(null)).await, send(&bot, json!(null)).await),
        (json!(false), json!(true))
    );
}

#[tokio::test]
async fn a_repeat_with_another_ai_flag_is_another_message() {
    let server = TestServer::with(|config| config.trust_client_ai_flag = true).await;
    let (ann, bot) = (server.user("ann").await, server.agent("bot").await);
    let session = ann.create_session_with(&[&bot]).await;
    for (user, usual) in [(&ann, false), (&bot, true)] {
        let send = async |id: &str, claim: Value| {
            let body = json!({"content": "beep", "client_id": id, "is_ai_message": claim});
            user.post(&paths::messages(&session), body).await
        };
        send("a", json!(usual)).await.expect(201);
        send("a", json!(null)).await.expect(200);
        assert_eq!(send("a", json!(!usual)).await.error(409), "client_id_reused");
        send("b", json!(!usual)).await.expect(201);
        send("b", json!(!usual)).await.expect(200);
        assert_eq!(send("b", json!(usual)).await.error(409), "client_id_reused");
    }
}

#[tokio::test]
async fn members_send_and_nobody_else() {
    let server = TestServer::start().await;
    let (ann, eve) = (server.user("ann").await, server.user("eve").await);
    let session = ann.create_session().await;
    let body = json!({"content": "let me in"});
    let refused = eve.post(&paths::messages(&session), body.clone()).await;
    assert_eq!(refused.error(403), "not_a_member");
    let unknown = paths::messages(&protocol::SessionId::new().to_string());
    assert_eq!(ann.post(&unknown, body).await.error(404), "session_not_found");
    assert_eq!(ann.history(&session).await, [json!(null); 0]);
}
