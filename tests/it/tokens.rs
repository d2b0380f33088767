//! Tokens: what a JWT must be, host applications' users, fresh tokens.

use serde_json::{Value, json};

use crate::support::token::{SECRET, claims, claims_of, forge, now_s, sign, with};
use crate::support::{Answer, TestServer, TestUser, fields, text};

async fn profile(server: &TestServer, token: &str) -> Answer {
    server.call("GET", "/api/users/profile").bearer(token).send().await
}

/// One fixed answer, whatever the reason.
#[track_caller]
fn is_unauthorized(answer: Answer, why: &str) {
    assert_eq!(answer.status, 401, "{why}: {}", answer.text);
    assert_eq!(answer.json()["code"], "unauthorized", "{why}");
    assert_eq!(answer.json()["error"], "A valid token is required.", "{why}");
}

#[tokio::test]
async fn the_algorithm_and_the_key_are_the_servers_word() {
    let server = TestServer::start().await;
    let claims = claims();
    profile(&server, &sign(&claims)).await.expect(200);
    let unsigned = |alg: &str| {
        let token = forge(&json!({"alg": alg}), &claims, SECRET);
        token[..=token.rfind('.').expect("a dot")].to_owned()
    };
    let by_library = |algorithm| {
        let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
        jsonwebtoken::encode(&jsonwebtoken::Header::new(algorithm), &claims, &key).expect("a token")
    };
    let good = sign(&claims);
    let (head, signature) = good.rsplit_once('.').expect("a dot");
    for (why, token) in [
        ("alg none, unsigned", unsigned("none")),
        ("alg NoNe, unsigned", unsigned("NoNe")),
        ("alg HS256, unsigned", unsigned("HS256")),
        ("alg none, signed", forge(&json!({"alg": "none"}), &claims, SECRET)),
        ("alg HS384, signed so", by_library(jsonwebtoken::Algorithm::HS384)),
        ("alg HS512, signed so", by_library(jsonwebtoken::Algorithm::HS512)),
        ("alg RS256, signed with the secret", forge(&json!({"alg": "RS256"}), &claims, SECRET)),
        ("no alg", forge(&json!({"typ": "JWT"}), &claims, SECRET)),
        (
            "another key",
            forge(&json!({"alg": "HS256"}), &claims, "another key of 32 bytes or more"),
        ),
        ("an empty key", forge(&json!({"alg": "HS256"}), &claims, "")),
        (
            "its own key",
            forge(&json!({"alg": "HS256", "jwk": {"kty": "oct", "k": "YQ"}}), &claims, "a"),
        ),
        ("a changed signature", format!("{head}.{}", signature.to_lowercase() + "A")),
        ("a changed payload", good.replacen('.', ".A", 1)),
        ("two parts", head.to_owned()),
        ("four parts", format!("{good}.x")),
        ("nothing", String::new()),
        ("noise", "ü.%.\u{7f}".escape_default().to_string()),
        ("half a megabyte", "a".repeat(40_000)),
    ] {
        is_unauthorized(profile(&server, &token).await, why);
    }
}

#[tokio::test]
async fn claims_about_time_are_judged_with_a_leeway_of_5_seconds() {
    let server = TestServer::start().await;
    let now = now_s();
    for (times, is_good) in [
        (json!({"exp": now - 3}), true),
        (json!({"exp": now - 8}), false),
        (json!({"exp": 0}), false),
        (json!({"exp": -1}), false),
        (json!({"exp": "-"}), false),
        (json!({"exp": null}), false),
        (json!({"exp": (now + 60).to_string()}), false),
        (json!({"exp": 253_402_300_799_u64}), true),
        (json!({"nbf": now + 3}), true),
        (json!({"nbf": now + 60}), false),
        (json!({"nbf": "soon"}), false),
        (json!({"nbf": now - 60, "iat": now - 60}), true),
    ] {
        let token = sign(&with(&claims(), times.clone()));
        let answer = profile(&server, &token).await;
        match is_good {
            true => assert_eq!(answer.status, 200, "{times}: {}", answer.text),
            false => is_unauthorized(answer, &times.to_string()),
        }
    }
}

