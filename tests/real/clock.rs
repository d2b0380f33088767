//! A node whose clock is five minutes ahead of the database's and of the other node's.
//!
//! It says so, in the log and by `/readyz`, and works on: the order is the database's, and who is
//! there is told by clocks that only run. What compares times (tokens, here one that begins to hold
//! in a minute) differs between the nodes, which is why it is told.

use std::fs;
use std::path::PathBuf;

use jsonwebtoken::{EncodingKey, Header};
use serde_json::json;
use tokio::task::block_in_place;
use tokio::time::{Duration, sleep};

use crate::ledger::Order;
use crate::line::{Heard, Line, Speech};
use crate::person::{Person, SECRET};
use crate::postgres::Cluster;
use crate::process::{Launch, ServerProcess};
use crate::rest::Rest;
use crate::world::World;

const AHEAD_SECONDS: i64 = 300;
const ACKED: u64 = 200;
/// Longer than a node that is not heard counts as alive, in seconds.
const PRESENCE_SECONDS: u64 = 8;

/// What changes the clock of a process.
fn library() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let found = folders
        .map(|entry| entry.path().join("faketime/libfaketimeMT.so.1"))
        .find(|path| path.is_file());
    found.expect("libfaketime is missing: scripts/install-test-tools installs it")
}

/// A node that is ahead; only its clock of the day is.
fn start_ahead(world: &World) -> ServerProcess {
    let launch = Launch::serve(world.folder.path())
        .env("ASSISTDECK_JWT_SECRET", SECRET)
        .env("LD_PRELOAD", library())
        .env("FAKETIME", format!("+{AHEAD_SECONDS}s"))
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    block_in_place(|| launch.start())
}

/// What `/readyz` says of the clock.
async fn told(url: &str) -> Option<i64> {
    let ready = Rest::new(url, &Person::new("operator")).call("GET", "/readyz").await;
    ready.expect("an answer").expect(200)["clock_ahead_seconds"].as_i64()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_a_wrong_clock_says_so_and_keeps_order_and_presence() {
    let cluster = block_in_place(Cluster::start);
    let mut world = World::new("clock");
    let settings = format!("database_url = {:?}\nbus_url = \"postgres\"\n", cluster.url());
    fs::write(world.folder.path().join("assistdeck.toml"), settings).expect("written");
    let right = world.start().await;
    let wrong = start_ahead(&world);
    let urls = [right.url().to_owned(), wrong.url().to_owned()];

    assert_eq!(told(&urls[0]).await, None);
    let ahead = told(&urls[1]).await.expect("it is told");
    assert!((AHEAD_SECONDS - 30..=AHEAD_SECONDS).contains(&ahead), "{ahead}");
    let warning = "this machine's clock differs from the database's";
    // Both write into one log.
    assert_eq!(wrong.log().matches(warning).count(), 1, "{}", wrong.log());

    let [first, second] = world.crews([&urls[0], &urls[1]]);
    world.ledger.until_acked(ACKED).await;
    world.rest(first, &urls[0]).await;
    world.rest(second, &urls[1]).await;
    for url in &urls {
        world.audit(url, Order::Prefix).await;
        world.replay(url).await;
    }

    presence_holds(&world, &urls).await;
    // Not yet, for a right clock; for long, for the other.
    assert_eq!(profile(&urls[0], 60).await, 401);
    assert_eq!(profile(&urls[1], 60).await, 200);
    for server in [right, wrong] {
        assert!(block_in_place(|| server.stop()).success());
    }
}

/// Who is on the one node is there for the other, and stays.
async fn presence_holds(world: &World, urls: &[String; 2]) {
    let session = &world.sessions[0];
    let open = async |url: &str, person: &Person| {
        Line::open(url, person, session, Speech::V1, None).await.expect("it opens")
    };
    let mut watch = open(&urls[0], &world.people[0]).await;
    let _there = open(&urls[1], &world.people[1]).await;
    let mut seen = 0;
    let watching = async {
        loop {
            match watch.hear_some_day().await {
                Heard::Frame(frame) if frame["type"] == "presence" => {
                    let is_there = frame["user_id"] == world.people[1].id.as_str();
                    assert!(is_there && frame["online"] == true, "{frame}");
                    seen += 1;
                }
                Heard::Frame(_) => {}
                other => panic!("the socket ended: {other:?}"),
            }
        }
    };
    tokio::select! {
        () = watching => {}
        () = sleep(Duration::from_secs(PRESENCE_SECONDS)) => {}
    }
    assert_eq!(seen, 1, "told once, and no more");
}

/// The answer to a token that begins to hold in so many seconds.
async fn profile(url: &str, begins_in: i64) -> u16 {
    let mut person = Person::new("early");
    let now = protocol::Timestamp::now().0 / 1_000_000;
    let claims = json!({
        "sub": person.id, "email": format!("{}@example.com", person.id), "name": "early",
        "nbf": now + begins_in, "exp": now + 3_600,
    });
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    person.token = jsonwebtoken::encode(&Header::default(), &claims, &key).expect("signed");
    let answer = Rest::new(url, &person).call("GET", "/api/users/profile").await;
    answer.expect("an answer").status
}
