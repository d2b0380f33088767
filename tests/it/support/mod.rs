//! A server in process, and users who act through REST and the socket alone.
//!
//! [`TestServer`] listens on port 0 and keeps its own temporary folder; it can be stopped and
//! started again on it. [`TestUser`]s come by tokens of a host application, which needs no
//! password to be hashed. Nothing here sleeps to prove that something is absent or ready: send
//! a marker and read up to it.

mod http;
mod socket;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use assistdeck::auth::Secret;
use assistdeck::config::{Config, Given};
use assistdeck::server::Server;
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

pub use http::{Answer, Call};
pub use socket::{Socket, closed};

/// What host applications sign with here.
pub const SECRET: &str = "a secret of thirty-two bytes or more";

/// A server of its own for one test.
pub struct TestServer {
    server: Option<Server>,
    authority: String,
    folder: TempDir,
    adapt: fn(&mut Config),
}

impl TestServer {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// With other settings than the default.
    pub async fn with(adapt: fn(&mut Config)) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut server = Self { server: None, authority: String::new(), folder, adapt };
        server.open().await;
        server
    }

    async fn open(&mut self) {
        let mut config = Config::new(&Given::default()).expect("the defaults are valid");
        config.data_dir = self.folder.path().join("data");
        config.listen = vec!["127.0.0.1:0".parse().expect("an address")];
        config.jwt_secret = Secret::new(SECRET);
                (self.adapt)(&mut config);
        let server = Server::start(config).await.expect("the server starts");
        self.authority = server.addresses()[0].to_string();
        self.server = Some(server);
    }

    /// Stops in good order and starts again on the same folder, on another port.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.open().await;
    }

    pub async fn stop(&mut self) {
        self.server.take().expect("it runs").stop().await;
    }

    pub fn running(&self) -> &Server {
        self.server.as_ref().expect("it runs")
    }

    /// `127.0.0.1:port`.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    pub fn data_dir(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A call without a token.
    pub fn call(&self, method: &str, path: &str) -> Call {
        Call::new(&self.authority, method, path)
    }

    /// A human who is known from the first call on.
    pub async fn user(&self, name: &str) -> TestUser {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let id = Uuid::now_v7().to_string();
        let email = format!("{name}-{number}@example.com");
        let token = sign(&json!({
            "sub": id, "email": email, "name": name, "iat": now_s(), "exp": now_s() + 3600,
        }));
        let user = TestUser { id, email, token, authority: self.authority.clone() };
        user.get("/api/users/profile").await.expect(200);
        user
    }

    /// The same user at the server as it listens now.
    pub fn again(&self, user: &TestUser) -> TestUser {
        TestUser { authority: self.authority.clone(), ..user.clone() }
    }
}

/// Signs claims as a host application does.
pub fn sign(claims: &Value) -> String {
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::encode(&Header::default(), claims, &key).expect("claims can be signed")
}

pub fn now_s() -> i64 {
    protocol::Timestamp::now().0 / 1_000_000
}

/// Somebody with a token.
#[derive(Clone)]
pub struct TestUser {
    pub id: String,
    pub email: String,
    pub token: String,
    authority: String,
}

impl TestUser {
    pub fn call(&self, method: &str, path: &str) -> Call {
        Call::new(&self.authority, method, path).header("authorization", self.bearer())
    }

    pub fn bearer(&self) -> String {
        format!("Bearer {}", self.token)
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call("GET", path).send().await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.call("DELETE", path).send().await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call("POST", path).json(&body).send().await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.call("PATCH", path).json(&body).send().await
    }

    /// A new session of this user's; its id.
    pub async fn create_session(&self) -> String {
        let answer = self.post("/api/chat/sessions", json!({"title": "a session"})).await;
        answer.expect(201)["id"].as_str().expect("an id").to_owned()
    }

    /// Gives another user access.
    pub async fn add(&self, session: &str, other: &TestUser) -> Value {
        let path = format!("/api/chat/sessions/{session}/participants");
        self.post(&path, json!({"user_id": other.id})).await.expect(201)
    }

    /// Takes another user's access.
    pub async fn remove(&self, session: &str, other: &TestUser) {
        let path = format!("/api/chat/sessions/{session}/participants/{}", other.id);
        self.delete(&path).await.expect(200);
    }

    /// Sends a message over REST.
    pub async fn say(&self, session: &str, content: &str) -> Value {
        let path = format!("/api/chat/sessions/{session}/messages");
        self.post(&path, json!({"content": content})).await.expect(201)
    }

    /// All messages that this user sees.
    pub async fn history(&self, session: &str) -> Vec<Value> {
        let path = format!("/api/chat/sessions/{session}/messages?limit=1000");
        self.get(&path).await.expect(200).as_array().expect("an array").clone()
    }

    /// A plain socket on a session; `more` goes behind the query.
    pub async fn plain(&self, session: &str, more: &str) -> Socket {
        let query = format!("session_id={session}&token={}{more}", self.token);
        Socket::open(&self.authority, &query, None).await.expect("the handshake is accepted")
    }

    /// A socket of `assistdeck.v1`, past its `hello`.
    pub async fn v1(&self) -> Socket {
        let query = format!("token={}", self.token);
        let socket = Socket::open(&self.authority, &query, Some("assistdeck.v1")).await;
        let mut socket = socket.expect("the handshake is accepted");
        assert_eq!(socket.next().await["type"], "hello");
        socket
    }

    /// A socket of `assistdeck.v1` that follows one session and has caught up.
    pub async fn following(&self, session: &str) -> Socket {
        let mut socket = self.v1().await;
        socket.send(&json!({"type": "follow", "session_id": session})).await;
        socket.until("caught_up").await;
        socket
    }

    /// The answer to a handshake that is refused.
    pub async fn refused(&self, query: &str, protocol: Option<&str>) -> Answer {
        match Socket::open(&self.authority, query, protocol).await {
            Ok(_) => panic!("the handshake was accepted"),
            Err(answer) => *answer,
        }
    }
}
