//! The order of answers (contract, section 1): where several fit, the first is given.
//!
//! A table has every call; requests break several rules at once, one rule fewer each time, so
//! that each answer has to step back behind the one before it.

use serde_json::{Value, json};

use crate::support::{Call, Socket, TestServer, TestUser, frames, paths, text};

const TOO_MUCH: usize = 524_289;

/// A call in a session: how it is made of the session's id, and with which body.
struct Row {
    method: &'static str,
    /// Behind the session's path.
    below: String,
    /// A good body, where the call takes one.
    body: Option<Value>,
    /// What who is no member hears, and who is one without the right, if there is such.
    stranger: &'static str,
    member: Option<&'static str>,
}

fn row(method: &'static str, below: &str, body: Value, stranger: &'static str) -> Row {
    let body = (!body.is_null()).then_some(body);
    let member = (stranger == "not_session_owner").then_some(stranger);
    Row { method, below: below.to_owned(), body, stranger, member }
}

/// Every call in a session. What is named in it does not exist, so 404 comes behind 403.
fn rows() -> Vec<Row> {
    let nobody = protocol::UserId::new().to_string();
    let (owner, member) = ("not_session_owner", "not_a_member");
    let (guest, message) = (format!("/participants/{nobody}"), format!("/messages/{nobody}"));
    vec![
        row("GET", "", json!(null), member),
        row("PATCH", "", json!({"title": "a"}), owner),
        row("DELETE", "", json!(null), owner),
        row("POST", "/participants", json!({"user_id": nobody}), owner),
        row("GET", "/participants", json!(null), member),
        row("DELETE", &guest, json!(null), owner),
        row("POST", "/leave", json!(null), member),
        row("POST", "/read", json!({"seq": 99}), member),
        row("POST", "/messages", json!({"content": "a"}), member),
        row("GET", "/messages", json!(null), member),
        row("PATCH", &message, json!({"content": "a"}), member),
        row("DELETE", &message, json!(null), member),
        row("GET", "/events?after=99", json!(null), member),
    ]
}

impl Row {
    fn path(&self, session: &str) -> String {
        format!("{}{}", paths::session(session), self.below)
    }

    fn call(&self, user: &TestUser, session: &str) -> Call {
        let call = user.call(self.method, &self.path(session));
        match &self.body {
            Some(body) => call.json(body),
            None => call,
        }
    }

    fn name(&self) -> String {
        format!("{} /:id{}", self.method, self.below)
    }
}

#[tokio::test]
async fn calls_in_a_session_give_the_first_answer_that_fits() {
    let server = TestServer::start().await;
    let (ann, bob, eve) =
        (server.user("ann").await, server.user("bob").await, server.user("eve").await);
    let session = ann.create_session_with(&[&bob]).await;
    let nowhere = protocol::SessionId::new().to_string();
    for row in rows() {
        let name = row.name();
        // All at once: no token, too large, no JSON by type or form, no id.
        let worst = |call: Call| call.body("text/plain", "{".repeat(TOO_MUCH));
        let anonymous = server.call(row.method, &row.path("x"));
        assert_eq!(worst(anonymous).send().await.error(401), "unauthorized", "{name}");
        if row.body.is_some() {
            let call = |id: &str| eve.call(row.method, &row.path(id));
            let status = worst(call("x")).send().await.status;
            assert!(matches!(status, 413 | 415), "{name}: {status}");
            let too_large = call("x").body("application/json", "{".repeat(TOO_MUCH)).send().await;
            assert_eq!(too_large.error(413), "body_too_large", "{name}");
            let kind = call("x").body("text/plain", "{").send().await;
            assert_eq!(kind.error(415), "unsupported_media_type", "{name}");
            for id in ["x", &nowhere, &session] {
                let json = call(id).body("application/json", "{").send().await;
                assert_eq!(json.status, 400, "{name} {id}");
                let empty = call(id).body("application/json", "{}").send().await;
                assert_eq!(empty.status, 400, "{name} {id}");
            }
        }
        assert_eq!(row.call(&eve, "x").send().await.error(400), "invalid_id", "{name}");
        assert_eq!(row.call(&eve, &nowhere).send().await.error(404), "session_not_found", "{name}");
        assert_eq!(row.call(&eve, &session).send().await.error(403), row.stranger, "{name}");
        if let Some(code) = row.member {
            assert_eq!(row.call(&bob, &session).send().await.error(403), code, "{name}");
        }
    }
}

