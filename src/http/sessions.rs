//! Sessions over REST.

use std::sync::Arc;

use axum::extract::State;
use protocol::ErrorCode;
use protocol::rest::{Read, ReadMark, Title};

use super::answer::{Answer, created, done, ok};
use super::body::JsonBody;
use super::extract::{CurrentUser, PathIds};
use super::links::Links;
use super::query::Target;
use crate::app::App;
use crate::chat::check_title;

pub(super) async fn create_session(
    user: CurrentUser,
    State(app): State<Arc<App>>,
    body: JsonBody,
) -> Answer {
    let title = title_of(&body)?;
    created(&app.chat.create_session(user.actor(), title).await?)
}

pub(super) async fn list_sessions(
    user: CurrentUser,
    State(app): State<Arc<App>>,
    target: Target,
) -> Answer {
    let query = target.query()?;
    let page = app.chat.sessions(user.actor(), query.id("before")?, query.limit()?).await?;
    let mut links = Links::new(&target, &query);
    if let Some(last) = page.items.last().filter(|_| page.more) {
        links.add("next", ("before", &last.session.id), &["before"]);
    }
    let mut response = ok(&page.items)?;
    links.put(&mut response);
    Ok(response)
}

pub(super) async fn show_session(
    user: CurrentUser,
    State(app): State<Arc<App>>,
    ids: PathIds,
) -> Answer {
    let member = app.chat.member(user.actor(), ids.session()?).await?;
    ok(member.session())
}

pub(super) async fn rename_session(
    user: CurrentUser,
    State(app): State<Arc<App>>,
    ids: PathIds,
    body: JsonBody,
) -> Answer {
    let title = title_of(&body)?;
    let owner = app.chat.owner(user.actor(), ids.session()?).await?;
    ok(&app.chat.rename(&owner, title).await?)
}

pub(super) async fn delete_session(
    user: CurrentUser,
    State(app): State<Arc<App>>,
    ids: PathIds,
) -> Answer {
    let owner = app.chat.owner(user.actor(), ids.session()?).await?;
    app.chat.delete_session(&owner).await?;
    done("session deleted")
}

pub(super) async fn mark_read(
    user: CurrentUser,
    State(app): State<Arc<App>>,
    ids: PathIds,
    body: JsonBody,
) -> Answer {
    let seq = body.read::<Read>()?.seq.required(ErrorCode::InvalidJson)?;
    let member = app.chat.member(user.actor(), ids.session()?).await?;
    ok(&ReadMark { seq: app.chat.read(&member, seq).await? })
}

fn title_of(body: &JsonBody) -> Result<String, ErrorCode> {
    check_title(&body.read::<Title>()?.title.required(ErrorCode::InvalidTitle)?)
}
