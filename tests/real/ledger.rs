//! What the clients of a test know: what they sent, what was acknowledged, what anybody saw.
//!
//! A send counts as acknowledged when it was answered with success or when any member saw the
//! message. [`Ledger::check_log`] compares all of it with what the store holds: nothing
//! acknowledged is lost, nothing is there twice, whatever was seen is stored under the same
//! number, and each connection's messages keep the order in which they were sent.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::dice::Dice;
use crate::rest::PATIENCE;

/// A message as one client knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    pub seq: u64,
    pub id: String,
    pub sender: String,
    pub client_id: String,
    pub content: String,
}

impl Note {
    /// Of the wire's `message`.
    pub fn of(message: &Value) -> Self {
        let text = |name: &str| message[name].as_str().unwrap_or_default().to_owned();
        Self {
            seq: message["seq"].as_u64().unwrap_or_else(|| panic!("no seq: {message}")),
            id: text("id"),
            sender: text("sender_id"),
            client_id: text("client_id"),
            content: text("content"),
        }
    }
}

/// A send that somebody began.
#[derive(Clone, Debug)]
pub struct Sent {
    pub session: String,
    pub sender: String,
    pub content: String,
    is_acked: bool,
}

/// What a connection's messages must look like in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The first so many of what it sent, in that order: its server died.
    Prefix,
    /// Those acknowledged, in that order: its server refused some.
    Acknowledged,
}

/// Memory of all clients of a test.
#[derive(Default)]
pub struct Ledger {
    book: Mutex<Book>,
    /// Sends acknowledged so far.
    acked: watch::Sender<u64>,
    /// Sends answered with `unavailable` so far.
    refused: watch::Sender<u64>,
}

#[derive(Default)]
struct Book {
    sends: BTreeMap<String, Sent>,
    seen: HashMap<String, BTreeMap<u64, Note>>,
    /// Client ids in the order in which each connection sent them, since the last check.
    lanes: HashMap<u64, Vec<String>>,
    count: u64,
}

impl Ledger {
    /// Writes down that something is about to be sent over connection `lane`; its `client_id`
    /// and content.
    pub fn begin(
        &self,
        session: &str,
        sender: &str,
        lane: u64,
        dice: &mut Dice,
    ) -> (String, String) {
        let mut book = self.lock();
        book.count += 1;
        let client_id = format!("m{}", book.count);
        let content = content_of(&client_id, dice);
        let sent = Sent {
            session: session.to_owned(),
            sender: sender.to_owned(),
            content: content.clone(),
            is_acked: false,
        };
        book.sends.insert(client_id.clone(), sent);
        book.lanes.entry(lane).or_default().push(client_id.clone());
        (client_id, content)
    }

    /// A number for a connection.
    pub fn lane(&self) -> u64 {
        let mut book = self.lock();
        book.count += 1;
        book.count
    }

    /// Somebody saw this message, or was answered with it: it has to be there for ever.
    pub fn saw(&self, session: &str, note: Note) {
        let mut book = self.lock();
        let Some(sent) = book.sends.get_mut(&note.client_id) else {
            panic!("nobody sent this: {note:?}")
        };
        assert_eq!((sent.session.as_str(), &sent.sender), (session, &note.sender), "{note:?}");
        assert_eq!(sent.content, note.content, "the content of {}", note.client_id);
        let is_new = !std::mem::replace(&mut sent.is_acked, true);
        let seen = book.seen.entry(session.to_owned()).or_default();
        if let Some(other) = seen.get(&note.seq) {
            assert_eq!(*other, note, "two messages under one number");
        } else {
            seen.insert(note.seq, note);
        }
        drop(book);
        if is_new {
            self.acked.send_modify(|count| *count += 1);
        }
    }

    /// A send was answered with `unavailable`: it may be stored or not.
    pub fn refused(&self) {
        self.refused.send_modify(|count| *count += 1);
    }

    pub fn acked_count(&self) -> u64 {
        *self.acked.borrow()
    }

    /// Waits until `more` sends than now are acknowledged.
    pub async fn until_acked(&self, more: u64) {
        until(&self.acked, more, "acknowledged").await;
    }

    /// Waits until `more` sends than now are refused.
    pub async fn until_refused(&self, more: u64) {
        until(&self.refused, more, "refused").await;
    }

