//! Tokens: which are refused and why, whom they make, and how they end.

use std::sync::atomic::Ordering;

use protocol::UserKind;

use super::*;
use crate::store::{Revocation, Store};

fn claims(with: Value) -> Value {
    let mut claims = json!({"sub": UserId::new(), "exp": seconds() + 60, "email": "new@b.example"});
    for (key, value) in with.as_object().expect("an object") {
        claims[key] = value.clone();
    }
    claims
}

#[tokio::test]
async fn a_token_of_ours_has_four_claims_and_opens_the_account() {
    use base64::Engine;
    let bench = Bench::new();
    let user = bench.user("a@b.example").await;
    let (token, caller) = bench.caller(user).await;
    assert_eq!((caller.user, caller.kind), (user, UserKind::Human));
    let payload = token.split('.').nth(1).expect("three parts");
    let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).expect("base64");
    let payload: Value = serde_json::from_slice(&payload).expect("JSON");
    let keys: Vec<&String> = payload.as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["exp", "iat", "jti", "sub"]);
    assert_eq!(payload["iat"].as_i64(), Some(caller.token.issued_ms / 1_000));
    assert_eq!(
        payload["jti"].as_str().map(str::to_owned),
        caller.token.id.map(|id| id.to_string())
    );
    assert_eq!(caller.token.expires.0 / 1_000_000, payload["exp"].as_i64().expect("a number"));
}

#[tokio::test]
async fn what_a_token_must_not_be() {
    let bench = Bench::new();
    let fine = claims(json!({}));
    let tail = |alg: &str| signed(json!({"alg": alg, "typ": "JWT"}), &fine, SECRET);
    let crit = |crit: Value| signed(json!({"alg": "HS256", "crit": crit}), &fine, SECRET);
    let whole = host_token(&fine);
    let unsigned = format!("{}.", whole.rsplit_once('.').expect("parts").0);
    let cases = [
        (String::new(), Cause::Malformed),
        ("a.b.c".to_owned(), Cause::Malformed),
        ("x".repeat(TOKEN_BYTES_MAX + 1), Cause::TooLong),
        (tail("none"), Cause::Malformed),
        (tail("HS384"), Cause::WrongAlgorithm),
        (tail("RS256"), Cause::WrongAlgorithm),
        (unsigned, Cause::BadSignature),
        (format!("{whole}.x"), Cause::Malformed),
        (
            signed(json!({"alg": "HS256"}), &fine, b"another secret of 32 bytes......"),
            Cause::BadSignature,
        ),
        (crit(json!(["exp"])), Cause::CriticalHeader),
        (crit(json!([])), Cause::CriticalHeader),
        (crit(json!(null)), Cause::CriticalHeader),
    ];
    for (token, cause) in cases {
        assert_eq!(why(&bench, &token).await, cause, "{token}");
    }
    assert!(bench.auth.authenticate(&whole).await.is_ok());
}

