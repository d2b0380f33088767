//! Register, login, passwords, and what throttles them.

use protocol::UserKind;

use super::*;

fn limited<T: std::fmt::Debug>(outcome: Result<T>) -> u64 {
    outcome.expect_err("refused").retry_after().expect("throttled")
}

async fn change(bench: &Bench, caller: &Caller, old: &str, new: &str) -> Result<String> {
    let body = ChangePassword { password: given(old), new_password: given(new) };
    bench.auth.change_password(here(), caller, body).await.map(|new| new.token)
}

#[tokio::test]
async fn register_login_and_profile() {
    let bench = Bench::new();
    let made = bench.register("Ada@B.example").await.expect("made");
    assert_eq!((made.user.name.as_str(), made.user.kind), ("Ada", UserKind::Human));
    assert_eq!(bench.register("ada@b.EXAMPLE").await.map(drop), Err(Error::EmailTaken));
    let caller = bench.auth.authenticate(&made.token).await.expect("valid");
    assert_eq!(bench.auth.profile(&caller).await.as_deref(), Ok(&made.user));
    let again = bench.login("ADA@b.example", WORD).await.expect("signed in");
    assert_eq!(again.user, made.user);
    let found = bench.auth.find_user(here(), &caller, "ada@b.example").await.expect("found");
    assert_eq!(found[0].id, made.user.id);
    assert_eq!(bench.auth.find_user(here(), &caller, "x@b.example").await, Ok(vec![]));
    for (email, word) in [("nobody@b.example", WORD), ("ada@b.example", "wrong horse")] {
        assert_eq!(bench.login(email, word).await.map(drop), Err(Error::InvalidCredentials));
    }
}

#[tokio::test]
async fn what_register_refuses() {
    let bench = Bench::new();
    let cases = [
        (register_body(" ", "a@b", WORD), Error::InvalidName),
        (register_body("a", "a b", WORD), Error::InvalidEmail),
        (register_body("a", "a@b", "short"), Error::InvalidPassword),
        (register_body("a", "a@b", "Password1"), Error::PasswordTooCommon),
        (Register::default(), Error::MissingField),
        (Register { name: Field::Wrong, ..register_body("", "a@b", WORD) }, Error::InvalidName),
        (Register { email: Field::Wrong, ..register_body("a", "", WORD) }, Error::InvalidEmail),
        (
            Register { password: Field::Wrong, ..register_body("a", "a@b", "") },
            Error::InvalidPassword,
        ),
    ];
    for (body, error) in cases {
        assert_eq!(bench.auth.register(here(), body).await.map(drop), Err(error));
    }
    let closed = Bench::with(|settings| settings.registration_open = false);
    assert_eq!(closed.register("a@b.example").await.map(drop), Err(Error::RegistrationClosed));
    let outcome = closed.auth.register(here(), register_body("a", "a b", WORD)).await;
    assert_eq!(outcome.map(drop), Err(Error::InvalidEmail), "400 before 403");
}

#[tokio::test]
async fn a_changed_password_ends_the_tokens_of_before() {
    let bench = Bench::new();
    let user = bench.user("a@b.example").await;
    let (old, caller) = bench.caller(user).await;
    let wrong = change(&bench, &caller, "wrong horse", "another horse").await;
    assert_eq!(wrong, Err(Error::InvalidCredentials));
    let short = change(&bench, &caller, WORD, "short").await;
    assert_eq!(short, Err(Error::InvalidPassword));
    let common = change(&bench, &caller, WORD, "password").await;
    assert_eq!(common, Err(Error::PasswordTooCommon));
    assert!(bench.auth.authenticate(&old).await.is_ok(), "nothing has changed yet");
    let new = change(&bench, &caller, WORD, "another horse").await.expect("changed");
    assert_eq!(why(&bench, &old).await, Cause::UserRevoked);
    assert_eq!(bench.auth.authenticate(&new).await.expect("valid").user, user);
    assert_eq!(bench.login("a@b.example", WORD).await.map(drop), Err(Error::InvalidCredentials));
    assert!(bench.login("a@b.example", "another horse").await.is_ok());
}

#[tokio::test]
async fn who_has_no_password_cannot_log_in_or_change_it() {
    let bench = Bench::new();
    let new = NewUser { name: "Bot", email: None, kind: UserKind::Agent, password: None };
    let agent = bench.auth.create_user(new).await.expect("made");
    assert_eq!(bench.login(&agent.email, "").await.map(drop), Err(Error::InvalidCredentials));
    let (_, caller) = bench.caller(agent.id).await;
    assert_eq!(caller.kind, UserKind::Agent);
    let outcome = change(&bench, &caller, WORD, "another horse").await;
    assert_eq!(outcome, Err(Error::InvalidCredentials));
}

#[tokio::test]
async fn a_hash_of_other_parameters_is_renewed_at_login() {
    use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version};
    let bench = Bench::new();
    let user = bench.user("a@b.example").await;
    let params = Params::new(8_192, 1, 1, None).expect("valid");
    let weak = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    bench.store.put_hash(user, weak.hash_password(WORD.as_bytes()).expect("a hash").to_string());
    let (token, _) = bench.caller(user).await;
    assert!(bench.login("a@b.example", WORD).await.is_ok());
    let account = bench.auth.find_account("a@b.example").await.expect("there");
    assert!(!password::is_outdated(&account.password_hash.expect("a hash")));
    assert!(bench.login("a@b.example", WORD).await.is_ok());
    assert!(bench.auth.authenticate(&token).await.is_ok(), "tokens go on");
}

