//! Deleted messages and deleted sessions.

use assistdeck::store::{Action, Append};
use protocol::event::DeletedMessage;
use protocol::{Change, SessionId, Timestamp};

use super::world::{World, event, until};

pub async fn events_of_a_deleted_message_replay_as_deletions_under_their_own_numbers(world: World) {
    let (session, owner, _) = world.shared_session().await;
    let gone = world.send(session, owner, "secret").await;
    let kept = world.send(session, owner, "kept").await;
    let edit = Action::Edit { message: gone.id, content: "secret too".to_owned() };
    event(world.append(session, owner, edit).await);
    let deletion = event(world.append(session, owner, Action::Delete { message: gone.id }).await);
    let deleted = Change::MessageDeleted(DeletedMessage { id: gone.id });
    assert_eq!((deletion.seq, &deletion.change), (5, &deleted));
    let log = world.log(session).await;
    for (seq, change) in [
        (2, deleted.clone()),
        (3, Change::MessageCreated(kept)),
        (4, deleted.clone()),
        (5, deleted),
    ] {
        let event = &log.events[seq as usize - 1];
        assert_eq!((event.seq, &event.change), (seq, &change));
    }
    assert_eq!(log.events[1].at, gone.created_at);
}

pub async fn a_deleted_message_is_in_no_page_of_messages(world: World) {
    let (session, owner, _) = world.shared_session().await;
    let mut sent = Vec::new();
    for n in 0..10 {
        sent.push(world.send(session, owner, &n.to_string()).await);
    }
    for message in sent.iter().step_by(2) {
        world.delete(session, owner, message.id).await;
        assert_eq!(world.store.message(session, message.id).await.unwrap(), None);
    }
    let left: Vec<_> = sent.into_iter().skip(1).step_by(2).collect();
    assert_eq!(world.messages(session).await, left);
}

pub async fn a_deleted_session_is_gone_at_once_and_its_members_are_still_known(world: World) {
    let (session, owner, participant) = world.shared_session().await;
    world.send(session, owner, "x").await;
    let permit = world.store.admit(0).await;
    let (at, action) = (Timestamp::now(), Action::DeleteSession);
    let end = world.store.append(Append { session, actor: owner, at, action }, permit).await;
    let end = event(end.expect("the store answers"));
    assert!(end.ends_session());
    assert_eq!(end.seq, 3);
    let mut members = world.store.member_ids(session).await.unwrap();
    members.sort();
    let mut expected = [owner, participant];
    expected.sort();
    assert_eq!(members, expected);
    assert!(world.store.access(session, owner).await.unwrap().is_none());
    let log = world.log(session).await;
    assert!(log.deleted && log.events.is_empty());
    assert_eq!(log.head, 3);
    assert!(world.messages(session).await.is_empty());
    let rows = world.store.participants(session, None, 10).await.unwrap().unwrap();
    assert!(rows.items.is_empty());
    assert_eq!(world.store.member_count(session).await.unwrap(), 0);
}

/// Of sessions whose deletion is long ago, as the moments of these tests are.
async fn is_purged(world: &World, session: SessionId) -> bool {
    world.store.member_ids(session).await.unwrap().is_empty()
}

pub async fn a_deleted_session_is_purged_behind_and_stays_deleted(mut world: World) {
    let (session, owner, _) = world.shared_session().await;
    for n in 0..1000 {
        world.submit(session, owner, send(n)).await;
    }
    event(world.append(session, owner, Action::DeleteSession).await);
    until("the session is purged", || is_purged(&world, session)).await;
    for _ in 0..2 {
        let log = world.log(session).await;
        assert!(log.deleted && log.events.is_empty());
        let again = world.store.create_session(session, owner, "x".into(), super::world::now());
        assert!(again.await.is_err(), "an id is never given again");
        world.reopen().await;
    }
}

pub async fn a_purge_goes_on_after_a_reopening(mut world: World) {
    let (session, owner, _) = world.shared_session().await;
    for n in 0..1000 {
        world.submit(session, owner, send(n)).await;
    }
    event(world.append(session, owner, Action::DeleteSession).await);
    world.reopen().await;
    until("the session is purged", || is_purged(&world, session)).await;
}

pub async fn a_purge_leaves_other_sessions_alone(world: World) {
    let (session, owner, participant) = world.shared_session().await;
    let other = world.session(owner).await;
    world.add(other, owner, participant).await;
    for n in 0..300 {
        let message = world.send(other, owner, &n.to_string()).await.id;
        if n % 3 == 0 {
            let edit = Action::Edit { message, content: format!("edited {n}") };
            event(world.append(other, owner, edit).await);
        }
        world.send(session, owner, &n.to_string()).await;
    }
    let before = (world.log(other).await, world.messages(other).await);
    event(world.append(session, owner, Action::DeleteSession).await);
    until("the session is purged", || is_purged(&world, session)).await;
    assert_eq!((world.log(other).await, world.messages(other).await), before);
    assert_eq!(world.unread(other, participant).await, 300);
    assert_eq!(world.send(other, owner, "next").await.seq, before.0.head + 1);
}

fn send(n: usize) -> Action {
    Action::Send { draft: super::world::draft(&n.to_string()) }
}