#[tokio::test]
async fn what_is_in_a_session_is_told_to_whom_it_concerns() {
    let server = TestServer::start().await;
    let (ann, bob, eve) =
        (server.user("ann").await, server.user("bob").await, server.user("eve").await);
    let session = ann.create_session_with(&[&bob]).await;
    let said = ann.say(&session, "ann's").await;
    let real = paths::message(&session, text(&said["id"]));
    let missing = paths::message(&session, &eve.id);
    let edit = json!({"content": "a"});
    // A stranger learns nothing of what is there, a member does.
    for path in [&real, &missing] {
        assert_eq!(eve.patch(path, edit.clone()).await.error(403), "not_a_member");
        assert_eq!(eve.delete(path).await.error(403), "not_a_member");
    }
    assert_eq!(bob.patch(&real, edit.clone()).await.error(403), "not_message_sender");
    assert_eq!(bob.patch(&missing, edit.clone()).await.error(404), "message_not_found");
    assert_eq!(bob.delete(&real).await.error(403), "not_message_sender");
    assert_eq!(bob.delete(&missing).await.error(404), "message_not_found");
    // 403 before the 404 and 409 of a participant.
    for user in [&bob.id, &ann.id, &protocol::UserId::new().to_string()] {
        let body = json!({"user_id": user});
        let path = paths::participants(&session);
        for other in [&bob, &eve] {
            assert_eq!(other.post(&path, body.clone()).await.error(403), "not_session_owner");
            let remove = other.delete(&paths::participant(&session, user)).await;
            assert_eq!(remove.error(403), "not_session_owner");
        }
    }
}

#[tokio::test]
async fn sending_gives_the_first_answer_that_fits() {
    let server = TestServer::start().await;
    let (ann, eve) = (server.user("ann").await, server.user("eve").await);
    let session = ann.create_session().await;
    let nowhere = protocol::SessionId::new().to_string();
    let first = json!({"content": "a", "client_id": "k"});
    ann.post(&paths::messages(&session), first).await.expect(201);
    let long = "x".repeat(65_537);
    // 413 of the content before 400 of anything beside it.
    for beside in [
        json!({"content": long, "client_id": ""}),
        json!({"content": long, "client_id": 5}),
        json!({"content": long, "file_url": "a"}),
        json!({"content": long, "file_url": 5}),
        json!({"content": long, "is_ai_message": "x"}),
    ] {
        let answer = eve.post(&paths::messages("x"), beside).await;
        assert_eq!(answer.error(413), "content_too_large");
    }
    // 400 before 404 and 403; 404 and 403 of the session before 403 of the flag and 409.
    let lie = json!({"content": "b", "client_id": "k", "is_ai_message": true});
    let bad_lie = json!({"content": "b", "client_id": "", "is_ai_message": true});
    for (user, session, body, status, code) in [
        (&eve, &nowhere, &bad_lie, 400, "invalid_client_id"),
        (&eve, &nowhere, &lie, 404, "session_not_found"),
        (&eve, &session, &lie, 403, "not_a_member"),
        (&ann, &session, &lie, 403, "not_an_agent"),
        (&ann, &session, &json!({"content": "b", "client_id": "k"}), 409, "client_id_reused"),
    ] {
        assert_eq!(user.post(&paths::messages(session), body.clone()).await.error(status), code);
    }
    // The same over the socket, where what is not followed is not one's session.
    let mut socket = eve.v1().await;
    let mut frame = json!({"type": "message.send", "session_id": session, "client_id": "k"});
    for (content, code) in [
        (json!(long), "content_too_large"),
        (json!(""), "invalid_content"),
        (json!("a"), "not_a_member"),
    ] {
        frame["content"] = content;
        assert_eq!(text(&socket.ask(&frame).await["code"]), code);
    }
}

#[tokio::test]
async fn a_rate_comes_before_what_was_sent() {
    let server = TestServer::with(|config| config.message_rate_max = 1).await;
    let ann = server.user("ann").await;
    let path = paths::messages("x");
    let bad = || ann.call("POST", &path).body("text/plain", "{".repeat(TOO_MUCH));
    // One a second may pass; of three at once two do not.
    let (one, two, three) = tokio::join!(bad().send(), bad().send(), bad().send());
    let mut statuses = [one.status, two.status, three.status];
    statuses.sort_unstable();
    assert!(matches!(statuses[0], 413 | 415), "{statuses:?}");
    assert_eq!(statuses[2], 429);
    let anonymous = server.call("POST", &path).body("text/plain", "{").send().await;
    assert_eq!(anonymous.error(401), "unauthorized");
}

