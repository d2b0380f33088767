//! Every code of the catalogue, with its status, produced by exactly its reason.
//!
//! Three need a fault and are met elsewhere: `unavailable`, `internal`, `request_timeout`.

use std::collections::HashSet;

use protocol::ErrorCode;
use serde_json::json;

use crate::support::{Answer, TestServer, TestUser, paths, text};

const PASSWORD: &str = "correct horse battery";

/// The codes that were met.
#[derive(Default)]
struct Met(HashSet<ErrorCode>);

impl Met {
    /// Notes an answer, which must be this one, in full.
    #[track_caller]
    fn note(&mut self, answer: Answer, code: ErrorCode) {
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let waits = matches!(code, ErrorCode::RateLimited | ErrorCode::Unavailable);
        assert_eq!(answer.header("retry-after").is_some(), waits, "{code:?}");
        let body = answer.expect(code.status());
        assert_eq!(body, json!({"error": code.sentence(), "code": code.code()}));
        self.0.insert(code);
    }
}

async fn accounts(met: &mut Met) {
    use ErrorCode::*;
    let server = TestServer::start().await;
    let ann = server.register("ann", PASSWORD).await;
    let register = async |name: &str, email: &str, password: &str| {
        let body = json!({"name": name, "email": email, "password": password});
        server.call("POST", "/api/register").json(&body).send().await
    };
    met.note(register("", "a@example.com", PASSWORD).await, InvalidName);
    met.note(register("a", "a", PASSWORD).await, InvalidEmail);
    met.note(register("a", "a@example.com", "short").await, InvalidPassword);
    met.note(register("a", "a@example.com", "password1").await, PasswordTooCommon);
    met.note(register("a", &ann.email, PASSWORD).await, EmailTaken);
    let login = async |password: &str| {
        let body = json!({"email": ann.email, "password": password});
        server.call("POST", "/api/login").json(&body).send().await
    };
    for _ in 0..10 {
        met.note(login("wrong horse").await, InvalidCredentials);
    }
    met.note(login(PASSWORD).await, RateLimited);
    met.note(server.call("GET", "/api/users/profile").send().await, Unauthorized);
    let closed = TestServer::with(|config| config.registration_open = false).await;
    let body = json!({"name": "a", "email": "a@example.com", "password": PASSWORD});
    met.note(closed.call("POST", "/api/register").json(&body).send().await, RegistrationClosed);
}

async fn forms(met: &mut Met, ann: &TestUser, session: &str) {
    use ErrorCode::*;
    let send = paths::messages(session);
    met.note(ann.call("POST", &send).body("application/json", "{").send().await, InvalidJson);
    met.note(ann.post(&send, json!({})).await, MissingField);
    met.note(ann.post(&send, json!({"content": ""})).await, InvalidContent);
    let url = json!({"content": "a", "file_url": "a"});
    met.note(ann.post(&send, url).await, InvalidFileUrl);
    let id = json!({"content": "a", "client_id": ""});
    met.note(ann.post(&send, id).await, InvalidClientId);
    met.note(ann.post(&send, json!({"content": "x".repeat(65_537)})).await, ContentTooLarge);
    let large = "{".repeat(524_289);
    met.note(ann.call("POST", &send).body("application/json", large).send().await, BodyTooLarge);
    met.note(ann.call("POST", &send).body("text/plain", "{}").send().await, UnsupportedMediaType);
    met.note(ann.post(paths::SESSIONS, json!({"title": ""})).await, InvalidTitle);
    met.note(ann.get(&paths::session("x")).await, InvalidId);
    met.note(ann.get(&format!("{send}?limit=0")).await, InvalidQuery);
    met.note(ann.get("/nothing").await, NotFound);
    met.note(ann.delete("/healthz").await, MethodNotAllowed);
}

async fn rights(met: &mut Met, server: &TestServer, ann: &TestUser, session: &str) {
    use ErrorCode::*;
    let (bob, eve) = (server.user("bob").await, server.user("eve").await);
    ann.add(session, &bob).await;
    let (members, send) = (paths::participants(session), paths::messages(session));
    met.note(eve.get(&send).await, NotAMember);
    met.note(bob.delete(&paths::session(session)).await, NotSessionOwner);
    met.note(ann.post(&send, json!({"content": "a", "is_ai_message": true})).await, NotAnAgent);
    let said = ann.say(session, "ann's").await;
    let message = paths::message(session, text(&said["id"]));
    met.note(bob.delete(&message).await, NotMessageSender);
    let nobody = protocol::UserId::new().to_string();
    met.note(ann.get(&paths::session(&nobody)).await, SessionNotFound);
    met.note(ann.post(&members, json!({"user_id": nobody})).await, UserNotFound);
    met.note(ann.delete(&paths::participant(session, &nobody)).await, ParticipantNotFound);
    met.note(ann.delete(&paths::message(session, &nobody)).await, MessageNotFound);
    met.note(ann.post(&members, json!({"user_id": bob.id})).await, AlreadyParticipant);
    met.note(ann.call("POST", &paths::leave(session)).send().await, OwnerCannotLeave);
    let body = json!({"content": "a", "client_id": "k"});
    let first = ann.post(&send, body.clone()).await.expect(201);
    met.note(ann.post(&send, json!({"content": "b", "client_id": "k"})).await, ClientIdReused);
    ann.unsay(session, &first).await;
    met.note(ann.post(&send, body).await, MessageDeleted);
    met.note(ann.get(&paths::events(session, "after=999")).await, PositionUnknown);
}

async fn sockets(met: &mut Met, ann: &TestUser, session: &str) {
    use ErrorCode::*;
    let bearer = format!("token={}", ann.token);
    met.note(ann.refused(&bearer, None).await, MissingSessionId);
    let query = format!("{bearer}&session_id={session}");
    met.note(ann.call("GET", &format!("/ws?session_id={session}")).send().await, UpgradeRequired);
    let evil = [("origin", "https://evil.example")];
    let refused = crate::support::Socket::dial(ann.authority(), &query, &evil).await;
    met.note(*refused.err().expect("refused"), OriginNotAllowed);
}

#[tokio::test]
async fn every_code_has_its_status_and_its_reason() {
    let mut met = Met::default();
    accounts(&mut met).await;
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let session = ann.create_session().await;
    forms(&mut met, &ann, &session).await;
    rights(&mut met, &server, &ann, &session).await;
    sockets(&mut met, &ann, &session).await;
    let elsewhere = [ErrorCode::Unavailable, ErrorCode::Internal, ErrorCode::RequestTimeout];
    let missing: Vec<_> = ErrorCode::ALL
        .iter()
        .filter(|code| !met.0.contains(code) && !elsewhere.contains(code))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(elsewhere.iter().all(|code| !met.0.contains(code)));
}
