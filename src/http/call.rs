//! One documented call: how it is routed and what is said about it, in one value.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter, on};
use protocol::ErrorCode;
use protocol::limits::{EVENTS_WAIT_SECONDS_MAX, PAGE_ITEMS, PAGE_ITEMS_MAX};
use serde_json::{Value, json};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::query::SEQ_MAX;
use crate::app::App;

/// A call, for the router and for the documentation.
pub(super) struct Call {
    /// In lower case, as the documentation has it.
    pub method: &'static str,
    pub path: &'static str,
    /// None: another door has it.
    pub handler: Option<MethodRouter<Arc<App>>>,
    pub name: &'static str,
    pub summary: &'static str,
    pub tag: &'static str,
    pub access: Access,
    pub parameters: Vec<Parameter>,
    pub body: Option<Shape>,
    pub answers: Vec<Success>,
    pub codes: Vec<ErrorCode>,
}

/// What shows who calls.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Nothing needs to.
    Public,
    /// The header `Authorization`.
    Bearer,
    /// The header, or a parameter of the URL.
    Handshake,
}

/// A success: its status and what comes with it.
pub(super) struct Success {
    pub status: u16,
    pub shape: Option<Shape>,
    pub is_list: bool,
    /// A `Link` header where there is more.
    pub has_links: bool,
    /// The same as server-sent events, where asked for.
    pub streams: bool,
}

/// The schema of a type, and of all that it is made of, by name.
pub(super) type Shape = fn(&mut Schemas) -> Value;
pub(super) type Schemas = BTreeMap<String, Value>;

/// Where a parameter stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Query,
    Header,
}

/// A parameter beside the ids of the path.
#[derive(Clone, Copy)]
pub(super) struct Parameter {
    pub name: &'static str,
    pub place: Place,
    pub is_required: bool,
    pub about: &'static str,
    pub schema: fn() -> Value,
}

impl Parameter {
    pub(super) const LIMIT: Self = query("limit", "Items of the page; all, up to 1,000", limit_all);
    pub(super) const LIMIT_100: Self = query("limit", "Items of the page", limit_100);
    pub(super) const BEFORE_ID: Self =
        query("before", "The page behind the item with this id: from `Link`", uuid);
    pub(super) const BEFORE_SEQ: Self = query("before", "Only messages below this seq", seq);
    pub(super) const AFTER_SEQ: Self =
        query("after", "Only messages above this seq, the oldest first", seq);
    pub(super) const AFTER_EVENT: Self =
        query("after", "Only events above this seq; 0 if it is not given", seq);
    pub(super) const AFTER_LIVE: Self =
        query("after", "Every event above this seq first, then live; without it live only", seq);
    pub(super) const WAIT: Self =
        query("wait", "Seconds to wait for an event when there is none", wait);
    pub(super) const EMAIL: Self =
        Self { is_required: true, ..query("email", "The whole email address", email) };
    pub(super) const SESSION_ID: Self =
        query("session_id", "The session to follow; without it in `assistdeck.v1` only", uuid);
    pub(super) const EPOCH: Self = query("epoch", "In which `after` was learnt", text);
    pub(super) const IDEMPOTENCY_KEY: Self = header(
        "Idempotency-Key",
        "Stands for `client_id`: a repeat is answered with the stored message",
        client_id,
    );
    pub(super) const LAST_EVENT_ID: Self =
        header("Last-Event-ID", "As `after`, and before it: the last id of a stream", seq);
}

const fn query(name: &'static str, about: &'static str, schema: fn() -> Value) -> Parameter {
    Parameter { name, place: Place::Query, is_required: false, about, schema }
}

const fn header(name: &'static str, about: &'static str, schema: fn() -> Value) -> Parameter {
    Parameter { name, place: Place::Header, is_required: false, about, schema }
}

fn limit_all() -> Value {
    json!({"type": "integer", "minimum": 1, "maximum": PAGE_ITEMS_MAX, "default": PAGE_ITEMS_MAX})
}

fn limit_100() -> Value {
    json!({"type": "integer", "minimum": 1, "maximum": PAGE_ITEMS_MAX, "default": PAGE_ITEMS})
}

fn wait() -> Value {
    json!({"type": "integer", "minimum": 0, "maximum": EVENTS_WAIT_SECONDS_MAX, "default": 0})
}

fn seq() -> Value {
    json!({"type": "integer", "format": "int64", "minimum": 0, "maximum": SEQ_MAX})
}