    /// All sends that nobody knows the outcome of, with their `client_id`s.
    pub fn open_sends(&self) -> Vec<(String, Sent)> {
        let book = self.lock();
        let open = book.sends.iter().filter(|(_, sent)| !sent.is_acked);
        open.map(|(client_id, sent)| (client_id.clone(), sent.clone())).collect()
    }

    /// Some sends that were acknowledged.
    pub fn some_acked(&self, count: usize, dice: &mut Dice) -> Vec<(String, Sent)> {
        let book = self.lock();
        let acked: Vec<_> = book.sends.iter().filter(|(_, sent)| sent.is_acked).collect();
        if acked.is_empty() {
            return Vec::new();
        }
        let one = |_| {
            let (client_id, sent) = *dice.pick(&acked);
            (client_id.clone(), sent.clone())
        };
        (0..count).map(one).collect()
    }

    /// Compares everything known of a session with its whole log, from seq 1 on.
    pub fn check_log(&self, session: &str, events: &[Value]) {
        let book = self.lock();
        let stored = notes_of(events);
        let mut by_client_id = HashMap::new();
        for note in stored.values() {
            let twin = by_client_id.insert(note.client_id.as_str(), note.seq);
            assert_eq!(twin, None, "{} is stored twice, also as {}", note.client_id, note.seq);
            let sent = book.sends.get(&note.client_id);
            let sent = sent.unwrap_or_else(|| panic!("nobody sent what is stored: {note:?}"));
            assert_eq!((sent.session.as_str(), &sent.sender), (session, &note.sender));
            assert_eq!(sent.content, note.content, "the content of {}", note.client_id);
        }
        for (seq, note) in book.seen.get(session).into_iter().flatten() {
            assert_eq!(stored.get(seq), Some(note), "acknowledged, but not stored so");
        }
    }

    /// Compares what each connection sent since the last check with the logs of all sessions.
    pub fn check_order(&self, order: Order, logs: &[Vec<Value>]) {
        let mut book = self.lock();
        let mut places = HashMap::new();
        for note in logs.iter().flat_map(|events| notes_of(events).into_values()) {
            places.insert(note.client_id, note.seq);
        }
        for (lane, sends) in std::mem::take(&mut book.lanes) {
            let (mut last, mut missing) = (0, None);
            for client_id in sends {
                match places.get(&client_id) {
                    None => missing = missing.or(Some(client_id)),
                    Some(_) if order == Order::Acknowledged && !book.sends[&client_id].is_acked => {
                    }
                    Some(&seq) => {
                        assert!(seq > last, "lane {lane}: {client_id} as {seq}, behind {last}");
                        last = seq;
                        if order == Order::Prefix {
                            assert_eq!(missing, None, "lane {lane}: missing before {client_id}");
                        }
                    }
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        // A test that failed in one task must not hide its reason behind another panic.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn until(counter: &watch::Sender<u64>, more: u64, what: &str) {
    let mut counter = counter.subscribe();
    let goal = *counter.borrow() + more;
    let reached = timeout(PATIENCE, counter.wait_for(|count| *count >= goal)).await;
    let reached = reached.unwrap_or_else(|_| panic!("{more} more sends are not {what}"));
    drop(reached.expect("the ledger lives"));
}

/// The messages of a log whose numbers must be 1, 2, 3, … without a gap.
fn notes_of(events: &[Value]) -> BTreeMap<u64, Note> {
    let mut notes = BTreeMap::new();
    for (event, seq) in events.iter().zip(1..) {
        assert_eq!(event["seq"].as_u64(), Some(seq), "numbers are dense from 1");
        if event["type"] == "message.created" {
            let note = Note::of(&event["data"]);
            assert_eq!(note.seq, seq, "a message and its event have one number");
            notes.insert(seq, note);
        }
    }
    notes
}

/// Mostly short; now and then longer than a page of the database, seldom as long as allowed.
fn content_of(client_id: &str, dice: &mut Dice) -> String {
    let filler = match dice.below(100) {
        0..70 => dice.below(100),
        70..95 => dice.below(2_000),
        95..99 => dice.below(12_000),
        _ => dice.below(60_000),
    };
    format!("{client_id} {}", "x".repeat(filler as usize))
}
