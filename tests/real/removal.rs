//! A participant is thrown out while they flood the session over all doors, two hundred times.
//!
//! The removal has a number. Nothing of theirs is stored above it, nothing above it reaches
//! them, their sockets end with it and 4503, and what they send over REST afterwards is 403. The
//! owner writes all the time, so that there is always something that could leak.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::dice::Dice;
use crate::line::{Heard, Line, Speech};
use crate::person::Person;
use crate::rest::{PATIENCE, Rest};
use crate::world::{found_session, start};

/// Sessions in which it happens at the same time.
const LANES: usize = 4;
const REMOVALS_A_LANE: usize = 50;
/// Messages of a socket that are on their way.
const WINDOW: u64 = 16;
/// Messages of the flood that arrived before the removal is asked for, at most.
const ARRIVED_MAX: u64 = 40;
const REMOVED: u16 = 4503;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_a_removed_participant_comes_behind_their_removal() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = start(&folder);
    let mut dice = Dice::of("removal");
    let mut lanes = JoinSet::new();
    for _ in 0..LANES {
        lanes.spawn(Lane::run(server.url().to_owned(), dice.others()));
    }
    while let Some(ended) = lanes.join_next().await {
        ended.expect("a lane");
    }
}

/// One session, its owner, and the guest who comes and goes.
struct Lane {
    url: String,
    session: String,
    owner: Rest,
    guest: Arc<Person>,
    /// The owner's cursor over the log.
    after: u64,
}

impl Lane {
    async fn run(url: String, mut dice: Dice) {
        let (owner, guest) = (Person::new("owner"), Arc::new(Person::new("guest")));
        let profile = Rest::new(&url, &guest).call("GET", "/api/users/profile").await;
        profile.expect("an answer").expect(200);
        let mut rest = Rest::new(&url, &owner);
        let session = found_session(&mut rest, &[]).await;
        let is_over = Arc::new(AtomicBool::new(false));
        let path = format!("/api/chat/sessions/{session}/messages");
        let chatter = tokio::spawn(chatter(Rest::new(&url, &owner), path, is_over.clone()));
        let mut lane = Self { url, session, owner: rest, guest, after: 0 };
        for round in 0..REMOVALS_A_LANE {
            lane.remove_once(round, &mut dice).await;
        }
        is_over.store(true, Ordering::Relaxed);
        chatter.await.expect("the owner's own messages are taken");
    }

    async fn remove_once(&mut self, round: usize, dice: &mut Dice) {
        let participants = format!("/api/chat/sessions/{}/participants", self.session);
        let added = self.owner.post(&participants, &json!({"user_id": self.guest.id})).await;
        added.expect("an answer").expect(201);
        let (arrived, mut count) = watch::channel(0);
        let mut flood = JoinSet::new();
        for speech in [Speech::Plain, Speech::V1] {
            let line = Line::open(&self.url, &self.guest, &self.session, speech, None).await;
            let line = line.expect("the server lives");
            flood.spawn(flood_socket(line, format!("{speech:?}-{round}"), arrived.clone()));
        }
        let rest = Rest::new(&self.url, &self.guest);
        let path = format!("/api/chat/sessions/{}/messages", self.session);
        flood.spawn(flood_rest(rest, path.clone(), format!("rest-{round}"), arrived));
        let goal = dice.below(ARRIVED_MAX);
        let reached = timeout(PATIENCE, count.wait_for(|count| *count >= goal)).await;
        drop(reached.expect("the flood flows").expect("the flood goes on"));

        let removed = format!("{participants}/{}", self.guest.id);
        let answer = self.owner.call("DELETE", &removed).await.expect("an answer");
        assert_eq!(answer.expect(200), json!({"message": "participant removed"}));
        let mut late = Rest::new(&self.url, &self.guest);
        let refused = late.post(&path, &json!({"content": "too late"})).await.expect("an answer");
        assert_eq!(refused.expect(403)["code"], "not_a_member");
        let mut ends = Vec::new();
        while let Some(end) = timeout(PATIENCE, flood.join_next()).await.expect("an end") {
            ends.push(end.expect("no flood found fault"));
        }
        self.check(&ends).await;
    }

