//! The messages of `/asyncapi.json`, with their schemas and the golden frames as examples.

use protocol::Message;
use protocol::frame::{EventPage, NewMessage, ServerFrame};
use protocol::limits::REF_CHARS_MAX;
use serde_json::{Map, Value, json};

use super::super::call::{Schemas, shape};
use super::super::openapi;

macro_rules! golden {
    ($($name:literal)+) => {
        &[$((
            $name,
            include_str!(concat!("../../../crates/protocol/examples/", $name, ".json")),
        )),+]
    };
}

/// The golden frames by their names.
pub(super) const GOLDEN: &[(&str, &str)] = golden! {
    "hello" "following" "caught_up" "message.sent" "presence" "typing" "read" "session.added"
    "session.removed" "session.activity" "token_expiring" "error"
    "message.created" "message.updated" "message.deleted" "participant.added"
    "participant.removed" "session.updated" "session.deleted"
    "client/message.send" "client/follow" "client/leave" "client/typing" "client/read" "client/auth"
};

/// What a client of `assistdeck.v1` sends. `ref` may stand in each; an error repeats it.
pub(super) struct Command {
    /// The operation's name.
    pub name: &'static str,
    /// The frame's `type`.
    pub kind: &'static str,
    pub about: &'static str,
    pub fields: &'static [Field],
    /// The messages that may answer it.
    pub answers: &'static [&'static str],
}

/// A field of a command, and where its schema comes from.
pub(super) struct Field {
    pub name: &'static str,
    pub form: Form,
    pub is_required: bool,
}

pub(super) enum Form {
    Id,
    Seq,
    Flag,
    Text,
    /// As `NewMessage` has it.
    OfMessage,
}

const fn required(name: &'static str, form: Form) -> Field {
    Field { name, form, is_required: true }
}

const fn optional(name: &'static str, form: Form) -> Field {
    Field { name, form, is_required: false }
}

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "sendMessage",
        kind: "message.send",
        about: "Sends a message to a followed session; a repeat is answered alike",
        fields: &[
            required("session_id", Form::Id),
            required("client_id", Form::OfMessage),
            required("content", Form::OfMessage),
            optional("file_url", Form::OfMessage),
            optional("is_ai_message", Form::OfMessage),
        ],
        answers: &["message.sent", "error"],
    },
    Command {
        name: "follow",
        kind: "follow",
        about: "Follows a session, or begins anew; with `after` every later event comes first",
        fields: &[
            required("session_id", Form::Id),
            optional("after", Form::Seq),
            optional("epoch", Form::Text),
        ],
        answers: &["following", "error"],
    },
    Command {
        name: "leave",
        kind: "leave",
        about: "Follows the session no more; unanswered",
        fields: &[required("session_id", Form::Id)],
        answers: &["error"],
    },
    Command {
        name: "type",
        kind: "typing",
        about: "Tells that the user types, or does so no more; it ends by itself; unanswered",
        fields: &[required("session_id", Form::Id), required("is_typing", Form::Flag)],
        answers: &["error"],
    },
    Command {
        name: "markRead",
        kind: "read",
        about: "Raises the user's read mark; it never goes back; unanswered",
        fields: &[required("session_id", Form::Id), required("seq", Form::Seq)],
        answers: &["error"],
    },
    Command {
        name: "renewToken",
        kind: "auth",
        about: "Puts a later token of the same user in the place of the present one; unanswered",
        fields: &[required("token", Form::Text)],
        answers: &["error"],
    },
];

/// Messages of one kind, by the keys under which they stand in the document.
pub(super) type Group = Map<String, Value>;

/// All messages, and the schemas that they refer to.
pub(super) struct Messages {
    pub events: Group,
    pub signals: Group,
    pub commands: Group,
    pub plain: Group,
    pub pages: Group,
    pub schemas: Schemas,
}

impl Messages {
    pub(super) fn make() -> Self {
        let mut schemas = Schemas::new();
        shape::<Message>(&mut schemas);
        shape::<NewMessage<'static>>(&mut schemas);
        let page = shape::<EventPage>(&mut schemas);
        let frames = {
            shape::<ServerFrame>(&mut schemas);
            schemas.remove("ServerFrame").expect("it was just put there")
        };
        // What both documents have is the same, with bounds and examples.
        let shared = &openapi::document()["components"]["schemas"];
        schemas.insert("Error".to_owned(), shared["Error"].clone());
        for (name, schema) in &mut schemas {
            if let Some(same) = shared.get(name) {
                *schema = same.clone();
            }
        }
        Self {
            events: events(&mut schemas),
            signals: signals(&frames),
            commands: commands(&schemas["NewMessage"]),
            plain: plain(),
            pages: pages(page),
            schemas,
        }
    }
}

fn message(name: &str, about: &str, payload: Value, example: Value) -> Value {
    json!({
        "name": name,
        "title": name,
        "summary": about,
        "payload": payload,
        "examples": [{"name": "golden", "payload": example}],
    })
}

