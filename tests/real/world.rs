//! One data folder with its people, sessions and clients, over many lives of its server.
//!
//! [`World::audit`] is the judgement: the log of each session, read page by page as its owner,
//! against everything the clients know. [`World::settle`] repeats what nobody knows the outcome
//! of, over all doors, and some of what was acknowledged: afterwards all of it is there once.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::{JoinSet, block_in_place};
use tokio::time::{sleep, timeout};

use crate::crew::{Crew, Door, Seat, post};
use crate::dice::Dice;
use crate::ledger::{Ledger, Note, Order, Sent};
use crate::line::{Heard, Line, Speech};
use crate::person::{Person, SECRET};
use crate::process::{Launch, ServerProcess};
use crate::rest::{PATIENCE, Rest};

/// Sends that a repeating socket has in flight.
const REPEATS_AT_ONCE: usize = 16;
/// Sends that were acknowledged, and are repeated all the same.
const NEEDLESS_REPEATS: usize = 6;
const SESSIONS: usize = 2;

/// Everything that outlives one server process.
pub struct World {
    pub folder: TempDir,
    pub ledger: Arc<Ledger>,
    pub dice: Dice,
    /// The first one owns all sessions.
    pub people: Vec<Arc<Person>>,
    pub sessions: Vec<String>,
    seats: Vec<Seat>,
}

/// Starts a server on the folder, with the secret that people's tokens are signed with.
pub fn start(folder: &TempDir) -> ServerProcess {
    let launch = Launch::serve(folder.path()).env("ASSISTDECK_JWT_SECRET", SECRET);
    block_in_place(|| launch.start())
}

impl World {
    /// An empty folder. The name is the test's.
    pub fn new(name: &str) -> Self {
        Self {
            folder: TempDir::new().expect("a temporary folder"),
            ledger: Arc::default(),
            dice: Dice::of(name),
            people: ["owner", "second", "third"].map(|name| Arc::new(Person::new(name))).into(),
            sessions: Vec::new(),
            seats: Vec::new(),
        }
    }

    /// Starts a server on the folder; the first one is given its sessions.
    pub async fn start(&mut self) -> ServerProcess {
        let server = start(&self.folder);
        if self.sessions.is_empty() {
            self.found(server.url()).await;
        }
        server
    }

    /// Starts the server again after whatever happened to it: all that is known is there, and
    /// what nobody knew the outcome of is sent again.
    pub async fn resume(&mut self) -> ServerProcess {
        let server = self.start().await;
        self.audit(server.url(), Order::Prefix).await;
        self.settle(server.url()).await;
        server
    }

    pub async fn found(&mut self, url: &str) {
        let owner = &self.people[0];
        for person in &self.people {
            let profile = Rest::new(url, person).call("GET", "/api/users/profile").await;
            profile.expect("an answer").expect(200);
        }
        for _ in 0..SESSIONS {
            let others: Vec<_> = self.people[1..].iter().map(|person| &**person).collect();
            let session = found_session(&mut Rest::new(url, owner), &others).await;
            let seat = |person: usize, door, sends| Seat {
                person: self.people[person].clone(),
                session: session.clone(),
                door,
                sends,
                after: 0,
                messages: 0,
                closed: None,
            };
            self.seats.extend([
                seat(0, Door::Socket(Speech::Plain), true),
                seat(1, Door::Socket(Speech::V1), true),
                seat(2, Door::Rest, true),
                seat(2, Door::Rest, true),
                seat(2, Door::Socket(Speech::Plain), false),
                seat(0, Door::Socket(Speech::V1), false),
            ]);
            self.sessions.push(session);
        }
    }

    /// All clients, from where they were.
    pub fn crew(&mut self, url: &str) -> Crew {
        Crew::board(url, std::mem::take(&mut self.seats), &self.ledger, &mut self.dice)
    }

