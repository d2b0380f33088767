//! What is moved is as it was: for the files, and for everybody who asks a server.

use serde_json::{Value, json};

use crate::dice::Dice;
use crate::process::ServerProcess;
use crate::support::{Place, WORD, body, call, get, login, text};

/// A world that was made by chance, as its people can ask for it.
struct World {
    /// Email and token; the last is an agent, without a password.
    users: Vec<(String, String)>,
    ids: Vec<String>,
    sessions: Vec<String>,
    /// Sends that can be repeated: path, token, body.
    sends: Vec<(String, String, Value)>,
}

const WORDS: &[&str] =
    &["ein Wort", "日本語", "👩‍👩‍👧 emoji", "tab\there", "\"quoted\" \\ back", "line\r\nline"];

impl World {
    fn new(place: &Place, server: &ServerProcess, dice: &mut Dice) -> Self {
        let (mut users, mut ids) = (Vec::new(), Vec::new());
        for number in 0..4 {
            let email = format!("Person{number}@moving.example");
            let name = format!("Person {number} ünïcode");
            let new = json!({"email": email, "name": name, "password": WORD});
            let (status, made) = call(server, "POST /api/register", "", &new);
            assert_eq!(status, 201, "{made}");
            users.push((email, text(&made["token"]).to_owned()));
            ids.push(text(&made["user"]["id"]).to_owned());
        }
        let agent = place.run("agent create Helper --json", b"").json();
        ids.push(text(&agent["id"]).to_owned());
        let token = place.run(&format!("token issue {}", text(&agent["id"])), b"").stdout;
        users.push((text(&agent["email"]).to_owned(), token.trim().to_owned()));
        let mut world = Self { users, ids, sessions: Vec::new(), sends: Vec::new() };
        for number in 0..4 {
            let owner = world.users[number % 3].1.clone();
            let title = json!({"title": format!("Session {number} ñ")});
            let (status, made) = call(server, "POST /api/chat/sessions", &owner, &title);
            assert_eq!(status, 201, "{made}");
            world.sessions.push(text(&made["id"]).to_owned());
            for _ in 0..70 {
                world.deed(server, dice, number);
            }
        }
        let gone =
            call(server, "POST /api/chat/sessions", &world.users[0].1, &json!({"title": "x"}));
        let path = format!("/api/chat/sessions/{}", text(&gone.1["id"]));
        world.sessions.push(text(&gone.1["id"]).to_owned());
        let deleted = call(server, &format!("DELETE {path}"), &world.users[0].1, &Value::Null);
        assert_eq!(deleted.0, 200);
        world
    }

    /// Something that somebody does in a session; much of it is refused.
    fn deed(&mut self, server: &ServerProcess, dice: &mut Dice, session: usize) {
        let who = dice.below(self.users.len() as u64) as usize;
        let token = self.users[who].1.clone();
        let owner = self.users[session % 3].1.clone();
        let path = format!("/api/chat/sessions/{}", self.sessions[session]);
        let someone = dice.pick(&self.ids).clone();
        match dice.below(12) {
            0 | 1 => {
                let body = json!({"user_id": someone});
                call(server, &format!("POST {path}/participants"), &owner, &body);
            }
            2 => {
                call(
                    server,
                    &format!("DELETE {path}/participants/{someone}"),
                    &owner,
                    &Value::Null,
                );
            }
            3 => {
                let body = json!({"title": format!("Renamed {}", dice.below(100))});
                call(server, &format!("PATCH {path}"), &owner, &body);
            }
            kind @ (4 | 5) => {
                let (_, listed) = get(server, &format!("{path}/messages"), &token);
                let Some(messages) = listed.as_array().filter(|list| !list.is_empty()) else {
                    return;
                };
                let message = text(&dice.pick(messages)["id"]).to_owned();
                let (verb, body) = match kind {
                    4 => ("PATCH", json!({"content": format!("edited {}", dice.below(1000))})),
                    _ => ("DELETE", Value::Null),
                };
                call(server, &format!("{verb} {path}/messages/{message}"), &token, &body);
            }
            6 => {
                let (_, seen) = get(server, &path, &token);
                let head = seen["last_seq"].as_u64().unwrap_or(0);
                let body = json!({"seq": dice.below(head + 1)});
                call(server, &format!("POST {path}/read"), &token, &body);
            }
            _ => {
                let mut body =
                    json!({"content": format!("{} {}", dice.pick(WORDS), dice.below(1000))});
                if dice.below(2) == 0 {
                    body["client_id"] = json!(format!("key-{}", dice.below(1_000_000)));
                }
                if dice.below(4) == 0 {
                    body["file_url"] = json!("https://files.example/ä.png");
                }
                let path = format!("{path}/messages");
                let sent = call(server, &format!("POST {path}"), &token, &body);
                if sent.0 == 201 && body["client_id"].is_string() {
                    self.sends.push((path, token, body));
                }
            }
        }
    }

