//! Messages: send, read, edit, delete.
//!
//! Form is checked first ([`Checked`]), so that a bad request costs no look at the store; then
//! membership; then the store numbers it. The answer comes when the message is on disk and has
//! been delivered.

use std::borrow::Cow;
use std::sync::Arc;

use aws_lc_rs::digest;
use futures_util::future::{BoxFuture, FutureExt};
use protocol::frame::NewMessage;
use protocol::limits::{CLIENT_ID_CHARS_MAX, CONTENT_BYTES_MAX, FILE_URL_BYTES_MAX, PAGE_ITEMS};
use protocol::{Change, ErrorCode, Event, Message, MessageId, SessionId, Timestamp, UserKind};

use super::{Actor, Chat, Error, Member, Result};
use crate::store::{self, Action, Append, Appended, Draft, MessageRange, Page, Permit};

/// A message whose form is right.
#[derive(Debug)]
pub struct Checked {
    content: String,
    file_url: Option<String>,
    is_ai_message: Option<bool>,
    client_id: Option<String>,
}

/// Room for a message among those that wait to be written.
pub struct Admitted(Permit);

/// A message that is stored.
#[derive(Debug)]
pub enum Sent {
    /// As the event that it became.
    New(Arc<Event>),
    /// It had been sent before, by its `client_id`: as it is now.
    Repeat(Box<Message>),
}

impl Sent {
    #[must_use]
    pub fn is_repeat(&self) -> bool {
        matches!(self, Self::Repeat(_))
    }

    #[must_use]
    pub fn message(&self) -> &Message {
        match self {
            Self::New(event) => {
                created(event).expect("a send is answered with the message that it made")
            }
            Self::Repeat(message) => message,
        }
    }
}

/// Which messages are asked for; all of it as it came.
#[derive(Clone, Copy, Debug, Default)]
pub struct Range {
    pub after: Option<u64>,
    pub before: Option<u64>,
    pub limit: Option<usize>,
}

