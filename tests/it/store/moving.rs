//! A store moves into another, of the same kind or the other, and goes on there.

use assistdeck::store::moving::{Counts, MovedSession, Record, Source, Target};
use assistdeck::store::{Action, Appended, Error, Refusal};
use protocol::{SessionId, Timestamp, UserId};

use super::world::{Home, World, created, event, keyed, now, refused};

fn folder() -> Box<dyn Home> {
    Box::new(super::sqlite::folder())
}

fn schema() -> Box<dyn Home> {
    Box::new(super::postgres::schema())
}

/// One of each kind.
const HOMES: [fn() -> Box<dyn Home>; 2] = [folder, schema];

async fn records(mut source: Box<dyn Source>) -> Vec<Record> {
    let mut all = Vec::new();
    loop {
        let batch = source.next().await.expect("it is read");
        if batch.is_empty() {
            return all;
        }
        all.extend(batch);
    }
}

/// Puts records into a target, a few at a time, and gives what was said.
async fn put(mut target: Box<dyn Target>, all: &[Record], epoch: Option<&str>) -> Vec<String> {
    let before = target.begin(epoch).await.expect("it begins");
    let mut troubles = Vec::new();
    for batch in all.chunks(7) {
        troubles.extend(target.put(batch.to_vec()).await.expect("they are taken"));
    }
    let (last, after) = target.end(true).await.expect("it ends");
    troubles.extend(last);
    assert_eq!(after, before.plus(target.tally().stored));
    let tally = target.tally();
    let told = tally.stored.plus(tally.present).plus(tally.refused);
    let given = all.iter().fold(Counts::default(), |mut counts, record| {
        counts.add(record);
        counts
    });
    assert_eq!(told, given, "each record has one fate");
    troubles
}

/// A session with all that can happen in one; its people.
async fn eventful(world: &World) -> (SessionId, UserId, UserId) {
    let (session, owner, other) = world.shared_session().await;
    let key = |name| Action::Send { draft: keyed("by key", name, 7) };
    let first = created(world.append(session, other, key("live")).await);
    let second = created(world.append(session, other, key("edited")).await);
    let third = created(world.append(session, other, key("deleted")).await);
    let content = "edited once".to_owned();
    event(world.append(session, other, Action::Edit { message: second.id, content }).await);
    let content = "edited twice".to_owned();
    event(world.append(session, other, Action::Edit { message: second.id, content }).await);
    world.store.set_read_mark(session, owner, first.seq).await.expect("a mark");
    world.delete(session, owner, third.id).await;
    world.remove(session, owner, other).await;
    world.send(session, owner, "while away").await;
    world.add(session, owner, other).await;
    event(world.append(session, owner, Action::Rename { title: "Another".into() }).await);
    let last = world.send(session, other, "the last one, which goes").await;
    world.delete(session, other, last.id).await;
    (session, owner, other)
}

#[tokio::test]
async fn what_was_appended_is_told_alike_wherever_it_moves() {
    for from in HOMES {
        for to in HOMES.map(|home| home()) {
            let world = World::new(from()).await;
            let (session, owner, other) = eventful(&world).await;
            let (log, messages) = (world.log(session).await, world.messages(session).await);
            let unread = world.unread(session, owner).await;
            let epoch = world.store.epoch().await.expect("an epoch");
            world.store.close().await;

            let all = records(world.source().await).await;
            let target = to.target().await.expect("it opens");
            assert_eq!(put(target, &all, Some(&epoch)).await, Vec::<String>::new());
            let moved = World::new(to).await;
            assert_eq!(moved.log(session).await, log);
            assert_eq!(moved.messages(session).await, messages);
            assert_eq!(moved.unread(session, owner).await, unread);
            assert_eq!(moved.store.epoch().await, Ok(epoch));
            assert_eq!(moved.store.member_count(session).await, Ok(2));

            let again = |name| {
                moved.append(session, other, Action::Send { draft: keyed("by key", name, 7) })
            };
            let live = again("live").await.expect("a repeat");
            assert!(
                matches!(live, Appended::Repeat(message) if message == messages[0].clone().into())
            );
            assert!(matches!(again("edited").await, Ok(Appended::Repeat(_))));
            assert_eq!(refused(again("deleted").await), Refusal::MessageDeleted);
            let content = "edited again".to_owned();
            let edit = Action::Edit { message: messages[1].id, content };
            event(moved.append(session, other, edit).await);
            moved.delete(session, owner, messages[1].id).await;
            assert_eq!(moved.send(session, other, "next").await.seq, log.head + 3);
            assert_eq!(moved.unread(session, owner).await, 1);
            moved.store.close().await;
        }
    }
}

