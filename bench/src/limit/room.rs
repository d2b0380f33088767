//! One session of the limit program: its number, its connections, and the frames of the turn.
//!
//! A frame is a copy of ready bytes with three places filled in: number, sender, content. The
//! envelope has the fields of AssistDeck's message, so that both carry the same number of
//! bytes; the number is padded with blanks, so that no place moves.

use crate::frame;
use std::io::Write;

const OPENING: &[u8] = br#"{"id":"0195f3c2-7c1e-7a53-9d2b-3f6f0f3b9a11","session_id":""#;
const BEFORE_SEQ: &[u8] = br#"","seq":"#;
const BEFORE_SENDER: &[u8] = br#","sender_id":""#;
const BEFORE_CONTENT: &[u8] = br#"","content":""#;
const CLOSING: &[u8] = br#"","is_ai_message":false,"created_at":"2026-11-22T12:00:00.000000Z"}"#;

#[derive(Debug)]
pub struct Room {
    session: [u8; 36],
    seq: u64,
    /// Places in the table of connections.
    pub members: Vec<usize>,
    /// Whole frames, ready to be written to every member.
    pub frames: Vec<u8>,
}

impl Room {
    pub fn new(session: [u8; 36]) -> Self {
        Self { session, seq: 0, members: Vec::new(), frames: Vec::new() }
    }

    /// Numbers a message and puts its frame behind the others of this turn.
    pub fn append(&mut self, sender: &[u8; 36], content: &[u8]) {
        self.seq += 1;
        let mut seq = *b"       0";
        write!(&mut seq[..], "{:8}", self.seq).expect("fewer than a hundred million");
        let parts: [&[u8]; 9] = [
            OPENING,
            &self.session,
            BEFORE_SEQ,
            &seq,
            BEFORE_SENDER,
            sender,
            BEFORE_CONTENT,
            content,
            CLOSING,
        ];
        frame::put_server(&mut self.frames, frame::TEXT, &parts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_json_with_the_fields_of_a_message() {
        let mut room = Room::new([b'5'; 36]);
        room.append(&[b'7'; 36], b"hello");
        room.append(&[b'7'; 36], b"again");
        let first = frame::parse(&room.frames).expect("valid").expect("whole");
        let rest = &room.frames[first.end..];
        let second = frame::parse(rest).expect("valid").expect("whole");
        let json: serde_json::Value =
            serde_json::from_slice(&rest[second.start..second.end]).expect("JSON");
        assert_eq!((json["seq"].as_u64(), json["content"].as_str()), (Some(2), Some("again")));
        assert_eq!(json["sender_id"].as_str(), Some("7".repeat(36).as_str()));
    }
}
