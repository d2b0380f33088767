//! Bodies, queries and ids as no decent client would send them: a clear 4xx, whatever it is.

use serde_json::{Value, json};

use crate::support::{Answer, Call, TestServer, TestUser, paths, text};

/// Every call that takes a body: method, path, a good body.
struct Calls {
    ann: TestUser,
    session: String,
    message: String,
}

impl Calls {
    async fn new(server: &TestServer) -> Self {
        let ann = server.register("ann", "correct horse battery").await;
        let session = ann.create_session().await;
        let message = ann.say(&session, "to edit").await;
        Self { ann, session, message: text(&message["id"]).to_owned() }
    }

    fn all(&self) -> Vec<(&'static str, String)> {
        let session = &self.session;
        vec![
            ("POST", "/api/register".into()),
            ("POST", "/api/login".into()),
            ("PUT", "/api/users/password".into()),
            ("POST", paths::SESSIONS.into()),
            ("PATCH", paths::session(session)),
            ("POST", paths::participants(session)),
            ("POST", paths::messages(session)),
            ("PATCH", paths::message(session, &self.message)),
            ("POST", paths::read(session)),
        ]
    }
}

#[tokio::test]
async fn what_is_no_plain_json_object_is_invalid_json_everywhere() {
    let server = TestServer::start().await;
    let calls = Calls::new(&server).await;
    let deep = format!(
        r#"{{"content":"a","title":"a","x":{}{}}}"#,
        "[".repeat(20_000),
        "]".repeat(20_000)
    );
    let deep_objects = format!("{}1{}", r#"{"x":"#.repeat(20_000), "}".repeat(20_000));
    let bodies: &[&[u8]] = &[
        b"",
        b" ",
        b"[]",
        b"null",
        b"true",
        b"5",
        b"\"a\"",
        b"{",
        b"}",
        b"{}{}",
        b"{} x",
        b"{\"a\"}",
        b"{'a':1}",
        b"{a:1}",
        b"{\"a\":1,}",
        b"{\"a\":01}",
        b"{\"a\":1e999}",
        b"{\"a\":NaN}",
        b"{\"a\":1,\"a\":2}",
        b"{\"content\":\"a\",\"content\":\"a\"}",
        b"{\"x\":[{\"a\":1,\"a\":1}]}",
        b"{\"a\":1,\"\\u0061\":2}",
        b"{\"title\":\"\\ud800\"}",
        b"{\"title\":\"\\udc00\\ud800\"}",
        b"{\"title\":\"\\x\"}",
        b"{\"title\":\"a\nb\"}",
        b"{\"title\":\"\xff\"}",
        b"{\"\xc0\xaf\":1}",
        b"{\"title\":\"\xed\xa0\x80\"}",
        b"\xef\xbb\xbf{\"title\":\"bom\"}",
        b"{\x00\"\x00t\x00\"\x00:\x001\x00}\x00",
        b"\xff\xfe{\0}\0",
        b"// no\n{}",
        b"{\"title\":\"a\"}\0",
        deep.as_bytes(),
        deep_objects.as_bytes(),
    ];
    for (method, path) in calls.all() {
        for body in bodies {
            let call = calls.ann.call(method, &path).body("application/json", body.to_vec());
            let shown = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
            let answer = call.send().await;
            assert_eq!(answer.error(400), "invalid_json", "{method} {path}: {shown}");
        }
    }
}

#[tokio::test]
async fn only_json_in_utf8_that_is_not_compressed_is_taken() {
    let server = TestServer::start().await;
    let calls = Calls::new(&server).await;
    for (method, path) in calls.all() {
        let call = || calls.ann.call(method, &path);
        for (why, call) in [
            ("no type", call().bare("{}")),
            ("text", call().body("text/plain", "{}")),
            ("a form", call().body("application/x-www-form-urlencoded", "title=a")),
            ("parts", call().body("multipart/form-data; boundary=x", "--x--")),
            ("XML", call().body("application/xml", "<a/>")),
            ("another JSON", call().body("application/jsonp", "{}")),
            ("Latin-1", call().body("application/json; charset=iso-8859-1", "{}")),
            ("UTF-16", call().body("application/json; charset=utf-16", "{}")),
            ("twice", call().body("application/json", "{}").header("content-type", "text/plain")),
            ("noise", call().header("content-type", b"\xff").bare("{}")),
            ("gzip", call().body("application/json", "{}").header("content-encoding", "gzip")),
            (
                "br",
                call().body("application/json", "{}").header("content-encoding", "identity, br"),
            ),
        ] {
            let answer = call.send().await;
            assert_eq!(answer.error(415), "unsupported_media_type", "{method} {path}: {why}");
        }
    }
    let create =
        |kind: &str| calls.ann.call("POST", paths::SESSIONS).body(kind, r#"{"title":"ä"}"#);
    for good in [
        "application/json",
        "Application/JSON;charset=UTF-8",
        "application/json; charset=\"utf-8\"",
    ] {
        create(good).send().await.expect(201);
    }
    create("application/json").header("content-encoding", "identity").send().await.expect(201);
}

/// A body of exactly so many bytes.
fn padded(start: &str, bytes: usize) -> String {
    format!("{start}{}\"}}", "x".repeat(bytes - start.len() - 2))
}

#[tokio::test]
async fn the_largest_body_is_taken_and_one_byte_more_is_not() {
    let server = TestServer::start().await;
    let calls = Calls::new(&server).await;
    let start = r#"{"title":"a","content":"a","seq":0,"x":""#;
    for (method, path) in calls.all() {
        let call =
            |bytes| calls.ann.call(method, &path).body("application/json", padded(start, bytes));
        let fits = call(524_288).send().await;
        assert_ne!(fits.status, 413, "{method} {path}: {}", fits.text);
        assert_eq!(call(524_289).send().await.error(413), "body_too_large", "{method} {path}");
        assert_eq!(call(3_000_000).send().await.error(413), "body_too_large", "{method} {path}");
    }
    // The same without a length before it.
    let mut raw = server.raw().await;
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
        paths::SESSIONS,
        calls.ann.token,
    );
    raw.send(&head).await;
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    for _ in 0..9 {
        if !raw.send(&chunk).await {
            break;
        }
    }
    assert_eq!(raw.answer().await.expect("an answer").error(413), "body_too_large");
}

#[tokio::test]
async fn a_body_in_chunks_is_as_good_as_one_with_a_length() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let mut raw = server.raw().await;
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
        paths::SESSIONS,
        ann.token,
    );
    raw.send(&head).await;
    raw.send(
        "8;ext=1\r\n{\"title\"\r\n2\r\n:\"\r\n4\r\nabc\"\r\n1\r\n}\r\n0\r\nTrailer: x\r\n\r\n",
    )
    .await;
    let created = raw.answer().await.expect("an answer").expect(201);
    assert_eq!(text(&created["title"]), "abc");
    raw.send(head).await;
    raw.send("zz\r\n").await;
    assert_eq!(raw.answer().await.map_or(400, |answer| answer.status), 400);
    ann.get(paths::SESSIONS).await.expect(200);
}

