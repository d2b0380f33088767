//! One HTTP call, each on its own connection.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::stream::Stream;

/// A call that is being put together.
pub struct Call {
    authority: String,
    request: http::request::Builder,
    body: Bytes,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: http::HeaderMap,
    pub text: String,
}

impl Call {
    pub fn new(authority: &str, method: &str, path: &str) -> Self {
        let request = http::Request::builder().method(method).uri(path).header("host", authority);
        Self { authority: authority.to_owned(), request, body: Bytes::new() }
    }

    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.request = self.request.header(name, value.as_ref());
        self
    }

    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    pub fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string())
    }

    pub fn body(self, content_type: &str, body: impl Into<Bytes>) -> Self {
        self.header("content-type", content_type).bare(body)
    }

    /// A body of which nothing is said.
    pub fn bare(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    pub async fn send(self) -> Answer {
        let (response, driver) = self.begin().await;
        let answer = whole(response).await;
        driver.abort();
        answer
    }

    /// An answer that goes on; the whole of it where it is none.
    pub async fn stream(self) -> Result<Stream, Answer> {
        let (response, driver) = self.header("accept", "text/event-stream").begin().await;
        if response.status() != 200 {
            return Err(whole(response).await);
        }
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Ok(Stream::new(response.into_body(), driver))
    }

    async fn begin(self) -> (http::Response<Incoming>, JoinHandle<hyper::Result<()>>) {
        let stream = TcpStream::connect(&self.authority).await.expect("the server listens");
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.expect("a connection");
        let driver = tokio::spawn(connection);
        let request = self.request.body(Full::new(self.body)).expect("a request");
        (sender.send_request(request).await.expect("an answer"), driver)
    }
}

async fn whole(response: http::Response<Incoming>) -> Answer {
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.expect("a body").to_bytes();
    Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        text: String::from_utf8(bytes.to_vec()).expect("text"),
    }
}

impl Answer {
    /// The body, of an answer that must have this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.json()
    }

    /// The same, as the list that it must be.
    #[track_caller]
    pub fn list(self) -> Vec<Value> {
        self.expect(200).as_array().expect("an array").clone()
    }

    /// The error code of an answer that must have this status.
    #[track_caller]
    pub fn error(self, status: u16) -> String {
        let body = self.expect(status);
        assert!(body["error"].as_str().is_some_and(|sentence| !sentence.is_empty()));
        body["code"].as_str().expect("a code").to_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {}", self.text))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Where a list goes on: path and query of the link with that relation.
    pub fn link(&self, relation: &str) -> Option<String> {
        let wanted = format!("rel=\"{relation}\"");
        let values = self.headers.get_all("link").iter();
        let links = values.flat_map(|value| value.to_str().expect("text").split(", "));
        let mut ours = links.filter(|link| link.contains(&wanted));
        let link = ours.next()?.split(['<', '>']).nth(1).expect("<a reference>");
        assert!(ours.next().is_none(), "one link a relation");
        Some(link.to_owned())
    }
}
