//! From replay to live: nothing is missed and nothing comes twice, however it falls.
//!
//! Writers send, edit and delete while readers of every kind come, go and come back at places
//! that chance picks; a failing run names its seed. What readers got is compared with the log.

use std::collections::HashSet;

use futures_util::future::{BoxFuture, FutureExt, join_all};
use serde_json::{Value, json};

use crate::support::{Dice, TestServer, TestUser, number, paths, text};

const END: &str = "the end";

/// Sends a number of messages over a socket, and edits and deletes some of them over REST.
async fn write(user: TestUser, session: &str, seed: u64, count: usize) {
    let mut dice = Dice::new(seed);
    let mut socket = user.plain(session, "").await;
    for n in 0..count {
        socket.send(&json!({"content": format!("{seed}/{n}")})).await;
        if dice.below(8) == 0 {
            let long = "x".repeat(dice.below(20_000) as usize + 1);
            let said = user.say(session, &long).await;
            match dice.below(3) {
                0 => drop(user.edit(session, &said, "edited").await),
                1 => user.unsay(session, &said).await,
                _ => {}
            }
        }
    }
    socket.contents_before(&format!("{seed}/{}", count - 1)).await;
}

/// Waits until the log has come that far.
async fn wait_for(user: &TestUser, session: &str, seq: u64) {
    let path = paths::events(session, &format!("after={seq}&limit=1"));
    while user.get(&path).await.status == 409 {}
}

fn is_end(event: &Value) -> bool {
    event["data"]["content"] == END || event["content"] == END
}

/// Numbers and, where they have one, message ids of what a reader got.
type Got = Vec<(u64, Option<String>)>;

fn place(event: &Value) -> (u64, Option<String>) {
    let data = if event["data"].is_object() { &event["data"] } else { event };
    (number(&event["seq"]), data["id"].as_str().map(str::to_owned))
}

/// A reader over `assistdeck.v1` that goes away and comes back with what it has.
async fn read_v1(user: TestUser, session: &str, after: u64, mut dice: Dice) -> Got {
    let mut got: Got = Vec::new();
    loop {
        let have = got.last().map_or(after, |(seq, _)| *seq);
        let mut socket = user.v1_on(&format!("&session_id={session}&after={have}")).await;
        let mut patience = dice.below(120);
        while patience > 0 {
            let frame = socket.next().await;
            if frame.get("data").is_some() {
                patience -= 1;
                got.push(place(&frame));
                if is_end(&frame) {
                    return got;
                }
            }
        }
    }
}

/// The same over server-sent events.
async fn read_stream(user: TestUser, session: &str, after: u64, mut dice: Dice) -> Got {
    let mut got: Got = Vec::new();
    loop {
        let have = got.last().map_or(after, |(seq, _)| *seq).to_string();
        let call = user.call("GET", &paths::events(session, "")).header("last-event-id", &have);
        let mut stream = call.stream().await.expect("it opens");
        for _ in 0..dice.below(120) {
            let event = stream.next().await.expect("it goes on");
            got.push(place(&event));
            if is_end(&event) {
                return got;
            }
        }
    }
}

/// The same over pages that are waited for.
async fn read_pages(user: TestUser, session: &str, after: u64, mut dice: Dice) -> Got {
    let mut got: Got = Vec::new();
    loop {
        let have = got.last().map_or(after, |(seq, _)| *seq);
        let query = format!("after={have}&wait=10&limit={}", dice.below(50) + 1);
        let page = user.get(&paths::events(session, &query)).await.expect(200);
        for event in page["events"].as_array().expect("a list") {
            got.push(place(event));
            if is_end(event) {
                return got;
            }
        }
    }
}

/// The same over the plain protocol, which tells messages alone.
async fn read_plain(user: TestUser, session: &str, after: u64, mut dice: Dice) -> Got {
    let mut got: Got = Vec::new();
    loop {
        let have = got.last().map_or(after, |(seq, _)| *seq);
        let mut socket = user.plain(session, &format!("&after={have}")).await;
        for _ in 0..dice.below(120) {
            let message = socket.next().await;
            got.push(place(&message));
            if is_end(&message) {
                return got;
            }
        }
    }
}

