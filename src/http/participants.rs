//! Participants over REST.

use std::sync::Arc;

use axum::extract::State;
use protocol::limits::EMAIL_BYTES_MAX;
use protocol::rest::AddParticipant;
use protocol::{ErrorCode, UserId};

use super::answer::{Answer, created, done, ok};
use super::body::JsonBody;
use super::extract::{CurrentUser, PathIds};
use super::links::Links;
use super::query::Target;
use crate::app::App;

pub(super) async fn add_participant(
    user: CurrentUser,
    State(app): State<Arc<App>>,
    ids: PathIds,
    body: JsonBody,
) -> Answer {
    let guest = Guest::read(&body)?;
    let owner = app.chat.owner(user.actor(), ids.session()?).await?;
    created(&match guest {
        Guest::Id(id) => app.chat.add_participant(&owner, id).await?,
        Guest::Email(email) => app.chat.add_participant_by_email(&owner, &email).await?,
    })
}

pub(super) async fn list_participants(
    user: CurrentUser,
    State(app): State<Arc<App>>,
    ids: PathIds,
    target: Target,
) -> Answer {
    let query = target.query()?;
    let (before, limit) = (query.id("before")?, query.limit()?);
    let member = app.chat.member(user.actor(), ids.session()?).await?;
    let page = app.chat.participants(&member, before, limit).await?;
    let mut links = Links::new(&target, &query);
    if let Some(last) = page.items.last().filter(|_| page.more) {
        links.add("next", ("before", &last.id), &["before"]);
    }
    let mut response = ok(&page.items)?;
    links.put(&mut response);
    Ok(response)
}

pub(super) async fn remove_participant(
    user: CurrentUser,
    State(app): State<Arc<App>>,
    ids: PathIds,
) -> Answer {
    let (session, guest) = (ids.session()?, ids.user()?);
    let owner = app.chat.owner(user.actor(), session).await?;
    app.chat.remove_participant(&owner, guest).await?;
    done("participant removed")
}

pub(super) async fn leave_session(
    user: CurrentUser,
    State(app): State<Arc<App>>,
    ids: PathIds,
) -> Answer {
    let member = app.chat.member(user.actor(), ids.session()?).await?;
    app.chat.leave(&member).await?;
    done("left the session")
}

/// Who is to be added. The id counts where both are given.
enum Guest {
    Id(UserId),
    Email(String),
}

impl Guest {
    fn read(body: &JsonBody) -> Result<Self, ErrorCode> {
        let asked: AddParticipant = body.read()?;
        let id = asked.user_id.optional(ErrorCode::InvalidId)?;
        let email = asked.email.optional(ErrorCode::InvalidEmail)?;
        if email.as_deref().is_some_and(|email| !is_email(email)) {
            return Err(ErrorCode::InvalidEmail);
        }
        match (id, email) {
            (Some(id), _) => id.parse().map(Self::Id).map_err(|_| ErrorCode::InvalidId),
            (None, Some(email)) => Ok(Self::Email(email.into_owned())),
            (None, None) => Err(ErrorCode::MissingField),
        }
    }
}

/// Something, an @, something: whoever has the address is looked for.
fn is_email(text: &str) -> bool {
    let parts = text.split_once('@').filter(|_| text.len() <= EMAIL_BYTES_MAX);
    let odd = |c: char| c.is_whitespace() || c.is_control();
    parts.is_some_and(|(local, domain)| {
        !local.is_empty() && !domain.is_empty() && !domain.contains('@') && !text.contains(odd)
    })
}
