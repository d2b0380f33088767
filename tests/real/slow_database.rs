//! The database is there and slow: a session's row is held by somebody else, or nothing answers for
//! a while.
//!
//! Who can't be served in time gets 503 with Retry-After, memory stays bounded, sessions that have
//! nothing to do with it go on, and everything recovers by itself.

use std::collections::HashSet;
use std::fs;
use std::sync::Arc;

use tokio::task::{JoinSet, block_in_place};
use tokio::time::{Duration, Instant, sleep, timeout};
use uuid::Uuid;

use crate::crew::post;
use crate::ledger::Order;
use crate::line::{Heard, Line, Speech};
use crate::person::Person;
use crate::postgres::Cluster;
use crate::process::ServerProcess;
use crate::rest::{PATIENCE, Rest};
use crate::stalled::rss_bytes;
use crate::world::{World, found_session, read_log, until_ready};

/// As many as the store has: each session's appends go by one.
const LANES: u64 = 2;
const SESSIONS: usize = 16;
/// The connections for reads are eight.
const READS: usize = 12;
const READS_REFUSED: usize = 4;
const WRITERS: usize = 40;
const SENDS: usize = 40;
const CONTENT_BYTES: usize = 60_000;
/// What waits for the store, as it is and once more on its way, and some for the allocator.
const GROWTH_MAX: u64 = 3 * (64 << 20);

async fn on_postgres(name: &str, cluster: &Cluster) -> (World, ServerProcess) {
    let mut world = World::new(name);
    let settings = format!("database_url = {:?}\nbus_url = \"postgres\"\n", cluster.url());
    fs::write(world.folder.path().join("assistdeck.toml"), settings).expect("written");
    let server = world.start().await;
    (world, server)
}

