//! Several nodes on one PostgreSQL: what holds on one holds across them, whatever the bus.
//!
//! Each promise is a test over NOTIFY and one over NATS: see the end of this file.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use assistdeck::bus::nats::Address;
use assistdeck::config::BusKind;

use crate::support::nats::{self, NatsServer};
use crate::support::postgres::{Cluster, fresh};
use crate::support::{Socket, TestServer, TestUser, each, number, paths, text};

/// A bus that is there.
pub fn nats_at(url: &str) -> BusKind {
    BusKind::Nats(Address::parse(url).expect("an address"))
}

fn over_notify() -> BusKind {
    BusKind::Postgres
}

fn over_nats() -> BusKind {
    nats_at(&nats::shared().url(""))
}

pub async fn nodes<const N: usize>(database: &str, bus: &BusKind) -> [TestServer; N] {
    let mut nodes = Vec::new();
    for _ in 0..N {
        nodes.push(TestServer::node(database, bus.clone()).await);
    }
    nodes.try_into().unwrap_or_else(|_| panic!("so many were started"))
}

/// The processes that serve the connections with which nodes hear of each other.
const LINES: &str = "SELECT pid FROM pg_stat_activity
    WHERE pid <> pg_backend_pid() AND (query LIKE 'LISTEN%' OR query LIKE '%pg_notify(%')";

/// Cuts those connections.
const CUT_LINES: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE pid <> pg_backend_pid() AND (query LIKE 'LISTEN%' OR query LIKE '%pg_notify(%')";

/// The numbers of the messages that a plain socket gets, up to and with that number.
pub async fn seqs_up_to(socket: &mut Socket, last: u64) -> Vec<u64> {
    let frames = socket.up_to(|frame| frame["seq"].as_u64().is_some_and(|seq| seq >= last)).await;
    frames.iter().filter_map(|frame| frame["seq"].as_u64()).collect()
}

/// The head of a session.
pub async fn head(user: &TestUser, session: &str) -> u64 {
    number(&user.get(&paths::session(session)).await.expect(200)["last_seq"])
}

async fn everybody_on_every_node_sees_one_order_without_hole_or_double(bus: BusKind) {
    const SENDS: usize = 60;
    let servers: [TestServer; 3] = nodes(&fresh(), &bus).await;
    let ann = servers[0].user("ann").await;
    let session = ann.create_session().await;
    let at = |n: usize| servers[n].again(&ann);
    let mut watching = Vec::new();
    for n in 0..6 {
        watching.push(at(n % 3).plain(&session, "").await);
    }
    join_all((0..3).map(async |n| {
        let user = at(n);
        for number in 0..SENDS {
            user.say(&session, &format!("{n}-{number}")).await;
        }
    }))
    .await;
    let last = 3 * SENDS as u64;
    assert_eq!(head(&ann, &session).await, last);
    for socket in &mut watching {
        assert_eq!(seqs_up_to(socket, last).await, (1..=last).collect::<Vec<_>>());
    }
}

async fn a_removal_on_one_node_ends_a_flood_on_another_at_its_place(bus: BusKind) {
    let [here, there] = nodes(&fresh(), &bus).await;
    let (ann, bob) = (here.user("ann").await, here.user("bob").await);
    let session = ann.create_session().await;
    let far = there.again(&bob);
    for round in 0..8 {
        ann.add(&session, &bob).await;
        let before = head(&ann, &session).await;
        let mut sends = far.plain(&session, "").await;
        let listens = far.v1_on(&format!("&session_id={session}&after={before}")).await;
        let flood = async {
            for n in 0..300 {
                if !sends.try_send(&json!({"content": format!("{round}-{n}")})).await {
                    break;
                }
            }
            sends.rest().await
        };
        let remove = async {
            let query = format!("after={before}&wait=10&limit=1");
            ann.get(&paths::events(&session, &query)).await.expect(200);
            ann.remove(&session, &bob).await;
            // What comes behind the removal, from this node.
            ann.say(&session, "behind").await;
        };
        let ((code, sent), (closed, told), ()) = tokio::join!(flood, listens.rest(), remove);
        // What was still on its way is behind the removal, and not to be behind the next adding.
        let late = far.post(&paths::messages(&session), json!({"content": "late"})).await;
        assert_eq!(late.error(403), "not_a_member");
        assert_eq!((code, closed), (4503, 4503), "round {round}");
        let log = ann.events(&session, before).await;
        let removal = log.iter().find(|event| event["type"] == "participant.removed");
        let removal = number(&removal.expect("it is there")["seq"]);
        let sent: Vec<u64> = sent.iter().filter_map(|frame| frame["seq"].as_u64()).collect();
        assert_eq!(sent, (before + 1..removal).collect::<Vec<_>>(), "round {round}");
        let told = told.iter().filter(|frame| frame["at"].is_string());
        let told: Vec<u64> = told.map(|frame| number(&frame["seq"])).collect();
        assert_eq!(told, (before + 1..=removal).collect::<Vec<_>>(), "round {round}");
    }
}

