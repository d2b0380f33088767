//! The store on PostgreSQL: every promise, and its own.

mod cost;

use std::sync::Arc;

use assistdeck::store::moving::{Source, Target};
use assistdeck::store::postgres::{Mode, Postgres, moving};
use assistdeck::store::{Action, Commit, Error, Sink, Store};
use async_trait::async_trait;
use protocol::SessionId;

use super::world::{Home, World, draft, event, keyed, now, until};
use crate::support::postgres::{Cluster, fresh};

/// A schema of its own.
pub struct Schema(String);

#[async_trait]
impl Home for Schema {
    async fn open(&self, sink: Sink) -> Arc<dyn Store> {
        Arc::new(server(&self.0, sink).await.expect("the store opens"))
    }

    async fn source(&self) -> Box<dyn Source> {
        moving::source(&self.0).await.expect("it is there")
    }

    async fn target(&self) -> Result<Box<dyn Target>, Error> {
        moving::target(&self.0).await
    }
}

pub fn schema() -> Schema {
    Schema(fresh())
}

super::every_promise!(crate::store::postgres::schema);

/// A schema that several nodes use.
struct Shared(String);

#[async_trait]
impl Home for Shared {
    async fn open(&self, sink: Sink) -> Arc<dyn Store> {
        let mode = Mode::Server { sink, alone: false };
        Arc::new(Postgres::open(&self.0, mode).await.expect("the store opens"))
    }

    async fn source(&self) -> Box<dyn Source> {
        moving::source(&self.0).await.expect("it is there")
    }

    async fn target(&self) -> Result<Box<dyn Target>, Error> {
        moving::target(&self.0).await
    }
}

async fn server(url: &str, sink: Sink) -> Result<Postgres, Error> {
    Postgres::open(url, Mode::Server { sink, alone: true }).await
}

fn answering() -> Sink {
    Box::new(Commit::answer)
}

/// A world, and where it is.
async fn world() -> (World, String) {
    let url = fresh();
    (World::new(Box::new(Schema(url.clone()))).await, url)
}

/// What the error of a refused opening says.
async fn sentence(url: &str) -> String {
    server(url, answering()).await.err().expect("it is refused").to_string()
}

#[tokio::test]
async fn a_second_server_is_kept_off_until_the_first_has_closed() {
    let (world, url) = world().await;
    let said = sentence(&url).await;
    assert!(said.contains("another server uses this database"), "{said}");
    world.store.close().await;
    server(&url, answering()).await.unwrap().close().await;
}

#[tokio::test]
async fn servers_with_a_bus_share_a_database_and_one_without_is_kept_off() {
    let url = fresh();
    let open = async |alone| Postgres::open(&url, Mode::Server { sink: answering(), alone }).await;
    let first = open(false).await.unwrap();
    let second = open(false).await.unwrap();
    let said = sentence(&url).await;
    assert!(said.contains("one of the two has no bus"), "{said}");
    first.close().await;
    second.close().await;
    open(true).await.unwrap().close().await;
}

#[tokio::test]
async fn numbers_are_dense_whichever_node_gives_them() {
    const SENDS: usize = 200;
    let url = fresh();
    let first = World::new(Box::new(Shared(url.clone()))).await;
    let second = World::new(Box::new(Shared(url))).await;
    let (session, owner, _) = first.shared_session().await;
    let other = first.session(owner).await;
    let send = async |world: &World, user| {
        let mut pending = Vec::new();
        for n in 0..SENDS {
            // The same name on both nodes: one of the two is a repeat.
            let draft = keyed(&n.to_string(), &n.to_string(), 1);
            let session = if n % 2 == 0 { session } else { other };
            pending.push(world.submit(session, user, Action::Send { draft }).await);
        }
        for pending in pending {
            assert!(pending.await.unwrap().is_ok());
        }
    };
    tokio::join!(send(&first, owner), send(&second, owner));
    for (session, before) in [(session, 1), (other, 0)] {
        let log = first.log(session).await;
        let seqs: Vec<u64> = log.events.iter().map(|event| event.seq).collect();
        assert_eq!(seqs, (1..=before + SENDS as u64 / 2).collect::<Vec<_>>());
        let mut told = [first.told(session), second.told(session)].concat();
        told.sort_by_key(|event| event.seq);
        assert_eq!(told, log.events, "each was told by the node that wrote it");
    }
}

#[tokio::test]
async fn a_tool_beside_the_server_does_everything_but_append() {
    let (world, url) = world().await;
    let beside = Postgres::open(&url, Mode::Beside).await.unwrap();
    world.check_tool(&beside).await;
}