pub(super) fn golden(name: &str) -> Value {
    let found = GOLDEN.iter().find(|(golden, _)| *golden == name);
    let (_, text) = found.unwrap_or_else(|| panic!("{name} has no golden frame"));
    serde_json::from_str(text).expect("golden frames are JSON")
}

/// The variants of an enum that is tagged by `type`: tag, description, schema.
fn variants(schema: &Value) -> impl Iterator<Item = (String, String, Value)> {
    let variants = schema["oneOf"].as_array().expect("an enum is one of its variants");
    variants.iter().map(|variant| {
        let tag = variant["properties"]["type"]["enum"][0].as_str().expect("a tag");
        let about = variant["description"].as_str().unwrap_or_default();
        let about = about.split_whitespace().collect::<Vec<_>>().join(" ");
        (tag.to_owned(), about, variant.clone())
    })
}

/// Events: what all of them have, and the data of each.
fn events(schemas: &mut Schemas) -> Group {
    let parts = schemas["Event"]["allOf"].as_array().expect("an event is flattened");
    let head = parts.iter().find(|part| part["properties"]["seq"].is_object());
    let head = head.expect("an event has a seq").clone();
    schemas.insert("EventHead".to_owned(), head);
    let events = variants(&schemas["Change"]).map(|(tag, about, variant)| {
        let head = json!({"$ref": "#/components/schemas/EventHead"});
        let payload = json!({"type": "object", "allOf": [head, variant]});
        let event = message(&tag, &about, payload, golden(&tag));
        (tag, event)
    });
    events.collect()
}

fn signals(frames: &Value) -> Group {
    let signals = variants(frames).map(|(tag, about, mut variant)| {
        if tag == "error" {
            let place = "#/components/schemas/Error/properties/code";
            variant["properties"]["code"] = json!({"$ref": place});
        }
        let mut signal = message(&tag, &about, variant, golden(&tag));
        if tag == "message.sent" {
            signal["correlationId"] = by_client_id();
        }
        (tag, signal)
    });
    signals.collect()
}

fn commands(new_message: &Value) -> Group {
    let commands = COMMANDS.iter().map(|Command { kind, about, fields, .. }| {
        let mut properties = Map::from_iter([
            ("type".to_owned(), json!({"type": "string", "enum": [kind]})),
            ("ref".to_owned(), json!({"type": ["string", "null"], "maxLength": REF_CHARS_MAX})),
        ]);
        for field in *fields {
            properties.insert(field.name.to_owned(), schema_of(field, new_message));
        }
        let required = fields.iter().filter(|field| field.is_required).map(|field| field.name);
        let required: Vec<_> = std::iter::once("type").chain(required).collect();
        let payload = json!({"type": "object", "required": required, "properties": properties});
        let mut command = message(kind, about, payload, golden(&format!("client/{kind}")));
        if *kind == "message.send" {
            command["correlationId"] = by_client_id();
        }
        (format!("client.{kind}"), command)
    });
    commands.collect()
}

fn schema_of(field: &Field, new_message: &Value) -> Value {
    let mut schema = match field.form {
        Form::Id => json!({"type": "string", "format": "uuid"}),
        Form::Seq => json!({"type": "integer", "minimum": 0}),
        Form::Flag => json!({"type": "boolean"}),
        Form::Text => json!({"type": "string"}),
        Form::OfMessage => new_message["properties"][field.name].clone(),
    };
    // `null` in an optional field means absent, and a required one can't be.
    let bare = match &schema["type"] {
        Value::Array(kinds) => kinds[0].clone(),
        kind => kind.clone(),
    };
    schema["type"] = if field.is_required { bare } else { json!([bare, "null"]) };
    schema
}

fn by_client_id() -> Value {
    json!({"location": "$message.payload#/client_id"})
}

fn plain() -> Group {
    let mut sent = golden("client/message.send");
    let mut error = golden("error");
    for (example, extra) in
        [(&mut sent, ["type", "session_id", ""]), (&mut error, ["type", "client_id", "ref"])]
    {
        let fields = example.as_object_mut().expect("a frame is an object");
        fields.retain(|name, _| !extra.contains(&name.as_str()));
    }
    let stored = golden("message.created")["data"].take();
    let of = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
    let about =
        "A message as it is stored; to its sender, too, and to the sender alone for a repeat";
    Group::from_iter([
        ("plain.send".to_owned(), message("send", "A message", of("NewMessage"), sent)),
        ("plain.message".to_owned(), message("message", about, of("Message"), stored)),
        ("plain.error".to_owned(), message("error", "It can't be taken", of("Error"), error)),
    ])
}

fn pages(page: Value) -> Group {
    let created = golden("message.created");
    let example = json!({"epoch": "k3v9q2", "head": created["seq"], "events": [created]});
    let about = "Events after a number, and where the log ends now";
    Group::from_iter([("feed.page".to_owned(), message("page", about, page, example))])
}
