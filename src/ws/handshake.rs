//! The opening handshake (RFC 6455, section 4): credentials, parameters, subprotocol.
//!
//! What is wrong here is told as plain HTTP, in the order of the contract's section 1. A
//! credential comes in one of four ways, and in one only.

use std::borrow::Cow;
use std::collections::HashSet;

use aws_lc_rs::digest;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use protocol::frame::{PLAIN, V1};
use protocol::{ErrorCode, SessionId};

use crate::auth::{Auth, Caller};
use crate::chat::Position;
use crate::origins::Origins;
use crate::refusal::Refusal;

/// What a client's key is joined with (RFC 6455, 1.3).
const KEY_GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// A subprotocol of this beginning is a token, never echoed.
const BEARER_PROTOCOL: &str = "bearer.";

/// What shows who comes.
#[derive(Debug, PartialEq, Eq)]
pub enum Credential {
    Token(String),
    Ticket(String),
}

/// What the client wants, from the URL and the headers.
pub struct Wanted {
    pub session: Option<SessionId>,
    pub position: Position,
    /// The subprotocol to echo, if one was offered that the server speaks.
    pub protocol: Option<&'static str>,
}

impl Credential {
    pub async fn check(self, auth: &Auth) -> Result<Caller, Refusal> {
        match self {
            Self::Token(token) => Ok(auth.authenticate(&token).await?),
            Self::Ticket(ticket) => Ok(auth.take_ticket(&ticket).await?),
        }
    }
}

/// The one credential: header, `token=`, `ticket=` or a subprotocol.
pub fn credential(request: &Parts) -> Result<Credential, Refusal> {
    let mut found = Vec::new();
    for value in request.headers.get_all(header::AUTHORIZATION) {
        let text = value.to_str().map_err(|_| ErrorCode::Unauthorized)?;
        let token = text.split_once(' ').filter(|(kind, _)| kind.eq_ignore_ascii_case("bearer"));
        let (_, token) = token.ok_or(ErrorCode::Unauthorized)?;
        found.push(Credential::Token(token.trim().to_owned()));
    }
    for (name, value) in parameters(request) {
        match name.as_ref() {
            "token" => found.push(Credential::Token(value.into_owned())),
            "ticket" => found.push(Credential::Ticket(value.into_owned())),
            _ => {}
        }
    }
    for offered in offered(&request.headers) {
        if let Some(token) = offered.strip_prefix(BEARER_PROTOCOL) {
            found.push(Credential::Token(token.to_owned()));
        }
    }
    let mut found = found.into_iter();
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (None, _) => Err(ErrorCode::Unauthorized.into()),
        (Some(_), Some(_)) => Err(ErrorCode::InvalidQuery.into()),
    }
}

/// Pages of other origins may not connect (contract, section 2).
pub fn check_origin(origins: &Origins, request: &Parts) -> Result<(), Refusal> {
    let text = |name| request.headers.get(name).map(|value| value.to_str().unwrap_or("null"));
    if origins.allows(text(header::ORIGIN), text(header::HOST)) {
        Ok(())
    } else {
        Err(ErrorCode::OriginNotAllowed.into())
    }
}

impl Wanted {
    pub fn read(request: &Parts) -> Result<Self, Refusal> {
        let protocol = offered(&request.headers).find_map(|offered| match offered {
            V1 => Some(V1),
            PLAIN => Some(PLAIN),
            _ => None,
        });
        let (mut session, mut after, mut epoch) = (None, None, None);
        let mut names = HashSet::new();
        for (name, value) in parameters(request) {
            match name.as_ref() {
                "session_id" => session = Some(value),
                "after" => after = Some(value),
                "epoch" => epoch = Some(value),
                _ => {}
            }
            if !names.insert(name) {
                return Err(ErrorCode::InvalidQuery.into());
            }
        }
        let session = session.map(|id| id.parse()).transpose().map_err(|_| ErrorCode::InvalidId)?;
        if session.is_none() && protocol != Some(V1) {
            return Err(ErrorCode::MissingSessionId.into());
        }
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let after = after
            .map(|text| text.parse().ok().filter(|_| is_number(&text)))
            .map(|after: Option<u64>| after.ok_or(ErrorCode::InvalidQuery))
            .transpose()?;
        let position = Position { after, epoch: epoch.map(Cow::into_owned) };
        Ok(Self { session, position, protocol })
    }

    pub fn is_v1(&self) -> bool {
        self.protocol == Some(V1)
    }
}

/// Whether this asks for a WebSocket at all.
pub fn is_upgrade(request: &Parts) -> bool {
    let headers = &request.headers;
    let names = |name, wanted: &str| {
        let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|text| text.split(',')).any(|one| one.trim().eq_ignore_ascii_case(wanted))
    };
    let is_version_13 =
        headers.get(header::SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13");
    let has_key = headers
        .get(header::SEC_WEBSOCKET_KEY)
        .and_then(|key| STANDARD.decode(key.as_bytes()).ok())
        .is_some_and(|key| key.len() == 16);
    let is_upgrade = names(header::CONNECTION, "upgrade") && names(header::UPGRADE, "websocket");
    request.method == Method::GET && is_upgrade && is_version_13 && has_key
}

