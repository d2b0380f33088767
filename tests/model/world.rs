//! What everybody in a run shares: people, the model, where the server is, the first failure.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use protocol::{Event, Message, SessionId, UserId};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::known::{Known, Send, Texts};
use super::plan::{SESSIONS, USERS};
use super::wire::Call;
use crate::support::token::{now_s, sign};

/// What happened lately is told with a failure.
const TRACE_LINES: usize = 60;

/// Somebody with a token.
pub struct Person {
    pub id: UserId,
    pub token: String,
}

/// What everybody in a run shares.
pub struct World {
    pub people: Vec<Person>,
    state: Mutex<State>,
    /// Something was handed over, or answered.
    pub news: Notify,
}

/// The model.
pub struct State {
    pub authority: String,
    pub sessions: Vec<Known>,
    /// The session in each slot.
    pub slots: [usize; SESSIONS + 1],
    pub texts: Texts,
    pub epoch: String,
    /// Odd while the server restarts.
    pub restarts: u32,
    pub failure: Option<String>,
    by_id: HashMap<SessionId, usize>,
    trace: VecDeque<String>,
    client_ids: u64,
}

impl World {
    pub fn new(authority: &str) -> Self {
        let people = (0..USERS).map(person).collect();
        let state = State {
            authority: authority.to_owned(),
            sessions: Vec::new(),
            slots: [0; SESSIONS + 1],
            texts: Texts::default(),
            epoch: String::new(),
            restarts: 0,
            failure: None,
            by_id: HashMap::new(),
            trace: VecDeque::new(),
            client_ids: 0,
        };
        Self { people, state: Mutex::new(state), news: Notify::new() }
    }

    /// The model. Nobody waits while holding it.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The run has failed. The first failure counts.
    pub fn fail(&self, who: &str, what: &str) {
        let mut state = self.state();
        if state.failure.is_none() {
            let trace: Vec<_> = state.trace.iter().cloned().collect();
            state.failure = Some(format!("{who}: {what}\nlately:\n  {}", trace.join("\n  ")));
        }
        drop(state);
        self.news.notify_waiters();
    }

    pub fn has_failed(&self) -> bool {
        self.state().failure.is_some()
    }

    /// A call as somebody, to where the server is now.
    pub fn call(&self, user: usize, method: &str, path: &str) -> Call {
        let authority = self.state().authority.clone();
        Call::new(&authority, &self.people[user].token, method, path)
    }

    pub fn user_of(&self, id: UserId) -> Option<usize> {
        self.people.iter().position(|person| person.id == id)
    }

    /// Makes a session, in a slot.
    pub async fn create_session(&self, slot: usize) -> Result<(), String> {
        let owner = slot % USERS;
        let title = format!("session {}", self.state().sessions.len());
        let call = self.call(owner, "POST", "/api/chat/sessions").json(&json!({"title": title}));
        let (status, body) = call.send().await?;
        if status != 201 {
            return Err(format!("no session: {status} {body}"));
        }
        let id: SessionId = text(&body["id"]).parse().map_err(|_| "no id")?;
        let mut state = self.state();
        let number = state.sessions.len();
        state.sessions.push(Known::new(id, owner, title));
        state.slots[slot] = number;
        state.by_id.insert(id, number);
        if state.epoch.is_empty() {
            state.epoch = text(&body["epoch"]).to_owned();
        }
        Ok(())
    }
}

fn person(number: usize) -> Person {
    let id = UserId::new();
    let email = format!("{id}@example.com");
    let token = sign(&json!({
        "sub": id, "email": email, "name": format!("User {number}"),
        "iat": now_s(), "exp": now_s() + 24 * 3600,
    }));
    Person { id, token }
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

impl State {
    /// What has just happened, in a line.
    pub fn note(&mut self, line: String) {
        if self.trace.len() == TRACE_LINES {
            self.trace.pop_front();
        }
        self.trace.push_back(line);
    }

    pub fn session_of(&self, id: SessionId) -> Option<usize> {
        self.by_id.get(&id).copied()
    }

    /// An event was seen on a following that began at that moment.
    pub fn see(&mut self, session: usize, event: &Event, began: Instant) -> Result<(), String> {
        let known = &mut self.sessions[session];
        if event.session_id != known.id {
            return Err(format!("an event of session {}", event.session_id));
        }
        known.see(event, began, &self.texts)
    }

    /// A message was seen in what was asked for at that moment.
    pub fn see_message(
        &mut self,
        session: usize,
        message: &Message,
        began: Instant,
    ) -> Result<usize, String> {
        let known = &mut self.sessions[session];
        if message.session_id != known.id {
            return Err(format!("a message of session {}", message.session_id));
        }
        known.see_message(message, began, &self.texts)
    }

    /// Somebody wants to send something new; gives its number.
    pub fn new_send(&mut self, session: usize, user: usize, bytes: usize, named: bool) -> usize {
        let client_id = named.then(|| {
            self.client_ids += 1;
            format!("c-{}", self.client_ids)
        });
        self.make_send(session, user, bytes, client_id)
    }

    /// Other contents under the `client_id` of a send.
    pub fn twisted_send(&mut self, session: usize, send: usize) -> usize {
        let Send { user, client_id, .. } = &self.sessions[session].sends[send];
        let (user, client_id) = (*user, client_id.clone());
        let made = self.make_send(session, user, 30, client_id);
        self.sessions[session].sends[made].is_twisted = true;
        made
    }

    fn make_send(
        &mut self,
        session: usize,
        user: usize,
        bytes: usize,
        client_id: Option<String>,
    ) -> usize {
        let known = &mut self.sessions[session];
        let number = known.sends.len();
        let content = self.texts.make(known.id, number, 0, bytes);
        known.sends.push(Send {
            user,
            client_id,
            file_url: (number % 5 == 4).then(|| format!("https://files.example/{number}")),
            content,
            is_twisted: false,
            is_plain: false,
            found: None,
            asked: 0,
            refused: 0,
            created: 0,
            is_acknowledged: false,
            edits_asked: 0,
            edits: Vec::new(),
            deletes_asked: 0,
            is_delete_acknowledged: false,
            deleted: None,
        });
        number
    }

    /// The body of a request to send.
    pub fn body_of(&mut self, session: usize, send: usize) -> Value {
        let send = &mut self.sessions[session].sends[send];
        send.asked += 1;
        let mut body = json!({"content": &*send.content});
        if let Some(client_id) = &send.client_id {
            body["client_id"] = json!(client_id);
        }
        if let Some(url) = &send.file_url {
            body["file_url"] = json!(url);
        }
        body
    }
}

/// Whether a connection that broke needs no other cause.
pub fn is_restart(state: &State, generation: u32) -> bool {
    state.restarts != generation || state.restarts % 2 == 1
}
