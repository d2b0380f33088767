//! `/asyncapi.json`: what goes over the WebSocket and the feed, as AsyncAPI 3 has it.
//!
//! Made of the wire's types, like `/openapi.json`: frames of the server and events from their
//! schemas, close codes, error codes and limits from their catalogues, examples from the golden
//! frames. What both documents have is taken from the other one, so that they can't differ.
//! Commands of clients have no type that a schema could be made of, as they are read field by
//! field: [`messages`] has a table, which the tests hold against that reading.

mod messages;

use std::sync::LazyLock;

use protocol::frame::{PLAIN, V1};
use protocol::{CloseCode, ErrorCode, limits};
use serde_json::{Value, json};

use super::query::SEQ_MAX;
use messages::{COMMANDS, Group, Messages};

const ABOUT: &str = "Two protocols over one address, and the same log over plain HTTP. Told from \
the server's side: what it receives is what clients send. Everything durable that happens in a \
session is an event with the next number, 1, 2, 3, … without a gap; every client sees that order. \
Keep the last `seq` and the `epoch` of each session, and come back with both: nothing is missed \
and nothing comes twice. Ignore types and fields that you do not know; types that begin with \
`answer.` are reserved. The REST calls are in `/openapi.json`.";

const V1_ABOUT: &str = "All that happens. `hello` comes first. With `session_id` in the URL that \
session is followed at once; without it one socket follows many. A log that is followed begins \
with `following`, then its replay, then `caught_up`, then what is live. Commands are taken and \
answered in the order in which they are sent.";

const PLAIN_ABOUT: &str = "The messages of one session and nothing else, for the simplest client; \
also what is spoken without a subprotocol. Edits, deletions and membership are not told; a deleted \
message is left out of a replay.";

const FEED_ABOUT: &str = "The log of one session over plain HTTP, for networks that let no \
WebSocket through. With `Accept: text/event-stream` as server-sent events, each with its seq as \
`id` and the event as `data`; `Last-Event-ID` goes before `after`. Otherwise a page, which may be \
waited for. A removal sends its event and ends the stream.";

/// The document, made once.
pub(super) fn document() -> &'static Value {
    static DOCUMENT: LazyLock<Value> = LazyLock::new(describe);
    &DOCUMENT
}

fn describe() -> Value {
    let Messages { events, signals, commands, plain, pages, schemas } = Messages::make();
    let channels = json!({
        "v1": socket(V1, V1_ABOUT, &[&events, &signals, &commands]),
        "plain": socket(PLAIN, PLAIN_ABOUT, &[&plain]),
        "feed": feed(&[&events, &pages]),
    });
    let mut operations = questions();
    operations.extend(told(&events, &signals, &pages));
    let messages: Group = [events, signals, commands, plain, pages].into_iter().flatten().collect();
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "AssistDeck",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": {"name": env!("CARGO_PKG_LICENSE")},
        },
        "defaultContentType": "application/json",
        "servers": servers(),
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": messages,
            "schemas": schemas,
            "securitySchemes": credentials(),
        },
        "x-close-codes": close_codes(),
        "x-error-codes": error_codes(),
        "x-limits": bounds(),
    })
}

/// What the server tells unasked.
fn told(events: &Group, signals: &Group, pages: &Group) -> Group {
    let get = |query: Value| json!({"http": {"method": "GET", "query": query, "bindingVersion": "0.3.0"}});
    let mut stream = operation("send", "feed", "The log as a stream", &keys(events));
    stream["bindings"] = get(feed_query());
    let mut page = operation("send", "feed", "The log in pages", &keys(pages));
    page["bindings"] = get(page_query());
    let plain = ["plain.message", "plain.error"];
    Group::from_iter([
        ("tellEvents".to_owned(), operation("send", "v1", "Events, in order", &keys(events))),
        ("tellSignals".to_owned(), operation("send", "v1", "What is no event", &keys(signals))),
        ("tellPlain".to_owned(), operation("send", "plain", "Messages, in order", &plain)),
        ("streamEvents".to_owned(), stream),
        ("pageEvents".to_owned(), page),
    ])
}

fn keys(group: &Group) -> Vec<&str> {
    group.keys().map(String::as_str).collect()
}

fn servers() -> Value {
    let by = |schemes: &[&str]| -> Vec<Value> {
        let refs = schemes.iter().map(|name| format!("#/components/securitySchemes/{name}"));
        refs.map(|place| json!({"$ref": place})).collect()
    };
    json!({
        "socket": {
            "host": "localhost:8080",
            "protocol": "ws",
            "description": "`wss` behind TLS. The credential comes in exactly one of these ways",
            "security": by(&["bearer", "ticket", "subprotocol", "token"]),
        },
        "http": {
            "host": "localhost:8080",
            "protocol": "http",
            "description": "`https` behind TLS",
            "security": by(&["bearer"]),
        },
    })
}

/// A credential in a parameter or header of the handshake.
fn key(place: &str, name: &str, about: &str) -> Value {
    json!({"type": "httpApiKey", "in": place, "name": name, "description": about})
}

fn credentials() -> Value {
    json!({
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "The header `Authorization`: for programs",
        },
        "ticket": key("query", "ticket", "From `POST /api/ws-tickets`, for one handshake: for \
            browsers, as no token stands in a URL"),
        "subprotocol": key("header", "Sec-WebSocket-Protocol", "`bearer.<JWT>`, offered beside the \
            protocol; it is never echoed"),
        "token": key("query", "token", "The token in the URL: the simplest; beware of logs"),
    })
}

