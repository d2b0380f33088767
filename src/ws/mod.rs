//! SOCKET: the second door. Handshake here; then one small future a connection.
//!
//! * `handshake`: who comes, what it speaks, RFC 6455 section 4; errors are plain HTTP.
//! * `connection`: the one loop. `client`: what it is about. `command`: what clients ask.
//! * `socket`, `frame`, `close`: bytes, frames, the closing handshake; they know nothing of chat.
//! * `echo`: the same socket layer without a chat behind it, for conformance suites.
//!
//! Who may follow is looked up before the upgrade, and the follower has its place at the ring
//! from then on: nothing falls between. Opening a socket writes nothing to the store.

mod client;
mod close;
mod command;
mod connection;
pub mod echo;
mod frame;
mod handshake;
mod socket;

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use http::request::Parts;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use protocol::frame::{Limits as Told, ServerFrame};
use protocol::limits::{CONTENT_BYTES_MAX, FOLLOWS_MAX, HEARTBEAT_MS, SENDS_IN_FLIGHT_MAX};
use protocol::{CloseCode, ErrorCode, Timestamp};

use crate::app::App;
use crate::auth::Caller;
use crate::chat::{Actor, Follower};
use crate::heads::Watched;
use crate::hub::{Connected, Identity, Inbox, Place, Wire};
use crate::peer::address_of;
use crate::refusal::Refusal;

use client::{Client, Speech};
use connection::Connection;
use handshake::Wanted;
use socket::Socket;

/// The routes of this door.
pub fn router(app: App) -> Router {
    Router::new().route("/ws", get(upgrade)).with_state(Arc::new(app))
}

/// Whose connection it is, as the hub knows it.
fn identity_of(caller: &Caller, address: Option<IpAddr>) -> Identity {
    let crate::auth::TokenStamp { id, issued_ms, .. } = caller.token;
    Identity { user: caller.user, token_id: id, token_issued_ms: issued_ms, address }
}

/// Everything that stands before the upgrade.
struct Admitted {
    caller: Caller,
    connected: Connected,
    wanted: Wanted,
    /// None where no session is named; an error where only the closed socket may tell it.
    follower: Option<Result<(Follower, Bytes), CloseCode>>,
}

async fn upgrade(State(app): State<Arc<App>>, request: Request) -> Response {
    let (mut request, _) = request.into_parts();
    match admit(&app, &request).await {
        Err(refusal) => {
            app.metrics.reject(refusal.code.code());
            handshake::refuse(refusal)
        }
        Ok(admitted) => {
            let response = handshake::accept(&request, admitted.wanted.protocol);
            let Some(upgrade) = request.extensions.remove::<OnUpgrade>() else {
                return handshake::refuse(ErrorCode::UpgradeRequired.into());
            };
            let tracker = app.tracker.clone();
            // The handshake's task ends when the socket is handed on: what hyper held goes.
            tracker.spawn(async move {
                if let Ok(upgraded) = upgrade.await {
                    start(app, admitted, upgraded);
                }
            });
            response
        }
    }
}

/// Who it is and what it may, in the order of the contract's answers.
async fn admit(app: &App, request: &Parts) -> Result<Admitted, Refusal> {
    let known = app.auth.revocations_known();
    let credential = handshake::credential(request)?;
    let caller = credential.check(&app.auth).await?;
    handshake::check_origin(&app.origins, request)?;
    let address = address_of(&request.extensions, &request.headers, &app.config.trusted_proxies);
    let address = Some(address);
    let identity = identity_of(&caller, address);
    app.chat.check_connections(&identity)?;
    let wanted = Wanted::read(request)?;
    if !handshake::is_upgrade(request) {
        // What is wrong with what it asks for is told first.
        if let Some(session) = wanted.session {
            app.chat.member(actor_of(&caller), session).await?;
        }
        return Err(ErrorCode::UpgradeRequired.into());
    }
    let connected = app.chat.hub().connect(Arc::new(Inbox::new(identity)));
    app.auth.confirm(&caller, known).await?;
    let follower = match wanted.session {
        None => None,
        Some(_) => Some(follow(app, &caller, &connected, &wanted).await?),
    };
    Ok(Admitted { caller, connected, wanted, follower })
}