#[tokio::test]
async fn claims_are_read_strictly() {
    let bench = Bench::new();
    let now = seconds();
    let id = UserId::new();
    let cases = [
        (json!({"exp": now - 6}), Cause::Expired),
        (json!({"exp": (now + 60).to_string()}), Cause::WrongClaim),
        (json!({"exp": null}), Cause::WrongClaim),
        (json!({"exp": -1}), Cause::WrongClaim),
        (json!({"nbf": now + 60}), Cause::NotYetValid),
        (json!({"nbf": "soon"}), Cause::WrongClaim),
        (json!({"nbf": null}), Cause::WrongClaim),
        (json!({"iat": "now"}), Cause::WrongClaim),
        (json!({"jti": 5}), Cause::WrongClaim),
        (json!({"iss": 5}), Cause::WrongClaim),
        (json!({"aud": {}}), Cause::WrongClaim),
        (json!({"aud": "someone else"}), Cause::WrongAudience),
        (json!({"email": 5}), Cause::WrongClaim),
        (json!({"name": ["a"]}), Cause::WrongClaim),
        (json!({"sub": 5}), Cause::WrongClaim),
        (json!({"sub": null, "user_id": id}), Cause::WrongClaim),
        (json!({"sub": "", "user_id": id}), Cause::NoSubject),
        (json!({"sub": id.0.simple().to_string(), "user_id": id}), Cause::NoSubject),
    ];
    for (with, cause) in cases {
        assert_eq!(why(&bench, &host_token(&claims(with.clone()))).await, cause, "{with}");
    }
    let mut without = claims(json!({}));
    without.as_object_mut().expect("an object").remove("exp");
    assert_eq!(why(&bench, &host_token(&without)).await, Cause::WrongClaim);
    for with in [
        json!({"exp": now as f64 + 60.5, "iat": 1.5, "nbf": now + 4, "iss": "anyone"}),
        json!({"exp": u64::MAX, "email": "second@b.example", "jti": "no UUID", "role": 5}),
    ] {
        assert!(
            bench.auth.authenticate(&host_token(&claims(with.clone()))).await.is_ok(),
            "{with}"
        );
    }
}

#[tokio::test]
async fn without_sub_the_user_id_counts() {
    let bench = Bench::new();
    let id = UserId::new();
    let mut claims = claims(json!({"user_id": id}));
    claims.as_object_mut().expect("an object").remove("sub");
    let caller = bench.auth.authenticate(&host_token(&claims)).await.expect("valid");
    assert_eq!(caller.user, id);
    for wrong in [json!("x"), json!(5), json!({})] {
        claims["user_id"] = wrong;
        assert_eq!(why(&bench, &host_token(&claims)).await, Cause::NoSubject);
    }
}

#[tokio::test]
async fn configured_issuer_and_audience_must_be_there() {
    let bench = Bench::with(|settings| {
        settings.issuer = Some("host".to_owned());
        settings.audience = Some("chat".to_owned());
    });
    let cases = [
        (json!({"aud": "chat"}), Cause::WrongClaim),
        (json!({"iss": "host"}), Cause::WrongClaim),
        (json!({"iss": "other", "aud": "chat"}), Cause::WrongIssuer),
        (json!({"iss": "host", "aud": ["other"]}), Cause::WrongAudience),
    ];
    for (with, cause) in cases {
        assert_eq!(why(&bench, &host_token(&claims(with.clone()))).await, cause, "{with}");
    }
    let good = claims(json!({"iss": "host", "aud": ["other", "chat"]}));
    let caller = bench.auth.authenticate(&host_token(&good)).await.expect("valid");
    let fresh = bench.auth.renew(&caller).await.expect("a fresh one");
    assert!(bench.auth.authenticate(&fresh.token).await.is_ok(), "ours carry both");
}

#[tokio::test]
async fn an_unknown_subject_is_made_from_its_claims_and_never_linked_by_email() {
    let bench = Bench::new();
    let taken = bench.user("taken@b.example").await;
    let named = claims(json!({"name": format!("  {} ", "n".repeat(120))}));
    let caller = bench.auth.authenticate(&host_token(&named)).await.expect("made");
    let user = bench.auth.profile(&caller).await.expect("a profile");
    assert_eq!((user.name.as_str(), user.email.as_str()), (&*"n".repeat(100), "new@b.example"));
    for name in [json!(null), json!(" "), json!("a\u{0}b")] {
        let email = format!("local{}@b.example", UserId::new());
        let unnamed = claims(json!({"name": name, "email": email}));
        let caller = bench.auth.authenticate(&host_token(&unnamed)).await.expect("made");
        let user = bench.auth.profile(&caller).await.expect("a profile");
        assert_eq!(Some(user.name.as_str()), email.split('@').next());
    }
    let linking = claims(json!({"email": "Taken@B.example"}));
    assert_eq!(why(&bench, &host_token(&linking)).await, Cause::EmailOfAnother);
    for email in [json!(null), json!("no email")] {
        let token = host_token(&claims(json!({"email": email})));
        assert_eq!(why(&bench, &token).await, Cause::UnknownUser);
    }
    let known = host_token(&json!({"sub": taken, "exp": seconds() + 60, "email": "x"}));
    assert!(bench.auth.authenticate(&known).await.is_ok(), "a known user needs no email");
}

