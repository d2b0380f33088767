//! Revocations and tickets.

use assistdeck::store::{Revocation, Ticket};
use protocol::{Timestamp, UserId};
use uuid::Uuid;

use super::world::{World, now};

pub async fn revocations_are_numbered_in_their_order_and_kept(mut world: World) {
    let (user, token) = (world.user().await, Uuid::now_v7());
    let first = Revocation::User { user, issued_before_ms: 9_000 };
    let second = Revocation::Token { id: token };
    world.store.revoke(first, now()).await.unwrap();
    world.store.revoke(second, now()).await.unwrap();
    world.reopen().await;
    assert_eq!(world.store.revocation_head().await.unwrap(), 2);
    assert_eq!(world.store.revocations(0).await.unwrap(), [(1, first), (2, second)]);
    assert_eq!(world.store.revocations(1).await.unwrap(), [(2, second)]);
    assert_eq!(world.store.revocations(2).await.unwrap(), []);
    let account = world.store.account(user).await.unwrap().unwrap();
    assert_eq!(account.tokens_valid_from_ms, 9_000);

    // An earlier moment ends no fewer tokens.
    let earlier = Revocation::User { user, issued_before_ms: 8_000 };
    world.store.revoke(earlier, now()).await.unwrap();
    let account = world.store.account(user).await.unwrap().unwrap();
    assert_eq!(account.tokens_valid_from_ms, 9_000);
}

pub async fn a_token_is_revoked_by_its_id(world: World) {
    let (token, other) = (Uuid::now_v7(), Uuid::now_v7());
    world.store.revoke(Revocation::Token { id: token }, now()).await.unwrap();
    assert!(world.store.is_token_revoked(token).await.unwrap());
    assert!(!world.store.is_token_revoked(other).await.unwrap());
}

fn ticket(hash: u8, token_id: Option<Uuid>) -> Ticket {
    Ticket {
        hash: [hash; 32],
        user: UserId::new(),
        token_id,
        token_issued_ms: 1_234,
        token_expires: Timestamp(99_000_000),
        expires: Timestamp(30_000_000),
    }
}

pub async fn a_ticket_is_taken_once(mut world: World) {
    let (one, two) = (ticket(1, Some(Uuid::now_v7())), ticket(2, None));
    world.store.put_ticket(one.clone(), Timestamp(0)).await.unwrap();
    world.store.put_ticket(two.clone(), Timestamp(0)).await.unwrap();
    world.reopen().await;
    let now = Timestamp(29_999_999);
    assert_eq!(world.store.take_ticket([1; 32], now).await.unwrap(), Some(one));
    assert_eq!(world.store.take_ticket([1; 32], now).await.unwrap(), None);
    assert_eq!(world.store.take_ticket([3; 32], now).await.unwrap(), None);
    assert_eq!(world.store.take_ticket([2; 32], now).await.unwrap(), Some(two));
}

pub async fn a_ticket_is_worth_nothing_after_its_end(world: World) {
    world.store.put_ticket(ticket(1, None), Timestamp(0)).await.unwrap();
    let end = Timestamp(30_000_000);
    assert_eq!(world.store.take_ticket([1; 32], end).await.unwrap(), None);

    // Those that have ended make room for new ones.
    world.store.put_ticket(ticket(2, None), Timestamp(0)).await.unwrap();
    let later = Ticket { expires: Timestamp(60_000_000), ..ticket(3, None) };
    world.store.put_ticket(later.clone(), end).await.unwrap();
    assert_eq!(world.store.take_ticket([2; 32], Timestamp(0)).await.unwrap(), None);
    assert_eq!(world.store.take_ticket([3; 32], end).await.unwrap(), Some(later));
}
