//! Throttles: who guesses or floods waits, and nobody locks another out.

use protocol::Timestamp;
use serde_json::json;

use crate::support::{Answer, TestServer};

const PASSWORD: &str = "correct horse battery";

/// A server behind a proxy that tells the address.
async fn behind_a_proxy() -> TestServer {
    TestServer::with(|config| {
        config.trusted_proxies = vec!["127.0.0.1".parse().expect("an address")];
    })
    .await
}

async fn login(server: &TestServer, email: &str, password: &str, address: &str) -> Answer {
    let body = json!({"email": email, "password": password});
    let call = server.call("POST", "/api/login").header("x-forwarded-for", address);
    call.json(&body).send().await
}

#[track_caller]
fn is_limited(answer: Answer) {
    let seconds = answer.header("retry-after").expect("a time").parse::<u64>();
    assert!((1..=300).contains(&seconds.expect("whole seconds")));
    assert_eq!(answer.error(429), "rate_limited");
}

#[tokio::test]
async fn ten_failed_logins_stop_the_account_at_that_address_alone() {
    let server = behind_a_proxy().await;
    let (ann, bob) =
        (server.register("ann", PASSWORD).await, server.register("bob", PASSWORD).await);
    for _ in 0..10 {
        let failed = login(&server, &ann.email, "wrong horse", "192.0.2.1").await;
        assert_eq!(failed.error(401), "invalid_credentials");
    }
    is_limited(login(&server, &ann.email, PASSWORD, "192.0.2.1").await);
    is_limited(login(&server, &ann.email.to_uppercase(), PASSWORD, "192.0.2.1").await);
    login(&server, &ann.email, PASSWORD, "192.0.2.2").await.expect(200);
    login(&server, &bob.email, PASSWORD, "192.0.2.1").await.expect(200);
}

#[tokio::test]
async fn who_may_not_try_a_password_any_more_hears_so_before_the_body_is_looked_at() {
    let server = TestServer::start().await;
    let ann = server.register("ann", PASSWORD).await;
    let path = "/api/users/password";
    let wrong = json!({"password": "wrong horse", "new_password": "another long one"});
    for _ in 0..10 {
        assert_eq!(ann.put(path, wrong.clone()).await.error(401), "invalid_credentials");
    }
    let large = "x".repeat(524_289);
    for (kind, body) in [
        ("application/json", wrong.to_string()),
        ("application/json", large),
        ("application/json", "{".to_owned()),
        ("text/plain", "{}".to_owned()),
    ] {
        is_limited(ann.call("PUT", path).body(kind, body).send().await);
    }
    assert_eq!(server.call("PUT", path).send().await.error(401), "unauthorized");
}

#[tokio::test]
async fn logins_that_succeed_do_not_count() {
    let server = TestServer::start().await;
    let ann = server.register("ann", PASSWORD).await;
    for _ in 0..12 {
        login(&server, &ann.email, PASSWORD, "").await.expect(200);
    }
}

#[tokio::test]
async fn what_a_client_says_about_its_address_is_not_believed() {
    let server = TestServer::start().await;
    let ann = server.register("ann", PASSWORD).await;
    for n in 0..10 {
        login(&server, &ann.email, "wrong horse", &format!("192.0.2.{n}")).await;
    }
    is_limited(login(&server, &ann.email, PASSWORD, "192.0.2.99").await);
}

#[tokio::test]
async fn an_address_fails_300_times_and_no_more() {
    // Fewer here, as each costs a hash: the setting is the same that has 300 by default.
    let server = TestServer::with(|config| {
        assert_eq!(config.throttling.failures_per_address.max, 300);
        config.throttling.failures_per_address.max = 12;
        config.trusted_proxies = vec!["127.0.0.1".parse().expect("an address")];
    })
    .await;
    let ann = server.register("ann", PASSWORD).await;
    for n in 0..12 {
        let email = format!("nobody-{n}@example.com");
        assert_eq!(login(&server, &email, "wrong horse", "192.0.2.1").await.status, 401);
    }
    is_limited(login(&server, &ann.email, PASSWORD, "192.0.2.1").await);
    login(&server, &ann.email, PASSWORD, "192.0.2.2").await.expect(200);
}

#[tokio::test]
async fn an_address_registers_60_times_a_minute_and_no_more() {
    let server = TestServer::with(|config| {
        assert_eq!(config.throttling.registrations.max, 60);
        config.throttling.registrations.max = 5;
    })
    .await;
    for n in 0..5 {
        server.register(&format!("user{n}"), PASSWORD).await;
    }
    let body = json!({"name": "Eve", "email": "eve@example.com", "password": PASSWORD});
    is_limited(server.call("POST", "/api/register").json(&body).send().await);
    // Before anything is looked at.
    is_limited(server.call("POST", "/api/register").body("text/plain", "{").send().await);
}

#[tokio::test]
async fn lookups_of_others_are_throttled() {
    let server = TestServer::with(|config| config.throttling.lookups.max = 3).await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let find = format!("/api/users?email={}", bob.email);
    for _ in 0..3 {
        ann.get(&find).await.expect(200);
    }
    is_limited(ann.get(&find).await);
    bob.get(&find).await.expect(200);
}

#[tokio::test]
async fn messages_of_one_user_can_be_limited_by_the_second() {
    let server = TestServer::with(|config| config.message_rate_max = 2).await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let session = ann.create_session_with(&[&bob]).await;
    let path = crate::support::paths::messages(&session);
    let began = Timestamp::now();
    let mut statuses = Vec::new();
    for _ in 0..6 {
        statuses.push(ann.post(&path, json!({"content": "a"})).await.status);
    }
    if Timestamp::now().as_ms() - began.as_ms() < 1_000 {
        assert!(statuses.contains(&429), "{statuses:?}");
    }
    assert_eq!(statuses[..2], [201, 201]);
    bob.say(&session, "not mine").await;
}
