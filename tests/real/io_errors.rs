//! System calls of the running server fail: flushes, writes, or both, always or now and then.
//!
//! While every flush fails, nothing at all may be acknowledged or seen: this also catches a
//! store that answers before it has flushed, or does not flush.

use tokio::task::block_in_place;

use crate::ledger::Order;
use crate::process::ServerProcess;
use crate::rest::Rest;
use crate::strace::Strace;
use crate::world::{World, until_ready};

const EVERY_FLUSH: &[&str] = &["fsync:error=EIO", "fdatasync:error=EIO"];
const EVERY_WRITE: &[&str] = &["pwrite64:error=EIO"];
/// Faults that go wrong now and then, each from and in steps of its own.
const NOW_AND_THEN: &[&[&str]] = &[
    &["fsync:error=EIO:when=2+3", "fdatasync:error=EIO:when=2+3"],
    &["fsync:error=EIO:when=1+2", "fdatasync:error=EIO:when=1+2"],
    &["fsync:error=EIO:when=3+7", "fdatasync:error=EIO:when=3+7", "ftruncate:error=EIO:when=1+2"],
    &["pwrite64:error=EIO:when=5+11"],
    &["pwrite64:error=ENOSPC:when=2+29"],
    &["pwrite64:error=EIO:when=40+40", "fsync:error=EIO:when=2+5", "fdatasync:error=EIO:when=2+5"],
];
const ALTERNATIONS: usize = 30;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_acknowledged_while_no_flush_succeeds() {
    if crate::is_skipped("io_errors") {
        return;
    }
    let mut world = World::new("every_flush");
    let server = world.start().await;
    let url = server.url().to_owned();
    for faults in [EVERY_FLUSH, EVERY_WRITE] {
        let crew = world.crew(&url);
        world.ledger.until_acked(100).await;
        world.rest(crew, &url).await;
        let strace = attach(&server, &world, faults);
        let before = world.ledger.acked_count();
        let crew = world.crew(&url);
        world.ledger.until_refused(100).await;
        expect_not_committing(&world, &url).await;
        assert_eq!(world.ledger.acked_count(), before, "acknowledged under {faults:?}");
        block_in_place(|| strace.detach());
        until_ready(&url).await;
        world.ledger.until_acked(100).await;
        world.rest(crew, &url).await;
        world.audit(&url, Order::Acknowledged).await;
        world.settle(&url).await;
    }
    end(world, server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_that_come_and_go_under_load_lose_nothing() {
    if crate::is_skipped("io_errors") {
        return;
    }
    let mut world = World::new("alternation");
    let server = world.start().await;
    let url = server.url().to_owned();
    let crew = world.crew(&url);
    for _ in 0..ALTERNATIONS {
        world.ledger.until_acked(20).await;
        let faults = *world.dice.pick(NOW_AND_THEN);
        let strace = attach(&server, &world, faults);
        let refused = 1 + world.dice.below(40);
        world.ledger.until_refused(refused).await;
        block_in_place(|| strace.detach());
    }
    until_ready(&url).await;
    world.ledger.until_acked(20).await;
    world.rest(crew, &url).await;
    world.audit(&url, Order::Acknowledged).await;
    world.settle(&url).await;
    end(world, server).await;
}

fn attach(server: &ServerProcess, world: &World, faults: &[&str]) -> Strace {
    block_in_place(|| Strace::inject(server.pid(), world.folder.path(), faults))
}

async fn expect_not_committing(world: &World, url: &str) {
    let mut rest = Rest::new(url, &world.people[0]);
    let answer = rest.call("GET", "/readyz").await.expect("an answer");
    answer.expect_unavailable();
    let reasons = answer.expect(503);
    assert_eq!((&reasons["is_ready"], &reasons["is_committing"]), (&false.into(), &false.into()));
    let path = format!("/api/chat/sessions/{}/messages", world.sessions[0]);
    rest.call("GET", &path).await.expect("an answer").expect(200);
}

/// All is there, also for a server that starts on what a killed one left.
async fn end(mut world: World, server: ServerProcess) {
    world.audit(server.url(), Order::Acknowledged).await;
    server.kill9();
    let server = world.start().await;
    let url = server.url().to_owned();
    world.audit(&url, Order::Acknowledged).await;
    world.replay(&url).await;
    assert!(block_in_place(|| server.stop()).success());
    world.check_database();
}