fn lane_of(session: &str) -> u64 {
    session.parse::<Uuid>().expect("an id").as_u64_pair().1 % LANES
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_somebody_else_holds_is_refused_in_time_and_others_go_on() {
    let cluster = Arc::new(block_in_place(Cluster::start));
    let (world, server) = on_postgres("held", &cluster).await;
    let url = server.url().to_owned();
    let owner = &world.people[0];
    let mut rest = Rest::new(&url, owner);
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS {
        sessions.push(found_session(&mut rest, &[]).await);
    }
    let held = sessions[0].clone();
    let hold = format!(
        "BEGIN; SELECT 1 FROM sessions WHERE session_id = '{held}' FOR UPDATE; \
         SELECT pg_sleep(60); COMMIT"
    );
    let holder = cluster.clone();
    let holding = tokio::task::spawn_blocking(move || holder.try_sql(&hold));
    let sleeps =
        "SELECT pid FROM pg_stat_activity WHERE query LIKE 'BEGIN;%' AND wait_event = 'PgSleep'";
    let began = Instant::now();
    while block_in_place(|| cluster.sql(sleeps)).is_empty() {
        assert!(began.elapsed() < PATIENCE, "nobody holds the row");
        sleep(Duration::from_millis(20)).await;
    }

    let refused = async {
        let answer = post(&mut Rest::new(&url, owner), &held, "held", "a message").await;
        answer.expect("an answer").expect_unavailable();
    };
    let others = async {
        for other in sessions.iter().filter(|other| lane_of(other) != lane_of(&held)) {
            let answer = post(&mut Rest::new(&url, owner), other, "free", "a message").await;
            answer.expect("an answer").expect(201);
        }
        let reads = format!("/api/chat/sessions/{held}/messages");
        rest.call("GET", &reads).await.expect("an answer").expect(200);
        rest.call("GET", "/readyz").await.expect("an answer").expect(200);
    };
    tokio::join!(refused, others);
    assert!(!holding.is_finished(), "the row is held all the time");
    rest.call("GET", "/readyz").await.expect("an answer").expect(200);
    assert!(server.log().contains("a session is held by somebody else"), "{}", server.log());

    let end = format!("SELECT pg_terminate_backend(pid) FROM ({sleeps}) holder");
    block_in_place(|| cluster.sql(&end));
    drop(holding.await.expect("psql ends"));
    let again = post(&mut rest, &held, "held", "a message").await.expect("an answer");
    again.expect(201);
    assert_eq!(read_log(&mut rest, &held).await.len(), 1, "it is there once");
    assert!(block_in_place(|| server.stop()).success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_stands_still_costs_bounded_memory_and_nothing_is_lost() {
    let cluster = block_in_place(Cluster::start);
    let (mut world, server) = on_postgres("frozen", &cluster).await;
    let url = server.url().to_owned();
    let owner = world.people[0].clone();
    let mut lines = Vec::new();
    for _ in 0..WRITERS {
        let session = found_session(&mut Rest::new(&url, &owner), &[]).await;
        let line = Line::open(&url, &owner, &session, Speech::V1, None).await.expect("opened");
        lines.push((session, line));
    }
    let crew = world.crew(&url);
    world.ledger.until_acked(100).await;
    let before = rss_bytes(server.pid());

    block_in_place(|| cluster.freeze(true));
    let mut writers = JoinSet::new();
    for (session, line) in lines {
        writers.spawn(flood(session, line));
    }
    refuse_some_reads(&url, &owner, &world.sessions[0]).await;
    let grown = rss_bytes(server.pid()).saturating_sub(before);
    eprintln!("frozen: {} MiB more while nothing was answered", grown >> 20);
    assert!(grown < GROWTH_MAX, "{grown} bytes more");
    let alive = Rest::new(&url, &owner).call("GET", "/healthz").await;
    alive.expect("an answer").expect(200);
    block_in_place(|| cluster.freeze(false));

    until_ready(&url).await;
    let mut answered = 0;
    while let Some(writer) = writers.join_next().await {
        let (session, acked) = writer.expect("it was answered");
        let log = read_log(&mut Rest::new(&url, &owner), &session).await;
        let stored: Vec<&str> =
            log.iter().filter_map(|event| event["data"]["client_id"].as_str()).collect();
        let once: HashSet<&str> = stored.iter().copied().collect();
        assert_eq!(once.len(), stored.len(), "some are stored twice");
        assert!(acked.iter().all(|client_id| once.contains(client_id.as_str())), "some are lost");
        answered += acked.len();
    }
    eprintln!("frozen: {answered} sends of the flood were acknowledged afterwards");
    world.rest(crew, &url).await;
    world.audit(&url, Order::Acknowledged).await;
    world.settle(&url).await;
    world.audit(&url, Order::Acknowledged).await;
    assert!(block_in_place(|| server.stop()).success());
}

/// Sends far more than a connection may have unanswered, and hears every answer; what was
/// acknowledged.
async fn flood(session: String, mut line: Line) -> (String, HashSet<String>) {
    let content = "x".repeat(CONTENT_BYTES);
    let (mut sent, mut answered, mut acked) = (0, 0, HashSet::new());
    let began = Instant::now();
    while sent < SENDS && began.elapsed() < PATIENCE / 4 {
        // The server stops to read; what is half written goes on with the next.
        match timeout(PATIENCE / 8, line.say(&format!("f{sent}"), &content)).await {
            Ok(said) => said.expect("the server lives"),
            Err(_) => break,
        }
        sent += 1;
    }
    while answered < sent {
        let Heard::Frame(frame) = line.hear().await else { panic!("the socket ended") };
        if frame["type"] == "message.sent" {
            acked.insert(frame["client_id"].as_str().expect("a client_id").to_owned());
            answered += 1;
        } else if frame["type"] == "error" {
            assert_eq!(frame["code"], "unavailable", "{frame}");
            answered += 1;
        }
    }
    (session, acked)
}

/// More reads than there are connections: who gets none is refused in time.
async fn refuse_some_reads(url: &str, person: &Arc<Person>, session: &str) {
    let mut reads = JoinSet::new();
    for _ in 0..READS {
        let (url, person) = (url.to_owned(), person.clone());
        let path = format!("/api/chat/sessions/{session}/events?after=0");
        reads.spawn(async move { Rest::new(&url, &person).call("GET", &path).await });
    }
    for _ in 0..READS_REFUSED {
        let read = reads.join_next().await.expect("one more").expect("no panic");
        read.expect("an answer").expect_unavailable();
    }
    // The others wait for the database, and for nobody here.
    reads.detach_all();
}