    /// Compares what the flood knows with the log since the last round.
    async fn check(&mut self, ends: &[FloodEnd]) {
        let events = self.new_events().await;
        let place_of = |kind: &str| {
            let found = events.iter().find(|event| event["type"] == kind);
            found.and_then(|event| event["seq"].as_u64()).unwrap_or_else(|| panic!("no {kind}"))
        };
        let (added, removed) = (place_of("participant.added"), place_of("participant.removed"));
        assert!(added < removed);
        let theirs = |event: &&Value| event["data"]["sender_id"] == *self.guest.id;
        let stored: Vec<_> =
            events.iter().filter(theirs).filter_map(|event| event["seq"].as_u64()).collect();
        for seq in &stored {
            assert!(added < *seq && *seq < removed, "{seq} is not within {added} to {removed}");
        }
        for end in ends {
            for seq in &end.arrived {
                assert!(stored.contains(seq), "{}: {seq} is not stored", end.name);
            }
            assert!(end.last_seq <= removed, "{}: {} above {removed}", end.name, end.last_seq);
            if end.is_v1 {
                assert_eq!(end.last_seq, removed, "{}: the removal comes last", end.name);
            }
        }
    }

    /// The log above the owner's cursor, up to now.
    async fn new_events(&mut self) -> Vec<Value> {
        let path = format!("/api/chat/sessions/{}", self.session);
        let head = self.owner.call("GET", &path).await.expect("an answer").expect(200);
        let head = head["last_seq"].as_u64().expect("a head");
        let mut events = Vec::new();
        while self.after < head {
            let path = format!("{path}/events?after={}&limit=1000", self.after);
            let page = self.owner.call("GET", &path).await.expect("an answer").expect(200);
            for event in page["events"].as_array().expect("an array") {
                assert_eq!(event["seq"].as_u64(), Some(self.after + 1), "dense");
                self.after += 1;
                events.push(event.clone());
            }
        }
        events
    }
}

/// The owner writes, one message after the other.
async fn chatter(mut rest: Rest, path: String, is_over: Arc<AtomicBool>) {
    while !is_over.load(Ordering::Relaxed) {
        rest.post(&path, &json!({"content": "chatter"})).await.expect("an answer").expect(201);
    }
}

/// What one door of the guest knows at its end.
struct FloodEnd {
    name: String,
    is_v1: bool,
    /// The last number that it saw.
    last_seq: u64,
    /// Its own messages, as they were numbered.
    arrived: Vec<u64>,
}

/// Sends until 403.
async fn flood_rest(
    mut rest: Rest,
    path: String,
    name: String,
    arrived: watch::Sender<u64>,
) -> FloodEnd {
    let mut end = FloodEnd { name, is_v1: false, last_seq: 0, arrived: Vec::new() };
    loop {
        let answer = rest.post(&path, &json!({"content": end.name})).await.expect("an answer");
        if answer.status == 403 {
            assert_eq!(answer.expect(403)["code"], "not_a_member");
            return end;
        }
        end.arrived.push(answer.expect(201)["seq"].as_u64().expect("a seq"));
        arrived.send_modify(|count| *count += 1);
    }
}

/// Sends until the socket is closed, which must be with 4503.
async fn flood_socket(mut line: Line, name: String, arrived: watch::Sender<u64>) -> FloodEnd {
    let is_v1 = name.starts_with("V1");
    let mut end = FloodEnd { name, is_v1, last_seq: 0, arrived: Vec::new() };
    let (mut sent, mut answered) = (0_u64, 0);
    loop {
        while sent < answered + WINDOW {
            sent += 1;
            let client_id = format!("{}-{sent}", end.name);
            if line.say(&client_id, &client_id).await.is_err() {
                // It is being closed: how, is heard below.
                sent += WINDOW;
            }
        }
        let frame = match line.hear().await {
            Heard::Frame(frame) => frame,
            Heard::Closed(code) => {
                assert_eq!(code, REMOVED, "{}", end.name);
                return end;
            }
            Heard::Gone => panic!("{}: the socket broke", end.name),
        };
        if !frame["error"].is_null() {
            assert_eq!(frame["code"], "not_a_member", "{frame}");
            answered += 1;
            continue;
        }
        if frame["type"] == "message.sent" {
            end.arrived.push(frame["message"]["seq"].as_u64().expect("a seq"));
            continue;
        }
        let is_durable = frame["at"].is_string() || frame["content"].is_string();
        let Some(seq) = frame["seq"].as_u64().filter(|_| is_durable) else { continue };
        assert!(seq > end.last_seq, "{}: {seq} behind {}", end.name, end.last_seq);
        end.last_seq = seq;
        let message = if is_v1 { &frame["data"] } else { &frame };
        let client_id = message["client_id"].as_str().unwrap_or_default();
        if client_id.starts_with(&format!("{}-", end.name)) {
            end.arrived.push(seq);
            answered += 1;
            arrived.send_modify(|count| *count += 1);
        }
    }
}