#[tokio::test]
async fn what_no_rule_speaks_of_is_still_no_fault_of_the_server() {
    let server = TestServer::start().await;
    let claims = claims();
    let header = json!({"alg": "HS256"});
    let deep = (0..500).fold(json!(1), |inner, _| json!([inner]));
    for (header, claims) in [
        (header.clone(), with(&claims, json!({"exp": 1e300}))),
        (header.clone(), with(&claims, json!({"exp": u64::MAX}))),
        (header.clone(), with(&claims, json!({"nbf": -1, "iat": i64::MIN}))),
        (header.clone(), with(&claims, json!({"iat": u64::MAX}))),
        (header.clone(), with(&claims, json!({"iat": "x", "jti": [1]}))),
        (header.clone(), with(&claims, json!({"name": 5, "email": {"a": 1}}))),
        (header.clone(), with(&claims, json!({"extra": deep}))),
        (header.clone(), with(&claims, json!({"name": "x".repeat(5_000)}))),
        (header.clone(), json!([1, 2])),
        (header.clone(), json!("text")),
        (header, json!(null)),
        (json!(["HS256"]), claims.clone()),
        (json!({"alg": "HS256", "kid": "x".repeat(5_000)}), claims),
    ] {
        let answer = profile(&server, &forge(&header, &claims, SECRET)).await;
        assert!(matches!(answer.status, 200 | 401), "{claims}: {}", answer.text);
    }
}

#[tokio::test]
async fn critical_extensions_are_refused_whatever_they_name() {
    let server = TestServer::start().await;
    for crit in [json!(["exp"]), json!(["b64"]), json!([]), json!(null)] {
        let header = json!({"alg": "HS256", "crit": crit, "b64": true, "exp": now_s() + 60});
        is_unauthorized(profile(&server, &forge(&header, &claims(), SECRET)).await, "crit");
    }
}

#[tokio::test]
async fn the_user_is_sub_else_user_id_and_a_bad_sub_never_falls_back() {
    let server = TestServer::start().await;
    let base = claims();
    let user = base["sub"].clone();
    let by = async |ids: Value| profile(&server, &sign(&with(&base, ids))).await;
    for good in [
        json!({}),
        json!({"sub": "-", "user_id": user}),
        json!({"user_id": protocol::UserId::new().to_string()}),
        json!({"user_id": "x"}),
        json!({"sub": text(&user).to_uppercase()}),
    ] {
        assert_eq!(by(good.clone()).await.expect(200)["id"], user, "{good}");
    }
    for bad in [json!(null), json!(""), json!("x"), json!(5), json!([user]), json!({"id": user})] {
        is_unauthorized(by(json!({"sub": bad, "user_id": user})).await, &bad.to_string());
        is_unauthorized(by(json!({"sub": "-", "user_id": bad})).await, &bad.to_string());
    }
    let simple = text(&user).replace('-', "");
    is_unauthorized(by(json!({"sub": simple, "user_id": user})).await, "not the hyphenated form");
    is_unauthorized(by(json!({"sub": "-"})).await, "no subject");
}

#[tokio::test]
async fn configured_issuer_and_audience_must_be_there() {
    let server = TestServer::with(|config| {
        config.token_issuer = Some("host".into());
        config.token_audience = Some("chat".into());
    })
    .await;
    for (claims_beside, is_good) in [
        (json!({"iss": "host", "aud": "chat"}), true),
        (json!({"iss": "host", "aud": ["other", "chat"]}), true),
        (json!({"iss": "host"}), false),
        (json!({"aud": "chat"}), false),
        (json!({"iss": "other", "aud": "chat"}), false),
        (json!({"iss": "host", "aud": "other"}), false),
        (json!({"iss": null, "aud": null}), false),
    ] {
        let answer = profile(&server, &sign(&with(&claims(), claims_beside.clone()))).await;
        match is_good {
            true => assert_eq!(answer.status, 200, "{claims_beside}"),
            false => is_unauthorized(answer, &claims_beside.to_string()),
        }
    }
    // The server's own are as good.
    let own = server.register("ann", "correct horse battery").await;
    own.get("/api/users/profile").await.expect(200);
}

