//! REST for clients whose server may die at any moment: what was not answered is no failure of
//! the test, but [`Gone`].

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::person::Person;

/// What has to come has come long before this.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The server went away before it answered.
#[derive(Clone, Copy, Debug)]
pub struct Gone;

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub retry_after: Option<String>,
    pub text: String,
}

impl Answer {
    /// The body, of an answer that must have this status.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {}", self.text))
    }

    /// Must say that the server can't write: 503 `unavailable`, with `Retry-After`.
    #[track_caller]
    pub fn expect_unavailable(&self) {
        assert_eq!(self.expect(503)["code"], "unavailable");
        let seconds = self.retry_after.as_deref().and_then(|text| text.parse::<u64>().ok());
        assert!(seconds.is_some(), "503 comes with Retry-After, not {:?}", self.retry_after);
    }
}

/// One person's calls, one after the other, on a connection that is kept.
pub struct Rest {
    authority: String,
    bearer: String,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Rest {
    /// `url` is the server's.
    pub fn new(url: &str, person: &Person) -> Self {
        let authority = url.trim_start_matches("http://").to_owned();
        Self { authority, bearer: format!("Bearer {}", person.token), sender: None }
    }

    /// A call without a body.
    pub async fn call(&mut self, method: &str, path: &str) -> Result<Answer, Gone> {
        self.send(method, path, None).await
    }

    pub async fn post(&mut self, path: &str, body: &Value) -> Result<Answer, Gone> {
        self.send("POST", path, Some(body)).await
    }

    async fn send(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, Gone> {
        let answer = timeout(PATIENCE, self.send_patiently(method, path, body)).await;
        let answer = answer.unwrap_or_else(|_| panic!("{method} {path}: no answer"));
        if answer.is_err() {
            self.sender = None;
        }
        answer
    }

    async fn send_patiently(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, Gone> {
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("host", &self.authority)
            .header("authorization", &self.bearer);
        let request = match body {
            Some(body) => {
                request.header("content-type", "application/json").body(body.to_string().into())
            }
            None => request.body(Full::default()),
        };
        let sender = self.sender().await?;
        let response = sender.send_request(request.expect("a request")).await.map_err(|_| Gone)?;
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.map_err(|_| Gone)?.to_bytes();
        let retry_after = parts.headers.get("retry-after").and_then(|value| value.to_str().ok());
        Ok(Answer {
            status: parts.status.as_u16(),
            retry_after: retry_after.map(str::to_owned),
            text: String::from_utf8(bytes.to_vec()).expect("text"),
        })
    }

    /// The kept connection if the server has kept it too, else a new one.
    async fn sender(&mut self) -> Result<&mut SendRequest<Full<Bytes>>, Gone> {
        let is_open = match &mut self.sender {
            Some(sender) => sender.ready().await.is_ok(),
            None => false,
        };
        if !is_open {
            let stream = TcpStream::connect(&self.authority).await.map_err(|_| Gone)?;
            let handshake = http1::handshake(TokioIo::new(stream)).await;
            let (sender, connection) = handshake.map_err(|_| Gone)?;
            tokio::spawn(connection);
            self.sender = Some(sender);
        }
        Ok(self.sender.as_mut().expect("opened above"))
    }
}
