//! `kill -9` under load, twenty times on one data folder.
//!
//! Each time the clients go on from where they were, what nobody knows the outcome of is sent
//! again, and the logs are compared with all that is known.

use tokio::task::block_in_place;
use tokio::time::{Duration, sleep};

use crate::ledger::Order;
use crate::world::World;

const KILLS: usize = 20;
/// Sends acknowledged in one life before it ends, at most.
const ACKED_MAX: u64 = 600;
/// The blow falls somewhere within the commits that follow.
const DELAY_US_MAX: u64 = 8_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_the_server_is_killed_under_load() {
    let mut world = World::new("kill");
    for _ in 0..KILLS {
        let server = world.resume().await;
        let url = server.url().to_owned();
        let crew = world.crew(&url);
        world.ledger.until_acked(world.dice.below(ACKED_MAX)).await;
        sleep(Duration::from_micros(world.dice.below(DELAY_US_MAX))).await;
        server.kill9();
        world.lose(crew).await;
    }
    let server = world.resume().await;
    let url = server.url().to_owned();
    world.audit(&url, Order::Prefix).await;
    world.replay(&url).await;
    eprintln!("kill: {} sends acknowledged over {KILLS} kills", world.ledger.acked_count());
    assert!(block_in_place(|| server.stop()).success());
    world.check_database();
}
