//! Sending is idempotent by (session, sender, `client_id`).

use assistdeck::store::{Action, Appended, Refusal, Result};
use protocol::Message;

use super::world::{World, created, draft, event, keyed, refused};

fn repeat(outcome: Result<Appended>) -> Message {
    match outcome {
        Ok(Appended::Repeat(message)) => *message,
        other => panic!("no repeat: {other:?}"),
    }
}

pub async fn a_repeat_is_answered_with_the_stored_message(world: World) {
    let (session, owner, _) = world.shared_session().await;
    let send = || Action::Send { draft: keyed("once", "key", 1) };
    let first = created(world.append(session, owner, send()).await);
    world.send(session, owner, "between").await;
    for _ in 0..3 {
        assert_eq!(repeat(world.append(session, owner, send()).await), first);
    }
    assert_eq!(world.log(session).await.head, 3);
    assert_eq!(world.told(session).len(), 3, "a repeat is no event");
    assert_eq!(world.send(session, owner, "next").await.seq, 4);
}

pub async fn a_repeat_is_found_within_its_own_batch(world: World) {
    let (session, owner, _) = world.shared_session().await;
    let mut pending = Vec::new();
    for n in 0..100 {
        let send = Action::Send { draft: keyed("x", &(n / 4).to_string(), 1) };
        pending.push(world.submit(session, owner, send).await);
    }
    let mut first = None;
    for (n, pending) in pending.into_iter().enumerate() {
        let outcome = pending.await.unwrap();
        if n % 4 == 0 {
            first = Some(created(outcome));
        } else {
            assert_eq!(Some(repeat(outcome)), first);
        }
    }
    assert_eq!(world.log(session).await.head, 26);
}

pub async fn a_repeat_is_found_after_a_reopening(mut world: World) {
    let (session, owner, _) = world.shared_session().await;
    let send = || Action::Send { draft: keyed("once", "key", 1) };
    let first = created(world.append(session, owner, send()).await);
    world.reopen().await;
    assert_eq!(repeat(world.append(session, owner, send()).await), first);
}

pub async fn a_repeat_has_the_messages_present_form(world: World) {
    let (session, owner, _) = world.shared_session().await;
    let send = || Action::Send { draft: keyed("once", "key", 1) };
    let first = created(world.append(session, owner, send()).await);
    let edit = Action::Edit { message: first.id, content: "twice".to_owned() };
    let edited = event(world.append(session, owner, edit).await);
    let stored = repeat(world.append(session, owner, send()).await);
    assert_eq!((stored.content.as_str(), stored.edited_at), ("twice", Some(edited.at)));
    assert_eq!((stored.id, stored.seq), (first.id, first.seq));
}

pub async fn other_contents_under_the_same_client_id_are_refused(world: World) {
    let (session, owner, _) = world.shared_session().await;
    created(world.append(session, owner, Action::Send { draft: keyed("a", "key", 1) }).await);
    let other = Action::Send { draft: keyed("b", "key", 2) };
    assert_eq!(refused(world.append(session, owner, other).await), Refusal::ClientIdReused);
    assert_eq!(world.log(session).await.head, 2);
}

pub async fn a_client_id_belongs_to_its_session_and_sender(world: World) {
    let (session, owner, participant) = world.shared_session().await;
    let elsewhere = world.session(owner).await;
    let send = || Action::Send { draft: keyed("same", "key", 1) };
    for (session, user) in [(session, owner), (session, participant), (elsewhere, owner)] {
        created(world.append(session, user, send()).await);
    }
    let other = Action::Send { draft: keyed("same", "KEY", 1) };
    created(world.append(session, owner, other).await);
}

pub async fn a_repeat_of_a_deleted_message_is_refused(mut world: World) {
    let (session, owner, _) = world.shared_session().await;
    let send = |hash| Action::Send { draft: keyed("once", "key", hash) };
    let first = created(world.append(session, owner, send(1)).await);
    world.delete(session, owner, first.id).await;
    for _ in 0..2 {
        let again = world.append(session, owner, send(1)).await;
        assert_eq!(refused(again), Refusal::MessageDeleted);
        let other = world.append(session, owner, send(2)).await;
        assert_eq!(refused(other), Refusal::ClientIdReused);
        world.reopen().await;
    }
}

pub async fn messages_without_client_id_are_never_repeats(world: World) {
    let (session, owner, _) = world.shared_session().await;
    for _ in 0..3 {
        created(world.append(session, owner, Action::Send { draft: draft("same") }).await);
    }
    assert_eq!(world.messages(session).await.len(), 3);
}
