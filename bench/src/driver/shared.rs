//! What all connections of one driver share: where the fields stand, what is sent, what was
//! counted. One value, handed to a connection while it is served, so that a connection itself
//! stays small and nothing is locked.

use super::latency::Latency;
use super::{Dialect, Plan};
use crate::frame::{self, Keys};
use crate::verify::Field;
use crate::world::{Session, World};
use uuid::Uuid;

pub const CONTENT_BYTES: usize = 200;
const DIGITS: usize = 10;
const CLIENT_ID_CHARS: usize = 36;
/// Where a sender writes the whole message, its session and its own id stand for these.
const SESSION: &str = "ssssssss-ssss-ssss-ssss-ssssssssssss";
const USER: &str = "uuuuuuuu-uuuu-uuuu-uuuu-uuuuuuuuuuuu";

#[derive(Debug)]
pub struct Shared {
    pub seq: Field,
    pub sender: Field,
    /// The number that the sender put into its content.
    pub number: Field,
    pub sessions: Vec<SessionState>,
    pub delivered: u64,
    pub presences: u64,
    pub reads: u64,
    pub opened: usize,
    pub sending: bool,
    pub latency: Option<Latency>,
    keys: Keys,
    dialect: Dialect,
    message: Template,
    /// The last number of a `client_id` that was given.
    client_ids: u64,
}

/// A message, and where what changes in it stands.
#[derive(Debug)]
struct Template {
    bytes: Vec<u8>,
    number_at: usize,
    client_id_at: Option<usize>,
    sessions_at: Vec<usize>,
    users_at: Vec<usize>,
}

#[derive(Debug)]
pub struct SessionState {
    id: String,
    base: u64,
    pub sent: u64,
}

impl SessionState {
    /// The session's last number once all that was sent is numbered.
    pub fn head(&self) -> u64 {
        self.base + self.sent
    }
}

impl Shared {
    pub fn new(world: &World, plan: Plan) -> Self {
        let state = |session: &Session| {
            let (id, base) = (session.id.clone(), session.head);
            SessionState { id, base, sent: 0 }
        };
        Self {
            seq: Field::new("\"seq\":"),
            sender: Field::new("\"sender_id\":\""),
            number: Field::new("\"content\":\"n="),
            sessions: world.sessions.iter().map(state).collect(),
            delivered: 0,
            presences: 0,
            reads: 0,
            opened: 0,
            sending: false,
            latency: None,
            keys: Keys::new(0x9e37_79b9),
            dialect: plan.dialect,
            message: Template::of(plan),
            client_ids: 0,
        }
    }

    pub fn session_id(&self, session: usize) -> &str {
        &self.sessions[session].id
    }

    /// Appends a whole client frame with the next message, which carries `number`.
    pub fn put_message(&mut self, out: &mut Vec<u8>, session: usize, user: &str, number: u64) {
        let Template { bytes, number_at, client_id_at, sessions_at, users_at } = &mut self.message;
        put_digits(&mut bytes[*number_at..][..DIGITS], number);
        if let Some(at) = client_id_at {
            self.client_ids += 1;
            put_digits(&mut bytes[*at..][..DIGITS], self.client_ids);
        }
        for at in sessions_at {
            bytes[*at..][..SESSION.len()].copy_from_slice(self.sessions[session].id.as_bytes());
        }
        for at in users_at {
            bytes[*at..][..USER.len()].copy_from_slice(user.as_bytes());
        }
        frame::put_client(out, self.dialect.opcode(), bytes, self.keys.next());
    }

    /// Appends something else that the dialect says.
    pub fn put(&mut self, out: &mut Vec<u8>, payload: &[u8]) {
        frame::put_client(out, self.dialect.opcode(), payload, self.keys.next());
    }

    pub fn put_pong(&mut self, out: &mut Vec<u8>, payload: &[u8]) {
        frame::put_client(out, frame::PONG, payload, self.keys.next());
    }
}

fn put_digits(digits: &mut [u8], mut number: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).expect("a digit");
        number /= 10;
    }
}

impl Template {
    /// `{"content":"n=0000000000 abc…"}` with 200 bytes of content, and a `client_id` of 36 behind
    /// it where one is wanted; around it what the dialect needs.
    fn of(plan: Plan) -> Self {
        let (begin, end) = plan.dialect.around(SESSION, USER);
        let places = |of: &str| begin.match_indices(of).map(|(at, _)| at).collect();
        let (sessions_at, users_at) = (places(SESSION), places(USER));
        let mut bytes = begin.into_bytes();
        bytes.extend_from_slice(b"n=");
        let (number_at, mut client_id_at) = (bytes.len(), None);
        bytes.extend_from_slice(&[b'0'; DIGITS]);
        bytes.push(b' ');
        let filled = "n=".len() + DIGITS + 1;
        bytes.extend((filled..CONTENT_BYTES).map(|i| b'a' + u8::try_from(i % 26).expect("< 26")));
        if plan.client_ids {
            let unique = Uuid::new_v4().simple().to_string();
            bytes.extend_from_slice(b"\",\"client_id\":\"");
            bytes.extend_from_slice(&unique.as_bytes()[..CLIENT_ID_CHARS - DIGITS]);
            client_id_at = Some(bytes.len());
            bytes.extend_from_slice(&[b'0'; DIGITS]);
        }
        bytes.extend_from_slice(end.as_bytes());
        Self { bytes, number_at, client_id_at, sessions_at, users_at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_json_of_200_bytes_content_with_its_number() {
        let plan = Plan { client_ids: true, ..Plan::members(1) };
        let mut shared = Shared::new(&World { sessions: Vec::new() }, plan);
        let mut bytes = Vec::new();
        shared.put_message(&mut bytes, 0, "", 1_234_567);
        let head = frame::parse(&bytes).expect("valid").expect("whole");
        frame::mask(&mut bytes[head.start..], head.key.expect("masked"));
        let json: serde_json::Value = serde_json::from_slice(&bytes[head.start..]).expect("JSON");
        let content = json["content"].as_str().expect("a text");
        assert_eq!(content.len(), CONTENT_BYTES);
        assert!(content.starts_with("n=0001234567 n"));
        let client_id = json["client_id"].as_str().expect("a text");
        assert!(client_id.len() == CLIENT_ID_CHARS && client_id.ends_with("0000000001"));
    }

    #[test]
    fn a_whole_message_names_its_session_and_sender_and_tells_nats_its_length() {
        let id = Uuid::new_v4().to_string();
        let session = Session { id: id.clone(), members: Vec::new(), head: 0 };
        let world = World { sessions: vec![session] };
        let user = Uuid::new_v4().to_string();
        let plan = Plan { dialect: Dialect::Nats, ..Plan::members(1) };
        let mut bytes = Vec::new();
        Shared::new(&world, plan).put_message(&mut bytes, 0, &user, 7);
        let head = frame::parse(&bytes).expect("valid").expect("whole");
        frame::mask(&mut bytes[head.start..], head.key.expect("masked"));
        let text = std::str::from_utf8(&bytes[head.start..]).expect("text");
        let (line, message) = text.split_once("\r\n").expect("a line");
        let message = message.strip_suffix("\r\n").expect("an end");
        assert_eq!(line, format!("PUB {id} {}", message.len()));
        let json: serde_json::Value = serde_json::from_str(message).expect("JSON");
        assert_eq!((&json["session_id"], &json["sender_id"]), (&id.into(), &user.into()));
        assert_eq!(json["content"].as_str().map(str::len), Some(CONTENT_BYTES));
    }
}
