//! What is refused, and in which order it is looked at.

use assistdeck::store::{Action, Refusal};
use protocol::{MessageId, ParticipantId, SessionId, UserId};

use super::world::{World, draft, event, refused};

/// One action of every kind, each about things that do not exist.
fn all_actions() -> Vec<Action> {
    let (user, message) = (UserId::new(), MessageId::new());
    vec![
        Action::Send { draft: draft("x") },
        Action::Edit { message, content: "x".to_owned() },
        Action::Delete { message },
        Action::AddParticipant { id: ParticipantId::new(), user },
        Action::RemoveParticipant { user },
        Action::Leave,
        Action::Rename { title: "x".to_owned() },
        Action::DeleteSession,
    ]
}

pub async fn a_session_that_never_was_refuses_everybody(world: World) {
    let user = world.user().await;
    for action in all_actions() {
        let outcome = world.append(SessionId::new(), user, action).await;
        assert_eq!(refused(outcome), Refusal::SessionNotFound);
    }
}

pub async fn a_stranger_is_refused_before_anything_else_is_looked_at(world: World) {
    let (session, ..) = world.shared_session().await;
    let stranger = world.user().await;
    for user in [stranger, UserId::new()] {
        for action in all_actions() {
            assert_eq!(refused(world.append(session, user, action).await), Refusal::NotAMember);
        }
    }
}

pub async fn a_participant_is_refused_what_is_the_owners_before_anything_inside(world: World) {
    let (session, _, participant) = world.shared_session().await;
    let user = UserId::new();
    for action in [
        Action::AddParticipant { id: ParticipantId::new(), user },
        Action::AddParticipant { id: ParticipantId::new(), user: participant },
        Action::RemoveParticipant { user },
        Action::RemoveParticipant { user: participant },
        Action::Rename { title: "x".to_owned() },
        Action::DeleteSession,
    ] {
        let outcome = world.append(session, participant, action).await;
        assert_eq!(refused(outcome), Refusal::NotSessionOwner);
    }
}

pub async fn what_is_inside_is_refused_by_its_own_name(world: World) {
    let (session, owner, participant) = world.shared_session().await;
    let stranger = world.user().await;
    let add = |user| Action::AddParticipant { id: ParticipantId::new(), user };
    let remove = |user| Action::RemoveParticipant { user };
    let message = MessageId::new();
    for (actor, action, refusal) in [
        (owner, add(UserId::new()), Refusal::UserNotFound),
        (owner, add(participant), Refusal::AlreadyParticipant),
        (owner, add(owner), Refusal::AlreadyParticipant),
        (owner, remove(stranger), Refusal::ParticipantNotFound),
        (owner, remove(UserId::new()), Refusal::ParticipantNotFound),
        (owner, remove(owner), Refusal::ParticipantNotFound),
        (owner, Action::Leave, Refusal::OwnerCannotLeave),
        (owner, Action::Edit { message, content: "x".into() }, Refusal::MessageNotFound),
        (owner, Action::Delete { message }, Refusal::MessageNotFound),
    ] {
        assert_eq!(refused(world.append(session, actor, action).await), refusal);
    }
}

pub async fn a_message_is_edited_by_its_sender_only(world: World) {
    let (session, owner, participant) = world.shared_session().await;
    let message = world.send(session, participant, "mine").await.id;
    let edit = || Action::Edit { message, content: "theirs".to_owned() };
    assert_eq!(refused(world.append(session, owner, edit()).await), Refusal::NotMessageSender);
    event(world.append(session, participant, edit()).await);
    world.delete(session, participant, message).await;
    for user in [owner, participant] {
        assert_eq!(refused(world.append(session, user, edit()).await), Refusal::MessageNotFound);
    }
}

pub async fn a_message_is_deleted_by_its_sender_or_the_owner_only(world: World) {
    let (session, owner, participant) = world.shared_session().await;
    let other = world.user().await;
    world.add(session, owner, other).await;
    let first = world.send(session, participant, "one").await.id;
    let second = world.send(session, participant, "two").await.id;
    let delete = |message| Action::Delete { message };
    let outcome = world.append(session, other, delete(first)).await;
    assert_eq!(refused(outcome), Refusal::NotMessageSender);
    event(world.append(session, participant, delete(first)).await);
    event(world.append(session, owner, delete(second)).await);
    for user in [owner, participant, other] {
        let outcome = world.append(session, user, delete(first)).await;
        assert_eq!(refused(outcome), Refusal::MessageNotFound);
    }
}

pub async fn a_message_of_another_session_is_not_found(world: World) {
    let (session, owner, _) = world.shared_session().await;
    let elsewhere = world.session(owner).await;
    let message = world.send(elsewhere, owner, "there").await.id;
    let edit = Action::Edit { message, content: "x".to_owned() };
    assert_eq!(refused(world.append(session, owner, edit).await), Refusal::MessageNotFound);
    let delete = Action::Delete { message };
    assert_eq!(refused(world.append(session, owner, delete).await), Refusal::MessageNotFound);
    assert_eq!(world.messages(elsewhere).await.len(), 1);
}

pub async fn a_deleted_session_refuses_everybody(world: World) {
    let (session, owner, participant) = world.shared_session().await;
    event(world.append(session, owner, Action::DeleteSession).await);
    for user in [owner, participant, UserId::new()] {
        for action in all_actions() {
            let outcome = world.append(session, user, action).await;
            assert_eq!(refused(outcome), Refusal::SessionNotFound);
        }
    }
    let outcome = world.store.set_read_mark(session, owner, 1).await;
    assert_eq!(refused(outcome), Refusal::SessionNotFound);
}

pub async fn a_refusal_changes_nothing(world: World) {
    let (session, owner, participant) = world.shared_session().await;
    let before = (world.seen_by(session, owner).await, world.log(session).await);
    for action in all_actions() {
        if matches!(action, Action::Send { .. } | Action::Leave) {
            continue;
        }
        refused(world.append(session, participant, action).await);
    }
    refused(world.append(session, UserId::new(), Action::Send { draft: draft("x") }).await);
    assert_eq!((world.seen_by(session, owner).await, world.log(session).await), before);
    assert_eq!(world.told(session).len(), 1);
    assert_eq!(world.send(session, owner, "next").await.seq, 2);
}
