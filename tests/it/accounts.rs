//! Accounts: register, log in, profile, password, finding others by email.

use serde_json::{Value, json};

use crate::support::{TestServer, fields, text};

const PASSWORD: &str = "correct horse battery";

async fn register(server: &TestServer, email: &str) -> Value {
    let body = json!({"name": "Ann", "email": email, "password": PASSWORD});
    server.call("POST", "/api/register").json(&body).send().await.expect(201)
}

#[tokio::test]
async fn whoever_registers_is_signed_in() {
    let server = TestServer::start().await;
    let body = json!({"name": " Ann ü ", "email": "Ann@Example.com", "password": PASSWORD});
    let signed = server.call("POST", "/api/register").json(&body).send().await.expect(201);
    assert_eq!(fields(&signed), ["token", "user"]);
    let user = &signed["user"];
    assert_eq!(fields(user), ["created_at", "email", "id", "kind", "name"]);
    assert_eq!((text(&user["name"]), text(&user["email"])), ("Ann ü", "Ann@Example.com"));
    assert_eq!(user["kind"], "human");
    assert_eq!(text(&user["id"]).as_bytes()[14], b'7', "new ids are of version 7");
    let created_at = text(&user["created_at"]);
    assert!(created_at.len() == 27 && created_at.ends_with('Z'), "microseconds in UTC");
    let profile = server.call("GET", "/api/users/profile").bearer(text(&signed["token"]));
    assert_eq!(profile.send().await.expect(200), *user);
}

#[tokio::test]
async fn an_email_is_one_account_in_any_case() {
    let server = TestServer::start().await;
    let first = register(&server, "ann@example.com").await;
    let again = json!({"name": "Eve", "email": "ANN@Example.Com", "password": PASSWORD});
    let taken = server.call("POST", "/api/register").json(&again).send().await;
    assert_eq!(taken.error(409), "email_taken");
    let login = json!({"email": "Ann@EXAMPLE.com", "password": PASSWORD});
    let signed = server.call("POST", "/api/login").json(&login).send().await.expect(200);
    assert_eq!(fields(&signed), ["token", "user"]);
    assert_eq!(signed["user"], first["user"]);
}

#[tokio::test]
async fn an_unknown_email_and_a_wrong_password_get_one_answer() {
    let server = TestServer::start().await;
    let ann = server.register("ann", PASSWORD).await;
    let login = async |email: &str, password: &str| {
        let body = json!({"email": email, "password": password});
        server.call("POST", "/api/login").json(&body).send().await
    };
    let wrong = login(&ann.email, "wrong horse battery").await;
    let unknown = login("nobody@example.com", PASSWORD).await;
    assert_eq!((wrong.status, &wrong.text), (unknown.status, &unknown.text));
    assert_eq!(wrong.error(401), "invalid_credentials");
    login(&ann.email, PASSWORD).await.expect(200);
}

#[tokio::test]
async fn what_is_wrong_with_a_registration_is_told() {
    let server = TestServer::start().await;
    let good = json!({"name": "Ann", "email": "ann@example.com", "password": PASSWORD});
    let long_email = format!("{}@example.com", "a".repeat(254 - 11));
    for (field, value, code) in [
        ("name", json!("-"), "missing_field"),
        ("name", json!(null), "missing_field"),
        ("name", json!(""), "invalid_name"),
        ("name", json!(" \t "), "invalid_name"),
        ("name", json!("a\u{0}b"), "invalid_name"),
        ("name", json!("ü".repeat(101)), "invalid_name"),
        ("name", json!(5), "invalid_name"),
        ("email", json!("-"), "missing_field"),
        ("email", json!("ann"), "invalid_email"),
        ("email", json!("@example.com"), "invalid_email"),
        ("email", json!("ann@"), "invalid_email"),
        ("email", json!("a nn@example.com"), "invalid_email"),
        ("email", json!(long_email), "invalid_email"),
        ("email", json!(["ann@example.com"]), "invalid_email"),
        ("password", json!("-"), "missing_field"),
        ("password", json!("7 chars"), "invalid_password"),
        ("password", json!("ü".repeat(129)), "invalid_password"),
        ("password", json!(true), "invalid_password"),
        ("password", json!("password"), "password_too_common"),
        ("password", json!("12345678"), "password_too_common"),
        ("password", json!("QWERTYUIOP"), "password_too_common"),
    ] {
        let body = crate::support::token::with(&good, json!({field: value}));
        let answer = server.call("POST", "/api/register").json(&body).send().await;
        assert_eq!(answer.error(400), code, "{field} {value}");
    }
}

