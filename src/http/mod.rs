//! REST: the first door. Every route and every layer is on this page.
//!
//! A handler is five lines: extract, call `chat` or `auth`, answer. The extractors ([`extract`],
//! [`body`], [`query`]) keep the order in which the contract gives answers: token, then rate,
//! then size and type of the body; what was sent is looked at only then, and the session last.
//! [`door`] is the one layer around everything: request id, CORS, headers, access log, panics.
//!
//! The table of calls is also what `/openapi.json` and `/docs` are made of ([`openapi`]), so they
//! can't say anything else than the router does. What goes over the socket has a document of its
//! own ([`asyncapi`]).

mod account;
mod answer;
mod asyncapi;
mod body;
mod call;
mod door;
mod events;
mod extract;
mod health;
mod linger;
mod links;
mod messages;
mod openapi;
mod participants;
mod query;
mod reference;
mod sessions;
mod web;

use std::sync::Arc;

use axum::Router;
use axum::routing::get as page;
use protocol::frame::{EventPage, NewMessage};
use protocol::model::{FoundUser, ListedSession};
use protocol::rest::{
    AddParticipant, ChangePassword, Done, Edit, FreshToken, Login, NewToken, Read, ReadMark,
    Register, SignedIn, Ticket, Title,
};
use protocol::{ErrorCode, Message, Participant, ParticipantRow, Session, User};

use crate::app::App;
use call::{Call, Parameter, delete, get, patch, post, put};
use door::Doorway;

/// The REST door, whole.
pub fn router(app: App) -> Router {
    let routes = routes(app.clone());
    dress(app, routes)
}

/// The routes alone; other doors may be merged in before they are all dressed.
pub fn routes(app: App) -> Router {
    let mut router = Router::new()
        .route("/", page(web::show_start))
        .route("/docs", page(web::show_docs))
        .route("/openapi.json", page(web::show_openapi))
        .route("/asyncapi.json", page(web::show_asyncapi))
        .route("/favicon.svg", page(web::show_icon))
        .route("/favicon.ico", page(web::show_icon))
        .route("/assets/style.css", page(web::show_style))
        .route("/assets/{build}/{*name}", page(web::show_asset));
    for call in calls() {
        if let Some(handler) = call.handler {
            router = router.route(call.path, handler);
        }
    }
    router.with_state(Arc::new(app))
}

/// What is around every route: answers for what is none, and the one layer.
pub fn dress(app: App, routes: Router) -> Router {
    routes
        .fallback(answer::not_found)
        .method_not_allowed_fallback(answer::method_not_allowed)
        .layer(Doorway(Arc::new(app)))
}

/// `/metrics`, for the address `metrics_listen`.
pub fn metrics_router(app: App) -> Router {
    let routes = Router::new().route("/metrics", page(health::show_metrics));
    dress(app.clone(), routes.with_state(Arc::new(app)))
}

/// Every call that is documented.
fn calls() -> Vec<Call> {
    let mut calls = Vec::new();
    calls.extend(account_calls().map(|call| call.tagged("Accounts")));
    calls.extend(session_calls().map(|call| call.tagged("Sessions")));
    calls.extend(participant_calls().map(|call| call.tagged("Participants")));
    calls.extend(message_calls().map(|call| call.tagged("Messages")));
    calls.extend(live_calls().map(|call| call.tagged("Live")));
    calls.extend(node_calls().map(|call| call.tagged("Node")));
    calls
}