    /// The same, every other one at another server of the same store.
    pub fn crews(&mut self, urls: [&str; 2]) -> [Crew; 2] {
        let mut halves = [Vec::new(), Vec::new()];
        for (number, seat) in std::mem::take(&mut self.seats).into_iter().enumerate() {
            halves[number % 2].push(seat);
        }
        let mut urls = urls.into_iter();
        halves.map(|seats| {
            let url = urls.next().expect("one for each half");
            Crew::board(url, seats, &self.ledger, &mut self.dice)
        })
    }

    /// The server ended under them. How each socket was closed, if it was.
    pub async fn lose(&mut self, crew: Crew) -> Vec<Option<u16>> {
        self.seats.extend(crew.lost().await);
        let sockets = self.seats.iter().filter(|seat| seat.door != Door::Rest);
        sockets.map(|seat| seat.closed).collect()
    }

    /// They go home, having seen everything.
    pub async fn rest(&mut self, crew: Crew, url: &str) {
        let owner = self.people[0].clone();
        let rested = crew.rest(url, &owner, &self.sessions, &mut self.dice).await;
        self.seats.extend(rested);
    }

    /// The log of every session against everything that anybody knows.
    pub async fn audit(&self, url: &str, order: Order) {
        let mut rest = Rest::new(url, &self.people[0]);
        let mut logs = Vec::new();
        for session in &self.sessions {
            let events = read_log(&mut rest, session).await;
            self.ledger.check_log(session, &events);
            for seat in self.seats.iter().filter(|seat| seat.session == *session) {
                check_seat(seat, &events);
            }
            logs.push(events);
        }
        self.ledger.check_order(order, &logs);
    }

    /// Repeats what is open, each person's over a door of its own, and some that is not open.
    pub async fn settle(&mut self, url: &str) {
        let mut sends = self.ledger.open_sends();
        sends.extend(self.ledger.some_acked(NEEDLESS_REPEATS, &mut self.dice));
        let mut tasks = JoinSet::new();
        for session in &self.sessions {
            for person in &self.people {
                let is_theirs = |(_, sent): &&(String, Sent)| {
                    sent.session == *session && sent.sender == person.id
                };
                let theirs: Vec<_> = sends.iter().filter(is_theirs).cloned().collect();
                let door = *self.dice.pick(&[
                    Door::Rest,
                    Door::Socket(Speech::Plain),
                    Door::Socket(Speech::V1),
                ]);
                let (person, ledger) = (person.clone(), self.ledger.clone());
                tasks.spawn(repeat(url.to_owned(), person, door, theirs, ledger));
            }
        }
        while let Some(ended) = tasks.join_next().await {
            ended.expect("the repeats are answered");
        }
        let left = self.ledger.open_sends();
        assert!(left.is_empty(), "repeated, and still open: {left:?}");
    }

    /// SQLite finds no fault with the files. The server must have ended.
    pub fn check_database(&self) {
        let path = self.folder.path().join("data/assistdeck.db");
        let connection = Connection::open(path).expect("the database opens");
        let read = |sql| connection.query_row(sql, [], |row| row.get::<_, String>(0));
        assert_eq!(read("PRAGMA integrity_check").as_deref(), Ok("ok"));
    }

    /// The same logs once more as sockets tell them, from the beginning.
    pub async fn replay(&self, url: &str) {
        for session in &self.sessions {
            let events = read_log(&mut Rest::new(url, &self.people[0]), session).await;
            let created = events.iter().filter(|event| event["type"] == "message.created");
            let messages: Vec<_> = created.map(|event| event["data"].clone()).collect();
            for (speech, expected) in [(Speech::V1, &events), (Speech::Plain, &messages)] {
                let line = Line::open(url, &self.people[1], session, speech, Some(0)).await;
                let mut line = line.expect("the server lives");
                for expected in expected {
                    assert_eq!(next_durable(&mut line).await, *expected);
                }
            }
        }
    }
}

