//! Somebody with a token, who acts through REST and the socket alone.

use serde_json::{Value, json};

use super::{Answer, Call, Socket, paths};

/// Somebody with a token.
#[derive(Clone)]
pub struct TestUser {
    pub id: String,
    pub name: String,
    pub email: String,
    pub token: String,
    pub(super) authority: String,
}

impl TestUser {
    /// The same user by another token.
    pub fn by(&self, token: &str) -> Self {
        Self { token: token.to_owned(), ..self.clone() }
    }

    /// `127.0.0.1:port` of the server that this user knows.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    pub fn call(&self, method: &str, path: &str) -> Call {
        Call::new(&self.authority, method, path).bearer(&self.token)
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call("GET", path).send().await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.call("DELETE", path).send().await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call("POST", path).json(&body).send().await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.call("PUT", path).json(&body).send().await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.call("PATCH", path).json(&body).send().await
    }

    /// A new session of this user's; its id.
    pub async fn create_session(&self) -> String {
        let answer = self.post(paths::SESSIONS, json!({"title": "a session"})).await;
        answer.expect(201)["id"].as_str().expect("an id").to_owned()
    }

    /// A new session that others share.
    pub async fn create_session_with(&self, others: &[&TestUser]) -> String {
        let session = self.create_session().await;
        for other in others {
            self.add(&session, other).await;
        }
        session
    }

    /// Gives another user access.
    pub async fn add(&self, session: &str, other: &TestUser) -> Value {
        let body = json!({"user_id": other.id});
        self.post(&paths::participants(session), body).await.expect(201)
    }

    /// Takes another user's access.
    pub async fn remove(&self, session: &str, other: &TestUser) {
        self.delete(&paths::participant(session, &other.id)).await.expect(200);
    }

    /// Sends a message over REST.
    pub async fn say(&self, session: &str, content: &str) -> Value {
        self.post(&paths::messages(session), json!({"content": content})).await.expect(201)
    }

    /// Changes a message over REST.
    pub async fn edit(&self, session: &str, message: &Value, content: &str) -> Value {
        let path = paths::message(session, text(&message["id"]));
        self.patch(&path, json!({"content": content})).await.expect(200)
    }

    /// Deletes a message over REST.
    pub async fn unsay(&self, session: &str, message: &Value) {
        self.delete(&paths::message(session, text(&message["id"]))).await.expect(200);
    }

    /// All messages that this user sees, up to 1,000.
    pub async fn history(&self, session: &str) -> Vec<Value> {
        self.get(&format!("{}?limit=1000", paths::messages(session))).await.list()
    }

    /// The events of a session above a number, up to 1,000 and 256 KiB.
    pub async fn events(&self, session: &str, after: u64) -> Vec<Value> {
        let path = paths::events(session, &format!("after={after}&limit=1000"));
        self.get(&path).await.expect(200)["events"].as_array().expect("an array").clone()
    }

    /// The session as this user sees it in the list.
    pub async fn listed(&self, session: &str) -> Option<Value> {
        let list = self.get(paths::SESSIONS).await.list();
        list.into_iter().find(|listed| listed["id"] == session)
    }

    /// A plain socket on a session; `more` goes behind the query.
    pub async fn plain(&self, session: &str, more: &str) -> Socket {
        let query = format!("session_id={session}&token={}{more}", self.token);
        Socket::open(&self.authority, &query, None).await.expect("the handshake is accepted")
    }

    /// A socket of `assistdeck.v1`, past its `hello`.
    pub async fn v1(&self) -> Socket {
        self.v1_on("").await
    }

    /// A socket of `assistdeck.v1`, past its `hello`; `more` goes behind the query.
    pub async fn v1_on(&self, more: &str) -> Socket {
        let query = format!("token={}{more}", self.token);
        let socket = Socket::open(&self.authority, &query, Some("assistdeck.v1")).await;
        let mut socket = socket.expect("the handshake is accepted");
        assert_eq!(socket.next().await["type"], "hello");
        socket
    }

    /// A socket of `assistdeck.v1` that follows one session and has caught up.
    pub async fn following(&self, session: &str) -> Socket {
        let mut socket = self.v1().await;
        socket.send(&json!({"type": "follow", "session_id": session})).await;
        socket.until("caught_up").await;
        socket
    }

    /// The answer to a handshake that is refused.
    pub async fn refused(&self, query: &str, protocol: Option<&str>) -> Answer {
        match Socket::open(&self.authority, query, protocol).await {
            Ok(_) => panic!("the handshake was accepted"),
            Err(answer) => *answer,
        }
    }
}

/// A value that must be text.
#[track_caller]
pub fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

/// A value that must be a number.
#[track_caller]
pub fn number(value: &Value) -> u64 {
    value.as_u64().expect("a number")
}

/// One field of each.
pub fn each(values: &[Value], field: &str) -> Vec<Value> {
    values.iter().map(|value| value[field].clone()).collect()
}

/// The names of an object's fields, in order of the alphabet.
#[track_caller]
pub fn fields(value: &Value) -> Vec<&str> {
    let mut names: Vec<_> =
        value.as_object().expect("an object").keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}
