//! `/openapi.json`, made of the table of calls, the wire's types and the catalogue of errors.
//!
//! Bounds come from `protocol::limits`. A schema says what always holds: what passes it may
//! still be refused (a password among the most common), what fails it always is.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use protocol::ErrorCode;
use protocol::limits::{
    CLIENT_ID_CHARS_MAX, CONTENT_BYTES_MAX, EMAIL_BYTES_MAX, FILE_URL_BYTES_MAX, NAME_CHARS_MAX,
    PASSWORD_CHARS_MAX, PASSWORD_CHARS_MIN, TITLE_CHARS_MAX,
};
use serde_json::{Map, Value, json};

use super::call::{Access, Call, Parameter, Place, Schemas, Success};

/// No control characters.
const NO_CONTROL: &str = r"^[^\u0000-\u001f\u007f-\u009f]*$";
/// No control characters but tab, LF and CR.
const TEXT: &str = r"^[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]*$";

/// Something, one @, something.
const EMAIL: &str = r"^[^@\s]+@[^@\s]+$";

/// http or https, in any case.
const WEB_URL: &str = "^[Hh][Tt][Tt][Pp][Ss]?://";

const ABOUT: &str = "The server for shared chat sessions. Every error, on every path, is \
`{\"error\": \"a sentence\", \"code\": \"word\"}`; the code is for programs and does not change. \
Where several answers fit, the first of these is given: 401, 403 `origin_not_allowed`, 429, 413, \
415, 400, 404 of the session, 403, 404 of what is in it, 409. Ids are UUIDs, times RFC 3339 in UTC \
with microseconds. Unknown fields and parameters are ignored, `null` in an optional field means \
absent, and what is given twice is refused.";

/// The document, made once.
pub(super) fn document() -> &'static Value {
    static DOCUMENT: LazyLock<Value> = LazyLock::new(|| describe(&super::calls()));
    &DOCUMENT
}

fn describe(calls: &[Call]) -> Value {
    let mut schemas = Schemas::new();
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    let mut tags: Vec<&str> = Vec::new();
    for call in calls {
        let operation = operation(call, &mut schemas);
        paths.entry(call.path).or_default().insert(call.method.to_owned(), operation);
        if !tags.contains(&call.tag) {
            tags.push(call.tag);
        }
    }
    bound(&mut schemas);
    for (name, example) in examples() {
        schemas.entry(name.to_owned()).or_default()["examples"] = json!([example]);
    }
    schemas.insert("Error".to_owned(), error_schema());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "AssistDeck",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": tags.iter().map(|tag| json!({"name": tag})).collect::<Vec<_>>(),
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": credentials(),
        },
    })
}

/// How a caller is known; the last two for the WebSocket alone.
fn credentials() -> Value {
    json!({
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "From register, login, or the application that hosts this one",
        },
        "token": {
            "type": "apiKey",
            "in": "query",
            "name": "token",
            "description": "The same token in the URL, for `/ws`",
        },
        "ticket": {
            "type": "apiKey",
            "in": "query",
            "name": "ticket",
            "description": "From `POST /api/ws-tickets`, for one handshake: best for browsers",
        },
    })
}

fn operation(call: &Call, schemas: &mut Schemas) -> Value {
    let mut operation = json!({
        "operationId": call.name,
        "summary": call.summary,
        "tags": [call.tag],
        "security": match call.access {
            Access::Public => json!([]),
            Access::Bearer => json!([{"bearer": []}]),
            Access::Handshake => json!([{"bearer": []}, {"token": []}, {"ticket": []}]),
        },
        "responses": responses(call, schemas),
    });
    let mut parameters: Vec<Value> = ids_of(call.path).map(id_parameter).collect();
    parameters.extend(call.parameters.iter().map(parameter));
    if !parameters.is_empty() {
        operation["parameters"] = Value::Array(parameters);
    }
    if let Some(shape) = call.body {
        operation["requestBody"] = json!({
            "required": true,
            "content": {"application/json": {"schema": shape(schemas)}},
        });
    }
    operation
}

