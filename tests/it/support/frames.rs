//! A WebSocket by hand: frames that no decent client would send.

use super::{Raw, TestUser};

pub const TEXT: u8 = 0x1;
pub const BINARY: u8 = 0x2;
pub const CLOSE: u8 = 0x8;
pub const PING: u8 = 0x9;
pub const PONG: u8 = 0xA;
/// Before an opcode: the frame is the last of its message.
pub const LAST: u8 = 0x80;

/// A WebSocket by hand.
pub struct RawSocket(pub Raw);

impl RawSocket {
    /// Opens a socket on a session.
    pub async fn open(user: &TestUser, session: &str, protocol: Option<&str>) -> Self {
        Self::upgrade(user, session, protocol, Raw::open(user.authority()).await).await
    }

    pub async fn upgrade(
        user: &TestUser,
        session: &str,
        protocol: Option<&str>,
        mut raw: Raw,
    ) -> Self {
        raw.send(head(user, session, protocol)).await;
        let answer = raw.answer().await.expect("an answer");
        assert_eq!(answer.status, 101, "{}", answer.text);
        Self(raw)
    }

    /// Sends one masked frame with that first byte.
    pub async fn frame(&mut self, first: u8, payload: &[u8]) -> bool {
        self.0.send(masked(first, payload)).await
    }

    /// The next frame: its opcode and what it holds; none at the end.
    pub async fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        let head = self.0.take(2).await?;
        let length_bytes = match head[1] {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let long = self.0.take(length_bytes).await?;
        let long = long.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        let length = if length_bytes == 0 { usize::from(head[1]) } else { long };
        Some((head[0] & 0xF, self.0.take(length).await?))
    }

    /// Sends text frames in one piece, so that they are read together.
    pub async fn texts(&mut self, texts: &[String]) {
        let frames = texts.iter().flat_map(|text| masked(LAST | TEXT, text.as_bytes()));
        self.0.send(frames.collect::<Vec<_>>()).await;
    }

    /// The next text frame, as JSON; pings are passed over.
    pub async fn json(&mut self) -> serde_json::Value {
        loop {
            match self.next().await.expect("a frame comes") {
                (TEXT, payload) => return serde_json::from_slice(&payload).expect("JSON"),
                (PING, _) => {}
                other => panic!("no text frame: {other:?}"),
            }
        }
    }

    /// The code of the close frame; frames before it are dropped.
    pub async fn closed(&mut self) -> u16 {
        loop {
            let (opcode, payload) = self.next().await.expect("a close frame comes");
            if opcode == CLOSE {
                return u16::from_be_bytes([payload[0], payload[1]]);
            }
        }
    }
}

/// What asks for the socket.
pub fn head(user: &TestUser, session: &str, protocol: Option<&str>) -> String {
    let protocol = protocol.map(|name| format!("Sec-WebSocket-Protocol: {name}\r\n"));
    format!(
        "GET /ws?session_id={session}&token={} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{}\r\n",
        user.token,
        user.authority(),
        protocol.unwrap_or_default(),
    )
}

/// One masked frame with that first byte.
pub fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];
    let mut frame = vec![first];
    match payload.len() {
        len @ 0..126 => frame.push(0x80 | len as u8),
        len @ 126..=0xFFFF => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}