#[tokio::test]
async fn all_first_uses_at_once_succeed() {
    let bench = Bench::new();
    let id = UserId::new();
    let tries: Vec<_> = (0..16)
        .map(|n| {
            let auth = bench.auth.clone();
            let token = host_token(&claims(json!({"sub": id, "iat": n})));
            tokio::spawn(async move { auth.authenticate(&token).await })
        })
        .collect();
    for one in tries {
        assert_eq!(one.await.expect("no panic").expect("valid").user, id);
    }
}

#[tokio::test]
async fn a_verified_token_is_remembered_until_it_is_revoked() {
    let bench = Bench::new();
    let user = bench.user("a@b.example").await;
    let (token, caller) = bench.caller(user).await;
    let reads = bench.store.reads.load(Ordering::SeqCst);
    assert_eq!(bench.auth.authenticate(&token).await, Ok(caller));
    assert_eq!(bench.store.reads.load(Ordering::SeqCst), reads);
    bench.auth.revoke_token(Revoke::Token(&token)).await.expect("revoked");
    assert_eq!(why(&bench, &token).await, Cause::TokenRevoked);
    assert_eq!(why(&bench, &token).await, Cause::TokenRevoked);
    let (_, other) = bench.caller(user).await;
    assert!(bench.auth.renew(&other).await.is_ok(), "one token ended, not the user's");
}

#[tokio::test]
async fn a_token_without_an_id_can_be_revoked_by_its_text() {
    let bench = Bench::new();
    let token = host_token(&claims(json!({})));
    let caller = bench.auth.authenticate(&token).await.expect("valid");
    assert_eq!(caller.token.issued_ms, 0);
    bench.auth.revoke_token(Revoke::Token(&token)).await.expect("revoked");
    assert_eq!(why(&bench, &token).await, Cause::TokenRevoked);
}

#[tokio::test]
async fn a_revocation_of_the_user_ends_what_was_issued_before() {
    let bench = Bench::new();
    let user = bench.user("a@b.example").await;
    let (old, caller) = bench.caller(user).await;
    let undated = host_token(&json!({"sub": user, "exp": seconds() + 60}));
    assert!(bench.auth.authenticate(&undated).await.is_ok());
    let revocation = bench.auth.revoke_token(Revoke::User(user)).await.expect("revoked");
    assert!(caller.is_ended_by(revocation));
    assert_eq!(why(&bench, &old).await, Cause::UserRevoked);
    assert_eq!(why(&bench, &undated).await, Cause::UserRevoked);
    assert_eq!(bench.auth.renew(&caller).await.map(drop), Err(Cause::UserRevoked.into()));
    let (_, new) = bench.caller(user).await;
    assert!(!new.is_ended_by(revocation));
}

#[tokio::test]
async fn a_disabled_user_is_out_and_an_enabled_one_needs_a_new_token() {
    let bench = Bench::new();
    let user = bench.user("a@b.example").await;
    let (token, _) = bench.caller(user).await;
    bench.auth.disable(user).await.expect("disabled");
    assert_eq!(why(&bench, &token).await, Cause::Disabled);
    assert_eq!(bench.login("a@b.example", WORD).await.map(drop), Err(Error::InvalidCredentials));
    assert_eq!(bench.auth.issue_token(user, None).await.map(drop), Err(Cause::Disabled.into()));
    bench.auth.enable(user).await.expect("enabled");
    assert_eq!(why(&bench, &token).await, Cause::UserRevoked);
    assert!(bench.login("a@b.example", WORD).await.is_ok());
    let nobody = bench.auth.disable(UserId::new()).await;
    assert_eq!(nobody, Err(Error::UserNotFound));
}