#[tokio::test]
async fn names_emails_and_passwords_may_be_as_long_as_they_may() {
    let server = TestServer::start().await;
    for (name, password) in
        [("ü".repeat(100), "8 chärs!".to_owned()), ("x".into(), "ü".repeat(128))]
    {
        let email = format!("{}{}@example.com", name.len() % 10, "a".repeat(254 - 13));
        assert_eq!(email.len(), 254);
        let body = json!({"name": name, "email": email, "password": password});
        let signed = server.call("POST", "/api/register").json(&body).send().await.expect(201);
        assert_eq!(text(&signed["user"]["name"]), name);
        let login = json!({"email": email, "password": password});
        server.call("POST", "/api/login").json(&login).send().await.expect(200);
    }
}

#[tokio::test]
async fn a_new_password_ends_older_tokens_and_their_sockets() {
    let server = TestServer::start().await;
    let ann = server.register("ann", PASSWORD).await;
    let login = json!({"email": ann.email, "password": PASSWORD});
    let second = server.call("POST", "/api/login").json(&login).send().await.expect(200);
    let second = ann.by(text(&second["token"]));
    let bob = server.user("bob").await;
    let session = ann.create_session_with(&[&bob]).await;
    let sockets = [ann.plain(&session, "").await, second.v1().await];
    let mut others = bob.plain(&session, "").await;
    let change = json!({"password": PASSWORD, "new_password": "another long one"});
    let changed = ann.put("/api/users/password", change).await.expect(200);
    assert_eq!(fields(&changed), ["token"]);
    for older in [&ann, &second] {
        assert_eq!(older.get("/api/users/profile").await.error(401), "unauthorized");
    }
    for socket in sockets {
        assert_eq!(socket.closed().await, 4501);
    }
    let newer = ann.by(text(&changed["token"]));
    newer.say(&session, "still here").await;
    assert_eq!(others.contents_before("still here").await, [""; 0]);
    assert_eq!(server.call("POST", "/api/login").json(&login).send().await.status, 401);
    let login = json!({"email": ann.email, "password": "another long one"});
    server.call("POST", "/api/login").json(&login).send().await.expect(200);
}

#[tokio::test]
async fn of_many_changes_of_a_password_at_once_one_counts() {
    let server = TestServer::start().await;
    let ann = server.register("ann", PASSWORD).await;
    let change = async |n: usize| {
        let word = format!("another long one {n}");
        let body = json!({"password": PASSWORD, "new_password": word});
        (ann.put("/api/users/password", body).await, word)
    };
    let answers = tokio::join!(change(1), change(2), change(3), change(4));
    let answers = [answers.0, answers.1, answers.2, answers.3];
    let changed: Vec<_> = answers.iter().filter(|(answer, _)| answer.status == 200).collect();
    assert_eq!(changed.len(), 1, "the others had a password that is not the present one");
    assert!(answers.iter().all(|(answer, _)| [200, 401].contains(&answer.status)));
    let (answer, word) = changed[0];
    let newer = ann.by(text(&answer.json()["token"]));
    newer.get("/api/users/profile").await.expect(200);
    let login = json!({"email": ann.email, "password": word});
    server.call("POST", "/api/login").json(&login).send().await.expect(200);
}

#[tokio::test]
async fn a_password_changes_only_for_who_knows_it() {
    let server = TestServer::start().await;
    let ann = server.register("ann", PASSWORD).await;
    let wrong = json!({"password": "wrong horse", "new_password": "another long one"});
    assert_eq!(ann.put("/api/users/password", wrong).await.status, 401);
    for (body, code) in [
        (json!({"password": PASSWORD}), "missing_field"),
        (json!({"new_password": PASSWORD}), "missing_field"),
        (json!({"password": PASSWORD, "new_password": "short"}), "invalid_password"),
        (json!({"password": PASSWORD, "new_password": 5}), "invalid_password"),
        (json!({"password": PASSWORD, "new_password": "password"}), "password_too_common"),
    ] {
        assert_eq!(ann.put("/api/users/password", body).await.error(400), code);
    }
    ann.get("/api/users/profile").await.expect(200);
}

#[tokio::test]
async fn others_are_found_by_their_exact_email() {
    let server = TestServer::start().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let find = async |query: &str| ann.get(&format!("/api/users?{query}")).await;
    let found = find(&format!("email={}", bob.email.to_uppercase())).await.list();
    assert_eq!(found, [json!({"id": bob.id, "name": bob.name, "email": bob.email})]);
    assert_eq!(find(&format!("email=x{}", bob.email)).await.list(), [json!(null); 0]);
    assert_eq!(find("email=%25@example.com").await.list(), [json!(null); 0]);
    assert_eq!(find("").await.status, 400);
    assert_eq!(find("email=nothing").await.status, 400);
    let twice = find("email=a@example.com&email=a@example.com").await;
    assert_eq!(twice.error(400), "invalid_query");
}

#[tokio::test]
async fn registration_can_be_closed() {
    let server = TestServer::with(|config| config.registration_open = false).await;
    let register = server.call("POST", "/api/register");
    let body = json!({"name": "Ann", "email": "ann@example.com", "password": PASSWORD});
    assert_eq!(register.json(&body).send().await.error(403), "registration_closed");
}
