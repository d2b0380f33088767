//! A server in process, and users who act through REST and the socket alone.
//!
//! [`TestServer`] listens on port 0 and keeps its own temporary folder; it can be stopped and
//! started again on it. [`TestUser`]s come by tokens of a host application, which needs no
//! password to be hashed. Nothing here sleeps to prove that something is absent or ready: send
//! a marker and read up to it.

#[path = "../../support/dice.rs"]
mod dice;
pub mod frames;
mod http;
#[path = "../../support/nats.rs"]
pub mod nats;
pub mod paths;
#[path = "../../support/postgres.rs"]
pub mod postgres;
mod raw;
mod socket;
mod stream;
pub mod token;
mod user;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use assistdeck::auth::{NewUser, Secret};
use assistdeck::chat::Chat;
use assistdeck::config::{BusKind, Config, Given, Hidden};
use assistdeck::server::Server;
use protocol::UserKind;
use serde_json::json;
use tempfile::TempDir;

pub use dice::Dice;
pub use frames::RawSocket;
pub use http::{Answer, Call};
pub use raw::Raw;
pub use socket::Socket;
pub use stream::Stream;
pub use user::{TestUser, each, fields, number, text};

use token::{SECRET, now_s, sign};

/// A server of its own for one test.
pub struct TestServer {
    server: Option<Server>,
    authority: String,
    folder: TempDir,
    /// Where the store is PostgreSQL.
    database: Option<String>,
    /// Where it has other nodes beside it.
    bus: Option<BusKind>,
    adapt: fn(&mut Config),
}

impl TestServer {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// With other settings than the default.
    pub async fn with(adapt: fn(&mut Config)) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        // All behaviours on the other store: see docs/testing.md.
        let on_postgres = std::env::var("ASSISTDECK_TEST_STORE").is_ok_and(|it| it == "postgres");
        let database = on_postgres.then(postgres::fresh);
        Self::opened(folder, database, None, adapt).await
    }

    /// One of several nodes on that database, which hear of each other on that bus.
    pub async fn node(database: &str, bus: BusKind) -> Self {
        let often = |config: &mut Config| {
            config.head_check_interval = std::time::Duration::from_secs(1);
        };
        Self::node_with(database, bus, often).await
    }

    pub async fn node_with(database: &str, bus: BusKind, adapt: fn(&mut Config)) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let database = Some(database.to_owned());
        Self::opened(folder, database, Some(bus), adapt).await
    }

    /// On the embedded store, whatever else is tested: for what is about its files.
    pub async fn embedded() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self::opened(folder, None, None, |_| {}).await
    }

    async fn opened(
        folder: TempDir,
        database: Option<String>,
        bus: Option<BusKind>,
        adapt: fn(&mut Config),
    ) -> Self {
        let authority = String::new();
        let mut server = Self { server: None, authority, folder, database, bus, adapt };
        server.open().await;
        server
    }

    async fn open(&mut self) {
        let mut config = Config::new(&Given::default()).expect("the defaults are valid");
        config.data_dir = self.data_dir();
        config.database_url = self.database.as_deref().map(Hidden::new);
        config.listen = vec!["127.0.0.1:0".parse().expect("an address")];
        config.bus = self.bus.clone();
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

    /// `127.0.0.1:port`.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    pub fn data_dir(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }

    /// A call without a token.
    pub fn call(&self, method: &str, path: &str) -> Call {
        Call::new(&self.authority, method, path)
    }

    /// What an operator does.
    pub fn auth(&self) -> &assistdeck::auth::Auth {
        &self.server.as_ref().expect("it runs").app().auth
    }

    /// A connection without manners.
    pub async fn raw(&self) -> Raw {
        Raw::open(&self.authority).await
    }

    /// A human who is known from the first call on.
    pub async fn user(&self, name: &str) -> TestUser {
        self.user_until(name, now_s() + 3600).await
    }

    /// The same, with a token that ends at that second.
    pub async fn user_until(&self, name: &str, exp: i64) -> TestUser {
        let id = protocol::UserId::new().to_string();
        let email = format!("{name}-{}@example.com", count());
        let token = sign(&json!({
            "sub": id, "email": email, "name": name, "iat": now_s(), "exp": exp,
        }));
        let name = name.to_owned();
        let user = TestUser { id, name, email, token, authority: self.authority.clone() };
        user.get("/api/users/profile").await.expect(200);
        user
    }

    /// A human who has a password.
    pub async fn register(&self, name: &str, password: &str) -> TestUser {
        let email = format!("{name}-{}@example.com", count());
        let body = json!({"name": name, "email": email, "password": password});
        let signed = self.call("POST", "/api/register").json(&body).send().await.expect(201);
        TestUser {
            id: text(&signed["user"]["id"]).to_owned(),
            name: name.to_owned(),
            email,
            token: text(&signed["token"]).to_owned(),
            authority: self.authority.clone(),
        }
    }

    /// An assistant's program. The operator makes it, so it comes by another way than REST.
    pub async fn agent(&self, name: &str) -> TestUser {
        let auth = &self.server.as_ref().expect("it runs").app().auth;
        let new = NewUser { name, email: None, kind: UserKind::Agent, password: None };
        let agent = auth.create_user(new).await.expect("an agent");
        let id = agent.id.to_string();
        let token = sign(&json!({"sub": id, "iat": now_s(), "exp": now_s() + 3600}));
        let (name, email) = (agent.name, agent.email);
        TestUser { id, name, email, token, authority: self.authority.clone() }
    }

    /// The domain, for what no client can bring about at will.
    pub fn chat(&self) -> Arc<Chat> {
        self.server.as_ref().expect("it runs").app().chat.clone()
    }

    /// The same user at the server as it listens now.
    pub fn again(&self, user: &TestUser) -> TestUser {
        TestUser { authority: self.authority.clone(), ..user.clone() }
    }
}

fn count() -> u64 {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    NUMBER.fetch_add(1, Ordering::Relaxed)
}
