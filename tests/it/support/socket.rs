//! A WebSocket client that waits for what has to come, and for nothing else.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::Answer;

/// What has to come has come long before this.
const PATIENCE: Duration = Duration::from_secs(40);

pub struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// The subprotocol that the server echoed.
    pub protocol: Option<String>,
}

impl Socket {
    /// Opens `/ws?{query}`; the HTTP answer if it is refused.
    pub async fn open(
        authority: &str,
        query: &str,
        protocol: Option<&str>,
    ) -> Result<Self, Box<Answer>> {
        let offered = protocol.map(|protocol| ("sec-websocket-protocol", protocol));
        Self::dial(authority, query, offered.as_slice()).await
    }

    /// The same, with headers.
    pub async fn dial(
        authority: &str,
        query: &str,
        headers: &[(&str, &str)],
    ) -> Result<Self, Box<Answer>> {
        let url = format!("ws://{authority}/ws?{query}");
        let mut request = url.into_client_request().expect("a URL");
        for (name, value) in headers {
            let name: http::HeaderName = name.parse().expect("a header");
            request.headers_mut().append(name, value.parse().expect("a header value"));
        }
        match connect_async(request).await {
            Ok((stream, response)) => {
                let echoed = response.headers().get("sec-websocket-protocol");
                let protocol = echoed.map(|name| name.to_str().expect("text").to_owned());
                Ok(Self { stream, protocol })
            }
            Err(Error::Http(response)) => {
                let (parts, body) = response.into_parts();
                let text = String::from_utf8(body.unwrap_or_default()).expect("text");
                let (status, headers) = (parts.status.as_u16(), parts.headers);
                Err(Box::new(Answer { status, headers, text }))
            }
            Err(error) => panic!("no handshake: {error}"),
        }
    }

    pub async fn send(&mut self, frame: &Value) {
        self.send_text(&frame.to_string()).await;
    }

    pub async fn send_text(&mut self, text: &str) {
        self.stream.send(Message::text(text)).await.expect("the socket is open");
    }

    pub async fn send_binary(&mut self, bytes: &[u8]) {
        let message = Message::binary(bytes.to_vec());
        self.stream.send(message).await.expect("the socket is open");
    }

    /// Sends without a look at whether the other end still listens.
    pub async fn try_send(&mut self, frame: &Value) -> bool {
        self.stream.send(Message::text(frame.to_string())).await.is_ok()
    }

    /// Sends, and gives the frame that comes next.
    pub async fn ask(&mut self, frame: &Value) -> Value {
        self.send(frame).await;
        self.next().await
    }

    /// The next frame, which must be JSON text.
    pub async fn next(&mut self) -> Value {
        match self.message().await {
            Message::Text(text) => serde_json::from_str(&text).expect("JSON"),
            other => panic!("no text frame: {other:?}"),
        }
    }

    /// Reads up to the next frame of that type and gives it; frames before it are dropped.
    pub async fn until(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.next().await;
            if frame["type"] == kind {
                return frame;
            }
        }
    }

    /// Of a v1 socket: all frames before the answer to something sent now.
    pub async fn until_now(&mut self) -> Vec<Value> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let name = format!("now-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        self.send(&json!({"type": "is there anything?", "ref": name})).await;
        let mut before = Vec::new();
        loop {
            match self.next().await {
                frame if frame["ref"] == name => return before,
                frame => before.push(frame),
            }
        }
    }

    /// Reads up to the message with that content; the contents before it.
    pub async fn contents_before(&mut self, marker: &str) -> Vec<String> {
        let mut before = Vec::new();
        loop {
            let frame = self.next().await;
            let message = if frame["data"].is_object() { &frame["data"] } else { &frame };
            match message["content"].as_str() {
                Some(content) if content == marker => return before,
                Some(content) => before.push(content.to_owned()),
                None => {}
            }
        }
    }

    /// Frames up to and with the first for which `is_last` holds.
    pub async fn up_to(&mut self, is_last: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut frames = Vec::new();
        loop {
            let frame = self.next().await;
            let ends = is_last(&frame);
            frames.push(frame);
            if ends {
                return frames;
            }
        }
    }

    /// The next frame; none where the server closes in its place.
    pub async fn next_or_closed(&mut self) -> Option<Value> {
        match self.message().await {
            Message::Text(text) => Some(serde_json::from_str(&text).expect("JSON")),
            _ => None,
        }
    }

    /// The close code; what came before it is given too.
    pub async fn rest(self) -> (u16, Vec<Value>) {
        // Pings come for as long as it is open.
        let whole = tokio::time::timeout(2 * PATIENCE, self.rest_of());
        whole.await.expect("it is closed in time")
    }

    async fn rest_of(mut self) -> (u16, Vec<Value>) {
        let mut before = Vec::new();
        loop {
            match self.message().await {
                Message::Text(text) => before.push(serde_json::from_str(&text).expect("JSON")),
                Message::Close(Some(frame)) => return (frame.code.into(), before),
                Message::Close(None) => panic!("closed without a code"),
                _ => {}
            }
        }
    }

    /// The close code, whatever comes before.
    pub async fn closed(self) -> u16 {
        self.rest().await.0
    }

    /// Closes as a decent client does; gives the code that the server answers.
    pub async fn close(mut self) -> u16 {
        self.stream.close(None).await.expect("the socket is open");
        loop {
            match self.message().await {
                Message::Close(Some(frame)) => return frame.code.into(),
                Message::Close(None) => return 1005,
                _ => {}
            }
        }
    }

    async fn message(&mut self) -> Message {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.stream.next()).await;
            match next.expect("something comes in time").expect("the socket is open") {
                Ok(Message::Ping(_) | Message::Pong(_)) => {}
                Ok(message) => return message,
                Err(error) => panic!("the socket broke: {error}"),
            }
        }
    }
}
