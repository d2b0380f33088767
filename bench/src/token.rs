//! Users of a host application: tokens that the bench signs itself.
//!
//! Registration is throttled and its password hash is slow on purpose. The contract (section 2)
//! has another door: a token signed with the shared secret creates its user on the first call.
//! So ten thousand users cost ten thousand small requests.

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::time::{SystemTime, UNIX_EPOCH};
use uuid::Uuid;

/// What the measured server is started with as `ASSISTDECK_JWT_SECRET`.
pub const SECRET: &str = "the-bench-signs-its-own-tokens-with-this-secret";

const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;
const LIFE_SECONDS: u64 = 24 * 3600;

/// A token for the user `id`, who need not exist yet.
pub fn sign(id: Uuid) -> Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("a clock before 1970")?;
    let claims = format!(
        r#"{{"sub":"{id}","email":"{}@bench.test","name":"Bench","iat":{},"exp":{}}}"#,
        id.simple(),
        now.as_secs(),
        now.as_secs() + LIFE_SECONDS
    );
    sign_claims(&claims, SECRET)
}

fn sign_claims(claims: &str, secret: &str) -> Result<String> {
    let body = format!("{}.{}", URL_SAFE_NO_PAD.encode(HEADER), URL_SAFE_NO_PAD.encode(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())?;
    mac.update(body.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
    Ok(format!("{body}.{signature}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_a_known_token() {
        // Made with python's hmac, so that both sides can't be wrong in the same way.
        let token = sign_claims(r#"{"sub":"a","exp":1}"#, "0123456789abcdef0123456789abcdef");
        assert_eq!(token.expect("signs"), KNOWN);
    }

    const KNOWN: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhIiwiZXhwIjo\
        xfQ.RKE66Fr5sp9PvEYQSKTLkFlCvQS2H_0r-sq6UnJvwf0";
}
