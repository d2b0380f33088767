//! Finished WebSocket frames (RFC 6455, 5.2) as a server sends them: unmasked, so that one
//! encoding serves every connection.

/// Opcode of a text frame.
pub const TEXT: u8 = 0x1;
/// Opcode of a binary frame.
pub const BINARY: u8 = 0x2;
/// Opcode of a close frame.
pub const CLOSE: u8 = 0x8;
/// Opcode of a ping.
pub const PING: u8 = 0x9;
/// Opcode of a pong.
pub const PONG: u8 = 0xA;

/// The longest header of a server's frame, in bytes.
pub const HEADER_BYTES_MAX: usize = 10;

/// Writes the header of an unfragmented, unmasked frame in front of `len` payload bytes.
pub fn put_header(out: &mut Vec<u8>, opcode: u8, len: usize) {
    out.push(0x80 | opcode);
    if len < 126 {
        out.push(len as u8);
    } else if len <= usize::from(u16::MAX) {
        out.push(126);
        out.extend_from_slice(&(len as u16).to_be_bytes());
    } else {
        out.push(127);
        out.extend_from_slice(&(len as u64).to_be_bytes());
    }
}

/// Appends one finished frame.
pub fn put_frame(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    out.reserve(HEADER_BYTES_MAX + payload.len());
    put_header(out, opcode, payload.len());
    out.extend_from_slice(payload);
}

/// Appends one finished text frame that holds `value` as JSON. The payload is written straight
/// into `out`; only where its length needs a longer header than expected is it moved.
pub fn put_json<T: serde::Serialize>(out: &mut Vec<u8>, value: &T) {
    // 4 bytes of header fit payloads of 126 to 65,535 bytes: nearly all there are.
    let start = out.len();
    out.extend_from_slice(&[0x80 | TEXT, 126, 0, 0]);
    serde_json::to_writer(&mut *out, value).expect("a frame's types serialise without error");
    let len = out.len() - start - 4;
    match len {
        0..126 => {
            out[start + 1] = len as u8;
            out.drain(start + 2..start + 4);
        }
        126..=0xFFFF => out[start + 2..start + 4].copy_from_slice(&(len as u16).to_be_bytes()),
        _ => {
            out[start + 1] = 127;
            out.splice(start + 2..start + 4, (len as u64).to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_frames_have_the_header_of_their_length() {
        for len in [1_usize, 123, 124, 125, 126, 65_533, 65_534, 65_536] {
            let text = "x".repeat(len);
            let mut expected = b"before".to_vec();
            put_frame(&mut expected, TEXT, format!("\"{text}\"").as_bytes());
            let mut out = b"before".to_vec();
            put_json(&mut out, &text);
            assert!(out == expected, "{len}");
        }
    }
}