impl Checked {
    /// Checks the form of a new message. `idempotency_key` is the header's value.
    pub fn new(
        new: NewMessage<'_>,
        idempotency_key: Option<&str>,
    ) -> std::result::Result<Self, ErrorCode> {
        let content = new.content.required(ErrorCode::InvalidContent)?;
        // 413 comes before 400 of anything beside it.
        if content.len() > CONTENT_BYTES_MAX {
            return Err(ErrorCode::ContentTooLarge);
        }
        let file_url = new.file_url.optional(ErrorCode::InvalidFileUrl)?;
        let is_ai_message = new.is_ai_message.optional(ErrorCode::InvalidJson)?;
        let client_id = new.client_id.optional(ErrorCode::InvalidClientId)?;
        check_content(&content)?;
        if let Some(url) = &file_url {
            check_file_url(url)?;
        }
        let client_id = client_id_of(client_id, idempotency_key)?;
        Ok(Self {
            content: content.into_owned(),
            file_url: file_url.map(Cow::into_owned),
            is_ai_message,
            client_id,
        })
    }

    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        self.client_id.as_deref()
    }

    /// Of its contents; the same as [`Action::bytes`] of its sending.
    fn bytes(&self) -> usize {
        self.content.len()
    }

    /// What tells a repeat from another request under the same `client_id`. `is_marked`: by the
    /// client's word alone it is an AI's, or a person's.
    fn request_hash(&self, is_marked: bool) -> [u8; 16] {
        if self.client_id.is_none() {
            return [0; 16];
        }
        let mut hash = digest::Context::new(&digest::SHA256);
        let file_url = self.file_url.as_deref().unwrap_or_default();
        for part in [self.content.as_str(), file_url] {
            hash.update(&(part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        if is_marked {
            hash.update(b"marked");
        }
        let mut short = [0; 16];
        short.copy_from_slice(&hash.finish().as_ref()[..16]);
        short
    }
}

impl Chat {
    /// Sends: on disk and delivered when it returns. See [`Checked::new`] for the form.
    pub async fn send(&self, actor: Actor, session: SessionId, new: Checked) -> Result<Sent> {
        let admitted = Admitted(self.store.admit(new.bytes()).await);
        self.send_admitted(actor, session, new, admitted).await
    }

    /// Room for a message, if there is some now and nobody waits for it.
    #[must_use]
    pub fn try_admit(&self, new: &Checked) -> Option<Admitted> {
        self.store.admit(new.bytes()).now_or_never().map(Admitted)
    }

    /// Room for a message, when there is some.
    #[must_use]
    pub fn admit(&self, new: &Checked) -> BoxFuture<'static, Admitted> {
        let (store, bytes) = (self.store.clone(), new.bytes());
        async move { Admitted(store.admit(bytes).await) }.boxed()
    }

    /// The same as [`Self::send`], with room for it. Polled once, the message has its place in the
    /// order.
    pub async fn send_admitted(
        &self,
        actor: Actor,
        session: SessionId,
        new: Checked,
        admitted: Admitted,
    ) -> Result<Sent> {
        let is_ai_message = match self.is_ai(actor, new.is_ai_message) {
            Ok(is_ai_message) => is_ai_message,
            // Who may not see the session hears of that first.
            Err(error) => return Err(self.member(actor, session).await.err().unwrap_or(error)),
        };
        let draft = Draft {
            id: MessageId::new(),
            request_hash: new.request_hash(is_ai_message != (actor.kind == UserKind::Agent)),
            content: new.content,
            file_url: new.file_url,
            is_ai_message,
            client_id: new.client_id,
        };
        let append = (actor, session, Action::Send { draft });
        match self.append_admitted(append, admitted.0).await? {
            Appended::New(event) if created(&event).is_some() => Ok(Sent::New(event)),
            Appended::New(event) => Err(unexpected(&event.change)),
            Appended::Repeat(message) => Ok(Sent::Repeat(message)),
        }
    }

    /// Messages ascending by seq; the newest unless `after` is given. One read of the store
    /// finds whether the reader is a member, and the page.
    pub async fn messages(
        &self,
        reader: Actor,
        session: SessionId,
        range: Range,
    ) -> Result<Page<Message>> {
        let limit = range.limit.unwrap_or(PAGE_ITEMS);
        let range = match (range.after, range.before) {
            (None, None) => MessageRange::Newest,
            (None, Some(before)) => MessageRange::Before(before),
            (Some(after), None) => MessageRange::After(after),
            (Some(after), Some(before)) => MessageRange::Between(after, before),
        };
        Ok(self.store.messages(session, Some(reader.user), range, limit).await?)
    }

    pub async fn edit(
        &self,
        member: &Member,
        message: MessageId,
        content: String,
    ) -> Result<Message> {
        let event = self.act(member, Action::Edit { message, content }).await?;
        match &event.change {
            Change::MessageUpdated(message) => Ok(message.clone()),
            other => Err(unexpected(other)),
        }
    }

    pub async fn delete(&self, member: &Member, message: MessageId) -> Result<()> {
        self.act(member, Action::Delete { message }).await.map(|_| ())
    }

    /// Takes one from the actor's allowance of messages.
    pub fn check_rate(&self, actor: Actor) -> Result<()> {
        self.rates.take(actor.user).map_err(|retry_after_s| Error::RateLimited { retry_after_s })
    }

    pub(super) async fn append(&self, member: &Member, action: Action) -> Result<Appended> {
        let permit = self.store.admit(action.bytes()).await;
        self.append_admitted((member.actor(), member.session_id(), action), permit).await
    }

    async fn append_admitted(
        &self,
        (actor, session, action): (Actor, SessionId, Action),
        permit: Permit,
    ) -> Result<Appended> {
        let append = Append { session, actor: actor.user, at: Timestamp::now(), action };
        match self.store.append(append, permit).await {
            Ok(outcome) => Ok(outcome?),
            Err(_) => Err(store::Error::Unavailable("the store has stopped".into()).into()),
        }
    }

    /// `is_ai_message` is the server's word, unless the settings trust the client.
    fn is_ai(&self, actor: Actor, claimed: Option<bool>) -> Result<bool> {
        if self.settings.trust_client_ai_flag {
            return Ok(claimed.unwrap_or(actor.kind == UserKind::Agent));
        }
        match (actor.kind, claimed) {
            (UserKind::Agent, _) => Ok(true),
            (UserKind::Human, Some(true)) => Err(ErrorCode::NotAnAgent.into()),
            (UserKind::Human, _) => Ok(false),
        }
    }
}

fn created(event: &Event) -> Option<&Message> {
    match &event.change {
        Change::MessageCreated(message) => Some(message),
        _ => None,
    }
}

/// The store answered an append with an event of another kind.
pub(super) fn unexpected(change: &Change) -> Error {
    store::Error::Other(format!("unexpected outcome of an append: {change:?}")).into()
}

/// Text that is not blank, with no control characters but tab, LF and CR.
pub fn check_content(content: &str) -> std::result::Result<(), ErrorCode> {
    if content.len() > CONTENT_BYTES_MAX {
        return Err(ErrorCode::ContentTooLarge);
    }
    let is_forbidden = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r');
    // Most text is ASCII, where bytes are enough and are looked at many at once.
    let has_forbidden = match content.is_ascii() {
        true => content.bytes().any(|byte| is_forbidden(char::from(byte))),
        false => content.chars().any(is_forbidden),
    };
    if has_forbidden || content.trim_start().is_empty() {
        return Err(ErrorCode::InvalidContent);
    }
    Ok(())
}

/// Whether it may be a message's content.
#[must_use]
pub fn is_content(content: &str) -> bool {
    check_content(content).is_ok()
}

/// Whether it may be a message's `file_url`.
#[must_use]
pub fn is_file_url(url: &str) -> bool {
    check_file_url(url).is_ok()
}

/// Whether it may be a `client_id`: 1 to 64 characters, none of them a control character.
#[must_use]
pub fn is_client_id(id: &str) -> bool {
    let chars = id.chars().count();
    (1..=CLIENT_ID_CHARS_MAX).contains(&chars) && !id.chars().any(char::is_control)
}

/// An absolute http or https URL with a host (RFC 3986).
fn check_file_url(url: &str) -> std::result::Result<(), ErrorCode> {
    let scheme_end = url.find("://").ok_or(ErrorCode::InvalidFileUrl)?;
    let (scheme, rest) = (&url[..scheme_end], &url[scheme_end + 3..]);
    let is_web = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    let is_text = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '<' | '>' | '"');
    if !is_web || url.len() > FILE_URL_BYTES_MAX || url.contains(is_text) {
        return Err(ErrorCode::InvalidFileUrl);
    }
    let uri: http::Uri = uri_of(scheme, rest).ok_or(ErrorCode::InvalidFileUrl)?;
    match uri.host() {
        Some(host) if !host.is_empty() => Ok(()),
        _ => Err(ErrorCode::InvalidFileUrl),
    }
}

