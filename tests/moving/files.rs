//! Files and imports that go wrong, or are interrupted, and stores that have something already.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Place, WORD, body, call, login, name, text, wait_for};

const HEAD: &str = concat!(
    r#"{"format":"assistdeck-export","version":1,"program":"0","store":"sqlite","epoch":"e","#,
    r#""at":"2026-01-01T00:00:00Z"}"#
);
const AT: &str = "2026-01-01T00:00:00.000000Z";

/// An id that its number makes.
fn id(kind: u128, number: u64) -> String {
    Uuid::from_u128(kind << 64 | u128::from(number)).to_string()
}

/// A file of sessions with two members each.
struct Written {
    lines: Vec<String>,
    end: [u64; 4],
}

impl Written {
    fn users(count: u64) -> Self {
        let mut written = Self { lines: vec![HEAD.to_owned()], end: [count, 0, 0, 0] };
        for number in 0..count {
            written.line(json!({"user": {
                "id": id(1, number), "name": format!("U{number}"),
                "email": format!("u{number}@moving.example"), "kind": "human", "created_at": AT,
            }}));
        }
        written
    }

    fn line(&mut self, value: Value) {
        self.lines.push(value.to_string());
    }

    /// A session of users 0 and 1, and its messages.
    fn session(&mut self, number: u64, messages: u64) {
        let (owner, other, own) = (id(1, 0), id(1, 1), id(2, number));
        self.line(json!({"session": {
            "id": own, "user_id": owner, "title": format!("S{number}"), "created_at": AT,
            "updated_at": AT, "last_seq": messages + 1,
        }}));
        self.line(json!({"event": {
            "seq": 1, "at": AT, "actor_id": owner, "kind": "participant.added", "user_id": other,
            "participant_id": id(3, number),
        }}));
        for seq in 2..=messages + 1 {
            self.line(json!({"message": {
                "seq": seq, "id": id(4, number << 32 | seq), "sender_id": other, "created_at": AT,
                "content": format!("message {seq} of {number}"), "client_id": format!("c{seq}"),
                "request_hash": "00112233445566778899aabbccddeeff",
            }}));
        }
        self.line(json!({"member": {
            "id": own, "user_id": owner, "created_at": AT, "is_owner": true, "read_seq": 0,
        }}));
        self.line(json!({"member": {
            "id": id(3, number), "user_id": other, "created_at": AT, "read_seq": messages + 1,
        }}));
        self.end[1] += 1;
        self.end[2] += messages;
        self.end[3] += 1;
    }

    fn text(&self) -> String {
        let [users, sessions, messages, events] = self.end;
        let end = json!({"end": {
            "users": users, "revoked_tokens": 0, "sessions": sessions, "messages": messages,
            "events": events, "members": 2 * sessions,
        }});
        format!("{}\n{end}\n", self.lines.join("\n"))
    }
}

#[test]
fn an_import_that_was_killed_is_run_again_and_a_second_run_changes_nothing() {
    let mut written = Written::users(2);
    (0..30).for_each(|number| written.session(number, 600));
    let text = written.text();
    let cut = text.match_indices('\n').nth(15_000).expect("there are more lines").0;
    for (place, whole) in Place::each().into_iter().zip(Place::each()) {
        let mut import = place.start("import -");
        let mut stdin = import.stdin.take().expect("piped");
        stdin.write_all(&text.as_bytes()[..cut]).expect("it reads");
        let users = || place.run("user list --json", b"").json().as_array().map_or(0, Vec::len);
        wait_for("something is committed", || users() > 0);
        import.kill().expect("it runs");
        import.wait().expect("our child");
        let told = place.run("import - --json", text.as_bytes()).json();
        let sessions = |what: &str| told[what]["sessions"].as_u64().expect("a number");
        assert!(sessions("already_there") > 0 && sessions("stored") > 0, "{told}");
        assert_eq!(sessions("already_there") + sessions("stored"), 30);
        assert_eq!(whole.import(&text).code, 0);
        let once = whole.export();
        assert_eq!(body(&place.export()), body(&once));
        assert!(body(&once).lines().count() > 18_000);
        let again = place.import(&text).json();
        assert_eq!(again["stored"]["sessions"], 0);
        assert_eq!(again["already_there"], again["read"]);
        assert_eq!(body(&place.export()), body(&once));
        let epoch = |text: &str| {
            let head: Value =
                serde_json::from_str(text.lines().next().expect("one")).expect("JSON");
            head["epoch"].clone()
        };
        assert_eq!(epoch(&place.export()), "e", "an empty store takes the epoch over");
    }
}