async fn edits_deletions_and_the_end_of_a_session_cross_over(bus: BusKind) {
    let [here, there] = nodes(&fresh(), &bus).await;
    let ann = here.user("ann").await;
    let session = ann.create_session().await;
    let mut far = there.again(&ann).following(&session).await;
    let said = ann.say(&session, "frist").await;
    assert_eq!(far.until("message.created").await["data"], said);
    let edited = ann.edit(&session, &said, "first").await;
    assert_eq!(far.until("message.updated").await["data"], edited);
    ann.unsay(&session, &said).await;
    assert_eq!(far.until("message.deleted").await["seq"], 3);
    let replay = there.again(&ann).plain(&session, "&after=0").await;
    ann.say(&session, "last").await;
    let mut replay = replay;
    assert_eq!(replay.contents_before("last").await, [""; 0], "the deleted one is nowhere");
    let title = json!({"title": "Another"});
    ann.patch(&paths::session(&session), title).await.expect(200);
    assert_eq!(far.until("session.updated").await["data"]["title"], "Another");
    ann.delete(&paths::session(&session)).await.expect(200);
    assert_eq!(far.until("session.deleted").await["seq"], 6);
    assert_eq!(replay.closed().await, 4504);
}

async fn presence_typing_and_read_marks_cross_over(bus: BusKind) {
    let [here, there] = nodes(&fresh(), &bus).await;
    let (ann, bob) = (here.user("ann").await, here.user("bob").await);
    let session = ann.create_session_with(&[&bob]).await;
    let bob = there.again(&bob);
    let is = |user: &TestUser, online: bool| {
        let user_id = &user.id;
        json!({"type": "presence", "session_id": session, "user_id": user_id, "online": online})
    };
    let mut near = ann.following(&session).await;
    let mut far = bob.v1().await;
    far.send(&json!({"type": "follow", "session_id": session})).await;
    // She was there before: in the list, or told right behind it.
    let is_told = |frame: &Value| {
        let online = frame["online"].as_array();
        *frame == is(&ann, true) || online.is_some_and(|users| users.contains(&json!(ann.id)))
    };
    far.up_to(is_told).await;
    assert_eq!(near.until("presence").await, is(&bob, true));
    far.send(&json!({"type": "typing", "session_id": session, "is_typing": true})).await;
    assert_eq!(near.until("typing").await["user_id"], *bob.id);
    let seq = number(&ann.say(&session, "read this").await["seq"]);
    far.until("message.created").await;
    far.send(&json!({"type": "read", "session_id": session, "seq": seq})).await;
    let read = near.until("read").await;
    assert_eq!((&read["user_id"], &read["seq"]), (&json!(bob.id), &json!(seq)));
    ann.remove(&session, &bob).await;
    assert_eq!(near.until("presence").await, is(&bob, false), "at once");
}

async fn the_list_of_sessions_is_told_across_nodes(bus: BusKind) {
    let [here, there] = nodes(&fresh(), &bus).await;
    let (ann, bob) = (here.user("ann").await, here.user("bob").await);
    let mut far = there.again(&bob).v1().await;
    let session = ann.create_session_with(&[&bob]).await;
    assert_eq!(far.until("session.added").await["session"]["id"], *session);
    let said = ann.say(&session, "news").await;
    let activity = far.up_to(|frame| frame["last_message"] == said).await;
    assert_eq!(activity.last().expect("it came")["type"], "session.activity");
    ann.delete(&paths::session(&session)).await.expect(200);
    assert_eq!(far.until("session.removed").await["session_id"], *session);
}

async fn a_revocation_on_one_node_closes_connections_of_another(bus: BusKind) {
    let [here, there] = nodes(&fresh(), &bus).await;
    let ann = here.user("ann").await;
    let far = there.again(&ann).v1().await;
    here.auth().disable(ann.id.parse().expect("an id")).await.expect("there is such a user");
    assert_eq!(far.closed().await, 4501);
    there.again(&ann).get("/api/users/profile").await.expect(401);
}

async fn what_the_bus_never_tells_is_found_by_the_check_of_heads(bus: BusKind) {
    let cluster = Cluster::start();
    let [here] = nodes(&cluster.url(), &bus).await;
    // The second node listens elsewhere: for these two the bus is cut.
    cluster.sql("UPDATE meta SET value = 'elsewhere' WHERE key = 'store_id'");
    let [there] = nodes(&cluster.url(), &bus).await;
    let (ann, bob) = (here.user("ann").await, here.user("bob").await);
    let session = ann.create_session_with(&[&bob]).await;
    let mut far = there.again(&ann).plain(&session, "").await;
    let removed = there.again(&bob).plain(&session, "").await;
    ann.say(&session, "one").await;
    ann.say(&session, "two").await;
    ann.remove(&session, &bob).await;
    there.again(&ann).say(&session, "three").await;
    assert_eq!(seqs_up_to(&mut far, 5).await, [2, 3, 5]);
    let (code, told) = removed.rest().await;
    assert_eq!((code, each(&told, "content")), (4503, vec![json!("one"), json!("two")]));
    ann.say(&session, "four").await;
    assert_eq!(seqs_up_to(&mut far, 6).await, [6]);
}

