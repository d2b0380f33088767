//! What each append becomes.

use assistdeck::store::{Action, Draft, participant_of};
use protocol::{Change, MessageId, ParticipantId};

use super::world::{World, created, draft, event};

pub async fn a_message_is_stored_as_it_was_sent(world: World) {
    let (session, _, participant) = world.shared_session().await;
    let draft = Draft {
        id: MessageId::new(),
        content: "tab\tline\r\n \u{1F600} end ".to_owned(),
        file_url: Some("https://example.org/f".to_owned()),
        is_ai_message: true,
        client_id: Some("key".to_owned()),
        request_hash: [7; 16],
    };
    let sent =
        created(world.append(session, participant, Action::Send { draft: draft.clone() }).await);
    assert_eq!((sent.id, sent.session_id, sent.seq), (draft.id, session, 2));
    assert_eq!((sent.sender_id, &sent.content), (participant, &draft.content));
    assert_eq!((&sent.file_url, &sent.client_id), (&draft.file_url, &draft.client_id));
    assert!(sent.is_ai_message && sent.edited_at.is_none());
    assert_eq!(world.messages(session).await, std::slice::from_ref(&sent));
    assert_eq!(world.store.message(session, sent.id).await.unwrap().as_ref(), Some(&sent));
    let log = world.log(session).await;
    assert_eq!(log.events[1].change, Change::MessageCreated(sent.clone()));
    assert_eq!(log.events[1].at, sent.created_at);
    let seen = world.seen_by(session, participant).await;
    assert_eq!((seen.last_seq, seen.updated_at), (2, sent.created_at));
}

pub async fn an_edit_keeps_the_place_and_changes_the_content(world: World) {
    let (session, owner, _) = world.shared_session().await;
    let sent = world.send(session, owner, "frist").await;
    world.send(session, owner, "second").await;
    for content in ["first", "at first", "1"] {
        let edit = Action::Edit { message: sent.id, content: content.to_owned() };
        let event = event(world.append(session, owner, edit).await);
        let mut expected = sent.clone();
        expected.content = content.to_owned();
        expected.edited_at = Some(event.at);
        assert_eq!(event.change, Change::MessageUpdated(expected.clone()));
        assert_eq!(world.messages(session).await[0], expected);
        let log = world.log(session).await;
        assert_eq!(log.events[1].change, Change::MessageCreated(expected.clone()));
        assert_eq!((log.events[1].seq, log.events[1].at), (2, sent.created_at));
        for later in &log.events[3..] {
            assert_eq!(later.change, Change::MessageUpdated(expected.clone()), "its present form");
        }
    }
    assert_eq!(world.log(session).await.head, 6);
}

pub async fn an_edit_that_changes_nothing_is_an_event_too(world: World) {
    let (session, owner, _) = world.shared_session().await;
    let sent = world.send(session, owner, "same").await;
    let edit = Action::Edit { message: sent.id, content: "same".to_owned() };
    let event = event(world.append(session, owner, edit).await);
    assert_eq!(event.seq, 3);
    assert_eq!(world.messages(session).await[0].edited_at, Some(event.at));
}

pub async fn a_participant_is_added_and_removed_by_events(world: World) {
    let (owner, user) = (world.user().await, world.user().await);
    let session = world.session(owner).await;
    let id = ParticipantId::new();
    let added = event(world.append(session, owner, Action::AddParticipant { id, user }).await);
    let answer = participant_of(&added).expect("it added somebody");
    assert_eq!((answer.id, answer.user_id, answer.session_id), (id, user, session));
    assert_eq!((added.seq, answer.created_at), (1, added.at));
    let Change::ParticipantAdded(row) = &added.change else { panic!("{added:?}") };
    assert_eq!((row.email.as_str(), row.is_owner), (&*format!("{user}@example.org"), false));

    let removal = Action::RemoveParticipant { user };
    let removed = event(world.append(session, owner, removal).await);
    assert_eq!((removed.seq, removed.removed_user()), (2, Some(user)));
    assert!(!world.store.access(session, user).await.unwrap().unwrap().is_member);
}

pub async fn a_participant_leaves_by_an_event(world: World) {
    let (session, _, participant) = world.shared_session().await;
    let left = event(world.append(session, participant, Action::Leave).await);
    assert_eq!((left.seq, left.removed_user()), (2, Some(participant)));
    assert!(!world.store.access(session, participant).await.unwrap().unwrap().is_member);
}

pub async fn a_title_is_changed_by_an_event(world: World) {
    let (session, owner, participant) = world.shared_session().await;
    let first = Action::Rename { title: "New title".to_owned() };
    let first = event(world.append(session, owner, first).await);
    let Change::SessionUpdated(told) = &first.change else { panic!("{first:?}") };
    assert_eq!((told.title.as_str(), told.last_seq, told.updated_at), ("New title", 2, first.at));
    assert_eq!(told.is_owner, None);
    let seen = world.seen_by(session, participant).await;
    assert_eq!(seen, protocol::Session { is_owner: Some(false), ..told.clone() });

    let second = Action::Rename { title: "Newer title".to_owned() };
    event(world.append(session, owner, second).await);
    assert_eq!(*world.log(session).await.events[1], *first, "each event has its own title");
}

pub async fn the_log_is_what_the_sink_was_given(mut world: World) {
    let (session, owner, participant) = world.shared_session().await;
    world.send(session, participant, "one").await;
    let rename = Action::Rename { title: "T".to_owned() };
    event(world.append(session, owner, rename).await);
    world.remove(session, owner, participant).await;
    world.append(session, owner, Action::Send { draft: draft("two") }).await.unwrap();
    let told = world.told(session);
    assert_eq!(told.len(), 5);
    assert_eq!(world.log(session).await.events, told);
    world.reopen().await;
    assert_eq!(world.log(session).await.events, told);
}
