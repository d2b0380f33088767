//! Pages of the log and of messages.

use assistdeck::store::{Action, MessageRange, Page, Refusal};
use protocol::limits::{CONTENT_BYTES_MAX, PAGE_BYTES_MAX};
use protocol::{Message, MessageId, SessionId};

use super::world::{World, event, refused};

async fn page(world: &World, session: SessionId, range: MessageRange, limit: usize) -> Page<u64> {
    let page = world.store.messages(session, None, range, limit).await.unwrap();
    let items: Vec<u64> = page.items.iter().map(|message: &Message| message.seq).collect();
    assert!(items.is_sorted());
    Page { items, more: page.more }
}

pub async fn messages_are_for_members(world: World) {
    let (session, owner, participant) = world.shared_session().await;
    let sent = world.send(session, owner, "hello").await.seq;
    let read = async |session, user| {
        let page = world.store.messages(session, Some(user), MessageRange::Newest, 5).await?;
        Ok(page.items.iter().map(|message| message.seq).collect::<Vec<_>>())
    };
    for user in [owner, participant] {
        assert_eq!(read(session, user).await, Ok(vec![sent]));
    }
    let stranger = world.user().await;
    assert_eq!(refused(read(session, stranger).await), Refusal::NotAMember);
    assert_eq!(refused(read(SessionId::new(), owner).await), Refusal::SessionNotFound);
    event(world.append(session, owner, Action::RemoveParticipant { user: participant }).await);
    assert_eq!(refused(read(session, participant).await), Refusal::NotAMember);
    event(world.append(session, owner, Action::DeleteSession).await);
    assert_eq!(refused(read(session, owner).await), Refusal::SessionNotFound);
}

/// 300 events of several kinds.
async fn mixed_log(world: &World) -> SessionId {
    let (session, owner, participant) = world.shared_session().await;
    for n in 0..99 {
        let message = world.send(session, participant, &n.to_string()).await.id;
        let second = match n % 4 {
            0 => Action::Rename { title: n.to_string() },
            1 => Action::Edit { message, content: "edited".to_owned() },
            2 => Action::Delete { message },
            _ => Action::RemoveParticipant { user: participant },
        };
        let actor = if n % 4 == 1 { participant } else { owner };
        event(world.append(session, actor, second).await);
        if n % 4 == 3 {
            world.add(session, owner, participant).await;
        } else {
            world.send(session, owner, "and").await;
        }
    }
    session
}

pub async fn pages_of_the_log_join_without_hole_or_overlap(world: World) {
    let session = mixed_log(&world).await;
    let all = world.log(session).await;
    assert_eq!(
        all.events.iter().map(|event| event.seq).collect::<Vec<_>>(),
        Vec::from_iter(1..=298)
    );
    for limit in [1, 7, 100, 297, 298, 299] {
        let mut events = Vec::new();
        loop {
            let after =
                events.last().map_or(0, |event: &std::sync::Arc<protocol::Event>| event.seq);
            let page = world.store.log(session, after, limit).await.unwrap().unwrap();
            assert_eq!(page.head, 298);
            if page.events.is_empty() {
                break;
            }
            assert_eq!(page.events.len(), limit.min(298 - after as usize));
            events.extend(page.events);
        }
        assert_eq!(events, all.events, "pages of {limit}");
    }
}

pub async fn a_page_of_the_log_ends_at_its_bytes(world: World) {
    let (session, owner, _) = world.shared_session().await;
    let content = "x".repeat(CONTENT_BYTES_MAX);
    for _ in 0..6 {
        world.send(session, owner, &content).await;
    }
    let fits = PAGE_BYTES_MAX / CONTENT_BYTES_MAX;
    let page = world.store.log(session, 1, 100).await.unwrap().unwrap();
    assert_eq!((page.events.len(), page.head), (fits, 7));
    let rest = world.store.log(session, 1 + fits as u64, 100).await.unwrap().unwrap();
    assert_eq!(rest.events.len(), 6 - fits);
}

pub async fn one_item_always_fits(world: World) {
    let (session, owner, _) = world.shared_session().await;
    let content = "x".repeat(PAGE_BYTES_MAX + 1);
    for _ in 0..2 {
        world.send(session, owner, &content).await;
    }
    for after in [1, 2] {
        let page = world.store.log(session, after, 100).await.unwrap().unwrap();
        assert_eq!(page.events.len(), 1);
    }
    assert_eq!(
        page(&world, session, MessageRange::Newest, 9).await,
        Page { items: vec![3], more: true }
    );
    let first = page(&world, session, MessageRange::After(0), 9).await;
    assert_eq!(first, Page { items: vec![2], more: true });
}

