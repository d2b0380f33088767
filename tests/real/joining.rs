//! A message is sent at the very moment in which somebody joins.
//!
//! Nobody else follows the session and nothing follows the message: whoever looks up where the
//! log stands before taking a place at the ring misses it for good. Joiners that name a
//! position must get it; those that do not must get it if it is above the head they were told.

use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::dice::Dice;
use crate::line::{Heard, Line, Speech};
use crate::person::Person;
use crate::rest::Rest;
use crate::world::{found_session, next_durable, start};

/// Joins at the same time, in sessions of their own.
const LANES: usize = 6;
const JOINS_A_LANE: usize = 400;
/// So many sessions take turns, so that the last joiner is forgotten before the next one comes.
const SESSIONS_A_LANE: usize = 10;
/// The message is sent so much later than the join begins, at most.
const DELAY_US_MAX: u64 = 3_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_joins_while_a_message_is_sent_gets_it_or_was_told_of_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = start(&folder);
    let mut dice = Dice::of("joining");
    let mut lanes = JoinSet::new();
    for _ in 0..LANES {
        lanes.spawn(join_often(server.url().to_owned(), dice.others()));
    }
    while let Some(ended) = lanes.join_next().await {
        ended.expect("a lane");
    }
}

async fn join_often(url: String, mut dice: Dice) {
    let owner = Person::new("owner");
    let mut rest = Rest::new(&url, &owner);
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS_A_LANE {
        sessions.push((found_session(&mut rest, &[]).await, 0));
    }
    for join in 0..JOINS_A_LANE {
        let (session, head) = &mut sessions[join % SESSIONS_A_LANE];
        let speech = *dice.pick(&[Speech::Plain, Speech::V1]);
        // A plain joiner without a position can't know whether it should have got the message.
        let after = (speech == Speech::Plain || dice.below(2) == 0).then_some(*head);
        let delay = Duration::from_micros(dice.below(DELAY_US_MAX));
        let path = format!("/api/chat/sessions/{session}/messages");
        let send = async {
            sleep(delay).await;
            let answer = rest.post(&path, &json!({"content": "hello"})).await;
            answer.expect("an answer").expect(201)["seq"].as_u64().expect("a seq")
        };
        let (line, seq) = tokio::join!(Line::open(&url, &owner, session, speech, after), send);
        assert_eq!(seq, *head + 1);
        let mut line = line.expect("the server lives");
        let told = match after {
            Some(after) => after,
            None => head_told(&mut line).await,
        };
        if told < seq {
            assert_eq!(next_durable(&mut line).await["seq"], seq);
        }
        *head = seq;
    }
}

/// The head in the frame that begins a following.
async fn head_told(line: &mut Line) -> u64 {
    loop {
        let Heard::Frame(frame) = line.hear().await else { panic!("the socket ended") };
        if frame["type"] == "following" {
            return frame["head"].as_u64().expect("a head");
        }
    }
}