fn account_calls() -> impl Iterator<Item = Call> {
    use ErrorCode::{
        EmailTaken, InvalidCredentials, InvalidEmail, InvalidName, InvalidPassword, MissingField,
        PasswordTooCommon, RateLimited, RegistrationClosed,
    };
    [
        post("/api/register", account::register)
            .named("register", "Makes an account and gives its first token")
            .public()
            .takes::<Register>()
            .gives::<SignedIn>(201)
            .fails(&[MissingField, InvalidName, InvalidEmail, InvalidPassword])
            .fails(&[PasswordTooCommon, RegistrationClosed, EmailTaken, RateLimited]),
        post("/api/login", account::login)
            .named("login", "Gives a token for an email and its password")
            .public()
            .takes::<Login>()
            .gives::<SignedIn>(200)
            .fails(&[MissingField, InvalidEmail, InvalidPassword, InvalidCredentials, RateLimited]),
        post("/api/token", account::renew_token)
            .named("renewToken", "Gives a fresh token")
            .gives::<FreshToken>(200),
        get("/api/users/profile", account::show_profile)
            .named("showProfile", "The caller's own account")
            .gives::<User>(200),
        put("/api/users/password", account::change_password)
            .named("changePassword", "Changes the password; all older tokens end")
            .takes::<ChangePassword>()
            .gives::<NewToken>(200)
            .fails(&[MissingField, InvalidPassword, PasswordTooCommon])
            .fails(&[InvalidCredentials, RateLimited]),
        get("/api/users", account::find_user)
            .named("findUser", "The user with exactly that email, or nobody")
            .with(&[Parameter::EMAIL])
            .gives_list::<FoundUser>()
            .fails(&[MissingField, InvalidEmail, RateLimited]),
    ]
    .into_iter()
}

fn session_calls() -> impl Iterator<Item = Call> {
    use ErrorCode::{InvalidTitle, MissingField, NotAMember, NotSessionOwner, PositionUnknown};
    [
        post("/api/chat/sessions", sessions::create_session)
            .named("createSession", "Creates a session; the caller is its owner")
            .takes::<Title>()
            .gives::<Session>(201)
            .fails(&[MissingField, InvalidTitle]),
        get("/api/chat/sessions", sessions::list_sessions)
            .named("listSessions", "Sessions owned and participating, the latest event first")
            .with(&[Parameter::LIMIT, Parameter::BEFORE_ID])
            .gives_page::<ListedSession>(),
        get("/api/chat/sessions/{id}", sessions::show_session)
            .named("showSession", "One session")
            .gives::<Session>(200)
            .fails(&[NotAMember]),
        patch("/api/chat/sessions/{id}", sessions::rename_session)
            .named("renameSession", "Changes the title; the owner alone")
            .takes::<Title>()
            .gives::<Session>(200)
            .fails(&[MissingField, InvalidTitle, NotSessionOwner]),
        delete("/api/chat/sessions/{id}", sessions::delete_session)
            .named("deleteSession", "Deletes a session with all that is in it; the owner alone")
            .gives::<Done>(200)
            .fails(&[NotSessionOwner]),
        post("/api/chat/sessions/{id}/read", sessions::mark_read)
            .named("markRead", "Raises the caller's read mark; it never goes back")
            .takes::<Read>()
            .gives::<ReadMark>(200)
            .fails(&[MissingField, NotAMember, PositionUnknown]),
    ]
    .into_iter()
}

fn participant_calls() -> impl Iterator<Item = Call> {
    use ErrorCode::{
        AlreadyParticipant, InvalidEmail, MissingField, NotAMember, NotSessionOwner,
        OwnerCannotLeave, ParticipantNotFound, UserNotFound,
    };
    [
        post("/api/chat/sessions/{id}/participants", participants::add_participant)
            .named("addParticipant", "Gives a user access, by id or email; the owner alone")
            .takes::<AddParticipant>()
            .gives::<Participant>(201)
            .fails(&[MissingField, InvalidEmail, NotSessionOwner])
            .fails(&[UserNotFound, AlreadyParticipant]),
        get("/api/chat/sessions/{id}/participants", participants::list_participants)
            .named("listParticipants", "All members, the owner first")
            .with(&[Parameter::LIMIT, Parameter::BEFORE_ID])
            .gives_page::<ParticipantRow>()
            .fails(&[NotAMember]),
        delete("/api/chat/sessions/{id}/participants/{userId}", participants::remove_participant)
            .named("removeParticipant", "Takes a participant's access; the owner alone")
            .gives::<Done>(200)
            .fails(&[NotSessionOwner, ParticipantNotFound]),
        post("/api/chat/sessions/{id}/leave", participants::leave_session)
            .named("leaveSession", "The caller leaves; an owner can't")
            .gives::<Done>(200)
            .fails(&[NotAMember, OwnerCannotLeave]),
    ]
    .into_iter()
}

