//! Frames as clients send them, torn at every byte, against an independent encoder.

use proptest::prelude::*;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};
use tungstenite::protocol::frame::{Frame, FrameHeader};

use super::*;

const LIMITS: Limits = Limits { bytes_max: 1 << 20, fragments_max: 100 };

#[derive(Clone, Debug, PartialEq, Eq)]
enum Got {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong,
    Close(Option<u16>),
}

fn masked(opcode: OpCode, is_final: bool, payload: &[u8]) -> Vec<u8> {
    let header = FrameHeader { is_final, opcode, mask: Some([1, 2, 3, 250]), ..Default::default() };
    let mut out = Vec::new();
    Frame::from_payload(header.clone(), payload.to_vec().into());
    header.format(payload.len() as u64, &mut out).expect("into memory");
    out.extend(payload.iter().zip([1, 2, 3, 250].iter().cycle()).map(|(byte, key)| byte ^ key));
    out
}

/// Feeds `bytes` in pieces that end at `cuts`, keeping what is left as a connection does.
fn read(bytes: &[u8], cuts: &[usize]) -> Result<Vec<Got>, CloseCode> {
    let (mut reader, mut kept, mut got) = (Reader::default(), Vec::new(), Vec::new());
    let mut ends: Vec<_> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    ends.push(bytes.len());
    ends.sort_unstable();
    let mut start = 0;
    for end in ends {
        kept.extend_from_slice(&bytes[start..end]);
        start = end;
        let used = reader.feed(&mut kept, LIMITS, |incoming| {
            got.push(match incoming {
                Incoming::Text(text) => Got::Text(text.to_owned()),
                Incoming::Binary(data) => Got::Binary(data.to_vec()),
                Incoming::Ping(data) => Got::Ping(data.to_vec()),
                Incoming::Pong => Got::Pong,
                Incoming::Close(code) => Got::Close(code),
            });
            Flow::Go
        })?;
        kept.drain(..used);
    }
    assert!(kept.is_empty(), "whole frames leave nothing behind");
    Ok(got)
}

fn text(data: Data) -> OpCode {
    OpCode::Data(data)
}

proptest! {
    #[test]
    fn what_was_sent_comes_out_however_it_is_torn(
        messages in proptest::collection::vec((any::<bool>(), "\\PC{0,300}", 1_usize..5), 1..6),
        cuts in proptest::collection::vec(any::<usize>(), 0..20),
    ) {
        let (mut bytes, mut expected) = (Vec::new(), Vec::new());
        for (is_text, content, fragments) in messages {
            let payload = content.as_bytes();
            let size = payload.len().div_ceil(fragments).max(1);
            let mut parts: Vec<_> = payload.chunks(size).collect();
            if parts.is_empty() {
                parts.push(&[]);
            }
            for (index, part) in parts.iter().enumerate() {
                let first = if is_text { Data::Text } else { Data::Binary };
                let opcode = if index == 0 { first } else { Data::Continue };
                bytes.extend(masked(text(opcode), index + 1 == parts.len(), part));
                // Control frames may stand between fragments.
                bytes.extend(masked(OpCode::Control(Control::Ping), true, b"p"));
            }
            let pings = vec![Got::Ping(b"p".to_vec()); parts.len() - 1];
            expected.extend(pings);
            expected.push(match is_text {
                true => Got::Text(content.clone()),
                false => Got::Binary(payload.to_vec()),
            });
            expected.push(Got::Ping(b"p".to_vec()));
        }
        prop_assert_eq!(read(&bytes, &cuts), Ok(expected));
    }

    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut bytes = bytes;
        let _ = Reader::default().feed(&mut bytes, LIMITS, |_| Flow::Go);
    }
}

#[test]
fn what_the_rfc_forbids_is_a_protocol_error() {
    let mut unmasked = masked(text(Data::Text), true, b"abc");
    unmasked[1] &= 0x7F;
    let mut reserved = masked(text(Data::Text), true, b"abc");
    reserved[0] |= 0x40;
    let unknown = masked(text(Data::Reserved(5)), true, b"");
    let orphan = masked(text(Data::Continue), true, b"");
    let torn_ping = masked(OpCode::Control(Control::Ping), false, b"");
    let long_ping = masked(OpCode::Control(Control::Ping), true, &[0; 126]);
    let one_byte_close = masked(OpCode::Control(Control::Close), true, b"x");
    let bad_close = masked(OpCode::Control(Control::Close), true, &1005_u16.to_be_bytes());
    let mut twice = masked(text(Data::Text), false, b"a");
    twice.extend(masked(text(Data::Text), true, b"b"));
    for bad in [
        unmasked,
        reserved,
        unknown,
        orphan,
        torn_ping,
        long_ping,
        one_byte_close,
        bad_close,
        twice,
    ] {
        assert_eq!(read(&bad, &[]), Err(CloseCode::ProtocolError), "{bad:?}");
    }
}

#[test]
fn bad_text_ends_before_its_frame_does() {
    let bytes = masked(text(Data::Text), true, b"abc\xff and so on");
    let mut torn = bytes[..12].to_vec();
    let outcome = Reader::default().feed(&mut torn, LIMITS, |_| Flow::Go);
    assert_eq!(outcome, Err(CloseCode::InvalidUtf8));
}

#[test]
fn a_message_one_byte_above_its_limit_is_too_big_before_it_comes() {
    let header = &masked(text(Data::Binary), true, &vec![0; LIMITS.bytes_max + 1])[..14];
    assert_eq!(read(header, &[]), Err(CloseCode::TooBig));
    let whole = masked(text(Data::Binary), true, &vec![0; LIMITS.bytes_max]);
    assert!(read(&whole, &[]).is_ok());
    let mut flood = masked(text(Data::Binary), false, b"");
    for _ in 1..LIMITS.fragments_max {
        flood.extend(masked(text(Data::Continue), false, b""));
    }
    assert_eq!(read(&flood, &[]), Ok(vec![]));
    flood.extend(masked(text(Data::Continue), true, b""));
    assert_eq!(read(&flood, &[]), Err(CloseCode::TooBig));
}

#[test]
fn a_pause_keeps_the_rest() {
    let mut bytes = masked(text(Data::Text), true, b"one");
    let first = bytes.len();
    bytes.extend(masked(text(Data::Text), true, b"two"));
    let mut seen = 0;
    let mut reader = Reader::default();
    let mut pause = |_: Incoming<'_>| {
        seen += 1;
        Flow::Pause
    };
    assert_eq!(reader.feed(&mut bytes, LIMITS, &mut pause), Ok(first));
    assert_eq!(reader.feed(&mut bytes[first..], LIMITS, &mut pause), Ok(first));
    assert_eq!(seen, 2);
}
