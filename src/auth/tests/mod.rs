//! What `auth` promises, on accounts in memory and with a clock of the test's own.

mod memory;
mod people;
mod tokens;

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use protocol::json::Field;
use protocol::rest::{ChangePassword, Login, Register, SignedIn};
use protocol::{Timestamp, UserId};
use serde_json::{Value, json};

use super::*;
use memory::Memory;

const SECRET: &[u8] = b"a secret of 32 bytes, or of more";
const WORD: &str = "correct horse";

/// `Auth` on a store and a clock that the test holds.
struct Bench {
    auth: Arc<Auth>,
    store: Arc<Memory>,
    micros: Arc<AtomicI64>,
}

impl Bench {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(adapt: impl FnOnce(&mut AuthSettings)) -> Self {
        let mut settings = AuthSettings {
            secret: Secret::new(SECRET).expect("long enough"),
            token_ttl: Duration::from_secs(7 * 86_400),
            issuer: None,
            audience: None,
            registration_open: true,
            throttling: Throttling::default(),
        };
        adapt(&mut settings);
        let store = Arc::new(Memory::default());
        let micros = Arc::new(AtomicI64::new(Timestamp::now().0));
        let clock = micros.clone();
        // Each look is a millisecond later, so that "before" and "after" differ.
        let clock = Arc::new(move || Timestamp(clock.fetch_add(1_000, Ordering::SeqCst)));
        let auth = Arc::new(Auth::with_clock(store.clone(), &settings, clock));
        Self { auth, store, micros }
    }

    fn pass(&self, seconds: i64) {
        self.micros.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
    }

    async fn register(&self, email: &str) -> Result<SignedIn> {
        self.auth.register(here(), register_body("Ada", email, WORD)).await
    }

    async fn login(&self, email: &str, word: &str) -> Result<SignedIn> {
        self.login_from(here(), email, word).await
    }

    async fn login_from(&self, from: IpAddr, email: &str, word: &str) -> Result<SignedIn> {
        let body = Login { email: given(email), password: given(word) };
        self.auth.login(from, body).await
    }

    /// An account whose password is [`WORD`], without the time to hash it.
    async fn user(&self, email: &str) -> UserId {
        static HASH: OnceLock<String> = OnceLock::new();
        let new = NewUser {
            name: "Ada",
            email: Some(email),
            kind: protocol::UserKind::Human,
            password: None,
        };
        let user = self.auth.create_user(new).await.expect("made").id;
        self.store.put_hash(
            user,
            HASH.get_or_init(|| password::hash(WORD, &mut password::Memory::default())).clone(),
        );
        user
    }

    async fn caller(&self, user: UserId) -> (String, Caller) {
        let (token, _) = self.auth.issue_token(user, None).await.expect("a token");
        let caller = self.auth.authenticate(&token).await.expect("valid");
        (token, caller)
    }
}

fn given(text: &str) -> Field<Cow<'_, str>> {
    Field::Is(Cow::Borrowed(text))
}

fn register_body<'a>(name: &'a str, email: &'a str, word: &'a str) -> Register<'a> {
    Register { name: given(name), email: given(email), password: given(word) }
}

fn here() -> IpAddr {
    "192.0.2.1".parse().expect("an address")
}

fn there(n: u8) -> IpAddr {
    IpAddr::from([198, 51, 100, n])
}

fn seconds() -> i64 {
    Timestamp::now().0 / 1_000_000
}

/// A token as a host application would sign it.
fn host_token(claims: &Value) -> String {
    signed(json!({"alg": "HS256", "typ": "JWT"}), claims, SECRET)
}

fn signed(header: Value, claims: &Value, secret: &[u8]) -> String {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
    let message = format!("{}.{}", B64.encode(header.to_string()), B64.encode(claims.to_string()));
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret);
    let tag = aws_lc_rs::hmac::sign(&key, message.as_bytes());
    format!("{message}.{}", B64.encode(tag.as_ref()))
}

/// Why a token is refused.
async fn why(bench: &Bench, token: &str) -> Cause {
    match bench.auth.authenticate(token).await {
        Err(Error::Unauthorized(cause)) => cause,
        other => panic!("not refused: {other:?}"),
    }
}
