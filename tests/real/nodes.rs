//! Three nodes on one PostgreSQL, one of which is killed under load, again and again.
//!
//! Half of the clients work on the node that dies, half on another; the dead one's come back on the
//! third. Nothing acknowledged is lost, everybody sees one order, and who was on the dead node is
//! soon not there any more.

use std::fs;

use serde_json::{Value, json};
use tokio::task::block_in_place;
use tokio::time::{Duration, Instant, sleep, timeout};

use crate::crew::post;
use crate::cut::until_told;
use crate::ledger::Order;
use crate::line::{Heard, Line, Speech};
use crate::nats::NatsServer;
use crate::person::{Person, SECRET};
use crate::postgres::Cluster;
use crate::process::{Launch, ServerProcess};
use crate::refused_start::certificate;
use crate::rest::Rest;
use crate::world::{World, start};

const KILLS: usize = 9;
/// Sends acknowledged in one round before the blow, at most.
const ACKED_MAX: u64 = 300;
const DELAY_US_MAX: u64 = 8_000;
/// "Within 10 s", on a machine that has other work too.
const GONE_WITHIN: Duration = Duration::from_secs(30);

/// A world whose servers share a database.
async fn on_postgres(name: &str, cluster: &Cluster) -> (World, Vec<ServerProcess>) {
    let mut world = World::new(name);
    let settings = format!("database_url = {:?}\nbus_url = \"postgres\"\n", cluster.url());
    fs::write(world.folder.path().join("assistdeck.toml"), settings).expect("written");
    let mut servers = vec![world.start().await];
    for _ in 1..3 {
        servers.push(start(&world.folder));
    }
    (world, servers)
}

/// By the authorities in `SSL_CERT_FILE`, with a name and a password; and events come that way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_hear_of_each_other_over_a_nats_with_tls() {
    let cluster = block_in_place(Cluster::start);
    let mut world = World::new("tls");
    let folder = world.folder.path().to_owned();
    certificate(&folder, "localhost");
    let nats = block_in_place(|| {
        NatsServer::start(&format!(
            "tls {{ cert_file: {:?}, key_file: {:?} }}
             authorization {{ user: node, password: secretword }}",
            folder.join("server.crt"),
            folder.join("server.key"),
        ))
    });
    let bus = format!("tls://node:secretword@localhost:{}", nats.address().port());
    let settings = format!(
        "database_url = {:?}\nbus_url = {bus:?}\nhead_check_interval = \"1h\"\n",
        cluster.url()
    );
    fs::write(folder.join("assistdeck.toml"), settings).expect("written");
    let start = || {
        let launch = Launch::serve(&folder).env("ASSISTDECK_JWT_SECRET", SECRET);
        block_in_place(|| launch.env("SSL_CERT_FILE", folder.join("server.crt")).start())
    };
    let (here, there) = (start(), start());
    for node in [&here, &there] {
        until_told(node.url(), "is_bus_up", true).await;
    }
    world.found(here.url()).await;
    let (person, session) = (&world.people[0], &world.sessions[0]);
    let far = Line::open(there.url(), person, session, Speech::Plain, None).await;
    let mut far = far.expect("it opens");
    let mut rest = Rest::new(here.url(), person);
    post(&mut rest, session, "one", "over there").await.expect("an answer").expect(201);
    let Heard::Frame(frame) = far.hear().await else { panic!("the node lives") };
    assert_eq!(frame["content"], "over there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_one_node_of_three_is_killed_under_load() {
    let cluster = block_in_place(Cluster::start);
    let (mut world, mut servers) = on_postgres("nodes", &cluster).await;
    for round in 0..KILLS {
        let dies = servers.remove(round % 3);
        let stays = servers[0].url().to_owned();
        let [dying, staying] = world.crews([dies.url(), &stays]);
        world.ledger.until_acked(world.dice.below(ACKED_MAX)).await;
        sleep(Duration::from_micros(world.dice.below(DELAY_US_MAX))).await;
        dies.kill9();
        world.lose(dying).await;
        // Whoever was on the other node notices nothing.
        world.rest(staying, &stays).await;
        let third = servers[1].url().to_owned();
        world.audit(&third, Order::Prefix).await;
        world.settle(&third).await;
        servers.insert(round % 3, start(&world.folder));
    }
    for server in &servers {
        world.audit(server.url(), Order::Prefix).await;
        world.replay(server.url()).await;
    }
    eprintln!("nodes: {} sends acknowledged over {KILLS} kills", world.ledger.acked_count());
    for server in servers {
        assert!(block_in_place(|| server.stop()).success());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_on_a_killed_node_is_soon_gone_for_the_others() {
    let cluster = block_in_place(Cluster::start);
    let (world, mut servers) = on_postgres("gone", &cluster).await;
    let (session, [watches, goes]) = (&world.sessions[0], [&world.people[0], &world.people[1]]);
    let open = async |url: &str, person: &Person| {
        Line::open(url, person, session, Speech::V1, None).await.expect("it opens")
    };
    let mut watch = open(servers[0].url(), watches).await;
    let _there = open(servers[1].url(), goes).await;
    let told = |online: bool| {
        let kind = "presence";
        json!({"type": kind, "session_id": session, "user_id": goes.id, "online": online})
    };
    heard(&mut watch, &told(true)).await;
    servers.remove(1).kill9();
    let began = Instant::now();
    heard(&mut watch, &told(false)).await;
    eprintln!("gone: told after {:?}", began.elapsed());
}

/// Waits for that frame.
async fn heard(line: &mut Line, expected: &Value) {
    let wait = async {
        loop {
            match line.hear_some_day().await {
                Heard::Frame(frame) if frame == *expected => return,
                Heard::Frame(_) => {}
                other => panic!("the socket ended: {other:?}"),
            }
        }
    };
    timeout(GONE_WITHIN, wait).await.unwrap_or_else(|_| panic!("never told: {expected}"));
}
