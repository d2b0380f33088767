//! Which browser pages may call: CORS over REST, `Origin` at the handshake.

use serde_json::json;

use crate::support::{Answer, Socket, TestServer, TestUser, paths};

async fn handshake(user: &TestUser, session: &str, origin: &str) -> Result<Socket, Box<Answer>> {
    let query = format!("session_id={session}&token={}", user.token);
    Socket::dial(user.authority(), &query, &[("origin", origin)]).await
}

#[tokio::test]
async fn own_and_loopback_pages_may_call_and_no_others() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let session = ann.create_session().await;
    let own = format!("http://{}", server.authority());
    for good in [
        &*own,
        "http://localhost:3000",
        "https://localhost",
        "http://127.0.0.1:5173",
        "http://[::1]:8080",
    ] {
        assert!(handshake(&ann, &session, good).await.is_ok(), "{good}");
        let answer = ann.call("GET", paths::SESSIONS).header("origin", good).send().await;
        assert_eq!(answer.header("access-control-allow-origin"), Some(good));
        assert_eq!(answer.header("access-control-allow-credentials"), None, "there are no cookies");
        assert_eq!(answer.status, 200);
    }
    for bad in [
        "https://evil.example",
        "null",
        "http://localhost.evil.example",
        "http://localhost@evil.example",
        "http://127.0.0.1.evil.example",
        "file://",
        "chrome-extension://abc",
    ] {
        let refused = handshake(&ann, &session, bad).await.err().expect(bad);
        assert_eq!(refused.error(403), "origin_not_allowed", "{bad}");
        let answer = ann.call("GET", paths::SESSIONS).header("origin", bad).send().await;
        assert_eq!(answer.header("access-control-allow-origin"), None, "{bad}");
        assert_eq!(answer.status, 200, "answered all the same");
    }
}

#[tokio::test]
async fn other_pages_can_be_allowed_by_name() {
    let server = TestServer::with(|config| {
        config.allowed_origins = vec!["https://app.example".into()];
    })
    .await;
    let ann = server.user("ann").await;
    let session = ann.create_session().await;
    for good in ["https://app.example", "http://localhost:1"] {
        assert!(handshake(&ann, &session, good).await.is_ok(), "{good}");
    }
    for bad in ["http://app.example", "https://app.example:8443", "https://other.app.example"] {
        assert!(handshake(&ann, &session, bad).await.is_err(), "{bad}");
    }
    let answer = ann.call("GET", paths::SESSIONS).header("origin", "https://app.example");
    let answer = answer.send().await;
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example"));
}

#[tokio::test]
async fn a_preflight_allows_all_that_a_client_needs() {
    let server = TestServer::start().await;
    let page = "http://localhost:3000";
    for path in [paths::SESSIONS, "/api/register", &paths::message("x", "y")] {
        let asked = server.call("OPTIONS", path).header("origin", page);
        let asked = asked.header("access-control-request-method", "PATCH");
        let asked = asked.header("access-control-request-headers", "authorization,content-type");
        let answer = asked.send().await;
        assert!(matches!(answer.status, 200 | 204), "{}", answer.status);
        assert_eq!(answer.header("access-control-allow-origin"), Some(page));
        let methods = answer.header("access-control-allow-methods").expect("methods").to_owned();
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            assert!(methods.contains(method), "{methods}");
        }
        let headers = answer.header("access-control-allow-headers").expect("headers");
        let headers = headers.to_ascii_lowercase();
        for name in ["authorization", "content-type", "idempotency-key", "last-event-id"] {
            assert!(headers.contains(name), "{headers}");
        }
    }
    let foreign = server.call("OPTIONS", paths::SESSIONS).header("origin", "https://evil.example");
    let foreign = foreign.header("access-control-request-method", "GET").send().await;
    assert_eq!(foreign.header("access-control-allow-origin"), None);
}

#[tokio::test]
async fn errors_can_be_read_by_the_page_too() {
    let server = TestServer::start().await;
    let page = "http://localhost:3000";
    for (method, path) in [("GET", "/nothing"), ("PUT", paths::SESSIONS), ("GET", paths::SESSIONS)]
    {
        let answer = server.call(method, path).header("origin", page).send().await;
        assert!(answer.status >= 400);
        assert_eq!(answer.header("access-control-allow-origin"), Some(page), "{path}");
        let exposed = answer.header("access-control-expose-headers").expect("headers");
        let exposed = exposed.to_ascii_lowercase();
        for name in ["link", "retry-after", "x-request-id"] {
            assert!(exposed.contains(name), "{exposed}");
        }
    }
}

#[tokio::test]
async fn the_origin_is_judged_after_the_token_and_before_all_else() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let evil = [("origin", "https://evil.example")];
    let dial = async |query: &str| {
        *Socket::dial(server.authority(), query, &evil).await.err().expect("refused")
    };
    assert_eq!(dial("session_id=x&token=x").await.error(401), "unauthorized");
    let known = dial(&format!("session_id=x&after=x&token={}", ann.token)).await;
    assert_eq!(known.error(403), "origin_not_allowed");
    let body = json!({"title": "from elsewhere"});
    let answer = ann.call("POST", paths::SESSIONS).header("origin", "https://evil.example");
    answer.json(&body).send().await.expect(201);
}