#[test]
fn what_is_there_already_is_kept_and_conflicts_stop_nothing_else() {
    let mut written = Written::users(4);
    (0..4).for_each(|number| written.session(number, 3));
    for place in Place::each() {
        let mine = "user create U3@moving.example --name Mine --password-stdin --json";
        let mine = place.run(mine, WORD.as_bytes()).json();
        let server = place.serve();
        let token = login(&server, "u3@moving.example", WORD).1["token"].clone();
        let title = json!({"title": "mine"});
        let session = call(&server, "POST /api/chat/sessions", text(&token), &title).1;
        assert!(server.stop().success());
        let told = place.import(&written.text());
        assert_eq!(told.code, 6);
        let other = format!("left out: user {} (u3@moving.example): another user has", id(1, 3));
        assert!(told.stderr.contains(&other), "{}", told.stderr);
        assert_eq!(told.json()["stored"]["sessions"], 4);
        assert_eq!(told.json()["left_out"]["users"], 1);

        let mut changed = Written::users(2);
        (0..5).for_each(|number| changed.session(number, 3));
        let text = changed.text().replace("message 3 of 1\"", "another text\"");
        let told = place.import(&text);
        assert_eq!(told.code, 6, "{}", told.stderr);
        let conflict = format!("session {}: the store has other contents at seq 3", id(2, 1));
        assert!(told.stderr.contains(&conflict), "{}", told.stderr);
        let json = told.json();
        assert_eq!(json["stored"]["sessions"], 1);
        assert_eq!(json["left_out"]["sessions"], 1);
        assert_eq!(json["already_there"]["sessions"], 3);

        let server = place.serve();
        let path = format!("GET /api/chat/sessions/{}", self::text(&session["id"]));
        let (status, found) = call(&server, &path, self::text(&token), &Value::Null);
        assert_eq!((status, &found["epoch"]), (200, &session["epoch"]), "its epoch stays");
        assert_eq!(found["user_id"], mine["id"]);
    }
}

#[test]
fn a_session_that_is_not_whole_is_left_out_alone() {
    let mut written = Written::users(2);
    (0..8).for_each(|number| written.session(number, 3));
    let own = |number: u64| id(2, number);
    let damaged: Vec<String> = written.text().lines().map(str::to_owned).collect();
    let break_it = |lines: &mut Vec<String>, part: &str, from: &str, to: &str| {
        let line = lines.iter_mut().find(|line| line.contains(part)).expect(part);
        assert!(line.contains(from), "{line}");
        *line = line.replace(from, to);
    };
    let mut lines = damaged;
    break_it(&mut lines, "message 3 of 1", "\"seq\":3", "\"seq\":4");
    break_it(
        &mut lines,
        &format!("\"id\":\"{}\",\"last", own(2)),
        "\"last_seq\":4",
        "\"last_seq\":9",
    );
    break_it(&mut lines, "message 3 of 3", &id(1, 1), &id(1, 77));
    break_it(&mut lines, "message 3 of 4", "\"c3\"", "\"c2\"");
    let owners = format!("\"id\":\"{}\",\"is_owner\":true", own(5));
    break_it(&mut lines, &owners, "\"read_seq\":0", "\"read_seq\":5");
    let owners = format!("\"id\":\"{}\",\"is_owner\":true", own(6));
    break_it(&mut lines, &owners, "\"is_owner\":true", "\"is_owner\":false");
    let text = lines.join("\n") + "\n";
    for place in Place::each() {
        let told = place.import(&text);
        assert_eq!(told.code, 6, "{}", told.stderr);
        for (number, what) in [
            (1, "seq 4 follows 2"),
            (2, "its log ends at seq 4"),
            (3, "is not in the store"),
            (4, "the store does not take it"),
            (5, "beyond the log"),
            (6, "is and is not its owner"),
        ] {
            let line = told.stderr.lines().find(|line| line.contains(&own(number)));
            assert!(line.is_some_and(|line| line.contains(what)), "{number}: {}", told.stderr);
        }
        let json = told.json();
        assert_eq!(
            (&json["stored"]["sessions"], &json["store"]["messages"]),
            (&json!(2), &json!(6))
        );
        assert_eq!(place.import(&written.text()).json()["stored"]["sessions"], 6, "mended");
    }
}