#[tokio::test]
async fn what_comes_again_is_there_and_what_differs_is_refused() {
    for home in HOMES {
        let mut world = World::new(home()).await;
        let (session, owner, _) = eventful(&world).await;
        world.store.close().await;
        let mut all = records(world.source().await).await;
        let target = world.target().await.expect("it opens");
        assert_eq!(put(target, &all, Some("another")).await, Vec::<String>::new());
        assert_eq!(records(world.source().await).await, all, "a second time changes nothing");
        let Some(Record::Message(message)) =
            all.iter_mut().find(|record| matches!(record, Record::Message(_)))
        else {
            panic!("a message");
        };
        message.content = Some("something else".to_owned());
        let stranger = Record::Session(MovedSession {
            id: SessionId::new(),
            user_id: UserId::new(),
            title: "Of nobody".into(),
            created_at: now(),
            updated_at: Timestamp(1),
            last_seq: 0,
            deleted_at: None,
            is_open: false,
        });
        all.push(stranger);
        let said = put(world.target().await.expect("it opens"), &all, None).await;
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[0].contains(&session.to_string()) && said[0].contains("at seq 2"), "{said:?}");
        assert!(said[1].contains("is not in the store"), "{said:?}");
        world.reopen().await;
        assert_eq!(world.seen_by(session, owner).await.title, "Another");
    }
}

#[tokio::test]
async fn a_server_and_a_target_keep_each_other_off() {
    for home in HOMES {
        let world = World::new(home()).await;
        assert!(matches!(world.target().await.err(), Some(Error::Unavailable(_))));
        assert!(world.source().await.about().is_served);
        world.store.close().await;
        assert!(!world.source().await.about().is_served);
        drop(world.target().await.expect("now it opens"));
    }
}

/// More ids than are kept in memory, so that they are found in the table, too.
#[tokio::test]
async fn each_of_very_many_client_ids_is_found_after_the_move() {
    const MESSAGES: u64 = 70_000;
    let world = World::new(folder()).await;
    let (session, owner, _) = world.shared_session().await;
    let mark =
        created(world.append(session, owner, Action::Send { draft: keyed("x", "k0", 7) }).await);
    world.store.close().await;
    let mut all = records(world.source().await).await;
    let place = all.iter().position(|record| matches!(record, Record::Message(_))).expect("one");
    let Record::Message(first) = all[place].clone() else { panic!("a message") };
    let more = (1..MESSAGES).map(|n| {
        let (seq, client_id) = (mark.seq + n, Some(format!("k{n}")));
        let id = protocol::MessageId::new();
        Record::Message(assistdeck::store::moving::MovedMessage {
            seq,
            id,
            client_id,
            ..first.clone()
        })
    });
    let more: Vec<Record> = more.collect();
    all.splice(place + 1..place + 1, more);
    for record in &mut all {
        if let Record::Session(session) = record {
            session.last_seq = mark.seq + MESSAGES - 1;
        }
    }
    let home = folder();
    let said = put(home.target().await.expect("it opens"), &all, None).await;
    assert_eq!(said, Vec::<String>::new());
    let moved = World::new(home).await;
    for n in (0..MESSAGES).step_by(997).chain([MESSAGES - 1]) {
        let send = Action::Send { draft: keyed("x", &format!("k{n}"), 7) };
        let outcome = moved.append(session, owner, send).await;
        assert!(
            matches!(&outcome, Ok(Appended::Repeat(found)) if found.seq == mark.seq + n),
            "{n}"
        );
    }
    assert_eq!(moved.send(session, owner, "next").await.seq, mark.seq + MESSAGES);
}
