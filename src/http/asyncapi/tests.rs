//! The document against the golden frames, the reading of commands, and the protocol's page.

use std::collections::BTreeSet;

use protocol::CloseCode;
use protocol::frame::{ClientFrame, Received};
use serde_json::{Value, json};

use super::document;
use super::messages::{COMMANDS, GOLDEN, golden};
use crate::chat::Checked;

/// The messages that have a golden frame: their keys, and the frames' names.
fn framed() -> Vec<(String, String, &'static Value)> {
    let messages = document()["components"]["messages"].as_object().expect("messages");
    let framed =
        messages.iter().filter(|(key, _)| !key.starts_with("plain.") && *key != "feed.page");
    let named =
        framed.map(|(key, message)| (key.clone(), key.replacen("client.", "client/", 1), message));
    named.collect()
}

#[test]
fn every_golden_frame_is_the_example_of_its_message() {
    let golden_names: BTreeSet<_> = GOLDEN.iter().map(|(name, _)| (*name).to_owned()).collect();
    let told: BTreeSet<_> = framed().into_iter().map(|(_, name, _)| name).collect();
    assert_eq!(told, golden_names);
    for (key, name, message) in framed() {
        let example = golden(&name);
        assert_eq!(message["examples"][0]["payload"], example, "{key}");
        assert_eq!(message["name"], example["type"], "{key}");
        assert_ne!(message["summary"], "", "{key} says what it is");
    }
}

#[test]
fn every_golden_frame_in_the_folder_is_known() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/crates/protocol/examples");
    let mut files = 0;
    for place in [folder.to_owned(), format!("{folder}/client")] {
        for entry in std::fs::read_dir(place).expect("a folder") {
            let path = entry.expect("an entry").path();
            files += usize::from(path.extension().is_some_and(|kind| kind == "json"));
        }
    }
    assert_eq!(files, GOLDEN.len());
}

/// The `type` of what a frame is read as, if it is taken. A kind of command that is not here does
/// not compile, and belongs into the document, too.
fn taken_as(frame: &Value) -> Option<&'static str> {
    let text = frame.to_string();
    Some(match Received::read(text.as_bytes()).frame.ok()? {
        ClientFrame::Send { message, .. } => {
            Checked::new(message, None).ok()?;
            "message.send"
        }
        ClientFrame::Follow { .. } => "follow",
        ClientFrame::Leave { .. } => "leave",
        ClientFrame::Typing { .. } => "typing",
        ClientFrame::Read { .. } => "read",
        ClientFrame::Auth { .. } => "auth",
    })
}

/// What is required there is required here, `null` is taken where it is here, and what is not
/// described is not looked at.
#[test]
fn commands_are_described_as_they_are_read() {
    let all: BTreeSet<&str> =
        COMMANDS.iter().flat_map(|command| command.fields.iter().map(|field| field.name)).collect();
    for command in COMMANDS {
        let kind = command.kind;
        let frame = golden(&format!("client/{kind}"));
        assert_eq!(taken_as(&frame), Some(kind));
        let payload = &document()["components"]["messages"][&format!("client.{kind}")]["payload"];
        let is_required =
            |name: &str| payload["required"].as_array().expect("a list").contains(&json!(name));
        for name in &all {
            let schema = &payload["properties"][*name];
            let mut other = frame.clone();
            other.as_object_mut().expect("an object").remove(*name);
            assert_eq!(taken_as(&other).is_some(), !is_required(name), "{kind} without {name}");
            other[*name] = Value::Null;
            let may_be_null = schema.is_null() || schema["type"][1] == "null";
            assert_eq!(taken_as(&other).is_some(), may_be_null, "{kind}, null {name}");
            other[*name] = json!({});
            assert_eq!(taken_as(&other).is_some(), schema.is_null(), "{kind}, wrong {name}");
        }
    }
}

#[test]
fn the_protocols_page_tells_every_close_code_and_every_frame() {
    let page = include_str!("../../../docs/protocol.md");
    for code in CloseCode::ALL {
        let number = code.number().to_string();
        assert!(page.contains(&number), "{number}");
    }
    for (_, _, message) in framed() {
        let name = message["name"].as_str().expect("a name");
        assert!(page.contains(&format!("`{name}`")), "{name}");
    }
}

#[test]
fn close_codes_say_whether_to_come_back() {
    let ascending = CloseCode::ALL.windows(2).all(|pair| pair[0].number() < pair[1].number());
    assert!(ascending);
    for code in CloseCode::ALL.iter().filter(|code| code.number() >= 4_000) {
        let stops = code.advice() == "stop";
        assert_eq!(stops, code.number() >= 4_500, "{code:?}");
    }
}