#[tokio::test]
async fn whoever_follows_the_log_hears_of_each_revocation_once() {
    let bench = Bench::new();
    let user = bench.user("a@b.example").await;
    let (token, _) = bench.caller(user).await;
    let before = Revocation::Token { id: Uuid::now_v7() };
    bench.store.revoke(before, Timestamp(0)).await.expect("in the log");
    let after = bench.store.revocation_head().await.expect("a head");
    let known = bench.auth.revocations_known();
    let caller = bench.auth.authenticate(&token).await.expect("it is good");
    // By another process: only the log tells. It is there before the first look.
    let all = Revocation::User { user, issued_before_ms: i64::MAX };
    bench.store.revoke(all, Timestamp(0)).await.expect("in the log");
    assert_eq!(bench.auth.confirm(&caller, known).await, Ok(()), "nothing is known of it here");
    let (heard, mut hears) = tokio::sync::mpsc::channel(8);
    let stop = tokio_util::sync::CancellationToken::new();
    let following = tokio::spawn({
        let (auth, stop) = (bench.auth.clone(), stop.clone());
        async move {
            let on = move |one| heard.try_send(one).expect("heard");
            auth.follow_revocations(after, on, stop).await;
        }
    });
    assert_eq!(hears.recv().await, Some(all));
    assert_eq!(why(&bench, &token).await, Cause::UserRevoked);
    let refused = Err(Error::Unauthorized(Cause::UserRevoked));
    assert_eq!(bench.auth.confirm(&caller, known).await, refused);
    let own = Revocation::Token { id: Uuid::now_v7() };
    bench.auth.revoke(own).await.expect("in the log");
    assert_eq!(hears.recv().await, Some(own));
    stop.cancel();
    following.await.expect("no panic");
    assert_eq!(hears.recv().await, None);
}

#[tokio::test]
async fn while_the_log_cannot_be_read_nothing_is_remembered() {
    let bench = Bench::new();
    let user = bench.user("a@b.example").await;
    let (token, _) = bench.caller(user).await;
    bench.store.fails.store(true, Ordering::SeqCst);
    let stop = tokio_util::sync::CancellationToken::new();
    let following = tokio::spawn({
        let (auth, stop) = (bench.auth.clone(), stop.clone());
        async move { auth.follow_revocations(0, |_| {}, stop).await }
    });
    while bench.auth.remembered.generation() == 0 {
        tokio::task::yield_now().await;
    }
    let outcome = bench.auth.authenticate(&token).await;
    assert_eq!(outcome, Err(Error::Unavailable("planted".to_owned())));
    stop.cancel();
    following.await.expect("no panic");
}

#[tokio::test]
async fn a_ticket_is_good_once_and_for_half_a_minute() {
    let bench = Bench::new();
    let user = bench.user("a@b.example").await;
    let (token, caller) = bench.caller(user).await;
    let ticket = bench.auth.make_ticket(&caller).await.expect("a ticket");
    assert_eq!(ticket.expires_in, 30);
    assert_eq!(bench.auth.take_ticket(&ticket.ticket).await, Ok(caller));
    let unknown = Err(Error::Unauthorized(Cause::UnknownTicket));
    assert_eq!(bench.auth.take_ticket(&ticket.ticket).await, unknown);
    assert_eq!(bench.auth.take_ticket("").await, unknown);
    let late = bench.auth.make_ticket(&caller).await.expect("a ticket");
    bench.pass(31);
    assert_eq!(bench.auth.take_ticket(&late.ticket).await, unknown);
    let ended = bench.auth.make_ticket(&caller).await.expect("a ticket");
    bench.auth.revoke_token(Revoke::Token(&token)).await.expect("revoked");
    let revoked = Err(Error::Unauthorized(Cause::TokenRevoked));
    assert_eq!(bench.auth.take_ticket(&ended.ticket).await, revoked);
}