fn message_calls() -> impl Iterator<Item = Call> {
    use ErrorCode::{
        ClientIdReused, ContentTooLarge, InvalidClientId, InvalidContent, InvalidFileUrl,
        MessageDeleted, MessageNotFound, MissingField, NotAMember, NotAnAgent, NotMessageSender,
        RateLimited,
    };
    [
        post("/api/chat/sessions/{id}/messages", messages::send_message)
            .named("sendMessage", "Sends a message; on disk when it is answered")
            .with(&[Parameter::IDEMPOTENCY_KEY])
            .takes::<NewMessage>()
            .gives::<Message>(201)
            .gives::<Message>(200)
            .fails(&[MissingField, InvalidContent, ContentTooLarge, InvalidFileUrl])
            .fails(&[InvalidClientId, NotAMember, NotAnAgent, ClientIdReused, MessageDeleted])
            .fails(&[RateLimited]),
        get("/api/chat/sessions/{id}/messages", messages::list_messages)
            .named("listMessages", "Messages in their order, the newest unless `after` is given")
            .with(&[Parameter::AFTER_SEQ, Parameter::BEFORE_SEQ, Parameter::LIMIT_100])
            .gives_page::<Message>()
            .fails(&[NotAMember]),
        patch("/api/chat/sessions/{id}/messages/{messageId}", messages::edit_message)
            .named("editMessage", "Changes a message's content; its sender alone")
            .takes::<Edit>()
            .gives::<Message>(200)
            .fails(&[MissingField, InvalidContent, ContentTooLarge])
            .fails(&[NotAMember, NotMessageSender, MessageNotFound]),
        delete("/api/chat/sessions/{id}/messages/{messageId}", messages::delete_message)
            .named("deleteMessage", "Deletes a message; its sender, or the owner")
            .gives::<Done>(200)
            .fails(&[NotAMember, NotMessageSender, MessageNotFound]),
    ]
    .into_iter()
}

fn live_calls() -> impl Iterator<Item = Call> {
    use ErrorCode::{
        MissingSessionId, NotAMember, OriginNotAllowed, PositionUnknown, RateLimited,
        UpgradeRequired,
    };
    [
        get("/api/chat/sessions/{id}/events", events::list_events)
            .named("listEvents", "Events after a number, waited for or as a stream")
            .with(&[Parameter::AFTER_EVENT, Parameter::LIMIT_100, Parameter::WAIT])
            .with(&[Parameter::LAST_EVENT_ID])
            .gives::<EventPage>(200)
            .streams()
            .fails(&[NotAMember, PositionUnknown, RateLimited]),
        post("/api/ws-tickets", account::make_ticket)
            .named("createTicket", "A ticket for one WebSocket handshake, instead of the token")
            .gives::<Ticket>(201),
        Call::elsewhere("/ws")
            .named("connect", "Opens a WebSocket (see docs/protocol.md)")
            .with(&[Parameter::SESSION_ID, Parameter::AFTER_LIVE, Parameter::EPOCH])
            .upgrades()
            .fails(&[ErrorCode::InvalidId, MissingSessionId, OriginNotAllowed, NotAMember])
            .fails(&[ErrorCode::SessionNotFound, UpgradeRequired, RateLimited]),
    ]
    .into_iter()
}

fn node_calls() -> impl Iterator<Item = Call> {
    [
        get("/healthz", health::show_alive)
            .named("showAlive", "The process is alive")
            .public()
            .gives::<health::Alive>(200),
        get("/readyz", health::show_ready)
            .named(
                "showReady",
                "The node takes work: its store writes, has room, and is not stopping",
            )
            .public()
            .gives::<health::Ready>(200),
    ]
    .into_iter()
}

#[cfg(test)]
mod tests;
