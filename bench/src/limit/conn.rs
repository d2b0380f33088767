//! One connection of the limit program: handshake, frames in, bytes out.
//!
//! An idle one owns nothing but its socket and the sender's name; what is torn or can't be
//! written yet is boxed, for it is rare.

use super::room::Room;
use crate::frame;
use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mio::net::TcpStream;
use sha1::{Digest, Sha1};
use std::io::{ErrorKind, Read, Write};

const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const OPENING: &[u8] = br#"{"content":""#;
const CLOSING: &[u8] = br#""}"#;
/// A reader that leaves so much behind is let go.
const PENDING_BYTES_MAX: usize = 64 << 20;

type Rest = Option<Box<Vec<u8>>>;

#[derive(Debug)]
pub struct Conn {
    stream: TcpStream,
    /// None until the handshake is through.
    pub room: Option<u32>,
    user: [u8; 36],
    partial: Rest,
    pending: Rest,
}

/// Where messages go while a turn lasts.
#[derive(Debug)]
pub struct Turn<'a> {
    pub rooms: &'a mut Vec<Room>,
    pub touched: &'a mut Vec<usize>,
}

impl Conn {
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, room: None, user: [b'-'; 36], partial: None, pending: None }
    }

    /// Takes all that has come. The session, when this was the handshake.
    pub fn read(
        &mut self,
        ended: bool,
        scratch: &mut [u8],
        turn: &mut Turn<'_>,
    ) -> Result<Option<[u8; 36]>> {
        let mut joined = None;
        loop {
            let kept = self.partial.as_ref().map_or(0, |partial| {
                scratch[..partial.len()].copy_from_slice(partial);
                partial.len()
            });
            let end = match self.stream.read(&mut scratch[kept..]) {
                Ok(0) => bail!("closed"),
                Ok(count) => kept + count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(joined),
                Err(error) => return Err(error.into()),
            };
            let used = match self.room {
                Some(room) => self.take_frames(room as usize, &mut scratch[..end], turn)?,
                // The client waits for the answer, so that no frame can lie behind it.
                None => self.take_handshake(&scratch[..end], &mut joined)?,
            };
            ensure!(end - used < scratch.len(), "too much at once");
            self.partial = (used < end).then(|| Box::new(scratch[used..end].to_vec()));
            if end < scratch.len() && !ended {
                return Ok(joined);
            }
        }
    }

    fn take_frames(&self, at: usize, bytes: &mut [u8], turn: &mut Turn<'_>) -> Result<usize> {
        let mut used = 0;
        while let Some(head) = frame::parse(&bytes[used..])? {
            let payload = &mut bytes[used + head.start..used + head.end];
            used += head.end;
            match head.opcode {
                frame::TEXT => frame::mask(payload, head.key.context("an unmasked frame")?),
                frame::CLOSE => bail!("closed"),
                _ => continue,
            }
            let content = payload.strip_prefix(OPENING).and_then(|p| p.strip_suffix(CLOSING));
            let room = &mut turn.rooms[at];
            if room.frames.is_empty() {
                turn.touched.push(at);
            }
            room.append(&self.user, content.context("another form of message")?);
        }
        Ok(used)
    }

    fn take_handshake(&mut self, bytes: &[u8], joined: &mut Option<[u8; 36]>) -> Result<usize> {
        if !bytes.ends_with(b"\r\n\r\n") {
            return Ok(0);
        }
        let request = std::str::from_utf8(bytes)?;
        let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
        let accept = Sha1::digest(format!("{}{GUID}", key.context("no key")?));
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\n\r\n",
            STANDARD.encode(accept)
        );
        *joined = Some(parameter(request, "session_id=").context("no session_id")?);
        self.user = parameter(request, "token=").context("no token")?;
        self.deliver(answer.as_bytes())?;
        Ok(bytes.len())
    }

    /// Writes `bytes`, or keeps what the socket does not take.
    pub fn deliver(&mut self, bytes: &[u8]) -> Result<()> {
        if let Some(pending) = &mut self.pending {
            ensure!(pending.len() + bytes.len() <= PENDING_BYTES_MAX, "too slow a reader");
            pending.extend_from_slice(bytes);
            return Ok(());
        }
        let written = self.write(bytes)?;
        self.pending = (written < bytes.len()).then(|| Box::new(bytes[written..].to_vec()));
        Ok(())
    }

    /// Writes what was kept; called when the socket takes bytes again.
    pub fn flush(&mut self) -> Result<()> {
        let Some(mut pending) = self.pending.take() else {
            return Ok(());
        };
        let written = self.write(&pending)?;
        if written < pending.len() {
            pending.drain(..written);
            self.pending = Some(pending);
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let mut written = 0;
        while written < bytes.len() {
            match self.stream.write(&bytes[written..]) {
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(written)
    }
}

/// The 36 bytes behind `name`.
fn parameter(request: &str, name: &str) -> Option<[u8; 36]> {
    let (_, rest) = request.split_once(name)?;
    rest.as_bytes().first_chunk().copied()
}
