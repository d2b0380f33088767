//! Tokens: JWT with HS256, ours and those of a host application that knows the secret.
//!
//! Algorithm and key come from the configuration; what the token's header says about either can
//! only lead to a refusal. Reading is strict: a known claim of a wrong type refuses the token,
//! and a `sub` that is there is the only subject. Ours carry `sub`, `iat`, `exp` and `jti`; where
//! an issuer or audience is configured they carry these too, so that the rule "configured means
//! required" holds for every token. Their `jti` is a UUID of version 7, whose milliseconds say
//! exactly when they were issued, which `iat` with its seconds can't.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use protocol::{Timestamp, UserId};
use serde::de::{Deserializer, Error as _, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use uuid::{NoContext, Uuid, Version};

use super::remembered::Digest;
use super::{AuthSettings, Cause, TokenStamp};

/// The longest token that is looked at, in bytes.
pub const TOKEN_BYTES_MAX: usize = 8_192;
/// What clocks may differ by.
pub(super) const LEEWAY_SECONDS: u64 = 5;
/// The end of the year 9999: what a later `exp` means.
const EXPIRES_SECONDS_MAX: u64 = 253_402_300_799;

/// Signs and reads tokens.
pub(super) struct Tokens {
    signing: EncodingKey,
    reading: DecodingKey,
    validation: Validation,
    issuer: Option<String>,
    audience: Option<String>,
}

/// What a verified token says.
#[derive(Debug)]
pub(super) struct Claims {
    pub(super) user: UserId,
    pub(super) stamp: TokenStamp,
    pub(super) email: Option<String>,
    pub(super) name: Option<String>,
}

#[derive(Serialize)]
struct OwnClaims<'a> {
    sub: UserId,
    iat: i64,
    exp: i64,
    jti: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
}

/// What may be in a token. `exp`, `nbf`, `iss` and `aud` are judged by `jsonwebtoken`; here they
/// must only be of a right type.
#[derive(Deserialize)]
struct RawClaims {
    exp: NumericDate,
    #[serde(default, deserialize_with = "given")]
    iat: Option<NumericDate>,
    #[serde(default, rename = "nbf", deserialize_with = "given")]
    _nbf: Option<NumericDate>,
    #[serde(default, rename = "iss", deserialize_with = "given")]
    _iss: Option<Texts>,
    #[serde(default, rename = "aud", deserialize_with = "given")]
    _aud: Option<Texts>,
    #[serde(default, deserialize_with = "given")]
    jti: Option<String>,
    #[serde(default, deserialize_with = "given")]
    sub: Option<String>,
    #[serde(default, deserialize_with = "given")]
    user_id: Option<serde_json::Value>,
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    name: Option<String>,
}

/// A claim that is there has its type: `null` is none.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(de: D) -> Result<Option<T>, D::Error> {
    T::deserialize(de).map(Some)
}

impl Tokens {
    pub(super) fn new(settings: &AuthSettings) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = LEEWAY_SECONDS;
        validation.validate_nbf = true;
        let mut required = vec!["exp"];
        if let Some(issuer) = &settings.issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        if let Some(audience) = &settings.audience {
            validation.set_audience(&[audience]);
            required.push("aud");
        }
        validation.set_required_spec_claims(&required);
        Self {
            signing: EncodingKey::from_secret(settings.secret.expose()),
            reading: DecodingKey::from_secret(settings.secret.expose()),
            validation,
            issuer: settings.issuer.clone(),
            audience: settings.audience.clone(),
        }
    }

    /// A token issued at that moment, for so many seconds.
    pub(super) fn sign(&self, user: UserId, issued: Timestamp, ttl_seconds: u64) -> String {
        let millis = u64::try_from(issued.as_ms()).unwrap_or(0);
        let nanos = (millis % 1_000) as u32 * 1_000_000;
        let jti = Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, millis / 1_000, nanos));
        let iat = issued.as_ms().div_euclid(1_000);
        let claims = OwnClaims {
            sub: user,
            iat,
            exp: iat.saturating_add_unsigned(ttl_seconds),
            jti,
            iss: self.issuer.as_deref(),
            aud: self.audience.as_deref(),
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.signing)
            .expect("these claims have a JSON form and HS256 takes any key")
    }

    /// Verifies a token and reads it. The length was checked.
    pub(super) fn read(&self, token: &str, digest: &Digest) -> Result<Claims, Cause> {
        jsonwebtoken::decode_header(token).map_err(|_| Cause::Malformed)?;
        if has_crit(token)? {
            return Err(Cause::CriticalHeader);
        }
        let claims = jsonwebtoken::decode::<RawClaims>(token, &self.reading, &self.validation)
            .map_err(|error| cause(error.kind()))?
            .claims;
        let user = subject(&claims).ok_or(Cause::NoSubject)?;
        let stamp = stamp(&claims, digest);
        Ok(Claims { user, stamp, email: claims.email, name: claims.name })
    }
}

