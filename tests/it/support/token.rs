//! Tokens as host applications sign them, and as nobody should.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use uuid::Uuid;

/// What host applications sign with here.
pub const SECRET: &str = "a secret of thirty-two bytes or more";

/// Claims of a host application's user who has not been here before, for an hour.
pub fn claims() -> Value {
    let id = Uuid::now_v7();
    json!({
        "sub": id, "email": format!("{id}@example.com"), "name": "Somebody",
        "iat": now_s(), "exp": now_s() + 3600,
    })
}

/// `base` with other claims beside or in place of its own; `"-"` takes one away.
pub fn with(base: &Value, other: Value) -> Value {
    let mut claims = base.clone();
    for (name, value) in other.as_object().expect("an object") {
        if value == "-" {
            claims.as_object_mut().expect("an object").remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

/// Signs claims as a host application does.
pub fn sign(claims: &Value) -> String {
    forge(&json!({"alg": "HS256", "typ": "JWT"}), claims, SECRET)
}

/// Signs with HMAC-SHA256, whatever the header says.
pub fn forge(header: &Value, claims: &Value, secret: &str) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(header), part(claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let signature = hmac::sign(&key, signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// What a token says, unverified.
pub fn claims_of(token: &str) -> Value {
    let claims = token.split('.').nth(1).expect("three parts");
    let claims = URL_SAFE_NO_PAD.decode(claims).expect("base64url");
    serde_json::from_slice(&claims).expect("JSON")
}

pub fn now_s() -> i64 {
    protocol::Timestamp::now().0 / 1_000_000
}