async fn a_bus_that_is_cut_again_and_again_loses_nothing_for_long(bus: BusKind) {
    let cluster = Cluster::start();
    let mut nats = (bus != BusKind::Postgres).then(|| NatsServer::start(""));
    let bus = nats.as_ref().map_or(bus, |server| nats_at(&server.url("")));
    let servers: [TestServer; 2] = nodes(&cluster.url(), &bus).await;
    let ann = servers[0].user("ann").await;
    let session = ann.create_session().await;
    let mut watching = Vec::new();
    for server in &servers {
        watching.push(server.again(&ann).plain(&session, "").await);
    }
    let mut sent = 0;
    for round in 0..8 {
        tokio::task::block_in_place(|| match &mut nats {
            Some(server) => {
                server.kill();
                server.run();
            }
            None => drop(cluster.sql(CUT_LINES)),
        });
        for server in &servers {
            server.again(&ann).say(&session, &format!("{round}")).await;
            sent += 1;
        }
    }
    for socket in &mut watching {
        assert_eq!(seqs_up_to(socket, sent).await, (1..=sent).collect::<Vec<_>>());
    }
    until_bus_is(&servers[0], true).await;
}

pub async fn is_bus_up(server: &TestServer) -> bool {
    server.call("GET", "/readyz").send().await.expect(200)["is_bus_up"] == true
}

pub async fn until_bus_is(server: &TestServer, up: bool) {
    while is_bus_up(server).await != up {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The process that serves a node's line for notes is stopped; its connection stays open.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_for_notes_that_stands_still_is_told_and_left() {
    let cluster = Cluster::start();
    let [here] = nodes(&cluster.url(), &over_notify()).await;
    until_bus_is(&here, true).await;
    let stopped = cluster.sql(LINES).trim().to_owned();
    let signal = |signal: &str| {
        let done = std::process::Command::new("kill").args([signal, &stopped]).status();
        assert!(done.expect("kill runs").success());
    };
    signal("-STOP");
    until_bus_is(&here, false).await;
    until_bus_is(&here, true).await;
    let lines = cluster.sql(LINES);
    signal("-CONT");
    assert!(lines.lines().any(|line| line != stopped), "there is another one: {lines}");
}

async fn a_restart_of_postgresql_is_survived_by_all_nodes_and_their_followers(bus: BusKind) {
    let mut cluster = Cluster::start();
    let servers: [TestServer; 2] = nodes(&cluster.url(), &bus).await;
    let ann = servers[0].user("ann").await;
    let session = ann.create_session().await;
    let mut far = servers[1].again(&ann).plain(&session, "").await;
    ann.say(&session, "before").await;
    assert_eq!(seqs_up_to(&mut far, 1).await, [1]);
    tokio::task::block_in_place(|| cluster.stop());
    let body = json!({"content": "meanwhile", "client_id": "one"});
    let refused = ann.post(&paths::messages(&session), body.clone()).await;
    assert_eq!(refused.error(503), "unavailable");
    tokio::task::block_in_place(|| cluster.run());
    // Safe to repeat, on either node, until it is taken.
    let mut n = 0;
    let taken = loop {
        let user = servers[n % 2].again(&ann);
        let answer = user.post(&paths::messages(&session), body.clone()).await;
        if answer.status != 503 {
            break answer;
        }
        n += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(taken.expect(201)["seq"], 2);
    let frames = far.up_to(|frame| frame["content"] == "meanwhile").await;
    let contents: Vec<&str> = frames.iter().map(|frame| text(&frame["content"])).collect();
    assert_eq!(contents, ["meanwhile"]);
    let log: Vec<Value> = ann.events(&session, 0).await;
    assert_eq!(each(&log, "seq"), [1, 2]);
}

macro_rules! over_each_bus {
    ($($promise:ident,)*) => {
        mod over_notify {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                super::$promise(super::over_notify()).await;
            })*
        }

        mod over_nats {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                super::$promise(super::over_nats()).await;
            })*
        }
    };
}

over_each_bus! {
    everybody_on_every_node_sees_one_order_without_hole_or_double,
    a_removal_on_one_node_ends_a_flood_on_another_at_its_place,
    edits_deletions_and_the_end_of_a_session_cross_over,
    presence_typing_and_read_marks_cross_over,
    the_list_of_sessions_is_told_across_nodes,
    a_revocation_on_one_node_closes_connections_of_another,
    what_the_bus_never_tells_is_found_by_the_check_of_heads,
    a_bus_that_is_cut_again_and_again_loses_nothing_for_long,
    a_restart_of_postgresql_is_survived_by_all_nodes_and_their_followers,
}
