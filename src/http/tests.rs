//! The door as a whole, without a socket: requests go straight into the router.

use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use http::header::{ACCEPT, ALLOW, AUTHORIZATION, CONTENT_TYPE, HOST, LINK, ORIGIN};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use protocol::limits::BODY_BYTES_MAX;
use protocol::{ErrorCode, SessionId};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::app::{App, Backend};
use crate::config::{Config, Sources};

/// A router over a store of its own.
struct House {
    app: App,
    router: Router,
    backend: Backend,
    _data_dir: tempfile::TempDir,
}

struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl Reply {
    fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or("none")
    }
}

impl House {
    async fn open() -> Self {
        let data_dir = tempfile::tempdir().expect("a folder");
        let (app, backend) = App::open(config(data_dir.path())).await.expect("the store opens");
        let router = super::router(app.clone());
        Self { app, router, backend, _data_dir: data_dir }
    }

    async fn close(self) {
        drop((self.app, self.router));
        self.backend.close().await;
    }

    async fn answer(&self, request: Request<Body>) -> Response {
        self.router.clone().oneshot(request).await.expect("a router does not fail")
    }

    async fn send(&self, request: Request<Body>) -> Reply {
        let (parts, body) = self.answer(request).await.into_parts();
        let bytes = body.collect().await.expect("a whole body").to_bytes();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Reply { status: parts.status, headers: parts.headers, body }
    }

    async fn get(&self, path: &str, token: &str) -> Reply {
        self.send(request("GET", path, token).body(Body::empty()).expect("a request")).await
    }

    async fn call(&self, method: &str, path: &str, token: &str, body: Value) -> Reply {
        let request = request(method, path, token).header(CONTENT_TYPE, "application/json");
        self.send(request.body(Body::from(body.to_string())).expect("a request")).await
    }

    /// Registers somebody: token and id.
    async fn user(&self, name: &str) -> (String, String) {
        let email = format!("{name}@example.com");
        let body = json!({"name": name, "email": email, "password": "a long pass phrase"});
        let reply = self.call("POST", "/api/register", "", body).await;
        assert_eq!(reply.status, 201, "{}", reply.body);
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        (text(&reply.body["token"]), text(&reply.body["user"]["id"]))
    }

    /// Creates a session: the path of it.
    async fn session(&self, token: &str) -> String {
        let reply = self.call("POST", "/api/chat/sessions", token, json!({"title": "a"})).await;
        assert_eq!(reply.status, 201, "{}", reply.body);
        format!("/api/chat/sessions/{}", reply.body["id"].as_str().expect("an id"))
    }
}

fn config(data_dir: &Path) -> Config {
    let flags = vec![("data_dir".to_owned(), vec![data_dir.display().to_string()])];
    let given = Sources { file: None, environment: Vec::new(), flags }.read();
    Config::new(&given.expect("settings")).expect("right settings")
}

fn request(method: &str, path: &str, token: &str) -> http::request::Builder {
    let request = Request::builder().method(method).uri(path).header(HOST, "chat.example");
    if token.is_empty() {
        request
    } else {
        request.header(AUTHORIZATION, format!("Bearer {token}"))
    }
}

#[tokio::test]
async fn every_documented_call_has_a_route() {
    let house = House::open().await;
    let document = house.get("/openapi.json", "").await.body;
    let paths = document["paths"].as_object().expect("paths");
    for (path, methods) in paths.iter().filter(|(path, _)| *path != "/ws") {
        let path: Vec<_> = path.split('/').collect();
        let filled = path.iter().map(|part| match part.strip_prefix('{') {
            Some(_) => SessionId::new().to_string(),
            None => (*part).to_owned(),
        });
        let filled = filled.collect::<Vec<_>>().join("/");
        for (method, _) in methods.as_object().expect("methods") {
            let reply = house.call(&method.to_uppercase(), &filled, "", json!({})).await;
            let code = reply.code();
            assert!(!matches!(code, "not_found" | "method_not_allowed"), "{method} {filled}");
        }
    }
    house.close().await;
}

#[test]
fn every_code_is_in_the_catalogue_of_errors() {
    let text = include_str!("../../docs/errors.md");
    for code in ErrorCode::ALL {
        let row = format!("| `{}` | {} |", code.code(), code.status());
        assert!(text.contains(&row), "{row}");
    }
}