#[tokio::test]
async fn an_id_is_a_uuid_in_its_hyphenated_form() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let session = ann.create_session().await;
    let id = "0192f0c1-2345-7abc-8def-0123456789ab";
    let simple = id.replace('-', "");
    for bad in [
        "x",
        &simple,
        "%7B0192f0c1-2345-7abc-8def-0123456789ab%7D",
        "%00",
        "%ff",
        "..%2f",
        "%F0%9F%98%80",
        "0192f0c1-2345-7abc-8def-0123456789ag",
        "urn:uuid:0192f0c1-2345-7abc-8def-0123456789ab",
        "1",
        &"a".repeat(3_000),
    ] {
        let body =
            |call: Call| call.json(&json!({"title": "a", "content": "a", "seq": 0, "user_id": id}));
        for call in [
            ann.call("GET", &paths::session(bad)),
            body(ann.call("PATCH", &paths::session(bad))),
            ann.call("DELETE", &paths::session(bad)),
            ann.call("GET", &paths::participants(bad)),
            body(ann.call("POST", &paths::participants(bad))),
            ann.call("DELETE", &paths::participant(bad, id)),
            ann.call("DELETE", &paths::participant(&session, bad)),
            ann.call("POST", &paths::leave(bad)),
            body(ann.call("POST", &paths::read(bad))),
            ann.call("GET", &paths::messages(bad)),
            body(ann.call("POST", &paths::messages(bad))),
            body(ann.call("PATCH", &paths::message(bad, id))),
            body(ann.call("PATCH", &paths::message(&session, bad))),
            ann.call("DELETE", &paths::message(&session, bad)),
            ann.call("GET", &paths::events(bad, "")),
        ] {
            assert_eq!(call.send().await.error(400), "invalid_id", "{bad:.60}");
        }
    }
}

#[tokio::test]
async fn a_parameter_stands_once_in_every_query() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let session = ann.create_session().await;
    for path in [
        format!("{}?x=1&x=2", paths::SESSIONS),
        format!("{}?limit=1&%6cimit=1", paths::SESSIONS),
        format!("{}?after=1&after=1", paths::messages(&session)),
        format!("{}?limit=1&limit=1", paths::participants(&session)),
        paths::events(&session, "wait=0&wait=0"),
        "/api/users?email=a%40example.com&email=b%40example.com".to_owned(),
    ] {
        assert_eq!(ann.get(&path).await.error(400), "invalid_query", "{path}");
    }
    for fine in ["?", "?&&", "?x", "?x=%zz&y=%ff", "?limit=5&", "?%00=1"] {
        ann.get(&format!("{}{fine}", paths::SESSIONS)).await.expect(200);
    }
}

#[tokio::test]
async fn every_answer_has_its_id_and_forbids_sniffing() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let session = ann.create_session().await;
    let query = format!("session_id={session}&token={}", ann.token);
    let mut raw = server.raw().await;
    raw.send(crate::support::frames::head(&ann, &session, None)).await;
    let upgraded: Answer = raw.answer().await.expect("an answer");
    let answers = [
        ann.get(paths::SESSIONS).await,
        ann.post(paths::SESSIONS, json!({})).await,
        server.call("GET", paths::SESSIONS).send().await,
        server.call("GET", "/nothing/here").send().await,
        server.call("PUT", "/healthz").send().await,
        server.call("GET", "/healthz").send().await,
        server.call("GET", "/").send().await,
        server.call("OPTIONS", paths::SESSIONS).send().await,
        ann.refused(&query.replace("session_id", "x"), None).await,
        ann.call("GET", &format!("/ws?{query}")).send().await,
        ann.call("POST", &format!("/ws?{query}")).send().await,
        upgraded,
    ];
    let mut ids: Vec<_> = Vec::new();
    for answer in &answers {
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{answer:?}");
        ids.push(answer.header("x-request-id").expect("an id").to_owned());
        if answer.status >= 400 {
            let body: Value = answer.json();
            assert!(body["error"].is_string() && body["code"].is_string(), "{body}");
            assert_eq!(answer.header("content-type"), Some("application/json"));
        }
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), answers.len(), "no two alike");
}