/// Whether the header has `crit` (RFC 7515, 4.1.11), be it an empty list or null: we understand no
/// extension, and a token that has one knows that.
fn has_crit(token: &str) -> Result<bool, Cause> {
    #[derive(Deserialize)]
    struct Extensions {
        #[serde(default, deserialize_with = "given")]
        crit: Option<IgnoredAny>,
    }
    let header = token.split('.').next().unwrap_or_default();
    let header = URL_SAFE_NO_PAD.decode(header).map_err(|_| Cause::Malformed)?;
    let header: Extensions = serde_json::from_slice(&header).map_err(|_| Cause::Malformed)?;
    Ok(header.crit.is_some())
}

/// `sub` if it is there, whatever is in it; else `user_id`.
fn subject(claims: &RawClaims) -> Option<UserId> {
    match (&claims.sub, &claims.user_id) {
        (Some(sub), _) => sub.parse().ok(),
        (None, Some(id)) => id.as_str()?.parse().ok(),
        (None, None) => None,
    }
}

fn stamp(claims: &RawClaims, digest: &Digest) -> TokenStamp {
    let jti = claims.jti.as_deref().and_then(|jti| Uuid::try_parse(jti).ok());
    let made_v7 = jti
        .filter(|jti| jti.get_version() == Some(Version::SortRand))
        .and_then(|jti| jti.get_timestamp())
        .map(|made| {
            let (seconds, nanos) = made.to_unix();
            seconds.saturating_mul(1_000).saturating_add(u64::from(nanos / 1_000_000))
        });
    let issued = made_v7.or(claims.iat.map(|iat| iat.0.saturating_mul(1_000))).unwrap_or(0);
    let expires = claims.exp.0.min(EXPIRES_SECONDS_MAX) as i64 * 1_000_000;
    TokenStamp {
        // Every token has an id by which it can be revoked: without one of its own, its hash.
        id: Some(jti.unwrap_or_else(|| id_of(digest))),
        issued_ms: i64::try_from(issued).unwrap_or(i64::MAX - 1),
        expires: Timestamp(expires),
    }
}

/// A UUID of version 8 out of a token's hash.
fn id_of(digest: &Digest) -> Uuid {
    let first = digest.first_chunk().expect("a digest has 32 bytes");
    uuid::Builder::from_custom_bytes(*first).into_uuid()
}

fn cause(kind: &ErrorKind) -> Cause {
    match kind {
        ErrorKind::InvalidAlgorithm => Cause::WrongAlgorithm,
        ErrorKind::InvalidSignature => Cause::BadSignature,
        ErrorKind::ExpiredSignature => Cause::Expired,
        ErrorKind::ImmatureSignature => Cause::NotYetValid,
        ErrorKind::InvalidIssuer => Cause::WrongIssuer,
        ErrorKind::InvalidAudience => Cause::WrongAudience,
        ErrorKind::MissingRequiredClaim(_)
        | ErrorKind::InvalidClaimFormat(_)
        | ErrorKind::Json(_) => Cause::WrongClaim,
        _ => Cause::Malformed,
    }
}

/// Seconds since 1970, with or without a fraction (RFC 7519, 2), whole ones kept.
#[derive(Clone, Copy, Debug)]
struct NumericDate(u64);

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        if !seconds.is_finite() || seconds < 0.0 {
            return Err(D::Error::custom("not a moment"));
        }
        // Saturates above; below 2^53 seconds nothing is lost.
        Ok(Self(seconds as u64))
    }
}

/// One text, or a list of texts.
struct Texts;

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextsVisitor;
        impl<'de> Visitor<'de> for TextsVisitor {
            type Value = Texts;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of texts")
            }
            fn visit_str<E>(self, _: &str) -> Result<Texts, E> {
                Ok(Texts)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Texts, A::Error> {
                while seq.next_element::<String>()?.is_some() {}
                Ok(Texts)
            }
        }
        deserializer.deserialize_any(TextsVisitor)
    }
}