/// The URL's authority as a library reads it; the path may be in any language.
fn uri_of(scheme: &str, rest: &str) -> Option<http::Uri> {
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    format!("{}://{}/", scheme.to_ascii_lowercase(), &rest[..end]).parse().ok()
}

/// The one name of a request: of the body, the header, or both alike.
fn client_id_of(
    body: Option<Cow<'_, str>>,
    header: Option<&str>,
) -> std::result::Result<Option<String>, ErrorCode> {
    let id = match (body, header) {
        (Some(body), Some(header)) if body != header => return Err(ErrorCode::InvalidClientId),
        (Some(id), _) => id.into_owned(),
        (None, Some(id)) => id.to_owned(),
        (None, None) => return Ok(None),
    };
    if is_client_id(&id) { Ok(Some(id)) } else { Err(ErrorCode::InvalidClientId) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, header: Option<&str>) -> std::result::Result<Checked, ErrorCode> {
        Checked::new(protocol::json::read(json.as_bytes())?, header)
    }

    #[test]
    fn the_form_of_a_message_is_checked_at_its_edges() {
        use ErrorCode::{ContentTooLarge, InvalidClientId, InvalidContent, InvalidFileUrl};
        let content = |content: &str| serde_json::json!({ "content": content }).to_string();
        assert!(check(&content(&"x".repeat(CONTENT_BYTES_MAX)), None).is_ok());
        assert!(check(&content(" a\t\r\n"), None).is_ok());
        let url = |url: &str| serde_json::json!({"content": "a", "file_url": url}).to_string();
        let long = format!("https://a.example/{}", "x".repeat(FILE_URL_BYTES_MAX));
        assert!(check(&url("https://a.example/b c"), None).is_err());
        assert!(check(&url("http://[::1]:80/ä?b#c"), None).is_ok());
        assert!(check(&url(&long[..FILE_URL_BYTES_MAX]), None).is_ok());
        let id = |n: usize| format!(r#"{{"content":"a","client_id":"{}"}}"#, "ü".repeat(n));
        assert!(check(&id(64), None).is_ok());
        for (json, expected) in [
            ("{}".into(), ErrorCode::MissingField),
            (r#"{"content":5}"#.into(), InvalidContent),
            (content(""), InvalidContent),
            (content(" \n\u{a0}"), InvalidContent),
            (content("a\u{0}"), InvalidContent),
            (content("a\u{9b}"), InvalidContent),
            (content(&"x".repeat(CONTENT_BYTES_MAX + 1)), ContentTooLarge),
            (url("ftp://a.example/"), InvalidFileUrl),
            (url("https:///a"), InvalidFileUrl),
            (url("/a"), InvalidFileUrl),
            (url("javascript:alert(1)"), InvalidFileUrl),
            (url(&long), InvalidFileUrl),
            (id(0), InvalidClientId),
            (id(65), InvalidClientId),
        ] {
            assert_eq!(check(&json, None).expect_err(&json), expected);
        }
    }

    #[test]
    fn header_and_body_name_the_request_alike() {
        let both = r#"{"content":"a","client_id":"k"}"#;
        assert_eq!(check(both, Some("k")).expect("alike").client_id(), Some("k"));
        assert_eq!(check(both, Some("l")).expect_err("different"), ErrorCode::InvalidClientId);
        let none = r#"{"content":"a"}"#;
        assert_eq!(check(none, Some("k")).expect("by header").client_id(), Some("k"));
        assert_eq!(check(none, Some("")).expect_err("empty"), ErrorCode::InvalidClientId);
    }
}
