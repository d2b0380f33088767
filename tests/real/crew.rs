//! Clients that send and read at the same time, and write down in the ledger what they learn.
//!
//! A [`Seat`] is one client's place: who, in which session, through which door; it keeps the last
//! number seen, so that the next connection goes on from there. [`Crew::board`] opens them all
//! against one server. The crew ends with its server ([`Crew::lost`]), or is called to rest
//! ([`Crew::rest`]): then everybody has seen everything up to a last message, and no socket was
//! closed under it.
//!
//! While they read they check: a v1 client sees every number once, without a gap; a plain one
//! sees numbers that only grow, and `World::audit` compares how many.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::dice::Dice;
use crate::ledger::{Ledger, Note};
use crate::line::{Heard, Line, Speech};
use crate::person::Person;
use crate::rest::{Gone, PATIENCE, Rest};

/// Sends of one socket that are not answered yet.
const WINDOW: usize = 8;
/// A client that was told `unavailable` does not ask again at once.
const BREATH: Duration = Duration::from_millis(10);

/// How a client reaches the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    Rest,
    Socket(Speech),
}

/// One client's place.
#[derive(Clone)]
pub struct Seat {
    pub person: Arc<Person>,
    pub session: String,
    pub door: Door,
    pub sends: bool,
    /// The last number that its sockets saw, and how many messages up to there.
    pub after: u64,
    pub messages: u64,
    /// The close code with which its last socket ended, if there was one.
    pub closed: Option<u16>,
}

/// What the crew is to do.
#[derive(Clone, Debug)]
enum Order {
    Send,
    /// Wait for what is not answered yet.
    Hush,
    /// Go home once the session's event with that number was seen.
    HomeAfter(HashMap<String, u64>),
}

/// Clients at work.
pub struct Crew {
    ledger: Arc<Ledger>,
    tasks: JoinSet<Seat>,
    orders: watch::Sender<Order>,
    /// Senders with something unanswered.
    busy: watch::Sender<usize>,
}

impl Crew {
    pub fn board(url: &str, seats: Vec<Seat>, ledger: &Arc<Ledger>, dice: &mut Dice) -> Self {
        let (orders, _) = watch::channel(Order::Send);
        let (busy, _) = watch::channel(seats.iter().filter(|seat| seat.sends).count());
        let mut tasks = JoinSet::new();
        for seat in seats {
            let mate = Mate {
                url: url.to_owned(),
                seat,
                ledger: ledger.clone(),
                orders: orders.subscribe(),
                busy: Some(busy.clone()),
                dice: dice.others(),
            };
            tasks.spawn(mate.work());
        }
        Self { ledger: ledger.clone(), tasks, orders, busy }
    }

    /// Waits until everybody has lost the server.
    pub async fn lost(mut self) -> Vec<Seat> {
        self.home().await
    }

    /// Calls everybody home: all that was sent is answered, and all sockets have seen a last
    /// message in each session, sent by `last` as the server's owner of all.
    pub async fn rest(
        mut self,
        url: &str,
        last: &Person,
        sessions: &[String],
        dice: &mut Dice,
    ) -> Vec<Seat> {
        self.orders.send_replace(Order::Hush);
        let mut busy = self.busy.subscribe();
        timeout(PATIENCE, busy.wait_for(|busy| *busy == 0)).await.expect("all are answered").ok();
        let mut rest = Rest::new(url, last);
        let mut ends = HashMap::new();
        for session in sessions {
            let lane = self.ledger.lane();
            let (client_id, content) = self.ledger.begin(session, &last.id, lane, dice);
            let answer = post(&mut rest, session, &client_id, &content).await;
            let note = Note::of(&answer.expect("the server lives").expect(201));
            ends.insert(session.clone(), note.seq);
            self.ledger.saw(session, note);
        }
        self.orders.send_replace(Order::HomeAfter(ends));
        let seats = self.home().await;
        assert!(seats.iter().all(|seat| seat.closed.is_none()), "a socket was closed");
        seats
    }

    async fn home(&mut self) -> Vec<Seat> {
        let mut seats = Vec::new();
        while let Some(ended) = timeout(PATIENCE, self.tasks.join_next()).await.expect("an end") {
            seats.push(ended.expect("no client found fault"));
        }
        seats
    }
}

/// Sends over REST.
pub async fn post(
    rest: &mut Rest,
    session: &str,
    client_id: &str,
    content: &str,
) -> Result<crate::rest::Answer, Gone> {
    let body = json!({"client_id": client_id, "content": content});
    rest.post(&format!("/api/chat/sessions/{session}/messages"), &body).await
}

