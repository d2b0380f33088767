//! Unread counts, beside a model that counts.

use assistdeck::store::Action;
use protocol::limits::UNREAD_COUNT_MAX;
use protocol::{Message, SessionId, UserId};

use super::world::{World, draft, event};
use crate::support::Dice;

pub async fn messages_of_others_above_the_mark_are_unread(world: World) {
    let (session, owner, participant) = world.shared_session().await;
    let first = world.send(session, owner, "one").await;
    let second = world.send(session, owner, "two").await;
    assert_eq!(world.unread(session, participant).await, 2);
    assert_eq!(world.unread(session, owner).await, 0);
    world.store.set_read_mark(session, participant, first.seq).await.unwrap();
    assert_eq!(world.unread(session, participant).await, 1);
    world.delete(session, owner, second.id).await;
    assert_eq!(world.unread(session, participant).await, 0);
    let rename = Action::Rename { title: "no message".to_owned() };
    event(world.append(session, owner, rename).await);
    assert_eq!(world.unread(session, participant).await, 0);
    world.send(session, owner, "three").await;
    assert_eq!(world.unread(session, participant).await, 1);
    world.send(session, participant, "my own").await;
    assert_eq!(world.unread(session, participant).await, 0);
    assert_eq!(world.unread(session, owner).await, 1);
}

pub async fn unread_messages_are_counted_to_a_thousand(world: World) {
    let (session, owner, participant) = world.shared_session().await;
    let mut pending = Vec::new();
    for _ in 0..UNREAD_COUNT_MAX + 5 {
        let send = Action::Send { draft: draft("x") };
        pending.push(world.submit(session, owner, send).await);
    }
    for pending in pending {
        event(pending.await.unwrap());
    }
    assert_eq!(world.unread(session, participant).await, UNREAD_COUNT_MAX);
    world.store.set_read_mark(session, participant, 10).await.unwrap();
    assert_eq!(world.unread(session, participant).await, UNREAD_COUNT_MAX - 4);
}

/// What a person with a pencil would keep.
#[derive(Default)]
struct Model {
    head: u64,
    /// Also deleted ones, which are none then.
    messages: Vec<Option<Message>>,
    members: Vec<(UserId, u64)>,
}

impl Model {
    fn unread(&self, user: UserId, mark: u64) -> u64 {
        let messages = self.messages.iter().flatten();
        messages.filter(|message| message.seq > mark && message.sender_id != user).count() as u64
    }

    fn mark(&mut self, user: UserId, seq: u64) {
        let head = self.head;
        let member = self.members.iter_mut().find(|(id, _)| *id == user).expect("a member");
        member.1 = member.1.max(seq.min(head));
    }
}

pub async fn unread_counts_are_those_of_a_naive_model(mut world: World) {
    for seed in 0..3 {
        let mut dice = Dice::new(seed);
        let (session, owner, participant) = world.shared_session().await;
        let mut model =
            Model { head: 1, members: vec![(owner, 0), (participant, 1)], ..Model::default() };
        let mut guests = vec![world.user().await, world.user().await];
        for step in 0..200 {
            act(&world, session, &mut model, &mut guests, &mut dice).await;
            if step % 60 == 59 {
                world.reopen().await;
            }
            for &(user, mark) in &model.members {
                let expected = model.unread(user, mark);
                let access = world.store.access(session, user).await.unwrap().unwrap();
                assert_eq!(access.read_seq, mark, "seed {seed}, step {step}");
                let counted = world.unread(session, user).await;
                assert_eq!(counted, expected, "seed {seed}, step {step}");
            }
            assert_eq!(world.seen_by(session, owner).await.last_seq, model.head);
        }
        let left: Vec<Message> = model.messages.into_iter().flatten().collect();
        assert_eq!(world.messages(session).await, left);
    }
}

async fn act(
    world: &World,
    session: SessionId,
    model: &mut Model,
    guests: &mut Vec<UserId>,
    dice: &mut Dice,
) {
    let (owner, _) = model.members[0];
    let (user, _) = model.members[dice.index(model.members.len())];
    match dice.index(12) {
        0..5 => {
            let message = world.send(session, user, "x").await;
            model.head += 1;
            model.messages.push(Some(message));
            model.mark(user, model.head);
        }
        5..7 => {
            let seq = dice.index(model.head as usize + 3) as u64;
            world.store.set_read_mark(session, user, seq).await.unwrap();
            model.mark(user, seq);
        }
        7..9 if !model.messages.is_empty() => {
            let at = dice.index(model.messages.len());
            if let Some(message) = model.messages[at].take() {
                world.delete(session, owner, message.id).await;
                model.head += 1;
            }
        }
        9 => {
            let rename = Action::Rename { title: "x".to_owned() };
            event(world.append(session, owner, rename).await);
            model.head += 1;
        }
        10 if !guests.is_empty() => {
            let guest = guests.remove(0);
            world.add(session, owner, guest).await;
            model.head += 1;
            model.members.push((guest, model.head));
        }
        11 if user != owner => {
            world.remove(session, owner, user).await;
            model.head += 1;
            model.members.retain(|(id, _)| *id != user);
            guests.push(user);
        }
        _ => {}
    }
}
