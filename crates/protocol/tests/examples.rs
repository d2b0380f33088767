//! The golden frames: one file for each variant in `examples/`, which clients test against.
//!
//! Each file must be exactly what the types write, and the types must read it back. After a
//! wanted change: `UPDATE_EXAMPLES=1 cargo test -p assistdeck-protocol`, and look at the diff.

use std::path::Path;

use protocol::event::{DeletedMessage, Nothing, RemovedParticipant};
use protocol::frame::{ClientFrame, Limits, Received, ServerFrame};
use protocol::{
    Change, ErrorCode, Event, Message, MessageId, ParticipantId, ParticipantRow, Session,
    SessionId, Timestamp, UserId,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

const AT: Timestamp = Timestamp(1_767_225_600_123_456);

fn id(last: u8) -> Uuid {
    Uuid::from_u128(0x019b_76da_a800_7000_8000_0000_0000_0000 | u128::from(last))
}

fn session() -> Session {
    Session {
        id: SessionId(id(1)),
        user_id: UserId(id(2)),
        title: "Release planning".into(),
        created_at: AT,
        updated_at: AT,
        last_seq: 7,
        epoch: "k3v9q2".into(),
        is_owner: None,
    }
}

fn message() -> Message {
    Message {
        id: MessageId(id(4)),
        session_id: SessionId(id(1)),
        seq: 7,
        sender_id: UserId(id(3)),
        content: "Shall we ship on Friday? ✓".into(),
        file_url: Some("https://files.example/plan.pdf".into()),
        is_ai_message: false,
        client_id: Some("c-17".into()),
        created_at: AT,
        edited_at: None,
    }
}

fn row() -> ParticipantRow {
    ParticipantRow {
        id: ParticipantId(id(5)),
        user_id: UserId(id(3)),
        email: "participant@example.com".into(),
        name: "Participant Name".into(),
        is_owner: false,
        created_at: AT,
    }
}

fn events() -> Vec<(&'static str, Change)> {
    let edited = Message { edited_at: Some(AT), file_url: None, client_id: None, ..message() };
    vec![
        ("message.created", Change::MessageCreated(message())),
        ("message.updated", Change::MessageUpdated(edited)),
        ("message.deleted", Change::MessageDeleted(DeletedMessage { id: MessageId(id(4)) })),
        ("participant.added", Change::ParticipantAdded(row())),
        (
            "participant.removed",
            Change::ParticipantRemoved(RemovedParticipant { user_id: UserId(id(3)) }),
        ),
        ("session.updated", Change::SessionUpdated(session())),
        ("session.deleted", Change::SessionDeleted(Nothing {})),
    ]
}

fn signals() -> Vec<(&'static str, ServerFrame)> {
    let (session_id, user_id) = (SessionId(id(1)), UserId(id(3)));
    let mine = Session { is_owner: Some(false), ..session() };
    let limits = Limits {
        content_bytes_max: 65_536,
        frame_bytes_max: 524_288,
        follows_max: 200,
        sends_in_flight_max: 32,
    };
    let body = ErrorCode::ClientIdReused.body();
    vec![
        (
            "hello",
            ServerFrame::Hello {
                connection_id: id(6),
                user_id,
                heartbeat_ms: 25_000,
                token_expires_in_ms: 604_800_000,
                limits,
            },
        ),
        (
            "following",
            ServerFrame::Following {
                session_id,
                session: mine.clone(),
                after: 7,
                head: 7,
                member_count: 2,
                participants: Some(vec![row()]),
                online: Some(vec![user_id]),
            },
        ),
        ("caught_up", ServerFrame::CaughtUp { session_id, seq: 7 }),
        ("message.sent", ServerFrame::MessageSent { client_id: "c-17".into(), message: message() }),
        ("presence", ServerFrame::Presence { session_id, user_id, online: true }),
        ("typing", ServerFrame::Typing { session_id, user_id, is_typing: true }),
        ("read", ServerFrame::Read { session_id, user_id, seq: 7 }),
        ("session.added", ServerFrame::SessionAdded { session: mine }),
        ("session.removed", ServerFrame::SessionRemoved { session_id }),
        (
            "session.activity",
            ServerFrame::SessionActivity { session_id, last_seq: 7, last_message: Some(message()) },
        ),
        ("token_expiring", ServerFrame::TokenExpiring { in_ms: 60_000 }),
        (
            "error",
            ServerFrame::Error {
                error: body.error,
                code: body.code,
                client_id: Some("c-17".into()),
                reference: Some("r-1".into()),
            },
        ),
    ]
}

fn check<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(name: &str, value: &T) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("examples/{name}.json"));
    let text = serde_json::to_string_pretty(value).expect("frames serialise") + "\n";
    if std::env::var_os("UPDATE_EXAMPLES").is_some() {
        std::fs::write(&path, &text).expect("the example can be written");
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(golden, text, "{name} is not what the types write");
    let back: T = serde_json::from_str(&golden).expect("the types read their example");
    assert_eq!(&back, value);
}

#[test]
fn every_frame_of_the_server_is_what_its_example_says() {
    for (name, change) in events() {
        check(name, &Event { session_id: SessionId(id(1)), seq: 7, at: AT, change });
    }
    for (name, frame) in signals() {
        check(name, &frame);
    }
}

#[test]
fn every_frame_of_a_client_is_read_from_its_example() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/client");
    let mut seen = Vec::new();
    for entry in std::fs::read_dir(examples).expect("examples of clients") {
        let path = entry.expect("an entry").path();
        let text = std::fs::read(&path).expect("a file");
        let received = Received::read(&text);
        let frame = received.frame.unwrap_or_else(|code| panic!("{}: {code:?}", path.display()));
        seen.push(match frame {
            ClientFrame::Send { .. } => "message.send",
            ClientFrame::Follow { .. } => "follow",
            ClientFrame::Leave { .. } => "leave",
            ClientFrame::Typing { .. } => "typing",
            ClientFrame::Read { .. } => "read",
            ClientFrame::Auth { .. } => "auth",
        });
        assert_eq!(path.file_stem().and_then(|stem| stem.to_str()), seen.last().copied());
    }
    seen.sort_unstable();
    assert_eq!(seen, ["auth", "follow", "leave", "message.send", "read", "typing"]);
}

#[test]
fn what_is_wrong_with_a_frame_is_named() {
    for (frame, code) in [
        ("{}", ErrorCode::MissingField),
        (r#"{"type":5}"#, ErrorCode::InvalidJson),
        (r#"{"type":"unknown"}"#, ErrorCode::InvalidJson),
        (r#"{"type":"answer.begin"}"#, ErrorCode::InvalidJson),
        (r#"{"type":"follow"}"#, ErrorCode::MissingField),
        (r#"{"type":"follow","session_id":"x"}"#, ErrorCode::InvalidId),
        (r#"{"type":"leave","type":"leave"}"#, ErrorCode::InvalidJson),
        ("[]", ErrorCode::InvalidJson),
    ] {
        assert_eq!(Received::read(frame.as_bytes()).frame.err(), Some(code), "{frame}");
    }
    let send = format!(r#"{{"type":"message.send","session_id":"{}"}}"#, id(1));
    assert_eq!(Received::read(send.as_bytes()).frame.err(), Some(ErrorCode::MissingField));
    let named = r#"{"type":"follow","session_id":"x","ref":"r","client_id":"c"}"#;
    let received = Received::read(named.as_bytes());
    assert_eq!(received.reference.as_deref(), Some("r"));
    assert_eq!(received.client_id.as_deref(), Some("c"));
}
