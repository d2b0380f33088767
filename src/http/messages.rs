//! Messages over REST.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use protocol::rest::Edit;
use protocol::{ErrorCode, Message};

use super::answer::{Answer, done, json, ok};
use super::body::JsonBody;
use super::extract::{CurrentUser, IdempotencyKey, PathIds, Sender};
use super::links::Links;
use super::query::Target;
use crate::app::App;
use crate::chat::{Checked, Range, check_content};
use crate::refusal::Refusal;

pub(super) async fn send_message(
    Sender(actor): Sender,
    State(app): State<Arc<App>>,
    ids: PathIds,
    key: IdempotencyKey,
    body: JsonBody,
) -> Answer {
    let new = Checked::new(body.read()?, key.value()?)?;
    let sent = app.chat.send(actor, ids.session()?, new).await?;
    let status = if sent.is_repeat() { StatusCode::OK } else { StatusCode::CREATED };
    Ok(json(status, sent.message()))
}

pub(super) async fn list_messages(
    user: CurrentUser,
    State(app): State<Arc<App>>,
    ids: PathIds,
    target: Target,
) -> Answer {
    let query = target.query()?;
    let (after, before, limit) = (query.seq("after")?, query.seq("before")?, query.limit()?);
    let session = ids.session()?;
    let range = Range { after, before, limit };
    let read = |range| app.chat.messages(user.actor(), session, range);
    let page = read(range).await?;
    let is_any = |range| async move {
        let found = read(Range { limit: Some(1), ..range }).await?;
        Ok::<bool, Refusal>(!found.items.is_empty())
    };
    let around = Around::of(range, &page.items, page.more, is_any).await?;
    let mut links = Links::new(&target, &query);
    if let Some(seq) = around.older {
        links.add("prev", ("before", &seq), &["before", "after"]);
    }
    if let Some(seq) = around.newer {
        // Within a range both its ends were asked for: it goes on up to the same end.
        let ends = if after.is_some() { &["after"][..] } else { &["before", "after"] };
        links.add("next", ("after", &seq), ends);
    }
    let mut response = ok(&page.items)?;
    links.put(&mut response);
    Ok(response)
}

pub(super) async fn edit_message(
    user: CurrentUser,
    State(app): State<Arc<App>>,
    ids: PathIds,
    body: JsonBody,
) -> Answer {
    let content = body.read::<Edit>()?.content.required(ErrorCode::InvalidContent)?;
    check_content(&content)?;
    let (session, message) = (ids.session()?, ids.message()?);
    let member = app.chat.member(user.actor(), session).await?;
    ok(&app.chat.edit(&member, message, content.into_owned()).await?)
}

pub(super) async fn delete_message(
    user: CurrentUser,
    State(app): State<Arc<App>>,
    ids: PathIds,
) -> Answer {
    let (session, message) = (ids.session()?, ids.message()?);
    let member = app.chat.member(user.actor(), session).await?;
    app.chat.delete(&member, message).await?;
    done("message deleted")
}

/// Where there are messages on either side of a page.
struct Around {
    /// Older ones are before this seq.
    older: Option<u64>,
    /// Newer ones are after this seq.
    newer: Option<u64>,
}

impl Around {
    /// On the side that the page was read towards, the page itself knows. On the other side it
    /// is asked, one message at most.
    async fn of<F>(
        range: Range,
        page: &[Message],
        more: bool,
        is_any: impl Fn(Range) -> F,
    ) -> Result<Self, Refusal>
    where
        F: Future<Output = Result<bool, Refusal>>,
    {
        let (Some(first), Some(last)) = (page.first(), page.last()) else {
            return Self::nothing(range, is_any).await;
        };
        let (older, newer) = (Some(first.seq), Some(last.seq));
        let (has_older, has_newer) = match (range.after, range.before) {
            (None, None) => (more, false),
            (None, Some(_)) => (more, is_any(Range { after: newer, ..Range::default() }).await?),
            (Some(0), None) | (Some(_), Some(_)) => (false, more),
            (Some(_), None) => (is_any(Range { before: older, ..Range::default() }).await?, more),
        };
        Ok(Self { older: older.filter(|_| has_older), newer: newer.filter(|_| has_newer) })
    }

    /// Beside a page on which there is nothing, seen from the end that was asked for.
    async fn nothing<F>(range: Range, is_any: impl Fn(Range) -> F) -> Result<Self, Refusal>
    where
        F: Future<Output = Result<bool, Refusal>>,
    {
        let (mut older, mut newer) = (None, None);
        match (range.after, range.before) {
            (Some(after), None) => older = after.checked_add(1).filter(|_| after > 0),
            (None, Some(before)) => newer = before.checked_sub(1),
            (None, None) | (Some(_), Some(_)) => {}
        }
        let all = Range::default();
        let has_older = older.is_some() && is_any(Range { before: older, ..all }).await?;
        let has_newer = newer.is_some() && is_any(Range { after: newer, ..all }).await?;
        Ok(Self { older: older.filter(|_| has_older), newer: newer.filter(|_| has_newer) })
    }
}
