//! Who calls, and what stands in path and headers.
//!
//! What names the caller is judged at once, and a rate that applies right after it. Ids and the
//! `Idempotency-Key` are only taken here and judged when the handler asks for them, after the
//! body: in the contract's order a body that is too large comes before an id that is none.

use std::convert::Infallible;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use axum::extract::{FromRequestParts, RawPathParams};
use http::header::{AUTHORIZATION, HeaderName};
use http::request::Parts;
use protocol::{ErrorCode, MessageId, SessionId, UserId};

use super::query::Target;
use crate::app::App;
use crate::auth::Caller;
use crate::chat::Actor;
use crate::peer;
use crate::refusal::Refusal;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Who calls, by the bearer token.
pub(super) struct CurrentUser(pub Caller);

impl CurrentUser {
    pub(super) fn actor(&self) -> Actor {
        Actor { user: self.0.user, kind: self.0.kind }
    }
}

impl FromRequestParts<Arc<App>> for CurrentUser {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refusal> {
        Ok(Self(app.auth.authenticate(bearer(parts)?).await?))
    }
}

/// The token of the one `Authorization` header.
fn bearer(parts: &Parts) -> Result<&str, ErrorCode> {
    let mut given = parts.headers.get_all(AUTHORIZATION).iter();
    let value = given.next().ok_or(ErrorCode::Unauthorized)?;
    if given.next().is_some() {
        return Err(ErrorCode::InvalidQuery);
    }
    let text = value.to_str().map_err(|_| ErrorCode::Unauthorized)?;
    let (scheme, token) = text.split_once(' ').ok_or(ErrorCode::Unauthorized)?;
    let token = token.trim();
    if token.is_empty() || !scheme.eq_ignore_ascii_case("bearer") {
        return Err(ErrorCode::Unauthorized);
    }
    Ok(token)
}

/// Who calls to send a message, and may: takes one from the allowance.
pub(super) struct Sender(pub Actor);

impl FromRequestParts<Arc<App>> for Sender {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refusal> {
        let actor = CurrentUser::from_request_parts(parts, app).await?.actor();
        app.chat.check_rate(actor)?;
        Ok(Self(actor))
    }
}

/// Who calls to look another user up, and may.
pub(super) struct Finder {
    pub from: IpAddr,
    pub caller: Caller,
}

impl FromRequestParts<Arc<App>> for Finder {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refusal> {
        let CurrentUser(caller) = CurrentUser::from_request_parts(parts, app).await?;
        let Ok(From(from)) = From::from_request_parts(parts, app).await;
        app.auth.may_find_user(from, &caller)?;
        Ok(Self { from, caller })
    }
}

/// Who calls to change the own password, and may try the present one.
pub(super) struct Changer {
    pub from: IpAddr,
    pub caller: Caller,
}

impl FromRequestParts<Arc<App>> for Changer {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refusal> {
        let CurrentUser(caller) = CurrentUser::from_request_parts(parts, app).await?;
        let Ok(From(from)) = From::from_request_parts(parts, app).await;
        app.auth.may_change_password(from, &caller)?;
        Ok(Self { from, caller })
    }
}

/// The address that throttles count for.
pub(super) struct From(pub IpAddr);

impl FromRequestParts<Arc<App>> for From {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Infallible> {
        let trusted = &app.config.trusted_proxies;
        Ok(Self(peer::address_of(&parts.extensions, &parts.headers, trusted)))
    }
}

/// An address from where a registration may be tried.
pub(super) struct Newcomer(pub IpAddr);

impl FromRequestParts<Arc<App>> for Newcomer {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refusal> {
        let Ok(From(address)) = From::from_request_parts(parts, app).await;
        app.auth.may_register(address)?;
        Ok(Self(address))
    }
}

/// An address from where a password may be tried.
pub(super) struct Candidate(pub IpAddr);

impl FromRequestParts<Arc<App>> for Candidate {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refusal> {
        let Ok(From(address)) = From::from_request_parts(parts, app).await;
        app.auth.may_login(address)?;
        Ok(Self(address))
    }
}

/// The ids in the path, as they came; `invalid_id` when asked for one that is none. What is wrong
/// with the query is told then too, for not every call reads it.
pub(super) struct PathIds {
    given: Option<RawPathParams>,
    query: Result<(), ErrorCode>,
}

impl<S: Send + Sync> FromRequestParts<S> for PathIds {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let Ok(target) = Target::from_request_parts(parts, state).await;
        // It fails where a part is no UTF-8 after decoding: that is no id either.
        let given = RawPathParams::from_request_parts(parts, state).await.ok();
        Ok(Self { given, query: target.query().map(|_| ()) })
    }
}

impl PathIds {
    pub(super) fn session(&self) -> Result<SessionId, ErrorCode> {
        self.id("id")
    }

    pub(super) fn message(&self) -> Result<MessageId, ErrorCode> {
        self.id("messageId")
    }

    pub(super) fn user(&self) -> Result<UserId, ErrorCode> {
        self.id("userId")
    }

    fn id<T: FromStr>(&self, name: &str) -> Result<T, ErrorCode> {
        self.query?;
        let mut given = self.given.iter().flatten();
        let (_, text) = given.find(|(given, _)| *given == name).ok_or(ErrorCode::InvalidId)?;
        text.parse().map_err(|_| ErrorCode::InvalidId)
    }
}

/// The header `Idempotency-Key`, judged when asked for.
pub(super) struct IdempotencyKey(Result<Option<String>, ErrorCode>);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let mut given = parts.headers.get_all(IDEMPOTENCY_KEY).iter();
        let value = match (given.next(), given.next()) {
            (None, _) => Ok(None),
            (Some(_), Some(_)) => Err(ErrorCode::InvalidQuery),
            (Some(value), None) => match str::from_utf8(value.as_bytes()) {
                Ok(text) => Ok(Some(text.to_owned())),
                Err(_) => Err(ErrorCode::InvalidClientId),
            },
        };
        Ok(Self(value))
    }
}

impl IdempotencyKey {
    pub(super) fn value(&self) -> Result<Option<&str>, ErrorCode> {
        self.0.as_ref().map(Option::as_deref).map_err(|code| *code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(values: &[&str]) -> Result<String, ErrorCode> {
        let mut builder = http::Request::builder();
        for value in values {
            builder = builder.header(AUTHORIZATION, *value);
        }
        let (parts, ()) = builder.body(()).expect("a request").into_parts();
        bearer(&parts).map(str::to_owned)
    }

    #[test]
    fn the_bearer_token_is_given_once() {
        assert_eq!(token(&["Bearer a.b.c"]).as_deref(), Ok("a.b.c"));
        assert_eq!(token(&["bearer  a.b.c "]).as_deref(), Ok("a.b.c"));
        for bad in [&[][..], &[""], &["Bearer"], &["Bearer "], &["Basic a"], &["a.b.c"]] {
            assert_eq!(token(bad), Err(ErrorCode::Unauthorized), "{bad:?}");
        }
        assert_eq!(token(&["Bearer a", "Bearer a"]), Err(ErrorCode::InvalidQuery));
    }
}