/// One client at work.
struct Mate {
    url: String,
    seat: Seat,
    ledger: Arc<Ledger>,
    orders: watch::Receiver<Order>,
    /// Taken when nothing of its sends is unanswered any more.
    busy: Option<watch::Sender<usize>>,
    dice: Dice,
}

impl Mate {
    async fn work(mut self) -> Seat {
        // Gone, or home: the seat tells how far it came.
        let _ = match self.seat.door {
            Door::Rest => self.work_over_rest().await,
            Door::Socket(speech) => self.work_over_socket(speech).await,
        };
        self.is_quiet();
        self.seat
    }

    /// Tells once that this client waits for no answer.
    fn is_quiet(&mut self) {
        if let Some(busy) = self.busy.take()
            && self.seat.sends
        {
            busy.send_modify(|count| *count -= 1);
        }
    }

    fn may_send(&self) -> bool {
        self.seat.sends && matches!(*self.orders.borrow(), Order::Send)
    }

    fn is_home(&self) -> bool {
        match &*self.orders.borrow() {
            Order::HomeAfter(ends) => self.seat.after >= ends[&self.seat.session],
            Order::Send | Order::Hush => false,
        }
    }

    async fn work_over_rest(&mut self) -> Result<(), Gone> {
        let mut rest = Rest::new(&self.url, &self.seat.person);
        let lane = self.ledger.lane();
        let session = self.seat.session.clone();
        while self.may_send() {
            let sender = &self.seat.person.id;
            let (client_id, content) = self.ledger.begin(&session, sender, lane, &mut self.dice);
            let answer = post(&mut rest, &session, &client_id, &content).await?;
            if answer.status == 503 {
                answer.expect_unavailable();
                self.ledger.refused();
                sleep(BREATH).await;
            } else {
                self.ledger.saw(&session, Note::of(&answer.expect(201)));
            }
        }
        Ok(())
    }

    async fn work_over_socket(&mut self, speech: Speech) -> Result<(), Gone> {
        let Seat { person, session, after, .. } = self.seat.clone();
        self.seat.closed = None;
        let mut line = Line::open(&self.url, &person, &session, speech, Some(after)).await?;
        let lane = self.ledger.lane();
        let mut open = Open::default();
        while !self.is_home() {
            while self.may_send() && open.count() < WINDOW {
                let begun = self.ledger.begin(&session, &person.id, lane, &mut self.dice);
                if line.say(&begun.0, &begun.1).await.is_err() {
                    // What it still has to tell is heard below.
                    break;
                }
                open.sent.insert(begun.0);
            }
            if open.count() == 0 && !self.may_send() {
                self.is_quiet();
            }
            let heard = tokio::select! {
                heard = line.hear_some_day() => heard,
                _ = self.orders.changed() => continue,
            };
            match heard {
                Heard::Frame(frame) => self.take(&frame, speech, &mut open).await,
                Heard::Closed(code) => {
                    self.seat.closed = Some(code);
                    return Err(Gone);
                }
                Heard::Gone => return Err(Gone),
            }
        }
        Ok(())
    }

    async fn take(&mut self, frame: &Value, speech: Speech, open: &mut Open) {
        if !frame["error"].is_null() {
            assert_eq!(frame["code"], "unavailable", "{frame}");
            match frame["client_id"].as_str() {
                Some(client_id) => drop(open.sent.remove(client_id)),
                None => open.errors += 1,
            }
            self.ledger.refused();
            return sleep(BREATH).await;
        }
        match speech {
            Speech::Plain => self.take_message(frame, open),
            Speech::V1 if frame["type"] == "message.sent" => {
                open.sent.remove(frame["client_id"].as_str().expect("a client_id"));
                self.ledger.saw(&self.seat.session, Note::of(&frame["message"]));
            }
            Speech::V1 => {
                let is_event = frame["at"].is_string();
                if is_event {
                    assert_eq!(frame["seq"].as_u64(), Some(self.seat.after + 1), "{frame}");
                }
                if frame["type"] == "message.created" {
                    self.take_message(&frame["data"], &mut Open::default());
                } else if is_event {
                    self.seat.after += 1;
                }
            }
        }
    }

    fn take_message(&mut self, message: &Value, open: &mut Open) {
        let note = Note::of(message);
        assert!(note.seq > self.seat.after, "{} comes behind {}", note.seq, self.seat.after);
        self.seat.after = note.seq;
        self.seat.messages += 1;
        open.sent.remove(&note.client_id);
        self.ledger.saw(&self.seat.session, note);
    }
}

/// Sends of a socket that are not answered.
#[derive(Default)]
struct Open {
    sent: HashSet<String>,
    /// Refusals on a plain socket, which does not say of what.
    errors: usize,
}

impl Open {
    fn count(&self) -> usize {
        self.sent.len().saturating_sub(self.errors)
    }
}
