//! Copies of the store, and what comes of them.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use assistdeck::store::sqlite::backup;
use assistdeck::store::{Action, Store};
use rusqlite::Connection;

use super::{answering, server, world};
use crate::store::world::{event, until};

#[tokio::test]
async fn a_backup_of_a_running_store_is_whole_private_and_of_a_new_epoch() {
    let (world, dir) = world().await;
    let (session, owner, _) = world.shared_session().await;
    let sent = world.send(session, owner, "kept").await;
    let deleted = world.session(owner).await;
    world.send(deleted, owner, "purged").await;
    event(world.append(deleted, owner, Action::DeleteSession).await);
    until("the session is purged", async || {
        world.store.member_ids(deleted).await.unwrap().is_empty()
    })
    .await;
    let epoch = world.store.epoch().await.unwrap();

    let elsewhere = tempfile::tempdir().unwrap();
    let copy = elsewhere.path().join("copy.db");
    let contents = backup::create(&dir, &copy).unwrap();
    assert_eq!((contents.users, contents.sessions, contents.messages), (2, 1, 1));
    assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 1, "nothing else is left there");
    assert_eq!(backup::verify(&copy).unwrap(), contents);
    assert!(backup::create(&dir, &copy).is_err(), "nothing is overwritten");

    world.send(session, owner, "after the copy").await;
    let restored = elsewhere.path().join("restored");
    assert_eq!(backup::restore(&copy, &restored).unwrap(), None);
    let store = server(&restored, answering()).unwrap();
    let new_epoch = store.epoch().await.unwrap();
    assert_ne!(new_epoch, epoch);
    assert_eq!(store.message(session, sent.id).await.unwrap(), Some(sent));
    assert_eq!(store.access(session, owner).await.unwrap().unwrap().session.last_seq, 2);
    store.close().await;
    let store = server(&restored, answering()).unwrap();
    assert_eq!(store.epoch().await.unwrap(), new_epoch, "the mark was taken away");
    store.close().await;
    assert_eq!(world.store.epoch().await.unwrap(), epoch);
}

#[tokio::test]
async fn a_restored_store_replaces_the_old_one_which_is_kept() {
    let (mut world, dir) = world().await;
    let (session, owner, _) = world.shared_session().await;
    let copies = tempfile::tempdir().unwrap();
    let copy = copies.path().join("copy.db");
    backup::create(&dir, &copy).unwrap();
    world.send(session, owner, "after the copy").await;
    let said = backup::restore(&copy, &dir).unwrap_err().to_string();
    assert!(said.contains("another server uses the data folder"), "{said}");
    world.store.close().await;
    let kept = backup::restore(&copy, &dir).unwrap().expect("there was one");
    world.reopen().await;
    assert_eq!(world.log(session).await.head, 1);
    assert_eq!(world.send(session, owner, "again").await.seq, 2);
    assert_eq!(backup::verify(&kept).unwrap().messages, 1);
}

#[test]
fn a_damaged_or_foreign_file_is_no_backup() {
    let dir = tempfile::tempdir().unwrap();
    let foreign = dir.path().join("foreign.db");
    Connection::open(&foreign).unwrap().execute("CREATE TABLE x (y)", []).unwrap();
    let said = backup::verify(&foreign).unwrap_err().to_string();
    assert!(said.contains("is no AssistDeck database"), "{said}");
    assert!(backup::verify(&dir.path().join("nothing.db")).is_err());
    assert!(backup::create(&dir.path().join("nowhere"), &dir.path().join("copy.db")).is_err());
    assert!(backup::restore(&foreign, &dir.path().join("data")).is_err());

    let data = dir.path().join("data");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        server(&data, answering()).unwrap().close().await;
    });
    let copy = dir.path().join("copy.db");
    backup::create(&data, &copy).unwrap();
    let mut bytes = fs::read(&copy).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..].fill(0x55);
    let damaged = dir.path().join("damaged.db");
    fs::write(&damaged, bytes).unwrap();
    assert!(backup::verify(&damaged).is_err());
}
