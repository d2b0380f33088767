//! What all connections of one driver share: where the fields stand, what is sent, what was
//! counted. One value, handed to a connection while it is served, so that a connection itself
//! stays small and nothing is locked.

use super::latency::Latency;
use crate::frame::{self, Keys};
use crate::verify::Field;
use crate::world::World;

const CONTENT_BYTES: usize = 200;
const OPENING: &str = "{\"content\":\"n=";
const DIGITS: usize = 10;

#[derive(Debug)]
pub struct Shared {
    pub seq: Field,
    pub sender: Field,
    /// The number that the sender put into its content.
    pub number: Field,
    pub sessions: Vec<SessionState>,
    pub delivered: u64,
    pub reads: u64,
    pub opened: usize,
    pub sending: bool,
    pub latency: Option<Latency>,
    keys: Keys,
    payload: Vec<u8>,
}

#[derive(Debug)]
pub struct SessionState {
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
    pub fn new(world: &World) -> Self {
        let state = |base| SessionState { base, sent: 0 };
        Self {
            seq: Field::new("\"seq\":"),
            sender: Field::new("\"sender_id\":\""),
            number: Field::new("\"content\":\"n="),
            sessions: world.sessions.iter().map(|session| state(session.head)).collect(),
            delivered: 0,
            reads: 0,
            opened: 0,
            sending: false,
            latency: None,
            keys: Keys::new(0x9e37_79b9),
            payload: payload(),
        }
    }

    /// Appends a whole client frame with the next message, which carries `number`.
    pub fn put_message(&mut self, out: &mut Vec<u8>, mut number: u64) {
        let digits = &mut self.payload[OPENING.len()..OPENING.len() + DIGITS];
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + u8::try_from(number % 10).expect("a digit");
            number /= 10;
        }
        frame::put_client(out, frame::TEXT, &self.payload, self.keys.next());
    }

    pub fn put_pong(&mut self, out: &mut Vec<u8>, payload: &[u8]) {
        frame::put_client(out, frame::PONG, payload, self.keys.next());
    }
}

/// `{"content":"n=0000000000 abc…"}` with 200 bytes of content.
fn payload() -> Vec<u8> {
    let mut payload = Vec::from(OPENING);
    payload.extend_from_slice(&[b'0'; DIGITS]);
    payload.push(b' ');
    let filled = "n=".len() + DIGITS + 1;
    payload.extend((filled..CONTENT_BYTES).map(|i| b'a' + u8::try_from(i % 26).expect("< 26")));
    payload.extend_from_slice(b"\"}");
    payload
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_json_of_200_bytes_content_with_its_number() {
        let mut shared = Shared::new(&World { sessions: Vec::new() });
        let mut bytes = Vec::new();
        shared.put_message(&mut bytes, 1_234_567);
        let head = frame::parse(&bytes).expect("valid").expect("whole");
        frame::mask(&mut bytes[head.start..], head.key.expect("masked"));
        let json: serde_json::Value = serde_json::from_slice(&bytes[head.start..]).expect("JSON");
        let content = json["content"].as_str().expect("a text");
        assert_eq!(content.len(), CONTENT_BYTES);
        assert!(content.starts_with("n=0001234567 n"));
    }
}