#[tokio::test]
async fn the_first_of_several_answers_is_the_contracts() {
    let house = House::open().await;
    let (ada, _) = house.user("ada").await;
    let (eve, _) = house.user("eve").await;
    let session = house.session(&ada).await;
    let (messages, id) = (format!("{session}/messages"), SessionId::new());
    let nowhere = format!("/api/chat/sessions/{id}/messages");
    let (message, guest) = (format!("{messages}/{id}"), format!("{session}/participants/{id}"));
    let large = "x".repeat(BODY_BYTES_MAX + 1);
    let (no_id, plain, json) = ("/api/chat/sessions/x/messages", "text/plain", "application/json");
    let said = r#"{"content":"a"}"#;
    let check = async |call: (&str, &str), token: &str, (kind, body): (&str, &str), code| {
        let request = request(call.0, call.1, token).header(CONTENT_TYPE, kind);
        let body = Body::from(body.to_owned());
        let reply = house.send(request.body(body).expect("a request")).await;
        assert_eq!(reply.code(), code, "{call:?}");
        let known = ErrorCode::ALL.iter().find(|known| known.code() == code).expect("a code");
        assert_eq!(reply.status, known.status());
    };
    check(("POST", no_id), "bad", (plain, &large), "unauthorized").await;
    check(("POST", no_id), &ada, (plain, &large), "body_too_large").await;
    check(("POST", no_id), &ada, (plain, "?"), "unsupported_media_type").await;
    check(("POST", no_id), &ada, (json, "?"), "invalid_json").await;
    check(("POST", no_id), &ada, (json, said), "invalid_id").await;
    check(("POST", &nowhere), &ada, (json, r#"{"content":""}"#), "invalid_content").await;
    check(("POST", &nowhere), &ada, (json, said), "session_not_found").await;
    check(("POST", &messages), &eve, (json, said), "not_a_member").await;
    check(("PATCH", &message), &eve, (json, said), "not_a_member").await;
    check(("PATCH", &message), &ada, (json, said), "message_not_found").await;
    let no_guest = format!("{session}/participants/x");
    check(("DELETE", &no_guest), &eve, (json, ""), "invalid_id").await;
    check(("DELETE", &guest), &eve, (json, ""), "not_session_owner").await;
    check(("DELETE", &guest), &ada, (json, ""), "participant_not_found").await;
    check(("POST", &format!("{session}/leave")), &ada, (json, ""), "owner_cannot_leave").await;
    check(("PUT", &messages), "bad", (json, ""), "method_not_allowed").await;
    check(("GET", &format!("{session}/")), "bad", (json, ""), "not_found").await;
    house.close().await;
}

#[tokio::test]
async fn what_is_given_twice_or_out_of_bounds_is_refused() {
    let house = House::open().await;
    let (token, _) = house.user("ada").await;
    let session = house.session(&token).await;
    for path in [
        format!("{session}/messages?limit=1&limit=1"),
        format!("{session}/messages?after=-1"),
        format!("{session}/messages?before=x"),
        format!("{session}/messages?limit=1001"),
        format!("{session}/events?wait=31"),
        format!("{session}/participants?before=x"),
        format!("{session}/participants?before={}", SessionId::new()),
        "/api/chat/sessions?limit=0".to_owned(),
        format!("/api/chat/sessions?before={}", SessionId::new()),
        "/api/users?email=a@b&email=a@b".to_owned(),
    ] {
        let reply = house.get(&path, &token).await;
        assert_eq!((reply.status.as_u16(), reply.code()), (400, "invalid_query"), "{path}");
    }
    assert_eq!(house.get("/api/users", &token).await.code(), "missing_field");
    assert_eq!(house.get(&format!("{session}?x=1&x=1&y"), &token).await.code(), "invalid_query");
    assert_eq!(house.get(&format!("{session}?x=1&y"), &token).await.status, 200);
    let twice = request("GET", &session, &token).header(AUTHORIZATION, "Bearer x");
    let reply = house.send(twice.body(Body::empty()).expect("a request")).await;
    assert_eq!(reply.code(), "invalid_query");
    for (keys, code) in [(&["k", "k"][..], "invalid_query"), (&[""], "invalid_client_id")] {
        let mut request = request("POST", &format!("{session}/messages"), &token)
            .header(CONTENT_TYPE, "application/json");
        for key in keys {
            request = request.header("idempotency-key", *key);
        }
        let body = Body::from(r#"{"content":"a"}"#);
        let reply = house.send(request.body(body).expect("a request")).await;
        assert_eq!(reply.code(), code);
    }
    house.close().await;
}

#[tokio::test]
async fn every_answer_has_its_headers() {
    let house = House::open().await;
    for path in ["/", "/docs", "/healthz", "/readyz", "/nothing", "/api/users/profile"] {
        let reply = house.get(path, "").await;
        assert!(reply.headers.contains_key("x-request-id"), "{path}");
        assert_eq!(reply.headers["x-content-type-options"], "nosniff", "{path}");
        let keep = if path == "/" { "no-cache" } else { "no-store" };
        assert_eq!(reply.headers["cache-control"], keep, "{path}");
        if reply.headers[CONTENT_TYPE] == "text/html; charset=utf-8" {
            assert!(
                reply.headers["content-security-policy"]
                    .as_bytes()
                    .starts_with(b"default-src 'none'")
            );
        }
    }
    let reply = house.call("PUT", "/api/chat/sessions", "", json!({})).await;
    assert_eq!(reply.headers[ALLOW], "POST,GET,HEAD");
    let named = request("GET", "/healthz", "").header("x-request-id", "my-id.1");
    let reply = house.send(named.body(Body::empty()).expect("a request")).await;
    assert_eq!(reply.headers["x-request-id"], "my-id.1");
    let head = request("HEAD", "/healthz", "").body(Body::empty()).expect("a request");
    assert_eq!(house.send(head).await.status, 200);
    house.close().await;
}

#[tokio::test]
async fn the_page_is_asked_for_each_time_and_its_files_are_kept() {
    let house = House::open().await;
    let page = house.get("/", "").await;
    let known = |etag: &str| {
        let request = request("GET", "/", "").header("if-none-match", etag);
        request.body(Body::empty()).expect("a request")
    };
    let etag = page.headers["etag"].to_str().expect("text").to_owned();
    assert_eq!(house.send(known(&etag)).await.status, 304);
    assert_eq!(house.send(known("W/\"0\"")).await.status, 200);

    let build = etag.trim_start_matches("W/").trim_matches('"');
    let file = house.get(&format!("/assets/{build}/view/shell.js"), "").await;
    assert_eq!(file.headers["cache-control"], "public, max-age=31536000, immutable");
    let vary: Vec<_> = file.headers.get_all("vary").iter().collect();
    assert_eq!(vary, ["accept-encoding", "Origin"]);
    for none in ["/assets/0/view/shell.js", &format!("/assets/{build}/view/none.js")] {
        assert_eq!(house.get(none, "").await.status, 404, "{none}");
    }
    house.close().await;
}

#[tokio::test]
async fn pages_of_allowed_origins_may_read_answers() {
    let house = House::open().await;
    let ask = async |method: &str, path: &str, origin: &str| {
        let request = request(method, path, "")
            .header(ORIGIN, origin)
            .header("access-control-request-method", "POST");
        house.send(request.body(Body::empty()).expect("a request")).await
    };
    let allowed = "access-control-allow-origin";
    for origin in ["http://localhost:3000", "https://chat.example"] {
        let reply = ask("GET", "/api/users/profile", origin).await;
        assert_eq!(reply.headers[allowed], origin);
        assert_eq!(reply.headers["vary"], "Origin");
        let reply = ask("OPTIONS", "/api/chat/sessions", origin).await;
        assert_eq!(
            (reply.status.as_u16(), &reply.headers[allowed]),
            (204, &origin.parse().expect("text"))
        );
        let headers = reply.headers["access-control-allow-headers"].to_str().expect("text");
        assert!(headers.contains("Authorization") && headers.contains("Idempotency-Key"));
        assert_eq!(reply.headers[ALLOW], "POST,GET,HEAD");
    }
    for method in ["GET", "OPTIONS"] {
        let reply = ask(method, "/api/chat/sessions", "https://evil.example").await;
        assert!(!reply.headers.contains_key(allowed));
        assert_eq!(reply.headers["vary"], "Origin");
    }
    house.close().await;
}

#[tokio::test]
async fn links_lead_through_all_messages_and_back() {
    let house = House::open().await;
    let (token, _) = house.user("ada").await;
    let path = format!("{}/messages", house.session(&token).await);
    for n in 1..=7 {
        let reply = house.call("POST", &path, &token, json!({"content": n.to_string()})).await;
        assert_eq!(reply.status, 201);
    }
    let walk = async |start: String, relation: &str| {
        let (mut pages, mut next) = (Vec::new(), Some(start));
        while let Some(path) = next {
            let reply = house.get(&path, &token).await;
            let messages = reply.body.as_array().expect("a list").iter();
            pages.push(messages.filter_map(|one| one["seq"].as_u64()).collect::<Vec<_>>());
            next = link(&reply.headers, relation);
        }
        pages
    };
    let back = walk(format!("{path}?limit=3"), "prev").await;
    assert_eq!(back, [vec![5, 6, 7], vec![2, 3, 4], vec![1]]);
    let forth = walk(format!("{path}?limit=3&after=0"), "next").await;
    assert_eq!(forth, [vec![1, 2, 3], vec![4, 5, 6], vec![7]]);
    assert_eq!(
        walk(format!("{path}?limit=3&before=3"), "next").await,
        [vec![1, 2], vec![3, 4, 5], vec![6, 7]]
    );
    assert_eq!(
        walk(format!("{path}?limit=2&after=1&before=5"), "next").await,
        [vec![2, 3], vec![4]]
    );
    assert_eq!(walk(format!("{path}?limit=3&after=5"), "prev").await[1], [3, 4, 5]);
    house.close().await;
}

/// The target of a relation in a `Link` header.
fn link(headers: &HeaderMap, relation: &str) -> Option<String> {
    let text = headers.get(LINK)?.to_str().expect("text");
    let relation = format!("rel=\"{relation}\"");
    let one = text.split(", ").find(|one| one.ends_with(&relation))?;
    Some(one[1..one.find('>').expect("a target")].to_owned())
}

#[tokio::test]
async fn a_stream_tells_events_and_ends_with_the_removal() {
    let house = House::open().await;
    let (owner, _) = house.user("ada").await;
    let (guest, guest_id) = house.user("bob").await;
    let session = house.session(&owner).await;
    let guests = format!("{session}/participants");
    let added = house.call("POST", &guests, &owner, json!({"email": "bob@example.com"})).await;
    assert_eq!(added.status, 201, "{}", added.body);
    let open = request("GET", &format!("{session}/events"), &guest)
        .header(ACCEPT, "text/event-stream")
        .header("last-event-id", "1");
    let response = house.answer(open.body(Body::empty()).expect("a request")).await;
    assert_eq!(response.headers()[CONTENT_TYPE], "text/event-stream");
    house.call("POST", &format!("{session}/messages"), &owner, json!({"content": "hi"})).await;
    let gone = house.call("DELETE", &format!("{guests}/{guest_id}"), &owner, json!({})).await;
    assert_eq!(gone.body, json!({"message": "participant removed"}));
    house.call("POST", &format!("{session}/messages"), &owner, json!({"content": "bye"})).await;
    let whole = tokio::time::timeout(Duration::from_secs(5), response.into_body().collect()).await;
    let bytes = whole.expect("it ends").expect("a whole body").to_bytes();
    let text = str::from_utf8(&bytes).expect("text");
    let ids: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("id: ")).collect();
    assert_eq!(ids, ["2", "3"], "{text}");
    assert!(text.starts_with(":\n\n") && !text.contains("bye"));
    house.close().await;
}

#[tokio::test]
async fn whoever_waits_is_answered_when_the_server_stops() {
    let house = House::open().await;
    let (token, _) = house.user("ada").await;
    let session = house.session(&token).await;
    let stop = house.app.stop.clone();
    let path = format!("{session}/events?wait=30");
    let waiting = house.get(&path, &token);
    let stopping = async {
        tokio::task::yield_now().await;
        stop.cancel();
    };
    let (reply, ()) = tokio::join!(waiting, stopping);
    assert_eq!((reply.status.as_u16(), &reply.body["events"]), (200, &json!([])));
    let reply = house.get("/readyz", "").await;
    assert_eq!((reply.status.as_u16(), reply.code()), (503, "unavailable"));
    assert!(reply.headers.contains_key("retry-after"));
    house.close().await;
}