/// The answer that switches protocols.
pub fn accept(request: &Parts, protocol: Option<&'static str>) -> Response {
    let key = request.headers.get(header::SEC_WEBSOCKET_KEY).map_or(&b""[..], |k| k.as_bytes());
    let mut hash = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    hash.update(key);
    hash.update(KEY_GUID);
    let accept = STANDARD.encode(hash.finish());
    let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    let accept = HeaderValue::from_str(&accept).expect("base64 is a header value");
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    if let Some(protocol) = protocol {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
    }
    response
}

/// The answer that does not.
pub fn refuse(refusal: Refusal) -> Response {
    let mut response = refusal.into_response();
    if refusal.code == ErrorCode::UpgradeRequired {
        let headers = response.headers_mut();
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    }
    response
}

fn offered(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    values.filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(',')).map(str::trim)
}

fn parameters(request: &Parts) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    form_urlencoded::parse(request.uri.query().unwrap_or_default().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut builder = http::Request::builder().uri(uri);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(()).expect("a request").into_parts().0
    }

    const UPGRADE: &[(&str, &str)] = &[
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "WebSocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    #[test]
    fn the_accept_key_is_that_of_the_rfc() {
        let response = accept(&request("/ws", UPGRADE), Some(V1));
        assert_eq!(response.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(response.headers()["sec-websocket-protocol"], V1);
    }

    #[test]
    fn a_credential_comes_in_one_way_only() {
        let code = |uri: &str, headers: &[(&str, &str)]| {
            credential(&request(uri, headers)).map_err(|refusal| refusal.code)
        };
        let token = |text: &str| Ok(Credential::Token(text.to_owned()));
        assert_eq!(code("/ws?token=a", &[]), token("a"));
        assert_eq!(code("/ws", &[("authorization", "bearer a")]), token("a"));
        let beside = [("sec-websocket-protocol", "assistdeck.v1, bearer.a")];
        assert_eq!(code("/ws", &beside), token("a"));
        assert_eq!(code("/ws?ticket=t", &[]), Ok(Credential::Ticket("t".into())));
        assert_eq!(code("/ws", &[]), Err(ErrorCode::Unauthorized));
        assert_eq!(code("/ws", &[("authorization", "Basic a")]), Err(ErrorCode::Unauthorized));
        assert_eq!(code("/ws?token=a&token=a", &[]), Err(ErrorCode::InvalidQuery));
        assert_eq!(code("/ws?token=a&ticket=a", &[]), Err(ErrorCode::InvalidQuery));
        assert_eq!(code("/ws?token=a", &beside), Err(ErrorCode::InvalidQuery));
    }

    #[test]
    fn parameters_are_checked_one_by_one() {
        let id = SessionId::new();
        let read = |query: &str, protocol: &str| {
            let mut headers = UPGRADE.to_vec();
            headers.push(("sec-websocket-protocol", protocol));
            Wanted::read(&request(&format!("/ws?{query}"), &headers)).map_err(|r| r.code)
        };
        let wanted = read(&format!("session_id={id}&after=7&epoch=e"), PLAIN).expect("fine");
        assert_eq!((wanted.session, wanted.position.after), (Some(id), Some(7)));
        assert!(read("", "bearer.x, assistdeck.v1").is_ok_and(|wanted| wanted.is_v1()));
        for (query, code) in [
            (String::new(), ErrorCode::MissingSessionId),
            ("session_id=".into(), ErrorCode::InvalidId),
            ("session_id=x".into(), ErrorCode::InvalidId),
            (format!("session_id={id}&session_id={id}"), ErrorCode::InvalidQuery),
            (format!("session_id={id}&after=-1"), ErrorCode::InvalidQuery),
            (format!("session_id={id}&after=%2B1"), ErrorCode::InvalidQuery),
            (format!("session_id={id}&after="), ErrorCode::InvalidQuery),
            (format!("session_id={id}&after=99999999999999999999"), ErrorCode::InvalidQuery),
            (format!("session_id={id}&after=1&after=2"), ErrorCode::InvalidQuery),
        ] {
            assert_eq!(read(&query, "unknown").err(), Some(code), "{query}");
        }
    }

    #[test]
    fn what_is_no_handshake_has_to_upgrade() {
        for missing in 0..UPGRADE.len() {
            let mut headers = UPGRADE.to_vec();
            headers.remove(missing);
            assert!(!is_upgrade(&request("/ws", &headers)));
        }
        let mut head = request("/ws", UPGRADE);
        assert!(is_upgrade(&head));
        head.method = Method::HEAD;
        assert!(!is_upgrade(&head));
    }
}