fn socket(protocol: &str, about: &str, groups: &[&Group]) -> Value {
    let text = json!({"type": "string"});
    let mut query = json!({
        "type": "object",
        "properties": {
            "session_id": {"type": "string", "format": "uuid"},
            "after": {
                "description": "Every event after this seq first, then live; without it live only",
                "type": "integer",
                "minimum": 0,
                "maximum": SEQ_MAX,
            },
            "epoch": {"type": "string", "description": "In which `after` was learnt"},
            "token": text,
            "ticket": text,
        },
    });
    let offered = json!({
        "type": "string",
        "description": format!("`{protocol}`, and `bearer.<JWT>` beside it if there is no other \
            credential"),
    });
    let mut headers = json!({
        "type": "object",
        "properties": {"Sec-WebSocket-Protocol": offered, "Authorization": text},
    });
    if protocol == PLAIN {
        query["required"] = json!(["session_id"]);
    } else {
        headers["required"] = json!(["Sec-WebSocket-Protocol"]);
    }
    let binding =
        json!({"method": "GET", "query": query, "headers": headers, "bindingVersion": "0.1.0"});
    json!({
        "address": "/ws",
        "title": protocol,
        "description": about,
        "servers": [{"$ref": "#/servers/socket"}],
        "messages": by_key(groups),
        "bindings": {"ws": binding},
    })
}

fn feed(groups: &[&Group]) -> Value {
    json!({
        "address": "/api/chat/sessions/{id}/events",
        "title": "feed",
        "description": FEED_ABOUT,
        "servers": [{"$ref": "#/servers/http"}],
        "parameters": {"id": {"description": "The session"}},
        "messages": by_key(groups),
    })
}

fn feed_query() -> Value {
    let seq = json!({"type": "integer", "minimum": 0, "maximum": SEQ_MAX, "default": 0});
    json!({"type": "object", "properties": {"after": seq}})
}

fn page_query() -> Value {
    let (most, usual) = (limits::PAGE_ITEMS_MAX, limits::PAGE_ITEMS);
    let wait_max = limits::EVENTS_WAIT_SECONDS_MAX;
    let mut query = feed_query();
    query["properties"]["limit"] =
        json!({"type": "integer", "minimum": 1, "maximum": most, "default": usual});
    query["properties"]["wait"] = json!({
        "type": "integer",
        "minimum": 0,
        "maximum": wait_max,
        "default": 0,
        "description": "Seconds to wait for an event when there is none",
    });
    query
}

fn by_key(groups: &[&Group]) -> Value {
    let keys = groups.iter().flat_map(|group| group.keys());
    let refs =
        keys.map(|key| (key.clone(), json!({"$ref": format!("#/components/messages/{key}")})));
    Value::Object(refs.collect())
}

/// What clients ask, each with the messages that may answer it.
fn questions() -> Group {
    let asked = COMMANDS.iter().map(|command| {
        let key = format!("client.{}", command.kind);
        let mut asked = operation("receive", "v1", command.about, &[&key]);
        asked["reply"] = reply("v1", command.answers);
        (command.name.to_owned(), asked)
    });
    let mut plain =
        operation("receive", "plain", "Sends a message to the session", &["plain.send"]);
    plain["reply"] = reply("plain", &["plain.message", "plain.error"]);
    asked.chain([("sendPlain".to_owned(), plain)]).collect()
}

fn operation(action: &str, channel: &str, about: &str, keys: &[&str]) -> Value {
    json!({
        "action": action,
        "channel": {"$ref": format!("#/channels/{channel}")},
        "summary": about,
        "messages": within(channel, keys),
    })
}

fn reply(channel: &str, keys: &[&str]) -> Value {
    json!({
        "channel": {"$ref": format!("#/channels/{channel}")},
        "messages": within(channel, keys),
    })
}

fn within(channel: &str, keys: &[&str]) -> Vec<Value> {
    let refs = keys.iter().map(|key| format!("#/channels/{channel}/messages/{key}"));
    refs.map(|place| json!({"$ref": place})).collect()
}

fn close_codes() -> Vec<Value> {
    let told = CloseCode::ALL.iter().map(|code| {
        let (number, reason, advice) = (code.number(), code.reason(), code.advice());
        json!({"code": number, "reason": reason, "client": advice})
    });
    told.collect()
}

fn error_codes() -> Vec<Value> {
    let told = ErrorCode::ALL.iter().map(
        |code| json!({"code": code.code(), "status": code.status(), "sentence": code.sentence()}),
    );
    told.collect()
}

fn bounds() -> Value {
    json!({
        "client_id_chars_max": limits::CLIENT_ID_CHARS_MAX,
        "content_bytes_max": limits::CONTENT_BYTES_MAX,
        "events_wait_seconds_max": limits::EVENTS_WAIT_SECONDS_MAX,
        "file_url_bytes_max": limits::FILE_URL_BYTES_MAX,
        "follows_max": limits::FOLLOWS_MAX,
        "frame_bytes_max": limits::FRAME_BYTES_MAX,
        "frame_fragments_max": limits::FRAME_FRAGMENTS_MAX,
        "frame_list_items_max": limits::FRAME_LIST_ITEMS_MAX,
        "heartbeat_ms": limits::HEARTBEAT_MS,
        "page_items_max": limits::PAGE_ITEMS_MAX,
        "presence_grace_ms": limits::PRESENCE_GRACE_MS,
        "ref_chars_max": limits::REF_CHARS_MAX,
        "sends_in_flight_max": limits::SENDS_IN_FLIGHT_MAX,
        "ticket_ttl_seconds": limits::TICKET_TTL_SECONDS,
        "token_expiring_ms": limits::TOKEN_EXPIRING_MS,
        "token_grace_ms": limits::TOKEN_GRACE_MS,
        "typing_ms": limits::TYPING_MS,
    })
}

#[cfg(test)]
mod tests;
