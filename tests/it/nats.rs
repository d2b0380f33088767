//! NATS as the bus: what travels where, and what happens when it does not.

use std::time::Duration;

use assistdeck::config::{BusKind, Config, Given, Hidden};
use assistdeck::server::Server;
use serde_json::{Value, json};

use crate::nodes::{is_bus_up, nats_at, nodes, seqs_up_to, until_bus_is};
use crate::support::nats::NatsServer;
use crate::support::postgres::{Cluster, fresh};
use crate::support::{Socket, TestServer, TestUser, each, number, text};

/// Waits until the server's own account of its connections is so.
async fn until(nats: &NatsServer, is: impl Fn(&[Value]) -> bool) {
    while !is(&nats.connections()) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn subjects(connection: &Value) -> Vec<&str> {
    let subjects = connection["subscriptions_list"].as_array();
    subjects.into_iter().flatten().map(text).collect()
}

fn listens_to(connection: &Value, id: &str) -> bool {
    subjects(connection).iter().any(|subject| subject.ends_with(id))
}

/// Waits until so many nodes listen to what is told about a session or a user.
async fn until_listened(nats: &NatsServer, id: &str, nodes: usize) {
    until(nats, |all| all.iter().filter(|one| listens_to(one, id)).count() == nodes).await;
}

/// Several nodes that look into the store only once an hour: what comes, comes by the bus.
async fn believers<const N: usize>(database: &str, bus: &BusKind) -> [TestServer; N] {
    let mut nodes = Vec::new();
    for _ in 0..N {
        let slow = |config: &mut Config| {
            config.head_check_interval = Duration::from_secs(3_600);
        };
        nodes.push(TestServer::node_with(database, bus.clone(), slow).await);
    }
    nodes.try_into().unwrap_or_else(|_| panic!("so many were started"))
}

/// A user on one node, and her socket on another, which NATS knows to follow her session.
struct Apart {
    nats: NatsServer,
    here: TestServer,
    there: TestServer,
    ann: TestUser,
    session: String,
    far: Socket,
}

impl Apart {
    async fn start() -> Self {
        let nats = NatsServer::start("");
        let bus = nats_at(&nats.url(""));
        let [here, there] = believers(&fresh(), &bus).await;
        let ann = here.user("ann").await;
        let session = ann.create_session().await;
        let far = there.again(&ann).following(&session).await;
        until_listened(&nats, &session, 1).await;
        Self { nats, here, there, ann, session, far }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_on_a_node_without_followers_costs_the_others_nothing() {
    const SENDS: u64 = 200;
    let nats = NatsServer::start("");
    let bus = nats_at(&nats.url(""));
    let [here, there, apart] = believers(&fresh(), &bus).await;
    let (ann, eve) = (here.user("ann").await, apart.user("eve").await);
    let session = ann.create_session().await;
    // Whoever is there listens to something of their own.
    let other = eve.create_session().await;
    let _apart = apart.again(&eve).following(&other).await;
    let mut far = there.again(&ann).plain(&session, "").await;
    until_listened(&nats, &session, 1).await;
    let told = |connections: &[Value]| {
        let of = |id: &str| {
            let one = connections.iter().find(|one| listens_to(one, id)).expect("it listens");
            number(&one["out_msgs"])
        };
        (of(&session), of(&other))
    };
    let before = told(&nats.connections());
    let started = std::time::Instant::now();
    for n in 1..=SENDS {
        ann.say(&session, &format!("{n}")).await;
    }
    assert_eq!(seqs_up_to(&mut far, SENDS).await, (1..=SENDS).collect::<Vec<_>>());
    let after = told(&nats.connections());
    // Signs of life, of two others, every two seconds, and one for what is under way.
    let alive = 2 * (started.elapsed().as_secs() / 2 + 2);
    assert!(after.0 > before.0, "{before:?} {after:?}");
    assert!(after.1 - before.1 <= alive, "{before:?} {after:?}, {alive} signs of life");
    // The last follower goes, and with it, some time later, the interest.
    drop(far);
    until_listened(&nats, &session, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_come_by_the_bus_without_a_look_into_the_store() {
    let Apart { nats: _nats, here: _here, there, ann, session, mut far } = Apart::start().await;
    let first = ann.say(&session, "first").await;
    assert_eq!(far.until("message.created").await["data"], first);
    let fills = || there.chat().metrics().fills.get();
    let before = fills();
    for n in 0..50 {
        let said = ann.say(&session, &format!("{n}")).await;
        assert_eq!(far.until("message.created").await["data"], said);
    }
    let edited = ann.edit(&session, &first, "other").await;
    assert_eq!(far.until("message.updated").await["data"], edited);
    assert_eq!(fills(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn news_for_lists_are_told_only_while_somebody_looks_at_one() {
    const MEMBERS: usize = 40;
    const WITHIN: Duration = Duration::from_secs(60);
    let nats = NatsServer::start("");
    let bus = nats_at(&nats.url(""));
    let [here, there] = believers(&fresh(), &bus).await;
    let mut users = Vec::new();
    for n in 0..MEMBERS {
        users.push(here.user(&format!("user{n}")).await);
    }
    let (ann, others) = users.split_first().expect("there are some");
    let session = ann.create_session_with(&others.iter().collect::<Vec<_>>()).await;
    let published = || nats.connections().iter().map(|one| number(&one["in_msgs"])).sum::<u64>();
    // At first each node does not know of the other that nobody looks there.
    let since = std::time::Instant::now();
    loop {
        let before = published();
        ann.say(&session, "to nobody").await;
        // Longer than news are gathered.
        tokio::time::sleep(Duration::from_millis(500)).await;
        if published() - before < others.len() as u64 {
            break;
        }
        assert!(since.elapsed() < WITHIN, "news are told to lists at which nobody looks");
    }
    let mut looks = there.again(&others[0]).v1().await;
    until_listened(&nats, &others[0].id, 1).await;
    let said = ann.say(&session, "to one").await;
    looks.up_to(|frame| frame["last_message"] == said).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_clusters_on_one_bus_never_mix() {
    let nats = NatsServer::start("");
    let bus = nats_at(&nats.url(""));
    let cluster = Cluster::start();
    let [mut origin] = believers(&cluster.url(), &bus).await;
    let ann = origin.user("ann").await;
    let session = ann.create_session().await;
    origin.stop().await;
    // Three databases with the same session: two of one store in other epochs, and another store.
    let set = |key: &str, value: &str| {
        cluster.sql(&format!("UPDATE meta SET value = '{value}' WHERE key = '{key}'"));
    };
    cluster.sql("CREATE DATABASE one TEMPLATE postgres");
    set("epoch", "later");
    cluster.sql("CREATE DATABASE two TEMPLATE postgres");
    set("store_id", "another");
    cluster.sql("CREATE DATABASE three TEMPLATE postgres");
    let names = ["one", "two", "three"];
    let (mut servers, mut sockets) = (Vec::new(), Vec::new());
    for name in names {
        let url = cluster.url().replace("/postgres?", &format!("/{name}?"));
        let [server] = believers(&url, &bus).await;
        sockets.push(server.again(&ann).plain(&session, "").await);
        servers.push(server);
    }
    until_listened(&nats, &session, 3).await;
    for number in 0..3 {
        for (server, name) in servers.iter().zip(names) {
            server.again(&ann).say(&session, &format!("{name} {number}")).await;
        }
    }
    for (socket, name) in sockets.iter_mut().zip(names) {
        let frames = socket.up_to(|frame| frame["seq"] == 3).await;
        let own: Vec<Value> = (0..3).map(|number| json!(format!("{name} {number}"))).collect();
        assert_eq!(each(&frames, "content"), own);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_every_size_come_over_once_and_in_order() {
    let nats = NatsServer::start("max_payload: 16384");
    let bus = nats_at(&nats.url(""));
    let [here, there] = believers(&fresh(), &bus).await;
    let ann = here.user("ann").await;
    let session = ann.create_session().await;
    let mut far = there.again(&ann).plain(&session, "").await;
    until_listened(&nats, &session, 1).await;
    let mut sent = Vec::new();
    // A note of one event takes some hundred bytes beside the content.
    for length in (15_700..16_400).step_by(20).chain([65_536, 1, 40_000, 2]) {
        let content = "x".repeat(length);
        ann.say(&session, &content).await;
        sent.push(content);
    }
    let last = sent.len() as u64;
    let frames = far.up_to(|frame| frame["seq"] == last).await;
    assert_eq!(each(&frames, "content"), sent.iter().map(|text| json!(text)).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nats_killed_under_load_and_back_is_seen_by_nobody() {
    const SENDS: usize = 120;
    let mut nats = NatsServer::start("");
    let bus = nats_at(&nats.url(""));
    let servers: [TestServer; 3] = nodes(&fresh(), &bus).await;
    let ann = servers[0].user("ann").await;
    let session = ann.create_session().await;
    let mut watching = Vec::new();
    for server in &servers {
        watching.push(server.again(&ann).plain(&session, "").await);
    }
    let load = async |n: usize| {
        let user: TestUser = servers[n].again(&ann);
        for number in 0..SENDS {
            user.say(&session, &format!("{n}-{number}")).await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let cuts = async {
        for _ in 0..2 {
            tokio::task::block_in_place(|| nats.kill());
            until_bus_is(&servers[1], false).await;
            tokio::task::block_in_place(|| nats.run());
            until_bus_is(&servers[1], true).await;
        }
    };
    tokio::join!(load(0), load(1), load(2), cuts);
    let last = 3 * SENDS as u64;
    for socket in &mut watching {
        assert_eq!(seqs_up_to(socket, last).await, (1..=last).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_start_and_serve_while_nats_is_out_of_reach() {
    let mut nats = NatsServer::start("");
    nats.kill();
    let bus = nats_at(&nats.url(""));
    let servers: [TestServer; 2] = nodes(&fresh(), &bus).await;
    let ann = servers[0].user("ann").await;
    let session = ann.create_session().await;
    let mut far = servers[1].again(&ann).plain(&session, "").await;
    ann.say(&session, "by the look into the store").await;
    assert_eq!(seqs_up_to(&mut far, 1).await, [1]);
    assert!(!is_bus_up(&servers[0]).await && !is_bus_up(&servers[1]).await);
    tokio::task::block_in_place(|| nats.run());
    until_bus_is(&servers[0], true).await;
    until_bus_is(&servers[1], true).await;
    until_listened(&nats, &session, 1).await;
    ann.say(&session, "by the bus").await;
    assert_eq!(seqs_up_to(&mut far, 2).await, [2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_note_is_dropped() {
    let Apart { nats, here: _here, there: _there, ann, session, mut far } = Apart::start().await;
    let all = nats.connections();
    let mine = all.iter().flat_map(|one| subjects(one)).find(|it| it.ends_with(&session));
    let subject = mine.expect("it listens").to_owned();
    let stranger = async_nats::connect(nats.url("")).await.expect("NATS is there");
    let event = |seq: u64| {
        let data = json!({"user_id": ann.id});
        json!({"type": "participant.removed", "session_id": session, "seq": seq,
               "at": "2026-01-01T00:00:00Z", "data": data})
    };
    let foreign = {
        let mut event = event(2);
        event["session_id"] = json!(protocol::SessionId::new().to_string());
        event
    };
    let notes = |note: Value| format!("beef\n{note}").into_bytes();
    for payload in [
        Vec::new(),
        b"\xff\xfe\x00".to_vec(),
        b"not hexadecimal\n{}".to_vec(),
        b"ffffffffffffffffff\n{}".to_vec(),
        b"beef\n{\"e\":[]}\n{\"e\":7}\n{\"h\":[1]}\n[[[[\nnull".to_vec(),
        b"[".repeat(100_000),
        [b"beef\n".to_vec(), b"[".repeat(100_000)].concat(),
        notes(json!({"e": [event(0)]})),
        notes(json!({"e": [event(9), event(9)]})),
        notes(json!({"e": [event(9), event(8)]})),
        notes(json!({"e": [event(9), foreign]})),
        notes(json!({"e": [event(u64::MAX)]})),
        notes(json!({"h": [session, u64::MAX]})),
        notes(json!({"o": [session, "nobody", true]})),
    ] {
        stranger.publish(subject.clone(), payload.into()).await.expect("sent");
    }
    stranger.flush().await.expect("sent");
    let said = ann.say(&session, "and now").await;
    assert_eq!(far.until("message.created").await["data"], said);
}

/// What a server says that does not start with that bus.
async fn refusal(database: &str, url: &str) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut config = Config::new(&Given::default()).expect("the defaults are valid");
    config.data_dir = folder.path().to_owned();
    config.database_url = Some(Hidden::new(database));
    config.listen = vec!["127.0.0.1:0".parse().expect("an address")];
    config.bus = Some(nats_at(url));
    match Server::start(config).await {
        Ok(_) => panic!("it starts with {url}"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_user_or_certificate_ends_the_start_with_its_cause() {
    let people = "authorization { users: [{user: ann, password: \"p@ss\"}] }";
    let nats = NatsServer::start(people);
    let database = fresh();
    for who in ["", "ann:wrong-kkk@", "token-kkk@"] {
        let told = refusal(&database, &nats.url(who)).await;
        assert!(told.contains("refuses the user, password or token in bus_url"), "{told}");
        assert!(told.contains("127.0.0.1") && !told.contains("kkk"), "{told}");
    }
    let bus = nats_at(&nats.url("ann:p%40ss@"));
    let [server] = nodes(&database, &bus).await;
    until_bus_is(&server, true).await;
    let limited = "authorization { users: [{user: ann, password: word, permissions:
        {publish: [\"assistdeck.>\", \"_INBOX.>\"], subscribe: [\"assistdeck.>\", \"_INBOX.>\"]}}] }";
    let limited = NatsServer::start(limited);
    let [server] = nodes(&database, &nats_at(&limited.url("ann:word@"))).await;
    until_bus_is(&server, true).await;
    let with_token = NatsServer::start("authorization { token: \"let/me\" }");
    let bus = nats_at(&with_token.url("let%2Fme@"));
    let [server] = nodes(&fresh(), &bus).await;
    until_bus_is(&server, true).await;
    let small = NatsServer::start("max_payload: 4096");
    let told = refusal(&database, &small.url("")).await;
    assert!(told.contains("max_payload of the NATS server is too small: set 8192"), "{told}");
    let told = refusal(&database, &tls_server().url("").replace("nats:", "tls:")).await;
    assert!(told.contains("TLS with NATS") && told.contains("SSL_CERT_FILE"), "{told}");
}

/// One whose certificate nobody believes.
fn tls_server() -> NatsServer {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (key, certificate) = (folder.path().join("key"), folder.path().join("certificate"));
    let mut openssl = std::process::Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]);
    openssl.args(["-subj", "/CN=nats", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout"]);
    let made = openssl.arg(&key).arg("-out").arg(&certificate).output().expect("openssl runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let (key, certificate) = (key.display(), certificate.display());
    // It has read them when it runs.
    NatsServer::start(&format!("tls {{ cert_file: \"{certificate}\", key_file: \"{key}\" }}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_joins_before_nats_knows_of_it_misses_nothing_though_nobody_looks_later() {
    const ROUNDS: usize = 20;
    let nats = NatsServer::start("");
    let bus = nats_at(&nats.url(""));
    let [here, there] = believers(&fresh(), &bus).await;
    let ann = here.user("ann").await;
    for round in 0..ROUNDS {
        let session = ann.create_session().await;
        // NATS finds the message and the wish to hear of it at the same time, in any order.
        nats.freeze(true);
        let mut far = there.again(&ann).plain(&session, "").await;
        ann.say(&session, &format!("{round}")).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
        nats.freeze(false);
        let comes = tokio::time::timeout(Duration::from_secs(20), seqs_up_to(&mut far, 1)).await;
        assert_eq!(comes.expect("it comes"), [1], "round {round}");
    }
}
