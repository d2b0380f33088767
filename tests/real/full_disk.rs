//! The disk fills up under load, and has room again, several times; once the server is killed
//! while it is full.
//!
//! While it is full: sends are answered with 503 or an error frame, the server says that it is
//! not ready and why, what is stored can be read, sockets stay open and new ones can be opened.
//! With room again it works again by itself, and nothing acknowledged was lost.

use tokio::task::block_in_place;

use crate::disk::Disk;
use crate::ledger::Order;
use crate::line::{Line, Speech};
use crate::rest::Rest;
use crate::world::{World, next_durable, read_log, until_ready};

/// Twice what `/readyz` wants to be free, and what the test writes.
const DISK_BYTES: u64 = 64 << 20;
const TIMES: usize = 6;
/// Left over when it is filled: from nothing at all to some commits.
const LEFT_BYTES_MAX: u64 = 400_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_what_comes_and_keeps_what_is_there() {
    if crate::is_skipped("full_disk") {
        return;
    }
    let mut world = World::new("full_disk");
    let disk = Disk::in_memory(&world.folder.path().join("data"), DISK_BYTES);
    let mut server = world.start().await;
    for time in 0..TIMES {
        let url = server.url().to_owned();
        let crew = world.crew(&url);
        world.ledger.until_acked(50).await;
        let left = world.dice.below(LEFT_BYTES_MAX);
        block_in_place(|| disk.fill(left));
        world.ledger.until_refused(30).await;
        expect_unready(&world, &url).await;
        expect_readable(&world, &url).await;
        let is_killed = time == TIMES / 2;
        if is_killed {
            server.kill9();
            world.lose(crew).await;
            disk.relieve();
            server = world.start().await;
        } else {
            disk.relieve();
            until_ready(&url).await;
            world.ledger.until_acked(50).await;
            world.rest(crew, &url).await;
        }
        let url = server.url().to_owned();
        let order = if is_killed { Order::Prefix } else { Order::Acknowledged };
        world.audit(&url, order).await;
        world.settle(&url).await;
        world.audit(&url, Order::Acknowledged).await;
    }
    world.replay(server.url()).await;
    assert!(block_in_place(|| server.stop()).success());
    world.check_database();
    disk.unmount();
}

async fn expect_unready(world: &World, url: &str) {
    let mut rest = Rest::new(url, &world.people[0]);
    let answer = rest.call("GET", "/readyz").await.expect("an answer");
    answer.expect_unavailable();
    let reasons = answer.expect(503);
    assert_eq!(reasons["is_ready"], false);
    assert_eq!(reasons["has_free_space"], false, "{reasons}");
    rest.call("GET", "/healthz").await.expect("an answer").expect(200);
}

/// Logs, lists and sockets are there as ever.
async fn expect_readable(world: &World, url: &str) {
    let mut rest = Rest::new(url, &world.people[1]);
    let sessions = rest.call("GET", "/api/chat/sessions").await.expect("an answer").expect(200);
    assert_eq!(sessions.as_array().map(Vec::len), Some(world.sessions.len()));
    for session in &world.sessions {
        let events = read_log(&mut rest, session).await;
        let line = Line::open(url, &world.people[2], session, Speech::V1, Some(0)).await;
        let mut line = line.expect("the server lives");
        for event in &events {
            assert_eq!(next_durable(&mut line).await, *event);
        }
    }
}
