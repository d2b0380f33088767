//! The list of participants.

use assistdeck::store::Action;
use protocol::{ParticipantId, SessionId, UserId};

use super::world::{World, event, now};

/// All rows, in pages of `limit`.
async fn rows(world: &World, session: SessionId, limit: usize) -> Vec<protocol::ParticipantRow> {
    let mut rows: Vec<protocol::ParticipantRow> = Vec::new();
    loop {
        let before = rows.last().map(|row| row.id);
        let page = world.store.participants(session, before, limit).await.unwrap().unwrap();
        assert!(page.items.len() <= limit);
        rows.extend(page.items);
        if !page.more {
            return rows;
        }
    }
}

pub async fn the_owner_comes_first_and_then_the_others_as_they_came(world: World) {
    let (session, owner, first) = world.shared_session().await;
    let second = world.user().await;
    let id = world.add(session, owner, second).await;
    let rows = rows(&world, session, 100).await;
    let users: Vec<UserId> = rows.iter().map(|row| row.user_id).collect();
    assert_eq!(users, [owner, first, second]);
    assert_eq!(rows[0].id.0, session.0, "the owner's row has the session's id");
    assert_eq!(rows.iter().map(|row| row.is_owner).collect::<Vec<_>>(), [true, false, false]);
    assert_eq!(rows[2].id, id);
    assert_eq!(rows[2].email, format!("{second}@example.org"));
    assert_eq!(rows[2].name, format!("Name of {second}@example.org"));
    assert_eq!(rows[2].created_at, world.log(session).await.events[1].at);
}

pub async fn the_list_of_participants_comes_in_pages(world: World) {
    let owner = world.user().await;
    let session = world.session(owner).await;
    for _ in 0..6 {
        let user = world.user().await;
        world.add(session, owner, user).await;
    }
    let all = rows(&world, session, 100).await;
    assert_eq!(all.len(), 7);
    for limit in [1, 2, 3, 6, 7, 8] {
        assert_eq!(rows(&world, session, limit).await, all, "pages of {limit}");
    }
}

pub async fn an_unknown_row_is_no_place_to_go_on_from(world: World) {
    let (session, owner, participant) = world.shared_session().await;
    let other = world.session(owner).await;
    let row = world.add(other, owner, participant).await;
    for before in [ParticipantId::new(), row] {
        assert!(world.store.participants(session, Some(before), 9).await.unwrap().is_none());
    }
}

pub async fn members_are_counted_and_named(world: World) {
    let (session, owner, participant) = world.shared_session().await;
    assert_eq!(world.store.member_count(session).await.unwrap(), 2);
    let mut ids = world.store.member_ids(session).await.unwrap();
    ids.sort();
    let mut expected = [owner, participant];
    expected.sort();
    assert_eq!(ids, expected);
    world.remove(session, owner, participant).await;
    assert_eq!(world.store.member_count(session).await.unwrap(), 1);
    assert_eq!(world.store.member_ids(session).await.unwrap(), [owner]);
}

pub async fn who_is_added_has_read_everything(world: World) {
    let (session, owner, _) = world.shared_session().await;
    world.send(session, owner, "before").await;
    let late = world.user().await;
    world.add(session, owner, late).await;
    assert_eq!(world.unread(session, late).await, 0);
    let access = world.store.access(session, late).await.unwrap().unwrap();
    assert_eq!(access.read_seq, access.session.last_seq);
    world.send(session, owner, "after").await;
    assert_eq!(world.unread(session, late).await, 1);
}

pub async fn who_is_added_again_has_a_new_row_and_sees_the_whole_log(world: World) {
    let (session, owner, participant) = world.shared_session().await;
    let first = rows(&world, session, 100).await[1].id;
    event(world.append(session, participant, Action::Leave).await);
    world.send(session, owner, "meanwhile").await;
    let second = world.add(session, owner, participant).await;
    assert_ne!(first, second);
    assert_eq!(rows(&world, session, 100).await[1].id, second);
    world.send(session, participant, "back").await;
    let log = world.log(session).await;
    assert_eq!(log.events.iter().map(|event| event.seq).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert_eq!(log.events[1].removed_user(), Some(participant));
    let at = now();
    assert!(log.events.iter().all(|event| event.at < at));
}