#[test]
fn a_server_and_an_import_keep_each_other_off_and_an_export_does_not_care() {
    let mut written = Written::users(2);
    written.session(0, 3);
    for place in Place::each() {
        let server = place.serve();
        let refused = place.import(&written.text());
        assert_eq!(refused.code, 5, "{}", refused.stderr);
        assert!(refused.stderr.contains("uses th"), "{}", refused.stderr);
        let beside = place.run("export beside.jsonl --json", b"");
        assert_eq!((beside.code, &beside.json()["is_served"]), (0, &json!(true)));
        assert!(beside.stderr.contains("a server runs"), "{}", beside.stderr);
        let file = place.path("beside.jsonl");
        assert_eq!(fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600);
        let exists = place.run("export beside.jsonl", b"");
        assert_eq!(exists.code, 4);
        assert!(server.stop().success());
        // The store may have gone on, so whoever takes this in begins anew.
        let fresh = Place::sqlite();
        assert_eq!(fresh.import(&fs::read_to_string(&file).expect("text")).code, 0);
        let epoch = |text: &str| {
            text.lines().next().map(|line| {
                let head: Value = serde_json::from_str(line).expect("JSON");
                head["epoch"].clone()
            })
        };
        assert_ne!(epoch(&fresh.export()), epoch(&place.export()));

        let mut import = place.start("import -");
        let mut stdin = import.stdin.take().expect("piped");
        stdin.write_all(format!("{HEAD}\n").as_bytes()).expect("it reads");
        let serve = || place.run("import - --json", written.text().as_bytes()).code;
        let is_held = || {
            let seen = place.run("export -", b"").stdout;
            seen.lines().next().is_some_and(|head| head.contains("\"is_served\":true"))
        };
        wait_for("the import holds the store", is_held);
        assert_eq!(serve(), 5);
        assert_eq!(place.run("serve --listen 127.0.0.1:0", b"").code, 5);
        drop(stdin);
        assert_eq!(import.wait_with_output().expect("it ends").status.code(), Some(1), "cut");
        assert_eq!(serve(), 0);
    }
}

#[test]
fn what_is_no_export_is_told_and_what_came_whole_stays() {
    let mut written = Written::users(2);
    (0..3).for_each(|number| written.session(number, 3));
    let text = written.text();
    let place = Place::sqlite();
    for (file, code, said) in [
        ("", 2, "the file is empty"),
        ("PGDMP\n", 2, "it begins with \"PGDMP\""),
        (&text.replace("\"version\":1", "\"version\":7"), 2, "version 7 of the format"),
        (&text.replace("S1\"", "S1"), 1, "line 11: this is no record of an export"),
        (&text[..text.len() - 200], 1, "it was cut"),
    ] {
        let told = place.import(file);
        assert_eq!(told.code, code, "{}", told.stderr);
        assert!(told.stderr.contains(said), "{}", told.stderr);
        assert_eq!(told.stderr.contains("it ended early; stored"), code == 1, "{}", told.stderr);
    }
    let missing = place.run("import nowhere.jsonl", b"");
    assert_eq!(missing.code, 3);
    assert!(missing.stderr.contains("nowhere.jsonl: No such file"), "{}", missing.stderr);
    let folder = place.run(&format!("import {}", name(&place.path("data"))), b"");
    assert_eq!(folder.code, 1, "{}", folder.stderr);
    let told = place.import(&text).json();
    assert!(told["already_there"]["sessions"].as_u64() >= Some(1), "of the cut file: {told}");
    assert_eq!(told["store"]["sessions"], 3);
    for (url, code, said) in [
        ("postgres://u:secret@127.0.0.1:1/d", 5, "can't connect to PostgreSQL"),
        ("postgres://u:secret@h/d?colour=red", 2, "colour"),
        ("mysql://u:secret@h/d", 2, "begins with neither"),
    ] {
        for line in ["export x.jsonl", "import import.jsonl"] {
            let told = place.run(&format!("{line} --database-url {url}"), b"");
            assert!(
                told.stderr.contains(said) && !told.stderr.contains("secret"),
                "{}",
                told.stderr
            );
            assert_eq!(told.code, code, "{}", told.stderr);
        }
    }
    assert!(!place.path("x.jsonl").exists() && !place.path("x.jsonl.partial").exists());
}
