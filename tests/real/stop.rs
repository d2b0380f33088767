//! SIGTERM under load, and what a second one does.
//!
//! What was answered is stored, what was sent is stored up to some point, sockets are told that
//! the server goes, and the process ends with success within the drain time and a little.

use std::time::Duration;

use rustix::process::Signal;
use tokio::net::TcpStream;
use tokio::task::block_in_place;
use tokio::time::{Instant, sleep};

use crate::ledger::Order;
use crate::line::{Line, Speech};
use crate::person::SECRET;
use crate::process::{Launch, ServerProcess};
use crate::world::World;

const STOPS: usize = 6;
const ACKED_MAX: u64 = 200;
/// The default of `drain_seconds`, and a little.
const STOP_MAX: Duration = Duration::from_secs(5 + 2);
/// What a second signal may take.
const SECOND_MAX: Duration = Duration::from_secs(2);
/// The server goes down, or is being drained.
const GOING: [u16; 2] = [1001, 1012];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_stopped_under_load_keeps_what_it_answered() {
    let mut world = World::new("stop");
    for _ in 0..STOPS {
        let server = world.resume().await;
        let url = server.url().to_owned();
        let crew = world.crew(&url);
        world.ledger.until_acked(1 + world.dice.below(ACKED_MAX)).await;
        let asked = Instant::now();
        assert!(block_in_place(|| server.stop()).success());
        assert!(asked.elapsed() < STOP_MAX, "it took {:?}", asked.elapsed());
        for closed in world.lose(crew).await {
            assert!(closed.is_some_and(|code| GOING.contains(&code)), "closed with {closed:?}");
        }
        world.check_database();
    }
    let server = world.resume().await;
    let url = server.url().to_owned();
    world.audit(&url, Order::Prefix).await;
    world.replay(&url).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_let_go_holds_the_stop_up_no_longer_than_the_drain() {
    let mut world = World::new("held");
    let server = world.start().await;
    let (_silent, asked) = stop_with_a_silent_socket(&world, &server).await;
    assert!(block_in_place(|| server.stop()).success());
    assert!(asked.elapsed() < STOP_MAX, "it took {:?}", asked.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_the_server_at_once() {
    let mut world = World::new("second_signal");
    let server = world.start().await;
    let crew = world.crew(server.url());
    world.ledger.until_acked(50).await;
    assert!(block_in_place(|| server.stop()).success());
    world.lose(crew).await;

    let launch = Launch::serve(world.folder.path()).env("ASSISTDECK_JWT_SECRET", SECRET);
    let launch = launch.env("ASSISTDECK_DRAIN_SECONDS", "60");
    let server = block_in_place(|| launch.start());
    let (_silent, _) = stop_with_a_silent_socket(&world, &server).await;
    let asked = Instant::now();
    // `stop` sends the second one.
    let status = block_in_place(|| server.stop());
    assert!(asked.elapsed() < SECOND_MAX, "it took {:?}", asked.elapsed());
    assert!(status.code().is_some(), "it ended by itself: {status}");
    let server = world.start().await;
    world.audit(server.url(), Order::Prefix).await;
}

/// Sends SIGTERM to a server with a socket that never answers its close; both, and when.
async fn stop_with_a_silent_socket(world: &World, server: &ServerProcess) -> (Line, Instant) {
    let (person, session) = (&world.people[1], &world.sessions[0]);
    let line = Line::open(server.url(), person, session, Speech::V1, None).await;
    let asked = Instant::now();
    server.signal(Signal::TERM);
    // Two signals at once may reach a process as one: the first has been taken when nobody
    // listens any more.
    let address = server.url().trim_start_matches("http://");
    while TcpStream::connect(address).await.is_ok() {
        sleep(Duration::from_millis(5)).await;
    }
    (line.expect("the server lives"), asked)
}
