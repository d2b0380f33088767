//! The database fails over: its primary dies under load, and the standby that has replicated
//! synchronously takes over.
//!
//! The nodes know both by one `database_url`. They are not restarted, no socket is closed, nothing
//! acknowledged is lost, and what nobody was answered is there exactly once when it is sent again.

use std::fs;

use tokio::task::block_in_place;

use crate::ledger::Order;
use crate::postgres::Cluster;
use crate::world::{World, start, until_ready};

const NODES: usize = 2;
/// Sends acknowledged before the primary dies, at most, and afterwards.
const ACKED_MAX: u64 = 400;
const ACKED_AFTER: u64 = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_to_the_synchronous_standby_loses_nothing_and_needs_no_hand() {
    let primary = block_in_place(Cluster::start);
    let standby = block_in_place(|| primary.standby());
    let mut world = World::new("failover");
    let host = |cluster: &Cluster| cluster.folder().display().to_string().replace('/', "%2F");
    let settings = format!(
        "database_url = \"postgres://assistdeck@{}:5432,{}:5432/postgres\"\nbus_url = \"postgres\"\n",
        host(&primary),
        host(&standby)
    );
    fs::write(world.folder.path().join("assistdeck.toml"), settings).expect("written");
    let mut servers = vec![world.start().await];
    for _ in 1..NODES {
        servers.push(start(&world.folder));
    }
    let urls = [servers[0].url().to_owned(), servers[1].url().to_owned()];
    let [first, second] = world.crews([&urls[0], &urls[1]]);
    world.ledger.until_acked(1 + world.dice.below(ACKED_MAX)).await;
    block_in_place(|| primary.kill9());
    // Nobody else can write meanwhile.
    world.ledger.until_refused(1).await;
    let lost_at = world.ledger.acked_count();
    block_in_place(|| standby.sql("SELECT pg_promote()"));
    for url in &urls {
        until_ready(url).await;
    }
    world.ledger.until_acked(ACKED_AFTER).await;
    world.rest(first, &urls[0]).await;
    world.rest(second, &urls[1]).await;
    for url in &urls {
        world.audit(url, Order::Acknowledged).await;
    }
    world.settle(&urls[1]).await;
    for server in &servers {
        world.audit(server.url(), Order::Acknowledged).await;
        world.replay(server.url()).await;
    }
    eprintln!(
        "failover: {lost_at} sends acknowledged by the primary, {} in all",
        world.ledger.acked_count()
    );
    for server in servers {
        assert!(block_in_place(|| server.stop()).success());
    }
}