/// The whole log, page by page.
async fn log(user: &TestUser, session: &str) -> Vec<Value> {
    let mut events: Vec<Value> = Vec::new();
    loop {
        let have = events.last().map_or(0, |event| number(&event["seq"]));
        let page = user.events(session, have).await;
        if page.is_empty() {
            return events;
        }
        events.extend(page);
    }
}

#[track_caller]
fn has_everything(got: &Got, after: u64, log: &[Value], why: &str) {
    let expected: Got = log.iter().skip(after as usize).map(place).collect();
    let first = got.iter().zip(&expected).position(|(got, expected)| got != expected);
    assert!(*got == expected, "{why}: from {first:?} on, {} of {}", got.len(), expected.len());
}

/// Of a message that was deleted nobody can say whether the reader still saw it.
#[track_caller]
fn has_all_messages(got: &Got, after: u64, log: &[Value], why: &str) {
    let created: HashSet<u64> = log
        .iter()
        .filter(|event| event["type"] == "message.created")
        .map(|event| number(&event["seq"]))
        .filter(|seq| *seq > after)
        .collect();
    let seqs: Vec<u64> = got.iter().map(|(seq, _)| *seq).collect();
    assert!(seqs.is_sorted_by(|one, other| one < other), "{why}: in order, none twice");
    let set: HashSet<u64> = seqs.iter().copied().collect();
    let missing: Vec<_> = created.difference(&set).collect();
    assert!(missing.is_empty(), "{why}: missed {missing:?}");
}

type Reading<'a> = BoxFuture<'a, (&'static str, u64, Got)>;

/// Readers that begin at places of the log that chance picks, each from a number of its own.
fn readers<'a>(
    user: &TestUser,
    session: &'a str,
    dice: &mut Dice,
    expected: u64,
) -> Vec<Reading<'a>> {
    let mut readers: Vec<Reading<'a>> = Vec::new();
    for kind in ["v1", "stream", "pages", "plain"].into_iter().cycle().take(12) {
        let begin = dice.below(expected);
        let (after, dice) = (dice.below(begin + 1), Dice::new(dice.below(u64::MAX)));
        let user = user.clone();
        readers.push(
            async move {
                wait_for(&user, session, begin).await;
                let got = match kind {
                    "v1" => read_v1(user, session, after, dice).await,
                    "stream" => read_stream(user, session, after, dice).await,
                    "pages" => read_pages(user, session, after, dice).await,
                    _ => read_plain(user, session, after, dice).await,
                };
                (kind, after, got)
            }
            .boxed(),
        );
    }
    readers
}

