//! The original backend's tables come in: conversations, passwords, and all that is wrong there.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::postgres;
use crate::support::{Place, WORD, body, call, get, login, text};

const TABLES: &str = "
    CREATE TABLE users (id uuid PRIMARY KEY, name text, email text, password text,
        created_at timestamptz, updated_at timestamptz, deleted_at timestamptz, avatar bytea);
    CREATE TABLE chat_sessions (id uuid PRIMARY KEY, user_id uuid, title text,
        created_at timestamptz, updated_at timestamptz, deleted_at timestamptz);
    CREATE TABLE chat_participants (id uuid PRIMARY KEY, session_id uuid, user_id uuid,
        created_at timestamptz);
    CREATE TABLE chat_messages (id uuid PRIMARY KEY, session_id uuid, sender_id uuid, content text,
        file_url text, is_ai_message boolean, created_at timestamptz, deleted_at timestamptz);";

/// Where the tables are, with a word in each row that tells it.
struct Original {
    url: String,
    schema: String,
}

/// The id that a word has.
fn id(word: &str) -> String {
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().zip(word.bytes()) {
        *to = from;
    }
    Uuid::from_bytes(bytes).to_string()
}

fn moment(second: u32) -> String {
    format!("2025-03-01 12:00:{second:02}.000001+00")
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

impl Original {
    fn new(tables: &str) -> Self {
        let url = postgres::fresh();
        let schema = url.rsplit_once("%3D").expect("a schema").1.to_owned();
        let original = Self { url, schema };
        original.sql(tables);
        original
    }

    fn sql(&self, sql: &str) {
        postgres::shared().sql(&format!("SET search_path = {}; {sql}", self.schema));
    }

    fn user(&self, word: &str, email: &str, password: &str) {
        let (id, email, password) = (id(word), quoted(email), quoted(password));
        self.sql(&format!(
            "INSERT INTO users (id, name, email, password, created_at)
             VALUES ('{id}', 'Name {word}', {email}, {password}, '{}')",
            moment(0)
        ));
    }

    fn session(&self, word: &str, owner: &str, title: &str) {
        let (session, owner) = (id(word), id(owner));
        self.sql(&format!(
            "INSERT INTO chat_sessions (id, user_id, title, created_at)
             VALUES ('{session}', '{owner}', {}, '{}')",
            quoted(title),
            moment(1)
        ));
    }

    fn participant(&self, word: &str, session: &str, user: &str, second: u32) {
        self.sql(&format!(
            "INSERT INTO chat_participants VALUES ('{}', '{}', '{}', '{}')",
            id(word),
            id(session),
            id(user),
            moment(second)
        ));
    }

    fn message(&self, word: &str, (session, sender): (&str, &str), content: &str, second: u32) {
        self.sql(&format!(
            "INSERT INTO chat_messages (id, session_id, sender_id, content, created_at)
             VALUES ('{}', '{}', '{}', {content}, '{}')",
            id(word),
            id(session),
            id(sender),
            moment(second)
        ));
    }

    fn import(&self, place: &Place) -> crate::support::Ended {
        std::fs::write(place.path("address"), format!("{}\n", self.url)).expect("written");
        place.run("import --from-legacy-file address --json", b"")
    }
}

/// Conversations in which nothing is wrong, and others.
fn conversations() -> Original {
    let original = Original::new(TABLES);
    let hash = |prefix| {
        let parts = bcrypt::hash_with_result(WORD, 5).expect("a hash");
        parts.format_for_version(prefix)
    };
    original.user("ada", " Ada@old.example", &hash(bcrypt::Version::TwoA));
    original.user("bob", "bob@old.example", &hash(bcrypt::Version::TwoY));
    original.user("carla", "ADA@OLD.example", &hash(bcrypt::Version::TwoB));
    original.user("dan", "no email", &hash(bcrypt::Version::TwoB));
    original.user("eve", "eve@old.example", &hash(bcrypt::Version::TwoB).replace("$05$", "$31$"));
    original.user("gone", "gone@old.example", "");
    original.sql("UPDATE users SET deleted_at = now() WHERE email LIKE 'gone%'");
    original.sql("UPDATE users SET name = NULL WHERE email LIKE 'bob%'");

    original.session("one", "ada", "First");
    original.session("two", "bob", "  ");
    original.session("three", "gone", "Nobody's");
    original.session("four", "ada", "Deleted");
    original.sql("UPDATE chat_sessions SET deleted_at = now() WHERE title = 'Deleted'");

    original.message("m1", ("one", "ada"), "'before anybody came'", 2);
    original.participant("p1", "one", "bob", 3);
    // At the moment at which somebody came, in the order of ids.
    original.message("m3", ("one", "bob"), "'second of two'", 3);
    original.message("m2", ("one", "carla"), "E'first \\u00e4 \\U0001F600\\n of two'", 3);
    original.message("m4", ("one", "bob"), "'an answer'", 4);
    original.participant("p2", "one", "carla", 9);
    original.sql(&format!(
        "UPDATE chat_messages SET is_ai_message = true, file_url = 'https://old.example/a.png'
         WHERE id = '{}'",
        id("m4")
    ));
    original
}

/// Breaks what can be broken; what is said of each, and whether it is left out.
fn faults(original: &Original) -> Vec<(&'static str, bool, &'static str)> {
    original.message("empty", ("one", "ada"), "' \n '", 20);
    original.message("null", ("one", "ada"), "NULL", 20);
    original.message("huge", ("one", "ada"), "repeat('x', 65537)", 20);
    original.message("nobodys", ("one", "nobody"), "'x'", 20);
    original.message("goners", ("one", "gone"), "'x'", 20);
    original.message("homeless", ("nowhere", "ada"), "'x'", 20);
    original.message("zhomeless", ("zzzzzz", "ada"), "'x'", 20);
    original.message("adrift", ("one", "ada"), "'x'", 20);
    original.message("sunk", ("three", "ada"), "'x'", 20);
    original.participant("twice", "one", "bob", 21);
    original.participant("owner", "one", "ada", 21);
    original.participant("stranger", "one", "nobody", 21);
    original.participant("lost", "nowhere", "bob", 21);
    original.message("bell", ("two", "bob"), "E'ding\\x07dong'", 5);
    original.message("badurl", ("two", "bob"), "'kept'", 6);
    original.message("fileonly", ("two", "bob"), "''", 7);
    original.message("removed", ("two", "bob"), "'x'", 7);
    let adrift = id("adrift");
    let (bad, file, removed) = (id("badurl"), id("fileonly"), id("removed"));
    original.sql(&format!(
        "UPDATE chat_messages SET session_id = NULL WHERE id = '{adrift}';
         UPDATE chat_messages SET file_url = 'javascript:alert(1)' WHERE id = '{bad}';
         UPDATE chat_messages SET file_url = 'https://old.example/f' WHERE id = '{file}';
         UPDATE chat_messages SET deleted_at = now() WHERE id = '{removed}'"
    ));
    vec![
        ("empty", true, "is empty"),
        ("null", true, "is empty"),
        ("huge", true, "65537 bytes"),
        ("nobodys", true, "its sender is not there"),
        ("goners", true, "its sender is not there"),
        ("homeless", true, "its session is not there"),
        ("zhomeless", true, "its session is not there"),
        ("adrift", true, "its session is not there"),
        ("three", true, "with it 1 messages and 0 participants"),
        ("twice", true, "is a participant already"),
        ("owner", true, "is the session's owner"),
        ("stranger", true, "its user is not there"),
        ("lost", true, "its session is not there"),
        ("bell", false, "control characters"),
        ("badurl", false, "file_url"),
        ("fileonly", false, "a file alone"),
        ("carla", false, "can't log in"),
        ("dan", false, "nobody can log in"),
        ("eve", false, "has a cost that is not between 4 and 14"),
        ("bob", false, "the name becomes \"bob\""),
        ("two", false, "the title becomes \"Untitled\""),
    ]
}

/// The log of a session: its kinds, and what each speaks of.
fn log(events: &Value) -> Vec<(u64, String, String)> {
    let list = events["events"].as_array().expect("a list");
    let told = |event: &Value| {
        let data = &event["data"];
        let what = if data["content"].is_string() { &data["content"] } else { &data["user_id"] };
        (
            event["seq"].as_u64().expect("a number"),
            text(&event["type"]).to_owned(),
            text(what).to_owned(),
        )
    };
    list.iter().map(told).collect()
}

#[test]
fn todays_users_keep_their_conversations_and_passwords() {
    let original = conversations();
    let faults = faults(&original);
    for place in Place::each() {
        let told = original.import(&place);
        assert_eq!(told.code, 6, "{}", told.stderr);
        for (word, is_left_out, what) in &faults {
            let start = if *is_left_out { "left out: " } else { "changed: " };
            let is_it = |line: &&str| line.starts_with(start) && line.contains(&id(word));
            let line = told.stderr.lines().find(is_it);
            assert!(line.is_some_and(|line| line.contains(what)), "{word}: {}", told.stderr);
        }
        let json = told.json();
        let count = |left_out| faults.iter().filter(|fault| fault.1 == left_out).count();
        assert_eq!(json["left_out_lines"], json!(count(true)), "{}", told.stderr);
        assert_eq!(json["changed_lines"], json!(count(false)), "{}", told.stderr);
        assert_eq!(
            (&json["stored"]["users"], &json["stored"]["sessions"], &json["stored"]["messages"]),
            (&json!(5), &json!(2), &json!(7))
        );
        assert_eq!(json["left_out"]["messages"], 9);
        let before = place.export();
        let again = original.import(&place);
        assert_eq!((again.code, &again.json()["stored"]["sessions"]), (6, &json!(0)));
        assert_eq!(again.json()["already_there"], json["stored"]);
        assert_eq!(body(&place.export()), body(&before));

        people_go_on(&place);
        // What was sent since is kept, and nothing comes twice.
        assert_eq!(original.import(&place).json()["stored"]["messages"], 0);
    }
}

/// What they have they find, and they log in as ever.
fn people_go_on(place: &Place) {
    let server = place.serve();
    assert_eq!(login(&server, "ada@old.example", "wrong horse").0, 401);
    assert_eq!(login(&server, "eve@old.example", WORD).0, 401);
    let (status, ada) = login(&server, "ada@old.example", WORD);
    assert_eq!((status, &ada["user"]["id"]), (200, &json!(id("ada"))));
    let token = text(&ada["token"]);
    let path = format!("/api/chat/sessions/{}", id("one"));
    let events = get(&server, &format!("{path}/events"), token).1;
    let expected = [
        ("message.created", "before anybody came"),
        ("participant.added", &id("bob")),
        ("message.created", "first ä 😀\n of two"),
        ("message.created", "second of two"),
        ("message.created", "an answer"),
        ("participant.added", &id("carla")),
    ];
    let expected: Vec<_> = (1..)
        .zip(expected)
        .map(|(seq, (kind, what))| (seq, kind.to_owned(), what.to_owned()))
        .collect();
    assert_eq!(log(&events), expected);
    let answer = &events["events"][4];
    assert_eq!(answer["at"], "2025-03-01T12:00:04.000001Z");
    assert_eq!(answer["data"]["is_ai_message"], true);
    assert_eq!(answer["data"]["file_url"], "https://old.example/a.png");
    let listed = get(&server, "/api/chat/sessions", token).1;
    assert_eq!(listed[0]["unread_count"], 0, "what is old is read");
    assert_eq!(listed[0]["updated_at"], "2025-03-01T12:00:09.000001Z");
    let bob = login(&server, "bob@old.example", WORD).1;
    let sent = call(
        &server,
        &format!("POST {path}/messages"),
        text(&bob["token"]),
        &json!({"content": "and on"}),
    );
    assert_eq!((sent.0, &sent.1["seq"]), (201, &json!(7)));
    let two = format!("/api/chat/sessions/{}/messages", id("two"));
    let messages = get(&server, &two, text(&bob["token"])).1;
    let contents: Vec<&str> =
        messages.as_array().expect("a list").iter().map(|m| text(&m["content"])).collect();
    assert_eq!(contents, ["ding\u{fffd}dong", "kept", "https://old.example/f"]);
    assert!(server.stop().success());

    let hash_of = |email: &str| {
        let export = place.export();
        let line = export.lines().find(|line| line.contains(email)).expect("a user").to_owned();
        let user: Value = serde_json::from_str(&line).expect("JSON");
        text(&user["user"]["password_hash"]).to_owned()
    };
    assert!(hash_of("Ada@old.example").starts_with("$argon2id$"), "renewed by the login");
    let server = place.serve();
    assert_eq!(login(&server, "ada@old.example", WORD).0, 200);
    assert_eq!(login(&server, "ada@old.example", "wrong horse").0, 401);
    assert!(server.stop().success());
}

#[test]
fn tables_that_have_less_come_in_and_others_are_told_apart() {
    let original = Original::new(
        "CREATE TABLE users (id uuid, email varchar(100), created_at timestamp);
         CREATE TABLE chat_sessions (id uuid, user_id uuid);
         CREATE TABLE chat_messages (id uuid, session_id uuid, sender_id uuid, content text);",
    );
    let (ada, one) = (id("ada"), id("one"));
    original.sql(&format!(
        "INSERT INTO users VALUES ('{ada}', 'ada@old.example', '0001-01-01 00:00:00');
         INSERT INTO chat_sessions VALUES ('{one}', '{ada}');
         INSERT INTO chat_messages VALUES ('{}', '{one}', '{ada}', 'hello')",
        id("m1")
    ));
    let place = Place::sqlite();
    let told = original.import(&place);
    assert_eq!(told.code, 0, "{}", told.stderr);
    let export = place.export();
    assert!(export.contains("\"hello\"") && export.contains("\"name\":\"ada\""), "{export}");

    let empty = Original::new("SELECT 1");
    let told = empty.import(&place);
    assert_eq!(told.code, 1);
    assert!(told.stderr.contains("the tables users, chat_sessions and"), "{}", told.stderr);
    let other = Original::new(
        "CREATE TABLE users (id bigint, email text);
         CREATE TABLE chat_sessions (id uuid, user_id uuid);",
    );
    let told = other.import(&place);
    assert!(told.stderr.contains("users.id is of type bigint"), "{}", told.stderr);
    for (url, code, said) in [
        ("postgres://u:secret@127.0.0.1:1/d", 5, "can't connect to PostgreSQL"),
        ("postgres://u:secret@h/d?colour=red", 2, "--from-legacy: is no address of PostgreSQL"),
        ("mysql://u:secret@h/d", 2, "--from-legacy: begins with neither"),
    ] {
        let told = place.run(&format!("import --from-legacy {url}"), b"");
        assert!(told.stderr.contains(said) && !told.stderr.contains("secret"), "{}", told.stderr);
        assert_eq!(told.code, code, "{}", told.stderr);
    }
    assert_eq!(place.run("import x.jsonl --from-legacy postgres://h/d", b"").code, 2);
    assert_eq!(place.run("import", b"").code, 2);
}