#[tokio::test]
async fn a_host_applications_user_comes_to_be_with_the_first_token() {
    let server = TestServer::start().await;
    let base = with(&claims(), json!({"name": "  Zoë  ", "email": "zoe@example.com"}));
    let without = with(&base, json!({"email": "-"}));
    is_unauthorized(profile(&server, &sign(&without)).await, "unknown, without an email");
    for bad in [json!(null), json!(""), json!("zoe"), json!(5)] {
        let token = sign(&with(&base, json!({"email": bad})));
        is_unauthorized(profile(&server, &token).await, "unknown, without a good email");
    }
    let user = profile(&server, &sign(&base)).await.expect(200);
    assert_eq!((text(&user["name"]), text(&user["email"])), ("Zoë", "zoe@example.com"));
    assert_eq!((&user["id"], text(&user["kind"])), (&base["sub"], "human"));
    // Known now, it needs no email any more.
    assert_eq!(profile(&server, &sign(&without)).await.expect(200), user);
}

#[tokio::test]
async fn nobody_is_linked_by_email() {
    let server = TestServer::start().await;
    let ann = server.register("ann", "correct horse battery").await;
    for email in [ann.email.clone(), ann.email.to_uppercase()] {
        let token = sign(&with(&claims(), json!({"email": email, "name": "Eve"})));
        is_unauthorized(profile(&server, &token).await, "the email of another");
    }
    assert_eq!(ann.get("/api/users/profile").await.expect(200)["name"], "ann");
}

#[tokio::test]
async fn the_token_stands_in_one_bearer_header_and_nowhere_else() {
    let server = TestServer::start().await;
    let TestUser { token, .. } = server.user("ann").await;
    let path = "/api/users/profile";
    let call = |value: &str| server.call("GET", path).header("authorization", value);
    call(&format!("bEaReR {token}")).send().await.expect(200);
    for bad in
        ["", "Bearer", "Bearer ", &token, &format!("Basic {token}"), &format!("Token {token}")]
    {
        is_unauthorized(call(bad).send().await, bad);
    }
    is_unauthorized(server.call("GET", path).send().await, "no header");
    let query = server.call("GET", &format!("{path}?token={token}")).send().await;
    is_unauthorized(query, "in the query");
    let cookie = server.call("GET", path).header("cookie", format!("token={token}"));
    is_unauthorized(cookie.send().await, "in a cookie");
    let twice = call(&format!("Bearer {token}")).bearer(&token).send().await;
    assert_eq!(twice.status, 400);
    is_unauthorized(call("Bearer x").send().await, "and says how");
    let answer = call("Bearer x").send().await;
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
}

#[tokio::test]
async fn a_fresh_token_is_one_of_our_own_for_seven_days() {
    let server = TestServer::start().await;
    let host = server.user("ann").await;
    let first = host.call("POST", "/api/token").send().await.expect(200);
    assert_eq!(fields(&first), ["expires_in", "token"]);
    assert_eq!(first["expires_in"], 7 * 86_400);
    let own = host.by(text(&first["token"]));
    assert_eq!(own.get("/api/users/profile").await.expect(200)["id"], host.id);
    let second = own.call("POST", "/api/token").send().await.expect(200);
    let (one, two) = (claims_of(text(&first["token"])), claims_of(text(&second["token"])));
    assert_eq!(fields(&one), ["exp", "iat", "jti", "sub"]);
    assert_eq!(one["exp"].as_i64(), one["iat"].as_i64().map(|iat| iat + 7 * 86_400));
    assert_ne!(one["jti"], two["jti"]);
    host.get("/api/users/profile").await.expect(200);
}

#[tokio::test]
async fn the_life_of_our_own_tokens_is_a_setting() {
    let server = TestServer::with(|config| {
        config.token_ttl = std::time::Duration::from_secs(90);
    })
    .await;
    let ann = server.register("ann", "correct horse battery").await;
    let fresh = ann.call("POST", "/api/token").send().await.expect(200);
    assert_eq!(fresh["expires_in"], 90);
    let claims = claims_of(&ann.token);
    assert_eq!(claims["exp"].as_i64(), claims["iat"].as_i64().map(|iat| iat + 90));
}