pub async fn there_is_no_log_of_an_unknown_session(world: World) {
    assert!(world.store.log(SessionId::new(), 0, 10).await.unwrap().is_none());
    let none = page(&world, SessionId::new(), MessageRange::Newest, 10).await;
    assert_eq!(none, Page { items: vec![], more: false });
}

pub async fn a_position_beyond_the_head_has_no_events(world: World) {
    let (session, ..) = world.shared_session().await;
    // What follows in the store is another session's.
    world.shared_session().await;
    for after in [1, 2, u64::from(u32::MAX), u64::from(u32::MAX) + 1, u64::MAX] {
        let page = world.store.log(session, after, 10).await.unwrap().unwrap();
        assert!(page.events.is_empty() && page.head == 1, "after {after}");
        let messages = page_after(&world, session, after).await;
        assert_eq!(messages, Page { items: vec![], more: false });
    }
}

async fn page_after(world: &World, session: SessionId, after: u64) -> Page<u64> {
    page(world, session, MessageRange::After(after), 10).await
}

pub async fn messages_are_read_from_either_end_and_from_between(world: World) {
    let (session, owner, _) = world.shared_session().await;
    // Numbers 2, 4, 6, … 20 are messages.
    for n in 0..10 {
        world.send(session, owner, "x").await;
        let rename = Action::Rename { title: n.to_string() };
        event(world.append(session, owner, rename).await);
    }
    let of = async |range, limit| page(&world, session, range, limit).await;
    let some = |items: &[u64], more| Page { items: items.to_vec(), more };
    assert_eq!(of(MessageRange::Newest, 3).await, some(&[16, 18, 20], true));
    assert_eq!(of(MessageRange::Before(16), 3).await, some(&[10, 12, 14], true));
    assert_eq!(of(MessageRange::Before(6), 3).await, some(&[2, 4], false));
    assert_eq!(of(MessageRange::Before(2), 3).await, some(&[], false));
    assert_eq!(of(MessageRange::Before(0), 3).await, some(&[], false));
    assert_eq!(of(MessageRange::Before(u64::MAX), 1).await, some(&[20], true));
    assert_eq!(of(MessageRange::After(0), 3).await, some(&[2, 4, 6], true));
    assert_eq!(of(MessageRange::After(16), 3).await, some(&[18, 20], false));
    assert_eq!(of(MessageRange::Between(4, 12), 10).await, some(&[6, 8, 10], false));
    assert_eq!(of(MessageRange::Between(4, 12), 2).await, some(&[6, 8], true));
    assert_eq!(of(MessageRange::Between(12, 4), 2).await, some(&[], false));
    assert_eq!(of(MessageRange::Between(0, 0), 2).await, some(&[], false));
}

pub async fn pages_of_messages_end_at_their_bytes_at_the_far_end(world: World) {
    let (session, owner, _) = world.shared_session().await;
    let content = "x".repeat(PAGE_BYTES_MAX / 2);
    for _ in 0..3 {
        world.send(session, owner, &content).await;
    }
    let newest = page(&world, session, MessageRange::Newest, 10).await;
    assert_eq!(newest, Page { items: vec![3, 4], more: true });
    let oldest = page(&world, session, MessageRange::After(0), 10).await;
    assert_eq!(oldest, Page { items: vec![2, 3], more: true });
}

pub async fn a_page_knows_whether_there_is_more(world: World) {
    let (session, owner, _) = world.shared_session().await;
    for _ in 0..3 {
        world.send(session, owner, "x").await;
    }
    for range in [MessageRange::Newest, MessageRange::After(0)] {
        for (limit, more) in [(1, true), (2, true), (3, false), (4, false)] {
            assert_eq!(page(&world, session, range, limit).await.more, more);
        }
    }
}

pub async fn a_message_is_found_in_its_own_session_only(world: World) {
    let (session, owner, _) = world.shared_session().await;
    let elsewhere = world.session(owner).await;
    let message = world.send(session, owner, "here").await;
    assert_eq!(world.store.message(session, message.id).await.unwrap(), Some(message.clone()));
    assert_eq!(world.store.message(elsewhere, message.id).await.unwrap(), None);
    assert_eq!(world.store.message(session, MessageId::new()).await.unwrap(), None);
}

pub async fn the_heads_of_many_sessions_are_read_at_once(world: World) {
    let (session, owner, _) = world.shared_session().await;
    let (empty, deleted) = (world.session(owner).await, world.session(owner).await);
    world.send(session, owner, "x").await;
    world.send(deleted, owner, "x").await;
    event(world.append(deleted, owner, Action::DeleteSession).await);
    let asked = [session, SessionId::new(), empty, deleted];
    let mut heads = world.store.heads(&asked).await.unwrap();
    heads.sort();
    let mut expected = [(session, 2), (empty, 0), (deleted, 2)];
    expected.sort();
    assert_eq!(heads, expected);
    assert_eq!(world.store.heads(&[]).await.unwrap(), []);
}
