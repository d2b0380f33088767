//! Ways to show who comes at the socket: tickets, the header, a subprotocol, the query.

use serde_json::json;

use crate::support::token::now_s;
use crate::support::{Socket, TestServer, TestUser, fields, number, text};

async fn ticket(user: &TestUser) -> String {
    let made = user.call("POST", "/api/ws-tickets").send().await.expect(201);
    assert_eq!(fields(&made), ["expires_in", "ticket"]);
    assert_eq!(made["expires_in"], 30);
    text(&made["ticket"]).to_owned()
}

#[tokio::test]
async fn a_ticket_opens_one_socket() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let session = ann.create_session().await;
    let query = format!("session_id={session}&ticket={}", ticket(&ann).await);
    let mut socket = Socket::open(server.authority(), &query, None).await.expect("it opens");
    let sent = socket.ask(&json!({"content": "by ticket"})).await;
    assert_eq!(text(&sent["sender_id"]), ann.id);
    assert_eq!(ann.refused(&query, None).await.error(401), "unauthorized");
    let unknown = format!("session_id={session}&ticket=unknown");
    assert_eq!(ann.refused(&unknown, None).await.error(401), "unauthorized");
    let anonymous = server.call("POST", "/api/ws-tickets").send().await;
    assert_eq!(anonymous.error(401), "unauthorized");
}

#[tokio::test]
async fn a_ticket_is_good_across_a_restart_and_ends_with_its_token() {
    let mut server = TestServer::start().await;
    let ann = server.user_until("ann", now_s() + 40).await;
    let ticket = ticket(&ann).await;
    server.restart().await;
    let query = format!("ticket={ticket}");
    let socket = Socket::open(server.authority(), &query, Some("assistdeck.v1")).await;
    let hello = socket.expect("it opens").next().await;
    assert_eq!((text(&hello["type"]), text(&hello["user_id"])), ("hello", &*ann.id));
    let left_ms = number(&hello["token_expires_in_ms"]);
    assert!((1..=40_000).contains(&left_ms), "{left_ms}");
}

#[tokio::test]
async fn a_ticket_of_a_token_that_has_ended_is_worth_nothing() {
    let server = TestServer::start().await;
    let ann = server.register("ann", "correct horse battery").await;
    let ticket = ticket(&ann).await;
    let change = json!({"password": "correct horse battery", "new_password": "another long one"});
    ann.put("/api/users/password", change).await.expect(200);
    let refused = ann.refused(&format!("ticket={ticket}"), Some("assistdeck.v1")).await;
    assert_eq!(refused.error(401), "unauthorized");
}

#[tokio::test]
async fn the_header_and_a_bearer_subprotocol_are_as_good() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let session = ann.create_session().await;
    let query = format!("session_id={session}");
    let bearer = format!("Bearer {}", ann.token);
    let by_header = Socket::dial(server.authority(), &query, &[("authorization", &bearer)]).await;
    assert_eq!(by_header.expect("it opens").protocol, None);
    for name in ["assistdeck.v1", "assistdeck.plain"] {
        for offer in
            [format!("{name}, bearer.{}", ann.token), format!("bearer.{},{name}", ann.token)]
        {
            let opened = Socket::open(server.authority(), &query, Some(&offer)).await;
            assert_eq!(opened.expect("it opens").protocol.as_deref(), Some(name), "never echoed");
        }
    }
    let offer = "assistdeck.v1, bearer.x.y.z";
    assert_eq!(ann.refused(&query, Some(offer)).await.error(401), "unauthorized");
}

#[tokio::test]
async fn who_comes_is_shown_in_one_way_only() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let session = ann.create_session().await;
    let (token, beside) = (&ann.token, format!("assistdeck.v1, bearer.{}", ann.token));
    let ticket = ticket(&ann).await;
    for (query, offer) in [
        (format!("session_id={session}&token={token}&token={token}"), None),
        (format!("session_id={session}&token={token}&ticket={ticket}"), None),
        (format!("session_id={session}&token={token}"), Some(&*beside)),
    ] {
        assert_eq!(ann.refused(&query, offer).await.error(400), "invalid_query", "{query}");
    }
    let query = format!("session_id={session}&token={token}");
    let bearer = format!("Bearer {token}");
    let both = Socket::dial(server.authority(), &query, &[("authorization", &bearer)]).await;
    assert_eq!(both.err().expect("refused").error(400), "invalid_query");
}