    /// Everything that anybody can read.
    fn seen(&self, server: &ServerProcess) -> Vec<(String, (u16, Value))> {
        let mut seen = Vec::new();
        for (email, token) in &self.users {
            let mut look = |path: String| {
                let answer = get(server, &path, token);
                seen.push((format!("{email} {path}"), answer));
            };
            look("/api/users/profile".to_owned());
            look("/api/chat/sessions".to_owned());
            for session in &self.sessions {
                let path = format!("/api/chat/sessions/{session}");
                look(path.clone());
                look(format!("{path}/participants"));
                look(format!("{path}/messages?after=0&limit=1000"));
                look(format!("{path}/events?after=0&limit=1000"));
            }
        }
        seen
    }

    /// What is sent again is answered as before.
    fn repeat(&self, server: &ServerProcess) -> Vec<(u16, Value)> {
        let send = |(path, token, body): &(String, String, Value)| {
            let mut answer = call(server, &format!("POST {path}"), token, body);
            // A sentence for people.
            answer.1["error"].take();
            answer
        };
        self.sends.iter().map(send).collect()
    }
}

#[test]
fn a_store_comes_through_postgres_and_back_as_it_was() {
    let seed =
        std::env::var("MOVING_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(6_502);
    println!("MOVING_SEED={seed}");
    let (first, middle, last) = (Place::sqlite(), Place::postgres(), Place::sqlite());
    let server = first.serve();
    let world = World::new(&first, &server, &mut Dice::new(seed));
    let revoked = first.run("token issue person1@moving.example", b"").stdout;
    assert_eq!(first.run("token revoke --stdin", revoked.as_bytes()).code, 0);
    let disabled = first.run("user disable person3@moving.example", b"");
    assert_eq!(disabled.code, 0, "{}", disabled.stderr);
    assert!(server.stop().success());
    let server = first.serve();
    let (seen, repeats) = (world.seen(&server), world.repeat(&server));
    assert!(repeats.iter().filter(|(status, _)| *status == 200).count() > 20, "{repeats:?}");
    assert!(server.stop().success());

    let out = first.export();
    let kinds =
        ["edited_at", "message.deleted", "participant.removed", "request_hash", "session.updated"];
    for kind in kinds.iter().chain(&["revoked_token", "deleted_at", "\"agent\"", "file_url"]) {
        assert!(out.contains(kind), "the world of seed {seed} has no {kind}");
    }
    let told = middle.import(&out).json();
    assert_eq!(told["stored"], told["read"]);
    assert_eq!(told["store"], told["read"]);
    let across = middle.export();
    assert_eq!(body(&across), body(&out), "seed {seed}");
    assert_eq!(last.import(&across).code, 0);
    let back = last.export();
    assert_eq!(body(&back), body(&out), "seed {seed}");

    for place in [&middle, &last] {
        let server = place.serve();
        for (before, after) in seen.iter().zip(world.seen(&server)) {
            assert_eq!(*before, after, "seed {seed}");
        }
        assert_eq!(world.repeat(&server), repeats, "seed {seed}");
        assert_eq!(login(&server, "person0@moving.example", WORD).0, 200);
        assert_eq!(login(&server, "person3@moving.example", WORD).0, 401, "disabled");
        assert_eq!(get(&server, "/api/users/profile", revoked.trim()).0, 401);
        // And it goes on from there.
        let owner = &world.users[0].1;
        let path = format!("/api/chat/sessions/{}", world.sessions[0]);
        let head = get(&server, &path, owner).1["last_seq"].as_u64().expect("a number");
        let sent =
            call(&server, &format!("POST {path}/messages"), owner, &json!({"content": "on"}));
        assert_eq!((sent.0, &sent.1["seq"]), (201, &json!(head + 1)));
        let other = login(&server, "person1@moving.example", WORD).1;
        let new = json!({"title": "new"});
        assert_eq!(call(&server, "POST /api/chat/sessions", text(&other["token"]), &new).0, 201);
        assert!(server.stop().success());
    }
    // What the copies went on with is kept, and what came of the first is there.
    let again = last.import(&out);
    assert_eq!(
        (again.code, &again.json()["stored"]["sessions"]),
        (0, &json!(0)),
        "{}",
        again.stderr
    );
}