#[tokio::test]
async fn a_hash_of_bcrypt_lets_in_is_throttled_like_any_and_renewed_at_login() {
    let bench = Bench::new();
    let user = bench.user("a@b.example").await;
    let hash = bcrypt::hash(WORD, 4).expect("a hash");
    bench.store.put_hash(user, hash.clone());
    for _ in 0..9 {
        let outcome = bench.login("a@b.example", "a wrong horse").await;
        assert_eq!(outcome.map(drop), Err(Error::InvalidCredentials));
    }
    let account = bench.auth.find_account("a@b.example").await.expect("there");
    assert_eq!(account.password_hash, Some(hash.clone()), "a failure changes nothing");
    assert!(bench.login("a@b.example", WORD).await.is_ok());
    let account = bench.auth.find_account("a@b.example").await.expect("there");
    assert!(account.password_hash.is_some_and(|hash| hash.starts_with("$argon2id$")));
    assert!(bench.login("a@b.example", WORD).await.is_ok());

    bench.store.put_hash(user, hash.replace("$04$", "$31$"));
    let outcome = bench.login("a@b.example", WORD).await;
    assert_eq!(outcome.map(drop), Err(Error::InvalidCredentials), "its cost is never paid");
    limited(bench.login("a@b.example", WORD).await);
}

#[tokio::test]
async fn ten_failures_lock_one_account_for_one_address() {
    let bench = Bench::new();
    bench.user("a@b.example").await;
    bench.user("other@b.example").await;
    for _ in 0..9 {
        let _ = bench.login("a@b.example", "wrong horse").await;
    }
    assert!(bench.login("A@b.example", WORD).await.is_ok(), "a success is no failure");
    let _ = bench.login("a@B.example", "wrong horse").await;
    let wait = limited(bench.login("a@b.example", WORD).await);
    assert!((295..=300).contains(&wait), "{wait}");
    assert!(bench.login("other@b.example", WORD).await.is_ok(), "another account");
    assert!(bench.login_from(there(1), "a@b.example", WORD).await.is_ok(), "another address");
    bench.pass(i64::try_from(wait).expect("small"));
    assert!(bench.login("a@b.example", WORD).await.is_ok(), "exactly then there is room");
}

#[tokio::test]
async fn unknown_emails_and_wrong_old_passwords_count_too() {
    let bench = Bench::new();
    for _ in 0..10 {
        let _ = bench.login("nobody@b.example", &"x".repeat(200)).await;
    }
    limited(bench.login("nobody@b.example", "x").await);
    let user = bench.user("a@b.example").await;
    let (_, caller) = bench.caller(user).await;
    for _ in 0..10 {
        let _ = change(&bench, &caller, &"x".repeat(200), "another horse").await;
    }
    limited(change(&bench, &caller, WORD, "another horse").await);
    limited(bench.login("a@b.example", WORD).await);
}

#[tokio::test]
async fn many_at_once_are_no_way_around() {
    let bench = Bench::new();
    bench.user("a@b.example").await;
    let tries: Vec<_> = (0..40)
        .map(|n| {
            let auth = bench.auth.clone();
            tokio::spawn(async move {
                let word = format!("wrong horse {n}");
                let body = Login { email: given("a@b.example"), password: given(&word) };
                auth.login(here(), body).await
            })
        })
        .collect();
    let mut compared = 0;
    for one in tries {
        match one.await.expect("no panic") {
            Err(Error::InvalidCredentials) => compared += 1,
            Err(Error::RateLimited { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(compared, 10);
}

#[tokio::test]
async fn an_address_has_300_failures_and_60_registrations() {
    let bench = Bench::new();
    for n in 0..300 {
        // Too long for any account: fails without the time to hash.
        let outcome = bench.login(&format!("{n}@b.example"), &"x".repeat(200)).await;
        assert_eq!(outcome.map(drop), Err(Error::InvalidCredentials));
    }
    limited(bench.auth.may_login(here()));
    limited(bench.login("fresh@b.example", WORD).await);
    assert!(bench.auth.may_login(there(1)).is_ok());
    let rate = |settings: &mut AuthSettings| settings.throttling.registrations.max = 2;
    let bench = Bench::with(rate);
    for n in 0..2 {
        assert!(bench.register(&format!("{n}@b.example")).await.is_ok());
    }
    let wait = limited(bench.register("2@b.example").await);
    assert!((58..=60).contains(&wait), "{wait}");
    limited(bench.auth.may_register(here()));
    limited(bench.auth.register(here(), Register::default()).await);
    bench.pass(60);
    assert!(bench.register("2@b.example").await.is_ok());
}

#[tokio::test]
async fn lookups_have_a_limit_of_their_own() {
    let bench = Bench::with(|settings| settings.throttling.lookups.max = 2);
    let user = bench.user("a@b.example").await;
    let (_, caller) = bench.caller(user).await;
    for _ in 0..2 {
        assert!(bench.auth.find_user(here(), &caller, "a@b.example").await.is_ok());
    }
    limited(bench.auth.find_user(here(), &caller, "a@b.example").await);
    limited(bench.auth.may_find_user(here(), &caller));
    bench.pass(60);
    let outcome = bench.auth.find_user(here(), &caller, "x").await;
    assert_eq!(outcome, Err(Error::InvalidEmail));
}
