//! Sessions, their list, and read marks.

use assistdeck::store::{Action, Refusal};
use protocol::{SessionId, UserId};

use super::world::{World, event, now, refused};

pub async fn a_new_session_has_its_owner_and_no_events(world: World) {
    let (owner, id, at) = (world.user().await, SessionId::new(), now());
    let session = world.store.create_session(id, owner, "Plans".into(), at).await.unwrap();
    assert_eq!((session.id, session.user_id, session.last_seq), (id, owner, 0));
    assert_eq!((session.title.as_str(), session.is_owner), ("Plans", Some(true)));
    assert_eq!((session.created_at, session.updated_at), (at, at));
    assert_eq!(session.epoch, world.store.epoch().await.unwrap());
    assert_eq!(world.seen_by(id, owner).await, session);
    let log = world.log(id).await;
    assert!(log.events.is_empty() && log.head == 0 && !log.deleted);
    assert_eq!(world.store.member_ids(id).await.unwrap(), [owner]);
}

pub async fn a_session_is_made_for_an_existing_user_only(world: World) {
    let nobody = UserId::new();
    let made = world.store.create_session(SessionId::new(), nobody, "x".into(), now()).await;
    assert_eq!(refused(made), Refusal::UserNotFound);
}

pub async fn access_tells_members_from_strangers(world: World) {
    let (session, owner, participant) = world.shared_session().await;
    let stranger = world.user().await;
    for (user, is_owner, is_member, read_seq) in
        [(owner, true, true, 0), (participant, false, true, 1), (stranger, false, false, 0)]
    {
        let access = world.store.access(session, user).await.unwrap().unwrap();
        assert_eq!(access.session.is_owner, Some(is_owner));
        assert_eq!((access.is_member, access.read_seq), (is_member, read_seq));
        assert_eq!(access.session.last_seq, 1);
    }
    assert!(world.store.access(SessionId::new(), owner).await.unwrap().is_none());
}

/// The ids of all sessions of a user, in pages of `limit`.
async fn listed(world: &World, user: UserId, limit: usize) -> Vec<SessionId> {
    let mut ids: Vec<SessionId> = Vec::new();
    loop {
        let page = world.store.sessions_of(user, ids.last().copied(), limit).await.unwrap();
        let page = page.unwrap();
        assert!(page.items.len() <= limit);
        ids.extend(page.items.iter().map(|listed| listed.session.id));
        if !page.more {
            return ids;
        }
        assert_eq!(page.items.len(), limit, "a page with more behind it is full");
    }
}

pub async fn sessions_are_listed_by_their_last_event_newest_first(world: World) {
    let (owner, guest) = (world.user().await, world.user().await);
    let first = world.session(owner).await;
    let second = world.session(owner).await;
    let foreign = world.session(guest).await;
    assert_eq!(listed(&world, owner, 10).await, [second, first]);
    world.send(first, owner, "up").await;
    assert_eq!(listed(&world, owner, 10).await, [first, second]);
    world.add(foreign, guest, owner).await;
    assert_eq!(listed(&world, owner, 10).await, [foreign, first, second]);
    world.remove(foreign, guest, owner).await;
    assert_eq!(listed(&world, owner, 10).await, [first, second]);
    event(world.append(first, owner, Action::DeleteSession).await);
    assert_eq!(listed(&world, owner, 10).await, [second]);
    assert_eq!(listed(&world, guest, 10).await, [foreign]);
    assert_eq!(listed(&world, UserId::new(), 10).await, []);
}

pub async fn a_list_of_sessions_comes_in_pages(world: World) {
    let owner = world.user().await;
    let at = now();
    let mut ids = Vec::new();
    for _ in 0..7 {
        // At one moment, so that the ids decide.
        let id = SessionId::new();
        world.store.create_session(id, owner, "x".into(), at).await.unwrap();
        ids.push(id);
    }
    ids.sort();
    ids.reverse();
    for limit in [1, 3, 6, 7, 8] {
        assert_eq!(listed(&world, owner, limit).await, ids, "pages of {limit}");
    }
    let all = world.store.sessions_of(owner, None, 7).await.unwrap().unwrap();
    assert!(!all.more);
}

pub async fn an_unknown_session_is_no_place_to_go_on_from(world: World) {
    let (owner, other) = (world.user().await, world.user().await);
    let foreign = world.session(other).await;
    for before in [SessionId::new(), foreign] {
        assert!(world.store.sessions_of(owner, Some(before), 10).await.unwrap().is_none());
    }
}

pub async fn a_list_shows_the_last_message_that_is_not_deleted(world: World) {
    let (session, owner, _) = world.shared_session().await;
    let last = async || {
        let page = world.store.sessions_of(owner, None, 10).await.unwrap().unwrap();
        page.items[0].last_message.clone().map(|message| message.content)
    };
    assert_eq!(last().await, None);
    let one = world.send(session, owner, "one").await;
    let two = world.send(session, owner, "two").await;
    let three = world.send(session, owner, "three").await;
    assert_eq!(last().await.as_deref(), Some("three"));
    world.delete(session, owner, two.id).await;
    assert_eq!(last().await.as_deref(), Some("three"));
    world.delete(session, owner, three.id).await;
    assert_eq!(last().await.as_deref(), Some("one"));
    let edit = Action::Edit { message: one.id, content: "uno".into() };
    event(world.append(session, owner, edit).await);
    assert_eq!(last().await.as_deref(), Some("uno"));
    world.delete(session, owner, one.id).await;
    assert_eq!(last().await, None);
}

pub async fn a_read_mark_only_grows_and_never_passes_the_head(mut world: World) {
    let (session, owner, participant) = world.shared_session().await;
    for _ in 0..4 {
        world.send(session, owner, "x").await;
    }
    let mark = async |seq| {
        let marked = world.store.set_read_mark(session, participant, seq).await.unwrap();
        (marked.seq, marked.has_grown)
    };
    assert_eq!(mark(3).await, (3, true));
    assert_eq!(mark(3).await, (3, false));
    assert_eq!(mark(2).await, (3, false));
    assert_eq!(mark(u64::MAX).await, (5, true));
    assert_eq!(mark(0).await, (5, false));
    let stranger = world.user().await;
    let outcome = world.store.set_read_mark(session, stranger, 1).await;
    assert_eq!(refused(outcome), Refusal::NotAMember);
    let nowhere = SessionId::new();
    let outcome = world.store.set_read_mark(nowhere, owner, 1).await;
    assert_eq!(refused(outcome), Refusal::SessionNotFound);
    world.reopen().await;
    let access = world.store.access(session, participant).await.unwrap().unwrap();
    assert_eq!(access.read_seq, 5);
    let access = world.store.access(session, owner).await.unwrap().unwrap();
    assert_eq!(access.read_seq, 5, "what I write I have read");
}