/// The names in braces.
fn ids_of(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn id_parameter(name: &str) -> Value {
    let about = match name {
        "userId" => "The user",
        "messageId" => "The message",
        _ => "The session",
    };
    let schema = json!({"type": "string", "format": "uuid"});
    json!({"name": name, "in": "path", "required": true, "description": about, "schema": schema})
}

fn parameter(parameter: &Parameter) -> Value {
    json!({
        "name": parameter.name,
        "in": match parameter.place { Place::Query => "query", Place::Header => "header" },
        "required": parameter.is_required,
        "description": parameter.about,
        "schema": (parameter.schema)(),
    })
}

fn responses(call: &Call, schemas: &mut Schemas) -> Value {
    let mut responses = Map::new();
    for answer in &call.answers {
        responses.insert(answer.status.to_string(), success(answer, schemas));
    }
    let mut by_status: BTreeMap<u16, Vec<ErrorCode>> = BTreeMap::new();
    for code in codes_of(call) {
        let codes = by_status.entry(code.status()).or_default();
        if !codes.contains(&code) {
            codes.push(code);
        }
    }
    for (status, codes) in by_status {
        responses.insert(status.to_string(), failure(&codes));
    }
    Value::Object(responses)
}

/// What a call can fail with: its own codes, and those that follow from its form.
fn codes_of(call: &Call) -> Vec<ErrorCode> {
    use ErrorCode::{
        BodyTooLarge, Internal, InvalidId, InvalidJson, InvalidQuery, RequestTimeout,
        SessionNotFound, Unauthorized, Unavailable, UnsupportedMediaType,
    };
    let mut codes = Vec::new();
    if call.access != Access::Public {
        codes.extend([Unauthorized, InvalidQuery]);
    }
    if call.access == Access::Bearer {
        codes.push(BodyTooLarge);
    }
    if call.body.is_some() {
        codes.extend([InvalidQuery, InvalidJson, BodyTooLarge, UnsupportedMediaType]);
        codes.push(RequestTimeout);
    }
    if call.path.contains("{id}") {
        codes.extend([InvalidId, SessionNotFound]);
    }
    if !call.parameters.is_empty() {
        codes.push(InvalidQuery);
    }
    codes.extend(&call.codes);
    codes.extend([Unavailable, Internal]);
    codes
}

fn success(answer: &Success, schemas: &mut Schemas) -> Value {
    let mut response = json!({
        "description": match answer.status {
            101 => "The connection speaks WebSocket from here on",
            201 => "Made",
            _ => "Done",
        },
        "headers": headers(),
    });
    if answer.has_links {
        response["headers"]["Link"] = json!({
            "description": "RFC 8288: `next`, and for messages `prev`, where there is more",
            "schema": {"type": "string"},
        });
    }
    if let Some(shape) = answer.shape {
        let schema = shape(schemas);
        let schema =
            if answer.is_list { json!({"type": "array", "items": schema}) } else { schema };
        response["content"] = json!({"application/json": {"schema": schema}});
    }
    if answer.streams {
        response["content"]["text/event-stream"] = json!({
            "schema": {
                "type": "string",
                "description": "`id` is the event's seq, `data` the event as JSON",
            },
        });
    }
    response
}

fn failure(codes: &[ErrorCode]) -> Value {
    let lines: Vec<String> =
        codes.iter().map(|code| format!("`{}`: {}", code.code(), code.sentence())).collect();
    let words: Vec<&str> = codes.iter().map(|code| code.code()).collect();
    let mut headers = headers();
    let waits = |code: &ErrorCode| matches!(code, ErrorCode::RateLimited | ErrorCode::Unavailable);
    if codes.iter().any(waits) {
        headers["Retry-After"] = json!({
            "description": "Seconds after which to try again",
            "required": true,
            "schema": {"type": "integer", "minimum": 1},
        });
    }
    let code = json!({"properties": {"code": {"enum": words}}});
    json!({
        "description": lines.join("\n\n"),
        "headers": headers,
        "content": {
            "application/json": {
                "schema": {"allOf": [{"$ref": "#/components/schemas/Error"}, code]},
                "example": codes[0].body(),
            },
        },
    })
}

/// What every answer has.
fn headers() -> Value {
    json!({
        "X-Request-Id": {
            "description": "The id of the request in the server's log",
            "required": true,
            "schema": {"type": "string", "minLength": 1, "maxLength": 64},
        },
    })
}

fn error_schema() -> Value {
    json!({
        "type": "object",
        "required": ["error", "code"],
        "properties": {
            "error": {"type": "string", "description": "A sentence for people; it may change"},
            "code": {
                "type": "string",
                "description": "A word for programs; it does not change",
                "enum": ErrorCode::ALL.iter().map(|code| code.code()).collect::<Vec<_>>(),
            },
        },
    })
}

/// Puts the bounds of what clients send into the types' schemas.
fn bound(schemas: &mut Schemas) {
    let title = trimmed(TITLE_CHARS_MAX);
    let name = trimmed(NAME_CHARS_MAX);
    let content = json!({"minLength": 1, "maxLength": CONTENT_BYTES_MAX, "pattern": TEXT});
    let password = json!({"minLength": PASSWORD_CHARS_MIN, "maxLength": PASSWORD_CHARS_MAX});
    let url = json!({"pattern": WEB_URL, "maxLength": FILE_URL_BYTES_MAX});
    for (schema, field, bounds, example) in [
        ("Register", "name", &name, "Ada Lovelace"),
        ("Register", "email", &email(), "ada@example.com"),
        ("Register", "password", &password, "a long pass phrase"),
        ("Login", "email", &email(), "ada@example.com"),
        ("Login", "password", &json!({}), "a long pass phrase"),
        ("ChangePassword", "password", &json!({}), "a long pass phrase"),
        ("ChangePassword", "new_password", &password, "another long pass phrase"),
        ("Title", "title", &title, "Release planning"),
        ("AddParticipant", "email", &email(), "grace@example.com"),
        ("NewMessage", "content", &content, "Good morning!"),
        ("NewMessage", "file_url", &url, "https://files.example.com/plan.pdf"),
        ("NewMessage", "client_id", &client_id(), "8f6e2a1c"),
        ("Edit", "content", &content, "Good morning, all!"),
    ] {
        let place = schemas.get_mut(schema).and_then(|schema| schema["properties"].get_mut(field));
        let Some(Value::Object(place)) = place else { panic!("{schema} has no field {field}") };
        let Value::Object(bounds) = bounds else { panic!("bounds are an object") };
        let kind = |(name, _): &(&String, &Value)| *name != "type";
        place.extend(bounds.iter().filter(kind).map(|(name, value)| (name.clone(), value.clone())));
        place.insert("examples".to_owned(), json!([example]));
    }
    if let Some(add) = schemas.get_mut("AddParticipant") {
        // `null` means absent: one of the two is there and is none.
        let given =
            |name: &str| json!({"required": [name], "properties": {name: {"type": "string"}}});
        add["anyOf"] = json!([given("user_id"), given("email")]);
    }
}

/// 1 to so many characters after trimming, none of them a control character: what is trimmed
/// does not count, so only a pattern can say it.
fn trimmed(max: usize) -> Value {
    // `\s` of ECMA-262 lacks U+0085, which is white space all the same.
    let pattern = format!(r"^[\s\u0085]*[^\u0000-\u001f\u007f-\u009f]{{1,{max}}}[\s\u0085]*$");
    let description = format!("1 to {max} characters after trimming, no control characters");
    json!({"minLength": 1, "pattern": pattern, "description": description})
}

/// The bounds of an email address. Not `format: email`, which is narrower than what is taken.
pub(super) fn email() -> Value {
    json!({"type": "string", "minLength": 3, "maxLength": EMAIL_BYTES_MAX, "pattern": EMAIL})
}

/// The bounds of a `client_id`.
pub(super) fn client_id() -> Value {
    json!({
        "type": "string",
        "minLength": 1,
        "maxLength": CLIENT_ID_CHARS_MAX,
        "pattern": NO_CONTROL,
    })
}

/// One of each noun.
fn examples() -> [(&'static str, Value); 5] {
    let (user, session) =
        ("0192f0c1-2345-7abc-8def-0123456789ab", "0192f0c1-5555-7abc-8def-0123456789ab");
    let (at, other) = ("2026-01-31T09:30:00.000000Z", "0192f0c1-7777-7abc-8def-0123456789ab");
    [
        (
            "User",
            json!({"id": user, "name": "Ada Lovelace", "email": "ada@example.com",
                "kind": "human", "created_at": at}),
        ),
        (
            "Session",
            json!({"id": session, "user_id": user, "title": "Release planning", "created_at": at,
                "updated_at": at, "last_seq": 0, "epoch": "0c37ee8d1d58", "is_owner": true}),
        ),
        (
            "Participant",
            json!({"id": other, "session_id": session, "user_id": user, "created_at": at}),
        ),
        (
            "ParticipantRow",
            json!({"id": session, "user_id": user, "email": "ada@example.com",
                "name": "Ada Lovelace", "is_owner": true, "created_at": at}),
        ),
        (
            "Message",
            json!({"id": other, "session_id": session, "seq": 7, "sender_id": user,
                "content": "Good morning!", "is_ai_message": false, "client_id": "8f6e2a1c",
                "created_at": at}),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use protocol::{Message, Participant, ParticipantRow, Session, User};
    use serde::Serialize;
    use serde::de::DeserializeOwned;

    use super::*;

    #[test]
    fn examples_are_what_the_server_would_answer() {
        fn again<T: Serialize + DeserializeOwned>(example: &Value) -> Value {
            let read: T = serde_json::from_value(example.clone()).expect("of its type");
            serde_json::to_value(read).expect("JSON")
        }
        for (name, example) in examples() {
            let written = match name {
                "User" => again::<User>(&example),
                "Session" => again::<Session>(&example),
                "Participant" => again::<Participant>(&example),
                "ParticipantRow" => again::<ParticipantRow>(&example),
                _ => again::<Message>(&example),
            };
            assert_eq!(written, example);
            assert!(document()["components"]["schemas"][name]["properties"].is_object());
        }
    }
}