async fn follow(
    app: &App,
    caller: &Caller,
    connected: &Connected,
    wanted: &Wanted,
) -> Result<Result<(Follower, Bytes), CloseCode>, Refusal> {
    let actor = actor_of(caller);
    let session = wanted.session.ok_or(ErrorCode::MissingSessionId)?;
    let wire = if wanted.is_v1() { Wire::V1 } else { Wire::Plain };
    let inbox = connected.inbox().clone();
    let place = Place { inbox, number: 0, wire };
    match app.chat.follow(actor, session, wanted.position.clone(), place).await {
        Ok((follower, _)) if wire == Wire::Plain => Ok(Ok((follower, Bytes::new()))),
        Ok((follower, member)) => {
            let frame = client::frame_of(&app.chat.describe(&follower, member).await?);
            Ok(Ok((follower, frame)))
        }
        // Told by the close code, after the upgrade.
        Err(error) if error.code() == ErrorCode::PositionUnknown => {
            Ok(Err(CloseCode::PositionUnknown))
        }
        Err(error) => Err(error.into()),
    }
}

fn actor_of(caller: &Caller) -> Actor {
    Actor { user: caller.user, kind: caller.kind }
}

/// Hands the socket over to its connection.
fn start(app: Arc<App>, admitted: Admitted, upgraded: Upgraded) {
    let Ok(parts) = upgraded.downcast::<TokioIo<Watched>>() else {
        tracing::error!("the server's sockets are TCP streams");
        return;
    };
    let socket = Socket::new(parts.io.into_inner().into_inner(), &parts.read_buf);
    let Admitted { caller, mut connected, wanted, follower } = admitted;
    let is_bound = follower.is_some();
    let speech = if wanted.is_v1() { Speech::V1 { is_bound } } else { Speech::Plain };
    if wanted.is_v1() {
        app.chat.listen(&mut connected);
    }
    let (tracker, is_stopping) = (app.tracker.clone(), app.stop.is_cancelled());
    let hello = wanted.is_v1().then(|| hello(&caller, limits_of(&app)));
    let mut client = Client::new(app, caller.kind, speech, connected, caller.token.expires);
    let mut unknown = None;
    match follower {
        Some(Ok((follower, frame))) => client.adopt(follower, frame),
        Some(Err(code)) => unknown = Some(code),
        None => {}
    }
    let mut connection = Connection::new(socket, client, hello);
    // The stop tells those whom it finds in the hub; whoever came there later is told here.
    let code = if is_stopping { Some(CloseCode::GoingAway) } else { unknown };
    if let Some(code) = code {
        connection.close_at_once(code);
    }
    tracker.spawn(connection);
}

fn limits_of(app: &App) -> frame::Limits {
    frame::Limits {
        bytes_max: app.config.frame_bytes_max,
        fragments_max: app.config.frame_fragments_max,
    }
}

fn hello(caller: &Caller, limits: frame::Limits) -> Bytes {
    let left_ms = caller.token.expires.as_ms() - Timestamp::now().as_ms();
    client::frame_of(&ServerFrame::Hello {
        connection_id: uuid::Uuid::now_v7(),
        user_id: caller.user,
        heartbeat_ms: HEARTBEAT_MS,
        token_expires_in_ms: left_ms.max(0) as u64,
        limits: Told {
            content_bytes_max: CONTENT_BYTES_MAX as u64,
            frame_bytes_max: limits.bytes_max as u64,
            follows_max: FOLLOWS_MAX as u64,
            sends_in_flight_max: SENDS_IN_FLIGHT_MAX as u64,
        },
    })
}