/// A session of the caller's with these participants; its id.
pub async fn found_session(owner: &mut Rest, others: &[&Person]) -> String {
    let made = owner.post("/api/chat/sessions", &json!({"title": "under test"})).await;
    let made = made.expect("an answer").expect(201);
    let session = made["id"].as_str().expect("an id").to_owned();
    let path = format!("/api/chat/sessions/{session}/participants");
    for other in others {
        let added = owner.post(&path, &json!({"user_id": other.id})).await;
        added.expect("an answer").expect(201);
    }
    session
}

/// Waits until the server says that it is ready.
pub async fn until_ready(url: &str) {
    let mut rest = Rest::new(url, &Person::new("operator"));
    let ready = async {
        while rest.call("GET", "/readyz").await.expect("an answer").status != 200 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, ready).await.expect("the server recovers by itself");
}

/// All events of a session.
pub async fn read_log(rest: &mut Rest, session: &str) -> Vec<Value> {
    let mut events: Vec<Value> = Vec::new();
    loop {
        let path = format!(
            "/api/chat/sessions/{session}/events?after={}&limit=1000",
            events.last().map_or(0, |event| event["seq"].as_u64().expect("a seq"))
        );
        let page = rest.call("GET", &path).await.expect("an answer").expect(200);
        let found = page["events"].as_array().expect("an array");
        events.extend(found.iter().cloned());
        if found.is_empty() {
            assert_eq!(page["head"].as_u64(), Some(events.len() as u64), "the head is the end");
            return events;
        }
    }
}

/// The next frame of a socket that is an event or a message.
pub async fn next_durable(line: &mut Line) -> Value {
    loop {
        match line.hear().await {
            Heard::Frame(frame) if frame["at"].is_string() || frame["content"].is_string() => {
                return frame;
            }
            Heard::Frame(frame) => assert!(frame["code"].is_null(), "{frame}"),
            other => panic!("the socket ended: {other:?}"),
        }
    }
}

/// A socket has seen all messages up to where it is.
fn check_seat(seat: &Seat, events: &[Value]) {
    let up_to = events.iter().take(seat.after as usize);
    let stored = up_to.filter(|event| event["type"] == "message.created").count();
    assert_eq!(seat.messages, stored as u64, "{:?} up to {} missed some", seat.door, seat.after);
}

/// Sends again what was sent before, until each is answered.
async fn repeat(
    url: String,
    person: Arc<Person>,
    door: Door,
    sends: Vec<(String, Sent)>,
    ledger: Arc<Ledger>,
) {
    let Some((_, first)) = sends.first() else { return };
    let session = first.session.clone();
    match door {
        Door::Rest => {
            let mut rest = Rest::new(&url, &person);
            for (client_id, sent) in sends {
                let answer = post(&mut rest, &session, &client_id, &sent.content).await;
                let answer = answer.expect("the server lives");
                let status = if answer.status == 200 { 200 } else { 201 };
                ledger.saw(&session, Note::of(&answer.expect(status)));
            }
        }
        Door::Socket(speech) => {
            let line = Line::open(&url, &person, &session, speech, None).await;
            let mut line = line.expect("the server lives");
            for sends in sends.chunks(REPEATS_AT_ONCE) {
                for (client_id, sent) in sends {
                    line.say(client_id, &sent.content).await.expect("the server lives");
                }
                hear_all(&mut line, &session, sends, &ledger).await;
            }
        }
    }
}

/// Reads until each of these sends is answered; others' messages are seen on the way.
async fn hear_all(line: &mut Line, session: &str, sends: &[(String, Sent)], ledger: &Ledger) {
    let mut open: Vec<&str> = sends.iter().map(|(client_id, _)| client_id.as_str()).collect();
    open.sort_unstable();
    open.dedup();
    while !open.is_empty() {
        let Heard::Frame(frame) = line.hear().await else { panic!("the socket ended") };
        assert!(frame["error"].is_null(), "{frame}");
        let message = match frame["type"].as_str() {
            Some("message.sent") => &frame["message"],
            Some(_) => continue,
            None => &frame,
        };
        let note = Note::of(message);
        open.retain(|client_id| *client_id != note.client_id);
        ledger.saw(session, note);
    }
}