#[tokio::test]
async fn a_newer_schema_and_a_changed_one_are_refused() {
    let (world, url) = world().await;
    world.store.close().await;
    let (client, connection) = connect(&url).await;
    let driver = tokio::spawn(connection);
    let newer = "INSERT INTO schema_migrations VALUES (99, '0099_later', 'x', 0)";
    client.batch_execute(newer).await.unwrap();
    let said = sentence(&url).await;
    assert!(said.contains("0099_later") && said.contains("run the newer program"), "{said}");
    let other = "DELETE FROM schema_migrations WHERE version = 99;
                 UPDATE schema_migrations SET checksum = 'other'";
    client.batch_execute(other).await.unwrap();
    let said = sentence(&url).await;
    assert!(said.contains("different builds"), "{said}");
    drop(client);
    driver.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_is_wrong_with_the_address_is_told() {
    let url = fresh();
    let wrong = url.replace("/postgres?", "/nowhere?");
    let said = sentence(&wrong).await;
    assert!(said.contains("database \"nowhere\" does not exist"), "{said}");
    let said = sentence("postgres://u:secret@127.0.0.1:1/d").await;
    assert!(said.contains("can't connect to PostgreSQL at 127.0.0.1"), "{said}");
    assert!(said.contains("refused") && !said.contains("secret"), "{said}");
}

#[tokio::test]
async fn content_that_was_deleted_is_in_no_row() {
    let (world, url) = world().await;
    let (session, owner, _) = world.shared_session().await;
    let gone = world.send(session, owner, "secret one").await;
    let edit = Action::Edit { message: gone.id, content: "secret two".to_owned() };
    event(world.append(session, owner, edit).await);
    world.delete(session, owner, gone.id).await;
    let (client, connection) = connect(&url).await;
    tokio::spawn(connection);
    let sql = "SELECT (SELECT count(*) FROM messages m WHERE m::text LIKE '%secret%')
                    + (SELECT count(*) FROM events e WHERE e::text LIKE '%secret%')";
    let found: i64 = client.query_one(sql, &[]).await.unwrap().get(0);
    assert_eq!(found, 0);
}

#[tokio::test]
async fn what_the_database_can_not_take_fails_alone() {
    let (world, _) = world().await;
    let (session, owner, _) = world.shared_session().await;
    let mut pending = Vec::new();
    for content in ["a", "b\0", "c"] {
        let send = Action::Send { draft: draft(content) };
        pending.push(world.submit(session, owner, send).await);
    }
    let mut outcomes = Vec::new();
    for pending in pending {
        outcomes.push(pending.await.unwrap());
    }
    assert!(matches!(&outcomes[..], [Ok(_), Err(Error::Other(_)), Ok(_)]), "{outcomes:?}");
    assert_eq!(world.send(session, owner, "d").await.seq, 4);
    assert_eq!(world.store.health().await.last_commit, Ok(()));
}

#[tokio::test]
async fn a_server_that_restarts_acknowledges_nothing_wrong_and_the_store_works_again() {
    let mut cluster = Cluster::start();
    let world = World::new(Box::new(Schema(cluster.schema()))).await;
    let (session, owner, _) = world.shared_session().await;
    for round in 0..3 {
        cluster.stop();
        until("the store knows", async || world.store.health().await.last_commit.is_err()).await;
        let send = Action::Send { draft: draft("x") };
        let sent = world.append(session, owner, send).await;
        assert!(matches!(sent, Err(Error::Unavailable(_))), "{sent:?}");
        let read = world.store.log(session, 0, 1).await;
        assert!(matches!(read, Err(Error::Unavailable(_))), "{read:?}");
        let made = world.store.create_session(SessionId::new(), owner, "x".into(), now()).await;
        assert!(matches!(made, Err(Error::Unavailable(_))));
        cluster.run();
        until("the store is healthy again without anybody's doing", async || {
            world.store.health().await.last_commit.is_ok()
        })
        .await;
        assert_eq!(world.send(session, owner, "y").await.seq, round + 2);
    }
    assert_eq!(world.told(session).len(), 4);
    assert_eq!(world.log(session).await.events, world.told(session));
}

#[tokio::test]
async fn connections_that_are_cut_are_made_again() {
    let (world, url) = world().await;
    let (session, owner, _) = world.shared_session().await;
    let (client, connection) = connect(&url).await;
    tokio::spawn(connection);
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE pid <> pg_backend_pid() AND query LIKE '%' || current_schema() || '%'";
    let mut acknowledged = 1;
    for _ in 0..20 {
        client.batch_execute(cut).await.unwrap();
        let send = Action::Send { draft: draft("x") };
        if let Ok(sent) = world.append(session, owner, send).await {
            let _ = event(Ok(sent));
            acknowledged += 1;
        }
    }
    until("the log is read", async || world.store.log(session, 0, 1000).await.is_ok()).await;
    let log = world.log(session).await;
    assert!(log.head >= acknowledged);
    let seqs: Vec<u64> = log.events.iter().map(|event| event.seq).collect();
    assert_eq!(seqs, (1..=log.head).collect::<Vec<_>>());
}

async fn connect(
    url: &str,
) -> (
    tokio_postgres::Client,
    tokio_postgres::Connection<tokio_postgres::Socket, tokio_postgres::tls::NoTlsStream>,
) {
    tokio_postgres::connect(url, tokio_postgres::NoTls).await.expect("a connection")
}
