//! What the peers speak instead of plain frames of JSON: what surrounds a message, and what is
//! said before the first one.
//!
//! socket.io numbers messages and fills in their fields, as all servers here do that are compared.
//! nchan and NATS pass on what they are given: there the sender writes the whole message, and
//! nobody numbers those of several senders. Each connection then counts what comes, and checks
//! that its own messages come back in their order.

use super::shared::CONTENT_BYTES;
use crate::frame;
use anyhow::{Context, Result, bail, ensure};
use uuid::Uuid;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// A text frame is a message.
    Plain,
    SocketIo,
    /// A text frame is a message, as its sender wrote it.
    Nchan,
    /// The protocol of NATS, in frames of either kind; messages are as their senders wrote them.
    Nats,
}

/// What was said that is no message.
#[derive(Debug, PartialEq, Eq)]
pub enum Talk<'a> {
    /// To be answered with this.
    Answer(&'a str),
    /// The connection is ready for messages.
    Ready,
    Message(&'a [u8]),
    Nothing,
}

const SOCKET_IO_EVENT: &str = "42[\"message\",";

impl Dialect {
    /// What asks for the socket, before the parameters.
    pub fn path(self) -> &'static str {
        match self {
            Self::SocketIo => "/socket.io/?EIO=4&transport=websocket&",
            Self::Plain | Self::Nchan | Self::Nats => "/ws?",
        }
    }

    /// More is said before the connection counts as open.
    pub fn has_opening(self) -> bool {
        matches!(self, Self::SocketIo | Self::Nats)
    }

    pub fn numbers(self) -> bool {
        matches!(self, Self::Plain | Self::SocketIo)
    }

    /// What stands before and behind the content in a message of that user. The content is
    /// [`CONTENT_BYTES`] long.
    pub fn around(self, session: &str, user: &str) -> (String, &'static str) {
        let begin = "{\"content\":\"";
        match self {
            Self::Plain => (begin.to_owned(), "\"}"),
            Self::SocketIo => (format!("{SOCKET_IO_EVENT}{begin}"), "\"}]"),
            Self::Nchan => (whole(session, user), WHOLE_END),
            Self::Nats => {
                let begin = whole(session, user);
                let bytes = begin.len() + CONTENT_BYTES + WHOLE_END.len();
                (format!("PUB {session} {bytes}\r\n{begin}"), NATS_END)
            }
        }
    }

    /// The first thing in `payload`, and how many bytes it takes.
    pub fn hear<'a>(self, opcode: u8, payload: &'a [u8]) -> Result<(Talk<'a>, usize)> {
        let all = payload.len();
        let talk = match self {
            Self::Nats => return hear_nats(payload),
            _ if opcode != frame::TEXT => bail!("a frame of opcode {opcode}"),
            Self::Plain | Self::Nchan => Talk::Message(payload),
            Self::SocketIo => match payload {
                [b'4', b'2', ..] => Talk::Message(payload),
                [b'0', ..] => Talk::Answer("40"),
                [b'4', b'0', ..] => Talk::Ready,
                [b'2'] => Talk::Answer("3"),
                other => bail!("of socket.io: {}", String::from_utf8_lossy(other)),
            },
        };
        Ok((talk, all))
    }

    /// The opcode of what a client sends.
    pub fn opcode(self) -> u8 {
        if self == Self::Nats { frame::BINARY } else { frame::TEXT }
    }

    /// What a client says first, where it does.
    pub fn greeting(self, session: &str) -> Option<String> {
        let connect = "CONNECT {\"verbose\":false,\"pedantic\":false,\"no_responders\":false}";
        (self == Self::Nats).then(|| format!("{connect}\r\nSUB {session} 1\r\nPING\r\n"))
    }
}

const WHOLE_END: &str =
    "\",\"is_ai_message\":false,\"created_at\":\"2026-01-01T00:00:00.000000Z\"}";
const NATS_END: &str =
    "\",\"is_ai_message\":false,\"created_at\":\"2026-01-01T00:00:00.000000Z\"}\r\n";

/// A message as a server would write it, up to its content.
fn whole(session: &str, user: &str) -> String {
    let id = Uuid::new_v4();
    format!(
        "{{\"id\":\"{id}\",\"session_id\":\"{session}\",\"seq\":1000000,\
         \"sender_id\":\"{user}\",\"content\":\""
    )
}

/// One line of NATS, and the payload behind it. A frame holds whole ones.
fn hear_nats(bytes: &[u8]) -> Result<(Talk<'_>, usize)> {
    let end = memchr::memchr(b'\n', bytes).context("half a line of NATS")?;
    let (line, next) = (bytes[..end].trim_ascii_end(), end + 1);
    Ok(match line {
        [b'M', b'S', b'G', b' ', ..] => {
            let size = line.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
            let size: usize = std::str::from_utf8(size)?.parse().context("a size of NATS")?;
            ensure!(bytes.len() >= next + size + 2, "half a message of NATS");
            (Talk::Message(&bytes[next..next + size]), next + size + 2)
        }
        [b'I', b'N', b'F', b'O', ..] => (Talk::Nothing, next),
        b"PING" => (Talk::Answer("PONG\r\n"), next),
        b"PONG" => (Talk::Ready, next),
        other => bail!("of NATS: {}", String::from_utf8_lossy(other)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nats_is_read_line_by_line_and_half_a_message_is_an_error() {
        let bytes = b"INFO {\"a\":1} \r\nPING\r\nMSG s 1 5\r\na\r\nbc\r\nPONG\r\n";
        let (mut at, mut heard) = (0, Vec::new());
        while at < bytes.len() {
            let (talk, used) = Dialect::Nats.hear(frame::BINARY, &bytes[at..]).expect("NATS");
            heard.push(talk);
            at += used;
        }
        let message = Talk::Message(b"a\r\nbc");
        assert_eq!(heard, [Talk::Nothing, Talk::Answer("PONG\r\n"), message, Talk::Ready]);
        for half in [&b"MSG s 1 5\r\nab"[..], b"MSG s 1", b"-ERR 'x'\r\n"] {
            Dialect::Nats.hear(frame::BINARY, half).expect_err("no whole message");
        }
    }
}
