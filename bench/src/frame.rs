//! WebSocket framing, as little of it as both ends of the bench need.
//!
//! The load generator and the limit program share this file: [`parse`] reads a frame's head
//! from bytes that may end anywhere, [`put_server`] and [`put_client`] write whole frames.
//! A client's frames are masked with a key that changes every time, for a constant key (or
//! zero) would let a server's unmasking be skipped or be wrong unseen.
//!
//! It never reassembles: a fragmented message is an error here, because neither side of a
//! benchmark sends one, and counting a fragment as a message would make the figures wrong.

use anyhow::{Result, bail};

pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;
const LENGTH_16: u8 = 126;
const LENGTH_64: u8 = 127;

/// Above this the bench gives up: no workload comes near it.
pub const PAYLOAD_BYTES_MAX: usize = 1 << 20;

/// One frame's head: where its payload stands in the bytes that were parsed.
#[derive(Debug, PartialEq, Eq)]
pub struct Head {
    pub opcode: u8,
    pub key: Option<[u8; 4]>,
    pub start: usize,
    pub end: usize,
}

/// Reads the head of the frame at the front of `bytes`; `None` as long as the frame is not
/// there as a whole.
pub fn parse(bytes: &[u8]) -> Result<Option<Head>> {
    let [first, second, rest @ ..] = bytes else {
        return Ok(None);
    };
    if first & FIN == 0 || first & 0x0f == 0 {
        bail!("a fragmented frame (first byte {first:#x}): the bench takes whole messages only");
    }
    let masked = second & MASKED != 0;
    let (length, length_bytes) = match (second & 0x7f, rest) {
        (LENGTH_16, [a, b, ..]) => (usize::from(u16::from_be_bytes([*a, *b])), 2),
        (LENGTH_64, [a, b, c, d, e, f, g, h, ..]) => {
            let length = u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]);
            (usize::try_from(length).unwrap_or(usize::MAX), 8)
        }
        (LENGTH_16 | LENGTH_64, _) => return Ok(None),
        (small, _) => (usize::from(small), 0),
    };
    if length > PAYLOAD_BYTES_MAX {
        bail!("a frame of {length} bytes");
    }
    let key_at = 2 + length_bytes;
    let start = key_at + if masked { 4 } else { 0 };
    let end = start + length;
    if bytes.len() < end {
        return Ok(None);
    }
    let key =
        masked.then(|| [bytes[key_at], bytes[key_at + 1], bytes[key_at + 2], bytes[key_at + 3]]);
    Ok(Some(Head { opcode: first & 0x0f, key, start, end }))
}

/// Applies `key` in place: masks what is plain, unmasks what is masked.
pub fn mask(payload: &mut [u8], key: [u8; 4]) {
    let wide = u64::from(u32::from_ne_bytes(key));
    let wide = (wide << 32) | wide;
    let mut words = payload.chunks_exact_mut(8);
    for word in &mut words {
        let plain: &mut [u8; 8] = word.try_into().expect("chunks_exact gives eight bytes");
        *plain = (u64::from_ne_bytes(*plain) ^ wide).to_ne_bytes();
    }
    for (byte, key_byte) in words.into_remainder().iter_mut().zip(key.iter().cycle()) {
        *byte ^= key_byte;
    }
}

fn put_head(out: &mut Vec<u8>, opcode: u8, length: usize, mask_bit: u8) {
    out.push(FIN | opcode);
    if let Ok(small @ 0..126) = u8::try_from(length) {
        out.push(mask_bit | small);
    } else if let Ok(middle) = u16::try_from(length) {
        out.push(mask_bit | LENGTH_16);
        out.extend_from_slice(&middle.to_be_bytes());
    } else {
        out.push(mask_bit | LENGTH_64);
        out.extend_from_slice(&(length as u64).to_be_bytes());
    }
}

/// Appends an unmasked frame whose payload is the `parts` one after the other.
pub fn put_server(out: &mut Vec<u8>, opcode: u8, parts: &[&[u8]]) {
    put_head(out, opcode, parts.iter().map(|part| part.len()).sum(), 0);
    for part in parts {
        out.extend_from_slice(part);
    }
}

/// Appends a masked frame.
pub fn put_client(out: &mut Vec<u8>, opcode: u8, payload: &[u8], key: [u8; 4]) {
    put_head(out, opcode, payload.len(), MASKED);
    out.extend_from_slice(&key);
    let start = out.len();
    out.extend_from_slice(payload);
    mask(&mut out[start..], key);
}

/// A cheap stream of mask keys (xorshift): they must differ, nobody has to fear guessing.
#[derive(Debug)]
pub struct Keys(u32);

impl Keys {
    pub fn new(seed: u32) -> Self {
        Self(seed | 1)
    }

    pub fn next(&mut self) -> [u8; 4] {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0.to_ne_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_frame_comes_back_as_it_was_at_every_length_form() {
        let mut keys = Keys::new(7);
        for length in [0, 1, 7, 8, 9, 125, 126, 127, 200, 65_535, 65_536, 70_001] {
            let payload: Vec<u8> =
                (0..length).map(|i| u8::try_from(i % 251).expect("<251")).collect();
            let mut bytes = Vec::new();
            put_client(&mut bytes, TEXT, &payload, keys.next());
            let head = parse(&bytes).expect("valid").expect("whole");
            assert_eq!((head.opcode, head.end), (TEXT, bytes.len()));
            mask(&mut bytes[head.start..], head.key.expect("clients mask"));
            assert_eq!(&bytes[head.start..], &payload);
        }
    }

    #[test]
    fn a_frame_that_is_cut_anywhere_is_not_there_yet() {
        for length in [3, 300, 66_000] {
            let mut bytes = Vec::new();
            put_server(&mut bytes, TEXT, &[&vec![b'x'; length], b"tail"]);
            for cut in 0..bytes.len().min(20) {
                assert_eq!(parse(&bytes[..cut]).expect("valid so far"), None);
            }
            assert_eq!(parse(&bytes[..bytes.len() - 1]).expect("valid so far"), None);
            let head = parse(&bytes).expect("valid").expect("whole");
            assert_eq!((head.end - head.start, head.key), (length + 4, None));
        }
    }

    #[test]
    fn fragments_and_giants_are_refused() {
        assert!(parse(&[0x01, 0x02, b'a', b'b']).is_err());
        assert!(parse(&[0x80, 0x02, b'a', b'b']).is_err());
        assert!(parse(&[0x81, 127, 255, 0, 0, 0, 0, 0, 0, 0]).is_err());
    }

    #[test]
    fn keys_differ() {
        let mut keys = Keys::new(1);
        let first: Vec<_> = (0..1000).map(|_| keys.next()).collect();
        let distinct: std::collections::HashSet<_> = first.iter().collect();
        assert_eq!(distinct.len(), first.len());
        assert!(!distinct.contains(&[0, 0, 0, 0]));
    }
}