#[tokio::test]
async fn calls_of_accounts_give_the_first_answer_that_fits() {
    let server = TestServer::with(|config| config.registration_open = false).await;
    let ann = server.user("ann").await;
    let bad = |method: &str, path: &str, kind: &str, bytes: usize| {
        ann.call(method, path).body(kind, "{".repeat(bytes))
    };
    for (method, path) in [
        ("POST", "/api/register"),
        ("POST", "/api/login"),
        ("PUT", "/api/users/password"),
        ("POST", paths::SESSIONS),
    ] {
        let large = bad(method, path, "application/json", TOO_MUCH).send().await;
        assert_eq!(large.error(413), "body_too_large", "{path}");
        let kind = bad(method, path, "text/plain", 1).send().await;
        assert_eq!(kind.error(415), "unsupported_media_type", "{path}");
        let json = bad(method, path, "application/json", 1).send().await;
        assert_eq!(json.error(400), "invalid_json", "{path}");
    }
    for (method, path) in [
        ("POST", "/api/token"),
        ("GET", "/api/users/profile"),
        ("PUT", "/api/users/password"),
        ("GET", "/api/users?email=x&email=y"),
        ("POST", paths::SESSIONS),
        ("GET", "/api/chat/sessions?limit=x"),
        ("POST", "/api/ws-tickets"),
    ] {
        let anonymous = server.call(method, path).body("text/plain", "{".repeat(TOO_MUCH));
        assert_eq!(anonymous.send().await.error(401), "unauthorized", "{path}");
    }
    // 400 before 403 of a closed registration, 403 before 409 of a taken email.
    let register =
        async |body: Value| server.call("POST", "/api/register").json(&body).send().await;
    let name = json!({"name": "", "email": ann.email, "password": "correct horse battery"});
    assert_eq!(register(name).await.error(400), "invalid_name");
    let common = json!({"name": "a", "email": ann.email, "password": "password"});
    assert_eq!(register(common).await.error(400), "password_too_common");
    let taken = json!({"name": "a", "email": ann.email, "password": "correct horse battery"});
    assert_eq!(register(taken).await.error(403), "registration_closed");
}

#[tokio::test]
async fn the_handshake_gives_the_first_answer_that_fits() {
    let server = TestServer::with(|config| config.connections_per_user_max = 1).await;
    let (ann, eve) = (server.user("ann").await, server.user("eve").await);
    let session = ann.create_session().await;
    let nowhere = protocol::SessionId::new();
    let evil = [("origin", "https://evil.example")];
    let dial = async |query: String, headers: &[(&str, &str)]| {
        *Socket::dial(server.authority(), &query, headers).await.err().expect("refused")
    };
    let by = |token: &str, query: &str| format!("token={token}&{query}");
    let bad = "session_id=x&after=x&after=y";
    assert_eq!(dial(by("x", bad), &evil).await.error(401), "unauthorized");
    assert_eq!(dial(by(&eve.token, bad), &evil).await.error(403), "origin_not_allowed");
    let open = eve.v1().await;
    assert_eq!(dial(by(&eve.token, bad), &evil).await.error(403), "origin_not_allowed");
    assert_eq!(dial(by(&eve.token, bad), &[]).await.error(429), "rate_limited");
    drop(open);
    while dial(by(&eve.token, bad), &[]).await.status == 429 {}
    assert_eq!(dial(by(&eve.token, bad), &[]).await.status, 400);
    let missing = dial(by(&eve.token, &format!("session_id={nowhere}&after=x")), &[]).await;
    assert_eq!(missing.error(400), "invalid_query");
    let missing = dial(by(&eve.token, &format!("session_id={nowhere}&after=9")), &[]).await;
    assert_eq!(missing.error(404), "session_not_found");
    let stranger = dial(by(&eve.token, &format!("session_id={session}&after=9")), &[]).await;
    assert_eq!(stranger.error(403), "not_a_member", "the position concerns members");
}

/// Also where the call knows no parameter at all.
#[tokio::test]
async fn a_parameter_given_twice_is_refused_in_every_call_of_a_session() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let session = ann.create_session().await;
    for mut row in rows() {
        row.below.push(if row.below.contains('?') { '&' } else { '?' });
        row.below.push_str("x=1&x=1");
        let answer = row.call(&ann, &session).send().await;
        assert_eq!(answer.error(400), "invalid_query", "{} {}", row.method, row.below);
    }
}

#[tokio::test]
async fn a_parameter_given_twice_is_refused_in_every_call_of_an_account() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let words = json!({"password": "a long pass phrase", "new_password": "another pass phrase"});
    let new = json!({"name": "x", "email": "x@example.com", "password": "a long pass phrase"});
    for (method, path, body) in [
        ("POST", "/api/register", Some(&new)),
        ("POST", "/api/login", Some(&new)),
        ("POST", "/api/token", None),
        ("GET", "/api/users/profile", None),
        ("PUT", "/api/users/password", Some(&words)),
        ("POST", "/api/ws-tickets", None),
        ("POST", paths::SESSIONS, Some(&json!({"title": "x"}))),
        ("GET", paths::SESSIONS, None),
    ] {
        let call = ann.call(method, &format!("{path}?x=1&x=1"));
        let call = if let Some(body) = body { call.json(body) } else { call };
        assert_eq!(call.send().await.error(400), "invalid_query", "{method} {path}");
    }
}

