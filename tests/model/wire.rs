//! HTTP calls that may fail: while the server restarts they do, and that is no fault.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// Whatever is asked is answered long before this.
const PATIENCE: Duration = Duration::from_secs(40);

/// Status and body; an error where the connection broke or no answer came.
pub type Reply = Result<(u16, Value), String>;

/// A call that is being put together.
pub struct Call {
    authority: String,
    request: http::request::Builder,
    body: Bytes,
}

/// An answer that goes on.
pub struct Body {
    pub incoming: Incoming,
    driver: JoinHandle<()>,
}

impl Drop for Body {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Call {
    pub fn new(authority: &str, token: &str, method: &str, path: &str) -> Self {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", authority)
            .header("authorization", format!("Bearer {token}"));
        Self { authority: authority.to_owned(), request, body: Bytes::new() }
    }

    pub fn json(mut self, body: &Value) -> Self {
        self.request = self.request.header("content-type", "application/json");
        self.body = body.to_string().into();
        self
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    pub async fn send(self) -> Reply {
        let whole = async {
            let (response, _driver) = self.begin().await?;
            let status = response.status().as_u16();
            let body = response.into_body().collect().await.map_err(|e| e.to_string())?;
            let body = serde_json::from_slice(&body.to_bytes()).map_err(|e| e.to_string())?;
            Ok((status, body))
        };
        tokio::time::timeout(PATIENCE, whole).await.unwrap_or_else(|_| Err("no answer".into()))
    }

    /// The stream of an answer 200, or the answer that is none.
    pub async fn stream(self) -> Result<Body, Reply> {
        let begun = tokio::time::timeout(PATIENCE, self.begin()).await;
        let (response, driver) = match begun {
            Ok(begun) => begun.map_err(Err)?,
            Err(_) => return Err(Err("no answer".into())),
        };
        let status = response.status().as_u16();
        let body = Body { incoming: response.into_body(), driver: driver.keep() };
        if status == 200 {
            return Ok(body);
        }
        let mut body = body;
        let mut text = Vec::new();
        while let Some(Ok(frame)) = body.incoming.frame().await {
            text.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
        }
        Err(serde_json::from_slice(&text).map(|v| (status, v)).map_err(|e| e.to_string()))
    }

    async fn begin(self) -> Result<(http::Response<Incoming>, Driver), String> {
        let stream = TcpStream::connect(&self.authority).await.map_err(|e| e.to_string())?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|e| e.to_string())?;
        let driver = Driver(Some(tokio::spawn(async move {
            // How it ended shows in the answer.
            let _ = connection.await;
        })));
        let request = self.request.body(Full::new(self.body)).map_err(|e| e.to_string())?;
        let response = sender.send_request(request).await.map_err(|e| e.to_string())?;
        Ok((response, driver))
    }
}

/// The task of a connection, which ends with its user.
struct Driver(Option<JoinHandle<()>>);

impl Driver {
    fn keep(mut self) -> JoinHandle<()> {
        self.0.take().expect("kept once")
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Some(driver) = &self.0 {
            driver.abort();
        }
    }
}
