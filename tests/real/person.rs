//! People who come by tokens of a host application: no password has to be hashed.

use jsonwebtoken::{EncodingKey, Header};
use serde_json::json;
use uuid::Uuid;

/// What the host application signs with.
pub const SECRET: &str = "a secret of thirty-two bytes or more";
/// Longer than any test.
const TOKEN_SECONDS: i64 = 3_600;

/// Somebody with a token.
pub struct Person {
    pub id: String,
    pub token: String,
}

impl Person {
    /// Not yet known to the server: the first call makes the account.
    pub fn new(name: &str) -> Self {
        let id = Uuid::now_v7().to_string();
        let now = protocol::Timestamp::now().0 / 1_000_000;
        let claims = json!({
            "sub": id, "email": format!("{id}@example.com"), "name": name,
            "iat": now, "exp": now + TOKEN_SECONDS,
        });
        let key = EncodingKey::from_secret(SECRET.as_bytes());
        let token = jsonwebtoken::encode(&Header::default(), &claims, &key);
        Self { id, token: token.expect("claims can be signed") }
    }
}
