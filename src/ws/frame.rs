//! Reading frames (RFC 6455, 5.2): headers, unmasking, reassembly, UTF-8, close bodies. No I/O.
//!
//! [`Reader::feed`] is given bytes as they come and calls back for each whole message. A whole,
//! unfragmented frame is unmasked in place and handed over without a copy; only what is torn or
//! fragmented is gathered, within [`Limits`]. Text is checked as it arrives, so a bad byte ends
//! the connection at once and not after half a megabyte.

use protocol::{CloseCode, websocket as wire};

/// Bounds of one reassembled message.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Setting `frame_bytes_max`.
    pub bytes_max: usize,
    /// Setting `frame_fragments_max`.
    pub fragments_max: usize,
}

/// Something whole that a client sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming<'a> {
    Text(&'a str),
    Binary(&'a [u8]),
    Ping(&'a [u8]),
    Pong,
    /// With the client's code, if it gave one.
    Close(Option<u16>),
}

/// Whether the one who is called back can take more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    Go,
    /// Not now: the rest is kept.
    Pause,
}

const CONTINUATION: u8 = 0x0;
/// The longest payload of a control frame, in bytes.
const CONTROL_BYTES_MAX: usize = 125;

/// What has come of a message whose end has not.
#[derive(Debug)]
struct Partial {
    data: Vec<u8>,
    is_text: bool,
    fragments: usize,
    /// Bytes of `data` that are whole characters.
    checked: usize,
    /// The frame that is under way, if one is.
    frame: Option<Body>,
}

/// A data frame whose payload is still coming.
#[derive(Clone, Copy, Debug)]
struct Body {
    left: usize,
    mask: [u8; 4],
    is_last: bool,
}

#[derive(Clone, Copy, Debug)]
struct Header {
    opcode: u8,
    is_last: bool,
    mask: [u8; 4],
    len: usize,
    header_len: usize,
}

/// Frames of one connection, as they come. Eight bytes when nothing is torn.
#[derive(Debug, Default)]
pub struct Reader {
    partial: Option<Box<Partial>>,
}

impl Reader {
    /// Takes what it can of `data` and tells how much. What is left is an incomplete header or
    /// control frame, or what the callee had no room for; it must come again, with more behind.
    pub fn feed(
        &mut self,
        data: &mut [u8],
        limits: Limits,
        mut take: impl FnMut(Incoming<'_>) -> Flow,
    ) -> Result<usize, CloseCode> {
        let mut used = 0;
        while used < data.len() {
            if self.partial.as_ref().is_some_and(|partial| partial.frame.is_some()) {
                let (eaten, flow) = self.go_on(&mut data[used..], &mut take)?;
                used += eaten;
                if flow == Flow::Pause {
                    break;
                }
                continue;
            }
            let Some(header) = parse_header(&data[used..])? else { break };
            let flow = if header.opcode & 0x8 != 0 {
                let end = used + header.header_len + header.len;
                if data.len() < end {
                    break;
                }
                let payload = &mut data[used + header.header_len..end];
                unmask(payload, header.mask);
                used = end;
                take(control(header.opcode, payload)?)
            } else {
                self.check(&header, limits)?;
                let end = used + header.header_len + header.len;
                if self.partial.is_none() && header.is_last && end <= data.len() {
                    let payload = &mut data[used + header.header_len..end];
                    unmask(payload, header.mask);
                    used = end;
                    take(whole(header.opcode == wire::TEXT, payload)?)
                } else {
                    used += header.header_len;
                    self.begin(&header);
                    // Also an empty last fragment has to end its message here.
                    let (eaten, flow) = self.go_on(&mut data[used..], &mut take)?;
                    used += eaten;
                    flow
                }
            };
            if flow == Flow::Pause {
                break;
            }
        }
        Ok(used)
    }

    /// Order of fragments and the bounds of the whole message.
    fn check(&self, header: &Header, limits: Limits) -> Result<(), CloseCode> {
        let is_continuation = header.opcode == CONTINUATION;
        if is_continuation != self.partial.is_some() {
            return Err(CloseCode::ProtocolError);
        }
        let (have, fragments) =
            self.partial.as_ref().map_or((0, 0), |partial| (partial.data.len(), partial.fragments));
        if header.len > limits.bytes_max.saturating_sub(have) || fragments >= limits.fragments_max {
            return Err(CloseCode::TooBig);
        }
        Ok(())
    }

    fn begin(&mut self, header: &Header) {
        let partial = self.partial.get_or_insert_with(|| {
            Box::new(Partial {
                data: Vec::new(),
                is_text: header.opcode == wire::TEXT,
                fragments: 0,
                checked: 0,
                frame: None,
            })
        });
        partial.fragments += 1;
        partial.frame = Some(Body { left: header.len, mask: header.mask, is_last: header.is_last });
    }

    /// Gathers payload of the frame that is under way.
    fn go_on(
        &mut self,
        data: &mut [u8],
        take: &mut impl FnMut(Incoming<'_>) -> Flow,
    ) -> Result<(usize, Flow), CloseCode> {
        let partial = self.partial.as_mut().expect("a frame is under way");
        let body = partial.frame.as_mut().expect("a frame is under way");
        let eaten = body.left.min(data.len());
        unmask(&mut data[..eaten], body.mask);
        partial.data.extend_from_slice(&data[..eaten]);
        body.left -= eaten;
        body.mask.rotate_left(eaten % 4);
        let (is_over, is_last) = (body.left == 0, body.is_last);
        if partial.is_text {
            partial.checked += valid_prefix(&partial.data[partial.checked..])?;
        }
        if !is_over {
            return Ok((eaten, Flow::Go));
        }
        partial.frame = None;
        if !is_last {
            return Ok((eaten, Flow::Go));
        }
        let partial = self.partial.take().expect("it was here a moment ago");
        if partial.is_text && partial.checked < partial.data.len() {
            return Err(CloseCode::InvalidUtf8);
        }
        Ok((eaten, take(whole(partial.is_text, &partial.data)?)))
    }
}

fn whole(is_text: bool, payload: &[u8]) -> Result<Incoming<'_>, CloseCode> {
    if !is_text {
        return Ok(Incoming::Binary(payload));
    }
    std::str::from_utf8(payload).map(Incoming::Text).map_err(|_| CloseCode::InvalidUtf8)
}

/// How much of `bytes` is whole characters; an error where no more bytes could mend it.
fn valid_prefix(bytes: &[u8]) -> Result<usize, CloseCode> {
    match std::str::from_utf8(bytes) {
        Ok(_) => Ok(bytes.len()),
        Err(error) if error.error_len().is_none() => Ok(error.valid_up_to()),
        Err(_) => Err(CloseCode::InvalidUtf8),
    }
}

fn parse_header(data: &[u8]) -> Result<Option<Header>, CloseCode> {
    let [first, second, ..] = *data else { return Ok(None) };
    let (opcode, is_last) = (first & 0x0F, first & 0x80 != 0);
    let is_known = matches!(opcode, 0x0..=0x2 | 0x8..=0xA);
    // No extension was agreed on, so its bits are zero; a client's frames are masked.
    if !is_known || first & 0x70 != 0 || second & 0x80 == 0 {
        return Err(CloseCode::ProtocolError);
    }
    let short = usize::from(second & 0x7F);
    if opcode & 0x8 != 0 && (short > CONTROL_BYTES_MAX || !is_last) {
        return Err(CloseCode::ProtocolError);
    }
    let len_bytes = match short {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let header_len = 2 + len_bytes + 4;
    if data.len() < header_len {
        return Ok(None);
    }
    let len = match len_bytes {
        0 => short as u64,
        _ => data[2..2 + len_bytes].iter().fold(0, |len, &byte| len << 8 | u64::from(byte)),
    };
    if len >> 63 != 0 {
        return Err(CloseCode::ProtocolError);
    }
    let len = usize::try_from(len).map_err(|_| CloseCode::TooBig)?;
    let mut mask = [0; 4];
    mask.copy_from_slice(&data[header_len - 4..header_len]);
    Ok(Some(Header { opcode, is_last, mask, len, header_len }))
}

fn control(opcode: u8, payload: &[u8]) -> Result<Incoming<'_>, CloseCode> {
    match opcode {
        wire::PING => Ok(Incoming::Ping(payload)),
        wire::PONG => Ok(Incoming::Pong),
        _ => close_code(payload).map(Incoming::Close),
    }
}

/// The code of a close frame's body (RFC 6455, 5.5.1 and 7.4).
fn close_code(payload: &[u8]) -> Result<Option<u16>, CloseCode> {
    match *payload {
        [] => Ok(None),
        [_] => Err(CloseCode::ProtocolError),
        [high, low, ref reason @ ..] => {
            let code = u16::from_be_bytes([high, low]);
            let is_valid = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
            if !is_valid {
                return Err(CloseCode::ProtocolError);
            }
            std::str::from_utf8(reason).map_err(|_| CloseCode::InvalidUtf8)?;
            Ok(Some(code))
        }
    }
}

fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let wide = u64::from_ne_bytes([
        mask[0], mask[1], mask[2], mask[3], mask[0], mask[1], mask[2], mask[3],
    ]);
    let mut chunks = payload.chunks_exact_mut(8);
    for chunk in &mut chunks {
        let value = u64::from_ne_bytes(chunk.try_into().expect("chunks of 8")) ^ wide;
        chunk.copy_from_slice(&value.to_ne_bytes());
    }
    for (byte, key) in chunks.into_remainder().iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