/// Also where the call has no body to read.
#[tokio::test]
async fn a_body_that_is_too_large_is_refused_in_every_call() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let session = ann.create_session().await;
    let large = "x".repeat(protocol::limits::BODY_BYTES_MAX + 1);
    for row in rows() {
        let call = row.call(&ann, &session).body("application/json", large.clone());
        let answer = call.send().await;
        assert_eq!(answer.error(413), "body_too_large", "{} {}", row.method, row.below);
    }
    for (method, path) in [
        ("POST", "/api/token"),
        ("GET", "/api/users/profile"),
        ("POST", "/api/ws-tickets"),
        ("GET", paths::SESSIONS),
        ("GET", "/api/users?email=x"),
    ] {
        let call = ann.call(method, path).body("application/json", large.clone());
        assert_eq!(call.send().await.error(413), "body_too_large", "{method} {path}");
    }
}

/// Whoever asks for no upgrade hears first what is wrong with the rest.
#[tokio::test]
async fn a_call_that_is_no_handshake_is_told_so_last() {
    let server = TestServer::start().await;
    let (ann, eve) = (server.user("ann").await, server.user("eve").await);
    let session = ann.create_session().await;
    let nowhere = protocol::SessionId::new();
    let get = async |user: &TestUser, query: &str| user.get(&format!("/ws?{query}")).await;
    let unknown = ann.by("x");
    assert_eq!(get(&unknown, "session_id=x").await.error(401), "unauthorized");
    assert_eq!(get(&eve, "").await.error(400), "missing_session_id");
    assert_eq!(get(&eve, "session_id=x").await.error(400), "invalid_id");
    let of = |id: &str, more: &str| format!("session_id={id}{more}");
    let twice = [of(&session, "&after=1&after=1"), of(&session, "&other=1&other=1")];
    for query in &twice {
        assert_eq!(get(&ann, query).await.error(400), "invalid_query");
    }
    let missing = get(&eve, &of(&nowhere.to_string(), "")).await;
    assert_eq!(missing.error(404), "session_not_found");
    assert_eq!(get(&eve, &of(&session, "")).await.error(403), "not_a_member");
    assert_eq!(get(&ann, &of(&session, "")).await.error(426), "upgrade_required");
    // A handshake is a GET (RFC 6455, 4.1).
    let mut raw = server.raw().await;
    raw.send(frames::head(&ann, &session, None).replacen("GET", "HEAD", 1)).await;
    assert!(raw.rest().await.starts_with("HTTP/1.1 426 "));
}

#[tokio::test]
async fn a_path_and_a_method_are_known_before_anything_else() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    for path in [
        "/nothing",
        "/api",
        "/api/",
        "/api/chat/sessions/",
        "/api/chat/sessions/x/y",
        "/API/chat/sessions",
        "//api/chat/sessions",
        "/ws/",
        "/api/users/password/x",
    ] {
        for call in [server.call("GET", path), ann.call("POST", path).body("text/plain", "{")] {
            assert_eq!(call.send().await.error(404), "not_found", "{path}");
        }
    }
    for (method, path) in [
        ("GET", "/api/register"),
        ("DELETE", "/api/login"),
        ("GET", "/api/token"),
        ("POST", "/api/users/profile"),
        ("POST", "/api/users/password"),
        ("DELETE", "/api/users"),
        ("PUT", paths::SESSIONS),
        ("POST", "/api/chat/sessions/x"),
        ("PUT", "/api/chat/sessions/x"),
        ("GET", "/api/chat/sessions/x/leave"),
        ("GET", "/api/chat/sessions/x/read"),
        ("PATCH", "/api/chat/sessions/x/participants"),
        ("GET", "/api/chat/sessions/x/participants/y"),
        ("PUT", "/api/chat/sessions/x/messages"),
        ("GET", "/api/chat/sessions/x/messages/y"),
        ("POST", "/api/chat/sessions/x/events"),
        ("GET", "/api/ws-tickets"),
        ("POST", "/ws"),
        ("POST", "/healthz"),
        ("BREW", paths::SESSIONS),
    ] {
        let answer = server.call(method, path).send().await;
        assert!(answer.header("allow").is_some_and(|allow| !allow.is_empty()), "{method} {path}");
        assert_eq!(answer.error(405), "method_not_allowed", "{method} {path}");
    }
}
