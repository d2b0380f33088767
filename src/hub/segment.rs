//! Some consecutive events of one session, encoded once for each protocol.
//!
//! A server's frames are unmasked, so the finished bytes are the same for every connection:
//! they are shared, never copied. The frames of one session in one commit are one buffer; a
//! removal or the session's deletion ends a segment, so that a cursor can stop there.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use protocol::{Change, Event, websocket};

/// In which form a follower wants events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// Messages alone, as WebSocket frames.
    Plain,
    /// All events, as WebSocket frames.
    V1,
    /// All events, as server-sent events.
    Sse,
}

/// Memory that an event takes beside its texts, roughly, in bytes.
const EVENT_BYTES: usize = 256;

/// Consecutive events of one session.
#[derive(Debug)]
pub struct Segment {
    events: Vec<Arc<Event>>,
    encoded: [OnceLock<Encoded>; 3],
}

/// The frames of a segment in one buffer.
#[derive(Debug)]
struct Encoded {
    bytes: Bytes,
    /// Where each event's frame ends.
    ends: Vec<u32>,
}

impl Segment {
    /// Takes events whose numbers follow each other; `None` if there are none.
    #[must_use]
    pub fn new(events: Vec<Arc<Event>>) -> Option<Self> {
        debug_assert!(events.windows(2).all(|pair| pair[0].seq + 1 == pair[1].seq));
        (!events.is_empty()).then(|| Self { events, encoded: Default::default() })
    }

    #[must_use]
    pub fn first(&self) -> u64 {
        self.events[0].seq
    }

    #[must_use]
    pub fn last(&self) -> u64 {
        self.events[self.events.len() - 1].seq
    }

    #[must_use]
    pub fn events(&self) -> &[Arc<Event>] {
        &self.events
    }

    /// Roughly what it takes in memory, in bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        let texts: usize = self.events.iter().map(|event| event.content_len()).sum();
        // Once as events, once encoded.
        self.events.len() * EVENT_BYTES + 2 * texts
    }

    /// The finished frames of the events above `after`.
    #[must_use]
    pub fn frames(&self, wire: Wire, after: u64) -> Bytes {
        let encoded = self.encoded[wire as usize].get_or_init(|| encode(&self.events, wire));
        let skipped = after.saturating_sub(self.first() - 1) as usize;
        match skipped {
            0 => encoded.bytes.clone(),
            n if n >= encoded.ends.len() => Bytes::new(),
            n => encoded.bytes.slice(encoded.ends[n - 1] as usize..),
        }
    }

    /// The part of this segment up to and including `seq`, on its own.
    #[must_use]
    pub fn up_to(&self, seq: u64) -> Option<Self> {
        Self::new(self.events.iter().take_while(|event| event.seq <= seq).cloned().collect())
    }
}

fn encode(events: &[Arc<Event>], wire: Wire) -> Encoded {
    let texts: usize = events.iter().map(|event| event.content_len()).sum();
    let mut bytes = Vec::with_capacity(events.len() * 2 * EVENT_BYTES + texts);
    let mut ends = Vec::with_capacity(events.len());
    for event in events {
        match wire {
            Wire::Plain => {
                if let Change::MessageCreated(message) = &event.change {
                    websocket::put_json(&mut bytes, message);
                }
            }
            Wire::V1 => websocket::put_json(&mut bytes, &**event),
            Wire::Sse => put_sse(&mut bytes, event),
        }
        ends.push(u32::try_from(bytes.len()).expect("a segment is far below 4 GiB"));
    }
    Encoded { bytes: Bytes::from(bytes), ends }
}

/// One server-sent event (HTML living standard, 9.2): JSON has no raw line breaks.
fn put_sse(out: &mut Vec<u8>, event: &Event) {
    out.extend_from_slice(format!("id: {}\ndata: ", event.seq).as_bytes());
    serde_json::to_writer(&mut *out, event).expect("events serialise without error");
    out.extend_from_slice(b"\n\n");
}

#[cfg(test)]
pub(super) mod tests {
    use protocol::event::{Nothing, RemovedParticipant};
    use protocol::{Message, MessageId, SessionId, Timestamp, UserId};

    use super::*;

    pub fn message(session_id: SessionId, seq: u64) -> Arc<Event> {
        let at = Timestamp(1_700_000_000_000_000);
        let message = Message {
            id: MessageId::new(),
            session_id,
            seq,
            sender_id: UserId::new(),
            content: format!("content {seq}"),
            file_url: None,
            is_ai_message: false,
            client_id: None,
            created_at: at,
            edited_at: None,
        };
        Arc::new(Event { session_id, seq, at, change: Change::MessageCreated(message) })
    }

    pub fn removal(session_id: SessionId, seq: u64, user_id: UserId) -> Arc<Event> {
        let change = Change::ParticipantRemoved(RemovedParticipant { user_id });
        Arc::new(Event { session_id, seq, at: Timestamp(0), change })
    }

    pub fn deletion(session_id: SessionId, seq: u64) -> Arc<Event> {
        let change = Change::SessionDeleted(Nothing {});
        Arc::new(Event { session_id, seq, at: Timestamp(0), change })
    }

    #[test]
    fn a_cursor_within_a_segment_gets_the_rest_alone() {
        let session = SessionId::new();
        let events: Vec<_> = (5..8).map(|seq| message(session, seq)).collect();
        let segment = Segment::new(events.clone()).expect("three events");
        let whole = segment.frames(Wire::V1, 4);
        let mut parts = Vec::new();
        for event in &events {
            let one = Segment::new(vec![event.clone()]).expect("one event");
            parts.extend_from_slice(&one.frames(Wire::V1, 0));
        }
        assert!(whole == parts);
        let rest = Segment::new(events[2..].to_vec()).expect("one event");
        assert_eq!(segment.frames(Wire::V1, 6), rest.frames(Wire::V1, 6));
        assert_eq!(segment.frames(Wire::V1, 7), Bytes::new());
    }

    #[test]
    fn the_plain_wire_tells_messages_alone() {
        let session = SessionId::new();
        let events = vec![message(session, 1), removal(session, 2, UserId::new())];
        let segment = Segment::new(events).expect("two events");
        assert!(!segment.frames(Wire::Plain, 0).is_empty());
        assert_eq!(segment.frames(Wire::Plain, 1), Bytes::new());
    }
}
