//! Accounts.

use assistdeck::store::{NewAccount, NewPassword, Refusal, Revocation};
use protocol::{Timestamp, UserId, UserKind};

use super::world::{World, now, refused};

pub async fn an_account_is_found_by_its_id_and_by_its_email_in_any_case(world: World) {
    let new = NewAccount {
        id: UserId::new(),
        name: "Zoë".to_owned(),
        email: "Zoë@Example.ORG".to_owned(),
        kind: UserKind::Agent,
        password_hash: Some("$hash".to_owned()),
        at: Timestamp(1_700_000_000_000_001),
    };
    let id = new.id;
    let user = world.store.create_account(new).await.unwrap();
    assert_eq!((user.id, user.email.as_str()), (id, "Zoë@Example.ORG"), "kept as it was given");
    assert_eq!((user.kind, user.created_at.0), (UserKind::Agent, 1_700_000_000_000_001));
    for email in ["Zoë@Example.ORG", "zoË@example.org"] {
        let found = world.store.account_by_email(email).await.unwrap().unwrap();
        assert_eq!(found.user, user);
        assert_eq!(found.password_hash.as_deref(), Some("$hash"));
        assert_eq!((found.disabled, found.tokens_valid_from_ms), (false, 0));
    }
    assert_eq!(world.store.account(id).await.unwrap().unwrap().user, user);
    assert!(world.store.account(UserId::new()).await.unwrap().is_none());
    assert!(world.store.account_by_email("nobody@example.org").await.unwrap().is_none());
}

pub async fn an_email_is_given_once_in_any_case(world: World) {
    world.account(UserId::new(), "a@example.org").await.unwrap();
    let again = world.account(UserId::new(), "A@EXAMPLE.org").await;
    assert_eq!(refused(again), Refusal::EmailTaken);
}

pub async fn a_user_id_is_given_once(world: World) {
    let id = UserId::new();
    world.account(id, "a@example.org").await.unwrap();
    assert_eq!(refused(world.account(id, "b@example.org").await), Refusal::UserExists);
    assert!(world.store.account_by_email("b@example.org").await.unwrap().is_none());
}

pub async fn accounts_come_in_the_order_of_their_ids(world: World) {
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(world.user().await);
    }
    ids.sort();
    let mut found = Vec::new();
    loop {
        let page = world.store.accounts(found.last().copied(), 2).await.unwrap();
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 2);
        found.extend(page.iter().map(|account| account.user.id));
    }
    assert_eq!(found, ids);
}

fn password(hash: &str, valid_from_ms: Option<i64>) -> NewPassword {
    NewPassword { hash: hash.to_owned(), valid_from_ms, instead_of: None }
}

pub async fn of_changes_of_one_password_the_first_counts(world: World) {
    let user = world.user().await;
    assert!(world.store.set_password(user, password("old", None)).await.unwrap());
    let change = |hash: &str, instead_of: &str| {
        let instead_of = Some(instead_of.to_owned());
        world.store.set_password(user, NewPassword { instead_of, ..password(hash, Some(7)) })
    };
    let outcomes = tokio::join!(change("a", "old"), change("b", "old"), change("c", "old"));
    let outcomes = [outcomes.0.unwrap(), outcomes.1.unwrap(), outcomes.2.unwrap()];
    let first = outcomes.iter().position(|changed| *changed).unwrap();
    assert_eq!(outcomes.iter().filter(|changed| **changed).count(), 1);
    let account = world.store.account(user).await.unwrap().unwrap();
    assert_eq!(account.password_hash.as_deref(), Some(["a", "b", "c"][first]));
    assert_eq!(world.store.revocation_head().await.unwrap(), 1, "others end no tokens");
    let other = world.user().await;
    let change = NewPassword { instead_of: Some("old".into()), ..password("a", None) };
    assert!(!world.store.set_password(other, change).await.unwrap(), "nobody has none");
}

pub async fn a_new_password_ends_older_tokens_only_when_told_so(world: World) {
    let user = world.user().await;
    assert!(world.store.set_password(user, password("one", None)).await.unwrap());
    let account = world.store.account(user).await.unwrap().unwrap();
    assert_eq!((account.password_hash.as_deref(), account.tokens_valid_from_ms), (Some("one"), 0));
    assert_eq!(world.store.revocation_head().await.unwrap(), 0);

    assert!(world.store.set_password(user, password("two", Some(5_000))).await.unwrap());
    let account = world.store.account(user).await.unwrap().unwrap();
    assert_eq!(account.password_hash.as_deref(), Some("two"));
    assert_eq!(account.tokens_valid_from_ms, 5_000);
    let log = world.store.revocations(0).await.unwrap();
    assert_eq!(log, [(1, Revocation::User { user, issued_before_ms: 5_000 })]);
}

pub async fn disabling_ends_all_tokens_and_enabling_brings_none_back(world: World) {
    let user = world.user().await;
    let at = Timestamp(7_000_999);
    assert!(world.store.set_disabled(user, true, at).await.unwrap());
    let account = world.store.account(user).await.unwrap().unwrap();
    assert!(account.disabled);
    let all = Revocation::User { user, issued_before_ms: i64::MAX };
    assert_eq!(world.store.revocations(0).await.unwrap(), [(1, all)]);

    assert!(world.store.set_disabled(user, false, now()).await.unwrap());
    let account = world.store.account(user).await.unwrap().unwrap();
    assert!(!account.disabled);
    assert_eq!(account.tokens_valid_from_ms, 7_001, "all that were issued until then");
    assert_eq!(world.store.revocation_head().await.unwrap(), 1);
}

pub async fn nothing_is_changed_for_an_unknown_user(world: World) {
    let user = UserId::new();
    assert!(!world.store.set_password(user, password("x", Some(1))).await.unwrap());
    assert!(!world.store.set_disabled(user, true, now()).await.unwrap());
    assert_eq!(world.store.revocation_head().await.unwrap(), 0);
}
