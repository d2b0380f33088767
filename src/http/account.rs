//! Accounts and tokens over REST.

use std::sync::Arc;

use axum::extract::State;
use protocol::ErrorCode;

use super::answer::{Answer, created, ok};
use super::body::JsonBody;
use super::extract::{Candidate, Changer, CurrentUser, Finder, Newcomer};
use super::query::Target;
use crate::app::App;

pub(super) async fn register(
    Newcomer(from): Newcomer,
    State(app): State<Arc<App>>,
    body: JsonBody,
) -> Answer {
    created(&app.auth.register(from, body.read()?).await?)
}

pub(super) async fn login(
    Candidate(from): Candidate,
    State(app): State<Arc<App>>,
    body: JsonBody,
) -> Answer {
    ok(&app.auth.login(from, body.read()?).await?)
}

pub(super) async fn renew_token(
    user: CurrentUser,
    State(app): State<Arc<App>>,
    target: Target,
) -> Answer {
    target.query()?;
    ok(&app.auth.renew(&user.0).await?)
}

pub(super) async fn show_profile(
    user: CurrentUser,
    State(app): State<Arc<App>>,
    target: Target,
) -> Answer {
    target.query()?;
    ok(&*app.auth.profile(&user.0).await?)
}

pub(super) async fn change_password(
    Changer { from, caller }: Changer,
    State(app): State<Arc<App>>,
    body: JsonBody,
) -> Answer {
    ok(&app.auth.change_password(from, &caller, body.read()?).await?)
}

pub(super) async fn find_user(
    Finder { from, caller }: Finder,
    State(app): State<Arc<App>>,
    target: Target,
) -> Answer {
    let query = target.query()?;
    let email = query.text("email").ok_or(ErrorCode::MissingField)?;
    ok(&app.auth.find_user(from, &caller, email).await?)
}

pub(super) async fn make_ticket(
    user: CurrentUser,
    State(app): State<Arc<App>>,
    target: Target,
) -> Answer {
    target.query()?;
    created(&app.auth.make_ticket(&user.0).await?)
}
