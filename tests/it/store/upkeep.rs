//! Epoch, health, room, and the end.

use assistdeck::store::{Action, Error};
use futures_util::FutureExt;

use super::world::{World, created, draft, event};

pub async fn the_epoch_is_kept_until_it_is_renewed(mut world: World) {
    let first = world.store.epoch().await.unwrap();
    assert!(!first.is_empty() && first.len() <= 64);
    world.reopen().await;
    assert_eq!(world.store.epoch().await.unwrap(), first);
    let (session, owner, _) = world.shared_session().await;
    let second = world.store.renew_epoch().await.unwrap();
    assert_ne!(first, second);
    let seen = world.seen_by(session, owner).await;
    assert_eq!(seen.epoch, first, "a running node takes it up when it starts");
    world.reopen().await;
    assert_eq!(world.store.epoch().await.unwrap(), second);
    assert_eq!(world.seen_by(session, owner).await.epoch, second);
}

pub async fn a_new_store_is_healthy(world: World) {
    let health = world.store.health().await;
    assert_eq!(health.last_commit, Ok(()));
    world.shared_session().await;
    assert_eq!(world.store.health().await.last_commit, Ok(()));
}

pub async fn room_for_appends_is_bounded_and_comes_back(world: World) {
    const STEP: usize = 1 << 20;
    const MANY: usize = 4096;
    let (session, owner, _) = world.shared_session().await;
    let mut permits = Vec::new();
    while let Some(permit) = world.store.admit(STEP).now_or_never() {
        permits.push(permit);
        assert!(permits.len() < MANY, "the room has no end");
    }
    let mut waiting = world.store.admit(STEP);
    assert!((&mut waiting).now_or_never().is_none());
    let permit = permits.pop().expect("there was room for one");
    let send = Action::Send { draft: draft("x") };
    let append =
        assistdeck::store::Append { session, actor: owner, at: super::world::now(), action: send };
    created(world.store.append(append, permit).await.unwrap());
    let granted = waiting.await;
    drop(granted);
    drop(permits);
    // More than all there is waits for all there is, not for ever.
    drop(world.store.admit(usize::MAX).await);
}

pub async fn a_closed_store_answers_that_it_is_unavailable(world: World) {
    let (session, owner, _) = world.shared_session().await;
    world.store.close().await;
    world.store.close().await;
    let pending = world.submit(session, owner, Action::Send { draft: draft("x") }).await;
    assert!(!matches!(pending.await, Ok(Ok(_))));
    let read = world.store.log(session, 0, 1).await;
    assert!(matches!(read, Err(Error::Unavailable(_))));
    let written = world.store.renew_epoch().await;
    assert!(matches!(written, Err(Error::Unavailable(_))));
}

pub async fn closing_commits_what_was_queued(mut world: World) {
    let (session, owner, _) = world.shared_session().await;
    let mut pending = Vec::new();
    for _ in 0..3000 {
        let send = Action::Send { draft: draft("x") };
        pending.push(world.submit(session, owner, send).await);
    }
    world.reopen().await;
    for pending in pending {
        event(pending.await.expect("it was answered"));
    }
    assert_eq!(world.seen_by(session, owner).await.last_seq, 3001);
}