fn uuid() -> Value {
    json!({"type": "string", "format": "uuid"})
}

fn email() -> Value {
    super::openapi::email()
}

fn client_id() -> Value {
    super::openapi::client_id()
}

fn text() -> Value {
    json!({"type": "string"})
}

pub(super) fn get<H: Handler<T, Arc<App>>, T: 'static>(path: &'static str, handler: H) -> Call {
    Call::new("get", path, Some(on(MethodFilter::GET, handler)))
}

pub(super) fn post<H: Handler<T, Arc<App>>, T: 'static>(path: &'static str, handler: H) -> Call {
    Call::new("post", path, Some(on(MethodFilter::POST, handler)))
}

pub(super) fn put<H: Handler<T, Arc<App>>, T: 'static>(path: &'static str, handler: H) -> Call {
    Call::new("put", path, Some(on(MethodFilter::PUT, handler)))
}

pub(super) fn patch<H: Handler<T, Arc<App>>, T: 'static>(path: &'static str, handler: H) -> Call {
    Call::new("patch", path, Some(on(MethodFilter::PATCH, handler)))
}

pub(super) fn delete<H: Handler<T, Arc<App>>, T: 'static>(path: &'static str, handler: H) -> Call {
    Call::new("delete", path, Some(on(MethodFilter::DELETE, handler)))
}

impl Call {
    fn new(
        method: &'static str,
        path: &'static str,
        handler: Option<MethodRouter<Arc<App>>>,
    ) -> Self {
        Self {
            method,
            path,
            handler,
            name: "",
            summary: "",
            tag: "",
            access: Access::Bearer,
            parameters: Vec::new(),
            body: None,
            answers: Vec::new(),
            codes: Vec::new(),
        }
    }

    /// A `GET` that another door answers.
    pub(super) fn elsewhere(path: &'static str) -> Self {
        Self::new("get", path, None)
    }

    pub(super) fn named(self, name: &'static str, summary: &'static str) -> Self {
        Self { name, summary, ..self }
    }

    pub(super) fn tagged(self, tag: &'static str) -> Self {
        Self { tag, ..self }
    }

    /// Needs no token.
    pub(super) fn public(self) -> Self {
        Self { access: Access::Public, ..self }
    }

    pub(super) fn with(mut self, parameters: &[Parameter]) -> Self {
        self.parameters.extend_from_slice(parameters);
        self
    }

    /// Has a JSON body of that type.
    pub(super) fn takes<T: ToSchema>(self) -> Self {
        Self { body: Some(shape::<T>), ..self }
    }

    pub(super) fn gives<T: ToSchema>(self, status: u16) -> Self {
        self.answers_with(status, Some(shape::<T>))
    }

    pub(super) fn gives_list<T: ToSchema>(mut self) -> Self {
        self = self.gives::<T>(200);
        self.last_answer().is_list = true;
        self
    }

    /// A list that goes on behind a `Link`.
    pub(super) fn gives_page<T: ToSchema>(mut self) -> Self {
        self = self.gives_list::<T>();
        self.last_answer().has_links = true;
        self
    }

    pub(super) fn streams(mut self) -> Self {
        self.last_answer().streams = true;
        self
    }

    /// Switches to the WebSocket protocol.
    pub(super) fn upgrades(self) -> Self {
        Self { access: Access::Handshake, ..self }.answers_with(101, None)
    }

    pub(super) fn fails(mut self, codes: &[ErrorCode]) -> Self {
        self.codes.extend_from_slice(codes);
        self
    }

    fn answers_with(mut self, status: u16, shape: Option<Shape>) -> Self {
        let answer = Success { status, shape, is_list: false, has_links: false, streams: false };
        self.answers.push(answer);
        self
    }

    fn last_answer(&mut self) -> &mut Success {
        self.answers.last_mut().expect("it was just put there")
    }
}

/// A reference to the schema of `T`, which goes into `schemas` with all that it refers to.
pub(super) fn shape<T: ToSchema>(schemas: &mut Schemas) -> Value {
    let mut found: Vec<(String, RefOr<Schema>)> = Vec::new();
    T::schemas(&mut found);
    found.push((T::name().into_owned(), <T as PartialSchema>::schema()));
    for (name, schema) in found {
        let schema = serde_json::to_value(schema).expect("a schema is JSON");
        schemas.insert(name, schema);
    }
    json!({"$ref": format!("#/components/schemas/{}", T::name())})
}
