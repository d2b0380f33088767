//! The network between a node and its database is cut without a word, under load: packets vanish.
//!
//! The node finds out within its limits (docs/operations.md), answers 503 and says so by `/readyz`;
//! the other node goes on. When the cut ends the node comes back by itself, its sockets still open,
//! and nothing is lost or doubled.

use std::fs;

use serde_json::Value;
use tokio::task::block_in_place;
use tokio::time::{Duration, Instant, sleep};

use crate::is_skipped;
use crate::ledger::Order;
use crate::network::Network;
use crate::person::{Person, SECRET};
use crate::postgres::Cluster;
use crate::process::{Launch, ServerProcess};
use crate::rest::{Answer, Rest};
use crate::world::{World, until_ready};

const ACKED: u64 = 200;
/// A cut line is found after 15 s where something was under way, and 30 s where nothing was; the
/// rest is this machine's other work.
const FOUND_WITHIN: Duration = Duration::from_secs(60);

/// A node in that network.
fn start_inside(network: &Network, world: &World) -> ServerProcess {
    let url = format!(
        "postgres://assistdeck@{}:5432/postgres?sslmode=disable",
        network.address_of_database()
    );
    let listen = format!("{}:0", network.address_for_clients());
    let launch = Launch::serve_where_it_likes(world.folder.path())
        .args(["--listen", &listen, "--database-url", &url])
        .env("ASSISTDECK_JWT_SECRET", SECRET)
        .in_network_of(network.pid());
    block_in_place(|| launch.start())
}

async fn ready(url: &str) -> Answer {
    let asked = Rest::new(url, &Person::new("operator")).call("GET", "/readyz").await;
    asked.expect("the node lives")
}

/// Waits until `/readyz` says so; the detail.
pub async fn until_told(url: &str, what: &str, value: bool) -> Value {
    let began = Instant::now();
    loop {
        let answer = ready(url).await;
        let detail: Value = serde_json::from_str(&answer.text).expect("JSON");
        if detail[what] == value {
            eprintln!("cut: {what} is {value} after {:?}", began.elapsed());
            return detail;
        }
        assert!(began.elapsed() < FOUND_WITHIN, "{what} is not {value}: {detail}");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_cut_is_found_told_and_mended_and_nothing_is_lost() {
    if is_skipped("cut") {
        return;
    }
    let network = block_in_place(Network::new);
    let cluster = block_in_place(|| Cluster::start_at(&network.address_of_database()));
    let mut world = World::new("cut");
    let settings = format!("database_url = {:?}\nbus_url = \"postgres\"\n", cluster.url());
    fs::write(world.folder.path().join("assistdeck.toml"), settings).expect("written");
    let other = world.start().await;
    let far = start_inside(&network, &world);
    let urls = [far.url().to_owned(), other.url().to_owned()];
    let [there, here] = world.crews([&urls[0], &urls[1]]);
    world.ledger.until_acked(ACKED).await;

    block_in_place(|| network.cut());
    // All at once, as each of these takes its time to be noticed.
    let mut reader = Rest::new(&urls[0], &world.people[0]);
    let page = format!("/api/chat/sessions/{}/messages", world.sessions[0]);
    let (detail, read, ()) = tokio::join!(
        until_told(&urls[0], "is_committing", false),
        reader.call("GET", &page),
        world.ledger.until_refused(1),
    );
    assert_eq!((&detail["is_ready"], &detail["code"]), (&false.into(), &"unavailable".into()));
    read.expect("an answer").expect_unavailable();
    ready(&urls[0]).await.expect_unavailable();
    until_told(&urls[0], "is_bus_up", false).await;
    // The other node goes on, and is ready even while it waits for what the cut one had locked.
    assert_eq!(ready(&urls[1]).await.status, 200);
    world.ledger.until_acked(ACKED).await;

    block_in_place(|| network.mend());
    until_ready(&urls[0]).await;
    until_told(&urls[0], "is_bus_up", true).await;
    world.rest(there, &urls[0]).await;
    world.rest(here, &urls[1]).await;
    world.audit(&urls[0], Order::Acknowledged).await;
    world.settle(&urls[0]).await;
    world.replay(&urls[0]).await;
    for server in [far, other] {
        world.audit(server.url(), Order::Acknowledged).await;
        assert!(block_in_place(|| server.stop()).success());
    }
}