async fn hand_over(seed: u64) {
    let server = TestServer::start().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let session = ann.create_session_with(&[&bob]).await;
    let mut dice = Dice::new(seed);
    let readers = readers(&ann, &session, &mut dice, 200);
    let writers = async {
        join_all([
            write(ann.clone(), &session, seed, 100),
            write(bob.clone(), &session, seed + 1_000, 100),
        ])
        .await;
        ann.say(&session, END).await;
    };
    let (got, ()) = tokio::join!(join_all(readers), writers);
    let log = log(&bob, &session).await;
    let seqs: Vec<_> = log.iter().map(|event| number(&event["seq"])).collect();
    assert_eq!(seqs, (1..=log.len() as u64).collect::<Vec<_>>(), "seed {seed}: dense");
    assert_eq!(text(&log[log.len() - 1]["data"]["content"]), END);
    for (kind, after, got) in got {
        let why = format!("seed {seed}, {kind} after {after}");
        match kind {
            "plain" => has_all_messages(&got, after, &log, &why),
            _ => has_everything(&got, after, &log, &why),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_missed_or_doubled_between_replay_and_live() {
    for seed in 0..6 {
        hand_over(seed).await;
    }
}

#[tokio::test]
async fn the_same_on_one_thread() {
    for seed in 100..103 {
        hand_over(seed).await;
    }
}

/// Clients that come back at once.
const RETURNS: u64 = 300;
/// Messages that they missed, together more than a ring holds, so that pages serve the oldest.
const MISSED: u64 = 480;
const MISSED_BYTES: usize = 1_500;
/// And messages that are sent while they come back.
const MEANWHILE: usize = 100;

/// From one number to the end, without a break.
async fn come_back(user: &TestUser, session: &str, after: u64, kind: &str) -> Got {
    let mut got: Got = Vec::new();
    let more = format!("&after={after}");
    if kind == "stream" {
        let path = paths::events(session, &more[1..]);
        let mut stream = user.call("GET", &path).stream().await.expect("it opens");
        while got.last().is_none_or(|(seq, _)| *seq < MISSED + MEANWHILE as u64 + 2) {
            got.push(place(&stream.next().await.expect("it goes on")));
        }
        return got;
    }
    let mut socket = match kind {
        "v1" => user.v1_on(&format!("&session_id={session}{more}")).await,
        _ => user.plain(session, &more).await,
    };
    loop {
        let frame = socket.next().await;
        if kind == "plain" || frame.get("data").is_some() {
            got.push(place(&frame));
            if is_end(&frame) {
                return got;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_returns_is_served_while_the_session_goes_on() {
    let server = TestServer::start().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let session = ann.create_session_with(&[&bob]).await;
    let mut live = ann.plain(&session, "").await;
    let long = "x".repeat(MISSED_BYTES);
    let mut writer = bob.plain(&session, "").await;
    for _ in 0..MISSED {
        writer.send(&json!({"content": long})).await;
    }
    // The first event is the participant's, so that is how far the log has come.
    wait_for(&ann, &session, MISSED + 1).await;
    let returns = (0..RETURNS).map(|n| {
        let (ann, session) = (&ann, session.as_str());
        let kind = ["v1", "plain", "v1", "stream", "v1"][n as usize % 5];
        let after = n * MISSED / RETURNS + n % 3;
        async move { (kind, after, come_back(ann, session, after, kind).await) }
    });
    let goes_on = async {
        for n in 0..MEANWHILE {
            bob.say(&session, &n.to_string()).await;
        }
        ann.say(&session, END).await;
    };
    let (got, ()) = tokio::join!(join_all(returns), goes_on);
    let log = log(&bob, &session).await;
    assert_eq!(log.len() as u64, MISSED + MEANWHILE as u64 + 2);
    for (kind, after, got) in got {
        let why = format!("{kind} after {after}");
        // The one event that is no message stands before all of them.
        let after = if kind == "plain" { after.max(1) } else { after };
        has_everything(&got, after, &log, &why);
    }
    // Who was there all the while has everything, too.
    let seen = live.contents_before(END).await;
    let meanwhile = (0..MEANWHILE).map(|n| n.to_string());
    assert_eq!(seen[..MISSED as usize], vec![long; MISSED as usize]);
    assert_eq!(seen[MISSED as usize..], meanwhile.collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_sees_one_order() {
    let server = TestServer::start().await;
    let mut users = Vec::new();
    for n in 0..6 {
        users.push(server.user(&format!("user{n}")).await);
    }
    let others: Vec<_> = users[1..].iter().collect();
    let session = users[0].create_session_with(&others).await;
    let mut sockets = join_all(users.iter().map(|user| user.plain(&session, ""))).await;
    let talks = sockets.iter_mut().enumerate().map(|(n, socket)| async move {
        for m in 0..60 {
            socket.send(&json!({"content": format!("{n}-{m}")})).await;
        }
        let mut seen = Vec::new();
        while seen.len() < 6 * 60 {
            seen.push(socket.next().await);
        }
        seen
    });
    let seen = join_all(talks).await;
    let history = users[0].history(&session).await;
    assert!(seen.iter().all(|seen| *seen == history));
    for n in 0..6 {
        let prefix = format!("{n}-");
        let own = history.iter().map(|message| text(&message["content"]));
        let own: Vec<_> = own.filter_map(|content| content.strip_prefix(&prefix)).collect();
        assert_eq!(own, (0..60).map(|m| m.to_string()).collect::<Vec<_>>(), "as it was sent");
    }
}
